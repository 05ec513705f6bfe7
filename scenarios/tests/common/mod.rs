//! Catalogue files, changed here and there, and played.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test binary uses its own part, and a test may panic"
)]

use std::sync::atomic::{AtomicUsize, Ordering};

use pull_scenarios::spec::{self, Scenario};
use pull_scenarios::{Ending, Play, play_embedded};
use pullcheck::verdict::Verdict;

/// The text of a file of the catalogue.
pub(crate) fn file(id: &str) -> String {
    let path = format!("{}/catalogue/{id}.yaml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

/// A catalogue file with replacements, each of which must hit.
pub(crate) fn changed(id: &str, changes: &[(&str, &str)]) -> Scenario {
    let text = changes.iter().fold(file(id), |text, (from, to)| {
        assert!(text.contains(from), "{id} has no `{from}`");
        text.replace(from, to)
    });
    // Another file name, so that the id may stay.
    spec::parse("changed", &text).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn scenario(id: &str) -> Scenario {
    changed(id, &[])
}

/// Plays the whole catalogue, on as many threads as there are cores.
pub(crate) fn all(seed: u64) -> Vec<Play> {
    let scenarios = pull_scenarios::catalogue::all().unwrap();
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut plays: Vec<(usize, Play)> = std::thread::scope(|scope| {
        let work = || {
            let mut mine = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(scenario) = scenarios.get(index) else {
                    return mine;
                };
                mine.push((index, play_embedded(scenario, seed)));
            }
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    plays.sort_by_key(|(index, _)| *index);
    plays.into_iter().map(|(_, play)| play).collect()
}

/// Plays and insists that every act is as expected.
pub(crate) fn passes(scenario: &Scenario, seed: u64) -> Play {
    let play = play_embedded(scenario, seed);
    assert_eq!(play.ending, Ending::Passed, "{}", story(&play));
    play
}

pub(crate) fn story(play: &Play) -> String {
    pull_scenarios::report::text(play, 120, pull_scenarios::report::Paint::Plain)
}

/// The id of the cause that the checker named, or of its first candidate.
pub(crate) fn cause(play: &Play) -> Option<&'static str> {
    let cause = match play.report.as_ref()?.verdict() {
        Verdict::Blocked { cause, .. } => Some(*cause),
        Verdict::Undetermined { candidates, .. } => candidates.first().copied(),
        Verdict::Pullable => None,
    };
    cause.map(pullcheck::cause::Cause::id)
}
