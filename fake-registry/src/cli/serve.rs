//! `serve`: the registry on a TCP port and its control endpoint, until told to stop.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use fake_registry::{Builder, Control, FakeRegistry, HostSpec, Scheme, Script};

use super::args::{ControlAt, Serve};
use super::stop::Stop;
use super::{Failure, print, read};

/// However a client on this machine spells where the program listens.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

pub(super) async fn run(serve: Serve) -> Result<(), Failure> {
    // Signals are caught from the start, so that one that comes early is not lost.
    let mut stop = Stop::new();
    let registry = build(&serve)?.build()?;
    let scheme = if serve.tls {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let ca_file = if serve.tls {
        Some(write_ca(&registry, serve.ca_file.clone())?)
    } else {
        None
    };
    let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let threads = serve.threads.unwrap_or_else(cores);
    let server = registry
        .listen_on_threads(serve.listen, scheme, threads)
        .await?;
    // Held until the end, and gone with it.
    let plain = match serve.plain {
        Some(at) => Some(registry.listen_as(at, Scheme::Http).await?),
        None => None,
    };
    let control = control(&serve, &registry, server.address()).await?;
    let mut text = format!("listening on {}\n", server.url());
    if let Some(plain) = &plain {
        let _ = writeln!(text, "listening on {}", plain.url());
    }
    if let Some(path) = &ca_file {
        let _ = writeln!(text, "CA certificate in {}", path.display());
    }
    if let Some(control) = &control {
        let _ = writeln!(text, "control at {}", control.url());
    }
    // Whoever started us may not want to know.
    let _ = print(text.as_bytes());
    tracing::info!(
        address = %server.url(),
        control = control.as_ref().map(Control::url),
        "serving"
    );
    stop.asked().await;
    tracing::info!("stopping");
    if let Some(control) = &control {
        control.set_ready(false);
    }
    drop(plain);
    tokio::select! {
        biased;
        () = server.shutdown() => Ok(()),
        () = stop.asked() => {
            let _ = writeln!(std::io::stderr(), "fake-registry: stopped at once");
            #[expect(clippy::exit, reason = "a second interrupt means now")]
            std::process::exit(130)
        }
    }
}

async fn control(
    serve: &Serve,
    registry: &FakeRegistry,
    listening: SocketAddr,
) -> Result<Option<Control>, Failure> {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match serve.control {
        Some(ControlAt::Nowhere) => Ok(None),
        Some(ControlAt::At(at)) => Ok(Some(registry.control(at).await?)),
        None if serve.listen.port() == 0 => Ok(Some(registry.control(loopback(0)).await?)),
        None => {
            let next = listening.port().checked_add(1).unwrap_or(0);
            match registry.control(loopback(next)).await {
                Ok(control) => Ok(Some(control)),
                Err(error) => {
                    tracing::warn!(%error, port = next, "the control port is taken");
                    Ok(Some(registry.control(loopback(0)).await?))
                }
            }
        }
    }
}

fn build(serve: &Serve) -> Result<Builder, Failure> {
    let mut builder = if let Some(path) = &serve.config {
        Builder::from_yaml(&read(path)?).map_err(|source| Failure::Yaml {
            path: path.clone(),
            source,
        })?
    } else {
        let builder = FakeRegistry::builder().any_host(&serve.host);
        match &serve.directory {
            Some(path) => builder.host(HostSpec::new(&serve.host).directory(path)),
            None => builder,
        }
    };
    builder = builder.certificate_names(LOOPBACK);
    for layout in &serve.layouts {
        builder = builder.oci_layout(&serve.host, &layout.repository, &layout.path);
    }
    for path in &serve.archives {
        builder = builder.docker_archive(&serve.host, path);
    }
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
    if let Some(limit) = serve.journal_limit {
        builder = builder.journal_limit(limit);
    }
    Ok(builder)
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
