//! A host: its addresses, its view of names, its firewall, its listening ports, and how it dials.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::sleep;

use super::pipe::{Pacer, Pipe};
use super::record::{self, Lookup, LookupError, Record};
use super::rule::{Rule, RuleId, Verdict};
use super::stream::{Flow, Stream};
use super::{
    Acceptor, CONNECT_TIMEOUT, Link, NEIGHBOUR_TIMEOUT, Network, Peer, RESOLVE_TIMEOUT, Shared,
};

/// The ports a host dials from, as Linux has them by default.
const EPHEMERAL: std::ops::RangeInclusive<u16> = 32_768..=60_999;

/// Why a connection could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// Nobody listens there, or a firewall answered with a reset.
    #[error("connection refused")]
    Refused,
    /// Nobody answered for 127 seconds.
    #[error("connection timed out")]
    TimedOut,
    /// The host cannot be reached.
    #[error("no route to host")]
    NoRoute,
    /// The network cannot be reached.
    #[error("network is unreachable")]
    NetUnreachable,
}

/// A host of the network. Cheap to clone, all clones are the same.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    /// Weak, because the network holds its hosts: a host without its network reaches nobody.
    network: Weak<Mutex<Shared>>,
    name: String,
    addresses: Vec<IpAddr>,
    state: Mutex<State>,
}

struct State {
    resolver: SocketAddr,
    overrides: BTreeMap<String, Record>,
    rules: Vec<(RuleId, Rule)>,
    next_rule: u64,
    ports: BTreeMap<u16, Acceptor>,
    local: BTreeMap<SocketAddr, Acceptor>,
    link: Option<OwnLink>,
    next_port: u16,
}

#[derive(Clone)]
struct OwnLink {
    link: Link,
    up: Option<Pacer>,
    down: Option<Pacer>,
}

impl Host {
    pub(super) fn new(network: &Network, name: &str, addresses: &[IpAddr]) -> Self {
        let state = State {
            resolver: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 10)), 53),
            overrides: BTreeMap::new(),
            rules: Vec::new(),
            next_rule: 1,
            ports: BTreeMap::new(),
            local: BTreeMap::new(),
            link: None,
            next_port: *EPHEMERAL.start(),
        };
        Self {
            inner: Arc::new(Inner {
                network: Arc::downgrade(&network.shared),
                name: name.to_owned(),
                addresses: addresses.to_vec(),
                state: Mutex::new(state),
            }),
        }
    }

    /// The host's name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The host's addresses, in the order given.
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.inner.addresses.clone()
    }

    /// The name server this host asks; 10.0.0.10:53 unless set.
    pub fn resolver(&self) -> SocketAddr {
        self.lock().resolver
    }

    /// Makes the host ask another name server (which knows the same names).
    pub fn set_resolver(&self, resolver: SocketAddr) {
        self.lock().resolver = resolver;
    }

    /// Gives the host a link of its own; its bandwidth is shared by all its connections, each
    /// direction by itself. Holds for later connections.
    pub fn set_link(&self, link: Link) {
        self.lock().link = Some(OwnLink {
            link,
            up: Pacer::of(link),
            down: Pacer::of(link),
        });
    }

    /// Listens on a port, on all addresses of the host and on its loopback.
    pub fn listen(&self, port: u16, acceptor: Acceptor) {
        self.lock().ports.insert(port, acceptor);
    }

    /// Closes a port; connections that run go on.
    pub fn unlisten(&self, port: u16) {
        self.lock().ports.remove(&port);
    }

    /// Listens where only this host can dial: its loopback, or 169.254.169.254:80.
    pub fn listen_local(&self, at: SocketAddr, acceptor: Acceptor) {
        self.lock().local.insert(at, acceptor);
    }

    /// Gives this host another answer for a name than the rest of the network has.
    pub fn override_record(&self, name: &str, record: Record) {
        self.lock()
            .overrides
            .insert(record::canonical(name), record);
    }

    /// Takes an override back.
    pub fn clear_override(&self, name: &str) {
        self.lock().overrides.remove(&record::canonical(name));
    }

    /// Adds an outbound rule after those that are there; the first that matches decides.
    pub fn add_rule(&self, rule: Rule) -> RuleId {
        let mut state = self.lock();
        let id = RuleId(state.next_rule);
        state.next_rule += 1;
        state.rules.push((id, rule));
        id
    }

    /// Removes a rule.
    pub fn remove_rule(&self, id: RuleId) {
        self.lock().rules.retain(|(other, _)| *other != id);
    }

    /// Removes all rules.
    pub fn clear_rules(&self) {
        self.lock().rules.clear();
    }

    /// The rules, in their order.
    pub fn rules(&self) -> Vec<Rule> {
        self.lock()
            .rules
            .iter()
            .map(|(_, rule)| rule.clone())
            .collect()
    }

    /// What the rules say of an address; allowed when none matches.
    pub(super) fn verdict(&self, to: SocketAddr) -> Verdict {
        self.lock()
            .rules
            .iter()
            .find(|(_, rule)| rule.matches(to))
            .map_or(Verdict::Allow, |(_, rule)| rule.verdict)
    }

    /// Asks the host's name server for the addresses of a name. The query passes the firewall like
    /// any packet; an address is its own answer.
    pub async fn lookup(&self, name: &str) -> Result<Lookup, LookupError> {
        let server = self.resolver();
        let own = |addresses| Lookup {
            addresses,
            aliases: Vec::new(),
            server,
        };
        if let Ok(address) = name.parse::<IpAddr>() {
            return Ok(own(vec![address]));
        }
        if record::canonical(name) == "localhost" {
            return Ok(own(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]));
        }
        let latency = self.latency();
        let delay = match self.verdict(server) {
            Verdict::Allow | Verdict::ResetAfter(_) => Duration::ZERO,
            Verdict::Delay(delay) => delay,
            _ => {
                sleep(RESOLVE_TIMEOUT).await;
                return Err(LookupError::Timeout { server });
            }
        };
        let answer = record::answer(name, server, |name| self.record(name));
        if let Some(answer) = answer {
            sleep(latency * 2 + delay).await;
            answer
        } else {
            sleep(RESOLVE_TIMEOUT).await;
            Err(LookupError::Timeout { server })
        }
    }

    /// Opens a connection. Silence ends after 127 seconds; callers have shorter deadlines.
    pub async fn dial(&self, to: SocketAddr) -> Result<Stream, DialError> {
        let source = self.source(to.ip())?;
        let mut delay = Duration::ZERO;
        let latency = self.latency_to(to.ip());
        match self.verdict(to) {
            Verdict::Drop => {
                sleep(CONNECT_TIMEOUT).await;
                return Err(DialError::TimedOut);
            }
            Verdict::Refuse => {
                sleep(latency * 2).await;
                return Err(DialError::Refused);
            }
            Verdict::NoRoute => {
                sleep(latency * 2).await;
                return Err(DialError::NoRoute);
            }
            Verdict::NetUnreachable => return Err(DialError::NetUnreachable),
            Verdict::Delay(extra) => delay = extra,
            Verdict::Allow
            | Verdict::ResetAfter(_)
            | Verdict::StallAfter(_)
            | Verdict::DropLarger(_)
            | Verdict::Redirect(_) => {}
        }
        let reached = match self.verdict(to) {
            Verdict::Redirect(address) => SocketAddr::new(address, to.port()),
            _ => to,
        };
        let Some(remote) = self.remote(reached) else {
            let (wait, error) = if is_link_local(to.ip()) {
                (NEIGHBOUR_TIMEOUT, DialError::NoRoute)
            } else {
                (CONNECT_TIMEOUT, DialError::TimedOut)
            };
            sleep(wait).await;
            return Err(error);
        };
        sleep(latency + delay).await;
        // The port is looked at when the packet arrives there, not when it was sent.
        let Some(acceptor) = self.acceptor(reached) else {
            sleep(latency).await;
            return Err(DialError::Refused);
        };
        let from = SocketAddr::new(source, self.next_port());
        let (up, down) = self.pacers(&remote);
        let flow = Flow::new(
            self.clone(),
            to,
            Pipe::new(latency, up),
            Pipe::new(latency, down),
        );
        let (near, far) = Stream::pair(&flow, from, to);
        acceptor(
            far,
            Peer {
                address: from,
                host: self.name().to_owned(),
            },
        );
        sleep(latency).await;
        Ok(near)
    }

    /// The address the host dials from; there is none when it lacks the address family.
    fn source(&self, to: IpAddr) -> Result<IpAddr, DialError> {
        if to.is_loopback() {
            return Ok(to);
        }
        self.inner
            .addresses
            .iter()
            .copied()
            .find(|address| address.is_ipv4() == to.is_ipv4())
            .ok_or(DialError::NetUnreachable)
    }

    /// The host behind an address, as seen from here.
    fn remote(&self, to: SocketAddr) -> Option<Self> {
        if to.ip().is_loopback() || self.lock().local.contains_key(&to) {
            return Some(self.clone());
        }
        self.owner(to.ip())
    }

    fn acceptor(&self, to: SocketAddr) -> Option<Acceptor> {
        let local = {
            let state = self.lock();
            let port = state.ports.get(&to.port());
            let loopback = port.filter(|_| to.ip().is_loopback());
            state.local.get(&to).or(loopback).cloned()
        };
        local.or_else(|| {
            let owner = self.owner(to.ip())?;
            owner.lock().ports.get(&to.port()).cloned()
        })
    }

    fn latency(&self) -> Duration {
        let own = self.lock().link.as_ref().map(|own| own.link.latency);
        own.unwrap_or_else(|| self.network_link().latency)
    }

    fn latency_to(&self, to: IpAddr) -> Duration {
        if to.is_loopback() || self.inner.addresses.contains(&to) {
            return Duration::ZERO;
        }
        let there = self.owner(to);
        let there = there.and_then(|host| host.lock().link.as_ref().map(|own| own.link.latency));
        self.latency().max(there.unwrap_or_default())
    }

    /// What paces the two directions of a connection: out and back.
    fn pacers(&self, remote: &Self) -> (Vec<Pacer>, Vec<Pacer>) {
        if Arc::ptr_eq(&self.inner, &remote.inner) {
            return (Vec::new(), Vec::new());
        }
        let mine = self.lock().link.clone();
        let theirs = remote.lock().link.clone();
        if mine.is_none() && theirs.is_none() {
            let link = self.network_link();
            return (
                Pacer::of(link).into_iter().collect(),
                Pacer::of(link).into_iter().collect(),
            );
        }
        let mut out = Vec::new();
        let mut back = Vec::new();
        if let Some(own) = mine {
            out.extend(own.up);
            back.extend(own.down);
        }
        if let Some(own) = theirs {
            out.extend(own.down);
            back.extend(own.up);
        }
        (out, back)
    }

    fn record(&self, name: &str) -> Option<Record> {
        let own = self.lock().overrides.get(name).cloned();
        own.or_else(|| self.network()?.record(name))
    }

    fn network(&self) -> Option<Network> {
        let shared = self.inner.network.upgrade()?;
        Some(Network { shared })
    }

    fn owner(&self, address: IpAddr) -> Option<Self> {
        self.network()?.owner(address)
    }

    fn network_link(&self) -> Link {
        self.network()
            .map_or_else(Link::default, |network| network.link())
    }

    fn next_port(&self) -> u16 {
        let mut state = self.lock();
        let port = state.next_port;
        state.next_port = if port >= *EPHEMERAL.end() {
            *EPHEMERAL.start()
        } else {
            port + 1
        };
        port
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host")
            .field("name", &self.inner.name)
            .field("addresses", &self.inner.addresses)
            .finish_non_exhaustive()
    }
}
