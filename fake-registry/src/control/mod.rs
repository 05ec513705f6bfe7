//! The control endpoint: health, metrics, the fault script, the journal, the tenant and the CA over HTTP.
//!
//! It has an address of its own, so that what is under test never sees it, and no credential ever
//! goes through it: none is asked for, and none is told. Whoever reaches the address may change
//! the faults, which is why it belongs on loopback; there it also refuses what a page in a browser
//! could send. Every body, list, wait and number of connections has a bound.

mod metrics;
mod routes;
mod tenant;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

pub(crate) use metrics::Counters;

use crate::listen::StartError;
use crate::registry::FakeRegistry;

const MAX_CONNECTIONS: usize = 64;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection to the control endpoint, whatever it does, lives no longer.
const MAX_LIFE: Duration = Duration::from_mins(5);

/// The control endpoint of a registry; gone when dropped.
pub struct Control {
    address: SocketAddr,
    ready: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Control {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:41234`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What `/readyz` says; a registry that is about to stop is not ready.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeRegistry {
    /// Serves the control endpoint on a TCP port. Whoever reaches it may change the faults.
    pub async fn control(&self, at: SocketAddr) -> Result<Control, StartError> {
        let failed = |source| StartError::Listen { at, source };
        let listener = TcpListener::bind(at).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let ready = Arc::new(AtomicBool::new(true));
        let desk = routes::Desk {
            registry: self.clone(),
            ready: ready.clone(),
            loopback: address.ip().is_loopback(),
        };
        let task = tokio::spawn(accept_all(listener, Arc::new(desk)));
        Ok(Control {
            address,
            ready,
            task,
        })
    }
}

async fn accept_all(listener: TcpListener, desk: Arc<routes::Desk>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let desk = desk.clone();
                connections.spawn(async move {
                    let _place = place;
                    let desk = &desk;
                    let service = service_fn(move |request| async move {
                        Ok::<_, Infallible>(desk.answer(request).await)
                    });
                    let serving = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(HEAD_TIMEOUT)
                        .max_buf_size(64 << 10)
                        .max_headers(64)
                        .serve_connection(TokioIo::new(stream), service);
                    match tokio::time::timeout(MAX_LIFE, serving).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::debug!(%error, "control connection ended"),
                        Err(_) => tracing::debug!("control connection was too slow"),
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept at the control address");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
