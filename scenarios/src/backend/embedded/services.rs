//! Everything that listens on the simulated network: registries, the cloud, and other machines.
//!
//! Each host has an address of its own. What a client's address is depends on the door it comes to: nodes go
//! out to public addresses with one address of their cluster, and are themselves on private ones.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fake_registry::{Conn, FakeRegistry, Scheme};
use sim_cluster::failure::Failures;
use sim_cluster::net::{Acceptor, Network, Record, Stream};

use super::proxy;
use super::reset::Resettable;
use crate::backend::StepError;
use crate::spec::{DnsAnswer, Doing, Scenario, Service, ServiceState};

/// Where a proxy listens.
const PROXY_PORT: u16 = 3128;
/// Hosts of the cloud, where there is a tenant.
const CLOUD: [&str; 2] = ["management.azure.com", "login.microsoftonline.com"];

/// The services of a world.
pub(super) struct Services {
    network: Network,
    registry: FakeRegistry,
    failures: Failures,
    /// The public address that nodes go out with.
    egress: Option<IpAddr>,
    /// What listened at first, by host and port.
    first: Mutex<BTreeMap<(String, u16), Acceptor>>,
    /// What names resolved to at first.
    records: Mutex<BTreeMap<String, Record>>,
}

impl Services {
    pub(super) fn new(
        network: &Network,
        failures: &Failures,
        registry: &FakeRegistry,
        intercepting: Option<&FakeRegistry>,
        scenario: &Scenario,
    ) -> Self {
        let services = Self {
            network: network.clone(),
            registry: registry.clone(),
            failures: failures.clone(),
            egress: scenario.cluster.egress,
            first: Mutex::default(),
            records: Mutex::default(),
        };
        let mut number = 0_u32;
        let mut next = || {
            number += 1;
            IpAddr::V4(Ipv4Addr::from(0xc000_0209 + number))
        };
        for registry in &scenario.registries {
            let scheme = if registry.plain_http {
                Scheme::Http
            } else {
                Scheme::Https
            };
            let public = next();
            let port = registry.port().unwrap_or(443);
            services.open(registry.name(), public, &registry.addresses, port, scheme);
        }
        let described = scenario.azure.iter().flat_map(|azure| &azure.registries);
        let endpoints = described.flat_map(|acr| {
            let data = acr.data_endpoint.then(|| acr.data_host());
            acr.blobs_at.clone().into_iter().chain(data)
        });
        let beside = scenario.registries.iter().flat_map(|registry| {
            let habit = registry.habits.token_host().map(str::to_owned);
            let token = registry.token_host.clone().or(habit);
            token.into_iter().chain(registry.blobs_at.clone())
        });
        let cloud = CLOUD.iter().filter(|_| scenario.azure.is_some());
        let names = beside
            .chain(endpoints)
            .chain(cloud.map(|name| (*name).to_owned()));
        for name in names {
            if network.host(&name).is_none() {
                services.open(&name, next(), &[], 443, Scheme::Https);
            }
        }
        for machine in &scenario.machines {
            let address = machine.address.unwrap_or_else(&mut next);
            let host = network.add_host(&machine.name, &[address]);
            let (port, acceptor) = match &machine.does {
                Doing::Nothing => continue,
                Doing::Proxy(rules) => (PROXY_PORT, proxy::acceptor(host.clone(), rules.clone())),
                Doing::Intercept => {
                    let registry = intercepting.unwrap_or(registry);
                    (443, services.serving(registry, Scheme::Https))
                }
            };
            services.listen(&machine.name, port, acceptor);
        }
        for (name, answer) in &scenario.dns {
            if let Some(record) = record(answer) {
                services.set_first_record(name, record);
            }
        }
        services
    }

    fn open(&self, name: &str, public: IpAddr, more: &[IpAddr], port: u16, scheme: Scheme) {
        let mut addresses = vec![public];
        addresses.extend_from_slice(more);
        self.network.add_host(name, &addresses);
        self.listen(name, port, self.serving(&self.registry, scheme));
        self.set_first_record(name, Record::Addresses(vec![public]));
    }

    fn set_first_record(&self, name: &str, record: Record) {
        self.network.set_record(name, record.clone());
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.insert(name.to_owned(), record);
    }

    fn listen(&self, name: &str, port: u16, acceptor: Acceptor) {
        if let Some(host) = self.network.host(name) {
            host.listen(port, Arc::clone(&acceptor));
        }
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.insert((name.to_owned(), port), acceptor);
    }

    /// Serves a registry; faults can reset the connection.
    pub(super) fn serving(&self, registry: &FakeRegistry, scheme: Scheme) -> Acceptor {
        let registry = registry.clone();
        let egress = self.egress;
        let failures = self.failures.clone();
        Arc::new(move |stream: Stream, peer| {
            let conn = Conn {
                peer: seen_from(stream.local_addr(), peer.address, egress),
                client: peer.host,
                scheme,
            };
            let reset = Arc::new(AtomicBool::new(false));
            let hook = Arc::clone(&reset);
            let stream = Resettable::new(stream, reset);
            let hook = Arc::new(move || hook.store(true, Ordering::Relaxed));
            let task = format!("a registry, asked from {}", conn.client);
            let serving = registry.serve_with_reset(stream, conn, hook);
            tokio::spawn(failures.watch(&task, serving));
        })
    }

    /// What a name resolved to before any change.
    pub(super) fn first_record(&self, name: &str) -> Option<Record> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.get(name).cloned()
    }

    pub(super) fn change(&self, change: &Service) -> Result<(), StepError> {
        let host = self
            .network
            .host(&change.host)
            .ok_or_else(|| StepError::Failed(format!("there is no host `{}`", change.host)))?;
        match change.state {
            ServiceState::Down => host.unlisten(change.port),
            ServiceState::Mute => host.listen(change.port, mute()),
            ServiceState::Up => {
                let first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
                let key = (change.host.clone(), change.port);
                let acceptor = first.get(&key).cloned().ok_or_else(|| {
                    StepError::Failed(format!(
                        "nothing ever listened at {}:{}",
                        change.host, change.port
                    ))
                })?;
                host.listen(change.port, acceptor);
            }
        }
        Ok(())
    }
}

/// Accepts and says nothing, for as long as the other side has patience.
fn mute() -> Acceptor {
    Arc::new(|stream, _peer| {
        tokio::spawn(async move {
            let _held = stream;
            std::future::pending::<()>().await;
        });
    })
}

/// A record for the network; none where the answer is that from before.
pub(super) fn record(answer: &DnsAnswer) -> Option<Record> {
    Some(match answer {
        DnsAnswer::NxDomain => Record::NxDomain,
        DnsAnswer::ServFail => Record::ServFail,
        DnsAnswer::Silent => Record::Silent,
        DnsAnswer::NoData => Record::NoData,
        DnsAnswer::Addresses(list) => Record::Addresses(list.clone()),
        DnsAnswer::Alias(name) => Record::Alias(name.clone()),
        DnsAnswer::Restore => return None,
    })
}

/// The address that a server sees: the way out of a cluster translates addresses, private links do not.
fn seen_from(door: SocketAddr, from: SocketAddr, egress: Option<IpAddr>) -> SocketAddr {
    let private = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local() || v4.is_loopback(),
        IpAddr::V6(_) => true,
    };
    match egress {
        Some(address) if private(from.ip()) && !private(door.ip()) => {
            SocketAddr::new(address, from.port())
        }
        _ => from,
    }
}
