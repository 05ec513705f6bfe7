//! The cluster as its users see it: an API server, its controllers, and nodes that join.
//!
//! Everything runs as tasks of the tokio runtime that [`Builder::build`] is called in; with a paused
//! clock, in virtual time. The last clone that is dropped takes the tasks with it.

use std::sync::{Arc, Mutex};

use axum::Router;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::api::{Access, Api, WriteOptions};
use crate::clock::{Clock, Seed, default_start};
use crate::controllers;
use crate::net::Network;
use crate::store::{Kind, Store};

/// The namespaces every cluster has.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Chooses what a cluster is made of.
#[derive(Debug)]
pub struct Builder {
    seed: u64,
    start_time: Timestamp,
    network: Network,
    kubernetes: (u32, u32),
}

impl Builder {
    /// The seed of all chance; the same seed gives the same cluster.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The wall time at virtual second 0.
    #[must_use]
    pub fn start_time(mut self, start: Timestamp) -> Self {
        self.start_time = start;
        self
    }

    /// The network that nodes join.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// The version of Kubernetes: minor and patch.
    #[must_use]
    pub fn kubernetes(mut self, minor: u32, patch: u32) -> Self {
        self.kubernetes = (minor, patch);
        self
    }

    /// Starts the cluster. Must be called within a tokio runtime.
    pub fn build(self) -> Cluster {
        let seed = Seed::new(self.seed);
        let clock = Clock::starting_at(self.start_time);
        let store = Store::new(clock, seed);
        let (minor, patch) = self.kubernetes;
        let api = Api::new(store.clone(), minor, seed).with_patch(patch);
        furnish(&api);
        let tasks = controllers::start(&api, seed.derive("controllers"));
        Cluster {
            inner: Arc::new(Inner {
                seed,
                clock,
                store,
                api,
                network: self.network,
                tasks: Mutex::new(tasks),
            }),
        }
    }
}

/// A running cluster. Cheap to clone, all clones are the same.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    seed: Seed,
    clock: Clock,
    store: Store,
    api: Api,
    network: Network,
    /// Dropped with the cluster; the tasks end then.
    #[expect(dead_code, reason = "held for its drop")]
    tasks: Mutex<JoinSet<()>>,
}

impl Cluster {
    /// A cluster of Kubernetes 1.36 on a network of its own.
    pub fn builder() -> Builder {
        Builder {
            seed: 0,
            start_time: default_start(),
            network: Network::new(),
            kubernetes: (36, 2),
        }
    }

    /// The API as an HTTP service, for `kube::Client::new(service, "default")`.
    pub fn service(&self) -> Router {
        self.inner.api.router()
    }

    /// The same for a user of other rights.
    pub fn service_for(&self, access: Access) -> Router {
        self.inner.api.with_access(access).router()
    }

    /// The API as functions.
    pub fn api(&self) -> &Api {
        &self.inner.api
    }

    /// The store.
    pub fn store(&self) -> Store {
        self.inner.store.clone()
    }

    /// The clock.
    pub fn clock(&self) -> Clock {
        self.inner.clock
    }

    /// The network that nodes join.
    pub fn network(&self) -> Network {
        self.inner.network.clone()
    }

    /// The seed of all chance.
    pub fn seed(&self) -> Seed {
        self.inner.seed
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("seed", &self.inner.seed)
            .field("store", &self.inner.store)
            .finish_non_exhaustive()
    }
}

/// What a new cluster holds before anyone asks: namespaces with their accounts, and its own service.
fn furnish(api: &Api) {
    let make = |kind: Kind, namespace: &str, object: Value| {
        if let Err(error) = api.create(kind, namespace, object, WriteOptions::default()) {
            tracing::warn!(%error, "a new cluster lacks something");
        }
    };
    for namespace in NAMESPACES {
        make(
            Kind::Namespace,
            "",
            json!({ "metadata": { "name": namespace } }),
        );
        controllers::furnish(api, namespace);
    }
    make(
        Kind::Service,
        "default",
        json!({
            "metadata": { "name": "kubernetes",
                "labels": { "component": "apiserver", "provider": "kubernetes" } },
            "spec": { "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"],
                "ports": [{ "name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443 }] }
        }),
    );
}
