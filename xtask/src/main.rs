//! The project's own commands. `cargo xtask scenario bad-tag` is the main one.

mod az;
mod bench;
mod cluster;
mod dist;
mod fidelity;
mod fuzz;
mod image;
#[cfg(unix)]
mod kind;
mod readme;
mod scenario;
mod storm;
mod tidy;
mod workshop;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_version_flag = true
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Plays failure scenarios, from break to verified fix
    Scenario(scenario::Arguments),
    /// The embedded cluster on loopback, for stock kubectl
    #[command(subcommand)]
    Cluster(cluster::Command),
    #[command(hide = true)]
    Az(az::Arguments),
    /// The checker; the first word is the name it goes by
    #[command(hide = true, disable_help_flag = true)]
    Pullcheck {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
    /// Comparisons with other people's programs, side by side
    #[command(subcommand)]
    Bench(bench::Arguments),
    /// Completions, manual pages and the krew manifest, for a package
    Dist(dist::Arguments),
    /// Holds the embedded cluster to a real one, text by text
    Fidelity(fidelity::Arguments),
    /// Hostile input for the parsers and servers, found by coverage
    Fuzz(fuzz::Arguments),
    /// Builds the container image of fake-registry, or of the checker
    Image(image::Arguments),
    #[cfg(unix)]
    /// A real cluster, made from Debian packages alone
    #[command(subcommand)]
    Kind(kind::KindCommand),
    /// What a rollout to thousands of nodes does to a registry
    Storm(storm::Arguments),
    /// Learn why pulls fail: a broken cluster, hints, a cause to name, a repair to make
    Workshop(workshop::Arguments),
    /// Checks the rules of the house that no compiler checks
    Tidy(tidy::Arguments),
}

fn main() -> ExitCode {
    let matches = Arguments::command().get_matches();
    #[cfg(unix)]
    if let Some(odd) = matches
        .subcommand_matches("scenario")
        .and_then(scenario::foreign)
    {
        eprintln!("error: {odd}");
        return ExitCode::from(2);
    }
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match arguments.task {
        Task::Scenario(arguments) => scenario::run(arguments),
        Task::Cluster(command) => cluster::run(&command),
        Task::Az(arguments) => az::run(&arguments),
        Task::Pullcheck { words } => pullcheck::cli::main_of(words),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Dist(arguments) => dist::run(&arguments),
        Task::Fidelity(arguments) => fidelity::run(&arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Image(arguments) => image::run(&arguments),
        #[cfg(unix)]
        Task::Kind(command) => kind::run(&command),
        Task::Storm(arguments) => storm::run(&arguments),
        Task::Workshop(arguments) => workshop::run(&arguments),
        Task::Tidy(arguments) => tidy::run(&arguments),
    }
}
