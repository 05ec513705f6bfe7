//! Expectations: how often clients are to do something, verified at the end of a test.
//!
//! An expectation counts requests that fit a match, whatever becomes of them. Those of a server
//! are verified when it is dropped, those of a scope when its guard is, and any time with
//! `verify`; a drop in a test that has failed already stays quiet.

use std::fmt;
use std::ops::{Range, RangeFrom, RangeInclusive, RangeToInclusive};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::core::Call;
use crate::fault::Match;
use crate::registry::FakeRegistry;

/// Lines of the journal that a failed verification shows.
const SHOWN: usize = 40;

/// How often: `2`, `1..3`, `1..=2`, `1..`, `..=2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    least: u64,
    most: Option<u64>,
}

impl Times {
    fn contains(self, count: u64) -> bool {
        count >= self.least && self.most.is_none_or(|most| count <= most)
    }
}

impl From<u64> for Times {
    fn from(count: u64) -> Self {
        (count..=count).into()
    }
}

impl From<Range<u64>> for Times {
    fn from(range: Range<u64>) -> Self {
        (range.start..=range.end.saturating_sub(1)).into()
    }
}

impl From<RangeInclusive<u64>> for Times {
    fn from(range: RangeInclusive<u64>) -> Self {
        Self {
            least: *range.start(),
            most: Some(*range.end()),
        }
    }
}

impl From<RangeFrom<u64>> for Times {
    fn from(range: RangeFrom<u64>) -> Self {
        Self {
            least: range.start,
            most: None,
        }
    }
}

impl From<RangeToInclusive<u64>> for Times {
    fn from(range: RangeToInclusive<u64>) -> Self {
        (0..=range.end).into()
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.most) {
            (0, Some(0)) => f.write_str("never"),
            (least, Some(most)) if least == most => write!(f, "{least} times"),
            (0, Some(most)) => write!(f, "at most {most} times"),
            (least, None) => write!(f, "at least {least} times"),
            (least, Some(most)) => write!(f, "{least} to {most} times"),
        }
    }
}

/// What clients are to do, and how often.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use fake_registry::{Expectation, FakeRegistry, Match, Route};
///
/// let server = FakeRegistry::builder()
///     .image("registry.example", "team/web:v1 1x4KiB")
///     .expect(Expectation::new(Match::any().route(&[Route::Manifest])).times(1..=2))
///     .expect(Expectation::new(Match::any().authorized(true)).times(0).name("no credential"))
///     .start()
///     .await?;
/// // … the client under test pulls …
/// drop(server); // panics if it did not do as expected
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Expectation {
    when: Match,
    times: Times,
    name: Option<String>,
}

impl Expectation {
    /// At least one such request. Of the match, what counts or draws lots (`nth`, `probability`,
    /// `flap`) does not matter here.
    pub fn new(when: Match) -> Self {
        Self {
            when,
            times: (1..).into(),
            name: None,
        }
    }

    /// How often.
    #[must_use]
    pub fn times(mut self, times: impl Into<Times>) -> Self {
        self.times = times.into();
        self
    }

    /// Shown when it is not met.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None => f.write_str(&serde_json::to_string(&self.when).unwrap_or_default()),
        }
    }
}

/// Expectations that are not met.
#[derive(Clone, Debug, thiserror::Error)]
pub struct Unmet {
    /// Each with how often it was seen.
    pub expectations: Vec<(Expectation, u64)>,
    /// What clients did, the latest last.
    pub journal: Vec<String>,
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("clients did not do as expected:")?;
        for (expectation, seen) in &self.expectations {
            write!(
                f,
                "\n  {expectation}: expected {}, seen {seen} times",
                expectation.times
            )?;
        }
        f.write_str("\nwhat they did:")?;
        for line in &self.journal {
            write!(f, "\n  {line}")?;
        }
        if self.journal.is_empty() {
            f.write_str(" nothing")?;
        }
        Ok(())
    }
}

/// The expectations of a running registry.
#[derive(Default)]
pub(crate) struct Expectations {
    all: RwLock<Vec<Arc<Expected>>>,
    /// So that a registry without any pays one load.
    count: AtomicUsize,
}

struct Expected {
    expectation: Expectation,
    /// Verified with its guard, not with the server.
    scoped: bool,
    seen: AtomicU64,
}

impl Expected {
    fn unmet(&self) -> Option<(Expectation, u64)> {
        let seen = self.seen.load(Ordering::Relaxed);
        let met = self.expectation.times.contains(seen);
        (!met).then(|| (self.expectation.clone(), seen))
    }
}

impl Expectations {
    pub(crate) fn new(all: Vec<Expectation>) -> Self {
        let expectations = Self::default();
        for expectation in all {
            expectations.add(expectation, false);
        }
        expectations
    }

    fn add(&self, expectation: Expectation, scoped: bool) -> Arc<Expected> {
        let expected = Arc::new(Expected {
            expectation,
            scoped,
            seen: AtomicU64::new(0),
        });
        self.change(|all| all.push(expected.clone()));
        expected
    }

    fn change(&self, work: impl FnOnce(&mut Vec<Arc<Expected>>)) {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        work(&mut all);
        self.count.store(all.len(), Ordering::Relaxed);
    }

    /// A request has come.
    pub(crate) fn see(&self, call: &Call<'_>, elapsed: Duration) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        for expected in all.iter() {
            if expected.expectation.when.means(call, elapsed) {
                expected.seen.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl FakeRegistry {
    /// Expects something from now on; verified when the server is dropped, and by `verify`.
    pub fn expect(&self, expectation: Expectation) {
        self.core().expectations.add(expectation, false);
    }

    /// Expects something until the guard is dropped, which verifies it.
    #[must_use = "the expectation ends with the guard"]
    pub fn expect_scoped(&self, expectation: Expectation) -> ExpectationGuard {
        ExpectationGuard {
            expected: self.core().expectations.add(expectation, true),
            registry: self.clone(),
        }
    }

    /// Whether clients did as expected so far; scoped expectations aside.
    pub fn verify(&self) -> Result<(), Unmet> {
        let all = &self.core().expectations.all;
        let all = all.read().unwrap_or_else(PoisonError::into_inner);
        let unmet: Vec<_> = all
            .iter()
            .filter(|expected| !expected.scoped)
            .filter_map(|expected| expected.unmet())
            .collect();
        self.outcome(unmet)
    }

    fn outcome(&self, expectations: Vec<(Expectation, u64)>) -> Result<(), Unmet> {
        if expectations.is_empty() {
            return Ok(());
        }
        let mut journal = self.journal().lines();
        journal.drain(..journal.len().saturating_sub(SHOWN));
        Err(Unmet {
            expectations,
            journal,
        })
    }
}

/// An expectation of a part of a test; verified when dropped.
pub struct ExpectationGuard {
    expected: Arc<Expected>,
    registry: FakeRegistry,
}

impl ExpectationGuard {
    /// How often it was seen.
    pub fn seen(&self) -> u64 {
        self.expected.seen.load(Ordering::Relaxed)
    }
}

impl Drop for ExpectationGuard {
    fn drop(&mut self) {
        let expectations = &self.registry.core().expectations;
        expectations.change(|all| all.retain(|other| !Arc::ptr_eq(other, &self.expected)));
        let unmet = self.expected.unmet().into_iter().collect();
        complain(self.registry.outcome(unmet));
    }
}

/// Fails the test, unless it has failed already.
pub(crate) fn complain(outcome: Result<(), Unmet>) {
    if let Err(unmet) = outcome
        && !std::thread::panicking()
    {
        panic!("{unmet}");
    }
}
