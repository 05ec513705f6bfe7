//! What becomes of an event before it is written: the correlator of client-go `tools/record`.
//!
//! An occurrence goes in; out comes *create*, *update* or *skip*, with the count that the written event
//! shall carry. Three steps in this order: many messages of one kind are combined, an event seen before
//! becomes a higher count, and a source that talks too much about one object is cut short (its counts go
//! on in the cache, which is why counts jump). Pure: no clock, no store.

use std::collections::BTreeMap;
use std::time::Duration;

use super::limit::TokenBucket;

/// Distinct messages of one kind before they are combined.
const COMBINE_AT: usize = 10;
/// A kind not seen for longer starts afresh.
const COMBINE_WINDOW: Duration = Duration::from_mins(10);
/// Writes about one object before the filter bites, and how fast they come back.
const SPAM_BURST: u32 = 25;
const SPAM_PER_SECOND: f64 = 1.0 / 300.0;
/// Entries of each cache.
const CACHE: usize = 4096;

/// `Normal` or `Warning`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing is wrong.
    Normal,
    /// Somebody may want to look.
    Warning,
}

impl Severity {
    /// As the event's `type` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ObjectRef {
    /// `v1` for pods and nodes.
    pub api_version: String,
    /// Kind of the object.
    pub kind: String,
    /// Its namespace; empty for nodes.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// The version seen when the event happened; empty if unknown.
    pub resource_version: String,
    /// `spec.containers{app}`; empty when the whole object is meant.
    pub field_path: String,
}

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// About what.
    pub object: ObjectRef,
    /// Normal or Warning.
    pub severity: Severity,
    /// CamelCase reason.
    pub reason: String,
    /// The text.
    pub message: String,
}

/// What shall be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Name of the event object.
    pub name: String,
    /// How often it happened, skipped times included.
    pub count: u32,
    /// First time, since the start of the simulation.
    pub first: Duration,
    /// This time.
    pub last: Duration,
    /// The text to write; for combined events with the prefix.
    pub message: String,
    /// A combined event is rebuilt and does not name its reporter.
    pub combined: bool,
    /// The cache key, for [`Correlator::forget`].
    key: EventKey,
}

/// The verdict on one occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Dropped by the spam filter.
    Skip,
    /// A new event object.
    Create(Write),
    /// A higher count (and for combined events a newer text) on an event written before.
    Update(Write),
}

type AggregateKey = (ObjectRef, Severity, String);
type EventKey = (ObjectRef, Severity, String, Option<String>);
type SpamKey = (ObjectRef, Option<Severity>);

#[derive(Debug, Default)]
struct Aggregate {
    /// In order of first appearance: which one Go's map gives up is chance, here it is the oldest.
    messages: Vec<String>,
    last: Option<Duration>,
}

#[derive(Debug, Clone)]
struct Log {
    count: u32,
    first: Duration,
    name: String,
}

/// The three caches of one event source (component and host).
#[derive(Debug)]
pub struct Correlator {
    spam_by_type: bool,
    aggregates: Cache<AggregateKey, Aggregate>,
    logs: Cache<EventKey, Log>,
    buckets: Cache<SpamKey, TokenBucket>,
    last_stamp: u128,
}

impl Correlator {
    /// `spam_by_type`: whether Normal and Warning are counted apart (Kubernetes 1.32 on).
    pub fn new(spam_by_type: bool) -> Self {
        Self {
            spam_by_type,
            aggregates: Cache::new(),
            logs: Cache::new(),
            buckets: Cache::new(),
            last_stamp: 0,
        }
    }

    /// Decides on one occurrence. `now` is virtual time; `epoch_nanos` the wall clock at virtual zero,
    /// which the event's name is made from.
    pub fn step(&mut self, now: Duration, epoch_nanos: u128, event: &Occurrence) -> Decision {
        // A real clock never shows one nanosecond twice; a virtual one does.
        let stamp = (epoch_nanos + now.as_nanos()).max(self.last_stamp + 1);
        self.last_stamp = stamp;

        let (key, message, combined) = self.aggregate(now, event);
        let fresh = format!("{}.{stamp:x}", event.object.name);
        let known = self.logs.get(&key).cloned();
        let update = known.is_some();
        let log = match known {
            Some(log) => Log {
                count: log.count.saturating_add(1),
                ..log
            },
            None => Log {
                count: 1,
                first: now,
                name: fresh,
            },
        };
        self.logs.put(key.clone(), log.clone());

        let spam_key = (
            ObjectRef {
                resource_version: String::new(),
                field_path: String::new(),
                ..event.object.clone()
            },
            self.spam_by_type.then_some(event.severity),
        );
        let bucket = self.buckets.get_or_insert_with(&spam_key, || {
            TokenBucket::new(SPAM_PER_SECOND, SPAM_BURST, now)
        });
        if !bucket.try_take(now) {
            return Decision::Skip;
        }
        let write = Write {
            name: log.name,
            count: log.count,
            first: log.first,
            last: now,
            message,
            combined,
            key,
        };
        if update {
            Decision::Update(write)
        } else {
            Decision::Create(write)
        }
    }

    /// The event behind this write is gone from the API (its hour is over): the next one is created anew.
    pub fn forget(&mut self, write: &Write) {
        self.logs.remove(&write.key);
    }

    fn aggregate(&mut self, now: Duration, event: &Occurrence) -> (EventKey, String, bool) {
        let plain = ObjectRef {
            resource_version: String::new(),
            ..event.object.clone()
        };
        let whole = ObjectRef {
            field_path: String::new(),
            ..plain.clone()
        };
        let record = self.aggregates.get_or_insert_with(
            &(whole.clone(), event.severity, event.reason.clone()),
            Aggregate::default,
        );
        if record
            .last
            .is_none_or(|last| now.saturating_sub(last) > COMBINE_WINDOW)
        {
            record.messages.clear();
        }
        record.last = Some(now);
        if !record.messages.contains(&event.message) {
            record.messages.push(event.message.clone());
        }
        if record.messages.len() < COMBINE_AT {
            let key = (
                plain,
                event.severity,
                event.reason.clone(),
                Some(event.message.clone()),
            );
            return (key, event.message.clone(), false);
        }
        record.messages.remove(0);
        let key = (whole, event.severity, event.reason.clone(), None);
        (
            key,
            format!("(combined from similar events): {}", event.message),
            true,
        )
    }
}

/// A map that forgets what was not used for longest.
#[derive(Debug)]
struct Cache<K, V> {
    entries: BTreeMap<K, (u64, V)>,
    ages: BTreeMap<u64, K>,
    tick: u64,
}

impl<K: Ord + Clone, V> Cache<K, V> {
    fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            ages: BTreeMap::new(),
            tick: 0,
        }
    }

    fn touch(&mut self, key: &K) {
        self.tick += 1;
        if let Some((age, _)) = self.entries.get_mut(key) {
            self.ages.remove(age);
            *age = self.tick;
            self.ages.insert(self.tick, key.clone());
        }
    }

    fn get(&mut self, key: &K) -> Option<&V> {
        self.touch(key);
        self.entries.get(key).map(|(_, value)| value)
    }

    fn put(&mut self, key: K, value: V) {
        self.remove(&key);
        self.tick += 1;
        self.ages.insert(self.tick, key.clone());
        self.entries.insert(key, (self.tick, value));
        while self.entries.len() > CACHE {
            let Some((_, oldest)) = self.ages.pop_first() else {
                break;
            };
            self.entries.remove(&oldest);
        }
    }

    fn get_or_insert_with(&mut self, key: &K, make: impl FnOnce() -> V) -> &mut V {
        if self.entries.contains_key(key) {
            self.touch(key);
        } else {
            self.put(key.clone(), make());
        }
        let Some((_, value)) = self.entries.get_mut(key) else {
            unreachable!("the entry was put above")
        };
        value
    }

    fn remove(&mut self, key: &K) {
        if let Some((age, _)) = self.entries.remove(key) {
            self.ages.remove(&age);
        }
    }
}

#[cfg(test)]
mod tests;
