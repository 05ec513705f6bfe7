//! The check: symptoms, then Azure, then probes from the places that pull, then the verdict.
//!
//! In: a [`World`] and a [`Request`]. Out: a [`Report`], never an error: whatever cannot be read or
//! reached is a finding. It looks from the nodes on which pods fail (two at most), from one node on
//! which they do not, and from the workstation, one after the other.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::azure::{self, AzureFacts};
use crate::cluster::{self, Target};
use crate::evidence::{Evidence, Platform, Role, Seen};
use crate::explain::explain;
use crate::keyring::{Credential, Keyring};
use crate::mirrors::Mirrors;
use crate::probe::{self, NodeIdentity, Options};
use crate::reference::{Host, Reference};
use crate::report::{Answer, Gap, Report, Waiting};
use crate::stage::Stage;
use crate::symptom::{GapReason, Pod, PullSecret, SecretState, Symptoms, Trouble};
use crate::verdict::{self, Case, Names, Settle, Told, Verdict};
use crate::wire::Excerpt;
use crate::world::{Place, Vantage, World};

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
}

/// A pull that has run this long without an end or a failure counts as hanging.
const HANGING: SignedDuration = SignedDuration::from_secs(120);
/// Images that are answered for one request.
const IMAGES: usize = 10;
/// Failing nodes that are looked from.
const FAILING: usize = 2;
/// Different messages that are explained.
const MESSAGES: usize = 64;

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

/// Everything in the symptoms about one image.
#[derive(Default)]
struct Group<'a> {
    image: String,
    in_cluster: bool,
    failing: Vec<(&'a Pod, Trouble<'a>)>,
    running_on: BTreeSet<String>,
    running: usize,
    hanging: Option<Timestamp>,
}

/// One group an image: those in trouble; when none is, every image that the pods run.
fn groups(symptoms: &Symptoms, now: Timestamp) -> Vec<Group<'_>> {
    let mut found: BTreeMap<&str, Group<'_>> = BTreeMap::new();
    for pod in symptoms.pods.iter().filter(|pod| !pod.deleting) {
        for trouble in pod.troubles() {
            if let Trouble::Hanging { since, .. } = &trouble
                && now.duration_since(*since) < HANGING
            {
                continue;
            }
            let group = found.entry(trouble.image()).or_default();
            if let Trouble::Hanging { since, .. } = &trouble {
                group.hanging = Some(group.hanging.map_or(*since, |known| known.min(*since)));
            }
            group.failing.push((pod, trouble));
        }
    }
    let all_fine = found.is_empty();
    for pod in symptoms.pods.iter().filter(|pod| !pod.deleting) {
        for container in &pod.containers {
            if all_fine {
                found.entry(&container.image).or_default();
            }
            let runs = !container.image_id.is_empty();
            if let Some(group) = found.get_mut(container.image.as_str()).filter(|_| runs) {
                group.running += 1;
                group.running_on.extend(pod.node.clone());
            }
        }
    }
    let mut groups: Vec<Group<'_>> = found
        .into_iter()
        .map(|(image, group)| Group {
            image: image.to_owned(),
            in_cluster: true,
            ..group
        })
        .collect();
    groups.sort_by(|a, b| {
        b.failing
            .len()
            .cmp(&a.failing.len())
            .then_with(|| a.image.cmp(&b.image))
    });
    groups
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
    let first = group.failing.first().map(|(pod, _)| *pod);
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
    if let Some(reference) = &reference {
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
    let corrected = match &reference {
        Some(reference) => corrected_host(world, reference, &evidence).await,
        None => None,
    };
    let platform = failing_nodes
        .first()
        .and_then(|node| symptoms.nodes.get(node)?.platform());
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

/// Failing nodes first, then one that is fine, then the workstation.
fn places<'w>(world: &'w World, group: &Group<'_>, failing: &[String]) -> Vec<&'w Place> {
    let mut chosen: Vec<&Place> = failing
        .iter()
        .filter_map(|node| world.node(node))
        .take(FAILING)
        .collect();
    let name = |place: &Place| match &place.vantage {
        Vantage::Node(name) => Some(name.to_string()),
        Vantage::Workstation => None,
    };
    let healthy = || {
        world
            .nodes
            .iter()
            .filter(|place| name(place).is_some_and(|name| !failing.contains(&name)))
    };
    let runs =
        healthy().find(|place| name(place).is_some_and(|name| group.running_on.contains(&name)));
    if group.in_cluster {
        chosen.extend(runs.or_else(|| healthy().next()));
    }
    chosen.push(&world.workstation);
    chosen
}

struct Plan {
    keyring: Keyring,
    options: Options,
}

/// What a probe from `place` sends: the pod's pull secrets, the node's platform and identity.
fn plan(
    settings: &Settings,
    symptoms: &Symptoms,
    reference: &Reference,
    place: &Place,
    pod: Option<&Pod>,
    azure: Option<&AzureFacts>,
) -> Plan {
    let mut keyring = Keyring::new();
    for (pod, secret) in pod
        .into_iter()
        .flat_map(|pod| pod.pull_secrets.iter().map(move |secret| (pod, secret)))
    {
        if let SecretState::Found { kind, body, .. } = &secret.state {
            let body = body.as_ref().map(crate::symptom::SecretBody::expose);
            keyring.add_pull_secret(&pod.namespace, &secret.name, kind, body);
        }
    }
    if let Some(credential) = &settings.credential {
        keyring.add_given(&reference.registry().to_string(), credential.clone());
    }
    let mut options = Options {
        mirrors: settings.mirrors.clone(),
        ..Options::default()
    };
    if settings.plain_http {
        options.plain_http.insert(reference.endpoint());
    }
    let node = match &place.vantage {
        Vantage::Node(name) => symptoms.nodes.get(&**name),
        Vantage::Workstation => pod.and_then(|pod| symptoms.node_of(pod)),
    };
    if let Some(node) = node
        && let (Some(os), Some(architecture)) = (&node.operating_system, &node.architecture)
    {
        options.platform = Platform::new(os, architecture);
    } else if let Some(platform) = &settings.platform {
        options.platform = platform.clone();
    }
    let azure_registry = azure::registry_login_server(&reference.registry().to_string()).is_some();
    let azure_node = node
        .and_then(|node| node.provider_id.as_deref())
        .is_none_or(|id| id.starts_with("azure://"));
    if azure_registry && azure_node && matches!(place.vantage, Vantage::Node(_)) {
        let client_id = azure.and_then(|facts| facts.kubelet()?.client_id.clone());
        options.node_identity = client_id.map_or(NodeIdentity::Default, |id| {
            NodeIdentity::ClientId(id.into())
        });
    }
    Plan { keyring, options }
}

/// What the kubelets say: each node's newest message of each clue, the most telling first.
fn told(group: &Group<'_>) -> Vec<Told> {
    let mut texts: BTreeMap<&str, crate::explain::Explanation> = BTreeMap::new();
    let mut found: BTreeMap<(Option<String>, crate::clue::Clue), Told> = BTreeMap::new();
    for (pod, trouble) in &group.failing {
        let Some(text) = trouble.text() else { continue };
        if !texts.contains_key(text) {
            if texts.len() >= MESSAGES {
                continue;
            }
            texts.insert(text, explain(text));
        }
        let Some(read) = texts.get(text) else {
            continue;
        };
        let view = trouble
            .container()
            .and_then(|container| pod.back_off(container));
        let last = view.map(|view| view.last_failure);
        let count = view.map_or(1, |view| view.attempts_at_least);
        let entry = found
            .entry((pod.node.clone(), read.clue))
            .or_insert_with(|| Told {
                node: pod.node.clone(),
                clue: read.clue,
                certain: read.certain,
                stage: read.stage,
                causes: read.causes.clone(),
                host: read.host.clone(),
                status: read.status,
                text: Excerpt::new(text).to_string(),
                last,
                count: 0,
            });
        entry.last = entry.last.max(last);
        entry.count = entry.count.saturating_add(count);
    }
    let mut by_clue: BTreeMap<crate::clue::Clue, u32> = BTreeMap::new();
    for one in found.values() {
        *by_clue.entry(one.clue).or_default() += 1;
    }
    let mut list: Vec<Told> = found.into_values().collect();
    list.sort_by_key(|one| {
        let vague = matches!(
            one.clue,
            crate::clue::Clue::BackOffOnly
                | crate::clue::Clue::Unknown
                | crate::clue::Clue::PullCancelled
        );
        (
            vague,
            !one.certain,
            std::cmp::Reverse(by_clue.get(&one.clue).copied().unwrap_or(0)),
        )
    });
    list
}

fn waiting(group: &Group<'_>, now: Timestamp) -> Vec<Waiting> {
    let mut list: Vec<Waiting> = group
        .failing
        .iter()
        .map(|(pod, trouble)| {
            let view = trouble
                .container()
                .and_then(|container| pod.back_off(container));
            let reason = match trouble {
                Trouble::Refused { reason, .. } | Trouble::AfterPull { reason, .. } => {
                    (*reason).to_owned()
                }
                Trouble::Hanging { since, .. } => format!(
                    "pulling for {} s without an end",
                    now.duration_since(*since).as_secs()
                ),
                Trouble::Sandbox { .. } => "the sandbox image".into(),
            };
            Waiting {
                namespace: pod.namespace.clone(),
                pod: pod.name.clone(),
                container: trouble.container().map(|one| one.name.clone()),
                node: pod.node.clone(),
                reason,
                attempts_at_least: view.map(|view| view.attempts_at_least),
                next_attempt_within_s: view.map(|view| view.next_within(now).as_secs()),
            }
        })
        .collect();
    list.sort_by(|a, b| {
        (&a.namespace, &a.pod, &a.container).cmp(&(&b.namespace, &b.pod, &b.container))
    });
    list
}

/// Suffixes of registries that people misspell.
const KNOWN: [&str; 9] = [
    "azurecr.io",
    "azurecr.us",
    "azurecr.cn",
    "docker.io",
    "ghcr.io",
    "quay.io",
    "gcr.io",
    "pkg.dev",
    "mcr.microsoft.com",
];

/// For a name that does not exist: the same host with a known suffix, if it is near and resolves.
async fn corrected_host(
    world: &World,
    reference: &Reference,
    evidence: &Evidence,
) -> Option<String> {
    let unknown = evidence
        .about(Role::Registry)
        .any(|fact| matches!(fact.seen, Seen::DnsFailed { .. }));
    let resolved = evidence
        .about(Role::Registry)
        .any(|fact| matches!(fact.seen, Seen::Resolved { .. }));
    if !unknown || resolved {
        return None;
    }
    let host = near(&reference.registry().host().to_string())?;
    let parsed = Host::parse(&host).ok()?;
    world
        .workstation
        .net
        .resolve(&parsed)
        .await
        .ok()
        .map(|_| host)
}

fn near(host: &str) -> Option<String> {
    let host = host.to_ascii_lowercase();
    if KNOWN
        .iter()
        .any(|suffix| host == *suffix || host.ends_with(&format!(".{suffix}")))
    {
        return None;
    }
    KNOWN.iter().find_map(|suffix| {
        let labels = suffix.split('.').count();
        let mut parts: Vec<&str> = host.rsplitn(labels + 1, '.').collect();
        let rest = if parts.len() > labels {
            parts.pop()
        } else {
            None
        };
        parts.reverse();
        let tail = parts.join(".");
        let distance = strsim::osa_distance(&tail, suffix);
        let hosts_names = suffix.starts_with("azurecr") || *suffix == "pkg.dev";
        let fits = (1..=2).contains(&distance) && rest.is_some() == hosts_names;
        fits.then(|| rest.map_or_else(|| (*suffix).to_owned(), |rest| format!("{rest}.{suffix}")))
    })
}

#[cfg(test)]
mod tests;
