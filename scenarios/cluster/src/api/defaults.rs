//! What the API server fills in when an object does not say.

use serde_json::{Map, Value, json};

use crate::store::Kind;

type Fields = Map<String, Value>;

/// Fills in the defaults of a new or changed object.
pub(super) fn fill(kind: Kind, object: &mut Value) {
    match kind {
        Kind::Pod => {
            if let Some(spec) = child(object, "spec") {
                pod_spec(spec);
                default(spec, "enableServiceLinks", || true.into());
            }
        }
        Kind::Deployment => with_spec(object, |spec| {
            default(spec, "replicas", || 1.into());
            default(spec, "revisionHistoryLimit", || 10.into());
            default(spec, "progressDeadlineSeconds", || 600.into());
            let strategy = spec.entry("strategy").or_insert_with(|| json!({}));
            rolling(strategy, "25%", Some("25%"));
        }),
        Kind::ReplicaSet => with_spec(object, |spec| default(spec, "replicas", || 1.into())),
        Kind::DaemonSet => with_spec(object, |spec| {
            default(spec, "revisionHistoryLimit", || 10.into());
            let strategy = spec.entry("updateStrategy").or_insert_with(|| json!({}));
            rolling(strategy, 1, Some(0));
        }),
        Kind::StatefulSet => with_spec(object, |spec| {
            default(spec, "replicas", || 1.into());
            default(spec, "revisionHistoryLimit", || 10.into());
            default(spec, "podManagementPolicy", || "OrderedReady".into());
            let strategy = spec.entry("updateStrategy").or_insert_with(|| json!({}));
            if let Some(strategy) = strategy.as_object_mut() {
                default(strategy, "type", || "RollingUpdate".into());
            }
        }),
        Kind::Job => with_spec(object, |spec| {
            for (field, value) in [("parallelism", 1), ("completions", 1), ("backoffLimit", 6)] {
                default(spec, field, || value.into());
            }
            default(spec, "completionMode", || "NonIndexed".into());
            default(spec, "suspend", || false.into());
        }),
        Kind::CronJob => {
            if let Some(spec) = child(object, "spec") {
                default(spec, "concurrencyPolicy", || "Allow".into());
                default(spec, "suspend", || false.into());
                default(spec, "successfulJobsHistoryLimit", || 3.into());
                default(spec, "failedJobsHistoryLimit", || 1.into());
                let pod = spec
                    .get_mut("jobTemplate")
                    .and_then(|template| template.pointer_mut("/spec/template/spec"));
                if let Some(pod) = pod.and_then(Value::as_object_mut) {
                    pod_spec(pod);
                }
            }
        }
        Kind::Secret => secret(object),
        Kind::Namespace => {
            let name = object.pointer("/metadata/name").cloned();
            if let (Some(meta), Some(name)) = (child(object, "metadata"), name) {
                let labels = meta.entry("labels").or_insert_with(|| json!({}));
                if let Some(labels) = labels.as_object_mut() {
                    default(labels, "kubernetes.io/metadata.name", || name);
                }
            }
            if let Some(spec) = child(object, "spec") {
                default(spec, "finalizers", || json!(["kubernetes"]));
            }
            if let Some(status) = child(object, "status") {
                default(status, "phase", || "Active".into());
            }
        }
        Kind::Service => {
            if let Some(spec) = child(object, "spec") {
                default(spec, "type", || "ClusterIP".into());
                default(spec, "sessionAffinity", || "None".into());
            }
        }
        Kind::Event
        | Kind::ServiceAccount
        | Kind::ConfigMap
        | Kind::Node
        | Kind::PodDisruptionBudget
        | Kind::Lease => {}
    }
}

/// Sets a field that is absent or null.
pub(super) fn default(fields: &mut Fields, field: &str, value: impl FnOnce() -> Value) {
    let slot = fields.entry(field).or_insert(Value::Null);
    if slot.is_null() {
        *slot = value();
    }
}

/// The object in a field; made when it is absent.
pub(super) fn child<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Fields> {
    let fields = object.as_object_mut()?;
    let slot = fields.entry(field).or_insert(Value::Null);
    if slot.is_null() {
        *slot = json!({});
    }
    slot.as_object_mut()
}

fn with_spec(object: &mut Value, and: impl FnOnce(&mut Fields)) {
    if let Some(spec) = child(object, "spec") {
        if let Some(template) = spec.get_mut("template") {
            if let Some(meta) = child(template, "metadata") {
                meta.entry("creationTimestamp").or_insert(Value::Null);
            }
            if let Some(pod) = child(template, "spec") {
                pod_spec(pod);
            }
        }
        and(spec);
    }
}

fn rolling<T: Into<Value>>(strategy: &mut Value, unavailable: T, surge: Option<T>) {
    let Some(strategy) = strategy.as_object_mut() else {
        return;
    };
    default(strategy, "type", || "RollingUpdate".into());
    if strategy.get("type").and_then(Value::as_str) != Some("RollingUpdate") {
        return;
    }
    let rolling = strategy.entry("rollingUpdate").or_insert(Value::Null);
    if rolling.is_null() {
        *rolling = json!({});
    }
    if let Some(rolling) = rolling.as_object_mut() {
        default(rolling, "maxUnavailable", || unavailable.into());
        if let Some(surge) = surge {
            default(rolling, "maxSurge", || surge.into());
        }
    }
}

fn secret(object: &mut Value) {
    use base64::Engine as _;
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    default(fields, "type", || "Opaque".into());
    // What comes as plain text is kept encoded, and is never given back as plain text.
    if let Some(Value::Object(plain)) = fields.shift_remove("stringData") {
        let data = fields.entry("data").or_insert_with(|| json!({}));
        if data.is_null() {
            *data = json!({});
        }
        if let Some(data) = data.as_object_mut() {
            for (key, value) in plain {
                let text = value.as_str().unwrap_or_default();
                let encoded = base64::engine::general_purpose::STANDARD.encode(text);
                data.insert(key, encoded.into());
            }
        }
    }
}

fn pod_spec(spec: &mut Fields) {
    for list in ["containers", "initContainers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            if let Some(container) = container.as_object_mut() {
                fill_container(container);
            }
        }
    }
    default(spec, "restartPolicy", || "Always".into());
    default(spec, "terminationGracePeriodSeconds", || 30.into());
    default(spec, "dnsPolicy", || "ClusterFirst".into());
    default(spec, "securityContext", || json!({}));
    default(spec, "schedulerName", || "default-scheduler".into());
    // The two names of one field follow each other.
    let named = |spec: &Fields, field: &str| {
        let name = spec.get(field).and_then(Value::as_str);
        name.filter(|name| !name.is_empty()).map(str::to_owned)
    };
    if let Some(name) = named(spec, "serviceAccountName").or_else(|| named(spec, "serviceAccount"))
    {
        spec.insert("serviceAccountName".into(), name.clone().into());
        spec.insert("serviceAccount".into(), name.into());
    }
    let volumes = spec.get_mut("volumes").and_then(Value::as_array_mut);
    for volume in volumes.into_iter().flatten() {
        for source in ["secret", "configMap", "projected", "downwardAPI"] {
            if let Some(source) = volume.get_mut(source).and_then(Value::as_object_mut) {
                default(source, "defaultMode", || 420.into());
            }
        }
    }
}

fn fill_container(container: &mut Fields) {
    let image = container.get("image").and_then(Value::as_str);
    let policy = pull_policy(image.unwrap_or_default());
    default(container, "imagePullPolicy", || policy.into());
    default(container, "resources", || json!({}));
    default(container, "terminationMessagePath", || {
        "/dev/termination-log".into()
    });
    default(container, "terminationMessagePolicy", || "File".into());
    let ports = container.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten() {
        if let Some(port) = port.as_object_mut() {
            default(port, "protocol", || "TCP".into());
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.get_mut(probe).and_then(Value::as_object_mut) else {
            continue;
        };
        for (field, value) in [
            ("timeoutSeconds", 1),
            ("periodSeconds", 10),
            ("successThreshold", 1),
            ("failureThreshold", 3),
        ] {
            default(probe, field, || value.into());
        }
    }
    let env = container.get_mut("env").and_then(Value::as_array_mut);
    for variable in env.into_iter().flatten() {
        let reference = variable.pointer_mut("/valueFrom/fieldRef");
        if let Some(reference) = reference.and_then(Value::as_object_mut) {
            default(reference, "apiVersion", || "v1".into());
        }
    }
}

/// `Always` when the tag is `latest` or there is neither tag nor digest.
fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image
        .split_once('@')
        .map_or((image, None), |(name, digest)| (name, Some(digest)));
    let last = name.rsplit('/').next().unwrap_or_default();
    let tag = last.split_once(':').map(|(_, tag)| tag);
    match (tag, digest) {
        (Some("latest"), _) | (None, None) => "Always",
        _ => "IfNotPresent",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pull_policy_follows_the_tag() {
        let table = [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1", "IfNotPresent"),
            ("host:5000/nginx", "Always"),
            ("host:5000/nginx:1", "IfNotPresent"),
            ("nginx@sha256:00", "IfNotPresent"),
            ("nginx:latest@sha256:00", "Always"),
            ("", "Always"),
        ];
        for (image, want) in table {
            assert_eq!(pull_policy(image), want, "{image:?}");
        }
    }

    #[test]
    fn a_deployment_is_completed_and_a_second_time_changes_nothing() {
        let mut object = json!({
            "metadata": { "name": "web" },
            "spec": { "template": { "spec": { "containers": [{ "name": "a", "image": "x:1" }] } } }
        });
        fill(Kind::Deployment, &mut object);
        assert_eq!(object["spec"]["replicas"], 1);
        assert_eq!(
            object["spec"]["strategy"],
            json!({ "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": "25%", "maxSurge": "25%" } })
        );
        let container = &object["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["imagePullPolicy"], "IfNotPresent");
        let once = object.clone();
        fill(Kind::Deployment, &mut object);
        assert_eq!(object, once);
    }

    #[test]
    fn plain_secret_data_is_encoded() {
        let mut object = json!({ "stringData": { "a": "hello" }, "data": { "b": "eA==" } });
        fill(Kind::Secret, &mut object);
        assert_eq!(
            object,
            json!({ "data": { "b": "eA==", "a": "aGVsbG8=" }, "type": "Opaque" })
        );
    }
}
