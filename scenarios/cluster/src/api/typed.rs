//! The schema of the kinds, taken from the generated Kubernetes types: an object must read as its
//! type, and fields the type does not know are refused, warned of or dropped, as asked.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Event, Namespace, Node, Pod, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::store::{ApiError, Kind};

/// More unknown fields than this are not listed.
const MAX_UNKNOWN: usize = 20;

/// Checks an object against its type. Unknown fields are an error when `strict`; they are dropped
/// and returned as warnings otherwise.
pub(super) fn check(kind: Kind, object: &mut Value, strict: bool) -> Result<Vec<String>, ApiError> {
    let wire = kind.wire();
    let cannot = |why: &str| {
        ApiError::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: {why}",
            wire.kind, wire.version, wire.kind
        ))
    };
    if !object.is_object() {
        return Err(cannot("json: cannot unmarshal the body into an object"));
    }
    check_type(kind, object)?;
    quantities(object);
    let read = match kind {
        Kind::Pod => trip::<Pod>(object),
        Kind::Event => trip::<Event>(object),
        Kind::Secret => trip::<Secret>(object),
        Kind::ServiceAccount => trip::<ServiceAccount>(object),
        Kind::ConfigMap => trip::<ConfigMap>(object),
        Kind::Service => trip::<Service>(object),
        Kind::Namespace => trip::<Namespace>(object),
        Kind::Node => trip::<Node>(object),
        Kind::Deployment => trip::<Deployment>(object),
        Kind::ReplicaSet => trip::<ReplicaSet>(object),
        Kind::DaemonSet => trip::<DaemonSet>(object),
        Kind::StatefulSet => trip::<StatefulSet>(object),
        Kind::Job => trip::<Job>(object),
        Kind::CronJob => trip::<CronJob>(object),
        Kind::PodDisruptionBudget => trip::<PodDisruptionBudget>(object),
        Kind::Lease => trip::<Lease>(object),
    };
    let read = read.map_err(|error| cannot(&error.to_string()))?;
    let mut unknown = Vec::new();
    prune(object, &read, "", &mut unknown);
    unknown.truncate(MAX_UNKNOWN);
    let texts: Vec<String> = unknown
        .iter()
        .map(|path| format!("unknown field {path:?}"))
        .collect();
    if strict && !texts.is_empty() {
        return Err(cannot(&format!(
            "strict decoding error: {}",
            texts.join(", ")
        )));
    }
    Ok(texts)
}

/// An object may leave its type out; what it says must be right.
fn check_type(kind: Kind, object: &Value) -> Result<(), ApiError> {
    let text = |field: &str| object.get(field).and_then(Value::as_str);
    let (name, version) = (kind.name(), kind.api_version());
    if let Some(found) = text("kind").filter(|found| !found.is_empty() && *found != name) {
        return Err(ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {name}): no kind {found:?} is \
             registered for version {version:?} here"
        )));
    }
    if let Some(found) = text("apiVersion").filter(|found| !found.is_empty() && *found != version) {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({found}) does not match the expected API version ({version})"
        )));
    }
    Ok(())
}

fn trip<T: DeserializeOwned + Serialize>(object: &Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(T::deserialize(object)?)
}

/// Quantities may be written as numbers; they are kept as text.
fn quantities(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(quantities),
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                let amounts = ["requests", "limits", "capacity", "allocatable", "hard"];
                if amounts.contains(&name.as_str())
                    && let Some(amounts) = field.as_object_mut()
                {
                    for amount in amounts.values_mut() {
                        if amount.is_number() {
                            *amount = amount.to_string().into();
                        }
                    }
                }
                quantities(field);
            }
        }
        _ => {}
    }
}

/// Drops what was not understood, and says where it was.
fn prune(given: &mut Value, read: &Value, at: &str, unknown: &mut Vec<String>) {
    match (given, read) {
        (Value::Object(given), Value::Object(read)) => {
            given.retain(|name, value| {
                let path = if at.is_empty() {
                    name.clone()
                } else {
                    format!("{at}.{name}")
                };
                match read.get(name) {
                    Some(read) => {
                        prune(value, read, &path, unknown);
                        true
                    }
                    // Null says nothing, whatever its name.
                    None if value.is_null() => true,
                    None => {
                        unknown.push(path);
                        false
                    }
                }
            });
        }
        (Value::Array(given), Value::Array(read)) => {
            for (index, (given, read)) in given.iter_mut().zip(read).enumerate() {
                prune(given, read, &format!("{at}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_typo_is_refused_or_dropped() {
        let pod = json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": { "name": "x", "creationTimestamp": null, "labels": { "any": "thing" } },
            "spec": { "containres": [], "containers": [{ "name": "a", "imag": "x",
                "resources": { "limits": { "cpu": 1 } } }] }
        });
        let mut strict = pod.clone();
        let error = check(Kind::Pod, &mut strict, true).unwrap_err();
        assert_eq!(
            error.message,
            "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: unknown \
             field \"spec.containres\", unknown field \"spec.containers[0].imag\""
        );
        let mut lenient = pod;
        let warnings = check(Kind::Pod, &mut lenient, false).unwrap();
        assert_eq!(warnings.len(), 2);
        assert_eq!(
            lenient["spec"],
            json!({ "containers": [{ "name": "a", "resources": { "limits": { "cpu": "1" } } }] })
        );
        assert_eq!(lenient["metadata"]["labels"]["any"], "thing");
    }

    #[test]
    fn a_wrong_type_is_refused() {
        let table = [
            json!({ "spec": { "containers": "none" } }),
            json!({ "kind": "Node" }),
            json!({ "apiVersion": "v2" }),
            json!([]),
        ];
        for mut object in table {
            let error = check(Kind::Pod, &mut object, false).unwrap_err();
            assert_eq!((error.code, error.reason), (400, "BadRequest"), "{object}");
        }
        let mut secret = json!({ "data": { "a": "not base64!" } });
        assert!(check(Kind::Secret, &mut secret, false).is_err());
    }
}
