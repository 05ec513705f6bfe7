//! The commands of this project.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod kind;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Comparisons with other people's programs, side by side
    #[command(subcommand)]
    Bench(bench::Arguments),
    /// A real cluster, made from Debian packages alone
    #[command(subcommand)]
    Kind(kind::KindCommand),
}

fn main() -> ExitCode {
    match Arguments::parse().task {
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Kind(command) => kind::run(&command),
    }
}
