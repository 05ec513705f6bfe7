//! A scenario's world for people and their programs: played up to the failure, then left running.
//!
//! [`Lab::start`] makes the world as the player does and plays its first acts as fast as they go. From
//! then on whoever holds it decides how time passes; `sim_cluster::live` has the pace, the API's front
//! and the gateway. Nothing here says what is wrong.

use std::time::Duration;

use http::header::ACCEPT;
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use pullcheck::world::World;
use serde_json::Value;
use sim_cluster::cluster::Cluster;
use sim_cluster::net::Host;
use sim_cluster::store::Kind;
use tower_service::Service as _;

use crate::backend::embedded::Embedded;
use crate::backend::{Attempt, Backend as _};
use crate::observer::{Observer, Seconds, Seen};
use crate::play;
use crate::spec::{self, LoadError, Scenario, Step};
use crate::versions::Versions;
use crate::workshop::{Before, Favour, Flaw};

/// The host of the person at the keyboard.
const WORKSTATION: &str = "workstation";
/// What a table's rows are asked for.
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
/// Events in a picture.
const EVENTS: usize = 12;

/// How far a scenario is played before people come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Everything is well.
    Healthy,
    /// The failure has lasted for as long as the scenario observes it.
    Broken,
}

/// Why the world is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LabError(String);

/// What there is to see at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The time of day in the cluster.
    pub time: String,
    /// Rows of `kubectl get pods`, the head first.
    pub pods: Vec<Vec<String>>,
    /// Rows of `kubectl get nodes`, the head first.
    pub nodes: Vec<Vec<String>>,
    /// The last events, a line each, the newest last.
    pub events: Vec<String>,
    /// A token for Azure Resource Manager that is valid now, where there is an Azure.
    pub token: Option<String>,
}

/// A world that runs.
pub struct Lab {
    world: Embedded,
    scenario: Scenario,
    observer: Observer,
}

/// The machine's date now.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// A cluster with nothing wrong, for those who name no scenario.
pub fn playground() -> Result<Scenario, Box<LoadError>> {
    spec::parse("playground.yaml", include_str!("playground.yaml"))
}

impl Lab {
    /// Makes the world of a scenario and plays it up to `stage`. The cluster's clock then reads `now`,
    /// so that other programs reckon ages as the cluster does. Must be called on a runtime with a
    /// paused clock.
    pub async fn start(
        scenario: &Scenario,
        seed: u64,
        stage: Stage,
        now: Timestamp,
    ) -> Result<Self, LabError> {
        let begun = tokio::time::Instant::now();
        let lead = healthy_takes(scenario, seed)? + broken_for(scenario, stage);
        let start = now.checked_sub(lead).unwrap_or(now);
        let world = Embedded::build(scenario, seed, Versions::default(), start)
            .map_err(|error| LabError(error.to_string()))?;
        world
            .prepare_probes()
            .map_err(|error| LabError(error.to_string()))?;
        play::prepare(&world, scenario, stage == Stage::Broken)
            .await
            .map_err(LabError)?;
        let observer = Observer::start(&world.client(), play::NAMESPACE, begun);
        tokio::time::sleep_until(begun + lead).await;
        Ok(Self {
            world,
            scenario: scenario.clone(),
            observer,
        })
    }

    /// Asks the checker about what the scenario is about, from where a user stands.
    pub async fn check(&self) -> pullcheck::report::Report {
        play::ask(&self.world, &self.scenario.acts.diagnose.ask.value).await
    }

    /// Writes down what stands now.
    pub fn before(&self) -> Before {
        Before::take(&self.world, &self.scenario)
    }

    /// Judges what was done since. Time passes, at most as long as the scenario gives a repair, until
    /// everything is well; what is still wrong then is returned.
    pub async fn judge(&self, before: &Before) -> Vec<Flaw> {
        let within = self.scenario.acts.verify.within.get();
        let deadline = tokio::time::Instant::now() + within;
        let mut changes = self.observer.subscribe();
        loop {
            let flaws = self.flaws(before);
            let waits = flaws.iter().all(Flaw::may_pass);
            if flaws.is_empty() || !waits || tokio::time::Instant::now() >= deadline {
                return flaws;
            }
            let changed = tokio::time::timeout_at(deadline, changes.changed());
            // Either way it is looked at once more, and changes come in bursts.
            let _ = changed.await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What is wrong at this moment.
    pub fn flaws(&self, before: &Before) -> Vec<Flaw> {
        before.judge(&self.world, &self.scenario, &self.observer.snapshot())
    }

    /// What is different since.
    pub fn changes(&self, before: &Before) -> Vec<String> {
        before.changes(&self.world)
    }

    /// Whether the images that run now are those that a remedy of the report names.
    pub fn follows(&self, report: &pullcheck::report::Report) -> bool {
        let running = Before::images(&self.world);
        let answers = report.answers.iter().flat_map(|answer| &answer.remedies);
        let lines = answers.flat_map(|remedy| &remedy.commands);
        lines
            .filter_map(|line| crate::Command::parse(line).ok())
            .any(|command| {
                matches!(command, crate::Command::SetImage { images, .. }
                if images.iter().all(|image| running.contains(image)))
            })
    }

    /// Others do what they are asked for.
    pub async fn favour(&self, favour: &Favour) -> Result<(), LabError> {
        for step in &favour.steps {
            let done = self.world.step(step).await;
            done.map_err(|error| LabError(error.to_string()))?;
        }
        Ok(())
    }

    /// Mends it as the scenario's file does; `report` is what its remedies are taken from.
    pub async fn mend(&self, report: &pullcheck::report::Report) -> Result<Vec<String>, LabError> {
        let (steps, report) = (&self.scenario.acts.fix, Some(report.clone()));
        play::carry_out(&self.world, &self.scenario, steps, report)
            .await
            .map_err(LabError)
    }

    /// Lets time pass, as fast as it goes.
    pub async fn wait(&self, length: Duration) {
        tokio::time::sleep(length).await;
    }

    /// Every pull so far.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.world.attempts(&Seen::default())
    }

    /// How long the cluster has been there.
    pub fn elapsed(&self) -> Seconds {
        Seconds::from(self.cluster().clock().elapsed())
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        self.world.cluster()
    }

    /// A host of the simulated network that people may stand at: the workstation, or a node.
    pub fn host(&self, name: &str) -> Option<Host> {
        if name == WORKSTATION {
            return Some(self.world.workstation());
        }
        self.cluster().node(name).map(|node| node.host())
    }

    /// The names of these hosts.
    pub fn places(&self) -> Vec<String> {
        let nodes = self.cluster().nodes();
        let nodes = nodes.iter().map(|node| node.name().to_owned());
        std::iter::once(WORKSTATION.to_owned())
            .chain(nodes)
            .collect()
    }

    /// What somebody at the workstation has: their own network, and the cluster's API.
    pub fn world_of_workstation(&self) -> World {
        self.world.world_of_workstation()
    }

    /// The certificate of the authority that signs for registries and cloud, PEM.
    pub fn authority_pem(&self) -> String {
        self.world.authority_pem()
    }

    /// A token for Azure Resource Manager of the person at the workstation, where there is an Azure.
    pub fn arm_token(&self) -> Option<String> {
        self.world.arm_token()
    }

    /// What to try first.
    pub fn hints(&self) -> Vec<String> {
        let ask = &self.scenario.acts.diagnose.ask.value;
        let asked = format!("{} {}", ask.kind.word(), ask.name);
        vec![
            "kubectl get pods".to_owned(),
            format!("kubectl describe {asked}"),
            format!("kubectl pullcheck {asked}"),
            format!("kubectl pullcheck {asked} --from nodes"),
        ]
    }

    /// What there is to see now.
    pub async fn view(&self) -> View {
        View {
            time: self
                .cluster()
                .clock()
                .now()
                .strftime("%H:%M:%S UTC")
                .to_string(),
            pods: self.table("/api/v1/pods").await,
            nodes: self.table("/api/v1/nodes").await,
            events: self.events(),
            token: self.arm_token(),
        }
    }

    /// The rows that kubectl prints for a path, without its wide columns.
    async fn table(&self, path: &str) -> Vec<Vec<String>> {
        let request = http::Request::get(path)
            .header(ACCEPT, TABLE)
            .body(axum_body());
        let Ok(request) = request else {
            return Vec::new();
        };
        let Ok(answer) = self.cluster().service().call(request).await;
        let Ok(body) = answer.into_body().collect().await else {
            return Vec::new();
        };
        let table: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
        let list = |field: &str| {
            table
                .get(field)
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default()
        };
        let shown: Vec<(usize, String)> = list("columnDefinitions")
            .iter()
            .enumerate()
            .filter(|(_, column)| column.get("priority").and_then(Value::as_i64).unwrap_or(0) == 0)
            .map(|(at, column)| (at, text(column.get("name")).to_uppercase()))
            .collect();
        let head = shown.iter().map(|(_, name)| name.clone()).collect();
        let rows = list("rows");
        let rows = rows.iter().map(|row| {
            let cell = |at: usize| text(row.get("cells").and_then(|cells| cells.get(at)));
            shown.iter().map(|(at, _)| cell(*at)).collect()
        });
        std::iter::once(head).chain(rows).collect()
    }

    fn events(&self) -> Vec<String> {
        let (events, _) = self.cluster().store().list_shared(Kind::Event, None);
        let mut lines: Vec<(String, String)> = events
            .iter()
            .map(|event| {
                let field = |path: &str| text(event.pointer(path));
                let last = [field("/lastTimestamp"), field("/eventTime")];
                let at = last
                    .into_iter()
                    .find(|at| !at.is_empty())
                    .unwrap_or_default();
                let of = field("/involvedObject/kind").to_lowercase();
                let line = format!(
                    "{:7} {} {of}/{}: {}",
                    field("/type"),
                    field("/reason"),
                    field("/involvedObject/name"),
                    field("/message")
                );
                (at, line)
            })
            .collect();
        lines.sort();
        let first = lines.len().saturating_sub(EVENTS);
        lines
            .split_off(first)
            .into_iter()
            .map(|(_, line)| line)
            .collect()
    }
}

impl std::fmt::Debug for Lab {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lab")
            .field("scenario", &self.scenario.id())
            .finish_non_exhaustive()
    }
}

fn axum_body() -> kube::client::Body {
    kube::client::Body::empty()
}

fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

/// How long the first act takes, so that the clock can begin as much earlier. It is played once for that,
/// in a world and on a thread of its own: what is simulated in a runtime goes on until that ends.
fn healthy_takes(scenario: &Scenario, seed: u64) -> Result<Duration, LabError> {
    let played = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .map_err(|error| LabError(format!("no runtime: {error}")))?;
        runtime.block_on(async {
            let begun = tokio::time::Instant::now();
            let start = sim_cluster::clock::default_start();
            let world = Embedded::build(scenario, seed, Versions::default(), start)
                .map_err(|error| LabError(error.to_string()))?;
            play::prepare(&world, scenario, false)
                .await
                .map_err(LabError)?;
            Ok(begun.elapsed())
        })
    };
    std::thread::scope(|scope| scope.spawn(played).join())
        .unwrap_or_else(|_| Err(LabError("the first act panics".to_owned())))
}

/// For how long the failure has lasted when people come: what the break waits for, and what it is observed.
fn broken_for(scenario: &Scenario, stage: Stage) -> Duration {
    if stage == Stage::Healthy {
        return Duration::ZERO;
    }
    let acts = &scenario.acts;
    let waits = acts.break_.iter().map(|step| match &step.value {
        Step::Wait(length) => length.get(),
        _ => Duration::ZERO,
    });
    waits.sum::<Duration>() + acts.observe.for_.get()
}
