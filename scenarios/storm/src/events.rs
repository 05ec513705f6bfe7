//! What happens next: a heap of moments, the earlier and then the older first.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

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

/// The heap.
#[derive(Debug, Default)]
pub(crate) struct Events {
    heap: BinaryHeap<Entry>,
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
        self.heap.push(Entry { at, number, event });
    }

    /// A number that no other moment has.
    pub(crate) fn number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    pub(crate) fn next(&self) -> Option<u64> {
        self.heap.peek().map(|entry| entry.at)
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, Event)> {
        self.heap.pop().map(|entry| (entry.at, entry.event))
    }
}
