//! The table for people.

use std::fmt::Write as _;

use super::super::peer::Peer;
use super::super::work::Case;
use super::{Goal, Line, Table};

impl Table {
    /// Plain text of about 100 columns, apart from the notes on peers at its end.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let machine = &self.machine;
        line(
            &mut text,
            &format!(
                "{} cores, {}, {}, Linux {}; {} connections, medians of {} rounds of {} s",
                machine.cores,
                machine.processor,
                machine.system,
                machine.kernel,
                self.connections,
                self.rounds,
                self.time.as_secs_f64(),
            ),
        );
        for case in &self.cases {
            self.case(&mut text, *case);
        }
        self.sizes(&mut text);
        let goals = self.goals();
        if !goals.is_empty() {
            line(&mut text, "\ngoals");
            for goal in goals {
                line(&mut text, &in_words(&goal));
            }
        }
        line(&mut text, "\npeers");
        for seen in &self.peers {
            let name = seen.peer.name();
            let said = match &seen.version {
                Some(version) => format!("{version}; {}", seen.peer.configuration()),
                None => format!("skipped, not installed: {}", seen.peer.how_to_install()),
            };
            line(&mut text, &format!("{name:<NAME$}{said}"));
        }
        text
    }

    fn case(&self, text: &mut String, case: Case) {
        let lines = self.lines(case);
        if lines.is_empty() {
            return;
        }
        let unit = case.unit();
        let last = if case.is_blob() { "no sendfile" } else { "" };
        let heads = [
            format!("{unit}/s"),
            format!("{unit}/CPU-s"),
            "spread".to_owned(),
            "of best peer".to_owned(),
            "of bare".to_owned(),
            last.to_owned(),
        ];
        line(text, "");
        row(text, case.title(), &heads);
        for found in lines {
            let Line {
                peer,
                per_second,
                per_cpu_second,
                spread,
                of_best,
                of_best_without_sendfile,
                of_bare,
            } = found;
            let copying = of_best_without_sendfile.filter(|_| case.is_blob());
            let cells = [
                number(per_second),
                per_cpu_second.map_or("-".to_owned(), number),
                format!("{:.0} %", spread * 100.0),
                ratio(of_best),
                ratio(of_bare),
                if case.is_blob() {
                    ratio(copying)
                } else {
                    String::new()
                },
            ];
            row(text, peer.name(), &cells);
        }
    }

    fn sizes(&self, text: &mut String) {
        line(text, "");
        let heads = ["cold start", "idle memory", "after work", "1 GiB stored"];
        row(text, "start and memory", &heads.map(str::to_owned));
        // The bare server holds its bodies from the start on: nothing to compare.
        let started = self.peers.iter().filter(|seen| !seen.starts.is_empty());
        for seen in started.filter(|seen| seen.peer != Peer::Bare) {
            let mib = |bytes: Option<f64>| {
                bytes.map_or("-".to_owned(), |bytes| {
                    format!("{:.1} MiB", bytes / f64::from(1 << 20))
                })
            };
            let cold = seen.cold();
            let cells = [
                cold.map_or("-".to_owned(), |time| format!("{:.1} ms", time * 1000.0)),
                mib(seen.resident()),
                mib(seen.resident_at_end.map(|bytes| bytes as f64)),
                mib(seen.resident_with_stored.map(|bytes| bytes as f64)),
            ];
            row(text, seen.peer.name(), &cells);
        }
    }
}

fn in_words(goal: &Goal) -> String {
    let said = if goal.reached >= goal.wanted {
        "reached"
    } else {
        "not reached"
    };
    format!(
        "{said}: {} {:.2}, wanted {:.2}",
        goal.what, goal.reached, goal.wanted
    )
}

/// The name's column, then those of the cells.
const NAME: usize = 24;
const CELLS: [usize; 6] = [16, 16, 12, 14, 10, 14];

fn row(text: &mut String, name: &str, cells: &[String]) {
    let mut all = format!("{name:<NAME$}");
    for (cell, width) in cells.iter().zip(CELLS) {
        // Writing to a string cannot fail.
        let _ = write!(all, "{cell:>width$}");
    }
    line(text, all.trim_end());
}

fn line(text: &mut String, content: &str) {
    text.push_str(content);
    text.push('\n');
}

fn ratio(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.2}"))
}

/// Three digits at least, thousands apart.
fn number(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        let table = [
            (7.04, "7.0"),
            (100.4, "100"),
            (1000.0, "1,000"),
            (1_234_567.0, "1,234,567"),
        ];
        for (value, want) in table {
            assert_eq!(number(value), want);
        }
    }

    #[test]
    fn the_whole_page() {
        insta::assert_snapshot!(sample().text());
    }
}
