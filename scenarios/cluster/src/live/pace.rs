//! Virtual time that follows wall time.
//!
//! The clock of a paused runtime jumps from timer to timer whenever nothing else is to be done. A
//! timer of our own at "now" bounds the jump: every timer before it fires in its order and at its
//! exact moment. Then the clock is held until wall time has moved on, by a blocking task, under which
//! tokio does not advance a paused clock. What comes from other threads meanwhile is worked on.

use std::io;
use std::str::FromStr;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep_until};

/// How long the clock is held at a time.
const TICK: Duration = Duration::from_millis(2);

/// How many virtual seconds pass in one second of wall time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed(f64);

/// A text that is no speed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no speed: a number from 0.1 to 1000, as in 10x")]
pub struct SpeedError(String);

impl Speed {
    /// As fast as wall time.
    pub const REAL: Self = Self(1.0);

    /// The factor.
    pub const fn factor(self) -> f64 {
        self.0
    }

    /// The virtual time that passes in a stretch of wall time.
    pub fn of(self, wall: Duration) -> Duration {
        wall.mul_f64(self.0)
    }
}

impl FromStr for Speed {
    type Err = SpeedError;

    fn from_str(text: &str) -> Result<Self, SpeedError> {
        let number = text.strip_suffix(['x', 'X']).unwrap_or(text);
        let factor = number.parse::<f64>().ok();
        factor
            .filter(|factor| (0.1..=1000.0).contains(factor))
            .map(Self)
            .ok_or_else(|| SpeedError(text.chars().take(40).collect()))
    }
}

impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x", self.0)
    }
}

/// A runtime for a simulation: one thread, its clock paused. Without [`pace`] time passes as fast as
/// the work allows.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
}

/// Holds the clock of the runtime it runs in to wall time, from now on and for as long as it runs.
#[expect(
    clippy::disallowed_methods,
    reason = "the seam between the two times: it has to see and to spend the real one"
)]
pub async fn pace(speed: Speed) {
    let (virtual_start, wall_start) = (Instant::now(), std::time::Instant::now());
    loop {
        sleep_until(virtual_start + speed.of(wall_start.elapsed())).await;
        // Fails only when the runtime ends.
        let _ = tokio::task::spawn_blocking(|| std::thread::sleep(TICK)).await;
    }
}
