//! `cargo xtask scenario`: chooses scenarios, plays them on worker threads, prints what came out.
//!
//! Exit codes: 0 all passed, 1 one was not as expected, 2 usage or a broken file, 3 nothing was
//! played, 130 interrupted.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pull_scenarios::report::{self, Paint};
use pull_scenarios::spec::{self, LoadError, Scenario};
use pull_scenarios::{Ending, Play, catalogue};
use tokio::sync::mpsc;

const NOT_AS_EXPECTED: u8 = 1;
const USAGE: u8 = 2;
const NOTHING_PLAYED: u8 = 3;
const INTERRUPTED: u8 = 130;

/// Plays scenarios on the embedded cluster: no Docker, no root, no network.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo xtask scenario bad-tag             one scenario, told in full
  cargo xtask scenario --all               all of them, a line each
  cargo xtask scenario ./mine.yaml         a file of your own
  cargo xtask scenario --all --output json

Exit codes:
  0    every scenario was as expected
  1    a scenario was not as expected
  2    usage, or a scenario file that cannot be read
  3    nothing was played
  130  interrupted")]
pub(crate) struct Arguments {
    /// Ids of the catalogue, or paths of scenario files
    names: Vec<String>,
    /// Plays the whole catalogue
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Lists the catalogue
    #[arg(long, conflicts_with_all = ["names", "all"])]
    list: bool,
    /// The form of the result
    #[arg(long, value_enum, default_value_t = Form::Text)]
    output: Form,
    /// What chance is drawn from: the same seed gives the same play
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Prints only what was not as expected, and the count
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Text,
    /// For machines: pullcheck.scenarios/1
    Json,
    /// For CI servers
    Junit,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match try_run(arguments) {
        Ok(code) => code,
        // Someone closed the pipe, as `head` does: nothing is left to say.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: cannot write the result: {error}");
            ExitCode::from(USAGE)
        }
    }
}

fn try_run(arguments: &Arguments) -> io::Result<ExitCode> {
    let catalogue = match catalogue::all() {
        Ok(catalogue) => catalogue,
        Err(error) => return Ok(refuse(error)),
    };
    if arguments.list {
        write!(io::stdout(), "{}", list(&catalogue))?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.names.is_empty() && !arguments.all {
        write!(io::stdout(), "{}", introduction(&catalogue))?;
        return Ok(ExitCode::from(NOTHING_PLAYED));
    }
    let scenarios = match choose(arguments, &catalogue) {
        Ok(scenarios) => scenarios,
        Err(code) => return Ok(code),
    };
    let total = scenarios.len();
    let Some(plays) = play_all(scenarios, arguments)? else {
        eprintln!("interrupted");
        return Ok(ExitCode::from(INTERRUPTED));
    };
    match print(&plays, arguments) {
        // Someone closed the pipe, as `head` does: the result is what it is.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
        _ => {}
    }
    if plays.len() < total {
        // The panic itself has been printed by its thread.
        let missing = total - plays.len();
        eprintln!("error: a play panicked; {missing} of {total} did not come to an end");
        return Ok(ExitCode::from(NOT_AS_EXPECTED));
    }
    Ok(code(&plays))
}

fn code(plays: &[Play]) -> ExitCode {
    if plays
        .iter()
        .any(|play| matches!(play.ending, Ending::Failed(_)))
    {
        ExitCode::from(NOT_AS_EXPECTED)
    } else if plays.iter().any(Play::passed) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NOTHING_PLAYED)
    }
}

fn refuse(error: Box<LoadError>) -> ExitCode {
    let report = miette::Report::new_boxed(error);
    eprintln!("{report:?}");
    ExitCode::from(USAGE)
}

fn list(catalogue: &[Scenario]) -> String {
    let width = catalogue
        .iter()
        .map(|scenario| scenario.id().len())
        .max()
        .unwrap_or(0);
    let lines = catalogue
        .iter()
        .map(|scenario| format!("{:width$}  {}", scenario.id(), scenario.title));
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

fn introduction(catalogue: &[Scenario]) -> String {
    let lines = format!("  {}", list(catalogue).trim_end().replace('\n', "\n  "));
    format!(
        "Scenarios, each played from a healthy cluster through a failure to a verified fix:\n\n\
         {lines}\n\n\
         Start with one of them:   cargo xtask scenario bad-tag\n\
         Play them all:            cargo xtask scenario --all\n\
         Every option:             cargo xtask scenario --help\n"
    )
}

fn choose(arguments: &Arguments, catalogue: &[Scenario]) -> Result<Vec<Scenario>, ExitCode> {
    if arguments.all {
        return Ok(catalogue.to_vec());
    }
    arguments
        .names
        .iter()
        .map(|name| one(name, catalogue))
        .collect()
}

/// A scenario by its id, or from a file; what is wrong is said.
pub(crate) fn one(name: &str, catalogue: &[Scenario]) -> Result<Scenario, ExitCode> {
    if name.contains(['/', '\\']) || Path::new(name).extension().is_some() {
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

/// `None` when interrupted. Every play has a thread's runtime to itself; nothing outlives the
/// process, so there is nothing to clean up.
fn play_all(scenarios: Vec<Scenario>, arguments: &Arguments) -> io::Result<Option<Vec<Play>>> {
    let bar = progress(scenarios.len());
    let seed = arguments.seed;
    let total = scenarios.len();
    let scenarios = Arc::new(scenarios);
    let next = Arc::new(AtomicUsize::new(0));
    let (results, mut finished) = mpsc::unbounded_channel();
    let workers = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(total);
    for _ in 0..workers {
        let (scenarios, next, results) =
            (Arc::clone(&scenarios), Arc::clone(&next), results.clone());
        std::thread::spawn(move || {
            while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                let index = scenarios
                    .iter()
                    .position(|one| std::ptr::eq(one, scenario))
                    .unwrap_or(0);
                if results
                    .send((index, pull_scenarios::play_embedded(scenario, seed)))
                    .is_err()
                {
                    return;
                }
            }
        });
    }
    drop(results);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let plays = runtime.block_on(async {
        let mut plays: Vec<(usize, Play)> = Vec::with_capacity(total);
        loop {
            tokio::select! {
                biased;
                _ = tokio::signal::ctrl_c() => return None,
                play = finished.recv() => match play {
                    Some(play) => {
                        bar.inc(1);
                        plays.push(play);
                    }
                    None => break,
                },
            }
        }
        plays.sort_by_key(|(index, _)| *index);
        Some(plays.into_iter().map(|(_, play)| play).collect())
    });
    bar.finish_and_clear();
    Ok(plays)
}

/// Shown on a terminal only.
fn progress(total: usize) -> ProgressBar {
    let target = if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(total as u64), target);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos}/{len} scenarios {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    bar
}

fn print(plays: &[Play], arguments: &Arguments) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match arguments.output {
        Form::Text => print_text(&mut out, plays, arguments)?,
        Form::Json => {
            serde_json::to_writer_pretty(&mut out, &report::json(plays, arguments.seed))?;
            writeln!(out)?;
        }
        Form::Junit => writeln!(out, "{}", report::junit(plays).map_err(io::Error::other)?)?,
    }
    out.flush()
}

fn print_text(out: &mut impl io::Write, plays: &[Play], arguments: &Arguments) -> io::Result<()> {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|value| value == "dumb")
        || !io::stdout().is_terminal();
    let paint = if plain { Paint::Plain } else { Paint::Colour };
    let width = console::Term::stdout()
        .size_checked()
        .map_or(100, |(_, columns)| columns.into());
    for play in plays {
        let failed = matches!(play.ending, Ending::Failed(_));
        if failed || !(arguments.quiet || arguments.all) {
            writeln!(out, "{}", report::text(play, width, paint))?;
        } else if !arguments.quiet {
            writeln!(out, "{}", report::line(play, paint))?;
        }
    }
    if arguments.all || arguments.quiet || plays.len() > 1 {
        writeln!(out, "{}", report::summary(plays, paint))?;
    }
    if plays
        .iter()
        .any(|play| matches!(play.ending, Ending::Failed(_)))
    {
        writeln!(
            out,
            "seed {}: play it again with --seed {}",
            arguments.seed, arguments.seed
        )?;
    }
    Ok(())
}
