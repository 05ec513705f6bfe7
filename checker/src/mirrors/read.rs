//! Reading the files: a folder `certs.d`, or one `registries.conf`.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::toml::{MAX_FILE, Toml};
use super::{ConfigError, DaemonJson, HostCertificates, HostsFile, Mirrors, RegistriesConf};
use crate::world::real::{CaFileError, ClientFileError, read_ca_file, read_client_certificate};

/// No `certs.d` holds more folders.
const MAX_FOLDERS: usize = 512;

/// Why a configuration of mirrors cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MirrorFileError {
    /// It cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("`{}` cannot be used", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: ConfigError,
    },
    /// A file of certificates that it names cannot be used.
    #[error("an authority that `{}` names cannot be used", path.display())]
    Authority {
        /// The file that names it.
        path: PathBuf,
        /// Why.
        source: CaFileError,
    },
    /// A client certificate cannot be used.
    #[error("a client certificate that `{}` names cannot be used", path.display())]
    Client {
        /// The file or folder that names it.
        path: PathBuf,
        /// Why.
        source: ClientFileError,
    },
}

/// Reads every `hosts.toml` below containerd's `certs.d`.
pub fn hosts_folder(folder: &Path) -> Result<Mirrors, MirrorFileError> {
    add_folder(Mirrors::default(), folder, None)
}

/// The same for several folders, of which the first that knows a registry counts. They belong to the machine whose
/// root is at `root`: absolute paths in the files are meant from there.
pub fn hosts_folders(folders: &[PathBuf], root: &Path) -> Result<Mirrors, MirrorFileError> {
    let mut last_first = folders.iter().rev();
    last_first.try_fold(Mirrors::default(), |mirrors, folder| {
        add_folder(mirrors, folder, Some(root))
    })
}

/// The `config_path` of containerd's CRI plug-in, of any version of the file; nothing where there is no file, or
/// none is named.
pub fn config_path(file: &Path) -> Result<Option<String>, MirrorFileError> {
    if !file.is_file() {
        return Ok(None);
    }
    let malformed = |source| MirrorFileError::Malformed {
        path: file.to_owned(),
        source,
    };
    let text = text(file)?;
    let toml = Toml::parse(&text).map_err(malformed)?;
    let plugins = [
        "io.containerd.cri.v1.images",
        "io.containerd.grpc.v1.cri",
        "cri",
    ];
    let found = plugins.iter().find_map(|plugin| {
        let plugins = toml.root().get("plugins")?.as_table_like()?;
        let registry = plugins.get(plugin)?.as_table_like()?.get("registry")?;
        registry.as_table_like()?.get("config_path")?.as_str()
    });
    Ok(found.filter(|path| !path.is_empty()).map(str::to_owned))
}

fn add_folder(
    mut mirrors: Mirrors,
    folder: &Path,
    root: Option<&Path>,
) -> Result<Mirrors, MirrorFileError> {
    let unreadable = |path: &Path, source| MirrorFileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, error))?;
    for entry in entries.take(MAX_FOLDERS) {
        let entry = entry.map_err(|error| unreadable(folder, error))?;
        let path = entry.path().join("hosts.toml");
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            continue;
        };
        if !path.is_file() {
            continue;
        }
        let text = text(&path)?;
        let mut file = HostsFile::parse(&text).map_err(|source| MirrorFileError::Malformed {
            path: path.clone(),
            source,
        })?;
        let named: Vec<String> = file
            .authority_files()
            .into_iter()
            .map(str::to_owned)
            .collect();
        for authority in named {
            // A path that does not begin at the root is meant from the folder of the file.
            let found = read_ca_file(&at(&entry.path(), &authority, root));
            let found = found.map_err(|source| MirrorFileError::Authority {
                path: path.clone(),
                source,
            })?;
            file = file.with_authorities(&authority, &found);
        }
        let named: Vec<(String, Option<String>)> = file
            .client_files()
            .into_iter()
            .map(|(certificate, key)| (certificate.to_owned(), key.map(str::to_owned)))
            .collect();
        for (certificate, key) in named {
            let at = |file: &str| at(&entry.path(), file, root);
            let key = at(key.as_deref().unwrap_or(&certificate));
            let found = read_client_certificate(&at(&certificate), &key);
            let found = found.map_err(|source| MirrorFileError::Client {
                path: path.clone(),
                source,
            })?;
            file = file.with_client(&certificate, &found);
        }
        mirrors = mirrors.with_folder(&name, file);
    }
    Ok(mirrors)
}

/// A file that is named in `folder`, on the machine whose root is at `root`.
fn at(folder: &Path, file: &str, root: Option<&Path>) -> PathBuf {
    match (root, file.strip_prefix('/')) {
        (Some(root), Some(rest)) => root.join(rest),
        _ => folder.join(file),
    }
}

/// Adds what docker's or CRI-O's `certs.d` holds: in a folder a host, authorities in `*.crt`, client certificates in
/// `*.cert` with their `*.key`.
pub fn certs_folder(mut mirrors: Mirrors, folder: &Path) -> Result<Mirrors, MirrorFileError> {
    let unreadable = |source| MirrorFileError::Unreadable {
        path: folder.to_owned(),
        source,
    };
    for entry in std::fs::read_dir(folder)
        .map_err(unreadable)?
        .take(MAX_FOLDERS)
    {
        let path = entry.map_err(unreadable)?.path();
        let Some(name) = path
            .file_name()
            .and_then(|name| name.to_str())
            .filter(|_| path.is_dir())
        else {
            continue;
        };
        let found = HostCertificates::read(&path)?;
        mirrors = mirrors.with_certificates(name, found);
    }
    Ok(mirrors)
}

/// Reads dockerd's `daemon.json`.
pub fn daemon_json(path: &Path) -> Result<Mirrors, MirrorFileError> {
    let daemon = DaemonJson::parse(&text(path)?);
    let daemon = daemon.map_err(|source| MirrorFileError::Malformed {
        path: path.to_owned(),
        source,
    })?;
    Ok(Mirrors::default().with_daemon(daemon))
}

/// Reads a `registries.conf`.
pub fn registries_conf(path: &Path) -> Result<Mirrors, MirrorFileError> {
    let conf = RegistriesConf::parse(&text(path)?);
    let conf = conf.map_err(|source| MirrorFileError::Malformed {
        path: path.to_owned(),
        source,
    })?;
    Ok(Mirrors::default().with_registries(conf))
}

fn text(path: &Path) -> Result<String, MirrorFileError> {
    let unreadable = |source| MirrorFileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // One byte more than is allowed, so that the parser sees that it is too much.
    let read = file.take(MAX_FILE as u64 + 1).read_to_string(&mut text);
    read.map_err(unreadable)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_whole() {
        let folder = std::env::temp_dir().join(format!("pullcheck-certs-{}", std::process::id()));
        let inner = folder.join("r.example_5000_");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::create_dir_all(folder.join("empty")).unwrap();
        std::fs::write(inner.join("hosts.toml"), "[host.\"https://m.example\"]\n").unwrap();
        let mirrors = hosts_folder(&folder).unwrap();
        let route = mirrors
            .route(&"r.example:5000/a:1".parse().unwrap())
            .unwrap();
        assert_eq!(route.mirrors.len(), 1);
        assert_eq!(mirrors.route(&"s.example/a:1".parse().unwrap()), None);
        std::fs::write(inner.join("hosts.toml"), "ca = \"absent.pem\"\n").unwrap();
        let error = hosts_folder(&folder).unwrap_err();
        assert!(
            matches!(error, MirrorFileError::Authority { .. }),
            "{error}"
        );
        std::fs::write(inner.join("hosts.toml"), "\u{0}").unwrap();
        let error = hosts_folder(&folder).unwrap_err();
        assert!(
            matches!(error, MirrorFileError::Malformed { .. }),
            "{error}"
        );
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(matches!(
            hosts_folder(&folder),
            Err(MirrorFileError::Unreadable { .. })
        ));
    }
}
