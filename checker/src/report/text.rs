//! Text for a terminal: first the answer, then why, then what to type, last what was not looked at.

use super::facts::{Mark, line};
use super::{Answer, Report, Style, Waiting};
use crate::verdict::{Judgement, Remedy, Verdict};
use crate::world::Vantage;

const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const BOLD: &str = "1";
const DIM: &str = "2";
/// Pods that are listed one by one.
const PODS: usize = 5;
/// Messages that are quoted.
const MESSAGES: usize = 4;

/// The report as text.
pub fn text(report: &Report, style: &Style) -> String {
    let mut page = Page {
        out: String::new(),
        style: *style,
    };
    if report.answers.is_empty() {
        page.headline("undetermined", "", &report.subject);
        page.fold("", "There is nothing to check.");
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

fn one(page: &mut Page, answer: &Answer) {
    let judgement = &answer.judgement;
    verdict(page, answer, judgement);
    pods(page, answer);
    messages(page, answer);
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
    let kind = judgement.verdict.kind();
    match &judgement.verdict {
        Verdict::Pullable => {
            page.headline(kind, "", &answer.image);
            page.fold("", &sentence(&judgement.because));
        }
        Verdict::Blocked { at, cause } => {
            page.headline(kind, &format!("{cause} (at {at})"), &answer.image);
            page.fold("", cause.meaning());
            page.fold("", &sentence(&judgement.because));
        }
        Verdict::Undetermined { at, candidates, .. } => {
            let ids: Vec<&str> = candidates.iter().map(|cause| cause.id()).collect();
            let list = if ids.is_empty() {
                "no cause fits".into()
            } else {
                ids.join(", ")
            };
            page.headline(kind, &format!("(at {at})"), &answer.image);
            page.fold_after("Could be: ", &list);
            page.fold("", &sentence(&judgement.because));
        }
    }
    for note in &judgement.notes {
        page.fold_after("Note: ", note);
    }
}

/// A first letter in upper case and a full stop, where the words are not a name.
fn sentence(text: &str) -> String {
    let mut out = text.to_owned();
    if !out.ends_with(['.', '!', '?', ':']) {
        out.push('.');
    }
    out
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
        page.fold("  ", &format!("{} with this image run", answer.running));
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

fn messages(page: &mut Page, answer: &Answer) {
    if answer.told.is_empty() {
        return;
    }
    page.heading("What the kubelet says");
    for told in answer.told.iter().take(MESSAGES) {
        let node = told.node.as_deref().unwrap_or("no node");
        let sure = if told.certain { "" } else { "?" };
        page.fold_after(&format!("  {node}  {}{sure}  ", told.clue.id()), &told.text);
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
    for vantage in answer.evidence.vantages() {
        let place = match vantage {
            Vantage::Workstation => "  from this workstation".to_owned(),
            Vantage::Node(name) => format!("  from node {name}"),
        };
        page.line(&place);
        for fact in answer.evidence.from(vantage) {
            let Some((mark, words)) = line(fact) else {
                continue;
            };
            let millis = fact.took.as_millis();
            let mark = match mark {
                Mark::Ok => page.paint(GREEN, "ok  "),
                Mark::Fail => page.paint(RED, "FAIL"),
                Mark::Note => page.paint(DIM, "note"),
            };
            page.fold_after_painted(
                &format!("    {:<9}{millis:>7} ms  ", fact.stage.id()),
                &mark,
                &words,
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
    if let (Some(identity), Some(all)) = (azure.kubelet(), &azure.assignments) {
        let mine: Vec<String> = azure
            .assignments_of(&identity.object_id)
            .map(|one| format!("{} at {}", one.role, one.scope))
            .collect();
        let mine = if mine.is_empty() {
            "none".into()
        } else {
            mine.join(", ")
        };
        page.fold_after(
            "    ",
            &format!(
                "kubelet identity {}: {mine} (of {} assignments at or above the registry)",
                identity.object_id,
                all.len()
            ),
        );
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
