//! What can be done to a cluster, a network, a registry or a tenant: the steps of `break` and `fix`.

use indexmap::IndexMap;
use serde::Deserialize;

use super::{RoleGrant, Sku, Target};

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
    /// `kubectl cordon` of a node by name.
    Cordon(String),
    /// Nodes that join, with empty caches.
    AddNodes(AddNodes),
    /// A rule in a node's packet filter.
    Firewall(Firewall),
    /// What a name resolves to, on one node or everywhere.
    SetDns(SetDns),
    /// Takes a role assignment away.
    RemoveRole(RoleGrant),
    /// Makes a role assignment.
    AssignRole(RoleGrant),
    /// Requests that other clients of the same identity take from a registry's quota.
    RegistryLoad(RegistryLoad),
    /// Changes a registry's tier.
    SetSku(SetSku),
    /// Changes who may reach a registry.
    RegistryNetwork(RegistryNetwork),
    /// Adds a tag, by an image line as in `registries`.
    Push(TagChange),
    /// Removes a tag.
    Untag(TagChange),
    /// Waits.
    Wait(super::Span),
    /// Carries out a command of the remedy that the checker printed.
    ApplyRemedy(ApplyRemedy),
}

/// How many nodes join.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AddNodes {
    /// How many.
    pub count: u32,
}

/// A rule in a node's packet filter, for packets that leave the node.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Firewall {
    /// The node.
    pub node: String,
    /// The host whose addresses are meant.
    pub to: String,
    /// The port.
    #[serde(default = "https")]
    pub port: u16,
    /// What happens to the packets.
    pub action: FirewallAction,
}

const fn https() -> u16 {
    443
}

/// What a packet filter does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirewallAction {
    /// Says nothing.
    Drop,
    /// Answers with a reset.
    Refuse,
    /// Removes every rule for that host and port.
    Open,
}

/// What a name resolves to.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SetDns {
    /// The node whose resolver changes; every resolver where absent.
    #[serde(default)]
    pub node: Option<String>,
    /// The name.
    pub name: String,
    /// What the resolver does.
    pub answer: DnsAnswer,
}

/// What a resolver does with a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DnsAnswer {
    /// The name does not exist.
    NxDomain,
    /// The server failed.
    ServFail,
    /// No answer.
    Silent,
    /// The answer from before any change.
    Restore,
}

/// Requests that others take from a registry's data-plane read quota.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RegistryLoad {
    /// The registry's name.
    pub registry: String,
    /// The identity that the load is counted for: `kubelet` or one of `identities`.
    pub who: String,
    /// Requests a minute.
    pub requests_per_minute: u32,
}

/// Changes a registry's tier.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SetSku {
    /// The registry's name.
    pub registry: String,
    /// The new tier.
    pub sku: Sku,
}

/// Changes who may reach a registry.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RegistryNetwork {
    /// The registry's name.
    pub registry: String,
    /// Whether it is reachable other than through private endpoints.
    #[serde(default = "yes")]
    pub public: bool,
    /// The addresses and ranges that are let in; everyone where absent.
    #[serde(default)]
    pub allow_only: Option<Vec<String>>,
}

const fn yes() -> bool {
    true
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

/// Which command of the remedy is carried out.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct ApplyRemedy(
    /// The words that the command begins with, without its flags: `kubectl set image`.
    pub String,
);
