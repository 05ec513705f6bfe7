//! Room: the report. One model, several renderings; it computes nothing and asks nobody.
//!
//! In: answers, one an image, with verdict, evidence, remedies and receipt. Out: text made for a
//! terminal at three in the morning, or JSON in the form `pullcheck.report/1`. The same report
//! renders to the same bytes.

mod facts;
mod json;
mod text;

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::Serialize;

use crate::azure::AzureFacts;
use crate::cause::Cause;
use crate::evidence::Evidence;
use crate::stage::Stage;
use crate::verdict::{Judgement, Receipt, Remedy, Told, Verdict};

pub use json::json;
pub use text::text;

/// What the checker found out.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was asked for, in words: `deployment shop/api`.
    pub subject: String,
    /// When.
    pub at: Timestamp,
    /// One answer an image, the gravest first.
    pub answers: Vec<Answer>,
    /// What could not be read, with the right that is missing.
    pub gaps: Vec<Gap>,
    /// The verdict when there is no answer.
    pub(crate) nothing: Verdict,
}

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// What, and why not.
    pub what: String,
    /// A command that shows whether the right is there.
    pub ask: Option<String>,
}

/// The answer about one image.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The image as the pod or the user writes it.
    pub image: String,
    /// The verdict and its reasons.
    pub judgement: Judgement,
    /// What to do.
    pub remedies: Vec<Remedy>,
    /// Containers that wait for the image, by pod.
    pub waiting: Vec<Waiting>,
    /// How many pods run it.
    pub running: usize,
    /// What the kubelets say, alike messages joined.
    pub told: Vec<Told>,
    /// What the probes saw.
    pub evidence: Evidence,
    /// What Azure said.
    pub azure: Option<AzureFacts>,
    /// What was proved and what was not.
    pub receipt: Receipt,
}

/// A container that waits for an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// Namespace of the pod.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container; none for the sandbox.
    pub container: Option<String>,
    /// The node, once the pod has one.
    pub node: Option<String>,
    /// The waiting reason.
    pub reason: String,
    /// Failed attempts that the events tell of.
    pub attempts_at_least: Option<u32>,
    /// Seconds until the next attempt at the latest.
    pub next_attempt_within_s: Option<i64>,
}

impl Report {
    /// The gravest verdict.
    pub fn verdict(&self) -> &Verdict {
        self.answers
            .first()
            .map_or(&self.nothing, |answer| &answer.judgement.verdict)
    }

    /// The cause, when it is proven.
    pub fn cause(&self) -> Option<Cause> {
        self.verdict().cause()
    }

    /// The stage that failed or is in doubt.
    pub fn stage(&self) -> Option<Stage> {
        self.verdict().stage()
    }

    /// What to do about the gravest answer.
    pub fn remedies(&self) -> &[Remedy] {
        self.answers.first().map_or(&[], |answer| &answer.remedies)
    }
}

/// How text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns; prose is folded there, commands never are.
    pub width: usize,
    /// Whether to colour; every colour has a word beside it.
    pub colour: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            width: 100,
            colour: false,
        }
    }
}
