//! The form that CI servers read: a suite for each scenario, a case for each act. Times are the
//! virtual ones, so that two runs with one seed are equal.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::play::{Act, Ending, Play};

/// JUnit XML of every play.
///
/// Errors: when the XML cannot be written, which no content can cause.
pub fn junit(plays: &[Play]) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new("pullcheck scenarios");
    for play in plays {
        let mut suite = TestSuite::new(play.scenario.id());
        for act in Act::ALL {
            suite.add_test_case(case(play, act));
        }
        report.add_test_suite(suite);
    }
    report.to_string()
}

fn case(play: &Play, act: Act) -> TestCase {
    let played = play.acts.iter().find(|played| played.act == act);
    let status = match (&play.ending, played) {
        (Ending::Skipped(reason), played) if played.is_none_or(|played| played.act == act) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(reason.clone());
            status
        }
        (_, None) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message("an earlier act was not as expected");
            status
        }
        (_, Some(played)) if played.passed => TestCaseStatus::success(),
        (_, Some(played)) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            let lines: Vec<_> = played
                .mismatches
                .iter()
                .map(|m| format!("{}: expected {}, seen {}", m.what, m.expected, m.seen))
                .collect();
            status.set_message(lines.join("; "));
            status.set_description(lines.join("\n"));
            status
        }
    };
    let mut case = TestCase::new(act.name(), status);
    case.set_classname(format!("pullcheck.{}", play.scenario.id()));
    if let Some(played) = played {
        case.set_time(Duration::from_millis(played.to.0 - played.from.0));
        case.set_system_out(played.notes.join("\n"));
    }
    case
}
