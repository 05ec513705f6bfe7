//! The registry's side of two observations: what was asked, with which headers, and in which order.
//!
//! A runtime fetches layers side by side, so their order is nobody's; all else of one pull comes one after
//! the other. Where several pods pull at once, their requests run into each other: then only what always
//! comes first is compared, not whole pulls.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{Aspect, Difference, precedence, texts, turned};
use super::observation::{Asked, Observation};

/// Requests of one pull are no further apart.
const APART: u64 = 3_000;

pub(super) fn compare(real: &Observation, embedded: &Observation, found: &mut Vec<Difference>) {
    let (all_real, all_embedded) = (set(real), set(embedded));
    found.extend(texts(
        Aspect::Requests,
        &borrowed(&all_real),
        &borrowed(&all_embedded),
    ));
    let (one, other) = (bursts(real), bursts(embedded));
    let first = |bursts: &[Vec<&Asked>]| {
        let sequences = bursts.iter().map(|burst| {
            let mut sequence: Vec<(u64, String)> = Vec::new();
            for asked in burst {
                if !sequence.iter().any(|(_, known)| *known == asked.request) {
                    sequence.push((asked.at.0, asked.request.clone()));
                }
            }
            sequence
        });
        precedence(sequences, 0)
    };
    for (before, after) in turned(&first(&one), &first(&other)) {
        found.push(Difference {
            aspect: Aspect::Requests,
            what: "order".to_owned(),
            real: Some(format!("{before} before {after}")),
            embedded: Some(format!("{after} before {before}")),
        });
    }
    if !concurrent(real) && !concurrent(embedded) {
        let whole = |bursts: &[Vec<&Asked>]| -> BTreeSet<(String, String)> {
            let pulls = bursts.iter().map(|burst| pull(burst));
            pulls.map(|pull| ("one pull".to_owned(), pull)).collect()
        };
        let (one, other) = (whole(&one), whole(&other));
        found.extend(texts(Aspect::Requests, &borrowed(&one), &borrowed(&other)));
    }
}

fn borrowed(set: &BTreeSet<(String, String)>) -> BTreeSet<(String, &str)> {
    set.iter()
        .map(|(what, text)| (what.clone(), text.as_str()))
        .collect()
}

/// Every request once: its line, and all the rest of it.
fn set(of: &Observation) -> BTreeSet<(String, String)> {
    let requests = of.requests.iter().map(|asked| {
        let part = |name: &str, value: &Option<String>| {
            value
                .as_ref()
                .map_or_else(String::new, |value| format!("; {name} {value}"))
        };
        let rest = format!(
            "{}{}; authorization {}",
            answer(asked),
            part("Accept", &asked.accept) + &part("Range", &asked.range),
            asked.authorization
        );
        (asked.request.clone(), rest)
    });
    requests.collect()
}

fn answer(asked: &Asked) -> String {
    asked
        .status
        .map_or_else(|| "no answer".to_owned(), |status| status.to_string())
}

/// What one node asked in one go.
fn bursts(of: &Observation) -> Vec<Vec<&Asked>> {
    let mut by_node: BTreeMap<&str, Vec<Vec<&Asked>>> = BTreeMap::new();
    for asked in &of.requests {
        let bursts = by_node.entry(&asked.node).or_default();
        let burst = bursts.last().map_or(&[][..], Vec::as_slice);
        let goes_on = burst
            .last()
            .is_some_and(|last| asked.at.0.saturating_sub(last.at.0) < APART)
            && !begins(asked, burst);
        match bursts.last_mut() {
            Some(burst) if goes_on => burst.push(asked),
            _ => bursts.push(vec![asked]),
        }
    }
    by_node.into_values().flatten().collect()
}

/// Whether a request is the first of another pull: every pull begins by asking for a manifest's head, and
/// asks for that one again once it has a token.
fn begins(asked: &Asked, burst: &[&Asked]) -> bool {
    asked.request.starts_with("HEAD ") && burst.iter().all(|known| known.request != asked.request)
}

/// The requests of a pull in their order, and its blobs by number.
fn pull(burst: &[&Asked]) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut blobs: BTreeMap<String, usize> = BTreeMap::new();
    for asked in burst {
        let line = format!("{} → {}", asked.request, answer(asked));
        if asked.request.contains("/blobs/") {
            *blobs.entry(line).or_default() += 1;
        } else {
            lines.push(line);
        }
    }
    lines.extend(
        blobs
            .into_iter()
            .map(|(line, count)| format!("{count} × {line}")),
    );
    lines.join(", ")
}

/// Whether several pods of one template, or of several, pull at a time.
fn concurrent(of: &Observation) -> bool {
    let mut pulls: Vec<(u64, &str, usize)> = Vec::new();
    for event in of.events.iter().filter(|event| event.reason == "Pulling") {
        pulls.extend(
            event
                .at
                .iter()
                .map(|at| (at.0, event.object.as_str(), event.number)),
        );
    }
    pulls.sort_unstable();
    pulls.windows(2).any(|pair| match pair {
        [(at, object, number), (next, other, other_number)] => {
            (object, number) != (other, other_number) && next - at < APART
        }
        _ => false,
    })
}
