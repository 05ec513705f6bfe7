//! The `scale` subresource: replicas of a workload as an `autoscaling/v1` object.

use serde_json::{Value, json};

use super::select::LabelSelector;
use crate::store::{ApiError, FieldCause, Kind};

/// Whether a kind can be scaled.
pub(super) fn is_scalable(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Deployment | Kind::ReplicaSet | Kind::StatefulSet
    )
}

/// The scale of a workload.
pub(super) fn of(workload: &Value) -> Value {
    let meta = |field: &str| workload.pointer(&format!("/metadata/{field}"));
    let replicas = |path: &str| workload.pointer(path).and_then(Value::as_i64).unwrap_or(0);
    let selector = LabelSelector::from_object(workload.pointer("/spec/selector"));
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": meta("name"), "namespace": meta("namespace"), "uid": meta("uid"),
            "resourceVersion": meta("resourceVersion"),
            "creationTimestamp": meta("creationTimestamp")
        },
        "spec": { "replicas": replicas("/spec/replicas") },
        "status": {
            "replicas": replicas("/status/replicas"),
            "selector": selector.map(|selector| selector.to_string()).unwrap_or_default()
        }
    })
}

/// Writes a scale back to its workload.
pub(super) fn set(workload: &mut Value, scale: &Value, name: &str) -> Result<(), ApiError> {
    let wanted = scale.pointer("/spec/replicas");
    let replicas = match wanted {
        None | Some(Value::Null) => 0,
        Some(value) => value.as_i64().ok_or_else(|| {
            ApiError::bad_request(format!(
                "Scale in version \"v1\" cannot be handled as a Scale: json: cannot unmarshal {value} into Go struct field ScaleSpec.spec.replicas of type int32"
            ))
        })?,
    };
    if replicas < 0 {
        let cause = FieldCause::invalid(
            "spec.replicas",
            &replicas.into(),
            "must be greater than or equal to 0",
        );
        return Err(ApiError::invalid_subject(
            "Scale.autoscaling",
            name,
            &[cause],
        ));
    }
    if let Some(version) = scale.pointer("/metadata/resourceVersion")
        && let Some(meta) = workload.get_mut("metadata").and_then(Value::as_object_mut)
    {
        meta.insert("resourceVersion".into(), version.clone());
    }
    if let Some(spec) = workload.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("replicas".into(), replicas.into());
    }
    Ok(())
}
