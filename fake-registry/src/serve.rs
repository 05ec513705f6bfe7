//! Serving a connection: any byte stream, with or without TLS.

use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use http::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::LazyConfigAcceptor;

use crate::journal::Noted;
use crate::patience::Alarm;
use crate::registry::FakeRegistry;
use crate::stop::Stop;
use crate::stream::{Flushed, Peeked, Watched};
use crate::tls::is_host;

/// A client that is slower than this with a TLS handshake or the head of a request is given up.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Request line and headers together. There are at most 100 headers: hyper's default, which it
/// reads without memory of its own.
const MAX_HEAD: usize = 64 << 10;

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
    pub(crate) latest: Mutex<Latest>,
}

/// What a connection shares with its latest request, and with no other connection: threads that count
/// the owners of one thing wait for each other.
#[derive(Default)]
pub(crate) struct Latest {
    /// As the journal has it.
    pub(crate) noted: Option<Arc<Noted>>,
    /// The date of a second.
    pub(crate) date: Option<(i64, HeaderValue)>,
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
        self.clone().run(io, conn, None, None, None)
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
        self.clone().run(io, conn, Some(reset), None, None)
    }

    pub(crate) async fn run<S>(
        self,
        io: S,
        conn: Conn,
        reset: Option<ResetHook>,
        stop: Option<Arc<Stop>>,
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
            latest: Mutex::default(),
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

    async fn speak<S>(&self, io: S, connection: Connection, stop: Option<Arc<Stop>>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = Watched {
            inner: io,
            flushed: connection.flushed.clone(),
        };
        let connection = &connection;
        let core = self.core();
        let mut alarm = Alarm::new(HEAD_TIMEOUT);
        let service = service_fn(move |request| core.respond(connection, request));
        let serving = http1::Builder::new()
            .timer(alarm.timer())
            .header_read_timeout(HEAD_TIMEOUT)
            .auto_date_header(false)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(io), service);
        let asked = async {
            match &stop {
                Some(stop) => stop.asked().await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(serving, asked);
        let is_asked = || stop.as_ref().is_some_and(|stop| stop.is_asked());
        let mut stopping = false;
        let mut waker: Option<Waker> = None;
        // By hand, because alarm and stop have nothing to say most of the time: they are asked when
        // something has changed, and not with every request.
        let outcome = poll_fn(|cx| {
            let known = waker
                .as_ref()
                .is_some_and(|waker| waker.will_wake(cx.waker()));
            if !known {
                waker = Some(cx.waker().clone());
            }
            alarm.check(cx, !known);
            if let Poll::Ready(outcome) = serving.as_mut().poll(cx) {
                return Poll::Ready(outcome);
            }
            if !stopping && (!known || is_asked()) && asked.as_mut().poll(cx).is_ready() {
                stopping = true;
                serving.as_mut().graceful_shutdown();
                return serving.as_mut().poll(cx);
            }
            Poll::Pending
        });
        if let Err(error) = outcome.await {
            tracing::debug!(%error, client = %connection.client, "connection ended");
        }
    }
}
