//! What a report shows comes from anybody who may name an image or answer a request: no form may be
//! broken by it.

use super::tests::report;
use super::{Style, github, html, junit, text};
use crate::cause::Cause;
use crate::stage::Stage;
use crate::verdict::{RuledOut, Verdict};

const HOSTILE: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "]]></system-out><testcase/>",
    "x\n::error title=forged::y",
    "a%0A::set-env name=PATH::/tmp",
    "\u{1b}[31mred\u{0}",
];

fn hostile(words: &str) -> super::Report {
    let mut report = report(Verdict::Blocked {
        at: Stage::Dns,
        cause: Cause::DnsNxdomain,
    });
    report.subject = words.into();
    for answer in &mut report.answers {
        answer.image = words.into();
        answer.judgement.because = words.into();
        answer.judgement.notes = vec![words.into()];
        answer.judgement.ruled_out = vec![RuledOut {
            cause: Cause::TagNotFound,
            because: words.into(),
        }];
        answer.receipt.proved = vec![words.into()];
        for waiting in &mut answer.waiting {
            waiting.pod = words.into();
        }
        for remedy in &mut answer.remedies {
            remedy.commands = vec![words.into()];
        }
    }
    report
}

#[test]
fn a_page_stays_a_page() {
    for words in HOSTILE {
        let page = html(&hostile(words));
        for tag in ["<script", "<img", "<link", "<testcase"] {
            assert!(!page.contains(tag), "{tag} in a page about {words:?}");
        }
        assert!(page.starts_with("<!DOCTYPE html>"));
    }
}

#[test]
fn a_workflow_is_given_no_forged_command() {
    for words in HOSTILE {
        let page = github(&hostile(words));
        let mut lines = page.lines();
        let first = lines.next().unwrap_or_default();
        assert!(
            first.starts_with("::error title=blocked%3A dns-nxdomain"),
            "{first}"
        );
        let fence = lines
            .next()
            .and_then(|line| line.strip_prefix("::stop-commands::"))
            .expect("a fence");
        let rest: Vec<&str> = lines.collect();
        let (last, fenced) = rest.split_last().expect("an end");
        assert_eq!(*last, format!("::{fence}::"));
        assert!(fenced.iter().all(|line| !line.contains(fence)), "{words:?}");
    }
}

#[test]
fn xml_stays_one_case_an_image() {
    for words in HOSTILE {
        let report = hostile(words);
        let xml = junit(&report);
        let read = junit_parser::from_reader(xml.as_bytes()).expect("XML");
        let cases: usize = read.suites.iter().map(|suite| suite.cases.len()).sum();
        assert_eq!(cases, report.answers.len(), "{xml}");
        assert_eq!(read.failures, 1, "{xml}");
    }
}

#[test]
fn a_terminal_gets_no_control_characters() {
    for words in HOSTILE {
        let page = text(&hostile(words), &Style::default());
        assert!(
            page.chars().all(|c| c == '\n' || !c.is_control()),
            "{words:?}"
        );
    }
}
