//! Which scenarios with which seeds: from the catalogue, from files, from the last run; a part of them.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

use pull_scenarios::catalogue;
use pull_scenarios::spec::{self, Scenario};

use super::failed::Record;
use super::{Arguments, Job, USAGE, list, refuse};

/// One part of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    part: usize,
    of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text
            .split_once('/')
            .and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((part, of)) if part >= 1 && part <= of => Ok(Self { part, of }),
            _ => Err("a part is I/N, such as 2/4, with I from 1 to N".to_owned()),
        }
    }
}

/// Everything that is to be played, in the order in which it is reported.
pub(super) fn jobs(arguments: &Arguments, again: Option<&Record>) -> Result<Vec<Job>, ExitCode> {
    let mut jobs = if let Some(record) = again {
        last_failed(record)?
    } else {
        let seeds = || arguments.seed..arguments.seed.saturating_add(arguments.seeds);
        let named = scenarios(arguments)?.into_iter();
        named
            .map(|(name, scenario)| (name, Arc::new(scenario)))
            .flat_map(|(name, scenario)| {
                seeds().map(move |seed| Job {
                    name: name.clone(),
                    scenario: Arc::clone(&scenario),
                    seed,
                })
            })
            .collect()
    };
    if let Some(Shard { part, of }) = arguments.shard {
        // Every n-th, so that the parts take alike.
        jobs = jobs.into_iter().skip(part - 1).step_by(of).collect();
    }
    Ok(jobs)
}

/// Each with the name that finds it again, from whatever folder.
fn scenarios(arguments: &Arguments) -> Result<Vec<(String, Scenario)>, ExitCode> {
    if arguments.all {
        let all = catalogue::all().map_err(refuse)?;
        return Ok(all
            .into_iter()
            .map(|one| (one.id().to_owned(), one))
            .collect());
    }
    let named = |name: &String| Ok((lasting(name), one(name)?));
    arguments.names.iter().map(named).collect()
}

fn lasting(name: &str) -> String {
    let path = is_path(name)
        .then(|| std::path::absolute(name).ok())
        .flatten();
    path.map_or_else(|| name.to_owned(), |path| path.display().to_string())
}

fn is_path(name: &str) -> bool {
    name.contains(['/', '\\']) || Path::new(name).extension().is_some()
}

/// A scenario by its id, or from a file; what is wrong is said. No other file of the catalogue is read.
pub(crate) fn one(name: &str) -> Result<Scenario, ExitCode> {
    if is_path(name) {
        return from_file(name);
    }
    if let Some(scenario) = catalogue::find(name).map_err(refuse)? {
        return Ok(scenario);
    }
    eprintln!("error: there is no scenario `{}`", name.escape_debug());
    if let Some(near) = catalogue::nearest(name) {
        eprintln!("       the nearest is `{near}`");
    }
    let catalogue = catalogue::all().map_err(refuse)?;
    eprint!("\n{}", list(&catalogue));
    Err(ExitCode::from(USAGE))
}

/// What was not as expected in the last run.
fn last_failed(record: &Record) -> Result<Vec<Job>, ExitCode> {
    let jobs = record.plays.iter().map(|(name, seed)| {
        Ok(Job {
            name: name.clone(),
            scenario: Arc::new(one(name)?),
            seed: *seed,
        })
    });
    jobs.collect()
}

fn from_file(name: &str) -> Result<Scenario, ExitCode> {
    let text = read_bounded(name, spec::MAX_FILE_BYTES).map_err(|error| {
        eprintln!("error: cannot read `{}`: {error}", name.escape_debug());
        ExitCode::from(USAGE)
    })?;
    spec::parse(name, &text).map_err(refuse)
}

/// One byte more than a file may have, so that one that is too long is seen to be.
pub(crate) fn read_bounded(path: &str, most: usize) -> io::Result<String> {
    use io::Read as _;
    let mut text = String::new();
    let limit = most as u64 + 1;
    std::fs::File::open(path)?
        .take(limit)
        .read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_run() {
        let table = [
            ("1/1", Ok((1, 1))),
            ("2/4", Ok((2, 4))),
            ("0/4", Err(())),
            ("5/4", Err(())),
            ("1", Err(())),
            ("a/b", Err(())),
        ];
        for (text, want) in table {
            let got = text.parse::<Shard>();
            let got = got.map(|shard| (shard.part, shard.of)).map_err(drop);
            assert_eq!(got, want, "for {text}");
        }
    }
}
