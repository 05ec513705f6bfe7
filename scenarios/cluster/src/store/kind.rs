//! The kinds of objects the cluster knows, and how each is named on the wire.

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `v1` Pod.
    Pod,
    /// `v1` Event; the same object is served as `events.k8s.io/v1`.
    Event,
    /// `v1` Secret.
    Secret,
    /// `v1` ServiceAccount.
    ServiceAccount,
    /// `v1` ConfigMap.
    ConfigMap,
    /// `v1` Service: stored, never routed to.
    Service,
    /// `v1` Namespace.
    Namespace,
    /// `v1` Node.
    Node,
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` ReplicaSet.
    ReplicaSet,
    /// `apps/v1` DaemonSet.
    DaemonSet,
    /// `apps/v1` StatefulSet.
    StatefulSet,
    /// `batch/v1` Job.
    Job,
    /// `batch/v1` CronJob: stored, never run.
    CronJob,
    /// `policy/v1` PodDisruptionBudget: heeded by evictions.
    PodDisruptionBudget,
    /// `coordination.k8s.io/v1` Lease.
    Lease,
}

/// How a kind appears on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The version within the group.
    pub version: &'static str,
    /// `Pod`.
    pub kind: &'static str,
    /// `pods`.
    pub plural: &'static str,
    /// `pod`.
    pub singular: &'static str,
    /// What people may type instead: `po`.
    pub short: &'static [&'static str],
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether it is part of `kubectl get all`.
    pub in_all: bool,
    /// Whether it has a `/status` of its own, which plain writes cannot touch.
    pub has_status: bool,
    /// Whether `metadata.generation` counts changes of its spec.
    pub has_generation: bool,
}

impl Kind {
    /// Every kind, core group first.
    pub const ALL: [Self; 16] = [
        Self::ConfigMap,
        Self::Event,
        Self::Namespace,
        Self::Node,
        Self::Pod,
        Self::Secret,
        Self::ServiceAccount,
        Self::Service,
        Self::DaemonSet,
        Self::Deployment,
        Self::ReplicaSet,
        Self::StatefulSet,
        Self::CronJob,
        Self::Job,
        Self::PodDisruptionBudget,
        Self::Lease,
    ];

    /// How the kind appears on the wire.
    pub const fn wire(self) -> &'static Wire {
        match self {
            Self::Pod => &POD,
            Self::Event => &EVENT,
            Self::Secret => &SECRET,
            Self::ServiceAccount => &SERVICE_ACCOUNT,
            Self::ConfigMap => &CONFIG_MAP,
            Self::Service => &SERVICE,
            Self::Namespace => &NAMESPACE,
            Self::Node => &NODE,
            Self::Deployment => &DEPLOYMENT,
            Self::ReplicaSet => &REPLICA_SET,
            Self::DaemonSet => &DAEMON_SET,
            Self::StatefulSet => &STATEFUL_SET,
            Self::Job => &JOB,
            Self::CronJob => &CRON_JOB,
            Self::PodDisruptionBudget => &POD_DISRUPTION_BUDGET,
            Self::Lease => &LEASE,
        }
    }

    /// The kind with this plural in this group.
    pub fn find(group: &str, plural: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| {
            let wire = kind.wire();
            wire.group == group && wire.plural == plural
        })
    }

    /// The kind with this `kind` text.
    pub fn named(kind: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|candidate| candidate.wire().kind == kind)
    }

    /// `Pod`.
    pub const fn name(self) -> &'static str {
        self.wire().kind
    }

    /// `pods`.
    pub const fn plural(self) -> &'static str {
        self.wire().plural
    }

    /// `v1` or `apps/v1`.
    pub fn api_version(self) -> String {
        let wire = self.wire();
        if wire.group.is_empty() {
            wire.version.to_owned()
        } else {
            format!("{}/{}", wire.group, wire.version)
        }
    }

    /// `pods` or `deployments.apps`, as errors name a resource.
    pub fn resource(self) -> String {
        let wire = self.wire();
        if wire.group.is_empty() {
            wire.plural.to_owned()
        } else {
            format!("{}.{}", wire.plural, wire.group)
        }
    }

    /// Whether objects of this kind live in namespaces.
    pub const fn namespaced(self) -> bool {
        self.wire().namespaced
    }
}

const CORE: Wire = Wire {
    group: "",
    version: "v1",
    kind: "",
    plural: "",
    singular: "",
    short: &[],
    namespaced: true,
    in_all: false,
    has_status: false,
    has_generation: false,
};
const APPS: Wire = Wire {
    group: "apps",
    in_all: true,
    has_status: true,
    has_generation: true,
    ..CORE
};

static POD: Wire = Wire {
    kind: "Pod",
    plural: "pods",
    singular: "pod",
    short: &["po"],
    in_all: true,
    has_status: true,
    has_generation: true,
    ..CORE
};
static EVENT: Wire = Wire {
    kind: "Event",
    plural: "events",
    singular: "event",
    short: &["ev"],
    ..CORE
};
static SECRET: Wire = Wire {
    kind: "Secret",
    plural: "secrets",
    singular: "secret",
    ..CORE
};
static SERVICE_ACCOUNT: Wire = Wire {
    kind: "ServiceAccount",
    plural: "serviceaccounts",
    singular: "serviceaccount",
    short: &["sa"],
    ..CORE
};
static CONFIG_MAP: Wire = Wire {
    kind: "ConfigMap",
    plural: "configmaps",
    singular: "configmap",
    short: &["cm"],
    ..CORE
};
static SERVICE: Wire = Wire {
    kind: "Service",
    plural: "services",
    singular: "service",
    short: &["svc"],
    in_all: true,
    has_status: true,
    ..CORE
};
static NAMESPACE: Wire = Wire {
    kind: "Namespace",
    plural: "namespaces",
    singular: "namespace",
    short: &["ns"],
    namespaced: false,
    has_status: true,
    ..CORE
};
static NODE: Wire = Wire {
    kind: "Node",
    plural: "nodes",
    singular: "node",
    short: &["no"],
    namespaced: false,
    has_status: true,
    ..CORE
};
static DEPLOYMENT: Wire = Wire {
    kind: "Deployment",
    plural: "deployments",
    singular: "deployment",
    short: &["deploy"],
    ..APPS
};
static REPLICA_SET: Wire = Wire {
    kind: "ReplicaSet",
    plural: "replicasets",
    singular: "replicaset",
    short: &["rs"],
    ..APPS
};
static DAEMON_SET: Wire = Wire {
    kind: "DaemonSet",
    plural: "daemonsets",
    singular: "daemonset",
    short: &["ds"],
    ..APPS
};
static STATEFUL_SET: Wire = Wire {
    kind: "StatefulSet",
    plural: "statefulsets",
    singular: "statefulset",
    short: &["sts"],
    ..APPS
};
static JOB: Wire = Wire {
    group: "batch",
    kind: "Job",
    plural: "jobs",
    singular: "job",
    ..APPS
};
static CRON_JOB: Wire = Wire {
    group: "batch",
    kind: "CronJob",
    plural: "cronjobs",
    singular: "cronjob",
    short: &["cj"],
    ..APPS
};
static POD_DISRUPTION_BUDGET: Wire = Wire {
    group: "policy",
    kind: "PodDisruptionBudget",
    plural: "poddisruptionbudgets",
    singular: "poddisruptionbudget",
    short: &["pdb"],
    in_all: false,
    ..APPS
};
static LEASE: Wire = Wire {
    group: "coordination.k8s.io",
    kind: "Lease",
    plural: "leases",
    singular: "lease",
    ..CORE
};
