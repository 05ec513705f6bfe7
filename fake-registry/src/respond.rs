//! The way of a request: who answers for the host, what it is about, what comes out.
//!
//! Fault rules first, then the place that answers. What only reads is answered where it stands; what waits
//! for a body, a disk or a fault goes on as a future of its own, so that a manifest does not pay for uploads.
//! That is written down before it goes on, so that a request that never gets an answer stands in the journal
//! too.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, header};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

use crate::core::{Call, Core, Place};
use crate::fault::{End, Firing};
use crate::journal::{Heard, Noted, UnderWay};
use crate::message::{Cut, Reply};
use crate::protocol::{Route, Target};
use crate::serve::Connection;

/// An answer, made already or in the making.
pub(crate) enum Answering<'a> {
    Now(Option<Reply>),
    Later(Pin<Box<dyn Future<Output = Result<Reply, Cut>> + Send + 'a>>),
}

impl Future for Answering<'_> {
    type Output = Result<Reply, Cut>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            // A future is not polled again once it is ready.
            Self::Now(reply) => Poll::Ready(reply.take().ok_or(Cut)),
            Self::Later(later) => later.as_mut().poll(cx),
        }
    }
}

/// A path as it is meant.
fn decoded(path: &str) -> Cow<'_, str> {
    if path.as_bytes().contains(&b'%') {
        percent_decode_str(path).decode_utf8_lossy()
    } else {
        path.into()
    }
}

impl Core {
    /// One request, one answer. An error means that the connection is to end without one.
    pub(crate) fn respond<'a>(
        &'a self,
        connection: &'a Connection,
        request: Request<Incoming>,
    ) -> Answering<'a> {
        let elapsed = self.clock.elapsed();
        let (under_way, firing) = {
            let heard = Heard::new(request.method(), request.uri(), request.headers());
            let (noted, weight, date) = connection.note(self, &heard, elapsed);
            let path = decoded(heard.path);
            let headers = request.headers();
            let (call, place) = self.call(connection, &heard, &noted, &path, headers, elapsed);
            let route = call.target.route;
            self.expectations.see(&call, elapsed);
            let firing = self.faults.decide(&call, elapsed);
            if firing.is_none()
                && call.only_reads()
                && let Some(mut reply) = self.answer_now(place, &call)
            {
                let answer = finish(&call, &mut reply, date);
                self.journal.whole(noted, weight, elapsed, route, answer);
                return Answering::Now(Some(reply));
            }
            let fault = firing.as_ref().map(|firing| firing.rule.name.clone());
            let under_way = self.journal.begin(noted, weight, elapsed, route, fault);
            (under_way, firing)
        };
        Answering::Later(Box::pin(
            self.respond_later(connection, request, under_way, firing),
        ))
    }

    async fn respond_later(
        &self,
        connection: &Connection,
        request: Request<Incoming>,
        under_way: UnderWay<'_>,
        firing: Option<Firing>,
    ) -> Result<Reply, Cut> {
        let (head, body) = request.into_parts();
        let heard = Heard::new(&head.method, &head.uri, &head.headers);
        let elapsed = self.clock.elapsed();
        let (noted, ..) = connection.note(self, &heard, elapsed);
        let path = decoded(heard.path);
        let (call, place) = self.call(connection, &heard, &noted, &path, &head.headers, elapsed);
        let mut reply = match firing {
            None => self.answer(place, &call, body).await,
            Some(firing) => self.misbehave(&firing, place, &call, body).await?,
        };
        let date = self.dates.at(self.clock, self.clock.elapsed());
        let (status, sent) = finish(&call, &mut reply, date);
        under_way.answered(status, sent);
        Ok(reply)
    }

    fn call<'a>(
        &'a self,
        connection: &'a Connection,
        heard: &Heard<'a>,
        noted: &'a Noted,
        path: &'a str,
        headers: &'a HeaderMap,
        elapsed: Duration,
    ) -> (Call<'a>, Option<&'a Place>) {
        let place = self.place(noted.name());
        let target = match place {
            Some(place) => place.target(path),
            None => Target::bare(Route::Other),
        };
        let call = Call {
            connection,
            method: heard.method,
            headers,
            host: noted.name(),
            authority: heard.authority,
            raw_path: heard.path,
            path,
            query: heard.query,
            target,
            if_none_match: heard.if_none_match,
            elapsed,
        };
        (call, place)
    }

    /// What comes of a request that a fault rule has fired on.
    async fn misbehave(
        &self,
        firing: &Firing,
        place: Option<&Place>,
        call: &Call<'_>,
        body: Incoming,
    ) -> Result<Reply, Cut> {
        if let Some(time) = firing.delay() {
            tokio::time::sleep(time).await;
        }
        match firing.end() {
            None => {}
            Some(End::Close) => return Err(Cut),
            Some(End::Reset) => {
                call.connection.reset();
                return Err(Cut);
            }
            Some(End::Hang) => std::future::pending().await,
        }
        let mut reply = match firing.reply(call) {
            Some(reply) => reply,
            None if firing.ignores_range() => {
                let mut headers = call.headers.clone();
                headers.remove(header::RANGE);
                let call = Call {
                    headers: &headers,
                    ..*call
                };
                self.answer(place, &call, body).await
            }
            None => self.answer(place, call, body).await,
        };
        firing.change(call, &mut reply);
        Ok(reply)
    }
}

/// The last touches; gives the status and how many bytes of a body are sent.
fn finish(call: &Call<'_>, reply: &mut Reply, date: HeaderValue) -> (u16, u64) {
    reply.headers_mut().insert(header::DATE, date);
    let status = reply.status().as_u16();
    let sent = if *call.method == Method::HEAD {
        0
    } else {
        reply.body().len()
    };
    tracing::info!(
        target: "fake_registry::request",
        client = %call.connection.client,
        host = call.host,
        method = %call.method,
        path = call.raw_path,
        status,
        bytes = sent,
        "request"
    );
    (status, sent)
}

impl Connection {
    /// What the journal keeps of a request, how much of that is new, and the date.
    fn note(
        &self,
        core: &Core,
        heard: &Heard<'_>,
        elapsed: Duration,
    ) -> (Arc<Noted>, u32, HeaderValue) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let (noted, weight) = Noted::of(heard, &self.client, self.peer, latest.noted.as_ref());
        if weight > 0 {
            latest.noted = Some(noted.clone());
        }
        let second = core.clock.second(elapsed);
        if let Some((at, date)) = &latest.date
            && *at == second
        {
            return (noted, weight, date.clone());
        }
        let date = core.dates.at(core.clock, elapsed);
        // A copy, so that its owners are counted here alone.
        let date = HeaderValue::from_bytes(date.as_bytes()).unwrap_or(date);
        latest.date = Some((second, date.clone()));
        (noted, weight, date)
    }
}
