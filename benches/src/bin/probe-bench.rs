//! Compares probes with other clients; `cargo xtask bench probe` builds and runs it.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use pull_benches::probe::{self, Options};

/// Compares pullcheck's probes with oci-client, crane, skopeo and a bare client, in turns, and prints one table
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench probe", disable_version_flag = true)]
struct Arguments {
    /// Probes in flight
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1_usize, 16, 256])]
    in_flight: Vec<usize>,
    /// How often each client has its turn
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// How long one measurement goes on
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    seconds: f64,
    /// How often each program is started
    #[arg(long, value_name = "N", default_value_t = 21, value_parser = clap::value_parser!(u16).range(1..=1000))]
    starts: u16,
    /// How the table is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// The program fake-registry (the one beside this program)
    #[arg(long, value_name = "FILE")]
    fake_registry: Option<PathBuf>,
    /// The program pullcheck (the one beside this program)
    #[arg(long, value_name = "FILE")]
    pullcheck: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

const FAILED: u8 = 2;

fn main() -> ExitCode {
    let own: Vec<String> = std::env::args().collect();
    if let [_, flag, program, arguments @ ..] = own.as_slice()
        && flag == "--one"
    {
        return one(Path::new(program), arguments);
    }
    let arguments = Arguments::parse();
    let beside = |chosen: Option<PathBuf>, name: &str| {
        let beside = || Some(std::env::current_exe().ok()?.with_file_name(name));
        chosen.or_else(beside).unwrap_or_else(|| name.into())
    };
    let options = Options {
        in_flight: arguments
            .in_flight
            .iter()
            .map(|n| (*n).clamp(1, 4096))
            .collect(),
        rounds: arguments.rounds.into(),
        time: Duration::from_secs_f64(arguments.seconds.clamp(0.1, 600.0)),
        starts: arguments.starts.into(),
        fake_registry: beside(arguments.fake_registry, "fake-registry"),
        pullcheck: beside(arguments.pullcheck, "pullcheck"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(probe::run(&options, say)),
        Err(error) => return fail(&error),
    };
    say("");
    match outcome {
        Ok(table) => {
            let text = match arguments.output {
                Output::Text => table.text(),
                Output::Json => format!("{:#}\n", table.json()),
            };
            // A closed pipe is quiet.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

fn one(program: &Path, arguments: &[String]) -> ExitCode {
    match probe::run_one(program, arguments) {
        Ok(value) => {
            let _ = writeln!(std::io::stdout(), "{value}");
            ExitCode::SUCCESS
        }
        Err(_) => ExitCode::from(FAILED),
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
