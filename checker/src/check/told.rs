//! What kubelets say about an image, and what waits for it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::group::Group;
use crate::explain::explain;
use crate::report::Waiting;
use crate::symptom::Trouble;
use crate::verdict::Told;
use crate::wire::Excerpt;

/// Different messages that are explained.
const MESSAGES: usize = 64;

/// What the kubelets say: each node's newest message of each clue, the most telling first.
pub(super) fn told(group: &Group<'_>) -> Vec<Told> {
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

pub(super) fn waiting(group: &Group<'_>, now: Timestamp) -> Vec<Waiting> {
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
