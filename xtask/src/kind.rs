//! `cargo xtask kind`: a real Kubernetes cluster out of Debian packages alone.
//!
//! `build-node` makes the node image, `up` a cluster from it, `down` takes the cluster away; `vantage` looks from nodes.
//! What has to be done inside a root file system is done by the scripts of `scenarios/kind/`;
//! here is what decides, watches and cleans up. Nothing that a run leaves behind is unnamed:
//! containers, network and packet-filter rule of a cluster carry its name, and `down` finds
//! them by it. The user's kubeconfig is never read or written.

mod build;
mod cluster;
mod command;
mod config;
mod docker;
pub(crate) mod error;
mod fence;
mod name;
mod ownership;
mod place;
pub(crate) mod play;
mod progress;
mod step;
pub(crate) mod stock;
mod vantage;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use self::command::Stop;
use self::error::KindError;
use self::name::ClusterName;
use self::place::Place;
use self::progress::Progress;
use self::step::Suite;
use self::stock::{Nodes, StockImage};

/// What to do about real clusters.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum KindCommand {
    /// Builds the node image from Debian packages; does nothing when it is there.
    BuildNode(BuildNode),
    /// Creates the cluster, or leaves a working one as it is, and prints its kubeconfig's path.
    Up(Up),
    /// Proves `pullcheck ... --from nodes` on two nodes of which one is cut off.
    Vantage(vantage::Vantage),
    /// Removes the cluster, its network, its packet-filter rule and its kubeconfig.
    Down(Down),
}

/// Arguments of `kind build-node`.
#[derive(Debug, Clone, Args)]
pub(crate) struct BuildNode {
    /// Debian release of the node: bookworm has containerd 1.6, trixie 1.7
    #[arg(long, value_enum, default_value_t)]
    suite: Suite,
    /// How many compilers run at once [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
}

/// Arguments of `kind up`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Up {
    /// Name of the cluster
    #[arg(long, default_value_t)]
    name: ClusterName,
    /// Nodes, the control plane's included
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=4))]
    nodes: u8,
    /// Debian release of the nodes, as built by `build-node`
    #[arg(long, value_enum, default_value_t)]
    suite: Suite,
    /// A node image of kind's own instead, such as kindest/node:v1.31.4; Docker pulls it
    #[arg(long, value_name = "IMAGE", conflicts_with = "suite")]
    image: Option<StockImage>,
}

/// Arguments of `kind down`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Down {
    /// Name of the cluster
    #[arg(long, default_value_t)]
    name: ClusterName,
}

/// Runs the command to its end. Exit codes: 0 done, 1 it failed, 2 it could not be started
/// (Docker, rights, something that is not ours), 130 interrupted.
pub(crate) fn run(command: &KindCommand) -> ExitCode {
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|source| KindError::Runtime { source })
        .and_then(|runtime| runtime.block_on(dispatch(command)));
    let (line, code) = match outcome {
        Ok(None) => return ExitCode::SUCCESS,
        Ok(Some(line)) => {
            // A closed pipe is the reader's decision.
            let _ = writeln!(std::io::stdout(), "{line}");
            return ExitCode::SUCCESS;
        }
        Err(error) => (error.page(), error.exit_code()),
    };
    let _ = writeln!(std::io::stderr(), "error: {line}");
    ExitCode::from(code)
}

async fn dispatch(command: &KindCommand) -> Result<Option<String>, KindError> {
    let place = Place::of_this_machine(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    let progress = Progress::to_stderr();
    let stop = Stop::on_signals(&progress)?;
    match command {
        KindCommand::BuildNode(BuildNode { suite, jobs }) => {
            let jobs = jobs.map_or_else(
                || std::thread::available_parallelism().map_or(1, usize::from),
                usize::from,
            );
            build::run(&place, *suite, jobs, &progress, &stop)
                .await
                .map(Some)
        }
        KindCommand::Up(Up {
            name,
            nodes,
            suite,
            image,
        }) => {
            let of = image.clone().map_or(Nodes::Built(*suite), Nodes::Stock);
            let wanted = config::ClusterSpec {
                name: name.clone(),
                nodes: *nodes,
                stock: of.are_stock(),
            };
            let kubeconfig = cluster::up(&place, &wanted, &of, &progress, &stop).await?;
            Ok(Some(kubeconfig.display().to_string()))
        }
        KindCommand::Vantage(wanted) => Box::pin(vantage::run(&place, wanted, &progress, &stop))
            .await
            .map(Some),
        KindCommand::Down(Down { name }) => {
            cluster::down(&place, name, &progress, &stop).await?;
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: KindCommand,
    }

    fn parse(line: &str) -> Result<KindCommand, clap::Error> {
        Line::try_parse_from(std::iter::once("kind").chain(line.split_whitespace()))
            .map(|line| line.command)
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let Ok(KindCommand::Up(up)) = parse("up") else {
            panic!("`up` alone is a command")
        };
        assert_eq!(
            (up.name.as_str(), up.nodes, up.suite),
            ("pullcheck", 1, Suite::Bookworm)
        );
        let Ok(KindCommand::Down(down)) = parse("down") else {
            panic!("`down` alone is a command")
        };
        assert_eq!(down.name, up.name, "`up` and `down` mean the same cluster");
    }

    #[test]
    fn command_lines_that_are_refused() {
        for line in [
            "",
            "up --nodes 0",
            "up --nodes 5",
            "up --nodes two",
            "up --name Shop",
            "up --name ../x",
            "up --name",
            "up --suite sid",
            "build-node --jobs 0",
            "down --nodes 1",
        ] {
            assert!(parse(line).is_err(), "for `{line}`");
        }
    }

    #[test]
    fn command_lines_that_are_accepted() {
        for line in [
            "up --name shop-2 --nodes 2",
            "up --nodes 4 --suite trixie",
            "build-node --suite trixie --jobs 1",
            "down --name shop-2",
        ] {
            assert!(parse(line).is_ok(), "for `{line}`");
        }
    }
}
