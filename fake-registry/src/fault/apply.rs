//! What a rule does to an answer: makes one, changes one, or spoils its body on the way.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use http_body::{Frame, SizeHint};
use serde_json::json;
use tokio::time::Sleep;

use super::{Action, End, Firing};
use crate::core::Call;
use crate::message::{Body, Cut, Refusal, Reply, empty_reply, set, text_reply};
use crate::serve::ResetHook;
use crate::store::DOCKER_CONTENT_DIGEST;
use crate::stream::Flushed;

/// A slow body is sent in pieces of a tenth of a second, and never of more than this.
const MAX_PIECE: u64 = 64 << 10;
/// No made-up body is larger.
const MAX_BODY: u64 = 1 << 40;

impl Firing {
    fn action(&self) -> &Action {
        &self.rule.rule.action
    }

    /// The answer that the rule makes by itself, if it does.
    pub(crate) fn reply(&self, call: &Call<'_>) -> Option<Reply> {
        let action = self.action();
        if let Some(address) = &action.redirect {
            let address = match address.as_str() {
                "loop" => "{scheme}://{host}{path}",
                "downgrade" => "http://{host}{path}",
                other => other,
            };
            let query = if call.query.is_empty() {
                String::new()
            } else {
                format!("?{}", call.query)
            };
            let address = address
                .replace("{scheme}", call.connection.scheme())
                .replace("{host}", call.authority)
                .replace("{path}", &format!("{}{query}", call.raw_path));
            let status = action
                .status
                .map_or(StatusCode::TEMPORARY_REDIRECT, |status| status.0);
            let mut reply = empty_reply(status);
            set(&mut reply, header::LOCATION, &address);
            return Some(reply);
        }
        if let Some(fault) = action.token {
            let (status, body) = fault.answer();
            let status = action.status.map_or(status, |status| status.0);
            return Some(text_reply(status, "application/json", body));
        }
        let asked = action.status.is_some() || action.code.is_some() || action.message.is_some();
        let asked = asked || action.challenge.is_some();
        let asked =
            asked || action.body.is_some() || action.body_size.is_some() || action.quota.is_some();
        if !asked {
            return None;
        }
        let fallback = if action.challenge.is_some() {
            StatusCode::UNAUTHORIZED
        } else if action.quota.is_some() {
            StatusCode::TOO_MANY_REQUESTS
        } else if action.code.is_some() || action.message.is_some() {
            StatusCode::INTERNAL_SERVER_ERROR
        } else {
            StatusCode::OK
        };
        let status = action.status.map_or(fallback, |status| status.0);
        let mut reply = if let Some(size) = action.body_size {
            let mut reply = empty_reply(status);
            let headers = reply.headers_mut();
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            );
            *reply.body_mut() = Body::Filler(size.min(MAX_BODY));
            reply
        } else if let Some(body) = &action.body {
            text_reply(status, "text/plain; charset=utf-8", body.clone())
        } else if status.is_success() || status.is_redirection() {
            empty_reply(status)
        } else {
            self.envelope(status)
        };
        if let Some(wait) = self.wait {
            set(&mut reply, header::RETRY_AFTER, &wait.to_string());
        }
        Some(reply)
    }

    fn envelope(&self, status: StatusCode) -> Reply {
        let action = self.action();
        let (code, message) = words(status);
        let mut error = json!({
            "code": action.code.as_deref().unwrap_or(code),
            "message": action.message.as_deref().unwrap_or(message),
        });
        if let (Some(detail), Some(map)) = (&action.detail, error.as_object_mut()) {
            map.insert("detail".into(), detail.clone());
        }
        crate::message::json_reply(status, &json!({"errors": [error]}))
    }

    /// Changes the answer, whoever made it.
    pub(crate) fn change(&self, call: &Call<'_>, reply: &mut Reply) {
        let action = self.action();
        let headers = reply.headers_mut();
        if let Some(content_type) = &action.content_type {
            headers.insert(header::CONTENT_TYPE, content_type.0.clone());
        }
        if action.wrong_digest && headers.contains_key(DOCKER_CONTENT_DIGEST) {
            let zeros = format!("sha256:{}", "0".repeat(64));
            headers.insert(
                DOCKER_CONTENT_DIGEST,
                HeaderValue::from_str(&zeros).unwrap_or(HeaderValue::from_static("")),
            );
        }
        if action.wrong_content_range && headers.contains_key(header::CONTENT_RANGE) {
            headers.insert(
                header::CONTENT_RANGE,
                HeaderValue::from_static("bytes 0-0/1"),
            );
        }
        if let Some(challenge) = action.challenge {
            headers.remove(header::WWW_AUTHENTICATE);
            let origin = format!("{}://{}", call.connection.scheme(), call.authority);
            for value in challenge.values(&origin) {
                if let Ok(value) = HeaderValue::from_str(&value) {
                    headers.append(header::WWW_AUTHENTICATE, value);
                }
            }
        }
        if let Some(challenges) = &action.challenges {
            headers.remove(header::WWW_AUTHENTICATE);
            for challenge in challenges {
                headers.append(header::WWW_AUTHENTICATE, challenge.0.clone());
            }
        }
        if let Some(wait) = action.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.0.as_secs()));
        }
        for name in &action.remove_headers {
            headers.remove(&name.0);
        }
        for (name, value) in &action.headers {
            headers.insert(name.0.clone(), value.0.clone());
        }
        if action.bad_json {
            halve(reply);
        }
        let no_length = action
            .remove_headers
            .iter()
            .any(|name| name.0 == header::CONTENT_LENGTH);
        if *call.method == Method::HEAD {
            if no_length {
                // hyper would put it back from the body's length.
                *reply.body_mut() = Body::Empty;
            }
            return;
        }
        let spoils = action.pace.is_some()
            || action.cut_after.is_some()
            || action.bandwidth.is_some()
            || action.corrupt.is_some();
        if no_length || spoils {
            let inner = std::mem::take(reply.body_mut());
            let at = action
                .corrupt
                .map(|at| at.min(inner.len().saturating_sub(1)));
            *reply.body_mut() = Body::Spoilt(Box::new(Spoilt {
                length: (!no_length).then(|| inner.len()),
                inner,
                piece: Bytes::new(),
                sent: 0,
                cut_after: action.cut_after,
                cut: action.cut,
                corrupt: at,
                bandwidth: action.bandwidth.filter(|rate| *rate > 0),
                pace: action.pace.map(|pace| pace.0),
                pace_paid: false,
                pause: None,
                reset: call.connection.reset_hook(),
                flushed: call.connection.flushed.clone(),
                last: None,
                through: false,
            }));
        }
    }

    pub(crate) fn delay(&self) -> Option<Duration> {
        self.action().delay.map(|delay| delay.0)
    }

    pub(crate) fn end(&self) -> Option<End> {
        self.action().end
    }

    pub(crate) fn ignores_range(&self) -> bool {
        self.action().ignore_range
    }
}

/// Keeps the first half of a JSON body, so that it ends in the middle of something.
fn halve(reply: &mut Reply) {
    let is_json = reply
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("json"));
    if !is_json {
        return;
    }
    let half = reply.body().len() / 2;
    match reply.body_mut() {
        Body::Bytes(bytes) => bytes.truncate(half as usize),
        Body::File(part) => part.shorten(half),
        _ => return,
    }
    reply
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(half));
}

/// Code and message that go with a status.
fn words(status: StatusCode) -> (&'static str, &'static str) {
    match status.as_u16() {
        401 => ("UNAUTHORIZED", "authentication required"),
        403 => ("DENIED", "requested access to the resource is denied"),
        404 => ("MANIFEST_UNKNOWN", "manifest unknown"),
        405 => ("UNSUPPORTED", "The operation is unsupported."),
        429 => ("TOOMANYREQUESTS", "too many requests"),
        503 => ("UNAVAILABLE", "service unavailable"),
        _ => ("UNKNOWN", "unknown error"),
    }
}

/// A body that is slow, short or wrong.
pub(crate) struct Spoilt {
    inner: Body,
    length: Option<u64>,
    piece: Bytes,
    sent: u64,
    cut_after: Option<u64>,
    cut: End,
    corrupt: Option<u64>,
    bandwidth: Option<u64>,
    /// The wait before each byte, and whether the next one's is over.
    pace: Option<Duration>,
    pace_paid: bool,
    pause: Option<Pin<Box<Sleep>>>,
    reset: Option<ResetHook>,
    flushed: Arc<Flushed>,
    /// Flushes when the last byte before the cut was handed over.
    last: Option<u64>,
    /// They are sent; from here on a flush is no news, or a hanging body would keep itself awake.
    through: bool,
}

impl Spoilt {
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        if self.cut_after.is_some_and(|limit| self.sent >= limit) {
            // What came before the cut has to be on its way, or it would be lost with the rest.
            if !self.through {
                let last = *self.last.get_or_insert_with(|| self.flushed.count());
                ready!(self.flushed.poll_after(last, cx));
                self.through = true;
            }
            return match self.cut {
                End::Hang => Poll::Pending,
                End::Close => Poll::Ready(Some(Err(Cut))),
                End::Reset => {
                    if let Some(reset) = &self.reset {
                        reset();
                    }
                    Poll::Ready(Some(Err(Cut)))
                }
            };
        }
        while !self.piece.has_remaining() {
            match ready!(http_body::Body::poll_frame(Pin::new(&mut self.inner), cx)) {
                None => return Poll::Ready(None),
                Some(Err(cut)) => return Poll::Ready(Some(Err(cut))),
                Some(Ok(frame)) => self.piece = frame.into_data().unwrap_or_default(),
            }
        }
        if let Some(time) = self.pace
            && !self.pace_paid
        {
            self.pace_paid = true;
            let mut pause = Box::pin(tokio::time::sleep(time));
            if pause.as_mut().poll(cx).is_pending() {
                self.pause = Some(pause);
                return Poll::Pending;
            }
        }
        self.pace_paid = false;
        let mut take = self.piece.len() as u64;
        if self.pace.is_some() {
            take = take.min(1);
        }
        if let Some(limit) = self.cut_after {
            take = take.min(limit - self.sent);
        }
        if let Some(rate) = self.bandwidth {
            take = take.min((rate / 10).clamp(1, MAX_PIECE));
            let nanoseconds = u128::from(take) * 1_000_000_000 / u128::from(rate);
            let time = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
            self.pause = Some(Box::pin(tokio::time::sleep(time)));
        }
        let mut data = self.piece.split_to(take as usize);
        if let Some(position) = self
            .corrupt
            .and_then(|at| at.checked_sub(self.sent))
            .filter(|position| *position < take)
        {
            let mut bytes = data.to_vec();
            if let Some(byte) = bytes.get_mut(position as usize) {
                *byte ^= 1;
            }
            data = Bytes::from(bytes);
        }
        self.sent += take;
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// The answer to a client whose bucket is empty.
pub(crate) fn throttled(wait: u64) -> Box<Refusal> {
    Refusal::new(
        StatusCode::TOO_MANY_REQUESTS,
        "TOOMANYREQUESTS",
        "too many requests, please retry later",
    )
    .header(HeaderName::from_static("retry-after"), &wait.to_string())
}
