//! Plays on worker threads: each play has a thread's runtime to itself, results come in the order of the jobs.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pull_scenarios::spec::Scenario;
use pull_scenarios::{Play, Versions};
use tokio::sync::mpsc;

/// One play that is to be made.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// What names it on a command line: an id, or the path of a file.
    pub(crate) name: String,
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) seed: u64,
}

/// All plays in the order of the jobs; `None` when interrupted. Nothing outlives the process, so there is
/// nothing to clean up.
pub(super) fn all(jobs: &[Job], versions: Versions) -> io::Result<Option<Vec<Play>>> {
    let bar = progress(jobs.len());
    // The largest first, so that none of them is begun when the others are done.
    let mut order: Vec<(usize, Job)> = jobs.iter().cloned().enumerate().collect();
    order.sort_by_key(|(index, job)| (std::cmp::Reverse(job.scenario.count_nodes()), *index));
    let order = Arc::new(order);
    let next = Arc::new(AtomicUsize::new(0));
    let (results, mut finished) = mpsc::unbounded_channel();
    let workers = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(jobs.len());
    for _ in 0..workers {
        let (order, next, results) = (Arc::clone(&order), Arc::clone(&next), results.clone());
        std::thread::spawn(move || {
            while let Some((index, job)) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                let play = pull_scenarios::play_embedded_with(&job.scenario, job.seed, versions);
                if results.send((*index, play)).is_err() {
                    return;
                }
            }
        });
    }
    drop(results);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let plays = runtime.block_on(async {
        let mut plays: Vec<(usize, Play)> = Vec::with_capacity(jobs.len());
        loop {
            tokio::select! {
                biased;
                _ = tokio::signal::ctrl_c() => return None,
                play = finished.recv() => match play {
                    Some(play) => {
                        bar.inc(1);
                        plays.push(play);
                    }
                    None => break,
                },
            }
        }
        plays.sort_by_key(|(index, _)| *index);
        Some(plays.into_iter().map(|(_, play)| play).collect())
    });
    bar.finish_and_clear();
    Ok(plays)
}

/// Shown on a terminal only.
fn progress(total: usize) -> ProgressBar {
    let target = if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(total as u64), target);
    let template = "{spinner} {bar:30} {pos}/{len} scenarios {elapsed}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    bar
}
