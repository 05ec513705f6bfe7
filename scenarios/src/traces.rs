//! What a play leaves beside its report: what two plays of one scenario are compared by.
//!
//! Containers one by one, who made which object, the requests that the registries saw, the names by which
//! the stage calls what the file names. Nothing is judged here.

use serde::Deserialize;

use crate::observer::Seconds;

/// What stands for a node's name: which node a pod goes to is the scheduler's choice.
pub(crate) const NODE: &str = "<node>";

/// A container's state, from the moment at which it was first seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContainerChange {
    pub(crate) at: Seconds,
    pub(crate) pod: String,
    pub(crate) container: String,
    /// The waiting reason, `Running`, or the reason for which it ended.
    pub(crate) state: String,
    pub(crate) message: Option<String>,
}

/// Who made an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) kind: String,
    pub(crate) name: String,
}

/// A request as a registry saw it, in the words of fake-registry's journal.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Request {
    /// Seconds since some moment before the play.
    pub(crate) at: f64,
    /// The node, or somebody else.
    pub(crate) client: String,
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) authorization: String,
    pub(crate) user_agent: Option<String>,
    pub(crate) range: Option<String>,
    pub(crate) accept: Option<String>,
    pub(crate) status: Option<u16>,
}

/// How the stage calls what the file names, and what it is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stage {
    /// Names of the stage, and what the file calls the same.
    pub(crate) names: Vec<(String, String)>,
    /// As a node's status has it: `v1.20.2`.
    pub(crate) kubernetes: String,
    /// As a node's status has it: `containerd://1.6.20`.
    pub(crate) runtime: String,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traces {
    pub(crate) containers: Vec<ContainerChange>,
    /// ReplicaSets and pods, in the order in which they were first seen.
    pub(crate) owners: indexmap::IndexMap<String, Owner>,
    pub(crate) requests: Vec<Request>,
    pub(crate) stage: Stage,
}
