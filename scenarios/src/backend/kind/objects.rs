//! Objects of a scenario's file, as a real cluster needs them.

use serde_json::{Value, json};

use crate::backend::anew::pod_spec;

/// Pods of one Deployment go to different nodes: the scheduler of a real cluster only prefers that.
pub(super) fn spread(object: &mut Value) {
    let selector = object.pointer("/spec/selector").cloned();
    let spec = object.pointer_mut("/spec/template/spec");
    if let (Some(selector), Some(Value::Object(spec))) = (selector, spec)
        && !spec.contains_key("topologySpreadConstraints")
        && !spec.contains_key("nodeName")
    {
        let constraint = json!({
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": selector,
        });
        spec.insert("topologySpreadConstraints".to_owned(), json!([constraint]));
    }
}

/// Where a lot shares the cluster, the nodes that its file does not have are not cordoned: its pods keep to
/// those that it has.
pub(super) fn keep_to(object: &mut Value, nodes: &[&str]) {
    let spec = pod_spec(object);
    if let Some(Value::Object(spec)) = spec
        && !spec.contains_key("affinity")
        && !spec.contains_key("nodeName")
    {
        let affinity = json!({"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{
                "matchExpressions": [
                    {"key": "kubernetes.io/hostname", "operator": "In", "values": nodes},
                ],
            }]},
        }});
        spec.insert("affinity".to_owned(), affinity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::anew::pull_always;

    #[test]
    fn every_container_pulls_anew_unless_the_file_says_otherwise() {
        let mut deployment = json!({"kind": "Deployment", "spec": {"template": {"spec": {
            "initContainers": [{"name": "a"}],
            "containers": [{"name": "b", "imagePullPolicy": "Never"}, {"name": "c"}],
        }}}});
        pull_always(&mut deployment);
        let spec = &deployment["spec"]["template"]["spec"];
        assert_eq!(spec["initContainers"][0]["imagePullPolicy"], "Always");
        assert_eq!(spec["containers"][0]["imagePullPolicy"], "Never");
        assert_eq!(spec["containers"][1]["imagePullPolicy"], "Always");
        deployment["spec"]["selector"] = json!({"matchLabels": {"app": "a"}});
        spread(&mut deployment);
        let constraint = &deployment["spec"]["template"]["spec"]["topologySpreadConstraints"][0];
        assert_eq!(constraint["labelSelector"]["matchLabels"]["app"], "a");
        keep_to(&mut deployment, &["a", "b"]);
        let affinity = &deployment["spec"]["template"]["spec"]["affinity"]["nodeAffinity"];
        assert!(affinity.to_string().contains(r#"["a","b"]"#), "{affinity}");
        let mut service = json!({"kind": "Service", "spec": {"ports": []}});
        let same = service.clone();
        pull_always(&mut service);
        assert_eq!(service, same);
    }
}
