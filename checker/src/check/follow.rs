//! Following a rollout until it is healthy or the time is over, for pipelines.
//!
//! Only pods are read while waiting, at a fixed interval; the whole check runs once, at the end, and
//! only where the end is not healthy.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Request, Settings, check_with, target_of};
use crate::cluster;
use crate::report::{Gap, Report};
use crate::symptom::{ContainerState, GapReason, Pod, Symptoms};
use crate::verdict::Verdict;
use crate::world::World;

/// How to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follow {
    /// Time between two looks.
    pub every: Duration,
    /// Time after which it is given up.
    pub timeout: Duration,
}

impl Default for Follow {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(5),
            timeout: Duration::from_mins(5),
        }
    }
}

/// Looks at the pods of `request` until all is well, then reports success; or until the time is
/// over, then checks what is wrong. `tell` gets a line whenever the picture has changed.
pub async fn follow(
    world: &World,
    request: &Request,
    settings: &Settings,
    how: &Follow,
    mut tell: impl FnMut(&str),
) -> Report {
    let (Some((target, subject)), Some(client)) = (target_of(request), &world.cluster) else {
        return check_with(world, request, settings).await;
    };
    let begun = tokio::time::Instant::now();
    let mut last = String::new();
    loop {
        let symptoms = cluster::glance(client, &target).await;
        let words = words(&symptoms);
        if words != last {
            tell(&words);
            last.clone_from(&words);
        }
        if healthy(&symptoms, target.is_wide()) {
            return Report {
                subject,
                at: world.clock.now(),
                answers: Vec::new(),
                problems: Vec::new(),
                summary: Some(format!(
                    "{words}; healthy after {} s",
                    begun.elapsed().as_secs()
                )),
                gaps: Vec::new(),
                nothing: Verdict::Pullable,
            };
        }
        // Waiting does not bring rights, or an object that was never made.
        let hopeless = symptoms.pods_read == 0
            && symptoms
                .gaps
                .iter()
                .any(|gap| matches!(gap.why, GapReason::Forbidden(_) | GapReason::Unauthorized));
        if hopeless || begun.elapsed() + how.every > how.timeout {
            let mut report = check_with(world, request, settings).await;
            if !hopeless {
                let seconds = begun.elapsed().as_secs();
                report.gaps.insert(
                    0,
                    Gap {
                        what: format!("not healthy after {seconds} s: {words}"),
                        ask: None,
                    },
                );
            }
            return report;
        }
        tokio::time::sleep(how.every).await;
    }
}

fn healthy(symptoms: &Symptoms, wide: bool) -> bool {
    if !symptoms.gaps.is_empty() && symptoms.pods_read == 0 {
        return false;
    }
    let pods = || symptoms.pods.iter().filter(|pod| !pod.deleting);
    if pods().any(|pod| pod.troubles().next().is_some()) {
        return false;
    }
    match &symptoms.rollout {
        Some(rollout) => rollout.done,
        None => (wide || pods().next().is_some()) && pods().all(is_well),
    }
}

fn is_well(pod: &Pod) -> bool {
    let well = |state: &ContainerState| match state {
        ContainerState::Running => true,
        ContainerState::Terminated { exit_code, .. } => *exit_code == 0,
        ContainerState::Waiting { .. } | ContainerState::Unknown => false,
    };
    pod.phase.as_deref() == Some("Succeeded") || pod.containers.iter().all(|one| well(&one.state))
}

fn words(symptoms: &Symptoms) -> String {
    let live: Vec<&Pod> = symptoms.pods.iter().filter(|pod| !pod.deleting).collect();
    let troubled = live
        .iter()
        .filter(|pod| pod.troubles().next().is_some())
        .count();
    let well = live.iter().filter(|pod| is_well(pod)).count();
    let beside = symptoms.pods_read.saturating_sub(symptoms.pods.len());
    let mut words = format!(
        "{} pods: {} run, {} begin, {troubled} in trouble over an image",
        live.len() + beside,
        well + beside,
        live.len() - well - troubled.min(live.len() - well),
    );
    if let Some(rollout) = &symptoms.rollout {
        let _ = write!(words, " ({})", rollout.words);
    }
    words
}
