//! What a user with `kubectl get -w` sees: the objects as they are now, and what changed when.
//!
//! Watches pods, events, Deployments and ReplicaSets of one namespace through an ordinary client.
//! It decides nothing; the acts read its snapshot and its record.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::traces::{ContainerChange, Owner};

/// The objects as last seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) pods: BTreeMap<String, Pod>,
    pub(crate) deployments: BTreeMap<String, Deployment>,
    pub(crate) replica_sets: BTreeMap<String, ReplicaSet>,
    pub(crate) events: BTreeMap<String, Event>,
}

/// A status of a pod, from the moment at which it was first seen.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct StatusChange {
    /// Time since the play began.
    pub at: Seconds,
    /// The pod.
    pub pod: String,
    /// What `kubectl get pods` prints: `Running`, `ImagePullBackOff`.
    pub status: String,
    /// The waiting message, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// One write of an event.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct EventWrite {
    /// Time since the play began.
    pub at: Seconds,
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub type_: String,
    /// The reason.
    pub reason: String,
    /// The object, as `pod/web-1`.
    pub object: String,
    /// The message.
    pub message: String,
    /// How often it has happened, as the event says.
    pub count: i32,
}

/// Time since the play began, in whole milliseconds; printed as seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub u64);

impl Seconds {
    pub(crate) fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    /// As `4:03`, minutes and seconds.
    pub fn clock(self) -> String {
        let seconds = self.0 / 1000;
        format!("{}:{:02}", seconds / 60, seconds % 60)
    }
}

impl serde::Serialize for Seconds {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0 as f64 / 1000.0)
    }
}

/// Everything that was seen, in the order in which it was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) statuses: Vec<StatusChange>,
    pub(crate) events: Vec<EventWrite>,
    /// The node of each pod that ever had one.
    pub(crate) nodes: BTreeMap<String, String>,
    /// Every container by itself.
    pub(crate) containers: Vec<ContainerChange>,
    /// Who made which pod or ReplicaSet.
    pub(crate) owners: indexmap::IndexMap<String, Owner>,
}

impl Seen {
    fn owned<K: kube::Resource>(&mut self, object: &K) {
        let owners = object.meta().owner_references.as_deref();
        let (Some(name), Some(owner)) = (&object.meta().name, owners.and_then(<[_]>::first)) else {
            return;
        };
        if !self.owners.contains_key(name) {
            let (kind, owner) = (owner.kind.clone(), owner.name.clone());
            self.owners
                .insert(name.clone(), Owner { kind, name: owner });
        }
    }

    fn containers(&mut self, at: Seconds, pod: &Pod) {
        let name = pod.name_any();
        for (container, state, message) in container_states(pod) {
            let last = self.containers.iter().rev();
            let last = last
                .clone()
                .find(|seen| seen.pod == name && seen.container == container);
            if last.is_none_or(|last| last.state != state || last.message != message) {
                self.containers.push(ContainerChange {
                    at,
                    pod: name.clone(),
                    container,
                    state,
                    message,
                });
            }
        }
    }
}

#[derive(Debug)]
struct Shared {
    snapshot: watch::Sender<Snapshot>,
    record: Mutex<Seen>,
    start: Instant,
}

/// Watches until it is dropped.
#[derive(Debug)]
pub(crate) struct Observer {
    shared: Arc<Shared>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Observer {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Observer {
    pub(crate) fn start(client: &Client, namespace: &str, start: Instant) -> Self {
        let shared = Arc::new(Shared {
            snapshot: watch::Sender::new(Snapshot::default()),
            record: Mutex::default(),
            start,
        });
        let tasks = vec![
            follow::<Pod>(client, namespace, &shared, |shared, change| {
                shared.pod(change);
            }),
            follow::<Event>(client, namespace, &shared, |shared, change| {
                shared.event(change);
            }),
            follow::<Deployment>(client, namespace, &shared, |shared, change| {
                shared
                    .snapshot
                    .send_modify(|now| change.apply(&mut now.deployments));
            }),
            follow::<ReplicaSet>(client, namespace, &shared, |shared, change| {
                if let Change::Set(set) = &change {
                    shared.record().owned(set);
                }
                shared
                    .snapshot
                    .send_modify(|now| change.apply(&mut now.replica_sets));
            }),
        ];
        Self { shared, tasks }
    }

    /// Follows every change of the snapshot.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Snapshot> {
        self.shared.snapshot.subscribe()
    }

    /// The objects as they are now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.shared.snapshot.borrow().clone()
    }

    /// Everything recorded so far.
    pub(crate) fn record(&self) -> Seen {
        self.shared.record().clone()
    }
}

impl Shared {
    fn record(&self) -> MutexGuard<'_, Seen> {
        self.record
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn at(&self) -> Seconds {
        Seconds::from(self.start.elapsed())
    }

    fn pod(&self, change: Change<Pod>) {
        if let Change::Set(pod) = &change {
            let (status, message) = display_status(pod);
            let name = pod.name_any();
            let mut record = self.record();
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
            if let Some(node) = node {
                record.nodes.insert(name.clone(), node);
            }
            record.owned(pod);
            record.containers(self.at(), pod);
            let last = record.statuses.iter().rev().find(|seen| seen.pod == name);
            if last.is_none_or(|last| last.status != status || last.message != message) {
                record.statuses.push(StatusChange {
                    at: self.at(),
                    pod: name,
                    status,
                    message,
                });
            }
        }
        self.snapshot.send_modify(|now| change.apply(&mut now.pods));
    }

    fn event(&self, change: Change<Event>) {
        if let Change::Set(event) = &change {
            let object = &event.involved_object;
            self.record().events.push(EventWrite {
                at: self.at(),
                type_: event.type_.clone().unwrap_or_default(),
                reason: event.reason.clone().unwrap_or_default(),
                object: format!(
                    "{}/{}",
                    object.kind.as_deref().unwrap_or_default().to_lowercase(),
                    object.name.as_deref().unwrap_or_default()
                ),
                message: event.message.clone().unwrap_or_default(),
                count: event.count.unwrap_or(1),
            });
        }
        self.snapshot
            .send_modify(|now| change.apply(&mut now.events));
    }
}

enum Change<K> {
    Set(K),
    Gone(String),
}

impl<K: kube::Resource> Change<K> {
    fn apply(self, objects: &mut BTreeMap<String, K>) {
        match self {
            Self::Set(object) => {
                objects.insert(object.name_any(), object);
            }
            Self::Gone(name) => {
                objects.remove(&name);
            }
        }
    }
}

/// Lists, then watches, and lists again when the server has forgotten the version.
fn follow<K>(
    client: &Client,
    namespace: &str,
    shared: &Arc<Shared>,
    apply: fn(&Shared, Change<K>),
) -> tokio::task::JoinHandle<()>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + k8s_openapi::Resource
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let api = Api::<K>::namespaced(client.clone(), namespace);
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        loop {
            if let Ok(list) = api.list(&ListParams::default()).await {
                let mut version = list.metadata.resource_version.clone().unwrap_or_default();
                list.items
                    .into_iter()
                    .for_each(|object| apply(&shared, Change::Set(object)));
                while watch_once(&api, &shared, apply, &mut version).await {}
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
}

/// Whether the watch ended well, so that the next one can go on from `version`.
async fn watch_once<K>(
    api: &Api<K>,
    shared: &Shared,
    apply: fn(&Shared, Change<K>),
    version: &mut String,
) -> bool
where
    K: kube::Resource + Clone + Debug + DeserializeOwned + 'static,
{
    let Ok(stream) = api.watch(&WatchParams::default(), version).await else {
        return false;
    };
    let mut stream = std::pin::pin!(stream);
    while let Some(event) = stream.next().await {
        let (change, seen) = match event {
            Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                let seen = object.resource_version();
                (Change::Set(object), seen)
            }
            Ok(WatchEvent::Deleted(object)) => {
                (Change::Gone(object.name_any()), object.resource_version())
            }
            Ok(WatchEvent::Bookmark(mark)) => {
                *version = mark.metadata.resource_version;
                continue;
            }
            Ok(WatchEvent::Error(_)) | Err(_) => return false,
        };
        apply(shared, change);
        if let Some(seen) = seen {
            *version = seen;
        }
    }
    true
}

/// Container, state and message of all that has a status, init containers first.
fn container_states(pod: &Pod) -> Vec<(String, String, Option<String>)> {
    let Some(status) = &pod.status else {
        return Vec::new();
    };
    let init = status.init_container_statuses.iter().flatten();
    let all = init.chain(status.container_statuses.iter().flatten());
    let states = all.filter_map(|container| {
        let state = container.state.as_ref()?;
        let (state, message) = if state.running.is_some() {
            ("Running".to_owned(), None)
        } else if let Some(waiting) = &state.waiting {
            (waiting.reason.clone()?, waiting.message.clone())
        } else {
            let ended = state.terminated.as_ref()?;
            (ended.reason.clone()?, ended.message.clone())
        };
        Some((container.name.clone(), state, message))
    });
    states.collect()
}

/// The STATUS column of `kubectl get pods`, and the waiting message behind it.
pub(crate) fn display_status(pod: &Pod) -> (String, Option<String>) {
    let status = pod.status.clone().unwrap_or_default();
    if pod.metadata.deletion_timestamp.is_some() {
        return ("Terminating".to_owned(), None);
    }
    let init = status.init_container_statuses.iter().flatten();
    for container in init {
        let waiting = container
            .state
            .as_ref()
            .and_then(|state| state.waiting.as_ref());
        if let Some(waiting) = waiting {
            let reason = waiting.reason.as_deref().unwrap_or_default();
            if !reason.is_empty() && reason != "PodInitializing" {
                return (format!("Init:{reason}"), waiting.message.clone());
            }
        }
    }
    // The printer walks from the last container to the first, so that the first one's reason wins.
    let mut shown = (
        status.phase.clone().unwrap_or_else(|| "Pending".to_owned()),
        None,
    );
    for container in status.container_statuses.iter().flatten().rev() {
        let Some(state) = &container.state else {
            continue;
        };
        if let Some(waiting) = &state.waiting {
            if let Some(reason) = waiting.reason.clone().filter(|reason| !reason.is_empty()) {
                shown = (reason, waiting.message.clone());
            }
        } else if let Some(ended) = &state.terminated {
            let reason = ended
                .reason
                .clone()
                .unwrap_or_else(|| format!("ExitCode:{}", ended.exit_code));
            shown = (reason, ended.message.clone());
        }
    }
    shown
}

/// Whether every container of the pod is ready.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}
