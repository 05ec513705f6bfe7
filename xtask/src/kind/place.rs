//! Where things are kept on this machine: the cache of what was built, the files of each
//! cluster, and the locks that keep two runs apart.
//!
//! An entry of the cache is a folder `<step>/<key>`; it appears under that name only when it
//! is whole. Everything here may be deleted when nothing runs; it is made again.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::error::KindError;
use super::name::ClusterName;
use super::step::Built;

/// The folders.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    cache: PathBuf,
    scripts: PathBuf,
}

impl Place {
    /// `PULLCHECK_KIND_CACHE`, or `pullcheck/kind` in the user's cache folder; the scripts are
    /// found from the folder of this package.
    pub(crate) fn of_this_machine(built_in: &Path) -> Result<Self, KindError> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let cache = cache_folder(
            variable("PULLCHECK_KIND_CACHE"),
            variable("XDG_CACHE_HOME"),
            variable("HOME"),
        )
        .ok_or(KindError::NoCache)?;
        let cache = std::path::absolute(&cache).map_err(|source| KindError::File {
            doing: "find",
            path: cache,
            source,
        })?;
        // `cargo run` says where the package is now; the path at build time may be older.
        let package =
            variable("CARGO_MANIFEST_DIR").map_or_else(|| built_in.to_owned(), PathBuf::from);
        let scripts = package.parent().unwrap_or(&package).join("scenarios/kind");
        create(&cache)?;
        Ok(Self { cache, scripts })
    }

    /// The folder of the scripts, `scenarios/kind`.
    pub(crate) fn scripts(&self) -> &Path {
        &self.scripts
    }

    /// The cache.
    pub(crate) fn cache(&self) -> &Path {
        &self.cache
    }

    /// Where a finished step is.
    pub(crate) fn entry(&self, built: &Built) -> PathBuf {
        self.cache.join(built.step.name).join(&built.key)
    }

    /// Where a step's output goes while it runs.
    pub(crate) fn unfinished(&self, built: &Built) -> PathBuf {
        self.cache
            .join(built.step.name)
            .join(format!("{}.part", built.key))
    }

    /// Scratch folder of a step.
    pub(crate) fn work(&self, built: &Built) -> PathBuf {
        self.cache.join("work").join(built.step.name)
    }

    /// What steps share and reuse: indexes of apt, compiled Go packages.
    pub(crate) fn shared(&self) -> PathBuf {
        self.cache.join("shared")
    }

    /// A log file; its folder is made.
    pub(crate) fn log(&self, name: &str) -> Result<PathBuf, KindError> {
        let folder = self.cache.join("log");
        create(&folder)?;
        Ok(folder.join(format!("{name}.log")))
    }

    /// The files of a cluster: configuration, kubeconfig.
    pub(crate) fn cluster(&self, name: &ClusterName) -> PathBuf {
        self.cache.join("clusters").join(name.as_str())
    }

    /// The cluster's kubeconfig.
    pub(crate) fn kubeconfig(&self, name: &ClusterName) -> PathBuf {
        self.cluster(name).join("kubeconfig")
    }

    /// Holds the lock on what is named, until the file is dropped; the kernel lets go of it
    /// when the process ends, however it ends.
    pub(crate) fn lock(&self, what: &str) -> Result<File, KindError> {
        let folder = self.cache.join("lock");
        create(&folder)?;
        let path = folder.join(what.replace(' ', "-"));
        let file = File::create(&path).map_err(|source| KindError::File {
            doing: "create",
            path: path.clone(),
            source,
        })?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(KindError::Busy {
                what: what.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(KindError::File {
                doing: "lock",
                path,
                source,
            }),
        }
    }
}

fn cache_folder(
    own: Option<OsString>,
    xdg: Option<OsString>,
    home: Option<OsString>,
) -> Option<PathBuf> {
    own.map(PathBuf::from)
        .or_else(|| xdg.map(|folder| PathBuf::from(folder).join("pullcheck/kind")))
        .or_else(|| home.map(|folder| PathBuf::from(folder).join(".cache/pullcheck/kind")))
}

/// Makes a folder and those above it.
pub(crate) fn create(folder: &Path) -> Result<(), KindError> {
    fs::create_dir_all(folder).map_err(|source| KindError::File {
        doing: "create",
        path: folder.to_owned(),
        source,
    })
}

/// Removes a folder with all that is in it; none is fine.
pub(crate) fn remove(folder: &Path) -> Result<(), KindError> {
    match fs::remove_dir_all(folder) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(KindError::File {
            doing: "remove",
            path: folder.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_cache_is() {
        let table = [
            (Some("/a"), Some("/b"), Some("/c"), Some("/a")),
            (None, Some("/b"), Some("/c"), Some("/b/pullcheck/kind")),
            (None, None, Some("/c"), Some("/c/.cache/pullcheck/kind")),
            (None, None, None, None),
        ];
        for (own, xdg, home, want) in table {
            let found = cache_folder(
                own.map(Into::into),
                xdg.map(Into::into),
                home.map(Into::into),
            );
            assert_eq!(found, want.map(PathBuf::from));
        }
    }

    #[test]
    fn a_lock_is_held_by_one() {
        let cache =
            std::env::temp_dir().join(format!("pullcheck-kind-lock-{}", std::process::id()));
        let place = Place {
            cache: cache.clone(),
            scripts: PathBuf::new(),
        };
        let held = place.lock("cluster shop").unwrap();
        let second = place.lock("cluster shop");
        assert!(
            matches!(second, Err(KindError::Busy { ref what }) if what == "cluster shop"),
            "{second:?}"
        );
        assert!(
            place.lock("cluster other").is_ok(),
            "another cluster is another lock"
        );
        drop(held);
        assert!(place.lock("cluster shop").is_ok());
        remove(&cache).unwrap();
    }
}
