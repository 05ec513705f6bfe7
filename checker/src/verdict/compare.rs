//! Two vantages, or two hundred, side by side: where each place got to, the first stage at which they differ, and
//! the node that stands out.
//!
//! Pure, like everything here; it proves no cause. A place that was asked no further than to `/v2/` is compared no
//! further either.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use super::ending::{Ending, addresses, ending};
use crate::evidence::{Evidence, Fact, Role};
use crate::stage::Stage;
use crate::world::Vantage;

/// A place, and what came from there.
#[derive(Clone, Debug)]
pub struct Seat<'e> {
    /// The place.
    pub place: Vantage,
    /// What was seen from there, or why nothing was.
    pub seen: Result<&'e Evidence, String>,
    /// Whether it was asked no further than to `/v2/`.
    pub shallow: bool,
}

/// What became of a probe from one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything that was asked for succeeded.
    Passed,
    /// It stopped.
    Stopped,
    /// There is none.
    NoProbe,
}

/// One place of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct PlaceSeen {
    /// The place.
    pub place: Vantage,
    /// What became of the probe.
    pub outcome: Outcome,
    /// The last stage that it got to.
    pub stage: Option<Stage>,
    /// The fact that stopped it.
    pub stopped_by: Option<Fact>,
    /// Why there is no probe.
    pub why: Option<String>,
    /// Whether it was asked no further than to `/v2/`.
    pub shallow: bool,
    /// How long its stages took in all.
    pub took: Duration,
    /// The registry's addresses as they resolve there.
    pub addresses: Vec<String>,
}

/// Places side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The workstation, then the nodes: those that stopped first, then those that tell nothing.
    pub places: Vec<PlaceSeen>,
    /// The first stage at which one place stopped and another got past.
    pub differs_at: Option<Stage>,
    /// The nodes that are unlike the others.
    pub stands_out: Vec<String>,
    /// The same in one sentence.
    pub words: String,
}

/// Nodes that are named in a sentence.
const NAMED: usize = 5;

/// Puts places side by side.
pub fn compare(seats: &[Seat<'_>]) -> Comparison {
    let mut places: Vec<PlaceSeen> = seats.iter().map(place).collect();
    places.sort_by(|a, b| order(a).cmp(&order(b)));
    let stops: BTreeSet<Stage> = places
        .iter()
        .filter(|one| one.outcome == Outcome::Stopped)
        .filter_map(|one| one.stage)
        .collect();
    let differs_at = stops
        .into_iter()
        .find(|stage| places.iter().any(|one| got_past(one, *stage)));
    let stands_out = differs_at.map_or_else(Vec::new, |stage| stands_out(&places, stage));
    let words = words(&places, differs_at, &stands_out);
    Comparison {
        places,
        differs_at,
        stands_out,
        words,
    }
}

fn place(seat: &Seat<'_>) -> PlaceSeen {
    let mut seen = PlaceSeen {
        place: seat.place.clone(),
        outcome: Outcome::NoProbe,
        stage: None,
        stopped_by: None,
        why: None,
        shallow: seat.shallow,
        took: Duration::ZERO,
        addresses: Vec::new(),
    };
    let evidence = match &seat.seen {
        Ok(evidence) => evidence,
        Err(why) => {
            seen.why = Some(why.clone());
            return seen;
        }
    };
    let facts = || evidence.from(&seat.place);
    match ending(evidence, &seat.place) {
        Ending::NotRun => seen.why = Some("nothing was seen from there".into()),
        Ending::Passed => {
            seen.outcome = Outcome::Passed;
            seen.stage = facts().map(|fact| fact.stage).max();
        }
        Ending::Stopped(stop) => {
            seen.outcome = Outcome::Stopped;
            seen.stage = Some(stop.stage);
            seen.stopped_by = stop.fact.cloned();
        }
    }
    seen.took = facts().map(|fact| fact.took).sum();
    let found = addresses(evidence, &seat.place, Role::Registry);
    seen.addresses = found.iter().map(ToString::to_string).collect();
    seen
}

fn order(place: &PlaceSeen) -> (u8, Option<Stage>, &Vantage) {
    let rank = match (&place.place, place.outcome) {
        (Vantage::Workstation, _) => 0,
        (_, Outcome::Stopped) => 1,
        (_, Outcome::NoProbe) => 2,
        (_, Outcome::Passed) => 3,
    };
    (rank, place.stage, &place.place)
}

/// Whether a place is known to be beyond a stage.
fn got_past(place: &PlaceSeen, stage: Stage) -> bool {
    match place.outcome {
        Outcome::Passed => !place.shallow || stage <= Stage::Ping,
        Outcome::Stopped => place.stage.is_some_and(|own| own > stage),
        Outcome::NoProbe => false,
    }
}

/// The fewer of those that stopped at `stage` and those that got past; of as many, those that stopped.
fn stands_out(places: &[PlaceSeen], stage: Stage) -> Vec<String> {
    let nodes = |wanted: &dyn Fn(&PlaceSeen) -> bool| -> Vec<String> {
        let chosen = places.iter().filter(|one| wanted(one));
        chosen
            .filter_map(|one| match &one.place {
                Vantage::Node(name) => Some(name.to_string()),
                Vantage::Workstation => None,
            })
            .collect()
    };
    let stopped =
        nodes(&|one| one.outcome == Outcome::Stopped && one.stage.is_some_and(|at| at <= stage));
    let past = nodes(&|one| got_past(one, stage));
    // Nodes that all do the same stand out from nobody but the workstation.
    match (stopped.len(), past.len()) {
        (0, _) | (_, 0) => Vec::new(),
        (bad, good) if bad <= good => stopped,
        _ => past,
    }
}

fn words(places: &[PlaceSeen], differs_at: Option<Stage>, stands_out: &[String]) -> String {
    let is_node = |one: &&PlaceSeen| one.place != Vantage::Workstation;
    let told = |one: &&PlaceSeen| one.outcome != Outcome::NoProbe;
    let nodes = places.iter().filter(is_node).filter(told).count();
    let silent = places.iter().filter(is_node).count() - nodes;
    let mut words = if nodes == 0 {
        "no node tells anything".to_owned()
    } else if let Some(stage) = differs_at {
        let here = places.iter().find(|one| one.place == Vantage::Workstation);
        let side = here
            .filter(|one| one.outcome != Outcome::NoProbe)
            .map(|one| {
                if got_past(one, stage) {
                    "this workstation gets past it"
                } else {
                    "this workstation does not get past it"
                }
            });
        let side = side.map_or_else(String::new, |side| format!("; {side}"));
        match stands_out.len() {
            0 => format!("nodes and workstation differ first at {stage}{side}"),
            count => {
                let names: Vec<&str> = stands_out.iter().take(NAMED).map(String::as_str).collect();
                let more = if count > NAMED {
                    format!(" and {} more", count - NAMED)
                } else {
                    String::new()
                };
                let verb = if count == 1 { "stands" } else { "stand" };
                format!(
                    "the places differ first at {stage}: of {nodes} nodes {}{more} {verb} out{side}",
                    names.join(", ")
                )
            }
        }
    } else {
        format!("{} and this workstation see the same", count(nodes))
    };
    if let Some(split) = split_names(places) {
        words = format!("{words}; {split}");
    }
    if silent > 0 && nodes > 0 {
        words = format!("{words}; {} no answer", gave(silent));
    }
    words
}

fn count(nodes: usize) -> String {
    match nodes {
        1 => "the node".to_owned(),
        2 => "both nodes".to_owned(),
        _ => format!("all {nodes} nodes"),
    }
}

fn gave(nodes: usize) -> String {
    match nodes {
        1 => "1 node gave".to_owned(),
        _ => format!("{nodes} nodes gave"),
    }
}

/// The name leads elsewhere from nodes than from here: no fault by itself, and often the reason of one.
fn split_names(places: &[PlaceSeen]) -> Option<String> {
    let here = places
        .iter()
        .find(|one| one.place == Vantage::Workstation && !one.addresses.is_empty())?;
    let there = places.iter().find(|one| {
        one.place != Vantage::Workstation
            && !one.addresses.is_empty()
            && one
                .addresses
                .iter()
                .all(|address| !here.addresses.contains(address))
    })?;
    let Vantage::Node(name) = &there.place else {
        return None;
    };
    Some(format!(
        "the registry is {} here and {} on node {name}",
        here.addresses.join(", "),
        there.addresses.join(", ")
    ))
}

impl PlaceSeen {
    /// The place in words.
    pub fn name(&self) -> String {
        match &self.place {
            Vantage::Workstation => "this workstation".to_owned(),
            Vantage::Node(name) => format!("node {name}"),
        }
    }
}
