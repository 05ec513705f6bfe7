//! What can be done to a cluster, a network, a registry or a tenant: the steps of `break` and `fix`.

use fake_registry::Rule;
use indexmap::IndexMap;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::{
    Diagnosis, Firewall, NodeSettings, RegistryLoad, RegistryNetwork, RegistrySettings, RoleGrant,
    Service, SetDns, SetSku, SetTls, Target,
};

/// One step. A backend that cannot do it says so, and the scenario is skipped with the reason.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// `kubectl set image`: the new image of every container of each target.
    SetImage(IndexMap<Target, String>),
    /// `kubectl scale`.
    Scale(IndexMap<Target, u32>),
    /// `kubectl apply` of Kubernetes YAML.
    Apply(String),
    /// `kubectl delete`.
    Delete(Target),
    /// `kubectl delete secret`, by name.
    DeleteSecret(String),
    /// `kubectl rollout restart`.
    Restart(Target),
    /// `kubectl cordon` of a node by name.
    Cordon(String),
    /// `kubectl uncordon` of a node by name.
    Uncordon(String),
    /// Nodes that join, with empty caches.
    AddNodes(AddNodes),
    /// Changes the configuration of a node.
    SetNode(SetNode),
    /// Restarts the runtime of a node: pulls that run end, containers go on.
    RestartRuntime(String),
    /// Takes an image away from a node, as `crictl rmi` and the garbage collector do.
    RemoveImage(RemoveImage),
    /// A rule in a packet filter.
    Firewall(Firewall),
    /// What a name resolves to, on one node or everywhere.
    SetDns(SetDns),
    /// What is wrong with the TLS of a host.
    SetTls(SetTls),
    /// What listens at a host's port.
    Service(Service),
    /// The fault script of all registries from now on, as docs/faults.md has it; empty, it ends.
    Faults(Vec<Rule>),
    /// Takes a role assignment away.
    RemoveRole(RoleGrant),
    /// Makes a role assignment.
    AssignRole(RoleGrant),
    /// The identities that the metadata service knows at a node from now on.
    NodeIdentities(NodeIdentities),
    /// Requests that other clients of the same identity take from a registry's quota.
    RegistryLoad(RegistryLoad),
    /// Changes a registry's tier.
    SetSku(SetSku),
    /// Changes who may reach a registry.
    RegistryNetwork(RegistryNetwork),
    /// Changes whether a registry has an admin user and anonymous pulls.
    RegistrySettings(RegistrySettings),
    /// Adds a tag, by an image line as in `registries`.
    Push(TagChange),
    /// Removes a tag.
    Untag(TagChange),
    /// Waits.
    Wait(super::Span),
    /// Asks the checker once more: a cause that was hidden behind the first one.
    Diagnose(DiagnoseAgain),
    /// Carries out a command of the remedy that the checker printed.
    ApplyRemedy(ApplyRemedy),
}

/// How many nodes join, and what they are like.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AddNodes {
    /// How many.
    pub count: u32,
    /// What differs from `cluster.node`.
    #[serde(default)]
    pub node: NodeSettings,
}

/// A change of a node's configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SetNode {
    /// The node; every node that there is where absent.
    #[serde(default)]
    pub node: Option<String>,
    /// What changes.
    pub to: NodeSettings,
}

/// An image that goes from a node.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RemoveImage {
    /// The node.
    pub node: String,
    /// The image, as it was pulled.
    pub image: String,
}

/// Identities of a node.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NodeIdentities {
    /// The node; every node that there is where absent.
    #[serde(default)]
    pub node: Option<String>,
    /// `kubelet`, `control-plane`, or one of `identities`.
    pub identities: Vec<String>,
}

/// A tag that comes or goes.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TagChange {
    /// The registry's host.
    pub host: String,
    /// `team/web:v2`, with platforms and layers where it is pushed.
    pub image: String,
}

/// A further question to the checker.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DiagnoseAgain {
    /// What a user would name on the command line.
    pub ask: Spanned<Target>,
    /// The cause that must come out.
    pub cause: Spanned<String>,
    /// What else must come out.
    pub expect: Diagnosis,
}

/// Which command of the remedy is carried out.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum ApplyRemedy {
    /// The words that the command begins with, without its flags: `kubectl set image`.
    Command(String),
    /// The same, and what the reader has to fill in where the command has `…`.
    Filled {
        /// The words that the command begins with.
        command: String,
        /// Values by option: `{ --docker-username: ci }`.
        with: IndexMap<String, String>,
    },
}

impl ApplyRemedy {
    /// The words that the command begins with.
    pub fn command(&self) -> &str {
        match self {
            Self::Command(command) | Self::Filled { command, .. } => command,
        }
    }

    /// What stands for `…`.
    pub fn with(&self) -> Option<&IndexMap<String, String>> {
        match self {
            Self::Command(_) => None,
            Self::Filled { with, .. } => Some(with),
        }
    }
}
