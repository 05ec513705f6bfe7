//! What was not as expected in the last run, kept beside the program that played it.

use std::fs;
use std::io;
use std::path::PathBuf;

use pull_scenarios::{Ending, Play};

use super::Job;

const FILE: &str = "scenario-failed.txt";

/// Writes down what failed; whoever asked for the run does not depend on it.
pub(super) fn remember(jobs: &[Job], plays: &[Play]) {
    let unlike = |play: &&Play| !matches!(play.ending, Ending::Passed | Ending::Skipped(_));
    let failed = plays
        .iter()
        .filter(unlike)
        .map(|play| (play.scenario.id(), play.seed));
    // What did not come to an end is missing among the plays.
    let ended = |job: &&Job| {
        !plays
            .iter()
            .any(|play| play.scenario.id() == job.scenario.id() && play.seed == job.seed)
    };
    let lost = jobs
        .iter()
        .filter(ended)
        .map(|job| (job.scenario.id(), job.seed));
    let lines: Vec<String> = failed
        .chain(lost)
        .map(|(id, seed)| format!("{id} {seed}"))
        .collect();
    let text = lines.join("\n");
    if let Err(error) = path().and_then(|path| fs::write(path, text)) {
        eprintln!("warning: what failed cannot be written down: {error}");
    }
}

/// Ids and seeds.
pub(super) fn recall() -> io::Result<Vec<(String, u64)>> {
    let text = fs::read_to_string(path()?)?;
    let pairs = text.lines().filter_map(|line| {
        let (id, seed) = line.split_once(' ')?;
        Some((id.to_owned(), seed.parse().ok()?))
    });
    Ok(pairs.collect())
}

fn path() -> io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(FILE))
}
