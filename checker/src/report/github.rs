//! Annotations of a GitHub workflow: one line an image, one for what they have in common, then
//! the text for the log.
//!
//! A workflow reads commands out of what a step prints, so nothing from outside may begin one: what stands
//! in an annotation is escaped, and the text is fenced by `::stop-commands::` with a word that it does not hold.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::{Problem, Report, Style, text};
use crate::verdict::Verdict;

/// The report for a step of a workflow.
pub fn github(report: &Report) -> String {
    let mut page = String::new();
    for answer in &report.answers {
        let judgement = &answer.judgement;
        let level = match &judgement.verdict {
            Verdict::Pullable => "notice",
            Verdict::Blocked { .. } => "error",
            Verdict::Undetermined { .. } => "warning",
        };
        let could_be = judgement.verdict.could_be();
        let could_be = could_be.map_or_else(String::new, |list| format!(": {list}"));
        let title = format!("{}{could_be}", judgement.verdict.headline());
        let todo = answer.remedies.first().map_or_else(String::new, |remedy| {
            let commands = remedy.commands.join("\n");
            format!("\n{}\n{commands}", remedy.title)
        });
        let outlook = answer
            .outlook
            .as_ref()
            .map_or_else(String::new, |outlook| format!("\n{}", outlook.words));
        let beside = answer
            .comparison
            .as_ref()
            .map_or_else(String::new, |comparison| format!("\n{}", comparison.words));
        let body = format!(
            "{}: {}{beside}{outlook}{todo}",
            answer.image, judgement.because
        );
        page.push_str(&command(level, &title, &body));
    }
    if report.answers.is_empty() {
        let kind = report.verdict().kind();
        let level = if *report.verdict() == Verdict::Pullable {
            "notice"
        } else {
            "warning"
        };
        let words = format!("{}: {}", report.subject, report.no_answer());
        page.push_str(&command(level, kind, &words));
    }
    if report.answers.len() > 1 {
        let mut lines: Vec<String> = report.problems.iter().map(Problem::line).collect();
        lines.extend(report.summary.clone());
        if !lines.is_empty() {
            page.push_str(&command("notice", &report.subject, &lines.join("\n")));
        }
    }
    let text = text(report, &Style::default());
    let fence = fence(&text);
    let _ = write!(page, "::stop-commands::{fence}\n{text}::{fence}::\n");
    page
}

fn command(level: &str, title: &str, body: &str) -> String {
    format!("::{level} title={}::{}\n", property(title), data(body))
}

/// As the runner's own toolkit escapes the text of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// A word that follows from the text, so that the text cannot hold it on purpose.
fn fence(text: &str) -> String {
    let mut fence = String::from("pullcheck-");
    for byte in Sha256::digest(text.as_bytes()).iter().take(12) {
        let _ = write!(fence, "{byte:02x}");
    }
    fence
}
