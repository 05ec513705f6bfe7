//! Room: the command line. The edge of everything: arguments, files, standard streams, exit codes.
//!
//! Arguments become one checked request before anything runs. Results go to standard output,
//! progress and errors to standard error; a closed pipe is quiet. Both binaries enter here.

mod args;
mod azure;
mod bench;
mod credentials;
mod docs;
mod error;
mod nodes;
mod print;
mod probing;
mod progress;
mod request;

use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal, Read, Write};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use args::{Cli, Color, Command, Output};
use error::CliError;

use crate::check::{Follow, Request, WorkloadKind, check_with, follow, preflight};
use crate::probe::Watch;
use crate::report::{self, Report, Style};
use crate::verdict::Verdict;

/// The exit codes of every command.
pub mod exit {
    /// Every stage a pull needs was seen to succeed.
    pub const PULLABLE: u8 = 0;
    /// One cause is proven.
    pub const BLOCKED: u8 = 1;
    /// The command line is wrong, or pullcheck could not run.
    pub const FAILED: u8 = 2;
    /// Several causes remain, or there was nothing to check.
    pub const UNDETERMINED: u8 = 3;
    /// Interrupted from the keyboard.
    pub const INTERRUPTED: u8 = 130;
}

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    main_of(std::env::args_os().collect())
}

/// Runs the program with these arguments, the first of which is its name.
pub fn main_of(arguments: Vec<OsString>) -> ExitCode {
    ExitCode::from(run(arguments))
}

fn run(arguments: Vec<OsString>) -> u8 {
    let plugin = arguments.first().is_some_and(|first| {
        std::path::Path::new(first)
            .file_stem()
            .is_some_and(|stem| stem == "kubectl-pullcheck")
    });
    let command = if plugin {
        Cli::command().bin_name("kubectl pullcheck")
    } else {
        Cli::command()
    };
    let parsed = command
        .try_get_matches_from(args::split_kind_and_name(arguments))
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way as well; a closed pipe is no reason to say more.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(exit::FAILED);
        }
    };
    match dispatch(&cli) {
        Ok(code) => code,
        Err(CliError::Interrupted) => exit::INTERRUPTED,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{:?}", miette::Report::new(error));
            exit::FAILED
        }
    }
}

fn dispatch(cli: &Cli) -> Result<u8, CliError> {
    let for_reports = matches!(cli.output, Output::Junit | Output::Html | Output::Github);
    match &cli.command {
        Command::Explain(_) | Command::Causes(_) | Command::Bench(_) | Command::Nodes(_)
            if for_reports =>
        {
            Err(CliError::Form)
        }
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "pullcheck", &mut text);
            emit(&String::from_utf8_lossy(&text))?;
            Ok(exit::PULLABLE)
        }
        Command::Man { folder } => {
            docs::manual(folder, Cli::command()).map_err(|source| CliError::File {
                path: folder.clone(),
                source,
            })?;
            Ok(exit::PULLABLE)
        }
        Command::Docs { folder } => {
            docs::write(folder, &Cli::command()).map_err(|source| CliError::File {
                path: folder.clone(),
                source,
            })?;
            Ok(exit::PULLABLE)
        }
        Command::Explain(given) if given.jsonl => print::explain_lines(),
        Command::Explain(given) => {
            let message = match given.message.as_deref() {
                Some("-") | None => read_stdin()?,
                Some(message) => message.to_owned(),
            };
            emit(&print::explanation(&message, cli.output, style(cli).width))?;
            Ok(exit::PULLABLE)
        }
        Command::Bench(target) => bench::run(target, cli.output),
        Command::Nodes(target) => nodes::run(target),
        Command::NodeProbe { order } => nodes::probe(order),
        Command::Causes(given) => {
            emit(&print::causes(given.id.as_deref(), cli.output)?)?;
            Ok(exit::PULLABLE)
        }
        Command::Pod(_)
        | Command::Deployment(_)
        | Command::Replicaset(_)
        | Command::Statefulset(_)
        | Command::Daemonset(_)
        | Command::Job(_)
        | Command::Cronjob(_)
        | Command::Namespace(_)
        | Command::Cluster(_)
        | Command::Manifests(_)
        | Command::Image(_) => {
            let report = look(cli)?;
            let page = match cli.output {
                Output::Text => report::text(&report, &style(cli)),
                Output::Json => pretty(&report::json(&report)),
                Output::Junit => report::junit(&report),
                Output::Html => report::html(&report),
                Output::Github => report::github(&report),
            };
            emit(&page)?;
            Ok(match report.verdict() {
                Verdict::Pullable => exit::PULLABLE,
                Verdict::Blocked { .. } => exit::BLOCKED,
                Verdict::Undetermined { .. } => exit::UNDETERMINED,
            })
        }
    }
}

/// Runs the check until it is done or somebody interrupts it.
fn look(cli: &Cli) -> Result<Report, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|source| CliError::Runtime { source })?;
    let progress = progress::Progress::start(cli.quiet);
    let begun = nodes::Begun::default();
    let report = runtime.block_on(async {
        let report = tokio::select! {
            biased;
            () = interrupted() => Err(CliError::Interrupted),
            report = checked(cli, progress.watch(), &begun) => report,
        };
        // After an interruption as well: nothing of ours stays in a cluster.
        begun.take_back().await;
        report
    });
    progress.stop();
    // A resolver's thread that still waits must not keep the program.
    runtime.shutdown_background();
    report
}

/// Ends when somebody wants the program to.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                biased;
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

async fn checked(cli: &Cli, watch: Watch, begun: &nodes::Begun) -> Result<Report, CliError> {
    let (world, request, mut settings) = match &cli.command {
        Command::Image(target) => request::image(target).await?,
        Command::Pod(target) => {
            request::cluster(target, |namespace, name| Request::Pod { namespace, name }).await?
        }
        Command::Deployment(target) => {
            request::cluster(target, workload(WorkloadKind::Deployment)).await?
        }
        Command::Replicaset(target) => {
            request::cluster(target, workload(WorkloadKind::ReplicaSet)).await?
        }
        Command::Statefulset(target) => {
            request::cluster(target, workload(WorkloadKind::StatefulSet)).await?
        }
        Command::Daemonset(target) => {
            request::cluster(target, workload(WorkloadKind::DaemonSet)).await?
        }
        Command::Job(target) => request::cluster(target, workload(WorkloadKind::Job)).await?,
        Command::Cronjob(target) => {
            request::cluster(target, workload(WorkloadKind::CronJob)).await?
        }
        Command::Namespace(target) => {
            request::cluster(target, |_, namespace| Request::Namespace { namespace }).await?
        }
        Command::Cluster(target) => {
            let (world, _, settings) = request::wide(target).await?;
            (world, Request::Cluster, settings)
        }
        Command::Manifests(target) => {
            let (world, subject, manifests, platforms, settings) =
                request::manifests(target).await?;
            let world = target.nodes.lead(world, begun);
            return Ok(preflight(&world, &subject, &manifests, &platforms, &settings).await);
        }
        Command::Explain(_)
        | Command::Causes(_)
        | Command::Bench(_)
        | Command::Nodes(_)
        | Command::NodeProbe { .. }
        | Command::Completions { .. }
        | Command::Man { .. }
        | Command::Docs { .. } => return Err(CliError::Interrupted),
    };
    let followed = match &cli.command {
        Command::Cluster(target) => Some(target),
        Command::Pod(target)
        | Command::Deployment(target)
        | Command::Replicaset(target)
        | Command::Statefulset(target)
        | Command::Daemonset(target)
        | Command::Job(target)
        | Command::Cronjob(target)
        | Command::Namespace(target) => Some(&target.wide),
        _ => None,
    };
    let from = match &cli.command {
        Command::Image(target) => Some(&target.nodes),
        _ => followed.map(|target| &target.nodes),
    };
    let world = match from {
        Some(from) => from.lead(world, begun),
        None => world,
    };
    if let Some(target) = followed.filter(|target| target.watch) {
        let how = Follow {
            timeout: target.timeout,
            ..Follow::default()
        };
        let quiet = cli.quiet;
        let tell = |line: &str| {
            if !quiet {
                let _ = writeln!(std::io::stderr(), "{line}");
            }
        };
        return Ok(follow(&world, &request, &settings, &how, tell).await);
    }
    settings.watch = watch;
    Ok(check_with(&world, &request, &settings).await)
}

fn workload(kind: WorkloadKind) -> impl FnOnce(String, String) -> Request {
    move |namespace, name| Request::Workload {
        kind,
        namespace,
        name,
    }
}

fn style(cli: &Cli) -> Style {
    let terminal = std::io::stdout().is_terminal();
    let no_color = std::env::var_os("NO_COLOR");
    let colour = coloured(cli.color, terminal, no_color.as_deref());
    let columns = std::env::var("COLUMNS")
        .ok()
        .and_then(|text| text.parse().ok());
    let width = columns.filter(|_| terminal).unwrap_or(100).clamp(40, 140);
    Style {
        width,
        colour,
        verbose: cli.verbose,
    }
}

/// Whether to colour. `NO_COLOR` counts where it holds anything, and only against `auto`: see <https://no-color.org>.
fn coloured(wanted: Color, terminal: bool, no_color: Option<&OsStr>) -> bool {
    match wanted {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => terminal && no_color.is_none_or(OsStr::is_empty),
    }
}

/// The largest message that is read from standard input.
const INPUT: u64 = 8 * 1024 * 1024;

fn read_stdin() -> Result<String, CliError> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(INPUT).read_to_end(&mut bytes);
    read.map_err(|source| CliError::Stdin { source })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

/// Writes the result; a reader that has gone away is not an error.
fn emit(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::Stdout { source: error })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_counts_against_auto_alone() {
        let table = [
            (Color::Auto, true, None, true),
            (Color::Auto, true, Some(""), true),
            (Color::Auto, true, Some("1"), false),
            (Color::Auto, false, None, false),
            (Color::Always, false, Some("1"), true),
            (Color::Never, true, None, false),
        ];
        for (wanted, terminal, no_color, want) in table {
            let got = coloured(wanted, terminal, no_color.map(OsStr::new));
            assert_eq!(got, want, "{wanted:?} {terminal} {no_color:?}");
        }
    }
}
