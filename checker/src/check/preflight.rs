//! Before anything is deployed: every image of manifests, with the credentials that will be used.
//!
//! Pull secrets come from the manifests' own Secret objects, else from the cluster where one is given.
//! Platforms are those asked for, else the pod's node selector, else those of the cluster's nodes.

use std::collections::BTreeMap;

use super::fleet::FromNodes;
use super::group::Group;
use super::manifests::{AskedBy, Manifests, Wanted, platform};
use super::many::{Item, answers};
use super::problem::problems;
use super::{Settings, gap, gravest_first, nothing};
use crate::cluster::{self, Surroundings};
use crate::evidence::Platform;
use crate::report::{Gap, Report};
use crate::symptom::{Owner, Pod, PullSecret, SecretState, Symptoms};
use crate::verdict::Verdict;
use crate::world::World;

/// Checks every image of `manifests`. `platforms` are those that matter; none for those of the nodes.
pub async fn preflight(
    world: &World,
    subject: &str,
    manifests: &Manifests,
    platforms: &[Platform],
    settings: &Settings,
) -> Report {
    let at = world.clock.now();
    let around = match &world.cluster {
        Some(client) => surroundings(client, manifests).await,
        None => Surroundings::default(),
    };
    let mut gaps: Vec<Gap> = around.gaps.iter().map(gap).collect();
    if !manifests.never.is_empty() {
        let names: Vec<&str> = manifests.never.iter().take(5).map(String::as_str).collect();
        gaps.push(Gap {
            what: format!("never pulled, so not looked at: {}", names.join(", ")),
            ask: None,
        });
    }
    let pods: Vec<(Pod, &Wanted, &[AskedBy])> = manifests
        .wanted
        .iter()
        .map(|(wanted, places)| (pod(manifests, &around, wanted, places), wanted, &places[..]))
        .collect();
    let mut items = Vec::new();
    let mut notes: Vec<Vec<String>> = Vec::new();
    for (pod, wanted, places) in &pods {
        let chosen = choose(wanted, platforms, &around);
        let several = chosen.len() > 1;
        for platform in chosen {
            let mut said = vec![asked_by(places)];
            if several && let Some(platform) = &platform {
                said.push(format!("this answer is for {platform}"));
            }
            notes.push(said);
            items.push(Item {
                group: Group {
                    image: wanted.image.clone(),
                    example: Some(pod),
                    ..Group::default()
                },
                settings: Settings {
                    platform: platform.or_else(|| settings.platform.clone()),
                    ..settings.clone()
                },
            });
        }
    }
    let symptoms = Symptoms::default();
    let asked: Vec<&Group<'_>> = items.iter().map(|item| &item.group).collect();
    let nodes = FromNodes::ask(world, settings, &symptoms, &asked).await;
    gaps.extend(nodes.gaps());
    let mut found = answers(world, &symptoms, &items, &nodes).await;
    for (answer, said) in found.iter_mut().zip(notes) {
        answer.judgement.notes.extend(said);
    }
    let fine = found
        .iter()
        .filter(|one| one.judgement.verdict == Verdict::Pullable)
        .count();
    let problems = problems(&found, &std::collections::BTreeSet::new());
    let summary = format!(
        "{} objects ask for {} images; {fine} of {} questions are pullable",
        manifests.objects,
        manifests
            .wanted
            .keys()
            .map(|one| &one.image)
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        found.len()
    );
    gravest_first(&mut found);
    Report {
        subject: subject.to_owned(),
        at,
        nothing: if manifests.objects > 0 && found.is_empty() {
            Verdict::Pullable
        } else {
            nothing("manifests with at least one object")
        },
        answers: found,
        problems,
        summary: Some(summary),
        gaps,
    }
}

async fn surroundings(client: &kube::Client, manifests: &Manifests) -> Surroundings {
    let mut secrets: Vec<(String, String)> = Vec::new();
    let mut accounts: Vec<(String, String)> = Vec::new();
    for wanted in manifests.wanted.keys() {
        let account = (wanted.namespace.clone(), wanted.account.clone());
        if wanted.secrets.is_empty()
            && !manifests.accounts.contains_key(&account)
            && !accounts.contains(&account)
        {
            accounts.push(account);
        }
        for name in manifests.secrets_of(wanted, &BTreeMap::new()) {
            let key = (wanted.namespace.clone(), name);
            if !manifests.secrets.contains_key(&key) && !secrets.contains(&key) {
                secrets.push(key);
            }
        }
    }
    cluster::surroundings(client, &secrets, &accounts).await
}

/// The pod that would be made, as far as a pull cares.
fn pod(manifests: &Manifests, around: &Surroundings, wanted: &Wanted, places: &[AskedBy]) -> Pod {
    let secrets = manifests.secrets_of(wanted, &around.accounts);
    let pull_secrets = secrets.into_iter().map(|name| {
        let key = (wanted.namespace.clone(), name);
        let state = manifests
            .secrets
            .get(&key)
            .or_else(|| around.secrets.get(&key))
            .cloned()
            .unwrap_or(SecretState::NotRead);
        PullSecret {
            name: key.1,
            state,
            elsewhere: Vec::new(),
        }
    });
    Pod {
        namespace: wanted.namespace.clone(),
        name: places
            .first()
            .map(|one| one.name.clone())
            .unwrap_or_default(),
        owner: places.first().map(|one| Owner {
            kind: one.kind.clone(),
            name: one.name.clone(),
        }),
        pull_secrets: pull_secrets.collect(),
        ..Pod::default()
    }
}

fn choose(wanted: &Wanted, platforms: &[Platform], around: &Surroundings) -> Vec<Option<Platform>> {
    if !platforms.is_empty() {
        return platforms.iter().cloned().map(Some).collect();
    }
    if let Some(one) = wanted.platform.as_deref().and_then(platform) {
        return vec![Some(one)];
    }
    let of_nodes: Vec<Option<Platform>> = around
        .platforms
        .iter()
        .take(4)
        .map(|(os, architecture)| Some(Platform::new(os, architecture)))
        .collect();
    if of_nodes.is_empty() {
        vec![None]
    } else {
        of_nodes
    }
}

fn asked_by(places: &[AskedBy]) -> String {
    let list: Vec<String> = places
        .iter()
        .map(|one| format!("{}/{} {} ({})", one.kind, one.name, one.container, one.at))
        .collect();
    format!("asked for by {}", list.join(", "))
}
