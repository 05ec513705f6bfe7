//! Which scenarios with which seeds: from the catalogue, from files, from the last run; a part of them.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

use pull_scenarios::catalogue;
use pull_scenarios::spec::{self, Scenario};

use super::{Arguments, Job, USAGE, failed, list, refuse};

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
pub(super) fn jobs(arguments: &Arguments) -> Result<Vec<Job>, ExitCode> {
    let mut jobs = if arguments.rerun_failed {
        last_failed()?
    } else {
        let seeds = || arguments.seed..arguments.seed.saturating_add(arguments.seeds);
        let scenarios = scenarios(arguments)?;
        let pairs = scenarios
            .into_iter()
            .map(Arc::new)
            .flat_map(|scenario| seeds().map(move |seed| (Arc::clone(&scenario), seed)));
        pairs
            .map(|(scenario, seed)| Job { scenario, seed })
            .collect()
    };
    if let Some(Shard { part, of }) = arguments.shard {
        // Every n-th, so that the parts take alike.
        jobs = jobs.into_iter().skip(part - 1).step_by(of).collect();
    }
    Ok(jobs)
}

fn scenarios(arguments: &Arguments) -> Result<Vec<Scenario>, ExitCode> {
    if arguments.all {
        return catalogue::all().map_err(refuse);
    }
    if arguments.names.iter().all(|name| is_path(name)) {
        return arguments.names.iter().map(|name| from_file(name)).collect();
    }
    let catalogue = catalogue::all().map_err(refuse)?;
    let names = arguments.names.iter();
    names.map(|name| one(name, &catalogue)).collect()
}

fn is_path(name: &str) -> bool {
    name.contains(['/', '\\']) || Path::new(name).extension().is_some()
}

/// A scenario by its id, or from a file; what is wrong is said.
pub(crate) fn one(name: &str, catalogue: &[Scenario]) -> Result<Scenario, ExitCode> {
    if is_path(name) {
        return from_file(name);
    }
    catalogue
        .iter()
        .find(|scenario| scenario.id() == name)
        .cloned()
        .ok_or_else(|| {
            let name = name.escape_debug();
            eprintln!("error: there is no scenario `{name}`");
            if let Some(near) = catalogue::nearest(&name.to_string(), catalogue) {
                eprintln!("       the nearest is `{near}`");
            }
            eprint!("\n{}", list(catalogue));
            ExitCode::from(USAGE)
        })
}

/// What was not as expected in the last run. Only scenarios of the catalogue are remembered.
fn last_failed() -> Result<Vec<Job>, ExitCode> {
    let catalogue = catalogue::all().map_err(refuse)?;
    let pairs = failed::recall().map_err(|error| {
        eprintln!("error: nothing is known of a run before this one: {error}");
        ExitCode::from(USAGE)
    })?;
    let jobs = pairs.into_iter().filter_map(|(id, seed)| {
        let scenario = catalogue.iter().find(|one| one.id() == id)?;
        Some(Job {
            scenario: Arc::new(scenario.clone()),
            seed,
        })
    });
    Ok(jobs.collect())
}

fn from_file(name: &str) -> Result<Scenario, ExitCode> {
    let text = read_bounded(Path::new(name)).map_err(|error| {
        eprintln!("error: cannot read `{}`: {error}", name.escape_debug());
        ExitCode::from(USAGE)
    })?;
    spec::parse(name, &text).map_err(refuse)
}

/// One byte more than a file may have, so that one that is too long is seen to be.
fn read_bounded(path: &Path) -> io::Result<String> {
    use io::Read as _;
    let mut text = String::new();
    let limit = spec::MAX_FILE_BYTES as u64 + 1;
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
