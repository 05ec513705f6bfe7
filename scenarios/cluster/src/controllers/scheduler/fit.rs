//! Whether a pod fits on a node, and what stands in the way when it does not.

use serde_json::Value;

use crate::api::LabelSelector;
use crate::controllers::object::{condition, items, name, text};

/// What pods ask for: how many they are, thousandths of a processor, bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Requests {
    pub(super) pods: i64,
    cpu: i64,
    memory: i64,
}

impl Requests {
    /// What one pod asks for: the sum of its containers, or the largest of its init containers.
    pub(super) fn of(pod: &Value) -> Self {
        let ask = |container: &Value, of: &str| {
            let value = container.pointer(&format!("/resources/requests/{of}"));
            quantity(value).unwrap_or(0)
        };
        let total = |of: &str| {
            let main: i64 = items(pod, "/spec/containers")
                .iter()
                .fold(0, |sum: i64, container| {
                    sum.saturating_add(ask(container, of))
                });
            let init = items(pod, "/spec/initContainers")
                .iter()
                .map(|container| ask(container, of))
                .max();
            main.max(init.unwrap_or(0))
        };
        Self {
            pods: 1,
            cpu: total("cpu"),
            memory: total("memory"),
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.pods += other.pods;
        self.cpu = self.cpu.saturating_add(other.cpu);
        self.memory = self.memory.saturating_add(other.memory);
    }
}

/// A quantity in thousandths: `2` is 2000, `250m` is 250, `1Ki` is 1024000.
fn quantity(value: Option<&Value>) -> Option<i64> {
    let text = match value? {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let split = text
        .find(|letter: char| !(letter.is_ascii_digit() || ".-+".contains(letter)))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(split)?;
    let number: f64 = number.parse().ok()?;
    let factor = match unit {
        "m" => 0.001,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some((number * factor * 1000.0).ceil() as i64)
}

/// What keeps a pod off a node, in the words of the scheduler; nothing when it fits.
pub(super) fn obstacles(pod: &Value, node: &Value, load: &Requests) -> Vec<String> {
    if node.pointer("/spec/unschedulable") == Some(&Value::Bool(true))
        && !tolerates(pod, "node.kubernetes.io/unschedulable", "", "NoSchedule")
    {
        return vec!["node(s) were unschedulable".into()];
    }
    for taint in items(node, "/spec/taints") {
        let (taint_key, value) = (text(taint, "/key"), text(taint, "/value"));
        let effect = text(taint, "/effect");
        if effect != "PreferNoSchedule" && !tolerates(pod, taint_key, value, effect) {
            return vec![format!(
                "node(s) had untolerated taint {{{taint_key}: {value}}}"
            )];
        }
    }
    // The node controller of a real cluster taints a node that is not ready.
    let ready = condition(node, "Ready").map(|ready| text(ready, "/status"));
    let taint = match ready {
        Some("True") => None,
        Some("Unknown") => Some("node.kubernetes.io/unreachable"),
        _ => Some("node.kubernetes.io/not-ready"),
    };
    if let Some(taint) = taint
        && !tolerates(pod, taint, "", "NoSchedule")
    {
        return vec![format!("node(s) had untolerated taint {{{taint}: }}")];
    }
    if !selects(pod, node) {
        return vec!["node(s) didn't match Pod's node affinity/selector".into()];
    }
    let mut obstacles = Vec::new();
    let wanted = Requests::of(pod);
    let allocatable = |of: &str| quantity(node.pointer(&format!("/status/allocatable/{of}")));
    if allocatable("pods").is_some_and(|most| (load.pods + 1).saturating_mul(1000) > most) {
        obstacles.push("Too many pods".into());
    }
    for (of, has, wants) in [
        ("cpu", load.cpu, wanted.cpu),
        ("memory", load.memory, wanted.memory),
    ] {
        if wants > 0 && allocatable(of).is_some_and(|most| has.saturating_add(wants) > most) {
            obstacles.push(format!("Insufficient {of}"));
        }
    }
    obstacles
}

/// Whether a pod tolerates a taint.
pub(in crate::controllers) fn tolerates(pod: &Value, key: &str, value: &str, effect: &str) -> bool {
    items(pod, "/spec/tolerations").iter().any(|toleration| {
        let of = text(toleration, "/key");
        let during = text(toleration, "/effect");
        let exists = text(toleration, "/operator") == "Exists";
        (during.is_empty() || during == effect)
            && ((of.is_empty() && exists)
                || (of == key && (exists || text(toleration, "/value") == value)))
    })
}

/// Whether a pod's node selector and required node affinity admit a node.
fn selects(pod: &Value, node: &Value) -> bool {
    let labels = node.pointer("/metadata/labels").and_then(Value::as_object);
    let selector = pod.pointer("/spec/nodeSelector").and_then(Value::as_object);
    let plain = selector.into_iter().flatten().all(|(label, value)| {
        labels
            .and_then(|labels| labels.get(label))
            .is_some_and(|own| own == value)
    });
    let affinity = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";
    let Some(required) = pod.pointer(affinity) else {
        return plain;
    };
    plain
        && items(required, "/nodeSelectorTerms").iter().any(|term| {
            let by_field = items(term, "/matchFields").iter().all(|field| {
                let named = items(field, "/values")
                    .iter()
                    .any(|value| value == name(node));
                match text(field, "/operator") {
                    "In" => named,
                    "NotIn" => !named,
                    _ => false,
                }
            });
            let expressions = term.get("matchExpressions");
            let by_label = expressions.is_none_or(|expressions| {
                let selector = serde_json::json!({ "matchExpressions": expressions });
                LabelSelector::from_object(Some(&selector))
                    .is_some_and(|selector| selector.matches_labels(labels))
            });
            by_field && by_label
        })
}

/// Whether a change of a node is none for the pods that wait for one (a heartbeat).
pub(super) fn is_same_for_pods(before: &Value, after: &Value) -> bool {
    let ready =
        |node: &Value| condition(node, "Ready").map(|ready| text(ready, "/status").to_owned());
    before.get("spec") == after.get("spec")
        && before.pointer("/metadata/labels") == after.pointer("/metadata/labels")
        && before.pointer("/status/allocatable") == after.pointer("/status/allocatable")
        && ready(before) == ready(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quantities_are_read_in_all_their_spellings() {
        let table = [
            (json!("2"), Some(2000)),
            (json!(2), Some(2000)),
            (json!("250m"), Some(250)),
            (json!("1.5"), Some(1500)),
            (json!("1Ki"), Some(1_024_000)),
            (json!("1G"), Some(1_000_000_000_000)),
            (json!("x"), None),
            (json!("1Zi"), None),
        ];
        for (value, want) in table {
            assert_eq!(quantity(Some(&value)), want, "{value}");
        }
    }

    #[test]
    fn what_keeps_a_pod_off_a_node() {
        let node = json!({
            "metadata": { "name": "n", "labels": { "disk": "fast" } },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }],
                "allocatable": { "cpu": "1", "pods": "2" } }
        });
        let with = |path: &str, value: Value| {
            let mut node = node.clone();
            let (parent, field) = path.rsplit_once('/').unwrap();
            node.pointer_mut(parent).unwrap()[field] = value;
            node
        };
        let pod = json!({ "spec": { "containers": [] } });
        let load = Requests {
            pods: 1,
            cpu: 900,
            memory: 0,
        };
        let asks = json!({ "spec": { "containers": [{ "resources": { "requests": { "cpu": "200m" } } }] } });
        let selects = json!({ "spec": { "nodeSelector": { "disk": "slow" } } });
        let tainted = with("/metadata/x", json!(1));
        let mut tainted = tainted;
        tainted["spec"] =
            json!({ "taints": [{ "key": "gpu", "value": "yes", "effect": "NoSchedule" }] });
        let mut cordoned = node.clone();
        cordoned["spec"] = json!({ "unschedulable": true });
        let mut unready = node.clone();
        unready["status"]["conditions"][0]["status"] = "False".into();
        let full = Requests {
            pods: 2,
            ..load.clone()
        };
        let table = [
            (&pod, &node, &load, None),
            (&asks, &node, &load, Some("Insufficient cpu")),
            (
                &selects,
                &node,
                &load,
                Some("node(s) didn't match Pod's node affinity/selector"),
            ),
            (
                &pod,
                &tainted,
                &load,
                Some("node(s) had untolerated taint {gpu: yes}"),
            ),
            (&pod, &cordoned, &load, Some("node(s) were unschedulable")),
            (
                &pod,
                &unready,
                &load,
                Some("node(s) had untolerated taint {node.kubernetes.io/not-ready: }"),
            ),
            (&pod, &node, &full, Some("Too many pods")),
        ];
        for (pod, node, load, want) in table {
            let got = obstacles(pod, node, load);
            assert_eq!(got, want.map(str::to_owned).into_iter().collect::<Vec<_>>());
        }
        let affine = json!({ "spec": { "affinity": { "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
                { "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["n"] }] }] } } } } });
        assert!(obstacles(&affine, &node, &load).is_empty());
    }
}
