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
use crate::play;
use crate::spec::{self, LoadError, Scenario, Step};
use crate::versions::Versions;

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
        let lead = lead(scenario, stage);
        let start = now.checked_sub(lead).unwrap_or(now);
        let world = Embedded::build(scenario, seed, Versions::default(), start)
            .map_err(|error| LabError(error.to_string()))?;
        world
            .prepare_probes()
            .map_err(|error| LabError(error.to_string()))?;
        play::prepare(&world, scenario, stage == Stage::Broken)
            .await
            .map_err(LabError)?;
        tokio::time::sleep_until(begun + lead).await;
        Ok(Self {
            world,
            scenario: scenario.clone(),
        })
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

/// What has passed in the cluster when people come: time for the rollout, for what the break waits
/// for, and for what it is observed.
fn lead(scenario: &Scenario, stage: Stage) -> Duration {
    let acts = &scenario.acts;
    let healthy = acts.healthy.within.get();
    if stage == Stage::Healthy {
        return healthy;
    }
    let waits = acts.break_.iter().map(|step| match &step.value {
        Step::Wait(length) => length.get(),
        _ => Duration::ZERO,
    });
    healthy + waits.sum::<Duration>() + acts.observe.for_.get()
}
