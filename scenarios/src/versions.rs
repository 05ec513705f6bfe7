//! Which Kubernetes and which runtime a scenario is played with.

use sim_cluster::profile::{ContainerdVersion, KubernetesVersion, Profile, PullPath};

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
    #[error(
        "`{0}` is none of the modelled runtimes: containerd-1.6, -1.7, -2.0, -2.1, -2.2, -2.3, and from 2.1 on \
         also with `-local`"
    )]
    Runtime(String),
}

impl Versions {
    /// From what people write: `1.32`, `containerd-1.7`, `containerd-2.1-local`. What is not said is that of the
    /// default, Kubernetes 1.36 with containerd 2.1.
    pub fn parse(kubernetes: Option<&str>, runtime: Option<&str>) -> Result<Self, VersionError> {
        let default = Profile::default();
        let kubernetes = match kubernetes {
            None => default.kubernetes,
            Some(text) => release(text).ok_or_else(|| VersionError::Kubernetes(text.into()))?,
        };
        let (version, path) = match runtime {
            None => (default.containerd(), default.path()),
            Some(text) => containerd(text).ok_or_else(|| VersionError::Runtime(text.into()))?,
        };
        Ok(Self(Profile::new(kubernetes, version, path)))
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
        let mut parts = runtime.strip_prefix("containerd://")?.split('.');
        let (major, minor) = (number(parts.next()?)?, number(parts.next()?)?);
        let (version, path) = containerd(&format!("containerd-{major}.{minor}"))?;
        let version = ContainerdVersion {
            patch: parts.next().and_then(number).unwrap_or_default(),
            ..version
        };
        Some(Self(Profile::new(kubernetes, version, path)))
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

fn release(text: &str) -> Option<KubernetesVersion> {
    let minor: u16 = text
        .trim_start_matches('v')
        .strip_prefix("1.")?
        .parse()
        .ok()?;
    matches!(minor, 20 | 29..=36).then(|| KubernetesVersion::new(minor))
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
        ] {
            assert!(
                Versions::parse(Some(kubernetes), Some(runtime)).is_err(),
                "{kubernetes} {runtime}"
            );
        }
    }
}
