//! DaemonSets: one pod on every node that takes it, updated a few nodes at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::object::{
    canonical, controller_key, hash, is_active, is_controlled_by, is_deleted, is_ready, items, key,
    label, name, namespace, number, reference, scaled, text,
};
use super::recorder::{Note, Recorder};
use super::replicaset::available_in;
use super::scheduler::tolerates;
use super::work::{Controller, Key};
use crate::api::{Api, DeleteOptions, WriteOptions};
use crate::store::{Change, Kind};

/// The label that tells the pods of one template from those of another.
const HASH: &str = "controller-revision-hash";
/// The taints every daemon pod tolerates.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

#[derive(Debug)]
pub(super) struct DaemonSets {
    api: Api,
    recorder: Recorder,
}

impl DaemonSets {
    pub(super) fn new(api: Api) -> Self {
        Self {
            recorder: Recorder::new(api.clone(), "daemonset-controller"),
            api,
        }
    }

    fn describe(set: &Value, revision: &str, node: &str) -> Value {
        let mut pod = json!({
            "metadata": set.pointer("/spec/template/metadata").cloned().unwrap_or_else(|| json!({})),
            "spec": set.pointer("/spec/template/spec").cloned().unwrap_or_else(|| json!({}))
        });
        label(&mut pod, HASH, revision);
        if let Some(meta) = super::object::map(&mut pod, "metadata") {
            meta.insert("generateName".into(), format!("{}-", name(set)).into());
            meta.insert(
                "ownerReferences".into(),
                json!([reference(Kind::DaemonSet, set)]),
            );
        }
        if let Some(spec) = super::object::map(&mut pod, "spec") {
            let list = spec.entry("tolerations").or_insert_with(|| json!([]));
            if let Some(list) = list.as_array_mut() {
                for (key, effect) in TOLERATED {
                    list.push(json!({ "key": key, "operator": "Exists", "effect": effect }));
                }
            }
            let affinity = spec.entry("affinity").or_insert_with(|| json!({}));
            if let Some(affinity) = super::object::map(affinity, "nodeAffinity") {
                let terms = json!({ "nodeSelectorTerms": [{ "matchFields":
                    [{ "key": "metadata.name", "operator": "In", "values": [node] }] }] });
                affinity.insert(
                    "requiredDuringSchedulingIgnoredDuringExecution".into(),
                    terms,
                );
            }
        }
        pod
    }

    /// The node a pod is for: where it runs, or the one its affinity names.
    fn node_of(pod: &Value) -> String {
        let placed = text(pod, "/spec/nodeName");
        if !placed.is_empty() {
            return placed.to_owned();
        }
        let path = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution\
                    /nodeSelectorTerms/0/matchFields/0/values/0";
        text(pod, path).to_owned()
    }

    fn note(&mut self, set: &Value, reason: &str, message: &str) {
        let of = if reason.starts_with("Failed") {
            "Warning"
        } else {
            "Normal"
        };
        let note = Note {
            of,
            reason,
            action: "",
            message,
        };
        self.recorder.event(Kind::DaemonSet, set, note);
    }

    fn remove(&mut self, set: &Value, pod: &Value) {
        let options = DeleteOptions::default();
        let gone = self
            .api
            .delete(Kind::Pod, namespace(pod), name(pod), &options);
        if gone.is_ok() {
            self.note(
                set,
                "SuccessfulDelete",
                &format!("Deleted pod: {}", name(pod)),
            );
        }
    }
}

/// Whether a set wants a pod on a node.
fn wants(set: &Value, node: &Value) -> bool {
    let template = set.pointer("/spec/template").cloned().unwrap_or_default();
    let selector = template.pointer("/spec/nodeSelector");
    let labels = node.pointer("/metadata/labels");
    let selected = selector
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .all(|(name, value)| {
            labels
                .and_then(|labels| labels.get(name))
                .is_some_and(|own| own == value)
        });
    selected
        && items(node, "/spec/taints").iter().all(|taint| {
            let (of, effect) = (text(taint, "/key"), text(taint, "/effect"));
            effect == "PreferNoSchedule"
                || TOLERATED.iter().any(|(tolerated, _)| *tolerated == of)
                || tolerates(&template, of, text(taint, "/value"), effect)
        })
}

impl Controller for DaemonSets {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::DaemonSet, Kind::Pod, Kind::Node]
    }

    fn concerned(&mut self, kind: Kind, change: &Change) -> Vec<Key> {
        match kind {
            Kind::DaemonSet => vec![key(&change.object)],
            Kind::Pod => controller_key(&change.object, Kind::DaemonSet)
                .into_iter()
                .collect(),
            _ => {
                let placing = |node: &Value| {
                    let of = |path: &str| node.pointer(path).cloned();
                    (of("/metadata/labels"), of("/spec"))
                };
                let same = change
                    .previous
                    .as_ref()
                    .is_some_and(|previous| placing(previous) == placing(&change.object));
                if same { Vec::new() } else { self.everything() }
            }
        }
    }

    fn everything(&mut self) -> Vec<Key> {
        let (sets, _) = self.api.store().list_shared(Kind::DaemonSet, None);
        sets.iter().map(|set| key(set)).collect()
    }

    fn sync(&mut self, place: &Key) -> Option<Duration> {
        let store = self.api.store().clone();
        let set = store.get_shared(Kind::DaemonSet, &place.0, &place.1)?;
        if is_deleted(&set) {
            return None;
        }
        let template = set.pointer("/spec/template").cloned().unwrap_or_default();
        let revision = hash(&[&canonical(&template)]);
        let (nodes, _) = store.list_shared(Kind::Node, None);
        let (pods, _) = store.list_shared(Kind::Pod, Some(&place.0));
        let mut by_node: BTreeMap<String, Vec<Arc<Value>>> = BTreeMap::new();
        let mut leaving = Vec::new();
        for pod in pods {
            if is_controlled_by(&pod, &set) {
                let node = Self::node_of(&pod);
                if is_active(&pod) {
                    by_node.entry(node).or_default().push(pod);
                } else {
                    leaving.push(node);
                }
            }
        }
        let wanted: Vec<&str> = nodes
            .iter()
            .filter(|node| wants(&set, node))
            .map(|node| name(node))
            .collect();
        for (node, pods) in &by_node {
            let keep = usize::from(wanted.contains(&node.as_str()));
            for pod in pods.iter().skip(keep) {
                self.remove(&set, pod);
            }
        }
        for node in &wanted {
            // The old pod of a node ends before the new one comes.
            if by_node.contains_key(*node) || leaving.iter().any(|left| left == node) {
                continue;
            }
            let pod = Self::describe(&set, &revision, node);
            match self
                .api
                .create(Kind::Pod, &place.0, pod, WriteOptions::default())
            {
                Ok(pod) => {
                    self.note(
                        &set,
                        "SuccessfulCreate",
                        &format!("Created pod: {}", name(&pod)),
                    );
                }
                Err(error) => {
                    self.note(&set, "FailedCreate", &format!("Error creating: {error}"));
                    return Some(Duration::from_secs(1));
                }
            }
        }
        let kept: Vec<Arc<Value>> = by_node
            .into_iter()
            .filter(|(node, _)| wanted.contains(&node.as_str()))
            .filter_map(|(_, pods)| pods.into_iter().next())
            .collect();
        self.update(&set, &kept, &revision, wanted.len());
        self.report(&set, &kept, &revision, wanted.len())
    }
}

impl DaemonSets {
    /// Takes pods of an old template away, as many as may be missing at a time.
    fn update(&mut self, set: &Value, pods: &[Arc<Value>], revision: &str, wanted: usize) {
        if text(set, "/spec/updateStrategy/type") != "RollingUpdate" {
            return;
        }
        let most = set.pointer("/spec/updateStrategy/rollingUpdate/maxUnavailable");
        let whole = i64::try_from(wanted).unwrap_or(i64::MAX);
        let most = scaled(most, whole, true).max(1);
        let ready = pods.iter().filter(|pod| is_ready(pod)).count();
        let missing = whole - i64::try_from(ready).unwrap_or(0);
        let mut may_go = (most - missing).max(0);
        for pod in pods {
            if text(pod, &format!("/metadata/labels/{HASH}")) == revision {
                continue;
            }
            // An old pod that does not serve anyway costs nothing.
            if !is_ready(pod) {
                self.remove(set, pod);
            } else if may_go > 0 {
                may_go -= 1;
                self.remove(set, pod);
            }
        }
    }

    fn report(
        &self,
        set: &Value,
        pods: &[Arc<Value>],
        revision: &str,
        wanted: usize,
    ) -> Option<Duration> {
        let now = self.api.store().clock().now();
        let min_ready = number(set, "/spec/minReadySeconds").max(0);
        let ready: Vec<&Arc<Value>> = pods.iter().filter(|pod| is_ready(pod)).collect();
        let waits: Vec<Duration> = ready
            .iter()
            .filter_map(|pod| available_in(pod, min_ready, now))
            .collect();
        let available = ready.len() - waits.len();
        let updated = pods
            .iter()
            .filter(|pod| text(pod, &format!("/metadata/labels/{HASH}")) == revision)
            .count();
        let mut status = json!({
            "currentNumberScheduled": pods.len(),
            "numberMisscheduled": 0,
            "desiredNumberScheduled": wanted,
            "numberReady": ready.len(),
            "observedGeneration": number(set, "/metadata/generation")
        });
        if let Some(status) = status.as_object_mut() {
            for (field, count) in [
                ("updatedNumberScheduled", updated),
                ("numberAvailable", available),
                ("numberUnavailable", wanted.saturating_sub(available)),
            ] {
                if count > 0 {
                    status.insert(field.into(), count.into());
                }
            }
        }
        if set.get("status") != Some(&status) {
            let _ = self
                .api
                .set_status(Kind::DaemonSet, namespace(set), name(set), status);
        }
        waits.into_iter().min()
    }
}
