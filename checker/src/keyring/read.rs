//! Reading the files: a docker configuration, a kubelet's configuration of credential providers.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::provider::MAX_FILE;
use super::{ConfigError, DockerConfig, ProviderError, Providers};

/// No folder of configurations holds more files.
const MAX_FILES: usize = 64;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialFileError {
    /// It cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no docker configuration.
    #[error("`{}` is no docker configuration", path.display())]
    Docker {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ConfigError,
    },
    /// A kubelet would refuse it.
    #[error("`{}` is refused by a kubelet", path.display())]
    Providers {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and where.
        source: ProviderError,
    },
    /// The folder holds no file of this kind.
    #[error("`{}` holds no .json, .yaml or .yml file", path.display())]
    NoFiles {
        /// The folder.
        path: PathBuf,
    },
}

/// Reads a docker configuration: a file, or the folder that holds `config.json`.
pub fn docker_config(path: &Path) -> Result<DockerConfig, CredentialFileError> {
    let path = if path.is_dir() {
        path.join("config.json")
    } else {
        path.to_owned()
    };
    let body = bytes(&path)?;
    DockerConfig::parse(&path.display().to_string(), &body)
        .map_err(|source| CredentialFileError::Docker { path, source })
}

/// Reads a kubelet's `--image-credential-provider-config`: a file, or a folder of them in the order of their names.
pub fn credential_providers(
    config: &Path,
    programs: &Path,
) -> Result<Providers, CredentialFileError> {
    let mut files = vec![config.to_owned()];
    if config.is_dir() {
        let unreadable = |source| CredentialFileError::Unreadable {
            path: config.to_owned(),
            source,
        };
        let entries = std::fs::read_dir(config).map_err(unreadable)?;
        files = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                let end = path.extension().and_then(|end| end.to_str());
                path.is_file() && matches!(end, Some("json" | "yaml" | "yml"))
            })
            .collect();
        files.sort();
        files.truncate(MAX_FILES);
        if files.is_empty() {
            return Err(CredentialFileError::NoFiles {
                path: config.to_owned(),
            });
        }
    }
    let texts: Vec<String> = files
        .iter()
        .map(|path| bytes(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
        .collect::<Result<_, _>>()?;
    Providers::parse(texts.iter().map(String::as_str), programs).map_err(|source| {
        CredentialFileError::Providers {
            path: config.to_owned(),
            source,
        }
    })
}

fn bytes(path: &Path) -> Result<Vec<u8>, CredentialFileError> {
    let unreadable = |source| CredentialFileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // One byte more than is allowed, so that the parser sees that it is too much.
    let read = file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes);
    read.map_err(unreadable)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROVIDER: &str = "apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\nproviders:\n- {name: NAME, matchImages: [r.io], defaultCacheDuration: 1m, apiVersion: credentialprovider.kubelet.k8s.io/v1}\n";

    #[test]
    fn files_and_folders() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let read = || credential_providers(folder.path(), Path::new("/p"));
        assert!(matches!(read(), Err(CredentialFileError::NoFiles { .. })));
        write("b.yaml", &PROVIDER.replace("NAME", "two"));
        write("a.yml", &PROVIDER.replace("NAME", "one"));
        write("notes.txt", "not read");
        assert!(read().is_ok());
        write("c.json", &PROVIDER.replace("NAME", "one"));
        let error = read().unwrap_err();
        assert!(
            matches!(error, CredentialFileError::Providers { .. }),
            "{error}"
        );
        write("config.json", "{\"auths\":{}}");
        assert!(docker_config(folder.path()).is_ok());
        write("config.json", "{");
        assert!(matches!(
            docker_config(folder.path()),
            Err(CredentialFileError::Docker { .. })
        ));
        assert!(matches!(
            docker_config(&folder.path().join("absent")),
            Err(CredentialFileError::Unreadable { .. })
        ));
    }
}
