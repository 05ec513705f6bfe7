//! From a description to a running registry.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::azure::state::State;
use crate::azure::{Azure, AzureError, Tenant};
use crate::clock::Clock;
use crate::core::{Core, Dates, Place};
use crate::expect::{Expectation, Expectations};
use crate::fault::{Faults, Script};
use crate::host::{Flavour, HostSpec, Registry};
use crate::image::{ImageLineError, ImageSpec, SeedError};
use crate::journal::{self, Journal};
use crate::keys::Keys;
use crate::listen::{Server, StartError};
use crate::random::Random;
use crate::registry::FakeRegistry;
use crate::store::StoreError;
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
    seeds: Vec<(String, Seed)>,
    any_host: Option<String>,
    azure: Option<Tenant>,
    faults: Script,
    journal_limit: Option<usize>,
    authority: Option<String>,
    certificate_names: Vec<String>,
    expectations: Vec<Expectation>,
}

/// Where images come from, if not from a description.
#[derive(Clone, Debug)]
enum Seed {
    Layout { repository: String, path: PathBuf },
    Archive(PathBuf),
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
    /// A directory that cannot be a store.
    #[error("the store of `{host}`")]
    Store {
        /// The registry it was for.
        host: String,
        /// What is wrong with it.
        source: StoreError,
    },
    /// An image that cannot be written to the store.
    #[error("image `{line}` of `{host}` cannot be stored")]
    Write {
        /// The registry it was for.
        host: String,
        /// The description.
        line: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// Images that cannot be taken from a file or directory.
    #[error("images of `{host}` from {}", path.display())]
    Seed {
        /// The registry they were for.
        host: String,
        /// The layout or archive.
        path: PathBuf,
        /// What is wrong with it.
        source: SeedError,
    },
    /// A registry of Azure that the tenant does not have.
    #[error("`{0}` is of the flavour of Azure, but no registry of the tenant")]
    NoAcr(String),
    /// A tenant that does not hold together.
    #[error("the tenant")]
    Azure(#[from] AzureError),
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

    /// Adds all images of an OCI image layout to a repository, as `FakeRegistry::seed_layout`.
    #[must_use]
    pub fn oci_layout(mut self, host: &str, repository: &str, path: impl Into<PathBuf>) -> Self {
        let seed = Seed::Layout {
            repository: repository.to_owned(),
            path: path.into(),
        };
        self.seeds.push((host.to_ascii_lowercase(), seed));
        self
    }

    /// Adds all images of an archive of `docker save`, as `FakeRegistry::seed_archive`.
    #[must_use]
    pub fn docker_archive(mut self, host: &str, path: impl Into<PathBuf>) -> Self {
        let seed = Seed::Archive(path.into());
        self.seeds.push((host.to_ascii_lowercase(), seed));
        self
    }

    /// Adds a tenant of Azure: its registries at their login servers, Resource Manager, Entra and
    /// the metadata service.
    #[must_use]
    pub fn azure(mut self, tenant: Tenant) -> Self {
        self.azure = Some(tenant);
        self
    }

    /// What goes wrong, from the start; can be changed while running.
    #[must_use]
    pub fn faults(mut self, script: Script) -> Self {
        self.faults = script;
        self
    }

    /// What clients are to do; verified when the server is dropped.
    #[must_use]
    pub fn expect(mut self, expectation: Expectation) -> Self {
        self.expectations.push(expectation);
        self
    }

    /// The registry that answers to every `Host` that nobody else has.
    #[must_use]
    pub fn any_host(mut self, host: &str) -> Self {
        self.any_host = Some(host.to_ascii_lowercase());
        self
    }

    /// The common name of the run's CA, where several registries must be told apart by it.
    #[must_use]
    pub fn authority(mut self, name: &str) -> Self {
        self.authority = Some(name.to_owned());
        self
    }

    /// Names and addresses that every certificate is good for beside the host's own: by how clients
    /// may reach a port, such as `localhost`. A certificate with a wrong name stays wrong.
    #[must_use]
    pub fn certificate_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.certificate_names = names.into_iter().map(Into::into).collect();
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
        if self.hosts.is_empty() && any_host.is_none() && self.azure.is_none() {
            let images = self.images.iter().map(|(host, _)| host.as_str());
            let seeds = self.seeds.iter().map(|(host, _)| host.as_str());
            let first = images.chain(seeds).next();
            any_host = Some(first.unwrap_or("localhost").to_owned());
        }
        if let Some(name) = self.certificate_names.iter().find(|name| !is_host(name)) {
            return Err(BuildError::Host(name.clone()));
        }
        let state = self
            .azure
            .as_ref()
            .map(|tenant| State::new(tenant, clock.now()))
            .transpose()?;
        let mut specs: Vec<HostSpec> = self.hosts.clone();
        for acr in state.iter().flat_map(|state| &state.registries) {
            if !specs.iter().any(|spec| spec.name == acr.login_server) {
                specs.push(HostSpec::new(&acr.login_server).flavour(Flavour::Acr));
            }
        }
        let seeded = self.seeds.iter().map(|(host, _)| host);
        let named = self.images.iter().map(|(host, _)| host).chain(seeded);
        for host in named.chain(&any_host) {
            if !specs.iter().any(|spec| spec.name == *host) {
                specs.push(HostSpec::new(host.as_str()));
            }
        }
        let mut modes = Vec::new();
        for spec in specs {
            let name = spec.name.clone();
            modes.push((name.clone(), spec.tls));
            let is_acr = spec.flavour == Flavour::Acr;
            let acr = state
                .as_ref()
                .and_then(|state| state.registry(&name))
                .filter(|_| is_acr);
            if is_acr && acr.is_none() {
                return Err(BuildError::NoAcr(name));
            }
            // A data endpoint can be turned on later, and a client may ask for it before.
            let endpoints = acr.map(|acr| (acr.data_endpoint_host(), acr.spec.blob_host.clone()));
            let (endpoint, account) =
                endpoints.map_or((None, None), |(host, account)| (Some(host), account));
            let blobs = [spec.blob_host.clone(), endpoint, account];
            let realm = spec.realm_host();
            let registry = Registry::new(spec).map_err(|source| BuildError::Store {
                host: name.clone(),
                source,
            })?;
            let registry = Arc::new(registry);
            if let Some(host) = realm.filter(|host| *host != name) {
                add(&mut places, host, Place::Tokens(registry.clone()))?;
            }
            for host in blobs.into_iter().flatten() {
                // Several registries may keep their blobs at one host.
                match places.get_mut(&host) {
                    Some(Place::Data(sharing)) => sharing.push(registry.clone()),
                    _ => add(&mut places, host, Place::Data(vec![registry.clone()]))?,
                }
            }
            add(&mut places, name, Place::Registry(registry))?;
        }
        if let Some(state) = &state {
            add(
                &mut places,
                state.cloud.resource_manager().into(),
                Place::Arm,
            )?;
            add(&mut places, state.cloud.entra().into(), Place::Entra)?;
            add(&mut places, "graph.microsoft.com".into(), Place::Graph)?;
            add(&mut places, "169.254.169.254".into(), Place::Imds)?;
        }
        let fallback = any_host.and_then(|host| places.get(&host).cloned());
        let core = Core {
            clock,
            random: Random::new(self.seed.unwrap_or_default(), "identifiers"),
            journal: Journal::new(self.journal_limit.unwrap_or(journal::DEFAULT_LIMIT)),
            keys: Keys::new(self.seed),
            tls: Tls::new(
                clock,
                self.seed,
                self.authority.as_deref(),
                self.certificate_names,
            )?,
            dates: Dates::default(),
            places,
            fallback,
            azure: state.map(Azure::new),
            faults: Faults::new(self.faults, self.seed.unwrap_or_default()),
            expectations: Expectations::new(self.expectations),
        };
        for (host, mode) in modes {
            core.tls.set_mode(&host, mode);
        }
        let registry = FakeRegistry::from_core(core);
        for (host, line) in self.images {
            let spec: ImageSpec = line.parse().map_err(|source| BuildError::Image {
                host: host.clone(),
                line: line.clone(),
                source,
            })?;
            registry
                .put_image(&host, &spec)
                .map_err(|source| BuildError::Write { host, line, source })?;
        }
        for (host, seed) in self.seeds {
            let (path, outcome) = match seed {
                Seed::Layout { repository, path } => {
                    let outcome = registry.seed_layout(&host, &repository, &path);
                    (path, outcome)
                }
                Seed::Archive(path) => {
                    let outcome = registry.seed_archive(&host, &path);
                    (path, outcome)
                }
            };
            outcome.map_err(|source| BuildError::Seed { host, path, source })?;
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
