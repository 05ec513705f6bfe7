//! Compares fake-registry with other servers; `cargo xtask bench registry` builds and runs it.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use pull_benches::registry::{
    Bench, BenchError, Case, Options, Peer, Programs, Table, count, count_table,
};
use tokio::signal::unix::{SignalKind, signal};

/// Compares fake-registry with other servers on loopback, in turns, and prints one table
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench registry", disable_version_flag = true)]
struct Arguments {
    /// How often each peer has its turn
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// How long one measurement goes on
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,
    /// The most requests or images of one measurement
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    count: usize,
    /// Connections at a time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=512))]
    connections: u16,
    /// Only these peers (all that are installed)
    #[arg(long, value_enum, value_name = "PEER", value_delimiter = ',')]
    peers: Vec<Peer>,
    /// Only these cases
    #[arg(long, value_enum, value_name = "CASE", value_delimiter = ',')]
    cases: Vec<Case>,
    /// Instead of all that, count the instructions of a manifest GET under valgrind: of the bare
    /// server, and of fake-registry without and with fault rules that do not match
    #[arg(long, conflicts_with_all = ["rounds", "seconds", "count", "connections", "peers", "cases", "output"])]
    instructions: bool,
    /// How the table is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// The program fake-registry (the one beside this program)
    #[arg(long, value_name = "FILE")]
    fake_registry: Option<PathBuf>,
    /// The program bare-server (the one beside this program)
    #[arg(long, value_name = "FILE")]
    bare_server: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

const FAILED: u8 = 2;
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(compare(arguments)),
        Err(error) => fail(&error),
    }
}

async fn compare(arguments: Arguments) -> ExitCode {
    let (output, instructions) = (arguments.output, arguments.instructions);
    let options: Options = arguments.into();
    if instructions {
        return count_instructions(&options.programs).await;
    }
    let mut bench = Bench::default();
    let outcome = tokio::select! {
        biased;
        outcome = ended_by_signal() => outcome.map(|()| None).map_err(Failed::Signals),
        outcome = bench.run(&options, say) => outcome.map(Some).map_err(Failed::Bench),
    };
    bench.stop().await;
    clear();
    match outcome {
        Ok(Some(table)) => print(&table, output),
        Ok(None) => ExitCode::from(INTERRUPTED),
        Err(Failed::Bench(error)) => fail(&error),
        Err(Failed::Signals(error)) => fail(&error),
    }
}

/// What it starts ends with its future, also when that is dropped half-way.
async fn count_instructions(programs: &Programs) -> ExitCode {
    let outcome = tokio::select! {
        biased;
        outcome = ended_by_signal() => outcome.map(|()| None).map_err(Failed::Signals),
        outcome = count(programs, say) => outcome.map(Some).map_err(Failed::Bench),
    };
    clear();
    match outcome {
        Ok(Some(rows)) => write(&count_table(&rows)),
        Ok(None) => ExitCode::from(INTERRUPTED),
        Err(Failed::Bench(error)) => fail(&error),
        Err(Failed::Signals(error)) => fail(&error),
    }
}

enum Failed {
    Bench(BenchError),
    Signals(std::io::Error),
}

/// Ends with the first signal that would end this program.
async fn ended_by_signal() -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        biased;
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}

impl From<Arguments> for Options {
    fn from(arguments: Arguments) -> Self {
        let or_all = |chosen: Vec<Peer>| match chosen.as_slice() {
            [] => Peer::value_variants().to_vec(),
            _ => chosen,
        };
        let cases = match arguments.cases.as_slice() {
            [] => Case::value_variants().to_vec(),
            _ => arguments.cases,
        };
        Self {
            peers: or_all(arguments.peers),
            cases,
            rounds: arguments.rounds.into(),
            connections: arguments.connections.into(),
            count: arguments.count,
            time: Duration::from_secs_f64(arguments.seconds),
            programs: Programs {
                fake_registry: or_beside(arguments.fake_registry, "fake-registry"),
                bare_server: or_beside(arguments.bare_server, "bare-server"),
            },
        }
    }
}

fn or_beside(chosen: Option<PathBuf>, name: &str) -> PathBuf {
    let beside = || Some(std::env::current_exe().ok()?.with_file_name(name));
    chosen.or_else(beside).unwrap_or_else(|| name.into())
}

fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.1..=600.0).contains(&value) {
        Ok(value)
    } else {
        Err("not between 0.1 and 600".to_owned())
    }
}

/// Progress: one line that is written over, and nothing where nobody watches.
fn say(what: &str) {
    let mut err = std::io::stderr();
    if err.is_terminal() {
        let _ = write!(err, "\r\x1b[K{what}");
        let _ = err.flush();
    }
}

fn clear() {
    say("");
}

fn print(table: &Table, output: Output) -> ExitCode {
    let text = match output {
        Output::Text => table.text(),
        Output::Json => format!("{:#}\n", table.json()),
    };
    write(&text)
}

fn write(text: &str) -> ExitCode {
    // A closed pipe is quiet.
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => fail(&error),
        _ => ExitCode::SUCCESS,
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprint!("bench: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        eprint!(": {error}");
        source = error.source();
    }
    eprintln!();
    ExitCode::from(FAILED)
}
