//! Image-pull failures, played from a healthy cluster to a verified fix.
//!
//! A scenario file says what is there, what goes wrong and what must be found. A backend makes that
//! world; the player takes it through six acts and compares what the checker says with what was
//! expected. The checker is handed a client and network places, never the scenario.

pub mod az;
pub mod catalogue;
pub mod fidelity;
pub mod live;
pub mod pages;
pub mod report;
pub mod schema;
pub mod spec;
pub mod workshop;

#[cfg(unix)]
/// The kind backend: a real cluster as a stage.
pub mod kind {
    pub use crate::backend::kind::{
        DockerError, LABEL, Site, SiteError, SiteSpec, impossible, nodes, remove_beside, shares,
    };
}

mod backend;
mod kubectl;
mod look;
mod observer;
mod play;
mod played;
mod remedy;
mod rollout;
mod text;
mod told;
mod traces;
mod versions;

pub use backend::{Attempt, StepError};
pub use observer::{EventWrite, Seconds, StatusChange};
pub use play::{Act, ActPlayed, Ending, Mismatch, Play};
pub use remedy::{Command, CommandError, RegistryChange};
pub use versions::{VersionError, Versions};

use spec::Scenario;

/// Plays a scenario on the embedded cluster, in virtual time, on a runtime of its own.
///
/// The same scenario and seed give the same play, byte for byte. Must not be called from inside an
/// asynchronous runtime; [`play`] can.
pub fn play_embedded(scenario: &Scenario, seed: u64) -> Play {
    play_embedded_with(scenario, seed, Versions::default())
}

/// The same with nodes of other versions.
pub fn play_embedded_with(scenario: &Scenario, seed: u64, versions: Versions) -> Play {
    backend::embedded::play(scenario, seed, versions, None)
}

/// Plays a scenario on the embedded cluster from inside an asynchronous runtime, on a thread of its own: a
/// paused clock and real sockets never share a runtime.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let scenarios = pull_scenarios::catalogue::all()?;
/// let bad_tag = scenarios.iter().find(|one| one.id() == "bad-tag").ok_or("no such scenario")?;
/// let play = pull_scenarios::play(bad_tag, 1).await;
/// assert!(play.passed());
/// # Ok(()) }
/// ```
///
/// # Panics
///
/// When the play itself panics.
pub async fn play(scenario: &Scenario, seed: u64) -> Play {
    let scenario = scenario.clone();
    let (done, play) = tokio::sync::oneshot::channel();
    let thread = std::thread::spawn(move || {
        // Nobody may be waiting any more.
        let _ = done.send(play_embedded(&scenario, seed));
    });
    match play.await {
        Ok(play) => play,
        Err(_) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("a thread that ends without a panic has sent its play"),
        },
    }
}
