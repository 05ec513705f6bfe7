//! One HTTP client of a node: dials through the node's network, speaks TLS and HTTP/1.1, keeps
//! connections for the next request, and fails with the values that Go's texts are made of.
//!
//! It follows no redirects and knows no credentials; those who use it do. A client lives as long as one
//! pull (containerd makes a new one for each), so nothing idles for long.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::error::{DialFailure, LookupFailure, TransportError};
use super::go;
use super::tls;
use super::tunnel::HttpProxy;
use super::url::{Scheme, Url};
use crate::clock::{Clock, Generator};
use crate::net::{DialError, Host, LookupError, Stream};

const DIAL_TIMEOUT: Duration = Duration::from_secs(30);
const TLS_TIMEOUT: Duration = Duration::from_secs(10);
/// Go never leaves an address less than this while there is time.
const SHORTEST_DIAL: Duration = Duration::from_secs(2);
/// How often the dialler's own timer wins over its context's: two of five attempts were seen.
const PLAIN_TIMEOUTS: f64 = 0.4;
/// What is kept of the first bytes of an answer, to tell what the peer speaks.
const GREETING: usize = 32;

/// The parts of a node that a client needs.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub(crate) host: Host,
    pub(crate) clock: Clock,
    pub(crate) chance: Arc<Mutex<Generator>>,
    /// The proxy in the runtime's environment.
    pub(crate) proxy: Option<HttpProxy>,
}

/// The client.
pub(crate) struct Client {
    dialer: Dialer,
    tls: Arc<ClientConfig>,
    idle: Mutex<BTreeMap<(Scheme, String), Vec<Connection>>>,
}

struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    ends: Ends,
    used: bool,
}

/// Our socket, theirs, and what came first.
#[derive(Clone)]
struct Ends {
    from: SocketAddr,
    to: SocketAddr,
    greeting: Arc<Mutex<Vec<u8>>>,
}

/// An answer whose body is still to be read.
pub(crate) struct Response {
    pub(crate) status: u16,
    /// `404 Not Found`.
    pub(crate) status_line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn content_length(&self) -> Option<u64> {
        self.headers
            .get(CONTENT_LENGTH)?
            .to_str()
            .ok()?
            .trim()
            .parse()
            .ok()
    }
}

/// A body; its connection goes back to the client once it was read to the end.
pub(crate) struct Body {
    incoming: Incoming,
    connection: Option<Connection>,
    key: (Scheme, String),
    ends: Ends,
    /// Read but not wanted yet.
    ahead: Option<Bytes>,
}

impl Client {
    pub(crate) fn new(dialer: Dialer, tls: Arc<ClientConfig>) -> Self {
        Self {
            dialer,
            tls,
            idle: Mutex::new(BTreeMap::new()),
        }
    }

    /// Sends one request. `headers` are sent as they are, after `Host` and `User-Agent`.
    pub(crate) async fn send(
        &self,
        method: &Method,
        url: &Url,
        user_agent: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response, TransportError> {
        let key = (url.scheme, url.authority.clone());
        loop {
            let mut connection = match self.take_idle(&key) {
                Some(connection) => connection,
                None => self.connect(url).await?,
            };
            let request = build(method, url, user_agent, headers, body.clone())?;
            match connection.sender.send_request(request).await {
                Ok(response) => {
                    let (parts, incoming) = response.into_parts();
                    let reason = parts.extensions.get::<hyper::ext::ReasonPhrase>();
                    let reason = reason.and_then(|r| std::str::from_utf8(r.as_bytes()).ok());
                    let ends = connection.ends.clone();
                    connection.used = true;
                    return Ok(Response {
                        status: parts.status.as_u16(),
                        status_line: go::status_line(parts.status.as_u16(), reason),
                        headers: parts.headers,
                        body: Body {
                            incoming,
                            connection: Some(connection),
                            key,
                            ends,
                            ahead: None,
                        },
                    });
                }
                // The server closed a kept connection in the meantime: Go tries a new one.
                Err(_) if connection.used => {}
                Err(error) => return Err(connection.ends.explain(&error, TransportError::Eof)),
            }
        }
    }

    /// Gives a read body's connection back.
    pub(crate) fn recycle(&self, mut body: Body) {
        if let Some(connection) = body.connection.take().filter(|c| !c.sender.is_closed()) {
            lock(&self.idle)
                .entry(body.key)
                .or_default()
                .push(connection);
        }
    }

    fn take_idle(&self, key: &(Scheme, String)) -> Option<Connection> {
        let mut idle = lock(&self.idle);
        let kept = idle.get_mut(key)?;
        while let Some(connection) = kept.pop() {
            if connection.sender.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    async fn connect(&self, url: &Url) -> Result<Connection, TransportError> {
        let stream = match self.dialer.proxy_for(url) {
            Some(proxy) => self.dialer.tunnel(proxy, url).await?,
            None => self.dialer.dial(url).await?,
        };
        let ends = Ends {
            from: stream.local_addr(),
            to: stream.peer_addr(),
            greeting: Arc::new(Mutex::new(Vec::new())),
        };
        let stream = Overheard {
            stream,
            greeting: Arc::clone(&ends.greeting),
        };
        let sender = match url.scheme {
            Scheme::Http => handshake(stream).await,
            Scheme::Https => {
                let stream = self.secure(stream, url.host(), &ends).await?;
                handshake(stream).await
            }
        };
        let sender = sender.map_err(|error| ends.explain(&error, TransportError::Eof))?;
        Ok(Connection {
            sender,
            ends,
            used: false,
        })
    }

    async fn secure(
        &self,
        stream: Overheard,
        host: &str,
        ends: &Ends,
    ) -> Result<tokio_rustls::client::TlsStream<Overheard>, TransportError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| TransportError::Tls("tls: invalid server name".to_owned()))?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let error = match timeout(TLS_TIMEOUT, connector.connect(name, stream)).await {
            Err(_) => return Err(TransportError::TlsTimeout),
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
        };
        if lock(&ends.greeting).starts_with(b"HTTP/") {
            return Err(TransportError::HttpToHttps);
        }
        Err(
            match error
                .get_ref()
                .and_then(|e| e.downcast_ref::<rustls::Error>())
            {
                Some(error) => tls::describe(error, host, &self.dialer.clock),
                None => match error.kind() {
                    io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => ends.reset(),
                    _ => TransportError::Eof,
                },
            },
        )
    }
}

async fn handshake<S>(stream: S) -> Result<http1::SendRequest<Full<Bytes>>, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .handshake(TokioIo::new(stream))
        .await?;
    // Ends when the sender is gone or the peer is; what it fails with reaches the sender.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

fn build(
    method: &Method,
    url: &Url,
    user_agent: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, TransportError> {
    let bad = |_| TransportError::Other("net/http: invalid request".to_owned());
    let mut request = Request::builder()
        .method(method.clone())
        .uri(url.path.as_str());
    if let Some(all) = request.headers_mut() {
        let host = HeaderValue::from_str(&url.authority)
            .map_err(|_| TransportError::Other("http: invalid Host header".to_owned()))?;
        all.insert(HOST, host);
        if let Ok(agent) = HeaderValue::from_str(user_agent) {
            all.insert(USER_AGENT, agent);
        }
        for (name, value) in headers {
            all.append::<HeaderName>(name.clone(), value.clone());
        }
    }
    request
        .body(Full::new(body))
        .map_err(|e: http::Error| bad(e))
}

impl Body {
    /// The next bytes; none at the end.
    pub(crate) async fn chunk(&mut self) -> Option<Result<Bytes, TransportError>> {
        if let Some(ahead) = self.ahead.take() {
            return Some(Ok(ahead));
        }
        loop {
            let frame = match self.incoming.frame().await? {
                Ok(frame) => frame,
                Err(error) => {
                    self.connection = None;
                    return Some(Err(self
                        .ends
                        .explain(&error, TransportError::UnexpectedEof)));
                }
            };
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
            {
                return Some(Ok(data));
            }
        }
    }

    /// Reads at most `limit` bytes, drops the rest. What comes with an error is lost.
    pub(crate) async fn text(
        mut self,
        client: &Client,
        limit: usize,
    ) -> Result<Vec<u8>, TransportError> {
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await {
            all.extend_from_slice(&chunk?);
            if all.len() >= limit {
                all.truncate(limit);
                return Ok(all);
            }
        }
        client.recycle(self);
        Ok(all)
    }

    /// Throws away the first `count` bytes.
    pub(crate) async fn skip(&mut self, mut count: u64) -> Result<(), TransportError> {
        while count > 0 {
            let mut chunk = match self.chunk().await {
                Some(chunk) => chunk?,
                None => {
                    return Err(TransportError::Other(
                        "unable to discard to offset".to_owned(),
                    ));
                }
            };
            let skipped = usize::try_from(count).map_or(chunk.len(), |c| c.min(chunk.len()));
            count -= skipped as u64;
            let rest = chunk.split_off(skipped);
            if !rest.is_empty() {
                self.ahead = Some(rest);
            }
        }
        Ok(())
    }

    /// Lets go of a body nobody wants: a short one is read so that its connection can be kept.
    pub(crate) async fn discard(self, client: &Client) {
        let _ = self.text(client, 64 << 10).await;
    }
}

impl Ends {
    fn reset(&self) -> TransportError {
        TransportError::Reset {
            from: self.from,
            to: self.to,
        }
    }

    fn explain(&self, error: &hyper::Error, end: TransportError) -> TransportError {
        let mut cause = error.source();
        while let Some(source) = cause {
            if let Some(io) = source.downcast_ref::<io::Error>() {
                // With TLS 1.3 a server refuses the client's certificate after the client is done.
                let tls = io.get_ref().and_then(|inner| inner.downcast_ref());
                if let Some(alert) = tls.and_then(tls::alert) {
                    return alert;
                }
                return match io.kind() {
                    io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => self.reset(),
                    // TLS that ends without its own goodbye.
                    io::ErrorKind::UnexpectedEof => TransportError::UnexpectedEof,
                    _ => end,
                };
            }
            cause = source.source();
        }
        if error.is_parse() {
            let greeting = lock(&self.greeting).clone();
            let line = greeting.split(|b| *b == b'\n').next().unwrap_or_default();
            return TransportError::Malformed(line.to_vec());
        }
        end
    }
}

impl Dialer {
    pub(super) async fn dial(&self, url: &Url) -> Result<Stream, TransportError> {
        let name = url.host();
        let port = url.port().ok_or_else(|| {
            TransportError::Other(format!(
                "dial tcp: lookup tcp/{}: unknown port",
                url.authority
            ))
        })?;
        let deadline = Instant::now() + DIAL_TIMEOUT;
        let found = self
            .host
            .lookup(name)
            .await
            .map_err(|error| self.lookup_failure(name, &error))?;
        let mut first = None;
        let count = found.addresses.len();
        for (n, address) in found.addresses.into_iter().enumerate() {
            let to = SocketAddr::new(address, port);
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(count - n).unwrap_or(1);
            let share = share.max(SHORTEST_DIAL.min(left));
            let failure = match timeout(share, self.host.dial(to)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(DialError::Refused)) => DialFailure::Refused,
                Ok(Err(DialError::NoRoute)) => DialFailure::NoRoute,
                Ok(Err(DialError::NetUnreachable)) => DialFailure::NetUnreachable,
                Ok(Err(DialError::TimedOut)) | Err(_) => DialFailure::Timeout {
                    deadline: lock(&self.chance).unit() >= PLAIN_TIMEOUTS,
                },
            };
            first.get_or_insert(TransportError::Dial { to, failure });
        }
        Err(first.unwrap_or_else(|| TransportError::Lookup {
            host: name.to_owned(),
            server: found.server,
            failure: LookupFailure::NoSuchHost,
        }))
    }

    fn lookup_failure(&self, name: &str, error: &LookupError) -> TransportError {
        let (server, failure) = match error {
            LookupError::NxDomain { server } | LookupError::NoData { server } => {
                (*server, LookupFailure::NoSuchHost)
            }
            LookupError::ServFail { server } => (*server, LookupFailure::ServerMisbehaving),
            LookupError::Timeout { server } => {
                let own = self
                    .host
                    .addresses()
                    .into_iter()
                    .find(|a| a.is_ipv4() == server.is_ipv4());
                let port = 32_768 + lock(&self.chance).below(28_000) as u16;
                (
                    *server,
                    LookupFailure::Timeout(SocketAddr::new(own.unwrap_or(server.ip()), port)),
                )
            }
        };
        TransportError::Lookup {
            host: name.to_owned(),
            server,
            failure,
        }
    }
}

/// A stream that remembers how it began.
struct Overheard {
    stream: Stream,
    greeting: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Overheard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        let mut greeting = lock(&self.greeting);
        let room = GREETING.saturating_sub(greeting.len());
        if room > 0 {
            let fresh = buf.filled().get(before..).unwrap_or_default();
            greeting.extend(fresh.iter().take(room));
        }
        drop(greeting);
        result
    }
}

impl AsyncWrite for Overheard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
