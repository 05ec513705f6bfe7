//! What one runtime does differently from another.
//!
//! The order of requests, whether a name is resolved by HEAD or by GET, what is accepted, how a token is asked for,
//! when plain HTTP is tried, and where certificates are looked for. Sources: containerd `core/remotes/docker`, moby
//! `distribution` on distribution's client, and `go.podman.io/image` for CRI-O.

use crate::reference::Authority;
use crate::wire::manifest;

/// Whose habits a probe has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Habits {
    /// HEAD for the name, GET by digest, tokens by POST; never asks `/v2/` (the probe asks it first all the same).
    #[default]
    Containerd,
    /// `/v2/` for the challenge, HEAD for the name, GET by digest, tokens by GET.
    Docker,
    /// `/v2/` for the challenge, GET for the name, tokens by GET; plain HTTP only where it is called insecure.
    CriO,
}

/// docker asks for each type in a header of its own.
const DOCKER: [&str; 6] = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/json",
];
/// CRI-O likewise, and still asks for schema 1.
const CRI_O: [&str; 6] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
];

impl Habits {
    /// What `User-Agent` says when the runtime itself is to be taken for the client.
    pub const fn user_agent(self) -> &'static str {
        match self {
            Self::Containerd => "containerd/v2.1.4",
            Self::Docker => "docker/28.3.3 go/go1.24.5 os/linux arch/amd64",
            Self::CriO => "cri-o/1.33.2 go/go1.24.4 os/linux arch/amd64",
        }
    }

    /// The `Accept` headers of a request for a name.
    pub(super) fn accept(self) -> Vec<String> {
        let list: &[&str] = match self {
            Self::Containerd => &[manifest::ACCEPT],
            Self::Docker => &DOCKER,
            Self::CriO => &CRI_O,
        };
        list.iter().map(|&one| one.to_owned()).collect()
    }

    /// Those of a request for what a descriptor names.
    pub(super) fn accept_of(self, media_type: &str) -> Vec<String> {
        match self {
            Self::Containerd => vec![format!("{media_type}, */*")],
            Self::Docker | Self::CriO => self.accept(),
        }
    }

    /// Those of a request for a blob.
    pub(super) fn accept_blob(self, media_type: &str) -> Vec<String> {
        match self {
            Self::Containerd => vec![format!("{media_type}, */*")],
            Self::Docker | Self::CriO => Vec::new(),
        }
    }

    /// The client's name in requests for a token.
    pub(super) const fn client_id(self) -> &'static str {
        match self {
            Self::Containerd => "containerd-client",
            Self::Docker => "docker",
            Self::CriO => "containers/image",
        }
    }

    /// True if the challenge of `/v2/` counts, and none that comes later.
    pub(super) const fn signs_in_by_ping(self) -> bool {
        !matches!(self, Self::Containerd)
    }

    /// Where the runtime looks for authorities of one host.
    pub(super) fn authority_file(self, host: &Authority) -> String {
        let folder = match self {
            Self::Containerd => "/etc/containerd/certs.d",
            Self::Docker => "/etc/docker/certs.d",
            Self::CriO => "/etc/containers/certs.d",
        };
        format!("{folder}/{host}/ca.crt")
    }
}
