//! From a description to a running registry.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::clock::Clock;
use crate::host::{HostSpec, Registry};
use crate::image::{ImageLineError, ImageSpec};
use crate::journal::{self, Journal};
use crate::keys::Keys;
use crate::random::Random;
use crate::registry::{Core, Dates, FakeRegistry, Place};
use crate::serve::{Server, StartError};
use crate::tls::{Tls, TlsError, is_host};

/// Describes a registry, or many under one roof.
///
/// Hosts that are only named by an image are open registries. Where no host is described at all,
/// the first registry answers to every `Host` that nobody else has.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    clock: Option<Clock>,
    seed: Option<u64>,
    hosts: Vec<HostSpec>,
    images: Vec<(String, String)>,
    any_host: Option<String>,
    journal_limit: Option<usize>,
}

/// A description that does not hold together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Not a host name or address.
    #[error("`{0}` is not a host name")]
    Host(String),
    /// Described twice.
    #[error("host `{0}` is described twice")]
    Twice(String),
    /// An image that cannot be made.
    #[error("image `{line}` of `{host}`")]
    Image {
        /// The registry it was for.
        host: String,
        /// The description.
        line: String,
        /// What is wrong with it.
        source: ImageLineError,
    },
    /// No CA for the run.
    #[error("no certificates")]
    Tls(#[from] TlsError),
}

impl Builder {
    /// Where time comes from; the machine's by default.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Makes the run reproducible to the byte, keys included, which are then no secrets.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Adds a registry under a host name.
    #[must_use]
    pub fn host(mut self, spec: HostSpec) -> Self {
        self.hosts.push(spec);
        self
    }

    /// Adds an image by its one-line description: `team/web:v1 linux/amd64,linux/arm64 2x1MiB`.
    #[must_use]
    pub fn image(mut self, host: &str, line: &str) -> Self {
        self.images
            .push((host.to_ascii_lowercase(), line.to_owned()));
        self
    }

    /// The registry that answers to every `Host` that nobody else has.
    #[must_use]
    pub fn any_host(mut self, host: &str) -> Self {
        self.any_host = Some(host.to_ascii_lowercase());
        self
    }

    /// How many journal entries are kept; 0 for none.
    #[must_use]
    pub fn journal_limit(mut self, entries: usize) -> Self {
        self.journal_limit = Some(entries);
        self
    }

    /// Makes the registry. Within a tokio runtime, whose clock it reads.
    pub fn build(self) -> Result<FakeRegistry, BuildError> {
        let clock = self.clock.unwrap_or_else(Clock::system);
        let mut places: BTreeMap<String, Place> = BTreeMap::new();
        let mut any_host = self.any_host;
        if self.hosts.is_empty() && any_host.is_none() {
            let first = self.images.first().map(|(host, _)| host.as_str());
            any_host = Some(first.unwrap_or("localhost").to_owned());
        }
        let implied = self.images.iter().map(|(host, _)| host).chain(&any_host);
        let described: Vec<HostSpec> = self.hosts.clone();
        let mut specs = described;
        for host in implied {
            if !specs.iter().any(|spec| spec.name == *host) {
                specs.push(HostSpec::new(host.as_str()));
            }
        }
        for spec in specs {
            let name = spec.name.clone();
            let blobs = spec.blob_host.clone();
            let registry = Arc::new(Registry::new(spec));
            if let Some(host) = blobs {
                // Several registries may keep their blobs at one host.
                match places.get_mut(&host) {
                    Some(Place::Data(sharing)) => sharing.push(registry.clone()),
                    _ => add(&mut places, host, Place::Data(vec![registry.clone()]))?,
                }
            }
            add(&mut places, name, Place::Registry(registry))?;
        }
        let fallback = any_host.and_then(|host| places.get(&host).cloned());
        let core = Core {
            clock,
            random: Random::new(self.seed.unwrap_or_default(), "identifiers"),
            journal: Journal::new(self.journal_limit.unwrap_or(journal::DEFAULT_LIMIT)),
            keys: Keys::new(self.seed),
            tls: Tls::new(clock, self.seed)?,
            dates: Dates::default(),
            places,
            fallback,
        };
        let registry = FakeRegistry::from_core(core);
        for (host, line) in self.images {
            let spec: ImageSpec = line.parse().map_err(|source| BuildError::Image {
                host: host.clone(),
                line: line.clone(),
                source,
            })?;
            registry.put_image(&host, &spec);
        }
        Ok(registry)
    }

    /// Makes the registry and serves it over plain HTTP on a free loopback port; ready on return,
    /// gone when the server is dropped.
    pub async fn start(self) -> Result<Server, StartError> {
        let registry = self.build()?;
        registry.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }
}

fn add(places: &mut BTreeMap<String, Place>, host: String, place: Place) -> Result<(), BuildError> {
    if !is_host(&host) {
        return Err(BuildError::Host(host));
    }
    match places.insert(host.clone(), place) {
        None => Ok(()),
        Some(_) => Err(BuildError::Twice(host)),
    }
}
