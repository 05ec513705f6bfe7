//! Who may pull now: the queue between the image manager and the runtime
//! (`kubelet/images/puller.go`, `helpers.go`).
//!
//! Serialized pulls wait in one queue of the node; parallel ones share a number of places, or none.
//! In front of both stands the rate limit, which refuses instead of waiting.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::events::limit::TokenBucket;

/// Who pulls and who waits for a turn: first come, first served. Pure, for whatever drives it.
///
/// The kubelet's own queue holds ten requests and lets further callers wait outside it. Nobody can tell
/// the two apart, so it is one queue here.
#[derive(Debug, Clone)]
pub struct PullQueue<T> {
    serial: bool,
    running: usize,
    waiting: VecDeque<T>,
}

impl<T> PullQueue<T> {
    /// An empty queue; `serial`: one pull at a time, else all at once.
    pub const fn new(serial: bool) -> Self {
        Self {
            serial,
            running: 0,
            waiting: VecDeque::new(),
        }
    }

    /// A pull wants to run; given back if its turn is now, kept otherwise.
    #[inline]
    pub fn enter(&mut self, pull: T) -> Option<T> {
        if self.serial && self.running > 0 {
            self.waiting.push_back(pull);
            return None;
        }
        self.running += 1;
        Some(pull)
    }

    /// A running pull ended; the one whose turn it is now.
    #[inline]
    pub fn leave(&mut self) -> Option<T> {
        let next = self.waiting.pop_front();
        if next.is_none() {
            self.running = self.running.saturating_sub(1);
        }
        next
    }
}

/// The pull queue of one node.
#[derive(Debug)]
pub struct Puller {
    queue: Mutex<PullQueue<oneshot::Sender<()>>>,
    rate: Option<Mutex<TokenBucket>>,
}

/// A place among the running pulls; the next in the queue has it when it is dropped.
struct Place<'a>(&'a Puller);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut queue = lock(&self.0.queue);
        // One that has stopped waiting is passed over.
        while let Some(next) = queue.leave() {
            if next.send(()).is_ok() {
                break;
            }
        }
    }
}

/// The kubelet's own rate limit was hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("pull QPS exceeded")]
pub struct QpsExceeded;

impl Puller {
    /// `serial`: one pull at a time. `qps` of zero or less means no rate limit, as in the kubelet.
    pub fn new(serial: bool, qps: f64, burst: u32, now: Duration) -> Self {
        let rate = (qps > 0.0).then(|| Mutex::new(TokenBucket::new(qps, burst, now)));
        Self {
            queue: Mutex::new(PullQueue::new(serial)),
            rate,
        }
    }

    /// Asks the rate limit. The kubelet does so when the pull's turn has come, not when it queues.
    pub fn admit(&self, now: Duration) -> Result<(), QpsExceeded> {
        let Some(rate) = &self.rate else {
            return Ok(());
        };
        if lock(rate).try_take(now) {
            Ok(())
        } else {
            Err(QpsExceeded)
        }
    }

    /// Runs a pull when its turn has come. Waiting is fair: first come, first served.
    pub async fn run<T>(&self, pull: impl Future<Output = T>) -> T {
        let _place = self.turn().await;
        pull.await
    }

    async fn turn(&self) -> Place<'_> {
        let (called, call) = oneshot::channel();
        if lock(&self.queue).enter(called).is_none() {
            // The sender lives in the queue until it is this one's turn.
            let mut waiting = Waiting(self, Some(call));
            if let Some(call) = waiting.1.as_mut() {
                let _ = call.await;
            }
            waiting.1 = None;
        }
        Place(self)
    }
}

/// One that waits. If it gives up after its turn was called, the place goes to the next.
struct Waiting<'a>(&'a Puller, Option<oneshot::Receiver<()>>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(mut call) = self.1.take() {
            call.close();
            if call.try_recv().is_ok() {
                drop(Place(self.0));
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::{Instant, sleep};

    use super::*;

    async fn finish_times(serial: bool) -> Vec<u64> {
        let puller = Arc::new(Puller::new(serial, 5.0, 10, Duration::ZERO));
        let start = Instant::now();
        let pulls = (1..=3).map(|n| {
            let puller = Arc::clone(&puller);
            tokio::spawn(async move {
                puller
                    .run(async { sleep(Duration::from_secs(n)).await })
                    .await;
                start.elapsed().as_secs()
            })
        });
        let mut times = Vec::new();
        for pull in pulls.collect::<Vec<_>>() {
            times.push(pull.await.unwrap());
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_or_all_at_once() {
        assert_eq!(finish_times(true).await, [1, 3, 6]);
        assert_eq!(finish_times(false).await, [1, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_loses_nothing_for_the_others() {
        let puller = Arc::new(Puller::new(true, 0.0, 0, Duration::ZERO));
        let start = Instant::now();
        let run = |seconds| {
            let puller = Arc::clone(&puller);
            tokio::spawn(async move {
                let pull = async { sleep(Duration::from_secs(seconds)).await };
                puller.run(pull).await;
                start.elapsed().as_secs()
            })
        };
        let (running, waiting, last) = (run(5), run(5), run(5));
        sleep(Duration::from_secs(1)).await;
        waiting.abort();
        assert_eq!((running.await.unwrap(), last.await.unwrap()), (5, 10));
        // One that is aborted while it runs, and one whose turn was called in the same moment.
        let (running, called, last) = (run(5), run(5), run(5));
        sleep(Duration::from_secs(1)).await;
        running.abort();
        called.abort();
        assert_eq!(last.await.unwrap(), 16);
    }

    #[test]
    fn the_eleventh_pull_of_a_second_is_refused() {
        let puller = Puller::new(false, 5.0, 10, Duration::ZERO);
        let refused = (0..12)
            .filter(|_| puller.admit(Duration::ZERO).is_err())
            .count();
        assert_eq!(
            (refused, QpsExceeded.to_string().as_str()),
            (2, "pull QPS exceeded")
        );
        assert!(
            Puller::new(false, 0.0, 10, Duration::ZERO)
                .admit(Duration::ZERO)
                .is_ok()
        );
    }
}
