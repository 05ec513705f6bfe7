//! The files a cluster leaves for other programs: kubeconfig, authority, token, the variables to
//! export, and an `az`. They lie in a folder that only the user can read, and go with the cluster.

use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::UpError;
use super::simulation::World;

/// The first line of our kubeconfigs: only a file that begins so is written over.
const MARK: &str = "# An embedded cluster of pullcheck; it is gone when its process is.";

pub(crate) struct Files {
    folder: TempDir,
    kubeconfig: PathBuf,
    /// A kubeconfig outside of the folder is removed with it.
    elsewhere: bool,
}

impl Drop for Files {
    fn drop(&mut self) {
        if self.elsewhere && is_ours(&self.kubeconfig) {
            let _ = fs::remove_file(&self.kubeconfig);
        }
    }
}

impl Files {
    pub(super) fn create(kubeconfig: Option<&Path>) -> Result<Self, UpError> {
        let folder = tempfile::Builder::new()
            .prefix("pullcheck-cluster-")
            .tempdir()?;
        let own = folder.path().join("kubeconfig");
        let path = match kubeconfig {
            None => own,
            Some(path) => {
                let path = std::path::absolute(path)?;
                // A path that leads nowhere, or to a file of ours; never the user's own.
                if path.symlink_metadata().is_ok() && !is_ours(&path) {
                    return Err(UpError::NotOurs { path });
                }
                path
            }
        };
        Ok(Self {
            folder,
            kubeconfig: path,
            elsewhere: kubeconfig.is_some(),
        })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The file that a shell can read all variables from.
    pub(crate) fn env(&self) -> PathBuf {
        self.at("env")
    }

    pub(super) fn write(
        &self,
        kubeconfig: &str,
        gateway: SocketAddr,
        world: &World,
    ) -> Result<(), UpError> {
        put(&self.kubeconfig, &format!("{MARK}\n{kubeconfig}"))?;
        put(&self.at("ca.pem"), &world.authority)?;
        self.set_token(world.token.as_deref())?;
        let lines: Vec<String> = self
            .variables(gateway, world)
            .iter()
            .map(|(name, value)| export(name, value) + "\n")
            .collect();
        put(&self.env(), &lines.concat())?;
        fs::create_dir_all(self.at("bin"))?;
        self.program("pullcheck", "pullcheck pullcheck")?;
        self.program("kubectl-pullcheck", "pullcheck kubectl-pullcheck")?;
        if world.token.is_some() {
            let settings = serde_json::json!({
                "proxy": gateway,
                "authority": self.at("ca.pem"),
                "token": self.at("arm-token"),
            });
            put(&self.at("az.json"), &settings.to_string())?;
            let settings = quoted(&self.at("az.json").display().to_string());
            self.program("az", &format!("az --settings {settings} --"))?;
        }
        Ok(())
    }

    /// The token of the user who is signed in to Azure; it ages with the simulated clock.
    pub(crate) fn set_token(&self, token: Option<&str>) -> Result<(), UpError> {
        match token {
            Some(token) => put(&self.at("arm-token"), token),
            None => Ok(()),
        }
    }

    /// What to export so that other programs see the simulated world.
    pub(super) fn variables(&self, gateway: SocketAddr, world: &World) -> Vec<(String, String)> {
        let text = |path: PathBuf| path.display().to_string();
        let proxy = format!("http://{gateway}");
        let mut all = vec![
            ("KUBECONFIG", text(self.kubeconfig.clone())),
            ("HTTPS_PROXY", proxy.clone()),
            ("HTTP_PROXY", proxy.clone()),
            // curl takes this one in small letters only.
            ("http_proxy", proxy),
            ("NO_PROXY", "127.0.0.1,localhost,::1".to_owned()),
            ("SSL_CERT_FILE", text(self.at("ca.pem"))),
            // curl as Debian builds it.
            ("CURL_CA_BUNDLE", text(self.at("ca.pem"))),
            // What kubectl remembers of another cluster at the same port is not for this one.
            ("KUBECACHEDIR", text(self.at("cache"))),
            ("PATH", format!("{}:$PATH", self.at("bin").display())),
        ];
        if world.token.is_some() {
            all.push((
                "PULLCHECK_ARM_ENDPOINT",
                "https://management.azure.com".to_owned(),
            ));
            all.push(("PULLCHECK_ARM_TOKEN_FILE", text(self.at("arm-token"))));
        }
        all.into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// A program for the user's path: the checker, and an `az` that speaks to the simulated Azure and
    /// to no other.
    fn program(&self, name: &str, arguments: &str) -> Result<(), UpError> {
        let program = quoted(&std::env::current_exe()?.display().to_string());
        let script = self.at("bin").join(name);
        put(
            &script,
            &format!("#!/bin/sh\nexec {program} {arguments} \"$@\"\n"),
        )?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&script, fs::Permissions::from_mode(0o700))?;
        }
        Ok(())
    }
}

/// Writes a file whole or not at all, for its owner alone.
fn put(path: &Path, text: &str) -> Result<(), UpError> {
    let write = || -> io::Result<()> {
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|source| UpError::Write {
        path: path.to_owned(),
        source,
    })
}

fn is_ours(path: &Path) -> bool {
    use std::io::Read as _;
    let mut head = vec![0; MARK.len()];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head == MARK.as_bytes()
}

/// A line for a shell.
pub(super) fn export(name: &str, value: &str) -> String {
    match value.strip_suffix(":$PATH") {
        Some(folder) => format!("export {name}={}:\"$PATH\"", quoted(folder)),
        None => format!("export {name}={}", quoted(value)),
    }
}

/// A word as a shell takes it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:,@=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_of_the_user_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mine = folder.path().join("config");
        fs::write(&mine, "apiVersion: v1\n").unwrap();
        assert!(matches!(
            Files::create(Some(&mine)),
            Err(UpError::NotOurs { .. })
        ));
        assert_eq!(fs::read_to_string(&mine).unwrap(), "apiVersion: v1\n");

        let ours = folder.path().join("lab");
        for _ in 0..2 {
            let files = Files::create(Some(&ours)).unwrap();
            put(&files.kubeconfig, &format!("{MARK}\n{{}}\n")).unwrap();
            assert!(ours.exists());
        }
        assert!(!ours.exists(), "gone with its cluster");
    }

    #[test]
    fn lines_for_a_shell() {
        assert_eq!(export("A", "/tmp/x"), "export A=/tmp/x");
        assert_eq!(export("A", "/it's here"), r"export A='/it'\''s here'");
        assert_eq!(
            export("PATH", "/tmp/b:$PATH"),
            "export PATH=/tmp/b:\"$PATH\""
        );
    }
}
