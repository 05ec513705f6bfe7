//! The kind backend: a real kubelet, a real containerd, in real time.
//!
//! A [`Site`] is a cluster that has been made ready once: its nodes trust the run's authority and ask
//! the site's name server. On it each scenario gets a lot of its own ([`lot`]): a namespace, a
//! container with its registries, names of its own. What cannot be done on a real cluster is
//! `Unsupported`, and the scenario is skipped with the reason. The cluster itself is made elsewhere.

mod attempts;
mod describe;
mod docker;
mod doors;
mod identity;
mod lot;
mod machines;
mod node;
mod objects;
mod place;
mod registry;
mod settings;
mod steps;
mod zone;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fake_registry::FakeRegistry;
use k8s_openapi::api::core::v1::{Namespace, Node as KubeNode};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use self::docker::Container;
pub use self::docker::DockerError;
use self::doors::Subnet;
use self::lot::Lot;
use self::node::{Node, State};
use self::zone::Zone;
use super::{Pace, StepError};
use crate::play::{Ending, Play};
use crate::spec::{Habits, Release, Scenario, Step};

/// The label of every container that stands beside a cluster; its value is the cluster's name.
pub const LABEL: &str = "pullcheck.kind.beside";
/// The label of every namespace of a scenario; its value is the scenario's id.
const SCENARIO: &str = "pullcheck.scenario";
/// The label that kind gives to its nodes.
const KIND_LABEL: &str = "io.x-k8s.kind.cluster";
const CA_FILE: &str = "/usr/local/share/ca-certificates/pullcheck-scenarios.crt";
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
/// A node that is not ready again by then has something.
const READY: Duration = Duration::from_mins(2);

/// Where scenarios are to be played.
#[derive(Clone, Debug)]
pub struct SiteSpec {
    /// The cluster's name, as kind knows it.
    pub cluster: String,
    /// The Docker network of its nodes.
    pub network: String,
    /// Its kubeconfig.
    pub kubeconfig: PathBuf,
    /// The context in it, where it is not the current one.
    pub context: Option<String>,
    /// The image of fake-registry, as Docker knows it.
    pub image: String,
    /// A folder of this run for what containers read; made and removed here.
    pub folder: PathBuf,
    /// What chance, keys and identifiers of the registries are drawn from.
    pub seed: u64,
}

/// Why a site cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// Docker refused.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// No node of the cluster is a container on the network.
    #[error("cluster `{cluster}` has no nodes on network `{network}`")]
    NoNodes {
        /// The cluster.
        cluster: String,
        /// The network.
        network: String,
    },
    /// The API server cannot be asked.
    #[error("the cluster cannot be asked")]
    Connect(#[from] pullcheck::cluster::ConnectError),
    /// The API server refused.
    #[error("the cluster refused")]
    Kube(#[from] kube::Error),
    /// A file cannot be written.
    #[error("failed to write to {}", folder.display())]
    File {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No authority for the run.
    #[error("no authority for the run")]
    Authority(#[from] fake_registry::BuildError),
    /// A node did not come back.
    #[error("node `{node}` is not ready")]
    NotReady {
        /// The node.
        node: String,
    },
    /// What the site did to a node was not undone.
    #[error("node `{node}` is not as it was: {difference}")]
    Dirty {
        /// The node.
        node: String,
        /// What differs.
        difference: String,
    },
}

/// A cluster that is ready for scenarios.
pub struct Site {
    spec: SiteSpec,
    client: Client,
    nodes: Vec<Node>,
    /// The oldest kubelet's version.
    kubernetes: Release,
    /// What the nodes are made of.
    node_image: String,
    subnet: Subnet,
    /// How many addresses of the subnet have been given away.
    addresses: AtomicU32,
    /// Held by the one scenario at a time whose hosts keep their names beside others.
    names: tokio::sync::Mutex<()>,
    server: Container,
    zone: Zone,
    authority: Vec<u8>,
    /// Of the kubelet and its runtime, as the first node's status has them.
    versions: (String, String),
    /// What the nodes were like before, and what the site made of them.
    before: Vec<Kept>,
}

/// A node's own files and state, to be put back.
struct Kept {
    resolver: String,
    state: State,
    provider_id: Option<String>,
    /// Taints and whether pods are kept away, as the API has them.
    spec: serde_json::Value,
}

/// Whether a scenario can be played beside others on one cluster: what it does to the nodes concerns its own
/// hosts alone.
pub fn shares(scenario: &Scenario) -> bool {
    let scenario = scenario.on_kind();
    let touches = |step: &Step| {
        matches!(
            step,
            Step::AddNodes(_)
                | Step::Cordon(_)
                | Step::Uncordon(_)
                | Step::RestartRuntime(_)
                | Step::RemoveImage(_)
                // Secrets of that name in other namespaces are what the checker looks for.
                | Step::DeleteSecret(_)
        ) || match step {
            Step::Firewall(rule) => rule.to == "anywhere" || rule.to.parse::<IpAddr>().is_ok(),
            Step::SetNode(change) => !settings::only_mirrors(&change.to),
            _ => false,
        }
    };
    let mut steps = scenario.acts.break_.iter().chain(&scenario.acts.fix);
    let cluster = &scenario.cluster;
    let mut settings = cluster.nodes_by_name.values().chain([&cluster.node]);
    scenario.azure.is_none()
        && scenario.machines.is_empty()
        && settings.all(settings::only_mirrors)
        && !steps.any(|step| touches(&step.value))
}

/// Whether the hosts of a scenario keep their names: what is known of a registry by its name would be lost.
fn keeps_names(scenario: &Scenario) -> bool {
    let mut registries = scenario.registries.iter();
    registries.any(|registry| registry.habits != Habits::Plain)
}

/// Why a scenario cannot be played on any real cluster; `None` where it can, given the nodes.
pub fn impossible(scenario: &Scenario) -> Option<String> {
    let real = scenario.on_kind();
    let described = describe::describe(&real, "", &[]).map(drop);
    lot::supported(&real, 0, 0).and(described).err()
}

/// How many nodes a scenario needs, those that join included.
pub fn nodes(scenario: &Scenario) -> u32 {
    scenario.on_kind().count_nodes()
}

impl Site {
    /// Makes a cluster ready: name server, trust, resolver. What it does is undone by `close`.
    pub async fn open(spec: SiteSpec) -> Result<Self, SiteError> {
        let label = format!("{LABEL}={}", spec.cluster);
        let opened = Self::begin(spec, &label).await;
        if opened.is_err() {
            // The first error is the one to tell.
            let _ = docker::remove_labelled(&label).await;
        }
        opened
    }

    async fn begin(spec: SiteSpec, label: &str) -> Result<Self, SiteError> {
        let (client, _) =
            pullcheck::cluster::connect(Some(&spec.kubeconfig), spec.context.as_deref()).await?;
        let nodes = find_nodes(&spec).await?;
        docker::remove_labelled(label).await?;

        let file = |source| SiteError::File {
            folder: spec.folder.clone(),
            source,
        };
        let names = spec.folder.join("zone");
        let zone = Zone::in_folder(names.clone()).map_err(file)?;
        let known = nodes
            .iter()
            .map(|node| (node.name().to_owned(), node.address()));
        zone.add(known).await.map_err(file)?;
        let server = start_name_server(&spec, label, &names).await?;
        let subnet = Subnet::of(&spec.network).await?;
        let first = nodes.first().map(Node::name).unwrap_or_default();
        let format = ["container", "inspect", "--format", "{{.Image}}", first];
        let node_image = docker::docker(&format).await?;

        let registry = FakeRegistry::builder().seed(spec.seed).build()?;
        let mut before = Vec::new();
        let mut kubernetes = None;
        let mut versions = None;
        for node in &nodes {
            // What a run left that did not come to its end.
            settings::put_back(node).await?;
            node.clear_rules().await?;
            let state = node.state().await?;
            let resolver = node.script("cat /etc/resolv.conf", &[]).await? + "\n";
            let object = Api::<KubeNode>::all(client.clone())
                .get(node.name())
                .await?;
            let info = object.status.and_then(|status| status.node_info);
            versions = versions.or_else(|| info.clone());
            let version = info.and_then(|info| info.kubelet_version.parse::<Release>().ok());
            kubernetes = kubernetes.into_iter().chain(version).min();
            let object = object.spec.unwrap_or_default();
            before.push(Kept {
                resolver,
                state,
                spec: json!({
                    "taints": object.taints,
                    "unschedulable": object.unschedulable.unwrap_or_default(),
                }),
                provider_id: object.provider_id,
            });
        }
        let site = Self {
            authority: registry.ca_der(),
            spec,
            client,
            nodes,
            kubernetes: kubernetes.unwrap_or_default(),
            node_image,
            subnet,
            addresses: AtomicU32::new(0),
            names: tokio::sync::Mutex::default(),
            server,
            zone,
            versions: versions
                .map(|info| (info.kubelet_version, info.container_runtime_version))
                .unwrap_or_default(),
            before,
        };
        if let Err(error) = site.prepare(&registry.ca_pem()).await {
            // What was begun is undone; the first error is the one to tell.
            let _ = site.put_back().await;
            return Err(error);
        }
        Ok(site)
    }

    async fn prepare(&self, authority: &str) -> Result<(), SiteError> {
        for node in &self.nodes {
            let resolver = format!("nameserver {}\n", self.server.address);
            node.write("/etc/resolv.conf", resolver.as_bytes()).await?;
            node.write(CA_FILE, authority.as_bytes()).await?;
            // The program reads its authorities once.
            let script = format!(
                "{{ [ -f {BUNDLE}.pullcheck ] || cp -p {BUNDLE} {BUNDLE}.pullcheck; }} && cat {CA_FILE} >>{BUNDLE} && systemctl restart containerd"
            );
            node.script(&script, &[]).await?;
        }
        // A control plane that has workers keeps pods away; here it is a node like the others.
        let api: Api<KubeNode> = Api::all(self.client.clone());
        let taint = json!({"spec": {"taints": null}});
        for node in &self.nodes {
            api.patch(node.name(), &PatchParams::default(), &Patch::Merge(&taint))
                .await?;
        }
        self.wait_ready().await
    }

    async fn wait_ready(&self) -> Result<(), SiteError> {
        let api: Api<KubeNode> = Api::all(self.client.clone());
        let until = tokio::time::Instant::now() + READY;
        loop {
            let list = api.list(&ListParams::default()).await;
            let ready = |node: &&KubeNode| {
                let conditions = node.status.as_ref()?.conditions.as_ref()?;
                let ready = conditions.iter().find(|one| one.type_ == "Ready")?;
                (ready.status == "True").then_some(())
            };
            let missing = match &list {
                Ok(list) => self.nodes.iter().find(|node| {
                    let found = list.items.iter().find(|one| one.name_any() == node.name());
                    found.as_ref().and_then(ready).is_none()
                }),
                Err(_) => self.nodes.first(),
            };
            match missing {
                None => return Ok(()),
                Some(node) if tokio::time::Instant::now() > until => {
                    return Err(SiteError::NotReady {
                        node: node.name().to_owned(),
                    });
                }
                Some(_) => tokio::time::sleep(Duration::from_millis(500)).await,
            }
        }
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Plays a scenario on a lot of its own, and clears the lot. `number` tells lots apart that are
    /// used at the same time or one after the other.
    pub async fn play(&self, scenario: &Scenario, number: usize, seed: u64) -> Play {
        let _names = if keeps_names(scenario) {
            Some(self.names.lock().await)
        } else {
            None
        };
        let lot = match Lot::prepare(self, scenario, number).await {
            Ok(lot) => lot,
            Err((real, StepError::Unsupported(reason))) => {
                return Play::nothing(&real, seed, Pace::Real, Ending::Skipped(reason));
            }
            Err((real, StepError::Failed(reason))) => {
                return Play::cannot(&real, seed, Pace::Real, &reason);
            }
        };
        let play = crate::play::play(&lot, lot.scenario(), seed).await;
        Box::pin(lot.clear(play)).await
    }

    /// Undoes what `open` did, and removes what stands beside the cluster.
    pub async fn close(self) -> Result<(), SiteError> {
        self.put_back().await?;
        for (node, kept) in self.nodes.iter().zip(&self.before) {
            let now = node.state().await?;
            if let Some(difference) = kept.state.difference(&now) {
                return Err(SiteError::Dirty {
                    node: node.name().to_owned(),
                    difference,
                });
            }
        }
        Ok(())
    }

    /// Everything is tried; the first error is the one to tell.
    async fn put_back(&self) -> Result<(), SiteError> {
        let mut result = Ok(());
        for (node, kept) in self.nodes.iter().zip(&self.before) {
            result = result.and(self.put_node_back(node, kept).await);
        }
        result = result.and(self.remove_namespaces().await);
        let label = format!("{LABEL}={}", self.spec.cluster);
        result = result.and(docker::remove_labelled(&label).await.map_err(Into::into));
        let _ = std::fs::remove_dir_all(&self.spec.folder);
        result
    }

    async fn put_node_back(&self, node: &Node, kept: &Kept) -> Result<(), SiteError> {
        node.clear_rules().await?;
        settings::put_back(node).await?;
        // Where a play was cut off.
        let taken = identity::take(node, &self.client, kept.provider_id.as_deref()).await;
        taken.map_err(|error| SiteError::NotReady {
            node: format!("{}: {error}", node.name()),
        })?;
        node.write("/etc/resolv.conf", kept.resolver.as_bytes())
            .await?;
        let script = format!(
            "rm -f {CA_FILE}
             if [ -f {BUNDLE}.pullcheck ]; then
               cat {BUNDLE}.pullcheck >{BUNDLE} && rm {BUNDLE}.pullcheck && systemctl restart containerd
             fi"
        );
        node.script(&script, &[]).await?;
        let api: Api<KubeNode> = Api::all(self.client.clone());
        let patch = json!({"spec": kept.spec});
        api.patch(node.name(), &PatchParams::default(), &Patch::Merge(&patch))
            .await?;
        Ok(())
    }

    async fn remove_namespaces(&self) -> Result<(), SiteError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let ours = ListParams::default().labels(SCENARIO);
        for namespace in api.list(&ours).await?.items {
            // One that is on its way out is as good as gone.
            let _ = api
                .delete(&namespace.name_any(), &DeleteParams::default())
                .await;
        }
        Ok(())
    }

    fn node(&self, number: usize) -> Option<&Node> {
        self.nodes.get(number)
    }

    /// A number for an address that nobody else has.
    fn next_address(&self) -> u32 {
        self.addresses.fetch_add(1, Ordering::Relaxed)
    }

    fn name_server(&self) -> SocketAddr {
        SocketAddr::new(self.server.address, 53)
    }

    fn addresses(&self) -> Vec<IpAddr> {
        self.nodes.iter().map(Node::address).collect()
    }
}

/// Removes what an earlier run left beside a cluster of this name.
pub async fn remove_beside(cluster: &str) -> Result<(), DockerError> {
    docker::remove_labelled(&format!("{LABEL}={cluster}")).await
}

/// The control plane comes first, then the workers by name.
async fn find_nodes(spec: &SiteSpec) -> Result<Vec<Node>, SiteError> {
    let filter = format!("label={KIND_LABEL}={}", spec.cluster);
    let names = docker::docker(&[
        "container",
        "ls",
        "--filter",
        &filter,
        "--format",
        "{{.Names}}",
    ])
    .await?;
    let mut names: Vec<&str> = names.lines().collect();
    names.sort_unstable_by_key(|name| (!name.ends_with("-control-plane"), *name));
    let mut nodes = Vec::new();
    for name in names {
        // A load balancer has the label and is no node.
        if name.ends_with("-external-load-balancer") {
            continue;
        }
        let container = docker::container(name, &spec.network).await?;
        nodes.push(Node { container });
    }
    if nodes.is_empty() {
        return Err(SiteError::NoNodes {
            cluster: spec.cluster.clone(),
            network: spec.network.clone(),
        });
    }
    Ok(nodes)
}

async fn start_name_server(
    spec: &SiteSpec,
    label: &str,
    names: &Path,
) -> Result<Container, SiteError> {
    let name = format!("{}-names", spec.cluster);
    let mount = format!("{}:/zone:ro", names.display());
    docker::docker(&[
        "run",
        "--detach",
        "--name",
        &name,
        "--network",
        &spec.network,
        "--label",
        label,
        "--volume",
        &mount,
        &spec.image,
        "dns",
        "--listen=0.0.0.0:53",
        "--zone=/zone/zone.yaml",
    ])
    .await?;
    Ok(docker::container(&name, &spec.network).await?)
}
