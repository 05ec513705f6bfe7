//! How long a connection waits for the head of a request, with one timer for its whole life.
//!
//! hyper makes a timer for every head and throws it away when the head is there, which costs a
//! busy connection more than the rest of its bookkeeping. Here a head only raises a count; the
//! connection's one alarm looks at that from time to time, and gives up a head that it has seen so
//! often that its time is over.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Looks at a head before it is given up: it gets its time, and at most a sixth more.
const LOOKS: u32 = 6;

/// What alarm and heads have in common. Only the connection that they belong to writes.
struct Heads {
    start: std::time::Instant,
    /// Odd while a head is waited for; two more with the next one.
    count: AtomicU64,
    over: AtomicBool,
}

impl Heads {
    fn step(&self, odd: bool) {
        let count = self.count.load(Ordering::Relaxed);
        if (count % 2 == 1) != odd {
            self.count.store(count + 1, Ordering::Relaxed);
        }
    }
}

/// The alarm of a connection, which the connection polls.
pub(crate) struct Alarm {
    heads: Arc<Heads>,
    between: Duration,
    sleep: Pin<Box<Sleep>>,
    /// The head that was waited for at the last look, and at how many looks so far.
    seen: (u64, u32),
}

/// What hyper takes for a timer.
pub(crate) struct HeadTimer(Arc<Heads>);

/// A head that is waited for.
struct Head(Arc<Heads>);

impl Alarm {
    /// Heads may take so long.
    pub(crate) fn new(most: Duration) -> Self {
        let start = Instant::now();
        let between = most / LOOKS;
        Self {
            heads: Arc::new(Heads {
                start: start.into_std(),
                count: AtomicU64::new(0),
                over: AtomicBool::new(false),
            }),
            between,
            sleep: Box::pin(tokio::time::sleep_until(start + between)),
            seen: (0, 0),
        }
    }

    pub(crate) fn timer(&self) -> HeadTimer {
        HeadTimer(self.heads.clone())
    }

    /// To be called before hyper is polled; `new_waker` where this task has another one than last
    /// time.
    pub(crate) fn check(&mut self, cx: &mut Context<'_>, new_waker: bool) {
        if !new_waker && !self.sleep.is_elapsed() {
            return;
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            let count = self.heads.count.load(Ordering::Relaxed);
            let (head, looks) = self.seen;
            self.seen = (count, if head == count { looks + 1 } else { 1 });
            if count % 2 == 1 && self.seen.1 > LOOKS {
                self.heads.over.store(true, Ordering::Relaxed);
                return;
            }
            let next = Instant::now() + self.between;
            self.sleep.as_mut().reset(next);
        }
    }
}

impl hyper::rt::Timer for HeadTimer {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.0.step(true);
        Box::pin(Head(self.0.clone()))
    }

    fn sleep_until(&self, _: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep(Duration::ZERO)
    }

    /// hyper only adds to it, and the sum comes back to `sleep_until`, which does not care.
    fn now(&self) -> std::time::Instant {
        self.0.start
    }

    fn reset(&self, _: &mut Pin<Box<dyn hyper::rt::Sleep>>, _: std::time::Instant) {
        self.0.step(false);
        self.0.step(true);
    }
}

impl hyper::rt::Sleep for Head {}

impl Future for Head {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        // The alarm wakes the connection, of which this is a part.
        if self.0.over.load(Ordering::Relaxed) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        self.0.step(false);
    }
}
