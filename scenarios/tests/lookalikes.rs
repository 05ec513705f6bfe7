//! The same symptoms with other causes: each variation of a catalogue file must get its own verdict.

mod common;

use std::collections::BTreeMap;

use common::{cause, changed, passes, story};
use pull_scenarios::{Play, catalogue, play_embedded};

/// Every scenario names its look-alike: one that shows the same words and has another cause. The checker tells the
/// two apart, and where the other names a third one, the file says why.
#[test]
fn every_scenario_is_told_from_its_twin() {
    let scenarios = catalogue::all().unwrap();
    let plays: BTreeMap<String, Play> = common::all(1)
        .into_iter()
        .map(|play| (play.scenario.id().to_owned(), play))
        .collect();
    for scenario in &scenarios {
        let id = scenario.id();
        let twin = scenario
            .twin
            .as_ref()
            .unwrap_or_else(|| panic!("{id} has no twin"));
        let other = scenarios
            .iter()
            .find(|one| one.id() == twin.scenario.value)
            .unwrap_or_else(|| panic!("{id}: there is no scenario `{}`", twin.scenario.value));
        let back = other.twin.as_ref().map(|back| back.scenario.value.as_str());
        assert!(
            back == Some(id) || twin.because.is_some(),
            "{id}: {} has another twin, and the file does not argue",
            other.id()
        );
        let (mine, theirs) = (&plays[id], &plays[other.id()]);
        for play in [mine, theirs] {
            assert!(
                shows(play, &twin.words),
                "{id}: {} never shows `{}`",
                play.scenario.id(),
                twin.words
            );
        }
        if scenario.cause.value == other.cause.value {
            // The same cause in another place: what is argued is the place.
            assert!(twin.because.is_some(), "{id}: {} is the same", other.id());
        } else {
            assert_ne!(cause(mine), cause(theirs), "{id} and {}", other.id());
        }
    }
}

/// Whether a user saw these words while the failure lasted.
fn shows(play: &Play, words: &str) -> bool {
    let events = play.events.iter().map(|event| event.message.as_str());
    let statuses = play.statuses.iter().flat_map(|change| {
        [Some(change.status.as_str()), change.message.as_deref()]
            .into_iter()
            .flatten()
    });
    events.chain(statuses).any(|text| text.contains(words))
}

/// The classic mistake: the role sits on the cluster's control-plane identity.
#[test]
fn a_role_on_the_control_plane_identity_is_named_as_that() {
    let twin = changed(
        "missing-role",
        &[
            ("cause: acr-role-missing", "cause: acr-role-wrong-identity"),
            (
                "    - add-nodes: { count: 1 }",
                "    - assign-role: { who: control-plane, role: AcrPull, on: registry/shopregistry }\n    \
                 - add-nodes: { count: 1 }",
            ),
        ],
    );
    passes(&twin, 1);
}

/// Without a token for Azure Resource Manager the cause cannot be proven, and the verdict says so.
#[test]
fn without_arm_the_missing_role_is_the_first_of_several() {
    let blind = changed(
        "missing-role",
        &[
            ("checker: { arm: true }", "checker: { arm: false }"),
            ("verdict: blocked, stage: token", "verdict: undetermined"),
            (
                "apply-remedy: az role assignment create",
                "assign-role: { who: kubelet, role: AcrPull, on: registry/shopregistry }",
            ),
        ],
    );
    let play = passes(&blind, 1);
    let text = story(&play);
    assert!(
        text.to_lowercase().contains("resource manager"),
        "what would settle it:\n{text}"
    );
}

/// A successful exchange is cached for an hour, so the old node fails with another text: its token
/// is refused for the repository, not at the exchange.
#[test]
fn an_old_node_fails_later_and_with_other_words() {
    let old = changed(
        "missing-role",
        &[
            (
                "      - shop/api:v1 linux/amd64 2x64KiB",
                "      - shop/api:v1 linux/amd64 2x64KiB\n      - shop/api:v2 linux/amd64 2x64KiB",
            ),
            (
                "    - add-nodes: { count: 1 }\n    - scale: { deployment/api: 2 }",
                "    - wait: 15m\n    - set-image: { deployment/api: \"shopregistry.azurecr.io/shop/api:v2\" }",
            ),
            (
                "failed to fetch anonymous token\", \"401 Unauthorized",
                "failed to fetch oauth token\", \"failed to fetch anonymous token",
            ),
        ],
    );
    passes(&old, 1);
}

#[test]
fn a_blocked_node_is_told_from_its_look_alikes() {
    let table = [
        // A closed port answers at once.
        (
            "tcp-refused",
            "tcp",
            vec![
                ("action: drop", "action: refuse"),
                ("i/o timeout", "connection refused"),
            ],
        ),
        // The name does not resolve on that node.
        (
            "dns-nxdomain",
            "dns",
            vec![
                (
                    "firewall: { node: node-2, to: registry.example, action: drop }",
                    "set-dns: { node: node-2, name: registry.example, answer: nx-domain }",
                ),
                (
                    "firewall: { node: node-2, to: registry.example, action: open }",
                    "set-dns: { node: node-2, name: registry.example, answer: restore }",
                ),
                ("i/o timeout", "no such host"),
            ],
        ),
        (
            "dns-servfail",
            "dns",
            vec![
                (
                    "firewall: { node: node-2, to: registry.example, action: drop }",
                    "set-dns: { node: node-2, name: registry.example, answer: serv-fail }",
                ),
                (
                    "firewall: { node: node-2, to: registry.example, action: open }",
                    "set-dns: { node: node-2, name: registry.example, answer: restore }",
                ),
                ("i/o timeout", "server misbehaving"),
            ],
        ),
        (
            "dns-timeout",
            "dns",
            vec![
                (
                    "firewall: { node: node-2, to: registry.example, action: drop }",
                    "set-dns: { node: node-2, name: registry.example, answer: silent }",
                ),
                (
                    "firewall: { node: node-2, to: registry.example, action: open }",
                    "set-dns: { node: node-2, name: registry.example, answer: restore }",
                ),
            ],
        ),
    ];
    for (id, stage, mut changes) in table {
        let claim = format!("cause: {id}");
        let stage = format!("stage: {stage}");
        changes.push(("cause: firewall-drop", &claim));
        changes.push(("stage: tcp", &stage));
        let play = play_embedded(&changed("firewall-block", &changes), 1);
        assert_eq!(cause(&play), Some(id), "{}", story(&play));
        assert!(play.passed(), "{}", story(&play));
    }
}

/// A repository that does not exist, and a digest that does not, are not a missing tag.
#[test]
fn other_things_that_are_not_found() {
    let table = [
        (
            "repository-not-found",
            "team/webb:v1.91",
            "team/webb:v1.91: not found",
        ),
        (
            "digest-not-found",
            "team/web@sha256:0000000000000000000000000000000000000000000000000000000000000001",
            "not found",
        ),
    ];
    for (id, image, text) in table {
        let claim = format!("cause: {id}");
        let twin = changed(
            "bad-tag",
            &[
                ("cause: tag-not-found", &claim),
                ("team/web:v1.91\"", &format!("{image}\"")),
                ("v1.91: not found", text),
                (
                    "apply-remedy: kubectl set image",
                    "set-image: { deployment/web: \"registry.example/team/web:v1.9\" }",
                ),
            ],
        );
        passes(&twin, 1);
    }
}

/// A registry's own network rule answers, with 403: no packet is dropped, and no role is missing.
#[test]
fn a_network_rule_of_the_registry_is_neither_a_firewall_nor_a_role() {
    let table = [
        ("acr-firewall-ip", "allow-only: [20.1.2.3]"),
        ("acr-private-only", "public: false"),
    ];
    for (id, rule) in table {
        let twin = changed(
            "missing-role",
            &[
                ("cause: acr-role-missing", &format!("cause: {id}")),
                (
                    "remove-role: { who: kubelet, role: AcrPull, on: registry/shopregistry }",
                    &format!("registry-network: {{ registry: shopregistry, {rule} }}"),
                ),
                (
                    "failed to fetch anonymous token\", \"401 Unauthorized",
                    "unexpected status from HEAD request\", \"403 Forbidden",
                ),
                ("verdict: blocked, stage: token", "verdict: blocked"),
                (
                    "apply-remedy: az role assignment create",
                    "registry-network: { registry: shopregistry }",
                ),
            ],
        );
        passes(&twin, 1);
    }
}
