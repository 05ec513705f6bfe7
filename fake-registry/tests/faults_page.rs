//! The page of the fault script: every example is run, and what a raw client sees is written down.
//!
//! `UPDATE_DOCS=1 cargo test -p fake-registry --test faults_page` writes the page anew.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which may panic"
)]

mod common;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::HOST;
use fake_registry::{
    Accounts, Action, AuthPolicy, Clock, Conn, FakeRegistry, FaultKey, HostSpec, KeyKind, Match,
    Rule, Scheme, Script, Span, TokenService, fault_table,
};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/faults.md");
/// No client waits longer.
const PATIENCE: Duration = Duration::from_mins(10);
const SHOWN: usize = 120;

/// What one request came to.
struct Seen {
    raw: Vec<u8>,
    took: Duration,
    reset: bool,
    silent: bool,
}

struct Asked<'a> {
    line: &'a str,
    host: &'a str,
    client: &'a str,
    scheme: Scheme,
    headers: Vec<&'a str>,
}

fn asked(request: &str) -> Asked<'_> {
    let mut parts = request.split(" | ");
    let mut asked = Asked {
        line: parts.next().unwrap(),
        host: HOST,
        client: "node-1",
        scheme: Scheme::Http,
        headers: Vec::new(),
    };
    for part in parts {
        if let Some(host) = part.strip_prefix("Host: ") {
            asked.host = host;
        } else if let Some(client) = part.strip_prefix("(client) ") {
            asked.client = client;
        } else if part == "(scheme) https" {
            asked.scheme = Scheme::Https;
        } else {
            asked.headers.push(part);
        }
    }
    asked
}

async fn see(registry: &FakeRegistry, asked: &Asked<'_>) -> Seen {
    let (near, far) = tokio::io::duplex(64 << 10);
    let reset = Arc::new(AtomicBool::new(false));
    let hook = reset.clone();
    let conn = Conn {
        peer: "10.0.0.4:40000".parse().unwrap(),
        client: asked.client.to_owned(),
        scheme: asked.scheme,
    };
    let hook = Arc::new(move || hook.store(true, Ordering::Relaxed));
    tokio::spawn(registry.serve_with_reset(far, conn, hook));
    match asked.scheme {
        Scheme::Http => speak(near, asked, &reset).await,
        Scheme::Https => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(registry.ca_der().into()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let time = Arc::new(Fixed);
            let config = rustls::ClientConfig::builder_with_details(provider, time)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            let name = asked.host.to_owned().try_into().unwrap();
            let stream = tokio_rustls::TlsConnector::from(Arc::new(config))
                .connect(name, near)
                .await
                .unwrap();
            speak(stream, asked, &reset).await
        }
    }
}

#[derive(Debug)]
struct Fixed;

impl rustls::time_provider::TimeProvider for Fixed {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        let start = "2026-01-15T09:00:00Z".parse::<jiff::Timestamp>().unwrap();
        let seconds = u64::try_from(start.as_second()).unwrap();
        Some(rustls::pki_types::UnixTime::since_unix_epoch(
            Duration::from_secs(seconds),
        ))
    }
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    asked: &Asked<'_>,
    reset: &AtomicBool,
) -> Seen {
    let mut request = format!(
        "{} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
        asked.line, asked.host
    );
    for header in &asked.headers {
        request += &[header, "\r\n"].concat();
    }
    request += "\r\n";
    let begin = Instant::now();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut raw = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut raw)).await;
    Seen {
        raw,
        took: begin.elapsed(),
        reset: reset.load(Ordering::Relaxed),
        silent: read.is_err(),
    }
}

/// One line for an answer that is only worth its status, the head and a part of the body otherwise.
fn show(out: &mut String, line: &str, asked: &Asked<'_>, seen: &Seen, whole: bool) {
    let mut extra: Vec<String> = asked.headers.iter().map(ToString::to_string).collect();
    if asked.host != HOST {
        extra.push(format!("Host: {}", asked.host));
    }
    if asked.client != "node-1" {
        extra.push(format!("from {}", asked.client));
    }
    if asked.scheme == Scheme::Https {
        extra.push("over TLS".to_owned());
    }
    let extra = if extra.is_empty() {
        String::new()
    } else {
        format!(" ({})", extra.join(", "))
    };
    writeln!(out, "> {line}{extra}").unwrap();
    let end = seen.raw.windows(4).position(|window| window == b"\r\n\r\n");
    if let Some(end) = end {
        let head = String::from_utf8_lossy(&seen.raw[..end]).into_owned();
        let body = &seen.raw[end + 4..];
        for (number, line) in head.lines().enumerate() {
            let lower = line.to_ascii_lowercase();
            let dull = lower.starts_with("date:")
                || lower.starts_with("connection:")
                || lower.starts_with("docker-distribution-api-version:");
            if number == 0 || (whole && !dull) {
                writeln!(out, "< {line}").unwrap();
            }
        }
        if whole && !body.is_empty() {
            let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]).into_owned();
            let more = if body.len() > SHOWN {
                format!(" … {} bytes in all", body.len())
            } else {
                String::new()
            };
            writeln!(out, "<").unwrap();
            for line in text.lines() {
                writeln!(out, "< {line}").unwrap();
            }
            if !more.is_empty() {
                writeln!(out, "<{more}").unwrap();
            }
        }
    }
    let mut notes = Vec::new();
    if seen.silent {
        notes.push("nothing more; the client gives up".to_owned());
    } else if seen.reset {
        notes.push("connection reset (RST)".to_owned());
    } else if end.is_none() {
        notes.push("connection closed without an answer".to_owned());
    } else if let Some(missing) = missing(seen, asked) {
        notes.push(format!("connection closed, {missing} bytes short"));
    }
    if seen.took >= Duration::from_millis(100) && !seen.silent {
        notes.push(format!("after {:.1} s", seen.took.as_secs_f64()));
    }
    if !notes.is_empty() {
        writeln!(out, "# {}", notes.join(", ")).unwrap();
    }
}

fn missing(seen: &Seen, asked: &Asked<'_>) -> Option<usize> {
    let end = seen.raw.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&seen.raw[..end]).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))?;
    let short = length.parse::<usize>().ok()? - (seen.raw.len() - end - 4);
    (short > 0 && !asked.line.starts_with("HEAD")).then_some(short)
}

async fn transcript(key: &FaultKey) -> String {
    let script = Script::from_yaml(&format!("rules:\n  - {}\n", key.example))
        .unwrap_or_else(|error| panic!("{}: {error}", key.example));
    let registry = FakeRegistry::builder()
        .seed(7)
        .clock(Clock::starting_at("2026-01-15T09:00:00Z".parse().unwrap()))
        .image(HOST, "team/web:v1 1x1KiB")
        .image(HOST, "team/web:v2 1x1KiB")
        .image("mirror.example", "team/web:v1 1x1KiB")
        .host(
            HostSpec::new("private.example").auth(AuthPolicy::Token(TokenService::new(
                Accounts::new().anonymous(&["*:pull"]),
            ))),
        )
        .faults(script.clone())
        .build()
        .unwrap();
    registry.faults().clear();
    let plain = common::client(&registry)
        .get("/v2/team/web/manifests/v1")
        .await;
    let config = plain.json()["config"]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    registry.faults().replace(script);
    let mut out = String::new();
    for request in key.requests {
        if let Some(time) = request.strip_prefix("wait ") {
            let time: Span = time.parse().unwrap();
            tokio::time::advance(time.0).await;
            writeln!(out, "# {request}").unwrap();
            continue;
        }
        let request = request.replace("{config}", &config);
        let asked = asked(&request);
        let whole = key.kind != KeyKind::Match;
        let seen = see(&registry, &asked).await;
        let line = asked.line.replace(&config, "sha256:…");
        show(&mut out, &line, &asked, &seen, whole);
    }
    let fired: u64 = registry
        .faults()
        .report()
        .iter()
        .map(|rule| rule.fired)
        .sum();
    assert!(fired > 0, "the example of `{}` never fires", key.key);
    shorten(&out)
}

/// Digests depend on how images are made, which is not what the page is about.
fn shorten(text: &str) -> String {
    let mut parts = text.split("sha256:");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let hex = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        let (digest, rest) = part.split_at(hex);
        let zeros = digest.bytes().all(|byte| byte == b'0');
        out += "sha256:";
        out += if hex == 64 && !zeros { "…" } else { digest };
        out += rest;
    }
    out
}

#[tokio::test(start_paused = true)]
async fn the_page_says_what_a_client_sees() {
    let mut page = String::from(PREFACE);
    let mut section = None;
    let mut last = "";
    for key in fault_table() {
        if section != Some(key.kind) {
            section = Some(key.kind);
            page += match key.kind {
                KeyKind::Rule => "\n## A rule\n",
                KeyKind::Match => "\n## When: `match`\n\nAll that is said has to hold.\n",
                KeyKind::Action => "\n## What: `action`\n",
            };
        }
        if last != key.key {
            write!(page, "\n### `{}`\n", key.key).unwrap();
            last = key.key;
        }
        write!(
            page,
            "\n{}\n\n```yaml\n- {}\n```\n```text\n",
            key.says, key.example
        )
        .unwrap();
        page += &transcript(key).await;
        page += "```\n";
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(std::path::Path::new(PAGE).parent().unwrap()).unwrap();
        std::fs::write(PAGE, &page).unwrap();
    }
    let found = std::fs::read_to_string(PAGE).unwrap_or_default();
    let first = found
        .lines()
        .zip(page.lines())
        .position(|(found, made)| found != made);
    assert!(
        found == page,
        "docs/faults.md is not what the registry does (first difference at line {:?}); write it anew with\n\
         UPDATE_DOCS=1 cargo test -p fake-registry --test faults_page",
        first.map(|line| line + 1)
    );
}

const PREFACE: &str = "\
# The fault script

An ordered list of rules; for each request the first rule that fires decides, and a request that
no rule fires on gets the registry's own answer. Rules come from `faults:` in the configuration of
`fake-registry serve`, from `--faults FILE`, from the builder (`Builder::faults`), and while
running from the control endpoint (`fake-registry faults add|replace|remove|clear`) or the library
(`FakeRegistry::faults`). Counters and chance belong to the rule and the run's seed, never to the
machine's clock: the same requests meet the same faults.

```yaml
rules:
  - name: the first two pulls of a manifest fail
    match: { route: manifest, method: GET, repository: 'team/*' }
    times: 2
    action: { status: 503, retry-after: 5s }
```

Spans of time are `250ms`, `10s`, `1m30s`, `6h`. Unknown keys are refused with line and column.

This page is made by running every example; below each stands what a client sees that writes
requests as text (`>` sent, `<` received, `#` a remark; `Date`, `Connection` and the API version
are left out).
";

/// Reads nothing; tells the names of the fields that a type asks for.
struct Fields<'a>(&'a std::cell::RefCell<Vec<&'static str>>);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("only structs"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.borrow_mut().extend(fields);
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn fields<'de, T: Deserialize<'de>>() -> Vec<&'static str> {
    let names = std::cell::RefCell::default();
    let _ = T::deserialize(Fields(&names));
    let mut names = names.into_inner();
    names.sort_unstable();
    names
}

#[test]
fn every_key_stands_in_the_table() {
    let kinds = [
        (KeyKind::Rule, fields::<Rule>()),
        (KeyKind::Match, fields::<Match>()),
        (KeyKind::Action, fields::<Action>()),
    ];
    for (kind, fields) in kinds {
        assert!(fields.len() > 3);
        let mut keys: Vec<&str> = fault_table()
            .iter()
            .filter(|key| key.kind == kind)
            .map(|key| key.key)
            .collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys, fields, "{kind:?}");
        for key in fault_table().iter().filter(|key| key.kind == kind) {
            assert!(key.example.contains(key.key), "{}", key.key);
        }
    }
}

#[test]
fn a_script_reads_what_it_writes() {
    for key in fault_table() {
        let script = Script::from_yaml(&format!("rules:\n  - {}\n", key.example)).unwrap();
        let text = serde_json::to_string(&script).unwrap();
        assert_eq!(Script::from_yaml(&text).unwrap(), script, "{text}");
    }
}

#[tokio::test]
async fn challenges_and_token_answers_by_name() {
    let bearer = "Bearer realm=\"http://registry.example/token\",service=\"registry\"";
    let basic = "Basic realm=\"registry\"";
    let joined = format!("{basic}, {bearer}");
    let table: [(&str, u16, &[&str]); 10] = [
        ("challenge: none", 401, &[]),
        ("challenge: basic", 401, &[basic]),
        ("challenge: several", 401, &[basic, bearer]),
        ("challenge: joined", 401, &[joined.as_str()]),
        (
            "challenge: missing-realm",
            401,
            &["Bearer service=\"registry\""],
        ),
        (
            "challenge: empty-realm",
            401,
            &["Bearer realm=\"\",service=\"registry\""],
        ),
        (
            "challenge: relative-realm",
            401,
            &["Bearer realm=\"/token\",service=\"registry\""],
        ),
        (
            "challenge: dead-realm",
            401,
            &["Bearer realm=\"https://tokens.invalid/token\",service=\"registry\""],
        ),
        (
            "challenge: malformed, status: 403",
            403,
            &["Bearer realm=\"http://registry.example/token,service=registry"],
        ),
        ("challenge: negotiate", 401, &["Negotiate"]),
    ];
    let registry = FakeRegistry::builder()
        .image(HOST, "team/web:v1 1x1KiB")
        .build()
        .unwrap();
    let client = common::client(&registry);
    let act = |action: &str| {
        let rule = Rule::from_yaml(&format!("action: {{ {action} }}")).unwrap();
        registry.faults().replace(Script::new().rule(rule));
    };
    for (action, status, want) in table {
        act(action);
        let answer = client.get("/v2/").await;
        let found: Vec<&str> = answer
            .head
            .lines()
            .filter_map(|line| line.strip_prefix("www-authenticate: "))
            .collect();
        assert_eq!(
            (answer.status, found.as_slice()),
            (status, want),
            "{action}"
        );
    }
    let table = [
        ("refused", 401, "incorrect username or password"),
        ("missing", 200, "{\"expires_in\":300}"),
        ("empty", 200, "\"token\":\"\""),
        ("bad-json", 200, "{\"token\":"),
        ("forged", 200, "\"token\":\"not-a-token\""),
    ];
    for (kind, status, want) in table {
        act(&format!("token: {kind}"));
        let answer = client.get("/token").await;
        assert_eq!(answer.status, status, "{kind}");
        assert!(answer.text().contains(want), "{kind}: {}", answer.text());
        let is_json = serde_json::from_slice::<serde_json::Value>(&answer.body).is_ok();
        assert_eq!(is_json, kind != "bad-json", "{kind}");
    }
}
