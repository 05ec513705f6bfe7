//! Comparisons with other people's programs: builds what is ours in release form, then hands over
//! to the program of the benches crate that starts the peers, measures and prints.
//!
//! Release, whatever this was built with: a load generator without optimisation measures itself.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use clap::Subcommand;
use serde_json::Value;

/// Could not run.
const FAILED: u8 = 2;

/// What is compared.
#[derive(Debug, Subcommand)]
pub(crate) enum Arguments {
    /// fake-registry beside docker-registry, nginx, crane and a bare server (`-- --help` for more)
    #[command(disable_help_flag = true)]
    Registry {
        /// Passed on to the comparison
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<OsString>,
    },
    /// Probes beside oci-client, crane, skopeo and a bare client (`-- --help` for more)
    #[command(disable_help_flag = true)]
    Probe {
        /// Passed on to the comparison
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<OsString>,
    },
}

/// Builds, runs, and ends as the comparison ends.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let (name, packages, features, rest) = match arguments {
        // The same allocator for both, or the bare server would be no limit.
        Arguments::Registry { rest } => (
            "registry-bench",
            &["fake-registry"][..],
            "fake-registry/mimalloc,pull-benches/mimalloc",
            rest,
        ),
        Arguments::Probe { rest } => ("probe-bench", &["fake-registry", "pullcheck"][..], "", rest),
    };
    let outcome = build(name, packages, features).and_then(|program| {
        let mut command = Command::new(program);
        command.args(rest);
        hand_over(command)
    });
    outcome.unwrap_or_else(|error| {
        eprintln!("xtask: {error}");
        ExitCode::from(FAILED)
    })
}

/// Builds the comparison and, beside it, our programs; gives the comparison.
fn build(name: &str, packages: &[&str], features: &str) -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--release", "--bins"])
        .args(["--package", "pull-benches"])
        .args(packages.iter().flat_map(|package| ["--package", package]))
        .args(["--features", features])
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !output.status.success() {
        return Err("the programs cannot be built".to_owned());
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    messages
        .lines()
        .find_map(|line| executable(line, name))
        .ok_or_else(|| format!("cargo built no {name}"))
}

/// The executable of that name, if a message of cargo is about it.
pub(crate) fn executable(message: &str, name: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_it = message.pointer("/target/name")? == name;
    let path = message.get("executable")?.as_str()?;
    is_it.then(|| path.into())
}

/// On Unix this program becomes the other, so that signals and exit codes need no go-between.
#[cfg(unix)]
fn hand_over(mut command: Command) -> Result<ExitCode, String> {
    use std::os::unix::process::CommandExt as _;
    let error = command.exec();
    Err(format!("the comparison cannot be run: {error}"))
}

#[cfg(not(unix))]
fn hand_over(_: Command) -> Result<ExitCode, String> {
    Err("the comparison reads /proc and needs Linux".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_messages_with_an_executable_count() {
        let table = [
            (
                r#"{"target":{"name":"a"},"executable":"/t/a"}"#,
                Some("/t/a"),
            ),
            (r#"{"target":{"name":"b"},"executable":"/t/b"}"#, None),
            (r#"{"target":{"name":"a"},"executable":null}"#, None),
            (r#"{"reason":"build-finished"}"#, None),
            ("no JSON", None),
        ];
        for (message, want) in table {
            assert_eq!(
                executable(message, "a"),
                want.map(PathBuf::from),
                "for {message}"
            );
        }
    }
}
