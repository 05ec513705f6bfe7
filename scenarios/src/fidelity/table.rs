//! The result as a table, scenario by aspect, in three forms: for people, for machines, for a page.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::compare::{Aspect, Difference};
use super::explained::{Explained, Explanation};
use super::observation::Header;

/// The schema of the machine's form.
pub const TABLE_SCHEMA: &str = "pullcheck.fidelity-table/1";

/// A difference, and why there is one where that is known.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What is not the same.
    pub difference: Difference,
    /// Why, from the list.
    pub explanation: Option<Explanation>,
}

/// One scenario on both.
#[derive(Clone, Debug)]
pub struct Row {
    /// The scenario's id.
    pub scenario: String,
    /// What the real one was, and when.
    pub header: Header,
    /// Everything that is not the same.
    pub findings: Vec<Finding>,
    /// Why it was not compared, where it was not.
    pub skipped: Option<String>,
}

/// How it stands with one aspect of one scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No difference.
    Same,
    /// Only such as are explained.
    Explained(usize),
    /// Others as well.
    Differs(usize),
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Same => f.pad("same"),
            Self::Explained(count) => f.pad(&format!("explained ({count})")),
            Self::Differs(count) => f.pad(&format!("DIFFERS ({count})")),
        }
    }
}

impl Row {
    /// Differences and their explanations.
    pub fn new(header: Header, differences: Vec<Difference>, explained: &Explained) -> Self {
        let scenario = header.scenario.clone();
        let findings = differences.into_iter().map(|difference| Finding {
            explanation: explained.of(&scenario, &difference).cloned(),
            difference,
        });
        Self {
            findings: findings.collect(),
            scenario,
            header,
            skipped: None,
        }
    }

    /// A scenario that only one of the two can do.
    pub fn skipped(scenario: &str, reason: &str) -> Self {
        Self {
            scenario: scenario.to_owned(),
            header: Header::default(),
            findings: Vec::new(),
            skipped: Some(reason.to_owned()),
        }
    }

    /// How it stands with an aspect.
    pub fn standing(&self, aspect: Aspect) -> Standing {
        let of = |explained: bool| {
            let findings = self.findings.iter();
            let those = findings.filter(|one| {
                one.difference.aspect == aspect && one.explanation.is_some() == explained
            });
            those.count()
        };
        match (of(false), of(true)) {
            (0, 0) => Standing::Same,
            (0, explained) => Standing::Explained(explained),
            (differ, _) => Standing::Differs(differ),
        }
    }

    /// What is different and not explained.
    pub fn unexplained(&self) -> impl Iterator<Item = &Difference> {
        let findings = self.findings.iter();
        let those = findings.filter(|one| one.explanation.is_none());
        those.map(|one| &one.difference)
    }

    fn on(&self) -> String {
        format!("{}, {}", self.header.kubernetes, self.header.runtime)
    }
}

/// For people: the table, what differs, what is explained and why, and the sum.
pub fn text(rows: &[Row]) -> String {
    let mut out = String::new();
    let width = rows.iter().map(|row| row.scenario.len()).max().unwrap_or(8);
    let columns = |cells: [String; 7]| {
        let cells = cells.iter().map(|cell| format!("{cell:14}"));
        cells.collect::<String>().trim_end().to_owned()
    };
    let compared = || rows.iter().filter(|row| row.skipped.is_none());
    if compared().next().is_some() {
        let heads = Aspect::ALL.map(|aspect| aspect.name().to_owned());
        let _ = writeln!(out, "{:width$}  {}", "scenario", columns(heads));
    }
    for row in compared() {
        let cells = Aspect::ALL.map(|aspect| row.standing(aspect).to_string());
        let _ = writeln!(out, "{:width$}  {}", row.scenario, columns(cells));
    }
    for row in compared().filter(|row| row.unexplained().next().is_some()) {
        let _ = writeln!(out, "\n{}, on {}:", row.scenario, row.on());
        for difference in row.unexplained() {
            let nothing = || "(not there)".to_owned();
            let _ = writeln!(
                out,
                "  {}: {}\n    real      {}\n    embedded  {}",
                difference.aspect.name(),
                difference.what,
                difference.real.clone().unwrap_or_else(nothing),
                difference.embedded.clone().unwrap_or_else(nothing),
            );
        }
    }
    let reasons = reasons(rows);
    if !reasons.is_empty() {
        out.push_str("\nexplained:\n");
    }
    for (explanation, count, scenarios) in &reasons {
        let _ = writeln!(
            out,
            "  {} × {} in {}: {} ({})",
            count,
            aspects(explanation),
            scenarios.join(", "),
            explanation.why.trim(),
            explanation.source.trim()
        );
    }
    for row in rows {
        if let Some(reason) = &row.skipped {
            let _ = writeln!(out, "{}: not compared, {reason}", row.scenario);
        }
    }
    let _ = writeln!(out, "\n{}", summary(rows));
    out
}

fn summary(rows: &[Row]) -> String {
    let compared: Vec<&Row> = rows.iter().filter(|row| row.skipped.is_none()).collect();
    let differ = compared
        .iter()
        .filter(|row| row.unexplained().next().is_some());
    let with_reason = compared
        .iter()
        .filter(|row| !row.findings.is_empty() && row.unexplained().next().is_none());
    let (differ, explained) = (differ.count(), with_reason.count());
    let mut line = format!(
        "{} scenarios compared: {} the same, {explained} with explained differences, {differ} with others",
        compared.len(),
        compared.len() - differ - explained,
    );
    if compared.len() < rows.len() {
        let _ = write!(line, "; {} not compared", rows.len() - compared.len());
    }
    line
}

/// Each explanation once, how often it was needed, and where.
fn reasons(rows: &[Row]) -> Vec<(&Explanation, usize, Vec<&str>)> {
    let mut reasons: Vec<(&Explanation, usize, Vec<&str>)> = Vec::new();
    for row in rows {
        for finding in &row.findings {
            let Some(explanation) = &finding.explanation else {
                continue;
            };
            let known = reasons.iter_mut().find(|(one, ..)| {
                (&one.why, &one.source) == (&explanation.why, &explanation.source)
            });
            match known {
                Some((_, count, scenarios)) => {
                    *count += 1;
                    if scenarios.last() != Some(&row.scenario.as_str()) {
                        scenarios.push(&row.scenario);
                    }
                }
                None => reasons.push((explanation, 1, vec![&row.scenario])),
            }
        }
    }
    reasons
}

fn aspects(explanation: &Explanation) -> String {
    let names: Vec<&str> = explanation.aspects.iter().map(|one| one.name()).collect();
    names.join(", ")
}

/// For machines.
pub fn json(rows: &[Row]) -> Value {
    let one = |row: &Row| {
        let standings = Aspect::ALL.map(|aspect| {
            let word = match row.standing(aspect) {
                Standing::Same => "same",
                Standing::Explained(_) => "explained",
                Standing::Differs(_) => "differs",
            };
            (aspect.name().to_owned(), Value::from(word))
        });
        let findings = row.findings.iter().map(|finding| {
            let why = finding.explanation.as_ref();
            json!({
                "aspect": finding.difference.aspect,
                "what": finding.difference.what,
                "real": finding.difference.real,
                "embedded": finding.difference.embedded,
                "why": why.map(|one| &one.why),
                "source": why.map(|one| &one.source),
            })
        });
        json!({
            "scenario": row.scenario,
            "skipped": row.skipped,
            "kubernetes": row.header.kubernetes,
            "runtime": row.header.runtime,
            "taken": row.header.taken,
            "aspects": row.skipped.is_none().then(|| {
                Value::Object(standings.into_iter().collect())
            }),
            "differences": findings.collect::<Vec<_>>(),
        })
    };
    let same = rows.iter().all(|row| row.unexplained().next().is_none());
    json!({
        "schema": TABLE_SCHEMA,
        "same": same,
        "scenarios": rows.iter().map(one).collect::<Vec<_>>(),
    })
}

/// For a page: the table and the explanations, in Markdown.
pub fn markdown(rows: &[Row]) -> String {
    let mut out = String::from("| scenario | on | recorded |");
    for aspect in Aspect::ALL {
        let _ = write!(out, " {} |", aspect.name());
    }
    out.push_str("\n|---|---|---|");
    out.push_str(&"---|".repeat(Aspect::ALL.len()));
    out.push('\n');
    for row in rows.iter().filter(|row| row.skipped.is_none()) {
        let _ = write!(
            out,
            "| {} | {} | {} |",
            row.scenario,
            row.on(),
            row.header.taken
        );
        for aspect in Aspect::ALL {
            let _ = write!(out, " {} |", row.standing(aspect));
        }
        out.push('\n');
    }
    let _ = writeln!(out, "\n{}.", summary(rows));
    let reasons = reasons(rows);
    if !reasons.is_empty() {
        out.push_str("\n| times | what | in | why | source |\n|---|---|---|---|---|\n");
    }
    for (explanation, count, scenarios) in reasons {
        let _ = writeln!(
            out,
            "| {count} | {} | {} | {} | {} |",
            aspects(explanation),
            scenarios.join(", "),
            explanation.why.trim().replace('\n', " "),
            explanation.source.trim().replace('\n', " "),
        );
    }
    out
}
