//! What a report shows comes from anybody who may name an image or answer a request: no form may be
//! broken by it.

use super::tests::report;
use super::{
    CredentialSeen, Extent, Problem, Style, github, html, json, junit, report_schema, text,
};
use crate::cause::Cause;
use crate::stage::Stage;
use crate::verdict::{Act, Outlook, RuledOut, Verdict};

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
        answer.credentials = vec![CredentialSeen {
            source: words.into(),
            key: Some(words.into()),
            state: words.into(),
            issuer: Some(words.into()),
            ..CredentialSeen::default()
        }];
        answer.outlook = Some(Outlook {
            act: Act::Mend,
            next: None,
            words: words.into(),
            command: Some(words.into()),
        });
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
            first.starts_with("::error title=blocked dns-nxdomain"),
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

/// Two images with one problem in common, and the words in that too.
fn many(words: &str) -> super::Report {
    let mut report = hostile(words);
    report.answers.extend(report.answers.clone());
    report.summary = Some(words.into());
    report.problems = vec![Problem {
        verdict: "blocked",
        cause: None,
        candidates: vec![Cause::FirewallDrop],
        stage: Some(Stage::Dns),
        extent: Extent::Node { node: words.into() },
        images: vec![words.into(), words.into()],
        nodes: vec![words.into()],
        namespaces: vec![words.into()],
        waiting: 2,
    }];
    report
}

#[test]
fn what_many_images_have_in_common_is_in_every_form() {
    let report = many("pool-7");
    let page = html(&report);
    for words in [
        "perhaps firewall-drop: node pool-7, 2 images, 2 containers",
        "Wait or act",
        "Credentials in the kubelet's order",
        "issuer pool-7",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let workflow = github(&report);
    let lines: Vec<&str> = workflow.lines().take(3).collect();
    let common = "::notice title=pool-7::perhaps firewall-drop: node pool-7, 2 images, 2 containers%0Apool-7";
    assert_eq!(lines.last(), Some(&common));
    assert!(lines[0].contains("pool-7: pool-7%0Apool-7"), "{lines:?}");
    let validator = jsonschema::validator_for(&report_schema()).expect("a schema");
    let mut value = json(&report);
    assert!(validator.is_valid(&value), "{value:#}");
    for at in [
        "/problems/0/extent/of",
        "/answers/0/outlook/act",
        "/answers/0/credentials/0/turn",
    ] {
        let place = value.pointer_mut(at).expect(at);
        let kept = std::mem::replace(place, "else".into());
        assert!(
            !validator.is_valid(&value),
            "the schema lets {at} be anything"
        );
        *value.pointer_mut(at).expect(at) = kept;
    }
}

#[test]
fn hostile_words_in_common_problems_break_nothing() {
    for words in HOSTILE {
        let report = many(words);
        let page = html(&report);
        assert!(
            !page.contains("<script") && !page.contains("<img"),
            "{page}"
        );
        let workflow = github(&report);
        let fence = workflow
            .lines()
            .position(|line| line.starts_with("::stop-commands::"));
        assert_eq!(fence, Some(3), "{workflow}");
    }
}

/// A namespace in which nobody waits is no failure of a pipeline.
#[test]
fn nothing_that_waits_is_pullable_in_every_form() {
    let mut report = report(Verdict::Pullable);
    report.answers.clear();
    report.nothing = Verdict::Pullable;
    assert!(github(&report).starts_with("::notice title=pullable::"));
    let read = junit_parser::from_reader(junit(&report).as_bytes()).expect("XML");
    assert_eq!((read.tests, read.failures, read.errors), (1, 0, 0));
    assert!(html(&report).contains("No pod waits for an image."));
}
