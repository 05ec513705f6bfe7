//! StatefulSets: pods with numbers, one after the other.
//!
//! As in the real controller a pod that never gets ready holds up all that come after it, and the
//! update of its own template too: the known trap of a bad image in a StatefulSet, which needs the pod
//! to be deleted by hand.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::object::{
    canonical, controller_key, hash, is_controlled_by, is_deleted, is_ready, key, label, map, name,
    namespace, number, reference, text,
};
use super::recorder::{Note, Recorder};
use super::work::{Controller, Key};
use crate::api::{Api, DeleteOptions, WriteOptions};
use crate::store::{Change, Kind};

/// The label that tells the pods of one template from those of another.
const HASH: &str = "controller-revision-hash";
/// The pause before a pod that could not be made is tried again.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct StatefulSets {
    api: Api,
    recorder: Recorder,
}

impl StatefulSets {
    pub(super) fn new(api: Api) -> Self {
        Self {
            recorder: Recorder::new(api.clone(), "statefulset-controller"),
            api,
        }
    }

    fn note(&mut self, set: &Value, of: &str, reason: &str, message: &str) {
        let note = Note {
            of,
            reason,
            action: "",
            message,
        };
        self.recorder.event(Kind::StatefulSet, set, note);
    }

    fn create(&mut self, set: &Value, ordinal: usize, revision: &str) -> bool {
        let pod_name = format!("{}-{ordinal}", name(set));
        let mut pod = json!({
            "metadata": set.pointer("/spec/template/metadata").cloned().unwrap_or_else(|| json!({})),
            "spec": set.pointer("/spec/template/spec").cloned().unwrap_or_else(|| json!({}))
        });
        label(&mut pod, HASH, revision);
        label(&mut pod, "statefulset.kubernetes.io/pod-name", &pod_name);
        if self.api.minor() >= 28 {
            label(
                &mut pod,
                "apps.kubernetes.io/pod-index",
                &ordinal.to_string(),
            );
        }
        if let Some(meta) = map(&mut pod, "metadata") {
            meta.insert("name".into(), pod_name.clone().into());
            let owner = reference(Kind::StatefulSet, set);
            meta.insert("ownerReferences".into(), json!([owner]));
        }
        if let Some(spec) = map(&mut pod, "spec") {
            spec.insert("hostname".into(), pod_name.clone().into());
            let service = text(set, "/spec/serviceName");
            if !service.is_empty() {
                spec.insert("subdomain".into(), service.into());
            }
        }
        let made = self
            .api
            .create(Kind::Pod, namespace(set), pod, WriteOptions::default());
        let what = format!("create Pod {pod_name} in StatefulSet {}", name(set));
        match made {
            Ok(_) => {
                self.note(
                    set,
                    "Normal",
                    "SuccessfulCreate",
                    &format!("{what} successful"),
                );
                true
            }
            // The pod before it has not ended yet.
            Err(error) if error.reason == "AlreadyExists" => false,
            Err(error) => {
                let message = format!("{what} failed error: {error}");
                self.note(set, "Warning", "FailedCreate", &message);
                false
            }
        }
    }

    fn remove(&mut self, set: &Value, pod: &Value) {
        let options = DeleteOptions::default();
        let gone = self
            .api
            .delete(Kind::Pod, namespace(pod), name(pod), &options);
        if gone.is_ok() {
            let what = format!("delete Pod {} in StatefulSet {}", name(pod), name(set));
            self.note(
                set,
                "Normal",
                "SuccessfulDelete",
                &format!("{what} successful"),
            );
        }
    }

    /// Brings the pods one step closer; says when to look again without a change.
    fn step(
        &mut self,
        set: &Value,
        pods: &[(usize, Arc<Value>)],
        wanted: usize,
        revision: &str,
    ) -> Option<Duration> {
        let one_by_one = text(set, "/spec/podManagementPolicy") != "Parallel";
        for ordinal in 0..wanted {
            let found = pods
                .iter()
                .find(|(of, _)| *of == ordinal)
                .map(|(_, pod)| pod);
            let Some(pod) = found else {
                if !self.create(set, ordinal, revision) {
                    return Some(RETRY);
                }
                if one_by_one {
                    return None;
                }
                continue;
            };
            if matches!(text(pod, "/status/phase"), "Failed" | "Succeeded") && !is_deleted(pod) {
                self.remove(set, pod);
                return None;
            }
            if one_by_one && !is_healthy(pod) {
                return None;
            }
        }
        let surplus: Vec<&Arc<Value>> = pods
            .iter()
            .rev()
            .filter(|(of, _)| *of >= wanted)
            .map(|(_, pod)| pod)
            .collect();
        for pod in &surplus {
            if !is_deleted(pod) {
                self.remove(set, pod);
            }
            if one_by_one {
                return None;
            }
        }
        if !surplus.is_empty() || text(set, "/spec/updateStrategy/type") == "OnDelete" {
            return None;
        }
        let partition = number(set, "/spec/updateStrategy/rollingUpdate/partition").max(0);
        let partition = usize::try_from(partition).unwrap_or(0);
        for (_, pod) in pods.iter().rev().filter(|(of, _)| *of >= partition) {
            if text(pod, &format!("/metadata/labels/{HASH}")) != revision {
                if !is_deleted(pod) {
                    self.remove(set, pod);
                }
                return None;
            }
            if !is_healthy(pod) {
                return None;
            }
        }
        None
    }

    fn report(&self, set: &Value, pods: &[(usize, Arc<Value>)], revision: &str) {
        let of_revision = |pod: &Value| text(pod, &format!("/metadata/labels/{HASH}")) == revision;
        let ready = pods.iter().filter(|(_, pod)| is_ready(pod)).count();
        let updated = pods.iter().filter(|(_, pod)| of_revision(pod)).count();
        let before = text(set, "/status/currentRevision");
        let done = updated == pods.len() && ready == pods.len();
        let current = if before.is_empty() || done {
            revision
        } else {
            before
        };
        let at_current = pods
            .iter()
            .filter(|(_, pod)| text(pod, &format!("/metadata/labels/{HASH}")) == current)
            .count();
        let mut status = json!({
            "observedGeneration": number(set, "/metadata/generation"),
            "replicas": pods.len(),
            "currentRevision": current,
            "updateRevision": revision,
            "collisionCount": 0,
            "availableReplicas": ready
        });
        if let Some(status) = status.as_object_mut() {
            for (field, count) in [
                ("readyReplicas", ready),
                ("currentReplicas", at_current),
                ("updatedReplicas", updated),
            ] {
                if count > 0 {
                    status.insert(field.into(), count.into());
                }
            }
        }
        if set.get("status") != Some(&status) {
            let _ = self
                .api
                .set_status(Kind::StatefulSet, namespace(set), name(set), status);
        }
    }
}

fn is_healthy(pod: &Value) -> bool {
    is_ready(pod) && !is_deleted(pod)
}

/// The number at the end of a pod's name.
fn ordinal(set: &Value, pod: &Value) -> Option<usize> {
    let number = name(pod).strip_prefix(name(set))?.strip_prefix('-')?;
    number.parse().ok()
}

impl Controller for StatefulSets {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::StatefulSet, Kind::Pod]
    }

    fn concerned(&mut self, kind: Kind, change: &Change) -> Vec<Key> {
        match kind {
            Kind::StatefulSet => vec![key(&change.object)],
            _ => controller_key(&change.object, Kind::StatefulSet)
                .into_iter()
                .collect(),
        }
    }

    fn everything(&mut self) -> Vec<Key> {
        let (sets, _) = self.api.store().list_shared(Kind::StatefulSet, None);
        sets.iter().map(|set| key(set)).collect()
    }

    fn sync(&mut self, place: &Key) -> Option<Duration> {
        let store = self.api.store().clone();
        let set = store.get_shared(Kind::StatefulSet, &place.0, &place.1)?;
        if is_deleted(&set) {
            return None;
        }
        let template = set.pointer("/spec/template").cloned().unwrap_or_default();
        let revision = format!("{}-{}", name(&set), hash(&[&canonical(&template)]));
        let mut pods: Vec<(usize, Arc<Value>)> = store
            .list_shared(Kind::Pod, Some(&place.0))
            .0
            .into_iter()
            .filter(|pod| is_controlled_by(pod, &set))
            .filter_map(|pod| Some((ordinal(&set, &pod)?, pod)))
            .collect();
        pods.sort_by_key(|(of, _)| *of);
        let wanted = usize::try_from(number(&set, "/spec/replicas")).unwrap_or(0);
        let later = self.step(&set, &pods, wanted, &revision);
        // What was made or deleted comes back as a change and is counted then.
        self.report(&set, &pods, &revision);
        later
    }
}
