//! Room: the cluster. The only one that names the kube client and Kubernetes types.
//!
//! In: a client and the name of a pod or workload. Out: [`Symptoms`], plain values. A refusal of
//! the API server is a gap that names the missing right, never an error: with nothing but
//! `get pods` the rest still works. Reads only, page by page and bounded; watches nothing.

mod connect;
mod convert;
mod created;
pub mod fleet;
mod pages;
mod queue;
mod read;
mod wide;
mod workload;

#[cfg(test)]
pub(crate) mod tests;

use kube::Client;

use crate::symptom::{Ahead, Symptoms};

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
    /// Every pod of a namespace that is in trouble.
    Namespace {
        /// Its name.
        namespace: String,
    },
    /// Every pod of the cluster that is in trouble.
    Cluster,
}

impl Target {
    /// Whether it names no workload: then only pods in trouble are kept.
    pub const fn is_wide(&self) -> bool {
        matches!(self, Self::Namespace { .. } | Self::Cluster)
    }
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
    /// `cronjobs.batch`: the pods of its jobs.
    CronJob,
}

impl WorkloadKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Deployment,
        Self::ReplicaSet,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::Job,
        Self::CronJob,
    ];

    /// The kind as kubectl takes it: `deployment`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::ReplicaSet => "replicaset",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
            Self::Job => "job",
            Self::CronJob => "cronjob",
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
            "job" | "jobs" | "job.batch" | "jobs.batch" => Some(Self::Job),
            "cronjob" | "cronjobs" | "cj" | "cronjob.batch" | "cronjobs.batch" => {
                Some(Self::CronJob)
            }
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
            Self::CronJob => "CronJob",
        }
    }

    const fn resource(self) -> &'static str {
        match self {
            Self::Deployment => "deployments.apps",
            Self::ReplicaSet => "replicasets.apps",
            Self::StatefulSet => "statefulsets.apps",
            Self::DaemonSet => "daemonsets.apps",
            Self::Job => "jobs.batch",
            Self::CronJob => "cronjobs.batch",
        }
    }
}

/// Pulls that run on a node now, as far as its pods and their events tell.
pub async fn pulling_on(client: &Client, node: &str) -> Vec<Ahead> {
    queue::pulling_on(client, node).await
}

/// Reads what the cluster says about `target`.
pub async fn read(client: &Client, target: &Target) -> Symptoms {
    read::Reader::new(client).symptoms(target).await
}

/// The pods of `target` alone, without events, secrets and nodes: for whoever looks again and again.
pub async fn glance(client: &Client, target: &Target) -> Symptoms {
    read::Reader::new(client).glance(target).await
}

/// What a pre-flight needs of a cluster: the named secrets, and the nodes.
pub async fn surroundings(
    client: &Client,
    secrets: &[(String, String)],
    accounts: &[(String, String)],
) -> Surroundings {
    read::Reader::new(client)
        .surroundings(secrets, accounts)
        .await
}

/// What stands around pods that do not exist yet.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Pull secrets by namespace and name.
    pub secrets: std::collections::BTreeMap<(String, String), crate::symptom::SecretState>,
    /// Names of the pull secrets that a service account gives to its pods.
    pub accounts: std::collections::BTreeMap<(String, String), Vec<String>>,
    /// `os/arch` of the nodes.
    pub platforms: std::collections::BTreeSet<(String, String)>,
    /// What could not be read.
    pub gaps: Vec<crate::symptom::Gap>,
}
