//! Room: the report. One model, several renderings; it computes nothing and asks nobody.
//!
//! In: answers, one an image, with verdict, evidence, remedies and receipt. Out: text made for a
//! terminal at three in the morning, JSON in the form `pullcheck.report/1`, JUnit for CI, one HTML
//! page, or annotations of a GitHub workflow. The same report
//! renders to the same bytes.

mod beside;
mod facts;
mod github;
mod html;
mod json;
mod junit;
mod problem;
mod schema;
mod text;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::Serialize;

use crate::azure::AzureFacts;
use crate::cause::Cause;
use crate::evidence::Evidence;
use crate::stage::Stage;
use crate::verdict::{Comparison, Judgement, Outlook, Receipt, Remedy, Told, Verdict};

pub use github::github;
pub use html::html;
pub use json::json;
pub use junit::junit;
pub use problem::{Extent, Problem};
pub use schema::{explain_schema, report_schema};
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
    /// The answers that are no success, put together by what they have in common.
    pub problems: Vec<Problem>,
    /// How much was looked at, in one line, where that is much.
    pub summary: Option<String>,
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
    /// Whether to wait or to act, where pods wait.
    pub outlook: Option<Outlook>,
    /// Every credential that the kubelet would try, and why not the others; never a value.
    pub credentials: Vec<CredentialSeen>,
    /// What the kubelets say, alike messages joined.
    pub told: Vec<Told>,
    /// What the probes saw.
    pub evidence: Evidence,
    /// Nodes and workstation side by side, where nodes were looked from through the cluster.
    pub comparison: Option<Comparison>,
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

/// A credential that a pull could use, as far as it may be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CredentialSeen {
    /// In which turn it is tried, from 1; none when it is not.
    pub turn: Option<usize>,
    /// Where it comes from, in words.
    pub source: String,
    /// The key under which it stands.
    pub key: Option<String>,
    /// What is to be said of it: `tried`, or why it is not.
    pub state: String,
    /// Who issued the token, where it is one.
    pub issuer: Option<String>,
    /// For whom it was issued.
    pub audience: Option<String>,
    /// The tenant that it belongs to.
    pub tenant: Option<String>,
    /// When it ends.
    pub expires: Option<String>,
    /// Whether that is over.
    pub expired: bool,
}

impl CredentialSeen {
    /// What a token tells of itself, in words, each with a name.
    fn claims(&self) -> impl Iterator<Item = String> {
        let end = if self.expired { "expired" } else { "expires" };
        [
            ("issuer", &self.issuer),
            ("audience", &self.audience),
            ("tenant", &self.tenant),
            (end, &self.expires),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| format!("{name} {value}")))
    }
}

impl Report {
    /// A report without answers.
    pub(crate) const fn empty(subject: String, at: Timestamp, nothing: Verdict) -> Self {
        Self {
            subject,
            at,
            answers: Vec::new(),
            problems: Vec::new(),
            summary: None,
            gaps: Vec::new(),
            nothing,
        }
    }

    /// The gravest verdict.
    pub fn verdict(&self) -> &Verdict {
        self.answers
            .first()
            .map_or(&self.nothing, |answer| &answer.judgement.verdict)
    }

    /// What is said where there is no answer.
    pub(crate) fn no_answer(&self) -> &'static str {
        if self.nothing == Verdict::Pullable {
            "No pod waits for an image."
        } else {
            "There is nothing to check."
        }
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
    /// Whether each place tells everything, also where it saw the same as another.
    pub verbose: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            width: 100,
            colour: false,
            verbose: false,
        }
    }
}
