//! A line that its transfers share fairly, in O(log n) for each.
//!
//! What one transfer has been served since the line exists is the same for all that were there, so it
//! serves as a clock: a transfer ends when that clock reads what it read at its start plus the bytes.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Bytes too few to matter: what rounding may leave of a transfer.
const CRUMB: f64 = 1e-3;

/// The line. `T` says whose transfer it is.
#[derive(Debug)]
pub(crate) struct Link<T> {
    /// Bytes a nanosecond; none is as fast as it gets.
    rate: Option<f64>,
    /// Bytes that each transfer has been served.
    served: f64,
    at: u64,
    active: u32,
    ends: BinaryHeap<End<T>>,
}

#[derive(Debug)]
struct End<T> {
    served: f64,
    number: u64,
    whose: T,
}

impl<T> PartialEq for End<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for End<T> {}

impl<T> PartialOrd for End<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for End<T> {
    /// The first to end is the greatest, as the heap wants it.
    fn cmp(&self, other: &Self) -> Ordering {
        let by_number = || other.number.cmp(&self.number);
        other.served.total_cmp(&self.served).then_with(by_number)
    }
}

impl<T> Link<T> {
    /// A line of so many bytes a second.
    pub(crate) fn new(bandwidth: Option<u64>) -> Self {
        Self {
            rate: bandwidth.map(|bytes| bytes.max(1) as f64 / 1e9),
            served: 0.0,
            at: 0,
            active: 0,
            ends: BinaryHeap::new(),
        }
    }

    /// Starts a transfer; given back at once where the line is as fast as it gets.
    pub(crate) fn start(&mut self, now: u64, number: u64, bytes: u64, whose: T) -> Option<T> {
        if self.rate.is_none() {
            return Some(whose);
        }
        self.advance(now);
        self.active += 1;
        self.ends.push(End {
            served: self.served + bytes as f64,
            number,
            whose,
        });
        None
    }

    /// A transfer is given up. Its end may still come, and is for the caller to pass over.
    pub(crate) fn give_up(&mut self, now: u64) {
        self.advance(now);
        self.left();
    }

    /// One transfer less. With the last one, what was given up has no end to wait for.
    fn left(&mut self) {
        self.active = self.active.saturating_sub(1);
        if self.active == 0 {
            self.ends.clear();
        }
    }

    /// When the next end is, if nothing changes until then.
    pub(crate) fn next(&self) -> Option<u64> {
        let (rate, end) = (self.rate?, self.ends.peek()?);
        let left = (end.served - self.served).max(0.0);
        let sharers = f64::from(self.active);
        Some(self.at + (left * sharers / rate).ceil() as u64)
    }

    /// A transfer that has ended by now. One that `counts` no longer holds a share of the line.
    pub(crate) fn take(&mut self, now: u64, counts: impl Fn(&T) -> bool) -> Option<T> {
        self.advance(now);
        if self.ends.peek()?.served > self.served + CRUMB {
            return None;
        }
        let End { whose, .. } = self.ends.pop()?;
        if counts(&whose) {
            self.left();
        }
        Some(whose)
    }

    fn advance(&mut self, now: u64) {
        if let Some(rate) = self.rate
            && self.active > 0
        {
            let passed = now.saturating_sub(self.at) as f64;
            self.served += passed * rate / f64::from(self.active);
        }
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Who ends when, in milliseconds; starts in milliseconds.
    fn ends(bandwidth: u64, transfers: &[(u64, u64)]) -> Vec<(usize, u64)> {
        let (mut link, mut ended) = (Link::new(Some(bandwidth)), Vec::new());
        let mut waiting = transfers.iter().enumerate().peekable();
        loop {
            let start = waiting.peek().map(|(_, (at, _))| at * 1_000_000);
            match (start, link.next()) {
                (None, None) => return ended,
                (Some(at), next) if next.is_none_or(|next| at <= next) => {
                    let (n, (_, bytes)) = waiting.next().unwrap();
                    assert!(link.start(at, n as u64, *bytes, n).is_none());
                }
                (_, Some(at)) => {
                    while let Some(n) = link.take(at, |_| true) {
                        ended.push((n, at / 1_000_000));
                    }
                }
                (Some(_), None) => unreachable!("the guard took it"),
            }
        }
    }

    #[test]
    fn transfers_share() {
        assert_eq!(ends(1000, &[(0, 1000)]), [(0, 1000)]);
        assert_eq!(ends(1000, &[(0, 1000), (0, 1000)]), [(0, 2000), (1, 2000)]);
        // The second comes when half of the first is done: the first has 500 left, at half the speed.
        assert_eq!(
            ends(1000, &[(0, 1000), (500, 1000)]),
            [(0, 1500), (1, 2000)]
        );
        assert_eq!(Link::new(None).start(0, 0, 1 << 40, 7), Some(7), "no limit");
    }

    #[test]
    fn who_gives_up_leaves_its_share_to_the_others() {
        let mut link = Link::new(Some(1000));
        assert!(link.start(0, 0, 1000, "gone").is_none());
        assert!(link.start(0, 1, 1000, "stays").is_none());
        link.give_up(1_000_000_000);
        let (mut at, mut ended) = (0, None);
        while let Some(next) = link.next() {
            at = next;
            while let Some(whose) = link.take(at, |whose| *whose == "stays") {
                ended = ended.or((whose == "stays").then_some(at));
            }
        }
        assert_eq!(ended, Some(1_500_000_000));
        assert_eq!(
            at, 1_500_000_000,
            "and nobody waits for the one that is gone"
        );
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_and_the_line_is_never_faster_than_it_is(
            transfers in proptest::collection::vec((0u64..2000, 1u64..100_000), 1..40)
        ) {
            let mut transfers = transfers;
            transfers.sort_unstable();
            let ended = ends(10_000, &transfers);
            prop_assert_eq!(ended.len(), transfers.len());
            let last = ended.iter().map(|(_, at)| *at).max().unwrap_or_default();
            let bytes: u64 = transfers.iter().map(|(_, bytes)| bytes).sum();
            let first = transfers.first().map_or(0, |(at, _)| *at);
            prop_assert!(last + 1 >= first + bytes / 10, "{last} ms for {bytes} bytes from {first}");
            let alone = |(n, at): &(usize, u64)| {
                transfers.get(*n).is_some_and(|(start, bytes)| at + 1 >= start + bytes / 10)
            };
            prop_assert!(ended.iter().all(alone));
        }
    }
}
