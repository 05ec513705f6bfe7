//! Jobs: pods that run to their end, as many at a time and in all as wanted.
//!
//! An image that cannot be pulled leaves a Job active for ever: its pods never fail, so `backoffLimit`
//! does not count them; only `activeDeadlineSeconds` ends it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::object::{
    condition, controller_key, date, is_controlled_by, is_deleted, is_ready, key, map, name,
    namespace, number, reference, text,
};
use super::recorder::{Note, Recorder};
use super::work::{Controller, Key};
use crate::api::{Api, DeleteOptions, WriteOptions};
use crate::store::{Change, Kind};

/// The pause before a pod that could not be made is tried again.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Jobs {
    api: Api,
    recorder: Recorder,
}

/// The pods of a job by what became of them.
struct Pods {
    active: Vec<Arc<Value>>,
    succeeded: i64,
    failed: i64,
}

impl Jobs {
    pub(super) fn new(api: Api) -> Self {
        Self {
            recorder: Recorder::new(api.clone(), "job-controller"),
            api,
        }
    }

    fn note(&mut self, job: &Value, of: &str, reason: &str, message: &str) {
        let note = Note {
            of,
            reason,
            action: "",
            message,
        };
        self.recorder.event(Kind::Job, job, note);
    }

    fn pods(&self, job: &Value) -> Pods {
        let mut pods = Pods {
            active: Vec::new(),
            succeeded: 0,
            failed: 0,
        };
        for pod in self
            .api
            .store()
            .list_shared(Kind::Pod, Some(namespace(job)))
            .0
        {
            if !is_controlled_by(&pod, job) {
                continue;
            }
            match text(&pod, "/status/phase") {
                "Succeeded" => pods.succeeded += 1,
                "Failed" => pods.failed += 1,
                _ if is_deleted(&pod) => {}
                _ => pods.active.push(pod),
            }
        }
        pods
    }

    /// Makes one pod; the error that stopped it.
    fn create(&mut self, job: &Value) -> Result<(), ()> {
        let mut pod = json!({
            "metadata": job.pointer("/spec/template/metadata").cloned().unwrap_or_else(|| json!({})),
            "spec": job.pointer("/spec/template/spec")
        });
        if let Some(meta) = map(&mut pod, "metadata") {
            meta.insert("generateName".into(), format!("{}-", name(job)).into());
            let owner = reference(Kind::Job, job);
            meta.insert("ownerReferences".into(), json!([owner]));
        }
        let made = self
            .api
            .create(Kind::Pod, namespace(job), pod, WriteOptions::default());
        match made {
            Ok(pod) => {
                let message = format!("Created pod: {}", name(&pod));
                self.note(job, "Normal", "SuccessfulCreate", &message);
                Ok(())
            }
            Err(error) => {
                let message = format!("Error creating: {error}");
                self.note(job, "Warning", "FailedCreate", &message);
                Err(())
            }
        }
    }

    fn remove(&mut self, job: &Value, pods: &[Arc<Value>]) {
        for pod in pods {
            let options = DeleteOptions::default();
            let gone = self
                .api
                .delete(Kind::Pod, namespace(pod), name(pod), &options);
            if gone.is_ok() {
                let message = format!("Deleted pod: {}", name(pod));
                self.note(job, "Normal", "SuccessfulDelete", &message);
            }
        }
    }

    fn report(&self, job: &Value, pods: &Pods, active: usize, ended: Option<(&str, &str, &str)>) {
        let now = self.api.store().clock().seconds();
        let mut status = job.get("status").cloned().unwrap_or_else(|| json!({}));
        let Some(fields) = status.as_object_mut() else {
            return;
        };
        let suspended = is_suspended(job);
        if suspended {
            fields.shift_remove("startTime");
        } else {
            fields
                .entry("startTime")
                .or_insert_with(|| now.clone().into());
        }
        let ready = pods.active.iter().filter(|pod| is_ready(pod)).count();
        let ready = if active == 0 { 0 } else { ready };
        for (field, count) in [
            ("active", i64::try_from(active).unwrap_or(i64::MAX)),
            ("succeeded", pods.succeeded),
            ("failed", pods.failed),
        ] {
            if count > 0 {
                fields.insert(field.into(), count.into());
            } else {
                fields.shift_remove(field);
            }
        }
        fields.insert("ready".into(), ready.into());
        fields.insert("terminating".into(), 0.into());
        fields.insert("uncountedTerminatedPods".into(), json!({}));
        let mut told: Vec<(&str, &str, &str)> = ended.into_iter().collect();
        if suspended {
            told.push(("Suspended", "JobSuspended", "Job suspended"));
        }
        for (of, reason, message) in told {
            if condition(job, of).is_some() {
                continue;
            }
            let entry = json!({ "type": of, "status": "True", "lastProbeTime": now,
                "lastTransitionTime": now, "reason": reason, "message": message });
            let list = fields.entry("conditions").or_insert_with(|| json!([]));
            if let Some(list) = list.as_array_mut() {
                list.push(entry);
            }
            if of == "Complete" {
                fields.insert("completionTime".into(), now.clone().into());
            }
        }
        if job.get("status") != Some(&status) {
            let _ = self
                .api
                .set_status(Kind::Job, namespace(job), name(job), status);
        }
    }
}

fn is_suspended(job: &Value) -> bool {
    job.pointer("/spec/suspend") == Some(&Value::Bool(true))
}

/// Why a job is over, before its pods are looked at further.
fn ending(
    job: &Value,
    pods: &Pods,
    now: Timestamp,
) -> Option<(&'static str, &'static str, &'static str)> {
    let limit = job.pointer("/spec/backoffLimit").and_then(Value::as_i64);
    if pods.failed > limit.unwrap_or(6) {
        let why = "Job has reached the specified backoff limit";
        return Some(("Failed", "BackoffLimitExceeded", why));
    }
    if left(job, now).is_some_and(|left| left <= 0) {
        let why = "Job was active longer than specified deadline";
        return Some(("Failed", "DeadlineExceeded", why));
    }
    let wanted = job.pointer("/spec/completions").and_then(Value::as_i64);
    let done = wanted.map_or(pods.succeeded > 0 && pods.active.is_empty(), |wanted| {
        pods.succeeded >= wanted
    });
    done.then_some((
        "Complete",
        "CompletionsReached",
        "Reached expected number of succeeded pods",
    ))
}

/// The seconds until the job's deadline, where it has one and has begun.
fn left(job: &Value, now: Timestamp) -> Option<i64> {
    let deadline = job
        .pointer("/spec/activeDeadlineSeconds")
        .and_then(Value::as_i64)?;
    let start = date(job, "/status/startTime")?;
    Some(start.as_second() + deadline - now.as_second())
}

impl Controller for Jobs {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Job, Kind::Pod]
    }

    fn concerned(&mut self, kind: Kind, change: &Change) -> Vec<Key> {
        match kind {
            Kind::Job => vec![key(&change.object)],
            _ => controller_key(&change.object, Kind::Job)
                .into_iter()
                .collect(),
        }
    }

    fn everything(&mut self) -> Vec<Key> {
        let (jobs, _) = self.api.store().list_shared(Kind::Job, None);
        jobs.iter().map(|job| key(job)).collect()
    }

    fn sync(&mut self, place: &Key) -> Option<Duration> {
        let store = self.api.store().clone();
        let job = store.get_shared(Kind::Job, &place.0, &place.1)?;
        if is_deleted(&job) {
            return None;
        }
        let now = store.clock().now();
        if condition(&job, "Complete").is_some() || condition(&job, "Failed").is_some() {
            let kept = job
                .pointer("/spec/ttlSecondsAfterFinished")
                .and_then(Value::as_i64)?;
            let ended = date(&job, "/status/completionTime")
                .or_else(|| date(condition(&job, "Failed")?, "/lastTransitionTime"))?;
            let left = ended.as_second() + kept - now.as_second();
            if left > 0 {
                return u64::try_from(left).ok().map(Duration::from_secs);
            }
            let _ = self
                .api
                .delete(Kind::Job, &place.0, &place.1, &DeleteOptions::default());
            return None;
        }
        let pods = self.pods(&job);
        if let Some(ended) = ending(&job, &pods, now) {
            self.remove(&job, &pods.active);
            match ended.0 {
                "Complete" => self.note(&job, "Normal", "Completed", "Job completed"),
                _ => self.note(&job, "Warning", ended.1, ended.2),
            }
            self.report(&job, &pods, 0, Some(ended));
            return None;
        }
        let have = pods.active.len();
        let wanted = if is_suspended(&job) {
            0
        } else {
            let most = number(&job, "/spec/parallelism").max(0);
            let rest = job.pointer("/spec/completions").and_then(Value::as_i64);
            let rest = rest.map_or(most, |all| all - pods.succeeded);
            usize::try_from(most.min(rest)).unwrap_or(0)
        };
        let mut made = 0;
        let mut retry = None;
        for _ in have..wanted {
            if self.create(&job).is_err() {
                retry = Some(RETRY);
                break;
            }
            made += 1;
        }
        if have > wanted {
            self.remove(&job, pods.active.get(wanted..).unwrap_or_default());
        }
        self.report(&job, &pods, have.min(wanted) + made, None);
        let deadline = left(&job, now).and_then(|left| u64::try_from(left).ok());
        let deadline = deadline.map(Duration::from_secs);
        retry.into_iter().chain(deadline).min()
    }
}
