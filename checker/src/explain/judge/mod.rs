//! From the facts of one attempt to what they tell.
//!
//! Each family of failures looks at the facts and may give a finding. The families stand in the order
//! in which they win over each other: what an explicit wording says beats what a status says, which
//! beats what only a wrapper says; a transport failure beats the step that it happened in. A finding
//! is certain only where no other family reads the same attempt differently.

mod access;
mod content;
mod network;
mod node;

use super::reading::Reading;
use crate::clue::Clue;
use crate::stage::Stage;

/// How much stands behind a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// Nothing was recognised.
    Nothing,
    /// Only that a pull is retried, or that something failed.
    Echo,
    /// A wrapper that usually means it; or an end that was cut.
    Hint,
    /// A status, or a wording with more than one common reason.
    Status,
    /// A wording of its own.
    Wording,
}

/// What an attempt tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) clue: Clue,
    pub(super) also: Vec<Clue>,
    pub(super) certain: bool,
    pub(super) stage: Stage,
    pub(super) weight: Weight,
}

impl Finding {
    /// A wording that has one meaning.
    fn sure(clue: Clue, stage: Stage) -> Self {
        Self {
            clue,
            also: Vec::new(),
            certain: true,
            stage,
            weight: Weight::Wording,
        }
    }

    /// A wording that also admits other readings.
    fn unsure(clue: Clue, stage: Stage, also: &[Clue]) -> Self {
        Self {
            clue,
            also: also.to_vec(),
            certain: false,
            stage,
            weight: Weight::Wording,
        }
    }

    /// With less behind it.
    fn of(self, weight: Weight) -> Self {
        Self { weight, ..self }
    }

    /// With other readings that do not make it less sure.
    fn with(mut self, also: &[Clue]) -> Self {
        self.admit(also);
        self
    }

    /// Adds readings; an answer names at most three.
    pub(super) fn admit(&mut self, also: &[Clue]) {
        for clue in also {
            if *clue != self.clue && !self.also.contains(clue) && self.also.len() < 3 {
                self.also.push(*clue);
            }
        }
    }
}

type Family = fn(&Reading<'_>) -> Option<Finding>;

/// The families, the winning one first.
const FAMILIES: &[Family] = &[
    node::disk,
    node::limits,
    node::policy,
    network::local_socket,
    network::proxy,
    access::azure_identity,
    access::credential_provider,
    network::tls,
    network::scheme,
    network::names,
    network::connection,
    access::limits,
    access::account,
    node::secret,
    content::bytes,
    content::storage,
    content::platform,
    content::unusable,
    access::token_service,
    access::permission,
    content::absent,
    access::by_status,
    content::by_status,
    network::waiting,
    node::reference,
    node::runtime,
    content::mirror,
    node::unpack,
    network::unavailable,
    node::admission,
    node::retry,
];

/// Judges one attempt.
pub(super) fn judge(reading: &Reading<'_>) -> Finding {
    let mut best: Option<Finding> = None;
    let mut rivals: Vec<(Clue, Weight)> = Vec::new();
    for family in FAMILIES {
        let Some(finding) = family(reading) else {
            continue;
        };
        rivals.push((finding.clue, finding.weight));
        if best
            .as_ref()
            .is_none_or(|best| best.weight < finding.weight)
        {
            best = Some(finding);
        }
    }
    if best.as_ref().is_none_or(|best| best.weight < Weight::Hint)
        && let Some(cut) = network::cut(reading)
    {
        best = Some(cut);
    }
    let Some(mut best) = best else {
        return Finding {
            clue: Clue::Unknown,
            also: Vec::new(),
            certain: false,
            stage: Stage::Kubelet,
            weight: Weight::Nothing,
        };
    };
    for (clue, weight) in rivals {
        if clue != best.clue && weight >= Weight::Status && clue != Clue::Unknown {
            // Two wordings in one attempt: the first wins, but is not beyond doubt.
            best.certain &= weight < best.weight;
            best.admit(&[clue]);
        }
    }
    best
}
