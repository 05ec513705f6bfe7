//! Which Kubernetes and which runtime a cluster pretends to be.
//!
//! A profile is chosen once, when the cluster is built, and every text and timing that changed between
//! versions asks it. The answers are kept here, one method a difference, each with the version that
//! brought it; nothing else in the crate compares version numbers.
//! It does not describe what never changed.

use std::fmt;

/// A Kubernetes release of the 1.x line, as `kubelet --version` would print it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KubernetesVersion {
    /// The number after `1.`.
    pub minor: u16,
    /// The patch release.
    pub patch: u16,
}

impl KubernetesVersion {
    /// Version `1.<minor>` with the patch release that was observed or is current.
    pub const fn new(minor: u16) -> Self {
        let patch = match minor {
            20 | 36 => 2,
            _ => 0,
        };
        Self { minor, patch }
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v1.{}.{}", self.minor, self.patch)
    }
}

/// A containerd release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerdVersion {
    /// Major version: 1 or 2.
    pub major: u16,
    /// Minor version.
    pub minor: u16,
    /// Patch release.
    pub patch: u16,
}

impl ContainerdVersion {
    /// Version `<major>.<minor>` with the patch release that was observed or is current.
    pub const fn new(major: u16, minor: u16) -> Self {
        let patch = match (major, minor) {
            (1, 6) => 20,
            (1, 7) => 24,
            (2, 0) => 11,
            (2, 1) => 9,
            (2, 2) => 7,
            (2, 3) => 4,
            _ => 0,
        };
        Self {
            major,
            minor,
            patch,
        }
    }

    fn at_least(self, major: u16, minor: u16) -> bool {
        (self.major, self.minor) >= (major, minor)
    }
}

impl fmt::Display for ContainerdVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Debian's build of the 2.x line prints its revision as unknown; that is what was observed.
        let suffix = if self.major >= 2 { "+unknown" } else { "" };
        write!(f, "{}.{}.{}{suffix}", self.major, self.minor, self.patch)
    }
}

/// Which of containerd's two ways an image takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PullPath {
    /// The transfer service, the default from containerd 2.1.
    Transfer,
    /// The client-side pull of the CRI plugin: always before 2.1, later by configuration.
    Local,
}

/// The container runtime of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// containerd with its CRI plugin.
    Containerd {
        /// The release.
        version: ContainerdVersion,
        /// The way images are pulled.
        path: PullPath,
    },
}

/// The versions a cluster pretends to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Profile {
    /// The kubelet's (and API server's) release.
    pub kubernetes: KubernetesVersion,
    /// The nodes' runtime.
    pub runtime: Runtime,
}

impl Default for Profile {
    /// Kubernetes 1.36 with containerd 2.1 and its transfer service.
    fn default() -> Self {
        Self::new(
            KubernetesVersion::new(36),
            ContainerdVersion::new(2, 1),
            PullPath::Transfer,
        )
    }
}

impl Profile {
    /// A profile of these versions; before containerd 2.1 there is only the local path.
    pub const fn new(
        kubernetes: KubernetesVersion,
        version: ContainerdVersion,
        path: PullPath,
    ) -> Self {
        let path = match (version.major, version.minor) {
            (2.., 1..) | (3.., _) => path,
            _ => PullPath::Local,
        };
        Self {
            kubernetes,
            runtime: Runtime::Containerd { version, path },
        }
    }

    /// The runtime's release.
    pub fn containerd(&self) -> ContainerdVersion {
        let Runtime::Containerd { version, .. } = self.runtime;
        version
    }

    /// The way images are pulled.
    pub fn path(&self) -> PullPath {
        let Runtime::Containerd { path, .. } = self.runtime;
        path
    }

    /// As the node status prints it.
    pub fn runtime_version(&self) -> String {
        format!("containerd://{}", self.containerd())
    }

    fn from(&self, minor: u16) -> bool {
        self.kubernetes.minor >= minor
    }

    // ---- kubelet ----

    /// 1.28: the prefix `rpc error: code = Unknown desc = ` is no longer shown.
    pub fn hides_unknown_code(&self) -> bool {
        self.from(28)
    }

    /// 1.32: the waiting message of a back-off carries the error of the last attempt.
    pub fn back_off_tells_cause(&self) -> bool {
        self.from(32)
    }

    /// 1.28: `(… including waiting)` in the Pulled event, and durations cut to milliseconds.
    pub fn pulled_tells_waiting(&self) -> bool {
        self.from(28)
    }

    /// 1.30: `Image size: … bytes.` in the Pulled event.
    pub fn pulled_tells_size(&self) -> bool {
        self.from(30)
    }

    /// 1.35: `Container created` and `Container started` without the container's name.
    pub fn short_container_events(&self) -> bool {
        self.from(35)
    }

    /// 1.20 wrote `Created container <name>` without the colon that came later.
    pub fn created_with_colon(&self) -> bool {
        self.from(31)
    }

    /// 1.32: the event spam filter counts each type (Normal, Warning) by itself.
    pub fn spam_filter_by_type(&self) -> bool {
        self.from(32)
    }

    /// 1.35: images present on the node are given only to pods that could pull them.
    pub fn verifies_credentials(&self) -> bool {
        self.from(35)
    }

    /// 1.33: a pull secret that cannot be read is the error itself; before, it was an `ErrImagePull`.
    pub fn malformed_secret_is_reason(&self) -> bool {
        self.from(33)
    }

    /// The warning about a missing pull secret; a 1.20 kubelet only logged it.
    pub fn warns_of_missing_secret(&self) -> bool {
        self.from(29)
    }

    /// 1.29: condition `PodReadyToStartContainers` and `hostIPs`.
    pub fn tells_sandbox_condition(&self) -> bool {
        self.from(29)
    }

    /// 1.34: `observedGeneration` in a pod's status and conditions.
    pub fn tells_observed_generation(&self) -> bool {
        self.from(34)
    }

    /// 1.33: `resources`, `user` and `volumeMounts` of a container's status.
    pub fn tells_container_details(&self) -> bool {
        self.from(33)
    }

    /// 1.33: events name their reporter (`reportingComponent`, `reportingInstance`) from 1.29 on.
    pub fn events_name_reporter(&self) -> bool {
        self.from(29)
    }

    /// 1.25: `couldn't parse image name`, and the repository is named when it is not in lower case.
    pub fn names_bad_repository(&self) -> bool {
        self.from(25)
    }

    // ---- containerd ----

    /// 1.6 has its own sentence for a refused manifest request.
    pub fn resolves_in_words_of_1_6(&self) -> bool {
        !self.containerd().at_least(1, 7)
    }

    /// 2.1: refused GETs name method and URL and carry the registry's errors on a second line.
    pub fn tells_registry_errors_below(&self) -> bool {
        self.containerd().at_least(2, 1)
    }

    /// 2.1: one more try after 500, 503 and 504 on the last host.
    pub fn retries_server_errors(&self) -> bool {
        self.containerd().at_least(2, 1)
    }

    /// 2.0: the error furthest along wins between several hosts; before, the first that is not a 404.
    pub fn ranks_host_errors(&self) -> bool {
        self.containerd().at_least(2, 0)
    }

    /// 2.0: schema 1 manifests are refused.
    pub fn refuses_schema1(&self) -> bool {
        self.containerd().at_least(2, 0)
    }

    /// 2.0: `Accept-Encoding` on fetches.
    pub fn asks_for_compression(&self) -> bool {
        self.containerd().at_least(2, 0)
    }

    /// 1.7.30, 2.0.8, 2.1.6, 2.2.1: query values in transport errors are hidden.
    pub fn redacts_queries(&self) -> bool {
        let v = self.containerd();
        match (v.major, v.minor) {
            (1, 7) => v.patch >= 30,
            (2, 0) => v.patch >= 8,
            (2, 1) => v.patch >= 6,
            (2, 2) => v.patch >= 1,
            (major, _) => major >= 2,
        }
    }

    /// 1.7: a Basic challenge without credentials is an error of its own; 1.6 kept the 401.
    pub fn refuses_basic_without_credentials(&self) -> bool {
        self.containerd().at_least(1, 7)
    }

    /// Go 1.20: `tls: failed to verify certificate: ` in front of certificate errors.
    pub fn tls_errors_say_verify(&self) -> bool {
        self.containerd().at_least(1, 7)
    }

    /// 1.7: a pull without progress for five minutes is cancelled.
    pub fn cancels_without_progress(&self) -> bool {
        self.containerd().at_least(1, 7)
    }

    /// The `User-Agent` of every request.
    pub fn user_agent(&self) -> String {
        format!("containerd/{}", self.containerd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_print_as_the_node_status_does() {
        let profile = Profile::default();
        assert_eq!(profile.kubernetes.to_string(), "v1.36.2");
        assert_eq!(profile.runtime_version(), "containerd://2.1.9+unknown");
        assert_eq!(profile.user_agent(), "containerd/2.1.9+unknown");
        let old = Profile::new(
            KubernetesVersion::new(20),
            ContainerdVersion::new(1, 7),
            PullPath::Transfer,
        );
        assert_eq!(
            (old.path(), old.runtime_version().as_str()),
            (PullPath::Local, "containerd://1.7.24")
        );
    }
}
