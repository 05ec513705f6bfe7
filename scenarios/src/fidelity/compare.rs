//! Two observations of one scenario side by side: what differs, aspect by aspect. Pure.
//!
//! Texts have to be the same to the letter. What depends on chance is compared as far as it does not: counts
//! and gaps within what the kubelet's sync jitter allows, order where it is the same in every run.

use std::collections::{BTreeMap, BTreeSet};

use super::observation::{Event, Observation, Status};
use super::requests;

/// A pod is looked at again 10 to 15 s after a failure, and back-offs end at such a look
/// (`pkg/kubelet/kubelet.go`, `backOffPeriod`; `pod_workers.go`, `workerBackOffPeriodJitterFactor`), and a
/// moment for machines that are busy.
const JITTER: u64 = 15_000 + 2_000;
/// What is seen by then of a play that ends in virtual time need not be seen in a real one.
const TAIL: u64 = 3_000;
/// Up to 1.21 every event has a task of its own on its way to the API (`client-go`, `tools/record/event.go`, `go
/// recorder.Action`): of two that are recorded one right after the other, either comes first.
const TOGETHER: u64 = 50;

/// What is compared.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Aspect {
    /// The play itself: whether all six acts go well on both.
    Play,
    /// Which events there are: object, type, reason, message.
    Events,
    /// In which order they come.
    Order,
    /// How often they are told.
    Counts,
    /// Which states containers show, and in which order.
    Statuses,
    /// What the runtime asks the registry, and in which order.
    Requests,
    /// How long it is from one pull to the next.
    Gaps,
}

impl Aspect {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 7] = [
        Self::Play,
        Self::Events,
        Self::Order,
        Self::Counts,
        Self::Statuses,
        Self::Requests,
        Self::Gaps,
    ];

    /// As in tables and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Play => "play",
            Self::Events => "events",
            Self::Order => "order",
            Self::Counts => "counts",
            Self::Statuses => "statuses",
            Self::Requests => "requests",
            Self::Gaps => "gaps",
        }
    }
}

/// One thing that is not the same.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// Of which kind.
    pub aspect: Aspect,
    /// What is compared: `pod/web~2-<pod> Warning Failed`.
    pub what: String,
    /// How it is on the real cluster; nothing where it is not there.
    pub real: Option<String>,
    /// How it is on the embedded one; nothing where it is not there.
    pub embedded: Option<String>,
}

/// Everything that is not the same, in the order of the aspects.
pub fn compare(real: &Observation, embedded: &Observation) -> Vec<Difference> {
    let mut found = Vec::new();
    let end = embedded.header.whole.0.saturating_sub(TAIL);
    events(real, embedded, end, &mut found);
    counts(real, embedded, &mut found);
    statuses(real, embedded, end, &mut found);
    requests::compare(real, embedded, &mut found);
    gaps(real, embedded, &mut found);
    found.sort_by_key(|difference| difference.aspect);
    found
}

/// Texts of one side that the other has not, as differences. Where both have one that the other lacks,
/// under one head, the two stand beside each other.
pub(super) fn texts<'a>(
    aspect: Aspect,
    real: &BTreeSet<(String, &'a str)>,
    embedded: &BTreeSet<(String, &'a str)>,
) -> Vec<Difference> {
    let mut left: BTreeMap<&str, (Vec<&str>, Vec<&str>)> = BTreeMap::new();
    for (what, text) in real.difference(embedded) {
        left.entry(what).or_default().0.push(text);
    }
    for (what, text) in embedded.difference(real) {
        left.entry(what).or_default().1.push(text);
    }
    let mut found = Vec::new();
    for (what, (real, embedded)) in left {
        for at in 0..real.len().max(embedded.len()) {
            found.push(Difference {
                aspect,
                what: what.to_owned(),
                real: real.get(at).map(ToString::to_string),
                embedded: embedded.get(at).map(ToString::to_string),
            });
        }
    }
    found
}

/// What comes first in every sequence in which both are, by at least so many milliseconds.
pub(super) fn precedence<K: Ord + Clone>(
    sequences: impl IntoIterator<Item = Vec<(u64, K)>>,
    apart: u64,
) -> BTreeSet<(K, K)> {
    let mut clear = BTreeSet::new();
    let mut never = BTreeSet::new();
    for sequence in sequences {
        for (at, (early, first)) in sequence.iter().enumerate() {
            for (late, second) in sequence.iter().skip(at + 1) {
                never.insert((second.clone(), first.clone()));
                if late.saturating_sub(*early) >= apart {
                    clear.insert((first.clone(), second.clone()));
                }
            }
        }
    }
    clear.difference(&never).cloned().collect()
}

/// Pairs that come in one order on one side and in the other on the other.
pub(super) fn turned<K: Ord + Clone>(
    real: &BTreeSet<(K, K)>,
    embedded: &BTreeSet<(K, K)>,
) -> Vec<(K, K)> {
    let pairs = real.iter();
    pairs
        .filter(|(first, second)| embedded.contains(&(second.clone(), first.clone())))
        .cloned()
        .collect()
}

fn head(event: &Event) -> String {
    format!("{} {} {}", event.object, event.type_, event.reason)
}

/// For how long each kind of object was there to be seen: from its first event or status to its last.
struct Lives(BTreeMap<(String, usize), (u64, u64)>);

impl Lives {
    fn of(observation: &Observation) -> Self {
        let mut lives = BTreeMap::new();
        let mut seen = |object: String, number: usize, at: u64| {
            let life = lives.entry((object, number)).or_insert((at, at));
            *life = (life.0.min(at), life.1.max(at));
        };
        for event in &observation.events {
            for at in &event.at {
                seen(event.object.clone(), event.number, at.0);
            }
        }
        for status in &observation.statuses {
            seen(format!("pod/{}", status.pod), status.number, status.at.0);
        }
        Self(lives)
    }

    /// How old an object was at a moment.
    fn age(&self, object: &str, number: usize, at: u64) -> u64 {
        let life = self.0.get(&(object.to_owned(), number));
        life.map_or(0, |(from, _)| at.saturating_sub(*from))
    }

    /// How old one of that name grew at most.
    fn longest(&self, object: &str) -> u64 {
        let lives = self.0.iter().filter(|((name, _), _)| name == object);
        lives.map(|(_, (from, to))| to - from).max().unwrap_or(0)
    }
}

fn events(real: &Observation, embedded: &Observation, end: u64, found: &mut Vec<Difference>) {
    let lives = (Lives::of(real), Lives::of(embedded));
    let all_real: BTreeSet<(String, &str)> = real
        .events
        .iter()
        .map(|event| (head(event), event.message.as_str()))
        .collect();
    // What comes at an age that the real one did not reach, or at the very end, need not be there.
    let wanted = |event: &&Event| {
        let at = event.at.first().map_or(0, |at| at.0);
        let age = lives.1.age(&event.object, event.number, at);
        all_real.contains(&(head(event), event.message.as_str()))
            || (at < end && age <= lives.0.longest(&event.object))
    };
    let all_embedded = embedded.events.iter().filter(wanted);
    let all_embedded = all_embedded.map(|event| (head(event), event.message.as_str()));
    let all_embedded = all_embedded.collect();
    found.extend(texts(Aspect::Events, &all_real, &all_embedded));
    let (one, other) = (sequences(real), sequences(embedded));
    for (object, sequences) in one {
        let Some(others) = other.get(&object) else {
            continue;
        };
        let real = precedence(sequences, TOGETHER);
        let embedded = precedence(others.clone(), TOGETHER);
        for ((first, first_text), (second, second_text)) in turned(&real, &embedded) {
            let line = |one: &str, text: &str, two: &str, other: &str| {
                format!("{one} ({text}) before {two} ({other})")
            };
            found.push(Difference {
                aspect: Aspect::Order,
                what: object.clone(),
                real: Some(line(&first, &first_text, &second, &second_text)),
                embedded: Some(line(&second, &second_text, &first, &first_text)),
            });
        }
    }
}

type Sequence = Vec<(u64, (String, String))>;

/// Reasons and messages of each object's events, in the order of their first writes.
fn sequences(of: &Observation) -> BTreeMap<String, Vec<Sequence>> {
    let mut by_object: BTreeMap<(&str, usize), Sequence> = BTreeMap::new();
    for event in &of.events {
        let sequence = by_object.entry((&event.object, event.number)).or_default();
        let at = event.at.first().map_or(0, |at| at.0);
        sequence.push((at, (event.reason.clone(), event.message.clone())));
    }
    let mut by_name: BTreeMap<String, Vec<Sequence>> = BTreeMap::new();
    for ((object, _), sequence) in by_object {
        by_name.entry(object.to_owned()).or_default().push(sequence);
    }
    by_name
}

/// The least and the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    least: u64,
    most: u64,
}

impl Range {
    fn of(values: impl IntoIterator<Item = u64>) -> Option<Self> {
        values.into_iter().fold(None, |range, value| {
            let Self { least, most } = range.unwrap_or(Self {
                least: value,
                most: value,
            });
            Some(Self {
                least: least.min(value),
                most: most.max(value),
            })
        })
    }

    /// Whether the two meet once each is given so much on both sides.
    const fn meets(self, other: Self, within: u64) -> bool {
        self.least <= other.most + within && other.least <= self.most + within
    }
}

/// Of each text as often as it was told up to the age that objects of that name reached on both.
fn counts(real: &Observation, embedded: &Observation, found: &mut Vec<Difference>) {
    let lives = (Lives::of(real), Lives::of(embedded));
    let by_text = |of: &Observation, own: &Lives| {
        let mut counts: BTreeMap<(String, String), Vec<u64>> = BTreeMap::new();
        for event in &of.events {
            let object = &event.object;
            // What is told again and again is told of pods; all else happens as often as it happens.
            let until = if object.starts_with("pod/") {
                lives.0.longest(object).min(lives.1.longest(object))
            } else {
                u64::MAX
            };
            let writes = event.at.iter();
            let told = writes.filter(|at| own.age(object, event.number, at.0) <= until);
            let key = (head(event), event.message.clone());
            counts.entry(key).or_default().push(told.count() as u64);
        }
        counts
    };
    let (one, other) = (by_text(real, &lives.0), by_text(embedded, &lives.1));
    for ((what, message), counts) in one {
        let others = other.get(&(what.clone(), message.clone()));
        let (Some(real), Some(embedded)) = (
            Range::of(counts),
            others.and_then(|counts| Range::of(counts.iter().copied())),
        ) else {
            continue;
        };
        // Looks come every 10 to 15 s: of as many as fit, a quarter more or less, and one.
        let within = 1 + real.most.max(embedded.most) / 4;
        if !real.meets(embedded, within) {
            found.push(Difference {
                aspect: Aspect::Counts,
                what: format!("{what}: {message}"),
                real: Some(times(real)),
                embedded: Some(times(embedded)),
            });
        }
    }
}

fn times(range: Range) -> String {
    if range.least == range.most {
        format!("{} times", range.least)
    } else {
        format!("{} to {} times", range.least, range.most)
    }
}

fn shown(status: &Status) -> String {
    match &status.message {
        Some(message) => format!("{}: {message}", status.state),
        None => status.state.clone(),
    }
}

/// What each container of a name showed, by pod, each state at the moment at which it first did.
type Shown = BTreeMap<String, BTreeMap<usize, Vec<(u64, String)>>>;

fn shown_by_container(of: &Observation) -> Shown {
    let mut containers = Shown::new();
    for status in &of.statuses {
        let name = format!("{} {}", status.pod, status.container);
        let pods = containers.entry(name).or_default();
        let sequence = pods.entry(status.number).or_default();
        let shown = shown(status);
        if !sequence.iter().any(|(_, text)| *text == shown) {
            sequence.push((status.at.0, shown));
        }
    }
    containers
}

fn statuses(real: &Observation, embedded: &Observation, end: u64, found: &mut Vec<Difference>) {
    let (one, other) = (shown_by_container(real), shown_by_container(embedded));
    let all_real: BTreeSet<(String, &str)> = one
        .iter()
        .flat_map(|(name, pods)| pods.values().flatten().map(move |(_, text)| (name, text)))
        .map(|(name, text)| (name.clone(), text.as_str()))
        .collect();
    let lives = Lives::of(real);
    let mut all_embedded = BTreeSet::new();
    for (name, pods) in &other {
        let pod = name.split(' ').next().unwrap_or_default();
        let reached = lives.longest(&format!("pod/{pod}"));
        for sequence in pods.values() {
            let born = sequence.first().map_or(0, |(at, _)| *at);
            for (at, text) in sequence {
                let key = (name.clone(), text.as_str());
                if all_real.contains(&key) || (*at < end && at - born <= reached) {
                    all_embedded.insert(key);
                }
            }
        }
    }
    found.extend(texts(Aspect::Statuses, &all_real, &all_embedded));
    for (name, pods) in &one {
        let Some(others) = other.get(name) else {
            continue;
        };
        let real = precedence(pods.values().cloned(), 0);
        let embedded = precedence(others.values().cloned(), 0);
        for (first, second) in turned(&real, &embedded) {
            found.push(Difference {
                aspect: Aspect::Statuses,
                what: name.clone(),
                real: Some(format!("{first} before {second}")),
                embedded: Some(format!("{second} before {first}")),
            });
        }
    }
}

/// From the beginning of one pull to that of the next, of each pod by itself; the n-th of all pods of one
/// template are compared.
fn gaps(real: &Observation, embedded: &Observation, found: &mut Vec<Difference>) {
    let by_pod = |of: &Observation| {
        let mut gaps: BTreeMap<(String, usize), Vec<u64>> = BTreeMap::new();
        let pulls = of.events.iter().filter(|event| event.reason == "Pulling");
        for event in pulls {
            let what = format!("{} {}", event.object, event.message);
            for (at, pair) in event.at.windows(2).enumerate() {
                if let [first, second] = pair {
                    let gap = second.0.saturating_sub(first.0);
                    gaps.entry((what.clone(), at)).or_default().push(gap);
                }
            }
        }
        gaps
    };
    let (one, other) = (by_pod(real), by_pod(embedded));
    for ((what, at), gaps) in one {
        let others = other.get(&(what.clone(), at));
        let (Some(real), Some(embedded)) = (
            Range::of(gaps),
            others.and_then(|gaps| Range::of(gaps.iter().copied())),
        ) else {
            continue;
        };
        if !real.meets(embedded, JITTER) {
            let tell = |range: Range| {
                let seconds = |millis: u64| format!("{}.{} s", millis / 1000, millis % 1000 / 100);
                if range.least == range.most {
                    seconds(range.least)
                } else {
                    format!("{} to {}", seconds(range.least), seconds(range.most))
                }
            };
            found.push(Difference {
                aspect: Aspect::Gaps,
                what: format!("{what}, gap {}", at + 1),
                real: Some(tell(real)),
                embedded: Some(tell(embedded)),
            });
        }
    }
}
