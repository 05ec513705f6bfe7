//! A look now and then at whether the stage is still there, while something is waited for: a node that is gone
//! is not waited for until the file's time is over.

use std::time::Duration;

use tokio::time::Instant;

use crate::backend::{Backend, Pace};
use crate::play::Mismatch;

/// From one look to the next.
const EVERY: Duration = Duration::from_secs(5);

/// When the next look is due.
pub(crate) struct Look(Instant);

impl Look {
    pub(crate) fn start() -> Self {
        Self(Instant::now() + EVERY)
    }

    /// Until when a wait may last. In virtual time nothing is looked at.
    pub(crate) fn until<B: Backend>(&self, backend: &B, deadline: Instant) -> Instant {
        match backend.pace() {
            Pace::Virtual => deadline,
            Pace::Real => deadline.min(self.0),
        }
    }

    /// What is not there any more, where a look is due.
    pub(crate) async fn gone<B: Backend>(&mut self, backend: &B) -> Vec<Mismatch> {
        if backend.pace() == Pace::Virtual || Instant::now() < self.0 {
            return Vec::new();
        }
        let gone = backend.gone().await;
        self.0 = Instant::now() + EVERY;
        gone
    }
}
