//! The machine's form, `pullcheck.scenarios/1`. It only grows within a major version.

use serde_json::{Value, json};

use crate::play::{Ending, Play, candidates};

/// The schema's name and version.
pub const SCHEMA: &str = "pullcheck.scenarios/1";

/// Every play, in the order given. The same plays give the same bytes.
pub fn json(plays: &[Play], seed: u64) -> Value {
    json!({
        "schema": SCHEMA,
        "seed": seed,
        "scenarios": plays.iter().map(one).collect::<Vec<_>>(),
    })
}

fn one(play: &Play) -> Value {
    let verdict = play.report.as_ref().map(pullcheck::report::Report::verdict);
    let (status, reason) = match &play.ending {
        Ending::Passed => ("passed", None),
        Ending::Failed(act) => (
            "failed",
            Some(format!("act `{}` was not as expected", act.name())),
        ),
        Ending::Skipped(reason) => ("skipped", Some(reason.clone())),
    };
    json!({
        "id": play.scenario.id(),
        "title": play.scenario.title,
        "seed": play.seed,
        "time": if play.real { "real" } else { "virtual" },
        "passed": play.passed(),
        "status": status,
        "reason": reason,
        "cause": verdict.and_then(pullcheck::verdict::Verdict::cause).map(pullcheck::cause::Cause::id),
        "candidates": verdict.map(|v| candidates(v).iter().map(|cause| cause.id()).collect::<Vec<_>>()),
        "verdict": verdict.map(pullcheck::verdict::Verdict::kind),
        "stage": verdict.and_then(pullcheck::verdict::Verdict::stage).map(pullcheck::stage::Stage::id),
        "acts": play.acts,
        "attempts": play.attempts,
        "statuses": play.statuses,
        "events": play.events,
        "report": play.report.as_ref().map(pullcheck::report::json),
    })
}
