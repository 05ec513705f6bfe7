//! Who may pull now: the queue between the image manager and the runtime
//! (`kubelet/images/puller.go`, `helpers.go`).
//!
//! Serialized pulls wait in one queue of the node; parallel ones share a number of places, or none.
//! In front of both stands the rate limit, which refuses instead of waiting.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::events::limit::TokenBucket;

/// The kubelet's own queue holds ten requests and lets further callers wait outside it. Nobody can tell
/// the two apart, so it is one queue here, and without a limit it has all the places there are.
const PARALLEL_WITHOUT_LIMIT: usize = Semaphore::MAX_PERMITS;

/// The pull queue of one node.
#[derive(Debug)]
pub struct Puller {
    places: Semaphore,
    rate: Option<Mutex<TokenBucket>>,
}

/// The kubelet's own rate limit was hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("pull QPS exceeded")]
pub struct QpsExceeded;

impl Puller {
    /// `serial`: one pull at a time. `qps` of zero or less means no rate limit, as in the kubelet.
    pub fn new(serial: bool, qps: f64, burst: u32, now: Duration) -> Self {
        let places = if serial { 1 } else { PARALLEL_WITHOUT_LIMIT };
        let rate = (qps > 0.0).then(|| Mutex::new(TokenBucket::new(qps, burst, now)));
        Self {
            places: Semaphore::new(places),
            rate,
        }
    }

    /// Asks the rate limit. The kubelet does so when the pull's turn has come, not when it queues.
    pub fn admit(&self, now: Duration) -> Result<(), QpsExceeded> {
        let Some(rate) = &self.rate else {
            return Ok(());
        };
        let mut bucket = rate
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if bucket.try_take(now) {
            Ok(())
        } else {
            Err(QpsExceeded)
        }
    }

    /// Runs a pull when its turn has come. Waiting is fair: first come, first served.
    pub async fn run<T>(&self, pull: impl Future<Output = T>) -> T {
        let place = self.places.acquire().await;
        let result = pull.await;
        drop(place);
        result
    }
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
