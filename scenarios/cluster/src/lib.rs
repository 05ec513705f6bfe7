//! An embedded Kubernetes cluster that models image pulls faithfully, in virtual time.
//!
//! An API server over a versioned store, the controllers from Deployment to pod, and nodes whose
//! kubelets and runtimes really pull over a simulated network. With tokio's clock paused, a back-off
//! of twenty minutes takes milliseconds, and the same seed gives the same cluster, byte for byte.
//!
//! Any kube client talks to it in memory:
//!
//! ```
//! use k8s_openapi::api::core::v1::Pod;
//! use kube::api::{Api, ListParams, PostParams};
//! use serde_json::json;
//! use sim_cluster::cluster::Cluster;
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
//! # runtime.block_on(async {
//! // In a test: #[tokio::test(start_paused = true)]
//! let cluster = Cluster::builder().seed(1).build();
//! cluster.add_node(cluster.node_spec("node-1", "10.2.0.1".parse()?));
//!
//! let client = kube::Client::new(cluster.service(), "default");
//! let pods: Api<Pod> = Api::default_namespaced(client);
//! let pod = serde_json::from_value(json!({
//!     "metadata": { "name": "web" },
//!     "spec": { "containers": [{ "name": "web", "image": "registry.example/team/web:v1" }] }
//! }))?;
//! pods.create(&PostParams::default(), &pod).await?;
//!
//! // Nobody has told the name server of the registry, so the pull fails as it would on a node.
//! tokio::time::sleep(Duration::from_secs(60)).await;
//! let status = pods.get("web").await?.status.ok_or("no status")?;
//! let container = &status.container_statuses.ok_or("no containers")?[0];
//! let waiting = container.state.clone().and_then(|state| state.waiting).ok_or("it runs")?;
//! assert!(waiting.message.is_some_and(|why| why.contains("no such host")));
//!
//! // Whoever judges what a cluster does asks this too: a panic in a task is no silence.
//! assert!(cluster.failures().list().is_empty());
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! [`net::Network`] has the hosts, names and firewall rules; [`node::NodeSpec`] what a node is like;
//! [`cluster::Cluster::service_for`] is the API as someone with fewer rights sees it. With the feature
//! `live`, programs of the machine (stock kubectl, skopeo, curl) take part: see the module of that name.

pub mod api;
pub mod clock;
pub mod cluster;
pub mod controllers;
pub mod credential;
pub mod events;
pub mod failure;
pub mod kubelet;
#[cfg(feature = "live")]
pub mod live;
pub mod net;
pub mod node;
pub mod profile;
pub mod program;
pub mod runtime;
pub mod store;
