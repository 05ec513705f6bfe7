//! Many images at once: each registry is asked in turn and at a measured pace, several side by side.
//!
//! A registry that was not reached twice is not dialled again for every further image: what their
//! pods say is judged, and the answer says that it was not probed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fleet::FromNodes;
use super::group::Group;
use super::{Settings, answer, azure_facts, problem};
use crate::evidence::{Evidence, Seen};
use crate::report::Answer;
use crate::stage::Stage;
use crate::symptom::Symptoms;
use crate::world::World;

/// Time between two images of one registry.
const PACE: Duration = Duration::from_millis(250);
/// Registries that are asked side by side.
const HOSTS: usize = 4;
/// Images in a row that a registry is not reached for, before it is left alone.
const UNREACHED: usize = 2;

/// One image to look at, with what is to be sent for it.
pub(super) struct Item<'a> {
    pub(super) group: Group<'a>,
    pub(super) settings: Settings,
}

/// An answer for each item, in an order that only the items decide.
pub(super) async fn answers(
    world: &World,
    symptoms: &Symptoms,
    items: &[Item<'_>],
    nodes: &FromNodes,
) -> Vec<Answer> {
    let mut hosts: BTreeMap<String, Vec<(usize, &Item<'_>)>> = BTreeMap::new();
    for (at, item) in items.iter().enumerate() {
        let host = problem::host(&item.group.image);
        hosts.entry(host).or_default().push((at, item));
    }
    let hosts: Vec<(String, Vec<(usize, &Item<'_>)>)> = hosts.into_iter().collect();
    let mut found: Vec<(usize, Answer)> = Vec::new();
    for side_by_side in hosts.chunks(HOSTS) {
        let work = side_by_side
            .iter()
            .map(|(host, items)| one_host(world, symptoms, host, items, nodes));
        for answers in futures::future::join_all(work).await {
            found.extend(answers);
        }
    }
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, answer)| answer).collect()
}

async fn one_host(
    world: &World,
    symptoms: &Symptoms,
    host: &str,
    items: &[(usize, &Item<'_>)],
    nodes: &FromNodes,
) -> Vec<(usize, Answer)> {
    let mut asked = BTreeMap::new();
    let mut unreached = 0;
    let mut found = Vec::new();
    for (turn, (at, item)) in items.iter().enumerate() {
        let quiet = unreached >= UNREACHED && !item.settings.no_probe;
        if turn > 0 && !quiet && !item.settings.no_probe {
            tokio::time::sleep(PACE).await;
        }
        let facts = azure_facts(world, symptoms, &item.group, &mut asked).await;
        let silent;
        let settings = if quiet {
            silent = Settings {
                no_probe: true,
                ..item.settings.clone()
            };
            &silent
        } else {
            &item.settings
        };
        let mut answer = answer(world, settings, symptoms, &item.group, facts, nodes).await;
        if quiet {
            answer.judgement.notes.push(format!(
                "not probed: {host} was not reached for {UNREACHED} images before"
            ));
        } else if not_reached(&answer.evidence) {
            unreached += 1;
        } else {
            unreached = 0;
        }
        found.push((*at, answer));
    }
    found
}

/// Whether all that was seen of the registry is how the way there ends; what is known of credentials before
/// the first request does not count.
fn not_reached(evidence: &Evidence) -> bool {
    let mut seen = evidence
        .iter()
        .filter(|fact| {
            !matches!(
                fact.seen,
                Seen::CredentialOrder { .. } | Seen::CredentialPassedOver { .. }
            )
        })
        .peekable();
    seen.peek().is_some() && seen.all(|fact| fact.stage < Stage::Ping)
}
