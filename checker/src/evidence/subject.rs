//! About which host, and as whom.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::world::Authority;

/// A host, and what it is in this pull.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// What it is.
    pub role: Role,
    /// Host and port as dialled or named.
    pub authority: Authority,
}

impl Endpoint {
    /// Joins the two.
    pub const fn new(role: Role, authority: Authority) -> Self {
        Self { role, authority }
    }
}

/// What a host is in a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The registry of the reference.
    Registry,
    /// The host of the challenge's realm.
    TokenService,
    /// The host that a blob request was redirected to.
    Storage,
    /// The cloud's metadata service on the node (169.254.169.254).
    Metadata,
    /// The registry's exchange of an Entra token (`/oauth2/exchange`).
    Exchange,
    /// A mirror of the registry.
    Mirror,
    /// An HTTP proxy on the way.
    Proxy,
}

/// As whom a request was made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "kebab-case")]
pub enum Identity {
    /// As nobody.
    Anonymous,
    /// With a credential.
    Credential {
        /// Where the credential comes from.
        source: CredentialSource,
        /// The key under which it was found (a host, maybe with a path), as written.
        key: Box<str>,
    },
    /// As the node's managed identity, through the exchange.
    KubeletIdentity {
        /// The client id that was asked for, if one was named.
        client_id: Option<Box<str>>,
    },
    /// As whomever a token of Entra stands for that was handed in, through the exchange.
    EntraToken,
}

impl Identity {
    /// True unless anonymous.
    pub const fn is_known(&self) -> bool {
        !matches!(self, Self::Anonymous)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::Credential { source, key } => write!(f, "{source} (key {key})"),
            Self::KubeletIdentity {
                client_id: Some(id),
            } => write!(f, "the kubelet identity {id}"),
            Self::EntraToken => f.write_str("the given Entra token"),
            Self::KubeletIdentity { client_id: None } => f.write_str("the node's managed identity"),
        }
    }
}

/// Where a credential comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "kebab-case")]
pub enum CredentialSource {
    /// An image pull secret of the pod.
    PullSecret {
        /// Its namespace.
        namespace: Box<str>,
        /// Its name.
        name: Box<str>,
    },
    /// A docker configuration of the user.
    DockerConfig {
        /// Its path.
        path: Box<str>,
    },
    /// A credential helper that a user's docker configuration names.
    Helper {
        /// Its name, without `docker-credential-`.
        name: Box<str>,
        /// The path of the configuration.
        path: Box<str>,
    },
    /// A credential provider plug-in.
    Plugin {
        /// Its name.
        name: Box<str>,
    },
    /// Handed in by the caller.
    Given,
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PullSecret { namespace, name } => write!(f, "pull secret {namespace}/{name}"),
            Self::DockerConfig { path } => f.write_str(path),
            Self::Helper { name, path } => write!(f, "the helper {name} of {path}"),
            Self::Plugin { name } => write!(f, "credential provider {name}"),
            Self::Given => f.write_str("the given credential"),
        }
    }
}
