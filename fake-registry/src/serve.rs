//! Serving: any byte stream, with or without TLS, and TCP ports on top of that.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::LazyConfigAcceptor;

use crate::builder::BuildError;
use crate::registry::FakeRegistry;
use crate::stream::{Flushed, Peeked, Resettable, Watched};
use crate::tls::is_host;

/// A client that is slower than this with a TLS handshake or the head of a request is given up.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Request line and headers together.
const MAX_HEAD: usize = 64 << 10;
const MAX_HEADERS: usize = 128;
/// How long a graceful end waits for requests that are under way.
const GRACE: Duration = Duration::from_secs(5);

/// Where a connection comes from.
#[derive(Clone, Debug)]
pub struct Conn {
    /// The address of the client, as network rules see it.
    pub peer: SocketAddr,
    /// Who dials: a node's name in a simulation. Stands in the journal, is matched by fault rules
    /// and is the identity at the metadata service.
    pub client: String,
    /// Whether there is TLS.
    pub scheme: Scheme,
}

/// With or without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Scheme {
    /// TLS; the certificate is chosen by server name.
    Https,
    /// Plain.
    #[default]
    Http,
}

/// Tells the owner of a stream to end it with a reset (RST) instead of an orderly close; called
/// just before the stream is dropped.
pub type ResetHook = Arc<dyn Fn() + Send + Sync>;

/// A connection while it is served.
pub(crate) struct Connection {
    pub(crate) peer: SocketAddr,
    pub(crate) client: Arc<str>,
    scheme: Scheme,
    reset: Option<ResetHook>,
    pub(crate) flushed: Arc<Flushed>,
}

impl Connection {
    pub(crate) fn scheme(&self) -> &'static str {
        match self.scheme {
            Scheme::Https => "https",
            Scheme::Http => "http",
        }
    }

    /// The stream is to die with a reset; without a hook it is closed.
    pub(crate) fn reset(&self) {
        if let Some(hook) = &self.reset {
            hook();
        }
    }

    pub(crate) fn reset_hook(&self) -> Option<ResetHook> {
        self.reset.clone()
    }
}

impl FakeRegistry {
    /// Serves one connection to its end.
    pub fn serve<S>(&self, io: S, conn: Conn) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (_, never) = watch::channel(false);
        self.clone().run(io, conn, None, never, None)
    }

    /// As `serve`; the hook lets fault rules reset the connection.
    pub fn serve_with_reset<S>(
        &self,
        io: S,
        conn: Conn,
        reset: ResetHook,
    ) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (_, never) = watch::channel(false);
        self.clone().run(io, conn, Some(reset), never, None)
    }

    async fn run<S>(
        self,
        io: S,
        conn: Conn,
        reset: Option<ResetHook>,
        stop: watch::Receiver<bool>,
        local: Option<IpAddr>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = Connection {
            peer: conn.peer,
            client: conn.client.into(),
            scheme: conn.scheme,
            reset,
            flushed: Arc::default(),
        };
        match conn.scheme {
            Scheme::Http => self.speak(io, connection, stop).await,
            Scheme::Https => {
                let accepted = tokio::time::timeout(HEAD_TIMEOUT, self.accept(io, local)).await;
                if let Ok(Some(io)) = accepted {
                    self.speak(io, connection, stop).await;
                }
            }
        }
    }

    async fn accept<S>(
        &self,
        mut io: S,
        local: Option<IpAddr>,
    ) -> Option<tokio_rustls::server::TlsStream<Peeked<S>>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let first = io.read_u8().await.ok()?;
        if first.is_ascii_uppercase() {
            // What Go's server says to a client that speaks HTTP to a TLS port.
            let plain = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
            let _ = io.write_all(plain).await;
            let _ = io.shutdown().await;
            return None;
        }
        let io = Peeked {
            first: Some(first),
            rest: io,
        };
        let start = match LazyConfigAcceptor::new(rustls::server::Acceptor::default(), io).await {
            Ok(start) => start,
            Err(error) => {
                tracing::debug!(%error, "no TLS handshake");
                return None;
            }
        };
        let name = start
            .client_hello()
            .server_name()
            .map(str::to_ascii_lowercase);
        let name = name.filter(|name| is_host(name));
        let host = self.certificate_host(name.as_deref(), local);
        if let Some(refusal) = self.core().tls.mode(&host).refusal() {
            let mut io = start.io;
            let _ = io.write_all(refusal).await;
            let _ = io.shutdown().await;
            return None;
        }
        let config = match self.core().tls.config(&host) {
            Ok(config) => config,
            Err(error) => {
                tracing::warn!(%error, host, "no certificate");
                return None;
            }
        };
        match start.into_stream(config).await {
            Ok(io) => Some(io),
            Err(error) => {
                tracing::debug!(%error, host, "TLS handshake failed");
                None
            }
        }
    }

    /// As a real server does: its own certificate for names it does not know, unless it answers
    /// to every name. Clients that dial an address send no name.
    fn certificate_host(&self, name: Option<&str>, local: Option<IpAddr>) -> String {
        let core = self.core();
        match (name, local) {
            (Some(name), _) if core.places.contains_key(name) || core.fallback.is_some() => {
                name.to_owned()
            }
            (None, Some(address)) => address.to_canonical().to_string(),
            _ => core
                .places
                .keys()
                .next()
                .cloned()
                .unwrap_or_else(|| "localhost".into()),
        }
    }

    async fn speak<S>(&self, io: S, connection: Connection, mut stop: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = Watched {
            inner: io,
            flushed: connection.flushed.clone(),
        };
        let connection = &connection;
        let core = self.core();
        let service = service_fn(move |request| core.respond(connection, request));
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .auto_date_header(false)
            .title_case_headers(true)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(io), service);
        tokio::pin!(serving);
        let mut stopping = false;
        loop {
            tokio::select! {
                biased;
                outcome = serving.as_mut() => {
                    if let Err(error) = outcome {
                        tracing::debug!(%error, client = %connection.client, "connection ended");
                    }
                    return;
                }
                changed = stop.changed(), if !stopping => {
                    stopping = true;
                    if changed.is_ok() {
                        serving.as_mut().graceful_shutdown();
                    }
                }
            }
        }
    }

    /// Serves plain HTTP on a TCP port until the server is dropped or shut down.
    pub async fn listen(&self, at: SocketAddr) -> Result<Server, StartError> {
        self.listen_as(at, Scheme::Http).await
    }

    /// Serves on a TCP port, with or without TLS.
    pub async fn listen_as(&self, at: SocketAddr, scheme: Scheme) -> Result<Server, StartError> {
        let failed = |source| StartError::Listen { at, source };
        let listener = TcpListener::bind(at).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(accept_all(self.clone(), listener, scheme, stopped));
        Ok(Server {
            registry: self.clone(),
            address,
            scheme,
            stop,
            task,
        })
    }
}

async fn accept_all(
    registry: FakeRegistry,
    listener: TcpListener,
    scheme: Scheme,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.changed() => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                let local = stream.local_addr().ok().map(|address| address.ip());
                let reset = Arc::new(AtomicBool::new(false));
                let hook = reset.clone();
                let conn = Conn {
                    peer,
                    client: peer.ip().to_string(),
                    scheme,
                };
                let io = Resettable { stream, reset };
                let hook: ResetHook = Arc::new(move || hook.store(true, Ordering::Relaxed));
                connections.spawn(
                    registry
                        .clone()
                        .run(io, conn, Some(hook), stop.clone(), local),
                );
            }
            Err(error) => {
                // Out of file descriptors, most likely: those in use must end first.
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    let all_done = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(GRACE, all_done).await;
}

/// A registry on a TCP port; dropping it closes the port and every connection, and panics if
/// clients did not do what was expected of them.
pub struct Server {
    registry: FakeRegistry,
    address: SocketAddr,
    scheme: Scheme,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
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
        let _ = self.stop.send(true);
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        crate::expect::complain(self.registry.verify());
    }
}
