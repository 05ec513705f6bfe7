//! ReplicaSets: as many pods of a template as are wanted.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::object::{
    condition, controller, controller_key, date, is_active, is_controlled_by, is_deleted, is_ready,
    items, key, name, namespace, number, reference, text, uid,
};
use super::recorder::{Note, Recorder};
use super::work::{Controller, Key};
use crate::api::{Api, DeleteOptions, LabelSelector, WriteOptions};
use crate::store::{Change, Kind};

/// The most pods made or deleted in one go.
const BURST: usize = 500;
/// The first pause after a pod could not be made; it doubles.
const FIRST_RETRY: Duration = Duration::from_millis(5);
/// The longest pause.
const LAST_RETRY: Duration = Duration::from_secs(1000);

#[derive(Debug)]
pub(super) struct ReplicaSets {
    api: Api,
    recorder: Recorder,
    failures: BTreeMap<Key, u32>,
}

impl ReplicaSets {
    pub(super) fn new(api: Api) -> Self {
        Self {
            recorder: Recorder::new(api.clone(), "replicaset-controller"),
            api,
            failures: BTreeMap::new(),
        }
    }

    /// The pods that are this set's: its own, and those it takes in because nobody owns them.
    fn claim(&self, set: &Value, selector: &LabelSelector) -> Vec<Arc<Value>> {
        let (pods, _) = self
            .api
            .store()
            .list_shared(Kind::Pod, Some(namespace(set)));
        let mut mine = Vec::new();
        for pod in pods {
            let fits = selector.matches(&pod);
            if is_controlled_by(&pod, set) {
                if fits {
                    mine.push(pod);
                } else {
                    self.release(set, &pod);
                }
            } else if fits
                && controller(&pod).is_none()
                && is_active(&pod)
                && !is_deleted(set)
                && let Some(pod) = self.adopt(set, &pod)
            {
                mine.push(pod);
            }
        }
        mine
    }

    fn adopt(&self, set: &Value, pod: &Value) -> Option<Arc<Value>> {
        let owner = reference(Kind::ReplicaSet, set);
        let adopted = self
            .api
            .change(Kind::Pod, namespace(pod), name(pod), |pod| {
                if let Some(meta) = pod.get_mut("metadata").and_then(Value::as_object_mut) {
                    let owners = meta.entry("ownerReferences").or_insert_with(|| json!([]));
                    if let Some(owners) = owners.as_array_mut() {
                        owners.push(owner);
                    }
                }
            });
        adopted.ok().map(Arc::new)
    }

    fn release(&self, set: &Value, pod: &Value) {
        let own = uid(set).to_owned();
        let _ = self
            .api
            .change(Kind::Pod, namespace(pod), name(pod), |pod| {
                let owners = pod.pointer_mut("/metadata/ownerReferences");
                if let Some(owners) = owners.and_then(Value::as_array_mut) {
                    owners.retain(|owner| text(owner, "/uid") != own);
                }
            });
    }

    /// Makes pods; gives the error that stopped it.
    fn scale_up(&mut self, set: &Value, missing: usize) -> Option<String> {
        for _ in 0..missing.min(BURST) {
            let mut pod = json!({
                "metadata": set.pointer("/spec/template/metadata").cloned().unwrap_or_else(|| json!({})),
                "spec": set.pointer("/spec/template/spec")
            });
            if let Some(meta) = pod.get_mut("metadata").and_then(Value::as_object_mut) {
                meta.insert("generateName".into(), format!("{}-", name(set)).into());
                meta.insert(
                    "ownerReferences".into(),
                    json!([reference(Kind::ReplicaSet, set)]),
                );
            }
            let options = WriteOptions::default();
            match self.api.create(Kind::Pod, namespace(set), pod, options) {
                Ok(pod) => self.recorder.event(
                    Kind::ReplicaSet,
                    set,
                    Note {
                        of: "Normal",
                        reason: "SuccessfulCreate",
                        action: "",
                        message: &format!("Created pod: {}", name(&pod)),
                    },
                ),
                Err(error) => {
                    let message = format!("Error creating: {error}");
                    self.recorder.event(
                        Kind::ReplicaSet,
                        set,
                        Note {
                            of: "Warning",
                            reason: "FailedCreate",
                            action: "",
                            message: &message,
                        },
                    );
                    return Some(error.message);
                }
            }
        }
        None
    }

    fn scale_down(&mut self, set: &Value, pods: &[Arc<Value>], surplus: usize) {
        let mut ranked: Vec<&Arc<Value>> = pods.iter().collect();
        let neighbours = |pod: &Value| {
            let node = text(pod, "/spec/nodeName");
            let same = pods
                .iter()
                .filter(|other| text(other, "/spec/nodeName") == node);
            same.count()
        };
        ranked.sort_by_key(|pod| deletion_rank(pod, neighbours(pod)));
        for pod in ranked.into_iter().take(surplus.min(BURST)) {
            let options = DeleteOptions::default();
            let gone = self
                .api
                .delete(Kind::Pod, namespace(pod), name(pod), &options);
            if gone.is_ok() {
                self.recorder.event(
                    Kind::ReplicaSet,
                    set,
                    Note {
                        of: "Normal",
                        reason: "SuccessfulDelete",
                        action: "",
                        message: &format!("Deleted pod: {}", name(pod)),
                    },
                );
            }
        }
    }

    /// Counts the pods into the status; says when a pod will have been ready for long enough.
    fn report(&self, set: &Value, pods: &[Arc<Value>], failure: Option<&str>) -> Option<Duration> {
        let now = self.api.store().clock().now();
        let wanted = number(set, "/spec/minReadySeconds").max(0);
        let labels = set.pointer("/spec/template/metadata/labels");
        let labels = labels.and_then(Value::as_object);
        let (mut ready, mut available, mut labelled) = (0_i64, 0_i64, 0_i64);
        let mut next: Option<Duration> = None;
        for pod in pods {
            let own = pod.pointer("/metadata/labels");
            let full = labels.into_iter().flatten().all(|(label, value)| {
                own.and_then(|own| own.get(label))
                    .is_some_and(|own| own == value)
            });
            labelled += i64::from(full);
            if !is_ready(pod) {
                continue;
            }
            ready += 1;
            match available_in(pod, wanted, now) {
                None => available += 1,
                Some(wait) => next = Some(next.map_or(wait, |next| next.min(wait))),
            }
        }
        let mut status = json!({ "replicas": pods.len() });
        if let Some(status) = status.as_object_mut() {
            for (field, count) in [
                ("fullyLabeledReplicas", labelled),
                ("readyReplicas", ready),
                ("availableReplicas", available),
            ] {
                if count > 0 {
                    status.insert(field.into(), count.into());
                }
            }
            status.insert(
                "observedGeneration".into(),
                number(set, "/metadata/generation").into(),
            );
            if let Some(failure) = failure {
                let since = condition(set, "ReplicaFailure").map_or_else(
                    || self.api.store().clock().seconds(),
                    |old| text(old, "/lastTransitionTime").to_owned(),
                );
                status.insert(
                    "conditions".into(),
                    json!([{ "type": "ReplicaFailure", "status": "True",
                        "lastTransitionTime": since, "reason": "FailedCreate", "message": failure }]),
                );
            }
        }
        if set.get("status") != Some(&status) {
            let _ = self
                .api
                .set_status(Kind::ReplicaSet, namespace(set), name(set), status);
        }
        next
    }
}

/// How long until a ready pod is available; none when it is.
pub(super) fn available_in(pod: &Value, wanted: i64, now: Timestamp) -> Option<Duration> {
    if wanted == 0 {
        return None;
    }
    let since = condition(pod, "Ready").and_then(|ready| date(ready, "/lastTransitionTime"))?;
    let left = since.as_second() + wanted - now.as_second();
    u64::try_from(left)
        .ok()
        .filter(|left| *left > 0)
        .map(Duration::from_secs)
}

/// Who goes first: the unassigned, the pending, the unready, the crowded, the younger.
fn deletion_rank(pod: &Value, neighbours: usize) -> impl Ord + use<> {
    let phase = match text(pod, "/status/phase") {
        "Pending" => 0,
        "Running" => 2,
        _ => 1,
    };
    let restarts: i64 = items(pod, "/status/containerStatuses")
        .iter()
        .map(|status| number(status, "/restartCount"))
        .sum();
    let cost: i64 = super::object::annotation(pod, "controller.kubernetes.io/pod-deletion-cost")
        .and_then(|cost| cost.parse().ok())
        .unwrap_or(0);
    (
        !text(pod, "/spec/nodeName").is_empty(),
        phase,
        is_ready(pod),
        cost,
        Reverse(neighbours),
        Reverse(restarts),
        Reverse(date(pod, "/metadata/creationTimestamp")),
        name(pod).to_owned(),
    )
}

impl Controller for ReplicaSets {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::ReplicaSet, Kind::Pod]
    }

    fn concerned(&mut self, kind: Kind, change: &Change) -> Vec<Key> {
        if kind == Kind::ReplicaSet {
            return vec![key(&change.object)];
        }
        let mut keys: Vec<Key> = [Some(&change.object), change.previous.as_ref()]
            .into_iter()
            .flatten()
            .filter_map(|pod| controller_key(pod, Kind::ReplicaSet))
            .collect();
        if controller(&change.object).is_none() {
            // An orphan may be taken in by any set that selects it.
            let namespace = namespace(&change.object);
            let (sets, _) = self
                .api
                .store()
                .list_shared(Kind::ReplicaSet, Some(namespace));
            keys.extend(
                sets.iter()
                    .filter(|set| {
                        LabelSelector::from_object(set.pointer("/spec/selector"))
                            .is_some_and(|selector| selector.matches(&change.object))
                    })
                    .map(|set| key(set)),
            );
        }
        keys
    }

    fn everything(&mut self) -> Vec<Key> {
        let (sets, _) = self.api.store().list_shared(Kind::ReplicaSet, None);
        sets.iter().map(|set| key(set)).collect()
    }

    fn sync(&mut self, place: &Key) -> Option<Duration> {
        let store = self.api.store().clone();
        let Some(set) = store.get_shared(Kind::ReplicaSet, &place.0, &place.1) else {
            self.failures.remove(place);
            return None;
        };
        let selector = LabelSelector::from_object(set.pointer("/spec/selector"))?;
        let pods = self.claim(&set, &selector);
        let active: Vec<Arc<Value>> = pods.into_iter().filter(|pod| is_active(pod)).collect();
        let wanted = usize::try_from(number(&set, "/spec/replicas")).unwrap_or(0);
        let mut failure = None;
        if !is_deleted(&set) {
            if active.len() < wanted {
                failure = self.scale_up(&set, wanted - active.len());
            } else if active.len() > wanted {
                self.scale_down(&set, &active, active.len() - wanted);
            }
        }
        // What was made or deleted comes back as a change and is counted then.
        let next = self.report(&set, &active, failure.as_deref());
        if failure.is_none() {
            self.failures.remove(place);
            return next;
        }
        let failures = self.failures.entry(place.clone()).or_insert(0);
        let pause = FIRST_RETRY
            .saturating_mul(1_u32.checked_shl(*failures).unwrap_or(u32::MAX))
            .min(LAST_RETRY);
        *failures = failures.saturating_add(1);
        Some(next.map_or(pause, |next| next.min(pause)))
    }
}
