//! The cluster as its users see it: an API server, its controllers, and nodes that join.
//!
//! Everything runs as tasks of the tokio runtime that [`Builder::build`] is called in; with a paused
//! clock, in virtual time. The last clone that is dropped takes the tasks with it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::api::{Access, Api, WriteOptions};
use crate::clock::{Clock, Seed, default_start};
use crate::controllers;
use crate::failure::Failures;
use crate::net::Network;
use crate::node::{Node, NodeSpec};
use crate::profile::Profile;
use crate::store::{Kind, Store};

/// The namespaces every cluster has.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Chooses what a cluster is made of.
#[derive(Debug)]
pub struct Builder {
    seed: u64,
    start_time: Timestamp,
    network: Network,
    profile: Profile,
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

    /// The versions it pretends to be.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Starts the cluster. Must be called within a tokio runtime.
    pub fn build(self) -> Cluster {
        let seed = Seed::new(self.seed);
        let clock = Clock::starting_at(self.start_time);
        let store = Store::new(clock, seed);
        let version = self.profile.kubernetes;
        let api =
            Api::new(store.clone(), version.minor.into(), seed).with_patch(version.patch.into());
        furnish(&api);
        let tasks = controllers::start(&api, seed.derive("controllers"));
        Cluster {
            inner: Arc::new(Inner {
                seed,
                clock,
                store,
                api,
                network: self.network,
                profile: self.profile,
                nodes: Mutex::default(),
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
    profile: Profile,
    nodes: Mutex<Nodes>,
    /// Dropped with the cluster; the tasks end then.
    #[expect(dead_code, reason = "held for its drop")]
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct Nodes {
    running: BTreeMap<String, Node>,
    /// How many ever joined; each gets a pod network of its own.
    joined: u32,
}

impl Drop for Inner {
    fn drop(&mut self) {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        for node in nodes.running.values() {
            node.stop();
        }
    }
}

impl Cluster {
    /// A cluster of Kubernetes 1.36 on a network of its own.
    pub fn builder() -> Builder {
        Builder {
            seed: 0,
            start_time: default_start(),
            network: Network::new(),
            profile: Profile::default(),
        }
    }

    /// A node joins now: its host enters the network, its kubelet registers and begins to sync. A
    /// node of the same name is stopped first, as when a machine is replaced.
    pub fn add_node(&self, spec: NodeSpec) -> Node {
        let mut nodes = self.nodes_mut();
        if let Some(old) = nodes.running.remove(&spec.name) {
            old.stop();
        }
        let number = (nodes.joined % 250) as u8;
        nodes.joined += 1;
        let inner = &self.inner;
        let node = Node::start(&spec, &inner.network, &inner.store, inner.seed, number);
        nodes.running.insert(spec.name, node.clone());
        node
    }

    /// A description of a node with the cluster's own versions, for [`Cluster::add_node`].
    pub fn node_spec(&self, name: &str, address: IpAddr) -> NodeSpec {
        NodeSpec {
            profile: self.inner.profile,
            ..NodeSpec::new(name, address)
        }
    }

    /// The running node of this name.
    pub fn node(&self, name: &str) -> Option<Node> {
        self.nodes_mut().running.get(name).cloned()
    }

    /// The running nodes, by name.
    pub fn nodes(&self) -> Vec<Node> {
        self.nodes_mut().running.values().cloned().collect()
    }

    /// Stops a node and deletes its Node object, as when a machine is taken away for good.
    pub fn remove_node(&self, name: &str) {
        if let Some(node) = self.nodes_mut().running.remove(name) {
            node.stop();
        }
        // Someone may have deleted the object before.
        let _ = self.inner.store.delete(Kind::Node, "", name);
    }

    fn nodes_mut(&self) -> MutexGuard<'_, Nodes> {
        self.inner
            .nodes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The versions it pretends to be.
    pub fn profile(&self) -> Profile {
        self.inner.profile
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

    /// The tasks of this cluster that panicked: kubelets, controllers, requests. A play that looks at
    /// what the cluster does must look here too, or a dead kubelet passes for a quiet one.
    pub fn failures(&self) -> &Failures {
        self.inner.store.failures()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::core::v1::{Event, Node as NodeObject, Pod};
    use kube::api::{Api as KubeApi, ListParams, PostParams};

    use super::*;
    use crate::clock::rfc3339_seconds;

    type TestResult<T = ()> = Result<T, Box<dyn std::error::Error>>;

    /// Two nodes and a deployment whose registry has no name in DNS, watched for ten minutes.
    async fn play(seed: u64) -> TestResult<(Cluster, Vec<String>)> {
        let cluster = Cluster::builder().seed(seed).build();
        for (name, address) in [("node-1", "10.1.0.4"), ("node-2", "10.1.0.5")] {
            cluster.add_node(cluster.node_spec(name, address.parse()?));
        }
        let client = kube::Client::new(cluster.service(), "default");
        let deployments: KubeApi<Deployment> = KubeApi::default_namespaced(client);
        let web = serde_json::from_value(json!({
            "metadata": { "name": "web" },
            "spec": { "replicas": 2, "selector": { "matchLabels": { "app": "web" } },
                "template": { "metadata": { "labels": { "app": "web" } }, "spec": { "containers":
                    [{ "name": "main", "image": "registry.example/team/web:v1" }] } } }
        }))?;
        deployments.create(&PostParams::default(), &web).await?;
        tokio::time::sleep(Duration::from_mins(11)).await;
        let nodes = cluster.nodes();
        let attempts = nodes.iter().flat_map(Node::attempts);
        let lines = attempts
            .map(|attempt| {
                format!(
                    "{} {} {:?} {:?}",
                    attempt.node, attempt.pod, attempt.started, attempt.outcome
                )
            })
            .collect();
        Ok((cluster, lines))
    }

    #[tokio::test(start_paused = true)]
    async fn a_kubelet_works_on_what_the_controllers_made() -> TestResult {
        let (cluster, attempts) = play(1).await?;
        let client = kube::Client::new(cluster.service(), "default");
        let pods: KubeApi<Pod> = KubeApi::default_namespaced(client.clone());
        let list = pods.list(&ListParams::default()).await?.items;
        let mut nodes: Vec<String> = list
            .iter()
            .filter_map(|pod| pod.spec.clone()?.node_name)
            .collect();
        nodes.sort_unstable();
        assert_eq!(nodes, ["node-1", "node-2"]);
        for pod in &list {
            let statuses = pod.status.clone().unwrap().container_statuses.unwrap();
            let waiting = statuses[0].state.clone().unwrap().waiting.unwrap();
            let reason = waiting.reason.unwrap();
            assert!(
                ["ErrImagePull", "ImagePullBackOff"].contains(&reason.as_str()),
                "{reason}"
            );
            assert!(waiting.message.unwrap().contains("no such host"));
        }
        assert!(attempts.len() >= 10, "{attempts:#?}");
        let deployments: KubeApi<Deployment> = KubeApi::default_namespaced(client.clone());
        let status = deployments.get("web").await?.status.unwrap();
        assert_eq!(
            (status.replicas, status.unavailable_replicas),
            (Some(2), Some(2))
        );
        let reasons: Vec<String> = status
            .conditions
            .unwrap()
            .into_iter()
            .filter_map(|condition| condition.reason)
            .collect();
        assert_eq!(
            reasons,
            ["MinimumReplicasUnavailable", "ProgressDeadlineExceeded"]
        );
        let events: KubeApi<Event> = KubeApi::default_namespaced(client.clone());
        let failed = events
            .list(&ListParams::default().fields("reason=Failed"))
            .await?;
        assert!(!failed.items.is_empty());
        let objects: KubeApi<NodeObject> = KubeApi::all(client);
        assert_eq!(objects.list(&ListParams::default()).await?.items.len(), 2);
        cluster.remove_node("node-2");
        assert!(objects.get_opt("node-2").await?.is_none());
        assert!(cluster.node("node-2").is_none());
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_seed_repeats_and_another_one_differs() -> TestResult {
        let (_, one) = play(1).await?;
        let (_, again) = play(1).await?;
        let (_, other) = play(2).await?;
        assert_eq!(one, again);
        assert_ne!(one, other);
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_clone_takes_everything_with_it() -> TestResult {
        let cluster = Cluster::builder().build();
        let start = rfc3339_seconds(cluster.clock().now());
        assert_eq!(start, "2026-01-15T09:00:00Z");
        cluster.add_node(cluster.node_spec("node-1", "10.1.0.4".parse()?));
        tokio::time::sleep(Duration::from_mins(1)).await;
        let store = cluster.store();
        drop(cluster);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let version = store.version();
        tokio::time::sleep(Duration::from_hours(1)).await;
        assert_eq!(store.version(), version, "no heartbeat, no controller");
        Ok(())
    }
}
