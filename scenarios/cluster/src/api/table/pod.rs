//! The row of a pod: the STATUS that people know is put together from many fields.

use jiff::Timestamp;
use serde_json::Value;

use super::{at, date, human, or_none};

/// What the walk over the containers has found so far.
struct Seen {
    reason: String,
    restarts: i64,
    last_restart: Option<Timestamp>,
    ready: usize,
    total: usize,
}

pub(super) fn cells(pod: &Value, age: &str, now: Timestamp) -> Vec<Value> {
    let mut seen = Seen {
        reason: at(pod, "/status/phase"),
        restarts: 0,
        last_restart: None,
        ready: 0,
        total: list(pod, "/spec/containers").len(),
    };
    let own = at(pod, "/status/reason");
    if !own.is_empty() {
        seen.reason = own;
    }
    for condition in list(pod, "/status/conditions") {
        if at(condition, "/type") == "PodScheduled" && at(condition, "/reason") == "SchedulingGated"
        {
            seen.reason = "SchedulingGated".into();
        }
    }
    let initializing = init_containers(pod, &mut seen);
    if !initializing || condition(pod, "Initialized") {
        containers(pod, &mut seen);
    }
    let over = matches!(at(pod, "/status/phase").as_str(), "Succeeded" | "Failed");
    if pod.pointer("/metadata/deletionTimestamp").is_some() {
        if at(pod, "/status/reason") == "NodeLost" {
            seen.reason = "Unknown".into();
        } else if !over {
            seen.reason = "Terminating".into();
        }
    }
    let restarts = match seen.last_restart {
        Some(at) if seen.restarts > 0 => format!("{} ({} ago)", seen.restarts, human(at, now)),
        _ => seen.restarts.to_string(),
    };
    vec![
        at(pod, "/metadata/name").into(),
        format!("{}/{}", seen.ready, seen.total).into(),
        seen.reason.into(),
        restarts.into(),
        age.into(),
        or_none(at(pod, "/status/podIP")).into(),
        or_none(at(pod, "/spec/nodeName")).into(),
        or_none(at(pod, "/status/nominatedNodeName")).into(),
        "<none>".into(),
    ]
}

/// Walks the init containers; true when one of them is not done yet.
fn init_containers(pod: &Value, seen: &mut Seen) -> bool {
    let specs = list(pod, "/spec/initContainers");
    let sidecar = |name: &str| {
        specs
            .iter()
            .any(|spec| at(spec, "/name") == name && at(spec, "/restartPolicy") == "Always")
    };
    let sidecars = specs
        .iter()
        .filter(|spec| at(spec, "/restartPolicy") == "Always");
    seen.total += sidecars.count();
    for (index, status) in list(pod, "/status/initContainerStatuses")
        .iter()
        .enumerate()
    {
        seen.note_restarts(status);
        let terminated = status.pointer("/state/terminated");
        if let Some(terminated) = terminated.filter(|state| !state.is_null()) {
            if exit_code(terminated) == 0 {
                continue;
            }
            seen.reason = format!("Init:{}", end_of(terminated));
            return true;
        }
        if sidecar(&at(status, "/name")) && status.get("started") == Some(&Value::Bool(true)) {
            if status.get("ready") == Some(&Value::Bool(true)) {
                seen.ready += 1;
            }
            continue;
        }
        let waiting = at(status, "/state/waiting/reason");
        seen.reason = if waiting.is_empty() || waiting == "PodInitializing" {
            format!("Init:{index}/{}", specs.len())
        } else {
            format!("Init:{waiting}")
        };
        return true;
    }
    false
}

fn containers(pod: &Value, seen: &mut Seen) {
    let mut running = false;
    seen.restarts = 0;
    for status in list(pod, "/status/containerStatuses").iter().rev() {
        seen.note_restarts(status);
        let state = |name: &str| {
            let state = status.pointer(&format!("/state/{name}"));
            state.filter(|state| !state.is_null())
        };
        let waiting = at(status, "/state/waiting/reason");
        if !waiting.is_empty() {
            seen.reason = waiting;
        } else if let Some(terminated) = state("terminated") {
            seen.reason = end_of(terminated);
        } else if state("running").is_some() && status.get("ready") == Some(&Value::Bool(true)) {
            running = true;
            seen.ready += 1;
        }
    }
    if seen.reason == "Completed" && running {
        let ready = condition(pod, "Ready");
        seen.reason = if ready { "Running" } else { "NotReady" }.into();
    }
}

impl Seen {
    fn note_restarts(&mut self, status: &Value) {
        let count = status.get("restartCount").and_then(Value::as_i64);
        self.restarts += count.unwrap_or(0);
        let ended = date(status.pointer("/lastState/terminated/finishedAt"));
        self.last_restart = self.last_restart.max(ended);
    }
}

fn end_of(terminated: &Value) -> String {
    let reason = at(terminated, "/reason");
    if !reason.is_empty() {
        return reason;
    }
    match terminated.get("signal").and_then(Value::as_i64) {
        Some(signal) if signal != 0 => format!("Signal:{signal}"),
        _ => format!("ExitCode:{}", exit_code(terminated)),
    }
}

fn exit_code(terminated: &Value) -> i64 {
    let code = terminated.get("exitCode").and_then(Value::as_i64);
    code.unwrap_or(0)
}

fn condition(pod: &Value, of: &str) -> bool {
    list(pod, "/status/conditions")
        .iter()
        .any(|condition| at(condition, "/type") == of && at(condition, "/status") == "True")
}

fn list<'a>(pod: &'a Value, path: &str) -> &'a [Value] {
    pod.pointer(path)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_status_people_know() {
        let waiting = |name: &str, reason: &str| json!({ "name": name, "restartCount": 0, "state": { "waiting": { "reason": reason } } });
        let running = |name: &str| {
            json!({ "name": name, "ready": true, "restartCount": 2, "state": { "running": {} },
                "lastState": { "terminated": { "finishedAt": "1970-01-01T00:00:48Z" } } })
        };
        let pod = |init: Value, main: Value| {
            json!({
                "metadata": { "name": "p" },
                "spec": { "initContainers": [{ "name": "i" }, { "name": "j" }],
                    "containers": [{ "name": "a" }, { "name": "b" }] },
                "status": { "phase": "Pending", "initContainerStatuses": init, "containerStatuses": main }
            })
        };
        let done = json!({ "name": "i", "state": { "terminated": { "exitCode": 0 } } });
        let table = [
            (pod(json!([]), json!([])), "0/2", "Pending", "0"),
            (
                pod(
                    json!([]),
                    json!([
                        waiting("a", "ErrImagePull"),
                        waiting("b", "ContainerCreating")
                    ]),
                ),
                "0/2",
                "ErrImagePull",
                "0",
            ),
            (
                pod(
                    json!([]),
                    json!([running("a"), waiting("b", "ImagePullBackOff")]),
                ),
                "1/2",
                "ImagePullBackOff",
                "2 (12s ago)",
            ),
            (
                pod(
                    json!([done, waiting("j", "ImagePullBackOff")]),
                    json!([waiting("a", "PodInitializing")]),
                ),
                "0/2",
                "Init:ImagePullBackOff",
                "0",
            ),
            (
                pod(json!([done, waiting("j", "PodInitializing")]), json!([])),
                "0/2",
                "Init:1/2",
                "0",
            ),
        ];
        let now = Timestamp::from_second(60).unwrap();
        for (pod, ready, status, restarts) in table {
            let row = cells(&pod, "1m", now);
            assert_eq!(
                (&row[1], &row[2], &row[3]),
                (&ready.into(), &status.into(), &restarts.into())
            );
        }
    }
}
