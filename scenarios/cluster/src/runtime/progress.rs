//! The watch that gives up on a pull without progress (CRI `image_pull_progress_timeout`, five minutes).
//!
//! What counts as progress differs by path, and so does what can be given up at all: the local path counts
//! every request and every byte; the transfer service sees bytes only as the content store gets them, in
//! pieces of a MiB, so that a pull stuck before its first piece is never given up.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::profile::{Profile, PullPath};

const TIMEOUT: Duration = Duration::from_mins(5);
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The ticker starts a moment after the pull, and looks a moment after it ticks.
const MOMENT: Duration = Duration::from_millis(1);
const PIECE: u64 = 1 << 20;

/// What a pull has under way.
#[derive(Debug)]
pub(crate) struct Progress {
    watched: bool,
    by_piece: bool,
    active: AtomicU32,
    bytes: AtomicU64,
}

impl Progress {
    pub(crate) fn new(profile: &Profile) -> Self {
        Self {
            watched: profile.cancels_without_progress(),
            by_piece: profile.path() == PullPath::Transfer,
            active: AtomicU32::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// A request waits for its answer as long as the guard lives.
    pub(crate) fn request(&self) -> Active<'_> {
        Active::new(self, !self.by_piece)
    }

    /// A body is being read as long as the guard lives.
    pub(crate) fn body(&self) -> Active<'_> {
        Active::new(self, !self.by_piece)
    }

    /// Runs a pull until it ends (some) or is given up (none).
    pub(crate) async fn run<T>(&self, pull: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(pull);
        if !self.watched {
            return Some(pull.await);
        }
        let start = Instant::now();
        let (mut tick, mut seen, mut since) = (start + MOMENT, 0, start);
        loop {
            tick += LOOK_EVERY;
            tokio::select! {
                biased;
                result = &mut pull => return Some(result),
                () = sleep_until(tick) => {}
            }
            let bytes = self.bytes.load(Ordering::Relaxed);
            if self.active.load(Ordering::Relaxed) == 0 || bytes > seen {
                (seen, since) = (bytes, tick + MOMENT);
            } else if tick.saturating_duration_since(since) > TIMEOUT {
                return None;
            }
        }
    }
}

/// Something under way.
#[derive(Debug)]
pub(crate) struct Active<'a> {
    progress: &'a Progress,
    counted: bool,
    written: u64,
}

impl<'a> Active<'a> {
    fn new(progress: &'a Progress, counted: bool) -> Self {
        let mut active = Self {
            progress,
            counted: false,
            written: 0,
        };
        if counted {
            active.count();
        }
        active
    }

    fn count(&mut self) {
        if !self.counted {
            self.counted = true;
            self.progress.active.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Bytes came.
    pub(crate) fn add(&mut self, bytes: u64) {
        let before = self.written / PIECE;
        self.written += bytes;
        let news = if self.progress.by_piece {
            (self.written / PIECE - before) * PIECE
        } else {
            bytes
        };
        if news > 0 {
            self.count();
            self.progress.bytes.fetch_add(news, Ordering::Relaxed);
        }
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        if self.counted {
            self.progress.active.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;
    use crate::profile::{ContainerdVersion, KubernetesVersion};

    async fn given_up_after(path: PullPath, bytes: u64) -> Option<u64> {
        let profile = Profile::new(
            KubernetesVersion::new(36),
            ContainerdVersion::new(2, 1),
            path,
        );
        let progress = Progress::new(&profile);
        let start = Instant::now();
        let pull = async {
            let mut body = progress.body();
            tokio::time::sleep(Duration::from_millis(200)).await;
            body.add(bytes);
            pending::<()>().await;
        };
        tokio::time::timeout(Duration::from_hours(1), progress.run(pull))
            .await
            .ok()?;
        Some(start.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn when_pulls_are_given_up() {
        let table = [
            (PullPath::Local, 0, Some(300)),
            (PullPath::Local, 1000, Some(320)),
            (PullPath::Transfer, 0, None),
            (PullPath::Transfer, PIECE - 1, None),
            (PullPath::Transfer, 3 * PIECE, Some(320)),
        ];
        for (path, bytes, want) in table {
            assert_eq!(
                given_up_after(path, bytes).await,
                want,
                "{path:?} after {bytes} bytes"
            );
        }
    }
}
