//! What a person sees while they wait: on a terminal one line that moves, elsewhere a line at
//! the start and the end of each task. All of it goes to stderr.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::time::Instant;

/// Writes progress.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    /// What moves on a terminal; lines go above it.
    terminal: Option<MultiProgress>,
}

/// A task that is under way.
#[derive(Debug)]
pub(crate) struct Task {
    name: String,
    since: Instant,
    bar: Option<ProgressBar>,
    progress: Progress,
}

impl Progress {
    pub(crate) fn to_stderr() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal().then(MultiProgress::new),
        }
    }

    /// A line of its own.
    pub(crate) fn note(&self, text: &str) {
        match &self.terminal {
            // Nobody to tell when stderr is closed.
            Some(terminal) => drop(terminal.println(text)),
            None => drop(writeln!(std::io::stderr(), "{text}")),
        }
    }

    /// Begins a task.
    pub(crate) fn task(&self, name: impl Into<String>) -> Task {
        let name = name.into();
        let bar = self.terminal.as_ref().map(|terminal| {
            let bar = terminal.add(ProgressBar::new_spinner());
            if let Ok(style) =
                ProgressStyle::with_template("{spinner} {prefix} {elapsed:>4}  {wide_msg}")
            {
                bar.set_style(style);
            }
            bar.set_prefix(name.clone());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        if bar.is_none() {
            self.note(&format!("{name} ..."));
        }
        Task {
            name,
            since: Instant::now(),
            bar,
            progress: self.clone(),
        }
    }
}

impl Task {
    /// What the task is at now; shown on a terminal only.
    pub(crate) fn detail(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
        }
    }

    /// Ends the task.
    pub(crate) fn done(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.progress
            .note(&format!("{}: {}", self.name, seconds(self.since.elapsed())));
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A duration for a person: `0.4 s`, `52 s`, `7 min 36 s`.
fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    match whole {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{whole} s"),
        _ => format!("{} min {} s", whole / 60, whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_for_a_person() {
        let table = [
            (400, "0.4 s"),
            (52_300, "52 s"),
            (60_000, "1 min 0 s"),
            (456_000, "7 min 36 s"),
        ];
        for (milliseconds, want) in table {
            assert_eq!(seconds(Duration::from_millis(milliseconds)), want);
        }
    }
}
