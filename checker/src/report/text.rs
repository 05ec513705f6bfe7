//! Text for a terminal: first the answer, then why, then what to type, last what was not looked at.

use std::fmt::Write as _;

use super::beside;
use super::facts::{Mark, line};
use super::{Answer, Report, Style, Waiting};
use crate::azure::{Assignment, AzureFacts, Grant};
use crate::evidence::Evidence;
use crate::stage::Stage;
use crate::verdict::{Judgement, Remedy, Verdict};
use crate::world::Vantage;

const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const BOLD: &str = "1";
const DIM: &str = "2";
/// Pods that are listed one by one.
const PODS: usize = 5;
/// Role assignments that are listed.
const ASSIGNMENTS: usize = 12;
/// Messages that are quoted.
const MESSAGES: usize = 4;

/// The report as text.
pub fn text(report: &Report, style: &Style) -> String {
    let mut page = Page {
        out: String::new(),
        style: *style,
    };
    if report.answers.is_empty() {
        page.headline(report.verdict().kind(), "", &report.subject);
        page.fold("", report.no_answer());
    }
    let many = report.answers.len() > 1;
    if many && !report.problems.is_empty() {
        for problem in &report.problems {
            page.headline(problem.verdict, "", &problem.line());
        }
    }
    if let Some(summary) = &report.summary {
        page.fold("", &sentence(summary));
    }
    if many && (report.summary.is_some() || !report.problems.is_empty()) {
        page.out.push('\n');
    }
    for (at, answer) in report.answers.iter().enumerate() {
        if at > 0 {
            page.out.push('\n');
        }
        one(&mut page, answer);
    }
    if !report.gaps.is_empty() {
        page.heading("Could not be read");
        for gap in &report.gaps {
            page.fold("  ", &gap.what);
            if let Some(ask) = &gap.ask {
                page.command("    ", ask);
            }
        }
    }
    page.out
}

/// One answer as text, without what could not be read.
pub(super) fn answer_text(answer: &Answer, style: &Style) -> String {
    let mut page = Page {
        out: String::new(),
        style: *style,
    };
    one(&mut page, answer);
    page.out
}

fn one(page: &mut Page, answer: &Answer) {
    let judgement = &answer.judgement;
    verdict(page, answer, judgement);
    pods(page, answer);
    outlook(page, answer);
    messages(page, answer);
    credentials(page, answer);
    side_by_side(page, answer);
    evidence(page, answer);
    if !judgement.ruled_out.is_empty() {
        page.heading("Ruled out");
        let wide = judgement
            .ruled_out
            .iter()
            .map(|one| one.cause.id().len())
            .max()
            .unwrap_or(0);
        for one in &judgement.ruled_out {
            page.fold_after(&format!("  {:wide$}  ", one.cause.id()), &one.because);
        }
    }
    if let Verdict::Undetermined { would_settle, .. } = &judgement.verdict
        && !would_settle.is_empty()
    {
        page.heading("What would settle it");
        for settle in would_settle {
            page.fold_after("  - ", &settle.what);
            if let Some(command) = &settle.command {
                page.command("      ", command);
            }
        }
    }
    remedies(page, &answer.remedies);
    page.heading("Looked at");
    for line in &answer.receipt.proved {
        page.fold_after("  proved      ", line);
    }
    for line in &answer.receipt.not_proved {
        page.fold_after("  not proved  ", line);
    }
}

fn verdict(page: &mut Page, answer: &Answer, judgement: &Judgement) {
    let verdict = &judgement.verdict;
    page.headline(verdict.kind(), &verdict.detail(), &answer.image);
    if let Some(cause) = verdict.cause() {
        page.fold("", cause.meaning());
    }
    if let Some(list) = verdict.could_be() {
        page.fold_after("Could be: ", &list);
    }
    page.fold("", &sentence(&judgement.because));
    for note in &judgement.notes {
        page.fold_after("Note: ", note);
    }
}

/// A first letter in upper case where the first word is not a name, and a full stop.
fn sentence(text: &str) -> String {
    let word = text.split_whitespace().next().unwrap_or_default();
    let plain = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let mut out = String::with_capacity(text.len() + 1);
    let mut characters = text.chars();
    match characters.next() {
        Some(first) if plain => out.extend(first.to_uppercase()),
        Some(first) => out.push(first),
        None => {}
    }
    out.extend(characters);
    if !out.ends_with(['.', '!', '?', ':']) {
        out.push('.');
    }
    out
}

/// Azure numbers every refusal; two that differ in nothing else are alike.
fn without_correlation(words: &str) -> &str {
    words.split(" CorrelationId:").next().unwrap_or(words)
}

fn pods(page: &mut Page, answer: &Answer) {
    if answer.waiting.is_empty() && answer.running == 0 {
        return;
    }
    page.heading("Pods");
    for waiting in answer.waiting.iter().take(PODS) {
        page.fold_after("  ", &waits(waiting));
    }
    if answer.waiting.len() > PODS {
        page.fold(
            "  ",
            &format!(
                "and {} more with the same image",
                answer.waiting.len() - PODS
            ),
        );
    }
    if answer.running > 0 {
        let run = if answer.running == 1 {
            "1 container runs it".to_owned()
        } else {
            format!("{} containers run it", answer.running)
        };
        page.fold("  ", &run);
    }
}

fn waits(waiting: &Waiting) -> String {
    let container = waiting
        .container
        .as_ref()
        .map(|name| format!(" container {name}"))
        .unwrap_or_default();
    let node = waiting
        .node
        .as_ref()
        .map(|name| format!(" on {name}"))
        .unwrap_or_default();
    let attempts = waiting
        .attempts_at_least
        .map(|count| format!(", {count} failed attempts or more"))
        .unwrap_or_default();
    let next = waiting
        .next_attempt_within_s
        .map(|seconds| format!(", next within {seconds} s"))
        .unwrap_or_default();
    format!(
        "{}/{}{container}{node}: {}{attempts}{next}",
        waiting.namespace, waiting.pod, waiting.reason
    )
}

fn outlook(page: &mut Page, answer: &Answer) {
    let Some(outlook) = &answer.outlook else {
        return;
    };
    page.heading("Wait or act");
    page.fold("  ", &sentence(&outlook.words));
    if let Some(command) = &outlook.command {
        page.command("    ", command);
    }
}

/// The credential map, where credentials are what it is about or one of them is of no use.
fn credentials(page: &mut Page, answer: &Answer) {
    let about = matches!(
        answer.judgement.verdict.stage(),
        Some(Stage::Ping | Stage::Auth | Stage::Token)
    );
    let useless = answer.credentials.iter().any(|one| one.turn.is_none());
    if answer.credentials.is_empty() || !(about || useless) {
        return;
    }
    page.heading("Credentials in the kubelet's order");
    for one in &answer.credentials {
        let turn = one
            .turn
            .map_or_else(|| "   -  ".to_owned(), |turn| format!("  {turn:>2}. "));
        let key = one
            .key
            .as_ref()
            .map(|key| format!(", key {key}"))
            .unwrap_or_default();
        let mut words = format!("{}{key}: {}", one.source, one.state);
        for claim in one.claims() {
            let _ = write!(words, ", {claim}");
        }
        page.fold_after(&turn, &words);
    }
}

/// Nodes and workstation, a line each.
fn side_by_side(page: &mut Page, answer: &Answer) {
    let Some(comparison) = &answer.comparison else {
        return;
    };
    page.heading("Side by side");
    let rows = beside::rows(comparison);
    let wide = rows.iter().map(|row| row.place.chars().count()).max();
    let wide = wide.unwrap_or(0).min(page.style.width / 2);
    for row in &rows {
        let mark = page.mark(row.mark);
        let head = format!("  {:wide$}  {:<8}  ", clean(&row.place), row.stage);
        page.fold_after_painted(&head, &mark, &row.words);
    }
    page.fold("  ", &sentence(&comparison.words));
}

fn messages(page: &mut Page, answer: &Answer) {
    if answer.told.is_empty() {
        return;
    }
    page.heading("What the kubelet says");
    for told in answer.told.iter().take(MESSAGES) {
        let node = told.node.as_deref().unwrap_or("no node");
        let sure = if told.certain { "certain" } else { "likely" };
        page.line(&format!("  {}: {} ({sure})", clean(node), told.clue.id()));
        page.fold("    ", &told.text);
    }
    if answer.told.len() > MESSAGES {
        page.fold("  ", &format!("and {} more", answer.told.len() - MESSAGES));
    }
}

fn evidence(page: &mut Page, answer: &Answer) {
    if answer.evidence.is_empty() && answer.azure.is_none() {
        return;
    }
    page.heading("Evidence");
    let deciding = answer.judgement.vantage.as_ref();
    let told: Vec<_> = deciding
        .map(|vantage| lines(&answer.evidence, vantage))
        .unwrap_or_default();
    for vantage in answer.evidence.vantages() {
        let place = match vantage {
            Vantage::Workstation => "from this workstation".to_owned(),
            Vantage::Node(name) => format!("from node {name}"),
        };
        let found = lines(&answer.evidence, vantage);
        // Beside the vantage that decides, only what differs is worth the room.
        if Some(vantage) != deciding && !page.style.verbose {
            let alike = found
                .iter()
                .map(|one| without_correlation(&one.words))
                .eq(told.iter().map(|one| without_correlation(&one.words)));
            if alike {
                page.line(&format!("  {place}: the same"));
                continue;
            }
            if found.iter().all(|one| one.mark != Mark::Fail) {
                let mut stages: Vec<&str> = Vec::new();
                for one in found.iter().filter(|one| one.mark == Mark::Ok) {
                    if !stages.contains(&one.stage) {
                        stages.push(one.stage);
                    }
                }
                let ok = page.paint(GREEN, "ok");
                page.line(&format!(
                    "  {place}: {ok} at every stage ({})",
                    stages.join(", ")
                ));
                continue;
            }
        }
        page.line(&format!("  {place}"));
        for one in &found {
            let mark = page.mark(one.mark);
            page.fold_after_painted(
                &format!("    {:<9}{:>7} ms  ", one.stage, one.millis),
                &mark,
                &one.words,
            );
        }
    }
    let Some(azure) = &answer.azure else { return };
    page.line("  from Azure Resource Manager");
    for lookup in &azure.lookups {
        page.fold_after("    ", &format!("{}: {}", lookup.what, lookup.outcome));
    }
    for gap in &azure.gaps {
        page.fold_after("    not told: ", &format!("{}: {}", gap.what, gap.why));
    }
    if let Some(identity) = azure.kubelet() {
        page.fold_after("    ", &format!("kubelet identity: {}", identity.object_id));
    }
    for one in azure.assignments.iter().flatten().take(ASSIGNMENTS) {
        page.fold_after("    ", &assigned(azure, one));
    }
    let more = azure
        .assignments
        .as_ref()
        .map_or(0, Vec::len)
        .saturating_sub(ASSIGNMENTS);
    if more > 0 {
        page.fold("    ", &format!("and {more} more assignments"));
    }
    if let Some(registry) = &azure.registry {
        page.fold_after(
            "    ",
            &format!(
                "registry {}: tier {}, {}",
                registry.name,
                registry.sku,
                limits(registry)
            ),
        );
    }
}

/// `role for whom at where`, and what it is worth for this pull.
fn assigned(azure: &AzureFacts, one: &Assignment) -> String {
    let kubelet = azure.kubelet().is_some_and(|identity| {
        azure
            .assignments_of(&identity.object_id)
            .any(|mine| mine.id == one.id)
    });
    let control = azure.cluster.as_ref().is_some_and(|cluster| {
        cluster
            .control_plane
            .iter()
            .any(|id| id.eq_ignore_ascii_case(&one.principal_id))
    });
    let who = match (kubelet, control) {
        (true, _) => "the kubelet identity",
        (false, true) => "the control plane's identity",
        (false, false) => "somebody else",
    };
    let place = if one.inherited {
        format!("inherited from {}", one.scope)
    } else {
        "at the registry itself".into()
    };
    let worth = match &one.grant {
        Grant::Pull => "lets pull",
        Grant::OtherRepositories { .. } => "lets pull from other repositories",
        Grant::NotHonoured => "not honoured by this registry",
        Grant::No => "does not let pull",
        Grant::Unknown => "what it lets is unknown",
    };
    format!(
        "{} for {who} ({}), {place}: {worth}",
        one.role, one.principal_id
    )
}

/// One fact as a line.
struct Line {
    stage: &'static str,
    millis: u128,
    mark: Mark,
    words: String,
}

fn lines(evidence: &Evidence, vantage: &Vantage) -> Vec<Line> {
    let facts = evidence.iter().filter(|fact| fact.vantage == *vantage);
    facts
        .filter_map(|fact| {
            let (mark, words) = line(fact)?;
            Some(Line {
                stage: fact.stage.id(),
                millis: fact.took.as_millis(),
                mark,
                words,
            })
        })
        .collect()
}

fn limits(registry: &crate::azure::RegistryFacts) -> String {
    let network = match (registry.public_network, registry.denies_by_default) {
        (false, _) => "no public access",
        (true, true) => "public access for listed addresses",
        (true, false) => "public access for all",
    };
    let published = crate::azure::sku_limits(&registry.sku).map_or_else(String::new, |limits| {
        format!(
            ", published for {} reads a minute an identity, {} in all",
            limits.reads_per_identity, limits.reads_per_registry
        )
    });
    format!("{network}{published}")
}

fn remedies(page: &mut Page, remedies: &[Remedy]) {
    if remedies.is_empty() {
        return;
    }
    page.heading("What to do");
    for (at, remedy) in remedies.iter().enumerate() {
        page.fold_after(&format!("  {}. ", at + 1), &remedy.title);
        for command in &remedy.commands {
            page.command("       ", command);
        }
        if let Some(note) = &remedy.note {
            page.fold("     ", note);
        }
    }
}

struct Page {
    out: String,
    style: Style,
}

impl Page {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.style.colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn mark(&self, mark: Mark) -> String {
        match mark {
            Mark::Ok => self.paint(GREEN, "ok  "),
            Mark::Fail => self.paint(RED, "FAIL"),
            Mark::Note => self.paint(DIM, "note"),
        }
    }

    fn headline(&mut self, kind: &str, detail: &str, image: &str) {
        let code = match kind {
            "blocked" => RED,
            "pullable" => GREEN,
            _ => YELLOW,
        };
        let painted = self.paint(&format!("{BOLD};{code}"), &kind.to_uppercase());
        let detail = if detail.is_empty() {
            String::new()
        } else {
            format!(" {detail}")
        };
        self.line(&format!("{painted}{detail}: {}", clean(image)));
    }

    fn heading(&mut self, text: &str) {
        self.out.push('\n');
        let painted = self.paint(BOLD, text);
        self.line(&painted);
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    /// A line to paste: never folded.
    fn command(&mut self, indent: &str, text: &str) {
        self.line(&format!("{indent}{}", clean(text)));
    }

    fn fold(&mut self, indent: &str, text: &str) {
        self.folded(indent, indent, text, 0);
    }

    /// Folds `text` after `head`, further lines below its beginning (at most half way in).
    fn fold_after(&mut self, head: &str, text: &str) {
        let indent = " ".repeat(head.chars().count().min(self.style.width / 2));
        self.folded(head, &indent, text, 0);
    }

    fn fold_after_painted(&mut self, head: &str, mark: &str, text: &str) {
        let hidden = mark.chars().count().saturating_sub(4);
        let indent = " ".repeat(head.chars().count() + 6);
        self.folded(&format!("{head}{mark}  "), &indent, text, hidden);
    }

    fn folded(&mut self, head: &str, indent: &str, text: &str, hidden: usize) {
        let width = self.style.width.max(40);
        let mut line = head.to_owned();
        let mut columns = head.chars().count().saturating_sub(hidden);
        let mut empty = true;
        for word in clean(text).split_whitespace() {
            let long = word.chars().count();
            if !empty && columns + 1 + long > width {
                self.line(line.trim_end());
                line.clear();
                line.push_str(indent);
                columns = indent.chars().count();
                empty = true;
            }
            if !empty {
                line.push(' ');
                columns += 1;
            }
            line.push_str(word);
            columns += long;
            empty = false;
        }
        self.line(line.trim_end());
    }
}

/// Control characters from outside never reach a terminal.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
