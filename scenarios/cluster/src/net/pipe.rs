//! One direction of a connection: a queue of what is on its way, each piece with its arrival.
//!
//! Link times are computed in nanoseconds when a piece is sent; the reader sleeps until the front of
//! the queue is due. The sender sees back-pressure through a window, so that connections that share
//! a link take turns.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Link;

/// The largest piece sent in one go; small enough that sharers of a link take turns.
const MAX_PIECE: usize = 64 * 1024;
/// What may be under way in one direction of a connection.
const WINDOW: usize = 1024 * 1024;
/// The same where bandwidth is limited: enough to keep a link of this kind busy.
const PACED_WINDOW: usize = 256 * 1024;

/// When a link with limited bandwidth is free again. Shared by the connections of a host.
#[derive(Clone, Debug)]
pub(super) struct Pacer {
    bandwidth: u64,
    free_at: Arc<Mutex<Option<Instant>>>,
}

impl Pacer {
    pub(super) fn of(link: Link) -> Option<Self> {
        link.bandwidth.map(|bandwidth| Self {
            bandwidth: bandwidth.max(1),
            free_at: Arc::default(),
        })
    }

    /// Takes the link for `bytes`, not before `earliest`; gives the moment the last byte is on it.
    fn reserve(&self, earliest: Instant, bytes: usize) -> Instant {
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let start = free_at.map_or(earliest, |free| free.max(earliest));
        let nanos = u128::from(bytes as u64) * 1_000_000_000 / u128::from(self.bandwidth);
        let end = start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX / 4));
        *free_at = Some(end);
        end
    }
}

/// Something under way.
#[derive(Debug)]
pub(super) enum Segment {
    Data(Bytes),
    Fin,
    Reset,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<(Instant, Segment)>,
    under_way: usize,
    last_arrival: Option<Instant>,
    finished: bool,
    /// Since when the sender knows that nobody reads any more.
    reader_gone: Option<Instant>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// One direction of a connection, shared by its two ends.
#[derive(Debug)]
pub(super) struct Pipe {
    latency: Duration,
    pacers: Vec<Pacer>,
    state: Mutex<State>,
}

/// What a reader finds.
pub(super) enum Arrival {
    Data(Bytes),
    Fin,
    Reset,
    /// Something is under way and arrives then.
    At(Instant),
    /// Nothing is under way; the reader will be woken.
    Nothing,
}

/// What a sender finds.
pub(super) enum Room {
    For(usize),
    /// The window is full; the sender will be woken.
    Full,
    /// Nobody reads any more.
    Gone,
}

impl Pipe {
    pub(super) fn new(latency: Duration, pacers: Vec<Pacer>) -> Self {
        Self {
            latency,
            pacers,
            state: Mutex::default(),
        }
    }

    pub(super) fn latency(&self) -> Duration {
        self.latency
    }

    /// How much may be sent now.
    pub(super) fn room(&self, now: Instant, context: &Context<'_>) -> Room {
        let mut state = self.lock();
        if state.reader_gone.is_some_and(|since| since <= now) || state.finished {
            return Room::Gone;
        }
        let window = if self.pacers.is_empty() {
            WINDOW
        } else {
            PACED_WINDOW
        };
        let room = window.saturating_sub(state.under_way).min(MAX_PIECE);
        if room == 0 && state.reader_gone.is_some() {
            Room::Gone
        } else if room == 0 {
            state.writer = Some(context.waker().clone());
            Room::Full
        } else {
            Room::For(room)
        }
    }

    /// Sends something; it arrives after what was sent before it.
    pub(super) fn send(&self, now: Instant, segment: Segment) {
        self.send_after(now, Duration::ZERO, segment);
    }

    /// The same, held back for `extra` first.
    pub(super) fn send_after(&self, now: Instant, extra: Duration, segment: Segment) {
        let wakers = {
            let mut state = self.lock();
            if state.finished {
                return;
            }
            let size = match &segment {
                Segment::Data(data) => data.len(),
                Segment::Fin | Segment::Reset => {
                    state.finished = true;
                    0
                }
            };
            let sent = self
                .pacers
                .iter()
                .fold(now + extra, |at, pacer| pacer.reserve(at, size));
            let arrival = sent + self.latency;
            let arrival = state.last_arrival.map_or(arrival, |last| last.max(arrival));
            state.last_arrival = Some(arrival);
            state.under_way += size;
            state.queue.push_back((arrival, segment));
            let writer = state.finished.then(|| state.writer.take()).flatten();
            [state.reader.take(), writer]
        };
        for waker in wakers.into_iter().flatten() {
            waker.wake();
        }
    }

    /// Takes bytes out of the sender's hands that will never arrive.
    pub(super) fn swallow(&self, size: usize) {
        self.lock().under_way += size;
    }

    /// What is there to read now. At most `limit` bytes are taken.
    pub(super) fn receive(&self, now: Instant, limit: usize, context: &Context<'_>) -> Arrival {
        let mut state = self.lock();
        let Some((at, segment)) = state.queue.front_mut() else {
            state.reader = Some(context.waker().clone());
            return Arrival::Nothing;
        };
        if *at > now {
            return Arrival::At(*at);
        }
        let data = match segment {
            Segment::Fin => return Arrival::Fin,
            Segment::Reset => return Arrival::Reset,
            Segment::Data(data) if data.len() > limit => data.split_to(limit),
            Segment::Data(data) => {
                let data = std::mem::take(data);
                state.queue.pop_front();
                data
            }
        };
        state.under_way = state.under_way.saturating_sub(data.len());
        if let Some(waker) = state.writer.take() {
            waker.wake();
        }
        Arrival::Data(data)
    }

    /// Tells the sender, one latency from now, that nobody reads any more.
    pub(super) fn reader_leaves(&self, now: Instant, latency: Duration) {
        let waker = {
            let mut state = self.lock();
            state.reader_gone.get_or_insert(now + latency);
            state.writer.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
