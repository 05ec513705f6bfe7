//! A token bucket in virtual time, as Go's `rate.Limiter` counts: it starts full, refills continuously,
//! never holds more than its burst, and a refused request takes nothing.

use std::time::Duration;

/// Tokens that come back at a fixed rate.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    last: Duration,
}

impl TokenBucket {
    /// A full bucket at `now`.
    pub fn new(per_second: f64, burst: u32, now: Duration) -> Self {
        Self {
            per_second,
            burst: f64::from(burst),
            tokens: f64::from(burst),
            last: now,
        }
    }

    /// Takes a token if there is one.
    #[inline]
    pub fn try_take(&mut self, now: Duration) -> bool {
        let since = now.saturating_sub(self.last).as_secs_f64();
        self.tokens = (self.tokens + since * self.per_second).min(self.burst);
        self.last = self.last.max(now);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            true
        } else {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut bucket = TokenBucket::new(5.0, 10, Duration::ZERO);
        let taken = (0..20).filter(|_| bucket.try_take(Duration::ZERO)).count();
        assert_eq!(taken, 10);
        let taken = (0..20)
            .filter(|_| bucket.try_take(Duration::from_secs(1)))
            .count();
        assert_eq!(taken, 5, "a second later there are five more");
        let taken = (0..20)
            .filter(|_| bucket.try_take(Duration::from_secs(100)))
            .count();
        assert_eq!(taken, 10, "and never more than the burst");
    }
}
