//! Broken scenario files: file, line, column, and what was expected.

mod common;

use common::file;
use pull_scenarios::spec;

#[test]
fn broken_files_say_where_and_why() {
    let good = file("bad-tag");
    let long = "a".repeat(300);
    let table: &[(&str, &str, &str, u64)] = &[
        (
            "cause: tag-not-found",
            "cause: tag-not-fund",
            "`tag-not-fund` is no cause",
            6,
        ),
        (
            "    for: 25m",
            "    for: soon",
            "`soon` is no length of time",
            42,
        ),
        ("acts:", "acts:\n  sleep: {}", "unknown field", 37),
        ("      replicas: 1", "      replicas: [1", "manifests", 0),
        (
            "team/web:v1.8 linux/amd64 2x64KiB",
            "team/web:v1.8 linux/amd64 2x64Foo",
            "image line",
            15,
        ),
        (
            "registry.example/team/web:v1.91",
            "Foo/Bar",
            "image reference `Foo/Bar`",
            40,
        ),
        (
            "registry.example/team/web:v1.91",
            "",
            "image reference ``",
            40,
        ),
        (
            "registry.example/team/web:v1.91",
            &long,
            "image reference",
            40,
        ),
        (
            "registry.example/team/web:v1.91",
            "a\\u0007b",
            "image reference `a\\u{7}b`",
            40,
        ),
        (
            "registry.example/team/web:v1.91",
            "team/web@sha256:00",
            "image reference",
            40,
        ),
        (
            "    ask: deployment/web",
            "    ask: deployment/api",
            "is not in the manifests",
            49,
        ),
        (
            "    ask: deployment/web",
            "    ask: web",
            "is not of the form",
            49,
        ),
        ("id: bad-tag", "id: Bad Tag", "is no id", 1),
        ("  nodes: 1", "  nodes: many", "u32", 19),
        ("  nodes: 1", "  nodes: 4294967295", "nodes", 19),
        (
            "      replicas: 1",
            "      replicas: 1000000",
            "replicas",
            0,
        ),
    ];
    for (from, to, want, line) in table {
        assert!(good.contains(from), "no `{from}`");
        let text = good.replace(from, to);
        let error = spec::parse("broken", &text).expect_err(&format!("{to} must be refused"));
        assert!(
            error.to_string().contains(want),
            "`{error}` does not say `{want}`"
        );
        if *line > 0 {
            assert_eq!(error.line, *line, "{error}");
        }
        assert!(error.line >= 1 && error.column >= 1);
    }
}

/// Names that are not there are found when a file is read, not when it is played, and the error points at
/// the line that has them.
#[test]
fn what_is_named_and_not_there_is_found_at_its_line() {
    let fix = "- apply-remedy: kubectl set image";
    let table: &[(&str, &str, &str, &str)] = &[
        (
            "bad-tag",
            "ask: deployment/web",
            "ask: deployment/wob",
            "is not in the manifests",
        ),
        (
            "bad-tag",
            "  healthy:\n    expect: { deployment/web: rolled-out }",
            "  healthy:\n    expect: { deployment/wob: rolled-out }",
            "is not in the manifests",
        ),
        (
            "bad-tag",
            "stage: manifest",
            "stage: wobbly",
            "none of the stages",
        ),
        (
            "bad-tag",
            fix,
            "- delete: deployment/wob",
            "is not in the manifests",
        ),
        (
            "bad-tag",
            fix,
            "- push: { host: wob.example, image: \"a:b\" }",
            "no registry `wob.example`",
        ),
        (
            "bad-tag",
            fix,
            "- push: { host: registry.example, image: \"wob 2x\" }",
            "image line",
        ),
        (
            "bad-tag",
            fix,
            "- untag: { host: wob.example, image: \"a:b\" }",
            "no registry `wob.example`",
        ),
        (
            "bad-tag",
            fix,
            "- untag: { host: registry.example, image: \"WOB\" }",
            "image reference",
        ),
        (
            "bad-tag",
            fix,
            "- firewall: { to: wob.example, action: open }",
            "no host `wob.example`",
        ),
        (
            "bad-tag",
            fix,
            "- apply: |\n        kind: Pod\n        metadata: { name: wob }\n        spec: { containers: [{ name: a, image: W/B }] }",
            "image reference `W/B`",
        ),
        ("bad-tag", fix, "- apply: \"{wob\"", ""),
        (
            "missing-role",
            "- { who: build-agent, role",
            "- { who: wob, role",
            "`wob` is neither",
        ),
        (
            "missing-role",
            "on: registry/otherregistry }",
            "on: registry/wob }",
            "no registry `wob`",
        ),
    ];
    for (id, from, to, want) in table {
        let good = file(id);
        assert!(good.contains(from), "{id} has no `{from}`");
        let text = good.replacen(from, to, 1);
        let error = spec::parse("broken", &text).expect_err(to);
        assert!(
            error.to_string().contains(want),
            "`{error}` does not say `{want}`"
        );
        let line = text
            .lines()
            .nth(error.line as usize - 1)
            .unwrap_or_default();
        assert!(
            line.contains("wob") || line.contains("WOB") || line.contains("- apply"),
            "{error}: {line}"
        );
    }
}

#[test]
fn a_file_must_be_named_after_its_id() {
    let error = spec::parse("catalogue/other.yaml", &file("bad-tag")).unwrap_err();
    assert!(
        error.to_string().contains("the file is named `other.yaml`"),
        "{error}"
    );
}

#[test]
fn a_huge_file_is_refused_unread() {
    let error = spec::parse("huge", &"#".repeat(spec::MAX_FILE_BYTES + 1)).unwrap_err();
    assert!(error.to_string().contains("at most"), "{error}");
}

/// What only the tenant can know is found when the world is made, and fails the scenario.
#[test]
fn a_role_that_does_not_exist_fails_the_first_act() {
    let wrong = common::changed(
        "missing-role",
        &[(
            "role: AcrPull, on: resource-group",
            "role: AcrPul, on: resource-group",
        )],
    );
    let play = pull_scenarios::play_embedded(&wrong, 1);
    assert_eq!(
        play.ending,
        pull_scenarios::Ending::Failed(pull_scenarios::Act::Healthy)
    );
    assert!(
        common::story(&play).contains("AcrPul"),
        "{}",
        common::story(&play)
    );
}
