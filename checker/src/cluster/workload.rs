//! The pods of a workload, and how far it is rolled out.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1 as core;
use kube::ResourceExt as _;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use serde_json::Value;

use super::pages::{Flow, is_not_found};
use super::read::{PODS, Reader};
use super::{WorkloadKind, convert, created};
use crate::symptom::{Pod, Right, Rollout};

/// Jobs of a CronJob that are looked at.
const JOBS: usize = 2000;

impl Reader<'_> {
    /// The pods of a workload: by its selector, else by the names of their owners.
    pub(super) async fn pods_of(
        &mut self,
        kind: WorkloadKind,
        namespace: &str,
        name: &str,
    ) -> Vec<Pod> {
        let (group, version) = if matches!(kind, WorkloadKind::Job | WorkloadKind::CronJob) {
            ("batch", "v1")
        } else {
            ("apps", "v1")
        };
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind.kind()));
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), namespace, &resource);
        let what = format!("{} {namespace}/{name}", kind.word());
        let right = Right {
            verb: "get",
            resource: kind.resource(),
            namespace: Some(namespace.into()),
        };
        let mut images = Vec::new();
        let selector = match api.get(name).await {
            Ok(object) => {
                self.rollout = rollout(kind, &object);
                images = created::template_images(&object.data);
                selector(object.data.pointer("/spec/selector"))
            }
            Err(error) => {
                let gone = is_not_found(&error);
                let _: Option<()> = self.gap(what, &error, right);
                if gone {
                    return Vec::new();
                }
                None
            }
        };
        let jobs = if kind == WorkloadKind::CronJob {
            self.jobs_of(namespace, name).await
        } else {
            None
        };
        let params = ListParams {
            label_selector: selector,
            ..ListParams::default()
        };
        let right = Right {
            verb: "list",
            resource: "pods",
            namespace: Some(namespace.into()),
        };
        let api = Api::<core::Pod>::namespaced(self.client.clone(), namespace);
        let what = format!("pods of namespace {namespace}");
        let (mut pods, mut read) = (Vec::new(), 0);
        self.pages(&api, params, what, right, |page| {
            let Some(page) = page else {
                pods.clear();
                read = 0;
                return Flow::On;
            };
            read += page.len();
            let ours = page.iter().filter(|object| match &jobs {
                Some(jobs) => owned_by(object, "Job").any(|owner| jobs.contains(owner)),
                None => belongs(object, kind, name),
            });
            pods.extend(ours.map(convert::pod));
            if pods.len() > PODS {
                pods.truncate(PODS);
                return Flow::Enough(PODS);
            }
            Flow::On
        })
        .await;
        self.pods_read += read;
        if pods.is_empty() {
            self.not_created = self.why_not_created(kind, namespace, name, images).await;
        }
        pods
    }

    /// Names of the jobs that a CronJob made; none when they could not be listed.
    async fn jobs_of(&mut self, namespace: &str, name: &str) -> Option<BTreeSet<String>> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("batch", "v1", "Job"));
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), namespace, &resource);
        let right = Right {
            verb: "list",
            resource: "jobs.batch",
            namespace: Some(namespace.into()),
        };
        let what = format!("jobs of namespace {namespace}");
        let mut names = BTreeSet::new();
        let params = ListParams::default();
        let read = self
            .pages(&api, params, what, right, |page| {
                let Some(page) = page else {
                    names.clear();
                    return Flow::On;
                };
                for object in page {
                    let owners = object.owner_references();
                    if owners
                        .iter()
                        .any(|owner| owner.kind == "CronJob" && owner.name == name)
                    {
                        names.extend(object.metadata.name.clone());
                    }
                }
                if names.len() > JOBS {
                    Flow::Enough(JOBS)
                } else {
                    Flow::On
                }
            })
            .await;
        read.then_some(names)
    }
}

/// Names of the owners of this kind.
fn owned_by<'a>(object: &'a core::Pod, kind: &'a str) -> impl Iterator<Item = &'a String> {
    object
        .metadata
        .owner_references
        .iter()
        .flatten()
        .filter(move |owner| owner.kind == kind)
        .map(|owner| &owner.name)
}

/// How far the controller says that it has come; none for what is never rolled out.
fn rollout(kind: WorkloadKind, object: &DynamicObject) -> Option<Rollout> {
    let number = |pointer: &str| object.data.pointer(pointer).and_then(Value::as_i64);
    let seen = number("/status/observedGeneration").unwrap_or(0)
        >= object.metadata.generation.unwrap_or(0);
    let status = |field: &str| number(&format!("/status/{field}")).unwrap_or(0);
    let (wanted, updated, available, all) = match kind {
        WorkloadKind::Deployment => (
            number("/spec/replicas").unwrap_or(1),
            status("updatedReplicas"),
            status("availableReplicas"),
            status("replicas"),
        ),
        WorkloadKind::StatefulSet => (
            number("/spec/replicas").unwrap_or(1),
            // A rollout that is done names no update any more, and counts all as updated.
            status("updatedReplicas").max(if status("currentReplicas") == status("replicas") {
                status("currentReplicas")
            } else {
                0
            }),
            status("readyReplicas"),
            status("replicas"),
        ),
        WorkloadKind::DaemonSet => (
            status("desiredNumberScheduled"),
            status("updatedNumberScheduled"),
            status("numberAvailable"),
            status("desiredNumberScheduled"),
        ),
        WorkloadKind::ReplicaSet => (
            number("/spec/replicas").unwrap_or(1),
            status("replicas"),
            status("availableReplicas"),
            status("replicas"),
        ),
        WorkloadKind::Job | WorkloadKind::CronJob => return None,
    };
    Some(Rollout {
        done: seen && updated >= wanted && available >= wanted && all <= wanted,
        words: format!("{updated} of {wanted} updated, {available} available"),
    })
}

/// A `LabelSelector` object as the text of a query.
fn selector(value: Option<&Value>) -> Option<String> {
    let value = value?;
    let mut terms = Vec::new();
    for (key, wanted) in value
        .get("matchLabels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        terms.push(format!("{key}={}", wanted.as_str()?));
    }
    for expression in value
        .get("matchExpressions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let key = expression.get("key")?.as_str()?;
        let values = expression
            .get("values")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let values: Vec<&str> = values.filter_map(Value::as_str).collect();
        terms.push(match expression.get("operator")?.as_str()? {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    if terms.is_empty() {
        None
    } else {
        Some(terms.join(","))
    }
}

/// Whether `object` is a pod of the workload; a Deployment's through its ReplicaSets.
fn belongs(object: &core::Pod, kind: WorkloadKind, name: &str) -> bool {
    let owners = object
        .metadata
        .owner_references
        .as_deref()
        .unwrap_or_default();
    if kind == WorkloadKind::Deployment {
        let pod = convert::pod(object);
        return pod
            .owner
            .is_some_and(|owner| owner.kind == "deployment" && owner.name == name);
    }
    if kind == WorkloadKind::CronJob {
        // Its jobs could not be listed; their names are its own and the minute.
        return owners.iter().any(|owner| {
            let minute = owner
                .name
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('-'));
            owner.kind == "Job"
                && minute.is_some_and(|rest| {
                    !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit())
                })
        });
    }
    owners
        .iter()
        .any(|owner| owner.kind == kind.kind() && owner.name == name)
}
