//! The container runtime of one node, which really pulls: containerd or CRI-O.
//!
//! It asks registries over the node's network in its program's order, with its headers and retries, checks
//! what comes, remembers it, and fails in its words. Most of this room is containerd; `crio` has a way of
//! its own to registries and shares what lies below (`transport`, `content`, `unpack`). Sandboxes and containers
//! are only as real as their images need: what is started is decided here, that it runs is taken for granted.

mod auth;
pub(crate) mod challenge;
mod content;
mod crio;
mod distribution;
pub mod error;
mod follow;
pub(crate) mod go;
mod hosts;
mod media;
mod progress;
mod pull;
pub mod reference;
mod session;
pub mod steps;
mod tls;
pub(crate) mod transport;
mod tunnel;
mod unpack;
pub(crate) mod url;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ClientConfig;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

pub use auth::Credential;
pub use content::Image;
pub use hosts::{Mirror, RegistryHost};
pub use tunnel::HttpProxy;

use self::auth::Authorizer;
use self::content::Content;
use self::crio::words::{Cause, CrioFailure};
use self::crio::{Asker, CrioPull};
use self::error::{Failure, PullError, Status};
use self::hosts::Place;
use self::progress::Progress;
use self::pull::Pull;
use self::reference::Named;
use self::session::Session;
use self::transport::{Client, Dialer};
use crate::clock::{Clock, Seed};
use crate::credential::{AcrCredentialProvider, Provider};
use crate::net::Host;
use crate::profile::{Profile, Runtime};

/// How a runtime is set up.
#[derive(Debug, Clone)]
pub struct RuntimeConfig {
    /// Versions and pull path.
    pub profile: Profile,
    /// Architecture of the machine, as Go names it.
    pub architecture: String,
    /// Certificates (DER) that are trusted; nothing else is.
    pub trusted_ca: Vec<Vec<u8>>,
    /// `hosts.toml` by registry.
    pub hosts: BTreeMap<String, RegistryHost>,
    /// The image that sandboxes are made of; none is there from the start and never pulled.
    pub sandbox_image: Option<String>,
}

/// A node's runtime. Cheap to clone.
#[derive(Clone)]
pub struct NodeRuntime {
    shared: Arc<Shared>,
}

struct Shared {
    config: RuntimeConfig,
    dialer: Dialer,
    machine: Mutex<Machine>,
    content: Mutex<Content>,
    /// Ends every pull that runs.
    restarted: Notify,
}

/// What an administrator can change while the runtime runs; a pull takes it as it is when it begins.
struct Machine {
    trusted_ca: Vec<Vec<u8>>,
    hosts: BTreeMap<String, RegistryHost>,
    clock: Clock,
    tls: Arc<ClientConfig>,
    proxy: Option<HttpProxy>,
    /// Bytes that content may take; none is no limit.
    room: Option<u64>,
}

/// An image name of the node's list, as the node status shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedImage {
    /// Digest names first, then tags.
    pub names: Vec<String>,
    /// In bytes.
    pub size: u64,
}

impl NodeRuntime {
    /// An empty runtime on a host.
    pub fn new(config: RuntimeConfig, host: Host, clock: Clock, seed: Seed) -> Self {
        let machine = Machine {
            trusted_ca: config.trusted_ca.clone(),
            hosts: config.hosts.clone(),
            clock,
            tls: tls::client_config(&config.trusted_ca, clock),
            proxy: None,
            room: None,
        };
        let chance = Arc::new(Mutex::new(seed.generator("containerd")));
        let dialer = Dialer {
            host,
            clock,
            chance,
            proxy: None,
        };
        Self {
            shared: Arc::new(Shared {
                config,
                dialer,
                machine: Mutex::new(machine),
                content: Mutex::default(),
                restarted: Notify::new(),
            }),
        }
    }

    /// The profile it was made with.
    pub fn profile(&self) -> Profile {
        self.shared.config.profile
    }

    /// Replaces `hosts.toml` of one registry; with none there is no such file.
    pub fn set_hosts(&self, registry: &str, host: Option<RegistryHost>) {
        let mut machine = self.machine();
        match host {
            Some(host) => machine.hosts.insert(registry.to_owned(), host),
            None => machine.hosts.remove(registry),
        };
    }

    /// Replaces the certificates (DER) that the machine trusts.
    pub fn set_trust(&self, trusted_ca: Vec<Vec<u8>>) {
        let mut machine = self.machine();
        machine.tls = tls::client_config(&trusted_ca, machine.clock);
        machine.trusted_ca = trusted_ca;
    }

    /// Sets the machine's clock, by which certificates are judged. Events keep the cluster's time.
    pub fn set_clock(&self, clock: Clock) {
        let mut machine = self.machine();
        machine.tls = tls::client_config(&machine.trusted_ca, clock);
        machine.clock = clock;
    }

    /// Starts the runtime anew with another proxy in its environment, or none.
    pub fn set_proxy(&self, proxy: Option<HttpProxy>) {
        self.machine().proxy = proxy;
    }

    /// Restarts the runtime: every pull that runs ends with the error of a connection to it that broke.
    pub fn restart(&self) {
        self.shared.restarted.notify_waiters();
    }

    /// How many bytes of content the image file system has room for; none is no limit.
    pub fn set_room(&self, bytes: Option<u64>) {
        self.machine().room = bytes;
    }

    /// Whether so many bytes more than what is stored fit.
    fn has_room(&self, bytes: u64) -> bool {
        let room = self.machine().room;
        room.is_none_or(|room| self.content().stored().saturating_add(bytes) <= room)
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.shared
            .machine
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// CRI `PullImage` with one credential or none.
    pub async fn pull(&self, image: &str, credential: Option<Credential>) -> Result<Image, Status> {
        let profile = self.profile();
        tokio::select! {
            biased;
            () = self.shared.restarted.notified() => Err(Status::unavailable()),
            pulled = self.pull_as(&profile, image, credential) => pulled,
        }
    }

    async fn pull_as(
        &self,
        profile: &Profile,
        image: &str,
        credential: Option<Credential>,
    ) -> Result<Image, Status> {
        match profile.runtime {
            Runtime::Containerd { .. } => {
                let pulled = self.try_pull(image, credential).await;
                pulled.map_err(|error| error.status(profile))
            }
            Runtime::CriO { .. } => {
                let pulled = Box::pin(self.pull_by_crio(profile, image, credential)).await;
                pulled.map_err(|error| error.status(profile))
            }
        }
    }

    async fn pull_by_crio(
        &self,
        profile: &Profile,
        image: &str,
        credential: Option<Credential>,
    ) -> Result<Image, CrioFailure> {
        let named = Named::parse(image).map_err(|why| CrioFailure {
            image: Cause::Name(why.to_string()).into(),
            artifact: None,
        })?;
        let agent = profile.user_agent(self.architecture());
        let (places, client) = self.network_of(&named);
        let asker = Asker::new(profile, &agent, &client, credential.as_ref(), &named);
        let pull = CrioPull {
            runtime: self,
            profile,
            places: &places,
            asker,
        };
        pull.run().await
    }

    /// Where a name may be asked for, and a client of this machine.
    fn network_of(&self, named: &Named) -> (Vec<Place>, Client) {
        let machine = self.machine();
        let dialer = Dialer {
            clock: machine.clock,
            proxy: machine.proxy.clone(),
            ..self.shared.dialer.clone()
        };
        (
            hosts::places(named.domain(), machine.hosts.get(named.domain())),
            Client::new(dialer, Arc::clone(&machine.tls)),
        )
    }

    /// containerd's pull, with the error as a value.
    pub async fn try_pull(
        &self,
        image: &str,
        credential: Option<Credential>,
    ) -> Result<Image, PullError> {
        let named = Named::parse(image).map_err(|why| PullError {
            image: None,
            failure: Failure::Reference(image.to_owned(), why),
        })?;
        let config = &self.shared.config;
        let (places, client) = self.network_of(&named);
        let session = Session {
            profile: config.profile,
            places,
            client,
            authorizer: Authorizer::new(config.profile, credential, named.path()),
            image: named,
            progress: Progress::new(&config.profile),
            asking: Mutex::new(None),
        };
        let pull = Pull {
            runtime: self,
            session: &session,
            progress: &session.progress,
        };
        Box::pin(pull.run()).await.map_err(|failure| PullError {
            image: Some(session.image.clone()),
            failure,
        })
    }

    /// CRI `ImageStatus`: the image behind a name, if it is on the node.
    pub fn image(&self, name: &str) -> Option<Image> {
        let named = Named::parse(name).ok()?;
        let content = self.content();
        if let Some(image) = content.image(&named.to_string()) {
            return Some(image.clone());
        }
        // A digest stands for every image of that repository that was pulled under some tag.
        let (repository, digest) = (named.name(), named.digest()?);
        let same = |name: &str, image: &Image| {
            image.target == digest && Named::parse(name).is_ok_and(|n| n.name() == repository)
        };
        content
            .images()
            .find(|(name, image)| same(name, image))
            .map(|(_, image)| image.clone())
    }

    /// The name that container statuses show for an image, and its `imageID`: with several names for one
    /// id the first in order is shown, whichever the pod asked for.
    pub fn status_names(&self, image: &Image) -> (Option<String>, String) {
        let (digests, tags) = self.names_of(&image.id);
        (
            tags.into_iter().next(),
            digests
                .into_iter()
                .next()
                .unwrap_or_else(|| image.id.clone()),
        )
    }

    /// The images of the node, the largest first.
    pub fn images(&self) -> Vec<ListedImage> {
        let ids: BTreeMap<String, u64> = self
            .content()
            .images()
            .map(|(_, image)| (image.id.clone(), image.size))
            .collect();
        let mut all: Vec<_> = ids
            .into_iter()
            .map(|(id, size)| {
                let (mut names, tags) = self.names_of(&id);
                names.extend(tags);
                ListedImage { names, size }
            })
            .collect();
        all.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.names.cmp(&b.names)));
        all
    }

    /// Removes an image by name, as an administrator or the garbage collector would.
    pub fn remove(&self, name: &str) -> Option<Image> {
        let named = Named::parse(name).ok()?;
        self.content().forget(&named.to_string())
    }

    /// Gives a pulled image another name without asking any registry, as `ctr image tag` does.
    pub fn tag(&self, name: &str, other: &str) -> bool {
        let (Some(image), Ok(other)) = (self.image(name), Named::parse(other)) else {
            return false;
        };
        self.content().name(&other.to_string(), image);
        true
    }

    /// Puts an image on the node under a name without any registry, as `ctr image import` does: one that starts
    /// `command` and needs no content.
    pub fn import(&self, name: &str, command: &[&str]) -> bool {
        let Ok(named) = Named::parse(name) else {
            return false;
        };
        let name = named.to_string();
        let digest = |what: &str| format!("sha256:{:x}", Sha256::digest(format!("{what} {name}")));
        let image = Image {
            id: digest("config"),
            target: digest("manifest"),
            size: 0,
            architecture: self.shared.config.architecture.clone(),
            command: command.iter().map(|&word| word.to_owned()).collect(),
            runnable: true,
            content: BTreeSet::new(),
        };
        self.content().name(&name, image);
        true
    }

    /// The image sandboxes are made of, if it has to be pulled.
    pub fn sandbox_image(&self) -> Option<&str> {
        self.shared.config.sandbox_image.as_deref()
    }

    /// A credential provider on this machine, with its network and its trust.
    pub(crate) fn provider(&self, config: AcrCredentialProvider) -> Provider {
        Provider::new(
            config,
            self.shared.dialer.clone(),
            Arc::clone(&self.machine().tls),
        )
    }

    pub(crate) fn architecture(&self) -> &str {
        &self.shared.config.architecture
    }

    fn names_of(&self, id: &str) -> (Vec<String>, Vec<String>) {
        let (mut digests, mut tags) = (Vec::new(), Vec::new());
        for (name, image) in self.content().images().filter(|(_, image)| image.id == id) {
            let Ok(named) = Named::parse(name) else {
                continue;
            };
            digests.push(format!("{}@{}", named.name(), image.target));
            if named.digest().is_none() {
                tags.push(name.clone());
            }
        }
        digests.sort();
        digests.dedup();
        (digests, tags)
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.shared
            .content
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
