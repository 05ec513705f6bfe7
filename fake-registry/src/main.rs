//! `fake-registry serve`: the registry on a TCP port, until it is told to stop.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use fake_registry::{BuildError, Builder, FakeRegistry, Scheme, Script, ScriptError, StartError};
use tracing_subscriber::EnvFilter;

/// An OCI registry that misbehaves on command.
#[derive(Parser)]
#[command(name = "fake-registry", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve on a TCP port until interrupted.
    Serve(Serve),
}

#[derive(clap::Args)]
struct Serve {
    /// Where to listen; port 0 takes a free one.
    #[arg(
        long,
        env = "FAKE_REGISTRY_LISTEN",
        default_value = "127.0.0.1:5000",
        value_name = "ADDRESS"
    )]
    listen: SocketAddr,
    /// Hosts, accounts, images and faults in YAML.
    #[arg(long, env = "FAKE_REGISTRY_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// An image that is there from the start, such as `team/web:v1 linux/amd64 2x1MiB`.
    #[arg(long = "image", value_name = "LINE")]
    images: Vec<String>,
    /// The registry that the images go to.
    #[arg(long, default_value = "localhost", value_name = "NAME")]
    host: String,
    /// A fault script in YAML, in place of the configuration's.
    #[arg(long, env = "FAKE_REGISTRY_FAULTS", value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Makes chance and identifiers reproducible, and keys too, which are then no secrets.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Serve TLS, with certificates of a CA that is made for this run.
    #[arg(long)]
    tls: bool,
    /// Where to write the certificate of that CA; a new file in the temporary directory otherwise.
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca_file: Option<PathBuf>,
}

/// Why serving did not start.
#[derive(Debug, thiserror::Error)]
enum Failure {
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
    #[error("cannot write {}", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("no runtime")]
    Runtime(#[source] std::io::Error),
}

fn main() -> ExitCode {
    let filter =
        EnvFilter::try_from_env("FAKE_REGISTRY_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let Command::Serve(serve) = Arguments::parse().command;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime);
    let outcome = runtime.and_then(|runtime| runtime.block_on(run(serve)));
    let Err(failure) = outcome else {
        return ExitCode::SUCCESS;
    };
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
    ExitCode::from(2)
}

async fn run(serve: Serve) -> Result<(), Failure> {
    // Signals are caught from the start, so that one that comes early is not lost.
    let stop = stop_signal();
    tokio::pin!(stop);
    let registry = build(&serve)?.build()?;
    let scheme = if serve.tls {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let ca_file = if serve.tls {
        Some(write_ca(&registry, serve.ca_file)?)
    } else {
        None
    };
    let server = registry.listen_as(serve.listen, scheme).await?;
    let mut out = std::io::stdout();
    let _ = writeln!(out, "listening on {}", server.url());
    if let Some(path) = &ca_file {
        let _ = writeln!(out, "CA certificate in {}", path.display());
    }
    let _ = out.flush();
    stop.await;
    server.shutdown().await;
    Ok(())
}

fn build(serve: &Serve) -> Result<Builder, Failure> {
    let mut builder = match &serve.config {
        Some(path) => Builder::from_yaml(&read(path)?).map_err(|source| Failure::Yaml {
            path: path.clone(),
            source,
        })?,
        None => FakeRegistry::builder().any_host(&serve.host),
    };
    for line in &serve.images {
        builder = builder.image(&serve.host, line);
    }
    if let Some(path) = &serve.faults {
        let script = Script::from_yaml(&read(path)?).map_err(|source| Failure::Yaml {
            path: path.clone(),
            source,
        })?;
        builder = builder.faults(script);
    }
    if let Some(seed) = serve.seed {
        builder = builder.seed(seed);
    }
    Ok(builder)
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|source| Failure::Read {
        path: path.to_owned(),
        source,
    })
}

fn write_ca(registry: &FakeRegistry, path: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let path = path.unwrap_or_else(|| {
        std::env::temp_dir().join(format!("fake-registry-{}-ca.pem", std::process::id()))
    });
    std::fs::write(&path, registry.ca_pem()).map_err(|source| Failure::Write {
        path: path.clone(),
        source,
    })?;
    Ok(path)
}

/// Ready at SIGINT or SIGTERM.
fn stop_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    async move {
        let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
            return std::future::pending().await;
        };
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}
