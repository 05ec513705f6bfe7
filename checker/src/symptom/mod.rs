//! Room: what the cluster says about containers that do not start.
//!
//! Plain values, no Kubernetes types: pods with their containers, events, pull secrets and nodes,
//! and what could not be read with the right that is missing. The cluster room fills them, the
//! check and the verdict read them; nothing here asks anybody or decides anything.

mod ladder;
mod pod;
mod secret;

pub use ladder::{NextAttempt, next_attempt};
pub(crate) use pod::PULL_REASONS;
pub use pod::{
    BackOffView, Container, ContainerKind, ContainerState, EventSeen, Owner, Pod, PullPolicy,
    Trouble,
};
pub use secret::{PullSecret, SecretBody, SecretState};

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

/// All that was read from the cluster for one request.
#[derive(Clone, Debug, Default)]
pub struct Symptoms {
    /// The pods that the request names, in the order of their names.
    pub pods: Vec<Pod>,
    /// The nodes of the cluster that could be read, by name.
    pub nodes: BTreeMap<String, NodeFacts>,
    /// What could not be read, and why.
    pub gaps: Vec<Gap>,
    /// Pods that were read, those that are not kept in `pods` included.
    pub pods_read: usize,
    /// Of pods that were read and not kept, because nothing is wrong with them: who runs what.
    pub runs: BTreeMap<String, Runs>,
    /// How far the workload is rolled out, where one was asked for.
    pub rollout: Option<Rollout>,
    /// Why a workload has no pods at all.
    pub not_created: Option<NotCreated>,
}

/// A workload whose controller cannot create its pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotCreated {
    /// What the controller says.
    pub message: String,
    /// The images of the pods that there should be.
    pub images: Vec<String>,
}

/// Healthy containers of one image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// How many.
    pub containers: usize,
    /// On which nodes; at most [`Runs::NODES`].
    pub nodes: BTreeSet<String>,
}

impl Runs {
    /// Nodes that are remembered.
    pub const NODES: usize = 64;
}

/// How far a workload is rolled out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollout {
    /// Everything that was asked for runs, and nothing older.
    pub done: bool,
    /// In words: `2 of 3 updated, 1 available`.
    pub words: String,
}

impl Symptoms {
    /// The node that `pod` was put on, if it was read.
    pub fn node_of(&self, pod: &Pod) -> Option<&NodeFacts> {
        self.nodes.get(pod.node.as_deref()?)
    }

    /// Pods with at least one container in trouble over its image.
    pub fn failing(&self) -> impl Iterator<Item = &Pod> {
        self.pods
            .iter()
            .filter(|pod| pod.troubles().next().is_some())
    }
}

/// A pull of another pod that runs on a failing node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// The node.
    pub node: String,
    /// The other pod's namespace.
    pub namespace: String,
    /// The other pod.
    pub pod: String,
    /// Its image.
    pub image: String,
    /// When it began.
    pub since: Timestamp,
}

/// What the cluster says about one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// `metadata.name`.
    pub name: String,
    /// `status.nodeInfo.architecture`, as Go spells it (`amd64`).
    pub architecture: Option<String>,
    /// `status.nodeInfo.operatingSystem`.
    pub operating_system: Option<String>,
    /// `spec.providerID`.
    pub provider_id: Option<String>,
    /// The label `topology.kubernetes.io/region`.
    pub region: Option<String>,
    /// `status.nodeInfo.kubeletVersion`.
    pub kubelet: Option<String>,
    /// `status.nodeInfo.containerRuntimeVersion`.
    pub runtime: Option<String>,
    /// Whether the `Ready` condition is `True`.
    pub ready: Option<bool>,
}

impl NodeFacts {
    /// `os/arch` as an index names it, when both are known.
    pub fn platform(&self) -> Option<String> {
        Some(format!(
            "{}/{}",
            self.operating_system.as_deref()?,
            self.architecture.as_deref()?
        ))
    }
}

/// Something that the cluster did not let us read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// What was asked for, in words: `events of pod shop/api-1`.
    pub what: String,
    /// Why it was not answered.
    pub why: GapReason,
}

/// Why something could not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GapReason {
    /// The server refused; the right that is missing.
    Forbidden(Right),
    /// There is no such object.
    NotFound,
    /// The credentials of the kubeconfig were refused.
    Unauthorized,
    /// The list was cut at this many items.
    Bounded(usize),
    /// Anything else, as the client said it.
    Failed(String),
}

/// A right in the form `kubectl auth can-i` asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// `get` or `list`.
    pub verb: &'static str,
    /// The resource, with its group after a dot where it has one: `deployments.apps`.
    pub resource: &'static str,
    /// The namespace, none for cluster-wide resources.
    pub namespace: Option<String>,
}

impl Right {
    /// The command that shows whether the right is there.
    pub fn question(&self) -> String {
        let scope = match &self.namespace {
            Some(name) => format!(" -n {name}"),
            None if matches!(self.resource, "nodes" | "namespaces") => String::new(),
            None => " --all-namespaces".into(),
        };
        format!("kubectl auth can-i {} {}{scope}", self.verb, self.resource)
    }
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        match &self.namespace {
            Some(name) => write!(f, " in namespace {name}"),
            None => f.write_str(" in the whole cluster"),
        }
    }
}

impl std::fmt::Display for Gap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.why {
            GapReason::Forbidden(right) => write!(
                f,
                "{}: forbidden, the right to {right} is missing",
                self.what
            ),
            GapReason::NotFound => write!(f, "{}: not found", self.what),
            GapReason::Unauthorized => write!(
                f,
                "{}: the cluster refused the credentials of the kubeconfig",
                self.what
            ),
            GapReason::Bounded(limit) => {
                write!(f, "{}: only the first {limit} were read", self.what)
            }
            GapReason::Failed(why) => write!(f, "{}: {why}", self.what),
        }
    }
}
