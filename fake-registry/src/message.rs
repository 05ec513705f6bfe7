//! Answers on their way out: the body type, the error envelope, small helpers for requests.
//!
//! Bodies are bytes in memory or something slower and meaner that a fault rule asked for. Every
//! reading of a request body has a bound.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::fault::apply::Spoilt;
use crate::store::FilePart;

pub(crate) type Reply = Response<Body>;

/// A client that sends nothing for so long in the middle of a body is given up.
const BODY_IDLE: Duration = Duration::from_mins(1);
/// So long a body may take at any rate; after that it has to have come at the least one.
const BODY_GRACE: Duration = Duration::from_mins(2);
/// Bytes a second.
const LEAST_RATE: u64 = 1 << 10;

static FILLER: [u8; 64 << 10] = [b'x'; 64 << 10];

/// The body of an answer.
#[derive(Default)]
pub(crate) enum Body {
    #[default]
    Empty,
    Bytes(Bytes),
    File(FilePart),
    /// So many bytes that mean nothing, made while they are sent.
    Filler(u64),
    /// As a fault rule wants it.
    Spoilt(Box<Spoilt>),
}

/// The connection is to end here; hyper only learns that there is an error.
#[derive(Debug, thiserror::Error)]
#[error("the answer is cut off")]
pub(crate) struct Cut;

impl Body {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(rest) => rest.left(),
            Self::Filler(left) => *left,
            Self::Spoilt(spoilt) => spoilt.length().unwrap_or_default(),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Self::Spoilt(spoilt) = &mut *self {
            return spoilt.poll(cx);
        }
        if let Self::File(rest) = &mut *self {
            let piece = rest.next().map_err(|error| {
                tracing::error!(%error, "content cannot be read");
                Cut
            });
            return Poll::Ready(piece.transpose().map(|piece| piece.map(Frame::data)));
        }
        if let Self::Filler(left) = &mut *self {
            let take = (*left).min(FILLER.len() as u64);
            *left -= take;
            let piece = Bytes::from_static(&FILLER).slice(..take as usize);
            return Poll::Ready((take > 0).then(|| Ok(Frame::data(piece))));
        }
        match std::mem::take(&mut *self) {
            Self::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Self::Empty | Self::File(_) | Self::Filler(_) | Self::Spoilt(_) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::File(rest) => rest.left() == 0,
            Self::Filler(left) => *left == 0,
            Self::Spoilt(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Spoilt(spoilt) => spoilt.size_hint(),
            _ => SizeHint::with_exact(self.len()),
        }
    }
}

/// A refusal in the envelope of the distribution specification.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) detail: Option<Value>,
    pub(crate) headers: HeaderMap,
}

impl Refusal {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
    ) -> Box<Self> {
        Box::new(Self {
            status,
            code,
            message: message.into(),
            detail: None,
            headers: HeaderMap::new(),
        })
    }

    pub(crate) fn detail(mut self: Box<Self>, detail: Value) -> Box<Self> {
        self.detail = Some(detail);
        self
    }

    pub(crate) fn header(mut self: Box<Self>, name: HeaderName, value: &str) -> Box<Self> {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(name, value);
        }
        self
    }

    pub(crate) fn into_reply(self: Box<Self>) -> Reply {
        let mut error = json!({"code": self.code, "message": self.message});
        if let (Some(detail), Some(map)) = (self.detail, error.as_object_mut()) {
            map.insert("detail".into(), detail);
        }
        let mut reply = json_reply(self.status, &json!({"errors": [error]}));
        reply.headers_mut().extend(self.headers);
        reply
    }
}

pub(crate) fn json_reply(status: StatusCode, value: &Value) -> Reply {
    text_reply(status, "application/json; charset=utf-8", value.to_string())
}

pub(crate) fn text_reply(
    status: StatusCode,
    content_type: &'static str,
    text: impl Into<Bytes>,
) -> Reply {
    let body = text.into();
    let mut reply = empty_reply(status);
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    *reply.body_mut() = Body::Bytes(body);
    reply
}

pub(crate) fn empty_reply(status: StatusCode) -> Reply {
    let mut reply = Response::new(Body::Empty);
    *reply.status_mut() = status;
    reply
}

/// Sets a header whose value we made ourselves; one that is no header value is left out.
pub(crate) fn set(reply: &mut Reply, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
}

/// How reading a request body ended.
#[derive(Debug)]
pub(crate) enum ReadError {
    TooLarge,
    /// The client went away before the end.
    Broken,
    /// It sends, if at all, too slowly to be waited for.
    Slow,
}

impl ReadError {
    /// 408 for a client that is too slow; other ends are told in the words of what was read.
    pub(crate) fn refusal_or(self, other: impl FnOnce(Self) -> Box<Refusal>) -> Box<Refusal> {
        match self {
            Self::Slow => Refusal::new(
                StatusCode::REQUEST_TIMEOUT,
                "UNKNOWN",
                "the body came too slowly",
            )
            .header(header::CONNECTION, "close"),
            error => other(error),
        }
    }
}

/// A request body that is being read. A client may be silent for a while, and slow for a while
/// longer, but it cannot hold a connection with a byte now and then.
pub(crate) struct Receiving {
    body: Incoming,
    since: Instant,
    received: u64,
}

impl Receiving {
    pub(crate) fn new(body: Incoming) -> Self {
        Self {
            body,
            since: Instant::now(),
            received: 0,
        }
    }

    /// The next piece; `None` at its end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        let allowed = Duration::from_secs(self.received / LEAST_RATE);
        let in_all = self.since + BODY_GRACE + allowed;
        loop {
            let deadline = in_all.min(Instant::now() + BODY_IDLE);
            match tokio::time::timeout_at(deadline, self.body.frame()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.received += data.len() as u64;
                        return Ok(Some(data));
                    }
                }
                Ok(Some(Err(_))) => return Err(ReadError::Broken),
                Err(_) => return Err(ReadError::Slow),
            }
        }
    }
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read_all(body: Incoming, limit: usize) -> Result<Bytes, ReadError> {
    let mut all = BytesMut::new();
    let mut body = Receiving::new(body);
    while let Some(data) = body.next().await? {
        if all.len() + data.len() > limit {
            return Err(ReadError::TooLarge);
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}

/// The first value of a key in a query or form, decoded.
pub(crate) fn param(query: &str, key: &str) -> Option<String> {
    params(query, key).next()
}

/// Every value of a key in a query or form, decoded.
pub(crate) fn params<'a>(query: &'a str, key: &'a str) -> impl Iterator<Item = String> + 'a {
    query.split('&').filter_map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name) == key).then(|| decode(value))
    })
}

/// Percent and plus decoding; bytes that are no UTF-8 become replacement characters.
pub(crate) fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

/// A header as text, where it is text.
pub(crate) fn text_of(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
