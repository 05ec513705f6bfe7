//! The fault script: an ordered list of rules, of which the first that fires decides.
//!
//! A rule says when it is meant (`match`), how often (`times`, `nth`, `probability`) and what then
//! happens (`action`). Counting is the rule's own, chance comes from the run's seed, time from the
//! clock handed in: the same requests meet the same faults. Rules can be changed while running,
//! and each says how often it matched and fired.

pub(crate) mod apply;
mod quota;
mod rule;
mod shortcut;
mod table;
mod values;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use http::Method;

pub use quota::{CountBy, KnownQuota, Quota};
pub use rule::{Action, End, Match, Rule};
pub use shortcut::{Challenge, TokenFault};
pub use table::{FaultKey, KeyKind, fault_table};
pub use values::{Nth, OneOrMany, Pattern, Span};

use crate::core::Call;
use crate::random::Random;
use crate::registry::FakeRegistry;

/// A fault script: rules in their order.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The rules; the first that fires decides.
    pub rules: Vec<Rule>,
}

/// A fault script that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ScriptError {
    /// Counted from 1; 0 where it is not known.
    pub line: u64,
    /// Counted from 1; 0 where it is not known.
    pub column: u64,
    /// What is wrong there.
    pub message: String,
}

impl ScriptError {
    pub(crate) fn of(error: &serde_saphyr::Error) -> Self {
        let place = error.location();
        Self {
            line: place.map_or(0, |place| place.line()),
            column: place.map_or(0, |place| place.column()),
            message: error.without_snippet().to_string(),
        }
    }
}

impl Script {
    /// No rules.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads YAML (`rules: [{match: …, action: …}]`); unknown keys are refused.
    pub fn from_yaml(text: &str) -> Result<Self, ScriptError> {
        serde_saphyr::from_str(text).map_err(|error| ScriptError::of(&error))
    }

    /// Adds a rule at the end.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }
}

impl Rule {
    /// Reads one rule in YAML.
    pub fn from_yaml(text: &str) -> Result<Self, ScriptError> {
        serde_saphyr::from_str(text).map_err(|error| ScriptError::of(&error))
    }
}

/// Names a rule of a running registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleId(u64);

impl RuleId {
    /// The number behind the name.
    pub fn number(self) -> u64 {
        self.0
    }

    pub(crate) fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// A rule and how often it was used.
#[derive(Clone, Debug)]
pub struct RuleReport {
    /// Names it.
    pub id: RuleId,
    /// As given.
    pub rule: Rule,
    /// Requests that it was meant for.
    pub matched: u64,
    /// Requests that it acted on.
    pub fired: u64,
}

/// The rules of a running registry.
pub(crate) struct Faults {
    rules: RwLock<Vec<Arc<Active>>>,
    /// So that a registry without rules pays one load.
    count: AtomicUsize,
    next: AtomicU64,
    random: Random,
    seed: u64,
}

pub(crate) struct Active {
    id: RuleId,
    /// What the journal shows.
    pub(crate) name: Arc<str>,
    pub(crate) rule: Rule,
    matched: AtomicU64,
    fired: AtomicU64,
    used: Mutex<quota::Used>,
}

/// The seconds until a quota is there again, if a rule fires because it is used up.
struct Wait(Option<u64>);

/// What a rule does to a request.
pub(crate) struct Firing {
    pub(crate) rule: Arc<Active>,
    /// Seconds until the quota is there again.
    pub(crate) wait: Option<u64>,
}

impl Faults {
    pub(crate) fn new(script: Script, seed: u64) -> Self {
        let faults = Self {
            rules: RwLock::default(),
            count: AtomicUsize::new(0),
            next: AtomicU64::new(0),
            random: Random::new(seed, "faults"),
            seed,
        };
        faults.change(|rules| {
            rules.extend(script.rules.into_iter().map(|rule| faults.activate(rule)));
        });
        faults
    }

    fn activate(&self, rule: Rule) -> Arc<Active> {
        let id = RuleId(self.next.fetch_add(1, Ordering::Relaxed));
        let name = match &rule.name {
            Some(name) => name.as_str().into(),
            None => format!("rule {}", id.0).into(),
        };
        Arc::new(Active {
            id,
            name,
            rule,
            matched: AtomicU64::new(0),
            fired: AtomicU64::new(0),
            used: Mutex::default(),
        })
    }

    fn change<T>(&self, work: impl FnOnce(&mut Vec<Arc<Active>>) -> T) -> T {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        let done = work(&mut rules);
        self.count.store(rules.len(), Ordering::Relaxed);
        done
    }

    /// The first rule that fires.
    pub(crate) fn decide(&self, call: &Call<'_>, elapsed: Duration) -> Option<Firing> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        rules.iter().find_map(|active| {
            let Wait(wait) = active.fires(call, elapsed, self)?;
            Some(Firing {
                rule: active.clone(),
                wait,
            })
        })
    }
}

impl Active {
    /// `None` if it does not fire.
    fn fires(&self, call: &Call<'_>, elapsed: Duration, faults: &Faults) -> Option<Wait> {
        let when = &self.rule.when;
        if !when.means(call, elapsed) {
            return None;
        }
        // Each rule has ups and downs of its own.
        let seed = faults.seed.wrapping_add(self.id.0);
        if when.flap.is_some_and(|flap| !flap.is_bad(elapsed, seed)) {
            return None;
        }
        let number = self.matched.fetch_add(1, Ordering::Relaxed) + 1;
        if when.nth.as_ref().is_some_and(|nth| !nth.contains(number)) {
            return None;
        }
        if when
            .probability
            .is_some_and(|chance| faults.random.fraction() >= chance.0)
        {
            return None;
        }
        let wait = match &self.rule.action.quota {
            None => None,
            Some(quota) => {
                let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
                Some(used.charge(quota, call, elapsed)?)
            }
        };
        let limit = self.rule.times.unwrap_or(u64::MAX);
        let fired = self
            .fired
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |fired| {
                (fired < limit).then_some(fired + 1)
            });
        fired.is_ok().then_some(Wait(wait))
    }
}

impl Match {
    /// Whether a rule is meant for a request, counters aside.
    pub(crate) fn means(&self, call: &Call<'_>, elapsed: Duration) -> bool {
        let fits = |pattern: &Option<Pattern>, text: &str| {
            pattern.as_ref().is_none_or(|pattern| pattern.matches(text))
        };
        let routes = self.route.as_ref();
        let methods = self.method.as_ref();
        self.from.is_none_or(|from| elapsed >= from.0)
            && self.until.is_none_or(|until| elapsed < until.0)
            && routes.is_none_or(|routes| routes.contains(&call.target.route))
            && methods.is_none_or(|methods| methods.iter().any(|method| method.0 == *call.method))
            && fits(&self.host, call.host)
            && fits(&self.repository, call.target.repository)
            && fits(&self.reference, call.target.reference)
            && fits(&self.client, &call.connection.client)
            && fits(&self.path, call.path)
            && self
                .ranged
                .is_none_or(|ranged| ranged == call.headers.contains_key(http::header::RANGE))
            && self.authorized.is_none_or(|authorized| {
                authorized == call.headers.contains_key(http::header::AUTHORIZATION)
            })
    }
}

/// The fault script of a running registry, to be changed at any time.
#[derive(Clone)]
pub struct FaultHandle {
    registry: FakeRegistry,
}

impl FakeRegistry {
    /// The fault script.
    pub fn faults(&self) -> FaultHandle {
        FaultHandle {
            registry: self.clone(),
        }
    }
}

impl FaultHandle {
    fn faults(&self) -> &Faults {
        &self.registry.core().faults
    }

    /// Adds a rule after all others.
    pub fn add(&self, rule: Rule) -> RuleId {
        let active = self.faults().activate(rule);
        let id = active.id;
        self.faults().change(|rules| rules.push(active));
        id
    }

    /// Adds a rule before all others.
    pub fn add_first(&self, rule: Rule) -> RuleId {
        let active = self.faults().activate(rule);
        let id = active.id;
        self.faults().change(|rules| rules.insert(0, active));
        id
    }

    /// Removes a rule; false if it is gone already.
    pub fn remove(&self, id: RuleId) -> bool {
        self.faults().change(|rules| {
            let before = rules.len();
            rules.retain(|rule| rule.id != id);
            rules.len() < before
        })
    }

    /// Removes every rule.
    pub fn clear(&self) {
        self.faults().change(Vec::clear);
    }

    /// Puts a script in the place of all rules; counters begin anew.
    pub fn replace(&self, script: Script) {
        let rules: Vec<_> = script
            .rules
            .into_iter()
            .map(|rule| self.faults().activate(rule))
            .collect();
        self.faults().change(|old| *old = rules);
    }

    /// Every rule and how often it was used.
    pub fn report(&self) -> Vec<RuleReport> {
        let rules = self
            .faults()
            .rules
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let report = |active: &Arc<Active>| RuleReport {
            id: active.id,
            rule: active.rule.clone(),
            matched: active.matched.load(Ordering::Relaxed),
            fired: active.fired.load(Ordering::Relaxed),
        };
        rules.iter().map(report).collect()
    }

    /// How often a rule fired; 0 if it is gone.
    pub fn fired(&self, id: RuleId) -> u64 {
        let found = self.report().into_iter().find(|report| report.id == id);
        found.map_or(0, |report| report.fired)
    }
}

/// Methods compare as they are spelt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MethodName(pub(crate) Method);
