//! One worker: asks, counts, asks again.
//!
//! Everything that is the same for all questions is made once. A worker has one question in flight; with a rate, the
//! workers share one list of intended start times, and the one that is free takes the next.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use http::header::{ACCEPT, AUTHORIZATION, HeaderName, USER_AGENT};
use tokio::time::{Instant, sleep, sleep_until};

use super::{Kind, Load};
use crate::evidence::Method;
use crate::probe::{Options, Ready, from_nothing};
use crate::reference::Reference;
use crate::wire::UrlScheme;
use crate::wire::connector::Connector;
use crate::wire::http::{Connection, HttpDeadlines, Keep, Outgoing, SendError};
use crate::wire::tls::How;

/// No answer is waited for longer; in microseconds.
const LONGEST: u64 = 600_000_000;
/// A worker that cannot connect does not turn in circles.
const PAUSE: Duration = Duration::from_millis(20);
/// How many kinds of failure are told apart.
const MAX_KINDS: usize = 16;
const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// What all workers share.
pub(super) struct Shared<'a> {
    connector: Connector<'a>,
    ready: Ready,
    reference: &'a Reference,
    options: &'a Options,
    load: Load,
    host: String,
    question: Outgoing,
    next: AtomicU64,
}

/// What one worker counted.
pub(super) struct Tally {
    /// Answered probes, by latency in microseconds.
    pub(super) latency: Histogram<u64>,
    /// The others, by what was wrong.
    pub(super) failures: BTreeMap<String, u64>,
}

impl Tally {
    pub(super) fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, LONGEST, 3);
        Self {
            latency: latency.expect("the bounds are sound"),
            failures: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        // Both have the same bounds.
        let _ = self.latency.add(&other.latency);
        for (what, count) in &other.failures {
            *self.failures.entry(what.clone()).or_default() += count;
        }
    }

    /// `count` answers of one latency.
    pub(super) fn met(&mut self, micros: u64, count: u64) {
        let micros = micros.clamp(1, LONGEST);
        self.latency.saturating_record_n(micros, count);
    }

    fn answered(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(LONGEST);
        self.latency.saturating_record(micros.clamp(1, LONGEST));
    }

    fn failed(&mut self, what: String) {
        if self.failures.len() < MAX_KINDS || self.failures.contains_key(&what) {
            *self.failures.entry(what).or_default() += 1;
        } else {
            *self.failures.entry("other".into()).or_default() += 1;
        }
    }
}

impl<'a> Shared<'a> {
    pub(super) fn new(
        connector: Connector<'a>,
        ready: Ready,
        (reference, options): (&'a Reference, &'a Options),
        load: Load,
    ) -> Self {
        let mut question = Outgoing::new(Method::Head).header(USER_AGENT, &options.user_agent);
        for accept in &ready.accept {
            question = question.another_header(ACCEPT, accept);
        }
        if let Some(value) = &ready.authorization {
            question = question.secret_header(AUTHORIZATION, value.expose());
        }
        Self {
            host: ready.url.authority().to_string(),
            connector,
            ready,
            reference,
            options,
            load,
            question,
            next: AtomicU64::new(0),
        }
    }

    /// When the next question is meant to be asked; `None` when there is no time for one.
    async fn turn(&self, started: Instant) -> Option<Instant> {
        let end = started + self.load.time;
        let Some(rate) = self.load.rate else {
            let now = Instant::now();
            return (now < end).then_some(now);
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let intended = started + Duration::from_secs_f64(number as f64 / rate);
        if intended >= end {
            return None;
        }
        sleep_until(intended).await;
        Some(intended)
    }

    async fn connect(&self) -> Result<Connection, String> {
        let deadlines = self.options.deadlines;
        let dialled = self
            .connector
            .dial_first(&self.ready.addresses, self.ready.url.port(), deadlines.dial)
            .await;
        let mut stream = dialled.map_err(|error| error.to_string())?;
        if self.ready.url.scheme() == UrlScheme::Https {
            let how = How {
                client: self.connector.place.client.as_ref(),
                ..How::verified(self.ready.verify)
            };
            let host = self.ready.url.host();
            let made = self
                .connector
                .handshake_as(stream, host, how, deadlines.tls);
            stream = made.await.map_err(|(reason, _)| reason.to_string())?.stream;
        }
        Connection::open(stream)
            .await
            .map_err(|error| error.to_string())
    }

    async fn ask(&self, connection: &mut Connection) -> Result<(), String> {
        let deadlines = HttpDeadlines {
            head: self.options.deadlines.head,
            idle: self.options.deadlines.idle,
            body: self.options.deadlines.body,
        };
        let sent = connection
            .send(
                &self.host,
                self.ready.url.target(),
                self.question.clone(),
                Keep::First(0),
                deadlines,
                self.connector.clock.now(),
            )
            .await;
        match sent {
            Ok(answer) if answer.status != http::StatusCode::OK => {
                Err(format!("status {}", answer.status.as_u16()))
            }
            Ok(answer) if !answer.headers.contains_key(DIGEST) => Err("no digest".into()),
            Ok(_) => Ok(()),
            Err(SendError::Http(failure)) => Err(failure.to_string()),
            Err(SendError::Tls(failure)) => Err(failure.to_string()),
        }
    }

    async fn once(&self, kept: &mut Option<Connection>) -> Result<(), String> {
        match self.load.kind {
            Kind::Warm => {
                let mut connection = match kept.take().filter(Connection::is_usable) {
                    Some(connection) => connection,
                    None => self.connect().await?,
                };
                self.ask(&mut connection).await?;
                *kept = Some(connection);
                Ok(())
            }
            Kind::Cold => self.ask(&mut self.connect().await?).await,
            Kind::ColdWithToken => {
                let found = from_nothing(
                    self.connector.place,
                    self.connector.clock,
                    self.reference,
                    self.ready.credential.as_ref(),
                    self.options,
                );
                if found.await {
                    Ok(())
                } else {
                    Err("not found".into())
                }
            }
        }
    }
}

/// Asks until the time is over.
pub(super) async fn work(shared: &Shared<'_>, started: Instant) -> Tally {
    let mut tally = Tally::new();
    let mut kept = None;
    if shared.load.kind == Kind::Warm {
        // The first connection is no part of a warm probe.
        kept = shared.connect().await.ok();
    }
    while let Some(intended) = shared.turn(started).await {
        match shared.once(&mut kept).await {
            Ok(()) => tally.answered(intended.elapsed()),
            Err(what) => {
                tally.failed(what);
                sleep(PAUSE).await;
            }
        }
    }
    tally
}
