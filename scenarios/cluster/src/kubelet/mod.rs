//! The kubelet of one node, as far as images are concerned: watches its pods, runs a worker for each,
//! reports the node.
//!
//! The pieces: [`image_manager`], [`back_off`] and [`puller`] decide when to pull; the keyring with whose
//! credentials; `ensure` carries a pull out and tells the story in events; `worker` is the sync loop of one
//! pod, `status` what it reports; `node_status` the Node object. All times are virtual.

pub mod back_off;
mod docker_config;
mod ensure;
pub mod image_manager;
pub(crate) mod keyring;
mod node_status;
mod pod;
mod program;
mod pull_records;
pub mod puller;
mod status;
pub mod timing;
mod words;
mod worker;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::task::AbortHandle;
use tokio::time::Instant;

pub(crate) use self::pod::text as pod_text;

use self::image_manager::ImageManager;
use self::pull_records::PullRecords;
use self::puller::Puller;
use self::worker::Mailbox;
use crate::clock::{Clock, Generator, Seed};
use crate::credential::Provider;
use crate::events::Recorder;
use crate::net::Host;
use crate::node::{NodeSpec, PullAttempt};
use crate::profile::Profile;
use crate::program::Given;
use crate::runtime::NodeRuntime;
use crate::store::{Action, Kind, Store};

/// The kubelet. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Kubelet {
    shared: Arc<Shared>,
}

/// What all workers of a kubelet share.
pub(crate) struct Shared {
    name: String,
    address: IpAddr,
    profile: Profile,
    store: Store,
    clock: Clock,
    recorder: Recorder,
    runtime: NodeRuntime,
    puller: Puller,
    provider: Option<Provider>,
    /// The machine, and the programs that containers may start on it.
    host: Host,
    programs: Option<Given>,
    manager: Mutex<ImageManager>,
    records: Mutex<PullRecords>,
    chance: Mutex<Generator>,
    attempts: Mutex<Vec<PullAttempt>>,
    addresses: Mutex<PodAddresses>,
    ticks: Ticks,
    tasks: Mutex<Tasks>,
}

/// The kubelet looks at its work once a second, and at the runtime once a second at another moment.
struct Ticks {
    sync: Instant,
    relist: Instant,
}

#[derive(Default)]
struct Tasks {
    stopped: bool,
    main: Vec<AbortHandle>,
    pods: BTreeMap<String, (Mailbox, AbortHandle)>,
}

struct PodAddresses {
    number: u8,
    next: u16,
}

impl Kubelet {
    pub(crate) fn start(
        spec: &NodeSpec,
        runtime: NodeRuntime,
        host: Host,
        store: Store,
        seed: Seed,
        number: u8,
    ) -> Self {
        let clock = store.clock();
        let mut chance = seed.generator("kubelet");
        let now = Instant::now();
        let phase = |chance: &mut Generator| now + Duration::from_millis(chance.below(1000));
        let ticks = Ticks {
            sync: phase(&mut chance),
            relist: phase(&mut chance),
        };
        let provider = spec
            .credential_provider
            .clone()
            .map(|config| runtime.provider(config));
        let shared = Arc::new(Shared {
            name: spec.name.clone(),
            address: spec.address,
            profile: spec.profile,
            recorder: Recorder::new("kubelet", &spec.name, &spec.profile, store.clone()),
            puller: Puller::new(
                spec.serialize_image_pulls,
                spec.registry_qps,
                spec.registry_burst,
                clock.elapsed(),
            ),
            provider,
            host,
            programs: spec.programs.clone(),
            manager: Mutex::default(),
            records: Mutex::default(),
            chance: Mutex::new(chance),
            attempts: Mutex::default(),
            addresses: Mutex::new(PodAddresses { number, next: 2 }),
            tasks: Mutex::default(),
            ticks,
            runtime,
            store,
            clock,
        });
        node_status::register(&shared, spec);
        let kubelet = Self { shared };
        let task = |what: &str| format!("{what} of {}", kubelet.shared.name);
        let failures = kubelet.shared.store.failures();
        let watch = failures.watch(&task("kubelet"), kubelet.clone().watch_pods());
        let report = node_status::report(Arc::clone(&kubelet.shared));
        let report = failures.watch(&task("node status"), report);
        let (watch, report) = (tokio::spawn(watch), tokio::spawn(report));
        lock(&kubelet.shared.tasks).main = vec![watch.abort_handle(), report.abort_handle()];
        kubelet
    }

    pub(crate) fn attempts(&self) -> Vec<PullAttempt> {
        lock(&self.shared.attempts).clone()
    }

    pub(crate) fn stop(&self) {
        let mut tasks = lock(&self.shared.tasks);
        tasks.stopped = true;
        let pods = std::mem::take(&mut tasks.pods)
            .into_values()
            .map(|(_, task)| task);
        for task in std::mem::take(&mut tasks.main).into_iter().chain(pods) {
            task.abort();
        }
    }

    /// Hands every change of this node's pods to the pod's worker. A watch that fell behind starts over.
    async fn watch_pods(self) {
        loop {
            let (pods, version) = self.shared.store.list_shared(Kind::Pod, None);
            let here: Vec<_> = pods.into_iter().filter(|pod| self.is_mine(pod)).collect();
            let gone: Vec<String> = {
                let tasks = lock(&self.shared.tasks);
                let uids: Vec<_> = here.iter().map(|pod| pod::uid(pod)).collect();
                tasks
                    .pods
                    .keys()
                    .filter(|uid| !uids.contains(&uid.as_str()))
                    .cloned()
                    .collect()
            };
            for uid in gone {
                self.removed(&uid);
            }
            for pod in here {
                self.dispatch(pod);
            }
            let mut watch = self.shared.store.watch(Kind::Pod, version);
            while let Ok(change) = watch.next().await {
                if !self.is_mine(&change.object) {
                    continue;
                }
                match change.action {
                    Action::Deleted => self.removed(pod::uid(&change.object)),
                    Action::Added | Action::Modified => self.dispatch(change.object),
                }
            }
        }
    }

    fn is_mine(&self, pod: &Value) -> bool {
        pod::text(pod, &["spec", "nodeName"]) == self.shared.name
    }

    fn dispatch(&self, pod: Arc<Value>) {
        let mut tasks = lock(&self.shared.tasks);
        if tasks.stopped {
            return;
        }
        let uid = pod::uid(&pod).to_owned();
        if let Some((mailbox, _)) = tasks.pods.get(&uid) {
            mailbox.update(pod);
            return;
        }
        let phase = pod::text(&pod, &["status", "phase"]);
        if matches!(phase, "Succeeded" | "Failed") {
            return;
        }
        let mailbox = Mailbox::new(pod);
        let worker = worker::run(Arc::clone(&self.shared), mailbox.clone());
        let name = format!("worker of {} for pod {uid}", self.shared.name);
        let worker = self.shared.store.failures().watch(&name, worker);
        let task = tokio::spawn(worker).abort_handle();
        tasks.pods.insert(uid, (mailbox, task));
    }

    /// The pod is gone from the API: whatever ran of it is killed.
    fn removed(&self, uid: &str) {
        self.shared.store.logs().forget(uid);
        if let Some((mailbox, _)) = lock(&self.shared.tasks).pods.remove(uid) {
            mailbox.remove();
        }
    }
}

impl Shared {
    fn pod_address(&self) -> String {
        let mut addresses = lock(&self.addresses);
        let host = addresses.next;
        addresses.next = if host >= 254 { 2 } else { host + 1 };
        format!("10.244.{}.{host}", addresses.number)
    }

    /// When the pod's next sync is: at the first look that the kubelet takes at its queue once it is due.
    fn next_sync(&self, failed: bool) -> Instant {
        let due = Instant::now() + timing::sync_delay(&mut lock(&self.chance), failed);
        tick_after(self.ticks.sync, due)
    }

    /// When the kubelet notices what happened in the runtime at `moment`.
    fn noticed(&self, moment: Instant) -> Instant {
        tick_after(self.ticks.relist, moment)
    }

    fn hex_id(&self) -> String {
        let mut chance = lock(&self.chance);
        let mut word = || chance.next_u64();
        format!(
            "{:016x}{:016x}{:016x}{:016x}",
            word(),
            word(),
            word(),
            word()
        )
    }

    fn draw(&self, time: timing::Spread) -> Duration {
        time.draw(&mut lock(&self.chance))
    }
}

fn tick_after(phase: Instant, moment: Instant) -> Instant {
    phase + timing::whole_seconds(moment.saturating_duration_since(phase))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
