//! For people: the answer first, then the figures behind it.

use std::fmt::Write as _;

use super::{bytes, count, percent, time};
use crate::outcome::Storm;
use crate::plan::{Auth, Plan};

/// Rows of the course.
const ROWS: usize = 12;
const BAR: usize = 30;

/// One storm.
pub fn text(plan: &Plan, storm: &Storm) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", answer(storm));
    let _ = writeln!(out, "\n  the plan    {}", describe(plan));
    let _ = writeln!(
        out,
        "  requests    {}, of these {} sign-in; {} refused with 429 ({})",
        count(storm.requests),
        count(storm.sign_in),
        count(storm.refused),
        percent(storm.refused, storm.requests),
    );
    if storm.mirrored > 0 {
        let _ = writeln!(out, "  at mirrors  {} requests", count(storm.mirrored));
    }
    let (at, peak) = storm.peak();
    let _ = writeln!(
        out,
        "  at most     {} requests in one second ({} answered, {} refused), in second {}",
        count(u64::from(peak.answered) + u64::from(peak.refused)),
        count(peak.answered.into()),
        count(peak.refused.into()),
        count(at),
    );
    let _ = writeln!(out, "  failures    {}", failures(storm));
    let _ = writeln!(
        out,
        "\n  {:>9}  {:>11}  {:>11}  {:>9}",
        "from", "answered/s", "refused/s", "running"
    );
    for step in storm.course(ROWS) {
        let part = if storm.nodes == 0 {
            0
        } else {
            (step.running as usize * BAR) / storm.nodes as usize
        };
        let _ = writeln!(
            out,
            "  {:>9}  {:>11}  {:>11}  {:>9}  {}",
            time(std::time::Duration::from_secs(step.from)),
            count(step.answered / step.width.max(1)),
            count(step.refused / step.width.max(1)),
            count(step.running.into()),
            "#".repeat(part),
        );
    }
    out
}

/// Several storms side by side.
pub fn comparison(storms: &[(String, Storm)]) -> String {
    let mut out = format!(
        "  {:<48}  {:>9}  {:>9}  {:>9}  {:>12}  {:>8}\n",
        "what changes", "half done", "99 % done", "all done", "requests", "refused"
    );
    for (change, storm) in storms {
        let after = |part| storm.after(part).map_or_else(|| "never".to_owned(), time);
        let _ = writeln!(
            out,
            "  {:<48}  {:>9}  {:>9}  {:>9}  {:>12}  {:>8}",
            change,
            after(0.5),
            after(0.99),
            after(1.0),
            count(storm.requests),
            percent(storm.refused, storm.requests),
        );
    }
    out
}

fn answer(storm: &Storm) -> String {
    let (all, half) = (storm.after(1.0), storm.after(0.5));
    let nodes = count(storm.nodes.into());
    match (all, half) {
        (Some(all), Some(half)) => format!(
            "All {nodes} nodes run after {}, half of them after {}.",
            time(all),
            time(half)
        ),
        _ => format!(
            "{} of {nodes} nodes run after {}, the others do not.",
            count(storm.running().into()),
            time(storm.length()),
        ),
    }
}

fn failures(storm: &Storm) -> String {
    if storm.failed_pulls == 0 {
        return "none".to_owned();
    }
    let mut text = format!(
        "{} failed pulls on {} nodes ({}), at most {} of one pull",
        count(storm.failed_pulls),
        count(storm.nodes_hit.into()),
        percent(storm.nodes_hit.into(), storm.nodes.into()),
        storm.most_failures,
    );
    if storm.over_qps > 0 {
        let _ = write!(
            text,
            "; {} by the kubelet's own pull QPS",
            count(storm.over_qps)
        );
    }
    text
}

fn describe(plan: &Plan) -> String {
    let image = if plan.images == 1 { "image" } else { "images" };
    let mut text = format!(
        "{} nodes, {} {image} of {} layers of {}, {}",
        count(plan.nodes.into()),
        count(plan.images.into()),
        plan.layers,
        bytes(plan.layer_bytes),
        if plan.serial {
            "one pull at a time"
        } else {
            "parallel pulls"
        },
    );
    if !plan.spread.is_zero() {
        let _ = write!(text, ", start spread over {}", time(plan.spread));
    }
    if plan.mirrors > 0 {
        let _ = write!(text, ", {} mirrors", plan.mirrors);
    }
    let registry = &plan.registry;
    text.push_str("; registry:");
    match registry.reads_a_minute {
        Some(reads) => {
            let _ = write!(text, " {} reads a minute", count(reads));
        }
        None => text.push_str(" no limit on reads"),
    }
    if registry.others > 0 {
        let _ = write!(text, ", {} of them taken by others", count(registry.others));
    }
    if let Some(bandwidth) = registry.bandwidth {
        let _ = write!(text, ", {}/s", bytes(bandwidth));
    }
    text.push_str(match plan.auth {
        Auth::Open => ", no sign-in",
        Auth::Token => ", tokens",
        Auth::Acr => ", credential provider",
    });
    text
}
