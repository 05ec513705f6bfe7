//! What every page holds to, whatever the report says.

use jiff::Timestamp;

use super::{Answer, Gap, Report, Style, Waiting, json, text};
use crate::cause::Cause;
use crate::evidence::Evidence;
use crate::stage::Stage;
use crate::verdict::{Judgement, Receipt, Remedy, Settle, Verdict};

pub(super) fn report(verdict: Verdict) -> Report {
    let judgement = Judgement {
        verdict,
        because: "because of \u{1b}[31mthis\u{7}".into(),
        vantage: None,
        ruled_out: vec![],
        notes: vec!["a note".into()],
    };
    let answer = Answer {
        image: "registry.example/a:1".into(),
        judgement,
        remedies: vec![Remedy {
            title: "Do this".into(),
            commands: vec![format!("kubectl {}", "word ".repeat(60).trim_end())],
            note: None,
        }],
        waiting: (0..9)
            .map(|at| Waiting {
                namespace: "shop".into(),
                pod: format!("api-{at}"),
                container: None,
                node: None,
                reason: "ErrImagePull".into(),
                attempts_at_least: None,
                next_attempt_within_s: None,
            })
            .collect(),
        running: 0,
        outlook: None,
        credentials: vec![],
        told: vec![],
        evidence: Evidence::new(),
        comparison: None,
        azure: None,
        receipt: Receipt::default(),
    };
    let nothing = Verdict::Undetermined {
        at: Stage::Kubelet,
        candidates: vec![],
        would_settle: vec![],
    };
    let at = "2026-01-15T09:00:00Z".parse::<Timestamp>().expect("a date");
    Report {
        subject: "pod shop/api".into(),
        at,
        answers: vec![answer],
        problems: vec![],
        summary: None,
        gaps: vec![],
        nothing,
    }
}

fn verdicts() -> [(Verdict, &'static str); 3] {
    let settle = vec![Settle {
        what: "a look from the node".into(),
        command: Some("kubectl debug".into()),
    }];
    [
        (Verdict::Pullable, "PULLABLE"),
        (
            Verdict::Blocked {
                at: Stage::Dns,
                cause: Cause::DnsNxdomain,
            },
            "BLOCKED",
        ),
        (
            Verdict::Undetermined {
                at: Stage::Tcp,
                candidates: vec![Cause::FirewallDrop],
                would_settle: settle,
            },
            "UNDETERMINED",
        ),
    ]
}

#[test]
fn the_answer_comes_first_with_or_without_colour() {
    for (verdict, word) in verdicts() {
        let report = report(verdict);
        let plain = text(
            &report,
            &Style {
                verbose: false,
                width: 80,
                colour: false,
            },
        );
        assert!(plain.starts_with(word), "{plain}");
        assert!(
            !plain.contains('\u{1b}') && !plain.contains('\u{7}'),
            "nothing from outside reaches the terminal raw"
        );
        let coloured = text(
            &report,
            &Style {
                verbose: false,
                width: 80,
                colour: true,
            },
        );
        let first = coloured.lines().next().unwrap_or_default();
        assert!(
            first.contains(word) && first.contains('\u{1b}'),
            "a colour has its word beside it: {first:?}"
        );
    }
}

#[test]
fn prose_is_folded_and_commands_are_not() {
    let page = text(
        &report(Verdict::Pullable),
        &Style {
            verbose: false,
            width: 60,
            colour: false,
        },
    );
    let long: Vec<&str> = page
        .lines()
        .filter(|line| line.chars().count() > 60)
        .collect();
    assert_eq!(long.len(), 1, "{page}");
    assert!(long[0].trim_start().starts_with("kubectl word"));
    assert!(page.contains("and 4 more with the same image"), "{page}");
}

#[test]
fn nothing_to_check_is_said_with_what_is_missing() {
    let mut empty = report(Verdict::Pullable);
    empty.answers.clear();
    empty.gaps = vec![Gap {
        what: "pod shop/api: forbidden".into(),
        ask: Some("kubectl auth can-i get pods".into()),
    }];
    let page = text(&empty, &Style::default());
    assert!(
        page.starts_with("UNDETERMINED") && page.contains("kubectl auth can-i get pods"),
        "{page}"
    );
    assert_eq!(json(&empty)["verdict"], "undetermined");
}

#[test]
fn json_names_its_form_and_every_part() {
    for (verdict, _) in verdicts() {
        let value = json(&report(verdict.clone()));
        assert_eq!(value["schema"], "pullcheck.report/1");
        assert_eq!(value["verdict"], verdict.kind());
        let answer = &value["answers"][0];
        for key in [
            "image",
            "because",
            "ruled_out",
            "remedies",
            "waiting",
            "told",
            "evidence",
            "proved",
            "not_proved",
            "would_settle",
        ] {
            assert!(!answer[key].is_null(), "no `{key}` in {answer:#}");
        }
    }
}
