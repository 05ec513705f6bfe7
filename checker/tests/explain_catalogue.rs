//! The catalogue of causes and clues holds together: complete, unique, reachable, symmetric.

use pullcheck::cause::{Cause, PLACEHOLDERS};
use pullcheck::clue::Clue;
use std::collections::BTreeSet;

/// Causes that no message can hint at: the pull does not fail, or says nothing. The wire, the
/// cluster or the cloud shows them.
const WITHOUT_CLUE: &[Cause] = &[Cause::SerializedQueue];

#[test]
fn identifiers_are_unique_and_found_again() {
    let causes: BTreeSet<_> = Cause::ALL.iter().map(|c| c.id()).collect();
    assert_eq!(causes.len(), Cause::ALL.len());
    let clues: BTreeSet<_> = Clue::ALL.iter().map(|c| c.id()).collect();
    assert_eq!(clues.len(), Clue::ALL.len());
    for cause in Cause::ALL {
        assert_eq!(Cause::from_id(cause.id()), Some(*cause));
        assert_eq!(Cause::nearest(cause.id()), Some(*cause));
    }
    for clue in Clue::ALL {
        assert_eq!(Clue::from_id(clue.id()), Some(*clue));
    }
}

#[test]
fn every_cause_is_reached_from_a_clue_or_listed_as_silent() {
    let reached: BTreeSet<_> = Clue::ALL
        .iter()
        .flat_map(|clue| clue.causes())
        .copied()
        .collect();
    for cause in Cause::ALL {
        assert_ne!(
            reached.contains(cause),
            WITHOUT_CLUE.contains(cause),
            "{cause}"
        );
        assert_eq!(
            cause.clues().is_empty(),
            WITHOUT_CLUE.contains(cause),
            "{cause}"
        );
    }
    for clue in Clue::ALL {
        let distinct: BTreeSet<_> = clue.causes().iter().collect();
        assert_eq!(
            distinct.len(),
            clue.causes().len(),
            "{clue} lists a cause twice"
        );
        assert!(
            !clue.stages().is_empty() && !clue.next().is_empty(),
            "{clue}"
        );
    }
}

#[test]
fn look_alikes_are_symmetric() {
    for cause in Cause::ALL {
        for other in cause.look_alikes() {
            assert!(
                other
                    .cause
                    .look_alikes()
                    .iter()
                    .any(|back| back.cause == *cause && back.question == other.question),
                "{cause} / {}",
                other.cause
            );
        }
    }
}

/// The first causes of a clue are what a reader weighs against each other: each must have a question
/// that splits it from the likeliest one.
#[test]
fn the_second_candidate_of_a_clue_can_be_told_from_the_first() {
    for clue in Clue::ALL {
        if *clue == Clue::BackOffOnly {
            continue; // Any cause: the look-alikes are those of the cause behind it.
        }
        if let [first, second, ..] = clue.causes() {
            assert!(
                first
                    .look_alikes()
                    .iter()
                    .any(|other| other.cause == *second),
                "{clue}: no question between {first} and {second}"
            );
        }
    }
}

#[test]
fn texts_are_complete_and_plain() {
    for cause in Cause::ALL {
        for text in [cause.meaning(), cause.detail(), cause.evidence()] {
            assert!(
                text.ends_with(['.', '`']) && text.len() > 20,
                "{cause}: {text}"
            );
            assert!(
                !text.contains("  ") && !text.contains('\n'),
                "{cause}: {text}"
            );
        }
        assert!(cause.meaning().len() <= 160, "{cause}: {}", cause.meaning());
        assert!(!cause.remedies().is_empty(), "{cause}");
        for remedy in cause.remedies() {
            assert!(
                !remedy.title.is_empty() && !remedy.title.ends_with('.'),
                "{cause}: {}",
                remedy.title
            );
            assert!(!remedy.commands.is_empty(), "{cause}: {}", remedy.title);
            assert!(remedy.note != Some(""), "{cause}");
        }
    }
    for clue in Clue::ALL {
        assert!(clue.meaning().ends_with('.'), "{clue}");
    }
}

#[test]
fn commands_hold_known_placeholders_only() {
    let known: BTreeSet<_> = PLACEHOLDERS.iter().copied().collect();
    assert_eq!(known.len(), PLACEHOLDERS.len());
    for cause in Cause::ALL {
        for remedy in cause.remedies() {
            for name in remedy.placeholders() {
                assert!(known.contains(name), "{cause}: <{name}>");
            }
            let values: Vec<_> = PLACEHOLDERS.iter().map(|name| (*name, "VALUE")).collect();
            for command in remedy.fill(&values) {
                assert!(
                    !command.contains('<') || command.contains("</dev/null"),
                    "{cause}: {command}"
                );
                assert!(!command.contains('\n'), "{cause}: {command}");
            }
        }
    }
}

#[test]
fn slips_of_the_pen_find_their_identifier() {
    let table = [
        ("tag-not-fuond", Some(Cause::TagNotFound)),
        ("tag_not_found", Some(Cause::TagNotFound)),
        ("TAG-NOT-FOUND", Some(Cause::TagNotFound)),
        ("acr-role", Some(Cause::AcrRoleMissing)),
        ("firewal-drop", Some(Cause::FirewallDrop)),
        ("banana", None),
        ("", None),
    ];
    for (text, want) in table {
        assert_eq!(Cause::nearest(text), want, "for {text:?}");
    }
    assert_eq!(Clue::nearest("dns-notfound"), Some(Clue::DnsNotFound));
}
