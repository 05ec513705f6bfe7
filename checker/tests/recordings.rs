//! Real kubelets, fed to the checker as a cluster would show them: one pod and its events, nothing else.
//!
//! No probe, no Azure. A recording alone mostly cannot prove a cause; what must hold is that nothing
//! wrong is claimed, and that the cause that was set up on purpose stays among the candidates.

#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use http::{Request as HttpRequest, Response};
use jiff::Timestamp;
use kube::client::Body;
use pullcheck::check::{Request, Settings, check_with};
use pullcheck::report::Report;
use pullcheck::verdict::Verdict;
use pullcheck::world::{
    BoxStream, DialError, DnsError, Host, Net, Place, Resolved, Trust, Vantage, WallClock, World,
};
use serde_json::{Value, json};

/// Nothing is asked of it: the recordings are judged without a probe.
struct NoNet;

impl Net for NoNet {
    fn resolve<'a>(&'a self, _: &'a Host) -> BoxFuture<'a, Result<Resolved, DnsError>> {
        Box::pin(async { panic!("a name was asked for without a probe") })
    }

    fn dial(&self, _: SocketAddr) -> BoxFuture<'_, Result<BoxStream, DialError>> {
        Box::pin(async { panic!("an address was dialled without a probe") })
    }
}

struct At(Timestamp);

impl WallClock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

fn rows() -> Vec<Value> {
    include_str!("../corpus/observed.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a row is JSON"))
        .collect()
}

/// The pod of a recording, as its API server would give it.
fn pod(row: &Value) -> Value {
    let mut spec = row["spec"].clone();
    spec["nodeName"] = json!("node-1");
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "app", "namespace": "shop", "uid": "u", "creationTimestamp": "2026-11-23T21:00:00Z",
            "deletionTimestamp": row["deleting"].as_bool().map(|_| "2026-11-23T21:00:10Z")},
        "spec": spec,
        "status": row["status"],
    })
}

fn events(row: &Value) -> Vec<Value> {
    let of = |event: &Value| {
        json!({
            "metadata": {"name": "e", "namespace": "shop"},
            "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "app", "uid": "u", "fieldPath": event["fieldPath"]},
            "type": event["type"], "reason": event["reason"], "message": event["message"], "count": event["count"],
            "firstTimestamp": event["first"], "lastTimestamp": event["last"],
        })
    };
    row["events"]
        .as_array()
        .expect("a list")
        .iter()
        .map(of)
        .collect()
}

fn cluster(row: &Value) -> kube::Client {
    let node = json!({"metadata": {"name": "node-1"}, "status": {"nodeInfo": {
        "architecture": "amd64", "operatingSystem": "linux", "bootID": "", "kernelVersion": "", "kubeProxyVersion": "",
        "machineID": "", "osImage": "", "systemUUID": "",
        "kubeletVersion": row["kubelet"].as_str().unwrap_or(""), "containerRuntimeVersion": row["runtime"].as_str().unwrap_or("")}}});
    let list =
        json!({"kind": "EventList", "apiVersion": "v1", "metadata": {}, "items": events(row)});
    let answers: Arc<BTreeMap<&str, Value>> = Arc::new(BTreeMap::from([
        ("/api/v1/namespaces/shop/pods/app", pod(row)),
        ("/api/v1/namespaces/shop/events", list),
        ("/api/v1/nodes/node-1", node),
    ]));
    let service = tower::service_fn(move |request: HttpRequest<Body>| {
        let answers = Arc::clone(&answers);
        async move {
            let refused = json!({"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "no"});
            let (code, body) = answers
                .get(request.uri().path())
                .map_or((403, refused), |answer| (200, answer.clone()));
            let answer = Response::builder()
                .status(code)
                .body(Body::from(body.to_string().into_bytes()));
            Ok::<_, Infallible>(answer.expect("a plain answer"))
        }
    });
    kube::Client::new(service, "shop")
}

async fn judge(row: &Value) -> Report {
    let now: Timestamp = row["now"].as_str().expect("now").parse().expect("a date");
    let place = Place::new(Vantage::Workstation, Arc::new(NoNet), Trust::roots([]));
    let world = World::new(Arc::new(At(now)), place).with_cluster(cluster(row));
    let request = Request::Pod {
        namespace: "shop".into(),
        name: "app".into(),
    };
    let settings = Settings {
        no_probe: true,
        ..Settings::default()
    };
    check_with(&world, &request, &settings).await
}

#[tokio::test(start_paused = true)]
async fn every_recording_gives_its_clue_and_never_a_wrong_cause() {
    let (mut blocked, mut first, mut open, mut fine) = (0, 0, 0, 0);
    let mut wrong = String::new();
    for row in rows() {
        let id = row["id"].as_str().expect("id");
        let texts = |name: &str| -> Vec<String> {
            let list = row[name].as_array().expect("a list");
            list.iter()
                .map(|one| one.as_str().expect("a text").to_owned())
                .collect()
        };
        let (clues, causes) = (texts("clues"), texts("causes"));
        let statuses = row["status"]["containerStatuses"]
            .as_array()
            .expect("a list");
        if statuses
            .iter()
            .all(|one| one["state"]["running"].is_object())
        {
            // Whatever was set up, this pod runs: nothing may be blocked, nothing more is asked.
            let report = judge(&row).await;
            assert!(report.cause().is_none(), "{id}: blocked though it runs");
            fine += 1;
            continue;
        }
        let report = judge(&row).await;
        let answer = report.answers.first();
        let told = answer.and_then(|one| one.told.first());
        if let Some(told) = told
            && !clues.is_empty()
            && !clues.iter().any(|clue| clue == told.clue.id())
        {
            let _ = writeln!(wrong, "{id}: clue {} for {:?}", told.clue, told.text);
        }
        if told.is_none() && !clues.is_empty() {
            let _ = writeln!(wrong, "{id}: no clue, wanted {clues:?}");
        }
        match report.verdict() {
            Verdict::Blocked { cause, .. } => {
                blocked += 1;
                if !causes.iter().any(|id| id == cause.id()) {
                    let _ = writeln!(wrong, "{id}: blocked by {cause}, wanted {causes:?}");
                }
            }
            Verdict::Pullable => {
                fine += 1;
                if !causes.is_empty() {
                    let _ = writeln!(wrong, "{id}: pullable, wanted {causes:?}");
                }
            }
            Verdict::Undetermined { candidates, .. } => {
                open += 1;
                let named: Vec<&str> = candidates.iter().map(|cause| cause.id()).collect();
                if causes.is_empty() {
                    continue;
                }
                let most_likely = named
                    .first()
                    .is_some_and(|id| causes.iter().any(|want| want == id));
                first += usize::from(most_likely);
                if !named.contains(&causes[0].as_str()) {
                    let _ = writeln!(wrong, "{id}: {named:?} lacks {}", causes[0]);
                }
                if !most_likely {
                    println!("{id}: {named:?}, set up was {causes:?}");
                }
            }
        }
    }
    println!(
        "{blocked} blocked, {open} undetermined ({first} with the right one first), {fine} pullable"
    );
    assert!(wrong.is_empty(), "{wrong}");
    assert!(
        blocked >= 46 && blocked + first >= 150,
        "{blocked} blocked, {first} more with the right cause first"
    );
}
