//! How many probes a second a registry and this client are good for.
//!
//! A whole probe goes first; then one question, HEAD of the manifest, is asked over and over: on kept connections
//! (warm), on a new connection each time (cold), or with a new connection and a new token (cold with token). With a
//! rate, requests have intended start times and latency counts from those, so that a stall of the server is not
//! hidden by the questions that were not asked meanwhile (coordinated omission). Without one the loop is closed, and
//! the result says so. Registries of other people are not asked: this is load.

mod result;
mod usage;
mod work;

use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;

use crate::evidence::Evidence;
use crate::keyring::Keyring;
use crate::probe::{self, Options};
use crate::reference::Reference;
use crate::wire::connector::Connector;
use crate::world::{Place, WallClock, is_private};

pub use result::Outcome;
use usage::Usage;
use work::{Shared, Tally};

/// How the question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// On kept connections.
    Warm,
    /// On a new connection each time: TCP, and TLS where the registry speaks it.
    Cold,
    /// On a new connection and with a new token each time; the name is resolved each time as well.
    ColdWithToken,
}

/// How much is asked.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// How the question is asked.
    pub kind: Kind,
    /// Questions in flight at a time.
    pub connections: usize,
    /// How long is asked.
    pub time: Duration,
    /// Questions a second in all; as fast as they are answered unless set.
    pub rate: Option<f64>,
    /// Also ask a registry at a public address.
    pub public: bool,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The first, whole probe did not get to the manifest.
    #[error("the image cannot be had, so there is nothing to measure")]
    NotPullable {
        /// What it saw.
        evidence: Box<Evidence>,
    },
    /// The registry is not one of this network.
    #[error("{address} is a public address: this would be load on somebody's registry")]
    Public {
        /// Its address.
        address: IpAddr,
    },
    /// The way leads through a proxy.
    #[error("a proxy is set for {host}: its speed would be measured")]
    Proxy {
        /// The registry's host.
        host: String,
    },
}

/// The most questions in flight.
pub const MAX_CONNECTIONS: usize = 4096;

/// Asks as fast as `load` says, and tells how it went.
pub async fn run(
    place: &Place,
    clock: &dyn WallClock,
    reference: &Reference,
    keyring: &Keyring,
    options: &Options,
    load: Load,
) -> Result<Outcome, BenchError> {
    let (ready, evidence) = probe::ready(place, clock, reference, keyring, options).await;
    let Some(ready) = ready else {
        return Err(BenchError::NotPullable {
            evidence: Box::new(evidence),
        });
    };
    let public = ready
        .addresses
        .iter()
        .find(|address| !address.is_loopback() && !is_private(**address));
    if let Some(address) = public.filter(|_| !load.public) {
        return Err(BenchError::Public { address: *address });
    }
    if place.proxies.of(&ready.url).is_some() {
        return Err(BenchError::Proxy {
            host: ready.url.host().to_string(),
        });
    }
    let connections = load.connections.clamp(1, MAX_CONNECTIONS);
    let shared = Shared::new(
        Connector::new(place, clock),
        ready,
        (reference, options),
        load,
    );
    let before = Usage::now();
    let started = Instant::now();
    let mut workers: FuturesUnordered<_> = (0..connections)
        .map(|_| work::work(&shared, started))
        .collect();
    let mut sum = Tally::new();
    while let Some(tally) = workers.next().await {
        sum.add(&tally);
    }
    let took = started.elapsed();
    Ok(Outcome::new(load, connections, took, sum, &before))
}

#[cfg(test)]
mod tests;
