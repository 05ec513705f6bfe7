//! Properties of what comes in as text: heads of requests as hostile clients write them, fault scripts as
//! people mistype them, and documents that are thousands of levels deep. Time is virtual, so that waiting
//! for more of a request costs nothing.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which may panic"
)]

mod common;

use std::time::Duration;

use common::tenant::{arm, start, tenant};
use common::{Client, HOST, client, parse, sha256};
use fake_registry::{Conn, FakeRegistry, Rule, Scheme, Script, fault_table};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const IMAGE: &str = "team/web:v1 linux/amd64 1x1KiB";

fn registry(script: Script) -> FakeRegistry {
    FakeRegistry::builder()
        .image(HOST, IMAGE)
        .seed(1)
        .faults(script)
        .build()
        .unwrap()
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(work)
}

/// Sends bytes and no more, and reads until the registry ends the connection; gives what came, and whether
/// it ended within an hour.
async fn converse(registry: &FakeRegistry, bytes: &[u8]) -> (Vec<u8>, bool) {
    let (mut near, far) = tokio::io::duplex(64 << 10);
    let conn = Conn {
        peer: "10.0.0.4:40000".parse().unwrap(),
        client: "node-1".into(),
        scheme: Scheme::Http,
    };
    let serving = tokio::spawn(registry.serve(far, conn));
    let mut seen = Vec::new();
    let talk = async {
        // It may have had enough before all is sent.
        let _ = near.write_all(bytes).await;
        let mut piece = vec![0; 64 << 10];
        while let Ok(count @ 1..) = near.read(&mut piece).await {
            seen.extend_from_slice(&piece[..count]);
        }
    };
    let ended = tokio::time::timeout(Duration::from_hours(1), talk)
        .await
        .is_ok();
    if ended {
        serving.await.expect("no panic");
    } else {
        serving.abort();
    }
    (seen, ended)
}

fn head() -> impl Strategy<Value = Vec<u8>> {
    let method = prop_oneof![
        4 => prop::sample::select(vec!["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PRI"])
            .prop_map(str::to_owned),
        1 => "[ -~]{0,12}",
    ];
    let target = prop_oneof![
        3 => "/v2/(team/web|[a-z./%]{0,20})/(manifests|blobs|tags|referrers|blobs/uploads)/(v1|list|sha256:[0-9a-f]{0,64}|[!-~]{0,30})(\\?[!-~]{0,40})?",
        1 => "(http://|https://|//)?[!-~]{0,40}",
        1 => "\\*|/(v2|\\.\\.|%2e%2e|%2f|%00|%ff|%){1,6}/?",
    ];
    let version = prop_oneof![6 => Just("HTTP/1.1".to_owned()), 1 => Just("HTTP/1.0".to_owned()), 1 => "[ -~]{0,10}"];
    let name = prop_oneof![
        5 => prop::sample::select(vec![
            "Host", "Content-Length", "Transfer-Encoding", "Connection", "Expect", "Range", "Content-Range",
            "Content-Type", "Authorization", "Accept", "If-None-Match", "Upgrade", "Cookie", "Content-Encoding",
        ]).prop_map(str::to_owned),
        1 => "[!-~]{0,12}",
    ];
    let value = prop_oneof![
        3 => prop::sample::select(vec![
            HOST, "0", "5", "-1", "18446744073709551616", "5, 5", "chunked", "gzip, chunked", "close", "keep-alive",
            "100-continue", "bytes=0-0", "bytes=5-", "0-4", "application/json", "Bearer x.y.z", "Basic Og==", "h2c",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
        1 => "[ \\t]{0,3}[ -~]{0,40}".prop_map(String::into_bytes),
    ];
    let separator = prop::sample::select(vec![": ", ":", " : ", ":\t", "", ":\r\n "]);
    let end = prop::sample::select(vec!["\r\n", "\r\n", "\r\n", "\n", "\r"]);
    let header = (name, separator, value, end);
    let headers = prop::collection::vec(header, 0..8);
    let body = prop_oneof![
        Just(Vec::new()),
        Just(b"hello".to_vec()),
        Just(b"5\r\nhello\r\n0\r\n\r\n".to_vec()),
        Just(b"ffffffffffffffff\r\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..60),
    ];
    (method, target, version, headers, body).prop_map(|(method, target, version, headers, body)| {
        let mut bytes = format!("{method} {target} {version}\r\n").into_bytes();
        for (name, separator, value, end) in headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(separator.as_bytes());
            bytes.extend_from_slice(&value);
            bytes.extend_from_slice(end.as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&body);
        bytes
    })
}

/// Keys that there are with values that they may have, and some of neither kind.
fn rule() -> impl Strategy<Value = String> {
    let examples: Vec<String> = fault_table()
        .iter()
        .map(|key| key.example.to_owned())
        .collect();
    let word = "[a-z][a-z-]{0,12}";
    let value = prop_oneof![
        "-?[0-9]{1,20}(ms|s|m|h|KiB)?",
        "[ -~]{0,12}",
        Just("{ limit: 1, per: 1s }".to_owned()),
        Just("[a, 1, null]".to_owned()),
    ];
    prop_oneof![
        3 => prop::sample::select(examples.clone()),
        1 => (prop::sample::select(examples), any::<prop::sample::Index>(), "[ -~\\n]{0,3}")
            .prop_map(|(mut text, at, other)| {
                // The examples are ASCII.
                let at = at.index(text.len());
                text.replace_range(at..=at, &other);
                text
            }),
        1 => (word, value).prop_map(|(key, value)| format!("{{ action: {{ {key}: {value} }} }}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_head_of_any_kind_is_answered_or_refused_and_leaves_the_store_alone(heads in prop::collection::vec(head(), 1..3)) {
        run(async {
            let registry = registry(Script::new());
            let digest = registry.digest(HOST, "team/web:v1").unwrap();
            let (seen, ended) = converse(&registry, &heads.concat()).await;
            prop_assert!(ended, "held for an hour");
            prop_assert!(seen.is_empty() || seen.starts_with(b"HTTP/1.1 ") || seen.starts_with(b"HTTP/1.0 "), "{seen:?}");
            if !seen.is_empty() {
                let status = &seen[9..12];
                prop_assert!(status[0] < b'5' || status == b"505", "{}", String::from_utf8_lossy(&seen));
            }
            let deleted = heads.iter().any(|head| head.starts_with(b"DELETE"));
            if !deleted {
                let answer = client(&registry).get("/v2/team/web/manifests/v1").await;
                // A manifest may have been pushed over it, but what is there is whole.
                prop_assert_eq!(answer.status, 200);
                let whole = sha256(&answer.body);
                prop_assert_eq!(answer.header("docker-content-digest"), Some(whole.as_str()));
                let by_digest = client(&registry).get(&format!("/v2/team/web/manifests/{digest}")).await;
                prop_assert_eq!(sha256(&by_digest.body), digest);
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_script_is_refused_at_a_place_in_it_or_is_lived_with(rules in prop::collection::vec(rule(), 1..4)) {
        let rules: Vec<String> = rules.iter().map(|rule| format!("  - {rule}\n")).collect();
        let text = format!("rules:\n{}", rules.concat());
        let script = match Script::from_yaml(&text) {
            Ok(script) => script,
            Err(error) => {
                let lines = text.lines().count() as u64 + 1;
                prop_assert!((1..=lines).contains(&error.line) && error.column >= 1, "{error} in {text}");
                prop_assert!(!error.message.is_empty());
                return Ok(());
            }
        };
        let written = serde_json::to_string(&script).unwrap();
        prop_assert_eq!(&Script::from_yaml(&written).unwrap(), &script, "{}", written);
        run(async {
            let registry = registry(script);
            for path in ["/v2/", "/v2/team/web/manifests/v1", "/token"] {
                let request = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
                // An answer, half of one, or none, but no panic.
                converse(&registry, request.as_bytes()).await;
            }
            registry.faults().clear();
            prop_assert_eq!(client(&registry).get("/v2/").await.status, 200);
            Ok(())
        })?;
    }

    #[test]
    fn any_text_is_a_rule_or_an_error(text in "\\PC{0,60}") {
        if let Err(error) = Rule::from_yaml(&text) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}

/// `[[[…]]]` and `{"a":{"a":…}}`.
fn deep(levels: usize) -> [String; 2] {
    [
        format!("{}{}", "[".repeat(levels), "]".repeat(levels)),
        format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels)),
    ]
}

#[tokio::test]
async fn documents_that_are_thousands_of_levels_deep_are_refused() {
    let registry = registry(Script::new());
    let client: Client = client(&registry);
    let control = registry.control(([127, 0, 0, 1], 0).into()).await.unwrap();
    for levels in [1000, 5000, 100_000] {
        for text in deep(levels) {
            assert!(Rule::from_yaml(&text).is_err(), "{levels}");
            let detail = format!("rules:\n  - action: {{ status: 400, detail: {text} }}\n");
            assert!(Script::from_yaml(&detail).is_err(), "{levels}");
            assert!(fake_registry::Builder::from_yaml(&text).is_err());
            let manifest =
                client.with("Content-Type", "application/vnd.oci.image.manifest.v1+json");
            let answer = manifest
                .ask("PUT", "/v2/team/web/manifests/v2", text.as_bytes())
                .await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (400, "MANIFEST_INVALID")
            );
            // The control endpoint takes the same scripts.
            let mut stream = tokio::net::TcpStream::connect(control.address())
                .await
                .unwrap();
            let head = format!(
                "PUT /faults HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                text.len()
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            let mut seen = Vec::new();
            stream.read_to_end(&mut seen).await.unwrap();
            assert_eq!(parse(&seen, false).status, 400);
        }
    }
    assert_eq!(client.get("/v2/team/web/manifests/v1").await.status, 200);
}

#[tokio::test]
async fn deep_bodies_of_callers_with_a_token_are_refused() {
    let client = start(tenant());
    let imds = client.at("169.254.169.254").with("Metadata", "true");
    let token = imds.get("/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fgraph.microsoft.com%2F").await;
    let token = token.json()["access_token"].as_str().unwrap().to_owned();
    let graph = client.at("graph.microsoft.com").bearer(&token);
    for text in deep(5000) {
        for method in ["PUT", "PATCH", "POST"] {
            let path = "/subscriptions/x/resourceGroups/registries/providers/Microsoft.ContainerRegistry/registries/contoso1?api-version=2023-07-01";
            let answer = arm(&client).ask(method, path, text.as_bytes()).await;
            assert_eq!(answer.status, 400, "{method}: {}", answer.text());
            let code = answer.json()["error"]["code"].clone();
            assert_eq!(code, "InvalidRequestContent", "{method}");
        }
        // Read as no JSON at all, for an application that is not there.
        let path = "/v1.0/applications/x/addPassword";
        let answer = graph.ask("POST", path, text.as_bytes()).await;
        assert_eq!(answer.status, 404, "{}", answer.text());
    }
}
