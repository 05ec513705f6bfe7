//! `fake-registry`: the registry as a program, and the commands that speak to a running one.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    cli::run()
}
