//! The scenario file: what is there, what goes wrong, what must be found.
//!
//! One format for every backend. A file is YAML; unknown keys are refused, and each error points at
//! line and column. `load` parses and checks it; nothing here plays anything. The checker never
//! sees any of this.

mod azure;
mod check;
mod duration;
mod load;
mod network;
mod node;
mod real;
mod registry;
mod step;
mod target;
mod twin;
mod whole;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_saphyr::Spanned;

pub use azure::{
    Azure, AzureCluster, AzureRegistry, PrivateEndpoint, RegistryLoad, RegistryNetwork,
    RegistrySettings, RoleGrant, RoleScope, ScopedToken, SetSku, Sku,
};
pub use duration::Span;
pub use load::{LoadError, MAX_FILE_BYTES, parse};
pub(crate) use load::{Source, first_line, nearest, objects};
pub use network::{
    DnsAnswer, Doing, Firewall, FirewallAction, Machine, ProxyRules, Service, ServiceState, SetDns,
    SetTls,
};
pub use node::{Mirrors, NodeSettings, ProxySettings, Room, Shift};
pub use real::{OnKind, Release, Watch};
pub use registry::{Access, Account, Habits, PullLimit, Registry};
pub use step::{
    AddNodes, ApplyRemedy, DiagnoseAgain, NodeIdentities, RemoveImage, SetNode, Step, TagChange,
};
pub use target::{Target, TargetKind};
pub use twin::Twin;

/// A scenario as written, checked: every reference parses, every name that is used exists.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scenario {
    /// The stable name; also the file's.
    pub id: Spanned<String>,
    /// One line that says what happens, without giving the cause away in a workshop.
    pub title: String,
    /// What someone who has seen it knows afterwards.
    pub teaches: String,
    /// The cause that the checker must find. The checker never sees this line.
    pub cause: Spanned<String>,
    /// The scenario that looks the same at first.
    #[serde(default)]
    pub twin: Option<Twin>,
    /// The registries that exist, each at its own host.
    pub registries: Vec<Registry>,
    /// Other machines on the network.
    #[serde(default)]
    pub machines: Vec<Machine>,
    /// What names resolve to from the beginning, beside the hosts themselves.
    #[serde(default)]
    pub dns: IndexMap<String, DnsAnswer>,
    /// The Azure tenant, where there is one.
    #[serde(default)]
    pub azure: Option<Azure>,
    /// Nodes and Kubernetes objects.
    pub cluster: Cluster,
    /// What the person who runs the checker has beside the cluster.
    #[serde(default)]
    pub checker: CheckerAccess,
    /// The six acts.
    pub acts: Acts,
    /// What differs on a real cluster.
    #[serde(default)]
    pub kind: Option<OnKind>,
    /// For workshops, from vague to plain.
    #[serde(default)]
    pub hints: Vec<String>,
    /// The file's text.
    #[serde(skip)]
    source: std::sync::Arc<str>,
}

impl Scenario {
    /// The stable name.
    pub fn id(&self) -> &str {
        &self.id.value
    }
}

/// What the cluster is made of.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cluster {
    /// Nodes that exist when the first act begins.
    pub nodes: Spanned<u32>,
    /// The public address that the nodes go out with; their own where absent.
    #[serde(default)]
    pub egress: Option<std::net::IpAddr>,
    /// What all nodes are like.
    #[serde(default)]
    pub node: NodeSettings,
    /// What single nodes are like beside that, by name.
    #[serde(default)]
    pub nodes_by_name: IndexMap<String, NodeSettings>,
    /// Ordinary Kubernetes YAML, as for `kubectl apply`.
    pub manifests: Spanned<String>,
}

/// What the person who runs the checker has, beside access to the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CheckerAccess {
    /// A token for Azure Resource Manager.
    #[serde(default)]
    pub arm: bool,
    /// The node whose `hosts.toml` files the user has at hand.
    #[serde(default)]
    pub hosts_of: Option<String>,
}

/// The six acts, in the order in which they are played.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Acts {
    /// The cluster works.
    pub healthy: Rollout,
    /// What is done to it.
    #[serde(rename = "break")]
    pub break_: Vec<Spanned<Step>>,
    /// What a user sees.
    pub observe: Observe,
    /// What the checker must say.
    pub diagnose: Diagnose,
    /// What is done about it.
    pub fix: Vec<Spanned<Step>>,
    /// The cluster works again.
    pub verify: Rollout,
}

/// States that workloads must reach.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rollout {
    /// The state that each named workload must reach.
    pub expect: IndexMap<Target, Spanned<WorkloadState>>,
    /// For how long to wait for it.
    #[serde(default = "Span::ten_minutes")]
    pub within: Span,
}

/// The state of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkloadState {
    /// As many replicas are available as are wanted.
    Available,
    /// The latest change has arrived everywhere: observed generation current, updated = available =
    /// wanted replicas, no old pods, every container's image is the expected one by digest.
    RolledOut,
}

/// What must be seen while the failure lasts.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Observe {
    /// How long to watch.
    #[serde(rename = "for")]
    pub for_: Span,
    /// What must have been seen by then.
    pub expect: Observed,
}

/// Things that can be seen from outside.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Observed {
    /// A waiting reason that some container must have shown.
    pub waiting: String,
    /// Texts, each of which must be part of some event's message.
    #[serde(default)]
    pub events: Vec<String>,
    /// The least number of failed pulls of the pod that failed most often.
    #[serde(default)]
    pub attempts: Option<usize>,
    /// The least number of pods that run at the end.
    #[serde(default)]
    pub running: Option<usize>,
    /// The least number of pods that still wait at the end.
    #[serde(default)]
    pub still_waiting: Option<usize>,
}

/// What the checker is asked and must answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Diagnose {
    /// What a user would name on the command line.
    pub ask: Spanned<Target>,
    /// What must come out, beside the scenario's cause.
    pub expect: Diagnosis,
}

/// The expected outcome of a diagnosis.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Diagnosis {
    /// The kind of verdict. With `undetermined` the scenario's cause must be the first candidate.
    pub verdict: ExpectedVerdict,
    /// The stage at which the pull stops.
    #[serde(default)]
    pub stage: Option<Spanned<String>>,
    /// Other images of the same question, each with the cause that must come out for it.
    #[serde(default)]
    pub also: IndexMap<String, Spanned<String>>,
}

/// The kind of verdict that is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExpectedVerdict {
    /// One cause is proven.
    Blocked,
    /// The image can be pulled.
    Pullable,
    /// Several causes remain.
    Undetermined,
}

impl ExpectedVerdict {
    /// The identifier, as in the checker's report.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Pullable => "pullable",
            Self::Undetermined => "undetermined",
        }
    }
}
