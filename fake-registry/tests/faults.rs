//! Every action of the fault script as a raw client sees it, and when rules fire.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which may panic"
)]

mod common;

use std::time::Duration;

use common::{Client, HOST, client, parse};
use fake_registry::{Action, CountBy, End, FakeRegistry, Match, Nth, Quota, Route, Rule, Script};
use http::{HeaderValue, Method, header};
use tokio::time::Instant;

const MANIFEST: &str = "/v2/team/web/manifests/v1";

fn start(script: Script) -> Client {
    let registry = FakeRegistry::builder()
        .seed(1)
        .image(HOST, "team/web:v1 1x64KiB")
        .image(HOST, "team/web:v2 1x1KiB")
        .faults(script)
        .build()
        .unwrap();
    client(&registry)
}

fn yaml(action: &str) -> Client {
    let text = format!(
        "rules:\n  - name: it\n    match: {{ route: [manifest, blob] }}\n    action: {action}\n"
    );
    start(Script::from_yaml(&text).unwrap())
}

/// The blob of the one layer.
fn layer(client: &Client) -> String {
    let registry = &client.registry;
    registry.faults().clear();
    let digest = registry.digest(HOST, "team/web:v1").unwrap();
    format!("/v2/team/web/manifests/{digest}")
}

#[tokio::test]
async fn answers_that_a_rule_makes() {
    let table = [
        (
            "{ status: 503 }",
            503,
            "application/json; charset=utf-8",
            r#"{"errors":[{"code":"UNAVAILABLE","message":"service unavailable"}]}"#,
        ),
        (
            "{ status: 401 }",
            401,
            "application/json; charset=utf-8",
            r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#,
        ),
        (
            "{ status: 429, code: X, message: slow, detail: { a: 1 } }",
            429,
            "application/json; charset=utf-8",
            r#"{"errors":[{"code":"X","message":"slow","detail":{"a":1}}]}"#,
        ),
        (
            "{ code: DENIED }",
            500,
            "application/json; charset=utf-8",
            r#"{"errors":[{"code":"DENIED","message":"unknown error"}]}"#,
        ),
        (
            "{ status: 502, content-type: text/html, body: '<html>' }",
            502,
            "text/html",
            "<html>",
        ),
        (
            "{ status: 500, body: '' }",
            500,
            "text/plain; charset=utf-8",
            "",
        ),
        (
            "{ status: 200, content-type: application/json, body: '{\"access_token\": ' }",
            200,
            "application/json",
            "{\"access_token\": ",
        ),
    ];
    for (action, status, content_type, body) in table {
        let client = yaml(action);
        let answer = client.get(MANIFEST).await;
        assert_eq!(
            (
                answer.status,
                answer.header("content-type"),
                answer.text().as_str()
            ),
            (status, Some(content_type), body),
            "for {action}"
        );
        assert_eq!(
            client.registry.journal().entries()[0].fault.as_deref(),
            Some("it")
        );
        let head = client.head(MANIFEST).await;
        assert_eq!(
            (head.status, head.body.len()),
            (status, 0),
            "HEAD for {action}"
        );
        assert_eq!(
            client.get("/v2/").await.status,
            200,
            "the rule is not meant for this"
        );
    }
    let huge = yaml("{ status: 404, body-size: 100000 }")
        .get(MANIFEST)
        .await;
    assert_eq!(huge.body.len(), 100_000);
    let head = yaml("{ status: 405 }").head(MANIFEST).await;
    assert_eq!(head.status, 405);
}

#[tokio::test]
async fn answers_that_a_rule_changes() {
    let zeros = format!("sha256:{}", "0".repeat(64));
    let table = [
        (
            "{ wrong-digest: true }",
            "docker-content-digest",
            Some(zeros.as_str()),
        ),
        (
            "{ remove-headers: [Docker-Content-Digest] }",
            "docker-content-digest",
            None,
        ),
        (
            "{ remove-headers: [content-length] }",
            "content-length",
            None,
        ),
        (
            "{ content-type: text/html }",
            "content-type",
            Some("text/html"),
        ),
        ("{ headers: { X-Odd: 'yes' } }", "x-odd", Some("yes")),
        ("{ retry-after: 1m }", "retry-after", Some("60")),
    ];
    for (action, name, want) in table {
        let client = yaml(action);
        let plain = layer(&start(Script::new()));
        for answer in [client.get(MANIFEST).await, client.head(MANIFEST).await] {
            assert_eq!(
                (answer.status, answer.header(name)),
                (200, want),
                "for {action}"
            );
        }
        assert!(plain.starts_with("/v2/"));
    }
    let chunked = yaml("{ remove-headers: [content-length] }")
        .get(MANIFEST)
        .await;
    assert_eq!(chunked.header("transfer-encoding"), Some("chunked"));
    let challenges = yaml("{ status: 401, challenges: ['Basic realm=\"a\"', 'Bearer service=x'] }")
        .get(MANIFEST)
        .await;
    let count = challenges
        .head
        .lines()
        .filter(|line| line.to_lowercase().starts_with("www-authenticate:"))
        .count();
    assert_eq!(count, 2);
    let redirected = yaml("{ redirect: 'http://other.example{path}' }")
        .get(&format!("{MANIFEST}?ns=x"))
        .await;
    assert_eq!(
        (redirected.status, redirected.header("location")),
        (
            307,
            Some(format!("http://other.example{MANIFEST}?ns=x").as_str())
        )
    );
}

#[tokio::test]
async fn ranges_that_are_ignored_or_wrong() {
    let spoilt = |action| async move {
        let client = yaml(action);
        let config = client.registry.digest(HOST, "team/web:v1").unwrap();
        assert!(config.starts_with("sha256:"));
        let bytes = b"0123456789";
        let digest = common::sha256(bytes);
        client
            .ask(
                "POST",
                &format!("/v2/team/web/blobs/uploads/?digest={digest}"),
                bytes,
            )
            .await;
        client
            .with("Range", "bytes=2-4")
            .get(&format!("/v2/team/web/blobs/{digest}"))
            .await
    };
    let ignored = spoilt("{ ignore-range: true }").await;
    assert_eq!(
        (ignored.status, ignored.text().as_str()),
        (200, "0123456789")
    );
    let wrong = spoilt("{ wrong-content-range: true }").await;
    assert_eq!(
        (
            wrong.status,
            wrong.header("content-range"),
            wrong.text().as_str()
        ),
        (206, Some("bytes 0-0/1"), "234")
    );
    let corrupt = spoilt("{ corrupt: 1 }").await;
    assert_eq!(
        (corrupt.status, corrupt.text().as_str()),
        (206, "224"),
        "one bit of one byte"
    );
}

#[tokio::test(start_paused = true)]
async fn answers_that_take_their_time() {
    let begin = Instant::now();
    assert_eq!(yaml("{ delay: 2m }").get(MANIFEST).await.status, 200);
    assert_eq!(begin.elapsed().as_secs(), 120);
    let begin = Instant::now();
    let slow = yaml("{ bandwidth: 100 }").get(MANIFEST).await;
    let seconds = slow.body.len() as u64 / 100;
    let took = begin.elapsed().as_secs();
    assert!(
        (seconds..=seconds + 2).contains(&took),
        "{took} s for {} bytes",
        slow.body.len()
    );
}

#[tokio::test(start_paused = true)]
async fn connections_that_end_early() {
    let request = format!("GET {MANIFEST} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let raw = yaml("{ end: close }").raw(request.as_bytes()).await;
    assert!(raw.is_empty(), "{}", String::from_utf8_lossy(&raw));
    let raw = yaml("{ cut-after: 10 }").raw(request.as_bytes()).await;
    let end = raw.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(raw.len() - end, 10, "ten bytes of the body");
    assert!(
        String::from_utf8_lossy(&raw).contains("content-length: "),
        "the whole was announced"
    );
    for action in ["{ end: hang }", "{ cut-after: 10, cut: hang }"] {
        let client = yaml(action);
        let waited =
            tokio::time::timeout(Duration::from_hours(1), client.raw(request.as_bytes())).await;
        assert!(waited.is_err(), "for {action}");
        let entries = client.registry.journal().entries();
        assert_eq!(
            entries[0].status.is_none(),
            action.contains("end"),
            "for {action}"
        );
    }
}

#[tokio::test]
async fn a_reset_is_a_reset_on_a_socket() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    for action in [Action::end(End::Reset), Action::cut_after(10, End::Reset)] {
        let server = FakeRegistry::builder()
            .image(HOST, "team/web:v1 1x64KiB")
            .faults(Script::new().rule(Rule::new(action)))
            .start()
            .await
            .unwrap();
        let mut stream = tokio::net::TcpStream::connect(server.address())
            .await
            .unwrap();
        stream
            .write_all(format!("GET {MANIFEST} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut sink = Vec::new();
        let error = stream.read_to_end(&mut sink).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}

async fn statuses(client: &Client, path: &str, count: usize) -> Vec<u16> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(client.get(path).await.status);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn when_rules_fire() {
    let rule = |when: Match| Script::new().rule(Rule::new(Action::status(500)).when(when));
    let table = [
        (
            rule(Match::any()).rules.remove(0).times(2),
            vec![500, 500, 200, 200, 200, 200],
        ),
        (
            Rule::new(Action::status(500)).when(Match::any().nth(Nth::These(vec![2, 4]))),
            vec![200, 500, 200, 500, 200, 200],
        ),
        (
            Rule::new(Action::status(500)).when(Match::any().nth(Nth::Range(3, Some(4)))),
            vec![200, 200, 500, 500, 200, 200],
        ),
        (
            Rule::new(Action::status(500)).when(Match::any().nth(Nth::Every(3))),
            vec![200, 200, 500, 200, 200, 500],
        ),
        (
            Rule::new(Action::status(500)).when(Match::any().probability(0.0)),
            vec![200; 6],
        ),
        (
            Rule::new(Action::status(500)).when(Match::any().probability(1.0)),
            vec![500; 6],
        ),
    ];
    for (rule, want) in table {
        let client = start(Script::new().rule(rule.clone()));
        assert_eq!(statuses(&client, MANIFEST, 6).await, want, "for {rule:?}");
    }
    let matching = [
        (Match::any().host("other.*"), 200),
        (Match::any().host("registry.*"), 500),
        (Match::any().route(&[Route::Blob]), 200),
        (Match::any().method(&[Method::GET, Method::HEAD]), 500),
        (Match::any().repository("team/*").reference("v1"), 500),
        (Match::any().reference("v2"), 200),
        (Match::any().client("node-1"), 500),
        (Match::any().client("node-2"), 200),
        (Match::any().path("*/manifests/*"), 500),
        (Match::any().ranged(true), 200),
        (Match::any().authorized(false), 500),
        (Match::any().until(Duration::from_secs(10)), 500),
        (Match::any().from(Duration::from_secs(10)), 200),
    ];
    for (when, want) in matching {
        assert_eq!(
            start(rule(when.clone())).get(MANIFEST).await.status,
            want,
            "for {when:?}"
        );
    }
    let client = start(rule(
        Match::any()
            .from(Duration::from_secs(10))
            .until(Duration::from_secs(20)),
    ));
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(client.get(MANIFEST).await.status, 500);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(client.get(MANIFEST).await.status, 200);
    // The same seed draws the same lots.
    let chance = || rule(Match::any().probability(0.5));
    let first = statuses(&start(chance()), MANIFEST, 20).await;
    assert_eq!(first, statuses(&start(chance()), MANIFEST, 20).await);
    assert!(first.contains(&200) && first.contains(&500));
}

#[tokio::test]
async fn the_first_rule_that_fires_decides_and_rules_change_while_running() {
    let first = Rule::new(Action::status(500)).name("first").times(1);
    let client = start(
        Script::new()
            .rule(first)
            .rule(Rule::new(Action::status(503)).name("second")),
    );
    assert_eq!(statuses(&client, MANIFEST, 3).await, [500, 503, 503]);
    let faults = client.registry.faults();
    let report: Vec<(u64, u64)> = faults
        .report()
        .iter()
        .map(|r| (r.matched, r.fired))
        .collect();
    assert_eq!(report, [(3, 1), (2, 2)]);
    let id = faults.add_first(Rule::new(Action::status(404)));
    assert_eq!(client.get(MANIFEST).await.status, 404);
    assert_eq!(faults.fired(id), 1);
    assert!(faults.remove(id) && !faults.remove(id));
    assert_eq!(client.get(MANIFEST).await.status, 503);
    faults.replace(Script::new().rule(Rule::new(
        Action::status(400).header(header::SERVER, HeaderValue::from_static("x")),
    )));
    assert_eq!(client.get(MANIFEST).await.header("server"), Some("x"));
    faults.clear();
    assert_eq!(client.get(MANIFEST).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_quota_lets_so_many_through_and_counts_down() {
    let quota = Quota::new(2, Duration::from_mins(1), CountBy::Client);
    let client = start(
        Script::new()
            .rule(Rule::new(Action::quota(quota)).when(Match::any().route(&[Route::Manifest]))),
    );
    assert_eq!(statuses(&client, MANIFEST, 3).await, [200, 200, 429]);
    assert_eq!(
        client.named("node-2").get(MANIFEST).await.status,
        200,
        "counted by client"
    );
    tokio::time::advance(Duration::from_secs(45)).await;
    let answer = client.get(MANIFEST).await;
    assert_eq!(
        (
            answer.status,
            answer.header("retry-after"),
            answer.code().as_str()
        ),
        (429, Some("15"), "TOOMANYREQUESTS")
    );
    tokio::time::advance(Duration::from_secs(15)).await;
    assert_eq!(client.get(MANIFEST).await.status, 200);
}

#[test]
fn scripts_that_are_refused_say_where() {
    let table = [
        (
            "rules:\n  - action: { status: 503, colour: red }\n",
            2,
            "colour",
        ),
        (
            "rules:\n  - match: { route: manifests }\n    action: { status: 503 }\n",
            2,
            "manifests",
        ),
        (
            "rules:\n  - match: { method: Get }\n    action: { status: 503 }\n",
            2,
            "Get",
        ),
        ("rules:\n  - action:\n      status: 99\n", 3, "99"),
        ("rules:\n  - action:\n      delay: soon\n", 3, "soon"),
        (
            "rules:\n  - match: { probability: 2 }\n    action: {}\n",
            2,
            "probability",
        ),
        (
            "rules:\n  - match: { nth: often }\n    action: {}\n",
            2,
            "often",
        ),
        ("rules:\n  - action: { headers: { 'a b': c } }\n", 2, "a b"),
        ("rules:\n  - match: {}\n", 2, "action"),
        ("rulez: []\n", 1, "rulez"),
        ("rules: [", 1, ""),
    ];
    for (text, line, word) in table {
        let error = Script::from_yaml(text).unwrap_err();
        assert!(
            error.line == line && error.message.contains(word),
            "for {text:?}: {error}"
        );
    }
    let full = "
rules:
  - name: all of it
    match: { host: r.example, route: [manifest, blob], method: GET, repository: 'a/*', reference: v1, client: n1, path: '*', ranged: false, authorized: true, nth: 2..3, probability: 0.5, from: 1s, until: 1h }
    times: 3
    action: { delay: 1s, status: 429, code: A, message: b, detail: [1], retry-after: 5, headers: { X: y }, remove-headers: [Z], challenges: [Basic], cut-after: 1, cut: reset, bandwidth: 10, corrupt: 0, wrong-digest: true, quota: { limit: 1, per: 60s, by: address } }
";
    assert_eq!(Script::from_yaml(full).unwrap().rules.len(), 1);
}

#[test]
fn raw_answers_are_read() {
    assert_eq!(parse(b"HTTP/1.1 204 No Content\r\n\r\n", false).status, 204);
}
