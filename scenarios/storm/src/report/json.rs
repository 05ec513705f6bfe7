//! `pullcheck.storm/1`: for machines.

use std::time::Duration;

use serde_json::{Value, json};

use crate::outcome::Storm;
use crate::plan::Plan;

/// Steps of the course that are written.
const STEPS: usize = 600;

/// The plan, the answer, and the course in at most 600 steps. Times are seconds.
pub fn json(plan: &Plan, storms: &[(String, Storm)]) -> Value {
    let storms: Vec<Value> = storms
        .iter()
        .map(|(change, storm)| one(change, storm))
        .collect();
    json!({ "schema": "pullcheck.storm/1", "plan": plan, "storms": storms })
}

fn one(change: &str, storm: &Storm) -> Value {
    let after = |part| storm.after(part).as_ref().map(Duration::as_secs_f64);
    let (at, peak) = storm.peak();
    json!({
        "change": change,
        "nodes": storm.nodes,
        "running": storm.running(),
        "done-after": { "50%": after(0.5), "90%": after(0.9), "99%": after(0.99), "100%": after(1.0) },
        "requests": storm.requests,
        "sign-in": storm.sign_in,
        "refused": storm.refused,
        "mirrored": storm.mirrored,
        "failed-pulls": storm.failed_pulls,
        "over-qps": storm.over_qps,
        "nodes-hit": storm.nodes_hit,
        "most-failures": storm.most_failures,
        "peak": { "second": at, "answered": peak.answered, "refused": peak.refused },
        "events": storm.events,
        "course": storm.course(STEPS),
    })
}
