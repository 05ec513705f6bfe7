//! Room: the verdict. Pure: plain values in, one judgement an image out; no I/O, no clock.
//!
//! A cause is *blocked* only when the evidence excludes its look-alikes, and each one that is
//! excluded is named with the fact that does it. Else the verdict is *undetermined*, with the
//! candidates in order and what would settle it. A fact seen from a workstation never refutes one
//! seen on a node; facts about what a registry holds are the same from everywhere.

mod access;
mod cache;
mod compare;
mod dates;
mod ending;
mod image;
mod kubelet;
mod mirror;
mod network;
mod node;
mod outlook;
mod proxy;
mod receipt;
mod refute;
mod remedy;
mod roles;
mod rules;

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::azure::AzureFacts;
use crate::cause::Cause;
use crate::clue::Clue;
use crate::evidence::Evidence;
use crate::reference::Reference;
use crate::stage::Stage;
use crate::symptom::{Ahead, NodeFacts, PullSecret};
use crate::world::Vantage;

pub use compare::{Comparison, Outcome, PlaceSeen, Seat, compare};
pub use outlook::{Act, Outlook, outlook};
pub use receipt::{Receipt, receipt};
pub(crate) use remedy::quoted;
pub use remedy::{Names, remedies};

use ending::{Ending, ending};

/// The answer about one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Verdict {
    /// Every stage a pull needs was seen to succeed, from the vantage that pulls.
    Pullable,
    /// One stage failed and the evidence admits one cause.
    Blocked {
        /// The stage that failed.
        at: Stage,
        /// Why.
        cause: Cause,
    },
    /// Several causes remain, or a needed stage was not observed.
    Undetermined {
        /// The stage in doubt.
        at: Stage,
        /// The causes that remain, most likely first.
        candidates: Vec<Cause>,
        /// What would settle it.
        would_settle: Vec<Settle>,
    },
}

impl Verdict {
    /// `pullable`, `blocked` or `undetermined`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Pullable => "pullable",
            Self::Blocked { .. } => "blocked",
            Self::Undetermined { .. } => "undetermined",
        }
    }

    /// The answer in a few words, the same in every form of the report: `blocked tag-not-found (at manifest)`.
    pub fn headline(&self) -> String {
        let detail = self.detail();
        let space = if detail.is_empty() { "" } else { " " };
        format!("{}{space}{detail}", self.kind())
    }

    /// What the headline says behind the kind: the cause where it is proven, and the stage.
    pub fn detail(&self) -> String {
        match self {
            Self::Pullable => String::new(),
            Self::Blocked { at, cause } => format!("{cause} (at {at})"),
            Self::Undetermined { at, .. } => format!("(at {at})"),
        }
    }

    /// What it could be, where that is open.
    pub fn could_be(&self) -> Option<String> {
        let Self::Undetermined { candidates, .. } = self else {
            return None;
        };
        let ids: Vec<&str> = candidates.iter().map(|cause| cause.id()).collect();
        Some(if ids.is_empty() {
            "no cause fits".into()
        } else {
            ids.join(", ")
        })
    }

    /// The cause, when it is proven.
    pub const fn cause(&self) -> Option<Cause> {
        match self {
            Self::Blocked { cause, .. } => Some(*cause),
            Self::Pullable | Self::Undetermined { .. } => None,
        }
    }

    /// The stage that failed or is in doubt.
    pub const fn stage(&self) -> Option<Stage> {
        match self {
            Self::Blocked { at, .. } | Self::Undetermined { at, .. } => Some(*at),
            Self::Pullable => None,
        }
    }

    /// How much it matters beside others: blocked before undetermined before pullable.
    pub const fn weight(&self) -> u8 {
        match self {
            Self::Blocked { .. } => 2,
            Self::Undetermined { .. } => 1,
            Self::Pullable => 0,
        }
    }
}

/// Something that would turn an undetermined verdict into one of the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Settle {
    /// What to do or to give.
    pub what: String,
    /// A command, when there is one.
    pub command: Option<String>,
}

/// A look-alike that the evidence excludes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuledOut {
    /// The cause that it is not.
    pub cause: Cause,
    /// The fact that excludes it.
    pub because: String,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remedy {
    /// What it does, as an order.
    pub title: String,
    /// Lines to paste, in order.
    pub commands: Vec<String>,
    /// What to know before or after.
    pub note: Option<String>,
}

/// What pods say about one image, as read by the explainer; alike pods are joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The node that says it, when the pod is on one.
    pub node: Option<String>,
    /// The clue.
    pub clue: Clue,
    /// Whether the message admits no other clue.
    pub certain: bool,
    /// The stage it speaks of.
    pub stage: Stage,
    /// The causes it admits.
    pub causes: Vec<Cause>,
    /// The host it names as failing.
    pub host: Option<String>,
    /// The HTTP status it names.
    pub status: Option<u16>,
    /// The message, bounded, without secrets.
    pub text: String,
    /// When it was written last.
    pub last: Option<Timestamp>,
    /// How often it was written, at least.
    pub count: u32,
}

/// All that is known about one image.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// The image as it is written.
    pub image: &'a str,
    /// The same, parsed; none when it is not a reference.
    pub reference: Option<&'a Reference>,
    /// Whether anything waits for it; false for a question about an image alone.
    pub in_cluster: bool,
    /// What failing pods say.
    pub told: &'a [Told],
    /// Since when a pull runs without end or failure.
    pub hanging: Option<Timestamp>,
    /// Pulls that a failing node began before and has not ended.
    pub ahead: &'a [Ahead],
    /// Whether the image was pulled and the container cannot run from it.
    pub after_pull: bool,
    /// The code with which a container of it ends that does not stay up.
    pub stops_with: Option<i32>,
    /// How many pods run the image.
    pub running: usize,
    /// The platform of the node on which it fails or does not stay up, as an index names it.
    pub platform: Option<&'a str>,
    /// What the cluster says about the first failing node.
    pub node: Option<&'a NodeFacts>,
    /// Whether another pod runs the image on a node where it fails.
    pub runs_beside: bool,
    /// Whether the failing container asks the registry each time, whatever is on the node.
    pub always_pulls: bool,
    /// Whether a failing node says that it lives in Azure.
    pub on_azure: bool,
    /// Nodes on which it fails.
    pub failing_nodes: &'a [String],
    /// The pull secrets of a failing pod.
    pub secrets: &'a [PullSecret],
    /// The namespace of the failing pod.
    pub namespace: Option<&'a str>,
    /// What probes saw.
    pub evidence: &'a Evidence,
    /// Places that were asked no further than to `/v2/`.
    pub shallow: &'a [Vantage],
    /// What Azure says, when it was asked.
    pub azure: Option<&'a AzureFacts>,
    /// A corrected spelling of the registry's host that resolves.
    pub corrected_host: Option<&'a str>,
    /// The date.
    pub now: Timestamp,
}

/// The verdict with its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, in one sentence about this very case.
    pub because: String,
    /// The vantage whose facts decided, if a probe's did.
    pub vantage: Option<Vantage>,
    /// Look-alikes and what excludes them.
    pub ruled_out: Vec<RuledOut>,
    /// Contradictions and other things to know.
    pub notes: Vec<String>,
}

/// Joins everything about one image to a verdict.
pub fn judge(case: &Case<'_>) -> Judgement {
    let deciding = deciding_vantage(case);
    let ending = deciding
        .as_ref()
        .map_or(Ending::NotRun, |vantage| ending(case.evidence, vantage));
    let draft = kubelet::before_the_pull(case).unwrap_or_else(|| match (&deciding, &ending) {
        (Some(Vantage::Workstation), Ending::Stopped(stop))
            if stop.stage <= Stage::Ping && kubelet::reached_by_nodes(case).is_some() =>
        {
            kubelet::not_the_way_of_nodes(case, stop)
        }
        (Some(vantage), Ending::Stopped(stop)) => stopped(case, vantage, stop),
        (Some(vantage), Ending::Passed) => kubelet::passed(case, vantage),
        (_, Ending::NotRun) | (None, _) => kubelet::told_only(case),
    });
    finish(case, deciding.as_ref(), draft)
}

/// The vantage that pulls: a failing node that was looked from, best one that saw the failure; else
/// the workstation.
fn deciding_vantage(case: &Case<'_>) -> Option<Vantage> {
    let seen = case.evidence.vantages();
    let failing: Vec<&Vantage> = seen
        .iter()
        .copied()
        .filter(|vantage| matches!(vantage, Vantage::Node(name) if case.failing_nodes.iter().any(|node| **node == **name)))
        .collect();
    let stops = |vantage: &&Vantage| matches!(ending(case.evidence, vantage), Ending::Stopped(_));
    let whole = |vantage: &&Vantage| !case.shallow.contains(vantage);
    let stopped = failing.iter().copied().find(stops);
    // One that was asked only the first steps, and took them, says nothing about the others.
    let node = stopped.or_else(|| failing.iter().copied().find(whole));
    // When nothing fails, any node says more than the workstation about what a node can do; one that
    // stops says more than one that does not.
    let others = || {
        seen.iter()
            .copied()
            .filter(|vantage| case.failing_nodes.is_empty() && matches!(vantage, Vantage::Node(_)))
    };
    let other = others().find(stops).or_else(|| others().find(whole));
    let workstation = seen
        .iter()
        .copied()
        .find(|vantage| **vantage == Vantage::Workstation);
    node.or(other).or(workstation).cloned()
}

/// What a stop at one stage means; one file a family of stages.
fn stopped(case: &Case<'_>, vantage: &Vantage, stop: &ending::Stop<'_>) -> Draft {
    let early = mirror::decide(case, vantage, stop).or_else(|| cache::decide(case, vantage, stop));
    let draft = early.unwrap_or_else(|| match stop.stage {
        Stage::Dns | Stage::Tcp | Stage::Proxy | Stage::Tls => network::decide(case, vantage, stop),
        Stage::Ping | Stage::Auth | Stage::Token => network::unanswered(case, vantage, stop)
            .unwrap_or_else(|| access::decide(case, vantage, stop)),
        _ => network::unanswered(case, vantage, stop)
            .unwrap_or_else(|| image::decide(case, vantage, stop)),
    });
    kubelet::weigh_against_the_node(case, vantage, draft)
}

/// A verdict in the making.
#[derive(Clone, Debug)]
struct Draft {
    at: Stage,
    /// Most likely first; never empty unless `pullable`.
    candidates: Vec<Cause>,
    /// Whether the first candidate is proven, subject to its look-alikes.
    proven: bool,
    pullable: bool,
    because: String,
    settle: Vec<Settle>,
    notes: Vec<String>,
}

impl Draft {
    fn proven(at: Stage, cause: Cause, because: String) -> Self {
        Self {
            at,
            candidates: vec![cause],
            proven: true,
            pullable: false,
            because,
            settle: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn open(at: Stage, candidates: Vec<Cause>, because: String, settle: Vec<Settle>) -> Self {
        Self {
            at,
            candidates,
            proven: false,
            pullable: false,
            because,
            settle,
            notes: Vec::new(),
        }
    }

    fn pullable(because: String) -> Self {
        Self {
            at: Stage::Blob,
            candidates: Vec::new(),
            proven: false,
            pullable: true,
            because,
            settle: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

impl Settle {
    fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            command: None,
        }
    }

    fn by(what: impl Into<String>, command: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            command: Some(command.into()),
        }
    }
}

fn finish(case: &Case<'_>, vantage: Option<&Vantage>, draft: Draft) -> Judgement {
    let Draft {
        at,
        mut candidates,
        proven,
        pullable,
        because,
        mut settle,
        notes,
    } = draft;
    let done = |verdict, ruled_out| Judgement {
        verdict,
        because: because.clone(),
        vantage: vantage.cloned(),
        ruled_out,
        notes: notes.clone(),
    };
    let Some(&first) = candidates.first() else {
        return done(
            if pullable {
                Verdict::Pullable
            } else {
                Verdict::Undetermined {
                    at,
                    candidates,
                    would_settle: settle,
                }
            },
            Vec::new(),
        );
    };
    let mut ruled_out: Vec<RuledOut> = Vec::new();
    let rivals = refute::rivals(first);
    let alike = first.look_alikes().iter().map(|one| one.cause);
    let named: Vec<Cause> = rivals
        .iter()
        .copied()
        .chain(alike)
        .chain(candidates.iter().copied().skip(1))
        .collect();
    for cause in named {
        if cause == first || ruled_out.iter().any(|one| one.cause == cause) {
            continue;
        }
        if let Some(because) = refute::refute(cause, first, case, vantage) {
            ruled_out.push(RuledOut { cause, because });
        }
    }
    let excluded = |cause: &Cause| ruled_out.iter().any(|one| one.cause == *cause);
    if proven {
        let open: Vec<Cause> = rivals
            .iter()
            .copied()
            .filter(|cause| *cause != first && !excluded(cause))
            .collect();
        if open.is_empty() {
            return done(Verdict::Blocked { at, cause: first }, ruled_out);
        }
        candidates.extend(open);
    }
    // The first candidate stays, whatever is found against the others.
    let mut kept = vec![first];
    for cause in candidates {
        if !kept.contains(&cause) && !excluded(&cause) {
            kept.push(cause);
        }
    }
    if settle.is_empty() {
        settle = refute::questions(first, kept.get(1..).unwrap_or_default());
    }
    done(
        Verdict::Undetermined {
            at,
            candidates: kept,
            would_settle: settle,
        },
        ruled_out,
    )
}

/// How long ago, in words.
fn ago(case: &Case<'_>, at: Timestamp) -> String {
    let seconds = case.now.duration_since(at).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        _ => format!("{} h ago", seconds / 3600),
    }
}

/// Whether `at` is at most `minutes` before now.
fn within(case: &Case<'_>, at: Timestamp, minutes: i64) -> bool {
    case.now.duration_since(at) <= SignedDuration::from_mins(minutes)
}
