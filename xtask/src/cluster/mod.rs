//! `cargo xtask cluster up`: the embedded cluster on this machine's loopback, for stock kubectl and
//! whatever else speaks to a cluster, a registry or Azure.
//!
//! Two runtimes: one with real sockets, here, and the simulation's own, on a thread of its own, whose
//! clock follows wall time at a chosen speed. Connections cross by pipes. Everything it writes is in
//! one folder that goes when it ends.

mod files;
mod simulation;
mod view;

use std::io::{self, IsTerminal as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use pull_scenarios::catalogue;
use pull_scenarios::live::Stage;
use pull_scenarios::spec::{LoadError, Scenario};
use sim_cluster::live::{Door, Speed, carry, door};
use tokio::net::TcpListener;

use self::files::Files;
use self::simulation::{Simulation, Told};
use self::view::Screen;

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
enum UpError {
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
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(inner) = source {
                text = format!("{text}: {inner}");
                source = inner.source();
            }
            eprintln!("error: {text}");
            ExitCode::from(if matches!(error, UpError::Died(_)) {
                FAILED
            } else {
                USAGE
            })
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
        Some(name) => crate::scenario::one(name, &catalogue::all().map_err(refuse)?),
    }
}

async fn up(arguments: &Up, scenario: Scenario) -> Result<(), UpError> {
    let (api, api_door, api_arrivals) = listen(arguments.port).await?;
    let (gateway, gateway_door, gateway_arrivals) = listen(arguments.gateway_port).await?;
    let identity = sim_cluster::live::Identity::generate()?;
    let files = Files::create(arguments.kubeconfig.as_deref())?;
    let stage = if arguments.healthy || arguments.scenario.is_none() {
        Stage::Healthy
    } else {
        Stage::Broken
    };
    let api_at = api.local_addr()?;
    let gateway_at = gateway.local_addr()?;
    let mut simulation = Simulation::start(simulation::Plan {
        scenario: scenario.clone(),
        seed: arguments.seed,
        stage,
        speed: arguments.speed,
        from: arguments.from.clone(),
        identity: identity.clone(),
        api: api_arrivals,
        gateway: gateway_arrivals,
    })?;
    let world = match simulation.next().await {
        Some(Told::Ready(world)) => world,
        Some(Told::Failed(error)) => return Err(error),
        Some(Told::View(_)) | None => return Err(UpError::Died("it never began".to_owned())),
    };
    files.write(
        &identity.kubeconfig("pullcheck-lab", api_at),
        gateway_at,
        &world,
    )?;
    tokio::spawn(carry(api, api_door));
    tokio::spawn(carry(gateway, gateway_door));
    announce(arguments, &scenario, &files, gateway_at, &world)?;
    let outcome = watch(&mut simulation, &files).await;
    simulation.stop();
    if io::stderr().is_terminal() {
        eprintln!("the cluster is gone");
    }
    outcome
}

async fn listen(port: u16) -> Result<(TcpListener, Door, sim_cluster::live::Arrivals), UpError> {
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(at)
        .await
        .map_err(|source| UpError::Listen { at, source })?;
    let (door, arrivals) = door();
    Ok((listener, door, arrivals))
}

/// Until someone has enough, or the simulation breaks.
async fn watch(simulation: &mut Simulation, files: &Files) -> Result<(), UpError> {
    let mut screen = Screen::new();
    let ended = end();
    tokio::pin!(ended);
    loop {
        tokio::select! {
            biased;
            () = &mut ended => {
                screen.clear();
                return Ok(());
            }
            told = simulation.next() => match told {
                Some(Told::View(view)) => {
                    files.set_token(view.token.as_deref())?;
                    screen.show(&view);
                }
                Some(Told::Failed(error)) => return Err(error),
                Some(Told::Ready(_)) => {}
                None => return Err(UpError::Died("without a word".to_owned())),
            },
        }
    }
}

/// Ctrl-C, or where there is one the signal that asks a process to end.
async fn end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut asked) = signal(SignalKind::terminate()) {
            tokio::select! {
                biased;
                _ = tokio::signal::ctrl_c() => {}
                _ = asked.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

fn announce(
    arguments: &Up,
    scenario: &Scenario,
    files: &Files,
    gateway: SocketAddr,
    world: &simulation::World,
) -> io::Result<()> {
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
        files.env().display()
    )?;
    for (name, value) in files.variables(gateway, world) {
        writeln!(out, "{}", files::export(&name, &value))?;
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
