//! What is said when a scenario is over: the cause, the evidence, the look-alike, how time passed.
//!
//! Pure: from the scenario's file, the report of the check before the repair, and the pulls. Nothing
//! here is graded.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use pullcheck::cause::Cause;
use pullcheck::report::{Report, Style};

use crate::backend::Attempt;
use crate::observer::Seconds;
use crate::spec::Scenario;
use crate::text::{fold, length};

/// Attempts that are listed.
const LISTED: usize = 12;

/// What a debrief is made of.
#[derive(Clone, Debug)]
pub struct Told<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// Its look-alike.
    pub twin: Option<&'a Scenario>,
    /// The checker's report of the cluster before the repair.
    pub report: &'a Report,
    /// Every pull.
    pub attempts: &'a [Attempt],
    /// When the repair was asked for, since the cluster began.
    pub repaired: Option<Seconds>,
    /// What is different now.
    pub changes: &'a [String],
    /// Cluster seconds in a wall second, while people looked on.
    pub speed: f64,
    /// For how long people looked on, in wall time.
    pub wall: Duration,
}

/// The debrief, folded at `width` columns.
pub fn debrief(told: &Told<'_>, width: usize) -> String {
    let mut page = Page {
        out: String::new(),
        width: width.clamp(60, 160),
    };
    page.cause(told);
    page.evidence(told);
    page.look_alike(told);
    page.time(told);
    page.repair(told);
    page.heading("What it teaches");
    page.fold("  ", &told.scenario.teaches);
    page.out
}

struct Page {
    out: String,
    width: usize,
}

impl Page {
    fn heading(&mut self, text: &str) {
        let gap = if self.out.is_empty() { "" } else { "\n" };
        let _ = writeln!(self.out, "{gap}{text}");
    }

    fn fold(&mut self, indent: &str, text: &str) {
        let _ = writeln!(self.out, "{}", fold(text, indent, self.width));
    }

    fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}");
    }

    fn cause(&mut self, told: &Told<'_>) {
        let id = &told.scenario.cause.value;
        self.heading(&format!("The cause: {id}"));
        if let Some(cause) = Cause::from_id(id) {
            self.fold("  ", cause.meaning());
            self.fold("  ", cause.detail());
        }
        for (image, cause) in &told.scenario.acts.diagnose.expect.also {
            self.fold(
                "  ",
                &format!("And beside it, of {image}: {}.", cause.value),
            );
        }
    }

    fn evidence(&mut self, told: &Told<'_>) {
        self.heading("The evidence, as pullcheck saw it before the repair");
        let style = Style {
            width: self.width.saturating_sub(2),
            ..Style::default()
        };
        let text = pullcheck::report::text(told.report, &style);
        for line in text.lines() {
            let line = format!("  {line}");
            self.line(line.trim_end());
        }
    }

    fn look_alike(&mut self, told: &Told<'_>) {
        let (Some(words), Some(twin)) = (&told.scenario.twin, told.twin) else {
            return;
        };
        self.heading("What it could have been");
        let other = &twin.cause.value;
        let text = format!(
            "`{}` ({}) shows the same words, \"{}\", and has another cause: {other}.",
            twin.id(),
            twin.title,
            words.words
        );
        self.fold("  ", &text);
        if let Some(meaning) = Cause::from_id(other).map(Cause::meaning) {
            self.fold("  ", meaning);
        }
        if let Some(because) = &words.because {
            self.fold("  ", because);
        }
        let own = Cause::from_id(&told.scenario.cause.value);
        let mut pairs = own.map_or(&[][..], Cause::look_alikes).iter();
        let question = pairs
            .find(|pair| pair.cause.id() == other)
            .map(|pair| pair.question);
        if let Some(question) = question {
            self.fold("  ", &format!("What tells the two apart: {question}"));
        }
    }

    fn time(&mut self, told: &Told<'_>) {
        self.heading("How time passed in the cluster");
        let Some(worst) = worst(told.attempts) else {
            self.fold(
                "  ",
                "No pull failed; what was seen was a pull that did not end, or none at all.",
            );
            return;
        };
        let first = worst.first().map_or(0, |attempt| attempt.at.0);
        let pod = worst.first().map_or("", |attempt| attempt.pod.as_str());
        self.fold(
            "  ",
            &format!("Pulls of pod {pod}, from the first that failed:"),
        );
        for (n, attempt) in worst.iter().enumerate().take(LISTED) {
            let at = Seconds(attempt.at.0.saturating_sub(first)).clock();
            let outcome = if attempt.pulled { "pulled" } else { "failed" };
            let took = Duration::from_millis(attempt.took.0);
            let wait = attempt.back_off.map_or_else(String::new, |wait| {
                format!(
                    ", not again within {}",
                    length(Duration::from_millis(wait.0))
                )
            });
            self.line(&format!(
                "    {at:>6}  pull {:<2} {outcome} after {:.1}s{wait}",
                n + 1,
                took.as_secs_f64()
            ));
        }
        if worst.len() > LISTED {
            self.line(&format!("            … and {} more", worst.len() - LISTED));
        }
        let end = told
            .attempts
            .iter()
            .map(|one| one.at.0 + one.took.0)
            .max()
            .unwrap_or(first);
        let whole = length(Duration::from_millis(end.saturating_sub(first)));
        let pace = format!(
            "In a real cluster that is {whole} from the first failure to the last pull. Here it was played at once up to \
             the failure; then you looked on for {} at {}x.",
            length(told.wall),
            told.speed
        );
        self.fold("  ", &pace);
        let mended = told.repaired.and_then(|at| {
            let next = told
                .attempts
                .iter()
                .find(|one| one.pulled && one.at >= at)?;
            Some(length(Duration::from_millis(next.at.0 - at.0)))
        });
        if let Some(wait) = mended {
            self.fold(
                "  ",
                &format!("The first good pull began {wait} after the repair: the kubelet waits for its back-off."),
            );
        }
    }

    fn repair(&mut self, told: &Told<'_>) {
        let answers = told.report.answers.iter();
        let remedies: Vec<_> = answers.flat_map(|answer| &answer.remedies).collect();
        self.heading("The repair");
        for change in told.changes {
            self.fold("  ", change);
        }
        if remedies.is_empty() {
            self.fold(
                "  ",
                "pullcheck has no command for it: it is for those who run what is broken.",
            );
        } else {
            self.fold("  ", "What pullcheck would have had you do:");
        }
        for remedy in remedies {
            self.fold("    ", &remedy.title);
            for command in &remedy.commands {
                self.line(&format!("      {command}"));
            }
        }
    }
}

/// The pulls of the pod and image that failed most often, in order.
fn worst(attempts: &[Attempt]) -> Option<Vec<&Attempt>> {
    let mut by_pod: BTreeMap<(&str, &str), (usize, Vec<&Attempt>)> = BTreeMap::new();
    for attempt in attempts {
        let entry = by_pod.entry((&attempt.pod, &attempt.image)).or_default();
        entry.0 += usize::from(!attempt.pulled);
        // What it pulled before it ever failed is another story.
        if entry.0 > 0 {
            entry.1.push(attempt);
        }
    }
    let most = by_pod.into_values().max_by_key(|(failed, _)| *failed)?;
    (most.0 > 0).then_some(most.1)
}
