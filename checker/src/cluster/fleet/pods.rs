//! What a node is good for, and what a probe's pod is doing, in plain values.

use k8s_openapi::api::core::v1::{Node, Pod};

use super::manifests::CONTAINER;
use crate::symptom::PULL_REASONS;
use crate::wire::Excerpt;

/// Waiting reasons of a container that will not run.
const STUCK: [&str; 4] = [
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
];

/// What a pod is doing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its container ended.
    Ended { code: i32, text: String },
    /// Its image cannot be had.
    NoImage { reason: String, message: String },
    /// It will not run.
    Stuck(String),
    /// The scheduler has no place for it.
    Unplaced(String),
    /// Something that may still end well.
    Busy(String),
}

/// A node that a probe is meant for, with what keeps it from running; none for nodes of another kind.
pub(super) fn usable(node: &Node) -> Option<(String, Option<String>)> {
    let name = node.metadata.name.clone()?;
    let label = |key: &str| {
        let labels = node.metadata.labels.as_ref()?;
        labels.get(key).map(String::as_str)
    };
    let foreign = label("kubernetes.io/os").is_some_and(|os| os != "linux")
        || label("type") == Some("virtual-kubelet");
    if foreign {
        return None;
    }
    let conditions = node.status.as_ref()?.conditions.as_ref();
    let ready = conditions
        .into_iter()
        .flatten()
        .any(|one| one.type_ == "Ready" && one.status == "True");
    let why_not = (!ready).then(|| "the node is not ready".to_owned());
    Some((name, why_not))
}

pub(super) fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

pub(super) fn state(pod: &Pod) -> State {
    let Some(status) = &pod.status else {
        return State::Busy("Pending".into());
    };
    let safe = |text: Option<&String>| {
        Excerpt::new(text.map_or("", String::as_str))
            .as_str()
            .to_owned()
    };
    // A webhook may have put others beside it.
    let container = status
        .container_statuses
        .as_ref()
        .and_then(|all| all.iter().find(|one| one.name == CONTAINER));
    let current = container.and_then(|one| one.state.as_ref());
    if let Some(ended) = current.and_then(|state| state.terminated.as_ref()) {
        let said = ended.message.as_ref().or(ended.reason.as_ref());
        return State::Ended {
            code: ended.exit_code,
            text: safe(said),
        };
    }
    if let Some(waiting) = current.and_then(|state| state.waiting.as_ref()) {
        let reason = safe(waiting.reason.as_ref());
        let message = safe(waiting.message.as_ref());
        if PULL_REASONS.contains(&reason.as_str()) {
            return State::NoImage { reason, message };
        }
        let words = if message.is_empty() {
            reason.clone()
        } else {
            format!("{reason}: {message}")
        };
        return if STUCK.contains(&reason.as_str()) {
            State::Stuck(words)
        } else {
            State::Busy(words)
        };
    }
    // Evicted or refused by the kubelet, before any container was made.
    if status.phase.as_deref() == Some("Failed") {
        let reason = safe(status.reason.as_ref());
        return State::Stuck(format!("{reason}: {}", safe(status.message.as_ref())));
    }
    let unplaced =
        status.conditions.iter().flatten().find(|one| {
            one.type_ == "PodScheduled" && one.status == "False" && node_of(pod).is_none()
        });
    match unplaced {
        Some(condition) => State::Unplaced(safe(condition.message.as_ref())),
        None if current.is_some() => State::Busy("it still runs".into()),
        None => State::Busy(status.phase.clone().unwrap_or_else(|| "Pending".into())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_a_pod_is_doing() {
        let waiting = |reason: &str, message: &str| {
            json!({ "containerStatuses": [{ "name": "probe", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "waiting": { "reason": reason, "message": message } } }] })
        };
        let no_image = |reason: &str, message: &str| State::NoImage {
            reason: reason.into(),
            message: message.into(),
        };
        let table: [(Value, State); 8] = [
            (json!({}), State::Busy("Pending".into())),
            (
                waiting("ErrImagePull", "not\nfound"),
                no_image("ErrImagePull", "not found"),
            ),
            (
                waiting("ImagePullBackOff", ""),
                no_image("ImagePullBackOff", ""),
            ),
            (
                waiting("ContainerCreating", ""),
                State::Busy("ContainerCreating".into()),
            ),
            (
                waiting("RunContainerError", "no such file"),
                State::Stuck("RunContainerError: no such file".into()),
            ),
            (
                json!({ "containerStatuses": [{ "name": "probe", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                    "state": { "terminated": { "exitCode": 2, "message": "no order" } } }] }),
                State::Ended {
                    code: 2,
                    text: "no order".into(),
                },
            ),
            (
                json!({ "phase": "Failed", "reason": "OutOfpods", "message": "Node has no room" }),
                State::Stuck("OutOfpods: Node has no room".into()),
            ),
            (
                json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False", "message": "0/3 nodes" }] }),
                State::Unplaced("0/3 nodes".into()),
            ),
        ];
        for (status, want) in table {
            let pod: Pod =
                serde_json::from_value(json!({ "metadata": {}, "status": status.clone() }))
                    .expect("a pod");
            assert_eq!(state(&pod), want, "for {status}");
        }
    }

    #[test]
    fn nodes_that_a_probe_is_meant_for() {
        let node = |labels: Value, ready: &str| -> Node {
            let value = json!({ "metadata": { "name": "n", "labels": labels },
                "status": { "conditions": [{ "type": "Ready", "status": ready }] } });
            serde_json::from_value(value).expect("a node")
        };
        let fine = Some(("n".to_owned(), None));
        let unready = Some(("n".to_owned(), Some("the node is not ready".to_owned())));
        let table = [
            (node(json!({}), "True"), fine.clone()),
            (node(json!({ "kubernetes.io/os": "linux" }), "True"), fine),
            (node(json!({ "kubernetes.io/os": "windows" }), "True"), None),
            (node(json!({ "type": "virtual-kubelet" }), "True"), None),
            (node(json!({}), "Unknown"), unready),
        ];
        for (node, want) in table {
            assert_eq!(usable(&node), want);
        }
    }
}
