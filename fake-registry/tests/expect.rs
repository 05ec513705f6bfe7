//! Expectations: counted, verified on drop, and told in words.
#![allow(clippy::unwrap_used, reason = "helpers of tests, which may panic")]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{HOST, client};
use fake_registry::{
    Action, Builder, Expectation, FakeRegistry, Match, Route, Rule, Script, Times,
};

const MANIFEST: &str = "/v2/team/web/manifests/v1";

fn described() -> Builder {
    FakeRegistry::builder().image(HOST, "team/web:v1 1x1KiB")
}

fn manifests() -> Match {
    Match::any().route(&[Route::Manifest])
}

/// What the drop of something says.
fn panics<T>(dropped: T) -> Option<String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| drop(dropped)));
    outcome
        .err()
        .map(|said| *said.downcast::<String>().unwrap())
}

#[tokio::test]
async fn a_server_verifies_when_it_is_dropped() {
    let server = described()
        .expect(Expectation::new(manifests()).times(2))
        .start()
        .await
        .unwrap();
    let client = client(server.registry());
    client.get(MANIFEST).await;
    let said = panics(server).unwrap();
    for part in [
        r#"{"route":["manifest"]}: expected 2 times, seen 1 times"#,
        "GET /v2/team/web/manifests/v1 -> 200",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let server = described().start().await.unwrap();
    let later = Expectation::new(manifests()).times(0).name("no manifest");
    server.registry().expect(later);
    assert!(server.registry().verify().is_ok());
    common::client(server.registry()).get(MANIFEST).await;
    let said = server.registry().verify().unwrap_err().to_string();
    assert!(
        said.contains("no manifest: expected never, seen 1 times"),
        "{said}"
    );
    assert!(panics(server).is_some());
}

#[tokio::test]
async fn counts_that_are_met_and_not() {
    let table: [(Times, [bool; 4]); 6] = [
        (2.into(), [false, false, true, false]),
        ((1..3).into(), [false, true, true, false]),
        ((1..=1).into(), [false, true, false, false]),
        ((1..).into(), [false, true, true, true]),
        ((..=1).into(), [true, true, false, false]),
        (0.into(), [true, false, false, false]),
    ];
    for (times, want) in table {
        // Faults do not keep a request from being counted.
        let registry = described()
            .faults(Script::new().rule(Rule::new(Action::status(503)).times(1)))
            .expect(Expectation::new(manifests()).times(times))
            .build()
            .unwrap();
        let client = client(&registry);
        for (count, want) in want.into_iter().enumerate() {
            assert_eq!(registry.verify().is_ok(), want, "{times} after {count}");
            client.get(MANIFEST).await;
            client.get("/v2/").await;
        }
    }
}

#[tokio::test]
async fn a_guard_verifies_its_part_of_a_test() {
    let registry = described().build().unwrap();
    let client = client(&registry);
    client.get(MANIFEST).await;
    let guard = registry.expect_scoped(Expectation::new(manifests()).times(1));
    client.get(MANIFEST).await;
    assert_eq!(guard.seen(), 1);
    assert_eq!(panics(guard), None);
    let guard = registry.expect_scoped(Expectation::new(manifests().client("node-9")));
    client.get(MANIFEST).await;
    assert!(registry.verify().is_ok(), "not the server's");
    let said = panics(guard).unwrap();
    assert!(
        said.contains("expected at least 1 times, seen 0 times"),
        "{said}"
    );
    assert!(registry.verify().is_ok(), "it is gone");
}
