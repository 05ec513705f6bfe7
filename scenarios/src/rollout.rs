//! Whether a workload is where it should be: pure functions over a snapshot.
//!
//! `rolled-out` is stricter than `kubectl rollout status`: it also wants no pod of an older
//! revision, and in every container the very image that the registry serves, by digest.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use crate::observer::{Snapshot, is_ready};
use crate::spec::{Target, TargetKind, WorkloadState};

/// Gives the digest that an image reference has at its registry now.
pub(crate) type Digests<'a> = &'a dyn Fn(&str) -> Option<String>;

/// `Ok` when the workload is in the state; otherwise what is missing, in words.
pub(crate) fn check(
    target: &Target,
    state: WorkloadState,
    now: &Snapshot,
    digests: Digests<'_>,
) -> Result<(), String> {
    match target.kind {
        TargetKind::Pod => check_pod(target, state, now, digests),
        TargetKind::Deployment => {
            let deployment = now
                .deployments
                .get(&target.name)
                .ok_or_else(|| format!("there is no {target}"))?;
            match state {
                WorkloadState::Available => available(target, deployment),
                WorkloadState::RolledOut => rolled_out(target, deployment, now, digests),
            }
        }
    }
}

fn check_pod(
    target: &Target,
    state: WorkloadState,
    now: &Snapshot,
    digests: Digests<'_>,
) -> Result<(), String> {
    let pod = now
        .pods
        .get(&target.name)
        .ok_or_else(|| format!("there is no {target}"))?;
    if !is_ready(pod) {
        return Err(format!("{target} is not ready"));
    }
    match state {
        WorkloadState::Available => Ok(()),
        WorkloadState::RolledOut => image_ids(pod, digests),
    }
}

fn available(target: &Target, deployment: &Deployment) -> Result<(), String> {
    let wanted = replicas(deployment);
    let status = deployment.status.clone().unwrap_or_default();
    let available = status.available_replicas.unwrap_or(0);
    if available >= wanted && status.observed_generation >= deployment.metadata.generation {
        return Ok(());
    }
    Err(format!(
        "{available} of {wanted} replicas of {target} are available"
    ))
}

fn rolled_out(
    target: &Target,
    deployment: &Deployment,
    now: &Snapshot,
    digests: Digests<'_>,
) -> Result<(), String> {
    let status = deployment.status.clone().unwrap_or_default();
    if status.observed_generation < deployment.metadata.generation {
        return Err(format!(
            "the latest change of {target} has not been observed yet"
        ));
    }
    let wanted = replicas(deployment);
    let updated = status.updated_replicas.unwrap_or(0);
    let available = status.available_replicas.unwrap_or(0);
    let total = status.replicas.unwrap_or(0);
    if updated != wanted || available != wanted || total != wanted {
        return Err(format!(
            "{target} wants {wanted} replicas: {updated} are updated, {available} available, {total} exist"
        ));
    }
    let current = current_replica_set(deployment, now)
        .ok_or_else(|| format!("{target} has no ReplicaSet of its latest revision"))?;
    let pods = pods_of(deployment, now);
    let old = pods.iter().filter(|(_, owner)| *owner != current).count();
    if old > 0 {
        return Err(format!(
            "{old} pods of an older revision of {target} are still there"
        ));
    }
    pods.iter().try_for_each(|(pod, _)| image_ids(pod, digests))
}

fn replicas(deployment: &Deployment) -> i32 {
    deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1)
}

/// The pods of a Deployment, each with the name of the ReplicaSet that owns it.
pub(crate) fn pods_of<'a>(deployment: &Deployment, now: &'a Snapshot) -> Vec<(&'a Pod, &'a str)> {
    let sets: Vec<&str> = now
        .replica_sets
        .values()
        .filter(|set| owned_by(set.owner_references(), &deployment.name_any()))
        .filter_map(|set| set.metadata.name.as_deref())
        .collect();
    now.pods
        .values()
        .filter_map(|pod| {
            let owner = pod
                .owner_references()
                .iter()
                .find(|owner| owner.kind == "ReplicaSet")?;
            sets.iter()
                .find(|set| **set == owner.name)
                .map(|set| (pod, *set))
        })
        .collect()
}

type Owners = [k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference];

fn owned_by(owners: &Owners, name: &str) -> bool {
    owners
        .iter()
        .any(|owner| owner.kind == "Deployment" && owner.name == name)
}

fn current_replica_set<'a>(deployment: &Deployment, now: &'a Snapshot) -> Option<&'a str> {
    let revision = |annotations: &BTreeMap<String, String>| -> Option<u64> {
        annotations
            .get("deployment.kubernetes.io/revision")?
            .parse()
            .ok()
    };
    now.replica_sets
        .values()
        .filter(|set| owned_by(set.owner_references(), &deployment.name_any()))
        .max_by_key(|set| revision(set.annotations()))
        .and_then(|set| set.metadata.name.as_deref())
}

fn image_ids(pod: &Pod, digests: Digests<'_>) -> Result<(), String> {
    let name = pod.name_any();
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    for container in containers {
        let image = container.image.as_deref().unwrap_or_default();
        let Some(expected) = digests(image) else {
            return Err(format!("pod {name}: the registry serves no `{image}`"));
        };
        let statuses = pod
            .status
            .as_ref()
            .and_then(|status| status.container_statuses.as_ref());
        let seen = statuses
            .into_iter()
            .flatten()
            .find(|status| status.name == container.name)
            .map_or("", |status| status.image_id.as_str());
        if !seen.ends_with(expected.as_str()) {
            return Err(format!("pod {name} runs image `{seen}`, not `{expected}`"));
        }
    }
    Ok(())
}
