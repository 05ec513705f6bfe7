//! `cargo xtask cluster up`: the embedded cluster on this machine's loopback, for stock kubectl and
//! whatever else speaks to a cluster, a registry or Azure.
//!
//! Two runtimes: one with real sockets, here, and the simulation's own, on a thread of its own, whose
//! clock follows wall time at a chosen speed. Connections cross by pipes. Everything it writes is in
//! one folder that goes when it ends.

mod files;
mod served;
mod simulation;
mod view;

use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use pull_scenarios::live::Stage;
use pull_scenarios::spec::{LoadError, Scenario};
use sim_cluster::live::Speed;

pub(crate) use self::served::{Served, Wanted};
pub(crate) use self::simulation::Told;
use self::view::Screen;
pub(crate) use self::view::picture;

const FAILED: u8 = 1;
const USAGE: u8 = 2;

/// The embedded cluster, for stock kubectl.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serves an embedded cluster on loopback until Ctrl-C
    Up(Up),
}

/// Serves an embedded cluster on loopback until Ctrl-C.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo xtask cluster up                             two nodes and a registry, all well
  cargo xtask cluster up --scenario missing-role     something is wrong: find it with kubectl
  cargo xtask cluster up --scenario ./mine.yaml --healthy --speed 10x

In another terminal, paste the lines that it prints, or read them from the file it names.
The kubeconfig that you use otherwise is not touched.")]
pub(crate) struct Up {
    /// Starts with the failure of this scenario: an id of the catalogue, or a file
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    /// Starts before the failure, with everything well
    #[arg(long, requires = "scenario")]
    healthy: bool,
    /// How fast time passes for the cluster
    #[arg(long, default_value = "1x")]
    speed: Speed,
    /// Where to write the kubeconfig; without it into a folder of its own
    #[arg(long, value_name = "PATH")]
    kubeconfig: Option<PathBuf>,
    /// The host that the gateway stands at: `workstation`, or a node
    #[arg(long, value_name = "HOST", default_value = "workstation")]
    from: String,
    /// The port of the API server; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The port of the gateway; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    gateway_port: u16,
    /// What chance is drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Why the cluster is not up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpError {
    #[error("cannot listen on {at}")]
    Listen { at: SocketAddr, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "{} is not a file of an embedded cluster; it is left alone",
        path.display()
    )]
    NotOurs { path: PathBuf },
    #[error(transparent)]
    Identity(#[from] sim_cluster::live::IdentityError),
    #[error("the world of the scenario cannot be made: {0}")]
    World(String),
    #[error("there is no host `{name}`; there are {there}")]
    Place { name: String, there: String },
    #[error("the simulation ended: {0}")]
    Died(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

pub(crate) fn run(command: &Command) -> ExitCode {
    let Command::Up(arguments) = command;
    let scenario = match choose(arguments) {
        Ok(scenario) => scenario,
        Err(code) => return code,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(up(arguments, scenario)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error.page());
            ExitCode::from(error.exit_code())
        }
    }
}

impl UpError {
    /// The error and what is behind it, in one line.
    pub(crate) fn page(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(inner) = source {
            text = format!("{text}: {inner}");
            source = inner.source();
        }
        text
    }

    pub(crate) const fn exit_code(&self) -> u8 {
        if matches!(self, Self::Died(_)) {
            FAILED
        } else {
            USAGE
        }
    }
}

fn choose(arguments: &Up) -> Result<Scenario, ExitCode> {
    let refuse = |error: Box<LoadError>| {
        eprintln!("{:?}", miette::Report::new_boxed(error));
        ExitCode::from(USAGE)
    };
    match &arguments.scenario {
        None => pull_scenarios::live::playground().map_err(refuse),
        Some(name) => crate::scenario::one(name),
    }
}

async fn up(arguments: &Up, scenario: Scenario) -> Result<(), UpError> {
    let stage = if arguments.healthy || arguments.scenario.is_none() {
        Stage::Healthy
    } else {
        Stage::Broken
    };
    let mut served = Served::start(Wanted {
        scenario: scenario.clone(),
        seed: arguments.seed,
        stage,
        speed: arguments.speed,
        from: &arguments.from,
        ports: (arguments.port, arguments.gateway_port),
        kubeconfig: arguments.kubeconfig.as_deref(),
    })
    .await?;
    announce(arguments, &scenario, &served)?;
    let outcome = watch(&mut served).await;
    drop(served);
    if io::stderr().is_terminal() {
        eprintln!("the cluster is gone");
    }
    outcome
}

/// Until someone has enough, or the simulation breaks.
async fn watch(served: &mut Served) -> Result<(), UpError> {
    let mut screen = Screen::new();
    let ended = end();
    tokio::pin!(ended);
    loop {
        tokio::select! {
            biased;
            _ = &mut ended => {
                screen.clear();
                return Ok(());
            }
            told = served.simulation.next() => match told {
                Some(Told::View(view)) => {
                    served.files.set_token(view.token.as_deref())?;
                    screen.show(&view);
                }
                Some(Told::Failed(error)) => return Err(error),
                Some(Told::Ready(_)) => {}
                None => return Err(UpError::Died("without a word".to_owned())),
            },
        }
    }
}

/// From whom the wish comes that this ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The keyboard, which every program at the terminal hears.
    Keyboard,
    /// A signal to this process.
    #[cfg_attr(not(unix), expect(dead_code, reason = "there is no such signal"))]
    Asked,
}

/// Ctrl-C, or where there is one the signal that asks a process to end.
pub(crate) async fn end() -> End {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut asked) = signal(SignalKind::terminate()) {
            return tokio::select! {
                biased;
                _ = tokio::signal::ctrl_c() => End::Keyboard,
                _ = asked.recv() => End::Asked,
            };
        }
    }
    let _ = tokio::signal::ctrl_c().await;
    End::Keyboard
}

fn announce(arguments: &Up, scenario: &Scenario, served: &Served) -> io::Result<()> {
    let world = &served.world;
    let mut out = io::stdout().lock();
    let nodes = if world.nodes == 1 { "node" } else { "nodes" };
    let speed = if arguments.speed == Speed::REAL {
        String::new()
    } else {
        format!(", time at {}", arguments.speed)
    };
    writeln!(
        out,
        "Kubernetes {} with {} {nodes}{speed}: {}",
        world.version, world.nodes, scenario.title
    )?;
    writeln!(
        out,
        "\nIn another terminal (or `. {}`):\n",
        served.files.env().display()
    )?;
    for line in served.exports() {
        writeln!(out, "{line}")?;
    }
    writeln!(out)?;
    for line in &world.hints {
        writeln!(out, "  {line}")?;
    }
    writeln!(
        out,
        "\nThe proxy stands at {} of the simulated network; nothing outside of it can be reached through it.",
        arguments.from
    )?;
    writeln!(out, "Ctrl-C ends it.")?;
    out.flush()
}
