//! Deployments: a ReplicaSet for every template, and the way from the old one to the new.

mod history;
mod rolling;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::object::{
    annotate, annotation, controller, controller_key, date, hash, is_controlled_by, is_deleted,
    key, label, name, namespace, number, reference, scaled, text,
};
use super::recorder::{Note, Recorder};
use super::work::{Controller, Key};
use crate::api::{Api, LabelSelector, WriteOptions};
use crate::store::{ApiError, Change, Kind};

/// The label that tells the pods of one template from those of another.
const HASH: &str = "pod-template-hash";
/// Annotations of the deployment controller.
const REVISION: &str = "deployment.kubernetes.io/revision";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAX: &str = "deployment.kubernetes.io/max-replicas";
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// How many templates may fall on one name before it is given up.
const COLLISIONS: i64 = 16;

#[derive(Debug)]
pub(super) struct Deployments {
    api: Api,
    recorder: Recorder,
}

/// A ReplicaSet as a round of the controller sees and changes it.
#[derive(Clone, Debug)]
struct Set {
    object: Arc<Value>,
    /// Made in this round.
    fresh: bool,
}

impl Set {
    fn name(&self) -> &str {
        name(&self.object)
    }

    fn wanted(&self) -> i64 {
        number(&self.object, "/spec/replicas")
    }

    fn status(&self, field: &str) -> i64 {
        number(&self.object, &format!("/status/{field}"))
    }

    fn available(&self) -> i64 {
        self.status("availableReplicas")
    }

    fn revision(&self) -> i64 {
        annotation(&self.object, REVISION)
            .and_then(|revision| revision.parse().ok())
            .unwrap_or(0)
    }
}

/// What a deployment allows while it rolls.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    wanted: i64,
    surge: i64,
    unavailable: i64,
}

impl Bounds {
    fn of(deployment: &Value) -> Self {
        let wanted = number(deployment, "/spec/replicas");
        if text(deployment, "/spec/strategy/type") == "Recreate" {
            return Self {
                wanted,
                surge: 0,
                unavailable: 0,
            };
        }
        let rolling =
            |field: &str| deployment.pointer(&format!("/spec/strategy/rollingUpdate/{field}"));
        let surge = scaled(rolling("maxSurge"), wanted, true);
        let mut unavailable = scaled(rolling("maxUnavailable"), wanted, false);
        if surge == 0 && unavailable == 0 {
            // Both may round to nothing; then one pod must go before another comes.
            unavailable = 1;
        }
        Self {
            wanted,
            surge,
            unavailable: unavailable.min(wanted),
        }
    }
}

impl Deployments {
    pub(super) fn new(api: Api) -> Self {
        Self {
            recorder: Recorder::new(api.clone(), "deployment-controller"),
            api,
        }
    }

    /// The sets of a deployment, oldest first. Sets that nobody owns are taken in.
    fn sets(&self, deployment: &Value, selector: &LabelSelector) -> Vec<Set> {
        let (sets, _) = self
            .api
            .store()
            .list_shared(Kind::ReplicaSet, Some(namespace(deployment)));
        let mut mine: Vec<Set> = Vec::new();
        for set in sets {
            if is_controlled_by(&set, deployment) {
                mine.push(Set {
                    object: set,
                    fresh: false,
                });
            } else if controller(&set).is_none() && selector.matches(&set) && !is_deleted(&set) {
                let owner = reference(Kind::Deployment, deployment);
                let adopted =
                    self.api
                        .change(Kind::ReplicaSet, namespace(&set), name(&set), |set| {
                            if let Some(meta) = set.get_mut("metadata")
                                && let Some(meta) = meta.as_object_mut()
                            {
                                meta.insert("ownerReferences".into(), json!([owner]));
                            }
                        });
                mine.extend(adopted.ok().map(|set| Set {
                    object: Arc::new(set),
                    fresh: false,
                }));
            }
        }
        mine.sort_by_cached_key(|set| {
            let made = date(&set.object, "/metadata/creationTimestamp");
            (made, set.name().to_owned())
        });
        mine
    }

    /// The set whose template is the deployment's.
    fn newest(deployment: &Value, sets: &[Set]) -> Option<Set> {
        let wanted = template(deployment);
        sets.iter()
            .find(|set| template(&set.object) == wanted)
            .cloned()
    }

    /// Finds or makes the set of the current template, and numbers it.
    fn new_set(&mut self, deployment: &Arc<Value>, sets: &[Set]) -> Option<(Arc<Value>, Set)> {
        let newest = Self::newest(deployment, sets);
        let others = sets
            .iter()
            .filter(|set| newest.as_ref().is_none_or(|new| new.name() != set.name()));
        let revision = others.map(Set::revision).max().unwrap_or(0) + 1;
        if let Some(set) = newest {
            let set = self.renumber(deployment, set, revision);
            let own = set.revision().max(1).to_string();
            let deployment = self.set_revision(deployment, &own);
            return Some((deployment, set));
        }
        let made = self.make_set(deployment, sets, revision)?;
        let deployment = self.set_revision(deployment, &revision.to_string());
        Some((deployment, made))
    }

    /// A template that comes back gets the newest number and keeps the old ones as history.
    fn renumber(&self, deployment: &Value, set: Set, revision: i64) -> Set {
        let bounds = Bounds::of(deployment);
        let changed = self
            .api
            .change(Kind::ReplicaSet, namespace(deployment), set.name(), |set| {
                for (name, value) in copied_annotations(deployment) {
                    annotate(set, name, value.clone());
                }
                let old = annotation(set, REVISION).unwrap_or_default().to_owned();
                let number: i64 = old.parse().unwrap_or(0);
                if number < revision {
                    if number > 0 {
                        let history = annotation(set, REVISION_HISTORY).unwrap_or_default();
                        let history = if history.is_empty() {
                            old
                        } else {
                            format!("{history},{old}")
                        };
                        annotate(set, REVISION_HISTORY, history);
                    }
                    annotate(set, REVISION, revision.to_string());
                }
                annotate_bounds(set, bounds);
            });
        changed.map_or(set, |object| Set {
            object: Arc::new(object),
            fresh: false,
        })
    }

    fn set_revision(&self, deployment: &Arc<Value>, revision: &str) -> Arc<Value> {
        if annotation(deployment, REVISION) == Some(revision) {
            return Arc::clone(deployment);
        }
        self.api
            .change(
                Kind::Deployment,
                namespace(deployment),
                name(deployment),
                |object| annotate(object, REVISION, revision),
            )
            .map_or_else(|_| Arc::clone(deployment), Arc::new)
    }

    fn make_set(&mut self, deployment: &Arc<Value>, sets: &[Set], revision: i64) -> Option<Set> {
        let bounds = Bounds::of(deployment);
        let replicas = rolling::new_replicas(deployment, bounds, sets, 0);
        let text_of_template = super::object::canonical(&template(deployment));
        let first = number(deployment, "/status/collisionCount");
        for collision in first..first + COLLISIONS {
            let count = if collision == 0 {
                String::new()
            } else {
                collision.to_string()
            };
            let hash = hash(&[&text_of_template, &count]);
            let set = Self::describe(deployment, &hash, replicas, revision, bounds);
            let options = WriteOptions::default();
            let namespace = namespace(deployment);
            match self.api.create(Kind::ReplicaSet, namespace, set, options) {
                Ok(made) => {
                    if replicas > 0 {
                        let from = if self.api.minor() >= 32 {
                            "from 0 "
                        } else {
                            ""
                        };
                        let message =
                            format!("Scaled up replica set {} {from}to {replicas}", name(&made));
                        self.note(deployment, "Normal", "ScalingReplicaSet", &message);
                    }
                    return Some(Set {
                        object: Arc::new(made),
                        fresh: true,
                    });
                }
                Err(ApiError {
                    reason: "AlreadyExists",
                    ..
                }) => {}
                Err(error) => {
                    let message = format!("Failed to create new replica set: {error}");
                    self.note(deployment, "Warning", "ReplicaSetCreateError", &message);
                    return None;
                }
            }
        }
        None
    }

    fn describe(
        deployment: &Value,
        hash: &str,
        replicas: i64,
        revision: i64,
        bounds: Bounds,
    ) -> Value {
        let mut template = deployment
            .pointer("/spec/template")
            .cloned()
            .unwrap_or_else(|| json!({}));
        label(&mut template, HASH, hash);
        let mut selector = deployment
            .pointer("/spec/selector")
            .cloned()
            .unwrap_or_else(|| json!({}));
        if let Some(labels) = super::object::map(&mut selector, "matchLabels") {
            labels.insert(HASH.into(), hash.into());
        }
        let mut set = json!({
            "metadata": {
                "name": format!("{}-{hash}", name(deployment)),
                "labels": template.pointer("/metadata/labels"),
                "annotations": {},
                "ownerReferences": [reference(Kind::Deployment, deployment)]
            },
            "spec": {
                "replicas": replicas,
                "minReadySeconds": deployment.pointer("/spec/minReadySeconds"),
                "selector": selector,
                "template": template
            }
        });
        if deployment.pointer("/spec/minReadySeconds").is_none()
            && let Some(spec) = super::object::map(&mut set, "spec")
        {
            spec.shift_remove("minReadySeconds");
        }
        for (name, value) in copied_annotations(deployment) {
            annotate(&mut set, name, value.clone());
        }
        annotate(&mut set, REVISION, revision.to_string());
        annotate_bounds(&mut set, bounds);
        set
    }

    fn note(&mut self, deployment: &Value, of: &str, reason: &str, message: &str) {
        let note = Note {
            of,
            reason,
            action: "",
            message,
        };
        self.recorder.event(Kind::Deployment, deployment, note);
    }

    /// Sets how many pods a set should have, and says so.
    fn scale(&mut self, deployment: &Value, set: &Set, replicas: i64) -> Set {
        let bounds = Bounds::of(deployment);
        let (before, fresh) = (set.wanted(), set.fresh);
        let changed = self
            .api
            .change(Kind::ReplicaSet, namespace(deployment), set.name(), |set| {
                if let Some(spec) = super::object::map(set, "spec") {
                    spec.insert("replicas".into(), replicas.into());
                }
                annotate_bounds(set, bounds);
            });
        let Ok(changed) = changed else {
            return set.clone();
        };
        if before != replicas {
            let way = if replicas > before { "up" } else { "down" };
            let set = set.name();
            let message = match self.api.minor() {
                32.. => format!("Scaled {way} replica set {set} from {before} to {replicas}"),
                26..=31 => format!("Scaled {way} replica set {set} to {replicas} from {before}"),
                _ => format!("Scaled {way} replica set {set} to {replicas}"),
            };
            self.note(deployment, "Normal", "ScalingReplicaSet", &message);
        }
        Set {
            object: Arc::new(changed),
            fresh,
        }
    }

    /// One round; gives when to look again.
    fn round(&mut self, deployment: &Arc<Value>) -> Option<Duration> {
        let selector = LabelSelector::from_object(deployment.pointer("/spec/selector"))?;
        let sets = self.sets(deployment, &selector);
        if is_deleted(deployment) {
            let newest = Self::newest(deployment, &sets);
            return self.report(deployment, &sets, newest.as_ref(), false);
        }
        if deployment.pointer("/spec/paused") == Some(&Value::Bool(true)) {
            let sets = self.rescale(deployment, sets);
            let newest = Self::newest(deployment, &sets);
            return self.report(deployment, &sets, newest.as_ref(), false);
        }
        if Self::was_rescaled(deployment, &sets) {
            let sets = self.rescale(deployment, sets);
            let newest = Self::newest(deployment, &sets);
            return self.report(deployment, &sets, newest.as_ref(), true);
        }
        if text(deployment, "/spec/strategy/type") == "Recreate" {
            return self.recreate(deployment, sets);
        }
        self.roll(deployment, sets)
    }

    /// The sets of a round after one of them changed.
    fn with(mut sets: Vec<Set>, changed: &Set) -> Vec<Set> {
        match sets.iter_mut().find(|set| set.name() == changed.name()) {
            Some(set) => *set = changed.clone(),
            None => sets.push(changed.clone()),
        }
        sets
    }

    fn old(sets: &[Set], newest: &Set) -> Vec<Set> {
        sets.iter()
            .filter(|set| set.name() != newest.name())
            .cloned()
            .collect()
    }
}

/// The template without the label that a set adds.
fn template(workload: &Value) -> Value {
    let mut template = workload
        .pointer("/spec/template")
        .cloned()
        .unwrap_or_default();
    let labels = template.pointer_mut("/metadata/labels");
    if let Some(labels) = labels.and_then(Value::as_object_mut) {
        labels.shift_remove(HASH);
    }
    without_nulls(&mut template);
    template
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// The annotations a set takes over from its deployment.
fn copied_annotations(deployment: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let annotations = deployment.pointer("/metadata/annotations");
    annotations
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), value))
        .filter(|(name, _)| {
            ![
                REVISION,
                REVISION_HISTORY,
                DESIRED,
                MAX,
                "kubectl.kubernetes.io/last-applied-configuration",
                "deprecated.deployment.rollback.to",
            ]
            .contains(name)
        })
}

fn annotate_bounds(set: &mut Value, bounds: Bounds) {
    annotate(set, DESIRED, bounds.wanted.to_string());
    annotate(set, MAX, (bounds.wanted + bounds.surge).to_string());
}

impl Controller for Deployments {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Deployment, Kind::ReplicaSet, Kind::Pod]
    }

    fn concerned(&mut self, kind: Kind, change: &Change) -> Vec<Key> {
        match kind {
            Kind::Deployment => vec![key(&change.object)],
            Kind::ReplicaSet => {
                let owner = controller_key(&change.object, Kind::Deployment);
                if owner.is_some() || controller(&change.object).is_some() {
                    return owner.into_iter().collect();
                }
                // A set without an owner may be taken in.
                self.everything()
            }
            // Only a deployment that recreates waits for pods themselves.
            Kind::Pod if change.action == crate::store::Action::Deleted => {
                let Some((namespace, set)) = controller_key(&change.object, Kind::ReplicaSet)
                else {
                    return Vec::new();
                };
                let store = self.api.store();
                let set = store.get_shared(Kind::ReplicaSet, &namespace, &set);
                set.and_then(|set| controller_key(&set, Kind::Deployment))
                    .into_iter()
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    fn everything(&mut self) -> Vec<Key> {
        let (objects, _) = self.api.store().list_shared(Kind::Deployment, None);
        objects.iter().map(|object| key(object)).collect()
    }

    fn sync(&mut self, (namespace, name): &Key) -> Option<Duration> {
        let store = self.api.store().clone();
        let deployment = store.get_shared(Kind::Deployment, namespace, name)?;
        self.round(&deployment)
    }
}

/// How many of something there are in all sets.
fn sum(sets: &[Set], count: impl Fn(&Set) -> i64) -> i64 {
    sets.iter().map(count).sum()
}

/// The sets by how they were: `(name, replicas)`, for working out a distribution.
type Shares = BTreeMap<String, i64>;
