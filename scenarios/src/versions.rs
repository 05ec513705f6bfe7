//! Which Kubernetes and which runtime a scenario is played with.

use sim_cluster::profile::{
    ContainerdVersion, Impossible, KubernetesVersion, Profile, PullPath, Runtime,
};

/// The versions that the nodes of a play pretend to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Versions(Profile);

/// A version that there is no model of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Not a release of the 1.x line that is modelled.
    #[error("`{0}` is none of the modelled releases of Kubernetes: 1.20, 1.29 to 1.36")]
    Kubernetes(String),
    /// Not a runtime that is modelled.
    #[error("`{0}` is none of the modelled runtimes: {all}", all = RUNTIMES.join(", "))]
    Runtime(String),
    /// Both are modelled, but never ran together.
    #[error(
        "Kubernetes 1.{minor} does not run with `{runtime}`: {why}. Runtimes of Kubernetes 1.{minor}: {all}",
        all = runtimes_of(*.minor).join(", ")
    )]
    Impossible {
        /// The release of Kubernetes.
        minor: u16,
        /// The runtime.
        runtime: String,
        /// Why not.
        why: Impossible,
    },
}

impl Versions {
    /// From what people write: `1.32`, `containerd-1.7`, `containerd-2.1-local`, `cri-o`. What is not said is that
    /// of the default, Kubernetes 1.36 with containerd 2.1; a Kubernetes that containerd 2.1 is too new for has 1.7.
    pub fn parse(kubernetes: Option<&str>, runtime: Option<&str>) -> Result<Self, VersionError> {
        let default = Profile::default();
        let kubernetes = match kubernetes {
            None => default.kubernetes,
            Some(text) => release(text).ok_or_else(|| VersionError::Kubernetes(text.into()))?,
        };
        let usual = Profile {
            kubernetes,
            ..default
        };
        let profile = match runtime {
            None if usual.possible().is_err() => {
                Profile::new(kubernetes, ContainerdVersion::new(1, 7), PullPath::Local)
            }
            None => usual,
            Some(text) => {
                named(kubernetes, text).ok_or_else(|| VersionError::Runtime(text.into()))?
            }
        };
        profile.possible().map_err(|why| VersionError::Impossible {
            minor: kubernetes.minor,
            runtime: runtime.unwrap_or_default().into(),
            why,
        })?;
        Ok(Self(profile))
    }

    /// Every pair of a modelled Kubernetes and a runtime that can run together, as people write them.
    pub fn all() -> impl Iterator<Item = (String, &'static str)> {
        RELEASES.iter().flat_map(|minor| {
            let runtimes = runtimes_of(*minor).into_iter();
            runtimes.map(move |runtime| (format!("1.{minor}"), runtime))
        })
    }

    /// From what a node's status says of itself: `v1.20.2`, `containerd://1.6.20~ds1`. `None`: a release or a
    /// runtime that is not modelled.
    pub fn of_node(kubelet: &str, runtime: &str) -> Option<Self> {
        let number = |text: &str| {
            let digits = text.split(|c: char| !c.is_ascii_digit()).next();
            digits.and_then(|digits| digits.parse::<u16>().ok())
        };
        let mut parts = kubelet.strip_prefix("v1.")?.split('.');
        let minor = number(parts.next()?)?;
        let kubernetes = KubernetesVersion {
            patch: parts.next().and_then(number).unwrap_or_default(),
            ..release(&format!("1.{minor}"))?
        };
        let (program, release) = runtime.split_once("://")?;
        let mut parts = release.split('.').map(number);
        let (major, minor) = (parts.next()??, parts.next()??);
        let patch = parts.next().flatten().unwrap_or_default();
        let profile = match program {
            "containerd" => {
                let (version, path) = containerd(&format!("containerd-{major}.{minor}"))?;
                Profile::new(kubernetes, ContainerdVersion { patch, ..version }, path)
            }
            "cri-o" if major == 1 && minor == kubernetes.minor => Profile {
                kubernetes,
                runtime: Runtime::CriO { minor, patch },
            },
            _ => return None,
        };
        profile.possible().ok().map(|()| Self(profile))
    }

    pub(crate) const fn profile(self) -> Profile {
        self.0
    }
}

impl std::fmt::Display for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Kubernetes {}, {}",
            self.0.kubernetes,
            self.0.runtime_version()
        )
    }
}

/// The releases of Kubernetes that are modelled.
const RELEASES: [u16; 9] = [20, 29, 30, 31, 32, 33, 34, 35, 36];

/// The runtimes that are modelled, as people write them.
const RUNTIMES: [&str; 10] = [
    "containerd-1.6",
    "containerd-1.7",
    "containerd-2.0",
    "containerd-2.1",
    "containerd-2.1-local",
    "containerd-2.2",
    "containerd-2.2-local",
    "containerd-2.3",
    "containerd-2.3-local",
    "cri-o",
];

fn runtimes_of(minor: u16) -> Vec<&'static str> {
    let kubernetes = KubernetesVersion::new(minor);
    let runs = |text: &&str| named(kubernetes, text).is_some_and(|p| p.possible().is_ok());
    RUNTIMES.into_iter().filter(runs).collect()
}

/// The profile of this Kubernetes with a runtime as people write it.
fn named(kubernetes: KubernetesVersion, runtime: &str) -> Option<Profile> {
    match runtime {
        "cri-o" => Some(Profile::with_crio(kubernetes)),
        _ => containerd(runtime).map(|(version, path)| Profile::new(kubernetes, version, path)),
    }
}

fn release(text: &str) -> Option<KubernetesVersion> {
    let minor: u16 = text
        .trim_start_matches('v')
        .strip_prefix("1.")?
        .parse()
        .ok()?;
    RELEASES
        .contains(&minor)
        .then(|| KubernetesVersion::new(minor))
}

fn containerd(text: &str) -> Option<(ContainerdVersion, PullPath)> {
    let text = text.strip_prefix("containerd-")?;
    let (version, path) = match text.strip_suffix("-local") {
        Some(version) => (version, PullPath::Local),
        None => (text, PullPath::Transfer),
    };
    let (major, minor) = version.split_once('.')?;
    let (major, minor) = (major.parse().ok()?, minor.parse().ok()?);
    matches!((major, minor), (1, 6 | 7) | (2, 0..=3))
        .then(|| (ContainerdVersion::new(major, minor), path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_nodes_write_them() {
        let table = [
            (
                "v1.20.2",
                "containerd://1.6.20~ds1",
                Some("Kubernetes v1.20.2, containerd://1.6.20"),
            ),
            (
                "v1.32.5+k3s1",
                "containerd://2.1.4",
                Some("Kubernetes v1.32.5, containerd://2.1.4+unknown"),
            ),
            (
                "v1.31.2",
                "cri-o://1.31.5",
                Some("Kubernetes v1.31.2, cri-o://1.31.5"),
            ),
            ("v1.31.2", "cri-o://1.30.5", None),
            ("v1.20.2", "containerd://2.1.4", None),
            ("v1.19.2", "containerd://1.6.20", None),
            ("v1.20.2", "docker://20.10.1", None),
            ("", "", None),
        ];
        for (kubelet, runtime, want) in table {
            let found = Versions::of_node(kubelet, runtime).map(|found| found.to_string());
            assert_eq!(found.as_deref(), want, "{kubelet} {runtime}");
        }
    }

    #[test]
    fn versions_as_people_write_them() {
        let table = [
            (
                Some("1.32"),
                Some("containerd-1.7"),
                "Kubernetes v1.32.0, containerd://1.7.24",
            ),
            (
                Some("v1.20"),
                Some("containerd-1.6"),
                "Kubernetes v1.20.2, containerd://1.6.20",
            ),
            (
                Some("1.20"),
                None,
                "Kubernetes v1.20.2, containerd://1.7.24",
            ),
            (
                Some("1.34"),
                Some("cri-o"),
                "Kubernetes v1.34.0, cri-o://1.34.11",
            ),
            (
                None,
                Some("containerd-2.1-local"),
                "Kubernetes v1.36.2, containerd://2.1.9+unknown",
            ),
        ];
        for (kubernetes, runtime, want) in table {
            let versions = Versions::parse(kubernetes, runtime).unwrap();
            assert_eq!(versions.to_string(), want);
        }
        for (kubernetes, runtime) in [
            ("1.19", "containerd-1.7"),
            ("2.0", "containerd-1.7"),
            ("1.32", "docker"),
            ("1.20", "containerd-2.1"),
        ] {
            assert!(
                Versions::parse(Some(kubernetes), Some(runtime)).is_err(),
                "{kubernetes} {runtime}"
            );
        }
    }

    #[test]
    fn pairs_that_never_ran_are_refused_with_those_that_did() {
        let error = Versions::parse(Some("1.20"), Some("containerd-2.3-local")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Kubernetes 1.20 does not run with `containerd-2.3-local`: containerd 2 speaks CRI v1 alone, and kubelets \
             learned it with Kubernetes 1.23. Runtimes of Kubernetes 1.20: containerd-1.6, containerd-1.7, cri-o"
        );
        let pairs: Vec<_> = Versions::all().collect();
        assert_eq!(pairs.len(), 8 * RUNTIMES.len() + 3);
        for (kubernetes, runtime) in pairs {
            Versions::parse(Some(&kubernetes), Some(runtime)).unwrap();
        }
    }
}
