//! The commands that speak to the control endpoint of a running registry.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use fake_registry::{KeyKind, fault_table};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::net::TcpStream;

use super::args::{Ca, Command, Faults, FaultsWork, Journal, Seed};
use super::{Failure, print, read};

/// A registry on the same machine that does not answer by then will not.
const PATIENCE: Duration = Duration::from_secs(10);
/// An answer that is read whole is no larger.
const MAX_ANSWER: usize = 64 << 20;
/// A line of the journal is no longer.
const MAX_LINE: usize = 64 << 10;

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Faults(faults) => change_faults(faults).await,
        Command::Journal(journal) => show_journal(journal).await,
        Command::Ca(ca) => print_ca(ca).await,
        Command::Seed(seed) => put_images(seed).await,
        Command::Serve(_) | Command::Dns(_) | Command::Completions { .. } | Command::Man { .. } => {
            Ok(())
        }
    }
}

async fn change_faults(faults: Faults) -> Result<(), Failure> {
    let at = faults.running.control;
    match faults.work.unwrap_or(FaultsWork::List { json: false }) {
        FaultsWork::List { json: true } => {
            print(&whole(ask(at, Method::GET, "/faults", String::new()).await?, at).await?)
        }
        FaultsWork::List { json: false } => {
            let answer = json(at, Method::GET, "/faults", String::new()).await?;
            print(rules(&answer).as_bytes())
        }
        FaultsWork::Add { rule, file, first } => {
            let script = match (rule, file) {
                (Some(rule), _) => rule,
                (None, Some(file)) => read(&file)?,
                (None, None) => String::new(),
            };
            let path = if first {
                "/faults?first=true"
            } else {
                "/faults"
            };
            let answer = json(at, Method::POST, path, script).await?;
            let mut text = String::new();
            for id in list(&answer, "added") {
                let _ = writeln!(text, "{id}");
            }
            print(text.as_bytes())
        }
        FaultsWork::Replace { file } => {
            let answer = json(at, Method::PUT, "/faults", read(&file)?).await?;
            print(rules(&answer).as_bytes())
        }
        FaultsWork::Remove { id } => {
            json(at, Method::DELETE, &format!("/faults/{id}"), String::new()).await?;
            Ok(())
        }
        FaultsWork::Clear => {
            json(at, Method::DELETE, "/faults", String::new()).await?;
            Ok(())
        }
        FaultsWork::Keys => print(keys().as_bytes()),
    }
}

/// The table of rules: id, counts, and the rule as one line of YAML.
fn rules(answer: &Value) -> String {
    let mut text = String::from("  ID  MATCHED    FIRED  RULE\n");
    for rule in list(answer, "rules") {
        let count = |key: &str| rule.get(key).and_then(Value::as_u64).unwrap_or_default();
        let mut shown = rule.clone();
        if let Some(map) = shown.as_object_mut() {
            for key in ["id", "matched", "fired"] {
                map.shift_remove(key);
            }
        }
        let _ = writeln!(
            text,
            "{:>4} {:>8} {:>8}  {shown}",
            count("id"),
            count("matched"),
            count("fired")
        );
    }
    text
}

fn keys() -> String {
    let mut text = String::new();
    let mut last = None;
    for key in fault_table() {
        if last != Some(key.kind) {
            last = Some(key.kind);
            text += match key.kind {
                KeyKind::Rule => "a rule:\n",
                KeyKind::Match => "in match:\n",
                KeyKind::Action => "in action:\n",
            };
        }
        let _ = writeln!(
            text,
            "  {:<20} {}\n{:23}{}",
            key.key, key.says, "", key.example
        );
    }
    text
}

async fn show_journal(journal: Journal) -> Result<(), Failure> {
    let at = journal.running.control;
    if journal.clear {
        json(at, Method::DELETE, "/journal", String::new()).await?;
        return Ok(());
    }
    let filters = [
        ("host", journal.host),
        ("client", journal.client),
        ("method", journal.method),
        ("path", journal.path),
        ("status", journal.status),
        ("authorization", journal.authorization),
        ("fault", journal.fault),
        ("since", journal.since.map(|since| since.to_string())),
        ("limit", journal.limit.map(|limit| limit.to_string())),
    ];
    let pairs: Vec<String> = filters
        .into_iter()
        .filter_map(|(key, value)| {
            let value = value?;
            Some(format!(
                "{key}={}",
                utf8_percent_encode(&value, NON_ALPHANUMERIC)
            ))
        })
        .collect();
    let path = format!("/journal?{}", pairs.join("&"));
    let mut body = ask(at, Method::GET, &path, String::new()).await?;
    // Line by line, as it comes.
    let mut rest = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| no_answer(at, error))?.into_data() else {
            continue;
        };
        if journal.json {
            print(&data)?;
            continue;
        }
        rest.extend_from_slice(&data);
        let end = rest
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let lines: Vec<u8> = rest.drain(..end).collect();
        let shown: String = String::from_utf8_lossy(&lines).lines().map(line).collect();
        print(shown.as_bytes())?;
        if rest.len() > MAX_LINE {
            return Err(no_answer(at, "a line without an end"));
        }
    }
    Ok(())
}

/// An entry for people: time, client, what it asked for, what it got.
fn line(text: &str) -> String {
    let Ok(entry) = serde_json::from_str::<Value>(text) else {
        return String::new();
    };
    let word = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
    let seconds = entry.get("at").and_then(Value::as_f64).unwrap_or_default();
    let query = match word("query") {
        "" => String::new(),
        query => format!("?{query}"),
    };
    let status = entry
        .get("status")
        .and_then(Value::as_u64)
        .map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let mut line = format!(
        "{seconds:>10.3} {} {} {}{}{query} -> {status}",
        word("client"),
        word("method"),
        word("host"),
        word("path"),
    );
    if word("authorization") != "none" {
        let _ = write!(line, " [{}]", word("authorization"));
    }
    if !word("fault").is_empty() {
        let _ = write!(line, " fault: {}", word("fault"));
    }
    line.push('\n');
    line
}

async fn print_ca(ca: Ca) -> Result<(), Failure> {
    let at = ca.running.control;
    let path = match &ca.client {
        Some(name) => format!(
            "/client.pem?name={}",
            utf8_percent_encode(name, NON_ALPHANUMERIC)
        ),
        None => "/ca.pem".to_owned(),
    };
    let pem = whole(ask(at, Method::GET, &path, String::new()).await?, at).await?;
    match ca.output {
        None => print(&pem),
        Some(path) => std::fs::write(&path, pem).map_err(|source| Failure::Write { path, source }),
    }
}

async fn put_images(seed: Seed) -> Result<(), Failure> {
    let path = match &seed.host {
        Some(host) => format!(
            "/images?host={}",
            utf8_percent_encode(host, NON_ALPHANUMERIC)
        ),
        None => "/images".to_owned(),
    };
    let lines = seed.images.join("\n");
    let answer = json(seed.running.control, Method::POST, &path, lines).await?;
    let mut text = String::new();
    for image in list(&answer, "images") {
        let word = |key: &str| image.get(key).and_then(Value::as_str).unwrap_or_default();
        let name = word("image").split_whitespace().next().unwrap_or_default();
        let _ = writeln!(text, "{}/{name} {}", word("host"), word("digest"));
    }
    print(text.as_bytes())
}

fn list<'a>(answer: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    answer
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn no_answer(
    at: SocketAddr,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Failure {
    Failure::NoAnswer {
        at,
        source: source.into(),
    }
}

async fn json(at: SocketAddr, method: Method, path: &str, body: String) -> Result<Value, Failure> {
    let bytes = whole(ask(at, method, path, body).await?, at).await?;
    serde_json::from_slice(&bytes).map_err(|error| no_answer(at, error))
}

async fn whole(body: Incoming, at: SocketAddr) -> Result<Bytes, Failure> {
    let limited = http_body_util::Limited::new(body, MAX_ANSWER);
    let collected = limited
        .collect()
        .await
        .map_err(|error| no_answer(at, error))?;
    Ok(collected.to_bytes())
}

/// One request; the body of an answer that is a success.
async fn ask(
    at: SocketAddr,
    method: Method,
    path: &str,
    body: String,
) -> Result<Incoming, Failure> {
    let asking = async {
        let stream = TcpStream::connect(at)
            .await
            .map_err(|error| no_answer(at, error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| no_answer(at, error))?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, at.to_string())
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| no_answer(at, error))?;
        let answer = sender.send_request(request).await;
        answer.map_err(|error| no_answer(at, error))
    };
    let answer = tokio::time::timeout(PATIENCE, asking)
        .await
        .map_err(|error| no_answer(at, error))??;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer.into_body());
    }
    let bytes = whole(answer.into_body(), at).await?;
    let said = serde_json::from_slice::<Value>(&bytes).ok();
    let said = said.as_ref().and_then(|value| value.get("error")?.as_str());
    Err(Failure::Refused {
        status: status.as_u16(),
        text: said.map_or_else(|| reason(status).to_owned(), str::to_owned),
    })
}

fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("no reason given")
}
