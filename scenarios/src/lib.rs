//! Image-pull failures, played from a healthy cluster to a verified fix.
//!
//! A scenario file says what is there, what goes wrong and what must be found. A backend makes that
//! world; the player takes it through six acts and compares what the checker says with what was
//! expected. The checker is handed a client and network places, never the scenario.

pub mod catalogue;
pub mod live;
pub mod report;
pub mod spec;

mod backend;
mod kubectl;
mod observer;
mod play;
mod remedy;
mod rollout;
mod text;

pub use backend::{Attempt, StepError};
pub use observer::{EventWrite, Seconds, StatusChange};
pub use play::{Act, ActPlayed, Ending, Mismatch, Play};
pub use remedy::{Command, CommandError};

/// Plays a scenario on the embedded cluster, in virtual time, on a runtime of its own.
///
/// The same scenario and seed give the same play, byte for byte. Must not be called from inside an
/// asynchronous runtime.
pub fn play_embedded(scenario: &spec::Scenario, seed: u64) -> Play {
    backend::embedded::play(scenario, seed)
}
