//! `cargo xtask scenario`: chooses scenarios, plays them on worker threads, prints what came out.
//!
//! Exit codes: 0 all passed, 1 one was not as expected, 2 usage or a broken file, 3 nothing was
//! played, 130 interrupted.

mod choose;
mod failed;
mod playing;
mod scaffold;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use pull_scenarios::report::{self, Paint};
use pull_scenarios::spec::{LoadError, Scenario};
use pull_scenarios::{Ending, Play, Versions, catalogue};

use self::choose::Shard;
use self::failed::{Ground, Record};
pub(crate) use self::playing::Job;

pub(crate) use self::choose::{one, read_bounded};

const NOT_AS_EXPECTED: u8 = 1;
const USAGE: u8 = 2;
const NOTHING_PLAYED: u8 = 3;
const INTERRUPTED: u8 = 130;

/// Plays scenarios: on the embedded cluster (no Docker, no root, no network), or on a real one.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  cargo xtask scenario bad-tag             one scenario, told in full
  cargo xtask scenario --all               all of them, a line each
  cargo xtask scenario --all --seeds 5     each with five seeds
  cargo xtask scenario --all --shard 1/4   the first quarter of them
  cargo xtask scenario --rerun-failed      those that failed last time
  cargo xtask scenario ./mine.yaml         a file of your own
  cargo xtask scenario new my-failure      a file to begin with
  cargo xtask scenario --all --output json
  cargo xtask scenario --all --backend kind

Exit codes:
  0    every scenario was as expected
  1    a scenario was not as expected
  2    usage, or a scenario file that cannot be read
  3    nothing was played
  130  interrupted"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
    /// Ids of the catalogue, or paths of scenario files
    names: Vec<String>,
    /// Plays the whole catalogue
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Lists the catalogue
    #[arg(long, conflicts_with_all = ["names", "all"])]
    list: bool,
    /// Plays what was not as expected in the last run, with the same seeds, versions and backend; options that
    /// only a real cluster has are given again
    #[arg(long, conflicts_with_all = ["names", "all", "list", "seed", "seeds", "kubernetes", "runtime", "backend"])]
    rerun_failed: bool,
    /// Plays one part of several, such as 2/4
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// The form of the result
    #[arg(long, value_enum, default_value_t = Form::Text)]
    output: Form,
    /// What chance is drawn from: the same seed gives the same play
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Plays each scenario with so many seeds, from --seed on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    seeds: u64,
    /// The Kubernetes that the nodes pretend to be, such as 1.32; with --backend kind that of kind's own node image,
    /// such as 1.31.4
    #[arg(long, value_name = "VERSION")]
    kubernetes: Option<String>,
    /// The runtime that the nodes pretend to have, such as containerd-1.7, containerd-2.1-local or cri-o
    #[arg(long, value_name = "RUNTIME")]
    runtime: Option<String>,
    /// Prints only what was not as expected, and the count
    #[arg(long, short)]
    quiet: bool,
    /// Where they are played
    #[arg(long, value_enum, default_value_t = Where::Embedded)]
    backend: Where,
    #[cfg(unix)]
    #[command(flatten)]
    kind: crate::kind::play::KindOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Where {
    /// In this process, in virtual time
    Embedded,
    /// A kind cluster, in real time
    #[cfg(unix)]
    Kind,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Writes a scenario file that loads, to begin with
    New(scaffold::Arguments),
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

pub(crate) fn run(mut arguments: Arguments) -> ExitCode {
    if let Some(Task::New(new)) = &arguments.task {
        return scaffold::run(new);
    }
    let again = match arguments.rerun_failed.then(failed::recall).transpose() {
        Ok(again) => again,
        Err(error) => {
            eprintln!("error: nothing is known of a run before this one: {error}");
            return ExitCode::from(USAGE);
        }
    };
    if let Some(record) = &again {
        arguments.take_ground(&record.ground);
    }
    match try_run(&arguments, again.as_ref()) {
        Ok(code) => code,
        // Someone closed the pipe, as `head` does: nothing is left to say.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: cannot write the result: {error}");
            ExitCode::from(USAGE)
        }
    }
}

impl Arguments {
    /// A run that is played again is played on what it was played on.
    fn take_ground(&mut self, ground: &Ground) {
        self.kubernetes.clone_from(&ground.kubernetes);
        self.runtime.clone_from(&ground.runtime);
        // A file of a machine that has other backends.
        self.backend = Where::from_str(&ground.backend, true).unwrap_or(Where::Embedded);
    }

    fn ground(&self) -> Ground {
        let backend = self.backend.to_possible_value();
        Ground {
            backend: backend.map_or_else(String::new, |value| value.get_name().to_owned()),
            kubernetes: self.kubernetes.clone(),
            runtime: self.runtime.clone(),
        }
    }
}

/// An option that only a real cluster has, where the scenarios are not played on one.
#[cfg(unix)]
pub(crate) fn foreign(matches: &clap::ArgMatches) -> Option<String> {
    let backend = matches.get_one::<Where>("backend");
    if backend == Some(&Where::Kind) || matches.get_flag("rerun_failed") {
        return None;
    }
    let of_kind = crate::kind::play::KindOptions::augment_args(clap::Command::new("kind"));
    let given = |argument: &&clap::Arg| {
        matches.value_source(argument.get_id().as_str())
            == Some(clap::parser::ValueSource::CommandLine)
    };
    let found = of_kind.get_arguments().find(given)?;
    let name = found.get_long().unwrap_or(found.get_id().as_str());
    Some(format!("--{name} is for a real cluster: --backend kind"))
}

fn try_run(arguments: &Arguments, again: Option<&Record>) -> io::Result<ExitCode> {
    #[cfg(unix)]
    let embedded = arguments.backend == Where::Embedded;
    #[cfg(not(unix))]
    let embedded = true;
    let kubernetes = arguments.kubernetes.as_deref().filter(|_| embedded);
    let versions = Versions::parse(kubernetes, arguments.runtime.as_deref());
    let versions = match versions {
        Ok(versions) => versions,
        Err(error) => {
            eprintln!("error: {error}");
            return Ok(ExitCode::from(USAGE));
        }
    };
    #[cfg(unix)]
    let mut kind = arguments.kind.clone();
    #[cfg(unix)]
    if !embedded {
        if arguments.runtime.is_some() {
            eprintln!(
                "error: --runtime chooses what the embedded backend models; a real cluster has its own (--suite, \
                 --image)"
            );
            return Ok(ExitCode::from(USAGE));
        }
        let release = arguments.kubernetes.as_deref();
        if let Some(Err(error)) = release.map(|release| kind.of_release(release)) {
            eprintln!("error: {error}");
            return Ok(ExitCode::from(USAGE));
        }
    }
    let nothing = arguments.names.is_empty() && !arguments.all && !arguments.rerun_failed;
    if arguments.list || nothing {
        let catalogue = match catalogue::all() {
            Ok(catalogue) => catalogue,
            Err(error) => return Ok(refuse(error)),
        };
        if arguments.list {
            write!(io::stdout(), "{}", list(&catalogue))?;
            return Ok(ExitCode::SUCCESS);
        }
        write!(io::stdout(), "{}", introduction(&catalogue))?;
        return Ok(ExitCode::from(NOTHING_PLAYED));
    }
    let jobs = match choose::jobs(arguments, again) {
        Ok(jobs) => jobs,
        Err(code) => return Ok(code),
    };
    let total = jobs.len();
    let plays = match arguments.backend {
        Where::Embedded => playing::all(&jobs, versions)?,
        #[cfg(unix)]
        Where::Kind => match crate::kind::play::play(&jobs, &kind) {
            Ok(plays) => Some(plays),
            Err(error) => {
                eprintln!("error: {}", error.page());
                return Ok(ExitCode::from(error.exit_code()));
            }
        },
    };
    let Some(plays) = plays else {
        eprintln!("interrupted");
        return Ok(ExitCode::from(INTERRUPTED));
    };
    failed::remember(&jobs, &plays, &arguments.ground());
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
    if plays.iter().any(failed) {
        ExitCode::from(NOT_AS_EXPECTED)
    } else if plays.iter().any(Play::passed) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NOTHING_PLAYED)
    }
}

fn failed(play: &Play) -> bool {
    matches!(play.ending, Ending::Failed(_))
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
    let many = arguments.all || arguments.rerun_failed || plays.len() > 1;
    for play in plays {
        if failed(play) || !(arguments.quiet || many) {
            writeln!(out, "{}", report::text(play, width, paint))?;
        } else if !arguments.quiet {
            writeln!(out, "{}", report::line(play, paint))?;
        }
    }
    if many || arguments.quiet {
        writeln!(out, "{}", report::summary(plays, paint))?;
    }
    for play in plays.iter().filter(|play| failed(play)) {
        writeln!(out, "play it again: {}", replay(play, arguments))?;
    }
    Ok(())
}

/// The command that plays one play again.
fn replay(play: &Play, arguments: &Arguments) -> String {
    let id = play.scenario.id();
    let is_id = |name: &&String| name.contains(id) && name.contains(['/', '\\', '.']);
    let name = arguments
        .names
        .iter()
        .find(is_id)
        .map_or(id, String::as_str);
    let option = |name: &str, value: &Option<String>| {
        value
            .as_ref()
            .map_or_else(String::new, |value| format!(" --{name} {value}"))
    };
    let backend = if play.real { " --backend kind" } else { "" };
    format!(
        "cargo xtask scenario {name} --seed {}{}{}{backend}",
        play.seed,
        option("kubernetes", &arguments.kubernetes),
        option("runtime", &arguments.runtime)
    )
}
