//! The thread of the simulation: makes the world, plays it up to the wanted point as fast as it goes,
//! then lets time run at the chosen speed and tells what there is to see.

use std::io;
use std::time::Duration;

use futures::future::LocalBoxFuture;
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
pub(crate) struct World {
    pub(crate) version: String,
    pub(crate) nodes: usize,
    pub(crate) authority: String,
    pub(crate) token: Option<String>,
    pub(crate) hints: Vec<String>,
}

/// Something to do in the simulation, on its own thread; while it runs time passes as fast as it goes.
type Task = Box<dyn for<'a> FnOnce(&'a Lab) -> LocalBoxFuture<'a, ()> + Send>;

/// What the simulation tells.
#[derive(Debug)]
pub(crate) enum Told {
    Ready(World),
    View(View),
    Failed(UpError),
}

pub(crate) struct Simulation {
    tasks: mpsc::Sender<Task>,
    told: mpsc::Receiver<Told>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Simulation {
    pub(super) fn start(plan: Plan) -> io::Result<Self> {
        let (tell, told) = mpsc::channel(4);
        let (tasks, wanted) = mpsc::channel(4);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("simulation".to_owned())
            .spawn(move || {
                let outcome = runtime().map_err(UpError::from).and_then(|runtime| {
                    runtime.block_on(simulate(plan, tell.clone(), wanted, stopped))
                });
                if let Err(error) = outcome {
                    let _ = tell.blocking_send(Told::Failed(error));
                }
            })?;
        Ok(Self {
            tasks,
            told,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Does something in the simulation. `None` when it has ended.
    pub(crate) async fn with<T, F>(&self, work: F) -> Option<T>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a Lab) -> LocalBoxFuture<'a, T> + Send + 'static,
    {
        let (done, result) = oneshot::channel();
        let task: Task = Box::new(move |lab| {
            let work = work(lab);
            Box::pin(async move {
                // Nobody may be waiting any more.
                let _ = done.send(work.await);
            })
        });
        self.tasks.send(task).await.ok()?;
        result.await.ok()
    }

    pub(crate) async fn next(&mut self) -> Option<Told> {
        self.told.recv().await
    }

    /// Ends it and waits until everything of it is gone.
    pub(crate) fn stop(&mut self) {
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
    mut wanted: mpsc::Receiver<Task>,
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
    let front = ApiFront::new(cluster, &plan.identity).with_dates_by(pull_scenarios::live::now);
    tokio::spawn(front.serve(plan.api));
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
    let work = async {
        loop {
            tokio::select! {
                biased;
                task = wanted.recv() => match task {
                    Some(task) => task(&lab).await,
                    None => return,
                },
                () = pace(plan.speed) => {}
            }
        }
    };
    tokio::select! {
        biased;
        _ = stopped => Ok(()),
        failure = failures.first() => Err(UpError::Died(failure.to_string())),
        () = work => Ok(()),
        () = show => Ok(()),
    }
}
