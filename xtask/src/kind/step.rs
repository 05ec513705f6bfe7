//! The steps of a node image, and the key of each: a hash of all that its output depends on.
//!
//! A key covers the step's script and the files it reads, the suite and the architecture, and
//! the keys of the steps before it; so a changed file remakes what follows from it and nothing
//! else. What it does not cover is the archive: a point release of Debian changes no key.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use sha2::{Digest as _, Sha256};

use super::error::KindError;

/// The version of Kubernetes: the newest whose whole source Debian ships.
pub(crate) const KUBERNETES: &str = "1.20.2";

/// Debian release of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Suite {
    /// containerd 1.6
    #[default]
    Bookworm,
    /// containerd 1.7
    Trixie,
}

impl Suite {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }
}

/// One step: `build/<name>.sh`, run with the outputs of the steps it needs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) needs: &'static [&'static str],
    /// Files and folders that it reads, beside its script.
    reads: &'static [&'static str],
    /// Whether its output differs by suite.
    suited: bool,
    /// Programs that it calls.
    pub(crate) programs: &'static [&'static str],
}

/// The steps, each after those it needs; the last one makes the image.
pub(crate) static STEPS: [Step; 5] = [
    Step {
        name: "kind",
        needs: &[],
        reads: &["build/apt.sh"],
        suited: false,
        programs: &["apt-get", "dpkg", "dpkg-deb", "dpkg-source"],
    },
    Step {
        name: "kubernetes",
        needs: &[],
        reads: &["build/apt.sh", "cluster-dns.go"],
        suited: false,
        programs: &[
            "apt-get",
            "dpkg-source",
            "gcc",
            "strip",
            "/usr/lib/go-1.19/bin/go",
        ],
    },
    Step {
        name: "rootfs",
        needs: &[],
        reads: &["build/apt.sh"],
        suited: true,
        programs: &["apt-get", "mmdebstrap"],
    },
    Step {
        name: "images",
        needs: &["kubernetes", "rootfs"],
        reads: &["node/iptables-like-the-kubelet"],
        suited: false,
        programs: &["jq"],
    },
    Step {
        name: "node",
        needs: &["kind", "kubernetes", "rootfs", "images"],
        reads: &["node", "bounded-runc"],
        suited: true,
        programs: &["docker", "zstd"],
    },
];

/// A step with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Built {
    pub(crate) step: &'static Step,
    pub(crate) key: String,
}

/// The steps with their keys, for the scripts in that folder.
pub(crate) fn plan(scripts: &Path, suite: Suite) -> Result<Vec<Built>, KindError> {
    let mut plan: Vec<Built> = Vec::new();
    for step in &STEPS {
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            // With its length, so that parts cannot run into each other.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        add(step.name.as_bytes());
        add(architecture().as_bytes());
        add(if step.suited {
            suite.as_str().as_bytes()
        } else {
            b""
        });
        for need in plan
            .iter()
            .filter(|built| step.needs.contains(&built.step.name))
        {
            add(need.key.as_bytes());
        }
        let script = format!("build/{}.sh", step.name);
        for path in std::iter::once(script.as_str()).chain(step.reads.iter().copied()) {
            for file in files(&scripts.join(path))? {
                let name = file.strip_prefix(scripts).unwrap_or(&file);
                add(name.as_os_str().as_encoded_bytes());
                add(&read(&file)?);
            }
        }
        let mut key = String::new();
        for byte in hash.finalize().iter().take(8) {
            // Writing to a string does not fail.
            let _ = write!(key, "{byte:02x}");
        }
        plan.push(Built { step, key });
    }
    Ok(plan)
}

/// The image's name; it changes with everything that is in the image.
pub(crate) fn image_name(suite: Suite, key: &str) -> String {
    format!("pullcheck-node:v{KUBERNETES}-{}-{key}", suite.as_str())
}

/// Debian's name of this machine's architecture.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The file, or all files below the folder, in order of their names.
fn files(path: &Path) -> Result<Vec<PathBuf>, KindError> {
    let failed = |source| KindError::File {
        doing: "read",
        path: path.to_owned(),
        source,
    };
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        entries.push(entry.map_err(failed)?.path());
    }
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        found.extend(files(&entry)?);
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>, KindError> {
    fs::read(path).map_err(|source| KindError::File {
        doing: "read",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A copy of the scripts that a test may change.
    struct Copy(PathBuf);

    impl Copy {
        fn new(test: &str) -> Self {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/kind");
            let to =
                std::env::temp_dir().join(format!("pullcheck-kind-{test}-{}", std::process::id()));
            for file in files(&from).unwrap() {
                let target = to.join(file.strip_prefix(&from).unwrap());
                fs::create_dir_all(target.parent().unwrap()).unwrap();
                fs::copy(&file, target).unwrap();
            }
            Self(to)
        }

        fn keys(&self, suite: Suite) -> BTreeMap<&'static str, String> {
            plan(&self.0, suite)
                .unwrap()
                .into_iter()
                .map(|built| (built.step.name, built.key))
                .collect()
        }

        fn changed_by(&self, edit: impl FnOnce(&Path)) -> Vec<&'static str> {
            let before = self.keys(Suite::Bookworm);
            edit(&self.0);
            let after = self.keys(Suite::Bookworm);
            STEPS
                .iter()
                .map(|step| step.name)
                .filter(|name| before[name] != after[name])
                .collect()
        }
    }

    impl Drop for Copy {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn every_step_comes_after_those_it_needs_and_has_a_script() {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/kind");
        let mut seen = Vec::new();
        for step in &STEPS {
            assert!(
                step.needs.iter().all(|need| seen.contains(need)),
                "for {}",
                step.name
            );
            assert!(
                scripts.join(format!("build/{}.sh", step.name)).is_file(),
                "for {}",
                step.name
            );
            seen.push(step.name);
        }
    }

    #[test]
    fn a_change_remakes_what_follows_from_it_and_nothing_else() {
        let copy = Copy::new("change");
        let append = |name: &'static str| {
            move |folder: &Path| {
                let path = folder.join(name);
                let mut text = fs::read(&path).unwrap();
                text.push(b'\n');
                fs::write(path, text).unwrap();
            }
        };
        assert_eq!(
            copy.changed_by(|_| ()),
            [""; 0],
            "the same files give the same keys"
        );
        assert_eq!(copy.changed_by(append("README.md")), [""; 0]);
        assert_eq!(copy.changed_by(append("dockerd.sh")), [""; 0]);
        assert_eq!(copy.changed_by(append("node/setup.sh")), ["node"]);
        assert_eq!(copy.changed_by(append("bounded-runc")), ["node"]);
        assert_eq!(
            copy.changed_by(append("node/iptables-like-the-kubelet")),
            ["images", "node"]
        );
        assert_eq!(
            copy.changed_by(append("cluster-dns.go")),
            ["kubernetes", "images", "node"]
        );
        assert_eq!(
            copy.changed_by(append("build/rootfs.sh")),
            ["rootfs", "images", "node"]
        );
        assert_eq!(copy.changed_by(append("build/kind.sh")), ["kind", "node"]);
        let new_file = |folder: &Path| fs::write(folder.join("node/root/etc/new"), "").unwrap();
        assert_eq!(
            copy.changed_by(new_file),
            ["node"],
            "an empty new file counts"
        );
    }

    #[test]
    fn suites_share_what_does_not_depend_on_them() {
        let copy = Copy::new("suite");
        let (bookworm, trixie) = (copy.keys(Suite::Bookworm), copy.keys(Suite::Trixie));
        let shared: Vec<_> = STEPS
            .iter()
            .map(|step| step.name)
            .filter(|name| bookworm[name] == trixie[name])
            .collect();
        assert_eq!(shared, ["kind", "kubernetes"]);
    }
}
