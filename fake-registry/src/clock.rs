//! The two clocks of a run: wall time, and time since the start.
//!
//! Only tokio's clock is read, so a paused runtime decides what time it is. Wall time is a
//! timestamp handed in once plus what tokio's clock has advanced since.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Wall time as the registry sees it: certificates, tokens, `Date` headers.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base: Timestamp,
    start: Instant,
}

impl Clock {
    /// The machine's time now, and tokio's clock from there on.
    pub fn system() -> Self {
        Self::starting_at(Timestamp::now())
    }

    /// A clock that shows `base` now.
    pub fn starting_at(base: Timestamp) -> Self {
        Self::new(base, Instant::now())
    }

    /// A clock that showed `base` at `start`; for sharing one origin with a simulation.
    pub fn new(base: Timestamp, start: Instant) -> Self {
        Self { base, start }
    }

    /// Wall time.
    pub fn now(&self) -> Timestamp {
        self.at(self.elapsed())
    }

    /// Wall time at a time since the start.
    pub(crate) fn at(&self, elapsed: Duration) -> Timestamp {
        let elapsed = SignedDuration::try_from(elapsed).unwrap_or(SignedDuration::MAX);
        self.base.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    /// The whole second of `at`, by plain arithmetic: it stands on the way of every answer.
    pub(crate) fn second(&self, elapsed: Duration) -> i64 {
        let carry = i64::from(self.base.subsec_nanosecond()) + i64::from(elapsed.subsec_nanos());
        let seconds = i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX);
        self.base
            .as_second()
            .saturating_add(seconds)
            .saturating_add(carry.div_euclid(1_000_000_000))
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        Instant::now().saturating_duration_since(self.start)
    }
}
