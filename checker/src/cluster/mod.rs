//! Room: the cluster. The only one that names the kube client and Kubernetes types.
//!
//! In: a client and the name of a pod or workload. Out: [`Symptoms`], plain values. A refusal of
//! the API server is a gap that names the missing right, never an error: with nothing but
//! `get pods` the rest still works. Reads only, page by page and bounded; watches nothing.

mod connect;
mod convert;
mod read;

#[cfg(test)]
pub(crate) mod tests;

use kube::Client;

use crate::symptom::Symptoms;

pub use connect::{ConnectError, connect};

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One pod.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The pods of a workload.
    Workload {
        /// What kind it is.
        kind: WorkloadKind,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// The kinds of workload whose pods can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WorkloadKind {
    /// `deployments.apps`.
    Deployment,
    /// `replicasets.apps`.
    ReplicaSet,
    /// `statefulsets.apps`.
    StatefulSet,
    /// `daemonsets.apps`.
    DaemonSet,
    /// `jobs.batch`.
    Job,
}

impl WorkloadKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Deployment,
        Self::ReplicaSet,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::Job,
    ];

    /// The kind as kubectl takes it: `deployment`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::ReplicaSet => "replicaset",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
            Self::Job => "job",
        }
    }

    /// The kind that kubectl means by `word`, its plurals and short names included.
    pub fn from_word(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "deployment" | "deployments" | "deploy" | "deployment.apps" | "deployments.apps" => {
                Some(Self::Deployment)
            }
            "replicaset" | "replicasets" | "rs" => Some(Self::ReplicaSet),
            "statefulset" | "statefulsets" | "sts" => Some(Self::StatefulSet),
            "daemonset" | "daemonsets" | "ds" => Some(Self::DaemonSet),
            "job" | "jobs" => Some(Self::Job),
            _ => None,
        }
    }

    const fn kind(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::ReplicaSet => "ReplicaSet",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::Job => "Job",
        }
    }

    const fn resource(self) -> &'static str {
        match self {
            Self::Deployment => "deployments.apps",
            Self::ReplicaSet => "replicasets.apps",
            Self::StatefulSet => "statefulsets.apps",
            Self::DaemonSet => "daemonsets.apps",
            Self::Job => "jobs.batch",
        }
    }
}

/// Reads what the cluster says about `target`.
pub async fn read(client: &Client, target: &Target) -> Symptoms {
    read::Reader::new(client).symptoms(target).await
}
