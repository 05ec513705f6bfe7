//! The form that CI servers read: one case an image. Blocked is a failure, undetermined an error, so
//! that both stop a pipeline and can be told apart; what could not be read stands beside.

use quick_junit::{NonSuccessKind, Report as Xml, TestCase, TestCaseStatus, TestSuite};

use super::{Answer, Report, Style, text::answer_text};
use crate::verdict::Verdict;

/// The report as JUnit XML.
pub fn junit(report: &Report) -> String {
    let mut suite = TestSuite::new(report.subject.clone());
    for answer in &report.answers {
        suite.add_test_case(case(answer));
    }
    if report.answers.is_empty() {
        let status = if *report.verdict() == Verdict::Pullable {
            TestCaseStatus::success()
        } else {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message(report.no_answer());
            let lines: Vec<&str> = report.gaps.iter().map(|gap| gap.what.as_str()).collect();
            status.set_description(lines.join("\n"));
            status
        };
        suite.add_test_case(TestCase::new(report.subject.clone(), status));
    }
    let mut xml = Xml::new("pullcheck");
    xml.add_test_suite(suite);
    // Only a writer can fail, and this one is memory.
    xml.to_string().unwrap_or_default()
}

fn case(answer: &Answer) -> TestCase {
    let judgement = &answer.judgement;
    let verdict = &judgement.verdict;
    let kind = match verdict {
        Verdict::Pullable => None,
        Verdict::Blocked { .. } => Some(NonSuccessKind::Failure),
        Verdict::Undetermined { .. } => Some(NonSuccessKind::Error),
    };
    let what = verdict.cause().map(|cause| cause.id().to_owned());
    let what = what.or_else(|| verdict.could_be()).unwrap_or_default();
    let page = answer_text(answer, &Style::default());
    let status = kind.map_or_else(TestCaseStatus::success, |kind| {
        let mut status = TestCaseStatus::non_success(kind);
        status.set_type(what);
        status.set_message(judgement.because.clone());
        status.set_description(page.clone());
        status
    });
    let passed = matches!(verdict, Verdict::Pullable);
    let mut case = TestCase::new(answer.image.clone(), status);
    case.set_classname(verdict.stage().map_or("pullcheck", |stage| stage.id()));
    if passed {
        case.set_system_out(page);
    }
    case
}
