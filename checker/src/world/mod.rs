//! The seams: everything that the checker takes from outside.
//!
//! A [`World`] holds the places it may look from, a wall clock, and, where there is one, a cluster and
//! Azure Resource Manager. Each [`Place`] has a [`Net`]: names are resolved and streams opened through it
//! and nothing else, so a simulation implements two functions and gets the whole checker. TLS and HTTP run
//! above the seam. Monotonic time is tokio's; wall time comes from the [`WallClock`]; programs that hand out
//! credentials run through [`Programs`].

mod client;
mod programs;
mod proxies;
pub mod real;
mod run;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures::future::BoxFuture;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::azure::Cloud;
use crate::keyring::Secret;
use crate::nodes::Fleet;
pub use crate::reference::{Authority, Host};
use crate::wire::claims::Claims;
pub use client::{ClientCertificate, ClientCertificateError};
pub use programs::{Call, MAX_ERRORS, MAX_OUTPUT, NoPrograms, Programs, Ran, RunError};
pub(crate) use proxies::is_within;
pub use proxies::{Proxies, Proxy, ProxyScheme};

/// All that the checker may touch. Cheap to clone.
#[derive(Clone)]
pub struct World {
    /// Wall time, for certificates, tokens and reports.
    pub clock: Arc<dyn WallClock>,
    /// Where the checker itself runs.
    pub workstation: Place,
    /// Nodes that the checker can look from.
    pub nodes: Vec<Place>,
    /// A way to look from nodes that leads through the cluster alone, if one was asked for.
    pub fleet: Option<Arc<dyn Fleet>>,
    /// The cluster, if there is one.
    pub cluster: Option<kube::Client>,
    /// Azure Resource Manager, if the user may ask it.
    pub arm: Option<Arm>,
    /// Credential helpers and credential providers; none are run unless set.
    pub programs: Arc<dyn Programs>,
}

impl World {
    /// A world with one place and neither nodes, cluster nor Azure.
    pub fn new(clock: Arc<dyn WallClock>, workstation: Place) -> Self {
        Self {
            clock,
            workstation,
            nodes: Vec::new(),
            fleet: None,
            cluster: None,
            arm: None,
            programs: Arc::new(NoPrograms),
        }
    }

    /// Sets what runs credential helpers and credential providers.
    #[must_use]
    pub fn with_programs(mut self, programs: Arc<dyn Programs>) -> Self {
        self.programs = programs;
        self
    }

    /// Adds a node to look from.
    #[must_use]
    pub fn with_node(mut self, node: Place) -> Self {
        self.nodes.push(node);
        self
    }

    /// Adds nodes to look from.
    #[must_use]
    pub fn with_nodes(mut self, nodes: impl IntoIterator<Item = Place>) -> Self {
        self.nodes.extend(nodes);
        self
    }

    /// Sets the way to nodes that leads through the cluster.
    #[must_use]
    pub fn with_fleet(mut self, fleet: Arc<dyn Fleet>) -> Self {
        self.fleet = Some(fleet);
        self
    }

    /// Sets the cluster.
    #[must_use]
    pub fn with_cluster(mut self, cluster: kube::Client) -> Self {
        self.cluster = Some(cluster);
        self
    }

    /// Sets Azure Resource Manager.
    #[must_use]
    pub fn with_arm(mut self, arm: Arm) -> Self {
        self.arm = Some(arm);
        self
    }

    /// The place of the node with this name.
    pub fn node(&self, name: &str) -> Option<&Place> {
        self.nodes
            .iter()
            .find(|place| matches!(&place.vantage, Vantage::Node(node) if **node == *name))
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("workstation", &self.workstation)
            .field("nodes", &self.nodes)
            .field("fleet", &self.fleet.is_some())
            .field("cluster", &self.cluster.is_some())
            .field("arm", &self.arm)
            .finish_non_exhaustive()
    }
}

/// A place on the network, with what is trusted there.
#[derive(Clone)]
pub struct Place {
    /// Its name in evidence.
    pub vantage: Vantage,
    /// Its network.
    pub net: Arc<dyn Net>,
    /// Its certificate authorities.
    pub trust: Trust,
    /// The files that its certificate authorities were read from, besides the platform's own.
    pub trusted_from: Vec<Box<str>>,
    /// The certificate that is shown to a registry which wants one.
    pub client: Option<ClientCertificate>,
    /// Its HTTP proxies; none unless set.
    pub proxies: Proxies,
    /// Its own clock, by which certificates are judged there; the world's unless set.
    pub clock: Option<Arc<dyn WallClock>>,
}

impl Place {
    /// Joins the three parts.
    pub fn new(vantage: Vantage, net: Arc<dyn Net>, trust: Trust) -> Self {
        Self {
            vantage,
            net,
            trust,
            trusted_from: Vec::new(),
            client: None,
            proxies: Proxies::none(),
            clock: None,
        }
    }

    /// Sets the certificate that is shown to the registry.
    #[must_use]
    pub fn with_client(mut self, client: ClientCertificate) -> Self {
        self.client = Some(client);
        self
    }

    /// Names a file that certificate authorities were read from.
    #[must_use]
    pub fn trusted_from(mut self, file: &str) -> Self {
        self.trusted_from.push(file.into());
        self
    }

    /// Sets the proxies that are gone through.
    #[must_use]
    pub fn with_proxies(mut self, proxies: Proxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Sets the clock of the machine.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn WallClock>) -> Self {
        self.clock = Some(clock);
        self
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("vantage", &self.vantage)
            .field("trust", &self.trust)
            .field("proxies", &self.proxies)
            .finish_non_exhaustive()
    }
}

/// Where a fact was seen. A fact seen from a workstation never refutes one seen on a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Vantage {
    /// The machine that the checker runs on.
    Workstation,
    /// A node of the cluster, by name.
    Node(Box<str>),
}

impl Vantage {
    /// The vantage of a node.
    pub fn node(name: &str) -> Self {
        Self::Node(name.into())
    }
}

impl fmt::Display for Vantage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workstation => f.write_str("workstation"),
            Self::Node(name) => write!(f, "node/{name}"),
        }
    }
}

impl Serialize for Vantage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Vantage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.split_once('/') {
            None if text == "workstation" => Ok(Self::Workstation),
            Some(("node", name)) if !name.is_empty() => Ok(Self::node(name)),
            _ => Err(serde::de::Error::custom("not a vantage")),
        }
    }
}

/// All that the checker asks of a network. A simulation implements these two and nothing more.
pub trait Net: Send + Sync {
    /// Resolves a DNS name (never called for an address literal).
    fn resolve<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<Resolved, DnsError>>;
    /// Opens a stream. Callers have a deadline of their own.
    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, Result<BoxStream, DialError>>;
}

/// The answer to a name: at least one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resolved {
    /// Addresses in the resolver's order.
    pub addresses: Vec<IpAddr>,
    /// The chain of aliases, from the name that was asked to the last one. Where a search domain completed the name,
    /// the completed name is the first.
    pub aliases: Vec<String>,
    /// The server that answered, if known.
    pub server: Option<String>,
}

/// Why a name has no address; each with the server that was asked, if known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "error", rename_all = "kebab-case")]
pub enum DnsError {
    /// The name does not exist (rcode 3).
    #[error("no such host")]
    NxDomain {
        /// The server that was asked.
        server: Option<String>,
    },
    /// The server failed (rcode 2).
    #[error("server failure")]
    ServFail {
        /// The server that was asked.
        server: Option<String>,
    },
    /// No server answered.
    #[error("no answer in time")]
    Timeout {
        /// The server that was asked.
        server: Option<String>,
    },
    /// The name exists, but has no address.
    #[error("the name has no address")]
    NoData {
        /// The server that was asked.
        server: Option<String>,
    },
    /// Anything else (refused, malformed, no resolver configured …).
    #[error("{text}")]
    Other {
        /// What the resolver said.
        text: String,
        /// The server that was asked.
        server: Option<String>,
    },
}

impl DnsError {
    /// The server that was asked, if known.
    pub fn server(&self) -> Option<&str> {
        match self {
            Self::NxDomain { server }
            | Self::ServFail { server }
            | Self::Timeout { server }
            | Self::NoData { server }
            | Self::Other { server, .. } => server.as_deref(),
        }
    }
}

/// Why no stream could be opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "error", content = "text", rename_all = "kebab-case")]
pub enum DialError {
    /// The other side answered with a reset.
    #[error("connection refused")]
    Refused,
    /// Nothing came back.
    #[error("no answer in time")]
    TimedOut,
    /// A router or the own host says that the host cannot be reached.
    #[error("no route to host")]
    NoRoute,
    /// There is no route to the network.
    #[error("network is unreachable")]
    NetUnreachable,
    /// The connection was reset while it was being set up.
    #[error("connection reset by peer")]
    Reset,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// What a dialled stream can do.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// An open stream.
pub type BoxStream = Box<dyn ByteStream>;

/// Which certificate authorities a place trusts.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Those of the platform, and `extra` ones (DER).
    Platform {
        /// Certificates of authorities that are trusted besides.
        extra: Vec<CertificateDer<'static>>,
    },
    /// These and no others (DER).
    Roots(Vec<CertificateDer<'static>>),
}

impl Trust {
    /// Trusts exactly these certificates (DER).
    pub fn roots(certificates: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self::Roots(certificates.into_iter().map(CertificateDer::from).collect())
    }
}

impl Trust {
    /// The same, and these besides.
    #[must_use]
    pub fn with(&self, more: &[CertificateDer<'static>]) -> Self {
        let mut trust = self.clone();
        match &mut trust {
            Self::Platform { extra: list } | Self::Roots(list) => list.extend_from_slice(more),
        }
        trust
    }
}

impl Default for Trust {
    fn default() -> Self {
        Self::Platform { extra: Vec::new() }
    }
}

/// Tells the date.
pub trait WallClock: Send + Sync {
    /// The date and time now.
    fn now(&self) -> jiff::Timestamp;
}

/// Access to Azure Resource Manager, through the workstation's network.
#[derive(Clone)]
pub struct Arm {
    /// `https://host[:port]` without a path; that of the registry's cloud unless set.
    pub endpoint: Option<http::Uri>,
    /// Where tokens come from.
    pub token: Arc<dyn TokenSource>,
}

impl Arm {
    /// The cloud of the registry in question.
    pub fn new(token: Arc<dyn TokenSource>) -> Self {
        Self {
            endpoint: None,
            token,
        }
    }

    /// One endpoint whatever is asked about: a cloud, or a test.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: http::Uri) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// The endpoint for questions about a cloud.
    pub(crate) fn endpoint_of(&self, cloud: Cloud) -> http::Uri {
        let own = self.endpoint.clone();
        own.unwrap_or_else(|| http::Uri::from_static(cloud.resource_manager()))
    }
}

impl fmt::Debug for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arm")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// Gives bearer tokens for Azure.
pub trait TokenSource: Send + Sync {
    /// A token for `resource` (as `https://management.azure.com/`).
    fn token<'a>(&'a self, resource: &'a str) -> BoxFuture<'a, Result<Secret, TokenSourceError>>;
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no Azure token from {source_name}: {text}")]
pub struct TokenSourceError {
    /// Which source was asked.
    pub source_name: String,
    /// What it said.
    pub text: String,
}

/// A token that is already there: from a file, from the environment, or made by a test. One that says that it is
/// for another of Azure's clouds is not given out.
#[derive(Clone, Debug)]
pub struct FixedToken(pub Secret);

impl TokenSource for FixedToken {
    fn token<'a>(&'a self, resource: &'a str) -> BoxFuture<'a, Result<Secret, TokenSourceError>> {
        let audience = Claims::read(self.0.expose()).and_then(|claims| claims.audience);
        let clouds = (
            audience.as_deref().and_then(Cloud::of_audience),
            Cloud::of_audience(resource),
        );
        let given = match (clouds, audience) {
            ((Some(own), Some(asked)), Some(audience)) if own != asked => Err(TokenSourceError {
                source_name: "the token that was given".into(),
                text: format!("it is for {audience}, and {resource} is in another cloud"),
            }),
            _ => Ok(self.0.clone()),
        };
        Box::pin(async move { given })
    }
}

/// Private in the sense of RFC 1918 and 4193, carrier-grade ranges included.
pub(crate) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || v4.is_link_local() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}
