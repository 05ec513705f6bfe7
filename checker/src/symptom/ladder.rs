//! The kubelet's back-off, counted from what events tell: which attempt is next, and when.
//!
//! After each failure the kubelet waits 10, 20, 40 … 300 s and tries at its first look afterwards, 0 to
//! 15 s later (client-go `flowcontrol.NewBackOff(10s, 300s)`, the same from Kubernetes 1.20 to 1.36). The
//! events that tell of it stop being written after 25 of them: of the pod up to 1.31, of each type since.

use jiff::Timestamp;
use serde::Serialize;

use super::BackOffView;

/// The attempt that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NextAttempt {
    /// Its number, at least; the first pull of a container is 1.
    pub number_at_least: u32,
    /// Its number, at most.
    pub number_at_most: u32,
    /// Seconds until it, at least.
    pub earliest_s: i64,
    /// Seconds until it, at most.
    pub latest_s: i64,
    /// True where the last failure was seen; false where it is reckoned from the first one.
    pub exact: bool,
}

/// The wait after the `failures`-th failure, in seconds.
pub(super) fn delay(failures: u32) -> i64 {
    let doublings = failures.saturating_sub(1).min(5);
    (10_i64 << doublings).min(BackOffView::CAP)
}

/// Failures of which this kubelet (`v1.36.2`) is sure to write an event.
fn written(kubelet: Option<&str>) -> u32 {
    let minor = kubelet.and_then(|version| {
        let mut parts = version.trim_start_matches('v').split('.');
        parts.next()?;
        parts.next()?.parse::<u32>().ok()
    });
    match minor {
        Some(minor) if minor >= 32 => 5,
        _ => 4,
    }
}

/// Reckons the next attempt from what was seen.
pub fn next_attempt(view: &BackOffView, now: Timestamp, kubelet: Option<&str>) -> NextAttempt {
    let since_last = now.duration_since(view.last_failure).as_secs().max(0);
    let wait = delay(view.attempts_at_least);
    if since_last <= wait + BackOffView::SYNC {
        return NextAttempt {
            number_at_least: view.attempts_at_least.saturating_add(1),
            number_at_most: view.attempts_at_least.saturating_add(1),
            earliest_s: (wait - since_last).max(0),
            latest_s: wait + BackOffView::SYNC - since_last,
            exact: view.attempts_at_least <= written(kubelet),
        };
    }
    // The events are frozen: failures that end at once, each at the first or the last possible look.
    let since_first = now.duration_since(view.first_failure).as_secs().max(0);
    let failures_by = |slack: i64| {
        let (mut at, mut failures) = (0, 1_u32);
        while failures < 100_000 {
            at += delay(failures) + slack;
            if at > since_first {
                break;
            }
            failures += 1;
        }
        failures
    };
    NextAttempt {
        number_at_least: failures_by(BackOffView::SYNC)
            .max(view.attempts_at_least)
            .saturating_add(1),
        number_at_most: failures_by(0).max(view.attempts_at_least).saturating_add(1),
        earliest_s: 0,
        latest_s: BackOffView::CAP + BackOffView::SYNC,
        exact: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("small")
    }

    fn view(attempts_at_least: u32, first: i64, last: i64) -> BackOffView {
        BackOffView {
            attempts_at_least,
            first_failure: at(first),
            last_failure: at(last),
        }
    }

    #[test]
    fn waits_double_up_to_five_minutes() {
        let waits: Vec<i64> = (1..=7).map(delay).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn a_fresh_failure_tells_the_next_attempt_exactly() {
        let next = next_attempt(&view(3, 0, 39), at(49), Some("v1.36.2"));
        assert_eq!((next.number_at_least, next.number_at_most), (4, 4));
        assert_eq!((next.earliest_s, next.latest_s, next.exact), (30, 45, true));
        let over = next_attempt(&view(1, 0, 0), at(20), None);
        assert_eq!((over.earliest_s, over.latest_s), (0, 5));
    }

    /// Attempts of a real pod failed at 0, 15, 39, 88, 179, 348 and 649 s; its events stopped at the fifth.
    #[test]
    fn frozen_events_are_made_up_for() {
        for (now, seventh) in [(400, false), (640, false), (700, true), (900, true)] {
            let next = next_attempt(&view(5, 0, 179), at(now), Some("v1.36.2"));
            let failed = if seventh { 7 } else { 6 };
            assert!(
                (next.number_at_least..=next.number_at_most).contains(&(failed + 1)),
                "after {now} s: {next:?}"
            );
            assert!(!next.exact && next.latest_s == 315, "{next:?}");
        }
    }

    #[test]
    fn odd_clocks_do_no_harm() {
        for (first, last, now) in [(100, 50, 0), (0, 0, i64::from(i32::MAX)), (0, 10, 5)] {
            let next = next_attempt(&view(u32::MAX, first, last), at(now), Some("nonsense"));
            assert!(next.earliest_s >= 0 && next.latest_s >= 0, "{next:?}");
        }
    }
}
