//! The check: symptoms, then Azure, then probes from the places that pull, then the verdict.
//!
//! In: a [`World`] and a [`Request`]. Out: a [`Report`], never an error: whatever cannot be read or
//! reached is a finding. It looks from the nodes on which pods fail (two at most), from one node on
//! which they do not, and from the workstation, one after the other.

mod group;
mod near;
mod plan;
mod refused;
mod told;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::azure::{self, AzureFacts};
use crate::cluster::{self, Target};
use crate::evidence::{Evidence, Platform};
use crate::keyring::Credential;
use crate::mirrors::Mirrors;
use crate::probe;
use crate::reference::Reference;
use crate::report::{Answer, Gap, Report};
use crate::stage::Stage;
use crate::symptom::{GapReason, NodeFacts, PullPolicy, PullSecret, Symptoms, Trouble};
use crate::verdict::{self, Case, Names, Settle, Verdict};
use crate::wire::Excerpt;
use crate::world::World;

use group::{Group, groups};
use near::corrected_host;
use plan::{places, plan};
use told::{told, waiting};

pub use crate::cluster::WorkloadKind;

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
}

/// Images that are answered for one request.
const IMAGES: usize = 10;

/// Checks `request` and says what was found.
pub async fn check(world: &World, request: &Request) -> Report {
    check_with(world, request, &Settings::default()).await
}

/// The same, with what a user adds.
pub async fn check_with(world: &World, request: &Request, settings: &Settings) -> Report {
    let at = world.clock.now();
    match request {
        Request::Image(reference) => {
            let group = Group {
                image: reference.written().to_owned(),
                ..Group::default()
            };
            let answer = answer(world, settings, &Symptoms::default(), &group, None).await;
            Report {
                subject: format!("image {}", reference.written()),
                at,
                answers: vec![answer],
                gaps: vec![],
                nothing: nothing(""),
            }
        }
        Request::Pod { namespace, name } => {
            let target = Target::Pod {
                namespace: namespace.clone(),
                name: name.clone(),
            };
            in_cluster(
                world,
                settings,
                &target,
                format!("pod {namespace}/{name}"),
                at,
            )
            .await
        }
        Request::Workload {
            kind,
            namespace,
            name,
        } => {
            let target = Target::Workload {
                kind: *kind,
                namespace: namespace.clone(),
                name: name.clone(),
            };
            in_cluster(
                world,
                settings,
                &target,
                format!("{} {namespace}/{name}", kind.word()),
                at,
            )
            .await
        }
    }
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
            subject,
            at,
            answers: vec![],
            gaps: vec![gap],
            nothing: nothing("access to the cluster"),
        };
    };
    let symptoms = cluster::read(client, target).await;
    let mut gaps: Vec<Gap> = symptoms.gaps.iter().map(gap).collect();
    let groups = groups(&symptoms, at);
    if let Some(more) = groups.len().checked_sub(IMAGES).filter(|more| *more > 0) {
        gaps.push(Gap {
            what: format!("{more} more images were not looked at; ask for their pods one by one"),
            ask: None,
        });
    }
    let mut asked: BTreeMap<String, AzureFacts> = BTreeMap::new();
    let mut answers = Vec::new();
    for group in groups.iter().take(IMAGES) {
        let facts = azure_facts(world, &symptoms, group, &mut asked).await;
        answers.push(answer(world, settings, &symptoms, group, facts).await);
    }
    if let Some(not_created) = &symptoms.not_created {
        gaps.push(Gap {
            what: format!("no pod was created: {}", Excerpt::new(&not_created.message)),
            ask: None,
        });
        answers.extend(refused::answers(not_created));
    }
    answers.sort_by(|a, b| {
        let weight = |one: &Answer| (one.judgement.verdict.weight(), one.waiting.len());
        weight(b)
            .cmp(&weight(a))
            .then_with(|| a.image.cmp(&b.image))
    });
    Report {
        subject,
        at,
        answers,
        gaps,
        nothing: nothing("a pod of that name that can be read"),
    }
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

async fn answer(
    world: &World,
    settings: &Settings,
    symptoms: &Symptoms,
    group: &Group<'_>,
    azure: Option<AzureFacts>,
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
    let after_pull = !group.failing.is_empty()
        && group
            .failing
            .iter()
            .all(|(_, trouble)| matches!(trouble, Trouble::AfterPull { .. }));
    let mut evidence = Evidence::new();
    if let Some(reference) = reference.as_ref().filter(|_| !settings.no_probe) {
        for place in places(world, group, &failing_nodes) {
            let plan = plan(settings, symptoms, reference, place, first, azure.as_ref());
            evidence.append(
                probe::run(
                    place,
                    world.clock.as_ref(),
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
    let platform = node.and_then(NodeFacts::platform);
    let now = world.clock.now();
    let case = Case {
        image: &group.image,
        reference: reference.as_ref(),
        in_cluster: group.in_cluster,
        told: &told,
        hanging: group.hanging,
        after_pull,
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
        azure: azure.as_ref(),
        corrected_host: corrected.as_deref(),
        now,
    };
    let judgement = verdict::judge(&case);
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
    Answer {
        image: group.image.clone(),
        judgement,
        remedies,
        waiting,
        running: group.running,
        told,
        receipt,
        evidence,
        azure,
    }
}

#[cfg(test)]
mod tests;
