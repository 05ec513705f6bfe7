//! `cargo xtask fidelity`: scenarios on a real cluster and on the embedded one, side by side.
//!
//! Plays on a kind cluster, plays each again on the embedded cluster with the same versions, compares, prints
//! the table. `--record` keeps what the real cluster did; `--recorded` compares with what was kept, without Docker.
//!
//! Exit codes: 0 the same but for what is explained, 1 a difference that is not explained or a play that failed,
//! 2 usage or it could not run, 3 nothing was compared, 130 interrupted.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use pull_scenarios::fidelity::{self, Explained, Observation, Row};
use pull_scenarios::spec::Scenario;
use pull_scenarios::{Ending, Play, catalogue, report};

use crate::scenario::one;

/// Those of the request for this project; played where nothing is named.
const NAMED: [&str; 4] = ["bad-tag", "firewall-block", "missing-role", "throttling"];
const DIFFERENT: u8 = 1;
const USAGE: u8 = 2;
const NOTHING_COMPARED: u8 = 3;

/// Holds the embedded cluster to a real one: plays on kind, plays again in memory, compares.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo xtask fidelity                       the four named scenarios
  cargo xtask fidelity bad-tag cert-expired  others
  cargo xtask fidelity --all --keep          all that can be played on kind
  cargo xtask fidelity --record bad-tag      and keeps what the real cluster did
  cargo xtask fidelity --recorded            beside what was kept, without Docker

Exit codes:
  0    the same, but for what is explained
  1    a difference that is not explained, or a play that failed
  2    usage, or it could not run
  3    nothing was compared
  130  interrupted")]
pub(crate) struct Arguments {
    /// Ids of the catalogue, or paths of scenario files
    names: Vec<String>,
    /// Every scenario that both can do
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Writes what the real cluster did into the repository
    #[arg(long)]
    record: bool,
    /// Compares with recordings instead of a cluster
    #[arg(long, conflicts_with = "record")]
    recorded: bool,
    /// The form of the result
    #[arg(long, value_enum, default_value_t = Form::Text)]
    output: Form,
    /// What chance is drawn from on the embedded cluster
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[cfg(unix)]
    #[command(flatten)]
    kind: crate::kind::play::KindOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Text,
    /// For machines: pullcheck.fidelity-table/1
    Json,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let explained = match Explained::checked_in() {
        Ok(explained) => explained,
        Err(error) => return refuse(&error.to_string()),
    };
    let scenarios = match chosen(arguments) {
        Ok(scenarios) => scenarios,
        Err(code) => return code,
    };
    let compared = if arguments.recorded {
        beside_recordings(&scenarios, arguments, explained)
    } else {
        on_kind(&scenarios, arguments, explained)
    };
    let compared = match compared {
        Ok(compared) => compared,
        Err(code) => return code,
    };
    match print(&compared, arguments.output) {
        // Someone closed the pipe, as `head` does: the result is what it is.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            refuse(&format!("cannot write the result: {error}"))
        }
        _ => code(&compared),
    }
}

/// The table, and plays of the real cluster that were not as expected.
struct Compared {
    rows: Vec<Row>,
    failed: Vec<Play>,
}

fn code(compared: &Compared) -> ExitCode {
    let differ = |row: &Row| row.unexplained().next().is_some();
    if !compared.failed.is_empty() || compared.rows.iter().any(differ) {
        ExitCode::from(DIFFERENT)
    } else if compared.rows.iter().any(|row| row.skipped.is_none()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NOTHING_COMPARED)
    }
}

fn refuse(what: &str) -> ExitCode {
    eprintln!("error: {what}");
    ExitCode::from(USAGE)
}

/// In the order of the names; the four named ones, or (beside recordings) all, where there are none.
fn chosen(arguments: &Arguments) -> Result<Vec<Scenario>, ExitCode> {
    let catalogue = catalogue::all().map_err(|error| refuse(&error.to_string()))?;
    if arguments.all || (arguments.recorded && arguments.names.is_empty()) {
        return Ok(catalogue);
    }
    let named = NAMED.map(ToOwned::to_owned);
    let names = if arguments.names.is_empty() {
        named.as_slice()
    } else {
        arguments.names.as_slice()
    };
    names.iter().map(|name| one(name)).collect()
}

/// Where recordings are kept.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/fidelity/recorded")
}

fn beside_recordings(
    scenarios: &[Scenario],
    arguments: &Arguments,
    explained: &Explained,
) -> Result<Compared, ExitCode> {
    let recordings = fidelity::recordings(&folder()).map_err(|error| refuse(&error.to_string()))?;
    let named = !arguments.names.is_empty();
    let mut rows = Vec::new();
    for scenario in scenarios {
        let own = recordings
            .iter()
            .filter(|recorded| recorded.header.scenario == scenario.id());
        let mut none = true;
        for recorded in own {
            none = false;
            let row = fidelity::hold(scenario, recorded, explained, arguments.seed);
            rows.push(row.map_err(|error| refuse(&error.to_string()))?);
        }
        if none && named {
            rows.push(Row::skipped(scenario.id(), "there is no recording of it"));
        }
    }
    Ok(Compared {
        rows,
        failed: Vec::new(),
    })
}

#[cfg(not(unix))]
fn on_kind(_: &[Scenario], _: &Arguments, _: &Explained) -> Result<Compared, ExitCode> {
    Err(refuse(
        "real clusters are made on Unix only; --recorded compares with what was kept",
    ))
}

#[cfg(unix)]
fn on_kind(
    scenarios: &[Scenario],
    arguments: &Arguments,
    explained: &Explained,
) -> Result<Compared, ExitCode> {
    use std::sync::Arc;

    let jobs: Vec<_> = scenarios
        .iter()
        .map(|scenario| crate::scenario::Job {
            name: scenario.id().to_owned(),
            scenario: Arc::new(scenario.clone()),
            seed: arguments.seed,
        })
        .collect();
    let plays = crate::kind::play::play(&jobs, &arguments.kind).map_err(|error| {
        eprintln!("error: {}", error.page());
        ExitCode::from(error.exit_code())
    })?;
    let mut compared = Compared {
        rows: Vec::new(),
        failed: Vec::new(),
    };
    for (scenario, play) in scenarios.iter().zip(plays) {
        match &play.ending {
            Ending::Skipped(reason) => compared.rows.push(Row::skipped(scenario.id(), reason)),
            Ending::Failed(act) => {
                let reason = format!("act `{}` was not as expected on kind", act.name());
                compared.rows.push(Row::skipped(scenario.id(), &reason));
                compared.failed.push(play);
            }
            Ending::Passed => {
                let mut observed = Observation::of(&play);
                let now = pull_scenarios::live::now().to_string();
                let date = now.split('T').next().unwrap_or_default();
                date.clone_into(&mut observed.header.taken);
                observed.header.how = format!(
                    "cargo xtask fidelity --record {}, {}",
                    scenario.id(),
                    arguments.kind.told()
                );
                let row = fidelity::hold(scenario, &observed, explained, arguments.seed);
                // What took minutes to see is kept, also where it cannot be compared.
                if arguments.record {
                    keep(observed).map_err(|error| refuse(&error))?;
                }
                compared
                    .rows
                    .push(row.map_err(|error| refuse(&error.to_string()))?);
            }
        }
    }
    Ok(compared)
}

#[cfg(unix)]
fn keep(observed: Observation) -> Result<(), String> {
    let observed = observed.thinned();
    let file = fidelity::file_of(&folder(), &observed.header);
    let written = file
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(&file, observed.to_lines()));
    written.map_err(|error| format!("failed to write {}: {error}", file.display()))?;
    eprintln!("recorded {}", file.display());
    Ok(())
}

fn print(compared: &Compared, form: Form) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match form {
        Form::Json => {
            serde_json::to_writer_pretty(&mut out, &fidelity::json(&compared.rows))?;
            writeln!(out)?;
        }
        Form::Text => {
            for play in &compared.failed {
                writeln!(out, "{}", report::text(play, 100, report::Paint::Plain))?;
            }
            write!(out, "{}", fidelity::text(&compared.rows))?;
        }
    }
    out.flush()
}
