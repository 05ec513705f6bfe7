//! When to end: SIGINT and SIGTERM on Unix, Ctrl-C elsewhere. Listening begins when a `Stop` is
//! made, so that a signal that comes before the first wait is not lost.

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The wish to end, as often as it is uttered.
#[cfg(unix)]
pub(super) struct Stop {
    signals: Option<(Signal, Signal)>,
}

#[cfg(unix)]
impl Stop {
    pub(super) fn new() -> Self {
        let signals = (
            signal(SignalKind::interrupt()),
            signal(SignalKind::terminate()),
        );
        Self {
            signals: match signals {
                (Ok(interrupt), Ok(terminate)) => Some((interrupt, terminate)),
                _ => None,
            },
        }
    }

    /// Ready at the next of them.
    pub(super) async fn asked(&mut self) {
        let Some((interrupt, terminate)) = &mut self.signals else {
            return std::future::pending().await;
        };
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

/// The wish to end, as often as it is uttered.
#[cfg(not(unix))]
pub(super) struct Stop;

#[cfg(not(unix))]
impl Stop {
    pub(super) fn new() -> Self {
        Self
    }

    /// Ready at the next Ctrl-C.
    pub(super) async fn asked(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
