//! What happens next: moments in drawers of an eighth of a second, the earlier and then the older first.
//!
//! Most moments lie minutes ahead, in some back-off. A heap of all of them costs a walk through memory
//! that no cache holds, twice for each; here they are put down unsorted, and sorted a drawer at a time
//! when their time has come. What is added to the open drawer goes into a small heap beside it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

/// A drawer holds 2^27 nanoseconds.
const DRAWER: u32 = 27;
/// Empty drawers that are kept for the next ones.
const SPARE: usize = 8;

/// One pull of one node.
pub(crate) type PullId = u32;

/// Something that happens to a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) pull: PullId,
    /// The attempt it belongs to; of an older one it does not happen any more.
    pub(crate) attempt: u32,
    pub(crate) what: What,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// The kubelet looks at the pod.
    Sync,
    /// The credential provider's exchange reaches the registry.
    Exchange,
    /// The request for a token reaches the registry, after a challenge to `ask`.
    Token(Ask),
    /// A request reaches the registry, as the `sent`th of its exchange.
    Request { ask: Ask, sent: u8 },
    /// Everything is on the node and unpacked.
    Unpacked,
    /// A layer is there.
    Layer,
    /// The attempt is over, for nothing.
    Failed,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// The tag, by HEAD.
    Tag,
    /// The manifest or index behind it.
    Top,
    /// The platform's manifest of an index.
    Manifest,
    Config,
    Layer(u16),
}

/// The drawers.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// The drawer that is open: nothing that is still to come lies in an earlier one.
    open: u64,
    /// What was in it when it was opened, the next one last.
    sorted: Vec<Entry>,
    /// What was added to it since.
    fresh: BinaryHeap<Entry>,
    later: BTreeMap<u64, Vec<Entry>>,
    spare: Vec<Vec<Entry>>,
    number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    at: u64,
    number: u64,
    event: Event,
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The next is the greatest, as the heap wants it.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl Events {
    /// Something happens at `at`.
    pub(crate) fn push(&mut self, at: u64, event: Event) {
        let number = self.number();
        let entry = Entry { at, number, event };
        let drawer = at >> DRAWER;
        if drawer <= self.open {
            self.fresh.push(entry);
            return;
        }
        let spare = &mut self.spare;
        let drawer = self.later.entry(drawer);
        drawer
            .or_insert_with(|| spare.pop().unwrap_or_default())
            .push(entry);
    }

    /// A number that no other moment has.
    pub(crate) fn number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// When the next one is.
    pub(crate) fn next(&mut self) -> Option<u64> {
        self.fill();
        self.first().map(|(entry, _)| entry.at)
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, Event)> {
        self.fill();
        let (_, is_fresh) = self.first()?;
        let entry = if is_fresh {
            self.fresh.pop()
        } else {
            self.sorted.pop()
        };
        entry.map(|entry| (entry.at, entry.event))
    }

    /// The next one in the open drawer, and whether it was added while that was open.
    fn first(&self) -> Option<(&Entry, bool)> {
        match (self.sorted.last(), self.fresh.peek()) {
            (Some(old), Some(fresh)) if fresh > old => Some((fresh, true)),
            (Some(old), _) => Some((old, false)),
            (None, Some(fresh)) => Some((fresh, true)),
            (None, None) => None,
        }
    }

    /// Opens the next drawer when the open one is empty.
    fn fill(&mut self) {
        if !self.sorted.is_empty() || !self.fresh.is_empty() {
            return;
        }
        let Some((drawer, mut entries)) = self.later.pop_first() else {
            return;
        };
        entries.sort_unstable();
        self.open = drawer;
        let empty = std::mem::replace(&mut self.sorted, entries);
        if self.spare.len() < SPARE {
            self.spare.push(empty);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// As one heap of all moments would have it, also when more come while it is emptied.
        #[test]
        fn moments_come_in_their_order(steps in proptest::collection::vec((0_u64..4 << 30, 0_usize..3), 1..200)) {
            let (mut events, mut heap, mut now) = (Events::default(), BinaryHeap::new(), 0);
            for (n, (ahead, pops)) in (0_u32..).zip(steps) {
                let event = Event { pull: n, attempt: 0, what: What::Sync };
                let at = now + if n % 3 == 0 { ahead >> 12 } else { ahead };
                events.push(at, event);
                heap.push(Entry { at, number: events.number, event });
                for _ in 0..pops {
                    let want = heap.pop().map(|entry| (entry.at, entry.event));
                    prop_assert_eq!(events.next(), want.map(|(at, _)| at));
                    prop_assert_eq!(events.pop(), want);
                    now = want.map_or(now, |(at, _)| at);
                }
            }
            while let Some(want) = heap.pop() {
                prop_assert_eq!(events.pop(), Some((want.at, want.event)));
            }
            prop_assert_eq!(events.pop(), None);
        }
    }
}
