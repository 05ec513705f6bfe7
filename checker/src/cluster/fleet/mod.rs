//! Orders to nodes as one Job of Kubernetes: a pod on each node, what they print read back, everything taken away.
//!
//! Why an Indexed Job and neither a DaemonSet nor pods of our own: a probe ends, which a DaemonSet's pods may not;
//! a Job carries its own deadline and its own removal (`ttlSecondsAfterFinished`), so that nothing stays even where
//! this program is killed; and all of it is one object to delete. An anti-affinity puts one pod on each node, the
//! scheduler's word says why one could not be placed. Kubernetes before 1.21 drops `completionMode`, and nothing here
//! hangs on it: which node a pod is on is read from the pod.

mod manifests;
mod pods;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DeleteParams, ListParams, LogParams, PostParams, PropagationPolicy};
use kube::{Client, Error};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout_at};

use super::pages::{PAGE, plain};
use crate::nodes::{Fleet, FleetError, FleetSeen, Heard, MAX_HEARD, NoProbe, NodeSeen, Order};
use crate::world::WallClock;

pub use manifests::{Subject, example, manifests};
use pods::{State, state};

/// Time between two looks at the pods.
const LOOK: Duration = Duration::from_secs(1);
/// How long the first pod may take to be made.
const FIRST: Duration = Duration::from_secs(15);
/// How long is waited for pods that were deleted.
const GOING: Duration = Duration::from_secs(20);
/// How long the way back may take after an interruption.
const CLEAN: Duration = Duration::from_secs(10);
/// Beyond our own deadline, the Job's own one: it ends what nobody ends any more.
const GRACE: Duration = Duration::from_mins(1);
/// Nodes, and pods of one run, that are read in all.
const MAX_NODES: usize = 5000;
/// Times that a name is tried anew.
const NAMES: usize = 3;

/// How nodes are to be looked from.
#[derive(Clone, Debug)]
pub struct FleetSettings {
    /// The namespace of the probes.
    pub namespace: String,
    /// The service account of the pods; it needs no right at all.
    pub account: String,
    /// The checker's own image.
    pub image: String,
    /// A label selector; every node unless set.
    pub selector: Option<String>,
    /// Nodes that are asked at most.
    pub limit: usize,
    /// How long they have.
    pub deadline: Duration,
    /// Pull secrets of the namespace that the pods are given.
    pub secrets: Vec<String>,
    /// The node's configuration of credential providers, the folder of their programs.
    pub providers: Option<(String, String)>,
    /// Files of the node that providers read, mounted at the very same paths.
    pub files: Vec<String>,
}

impl Default for FleetSettings {
    fn default() -> Self {
        Self {
            namespace: "pullcheck".into(),
            account: "pullcheck-probe".into(),
            image: Self::IMAGE.into(),
            selector: None,
            limit: 100,
            deadline: Duration::from_mins(2),
            secrets: Vec::new(),
            providers: None,
            files: Vec::new(),
        }
    }
}

impl FleetSettings {
    /// The image that `cargo xtask image pullcheck` makes, as nodes have it once it was loaded there.
    pub const IMAGE: &'static str = concat!("localhost/pullcheck:", env!("CARGO_PKG_VERSION"));
}

/// Looks from nodes by Jobs.
pub struct JobFleet {
    client: Client,
    settings: FleetSettings,
    clock: Arc<dyn WallClock>,
    /// Jobs that were made and are not known to be gone.
    made: Mutex<BTreeSet<String>>,
}

impl JobFleet {
    /// Nothing happens until something is asked.
    pub fn new(client: Client, settings: FleetSettings, clock: Arc<dyn WallClock>) -> Self {
        Self {
            client,
            settings,
            clock,
            made: Mutex::default(),
        }
    }

    /// Deletes whatever is still there, as after an interruption; what it cannot delete within a few seconds ends by
    /// the Job's own deadline. True if nothing is left.
    pub async fn clean(&self) -> bool {
        let left = self.left();
        if left.is_empty() {
            return true;
        }
        let gone = async {
            for name in &left {
                let _ = self.delete(name).await;
            }
        };
        let _ = tokio::time::timeout(CLEAN, gone).await;
        self.left().is_empty()
    }

    fn left(&self) -> Vec<String> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.iter().cloned().collect()
    }

    fn jobs(&self) -> Api<Job> {
        Api::namespaced(self.client.clone(), &self.settings.namespace)
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.settings.namespace)
    }

    async fn run(&self, order: &Order, prefer: &[String]) -> Result<FleetSeen, FleetError> {
        let all = self.nodes().await?;
        let mut seen = FleetSeen::default();
        let mut wanted: Vec<String> = Vec::new();
        for (name, why_not) in all {
            match why_not {
                None => wanted.push(name),
                Some(state) => seen.nodes.push(NodeSeen {
                    name,
                    heard: Err(NoProbe::Late { state }),
                }),
            }
        }
        wanted.sort_by_key(|name| !prefer.contains(name));
        if wanted.len() > self.settings.limit {
            seen.notes.push(format!(
                "{} of {} nodes were asked (--node-limit)",
                self.settings.limit,
                wanted.len()
            ));
            wanted.truncate(self.settings.limit);
        }
        if wanted.is_empty() {
            if seen.nodes.is_empty() {
                let selector = self.settings.selector.clone();
                return Err(FleetError::NoNodes { selector });
            }
            return Ok(seen);
        }
        let mut order = order.clone();
        order.secrets = self
            .settings
            .secrets
            .iter()
            .map(|name| (self.settings.namespace.clone(), name.clone()))
            .collect();
        order.providers = self
            .settings
            .providers
            .as_ref()
            .map(|_| manifests::providers());
        order.load = order.load.map(|load| load.divided(wanted.len()));
        let extra = order.load.map_or(Duration::ZERO, |load| {
            Duration::from_millis(load.millis.into())
        });
        let deadline = self.settings.deadline + extra;
        let name = self.create(&order, &wanted, deadline + GRACE).await?;
        let told = self.wait(&name, &wanted, deadline).await;
        seen.notes.extend(self.delete(&name).await.err());
        seen.nodes.extend(told?);
        seen.nodes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(seen)
    }

    /// Every node that is meant; with what keeps a probe from it.
    async fn nodes(&self) -> Result<Vec<(String, Option<String>)>, FleetError> {
        let api = Api::<Node>::all(self.client.clone());
        let params = ListParams {
            label_selector: self.settings.selector.clone(),
            ..ListParams::default()
        };
        let found = pages(&api, params, |node| pods::usable(&node)).await;
        found.map_err(|error| self.refused(&error, "list", "nodes", false))
    }

    async fn create(
        &self,
        order: &Order,
        nodes: &[String],
        deadline: Duration,
    ) -> Result<String, FleetError> {
        let mut number = self.clock.now().as_microsecond().unsigned_abs();
        for _ in 0..NAMES {
            let name = format!("pullcheck-{}", short(number));
            let job = manifests::job(&self.settings, order, nodes, &name, deadline);
            let job: Job = serde_json::from_value(job).map_err(|error| FleetError::Api {
                text: error.to_string(),
            })?;
            // Noted before it is asked for: an answer that is lost leaves a Job, too.
            self.note(&name, true);
            match self.jobs().create(&PostParams::default(), &job).await {
                Ok(_) => return Ok(name),
                Err(Error::Api(status)) if status.code == 409 => {
                    self.note(&name, false);
                    number = number.wrapping_mul(31).wrapping_add(7);
                }
                Err(error) => {
                    // A refusal made nothing; behind any other answer there may be one.
                    if matches!(&error, Error::Api(status) if status.code < 500) {
                        self.note(&name, false);
                    }
                    return Err(self.refused(&error, "create", "jobs", true));
                }
            }
        }
        Err(FleetError::Api {
            text: "no free name for a Job".into(),
        })
    }

    fn note(&self, name: &str, made: bool) {
        let mut known = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made {
            known.insert(name.to_owned());
        } else {
            known.remove(name);
        }
    }

    /// Reads what each node's pod printed as soon as it has ended.
    async fn wait(
        &self,
        job: &str,
        nodes: &[String],
        deadline: Duration,
    ) -> Result<Vec<NodeSeen>, FleetError> {
        let begun = Instant::now();
        let mut any = false;
        let end = Instant::now() + deadline;
        let mut told: BTreeMap<&String, Result<Heard, NoProbe>> = BTreeMap::new();
        let mut states: BTreeMap<String, String> = BTreeMap::new();
        let mut unplaced = String::new();
        let mut unread: Option<String>;
        loop {
            match timeout_at(end, self.list(job)).await {
                Err(_) => unread = Some("the API server gave no answer in time".to_owned()),
                Ok(Err(error)) => {
                    let text = plain(&error);
                    if matches!(&error, Error::Api(status) if matches!(status.code, 401 | 403)) {
                        for node in nodes {
                            told.entry(node)
                                .or_insert_with(|| Err(NoProbe::Unread { text: text.clone() }));
                        }
                    }
                    unread = Some(text);
                }
                Ok(Ok(pods)) => {
                    unread = None;
                    any |= !pods.is_empty();
                    for pod in &pods {
                        let node = pods::node_of(pod);
                        let Some(node) = nodes.iter().find(|name| Some(name.as_str()) == node)
                        else {
                            if let State::Unplaced(message) = state(pod) {
                                unplaced = message;
                            }
                            continue;
                        };
                        if told.contains_key(node) {
                            continue;
                        }
                        match state(pod) {
                            State::Ended { code, text } => {
                                told.insert(node, self.read(pod, node, code, text).await);
                            }
                            State::NoImage { reason, message } => {
                                let image = self.settings.image.clone();
                                let why = NoProbe::Image {
                                    image,
                                    reason,
                                    message,
                                };
                                told.insert(node, Err(why));
                            }
                            State::Stuck(state) => {
                                told.insert(node, Err(NoProbe::Late { state }));
                            }
                            State::Unplaced(message) => unplaced = message,
                            State::Busy(state) => {
                                states.insert(node.clone(), state);
                            }
                        }
                    }
                }
            }
            let none = unread.is_none() && !any && told.is_empty();
            if none && begun.elapsed() >= FIRST {
                return Err(FleetError::NoPods {
                    namespace: self.settings.namespace.clone(),
                    account: self.settings.account.clone(),
                });
            }
            if told.len() == nodes.len() || Instant::now() >= end {
                break;
            }
            sleep(LOOK.min(end - Instant::now())).await;
        }
        let seen = nodes.iter().map(|node| NodeSeen {
            name: node.clone(),
            heard: told.remove(node).unwrap_or_else(|| {
                Err(match (states.get(node), &unread) {
                    (Some(state), _) => NoProbe::Late {
                        state: state.clone(),
                    },
                    (None, Some(text)) => NoProbe::Unread { text: text.clone() },
                    (None, None) => NoProbe::Unplaced {
                        message: unplaced.clone(),
                    },
                })
            }),
        });
        Ok(seen.collect())
    }

    async fn list(&self, job: &str) -> Result<Vec<Pod>, Error> {
        let params = ListParams::default().labels(&format!("{}={job}", manifests::RUN));
        pages(&self.pods(), params, Some).await
    }

    async fn read(&self, pod: &Pod, node: &str, code: i32, text: String) -> Result<Heard, NoProbe> {
        let params = LogParams {
            container: Some(manifests::CONTAINER.into()),
            limit_bytes: i64::try_from(MAX_HEARD).ok(),
            ..LogParams::default()
        };
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let log = self.pods().logs(name, &params).await;
        let log = log.map_err(|error| NoProbe::Unread {
            text: plain(&error),
        })?;
        let bounded = log.get(..MAX_HEARD).unwrap_or(&log);
        Heard::read(bounded, node).ok_or_else(|| {
            let first = bounded.lines().map(str::trim).find(|line| !line.is_empty());
            let text = first.map_or(text, |line| {
                crate::wire::Excerpt::new(line).as_str().to_owned()
            });
            NoProbe::Ended { code, text }
        })
    }

    /// Deletes a Job with all that it made, and waits until it is gone; else what is left, in words.
    async fn delete(&self, name: &str) -> Result<(), String> {
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        match self.jobs().delete(name, &params).await {
            Ok(_) => {}
            Err(Error::Api(status)) if status.code == 404 => {}
            Err(error) => {
                return Err(format!(
                    "job {}/{name} was not deleted ({}); it ends by itself within minutes",
                    self.settings.namespace,
                    plain(&error)
                ));
            }
        }
        self.note(name, false);
        let end = Instant::now() + GOING;
        loop {
            let left = self.list(name).await.map_or(1, |pods| pods.len());
            if left == 0 {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(format!(
                    "pods of job {}/{name} that are still being deleted: {left}",
                    self.settings.namespace
                ));
            }
            sleep(LOOK / 2).await;
        }
    }

    fn refused(
        &self,
        error: &Error,
        verb: &'static str,
        resource: &'static str,
        within: bool,
    ) -> FleetError {
        let namespace = within.then(|| self.settings.namespace.clone());
        match error {
            Error::Api(status) if status.code == 403 => FleetError::Forbidden {
                verb,
                resource,
                namespace,
                text: status.message.clone(),
            },
            Error::Api(status) if status.code == 404 && within => FleetError::NoNamespace {
                namespace: self.settings.namespace.clone(),
            },
            other => FleetError::Api { text: plain(other) },
        }
    }
}

impl Fleet for JobFleet {
    fn look<'a>(&'a self, order: &'a Order, prefer: &'a [String]) -> BoxFuture<'a, FleetSeen> {
        Box::pin(async move {
            self.run(order, prefer)
                .await
                .unwrap_or_else(|error| FleetSeen {
                    failed: Some(error),
                    ..FleetSeen::default()
                })
        })
    }

    fn signs_in(&self) -> bool {
        !self.settings.secrets.is_empty() || self.settings.providers.is_some()
    }
}

/// What `keep` keeps of a list, page by page.
async fn pages<K, T>(
    api: &Api<K>,
    mut params: ListParams,
    keep: impl Fn(K) -> Option<T>,
) -> Result<Vec<T>, Error>
where
    K: Clone + DeserializeOwned + Debug,
{
    params.limit = Some(PAGE);
    let mut found = Vec::new();
    loop {
        let page = api.list(&params).await?;
        found.extend(page.items.into_iter().filter_map(&keep));
        let more = page.metadata.continue_.filter(|token| !token.is_empty());
        match more.filter(|_| found.len() < MAX_NODES) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(found),
        }
    }
}

/// A number in few letters that a name may hold.
fn short(mut number: u64) -> String {
    const LETTERS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let mut text = Vec::new();
    while text.len() < 13 {
        let at = usize::try_from(number % 32).unwrap_or(0);
        text.extend(LETTERS.get(at));
        number /= 32;
        if number == 0 {
            break;
        }
    }
    text.reverse();
    String::from_utf8(text).unwrap_or_default()
}
