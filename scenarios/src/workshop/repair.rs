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
const WORKLOADS: [Kind; 5] = [
    Kind::Deployment,
    Kind::ReplicaSet,
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
    /// A container, or a volume that is an image, was taken out.
    #[error("{workload} has no {part} any more")]
    NoPart {
        /// Which.
        workload: String,
        /// Its container or volume.
        part: String,
    },
    /// A container runs something else.
    #[error("{part} of {workload} is `{image}`, which is another program")]
    OtherProgram {
        /// Which.
        workload: String,
        /// Its container or volume.
        part: String,
        /// What it is now.
        image: String,
    },
    /// A secret was there and is not, and is still pulled with.
    #[error("{0} is gone, and pods or service accounts still name it")]
    SecretGone(String),
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
    /// Every secret.
    secrets: BTreeSet<String>,
    /// What may run in a container: digests, and references without tag.
    programs: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Workload {
    wanted: i64,
    ready: i64,
    /// Image by container or volume: `container web`, `volume model`.
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
            secrets: secrets(&store),
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
        if !takes_secrets_away(scenario) {
            let (there, pulled_with) = (secrets(&store), pulled_with(&store));
            let gone = self.secrets.difference(&there);
            let missed = gone.filter(|secret| pulled_with.contains(*secret));
            flaws.extend(missed.cloned().map(Flaw::SecretGone));
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
        for part in before.images.keys() {
            let Some(image) = now.images.get(part) else {
                flaws.push(Flaw::NoPart {
                    workload: workload(),
                    part: part.clone(),
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
                    part: part.clone(),
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
            for (part, image) in &before.images {
                if let Some(other) = now.images.get(part).filter(|other| *other != image) {
                    lines.push(format!("{name}: {part} went from {image} to {other}"));
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
        let parts = all.into_values().flat_map(|one| one.images);
        let name = |part: String| part.strip_prefix("container ").map(str::to_owned);
        parts
            .filter_map(|(part, image)| Some((name(part)?, image)))
            .collect()
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

/// Whether the file itself mends it by taking a secret away. Where it comes back under the same name, pods do not
/// run without it.
fn takes_secrets_away(scenario: &Scenario) -> bool {
    scenario.acts.fix.iter().any(|step| match &step.value {
        Step::DeleteSecret(_) => true,
        Step::ApplyRemedy(remedy) => remedy.command() == "kubectl delete secret",
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
        for object in objects.iter().filter(|object| !is_owned(object)) {
            let word = text(object, "/kind").to_lowercase();
            let key = called(object, &word, text(object, "/metadata/name"));
            all.insert(key, workload(kind, object));
        }
    }
    all
}

fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    let found = object.pointer(path).and_then(Value::as_str);
    found.unwrap_or_default()
}

/// Whether another object made it.
fn is_owned(object: &Value) -> bool {
    let owners = object.pointer("/metadata/ownerReferences");
    let owners = owners.and_then(Value::as_array);
    owners.is_some_and(|owners| !owners.is_empty())
}

/// `secret/pull`, of the namespace of an object; named where it is not the scenario's.
fn called(object: &Value, word: &str, name: &str) -> String {
    match text(object, "/metadata/namespace") {
        crate::play::NAMESPACE => format!("{word}/{name}"),
        namespace => format!("{word}/{name} of {namespace}"),
    }
}

fn secrets(store: &Store) -> BTreeSet<String> {
    let (secrets, _) = store.list_shared(Kind::Secret, None);
    let secrets = secrets.iter();
    secrets
        .map(|secret| called(secret, "secret", text(secret, "/metadata/name")))
        .collect()
}

/// Every secret that a workload or a service account names for its pulls.
fn pulled_with(store: &Store) -> BTreeSet<String> {
    let kinds = WORKLOADS.into_iter().chain([Kind::ServiceAccount]);
    let objects = kinds.flat_map(|kind| store.list_shared(kind, None).0);
    let mut named = BTreeSet::new();
    for object in objects.filter(|object| !is_owned(object)) {
        let secrets = pod_spec(&object)
            .unwrap_or(&object)
            .get("imagePullSecrets")
            .and_then(Value::as_array);
        for secret in secrets.into_iter().flatten() {
            named.insert(called(&object, "secret", text(secret, "/name")));
        }
    }
    named
}

fn pod_spec(object: &Value) -> Option<&Value> {
    object
        .pointer("/spec/template/spec")
        .or_else(|| object.get("spec"))
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

/// Image by container and by volume, of a pod or of what makes pods.
fn images_of(object: &Value) -> BTreeMap<String, String> {
    let spec = pod_spec(object);
    let lists = [
        ("initContainers", "container", "/image"),
        ("containers", "container", "/image"),
        ("volumes", "volume", "/image/reference"),
    ];
    let mut images = BTreeMap::new();
    for (list, word, image) in lists {
        let parts = spec.and_then(|spec| spec.get(list)?.as_array());
        for part in parts.into_iter().flatten() {
            if let Some(image) = part.pointer(image).and_then(Value::as_str) {
                images.insert(format!("{word} {}", text(part, "/name")), image.to_owned());
            }
        }
    }
    images
}

fn nodes(store: &Store) -> BTreeMap<String, bool> {
    let (nodes, _) = store.list_shared(Kind::Node, None);
    nodes
        .iter()
        .filter_map(|node| {
            let name = node.pointer("/metadata/name")?.as_str()?.to_owned();
            let cordoned = node.pointer("/spec/unschedulable").and_then(Value::as_bool);
            let taints = node.pointer("/spec/taints").and_then(Value::as_array);
            let kept_away = taints.into_iter().flatten().any(keeps_away);
            Some((name, cordoned != Some(true) && !kept_away))
        })
        .collect()
}

/// Whether a taint is somebody's who wants no pods there. Those of Kubernetes itself come and go with the node.
fn keeps_away(taint: &Value) -> bool {
    let own = text(taint, "/key").starts_with("node.kubernetes.io/");
    !own && text(taint, "/effect") != "PreferNoSchedule"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::{images_of, keeps_away, program};

    #[test]
    fn what_a_pod_is_made_of_and_what_sets_a_node_aside() {
        let deployment = json!({"spec": {"template": {"spec": {
            "initContainers": [{"name": "a", "image": "r.example/a:1"}],
            "containers": [{"name": "b", "image": "r.example/b:1"}],
            "volumes": [{"name": "c", "image": {"reference": "r.example/c:1"}}, {"name": "d", "emptyDir": {}}],
        }}}});
        let want = ["container a", "container b", "volume c"].map(str::to_owned);
        let images: BTreeMap<String, String> = images_of(&deployment);
        assert!(images.keys().eq(&want), "{images:?}");
        let taint = |key: &str, effect: &str| json!({"key": key, "effect": effect});
        assert!(keeps_away(&taint("maintenance", "NoSchedule")));
        assert!(!keeps_away(&taint("maintenance", "PreferNoSchedule")));
        assert!(!keeps_away(&taint(
            "node.kubernetes.io/not-ready",
            "NoExecute"
        )));
    }

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
