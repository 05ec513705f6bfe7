//! The back-off of failed pulls: client-go `util/flowcontrol`, as the kubelet sets it up (10 s doubling
//! to 300 s, no jitter). Pure: times are handed in, nothing is read.

use std::collections::BTreeMap;
use std::time::Duration;

/// Delay after the first failure.
pub const INITIAL: Duration = Duration::from_secs(10);
/// Longest delay.
pub const LIMIT: Duration = Duration::from_mins(5);

/// One key's last failure and the delay it earned: the step that [`BackOff`] takes for each of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    delay: Duration,
    failed: Duration,
}

impl Failure {
    /// A failure at `now`, after the one `before`: 10, 20, 40, 80, 160, 300 s. One left alone for twice
    /// the limit does not count any more.
    #[inline]
    pub fn after(before: Option<Self>, now: Duration) -> Self {
        let delay = match before {
            Some(before) if !before.is_expired(now) => (before.delay * 2).min(LIMIT),
            _ => INITIAL,
        };
        Self { delay, failed: now }
    }

    /// The delay it earned.
    #[inline]
    pub fn delay(self) -> Duration {
        self.delay
    }

    /// What is left of the delay, if any: the delay counts from the moment the pull failed.
    #[inline]
    pub fn remaining(self, now: Duration) -> Option<Duration> {
        (self.failed + self.delay)
            .checked_sub(now)
            .filter(|left| !left.is_zero())
    }

    #[inline]
    fn is_expired(self, now: Duration) -> bool {
        now.saturating_sub(self.failed) > LIMIT * 2
    }
}

/// Delays by key; the kubelet's key is `<pod uid>_<image as written>`.
#[derive(Debug, Clone, Default)]
pub struct BackOff {
    failures: BTreeMap<String, Failure>,
}

impl BackOff {
    /// No failures yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records a failure at `now` and returns the delay that it earns.
    pub fn failed(&mut self, key: &str, now: Duration) -> Duration {
        let failure = Failure::after(self.failures.get(key).copied(), now);
        self.failures.insert(key.to_owned(), failure);
        failure.delay
    }

    /// What is left of the delay, if any.
    pub fn remaining(&self, key: &str, now: Duration) -> Option<Duration> {
        self.failures
            .get(key)
            .filter(|failure| !failure.is_expired(now))?
            .remaining(now)
    }

    /// The delay in force, whether or not it is over.
    pub fn delay(&self, key: &str) -> Option<Duration> {
        self.failures.get(key).map(|failure| failure.delay)
    }

    /// Drops expired failures; the kubelet does so after a successful pull, and only then.
    pub fn collect(&mut self, now: Duration) {
        self.failures.retain(|_, failure| !failure.is_expired(now));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_ladder() {
        let mut back_off = BackOff::new();
        let mut now = s(0);
        for want in [10, 20, 40, 80, 160, 300, 300] {
            assert_eq!(back_off.failed("k", now), s(want));
            assert_eq!(
                back_off.remaining("k", now + s(want - 1) + Duration::from_millis(999)),
                Some(Duration::from_millis(1))
            );
            assert_eq!(
                back_off.remaining("k", now + s(want)),
                None,
                "over after {want} s"
            );
            now += s(want);
        }
        assert_eq!(back_off.failed("other", now), s(10), "keys do not share");
        assert_eq!(
            back_off.failed("k", now + s(601)),
            s(10),
            "ten quiet minutes start over"
        );
    }

    #[test]
    fn success_keeps_what_is_not_expired() {
        let mut back_off = BackOff::new();
        back_off.failed("young", s(500));
        back_off.failed("old", s(0));
        back_off.collect(s(700));
        assert_eq!(
            (back_off.delay("young"), back_off.delay("old")),
            (Some(s(10)), None)
        );
    }

    proptest! {
        #[test]
        fn delays_double_up_to_the_limit(gaps in proptest::collection::vec(0u64..700, 1..40)) {
            let mut back_off = BackOff::new();
            let (mut now, mut last) = (Duration::ZERO, None::<(Duration, Duration)>);
            for gap in gaps {
                now += s(gap);
                let delay = back_off.failed("k", now);
                let want = match last {
                    Some((at, delay)) if now.saturating_sub(at) <= s(600) => (delay * 2).min(LIMIT),
                    _ => INITIAL,
                };
                prop_assert_eq!(delay, want);
                prop_assert!(delay >= INITIAL && delay <= LIMIT);
                last = Some((now, delay));
            }
        }

        #[test]
        fn remaining_never_exceeds_the_delay(fail in 0u64..10_000, ask in 0u64..20_000) {
            let mut back_off = BackOff::new();
            let delay = back_off.failed("k", s(fail));
            if let Some(left) = back_off.remaining("k", s(fail + ask)) {
                prop_assert!(left <= delay && left + s(ask) == delay);
            } else {
                prop_assert!(s(ask) >= delay);
            }
        }
    }
}
