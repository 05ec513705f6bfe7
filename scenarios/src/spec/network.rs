//! Names and machines of the network, and what can be done to them.

use std::net::IpAddr;

use fake_registry::TlsMode;
use serde::Deserialize;

use super::Span;

/// A machine on the network that is no registry.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Machine {
    /// Its name, which resolves to its address.
    pub name: String,
    /// Its address; one of its own where none is given.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// What it does.
    pub does: Doing,
}

/// What a machine does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doing {
    /// It is there, and nothing listens on it.
    Nothing,
    /// An HTTP proxy that opens tunnels, at port 3128.
    Proxy(ProxyRules),
    /// Takes TLS connections over and answers with certificates of an authority of its own.
    Intercept,
}

/// Which tunnels a proxy opens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProxyRules {
    /// Hosts that it refuses with 403.
    #[serde(default)]
    pub refuses: Vec<String>,
    /// Whether it wants a user and a password (407).
    #[serde(default)]
    pub wants_user: bool,
}

/// A rule in a packet filter, for packets that leave a node.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Firewall {
    /// The node; every node that there is where absent.
    #[serde(default)]
    pub node: Option<String>,
    /// The host whose addresses are meant, an address, or `anywhere`.
    pub to: String,
    /// The port.
    #[serde(default = "https")]
    pub port: u16,
    /// What happens to the packets.
    pub action: FirewallAction,
}

const fn https() -> u16 {
    443
}

/// What a packet filter does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirewallAction {
    /// Says nothing.
    Drop,
    /// Answers with a reset.
    Refuse,
    /// Says that there is no route to the host.
    NoRoute,
    /// Says that the network cannot be reached.
    Unreachable,
    /// Lets so many bytes of the answer through, then resets the connection.
    ResetAfter(u64),
    /// Lets so many bytes of the answer through, then says nothing any more.
    StallAfter(u64),
    /// Loses packets of the answer that are larger than this.
    DropLarger(usize),
    /// Sends every packet so much later.
    Delay(Span),
    /// Hands the connection to another machine.
    Redirect(String),
    /// Removes every rule for that host and port.
    Open,
}

/// What a name resolves to.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SetDns {
    /// The node whose resolver changes; every resolver where absent.
    #[serde(default)]
    pub node: Option<String>,
    /// The name.
    pub name: String,
    /// What the resolver does.
    pub answer: DnsAnswer,
}

/// What a resolver does with a question.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DnsAnswer {
    /// The name does not exist.
    NxDomain,
    /// The server failed.
    ServFail,
    /// No answer.
    Silent,
    /// The name exists and has no address.
    NoData,
    /// These addresses.
    Addresses(Vec<IpAddr>),
    /// Another name, which is then looked up.
    Alias(String),
    /// The answer from before any change.
    Restore,
}

/// What is wrong with the TLS of a host from now on.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SetTls {
    /// The host.
    pub host: String,
    /// What is wrong.
    pub mode: TlsMode,
}

/// What listens at a host's port from now on.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Service {
    /// The host.
    pub host: String,
    /// The port.
    #[serde(default = "https")]
    pub port: u16,
    /// What is there.
    pub state: ServiceState,
}

/// What listens at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceState {
    /// What was there at first.
    Up,
    /// Nothing: connections are refused.
    Down,
    /// Something that accepts connections and never says a word.
    Mute,
}
