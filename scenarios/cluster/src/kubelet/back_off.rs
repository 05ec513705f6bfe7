//! The back-off of failed pulls: client-go `util/flowcontrol`, as the kubelet sets it up (10 s doubling
//! to 300 s, no jitter). Pure: times are handed in, nothing is read.

use std::collections::BTreeMap;
use std::time::Duration;

/// Delay after the first failure.
pub const INITIAL: Duration = Duration::from_secs(10);
/// Longest delay.
pub const LIMIT: Duration = Duration::from_mins(5);

#[derive(Debug, Clone, Copy)]
struct Entry {
    delay: Duration,
    failed: Duration,
}

/// Delays by key; the kubelet's key is `<pod uid>_<image as written>`.
#[derive(Debug, Clone, Default)]
pub struct BackOff {
    entries: BTreeMap<String, Entry>,
}

impl BackOff {
    /// No failures yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records a failure at `now` and returns the delay that it earns: 10, 20, 40, 80, 160, 300 s.
    /// An entry left alone for twice the limit starts over.
    pub fn failed(&mut self, key: &str, now: Duration) -> Duration {
        let delay = match self.entries.get(key) {
            Some(entry) if !expired(entry, now) => (entry.delay * 2).min(LIMIT),
            _ => INITIAL,
        };
        self.entries
            .insert(key.to_owned(), Entry { delay, failed: now });
        delay
    }

    /// What is left of the delay, if any: the delay counts from the moment the pull failed.
    pub fn remaining(&self, key: &str, now: Duration) -> Option<Duration> {
        let entry = self.entries.get(key).filter(|entry| !expired(entry, now))?;
        (entry.failed + entry.delay)
            .checked_sub(now)
            .filter(|left| !left.is_zero())
    }

    /// The delay in force, whether or not it is over.
    pub fn delay(&self, key: &str) -> Option<Duration> {
        self.entries.get(key).map(|entry| entry.delay)
    }

    /// Drops expired entries; the kubelet does so after a successful pull, and only then.
    pub fn collect(&mut self, now: Duration) {
        self.entries.retain(|_, entry| !expired(entry, now));
    }
}

fn expired(entry: &Entry, now: Duration) -> bool {
    now.saturating_sub(entry.failed) > LIMIT * 2
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
