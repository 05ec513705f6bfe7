//! The command line: arguments in, a running registry or an answer of one out.
//!
//! Results go to standard output, logs and errors to standard error. Exit codes: 0 for success,
//! 1 where a running registry refused, 2 where the command could not run, 130 after a second
//! interrupt.

mod args;
mod client;
mod dns;
mod serve;
mod stop;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use fake_registry::{BuildError, ScriptError, StartError};
use tracing_subscriber::EnvFilter;

use args::{Arguments, Command, LogFormat};

/// A file that is read whole is no larger.
const MAX_FILE: u64 = 64 << 20;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}: {source}", path.display())]
    Yaml { path: PathBuf, source: ScriptError },
    #[error("the description does not hold together")]
    Build(#[from] BuildError),
    #[error("cannot start")]
    Start(#[from] StartError),
    #[error("cannot answer names")]
    Dns(#[from] fake_registry::DnsError),
    #[error("cannot write {}", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot write to standard output")]
    Output(#[source] std::io::Error),
    #[error("there is no command `{0}`")]
    NoCommand(String),
    #[error("no runtime")]
    Runtime(#[source] std::io::Error),
    #[error("no running registry answers at {at}")]
    NoAnswer {
        at: std::net::SocketAddr,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the registry refused ({status}): {text}")]
    Refused { status: u16, text: String },
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Refused { .. } => 1,
            _ => 2,
        }
    }
}

/// Runs the command that was asked for.
pub(crate) fn run() -> ExitCode {
    let command = Arguments::parse().command;
    let format = match &command {
        Command::Serve(serve) => serve.log_format,
        _ => LogFormat::Text,
    };
    log_to_stderr(format);
    let Err(failure) = perform(command) else {
        return ExitCode::SUCCESS;
    };
    if let Failure::Output(error) = &failure
        && error.kind() == std::io::ErrorKind::BrokenPipe
    {
        return ExitCode::SUCCESS;
    }
    let mut text = format!("fake-registry: {failure}");
    let mut cause = std::error::Error::source(&failure);
    while let Some(next) = cause {
        // A script's error is part of the first line already.
        if !text.ends_with(&next.to_string()) {
            text = format!("{text}: {next}");
        }
        cause = next.source();
    }
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(failure.code())
}

fn log_to_stderr(format: LogFormat) {
    let filter =
        EnvFilter::try_from_env("FAKE_REGISTRY_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
}

fn perform(command: Command) -> Result<(), Failure> {
    match command {
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "fake-registry", &mut text);
            print(&text)
        }
        Command::Man {
            to: Some(folder), ..
        } => {
            let written = std::fs::create_dir_all(&folder)
                .and_then(|()| clap_mangen::generate_to(Arguments::command(), &folder));
            written.map_err(|source| Failure::Write {
                path: folder,
                source,
            })
        }
        Command::Man {
            command: path,
            to: None,
        } => {
            let mut text = Vec::new();
            clap_mangen::Man::new(command_at(&path)?)
                .render(&mut text)
                .map_err(Failure::Output)?;
            print(&text)
        }
        command => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(Failure::Runtime)?;
            match command {
                Command::Serve(serve) => runtime.block_on(serve::run(*serve)),
                Command::Dns(dns) => runtime.block_on(dns::run(dns)),
                command => runtime.block_on(client::run(command)),
            }
        }
    }
}

/// A command by the words that one types for it.
fn command_at(path: &[String]) -> Result<clap::Command, Failure> {
    let mut command = Arguments::command();
    command.build();
    for word in path {
        let next = command.find_subcommand(word).cloned();
        command = next.ok_or_else(|| Failure::NoCommand(path.join(" ")))?;
    }
    Ok(command)
}

/// Writes a result to standard output.
fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(Failure::Output)
}

/// Reads a file, or standard input for `-`.
fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let outcome = if path == Path::new("-") {
        std::io::stdin().take(MAX_FILE).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
    };
    outcome.map_err(|source| Failure::Read {
        path: path.to_owned(),
        source,
    })?;
    Ok(text)
}
