//! How a probe is to be made.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Habits, Watch};
use crate::evidence::Platform;
use crate::keyring::Secret;
use crate::mirrors::Mirrors;
use crate::reference::{Authority, Host};

/// What to do, and what not. The default does what a pull from `linux/amd64` needs, short of downloading layers.
#[derive(Clone, Debug)]
pub struct Options {
    /// How far to go.
    pub depth: Depth,
    /// For which platform an image is wanted: that of the node.
    pub platform: Platform,
    /// How long is waited for what.
    pub deadlines: Deadlines,
    /// Registries that are spoken to without TLS, as a runtime configured so would.
    pub plain_http: BTreeSet<Authority>,
    /// Hosts, besides the registry's own, that may be given a credential when the registry names them as realm.
    pub allow_realm: Vec<Host>,
    /// Whether the identity of the node is used for registries of Azure, as the kubelet's credential provider does.
    pub node_identity: NodeIdentity,
    /// A token of Entra that is exchanged at a registry of Azure, instead of one that the metadata service gives.
    pub entra_token: Option<Secret>,
    /// The longest time that is waited in all because servers ask for it (429 with `Retry-After`).
    pub patience: Duration,
    /// Whose habits the probe has.
    pub habits: Habits,
    /// Told of every layer as it is read.
    pub watch: Watch,
    /// The mirrors that the runtime asks before the registry.
    pub mirrors: Mirrors,
    /// What `User-Agent` says.
    pub user_agent: Box<str>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            depth: Depth::Blobs,
            platform: Platform::linux("amd64"),
            deadlines: Deadlines::default(),
            plain_http: BTreeSet::new(),
            allow_realm: Vec::new(),
            node_identity: NodeIdentity::Unused,
            entra_token: None,
            patience: Duration::from_mins(1),
            habits: Habits::default(),
            watch: Watch::default(),
            mirrors: Mirrors::default(),
            user_agent: concat!("pullcheck/", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

/// How far a probe goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// To the registry's `/v2/`.
    Ping,
    /// To the manifest of the platform.
    Manifest,
    /// To the configuration, every layer by HEAD, and one byte of the smallest layer.
    Blobs,
    /// To the last byte of every layer, digests verified.
    Full,
}

/// The identity of a node in Azure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeIdentity {
    /// There is none, or it is not to be used.
    Unused,
    /// The one that the metadata service gives when none is named.
    Default,
    /// The one with this client id.
    ClientId(Box<str>),
}

/// How long is waited for what. Runtimes wait longer in places (containerd dials for 30 s); a probe need not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// For an answer of the resolver. Two tries of 5 s are what resolvers make.
    pub resolve: Duration,
    /// For one TCP connection.
    pub dial: Duration,
    /// For a TLS handshake.
    pub tls: Duration,
    /// For the head of an answer.
    pub head: Duration,
    /// For the next bytes of a body.
    pub idle: Duration,
    /// For a whole body.
    pub body: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            resolve: Duration::from_secs(12),
            dial: Duration::from_secs(5),
            tls: Duration::from_secs(10),
            head: Duration::from_secs(30),
            idle: Duration::from_secs(20),
            body: Duration::from_mins(10),
        }
    }
}
