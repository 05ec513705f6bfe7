//! The check: symptoms, then Azure, then probes from the places that pull, then the verdict.
//!
//! In: a [`World`] and a [`Request`]. Out: a [`Report`], never an error: whatever cannot be read or
//! reached is a finding. It looks from the nodes on which pods fail (two at most), from one node on
//! which they do not, and from the workstation, one after the other.

mod credentials;
mod fleet;
mod follow;
mod group;
mod manifests;
mod many;
mod near;
mod plan;
mod preflight;
mod problem;
mod refused;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::azure::{self, AzureFacts};
use crate::clue::Clue;
use crate::cluster::{self, Target};
use crate::evidence::{Evidence, Platform};
use crate::keyring::{Credential, DockerConfig, Keyring, Providers, Secret};
use crate::mirrors::Mirrors;
use crate::probe::{self, Depth, Habits, Watch};
use crate::reference::Reference;
use crate::report::{Answer, Gap, Report};
use crate::stage::Stage;
use crate::symptom::{Ahead, GapReason, NodeFacts, PullPolicy, PullSecret, Symptoms, Trouble};
use crate::verdict::{self, Case, Names, Settle, Told, Verdict};
use crate::wire::Excerpt;
use crate::world::{Vantage, World};

use fleet::FromNodes;
use group::{Group, groups};
use near::corrected_host;
use plan::{asked, places, plan};
use told::{told, waiting};

pub use crate::cluster::WorkloadKind;
pub use follow::{Follow, follow};
pub use manifests::{AskedBy, MAX_FILE, ManifestError, Manifests, Wanted};
pub use preflight::preflight;

/// What to check.
#[derive(Clone, Debug)]
pub enum Request {
    /// The images of a pod.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The images of a workload's pods.
    Workload {
        /// What it is.
        kind: WorkloadKind,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The images that pods of a namespace wait for.
    Namespace {
        /// Its name.
        namespace: String,
    },
    /// The images that pods of the cluster wait for.
    Cluster,
    /// An image, from here.
    Image(Reference),
}

/// What a user may add to a request.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Speak plain HTTP with the registry.
    pub plain_http: bool,
    /// A credential for the registry.
    pub credential: Option<Credential>,
    /// The platform to choose, when no node tells it.
    pub platform: Option<Platform>,
    /// The mirrors that the runtime asks before the registry.
    pub mirrors: Mirrors,
    /// Judge by what the cluster and Azure say alone; nothing is sent to a registry.
    pub no_probe: bool,
    /// A user's docker configuration; its helpers are run through the world's programs.
    pub docker_config: Option<DockerConfig>,
    /// The credential providers of a kubelet, run likewise.
    pub providers: Option<Arc<Providers>>,
    /// Whose habits probes have.
    pub habits: Habits,
    /// How far probes go; to every layer and one byte of the smallest unless set.
    pub depth: Option<Depth>,
    /// What `User-Agent` says; pullcheck's own name unless set.
    pub user_agent: Option<Box<str>>,
    /// Told of every layer as a full probe reads it.
    pub watch: Watch,
    /// A token of Entra, to be exchanged at registries of Azure.
    pub entra_token: Option<Secret>,
}

/// Images that are answered for one request.
const IMAGES: usize = 10;
/// The same for a namespace or a cluster.
const WIDE_IMAGES: usize = 60;

/// What a probe of an image from here is made with: all that the settings give.
pub(crate) async fn keyring_and_options(
    world: &World,
    settings: &Settings,
    reference: &Reference,
) -> (Keyring, probe::Options) {
    let symptoms = Symptoms::default();
    let place = &world.workstation;
    let mut plan = plan(settings, &symptoms, reference, place, None, None);
    plan.keyring
        .add_asked(asked(world, settings, reference).await);
    (plan.keyring, plan.options)
}

/// How long one layer may take, where layers are read to their end.
const LAYER: Duration = Duration::from_mins(1);

/// Checks `request` and says what was found.
pub async fn check(world: &World, request: &Request) -> Report {
    check_with(world, request, &Settings::default()).await
}

/// The same, with what a user adds.
pub async fn check_with(world: &World, request: &Request, settings: &Settings) -> Report {
    let at = world.clock.now();
    if let Some((target, subject)) = target_of(request) {
        return in_cluster(world, settings, &target, subject, at).await;
    }
    let Request::Image(reference) = request else {
        return Report::empty("nothing".into(), at, nothing("a request"));
    };
    let group = Group {
        image: reference.written().to_owned(),
        ..Group::default()
    };
    let symptoms = Symptoms::default();
    let nodes = FromNodes::ask(world, settings, &symptoms, &[&group]).await;
    let answer = answer(world, settings, &symptoms, &group, None, &nodes).await;
    Report {
        answers: vec![answer],
        gaps: nodes.gaps(),
        ..Report::empty(format!("image {}", reference.written()), at, nothing(""))
    }
}

/// What is read from the cluster for a request, and the request in words.
fn target_of(request: &Request) -> Option<(Target, String)> {
    Some(match request {
        Request::Image(_) => return None,
        Request::Pod { namespace, name } => (
            Target::Pod {
                namespace: namespace.clone(),
                name: name.clone(),
            },
            format!("pod {namespace}/{name}"),
        ),
        Request::Workload {
            kind,
            namespace,
            name,
        } => (
            Target::Workload {
                kind: *kind,
                namespace: namespace.clone(),
                name: name.clone(),
            },
            format!("{} {namespace}/{name}", kind.word()),
        ),
        Request::Namespace { namespace } => (
            Target::Namespace {
                namespace: namespace.clone(),
            },
            format!("namespace {namespace}"),
        ),
        Request::Cluster => (Target::Cluster, "the cluster".into()),
    })
}

fn nothing(what: &str) -> Verdict {
    Verdict::Undetermined {
        at: Stage::Kubelet,
        candidates: Vec::new(),
        would_settle: vec![Settle {
            what: what.into(),
            command: None,
        }],
    }
}

async fn in_cluster(
    world: &World,
    settings: &Settings,
    target: &Target,
    subject: String,
    at: Timestamp,
) -> Report {
    let Some(client) = &world.cluster else {
        let gap = Gap {
            what: "no cluster was given".into(),
            ask: None,
        };
        return Report {
            gaps: vec![gap],
            ..Report::empty(subject, at, nothing("access to the cluster"))
        };
    };
    let symptoms = cluster::read(client, target).await;
    let mut gaps: Vec<Gap> = symptoms.gaps.iter().map(gap).collect();
    let wide = target.is_wide();
    let mut groups = groups(&symptoms, at, wide);
    let bound = if wide { WIDE_IMAGES } else { IMAGES };
    if let Some(more) = groups.len().checked_sub(bound).filter(|more| *more > 0) {
        gaps.push(Gap {
            what: format!("{more} more images were not looked at; ask for their pods one by one"),
            ask: None,
        });
        groups.truncate(bound);
    }
    let asked: Vec<&Group<'_>> = groups.iter().collect();
    let nodes = FromNodes::ask(world, settings, &symptoms, &asked).await;
    gaps.extend(nodes.gaps());
    let mut answers = Vec::new();
    if wide {
        let items: Vec<many::Item<'_>> = groups
            .into_iter()
            .map(|group| many::Item {
                group,
                settings: settings.clone(),
            })
            .collect();
        answers = many::answers(world, &symptoms, &items, &nodes).await;
    } else {
        let mut asked: BTreeMap<String, AzureFacts> = BTreeMap::new();
        for group in &groups {
            let facts = azure_facts(world, &symptoms, group, &mut asked).await;
            answers.push(answer(world, settings, &symptoms, group, facts, &nodes).await);
        }
    }
    if let Some(not_created) = &symptoms.not_created {
        gaps.push(Gap {
            what: format!("no pod was created: {}", Excerpt::new(&not_created.message)),
            ask: None,
        });
        answers.extend(refused::answers(not_created));
    }
    gravest_first(&mut answers);
    let known: BTreeSet<String> = symptoms
        .pods
        .iter()
        .filter_map(|pod| pod.node.clone())
        .chain(
            symptoms
                .runs
                .values()
                .flat_map(|runs| runs.nodes.iter().cloned()),
        )
        .collect();
    let problems = problem::problems(&answers, &known);
    let waiting: usize = answers.iter().map(|one| one.waiting.len()).sum();
    let summary = wide.then(|| {
        format!(
            "{} pods were read; {waiting} containers wait for an image, {} problems",
            symptoms.pods_read,
            problems.len()
        )
    });
    Report {
        nothing: if wide && symptoms.pods_read > 0 {
            Verdict::Pullable
        } else {
            nothing("a pod of that name that can be read")
        },
        answers,
        problems,
        summary,
        gaps,
        ..Report::empty(subject, at, Verdict::Pullable)
    }
}

fn gravest_first(answers: &mut [Answer]) {
    answers.sort_by(|a, b| {
        let weight = |one: &Answer| (one.judgement.verdict.weight(), one.waiting.len());
        weight(b)
            .cmp(&weight(a))
            .then_with(|| a.image.cmp(&b.image))
    });
}

fn gap(gap: &crate::symptom::Gap) -> Gap {
    let ask = match &gap.why {
        GapReason::Forbidden(right) => Some(right.question()),
        _ => None,
    };
    Gap {
        what: gap.to_string(),
        ask,
    }
}

/// Asks Azure once a login server, when a token was given and the registry is Azure's.
async fn azure_facts(
    world: &World,
    symptoms: &Symptoms,
    group: &Group<'_>,
    asked: &mut BTreeMap<String, AzureFacts>,
) -> Option<AzureFacts> {
    let arm = world.arm.as_ref()?;
    let reference = Reference::parse(&group.image).ok()?;
    let login = azure::registry_login_server(&reference.registry().to_string())?;
    let key = format!("{login}/{}", reference.repository());
    if let Some(facts) = asked.get(&key) {
        return Some(facts.clone());
    }
    let nodes = group
        .failing
        .iter()
        .filter_map(|(pod, _)| symptoms.node_of(pod))
        .chain(symptoms.nodes.values());
    let question = azure::Question {
        provider_ids: nodes.filter_map(|node| node.provider_id.clone()).collect(),
        login_server: Some(login),
        repository: Some(reference.repository().to_owned()),
    };
    let facts = azure::read(world, arm, &question).await;
    asked.insert(key, facts.clone());
    Some(facts)
}

/// Whether a kubelet speaks of layers, which show what is wrong only when they are read to their end.
fn is_about_layers(told: &Told) -> bool {
    told.stage == Stage::Blob
        || told.clue == Clue::PullCancelled
        || told.text.contains("failed to copy")
}

/// Pulls of other pods that began before one that hangs, on its nodes.
async fn ahead(world: &World, group: &Group<'_>, nodes: &[String]) -> Vec<Ahead> {
    let (Some(client), Some(since)) = (&world.cluster, group.hanging) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for node in nodes.iter().take(1) {
        let others = cluster::pulling_on(client, node).await;
        let ours = |other: &Ahead| {
            group
                .failing
                .iter()
                .any(|(pod, _)| pod.name == other.pod && pod.namespace == other.namespace)
        };
        found.extend(
            others
                .into_iter()
                .filter(|other| other.since < since && !ours(other)),
        );
    }
    found.sort_by(|a, b| (a.since, &a.namespace, &a.pod).cmp(&(b.since, &b.namespace, &b.pod)));
    found
}

async fn answer(
    world: &World,
    settings: &Settings,
    symptoms: &Symptoms,
    group: &Group<'_>,
    azure: Option<AzureFacts>,
    nodes: &FromNodes,
) -> Answer {
    let reference = Reference::parse(&group.image).ok();
    let first = group.failing.first().map(|(pod, _)| *pod).or(group.example);
    let secrets: &[PullSecret] = first.map_or(&[], |pod| &pod.pull_secrets);
    let mut failing_nodes: Vec<String> = Vec::new();
    for node in group.failing.iter().filter_map(|(pod, _)| pod.node.clone()) {
        if !failing_nodes.contains(&node) {
            failing_nodes.push(node);
        }
    }
    let told = told(group);
    let ahead = ahead(world, group, &failing_nodes).await;
    let deep = group.hanging.is_some() || told.iter().any(is_about_layers);
    let after_pull = !group.failing.is_empty()
        && group
            .failing
            .iter()
            .all(|(_, trouble)| matches!(trouble, Trouble::AfterPull { .. }));
    let mut evidence = Evidence::new();
    let from_nodes = nodes.of(world, &group.image, &failing_nodes);
    if let Some(reference) = reference.as_ref().filter(|_| !settings.no_probe) {
        let asked = asked(world, settings, reference).await;
        for place in places(world, group, &failing_nodes) {
            if place.vantage == Vantage::Workstation {
                evidence.append(from_nodes.evidence.clone());
            }
            let mut plan = plan(settings, symptoms, reference, place, first, azure.as_ref());
            plan.keyring.add_asked(asked.clone());
            if deep {
                plan.options.depth = Depth::Full;
                plan.options.deadlines.body = LAYER;
            }
            evidence.append(
                probe::run(
                    place,
                    place.clock.as_ref().unwrap_or(&world.clock).as_ref(),
                    reference,
                    &plan.keyring,
                    &plan.options,
                )
                .await,
            );
        }
    }
    let node = failing_nodes
        .first()
        .and_then(|node| symptoms.nodes.get(node));
    let corrected = match &reference {
        Some(reference) => corrected_host(world, reference, &evidence).await,
        None => None,
    };
    let stops_on = group.stops.and_then(|(pod, _)| pod.node.as_ref());
    let platform = node
        .or_else(|| symptoms.nodes.get(stops_on?))
        .and_then(NodeFacts::platform);
    let now = world.clock.now();
    let case = Case {
        image: &group.image,
        reference: reference.as_ref(),
        in_cluster: group.in_cluster,
        told: &told,
        hanging: group.hanging,
        ahead: &ahead,
        after_pull,
        stops_with: group.stops.map(|(_, code)| code),
        running: group.running,
        platform: platform.as_deref(),
        node,
        runs_beside: failing_nodes
            .iter()
            .any(|node| group.running_on.contains(node)),
        always_pulls: group
            .failing
            .first()
            .and_then(|(_, trouble)| trouble.container())
            .is_some_and(|one| one.policy == Some(PullPolicy::Always)),
        on_azure: failing_nodes.iter().any(|node| {
            let id = symptoms
                .nodes
                .get(node)
                .and_then(|node| node.provider_id.as_deref());
            id.is_some_and(|id| id.starts_with("azure://"))
        }),
        failing_nodes: &failing_nodes,
        secrets,
        namespace: first.map(|pod| pod.namespace.as_str()),
        evidence: &evidence,
        shallow: &from_nodes.shallow,
        azure: azure.as_ref(),
        corrected_host: corrected.as_deref(),
        now,
    };
    let mut judgement = verdict::judge(&case);
    judgement.notes.extend(from_nodes.note.clone());
    let names = Names {
        namespace: first.map(|pod| pod.namespace.as_str()),
        pod: first.map(|pod| pod.name.as_str()),
        owner: first.and_then(|pod| pod.owner.as_ref()),
        container: group
            .failing
            .first()
            .and_then(|(_, trouble)| trouble.container())
            .map(|one| one.name.as_str()),
    };
    let remedies = verdict::remedies(&case, &judgement, &names);
    let receipt = verdict::receipt(&case, &judgement);
    let waiting = waiting(group, now);
    let kubelet = failing_nodes
        .first()
        .and_then(|node| symptoms.nodes.get(node)?.kubelet.as_deref());
    let view = group
        .failing
        .iter()
        .filter_map(|(pod, trouble)| pod.back_off(trouble.container()?))
        .max_by_key(|view| view.last_failure);
    let outlook = verdict::outlook(&case, &judgement, &names, view.as_ref(), kubelet);
    let credentials = credentials::map(first, reference.as_ref(), &evidence, now);
    Answer {
        image: group.image.clone(),
        judgement,
        remedies,
        waiting,
        running: group.running,
        outlook,
        credentials,
        told,
        receipt,
        comparison: from_nodes.compared(&world.workstation, &evidence),
        evidence,
        azure,
    }
}

#[cfg(test)]
mod tests;
