//! One page for a browser: a single file without network, scripts or fonts, readable on a phone and on
//! paper. The stages of each place are drawn as a line of time.
//!
//! The template engine escapes every text; nothing is marked as safe but the style sheet.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::beside;
use super::facts::{Mark, line};
use super::{Answer, Report};
use crate::evidence::Fact;
use crate::verdict::{Settle, Verdict};
use crate::world::Vantage;

const STYLE: &str = "\
:root{color-scheme:light dark;--ok:#1a7f37;--bad:#cf222e;--open:#9a6700;--line:#8883;--dim:#8889}\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem;overflow-wrap:anywhere}\
h1{font-size:1.3rem;margin:.2rem 0}h2{font-size:1.1rem;margin:1.4rem 0 .4rem}h3{font-size:1rem;margin:1rem 0 .3rem}\
.verdict{font-weight:700;text-transform:uppercase}.blocked{color:var(--bad)}.pullable{color:var(--ok)}.undetermined{color:var(--open)}\
article{border-top:3px solid var(--line);padding-top:1rem;margin-top:1.5rem}\
pre{white-space:pre-wrap;background:#8881;padding:.5rem .7rem;border-radius:.3rem;margin:.3rem 0}code{font:.9em ui-monospace,monospace}\
ol.time{list-style:none;margin:0;padding:0 0 0 1.1rem;border-left:3px solid var(--line)}\
ol.time li{position:relative;padding:.15rem 0}\
ol.time li::before{content:'';position:absolute;left:-1.53rem;top:.55rem;width:.7rem;height:.7rem;border-radius:50%;background:var(--dim)}\
ol.time li.ok::before{background:var(--ok)}ol.time li.fail::before{background:var(--bad)}\
.stage{font-weight:600;display:inline-block;min-width:5.5rem}.took{color:var(--dim);font-variant-numeric:tabular-nums}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem .8rem}dt{font-weight:600}dd{margin:0}\
table{border-collapse:collapse;display:block;overflow-x:auto}th,td{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0;border-bottom:1px solid var(--line)}\
footer{margin-top:2rem;color:var(--dim)}@media(max-width:34rem){dl{display:block}dd{margin:0 0 .4rem}}\
@media print{article{break-inside:avoid}}";

/// The report as a page.
pub fn html(report: &Report) -> String {
    let kind = report.verdict().kind();
    let cause = report.cause().map_or("", |cause| cause.id());
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none';style-src 'unsafe-inline'";
                title { (kind) " " (cause) ": " (report.subject) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                @if report.answers.is_empty() {
                    h1 { span class={ "verdict " (kind) } { (kind) } ": " (report.subject) }
                    p { (report.no_answer()) }
                }
                (overview(report))
                @for one in &report.answers { (answer(one)) }
                @if !report.gaps.is_empty() {
                    h2 { "Could not be read" }
                    ul { @for gap in &report.gaps {
                        li { (gap.what) @if let Some(ask) = &gap.ask { pre { code { (ask) } } } }
                    } }
                }
                footer { (report.subject) ", " (report.at) ", pullcheck " (env!("CARGO_PKG_VERSION")) }
            }
        }
    };
    page.into_string()
}

/// Many answers as few problems, and how much was looked at.
fn overview(report: &Report) -> Markup {
    let many = report.answers.len() > 1 && !report.problems.is_empty();
    html! {
        @if many {
            h2 { (report.subject) }
            ul { @for problem in &report.problems {
                li { span class={ "verdict " (problem.verdict) } { (problem.verdict) } " " (problem.line()) }
            } }
        }
        @if let Some(summary) = &report.summary { p { (summary) } }
    }
}

fn answer(one: &Answer) -> Markup {
    let judgement = &one.judgement;
    let kind = judgement.verdict.kind();
    html! {
        article {
            h1 { span class={ "verdict " (kind) } { (kind) } " " (judgement.verdict.detail()) ": " code { (one.image) } }
            @if let Some(cause) = judgement.verdict.cause() { p { strong { (cause.meaning()) } } }
            @if let Some(list) = judgement.verdict.could_be() { p { "Could be: " strong { (list) } } }
            p { (judgement.because) }
            @for note in &judgement.notes { p { "Note: " (note) } }
            @if !one.remedies.is_empty() {
                h2 { "What to do" }
                ol { @for remedy in &one.remedies {
                    li {
                        (remedy.title)
                        @for command in &remedy.commands { pre { code { (command) } } }
                        @if let Some(note) = &remedy.note { p { (note) } }
                    }
                } }
            }
            (settle(&judgement.verdict))
            (pods(one))
            (outlook(one))
            (credentials(one))
            (side_by_side(one))
            @for vantage in one.evidence.vantages() { (timeline(one, vantage)) }
            @if !judgement.ruled_out.is_empty() {
                h2 { "Ruled out" }
                dl { @for other in &judgement.ruled_out { dt { (other.cause.id()) } dd { (other.because) } } }
            }
            h2 { "Looked at" }
            dl {
                @for line in &one.receipt.proved { dt { "proved" } dd { (line) } }
                @for line in &one.receipt.not_proved { dt { "not proved" } dd { (line) } }
            }
        }
    }
}

fn settle(verdict: &Verdict) -> Markup {
    let list: &[Settle] = match verdict {
        Verdict::Undetermined { would_settle, .. } => would_settle,
        Verdict::Pullable | Verdict::Blocked { .. } => &[],
    };
    html! {
        @if !list.is_empty() {
            h2 { "What would settle it" }
            ul { @for one in list {
                li { (one.what) @if let Some(command) = &one.command { pre { code { (command) } } } }
            } }
        }
    }
}

fn pods(one: &Answer) -> Markup {
    html! {
        @if !one.waiting.is_empty() {
            h2 { "Pods" }
            ul { @for waiting in &one.waiting {
                li {
                    code { (waiting.namespace) "/" (waiting.pod) }
                    @if let Some(name) = &waiting.container { " container " (name) }
                    @if let Some(node) = &waiting.node { " on " (node) }
                    ": " (waiting.reason)
                    @if let Some(seconds) = waiting.next_attempt_within_s { ", next within " (seconds) " s" }
                }
            } }
        }
        @if !one.told.is_empty() {
            h2 { "What the kubelet says" }
            @for told in &one.told {
                p { (told.node.as_deref().unwrap_or("no node")) ": " strong { (told.clue.id()) } }
                pre { (told.text) }
            }
        }
    }
}

fn outlook(one: &Answer) -> Markup {
    html! {
        @if let Some(outlook) = &one.outlook {
            h2 { "Wait or act" }
            p { (outlook.words) }
            @if let Some(command) = &outlook.command { pre { code { (command) } } }
        }
    }
}

/// Every credential in the kubelet's order, those that it does not try last.
fn credentials(one: &Answer) -> Markup {
    html! {
        @if !one.credentials.is_empty() {
            h2 { "Credentials in the kubelet's order" }
            table {
                tr { th { "turn" } th { "source" } th { "state" } th { "token" } }
                @for seen in &one.credentials {
                    tr {
                        td { @if let Some(turn) = seen.turn { (turn) } @else { "-" } }
                        td { (seen.source) @if let Some(key) = &seen.key { ", key " code { (key) } } }
                        td { (seen.state) }
                        td { @for claim in seen.claims() { div { (claim) } } }
                    }
                }
            }
        }
    }
}

/// Nodes and workstation, a row each.
fn side_by_side(one: &Answer) -> Markup {
    html! {
        @if let Some(comparison) = &one.comparison {
            h2 { "Side by side" }
            p { (comparison.words) }
            table {
                tr { th { "place" } th { "stage" } th { "what became of it" } }
                @for row in beside::rows(comparison) {
                    tr { td { (row.place) } td { (row.stage) } td { span class=(class(row.mark)) { (word(row.mark)) } " " (row.words) } }
                }
            }
        }
    }
}

const fn word(mark: Mark) -> &'static str {
    match mark {
        Mark::Ok => "ok",
        Mark::Fail => "FAIL",
        Mark::Note => "none",
    }
}

/// The stages as they were passed, from one place.
fn timeline(one: &Answer, vantage: &Vantage) -> Markup {
    let facts: Vec<(&Fact, Mark, String)> = one
        .evidence
        .iter()
        .filter(|fact| fact.vantage == *vantage)
        .filter_map(|fact| line(fact).map(|(mark, words)| (fact, mark, words)))
        .collect();
    let place = match vantage {
        Vantage::Workstation => "From this workstation".to_owned(),
        Vantage::Node(name) => format!("From node {name}"),
    };
    html! {
        h2 { (place) }
        ol class="time" {
            @for (fact, mark, words) in &facts {
                li class=(class(*mark)) {
                    span class="stage" { (fact.stage.id()) } " " (words) " "
                    span class="took" { (fact.took.as_millis()) " ms" }
                }
            }
        }
    }
}

const fn class(mark: Mark) -> &'static str {
    match mark {
        Mark::Ok => "ok",
        Mark::Fail => "fail",
        Mark::Note => "note",
    }
}
