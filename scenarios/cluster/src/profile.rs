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
    /// CRI-O, whose releases go with those of Kubernetes: minor and patch of 1.x.
    CriO {
        /// The number after `1.`, that of the kubelet.
        minor: u16,
        /// The patch release.
        patch: u16,
    },
}

/// The last patch release of CRI-O 1.x that was read.
const fn crio_patch(minor: u16) -> u16 {
    match minor {
        20 => 9,
        30 => 14,
        34 => 11,
        35 => 6,
        36 => 3,
        _ => 13,
    }
}

/// A Kubernetes and a runtime that never ran together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// containerd 2.x speaks CRI v1 only, which kubelets know from 1.23 on.
    #[error("containerd 2 speaks CRI v1 alone, and kubelets learned it with Kubernetes 1.23")]
    CriV1,
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

    /// A profile with CRI-O, of the release that goes with this Kubernetes.
    pub const fn with_crio(kubernetes: KubernetesVersion) -> Self {
        let minor = kubernetes.minor;
        let runtime = Runtime::CriO {
            minor,
            patch: crio_patch(minor),
        };
        Self {
            kubernetes,
            runtime,
        }
    }

    /// Whether kubelet and runtime can speak with each other.
    pub fn possible(&self) -> Result<(), Impossible> {
        match self.runtime {
            Runtime::Containerd { version, .. } if version.major >= 2 && !self.from(23) => {
                Err(Impossible::CriV1)
            }
            _ => Ok(()),
        }
    }

    /// The way images are pulled; local but for containerd's transfer service.
    pub fn path(&self) -> PullPath {
        match self.runtime {
            Runtime::Containerd { path, .. } => path,
            Runtime::CriO { .. } => PullPath::Local,
        }
    }

    /// As the node status prints it.
    pub fn runtime_version(&self) -> String {
        match self.runtime {
            Runtime::Containerd { version, .. } => format!("containerd://{version}"),
            Runtime::CriO { minor, patch } => format!("cri-o://1.{minor}.{patch}"),
        }
    }

    /// What stands before the id of a container in a pod's status.
    pub fn container_scheme(&self) -> &'static str {
        match self.runtime {
            Runtime::Containerd { .. } => "containerd://",
            Runtime::CriO { .. } => "cri-o://",
        }
    }

    /// Whether the runtime is a containerd of this release or a later one.
    fn containerd_from(&self, major: u16, minor: u16) -> bool {
        matches!(self.runtime, Runtime::Containerd { version, .. } if version.at_least(major, minor))
    }

    /// Whether the runtime is a CRI-O of this release or a later one.
    fn crio_from(&self, release: u16) -> bool {
        matches!(self.runtime, Runtime::CriO { minor, .. } if minor >= release)
    }

    /// Whether the runtime is a CRI-O before this release.
    fn crio_before(&self, release: u16) -> bool {
        matches!(self.runtime, Runtime::CriO { minor, .. } if minor < release)
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
        matches!(self.runtime, Runtime::Containerd { .. }) && !self.containerd_from(1, 7)
    }

    /// 2.1: refused GETs name method and URL and carry the registry's errors on a second line.
    pub fn tells_registry_errors_below(&self) -> bool {
        self.containerd_from(2, 1)
    }

    /// 2.1: one more try after 500, 503 and 504 on the last host.
    pub fn retries_server_errors(&self) -> bool {
        self.containerd_from(2, 1)
    }

    /// 2.0: the error furthest along wins between several hosts; before, the first that is not a 404.
    pub fn ranks_host_errors(&self) -> bool {
        self.containerd_from(2, 0)
    }

    /// 2.0: schema 1 manifests are refused.
    pub fn refuses_schema1(&self) -> bool {
        self.containerd_from(2, 0)
    }

    /// 2.0: `Accept-Encoding` on fetches.
    pub fn asks_for_compression(&self) -> bool {
        self.containerd_from(2, 0)
    }

    /// 1.7.30, 2.0.8, 2.1.6, 2.2.1: query values in transport errors are hidden.
    pub fn redacts_queries(&self) -> bool {
        let Runtime::Containerd { version: v, .. } = self.runtime else {
            return false;
        };
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
        self.containerd_from(1, 7)
    }

    /// Go 1.20: `tls: failed to verify certificate: ` in front of certificate errors. CRI-O is built with it
    /// from 1.27 on.
    pub fn tls_errors_say_verify(&self) -> bool {
        self.containerd_from(1, 7) || self.crio_from(27)
    }

    /// 1.7: a pull without progress for five minutes is cancelled.
    pub fn cancels_without_progress(&self) -> bool {
        self.containerd_from(1, 7)
    }

    /// 2.0: a sandbox that does not start is named in the error of its image.
    pub fn names_sandbox(&self) -> bool {
        self.containerd_from(2, 0)
    }

    /// 2.2: the error of a wrong diff id names the layer.
    pub fn names_layer_of_diff_id(&self) -> bool {
        self.containerd_from(2, 2)
    }

    /// The release that containerd's words on schema 1 name.
    pub fn names_itself_in_schema1(&self) -> String {
        match self.runtime {
            Runtime::Containerd { version, .. } => {
                format!("v{}.{}", version.major, version.minor)
            }
            Runtime::CriO { .. } => String::new(),
        }
    }

    // ---- kubelet with CRI-O ----

    /// 1.28: an error that begins with `RegistryUnavailable` or `SignatureValidationFailed` becomes the
    /// reason itself, with a sentence of the kubelet.
    pub fn reasons_from_runtime(&self) -> bool {
        self.from(28)
    }

    // ---- CRI-O ----

    /// Before 1.31 the image is looked at in a conversation of its own before it is copied; its errors do not
    /// say `initializing source`.
    pub fn prepares_images(&self) -> bool {
        self.crio_before(31)
    }

    /// 1.29 at the latest: a refused connection is told to the kubelet as `RegistryUnavailable`.
    pub fn tells_registry_unavailable(&self) -> bool {
        self.crio_from(29)
    }

    /// 1.33: what is no image may be an artifact, which costs a second conversation and a second error.
    pub fn tries_artifacts(&self) -> bool {
        self.crio_from(33)
    }

    /// gRPC 1.40 (CRI-O 1.29 at the latest) finds a deadline inside an error and makes it the code.
    pub fn finds_deadlines(&self) -> bool {
        self.crio_from(29)
    }

    /// 1.35: errors of the network and a pull given up are spared that second attempt.
    pub fn spares_artifacts_after_network_errors(&self) -> bool {
        self.crio_from(35)
    }

    /// containers/image 5.10 (CRI-O 1.20): errors begin in upper case (`Error reading manifest`), and a body
    /// that is not the registry's JSON is not quoted.
    pub fn shouts_errors(&self) -> bool {
        self.crio_before(29)
    }

    /// A 401 that says `insufficient_scope` is asked once more with the scope it names; containers/image 5.29
    /// (CRI-O 1.29) does, 5.22 did not.
    pub fn asks_again_with_scope(&self) -> bool {
        self.crio_from(29)
    }

    /// containers/image 5.32 (CRI-O 1.31) quotes architecture and system of an image that is not there.
    pub fn quotes_platform(&self) -> bool {
        self.crio_from(31)
    }

    // ---- all runtimes ----

    /// The `User-Agent` of every request, on a machine of this architecture.
    pub fn user_agent(&self, architecture: &str) -> String {
        match self.runtime {
            Runtime::Containerd { version, .. } => format!("containerd/{version}"),
            Runtime::CriO { minor, patch } => {
                // The minor release is that of CRI-O's `go.mod`; with which patch release of it a package was
                // built was not looked up.
                let go = match minor {
                    ..29 => "1.15.15",
                    29 => "1.21.13",
                    30 | 31 => "1.22.12",
                    32 => "1.23.12",
                    33 | 34 => "1.24.13",
                    35 => "1.25.9",
                    _ => "1.26.3",
                };
                format!("cri-o/1.{minor}.{patch} go/go{go} os/linux arch/{architecture}")
            }
        }
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
        assert_eq!(profile.user_agent("amd64"), "containerd/2.1.9+unknown");
        let old = Profile::new(
            KubernetesVersion::new(20),
            ContainerdVersion::new(1, 7),
            PullPath::Transfer,
        );
        assert_eq!(
            (old.path(), old.runtime_version().as_str()),
            (PullPath::Local, "containerd://1.7.24")
        );
        let crio = Profile::with_crio(KubernetesVersion::new(32));
        assert_eq!(crio.runtime_version(), "cri-o://1.32.13");
        assert_eq!(
            crio.user_agent("arm64"),
            "cri-o/1.32.13 go/go1.23.12 os/linux arch/arm64"
        );
    }
}
