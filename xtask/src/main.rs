//! The commands of this project.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod kind;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// A real cluster, made from Debian packages alone
    #[command(subcommand)]
    Kind(kind::KindCommand),
}

fn main() -> ExitCode {
    match Arguments::parse().task {
        Task::Kind(command) => kind::run(&command),
    }
}
