//! Tables for people: the cells that `kubectl get` prints, computed by the server.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Api;
use super::respond::metadata_only;
use super::select::LabelSelector;
use crate::store::Kind;

mod pod;

/// A column: name, type, and whether it is shown only in wide output.
type Column = (&'static str, &'static str, bool);

/// Renders objects as a `Table`.
pub(super) fn render(
    api: &Api,
    kind: Kind,
    version: &str,
    include: &str,
    meta: &Value,
    objects: &[Value],
) -> Value {
    let now = api.store().clock().now();
    let columns: Vec<Value> = columns(kind, api.minor())
        .iter()
        .map(|(name, of, wide)| {
            json!({
                "name": name,
                "type": of,
                "format": if *name == "Name" { "name" } else { "" },
                "description": "",
                "priority": i32::from(*wide)
            })
        })
        .collect();
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let shown = match include {
                "Object" => object.clone(),
                "None" => Value::Null,
                _ => metadata_only(object),
            };
            json!({ "cells": cells(kind, api.minor(), object, now), "object": shown })
        })
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": version,
        "metadata": meta,
        "columnDefinitions": columns,
        "rows": rows
    })
}

fn columns(kind: Kind, minor: u32) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    if kind != Kind::Event {
        columns.push(("Name", "string", false));
    }
    let text = |name: &'static str| (name, "string", false);
    let number = |name: &'static str| (name, "integer", false);
    let wide = |name: &'static str| (name, "string", true);
    match kind {
        Kind::Pod => columns.extend([
            text("Ready"),
            text("Status"),
            text("Restarts"),
            text("Age"),
            wide("IP"),
            wide("Node"),
            wide("Nominated Node"),
            wide("Readiness Gates"),
        ]),
        Kind::Node => columns.extend([
            text("Status"),
            text("Roles"),
            text("Age"),
            text("Version"),
            wide("Internal-IP"),
            wide("External-IP"),
            wide("OS-Image"),
            wide("Kernel-Version"),
            wide("Container-Runtime"),
        ]),
        Kind::Event => columns.extend([
            text("Last Seen"),
            text("Type"),
            text("Reason"),
            text("Object"),
            wide("Subobject"),
            wide("Source"),
            text("Message"),
            wide("First Seen"),
            ("Count", "integer", true),
            wide("Name"),
        ]),
        Kind::Deployment => columns.extend([
            text("Ready"),
            number("Up-to-date"),
            number("Available"),
            text("Age"),
        ]),
        Kind::StatefulSet => columns.extend([text("Ready"), text("Age")]),
        Kind::ReplicaSet => columns.extend([
            number("Desired"),
            number("Current"),
            number("Ready"),
            text("Age"),
        ]),
        Kind::DaemonSet => columns.extend([
            number("Desired"),
            number("Current"),
            number("Ready"),
            number("Up-to-date"),
            number("Available"),
            text("Node Selector"),
            text("Age"),
        ]),
        Kind::Job => {
            if minor >= 30 {
                columns.push(text("Status"));
            }
            columns.extend([text("Completions"), text("Duration"), text("Age")]);
        }
        Kind::Namespace => columns.extend([text("Status"), text("Age")]),
        Kind::Secret => columns.extend([text("Type"), number("Data"), text("Age")]),
        Kind::ServiceAccount => {
            if minor < 35 {
                columns.push(number("Secrets"));
            }
            columns.push(text("Age"));
        }
        Kind::ConfigMap => columns.extend([number("Data"), text("Age")]),
        Kind::Service => columns.extend([
            text("Type"),
            text("Cluster-IP"),
            text("External-IP"),
            text("Port(s)"),
            text("Age"),
            wide("Selector"),
        ]),
        Kind::Lease => columns.extend([text("Holder"), text("Age")]),
        Kind::CronJob => {
            columns.push(text("Schedule"));
            if minor >= 29 {
                columns.push(text("Timezone"));
            }
            columns.extend([
                text("Suspend"),
                number("Active"),
                text("Last Schedule"),
                text("Age"),
            ]);
        }
        Kind::PodDisruptionBudget => columns.extend([
            text("Min Available"),
            text("Max Unavailable"),
            number("Allowed Disruptions"),
            text("Age"),
        ]),
    }
    match kind {
        Kind::Deployment | Kind::ReplicaSet | Kind::DaemonSet | Kind::Job | Kind::CronJob => {
            columns.extend([wide("Containers"), wide("Images"), wide("Selector")]);
        }
        Kind::StatefulSet => columns.extend([wide("Containers"), wide("Images")]),
        _ => {}
    }
    columns
}

fn cells(kind: Kind, minor: u32, object: &Value, now: Timestamp) -> Vec<Value> {
    let name = at(object, "/metadata/name");
    let age = age(object.pointer("/metadata/creationTimestamp"), now);
    let number = |path: &str| object.pointer(path).and_then(Value::as_i64).unwrap_or(0);
    let length = |path: &str| {
        let value = object.pointer(path);
        let items = value.and_then(Value::as_array).map(Vec::len);
        items
            .or_else(|| value.and_then(Value::as_object).map(serde_json::Map::len))
            .unwrap_or(0)
    };
    let mut row: Vec<Value> = match kind {
        Kind::Pod => pod::cells(object, &age, now),
        Kind::Node => node_cells(object, &age),
        Kind::Event => return event_cells(object, now),
        Kind::Deployment => {
            let ready = format!(
                "{}/{}",
                number("/status/readyReplicas"),
                number("/spec/replicas")
            );
            vec![
                name.into(),
                ready.into(),
                number("/status/updatedReplicas").into(),
                number("/status/availableReplicas").into(),
                age.into(),
            ]
        }
        Kind::StatefulSet => {
            let ready = format!(
                "{}/{}",
                number("/status/readyReplicas"),
                number("/spec/replicas")
            );
            vec![name.into(), ready.into(), age.into()]
        }
        Kind::ReplicaSet => vec![
            name.into(),
            number("/spec/replicas").into(),
            number("/status/replicas").into(),
            number("/status/readyReplicas").into(),
            age.into(),
        ],
        Kind::DaemonSet => vec![
            name.into(),
            number("/status/desiredNumberScheduled").into(),
            number("/status/currentNumberScheduled").into(),
            number("/status/numberReady").into(),
            number("/status/updatedNumberScheduled").into(),
            number("/status/numberAvailable").into(),
            node_selector(object.pointer("/spec/template/spec/nodeSelector")).into(),
            age.into(),
        ],
        Kind::Job => job_cells(object, minor, &age, now),
        Kind::Namespace => vec![name.into(), at(object, "/status/phase").into(), age.into()],
        Kind::Secret => vec![
            name.into(),
            at(object, "/type").into(),
            length("/data").into(),
            age.into(),
        ],
        Kind::ServiceAccount if minor < 35 => {
            vec![name.into(), length("/secrets").into(), age.into()]
        }
        Kind::ServiceAccount => vec![name.into(), age.into()],
        Kind::ConfigMap => {
            let data = length("/data") + length("/binaryData");
            vec![name.into(), data.into(), age.into()]
        }
        Kind::Service => service_cells(object, &age),
        Kind::Lease => vec![
            name.into(),
            at(object, "/spec/holderIdentity").into(),
            age.into(),
        ],
        Kind::CronJob => cron_job_cells(object, minor, &age, now),
        Kind::PodDisruptionBudget => {
            let limit = |field: &str| match object.pointer(field) {
                None | Some(Value::Null) => "N/A".to_owned(),
                Some(Value::String(text)) => text.clone(),
                Some(number) => number.to_string(),
            };
            vec![
                name.into(),
                limit("/spec/minAvailable").into(),
                limit("/spec/maxUnavailable").into(),
                number("/status/disruptionsAllowed").into(),
                age.into(),
            ]
        }
    };
    if matches!(
        kind,
        Kind::Deployment
            | Kind::ReplicaSet
            | Kind::DaemonSet
            | Kind::Job
            | Kind::CronJob
            | Kind::StatefulSet
    ) {
        let containers = |field: &str| {
            let list = object
                .pointer("/spec/template/spec/containers")
                .or_else(|| object.pointer("/spec/jobTemplate/spec/template/spec/containers"));
            let list = list.and_then(Value::as_array).into_iter().flatten();
            let texts: Vec<String> = list.map(|container| at(container, field)).collect();
            texts.join(",")
        };
        row.push(containers("/name").into());
        row.push(containers("/image").into());
        if kind != Kind::StatefulSet {
            let selector = LabelSelector::from_object(object.pointer("/spec/selector"));
            row.push(or_none(selector.map(|s| s.to_string()).unwrap_or_default()).into());
        }
    }
    row
}

fn node_cells(node: &Value, age: &str) -> Vec<Value> {
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions
        .into_iter()
        .flatten()
        .find(|condition| at(condition, "/type") == "Ready");
    let mut status = match ready.map(|ready| at(ready, "/status")).as_deref() {
        Some("True") => "Ready".to_owned(),
        Some("False" | "Unknown") => "NotReady".to_owned(),
        _ => "Unknown".to_owned(),
    };
    if node.pointer("/spec/unschedulable") == Some(&Value::Bool(true)) {
        status.push_str(",SchedulingDisabled");
    }
    let labels = node.pointer("/metadata/labels").and_then(Value::as_object);
    let mut roles: Vec<&str> = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    let address = |of: &str| {
        let addresses = node.pointer("/status/addresses").and_then(Value::as_array);
        let found = addresses
            .into_iter()
            .flatten()
            .find(|address| at(address, "/type") == of);
        or_none(found.map(|found| at(found, "/address")).unwrap_or_default())
    };
    let info = |field: &str| {
        let text = at(node, &format!("/status/nodeInfo/{field}"));
        if text.is_empty() {
            "<unknown>".into()
        } else {
            text
        }
    };
    vec![
        at(node, "/metadata/name").into(),
        status.into(),
        or_none(roles.join(",")).into(),
        age.into(),
        at(node, "/status/nodeInfo/kubeletVersion").into(),
        address("InternalIP").into(),
        address("ExternalIP").into(),
        info("osImage").into(),
        info("kernelVersion").into(),
        info("containerRuntimeVersion").into(),
    ]
}

fn event_cells(event: &Value, now: Timestamp) -> Vec<Value> {
    let first = present(event, "/firstTimestamp").or_else(|| present(event, "/eventTime"));
    let last = present(event, "/series/lastObservedTime")
        .or_else(|| present(event, "/lastTimestamp"))
        .or(first);
    let kind = at(event, "/involvedObject/kind").to_lowercase();
    let mut source = at(event, "/source/component");
    if source.is_empty() {
        source = at(event, "/reportingComponent");
    }
    let host = at(event, "/source/host");
    if !host.is_empty() {
        source = format!("{source}, {host}");
    }
    let count = event
        .pointer("/series/count")
        .or_else(|| event.pointer("/count"))
        .and_then(Value::as_i64)
        .filter(|count| *count > 0)
        .unwrap_or(1);
    vec![
        age(last, now).into(),
        at(event, "/type").into(),
        at(event, "/reason").into(),
        format!("{kind}/{}", at(event, "/involvedObject/name")).into(),
        at(event, "/involvedObject/fieldPath").into(),
        source.into(),
        at(event, "/message").trim().into(),
        age(first, now).into(),
        count.into(),
        at(event, "/metadata/name").into(),
    ]
}

fn job_cells(job: &Value, minor: u32, age_text: &str, now: Timestamp) -> Vec<Value> {
    let number = |path: &str| job.pointer(path).and_then(Value::as_i64).unwrap_or(0);
    let has = |of: &str| {
        let conditions = job.pointer("/status/conditions").and_then(Value::as_array);
        conditions
            .into_iter()
            .flatten()
            .any(|c| at(c, "/type") == of && at(c, "/status") == "True")
    };
    let status = if has("Complete") {
        "Complete"
    } else if has("Failed") {
        "Failed"
    } else if job.pointer("/metadata/deletionTimestamp").is_some() {
        "Terminating"
    } else if has("Suspended") {
        "Suspended"
    } else {
        "Running"
    };
    let completions = job.pointer("/spec/completions").and_then(Value::as_i64);
    let done = format!(
        "{}/{}",
        number("/status/succeeded"),
        completions.unwrap_or(1)
    );
    let start = date(present(job, "/status/startTime"));
    let end = date(present(job, "/status/completionTime")).unwrap_or(now);
    let duration = start.map(|start| human(start, end)).unwrap_or_default();
    let mut row: Vec<Value> = vec![at(job, "/metadata/name").into()];
    if minor >= 30 {
        row.push(status.into());
    }
    row.extend([done.into(), duration.into(), age_text.into()]);
    row
}

fn cron_job_cells(job: &Value, minor: u32, age_text: &str, now: Timestamp) -> Vec<Value> {
    let suspended = job.pointer("/spec/suspend") == Some(&Value::Bool(true));
    let active = job.pointer("/status/active").and_then(Value::as_array);
    let last = job.pointer("/status/lastScheduleTime");
    let last = last.map_or_else(|| "<none>".to_owned(), |last| age(Some(last), now));
    let mut row: Vec<Value> = vec![
        at(job, "/metadata/name").into(),
        at(job, "/spec/schedule").into(),
    ];
    if minor >= 29 {
        row.push(or_none(at(job, "/spec/timeZone")).into());
    }
    let suspended = if suspended { "True" } else { "False" };
    row.extend([
        suspended.into(),
        active.map_or(0, Vec::len).into(),
        last.into(),
        age_text.into(),
    ]);
    row
}

fn service_cells(service: &Value, age: &str) -> Vec<Value> {
    let ports = service.pointer("/spec/ports").and_then(Value::as_array);
    let ports: Vec<String> = ports
        .into_iter()
        .flatten()
        .map(|port| {
            let number = port.get("port").and_then(Value::as_i64).unwrap_or(0);
            let protocol = at(port, "/protocol");
            let protocol = if protocol.is_empty() {
                "TCP"
            } else {
                &protocol
            };
            format!("{number}/{protocol}")
        })
        .collect();
    vec![
        at(service, "/metadata/name").into(),
        at(service, "/spec/type").into(),
        or_none(at(service, "/spec/clusterIP")).into(),
        "<none>".into(),
        or_none(ports.join(",")).into(),
        age.into(),
        node_selector(service.pointer("/spec/selector")).into(),
    ]
}

fn node_selector(labels: Option<&Value>) -> String {
    let labels = labels.and_then(Value::as_object).into_iter().flatten();
    let texts: Vec<String> = labels
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    or_none(texts.join(","))
}

fn at(object: &Value, path: &str) -> String {
    let text = object.pointer(path).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn present<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    object.pointer(path).filter(|value| value.is_string())
}

fn or_none(text: String) -> String {
    if text.is_empty() {
        "<none>".into()
    } else {
        text
    }
}

fn date(value: Option<&Value>) -> Option<Timestamp> {
    value?.as_str()?.parse().ok()
}

fn age(since: Option<&Value>, now: Timestamp) -> String {
    date(since).map_or_else(|| "<unknown>".into(), |since| human(since, now))
}

/// A length of time as Kubernetes shortens it: `95s`, `3m20s`, `47m`, `3h20m`, `30h`, `2d3h`, `90d`.
fn human(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - since.as_second();
    if seconds < -1 {
        return "<invalid>".into();
    }
    let seconds = seconds.max(0);
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let (days, years) = (hours / 24, hours / 24 / 365);
    let two = |big: i64, unit: &str, small: i64, part: &str| {
        if small == 0 {
            format!("{big}{unit}")
        } else {
            format!("{big}{unit}{small}{part}")
        }
    };
    if seconds < 120 {
        format!("{seconds}s")
    } else if minutes < 10 {
        two(minutes, "m", seconds % 60, "s")
    } else if minutes < 180 {
        format!("{minutes}m")
    } else if hours < 8 {
        two(hours, "h", minutes % 60, "m")
    } else if hours < 48 {
        format!("{hours}h")
    } else if hours < 192 {
        two(days, "d", hours % 24, "h")
    } else if hours < 24 * 365 * 2 {
        format!("{days}d")
    } else if hours < 24 * 365 * 8 {
        two(years, "y", days % 365, "d")
    } else {
        format!("{years}y")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shortened_as_kubernetes_does_it() {
        let table = [
            (0, "0s"),
            (95, "95s"),
            (120, "2m"),
            (200, "3m20s"),
            (2820, "47m"),
            (12_000, "3h20m"),
            (3600 * 30, "30h"),
            (3600 * 51, "2d3h"),
            (3600 * 24 * 90, "90d"),
            (3600 * 24 * 800, "2y70d"),
            (-60, "<invalid>"),
        ];
        for (seconds, want) in table {
            let since = Timestamp::UNIX_EPOCH;
            let now = Timestamp::from_second(seconds).unwrap();
            assert_eq!(human(since, now), want, "{seconds}");
        }
    }

    #[test]
    fn every_kind_has_as_many_cells_as_columns() {
        for kind in Kind::ALL {
            for minor in [29, 36] {
                let row = cells(kind, minor, &json!({}), Timestamp::UNIX_EPOCH);
                assert_eq!(row.len(), columns(kind, minor).len(), "{kind:?}");
            }
        }
    }
}
