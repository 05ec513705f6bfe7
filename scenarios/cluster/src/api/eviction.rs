//! Whether a pod may be evicted now: what the disruption budgets of its namespace say.

use serde_json::{Value, json};

use super::{Api, LabelSelector};
use crate::store::{ApiError, Kind};

/// Lets an eviction pass or refuses it with the 429 that `kubectl drain` waits out. A pod that passes
/// is counted against its budget at once.
pub(super) fn admit(api: &Api, namespace: &str, name: &str, dry_run: bool) -> Result<(), ApiError> {
    let pod = api.get(Kind::Pod, namespace, name)?;
    let text = |path: &str| {
        pod.pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let idle = matches!(text("/status/phase"), "Succeeded" | "Failed" | "Pending");
    if idle || pod.pointer("/metadata/deletionTimestamp").is_some() {
        return Ok(());
    }
    let (budgets, _) = api
        .store()
        .list_shared(Kind::PodDisruptionBudget, Some(namespace));
    let matching: Vec<_> = budgets
        .iter()
        .filter(|budget| {
            LabelSelector::from_object(budget.pointer("/spec/selector"))
                .is_some_and(|selector| selector.matches(&pod))
        })
        .collect();
    let budget = match matching.as_slice() {
        [] => return Ok(()),
        [budget] => budget,
        _ => {
            return Err(ApiError::plain(
                500,
                "InternalError",
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            ));
        }
    };
    let count = |field: &str| {
        let value = budget.pointer(&format!("/status/{field}"));
        value.and_then(Value::as_i64).unwrap_or(0)
    };
    let budget_name = budget.pointer("/metadata/name").and_then(Value::as_str);
    let budget_name = budget_name.unwrap_or_default();
    let allowed = count("disruptionsAllowed");
    if allowed <= 0 {
        let why = format!(
            "The disruption budget {budget_name} needs {} healthy pods and has {} currently",
            count("desiredHealthy"),
            count("currentHealthy")
        );
        return Err(ApiError {
            details: Some(json!({ "causes": [{ "reason": "DisruptionBudget", "message": why }] })),
            ..ApiError::plain(
                429,
                "TooManyRequests",
                "Cannot evict pod as it would violate the pod's disruption budget.",
            )
        });
    }
    if !dry_run {
        let status = json!({ "disruptionsAllowed": allowed - 1 });
        api.store()
            .merge_status(Kind::PodDisruptionBudget, namespace, budget_name, status)?;
    }
    Ok(())
}
