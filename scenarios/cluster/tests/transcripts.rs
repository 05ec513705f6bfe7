//! What stock kubectl printed about pods of a real cluster, beside what it prints about the same pods here.
//!
//! `observed/kubectl-1.36.jsonl`: from the recordings beside it, one of each kind, the pod's spec and status and the
//! output of `get pod -o wide`, `logs` and `describe` (kubectl and server 1.36.2). The pods and their events are put
//! into the store, with the ages that were printed, and every kubectl at hand has to print the same again:
//! columns, ages, order, refusals.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test program, helpers included"
)]

mod stock;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sim_cluster::cluster::Cluster;
use sim_cluster::store::Kind;
use stock::{Kubectl, each};

const RECORDED: &str = include_str!("observed/kubectl-1.36.jsonl");

fn cases() -> Vec<Value> {
    let lines = RECORDED.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The namespace that the pod was in: the texts name it.
fn namespace(case: &Value) -> String {
    let name = case["case"].as_str().unwrap();
    format!("pk-{}", name.split_once('/').unwrap().1)
}

/// The cells of a line: two blanks or more stand between them.
fn cells(line: &str) -> Vec<&str> {
    let cells = line.split("  ").map(str::trim);
    cells.filter(|cell| !cell.is_empty()).collect()
}

/// Seconds of an age as kubectl prints it: `47s`, `2m40s`, `13m`.
fn seconds(age: &str) -> i64 {
    let mut total = 0;
    let mut number = 0;
    for letter in age.chars() {
        match letter {
            's' => total += std::mem::take(&mut number),
            'm' => total += 60 * std::mem::take(&mut number),
            'h' => total += 3600 * std::mem::take(&mut number),
            digit => number = number * 10 + i64::from(digit.to_digit(10).unwrap()),
        }
    }
    total
}

fn put_in(cluster: &Cluster) {
    let store = cluster.store();
    for case in cases() {
        let namespace = namespace(&case);
        store
            .create(
                Kind::Namespace,
                json!({ "metadata": { "name": &namespace } }),
            )
            .unwrap();
        let mut spec = case["spec"].clone();
        spec["nodeName"] = json!("k136-node");
        spec["terminationGracePeriodSeconds"] = json!(30);
        let pod = json!({ "metadata": { "name": "app", "namespace": &namespace }, "spec": spec });
        let pod = store.create(Kind::Pod, pod).unwrap();
        let mut status = case["status"].clone();
        make_now(&mut status, &store.clock().seconds());
        // The recorded status has no addresses; the table has.
        let row = case["get"].as_str().unwrap().lines().nth(1).unwrap();
        if let Some(address) = cells(row).iter().find(|cell| cell.starts_with("10.244.")) {
            status["podIP"] = json!(address);
        }
        store
            .merge_status(Kind::Pod, &namespace, "app", status)
            .unwrap();
        for (number, line) in events(&case).into_iter().enumerate() {
            let event = event(&pod, &namespace, number, &line, Timestamp::now());
            store.create(Kind::Event, event).unwrap();
        }
    }
}

/// Moves every time to now: the table shows how long ago a container ended.
fn make_now(value: &mut Value, now: &str) {
    match value {
        Value::String(text) if text.parse::<Timestamp>().is_ok() => now.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| make_now(item, now)),
        Value::Object(members) => members
            .values_mut()
            .for_each(|member| make_now(member, now)),
        _ => {}
    }
}

/// The lines below the head of what describe printed about events.
fn events(case: &Value) -> Vec<String> {
    let lines = case["describe"].as_str().unwrap().lines();
    let lines = lines.skip_while(|line| !line.contains("----")).skip(1);
    lines.map(str::to_owned).collect()
}

/// An event that was printed like this.
fn event(pod: &Value, namespace: &str, number: usize, line: &str, now: Timestamp) -> Value {
    let [kind, reason, age, from, message] = cells(line)[..] else {
        panic!("not five cells: {line}");
    };
    let when = |age: &str| now - SignedDuration::from_secs(seconds(age));
    let at = |age: &str| format!("{:.0}", when(age));
    let object = json!({ "kind": "Pod", "apiVersion": "v1", "namespace": namespace, "name": "app",
        "uid": pod["metadata"]["uid"] });
    let mut event = json!({
        "metadata": { "name": format!("app.{number}"), "namespace": namespace },
        "involvedObject": object, "type": kind, "reason": reason, "message": message,
    });
    let (last, counted) = age
        .split_once(' ')
        .map_or((age, None), |(last, rest)| (last, Some(rest)));
    if from == "default-scheduler" {
        // Written through events.k8s.io: one time, no count, no source.
        event["eventTime"] = json!(format!("{:.6}", when(last)));
        event["reportingComponent"] = json!(from);
        return event;
    }
    if let Some((path, rest)) = message.split_once("}: ")
        && path.starts_with("spec.")
    {
        event["involvedObject"]["fieldPath"] = json!(format!("{path}}}"));
        event["message"] = json!(rest);
    }
    event["source"] = json!({ "component": from, "host": "k136-node" });
    event["count"] = json!(1);
    event["firstTimestamp"] = json!(at(last));
    event["lastTimestamp"] = json!(at(last));
    if let Some(counted) = counted {
        let counted = counted.trim_matches(['(', ')']).trim_start_matches('x');
        let (count, first) = counted.split_once(" over ").unwrap();
        event["count"] = json!(count.parse::<u32>().unwrap());
        event["firstTimestamp"] = json!(at(first));
    }
    event
}

/// The text with its ages replaced: the test takes its time too.
fn ageless(text: &str) -> String {
    let word = |word: &str| {
        let bare = word.trim_matches(['(', ')']);
        let is_age = bare.starts_with(|first: char| first.is_ascii_digit())
            && bare.ends_with(['s', 'm', 'h', 'd'])
            && bare
                .chars()
                .all(|letter| letter.is_ascii_digit() || "smhd".contains(letter));
        if is_age {
            word.replace(bare, "<age>")
        } else {
            word.to_owned()
        }
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn comparable(lines: impl Iterator<Item = String>) -> Vec<Vec<String>> {
    let cells = |line: String| cells(&line).into_iter().map(ageless).collect();
    lines.map(cells).collect()
}

#[test]
fn the_same_pods_look_the_same() {
    each(put_in, compare);
}

fn compare(kubectl: &Kubectl) {
    for case in cases() {
        let namespace = namespace(&case);
        if case["deleted"] == true {
            kubectl.ok(&format!("delete pod app -n {namespace} --wait=false"));
        }
        let about = &case["case"];
        let get = kubectl.ok(&format!("get pod app -o wide -n {namespace}"));
        let recorded = case["get"].as_str().unwrap();
        assert_eq!(
            comparable(get.lines().map(str::to_owned)),
            comparable(recorded.lines().map(str::to_owned)),
            "{about}"
        );
        for (container, recorded) in case["logs"].as_object().unwrap() {
            let line = format!("logs app -c {container} -n {namespace}");
            // What the pod was doing when its log was asked for need not be what it did in the end.
            let text = recorded["text"].as_str().unwrap();
            if text.starts_with("Error from server") {
                assert_eq!(kubectl.fails(&line, "").trim_end(), text, "{about}");
            }
        }
        let described = kubectl.ok(&format!("describe pod app -n {namespace}"));
        let described = described.split("Events:").nth(1).unwrap().lines().skip(3);
        let mut described = comparable(described.map(str::to_owned));
        let mut recorded = comparable(events(&case).into_iter());
        if !kubectl.names_fields() {
            for line in &mut recorded {
                if let Some(at) = line[4].find("}: ") {
                    line[4].drain(..at + "}: ".len());
                }
            }
        }
        // Events of one second come in any order.
        described.sort();
        recorded.sort();
        if case["deleted"] == true {
            // The deletion here adds what the kubelet did not get to say there.
            described.retain(|line| recorded.contains(line));
        }
        assert_eq!(described, recorded, "{about}");
    }
}
