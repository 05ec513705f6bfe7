//! What a play leaves: its acts, what was not as expected, how it ended. Everything that the reports are
//! made from, as plain values.

use crate::backend::{Attempt, Pace};
use crate::observer::{EventWrite, Seconds, StatusChange};
use crate::spec::Scenario;
use crate::traces::Traces;

/// One of the six acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The cluster works.
    Healthy,
    /// Something is done to it.
    Break,
    /// The failure is watched.
    Observe,
    /// The checker is asked.
    Diagnose,
    /// The remedy is applied.
    Fix,
    /// The cluster works again.
    Verify,
}

impl Act {
    /// All six, in order.
    pub const ALL: [Self; 6] = [
        Self::Healthy,
        Self::Break,
        Self::Observe,
        Self::Diagnose,
        Self::Fix,
        Self::Verify,
    ];

    /// The act's name, as in the scenario file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Break => "break",
            Self::Observe => "observe",
            Self::Diagnose => "diagnose",
            Self::Fix => "fix",
            Self::Verify => "verify",
        }
    }
}

impl serde::Serialize for Act {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// An act that was played.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ActPlayed {
    /// Which one.
    pub act: Act,
    /// Whether everything in it was as expected.
    pub passed: bool,
    /// When it began, since the play began.
    pub from: Seconds,
    /// When it ended.
    pub to: Seconds,
    /// What was done and seen, a line each.
    pub notes: Vec<String>,
    /// What was not as expected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mismatches: Vec<Mismatch>,
}

/// An expectation beside what was seen.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Mismatch {
    /// What is compared.
    pub what: String,
    /// What the scenario expects.
    pub expected: String,
    /// What was seen.
    pub seen: String,
}

/// How a play ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All six acts as expected.
    Passed,
    /// An act was not as expected; the later ones were not played.
    Failed(Act),
    /// The backend cannot do a step.
    Skipped(String),
}

/// A whole play: everything that the reports are made from.
#[derive(Debug)]
pub struct Play {
    /// The scenario.
    pub scenario: Scenario,
    /// The seed of the run.
    pub seed: u64,
    /// Whether time was real.
    pub real: bool,
    /// How it ended.
    pub ending: Ending,
    /// The acts that were played.
    pub acts: Vec<ActPlayed>,
    /// Every pull.
    pub attempts: Vec<Attempt>,
    /// Every status that was seen.
    pub statuses: Vec<StatusChange>,
    /// Every event write that was seen.
    pub events: Vec<EventWrite>,
    /// What the checker found, where it was asked.
    pub report: Option<pullcheck::report::Report>,
    /// What plays are compared by; reports do not show it.
    pub(crate) traces: Traces,
}

impl Play {
    /// Something that no act expects went wrong: the act that was played last did not pass.
    pub(crate) fn fail(&mut self, mismatch: Mismatch) {
        let Some(last) = self.acts.last_mut() else {
            return;
        };
        last.passed = false;
        last.mismatches.push(mismatch);
        if !matches!(self.ending, Ending::Failed(_)) {
            self.ending = Ending::Failed(last.act);
        }
    }

    /// Whether all six acts were as expected.
    pub fn passed(&self) -> bool {
        self.ending == Ending::Passed
    }

    /// The world that the file describes cannot be made: the first act fails before it begins.
    pub(crate) fn cannot(scenario: &Scenario, seed: u64, pace: Pace, reason: &str) -> Self {
        let healthy = ActPlayed {
            act: Act::Healthy,
            passed: false,
            from: Seconds::default(),
            to: Seconds::default(),
            notes: Vec::new(),
            mismatches: vec![Mismatch {
                what: "the world that the file describes".to_owned(),
                expected: "made".to_owned(),
                seen: reason.to_owned(),
            }],
        };
        Self {
            acts: vec![healthy],
            ..Self::nothing(scenario, seed, pace, Ending::Failed(Act::Healthy))
        }
    }

    /// Nothing was played.
    pub(crate) fn nothing(scenario: &Scenario, seed: u64, pace: Pace, ending: Ending) -> Self {
        Self {
            scenario: scenario.clone(),
            seed,
            real: pace == Pace::Real,
            ending,
            acts: Vec::new(),
            attempts: Vec::new(),
            statuses: Vec::new(),
            events: Vec::new(),
            report: None,
            traces: Traces::default(),
        }
    }
}
