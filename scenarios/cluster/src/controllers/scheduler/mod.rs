//! The scheduler: a node for every pod, the one with the fewest pods first.

mod fit;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::object::{items, key, name, namespace, number, text};
use super::recorder::{Note, Recorder};
use super::work::{Controller, Key};
use crate::api::{Api, LabelSelector};
use crate::clock::Seed;
use crate::store::{Action, Change, Kind};

/// The scheduler that pods ask for when they ask for none.
const NAME: &str = "default-scheduler";

pub(super) use fit::tolerates;

#[derive(Debug)]
pub(super) struct Scheduler {
    api: Api,
    recorder: Recorder,
    /// Pods that found no node; they are tried again when something changes for nodes.
    waiting: BTreeSet<Key>,
    /// What runs where, kept up with the changes of pods.
    load: BTreeMap<Key, Placed>,
}

/// A pod on a node.
#[derive(Clone, Debug)]
struct Placed {
    node: String,
    requests: fit::Requests,
    labels: Option<Value>,
}

impl Scheduler {
    pub(super) fn new(api: Api, seed: Seed) -> Self {
        let instance = format!("{NAME}-control-plane-{}", seed.generator(NAME).suffix(5));
        let recorder = Recorder::new(api.clone(), NAME).with_instance(instance);
        Self {
            api,
            recorder,
            waiting: BTreeSet::new(),
            load: BTreeMap::new(),
        }
    }

    fn note_pod(&mut self, pod: &Value, gone: bool) {
        let node = text(pod, "/spec/nodeName");
        let over = matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
        if gone || over || node.is_empty() {
            self.load.remove(&key(pod));
        } else {
            let placed = Placed {
                node: node.to_owned(),
                requests: fit::Requests::of(pod),
                labels: pod.pointer("/metadata/labels").cloned(),
            };
            self.load.insert(key(pod), placed);
        }
    }

    /// The load of every node: pods and what they ask for.
    fn loads(&self) -> BTreeMap<&str, fit::Requests> {
        let mut loads: BTreeMap<&str, fit::Requests> = BTreeMap::new();
        for placed in self.load.values() {
            loads.entry(&placed.node).or_default().add(&placed.requests);
        }
        loads
    }

    fn place(&mut self, pod: &Arc<Value>) {
        let (nodes, _) = self.api.store().list_shared(Kind::Node, None);
        let loads = self.loads();
        let mut best: Option<(i64, String)> = None;
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for node in &nodes {
            let load = loads.get(name(node)).cloned().unwrap_or_default();
            let mut obstacles = fit::obstacles(pod, node, &load);
            if obstacles.is_empty() && self.is_repelled(pod, node, &nodes) {
                obstacles.push("node(s) didn't match pod anti-affinity rules".into());
            }
            match obstacles {
                obstacles if obstacles.is_empty() => {
                    let candidate = (load.pods, name(node).to_owned());
                    if best.as_ref().is_none_or(|best| candidate < *best) {
                        best = Some(candidate);
                    }
                }
                obstacles => {
                    for obstacle in obstacles {
                        *reasons.entry(obstacle).or_default() += 1;
                    }
                }
            }
        }
        match best {
            Some((_, node)) => self.bind(pod, &node),
            None => self.refuse(pod, nodes.len(), &reasons),
        }
    }

    /// Whether a pod is kept off by one that runs there already, by its own required anti-affinity.
    fn is_repelled(&self, pod: &Value, node: &Value, nodes: &[Arc<Value>]) -> bool {
        const TERMS: &str =
            "/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution";
        let label = |node: &Value, key: &str| {
            let labels = node.pointer("/metadata/labels");
            labels.and_then(|labels| labels.get(key)).cloned()
        };
        items(pod, TERMS).iter().any(|term| {
            let topology = text(term, "/topologyKey");
            let Some(selector) = LabelSelector::from_object(term.get("labelSelector")) else {
                return false;
            };
            let Some(here) = label(node, topology) else {
                return false;
            };
            self.load.iter().any(|((space, _), placed)| {
                let there = || {
                    let node = nodes.iter().find(|one| name(one) == placed.node)?;
                    label(node, topology)
                };
                space == namespace(pod)
                    && selector.matches_labels(placed.labels.as_ref().and_then(Value::as_object))
                    && there().as_ref() == Some(&here)
            })
        })
    }

    fn bind(&mut self, pod: &Arc<Value>, node: &str) {
        let now = self.api.store().clock().seconds();
        let scheduled = self.condition(pod, "True", &now, None);
        let bound = self
            .api
            .store()
            .update(Kind::Pod, namespace(pod), name(pod), |pod| {
                if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) {
                    spec.insert("nodeName".into(), node.into());
                }
                set_condition(pod, scheduled);
            });
        let Ok(bound) = bound else {
            return;
        };
        self.waiting.remove(&key(pod));
        self.note_pod(&bound, false);
        let message = format!(
            "Successfully assigned {}/{} to {node}",
            namespace(pod),
            name(pod)
        );
        self.recorder.event_v1(
            Kind::Pod,
            pod,
            Note {
                of: "Normal",
                reason: "Scheduled",
                action: "Binding",
                message: &message,
            },
        );
    }

    fn refuse(&mut self, pod: &Arc<Value>, nodes: usize, reasons: &BTreeMap<String, usize>) {
        let message = if nodes == 0 {
            "no nodes available to schedule pods".to_owned()
        } else {
            let texts: Vec<String> = reasons
                .iter()
                .map(|(reason, count)| format!("{count} {reason}"))
                .collect();
            format!(
                "0/{nodes} nodes are available: {}. preemption: 0/{nodes} nodes are available: \
                 {nodes} Preemption is not helpful for scheduling.",
                texts.join(", ")
            )
        };
        let told_before = self.waiting.contains(&key(pod))
            && super::object::condition(pod, "PodScheduled")
                .is_some_and(|condition| text(condition, "/message") == message);
        self.waiting.insert(key(pod));
        if told_before {
            return;
        }
        let now = self.api.store().clock().seconds();
        let unschedulable = self.condition(pod, "False", &now, Some(&message));
        let _ = self
            .api
            .store()
            .update(Kind::Pod, namespace(pod), name(pod), |pod| {
                set_condition(pod, unschedulable);
            });
        self.recorder.event_v1(
            Kind::Pod,
            pod,
            Note {
                of: "Warning",
                reason: "FailedScheduling",
                action: "Scheduling",
                message: &message,
            },
        );
    }

    fn condition(&self, pod: &Value, status: &str, now: &str, message: Option<&str>) -> Value {
        let old = super::object::condition(pod, "PodScheduled");
        let since = old
            .filter(|old| text(old, "/status") == status)
            .map_or(now, |old| text(old, "/lastTransitionTime"));
        let mut condition = json!({
            "type": "PodScheduled",
            "status": status,
            "lastProbeTime": null,
            "lastTransitionTime": since
        });
        if let Some(condition) = condition.as_object_mut() {
            if self.api.minor() >= 34 {
                let generation = number(pod, "/metadata/generation");
                condition.insert("observedGeneration".into(), generation.into());
            }
            if let Some(message) = message {
                condition.insert("reason".into(), "Unschedulable".into());
                condition.insert("message".into(), message.into());
            }
        }
        condition
    }
}

fn set_condition(pod: &mut Value, condition: Value) {
    let Some(status) = super::object::map(pod, "status") else {
        return;
    };
    let list = status.entry("conditions").or_insert_with(|| json!([]));
    if let Some(list) = list.as_array_mut() {
        match list
            .iter_mut()
            .find(|old| text(old, "/type") == text(&condition, "/type"))
        {
            Some(old) => *old = condition,
            None => list.push(condition),
        }
    }
}

impl Controller for Scheduler {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Pod, Kind::Node]
    }

    fn concerned(&mut self, kind: Kind, change: &Change) -> Vec<Key> {
        let gone = change.action == Action::Deleted;
        if kind == Kind::Pod {
            let placed = self.load.contains_key(&key(&change.object));
            self.note_pod(&change.object, gone);
            let freed = placed && !self.load.contains_key(&key(&change.object));
            let mut keys: Vec<Key> = Vec::new();
            if freed {
                keys.extend(self.waiting.iter().cloned());
            }
            if gone {
                self.waiting.remove(&key(&change.object));
            } else if change.action == Action::Added
                && text(&change.object, "/spec/nodeName").is_empty()
            {
                keys.push(key(&change.object));
            }
            return keys;
        }
        let same = change
            .previous
            .as_ref()
            .is_some_and(|previous| fit::is_same_for_pods(previous, &change.object));
        if gone || same {
            return Vec::new();
        }
        self.waiting.iter().cloned().collect()
    }

    fn everything(&mut self) -> Vec<Key> {
        self.load.clear();
        let (pods, _) = self.api.store().list_shared(Kind::Pod, None);
        for pod in &pods {
            self.note_pod(pod, false);
        }
        pods.iter()
            .filter(|pod| text(pod, "/spec/nodeName").is_empty())
            .map(|pod| key(pod))
            .collect()
    }

    fn sync(&mut self, (namespace, name): &Key) -> Option<Duration> {
        let pod = self.api.store().get_shared(Kind::Pod, namespace, name)?;
        let ours = text(&pod, "/spec/schedulerName");
        let gated = !items(&pod, "/spec/schedulingGates").is_empty();
        let wanted = text(&pod, "/spec/nodeName").is_empty()
            && !super::object::is_deleted(&pod)
            && (ours.is_empty() || ours == NAME)
            && !gated;
        if wanted {
            self.place(&pod);
        }
        None
    }
}
