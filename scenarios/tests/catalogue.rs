//! The catalogue plays, means what it says, and is the same for the same seed.

mod common;

use std::collections::BTreeMap;

use common::{cause, changed, passes, scenario, story};
use pull_scenarios::{Act, Attempt, Ending, play_embedded, report};

#[test]
fn every_scenario_passes_through_all_six_acts() {
    let plays = common::all(1);
    assert!(plays.len() >= 60, "only {} scenarios", plays.len());
    for play in &plays {
        let id = play.scenario.id();
        assert_eq!(play.ending, Ending::Passed, "{}", story(play));
        let acts: Vec<_> = play.acts.iter().map(|act| act.act).collect();
        assert_eq!(acts, Act::ALL, "{id}");
        let minutes = play.acts.last().map_or(0, |act| act.to.0) / 60_000;
        assert!(minutes >= 10, "{id} covers {minutes} minutes");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_the_same_verdicts() {
    let (first, again, other) = (common::all(3), common::all(3), common::all(4));
    let bytes = |plays: &[_], seed| report::json(plays, seed).to_string();
    for (one, two) in first.iter().zip(&again) {
        let (one, two) = (std::slice::from_ref(one), std::slice::from_ref(two));
        assert!(bytes(one, 3) == bytes(two, 3), "{}", one[0].scenario.id());
    }
    let times = |play: &pull_scenarios::Play| -> Vec<_> {
        play.attempts.iter().map(|attempt| attempt.at).collect()
    };
    let differ = first
        .iter()
        .zip(&other)
        .filter(|(one, two)| times(one) != times(two));
    assert!(differ.count() * 2 > first.len(), "chance hardly shows");
    let verdicts = |plays: &[_]| plays.iter().map(cause).collect::<Vec<_>>();
    assert_eq!(verdicts(&first), verdicts(&other));
}

/// 10 s, doubled to 300 s, counted from the failure; then the next sync, at most 15 s later.
#[test]
fn the_back_off_ladder_of_a_bad_tag() {
    for seed in 1..=5 {
        let play = passes(&scenario("bad-tag"), seed);
        let failed: Vec<&Attempt> = play.attempts.iter().filter(|a| !a.pulled).collect();
        let within = failed
            .iter()
            .filter(|a| a.at.0 - failed[0].at.0 <= 20 * 60 * 1000)
            .count();
        assert!(within >= 8, "seed {seed}: {within} attempts in 20 minutes");
        let mut delay = 10_000;
        for pair in failed.windows(2) {
            let wait = pair[1].at.0 - (pair[0].at.0 + pair[0].took.0);
            assert_eq!(pair[0].back_off.map(|d| d.0), Some(delay), "seed {seed}");
            assert!(
                (delay..=delay + 15_100).contains(&wait),
                "seed {seed}: waited {wait} ms where the back-off was {delay} ms"
            );
            delay = (delay * 2).min(300_000);
        }
    }
}

/// The checker does not read the scenario: a file that claims a wrong cause fails, and the run says
/// what was really found.
#[test]
fn a_wrong_claim_fails_with_what_was_really_found() {
    let lying = changed(
        "bad-tag",
        &[("cause: tag-not-found", "cause: firewall-drop")],
    );
    let play = play_embedded(&lying, 1);
    assert_eq!(play.ending, Ending::Failed(Act::Diagnose));
    assert_eq!(cause(&play), Some("tag-not-found"));
    let mismatch = &play.acts.last().unwrap().mismatches[0];
    assert_eq!(
        (mismatch.expected.as_str(), mismatch.seen.as_str()),
        ("firewall-drop", "tag-not-found")
    );
    assert!(
        story(&play).contains("expected  firewall-drop"),
        "{}",
        story(&play)
    );
}

/// The proof of the repair is met before the fix, so it proves nothing: that is a failure.
#[test]
fn a_proof_that_holds_on_the_broken_cluster_fails() {
    let weak = changed(
        "bad-tag",
        &[(
            "  verify:\n    expect: { deployment/web: rolled-out }",
            "  verify:\n    expect: { deployment/web: available }",
        )],
    );
    let play = play_embedded(&weak, 1);
    assert_eq!(play.ending, Ending::Failed(Act::Fix), "{}", story(&play));
    assert!(
        story(&play).contains("nothing was broken"),
        "{}",
        story(&play)
    );
}

/// Nothing is broken, and so nothing of what is expected can be seen.
#[test]
fn a_scenario_that_breaks_nothing_fails() {
    let harmless = changed("bad-tag", &[("v1.91\"", "v1.9\"")]);
    let play = play_embedded(&harmless, 1);
    assert!(
        matches!(play.ending, Ending::Failed(Act::Observe)),
        "{}",
        story(&play)
    );
}

/// 30 nodes pull at once; some get through, some do not, and after the fix all run.
#[test]
fn thirty_nodes_share_one_bucket() {
    let play = passes(&scenario("throttling"), 1);
    let mut pods: BTreeMap<&str, bool> = BTreeMap::new();
    for attempt in &play.attempts {
        *pods.entry(&attempt.pod).or_default() |= attempt.pulled;
    }
    assert_eq!(pods.len(), 31);
    assert!(pods.values().all(|pulled| *pulled));
    let refused = play.attempts.iter().filter(|a| !a.pulled).count();
    assert!(refused >= 10, "only {refused} attempts were refused");
}

#[test]
fn junit_is_read_by_a_junit_reader() {
    let good = passes(&scenario("bad-tag"), 1);
    let lying = changed(
        "bad-tag",
        &[("cause: tag-not-found", "cause: firewall-drop")],
    );
    let bad = play_embedded(&lying, 1);
    let xml = report::junit(&[good, bad]).unwrap();
    let suites = junit_parser::from_reader(xml.as_bytes()).unwrap();
    assert_eq!(suites.suites.len(), 2);
    assert_eq!((suites.tests, suites.failures), (12, 1));
    let failed = suites.suites[1]
        .cases
        .iter()
        .find(|case| case.status.is_failure())
        .unwrap();
    assert_eq!(failed.original_name, "diagnose");
}
