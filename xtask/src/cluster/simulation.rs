//! The thread of the simulation: makes the world, plays it up to the wanted point as fast as it goes,
//! then lets time run at the chosen speed and tells what there is to see.

use std::io;
use std::time::Duration;

use pull_scenarios::live::{Lab, Stage, View};
use pull_scenarios::spec::Scenario;
use sim_cluster::live::{ApiFront, Arrivals, Gateway, Identity, Speed, pace, runtime};
use tokio::sync::{mpsc, oneshot};

use super::UpError;

/// How often the view is taken, in wall time.
const REFRESH: Duration = Duration::from_millis(500);

pub(super) struct Plan {
    pub(super) scenario: Scenario,
    pub(super) seed: u64,
    pub(super) stage: Stage,
    pub(super) speed: Speed,
    pub(super) from: String,
    pub(super) identity: Identity,
    pub(super) api: Arrivals,
    pub(super) gateway: Arrivals,
}

/// What the world is, once it is made.
#[derive(Debug)]
pub(super) struct World {
    pub(super) version: String,
    pub(super) nodes: usize,
    pub(super) authority: String,
    pub(super) token: Option<String>,
    pub(super) hints: Vec<String>,
}

/// What the simulation tells.
#[derive(Debug)]
pub(super) enum Told {
    Ready(World),
    View(View),
    Failed(UpError),
}

pub(super) struct Simulation {
    told: mpsc::Receiver<Told>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Simulation {
    pub(super) fn start(plan: Plan) -> io::Result<Self> {
        let (tell, told) = mpsc::channel(4);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("simulation".to_owned())
            .spawn(move || {
                let outcome = runtime()
                    .map_err(UpError::from)
                    .and_then(|runtime| runtime.block_on(simulate(plan, tell.clone(), stopped)));
                if let Err(error) = outcome {
                    let _ = tell.blocking_send(Told::Failed(error));
                }
            })?;
        Ok(Self {
            told,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    pub(super) async fn next(&mut self) -> Option<Told> {
        self.told.recv().await
    }

    /// Ends it and waits until everything of it is gone.
    pub(super) fn stop(&mut self) {
        drop(self.stop.take());
        self.told.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn simulate(
    plan: Plan,
    tell: mpsc::Sender<Told>,
    stopped: oneshot::Receiver<()>,
) -> Result<(), UpError> {
    let now = pull_scenarios::live::now();
    let lab = Lab::start(&plan.scenario, plan.seed, plan.stage, now)
        .await
        .map_err(|error| UpError::World(error.to_string()))?;
    let from = lab.host(&plan.from).ok_or_else(|| UpError::Place {
        name: plan.from.clone(),
        there: lab.places().join(", "),
    })?;
    let cluster = lab.cluster();
    let failures = cluster.failures().clone();
    tokio::spawn(ApiFront::new(cluster, &plan.identity).serve(plan.api));
    tokio::spawn(Gateway::new(from, failures.clone()).serve(plan.gateway));
    let world = World {
        version: cluster.api().version(),
        nodes: cluster.nodes().len(),
        authority: lab.authority_pem(),
        token: lab.arm_token(),
        hints: lab.hints(),
    };
    if tell.send(Told::Ready(world)).await.is_err() {
        return Ok(());
    }
    let show = async {
        loop {
            tokio::time::sleep(plan.speed.of(REFRESH)).await;
            // A slow terminal misses a picture; the next one is newer.
            let _ = tell.try_send(Told::View(lab.view().await));
        }
    };
    tokio::select! {
        biased;
        _ = stopped => Ok(()),
        failure = failures.first() => Err(UpError::Died(failure.to_string())),
        () = pace(plan.speed) => Ok(()),
        () = show => Ok(()),
    }
}
