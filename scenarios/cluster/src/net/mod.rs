//! The network of a simulation, in memory: hosts with addresses, names, firewall rules and streams.
//!
//! Every host has its own view: names can be overridden for it, and its outbound rules decide what
//! becomes of a connection (let through, dropped, refused, reset in the middle, stalled, delayed).
//! Only tokio's clock is used, so a paused runtime plays a 127-second connection time-out at once.
//! A connection can end in three ways that a client tells apart: closed (FIN), reset (RST), and
//! silence, which swallows every later byte and the FIN too, in both directions.

mod host;
mod pipe;
mod record;
mod rule;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use host::{DialError, Host};
pub use record::{Lookup, LookupError, Record};
pub use rule::{Rule, RuleId, Verdict};
pub use stream::Stream;

/// Linux gives a silent peer 127 s (six SYN retries) before `connect` fails.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(127);
/// A stub resolver asks a silent server twice, five seconds each.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);
/// What an address on the own link that nobody holds costs before the kernel gives up.
const NEIGHBOUR_TIMEOUT: Duration = Duration::from_secs(3);

/// Takes a connection that reached a listening port. It must not block: it spawns its own task.
pub type Acceptor = Arc<dyn Fn(Stream, Peer) + Send + Sync>;

/// Who is at the other end of an accepted connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Address and port the connection comes from.
    pub address: SocketAddr,
    /// Name of the host that dialled.
    pub host: String,
}

/// What the way between two hosts costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// One way, in whole milliseconds: tokio's timers know nothing finer.
    pub latency: Duration,
    /// Bytes a second and direction; none is as fast as it gets.
    pub bandwidth: Option<u64>,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(1),
            bandwidth: None,
        }
    }
}

/// The network: hosts, names and the link between them. Cheap to clone, all clones are the same.
#[derive(Clone, Default)]
pub struct Network {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    hosts: BTreeMap<String, Host>,
    owners: BTreeMap<IpAddr, Host>,
    records: BTreeMap<String, Record>,
    link: Link,
}

impl Network {
    /// An empty network with one millisecond between any two hosts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a host. Its name resolves to its addresses until a record says otherwise. A host of the
    /// same name is replaced, an address that another host holds moves to the new one.
    pub fn add_host(&self, name: &str, addresses: &[IpAddr]) -> Host {
        let host = Host::new(self, name, addresses);
        let mut shared = self.lock();
        if let Some(old) = shared.hosts.insert(name.to_owned(), host.clone()) {
            for address in old.addresses() {
                shared.owners.remove(&address);
            }
        }
        for address in addresses {
            shared.owners.insert(*address, host.clone());
        }
        host
    }

    /// The host of this name.
    pub fn host(&self, name: &str) -> Option<Host> {
        self.lock().hosts.get(name).cloned()
    }

    /// All hosts, by name.
    pub fn hosts(&self) -> Vec<Host> {
        self.lock().hosts.values().cloned().collect()
    }

    /// What the name server answers for a name, to every host that has no override.
    pub fn set_record(&self, name: &str, record: Record) {
        self.lock().records.insert(record::canonical(name), record);
    }

    /// Forgets a record; the name of a host resolves to its addresses again.
    pub fn clear_record(&self, name: &str) {
        self.lock().records.remove(&record::canonical(name));
    }

    /// The link between any two hosts that have none of their own. Holds for later connections.
    pub fn set_link(&self, link: Link) {
        self.lock().link = link;
    }

    fn link(&self) -> Link {
        self.lock().link
    }

    fn owner(&self, address: IpAddr) -> Option<Host> {
        self.lock().owners.get(&address).cloned()
    }

    /// What the name server holds for a canonical name: a record, else the addresses of a host.
    fn record(&self, name: &str) -> Option<Record> {
        let shared = self.lock();
        shared.records.get(name).cloned().or_else(|| {
            shared
                .hosts
                .get(name)
                .map(|host| Record::Addresses(host.addresses()))
        })
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hosts: Vec<String> = self.lock().hosts.keys().cloned().collect();
        f.debug_struct("Network").field("hosts", &hosts).finish()
    }
}
