//! `cargo xtask storm`: hands over to the program of the storm crate, so that nobody who plays a
//! scenario has to build it.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

/// Could not run.
const FAILED: u8 = 2;

/// What a rollout to many nodes does to a registry.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Passed on (`--help` for all of it)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

/// Builds, runs, and ends as the storm ends.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args([
            "run",
            "--quiet",
            "--package",
            "pull-storm",
            "--features",
            "cli",
            "--",
        ])
        .args(&arguments.rest)
        .status();
    match status {
        Ok(status) => status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .map_or(ExitCode::from(FAILED), ExitCode::from),
        Err(error) => {
            eprintln!("xtask: cargo cannot be run: {error}");
            ExitCode::from(FAILED)
        }
    }
}
