//! `cargo xtask scenario --backend kind`: a cluster for the scenarios, what stands beside it, the plays
//! in their order, and the way back.
//!
//! One run has one cluster, and holds its lock from the first step to the last. Scenarios that leave
//! the nodes alone are played first, several at a time; then the others, each alone. Whatever ends
//! the run early, what it had begun is removed before it returns.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pull_scenarios::kind::{self, Site, SiteSpec};
use pull_scenarios::{Ending, Play};
use tokio::sync::Mutex;

use super::cluster;
use super::command::{Call, Stop};
use super::config::{ClusterSpec, MAX_NODES};
use super::docker;
use super::error::{KindError, with_causes};
use super::name::ClusterName;
use super::place::Place;
use super::progress::Progress;
use super::step::Suite;
use super::stock::{Nodes, StockImage};
use crate::image::{self, Program};
use crate::scenario::Job;

/// Arguments of `scenario` that only a real cluster has.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct KindOptions {
    /// Name of the cluster that is made for the run
    #[arg(
        long,
        value_name = "NAME",
        default_value = "scenarios",
        help_heading = "With --backend kind"
    )]
    cluster: ClusterName,
    /// Debian release of the nodes: bookworm has containerd 1.6, trixie 1.7
    #[arg(
        long,
        value_enum,
        default_value_t,
        help_heading = "With --backend kind"
    )]
    suite: Suite,
    /// A node image of kind's own instead, such as kindest/node:v1.31.4; Docker pulls it. With --kubernetes
    /// 1.31.4 it is the one of that release
    #[arg(
        long,
        value_name = "IMAGE",
        conflicts_with = "suite",
        help_heading = "With --backend kind"
    )]
    image: Option<StockImage>,
    /// Leaves the cluster there for the next run, and takes one that is there
    #[arg(long, help_heading = "With --backend kind")]
    keep: bool,
    /// Plays on a kind cluster that is there, by its context (kind-NAME); its nodes are put back as they were
    #[arg(long, value_name = "CONTEXT", conflicts_with_all = ["cluster", "suite", "image", "keep"], help_heading = "With --backend kind")]
    context: Option<String>,
    /// How many scenarios that leave the nodes alone are played at once
    #[arg(long, short, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16), help_heading = "With --backend kind")]
    jobs: u8,
    /// A static binary of fake-registry that is there already, instead of building one
    #[arg(long, value_name = "FILE", help_heading = "With --backend kind")]
    registry_binary: Option<PathBuf>,
}

impl KindOptions {
    /// Takes the image of a release of Kubernetes.
    pub(crate) fn of_release(&mut self, release: &str) -> Result<(), String> {
        if self.image.is_some() || self.context.is_some() {
            return Err("--kubernetes cannot be used with --image or --context".to_owned());
        }
        self.image = Some(StockImage::of_release(release)?);
        Ok(())
    }

    /// On what is played, in words.
    pub(crate) fn told(&self) -> String {
        match (&self.context, &self.image) {
            (Some(context), _) => format!("kind cluster {context}"),
            (None, Some(image)) => format!("kind cluster with nodes from {}", image.as_str()),
            (None, None) => format!(
                "kind cluster with nodes from Debian {}",
                self.suite.as_str()
            ),
        }
    }
}

/// Plays scenarios on a real cluster. Plays come in the order of the jobs.
pub(crate) fn play(jobs: &[Job], options: &KindOptions) -> Result<Vec<Play>, KindError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|source| KindError::Runtime { source })?;
    runtime.block_on(run(jobs, options))
}

async fn run(jobs: &[Job], options: &KindOptions) -> Result<Vec<Play>, KindError> {
    let place = Place::of_this_machine(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    let progress = Progress::to_stderr();
    let stop = Stop::on_signals(&progress)?;
    if let Some(context) = &options.context {
        return Box::pin(on_existing(
            &place, context, jobs, options, &progress, &stop,
        ))
        .await;
    }
    let name = &options.cluster;
    let _lock = cluster::lock(&place, name)?;
    docker::runs_nodes(&stop).await?;
    let image = registry_image(options.registry_binary.clone(), &progress, &stop).await?;
    let of = options.image.clone();
    let of = of.map_or(Nodes::Built(options.suite), Nodes::Stock);
    let wanted = ClusterSpec {
        name: name.clone(),
        nodes: with_those_there(nodes_for(jobs), options, &stop).await?,
        stock: of.are_stock(),
    };
    let kubeconfig = cluster::up_held(&place, &wanted, &of, &progress, &stop).await?;
    let site = SiteSpec {
        cluster: name.to_string(),
        network: name.network(),
        kubeconfig,
        context: None,
        image,
        folder: place.cluster(name).join("site"),
        // Keys, and what they sign: one authority for the whole run.
        seed: jobs.first().map_or(1, |job| job.seed),
    };
    let outcome = Box::pin(on_site(site, jobs, options, &progress, &stop)).await;
    if !options.keep {
        // Also after an interruption, and before the first error is told.
        let gone = cluster::down_held(&place, name, &progress, &Stop::never()).await;
        return KindError::with_clearing(outcome, gone);
    }
    outcome
}

/// On somebody's own kind cluster: nothing is created, and nothing stays.
async fn on_existing(
    place: &Place,
    context: &str,
    jobs: &[Job],
    options: &KindOptions,
    progress: &Progress,
    stop: &Stop,
) -> Result<Vec<Play>, KindError> {
    let not_kind = || KindError::NotKind {
        context: context.to_owned(),
    };
    let name = context.strip_prefix("kind-").ok_or_else(not_kind)?;
    let name: ClusterName = name.parse().map_err(|_| not_kind())?;
    let _lock = cluster::lock(place, &name)?;
    docker::reachable(stop).await?;
    let found = docker::find(&name, stop).await?;
    let networks = found.nodes.first().map(|node| node.networks.as_slice());
    let network = networks.and_then(<[String]>::first).ok_or_else(not_kind)?;
    let image = registry_image(options.registry_binary.clone(), progress, stop).await?;
    let site = SiteSpec {
        cluster: name.to_string(),
        network: network.clone(),
        kubeconfig: kubeconfig().ok_or(KindError::NoCache)?,
        context: Some(context.to_owned()),
        image,
        folder: place.cluster(&name).join("site"),
        seed: jobs.first().map_or(1, |job| job.seed),
    };
    Box::pin(on_site(site, jobs, options, progress, stop)).await
}

/// The file that kubectl reads; it is only read.
fn kubeconfig() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let listed = variable("KUBECONFIG").and_then(|list| std::env::split_paths(&list).next());
    listed.or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".kube/config")))
}

/// A cluster that is kept and has more nodes than needed stays as it is.
async fn with_those_there(needed: u8, options: &KindOptions, stop: &Stop) -> Result<u8, KindError> {
    if !options.keep {
        return Ok(needed);
    }
    let there = docker::find(&options.cluster, stop).await?.nodes.len();
    let there = u8::try_from(there).unwrap_or(0);
    Ok(if there <= MAX_NODES {
        needed.max(there)
    } else {
        needed
    })
}

/// As many nodes as the largest scenario needs that a cluster here has room for.
fn nodes_for(jobs: &[Job]) -> u8 {
    let possible = jobs
        .iter()
        .filter(|job| kind::impossible(&job.scenario).is_none());
    let needed = possible.map(|job| kind::nodes(&job.scenario));
    let fitting = needed.filter_map(|nodes| u8::try_from(nodes).ok());
    fitting
        .filter(|nodes| *nodes <= MAX_NODES)
        .max()
        .unwrap_or(1)
        .max(1)
}

/// The image of fake-registry, built and loaded where Docker does not have it.
pub(super) async fn registry_image(
    binary: Option<PathBuf>,
    progress: &Progress,
    stop: &Stop,
) -> Result<String, KindError> {
    let task = progress.task("the registry's image");
    let (archive, id) = archive(Program::FakeRegistry, binary).await?;
    stop.check()?;
    if docker::image(&id, stop).await?.is_none() {
        Call::new("docker")
            .arguments(["load", "--quiet", "--input"])
            .arguments([&archive])
            .within(Duration::from_mins(5))
            .text(stop)
            .await?;
    }
    task.done();
    Ok(id)
}

/// The image of a program as a file, and its id.
pub(super) async fn archive(
    program: Program,
    binary: Option<PathBuf>,
) -> Result<(PathBuf, String), KindError> {
    let made = tokio::task::spawn_blocking(move || image::quick(program, binary.as_deref())).await;
    made.map_err(|error| KindError::Runtime {
        source: error.into(),
    })?
    .map_err(|source| KindError::Image { program, source })
}

async fn on_site(
    spec: SiteSpec,
    jobs: &[Job],
    options: &KindOptions,
    progress: &Progress,
    stop: &Stop,
) -> Result<Vec<Play>, KindError> {
    let task = progress.task("making the cluster ready for scenarios");
    // Never cut off in the middle: what it began on the nodes only it can undo.
    let site = Site::open(spec).await.map_err(|error| site_error(&error))?;
    task.done();
    if let Err(interrupted) = stop.check() {
        let closed = site.close().await.map_err(|error| site_error(&error));
        return KindError::with_clearing(Err(interrupted), closed);
    }
    let played = tokio::select! {
        biased;
        () = stop.asked() => None,
        plays = play_all(&site, jobs, options, progress) => Some(plays),
    };
    let closed = site.close().await.map_err(|error| site_error(&error));
    // The nodes are compared one last time: what many scenarios did together.
    KindError::with_clearing(played.ok_or(KindError::Interrupted), closed)
}

fn site_error(error: &dyn std::error::Error) -> KindError {
    let text = with_causes(error);
    KindError::Site { text }
}

async fn play_all(
    site: &Site,
    jobs: &[Job],
    options: &KindOptions,
    progress: &Progress,
) -> Vec<Play> {
    let (shared, alone): (Vec<usize>, Vec<usize>) = (0..jobs.len())
        .partition(|at| jobs.get(*at).is_some_and(|job| kind::shares(&job.scenario)));
    let plays = Mutex::new(Vec::new());
    let one = async |at: usize| {
        let Some(Job { scenario, seed, .. }) = jobs.get(at) else {
            return;
        };
        let task = progress.task(format!("scenario {}", scenario.id()));
        let play = Box::pin(site.play(scenario, at + 1, *seed)).await;
        match &play.ending {
            Ending::Passed => task.done(),
            Ending::Failed(act) => {
                progress.note(&format!(
                    "scenario {}: FAILED in {}",
                    scenario.id(),
                    act.name()
                ));
                // The rest of a long run is not waited for to learn why.
                let acts = play.acts.iter();
                for mismatch in acts.flat_map(|act| &act.mismatches) {
                    progress.note(&format!(
                        "  {}: {}, not {}",
                        mismatch.what, mismatch.seen, mismatch.expected
                    ));
                }
            }
            Ending::Skipped(reason) => {
                progress.note(&format!("scenario {}: skipped, {reason}", scenario.id()));
            }
        }
        plays.lock().await.push((at, play));
    };
    let next = AtomicUsize::new(0);
    let worker = async || {
        while let Some(at) = shared.get(next.fetch_add(1, Ordering::Relaxed)) {
            Box::pin(one(*at)).await;
        }
    };
    let workers = (0..options.jobs).map(|_| worker());
    futures::future::join_all(workers).await;
    for at in alone {
        Box::pin(one(at)).await;
    }
    let mut plays = plays.into_inner();
    plays.sort_by_key(|(at, _)| *at);
    plays.into_iter().map(|(_, play)| play).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_has_room_for_the_largest_scenario_that_fits() {
        let catalogue = pull_scenarios::catalogue::all().unwrap();
        let of = |ids: &[&str]| {
            let chosen: Vec<Job> = catalogue
                .iter()
                .filter(|scenario| ids.contains(&scenario.id()))
                .map(|scenario| Job {
                    name: scenario.id().to_owned(),
                    scenario: std::sync::Arc::new(scenario.clone()),
                    seed: 1,
                })
                .collect();
            nodes_for(&chosen)
        };
        assert_eq!(of(&["bad-tag"]), 1);
        assert_eq!(of(&["bad-tag", "firewall-block"]), 2);
        assert_eq!(of(&[]), 1);
    }
}
