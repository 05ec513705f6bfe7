//! The status of a deployment: counts, and the two conditions that say how it goes.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Bounds, Deployments, Set, sum};
use crate::controllers::object::{condition, date, items, name, namespace, number, text};
use crate::store::Kind;

/// A condition as it should be; the dates follow from what it was.
struct Wanted {
    of: &'static str,
    status: &'static str,
    reason: &'static str,
    message: String,
}

impl Deployments {
    /// Writes the status. `rolling` is false for a deployment that is paused or being deleted: its
    /// progress is not judged. Gives when its deadline runs out.
    pub(super) fn report(
        &self,
        deployment: &Value,
        sets: &[Set],
        newest: Option<&Set>,
        rolling: bool,
    ) -> Option<Duration> {
        let counts = Counts::of(sets, newest);
        let old = deployment.get("status").cloned().unwrap_or_default();
        let mut conditions = items(deployment, "/status/conditions").to_vec();
        let bounds = Bounds::of(deployment);
        let clock = self.api.store().clock();
        let now = clock.seconds();
        let enough = counts.available >= bounds.wanted - bounds.unavailable;
        let available = if enough {
            Wanted {
                of: "Available",
                status: "True",
                reason: "MinimumReplicasAvailable",
                message: "Deployment has minimum availability.".into(),
            }
        } else {
            Wanted {
                of: "Available",
                status: "False",
                reason: "MinimumReplicasUnavailable",
                message: "Deployment does not have minimum availability.".into(),
            }
        };
        set(&mut conditions, &available, &now, false);
        let deadline = deployment.pointer("/spec/progressDeadlineSeconds");
        let deadline = deadline.and_then(Value::as_i64);
        let mut next = None;
        if let (true, Some(deadline)) = (rolling, deadline) {
            self.judge(deployment, &counts, newest, &mut conditions, deadline);
            next = self.until_deadline(&conditions, deadline);
        } else if rolling {
            conditions.retain(|condition| text(condition, "/type") != "Progressing");
        } else if deployment.pointer("/spec/paused") == Some(&Value::Bool(true)) {
            self.judge_pause(&mut conditions, deadline.is_some());
        }
        failures(&mut conditions, sets, newest);
        let mut status = json!({
            "observedGeneration": number(deployment, "/metadata/generation")
        });
        if let Some(status) = status.as_object_mut() {
            for (field, count) in [
                ("replicas", counts.replicas),
                ("updatedReplicas", counts.updated),
                ("readyReplicas", counts.ready),
                ("availableReplicas", counts.available),
                (
                    "unavailableReplicas",
                    (counts.replicas_wanted - counts.available).max(0),
                ),
            ] {
                if count > 0 {
                    status.insert(field.into(), count.into());
                }
            }
            status.insert("conditions".into(), conditions.into());
            let collisions = deployment.pointer("/status/collisionCount");
            status.extend(collisions.map(|count| ("collisionCount".into(), count.clone())));
        }
        if status != old {
            let (namespace, name) = (namespace(deployment), name(deployment));
            let _ = self
                .api
                .set_status(Kind::Deployment, namespace, name, status);
        }
        next
    }

    fn judge(
        &self,
        deployment: &Value,
        counts: &Counts,
        newest: Option<&Set>,
        conditions: &mut Vec<Value>,
        deadline: i64,
    ) {
        let now = self.api.store().clock().seconds();
        let wanted = number(deployment, "/spec/replicas");
        let progressing = |conditions: &[Value], path: &str| {
            let found = conditions
                .iter()
                .find(|condition| text(condition, "/type") == "Progressing");
            found.map(|condition| text(condition, path).to_owned())
        };
        let told = |text: &str| match newest {
            Some(set) => format!("ReplicaSet {:?} {text}", set.name()),
            None => format!("Deployment {:?} {text}", name(deployment)),
        };
        let new = |status, reason, message| Wanted {
            of: "Progressing",
            status,
            reason,
            message,
        };
        let reason = progressing(conditions, "/reason");
        if let Some(newest) = newest.filter(|newest| newest.fresh || reason.is_none()) {
            let (reason, word) = if newest.fresh {
                ("NewReplicaSetCreated", "Created")
            } else {
                ("FoundNewReplicaSet", "Found")
            };
            let text = format!("{word} new replica set {:?}", newest.name());
            set(conditions, &new("True", reason, text), &now, true);
        }
        let reason = progressing(conditions, "/reason");
        let settled = counts.replicas == counts.updated
            && reason.as_deref() == Some("NewReplicaSetAvailable");
        if settled {
            return;
        }
        let before = Counts::from_status(deployment);
        let complete = counts.updated == wanted
            && counts.replicas == wanted
            && counts.available == wanted
            && newest.is_some();
        if complete {
            let text = told("has successfully progressed.");
            set(
                conditions,
                &new("True", "NewReplicaSetAvailable", text),
                &now,
                false,
            );
        } else if counts.is_ahead_of(&before) {
            let text = told("is progressing.");
            set(
                conditions,
                &new("True", "ReplicaSetUpdated", text),
                &now,
                true,
            );
        } else if self.timed_out(conditions, deadline) {
            let text = told("has timed out progressing.");
            let late = new("False", "ProgressDeadlineExceeded", text);
            set(conditions, &late, &now, false);
        }
    }

    fn judge_pause(&self, conditions: &mut Vec<Value>, deadline: bool) {
        let now = self.api.store().clock().seconds();
        let exceeded = conditions
            .iter()
            .any(|condition| text(condition, "/reason") == "ProgressDeadlineExceeded");
        if deadline && !exceeded {
            let paused = Wanted {
                of: "Progressing",
                status: "Unknown",
                reason: "DeploymentPaused",
                message: "Deployment is paused".into(),
            };
            set(conditions, &paused, &now, false);
        }
    }

    /// How long until a deployment that makes no progress has made none for too long.
    fn until_deadline(&self, conditions: &[Value], deadline: i64) -> Option<Duration> {
        let progressing = conditions
            .iter()
            .find(|condition| text(condition, "/type") == "Progressing")?;
        let over = ["NewReplicaSetAvailable", "ProgressDeadlineExceeded"];
        if over.contains(&text(progressing, "/reason")) {
            return None;
        }
        let since = date(progressing, "/lastUpdateTime")?;
        let now = self.api.store().clock().now();
        // A second more, because the dates are in whole seconds.
        let left = since.as_second() + deadline + 1 - now.as_second();
        Some(Duration::from_secs(u64::try_from(left).unwrap_or(0).max(1)))
    }

    fn timed_out(&self, conditions: &[Value], deadline: i64) -> bool {
        let Some(progressing) = conditions
            .iter()
            .find(|condition| text(condition, "/type") == "Progressing")
        else {
            return false;
        };
        match text(progressing, "/reason") {
            "ProgressDeadlineExceeded" => return true,
            "NewReplicaSetAvailable" => return false,
            _ => {}
        }
        let now = self.api.store().clock().now().as_second();
        date(progressing, "/lastUpdateTime").is_some_and(|since| since.as_second() + deadline < now)
    }
}

/// How many pods there are, of which kind.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    replicas_wanted: i64,
    replicas: i64,
    updated: i64,
    ready: i64,
    available: i64,
}

impl Counts {
    fn of(sets: &[Set], newest: Option<&Set>) -> Self {
        let updated = newest.and_then(|new| sets.iter().find(|set| set.name() == new.name()));
        Self {
            replicas_wanted: sum(sets, Set::wanted),
            replicas: sum(sets, |set| set.status("replicas")),
            updated: updated.map_or(0, |set| set.status("replicas")),
            ready: sum(sets, |set| set.status("readyReplicas")),
            available: sum(sets, Set::available),
        }
    }

    fn from_status(deployment: &Value) -> Self {
        let count = |field: &str| number(deployment, &format!("/status/{field}"));
        Self {
            replicas_wanted: 0,
            replicas: count("replicas"),
            updated: count("updatedReplicas"),
            ready: count("readyReplicas"),
            available: count("availableReplicas"),
        }
    }

    /// More new pods, fewer old ones, or more that are ready.
    fn is_ahead_of(&self, before: &Self) -> bool {
        self.updated > before.updated
            || self.replicas - self.updated < before.replicas - before.updated
            || self.ready > before.ready
            || self.available > before.available
    }
}

/// Sets a condition. With the same status and reason nothing changes, unless it is to be `renewed`.
fn set(conditions: &mut Vec<Value>, wanted: &Wanted, now: &str, renewed: bool) {
    let old = conditions
        .iter()
        .find(|condition| text(condition, "/type") == wanted.of);
    let same_status = old.is_some_and(|old| text(old, "/status") == wanted.status);
    let same = same_status && old.is_some_and(|old| text(old, "/reason") == wanted.reason);
    if same && !renewed {
        return;
    }
    let since = match old {
        Some(old) if same_status => text(old, "/lastTransitionTime").to_owned(),
        _ => now.to_owned(),
    };
    conditions.retain(|condition| text(condition, "/type") != wanted.of);
    conditions.push(json!({
        "type": wanted.of,
        "status": wanted.status,
        "lastUpdateTime": now,
        "lastTransitionTime": since,
        "reason": wanted.reason,
        "message": wanted.message
    }));
}

/// A set that cannot make its pods passes its failure on.
fn failures(conditions: &mut Vec<Value>, sets: &[Set], newest: Option<&Set>) {
    conditions.retain(|condition| text(condition, "/type") != "ReplicaFailure");
    let failing = newest
        .into_iter()
        .chain(sets)
        .find_map(|set| condition(&set.object, "ReplicaFailure"));
    if let Some(failure) = failing {
        let since = text(failure, "/lastTransitionTime");
        conditions.push(json!({
            "type": "ReplicaFailure",
            "status": "True",
            "lastUpdateTime": since,
            "lastTransitionTime": since,
            "reason": text(failure, "/reason"),
            "message": text(failure, "/message")
        }));
    }
}
