//! The player: healthy, break, observe, diagnose, fix, verify.
//!
//! It knows the scenario; the checker does not. What the checker gets is a client, the places that
//! a user could reach, and the name that a user would type. What it answers is compared here.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use pullcheck::cause::Cause;
use pullcheck::verdict::Verdict;
use serde_saphyr::Spanned;
use tokio::time::Instant;

use crate::backend::{Attempt, Backend, Pace, StepError};
use crate::kubectl;
use crate::look::Look;
use crate::observer::{Observer, Seconds, is_ready};
pub use crate::played::{Act, ActPlayed, Ending, Mismatch, Play};
use crate::remedy::Command;
use crate::rollout::{self, pods_of};
use crate::spec::{
    ApplyRemedy, Diagnosis, ExpectedVerdict, Rollout, Scenario, Step, Target, TargetKind,
};
use crate::told::told;
use crate::traces::Traces;

/// The namespace in which a scenario plays that has a cluster to itself.
pub(crate) const NAMESPACE: &str = "default";

/// How long another play of the same scenario took: one that is compared with it takes as long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tempo {
    pub(crate) observe: Duration,
    pub(crate) diagnose: Duration,
}

/// What is still on its way when a play in virtual time is at its end comes within that.
pub(crate) const LINGER: Duration = Duration::from_secs(10);

/// Plays all six acts, or as many as go well.
pub(crate) async fn play<B: Backend>(backend: &B, scenario: &Scenario, seed: u64) -> Play {
    play_at(backend, scenario, seed, None).await
}

/// The same, no faster than another play was.
pub(crate) async fn play_at<B: Backend>(
    backend: &B,
    scenario: &Scenario,
    seed: u64,
    tempo: Option<Tempo>,
) -> Play {
    let start = Instant::now();
    let client = backend.client();
    let observer = Observer::start(&client, backend.namespace(), start);
    let mut player = Player {
        backend,
        scenario,
        client,
        observer,
        start,
        tempo,
        report: None,
        acts: Vec::new(),
    };
    let mut ending = Ending::Passed;
    for act in Act::ALL {
        match player.act(act).await {
            Ok(true) => {}
            Ok(false) => {
                ending = Ending::Failed(act);
                break;
            }
            Err(reason) => {
                ending = Ending::Skipped(reason);
                break;
            }
        }
    }
    if ending == Ending::Passed {
        ending = player.put_back().await;
    }
    if tempo.is_some() {
        backend.sleep(LINGER).await;
    }
    let seen = player.observer.record();
    let attempts = backend.attempts(&seen);
    // Only what is compared is asked for all that it did.
    let compared = tempo.is_some() || backend.pace() == Pace::Real;
    let requests = if compared {
        backend.requests().await
    } else {
        Vec::new()
    };
    Play {
        scenario: scenario.clone(),
        seed,
        real: backend.pace() == Pace::Real,
        ending,
        acts: player.acts,
        attempts,
        statuses: seen.statuses,
        events: seen.events,
        report: player.report,
        traces: Traces {
            containers: seen.containers,
            owners: seen.owners,
            requests,
            stage: backend.stage(),
        },
    }
}

/// Plays the first act, and the second where the failure is wanted; for worlds that people take over.
pub(crate) async fn prepare<B: Backend>(
    backend: &B,
    scenario: &Scenario,
    broken: bool,
) -> Result<(), String> {
    let start = Instant::now();
    let client = backend.client();
    let mut player = Player {
        backend,
        scenario,
        observer: Observer::start(&client, NAMESPACE, start),
        client,
        start,
        tempo: None,
        report: None,
        acts: Vec::new(),
    };
    for act in [Act::Healthy, Act::Break]
        .into_iter()
        .take(1 + usize::from(broken))
    {
        if !player.act(act).await? {
            let mismatches = player.acts.iter().flat_map(|played| &played.mismatches);
            let texts: Vec<String> = mismatches
                .map(|one| format!("{}: {}, not {}", one.what, one.seen, one.expected))
                .collect();
            return Err(texts.join("; "));
        }
    }
    Ok(())
}

/// Carries out steps on a world that people have taken over; `report` is what a remedy is taken from.
pub(crate) async fn carry_out<B: Backend>(
    backend: &B,
    scenario: &Scenario,
    steps: &[Spanned<Step>],
    report: Option<pullcheck::report::Report>,
) -> Result<Vec<String>, String> {
    let start = Instant::now();
    let client = backend.client();
    let mut player = Player {
        backend,
        scenario,
        observer: Observer::start(&client, backend.namespace(), start),
        client,
        start,
        report,
        tempo: None,
        acts: Vec::new(),
    };
    let mut notes = Notes::default();
    let outcome = player.steps(steps, &mut notes).await;
    outcome.map_err(|error| error.to_string())?;
    match notes.mismatches.first() {
        Some(one) => Err(format!("{}: {}, not {}", one.what, one.seen, one.expected)),
        None => Ok(notes.done),
    }
}

/// Asks the checker what the scenario would have it asked.
pub(crate) async fn ask<B: Backend>(backend: &B, target: &Target) -> pullcheck::report::Report {
    let (world, settings) = (backend.world(), backend.settings());
    let request = target.request(backend.namespace());
    pullcheck::check::check_with(&world, &request, &settings).await
}

struct Player<'a, B> {
    backend: &'a B,
    scenario: &'a Scenario,
    client: Client,
    observer: Observer,
    start: Instant,
    tempo: Option<Tempo>,
    report: Option<pullcheck::report::Report>,
    acts: Vec<ActPlayed>,
}

/// What an act did and found while it runs.
#[derive(Default)]
struct Notes {
    done: Vec<String>,
    mismatches: Vec<Mismatch>,
}

impl Notes {
    fn done(&mut self, what: impl Into<String>) {
        self.done.push(what.into());
    }

    fn compare(
        &mut self,
        met: bool,
        what: &str,
        expected: impl Into<String>,
        seen: impl Into<String>,
    ) {
        if !met {
            self.mismatches.push(Mismatch {
                what: what.to_owned(),
                expected: expected.into(),
                seen: seen.into(),
            });
        }
    }
}

impl<B: Backend> Player<'_, B> {
    /// Whether the act went as expected; `Err` is the reason for which it cannot be played here.
    async fn act(&mut self, act: Act) -> Result<bool, String> {
        let from = Seconds::from(self.start.elapsed());
        let mut notes = Notes::default();
        let outcome = match act {
            Act::Healthy => self.healthy(&mut notes).await,
            Act::Break => self.steps(&self.scenario.acts.break_, &mut notes).await,
            Act::Observe => {
                self.observe(&mut notes).await;
                Ok(())
            }
            Act::Diagnose => {
                self.diagnose(&mut notes).await;
                Ok(())
            }
            Act::Fix => self.fix(&mut notes).await,
            Act::Verify => {
                self.reach(&self.scenario.acts.verify, &mut notes).await;
                Ok(())
            }
        };
        if let Err(StepError::Failed(seen)) = &outcome {
            notes.compare(false, "step", "carried out", seen.clone());
        }
        let passed = notes.mismatches.is_empty();
        self.acts.push(ActPlayed {
            act,
            passed,
            from,
            to: Seconds::from(self.start.elapsed()),
            notes: notes.done,
            mismatches: notes.mismatches,
        });
        match outcome {
            Err(StepError::Unsupported(reason)) => Err(reason),
            _ => Ok(passed),
        }
    }

    async fn apply(&self, manifests: &str) -> Result<(), StepError> {
        let objects = self.backend.objects(manifests)?;
        kubectl::apply(&self.client, self.backend.namespace(), objects).await
    }

    /// A scenario that leaves its stage dirty has not gone well.
    async fn put_back(&mut self) -> Ending {
        let left = self.backend.left_behind().await;
        let Some(verify) = self.acts.last_mut().filter(|_| !left.is_empty()) else {
            return Ending::Passed;
        };
        verify.passed = false;
        verify.mismatches.extend(left);
        Ending::Failed(Act::Verify)
    }

    async fn healthy(&self, notes: &mut Notes) -> Result<(), StepError> {
        self.apply(&self.scenario.cluster.manifests.value).await?;
        self.reach(&self.scenario.acts.healthy, notes).await;
        Ok(())
    }

    async fn fix(&mut self, notes: &mut Notes) -> Result<(), StepError> {
        // The proof of the repair is worth something only if it fails on the broken cluster.
        let unmet = self.unmet(&self.scenario.acts.verify);
        notes.compare(
            unmet.is_some(),
            "the check of `verify`, before the fix",
            "not met",
            "met: nothing was broken",
        );
        if let Some(why) = unmet {
            notes.done(format!("before the fix: {why}"));
        }
        self.steps(&self.scenario.acts.fix, notes).await
    }

    async fn steps(&mut self, steps: &[Spanned<Step>], notes: &mut Notes) -> Result<(), StepError> {
        for step in steps {
            if let Step::Diagnose(again) = &step.value {
                let cause = again.cause.value.as_str();
                self.ask(&again.ask.value, cause, &again.expect, notes)
                    .await;
                continue;
            }
            let done = self.step(&step.value).await?;
            notes.done(done);
        }
        Ok(())
    }

    /// Carries out a step and says what was done.
    async fn step(&self, step: &Step) -> Result<String, StepError> {
        match step {
            Step::SetImage(images) => {
                for (target, image) in images {
                    kubectl::set_image(
                        &self.client,
                        self.backend.namespace(),
                        target,
                        &[(None, image)],
                    )
                    .await?;
                }
                Ok(images
                    .iter()
                    .map(|(target, image)| format!("kubectl set image {target} '*={image}'"))
                    .collect::<Vec<_>>()
                    .join("; "))
            }
            Step::Scale(replicas) => {
                for (target, count) in replicas {
                    kubectl::scale(&self.client, self.backend.namespace(), target, *count).await?;
                }
                Ok(replicas
                    .iter()
                    .map(|(target, count)| format!("kubectl scale {target} --replicas={count}"))
                    .collect::<Vec<_>>()
                    .join("; "))
            }
            Step::Apply(manifests) => {
                self.apply(manifests).await?;
                Ok("kubectl apply -f -".to_owned())
            }
            Step::Delete(target) => {
                kubectl::delete(&self.client, self.backend.namespace(), target).await?;
                Ok(format!(
                    "kubectl delete {} {}",
                    target.kind.word(),
                    target.name
                ))
            }
            Step::DeleteSecret(name) => {
                kubectl::delete_secret(&self.client, self.backend.namespace(), name).await?;
                Ok(format!("kubectl delete secret {name}"))
            }
            Step::Restart(target) => {
                let now = self.backend.world().clock.now();
                kubectl::restart(&self.client, self.backend.namespace(), target, now).await?;
                Ok(format!("kubectl rollout restart {target}"))
            }
            Step::Cordon(node) => {
                let name = self.backend.node_name(node);
                kubectl::cordon(&self.client, &name, true).await?;
                Ok(format!("kubectl cordon {node}"))
            }
            Step::Uncordon(node) => {
                let name = self.backend.node_name(node);
                kubectl::cordon(&self.client, &name, false).await?;
                Ok(format!("kubectl uncordon {node}"))
            }
            Step::Wait(length) => {
                self.backend.sleep(length.get()).await;
                Ok(format!("{} pass", crate::text::length(length.get())))
            }
            Step::ApplyRemedy(which) => self.apply_remedy(which).await,
            other => {
                self.backend.step(other).await?;
                Ok(told(other))
            }
        }
    }

    async fn apply_remedy(&self, which: &ApplyRemedy) -> Result<String, StepError> {
        let (which, with) = (which.command(), which.with());
        // Several images have several answers, the worst first.
        let answers = self.report.iter().flat_map(|report| &report.answers);
        let remedies = answers.flat_map(|answer| &answer.remedies);
        let lines = remedies.flat_map(|remedy| &remedy.commands);
        let mut refused = Vec::new();
        for line in lines {
            match Command::parse_filled(line, with) {
                Ok(command) if command.name() == which => {
                    self.carry_out(&command).await?;
                    return Ok(format!("the remedy: {line}"));
                }
                Ok(_) => {}
                Err(error) => refused.push(error.to_string()),
            }
        }
        let rest = if refused.is_empty() {
            String::new()
        } else {
            format!(" ({})", refused.join("; "))
        };
        Err(StepError::Failed(format!(
            "the remedy has no command `{which}`{rest}"
        )))
    }

    /// The namespace of a command, the scenario's own where it names none.
    fn space<'a>(&'a self, namespace: Option<&'a String>) -> &'a str {
        namespace.map_or(self.backend.namespace(), String::as_str)
    }

    async fn carry_out(&self, command: &Command) -> Result<(), StepError> {
        match command {
            Command::SetImage {
                namespace,
                target,
                images,
            } => {
                let target: Target = target.parse().map_err(StepError::Failed)?;
                let images: Vec<_> = images
                    .iter()
                    .map(|(name, image)| (Some(name.as_str()), image.as_str()))
                    .collect();
                kubectl::set_image(
                    &self.client,
                    self.space(namespace.as_ref()),
                    &target,
                    &images,
                )
                .await
            }
            Command::DeletePod { namespace, name } => {
                let target = Target {
                    kind: TargetKind::Pod,
                    name: name.clone(),
                };
                kubectl::delete(&self.client, self.space(namespace.as_ref()), &target).await
            }
            Command::Restart { namespace, target } => {
                let target: Target = target.parse().map_err(StepError::Failed)?;
                let now = self.backend.world().clock.now();
                kubectl::restart(&self.client, self.space(namespace.as_ref()), &target, now).await
            }
            Command::Patch {
                namespace,
                target,
                patch,
            } => kubectl::patch(&self.client, self.space(namespace.as_ref()), target, patch).await,
            Command::CreateSecret {
                namespace,
                name,
                server,
                username,
                password,
            } => {
                let login = (server.as_str(), username.as_str(), password.as_str());
                kubectl::create_secret(&self.client, self.space(namespace.as_ref()), name, login)
                    .await
            }
            Command::DeleteSecret { namespace, name } => {
                kubectl::delete_secret(&self.client, self.space(namespace.as_ref()), name).await
            }
            Command::AssignRole { .. }
            | Command::UpdateRegistry { .. }
            | Command::AllowArmTokens { .. }
            | Command::AllowAddress { .. }
            | Command::AttachRegistry { .. }
            | Command::ReconcileCluster { .. } => self.backend.cloud(command).await,
        }
    }

    async fn observe(&self, notes: &mut Notes) {
        let longest = self.scenario.acts.observe.for_.get();
        let from = Instant::now();
        let least = match (self.backend.pace(), self.tempo) {
            (Pace::Virtual, None) => longest,
            (Pace::Virtual, Some(tempo)) => tempo.observe.min(longest),
            (Pace::Real, _) => Duration::ZERO,
        };
        if !least.is_zero() {
            self.backend.sleep(least).await;
        }
        let mut look = Look::start();
        let (mismatches, seen) = loop {
            let (mut mismatches, seen) = self.seen();
            let gone = look.gone(self.backend).await;
            if mismatches.is_empty() || !gone.is_empty() || from.elapsed() >= longest {
                mismatches.extend(gone);
                break (mismatches, seen);
            }
            self.backend.sleep(Duration::from_millis(500)).await;
        };
        notes.mismatches.extend(mismatches);
        let watched = from.elapsed().min(longest);
        notes.done(format!("after {}: {seen}", crate::text::length(watched)));
    }

    /// What is not as expected by now, and what is there in words.
    fn seen(&self) -> (Vec<Mismatch>, String) {
        let mut notes = Notes::default();
        let record = self.observer.record();
        let expect = &self.scenario.acts.observe.expect;

        // What the break itself already showed counts as well: a fast pull fails before this act.
        let broken = self.acts.iter().find(|played| played.act == Act::Break);
        let broken = broken.map_or(Seconds::default(), |played| played.from);
        let shown = record.statuses.iter().filter(|change| change.at >= broken);
        let mut reasons: Vec<&str> = shown.map(|change| change.status.as_str()).collect();
        reasons.sort_unstable();
        reasons.dedup();
        notes.compare(
            reasons.contains(&expect.waiting.as_str()),
            "a waiting reason",
            expect.waiting.clone(),
            reasons.join(", "),
        );
        for text in &expect.events {
            let found = record
                .events
                .iter()
                .any(|event| event.at >= broken && event.message.contains(text));
            notes.compare(found, "an event's message", text.clone(), "no event has it");
        }
        let most = most_failed(&self.backend.attempts(&record));
        if let Some(least) = expect.attempts {
            notes.compare(
                most >= least,
                "failed pulls of one pod",
                format!("at least {least}"),
                most.to_string(),
            );
        }
        let (running, waiting) = self.pods_of_asked();
        if let Some(least) = expect.running {
            notes.compare(
                running >= least,
                "pods that run",
                format!("at least {least}"),
                running.to_string(),
            );
        }
        if let Some(least) = expect.still_waiting {
            notes.compare(
                waiting >= least,
                "pods that wait",
                format!("at least {least}"),
                waiting.to_string(),
            );
        }
        let seen = format!(
            "pods running {running}, waiting {waiting}; failed pulls of one pod, at most {most}"
        );
        (notes.mismatches, seen)
    }

    /// How many pods of the asked workload run, and how many do not.
    fn pods_of_asked(&self) -> (usize, usize) {
        let now = self.observer.snapshot();
        let ask = &self.scenario.acts.diagnose.ask.value;
        let pods: Vec<&Pod> = match ask.kind {
            TargetKind::Pod => now.pods.get(&ask.name).into_iter().collect(),
            TargetKind::Deployment => now
                .deployments
                .get(&ask.name)
                .map(|deployment| {
                    pods_of(deployment, &now)
                        .into_iter()
                        .map(|(pod, _)| pod)
                        .collect()
                })
                .unwrap_or_default(),
        };
        let running = pods.iter().filter(|pod| is_ready(pod)).count();
        (running, pods.len() - running)
    }

    async fn diagnose(&mut self, notes: &mut Notes) {
        let diagnose = &self.scenario.acts.diagnose;
        let cause = self.scenario.cause.value.as_str();
        let from = Instant::now();
        self.ask(&diagnose.ask.value, cause, &diagnose.expect, notes)
            .await;
        if let Some(tempo) = self.tempo {
            let rest = tempo.diagnose.saturating_sub(from.elapsed());
            self.backend.sleep(rest).await;
        }
    }

    /// Runs the checker and compares what it says.
    async fn ask(&mut self, ask: &Target, cause: &str, expect: &Diagnosis, notes: &mut Notes) {
        let report = self::ask(self.backend, ask).await;
        let verdict = report.verdict();
        notes.compare(
            verdict.kind() == expect.verdict.id(),
            "verdict",
            expect.verdict.id(),
            verdict.kind(),
        );
        if expect.verdict != ExpectedVerdict::Pullable {
            let found = named(verdict).map_or("none", |cause| cause.id());
            notes.compare(found == cause, "cause", cause, found);
        }
        if let Some(stage) = &expect.stage {
            let seen = verdict.stage().map_or("none", |stage| stage.id());
            notes.compare(seen == stage.value, "stage", stage.value.clone(), seen);
        }
        for (image, cause) in &expect.also {
            let answer = report.answers.iter().find(|answer| answer.image == *image);
            let found = answer.and_then(|answer| named(&answer.judgement.verdict));
            let found = found.map_or("none", |cause| cause.id());
            let what = format!("cause of {image}");
            notes.compare(found == cause.value, &what, cause.value.clone(), found);
        }
        notes.done(format!(
            "pullcheck {} {}: {}",
            ask.kind.word(),
            ask.name,
            verdict.kind()
        ));
        self.report = Some(report);
    }

    /// The first expectation that is not met now.
    fn unmet(&self, rollout: &Rollout) -> Option<String> {
        let now = self.observer.snapshot();
        let digests = |reference: &str| self.backend.digest(reference);
        rollout
            .expect
            .iter()
            .find_map(|(target, state)| rollout::check(target, state.value, &now, &digests).err())
    }

    /// Waits until the expectations are met, or the time is over.
    async fn reach(&self, rollout: &Rollout, notes: &mut Notes) {
        let mut changes = self.observer.subscribe();
        let deadline = Instant::now() + rollout.within.get();
        let mut look = Look::start();
        loop {
            let Some(unmet) = self.unmet(rollout) else {
                let names = rollout
                    .expect
                    .keys()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", ");
                notes.done(format!("{names}: as wanted"));
                return;
            };
            let until = look.until(self.backend, deadline);
            let change = tokio::time::timeout_at(until, changes.changed()).await;
            let gone = look.gone(self.backend).await;
            let over = match change {
                Ok(changed) => changed.is_err(),
                Err(_) => Instant::now() >= deadline,
            };
            if over || !gone.is_empty() {
                let wanted = format!("met within {}", crate::text::length(rollout.within.get()));
                notes.compare(false, "the workloads", wanted, unmet);
                notes.mismatches.extend(gone);
                return;
            }
            // Changes come in bursts; one look a burst is enough.
            self.backend.sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The cause that a verdict names, or puts first.
fn named(verdict: &Verdict) -> Option<Cause> {
    verdict
        .cause()
        .or_else(|| candidates(verdict).first().copied())
}

/// The causes that remain, where several do.
pub(crate) fn candidates(verdict: &Verdict) -> &[Cause] {
    match verdict {
        Verdict::Undetermined { candidates, .. } => candidates,
        Verdict::Pullable | Verdict::Blocked { .. } => &[],
    }
}

/// The failed pulls of the pod and image that failed most often.
fn most_failed(attempts: &[Attempt]) -> usize {
    let mut counts = std::collections::BTreeMap::<(&str, &str), usize>::new();
    for attempt in attempts.iter().filter(|attempt| !attempt.pulled) {
        *counts.entry((&attempt.pod, &attempt.image)).or_default() += 1;
    }
    counts.into_values().max().unwrap_or(0)
}
