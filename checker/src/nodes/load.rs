//! Load from several nodes: what each is asked, what each tells, and how that adds up.
//!
//! Every node counts for itself and tells its whole histogram as pairs of a latency and a count, so that a
//! percentile of all of them is one of all answers, not a mean of percentiles.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::stand::Standing;
use crate::bench::{self, BenchError, Kind, Load, Outcome};
use crate::keyring::Keyring;
use crate::probe::Options;
use crate::reference::Reference;
use crate::wire::Excerpt;
use crate::world::WallClock;

/// Distinct latencies that are read of one node; a histogram of three digits has fewer.
const MAX_COUNTS: usize = 40_000;
/// Kinds of failure that are read of one node.
const MAX_KINDS: usize = 32;

/// The load that one node is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOrder {
    /// How the question is asked.
    pub kind: Kind,
    /// Questions in flight at a time.
    pub connections: u16,
    /// How long is asked, in milliseconds.
    pub millis: u32,
    /// Thousandths of questions a second; as fast as they are answered unless set.
    pub rate: Option<u32>,
    /// Also ask a registry at a public address.
    pub public: bool,
}

impl LoadOrder {
    /// One node's part of `load` on `nodes` nodes. Every node has at least one question in flight.
    pub fn part(load: &Load, nodes: usize) -> Self {
        let nodes = nodes.max(1);
        let connections = load.connections.div_ceil(nodes).max(1);
        Self {
            kind: load.kind,
            connections: u16::try_from(connections).unwrap_or(u16::MAX),
            millis: u32::try_from(load.time.as_millis()).unwrap_or(u32::MAX),
            rate: load
                .rate
                .map(|rate| (rate * 1000.0 / nodes as f64).round().max(1.0) as u32),
            public: load.public,
        }
    }

    /// One node's part of this load.
    #[must_use]
    pub fn divided(&self, nodes: usize) -> Self {
        Self::part(&self.load(), nodes)
    }

    fn load(&self) -> Load {
        Load {
            kind: self.kind,
            connections: self.connections.into(),
            time: Duration::from_millis(self.millis.into()),
            rate: self.rate.map(|rate| f64::from(rate) / 1000.0),
            public: self.public,
        }
    }
}

/// The load as one word of an order.
pub(super) fn word(load: &LoadOrder) -> impl fmt::Display {
    let kind = match load.kind {
        Kind::Warm => "warm",
        Kind::Cold => "cold",
        Kind::ColdWithToken => "token",
    };
    let rate = load.rate.unwrap_or(0);
    let public = if load.public { "public" } else { "own" };
    format!(
        "{kind},{},{},{rate},{public}",
        load.connections, load.millis
    )
}

/// Reads what [`word`] wrote.
pub(super) fn parse(text: &str) -> Option<LoadOrder> {
    let mut parts = text.split(',');
    let kind = match parts.next()? {
        "warm" => Kind::Warm,
        "cold" => Kind::Cold,
        "token" => Kind::ColdWithToken,
        _ => return None,
    };
    let connections = parts.next()?.parse().ok().filter(|count| *count > 0)?;
    let millis = parts.next()?.parse().ok()?;
    let rate: u32 = parts.next()?.parse().ok()?;
    let public = match parts.next()? {
        "public" => true,
        "own" => false,
        _ => return None,
    };
    parts.next().is_none().then_some(LoadOrder {
        kind,
        connections,
        millis,
        rate: Some(rate).filter(|rate| *rate > 0),
        public,
    })
}

/// What one node tells of its load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadSeen {
    /// Latencies in microseconds, each with how often it was met.
    pub counts: Vec<(u64, u64)>,
    /// Questions without an answer, by what was wrong.
    pub failures: BTreeMap<String, u64>,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
    /// Why nothing was measured.
    pub refused: Option<Excerpt>,
}

impl LoadSeen {
    /// Reads what a node printed; bounded.
    pub(super) fn read(value: &Value) -> Option<Self> {
        let mut seen = Self::deserialize(value).ok()?;
        if !seen.took_ms.is_finite() || seen.took_ms < 0.0 || seen.counts.len() > MAX_COUNTS {
            return None;
        }
        let failures = std::mem::take(&mut seen.failures).into_iter();
        seen.failures = failures
            .take(MAX_KINDS)
            .map(|(what, count)| (Excerpt::new(&what).as_str().to_owned(), count))
            .collect();
        Some(seen)
    }
}

pub(super) async fn measure(
    standing: &Standing,
    clock: &dyn WallClock,
    reference: &Reference,
    keyring: &Keyring,
    options: &Options,
    wanted: &LoadOrder,
) -> LoadSeen {
    let load = wanted.load();
    match bench::run(&standing.place, clock, reference, keyring, options, load).await {
        Ok(outcome) => LoadSeen {
            counts: outcome.counts(),
            failures: outcome.failures().clone(),
            took_ms: outcome.took().as_secs_f64() * 1000.0,
            refused: None,
        },
        Err(error) => LoadSeen {
            refused: Some(Excerpt::new(&match &error {
                BenchError::NotPullable { evidence } => {
                    let ended = evidence.attempts().last().map(|(_, end)| end.stage);
                    let last = evidence.iter().last().map(|fact| fact.stage);
                    let at = ended.or(last);
                    let at = at.map_or_else(String::new, |stage| format!(" (it stops at {stage})"));
                    format!("{error}{at}")
                }
                _ => error.to_string(),
            })),
            ..LoadSeen::default()
        },
    }
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No node was asked.
    #[error(transparent)]
    Fleet(#[from] super::FleetError),
    /// None of the nodes measured anything.
    #[error("no node measured anything: {text}")]
    Nothing {
        /// What the first of them said.
        text: String,
    },
}

/// The load of all nodes, and of each.
#[derive(Clone, Debug)]
pub struct NodeLoad {
    total: Outcome,
    nodes: Vec<(String, Result<Outcome, String>)>,
}

impl NodeLoad {
    /// Adds up what the nodes told; `load` is what was asked of all of them together.
    pub fn add_up(load: &Load, seen: &super::FleetSeen) -> Result<Self, LoadError> {
        if let Some(error) = &seen.failed {
            return Err(error.clone().into());
        }
        let part = LoadOrder::part(load, seen.nodes.len());
        let mut all = LoadSeen::default();
        let mut working = 0;
        let mut nodes = Vec::new();
        for node in &seen.nodes {
            let told = match &node.heard {
                Err(why) => Err(why.to_string()),
                Ok(heard) => match &heard.load {
                    None => Err("the probe there told no result".to_owned()),
                    Some(LoadSeen {
                        refused: Some(why), ..
                    }) => Err(why.as_str().to_owned()),
                    Some(seen) => Ok(seen),
                },
            };
            nodes.push((
                node.name.clone(),
                told.map(|seen| {
                    working += 1;
                    all.counts.extend(&seen.counts);
                    for (what, count) in &seen.failures {
                        let sum = all.failures.entry(what.clone()).or_default();
                        *sum = sum.saturating_add(*count);
                    }
                    all.took_ms = all.took_ms.max(seen.took_ms);
                    outcome(part.load(), part.connections.into(), seen)
                }),
            ));
        }
        if working == 0 {
            let text = nodes.into_iter().find_map(|(name, told)| {
                let why = told.err()?;
                Some(format!("{name}: {why}"))
            });
            return Err(LoadError::Nothing {
                text: text.unwrap_or_default(),
            });
        }
        let connections = usize::from(part.connections) * working;
        Ok(Self {
            total: outcome(*load, connections, &all),
            nodes,
        })
    }

    /// All nodes together.
    pub const fn total(&self) -> &Outcome {
        &self.total
    }

    /// Whether every node answered, and every question was.
    pub fn is_clean(&self) -> bool {
        self.total.failures().is_empty() && self.nodes.iter().all(|(_, told)| told.is_ok())
    }

    /// For reading.
    pub fn text(&self) -> String {
        let mut page = self.total.text();
        let wide = self
            .nodes
            .iter()
            .map(|(name, _)| name.chars().count())
            .max();
        for (name, told) in &self.nodes {
            let name = format!("{name:wide$}", wide = wide.unwrap_or(0));
            let _ = match told {
                Ok(outcome) => writeln!(
                    page,
                    "node      {name}   {:.0} probes/s   p50 {:.3} ms   p99 {:.3} ms   failed {}",
                    outcome.per_second(),
                    outcome.latency(50.0).as_secs_f64() * 1e3,
                    outcome.latency(99.0).as_secs_f64() * 1e3,
                    outcome
                        .failures()
                        .values()
                        .fold(0, |all: u64, count| all.saturating_add(*count))
                ),
                Err(why) => writeln!(page, "node      {name}   nothing: {why}"),
            };
        }
        page
    }

    /// For programs: the form of one place, with the nodes beside it.
    pub fn json(&self) -> Value {
        let mut all = self.total.json();
        let nodes: Vec<Value> = self
            .nodes
            .iter()
            .map(|(name, told)| match told {
                Ok(outcome) => json!({ "node": name, "result": outcome.json() }),
                Err(why) => json!({ "node": name, "result": null, "why": why }),
            })
            .collect();
        if let Some(fields) = all.as_object_mut() {
            fields.insert("nodes".to_owned(), nodes.into());
        }
        all
    }
}

fn outcome(load: Load, connections: usize, seen: &LoadSeen) -> Outcome {
    let took = Duration::from_secs_f64((seen.took_ms / 1000.0).min(1e9));
    Outcome::of_counts(load, connections, took, &seen.counts, seen.failures.clone())
}
