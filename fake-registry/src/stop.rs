//! The wish that serving ends, in good order or at once, heard by many.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

const IN_ORDER: u8 = 1;
const AT_ONCE: u8 = 2;

#[derive(Default)]
pub(crate) struct Stop {
    asked: AtomicU8,
    notify: Notify,
}

impl Stop {
    pub(crate) fn ask(&self) {
        self.raise(IN_ORDER);
    }

    pub(crate) fn ask_at_once(&self) {
        self.raise(AT_ONCE);
    }

    fn raise(&self, to: u8) {
        self.asked.fetch_max(to, Ordering::Relaxed);
        self.notify.notify_waiters();
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed) >= IN_ORDER
    }

    /// Ready once it is asked for.
    pub(crate) async fn asked(&self) {
        self.reached(IN_ORDER).await;
    }

    pub(crate) async fn asked_at_once(&self) {
        self.reached(AT_ONCE).await;
    }

    async fn reached(&self, wanted: u8) {
        loop {
            let told = self.notify.notified();
            // Between the two nothing is lost: who is told later is told through `told`.
            if self.asked.load(Ordering::Relaxed) >= wanted {
                return;
            }
            told.await;
        }
    }
}
