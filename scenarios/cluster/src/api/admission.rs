//! What happens to a new object between its request and the store: namespace, service account,
//! tolerations, tokens, and the status it is born with.

use serde_json::{Map, Value, json};

use super::defaults::{child, default};
use crate::store::{ApiError, Kind, Store};

/// Where service account tokens are mounted.
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Admits a new object: may complete it, may refuse it. `suffix` makes five letters of a name.
pub(super) fn admit(
    store: &Store,
    kind: Kind,
    namespace: &str,
    object: &mut Value,
    suffix: impl FnOnce() -> String,
) -> Result<(), ApiError> {
    if kind.namespaced() {
        namespace_is_open(store, kind, namespace, object)?;
    }
    birth_status(kind, object);
    match kind {
        Kind::Pod => admit_pod(store, namespace, object, suffix),
        Kind::Job => {
            admit_job(store, object);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The name an error speaks of: the given one, else the base of the generated one.
pub(super) fn spoken_name(object: &Value) -> String {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str);
    text("/metadata/name")
        .filter(|name| !name.is_empty())
        .or_else(|| text("/metadata/generateName"))
        .unwrap_or_default()
        .to_owned()
}

fn namespace_is_open(
    store: &Store,
    kind: Kind,
    namespace: &str,
    object: &Value,
) -> Result<(), ApiError> {
    let Some(found) = store.get_shared(Kind::Namespace, "", namespace) else {
        return Err(ApiError::not_found(Kind::Namespace, namespace));
    };
    if found.pointer("/metadata/deletionTimestamp").is_none() || kind == Kind::Event {
        return Ok(());
    }
    let why = format!(
        "unable to create new content in namespace {namespace} because it is being terminated"
    );
    let mut error = ApiError::forbidden(kind, &spoken_name(object), &why);
    if let Some(details) = error.details.as_mut().and_then(Value::as_object_mut) {
        let cause = json!([{
            "reason": "NamespaceTerminating",
            "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace"
        }]);
        details.insert("causes".into(), cause);
    }
    Err(error)
}

/// Clients cannot bring a status; some kinds are born with one.
fn birth_status(kind: Kind, object: &mut Value) {
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    match kind {
        Kind::Pod => {
            let quality = quality_of_service(fields.get("spec"));
            let status = json!({ "phase": "Pending", "qosClass": quality });
            fields.insert("status".into(), status);
        }
        Kind::Deployment
        | Kind::StatefulSet
        | Kind::Job
        | Kind::CronJob
        | Kind::PodDisruptionBudget => {
            fields.insert("status".into(), json!({}));
        }
        Kind::ReplicaSet => {
            fields.insert("status".into(), json!({ "replicas": 0 }));
        }
        Kind::DaemonSet => {
            let status = json!({
                "currentNumberScheduled": 0, "numberMisscheduled": 0,
                "desiredNumberScheduled": 0, "numberReady": 0
            });
            fields.insert("status".into(), status);
        }
        Kind::Service => {
            fields.insert("status".into(), json!({ "loadBalancer": {} }));
        }
        // A node brings its status with it when it registers; a namespace is born active.
        _ => {}
    }
}

fn quality_of_service(spec: Option<&Value>) -> &'static str {
    let lists = ["containers", "initContainers"];
    let containers = lists
        .iter()
        .filter_map(|list| spec?.get(list)?.as_array())
        .flatten();
    let (mut any, mut guaranteed) = (false, true);
    for container in containers {
        let amount = |what: &str, of: &str| {
            let value = container.pointer(&format!("/resources/{what}/{of}"));
            value.filter(|value| !value.is_null()).cloned()
        };
        for of in ["cpu", "memory"] {
            let (request, limit) = (amount("requests", of), amount("limits", of));
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

fn admit_pod(
    store: &Store,
    namespace: &str,
    pod: &mut Value,
    suffix: impl FnOnce() -> String,
) -> Result<(), ApiError> {
    let spoken = spoken_name(pod);
    let Some(spec) = child(pod, "spec") else {
        return Ok(());
    };
    let named = spec.get("serviceAccountName").and_then(Value::as_str);
    let account = named.unwrap_or("default").to_owned();
    let Some(found) = store.get_shared(Kind::ServiceAccount, namespace, &account) else {
        let why = format!(
            "error looking up service account {namespace}/{account}: serviceaccount {account:?} not found"
        );
        return Err(ApiError::forbidden(Kind::Pod, &spoken, &why));
    };
    spec.insert("serviceAccountName".into(), account.clone().into());
    spec.insert("serviceAccount".into(), account.into());
    let lists_own = spec
        .get("imagePullSecrets")
        .and_then(Value::as_array)
        .is_some_and(|secrets| !secrets.is_empty());
    let secrets = found.get("imagePullSecrets").and_then(Value::as_array);
    if let (false, Some(secrets)) = (lists_own, secrets.filter(|secrets| !secrets.is_empty())) {
        spec.insert("imagePullSecrets".into(), secrets.clone().into());
    }
    let says = |fields: Option<&Value>| {
        let fields = fields?;
        fields.get("automountServiceAccountToken")?.as_bool()
    };
    let own = spec
        .get("automountServiceAccountToken")
        .and_then(Value::as_bool);
    if own.or_else(|| says(Some(&found))).unwrap_or(true) {
        mount_token(spec, suffix);
    }
    default(spec, "priority", || 0.into());
    default(spec, "preemptionPolicy", || "PreemptLowerPriority".into());
    tolerate(spec);
    Ok(())
}

fn mount_token(spec: &mut Map<String, Value>, suffix: impl FnOnce() -> String) {
    let name = format!("kube-api-access-{}", suffix());
    let mut mounted = false;
    for list in ["containers", "initContainers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let Some(container) = container.as_object_mut() else {
                continue;
            };
            let mounts = container.entry("volumeMounts").or_insert_with(|| json!([]));
            if mounts.is_null() {
                *mounts = json!([]);
            }
            let Some(mounts) = mounts.as_array_mut() else {
                continue;
            };
            if mounts
                .iter()
                .all(|mount| mount.get("mountPath").and_then(Value::as_str) != Some(TOKEN_PATH))
            {
                mounts.push(json!({ "name": name, "readOnly": true, "mountPath": TOKEN_PATH }));
                mounted = true;
            }
        }
    }
    if !mounted {
        return;
    }
    let volumes = spec.entry("volumes").or_insert_with(|| json!([]));
    if volumes.is_null() {
        *volumes = json!([]);
    }
    if let Some(volumes) = volumes.as_array_mut() {
        volumes.push(json!({
            "name": name,
            "projected": { "sources": [
                { "serviceAccountToken": { "expirationSeconds": 3607, "path": "token" } },
                { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
                { "downwardAPI": { "items": [{ "path": "namespace",
                    "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" } }] } }
            ], "defaultMode": 420 }
        }));
    }
}

fn tolerate(spec: &mut Map<String, Value>) {
    let list = spec.entry("tolerations").or_insert_with(|| json!([]));
    if list.is_null() {
        *list = json!([]);
    }
    let Some(list) = list.as_array_mut() else {
        return;
    };
    for key in [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ] {
        let tolerated = list.iter().any(|toleration| {
            let of = toleration.get("key").and_then(Value::as_str).unwrap_or("");
            let effect = toleration.get("effect").and_then(Value::as_str);
            (of == key || of.is_empty()) && matches!(effect, None | Some("" | "NoExecute"))
        });
        if !tolerated {
            list.push(json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300
            }));
        }
    }
}

/// A job selects its pods by its own uid unless it brings a selector.
fn admit_job(store: &Store, job: &mut Value) {
    let manual = job.pointer("/spec/manualSelector") == Some(&Value::Bool(true));
    if manual {
        return;
    }
    let name = job.pointer("/metadata/name").cloned();
    // The label must be known before the object has a uid, so it gets one of its own.
    let uid = store.new_uid();
    let Some(spec) = child(job, "spec") else {
        return;
    };
    spec.insert(
        "selector".into(),
        json!({ "matchLabels": { "batch.kubernetes.io/controller-uid": uid } }),
    );
    let template = spec.entry("template").or_insert_with(|| json!({}));
    if let Some(labels) = child(template, "metadata").map(|meta| {
        let labels = meta.entry("labels").or_insert_with(|| json!({}));
        if labels.is_null() {
            *labels = json!({});
        }
        labels
    }) && let Some(labels) = labels.as_object_mut()
    {
        for prefix in ["batch.kubernetes.io/", ""] {
            labels.insert(format!("{prefix}controller-uid"), uid.clone().into());
            if let Some(name) = &name {
                labels.insert(format!("{prefix}job-name"), name.clone());
            }
        }
    }
}
