//! Wait or act: whether waiting helps, which attempt comes next and when, and what a fix now gains.

use serde::Serialize;

use super::{Case, Judgement, Names, Verdict};
use crate::cause::Cause;
use crate::symptom::{BackOffView, NextAttempt, next_attempt};

/// What a person should do with a pod that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// It may pass by itself.
    Wait,
    /// Nothing changes until somebody mends it.
    Mend,
    /// The cause is gone; a fresh pod does not have to wait out the back-off.
    Restart,
    /// Not known.
    Unclear,
}

/// The outlook for pods that wait for an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outlook {
    /// What to do.
    pub act: Act,
    /// The kubelet's next attempt, where its events tell.
    pub next: Option<NextAttempt>,
    /// The same in one or two sentences.
    pub words: String,
    /// The one command that ends the waiting, once the cause is gone.
    pub command: Option<String>,
}

/// The outlook; none where nothing waits.
pub fn outlook(
    case: &Case<'_>,
    judgement: &Judgement,
    names: &Names<'_>,
    view: Option<&BackOffView>,
    kubelet: Option<&str>,
) -> Option<Outlook> {
    if !case.in_cluster || (case.told.is_empty() && case.hanging.is_none()) || case.after_pull {
        return None;
    }
    let next = view.map(|view| next_attempt(view, case.now, kubelet));
    if case.hanging.is_some() && case.told.is_empty() {
        return Some(Outlook {
            act: Act::Unclear,
            next: None,
            words: "no attempt has failed, so none is repeated: the pull goes on until the other side answers or the runtime gives up; deleting the pod does not end it".into(),
            command: None,
        });
    }
    let cause = judgement.verdict.cause();
    let coming = coming(cause, next.as_ref());
    let (act, words, command) = match (&judgement.verdict, cause) {
        (_, Some(Cause::StaleBackoff)) => (
            Act::Restart,
            format!(
                "the cause is gone and the pod only waits: {coming}. A fresh pod pulls at once"
            ),
            names.fresh_pod(),
        ),
        (_, Some(cause)) if cause.heals_itself() => (
            Act::Wait,
            format!("this may pass by itself: {coming}. Mending it now gains at most that time"),
            None,
        ),
        (Verdict::Blocked { .. }, _) => (
            Act::Mend,
            format!(
                "no attempt succeeds until this is mended: {coming}, and picks a fix up by itself. After a fix a fresh pod starts at once"
            ),
            names.fresh_pod(),
        ),
        _ => (
            Act::Unclear,
            format!("whether waiting helps is not known: {coming}"),
            None,
        ),
    };
    Some(Outlook {
        act,
        next,
        words,
        command,
    })
}

fn coming(cause: Option<Cause>, next: Option<&NextAttempt>) -> String {
    // What is refused before a pull begins has no back-off.
    if matches!(
        cause,
        Some(Cause::ImageNameInvalid | Cause::NeverPullAbsent | Cause::PullSecretMalformed)
    ) {
        return "the kubelet looks again every 10 to 15 s".into();
    }
    let Some(next) = next else {
        return "the next attempt comes within 315 s, the longest back-off and one look".into();
    };
    let number = if next.number_at_least == next.number_at_most {
        format!("attempt {}", next.number_at_least)
    } else {
        format!(
            "attempt {} to {}",
            next.number_at_least, next.number_at_most
        )
    };
    let reckoned = if next.exact {
        ""
    } else {
        " (reckoned: events are not written for ever)"
    };
    format!(
        "{number} comes in {} to {} s{reckoned}",
        next.earliest_s, next.latest_s
    )
}
