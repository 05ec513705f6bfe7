//! The form `pullcheck.report/1`. Fields are added within the version, never changed or removed.

use serde_json::{Value, json};

use super::{Answer, Report, beside};
use crate::verdict::{Told, Verdict};

/// The report as JSON.
pub fn json(report: &Report) -> Value {
    let verdict = report.verdict();
    json!({
        "schema": "pullcheck.report/1",
        "subject": report.subject,
        "at": report.at.to_string(),
        "verdict": verdict.kind(),
        "cause": verdict.cause(),
        "stage": verdict.stage(),
        "answers": report.answers.iter().map(answer).collect::<Vec<_>>(),
        "problems": report.problems,
        "summary": report.summary,
        "gaps": report.gaps,
    })
}

fn answer(answer: &Answer) -> Value {
    let judgement = &answer.judgement;
    let verdict = &judgement.verdict;
    let (candidates, would_settle) = match verdict {
        Verdict::Undetermined {
            candidates,
            would_settle,
            ..
        } => (candidates.as_slice(), would_settle.as_slice()),
        Verdict::Pullable | Verdict::Blocked { .. } => (&[][..], &[][..]),
    };
    json!({
        "image": answer.image,
        "verdict": verdict.kind(),
        "cause": verdict.cause(),
        "stage": verdict.stage(),
        "candidates": candidates,
        "would_settle": would_settle,
        "because": judgement.because,
        "vantage": judgement.vantage,
        "notes": judgement.notes,
        "ruled_out": judgement.ruled_out,
        "remedies": answer.remedies,
        "waiting": answer.waiting,
        "running": answer.running,
        "outlook": answer.outlook,
        "credentials": answer.credentials,
        "told": answer.told.iter().map(told).collect::<Vec<_>>(),
        "side_by_side": answer.comparison.as_ref().map(beside::json),
        "evidence": answer.evidence,
        "azure": answer.azure,
        "proved": answer.receipt.proved,
        "not_proved": answer.receipt.not_proved,
    })
}

fn told(told: &Told) -> Value {
    json!({
        "node": told.node,
        "clue": told.clue.id(),
        "certain": told.certain,
        "stage": told.stage,
        "causes": told.causes,
        "host": told.host,
        "status": told.status,
        "text": told.text,
        "last": told.last.map(|at| at.to_string()),
        "count": told.count,
    })
}
