//! The form for people: what happened, as they would have lived through it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::backend::Attempt;
use crate::observer::{EventWrite, Seconds, StatusChange};
use crate::play::{Act, ActPlayed, Ending, Play};

/// Colours, or none. Every colour stands beside a word that says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// For a terminal.
    Colour,
    /// For a pipe, a file, or where `NO_COLOR` is set.
    Plain,
}

impl Paint {
    fn with(self, style: anstyle::Style, text: &str) -> String {
        match self {
            Self::Colour => format!("{style}{text}{style:#}"),
            Self::Plain => text.to_owned(),
        }
    }

    fn strong(self, text: &str) -> String {
        self.with(anstyle::Style::new().bold(), text)
    }

    fn good(self, text: &str) -> String {
        self.with(anstyle::AnsiColor::Green.on_default().bold(), text)
    }

    fn bad(self, text: &str) -> String {
        self.with(anstyle::AnsiColor::Red.on_default().bold(), text)
    }

    fn quiet(self, text: &str) -> String {
        self.with(anstyle::Style::new().dimmed(), text)
    }
}

/// The story of one play.
pub fn text(play: &Play, width: usize, paint: Paint) -> String {
    let mut page = Page {
        out: String::new(),
        width: width.clamp(60, 160),
        paint,
    };
    page.title(play);
    for act in &play.acts {
        page.act(play, act);
    }
    page.ending(play);
    page.out
}

/// One play in one line.
pub fn line(play: &Play, paint: Paint) -> String {
    let id = play.scenario.id();
    let cause = play
        .report
        .as_ref()
        .and_then(|report| report.verdict().cause());
    let cause = cause.map_or_else(|| "no single cause".to_owned(), |cause| cause.to_string());
    let to = play
        .acts
        .last()
        .map_or(Seconds::default(), |act| act.to)
        .clock();
    match &play.ending {
        Ending::Passed => format!("{} {id}: {cause}, after {to}", paint.good("passed ")),
        Ending::Failed(act) => format!("{} {id}: in act `{}`", paint.bad("FAILED "), act.name()),
        Ending::Skipped(reason) => format!("{} {id}: {reason}", paint.strong("skipped")),
    }
}

/// One line that counts what was played.
pub fn summary(plays: &[Play], paint: Paint) -> String {
    let count = |wanted: fn(&Ending) -> bool| plays.iter().filter(|p| wanted(&p.ending)).count();
    let passed = count(|ending| *ending == Ending::Passed);
    let failed = count(|ending| matches!(ending, Ending::Failed(_)));
    let skipped = count(|ending| matches!(ending, Ending::Skipped(_)));
    let line = format!("{passed} passed, {failed} failed, {skipped} skipped");
    if failed > 0 {
        paint.bad(&line)
    } else {
        paint.good(&line)
    }
}

struct Page {
    out: String,
    width: usize,
    paint: Paint,
}

impl Page {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{}", text.trim_end());
    }

    fn wrapped(&mut self, indent: &str, text: &str) {
        self.hanging(indent, indent, text);
    }

    /// Breaks at spaces only: an image name that is cut in two cannot be copied.
    fn hanging(&mut self, first: &str, rest: &str, text: &str) {
        let options = textwrap::Options::new(self.width)
            .initial_indent(first)
            .subsequent_indent(rest)
            .word_separator(textwrap::WordSeparator::AsciiSpace)
            .word_splitter(textwrap::WordSplitter::NoHyphenation)
            .break_words(false);
        for line in textwrap::wrap(text, options) {
            self.line(&line);
        }
    }

    fn title(&mut self, play: &Play) {
        let title = format!("{}: {}", play.scenario.id(), play.scenario.title);
        self.line(&self.paint.strong(&title));
        self.wrapped("  ", &play.scenario.teaches);
    }

    fn act(&mut self, play: &Play, act: &ActPlayed) {
        let number = Act::ALL
            .iter()
            .position(|one| *one == act.act)
            .map_or(0, |n| n + 1);
        let mark = if act.passed {
            self.paint.good("ok")
        } else {
            self.paint.bad("NOT AS EXPECTED")
        };
        let name = self.paint.strong(&format!("{number} {}", act.act.name()));
        self.line("");
        self.line(&format!("{name}  {}  {mark}", span(act.from, act.to)));
        for note in &act.notes {
            self.wrapped("  ", note);
        }
        for mismatch in &act.mismatches {
            self.line(&format!("  {}", self.paint.bad(&mismatch.what)));
            self.wrapped("    expected  ", &mismatch.expected);
            self.wrapped("    seen      ", &mismatch.seen);
        }
        match act.act {
            Act::Observe => self.timeline(play, act.to),
            Act::Diagnose => self.diagnosis(play),
            Act::Healthy | Act::Break | Act::Fix | Act::Verify => {}
        }
    }

    fn ending(&mut self, play: &Play) {
        self.line("");
        let to = play.acts.last().map_or(Seconds::default(), |act| act.to);
        let id = play.scenario.id();
        let line = match &play.ending {
            Ending::Passed => self.paint.good(&format!(
                "PASSED {id}, after {} of {} time",
                to.clock(),
                if play.real { "real" } else { "virtual" }
            )),
            Ending::Failed(act) => self
                .paint
                .bad(&format!("FAILED {id}, in act `{}`", act.name())),
            Ending::Skipped(reason) => self.paint.strong(&format!("SKIPPED {id}: {reason}")),
        };
        self.line(&line);
    }

    fn diagnosis(&mut self, play: &Play) {
        let Some(report) = &play.report else { return };
        let colour = self.paint == Paint::Colour;
        let style = pullcheck::report::Style {
            verbose: false,
            width: self.width.saturating_sub(4),
            colour,
        };
        self.line("");
        for line in pullcheck::report::text(report, &style).lines() {
            self.line(&format!("    {line}"));
        }
    }

    /// The pod that tried most often, in full; the others counted.
    fn timeline(&mut self, play: &Play, until: Seconds) {
        let seen: Vec<&Attempt> = play.attempts.iter().filter(|a| a.at <= until).collect();
        let Some(pod) = most_tried(&seen) else { return };
        let own: Vec<&Attempt> = seen.iter().copied().filter(|a| a.pod == pod).collect();
        self.attempts(pod, &own);
        self.statuses(
            pod,
            play.statuses
                .iter()
                .filter(|s| s.pod == pod && s.at <= until),
        );
        let object = format!("pod/{pod}");
        self.events(
            play.events
                .iter()
                .filter(|e| e.object == object && e.at <= until),
            until,
        );
        self.others(pod, &seen);
    }

    fn attempts(&mut self, pod: &str, attempts: &[&Attempt]) {
        let node = attempts.first().map_or("", |attempt| attempt.node.as_str());
        self.line("");
        self.line(
            &self
                .paint
                .strong(&format!("  pulls of pod {pod} on {node}")),
        );
        self.line(&self.paint.quiet("    at       gap      took      outcome"));
        let mut before: Option<Seconds> = None;
        for attempt in attempts {
            let gap =
                before.map_or_else(|| "-".to_owned(), |b| Seconds(attempt.at.0 - b.0).clock());
            let took = format!("{:.1}s", attempt.took.0 as f64 / 1000.0);
            let outcome = match (&attempt.back_off, attempt.pulled) {
                (_, true) => "pulled".to_owned(),
                (Some(delay), false) => format!("failed; no retry for {}s", delay.0 / 1000),
                (None, false) => "failed".to_owned(),
            };
            self.line(&format!(
                "    {:<8} {gap:<8} {took:<9} {outcome}",
                attempt.at.clock()
            ));
            before = Some(attempt.at);
        }
        let errors: Vec<&str> = attempts.iter().filter_map(|a| a.error.as_deref()).collect();
        let mut distinct = errors.clone();
        distinct.dedup();
        if let Some(last) = errors.last() {
            let words = if distinct.len() == 1 {
                "every time"
            } else {
                "the last time"
            };
            self.line(&format!("  what the kubelet said {words}"));
            self.wrapped("    ", last);
        }
    }

    fn statuses<'a>(&mut self, pod: &str, changes: impl Iterator<Item = &'a StatusChange>) {
        let mut steps: Vec<(Seconds, &str)> = Vec::new();
        for change in changes {
            if steps
                .last()
                .is_none_or(|(_, status)| *status != change.status)
            {
                steps.push((change.at, &change.status));
            }
        }
        let words: Vec<_> = steps
            .iter()
            .map(|(at, status)| format!("{} {status}", at.clock()))
            .collect();
        self.line("");
        self.line(&self.paint.strong(&format!("  status of pod {pod}")));
        self.wrapped("    ", &words.join(", "));
    }

    /// As `kubectl describe pod` prints them at that moment.
    fn events<'a>(&mut self, writes: impl Iterator<Item = &'a EventWrite>, now: Seconds) {
        let mut last: BTreeMap<(&str, &str), (Seconds, &EventWrite)> = BTreeMap::new();
        for write in writes {
            let key = (write.reason.as_str(), write.message.as_str());
            let first = last.get(&key).map_or(write.at, |(first, _)| *first);
            last.insert(key, (first, write));
        }
        let mut rows: Vec<_> = last.into_values().collect();
        rows.sort_by_key(|(first, write)| (write.at, *first));
        self.line("");
        self.line(
            &self
                .paint
                .strong("  events, as kubectl describe shows them"),
        );
        self.line(
            &self
                .paint
                .quiet("    type     reason      age                    message"),
        );
        for (first, write) in rows {
            let since = |at: Seconds| age(now.0.saturating_sub(at.0));
            let age = if write.count > 1 {
                format!(
                    "{} (x{} over {})",
                    since(write.at),
                    write.count,
                    since(first)
                )
            } else {
                since(first)
            };
            let indent = format!("    {:<8} {:<11} {age:<22} ", write.type_, write.reason);
            let rest = " ".repeat(indent.chars().count());
            self.hanging(&indent, &rest, &write.message);
        }
    }

    fn others(&mut self, pod: &str, attempts: &[&Attempt]) {
        let mut outcomes: BTreeMap<&str, (bool, Seconds)> = BTreeMap::new();
        for attempt in attempts.iter().filter(|attempt| attempt.pod != pod) {
            let end = Seconds(attempt.at.0 + attempt.took.0);
            outcomes
                .entry(&attempt.pod)
                .and_modify(|seen| *seen = (attempt.pulled, end))
                .or_insert((attempt.pulled, end));
        }
        if outcomes.is_empty() {
            return;
        }
        let pulled = outcomes.values().filter(|(pulled, _)| *pulled).count();
        let waiting = outcomes.len() - pulled;
        let line = format!("  other pods: {pulled} pulled, {waiting} did not");
        self.line("");
        self.line(&line);
    }
}

fn most_tried<'a>(attempts: &[&'a Attempt]) -> Option<&'a str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for attempt in attempts {
        *counts.entry(&attempt.pod).or_default() += usize::from(!attempt.pulled);
    }
    let most = counts.values().copied().max()?;
    counts
        .into_iter()
        .find(|(_, count)| *count == most)
        .map(|(pod, _)| pod)
}

fn span(from: Seconds, to: Seconds) -> String {
    if from.clock() == to.clock() {
        from.clock()
    } else {
        format!("{} to {}", from.clock(), to.clock())
    }
}

/// The age as `kubectl` prints it.
fn age(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 if !seconds.is_multiple_of(60) => format!("{}m{}s", seconds / 60, seconds % 60),
        120..10_800 => format!("{}m", seconds / 60),
        _ => format!("{}h", seconds / 3600),
    }
}
