//! TCP ports: on the runtime of the caller, or with threads of their own.
//!
//! With threads, one accepts and hands connections on in turns; each of the others serves its own
//! on a runtime of one thread. Nothing moves between them afterwards, which a runtime that shares
//! its work among threads pays for with every large answer.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};

use crate::builder::BuildError;
use crate::registry::FakeRegistry;
use crate::serve::{Conn, ResetHook, Scheme};
use crate::stop::Stop;
use crate::stream::Resettable;

/// How long a graceful end waits for requests that are under way.
const GRACE: Duration = Duration::from_secs(5);
/// Connections at a time; more wait until one of them ends.
const MAX_CONNECTIONS: usize = 8192;
/// Connections on their way to a thread.
const QUEUE: usize = 64;

/// A registry on a TCP port; dropping it closes the port and every connection, and panics if
/// clients did not do what was expected of them.
pub struct Server {
    registry: FakeRegistry,
    address: SocketAddr,
    scheme: Scheme,
    stop: Arc<Stop>,
    accepting: JoinHandle<()>,
    /// Closed when the last thread has ended.
    ended: mpsc::Receiver<()>,
}

/// Serving could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The description does not hold together.
    #[error("the registry cannot be built")]
    Build(#[from] BuildError),
    /// The port cannot be had.
    #[error("no listening at {at}")]
    Listen {
        /// The address that was asked for.
        at: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A thread or its runtime cannot be had.
    #[error("no thread to serve with")]
    Thread(#[source] io::Error),
}

impl FakeRegistry {
    /// Serves plain HTTP on a TCP port until the server is dropped or shut down.
    pub async fn listen(&self, at: SocketAddr) -> Result<Server, StartError> {
        self.listen_as(at, Scheme::Http).await
    }

    /// Serves on a TCP port, with or without TLS.
    pub async fn listen_as(&self, at: SocketAddr, scheme: Scheme) -> Result<Server, StartError> {
        self.open(at, scheme, &[]).await
    }

    /// As `listen_as`, with so many threads that do nothing else: for a program of its own.
    pub async fn listen_on_threads(
        &self,
        at: SocketAddr,
        scheme: Scheme,
        threads: NonZeroUsize,
    ) -> Result<Server, StartError> {
        let numbers: Vec<usize> = (0..threads.get()).collect();
        self.open(at, scheme, &numbers).await
    }

    async fn open(
        &self,
        at: SocketAddr,
        scheme: Scheme,
        threads: &[usize],
    ) -> Result<Server, StartError> {
        let failed = |source| StartError::Listen { at, source };
        let listener = TcpListener::bind(at).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let stop = Arc::new(Stop::default());
        let (ending, ended) = mpsc::channel(1);
        let port = Port {
            registry: self.clone(),
            scheme,
            stop: stop.clone(),
        };
        let accepting = if threads.is_empty() {
            tokio::spawn(port.serve(listener))
        } else {
            let workers = threads
                .iter()
                .map(|number| port.worker(*number, ending.clone()))
                .collect::<io::Result<Vec<_>>>()
                .map_err(StartError::Thread)?;
            tokio::spawn(port.hand_out(listener, workers))
        };
        Ok(Server {
            registry: self.clone(),
            address,
            scheme,
            stop,
            accepting,
            ended,
        })
    }
}

/// A connection on its way, and its place among all of them.
type Arrival = (
    std::net::TcpStream,
    SocketAddr,
    tokio::sync::OwnedSemaphorePermit,
);

#[derive(Clone)]
struct Port {
    registry: FakeRegistry,
    scheme: Scheme,
    stop: Arc<Stop>,
}

impl Port {
    /// Accepts and serves on this runtime.
    async fn serve(self, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = self.stop.asked() => break,
                accepted = accept(&listener, &places) => {
                    let Some((stream, peer, place)) = accepted else { continue };
                    connections.spawn(self.connection(stream, peer, place));
                }
                Some(_) = connections.join_next() => {}
            }
        }
        drop(listener);
        finish(connections).await;
    }

    /// Accepts and gives each thread its turn.
    async fn hand_out(self, listener: TcpListener, workers: Vec<mpsc::Sender<Arrival>>) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut turns = workers.iter().cycle();
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.asked() => break,
                accepted = accept(&listener, &places) => accepted,
            };
            let Some((stream, peer, place)) = accepted else {
                continue;
            };
            // It leaves this runtime for another one.
            if let (Ok(stream), Some(worker)) = (stream.into_std(), turns.next()) {
                let _ = worker.send((stream, peer, place)).await;
            }
        }
    }

    /// Starts a thread that serves the connections it is given.
    fn worker(&self, number: usize, ending: mpsc::Sender<()>) -> io::Result<mpsc::Sender<Arrival>> {
        let (sender, arrivals) = mpsc::channel(QUEUE);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let port = self.clone();
        let work = move || {
            runtime.block_on(port.work(arrivals));
            // Nobody waits for what is left on a disk's thread.
            runtime.shutdown_background();
            drop(ending);
        };
        std::thread::Builder::new()
            .name(format!("serve-{number}"))
            .spawn(work)?;
        Ok(sender)
    }

    async fn work(self, mut arrivals: mpsc::Receiver<Arrival>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = self.stop.asked() => break,
                arrived = arrivals.recv() => {
                    let Some((stream, peer, place)) = arrived else { break };
                    match TcpStream::from_std(stream) {
                        Ok(stream) => {
                            connections.spawn(self.connection(stream, peer, place));
                        }
                        Err(error) => tracing::warn!(%error, "a connection is lost"),
                    }
                }
                Some(_) = connections.join_next() => {}
            }
        }
        drop(arrivals);
        tokio::select! {
            biased;
            () = self.stop.asked_at_once() => {}
            () = finish(connections) => {}
        }
    }

    fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        place: tokio::sync::OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> + Send + use<> {
        let _ = stream.set_nodelay(true);
        let local: Option<IpAddr> = stream.local_addr().ok().map(|address| address.ip());
        let reset = Arc::new(AtomicBool::new(false));
        let hook = reset.clone();
        let hook: ResetHook = Arc::new(move || hook.store(true, Ordering::Relaxed));
        let conn = Conn {
            peer,
            client: peer.ip().to_string(),
            scheme: self.scheme,
        };
        let io = Resettable { stream, reset };
        let stop = Some(self.stop.clone());
        let serving = self.registry.clone().run(io, conn, Some(hook), stop, local);
        async move {
            serving.await;
            drop(place);
        }
    }
}

/// The next connection, once there is a place for it; nothing where the system has none.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, place)),
        Err(error) => {
            // Out of file descriptors, most likely: those in use must end first.
            tracing::warn!(%error, "cannot accept");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

/// Waits for connections that are told to end, and not for long.
async fn finish(mut connections: JoinSet<()>) {
    let all_done = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(GRACE, all_done).await;
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:41234`
    pub fn url(&self) -> String {
        let scheme = if self.scheme == Scheme::Https {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.address)
    }

    /// The registry that is served.
    pub fn registry(&self) -> &FakeRegistry {
        &self.registry
    }

    /// Takes no more connections and waits, some seconds at most, for requests under way.
    pub async fn shutdown(mut self) {
        self.stop.ask();
        let _ = (&mut self.accepting).await;
        // Nothing is ever sent: the channel closes with the last thread.
        let _ = self.ended.recv().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.ask_at_once();
        self.accepting.abort();
        crate::expect::complain(self.registry.verify());
    }
}
