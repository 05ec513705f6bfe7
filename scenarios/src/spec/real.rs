//! The `kind` section: what differs where time is real and a kubelet costs something.
//!
//! A file needs none of it. Without it a scenario is played on a real cluster as it stands, but for the
//! waits: no more failed pulls are waited for than a few minutes have room for.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_saphyr::Spanned;

use super::{LoadError, NodeSettings, Scenario, Span, Step, parse};

/// For how long a failure is watched at most, unless the file says more.
const LONGEST_WATCH: Duration = Duration::from_mins(4);
/// For how long a workload may take to get where it should be.
const LONGEST_ROLLOUT: Duration = Duration::from_mins(4);
/// A pod's second failed pull shows after half a minute, its third after a whole one.
const MOST_ATTEMPTS: usize = 2;

/// What differs on a real cluster; what is not said stays as it is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OnKind {
    /// Why it cannot be played there.
    #[serde(default)]
    pub skip: Option<String>,
    /// The oldest Kubernetes that can: `1.31`.
    #[serde(default)]
    pub kubernetes: Option<Release>,
    /// The cause that must come out there, where the runtime says less.
    #[serde(default)]
    pub cause: Option<Spanned<String>>,
    /// Nodes that exist when the first act begins.
    #[serde(default)]
    pub nodes: Option<u32>,
    /// What all nodes are like.
    #[serde(default)]
    pub node: Option<NodeSettings>,
    /// The steps of `break`.
    #[serde(default, rename = "break")]
    pub break_: Option<Vec<Spanned<Step>>>,
    /// What is watched for.
    #[serde(default)]
    pub observe: Watch,
    /// The steps of `fix`.
    #[serde(default)]
    pub fix: Option<Vec<Spanned<Step>>>,
}

/// A release of Kubernetes: `1.31`, and as a kubelet says it, `v1.31.4`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    major: u16,
    minor: u16,
}

impl std::fmt::Display for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl std::str::FromStr for Release {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.trim_start_matches('v').split('.');
        let mut number = || parts.next()?.parse().ok();
        let (major, minor) = (number(), number());
        match (major, minor) {
            (Some(major), Some(minor)) => Ok(Self { major, minor }),
            _ => Err(format!("`{text}` is no release such as `1.31`")),
        }
    }
}

impl<'de> Deserialize<'de> for Release {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// The parts of `observe` that depend on how time passes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Watch {
    /// How long to watch at most; watching ends as soon as all has been seen.
    #[serde(default, rename = "for")]
    pub for_: Option<Span>,
    /// A waiting reason that some container must have shown.
    #[serde(default)]
    pub waiting: Option<String>,
    /// Texts, each of which must be part of some event's message.
    #[serde(default)]
    pub events: Option<Vec<String>>,
    /// The least number of failed pulls of the pod that failed most often.
    #[serde(default)]
    pub attempts: Option<usize>,
    /// The least number of pods that run at the end.
    #[serde(default)]
    pub running: Option<usize>,
    /// The least number of pods that still wait at the end.
    #[serde(default)]
    pub still_waiting: Option<usize>,
}

impl Scenario {
    /// The scenario as it is played on a real cluster.
    #[must_use]
    pub fn on_kind(&self) -> Self {
        let mut scenario = self.clone();
        let Some(kind) = scenario.kind.clone().or_else(|| Some(OnKind::default())) else {
            return scenario;
        };
        if let Some(cause) = kind.cause {
            scenario.cause = cause;
        }
        if let Some(nodes) = kind.nodes {
            scenario.cluster.nodes.value = nodes;
        }
        if let Some(node) = kind.node {
            scenario.cluster.node = node;
        }
        let acts = &mut scenario.acts;
        if let Some(steps) = kind.break_ {
            acts.break_ = steps;
        }
        if let Some(steps) = kind.fix {
            acts.fix = steps;
        }
        let (observe, watch) = (&mut acts.observe, kind.observe);
        observe.for_ = watch
            .for_
            .unwrap_or_else(|| observe.for_.at_most(LONGEST_WATCH));
        let expect = &mut observe.expect;
        expect.waiting = watch.waiting.unwrap_or_else(|| expect.waiting.clone());
        expect.events = watch.events.unwrap_or_else(|| expect.events.clone());
        let few = expect.attempts.map(|attempts| attempts.min(MOST_ATTEMPTS));
        expect.attempts = watch.attempts.or(few);
        expect.running = watch.running.or(expect.running);
        expect.still_waiting = watch.still_waiting.or(expect.still_waiting);
        for rollout in [&mut acts.healthy, &mut acts.verify] {
            rollout.within = rollout.within.at_most(LONGEST_ROLLOUT);
        }
        scenario
    }

    /// The same scenario with every registry's host under another name, so that several can be played
    /// side by side where names are everybody's. Registries of a cloud keep theirs.
    ///
    /// Errors: the file does not hold together under the new names.
    pub fn renamed(&self, prefix: &str) -> Result<Self, Box<LoadError>> {
        let names = self.registries.iter().flat_map(|registry| {
            let others = [&registry.token_host, &registry.blobs_at];
            let others = others.into_iter().flatten().map(String::as_str);
            std::iter::once(registry.name()).chain(others)
        });
        let names: std::collections::BTreeSet<&str> = names.collect();
        let text = names
            .into_iter()
            .filter(|name| !name.ends_with(".azurecr.io"))
            .fold(self.source.to_string(), |text, name| {
                prefixed(&text, name, prefix)
            });
        parse(self.id(), &text)
    }
}

/// Puts the prefix before every occurrence of a host name that is not part of a longer one.
fn prefixed(text: &str, name: &str, prefix: &str) -> String {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        let (before, from) = rest.split_at(at);
        let after = from.strip_prefix(name).unwrap_or_default();
        out.push_str(before);
        let last = out.chars().last();
        // A full stop at the end of a sentence is no part of a name.
        let mut next = after.chars();
        let longer = match next.next() {
            Some('.') => next.next().is_some_and(|c| c.is_ascii_alphanumeric()),
            other => other.is_some_and(part),
        };
        if !longer && !last.is_some_and(part) {
            out.push_str(prefix);
        }
        out.push_str(name);
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_names_get_a_prefix() {
        let table = [
            ("registry.example/a:1", "k1-registry.example/a:1"),
            ("\"registry.example\"", "\"k1-registry.example\""),
            ("of registry.example.", "of k1-registry.example."),
            ("registry.example:5000", "k1-registry.example:5000"),
            (
                "https://registry.example/v2",
                "https://k1-registry.example/v2",
            ),
            ("my.registry.example", "my.registry.example"),
            ("registry.example.org", "registry.example.org"),
            ("a-registry.example b", "a-registry.example b"),
            ("", ""),
        ];
        for (text, want) in table {
            assert_eq!(
                prefixed(text, "registry.example", "k1-"),
                want,
                "for {text}"
            );
        }
    }

    #[test]
    fn releases_are_compared_as_numbers() {
        let read = |text: &str| text.parse::<Release>();
        assert!(read("1.9").unwrap() < read("v1.20.2").unwrap());
        assert_eq!(read("v1.31.4-rc.1"), read("1.31"));
        for text in ["", "1", "1.x", "one"] {
            assert!(read(text).is_err(), "for {text}");
        }
    }

    #[test]
    fn every_scenario_of_the_catalogue_has_a_real_form() {
        for scenario in crate::catalogue::all().unwrap() {
            let real = scenario.on_kind();
            assert!(
                real.acts.observe.for_.get() <= Duration::from_mins(10),
                "{}",
                scenario.id()
            );
            let renamed = scenario.renamed("k1-").unwrap();
            assert_eq!(renamed.registries.len(), scenario.registries.len());
        }
    }
}
