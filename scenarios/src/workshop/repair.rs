//! Whether a repair is one: the pods run, and nothing that was there before is gone or worse.
//!
//! It does not matter how it was done. What stood when the learner came is written down; afterwards the
//! scenario's own proof must hold, and everything that was written down must still be as good.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sim_cluster::store::{Kind, Store};

use crate::backend::Backend as _;
use crate::backend::embedded::Embedded;
use crate::observer::Snapshot;
use crate::rollout;
use crate::spec::{Scenario, Step};

/// Kinds that run pods.
const WORKLOADS: [Kind; 4] = [
    Kind::Deployment,
    Kind::DaemonSet,
    Kind::StatefulSet,
    Kind::Pod,
];

/// Why a repair is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// What the scenario wants to see at the end is not there.
    #[error("{0}")]
    Unmet(String),
    /// A workload was there and is not.
    #[error("{0} is gone")]
    Gone(String),
    /// A workload wants fewer replicas than before.
    #[error("{workload} wants {now} replicas; it wanted {before}")]
    Fewer {
        /// Which.
        workload: String,
        /// Before.
        before: i64,
        /// Now.
        now: i64,
    },
    /// A workload ran and does not.
    #[error("{workload} has {now} replicas that are ready; it had {before}")]
    Worse {
        /// Which.
        workload: String,
        /// Before.
        before: i64,
        /// Now.
        now: i64,
    },
    /// A container was taken out.
    #[error("{workload} has no container `{container}` any more")]
    NoContainer {
        /// Which.
        workload: String,
        /// Its container.
        container: String,
    },
    /// A container runs something else.
    #[error("container `{container}` of {workload} runs `{image}`, which is another program")]
    OtherProgram {
        /// Which.
        workload: String,
        /// Its container.
        container: String,
        /// What it runs.
        image: String,
    },
    /// A node was there and is not.
    #[error("{0} is gone")]
    NodeGone(String),
    /// A node takes no pods any more.
    #[error("{0} takes no new pods: a node that is set aside is not mended")]
    Cordoned(String),
    /// A tag was there and is not.
    #[error("the registry has no {0} any more")]
    TagGone(String),
    /// A tag means something else than before.
    #[error("{0} is another image than before; who runs it elsewhere gets something new")]
    TagMoved(String),
}

impl Flaw {
    /// Whether time may heal it: a rollout that goes on, a pod that is not ready yet.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Unmet(_) | Self::Worse { .. })
    }
}

/// What stood before the repair.
#[derive(Clone, Debug, Default)]
pub struct Before {
    workloads: BTreeMap<String, Workload>,
    /// Nodes, and whether each took pods.
    nodes: BTreeMap<String, bool>,
    /// Digests of all tags that anyone uses.
    tags: BTreeMap<String, String>,
    /// What may run in a container: digests, and references without tag.
    programs: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Workload {
    wanted: i64,
    ready: i64,
    /// Image by container.
    images: BTreeMap<String, String>,
}

impl Before {
    pub(crate) fn take(world: &Embedded, scenario: &Scenario) -> Self {
        let store = world.cluster().store();
        let workloads = workloads(&store);
        let lines = scenario.registries.iter().flat_map(|registry| {
            registry.images.iter().filter_map(|line| {
                let name = line.value.split_whitespace().next()?;
                Some(format!("{}/{name}", registry.host.value))
            })
        });
        let tags: BTreeMap<String, String> = lines
            .filter_map(|reference| world.digest(&reference).map(|digest| (reference, digest)))
            .collect();
        let written = manifests(scenario);
        let mentioned = workloads
            .values()
            .flat_map(|one| one.images.values().cloned())
            .chain(written);
        let programs = mentioned
            .flat_map(|image| {
                let digest = world.digest(&image);
                [Some(program(&image)), digest].into_iter().flatten()
            })
            .collect();
        Self {
            workloads,
            nodes: nodes(&store),
            tags,
            programs,
        }
    }

    /// What is wrong now; nothing, when it is mended.
    pub(crate) fn judge(&self, world: &Embedded, scenario: &Scenario, now: &Snapshot) -> Vec<Flaw> {
        let store = world.cluster().store();
        let mut flaws = Vec::new();
        let workloads = workloads(&store);
        for (name, before) in &self.workloads {
            match workloads.get(name) {
                None => flaws.push(Flaw::Gone(name.clone())),
                Some(now) => self.compare(world, name, before, now, &mut flaws),
            }
        }
        let nodes = nodes(&store);
        for (name, took) in &self.nodes {
            match nodes.get(name) {
                None => flaws.push(Flaw::NodeGone(name.clone())),
                Some(false) if *took => flaws.push(Flaw::Cordoned(name.clone())),
                Some(_) => {}
            }
        }
        for (tag, digest) in &self.tags {
            match world.digest(tag) {
                None => flaws.push(Flaw::TagGone(tag.clone())),
                // Content that is added for another platform changes the index; what was there stays.
                Some(now) if now != *digest && !pushed(scenario, tag) => {
                    flaws.push(Flaw::TagMoved(tag.clone()));
                }
                Some(_) => {}
            }
        }
        let digests = |reference: &str| world.digest(reference);
        let unmet = scenario
            .acts
            .verify
            .expect
            .iter()
            .filter(|(target, _)| {
                !flaws
                    .iter()
                    .any(|flaw| matches!(flaw, Flaw::Gone(name) if *name == target.to_string()))
            })
            .filter_map(|(target, state)| rollout::check(target, state.value, now, &digests).err())
            .map(Flaw::Unmet)
            .collect::<Vec<_>>();
        flaws.extend(unmet);
        flaws
    }

    fn compare(
        &self,
        world: &Embedded,
        name: &str,
        before: &Workload,
        now: &Workload,
        flaws: &mut Vec<Flaw>,
    ) {
        let workload = || name.to_owned();
        if now.wanted < before.wanted {
            flaws.push(Flaw::Fewer {
                workload: workload(),
                before: before.wanted,
                now: now.wanted,
            });
        } else if now.ready < before.ready {
            flaws.push(Flaw::Worse {
                workload: workload(),
                before: before.ready,
                now: now.ready,
            });
        }
        for container in before.images.keys() {
            let Some(image) = now.images.get(container) else {
                flaws.push(Flaw::NoContainer {
                    workload: workload(),
                    container: container.clone(),
                });
                continue;
            };
            let same = self.programs.contains(&program(image))
                || world
                    .digest(image)
                    .is_some_and(|digest| self.programs.contains(&digest));
            if !same {
                flaws.push(Flaw::OtherProgram {
                    workload: workload(),
                    container: container.clone(),
                    image: image.clone(),
                });
            }
        }
    }

    /// What differs now, a line each; nothing where only others did something.
    pub(crate) fn changes(&self, world: &Embedded) -> Vec<String> {
        let now = workloads(&world.cluster().store());
        let mut lines = Vec::new();
        for (name, before) in &self.workloads {
            let Some(now) = now.get(name) else { continue };
            for (container, image) in &before.images {
                if let Some(other) = now.images.get(container).filter(|other| *other != image) {
                    lines.push(format!(
                        "{name}: container {container} went from {image} to {other}"
                    ));
                }
            }
            if now.wanted > before.wanted {
                lines.push(format!(
                    "{name}: {} replicas instead of {}",
                    now.wanted, before.wanted
                ));
            }
        }
        lines
    }

    /// The image of each container of each workload, now.
    pub(crate) fn images(world: &Embedded) -> Vec<(String, String)> {
        let all = workloads(&world.cluster().store());
        all.into_values().flat_map(|one| one.images).collect()
    }
}

/// Whether the file itself mends this tag by a push.
fn pushed(scenario: &Scenario, tag: &str) -> bool {
    scenario.acts.fix.iter().any(|step| match &step.value {
        Step::Push(change) => {
            let name = change.image.split_whitespace().next().unwrap_or_default();
            format!("{}/{name}", change.host) == tag
        }
        _ => false,
    })
}

/// Every image of the scenario's own text: of its manifests, and of what it applies or sets later.
fn manifests(scenario: &Scenario) -> Vec<String> {
    let mut images: Vec<String> = Vec::new();
    let mut texts: Vec<&str> = vec![&scenario.cluster.manifests.value];
    for step in scenario.steps() {
        match &step.value {
            Step::Apply(text) => texts.push(text),
            Step::SetImage(changes) => images.extend(changes.values().cloned()),
            _ => {}
        }
    }
    for object in texts
        .into_iter()
        .flat_map(|text| crate::spec::objects(text).unwrap_or_default())
    {
        images.extend(images_of(&object).into_values());
    }
    images
}

/// A reference without tag and digest: the program that it names.
fn program(image: &str) -> String {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name.to_owned(),
        _ => image.to_owned(),
    }
}

fn workloads(store: &Store) -> BTreeMap<String, Workload> {
    let mut all = BTreeMap::new();
    for kind in WORKLOADS {
        let (objects, _) = store.list_shared(kind, None);
        for object in objects {
            let owned = object
                .pointer("/metadata/ownerReferences")
                .and_then(Value::as_array);
            if owned.is_some_and(|owners| !owners.is_empty()) {
                continue;
            }
            let text = |path: &str| {
                object
                    .pointer(path)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            let word = text("/kind").to_lowercase();
            let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
            let key = if namespace == crate::play::NAMESPACE {
                format!("{word}/{name}")
            } else {
                format!("{word}/{name} of {namespace}")
            };
            all.insert(key, workload(kind, &object));
        }
    }
    all
}

fn workload(kind: Kind, object: &Value) -> Workload {
    let number = |path: &str| object.pointer(path).and_then(Value::as_i64);
    let (wanted, ready) = match kind {
        Kind::Pod => (1, i64::from(pod_is_ready(object))),
        Kind::DaemonSet => (
            number("/status/desiredNumberScheduled").unwrap_or(0),
            number("/status/numberReady").unwrap_or(0),
        ),
        _ => (
            number("/spec/replicas").unwrap_or(1),
            number("/status/readyReplicas").unwrap_or(0),
        ),
    };
    Workload {
        wanted,
        ready,
        images: images_of(object),
    }
}

fn pod_is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let ready = |one: &Value| {
        one.get("type") == Some(&"Ready".into()) && one.get("status") == Some(&"True".into())
    };
    conditions.is_some_and(|all| all.iter().any(ready))
}

/// Image by container, of a pod or of what makes pods.
fn images_of(object: &Value) -> BTreeMap<String, String> {
    let spec = object
        .pointer("/spec/template/spec")
        .or_else(|| object.get("spec"));
    ["initContainers", "containers"]
        .iter()
        .filter_map(|list| spec?.get(list)?.as_array())
        .flatten()
        .filter_map(|container| {
            let text = |key: &str| container.get(key)?.as_str().map(str::to_owned);
            Some((text("name")?, text("image")?))
        })
        .collect()
}

fn nodes(store: &Store) -> BTreeMap<String, bool> {
    let (nodes, _) = store.list_shared(Kind::Node, None);
    nodes
        .iter()
        .filter_map(|node| {
            let name = node.pointer("/metadata/name")?.as_str()?.to_owned();
            let cordoned = node.pointer("/spec/unschedulable").and_then(Value::as_bool);
            Some((name, cordoned != Some(true)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::program;

    #[test]
    fn programs_of_references() {
        let table = [
            ("registry.example/team/web:v1", "registry.example/team/web"),
            (
                "registry.example:5000/team/web",
                "registry.example:5000/team/web",
            ),
            (
                "registry.example:5000/team/web:v1",
                "registry.example:5000/team/web",
            ),
            ("a/b:v1@sha256:00", "a/b"),
            ("nginx", "nginx"),
        ];
        for (image, want) in table {
            assert_eq!(program(image), want, "{image}");
        }
    }
}
