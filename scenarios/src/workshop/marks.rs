//! What a learner did with one scenario, and what it is worth: fifty points for the cause, fifty for
//! the repair, less for every hint and every wrong answer.

use pullcheck::cause::Cause;
use serde::{Deserialize, Serialize};

const CAUSE: u32 = 50;
const REPAIR: u32 = 50;
/// A repair that the scenario's own file made.
const SHOWN: u32 = 10;
/// What a hint or a wrong answer costs.
const COST: u32 = 10;
/// What the right cause is worth at least.
const LEAST: u32 = 10;

/// What was done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Marks {
    /// Hints that were read.
    #[serde(default)]
    pub hints: usize,
    /// Answers that were wrong.
    #[serde(default)]
    pub wrong: Vec<String>,
    /// Whether the cause was named.
    #[serde(default)]
    pub named: bool,
    /// How it was mended.
    #[serde(default)]
    pub repair: Option<Repair>,
    /// Repairs that were none.
    #[serde(default)]
    pub flawed: usize,
    /// Whether the learner left before the end.
    #[serde(default)]
    pub skipped: bool,
}

/// How it was mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repair {
    /// By the remedy that pullcheck prints.
    Remedy,
    /// In another way.
    OtherWay,
    /// By the scenario's file, since the learner asked to be shown.
    Shown,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Graded {
    /// That is it.
    Right,
    /// That is the cause of another image of the same question.
    Beside,
    /// That is not it; the question that splits the two, where they are look-alikes.
    Wrong(Option<&'static str>),
}

impl Marks {
    /// Grades an answer.
    pub fn answer(&mut self, scenario: &crate::spec::Scenario, cause: Cause) -> Graded {
        if cause.id() == scenario.cause.value {
            self.named = true;
            return Graded::Right;
        }
        let also = &scenario.acts.diagnose.expect.also;
        if also.values().any(|other| other.value == cause.id()) {
            return Graded::Beside;
        }
        self.wrong.push(cause.id().to_owned());
        let right = Cause::from_id(&scenario.cause.value);
        let mut pairs = cause.look_alikes().iter();
        let split = pairs.find(|pair| Some(pair.cause) == right);
        Graded::Wrong(split.map(|pair| pair.question))
    }

    /// Whether nothing is left to do.
    pub const fn finished(&self) -> bool {
        self.skipped || (self.named && self.repair.is_some())
    }

    /// Of a hundred.
    pub fn points(&self) -> u32 {
        let lost =
            COST.saturating_mul(u32::try_from(self.hints + self.wrong.len()).unwrap_or(u32::MAX));
        let cause = if self.named {
            CAUSE.saturating_sub(lost).max(LEAST)
        } else {
            0
        };
        let repair = match self.repair {
            Some(Repair::Remedy | Repair::OtherWay) => REPAIR,
            Some(Repair::Shown) => SHOWN,
            None => 0,
        };
        cause + repair
    }

    /// In one line.
    pub fn line(&self) -> String {
        let count = |n: usize, word: &str| match n {
            1 => format!("1 {word}"),
            n => format!("{n} {word}s"),
        };
        let cause = if self.named {
            "cause named"
        } else {
            "cause not named"
        };
        let repair = match self.repair {
            Some(Repair::Remedy) => "mended by the remedy",
            Some(Repair::OtherWay) => "mended in another way",
            Some(Repair::Shown) => "mended by the file",
            None if self.skipped => "left",
            None => "not mended",
        };
        format!(
            "{} of 100: {cause}, {}, {}; {repair}",
            self.points(),
            count(self.wrong.len(), "wrong answer"),
            count(self.hints, "hint"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_and_answers() {
        let scenario = crate::catalogue::find("bad-tag").unwrap().unwrap();
        let mut marks = Marks::default();
        assert_eq!(marks.points(), 0);
        let wrong = marks.answer(&scenario, Cause::RepositoryNotFound);
        assert!(
            matches!(wrong, Graded::Wrong(Some(question)) if question.ends_with('?')),
            "{wrong:?}"
        );
        assert_eq!(
            marks.answer(&scenario, Cause::DiskFull),
            Graded::Wrong(None)
        );
        assert_eq!(marks.answer(&scenario, Cause::TagNotFound), Graded::Right);
        marks.hints = 1;
        assert!(!marks.finished());
        assert_eq!(marks.points(), 20);
        marks.repair = Some(Repair::OtherWay);
        assert!(marks.finished());
        assert_eq!(marks.points(), 70);
        marks.hints = 40;
        marks.repair = Some(Repair::Shown);
        assert_eq!(marks.points(), 20);
        assert_eq!(
            marks.line(),
            "20 of 100: cause named, 2 wrong answers, 40 hints; mended by the file"
        );
        let two = crate::catalogue::find("two-at-once").unwrap().unwrap();
        let other = two.acts.diagnose.expect.also.values().next().unwrap();
        let other = Cause::from_id(&other.value).unwrap();
        let mut marks = Marks::default();
        assert_eq!(marks.answer(&two, other), Graded::Beside);
        assert!(marks.wrong.is_empty());
    }
}
