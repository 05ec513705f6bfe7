//! The control endpoint over a socket, and the commands of the program that speak to it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which may panic"
)]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use common::{Answer, client, parse};
use fake_registry::{Action, Control, FakeRegistry, HostSpec, Match, Route, Rule, Script};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const HOST: &str = "registry.example";
const MANIFEST: &str = "/v2/team/web/manifests/v1";

struct World {
    registry: FakeRegistry,
    control: Control,
}

async fn world() -> World {
    let rule = Rule::new(Action::status(503))
        .name("once \"only\"")
        .when(Match::any().route(&[Route::Manifest]))
        .times(1);
    let registry = FakeRegistry::builder()
        .seed(1)
        .host(HostSpec::new(HOST))
        .image(HOST, "team/web:v1 1x1KiB")
        .faults(Script::new().rule(rule))
        .build()
        .unwrap();
    let control = registry.control(([127, 0, 0, 1], 0).into()).await.unwrap();
    World { registry, control }
}

impl World {
    async fn raw(&self, request: &str) -> Vec<u8> {
        let mut stream = tokio::net::TcpStream::connect(self.control.address())
            .await
            .unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A server that refuses a body may reset what is left of it.
        let _ = stream.read_to_end(&mut answer).await;
        answer
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.ask_with(method, path, body, "Host: 127.0.0.1").await
    }

    async fn ask_with(&self, method: &str, path: &str, body: &str, headers: &str) -> Answer {
        let length = body.len();
        let raw = self
            .raw(&format!(
                "{method} {path} HTTP/1.1\r\n{headers}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
            ))
            .await;
        parse(&raw, method == "HEAD")
    }
}

#[tokio::test]
async fn health_metrics_and_what_is_refused() {
    let world = world().await;
    for (path, want) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let answer = world.ask("GET", path, "").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, want));
    }
    world.control.set_ready(false);
    assert_eq!(world.ask("GET", "/readyz", "").await.status, 503);
    assert_eq!(world.ask("GET", "/healthz", "").await.status, 200);

    let client = client(&world.registry);
    assert_eq!(client.get(MANIFEST).await.status, 503);
    assert_eq!(client.get(MANIFEST).await.status, 200);
    assert_eq!(client.get("/v2/team/web/manifests/v9").await.status, 404);
    let page = world.ask("GET", "/metrics", "").await.text();
    for line in [
        "# TYPE fake_registry_requests_total counter",
        "fake_registry_requests_total{route=\"manifest\",code=\"5xx\"} 1",
        "fake_registry_requests_total{route=\"manifest\",code=\"2xx\"} 1",
        "fake_registry_requests_total{route=\"manifest\",code=\"4xx\"} 1",
        "fake_registry_requests_in_flight 0",
        "fake_registry_fault_fired_total{rule=\"0\",name=\"once \\\"only\\\"\"} 1",
        "fake_registry_fault_matched_total{rule=\"0\",name=\"once \\\"only\\\"\"} 3",
        "fake_registry_journal_entries 3",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in {page}");
    }

    let refused = [
        ("GET", "/nothing", "", "Host: 127.0.0.1", 404),
        ("PATCH", "/faults", "", "Host: 127.0.0.1", 405),
        ("POST", "/healthz", "", "Host: 127.0.0.1", 405),
        ("DELETE", "/faults/77", "", "Host: 127.0.0.1", 404),
        ("DELETE", "/faults/x", "", "Host: 127.0.0.1", 404),
        ("GET", "/journal?color=red", "", "Host: 127.0.0.1", 400),
        ("GET", "/journal?status=bad", "", "Host: 127.0.0.1", 400),
        ("GET", "/faults", "", "Host: evil.example", 403),
        (
            "GET",
            "/faults",
            "",
            "Host: 127.0.0.1\r\nOrigin: http://evil.example",
            403,
        ),
        (
            "GET",
            "/faults",
            "",
            "Host: localhost:1\r\nSec-Fetch-Site: cross-site",
            403,
        ),
    ];
    for (method, path, body, headers, status) in refused {
        let answer = world.ask_with(method, path, body, headers).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
    }
    let large = "x".repeat((1 << 20) + 1);
    assert_eq!(world.ask("PUT", "/faults", &large).await.status, 413);
    let many = format!(
        "{{\"rules\":[{}]}}",
        vec!["{\"action\":{}}"; 10_001].join(",")
    );
    assert_eq!(world.ask("PUT", "/faults", &many).await.status, 400);
    assert_eq!(world.registry.faults().report().len(), 1, "nothing changed");
}

#[tokio::test]
async fn faults_change_while_running() {
    let world = world().await;
    let client = client(&world.registry);
    let rules = |answer: &Answer| answer.json()["rules"].as_array().unwrap().clone();
    assert_eq!(client.get(MANIFEST).await.status, 503);
    let found = rules(&world.ask("GET", "/faults", "").await);
    assert_eq!(
        found,
        [json!({
            "name": "once \"only\"", "match": {"route": ["manifest"]}, "times": 1,
            "action": {"status": 503}, "id": 0, "matched": 1, "fired": 1
        })]
    );
    let added = world
        .ask(
            "POST",
            "/faults?first=true",
            "{ times: 1, action: { status: 418 } }",
        )
        .await;
    assert_eq!(
        (added.status, added.json()["added"].clone()),
        (201, json!([1]))
    );
    assert_eq!(client.get("/v2/").await.status, 418);
    let two = "rules:\n- action: { status: 500 }\n- action: { status: 501 }\n";
    assert_eq!(
        world.ask("POST", "/faults", two).await.json()["added"],
        json!([2, 3])
    );
    assert_eq!(client.get("/v2/").await.status, 500);
    assert_eq!(world.ask("DELETE", "/faults/2", "").await.status, 200);
    assert_eq!(client.get("/v2/").await.status, 501);
    let wrong = world
        .ask("PUT", "/faults", "rules:\n  - action: { status: 9 }\n")
        .await;
    assert_eq!(
        (wrong.status, wrong.json()["line"].clone()),
        (400, json!(2)),
        "{}",
        wrong.text()
    );
    assert_eq!(client.get("/v2/").await.status, 501, "nothing changed");
    let put = world.ask("PUT", "/faults", two).await;
    assert_eq!(rules(&put).len(), 2);
    assert_eq!(rules(&world.ask("DELETE", "/faults", "").await).len(), 0);
    assert_eq!(client.get("/v2/").await.status, 200);
}

#[tokio::test]
async fn the_journal_is_told_without_credentials() {
    let world = world().await;
    let client = client(&world.registry);
    client
        .basic("ci", "hunter2")
        .get("/v2/?password=hunter2")
        .await;
    client.bearer("hunter2").get(MANIFEST).await;
    client
        .named("node-2")
        .get("/v2/team/web/manifests/v9")
        .await;
    for _ in 0..1200 {
        client.head(MANIFEST).await;
    }
    let lines = |answer: Answer| -> Vec<Value> {
        let text = answer.text();
        // Chunked: the sizes stand on lines of their own.
        text.lines()
            .filter(|line| line.starts_with('{'))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let all = world.ask("GET", "/journal", "").await;
    assert!(!all.text().contains("hunter2"));
    assert_eq!(all.header("content-type"), Some("application/x-ndjson"));
    let all = lines(all);
    assert_eq!(all.len(), 1203, "more than one page");
    assert!(
        all.iter()
            .enumerate()
            .all(|(at, entry)| entry["number"] == at)
    );
    let table = [
        ("status=404", 1),
        ("status=4xx", 1),
        ("status=none", 0),
        ("client=node-2", 1),
        ("method=head&limit=1100", 1100),
        ("authorization=basic", 1),
        ("authorization=bearer&fault=once*", 1),
        ("path=*/manifests/v9", 1),
        ("since=1200", 3),
        ("host=other", 0),
    ];
    for (query, want) in table {
        let found = lines(world.ask("GET", &format!("/journal?{query}"), "").await);
        assert_eq!(found.len(), want, "{query}");
    }
    assert_eq!(world.ask("DELETE", "/journal", "").await.status, 200);
    assert_eq!(lines(world.ask("GET", "/journal", "").await).len(), 0);
}

#[tokio::test]
async fn images_and_the_ca() {
    let world = world().await;
    let made = world.ask("POST", "/images", "team/new:v1 1x1KiB\n").await;
    assert_eq!(made.status, 201, "{}", made.text());
    let digest = world.registry.digest(HOST, "team/new:v1").unwrap();
    assert_eq!(made.json()["images"][0]["digest"], digest);
    let wrong = world
        .ask("POST", "/images?host=nobody", "a:v1 1x1KiB")
        .await;
    assert_eq!(wrong.status, 400, "{}", wrong.text());
    let wrong = world.ask("POST", "/images", "a:v1 1x1KiB\nb v1 v2").await;
    assert!(wrong.text().contains("line 2"), "{}", wrong.text());
    let ca = world.ask("GET", "/ca.pem", "").await;
    assert_eq!(ca.text(), world.registry.ca_pem());
    let client = world
        .ask("GET", "/client.pem?name=node%2D1", "")
        .await
        .text();
    assert!(
        client.starts_with("-----BEGIN CERTIFICATE-----"),
        "{client}"
    );
    assert!(client.contains("-----BEGIN PRIVATE KEY-----"), "{client}");
    assert_eq!(world.ask("GET", "/hosts", "").await.json(), json!([HOST]));
}

fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fake-registry"))
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn the_program_from_start_to_stop() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_fake-registry"))
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--image",
            "team/web:v1 1x1KiB",
        ])
        .args(["--log-format", "json"])
        .env("FAKE_REGISTRY_LOG", "info")
        .env("FAKE_REGISTRY_SEED", "3")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut line = |start: &str| {
        let line = lines.next().unwrap().unwrap();
        line.strip_prefix(start)
            .unwrap_or_else(|| panic!("{line}"))
            .to_owned()
    };
    let listening = line("listening on http://");
    let control = line("control at http://");
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_fake-registry"))
            .args(arguments)
            .env("FAKE_REGISTRY_CONTROL", &control)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), text, error)
    };
    let (code, text, _) = run(&["faults", "add", "{ name: down, action: { status: 503 } }"]);
    assert_eq!((code, text.as_str()), (0, "0\n"));
    let answer = get(&listening, "/v2/");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    let (_, text, _) = run(&["faults"]);
    assert!(
        text.contains("   0        1        1  {\"name\":\"down\""),
        "{text}"
    );
    let (code, _, error) = run(&["faults", "add", "{ action: { status: 3 } }"]);
    assert!(
        code == 1 && error.contains("refused (400)"),
        "{code} {error}"
    );
    assert_eq!(run(&["faults", "remove", "0"]).0, 0);
    assert_eq!(run(&["faults", "remove", "0"]).0, 1);
    let (code, text, error) = run(&["seed", "team/new:v2 1x1KiB"]);
    assert!(
        code == 0 && text.starts_with("localhost/team/new:v2 sha256:"),
        "{text}{error}"
    );
    assert!(get(&listening, "/v2/team/new/manifests/v2").starts_with("HTTP/1.1 200"));
    let (_, text, _) = run(&["journal", "--status", "503"]);
    assert!(text.ends_with("/v2/ -> 503 fault: down\n"), "{text}");
    let (_, text, _) = run(&["journal", "--json"]);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(run(&["ca"]).1.starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(run(&["ca", "--client", "node 1"]).1.contains("PRIVATE KEY"));

    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let log = String::from_utf8(output.stderr).unwrap();
    for line in log.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    }
    assert!(log.contains("\"path\":\"/v2/\""), "{log}");
    assert_eq!(run(&["faults"]).0, 2, "it is gone");
}

fn get(address: &str, path: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn completions_manual_and_keys() {
    for shell in ["bash", "zsh", "fish"] {
        let output = program(&["completions", shell]);
        assert!(output.status.success());
        assert!(
            String::from_utf8(output.stdout)
                .unwrap()
                .contains("journal-limit")
        );
    }
    let manual = String::from_utf8(program(&["man"]).stdout).unwrap();
    assert!(manual.contains(".TH fake-registry"), "{manual}");
    let one = String::from_utf8(program(&["man", "faults", "add"]).stdout).unwrap();
    assert!(one.contains(".TH fake-registry-faults-add"), "{one}");
    assert_eq!(program(&["man", "nothing"]).status.code(), Some(2));
    let folder = tempfile::TempDir::new().unwrap();
    let to = folder.path().to_str().unwrap();
    assert!(program(&["man", "--to", to]).status.success());
    let pages = std::fs::read_dir(folder.path()).unwrap();
    let mut pages: Vec<String> = pages
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    let commands = [
        "",
        "-ca",
        "-dns",
        "-faults",
        "-faults-add",
        "-faults-clear",
        "-faults-keys",
        "-faults-list",
        "-faults-remove",
        "-faults-replace",
        "-journal",
        "-seed",
        "-serve",
    ];
    let mut want = commands.map(|command| format!("fake-registry{command}.1"));
    want.sort();
    assert_eq!(pages, want);
    let keys = String::from_utf8(program(&["faults", "keys"]).stdout).unwrap();
    assert!(keys.contains("bad-json"), "{keys}");
    assert_eq!(
        program(&["serve", "--control", "here"]).status.code(),
        Some(2)
    );
}
