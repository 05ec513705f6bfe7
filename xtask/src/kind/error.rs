//! What can go wrong, with the values that say how to go on, and the exit code of each.

use std::io;
use std::path::PathBuf;

use super::name::ClusterName;

/// Packages that a build needs; `up` and `down` need the first four.
pub(crate) const PACKAGES: &str =
    "docker.io containerd runc iptables jq mmdebstrap dpkg-dev gcc libc6-dev golang-1.19-go zstd";

/// How a command of `kind` can fail.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KindError {
    #[error(
        "Docker is not installed: apt-get install -y --no-install-recommends docker.io containerd runc iptables"
    )]
    DockerAbsent,
    #[error(
        "the Docker daemon is not running: systemctl start docker, or without a service manager scenarios/kind/dockerd.sh start"
    )]
    DockerStopped,
    #[error(
        "no permission to talk to the Docker daemon: run this as root, or join the group `docker` and log in again"
    )]
    DockerForbidden,
    #[error("the Docker daemon does not answer: {text}")]
    DockerSilent { text: String },
    #[error(
        "this machine lacks a capability that a node asks for ({missing}) and Docker's runtime does not allow for that: stop the daemon, then scenarios/kind/dockerd.sh start"
    )]
    RuntimeUnbounded { missing: String },
    #[error(
        "not installed: {programs}. Install with: apt-get install -y --no-install-recommends {PACKAGES}"
    )]
    ProgramsMissing { programs: String },
    #[error(
        "{free_mib} MiB are free in {folder}, and the build needs {needed_mib}: free some, or set PULLCHECK_KIND_CACHE to another folder"
    )]
    DiskFull {
        folder: PathBuf,
        free_mib: u64,
        needed_mib: u64,
    },
    #[error(
        "there is no node image yet: cargo xtask kind build-node --suite {suite} (some 10 minutes, once)"
    )]
    NoImage { suite: &'static str },
    #[error("node image `{image}` is not on this machine and cannot be pulled: {text}")]
    NodeImageMissing { image: String, text: String },
    #[error(
        "`{program}` is not installed, which a node image of kind's own needs: https://kind.sigs.k8s.io"
    )]
    StockProgram { program: &'static str },
    #[error(
        "a cluster `{name}` exists that was not made by pullcheck ({what}): choose another --name, or remove it with the tool that made it"
    )]
    NotOurs { name: ClusterName, what: String },
    #[error(
        "`{context}` is no context of a kind cluster whose nodes run on this machine: a context such as kind-kind is meant"
    )]
    NotKind { context: String },
    #[error("another pullcheck is busy with {what}: wait for it to end")]
    Busy { what: String },
    #[error(
        "the packet filter has no chain DOCKER-USER, so the cluster cannot be kept from sending packets out: Docker must run on this machine, with its iptables rules on"
    )]
    NoFilterChain,
    #[error(
        "no permission to change the packet filter, which keeps the cluster's packets on this machine: run this as root"
    )]
    FilterForbidden,
    #[error(
        "the network's bridge `{bridge}` is not on this machine: the Docker daemon must run here, not in a virtual machine or elsewhere"
    )]
    BridgeElsewhere { bridge: String },
    #[error(
        "network `{network}` is still used by {containers}: stop what uses it, then run `kind down` again"
    )]
    NetworkInUse { network: String, containers: String },
    #[error("no home directory: set PULLCHECK_KIND_CACHE to a folder")]
    NoCache,

    #[error("step `{step}` failed ({status}); its output is in {log}, and ends:\n{tail}")]
    Step {
        step: &'static str,
        status: String,
        log: PathBuf,
        tail: String,
    },
    #[error("`{command}` failed ({status}): {text}")]
    Command {
        command: String,
        status: String,
        text: String,
    },
    #[error("`{command}` did not end within {seconds} s")]
    TooSlow { command: String, seconds: u64 },
    #[error("`{command}` answered something unexpected: {text}")]
    Answer { command: String, text: String },
    #[error("the cluster was not ready after {seconds} s: {text}")]
    NotReady { seconds: u64, text: String },
    #[error("failed to {doing} {path}: {source}")]
    File {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("failed to start `{program}`: {source}")]
    Start { program: String, source: io::Error },
    #[error("the image of {} cannot be made: {}", program.name(), with_causes(source))]
    Image {
        program: crate::image::Program,
        source: crate::image::ImageError,
    },
    #[error("the stage for scenarios: {text}")]
    Site { text: String },
    #[error("the node vantage: {text}")]
    Vantage { text: String },
    #[error("{source}")]
    Beside {
        #[from]
        source: pull_scenarios::kind::DockerError,
    },
    #[error("failed to start the async runtime: {source}")]
    Runtime { source: io::Error },
    #[error(
        "{first}; and what it left could not all be removed (run `cargo xtask kind down --name` with the cluster's name): {second}"
    )]
    LeftBehind { first: Box<Self>, second: Box<Self> },

    #[error("interrupted; what was begun has been removed")]
    Interrupted,
}

impl KindError {
    /// 1: it was tried and failed; 2: it could not be tried; 130: interrupted.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Interrupted => 130,
            Self::LeftBehind { first, .. } => first.exit_code(),
            Self::DockerAbsent
            | Self::DockerStopped
            | Self::DockerForbidden
            | Self::DockerSilent { .. }
            | Self::RuntimeUnbounded { .. }
            | Self::ProgramsMissing { .. }
            | Self::DiskFull { .. }
            | Self::NoImage { .. }
            | Self::NodeImageMissing { .. }
            | Self::StockProgram { .. }
            | Self::NotOurs { .. }
            | Self::NotKind { .. }
            | Self::Busy { .. }
            | Self::NoFilterChain
            | Self::FilterForbidden
            | Self::BridgeElsewhere { .. }
            | Self::NoCache
            | Self::Image { .. }
            | Self::Runtime { .. } => 2,
            Self::NetworkInUse { .. }
            | Self::Step { .. }
            | Self::Command { .. }
            | Self::TooSlow { .. }
            | Self::Answer { .. }
            | Self::NotReady { .. }
            | Self::Site { .. }
            | Self::Vantage { .. }
            | Self::Beside { .. }
            | Self::File { .. }
            | Self::Start { .. } => 1,
        }
    }

    /// What came of something, and of clearing away what it had begun.
    pub(crate) fn with_clearing<T>(
        outcome: Result<T, Self>,
        cleared: Result<(), Self>,
    ) -> Result<T, Self> {
        match (outcome, cleared) {
            (outcome, Ok(())) => outcome,
            (Ok(_), Err(second)) => Err(second),
            (Err(first), Err(second)) => Err(Self::LeftBehind {
                first: Box::new(first),
                second: Box::new(second),
            }),
        }
    }

    /// The text for a terminal.
    pub(crate) fn page(&self) -> String {
        self.to_string().trim_end().to_owned()
    }
}

/// An error and what it came from, as one text: a full disk is the last of them.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_first_is_told_first() {
        let clearing = || Err(KindError::DockerStopped);
        let of = KindError::with_clearing::<()>;
        assert!(of(Ok(()), Ok(())).is_ok());
        let late = of(Ok(()), clearing()).unwrap_err();
        assert!(matches!(late, KindError::DockerStopped), "{late}");
        let first = of(Err(KindError::Interrupted), Ok(())).unwrap_err();
        assert!(matches!(first, KindError::Interrupted), "{first}");
        let both = of(Err(KindError::Interrupted), clearing()).unwrap_err();
        assert!(matches!(both, KindError::LeftBehind { .. }), "{both}");
        assert_eq!(both.exit_code(), 130);
    }

    #[test]
    fn a_full_disk_is_told() {
        let source = io::Error::from(io::ErrorKind::StorageFull);
        let path = PathBuf::from("target/image/quick.tar");
        let source = crate::image::ImageError::File { path, source };
        let program = crate::image::Program::FakeRegistry;
        let error = KindError::Image { program, source };
        assert_eq!(
            error.page(),
            "the image of fake-registry cannot be made: target/image/quick.tar: no storage space"
        );
    }

    #[test]
    fn exit_codes() {
        let table = [
            (KindError::DockerAbsent, 2),
            (
                KindError::NotOurs {
                    name: ClusterName::default(),
                    what: "x".into(),
                },
                2,
            ),
            (
                KindError::NotReady {
                    seconds: 1,
                    text: "x".into(),
                },
                1,
            ),
            (KindError::Interrupted, 130),
            (
                KindError::LeftBehind {
                    first: Box::new(KindError::Interrupted),
                    second: Box::new(KindError::DockerStopped),
                },
                130,
            ),
        ];
        for (error, want) in table {
            assert_eq!(error.exit_code(), want, "for {error}");
        }
    }

    #[test]
    fn what_stops_a_run_before_it_began_is_one_line() {
        for error in [
            KindError::DockerAbsent,
            KindError::DockerStopped,
            KindError::DockerForbidden,
            KindError::FilterForbidden,
            KindError::NoFilterChain,
            KindError::NoImage { suite: "bookworm" },
        ] {
            assert!(!error.page().contains('\n'), "for {error}");
        }
    }
}
