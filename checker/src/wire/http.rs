//! HTTP/1.1 on any stream: one request, one bounded answer, and a typed reason if there is none.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use sha2::Digest as _;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::{Excerpt, tls};
use crate::evidence::{HttpFailure, Method, TlsFailure};
use crate::keyring::Secret;
use crate::reference::{Algorithm, Digest};
use crate::world::{BoxStream, Proxy};

/// How much of an error body is read.
pub(crate) const MAX_ERROR_BODY: usize = 64 * 1024;
/// How much of a manifest is read.
pub(crate) const MAX_MANIFEST: usize = 4 * 1024 * 1024;
/// How long a connection that is gone may take to say why.
const LAST_WORDS: Duration = Duration::from_secs(1);
const MAX_HEADERS: usize = 128;
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// A request without its host.
#[derive(Clone)]
pub(crate) struct Outgoing {
    /// The method.
    pub(crate) method: Method,
    /// Headers besides `Host`.
    pub(crate) headers: HeaderMap,
    /// The body; empty for none.
    pub(crate) body: Bytes,
}

impl Outgoing {
    /// A request with nothing but its method.
    pub(crate) fn new(method: Method) -> Self {
        Self {
            method,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// Adds a header; a value that no header can hold is left out.
    #[must_use]
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Adds a header beside others of its name.
    #[must_use]
    pub(crate) fn another_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(name, value);
        }
        self
    }

    /// Adds a header that is not printed.
    #[must_use]
    pub(crate) fn secret_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(mut value) = HeaderValue::from_str(value) {
            value.set_sensitive(true);
            self.headers.insert(name, value);
        }
        self
    }

    /// Sets a body and its type.
    #[must_use]
    pub(crate) fn body(self, content_type: &str, body: impl Into<Bytes>) -> Self {
        let mut out = self.header(::http::header::CONTENT_TYPE, content_type);
        out.body = body.into();
        out
    }
}

impl fmt::Debug for Outgoing {
    /// Without the body, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("method", &self.method)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// What to do with the body of a success; of any other answer the first 64 KiB are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Keep all of it; fail if it is larger.
    Whole(usize),
    /// Keep the first bytes, and read no further.
    First(usize),
    /// Keep nothing but its digest; fail if it is larger.
    Hash(Algorithm, u64),
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// What was kept of the body.
    pub(crate) body: Bytes,
    /// How many bytes of the body were read.
    pub(crate) read: u64,
    /// How long they took, from the head of the answer on.
    pub(crate) body_took: Duration,
    /// The digest of the body, if it was asked for.
    pub(crate) digest: Option<Digest>,
}

/// How long is waited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HttpDeadlines {
    /// For the head of an answer.
    pub(crate) head: Duration,
    /// For the next bytes of a body.
    pub(crate) idle: Duration,
    /// For a whole body.
    pub(crate) body: Duration,
}

/// Is told how many bytes of a body were read.
pub(crate) type Told<'a> = &'a (dyn Fn(u64) + Send + Sync);

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SendError {
    /// HTTP or the connection failed.
    Http(HttpFailure),
    /// TLS refused after the handshake (a missing client certificate shows here in TLS 1.3).
    Tls(TlsFailure),
}

/// A connection that speaks HTTP/1.1; its task ends with it.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Ends with the reason for which the connection did.
    task: JoinHandle<Option<hyper::Error>>,
    through: Option<Through>,
}

/// The connection ends at a proxy, which is asked for absolute URLs.
struct Through {
    authorization: Option<Secret>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    /// Begins to speak HTTP on a stream.
    pub(crate) async fn open(stream: BoxStream) -> Result<Self, HttpFailure> {
        let (sender, connection) = http1::Builder::new()
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| HttpFailure::Other {
                text: Excerpt::new(&error.to_string()),
            })?;
        let task = tokio::spawn(async move { connection.await.err() });
        Ok(Self {
            sender,
            task,
            through: None,
        })
    }

    /// The stream ends at a proxy that forwards plain HTTP.
    #[must_use]
    pub(crate) fn through_proxy(mut self, proxy: &Proxy) -> Self {
        self.through = Some(Through {
            authorization: proxy.authorization().cloned(),
        });
        self
    }

    /// True if a proxy answers on it.
    pub(crate) const fn is_through_proxy(&self) -> bool {
        self.through.is_some()
    }

    /// False once the other side has closed it, or a body was left unread.
    pub(crate) fn is_usable(&self) -> bool {
        self.sender.is_ready() && !self.sender.is_closed()
    }

    /// Why a request has no answer. Who waits for it is told only that the connection is gone; the
    /// connection itself knows more, such as the alert that came after a handshake.
    async fn last_words(&mut self, error: &hyper::Error, now: Timestamp) -> SendError {
        let gone = error.is_canceled() || error.is_closed();
        if gone && let Ok(Ok(Some(why))) = timeout(LAST_WORDS, &mut self.task).await {
            return failure(&why, 0, now);
        }
        failure(error, 0, now)
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn send(
        &mut self,
        host: &str,
        target: &str,
        outgoing: Outgoing,
        keep: Keep,
        deadlines: HttpDeadlines,
        now: Timestamp,
    ) -> Result<Answer, SendError> {
        self.send_telling(host, target, outgoing, (keep, &|_| ()), deadlines, now)
            .await
    }

    /// The same, and tells how many bytes of the body were read, part by part.
    pub(crate) async fn send_telling(
        &mut self,
        host: &str,
        target: &str,
        outgoing: Outgoing,
        (keep, told): (Keep, Told<'_>),
        deadlines: HttpDeadlines,
        now: Timestamp,
    ) -> Result<Answer, SendError> {
        let mut request = ::http::Request::new(Full::new(outgoing.body));
        *request.method_mut() = match outgoing.method {
            Method::Head => ::http::Method::HEAD,
            Method::Get => ::http::Method::GET,
            Method::Post => ::http::Method::POST,
            Method::Connect => ::http::Method::CONNECT,
        };
        *request.headers_mut() = outgoing.headers;
        let bad = |text: &str| {
            SendError::Http(HttpFailure::Other {
                text: Excerpt::new(text),
            })
        };
        let target = match &self.through {
            None => target.to_owned(),
            Some(through) => {
                if let Some(value) = &through.authorization
                    && let Ok(mut value) = HeaderValue::from_str(value.expose())
                {
                    value.set_sensitive(true);
                    request
                        .headers_mut()
                        .insert(::http::header::PROXY_AUTHORIZATION, value);
                }
                format!("http://{host}{target}")
            }
        };
        *request.uri_mut() = target
            .parse()
            .map_err(|_| bad("the path is not a path of a URL"))?;
        let host =
            HeaderValue::from_str(host).map_err(|_| bad("the host does not fit into a header"))?;
        request.headers_mut().insert(::http::header::HOST, host);
        let sent = async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        };
        let response = match timeout(deadlines.head, sent).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.last_words(&error, now).await),
            Err(_) => return Err(SendError::Http(HttpFailure::Timeout)),
        };
        let (head, body) = response.into_parts();
        let keep = if head.status.is_success() {
            keep
        } else {
            Keep::First(MAX_ERROR_BODY)
        };
        let mut answer = Answer {
            status: head.status,
            headers: head.headers,
            body: Bytes::new(),
            read: 0,
            body_took: Duration::ZERO,
            digest: None,
        };
        let began = Instant::now();
        let reading = read(body, keep, &mut answer, (deadlines.idle, now), told);
        match timeout(deadlines.body, reading).await {
            Ok(outcome) => {
                outcome?;
                answer.body_took = began.elapsed();
            }
            Err(_) => {
                return Err(SendError::Http(HttpFailure::TooSlow {
                    received: answer.read,
                    seconds: deadlines.body.as_secs(),
                }));
            }
        }
        Ok(answer)
    }
}

enum Hasher {
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
}

impl Hasher {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(sha2::Sha256::new()),
            Algorithm::Sha384 => Self::Sha384(sha2::Sha384::new()),
            Algorithm::Sha512 => Self::Sha512(sha2::Sha512::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha384(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> Digest {
        match self {
            Self::Sha256(hasher) => Digest::from_hash(Algorithm::Sha256, &hasher.finalize()),
            Self::Sha384(hasher) => Digest::from_hash(Algorithm::Sha384, &hasher.finalize()),
            Self::Sha512(hasher) => Digest::from_hash(Algorithm::Sha512, &hasher.finalize()),
        }
    }
}

async fn read(
    mut body: Incoming,
    keep: Keep,
    answer: &mut Answer,
    (idle, now): (Duration, Timestamp),
    told: Told<'_>,
) -> Result<(), SendError> {
    let mut kept = BytesMut::new();
    let mut hasher = match keep {
        Keep::Hash(algorithm, _) => Some(Hasher::new(algorithm)),
        _ => None,
    };
    loop {
        let frame = match timeout(idle, body.frame()).await {
            Err(_) => {
                return Err(SendError::Http(HttpFailure::BodyStalled {
                    received: answer.read,
                }));
            }
            Ok(None) => break,
            Ok(Some(Err(error))) => return Err(failure(&error, answer.read, now)),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        answer.read += data.len() as u64;
        told(answer.read);
        match keep {
            Keep::Whole(limit) if kept.len() + data.len() > limit => {
                return Err(SendError::Http(HttpFailure::TooLarge {
                    limit: limit as u64,
                }));
            }
            Keep::Hash(_, limit) if answer.read > limit => {
                return Err(SendError::Http(HttpFailure::TooLarge { limit }));
            }
            Keep::Whole(_) => kept.extend_from_slice(&data),
            Keep::Hash(..) => {
                if let Some(hasher) = &mut hasher {
                    hasher.update(&data);
                }
            }
            Keep::First(wanted) => {
                let room = wanted.saturating_sub(kept.len());
                kept.extend_from_slice(data.get(..room).unwrap_or(&data));
                if kept.len() >= wanted {
                    break;
                }
            }
        }
    }
    answer.body = kept.freeze();
    answer.digest = hasher.map(Hasher::finish);
    Ok(())
}

fn failure(error: &hyper::Error, received: u64, now: Timestamp) -> SendError {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            if let Some(error) = io
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<rustls::Error>())
            {
                return SendError::Tls(tls::late_reason(error, now));
            }
            match io.kind() {
                io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe => {
                    return SendError::Http(HttpFailure::Reset { received });
                }
                io::ErrorKind::UnexpectedEof => {
                    return SendError::Http(HttpFailure::Closed { received });
                }
                io::ErrorKind::TimedOut => return SendError::Http(HttpFailure::Timeout),
                _ => {}
            }
        }
        source = inner.source();
    }
    let text = || {
        let detail = error.source().map(|source| format!("{error}: {source}"));
        Excerpt::new(&detail.unwrap_or_else(|| error.to_string()))
    };
    SendError::Http(if error.is_parse() {
        HttpFailure::Malformed { text: text() }
    } else if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        HttpFailure::Closed { received }
    } else if error.is_timeout() {
        HttpFailure::Timeout
    } else {
        HttpFailure::Other { text: text() }
    })
}
