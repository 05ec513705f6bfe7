//! Every cause, from the wire to the verdict.
//!
//! A row is one cause and one world, played twice: with the failure in it, where the verdict must be
//! *blocked* with that cause (or *undetermined* with it among the candidates, where neither the wire
//! nor the cluster nor Azure can tell), and without it, where the verdict must be *pullable*. So no
//! row can pass on a world that is broken in another way, or on a checker that says the same to
//! everything. One test holds the rows to the list of causes.

mod api;
mod azure;
mod content;
mod credentials;
mod lab;
mod names;
mod net;
mod network;
mod node;
mod tls;

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use pullcheck::cause::Cause;
use pullcheck::evidence::Evidence;
use pullcheck::report::{self, Report, Style};
use pullcheck::verdict::Verdict;

/// What the verdict must be where the world is broken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expect {
    /// One cause, proven.
    Blocked,
    /// It cannot be told from these, and what would settle it is said.
    Open(&'static [Cause]),
}

pub(crate) struct Row {
    pub(crate) cause: Cause,
    pub(crate) expect: Expect,
    /// Plays the world with the failure in it, or without.
    pub(crate) play: fn(bool) -> BoxFuture<'static, Report>,
}

/// `row!(TagNotFound, Blocked, function)`.
macro_rules! row {
    ($cause:ident, $expect:expr, $play:path) => {
        $crate::Row {
            cause: pullcheck::cause::Cause::$cause,
            expect: $expect,
            play: |broken| Box::pin($play(broken)),
        }
    };
}
pub(crate) use row;

fn page(report: &Report) -> String {
    report::text(report, &Style::default())
}

/// What is wrong with a row, in words.
async fn faults(row: &Row) -> Vec<String> {
    let id = row.cause.id();
    let broken = (row.play)(true).await;
    let healthy = (row.play)(false).await;
    let mut faults = Vec::new();
    let mut must = |holds: bool, what: &str, report: &Report| {
        if !holds {
            faults.push(format!("{id}: {what}\n{}", page(report)));
        }
    };
    let first = page(&broken).lines().next().unwrap_or_default().to_owned();
    match (row.expect, broken.verdict()) {
        (Expect::Blocked, Verdict::Blocked { cause, .. }) => {
            must(*cause == row.cause, "another cause is named", &broken);
            must(
                first.starts_with(&format!("BLOCKED {id}")),
                "the first line is not the answer",
                &broken,
            );
            must(!broken.remedies().is_empty(), "no remedy", &broken);
        }
        (
            Expect::Open(others),
            Verdict::Undetermined {
                candidates,
                would_settle,
                ..
            },
        ) => {
            must(
                candidates.contains(&row.cause),
                "it is no candidate",
                &broken,
            );
            for other in others {
                let what = format!("{other} is no candidate beside it");
                must(candidates.contains(other), &what, &broken);
            }
            must(!would_settle.is_empty(), "nothing would settle it", &broken);
        }
        _ => must(false, "another kind of verdict", &broken),
    }
    for fault in forms(&broken) {
        must(false, &fault, &broken);
    }
    let answer = broken.answers.first();
    let because = answer.is_some_and(|answer| !answer.judgement.because.is_empty());
    must(because, "no reason", &broken);
    must(
        healthy.verdict() == &Verdict::Pullable,
        "the same world without the failure is not pullable",
        &healthy,
    );
    faults
}

/// Every form of the report holds to its own rules, whatever was found.
fn forms(report: &Report) -> Vec<String> {
    let mut faults = Vec::new();
    let json = report::json(report);
    let schema = jsonschema::validator_for(&report::report_schema()).expect("a schema");
    faults.extend(
        schema
            .iter_errors(&json)
            .map(|error| format!("JSON at {}: {error}", error.instance_path)),
    );
    // What a node tells comes back as JSON: every fact there is survives the way.
    for answer in &report.answers {
        let written = serde_json::to_value(&answer.evidence).expect("plain values");
        let read = serde_json::from_value::<Evidence>(written.clone());
        match read.map(|evidence| serde_json::to_value(evidence).expect("plain values")) {
            Ok(again) if again == written => {}
            Ok(again) => faults.push(format!("evidence became {again:#}, was {written:#}")),
            Err(error) => faults.push(format!("evidence is not read: {error}")),
        }
    }
    match junit_parser::from_reader(report::junit(report).as_bytes()) {
        Ok(read) if read.failures + read.errors == 1 => {}
        Ok(read) => faults.push(format!("JUnit: {} failures", read.failures)),
        Err(error) => faults.push(format!("JUnit: {error}")),
    }
    let page = report::github(report);
    if !page.starts_with("::error title=blocked")
        && !page.starts_with("::warning title=undetermined")
    {
        faults.push(format!("the annotation is {:?}", page.lines().next()));
    }
    let html = report::html(report);
    let kind = report.verdict().kind();
    if !html.contains(&format!("<h1><span class=\"verdict {kind}\">")) {
        faults.push("the page does not begin with the answer".into());
    }
    faults
}

async fn play(rows: Vec<Row>) {
    let mut found = Vec::new();
    for row in &rows {
        found.extend(faults(row).await);
    }
    assert!(found.is_empty(), "{}", found.join("\n----\n"));
}

fn rows() -> Vec<Row> {
    [
        names::rows(),
        network::rows(),
        tls::rows(),
        credentials::rows(),
        azure::rows(),
        content::rows(),
        node::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[tokio::test(start_paused = true)]
async fn names_and_references() {
    play(names::rows()).await;
}

#[tokio::test(start_paused = true)]
async fn connections() {
    play(network::rows()).await;
}

#[tokio::test(start_paused = true)]
async fn handshakes() {
    play(tls::rows()).await;
}

#[tokio::test(start_paused = true)]
async fn sign_in() {
    play(credentials::rows()).await;
}

#[tokio::test(start_paused = true)]
async fn azure_and_its_settings() {
    play(azure::rows()).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_registry_holds() {
    play(content::rows()).await;
}

#[tokio::test(start_paused = true)]
async fn what_only_the_node_shows() {
    play(node::rows()).await;
}

/// Every cause has a row, and those that neither the wire nor the cluster nor Azure can prove are
/// known by name.
#[test]
fn no_cause_is_left_out() {
    let mut proven: BTreeMap<Cause, bool> = BTreeMap::new();
    for row in rows() {
        *proven.entry(row.cause).or_default() |= matches!(row.expect, Expect::Blocked);
    }
    let missing: Vec<&Cause> = Cause::ALL
        .iter()
        .filter(|cause| !proven.contains_key(cause))
        .collect();
    assert_eq!(missing, Vec::<&Cause>::new());
    let open: Vec<&str> = proven
        .iter()
        .filter(|(_, proven)| !**proven)
        .map(|(cause, _)| cause.id())
        .collect();
    assert_eq!(
        open,
        [
            "dns-stale-private-record",
            "vnet-peering-missing",
            "snat-exhaustion",
            "mtu-blackhole",
            "proxy-missing-on-node",
            "credential-provider-broken",
            "sp-secret-expired",
            "acr-arm-token-disabled",
            "acr-replica-lag",
            "registry-slow",
            "pull-progress-timeout",
            "serialized-queue",
        ]
    );
}
