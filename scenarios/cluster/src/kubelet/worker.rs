//! The sync loop of one pod (`pod_workers.go`, `kuberuntime_manager.go`).
//!
//! Each sync first reports what the one before found out, then does what is to be done: sandbox, image
//! volumes, init containers, containers. After a failure it comes back in 10 to 15 s, after a success in
//! 60 to 90 s, and sooner when the pod changes or something happened in the runtime. While a sync runs,
//! nothing else of the pod does: a pull that hangs holds up even its deletion.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::ensure::{ImageFailure, Wanted};
use super::image_manager::PullPolicy;
use super::pod::{self, Container, Role};
use super::program::Program;
use super::words::{not_found, sandbox_error, sandbox_name};
use super::{Shared, lock, status, timing};
use crate::clock::rfc3339_seconds;
use crate::events::correlator::Severity;
use crate::runtime::Image;
use crate::store::Kind;

/// How long an init container takes.
const INIT_RUNS: Duration = Duration::from_millis(300);
/// How long a program of another architecture takes to fail.
const WRONG_ARCHITECTURE: Duration = Duration::from_millis(50);
const CRASH_FIRST: Duration = Duration::from_secs(10);
const CRASH_LIMIT: Duration = Duration::from_mins(5);

/// Where a worker finds the pod's latest state.
#[derive(Clone)]
pub(crate) struct Mailbox {
    inner: Arc<Letter>,
}

struct Letter {
    pod: Mutex<Arc<Value>>,
    removed: AtomicBool,
    news: Notify,
}

impl Mailbox {
    pub(crate) fn new(pod: Arc<Value>) -> Self {
        let removed = AtomicBool::new(false);
        Self {
            inner: Arc::new(Letter {
                pod: Mutex::new(pod),
                removed,
                news: Notify::new(),
            }),
        }
    }

    /// A newer state; the worker wakes if it is asked for something else than before.
    pub(crate) fn update(&self, pod: Arc<Value>) {
        let mut current = lock(&self.inner.pod);
        let changed = current.get("spec") != pod.get("spec")
            || pod::is_terminating(&current) != pod::is_terminating(&pod);
        *current = pod;
        drop(current);
        if changed {
            self.inner.news.notify_one();
        }
    }

    /// The pod is gone.
    pub(crate) fn remove(&self) {
        self.inner.removed.store(true, Ordering::Relaxed);
        self.inner.news.notify_one();
    }

    /// Wakes the worker: something happened that it notices now.
    pub(super) fn wake(&self) {
        self.inner.news.notify_one();
    }

    fn pod(&self) -> Arc<Value> {
        Arc::clone(&lock(&self.inner.pod))
    }

    fn is_removed(&self) -> bool {
        self.inner.removed.load(Ordering::Relaxed)
    }
}

/// A container as the runtime has it.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) id: String,
    /// The image the pod asked for.
    pub(crate) asked: String,
    /// The image and its id, as statuses show them.
    pub(crate) image: String,
    pub(crate) image_id: String,
    pub(crate) state: State,
    pub(crate) last: Option<Ended>,
    pub(crate) restarts: u32,
    /// The crash back-off in force.
    delay: Duration,
    /// A program that will end by itself, and how.
    exits: Option<(Instant, i32)>,
    /// A program that really runs.
    program: Option<Program>,
}

#[derive(Debug, Clone)]
pub(crate) enum State {
    Running { since: String },
    Ended(Ended),
}

/// A container that ended.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) id: String,
    pub(crate) code: i32,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) started: String,
    pub(crate) finished: String,
    at: Instant,
}

/// What the worker knows of its pod; what a status is made from.
pub(crate) struct Known {
    pub(crate) address: Option<String>,
    pub(crate) runs: BTreeMap<String, Run>,
    /// Waiting reasons and messages, filled at the end of a sync and shown at the start of the next.
    pub(crate) reasons: BTreeMap<String, ImageFailure>,
    pub(crate) started: String,
    /// Counts what happened to the containers.
    changes: u64,
}

/// Address, changes of containers, reasons.
type Told = (Option<String>, u64, BTreeMap<String, ImageFailure>);

struct Worker {
    kubelet: Arc<Shared>,
    mailbox: Mailbox,
    known: Known,
    /// What the last status was made from: an equal one is not written again.
    told: Option<(Arc<Value>, Told)>,
    /// When the kubelet will notice what happened in the runtime.
    notices: Vec<Instant>,
}

/// Runs a pod until it is gone.
pub(crate) async fn run(kubelet: Arc<Shared>, mailbox: Mailbox) {
    let started = kubelet.clock.seconds();
    let known = Known {
        address: None,
        runs: BTreeMap::new(),
        reasons: BTreeMap::new(),
        started,
        changes: 0,
    };
    let mut worker = Worker {
        kubelet,
        mailbox: mailbox.clone(),
        known,
        told: None,
        notices: Vec::new(),
    };
    loop {
        let pod = mailbox.pod();
        if mailbox.is_removed() {
            return;
        }
        if pod::is_terminating(&pod) {
            worker.terminate(&pod).await;
            return;
        }
        let succeeded = worker.sync(&pod).await;
        let mut due = worker.kubelet.next_sync(!succeeded);
        due = worker.notices.iter().copied().fold(due, Instant::min);
        tokio::select! {
            biased;
            () = mailbox.inner.news.notified() => {}
            () = sleep_until(due) => {}
        }
        let now = Instant::now();
        worker.notices.retain(|at| *at > now);
    }
}

impl Worker {
    /// One sync; false if it has to be done again soon.
    async fn sync(&mut self, pod: &Arc<Value>) -> bool {
        self.reap();
        self.tell(pod);
        let secrets = self.kubelet.pull_secrets(pod);
        if self.known.address.is_none() {
            match self.make_sandbox(pod).await {
                Ok(address) => self.known.address = Some(address),
                Err(()) => return false,
            }
            self.happened();
        }
        let volumes = self.image_volumes(pod, &secrets).await;
        let mut succeeded = true;
        for container in pod::containers(pod, "ephemeralContainers") {
            if !self.known.runs.contains_key(&container.name) {
                succeeded &= self.start(pod, &container, &volumes, &secrets).await;
            }
        }
        for container in pod::containers(pod, "initContainers") {
            let run = self.known.runs.get(&container.name);
            let done = match run.map(|run| &run.state) {
                Some(State::Running { .. }) => container.role == Role::Sidecar,
                Some(State::Ended(ended)) => container.role == Role::Init && ended.code == 0,
                None => false,
            };
            if done {
                continue;
            }
            let running = matches!(run.map(|run| &run.state), Some(State::Running { .. }));
            if !running {
                succeeded &= self
                    .start_or_wait(pod, &container, &volumes, &secrets)
                    .await;
            }
            // The next one waits until this one is seen to have started or ended.
            return succeeded;
        }
        for container in pod::containers(pod, "containers") {
            succeeded &= self
                .app_container(pod, &container, &volumes, &secrets)
                .await;
        }
        succeeded
    }

    /// Writes the status if there is anything new to say.
    fn tell(&mut self, pod: &Arc<Value>) {
        let told = (
            self.known.address.clone(),
            self.known.changes,
            self.known.reasons.clone(),
        );
        let same = |(before, before_told): &(Arc<Value>, Told)| {
            *before_told == told && before.get("spec") == pod.get("spec")
        };
        if !self.told.as_ref().is_some_and(same) {
            status::write(&self.kubelet, pod, &self.known, None);
            self.told = Some((Arc::clone(pod), told));
        }
    }

    async fn app_container(
        &mut self,
        pod: &Value,
        container: &Container,
        volumes: &BTreeMap<String, ImageFailure>,
        secrets: &[Arc<Value>],
    ) -> bool {
        let again = |code: i32| match pod::text(pod, &["spec", "restartPolicy"]) {
            "Never" => false,
            "OnFailure" => code != 0,
            _ => true,
        };
        match self.known.runs.get(&container.name) {
            Some(Run {
                state: State::Running { .. },
                asked,
                ..
            }) if *asked == container.image => true,
            Some(Run {
                state: State::Running { .. },
                ..
            }) => {
                self.stop_changed(pod, container).await;
                self.start(pod, container, volumes, secrets).await
            }
            Some(Run {
                state: State::Ended(ended),
                ..
            }) if !again(ended.code) => true,
            _ => self.start_or_wait(pod, container, volumes, secrets).await,
        }
    }

    /// Starts a container unless it crashed a moment ago.
    async fn start_or_wait(
        &mut self,
        pod: &Value,
        container: &Container,
        volumes: &BTreeMap<String, ImageFailure>,
        secrets: &[Arc<Value>],
    ) -> bool {
        let crashed = self
            .known
            .runs
            .get_mut(&container.name)
            .and_then(|run| match &run.state {
                State::Ended(ended) => Some((ended.at.elapsed(), &mut run.delay)),
                State::Running { .. } => None,
            });
        if let Some((since, delay)) = crashed {
            if since < *delay {
                let seconds = crate::runtime::go::duration(*delay);
                self.crash_loop(pod, container, &seconds);
                return false;
            }
            *delay = if delay.is_zero() {
                CRASH_FIRST
            } else {
                (*delay * 2).min(CRASH_LIMIT)
            };
        }
        self.start(pod, container, volumes, secrets).await
    }

    fn crash_loop(&mut self, pod: &Value, container: &Container, delay: &str) {
        let (name, namespace, uid) = (pod::name(pod), pod::namespace(pod), pod::uid(pod));
        let c = &container.name;
        let object = pod::reference(pod, &container.field_path());
        let message =
            format!("Back-off restarting failed container {c} in pod {name}_{namespace}({uid})");
        self.kubelet
            .event(&object, Severity::Warning, "BackOff", message);
        let message = format!(
            "back-off {delay} restarting failed container={c} pod={name}_{namespace}({uid})"
        );
        self.known.reasons.insert(
            c.clone(),
            ImageFailure {
                reason: "CrashLoopBackOff".to_owned(),
                message,
            },
        );
    }

    /// Image, create, start; false leaves a reason for the next status.
    async fn start(
        &mut self,
        pod: &Value,
        container: &Container,
        volumes: &BTreeMap<String, ImageFailure>,
        secrets: &[Arc<Value>],
    ) -> bool {
        let object = pod::reference(pod, &container.field_path());
        let result = self.try_start(pod, container, volumes, secrets).await;
        match result {
            Ok(()) => {
                self.known.reasons.remove(&container.name);
                true
            }
            Err((error, failure)) => {
                self.kubelet.event(
                    &object,
                    Severity::Warning,
                    "Failed",
                    format!("Error: {error}"),
                );
                self.known.reasons.insert(container.name.clone(), failure);
                false
            }
        }
    }

    async fn try_start(
        &mut self,
        pod: &Value,
        container: &Container,
        volumes: &BTreeMap<String, ImageFailure>,
        secrets: &[Arc<Value>],
    ) -> Result<(), (String, ImageFailure)> {
        let object = pod::reference(pod, &container.field_path());
        if let Some(failure) = container
            .volumes
            .iter()
            .find_map(|volume| volumes.get(volume))
        {
            return Err((failure.reason.clone(), failure.clone()));
        }
        let wanted = Wanted {
            pod,
            container: &container.name,
            object: object.clone(),
            image: &container.image,
            policy: PullPolicy::parse(&container.policy),
            secrets,
        };
        let image = self
            .kubelet
            .ensure_image(&wanted)
            .await
            .map_err(|f| (f.reason.clone(), f))?;
        let id = self.kubelet.hex_id();
        let failed = |reason: &str, message: String| {
            (
                message.clone(),
                ImageFailure {
                    reason: reason.to_owned(),
                    message,
                },
            )
        };
        let command = container.command.first().or(image.command.first()).cloned();
        let Some(command) = command.filter(|_| image.runnable || !container.command.is_empty())
        else {
            let message = format!(
                "failed to generate container \"{id}\" spec: failed to generate spec: no command specified"
            );
            return Err(failed("CreateContainerError", message));
        };
        sleep(self.kubelet.draw(timing::CREATE)).await;
        let short = self.kubelet.profile.short_container_events();
        let colon = if self.kubelet.profile.created_with_colon() {
            ":"
        } else {
            ""
        };
        let name = &container.name;
        let created = if short {
            "Container created".to_owned()
        } else {
            format!("Created container{colon} {name}")
        };
        self.kubelet
            .event(&object, Severity::Normal, "Created", created);
        sleep(self.kubelet.draw(timing::START)).await;
        if !image.runnable {
            let message = not_found(&self.kubelet.profile, &command);
            self.record_start(container, &image, id, Some(&message));
            return Err(failed("RunContainerError", message));
        }
        let started = if short {
            "Container started".to_owned()
        } else {
            format!("Started container {name}")
        };
        self.kubelet
            .event(&object, Severity::Normal, "Started", started);
        self.record_start(container, &image, id, None);
        if let Some(run) = self.known.runs.get_mut(&container.name)
            && run.exits.is_none()
        {
            run.program = Program::start(&self.kubelet, &self.mailbox, pod, container, &image);
        }
        Ok(())
    }

    /// Remembers a container that was created, and whether its program could be started.
    fn record_start(
        &mut self,
        container: &Container,
        image: &Image,
        id: String,
        refused: Option<&str>,
    ) {
        let (shown, image_id) = self.kubelet.runtime.status_names(image);
        let before = self.known.runs.remove(&container.name);
        let (restarts, delay) = before
            .as_ref()
            .map_or((0, Duration::ZERO), |run| (run.restarts + 1, run.delay));
        let last = before.and_then(|run| match run.state {
            State::Ended(ended) => Some(ended),
            State::Running { .. } => run.last,
        });
        let now = self.kubelet.clock.seconds();
        let state = match refused {
            None => State::Running { since: now },
            Some(message) => State::Ended(Ended {
                id: id.clone(),
                code: 128,
                reason: "StartError".to_owned(),
                message: message.to_owned(),
                started: "1970-01-01T00:00:00Z".to_owned(),
                finished: now,
                at: Instant::now(),
            }),
        };
        let exits = match (&state, container.role) {
            (State::Ended(_), _) => None,
            _ if !runs_here(&image.architecture, self.kubelet.runtime.architecture()) => {
                Some((Instant::now() + WRONG_ARCHITECTURE, 255))
            }
            (_, Role::Init) => Some((Instant::now() + INIT_RUNS, 0)),
            _ => None,
        };
        self.happened();
        if let Some((at, _)) = exits {
            self.notices.push(self.kubelet.noticed(at));
        }
        let run = Run {
            id,
            asked: container.image.clone(),
            image: shown.unwrap_or_else(|| container.image.clone()),
            image_id,
            state,
            last,
            restarts,
            delay,
            exits,
            program: None,
        };
        self.known.changes += 1;
        self.known.runs.insert(container.name.clone(), run);
    }

    /// Notes the programs that have ended.
    fn reap(&mut self) {
        let clock = self.kubelet.clock;
        for run in self.known.runs.values_mut() {
            if let Some(ended) = run.program.as_ref().and_then(Program::ended) {
                run.exits = Some(ended);
                run.program = None;
            }
            let Some((at, code)) = run.exits.filter(|(at, _)| *at <= Instant::now()) else {
                continue;
            };
            run.exits = None;
            self.known.changes += 1;
            let State::Running { since } = &run.state else {
                continue;
            };
            run.state = State::Ended(Ended {
                id: run.id.clone(),
                code,
                reason: if code == 0 { "Completed" } else { "Error" }.to_owned(),
                message: String::new(),
                started: since.clone(),
                finished: rfc3339_seconds(clock.at(at)),
                at,
            });
        }
    }

    /// A running container whose image was changed in the pod is stopped first.
    async fn stop_changed(&mut self, pod: &Value, container: &Container) {
        let object = pod::reference(pod, &container.field_path());
        let message = format!(
            "Container {} definition changed, will be restarted",
            container.name
        );
        self.kubelet
            .event(&object, Severity::Normal, "Killing", message);
        sleep(self.kubelet.draw(timing::STOP)).await;
        self.end(&container.name, 0);
    }

    fn end(&mut self, name: &str, code: i32) {
        let now = self.kubelet.clock.seconds();
        self.known.changes += 1;
        let Some(run) = self.known.runs.get_mut(name) else {
            return;
        };
        if let State::Running { since } = &run.state {
            run.state = State::Ended(Ended {
                id: run.id.clone(),
                code,
                reason: "Completed".to_owned(),
                message: String::new(),
                started: since.clone(),
                finished: now,
                at: Instant::now(),
            });
            run.exits = None;
            run.program = None;
        }
    }

    /// The pause container and the pod's address.
    async fn make_sandbox(&mut self, pod: &Value) -> Result<String, ()> {
        sleep(self.kubelet.draw(timing::NETWORK)).await;
        if let Some(pause) = self.kubelet.runtime.sandbox_image()
            && self.kubelet.runtime.image(pause).is_none()
            && let Err(status) = self.kubelet.runtime.pull(pause, None).await
        {
            let id = self.kubelet.hex_id();
            let profile = &self.kubelet.profile;
            let pause = crate::runtime::go::quote(pause);
            let said = sandbox_error(profile, &id, &pause, &sandbox_name(pod), &status);
            let message = format!("Failed to create pod sandbox: {said}");
            self.kubelet.event(
                &pod::reference(pod, ""),
                Severity::Warning,
                "FailedCreatePodSandBox",
                message,
            );
            return Err(());
        }
        sleep(self.kubelet.draw(timing::SANDBOX)).await;
        Ok(self.kubelet.pod_address())
    }

    /// Pulls the images of image volumes, at each sync; failures by volume.
    async fn image_volumes(
        &self,
        pod: &Value,
        secrets: &[Arc<Value>],
    ) -> BTreeMap<String, ImageFailure> {
        let mut failures = BTreeMap::new();
        for (volume, image, policy) in pod::image_volumes(pod) {
            let wanted = Wanted {
                pod,
                container: "",
                object: pod::reference(pod, ""),
                image: &image,
                policy: PullPolicy::parse(&policy),
                secrets,
            };
            if let Err(failure) = self.kubelet.ensure_image(&wanted).await {
                failures.insert(volume, failure);
            }
        }
        failures
    }

    fn happened(&mut self) {
        self.notices.push(self.kubelet.noticed(Instant::now()));
    }

    /// Stops what runs and takes the pod out of the API.
    async fn terminate(&mut self, pod: &Value) {
        self.reap();
        let running: Vec<_> = ["initContainers", "containers"]
            .iter()
            .flat_map(|field| pod::containers(pod, field))
            .filter(|c| {
                matches!(
                    self.known.runs.get(&c.name),
                    Some(Run {
                        state: State::Running { .. },
                        ..
                    })
                )
            })
            .collect();
        for container in &running {
            let object = pod::reference(pod, &container.field_path());
            let message = format!("Stopping container {}", container.name);
            self.kubelet
                .event(&object, Severity::Normal, "Killing", message);
        }
        sleep(self.kubelet.draw(timing::TERMINATE)).await;
        for container in &running {
            self.end(&container.name, 0);
        }
        sleep_until(self.kubelet.noticed(Instant::now())).await;
        status::write(&self.kubelet, pod, &self.known, Some(&status::Final));
        let _ = self
            .kubelet
            .store
            .delete(Kind::Pod, pod::namespace(pod), pod::name(pod));
    }
}

/// Whether a machine runs programs of an architecture; nothing is known of an image that does not say.
fn runs_here(image: &str, machine: &str) -> bool {
    image.is_empty() || image == machine || (machine == "amd64" && image == "386")
}
