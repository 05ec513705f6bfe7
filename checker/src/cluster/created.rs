//! A workload without pods: what its controller says about creating them.

use k8s_openapi::api::core::v1 as core;
use kube::api::{Api, ListParams};
use serde_json::Value;

use super::pages::Flow;
use super::read::Reader;
use super::{WorkloadKind, convert};
use crate::symptom::{EventSeen, NotCreated, Right};

/// Images that are read from a template.
const IMAGES: usize = 50;
/// Events that are read.
const EVENTS: usize = 500;

impl Reader<'_> {
    /// The newest word of the workload's controller on why it cannot create pods.
    pub(super) async fn why_not_created(
        &mut self,
        kind: WorkloadKind,
        namespace: &str,
        name: &str,
        images: Vec<String>,
    ) -> Option<NotCreated> {
        let api = Api::<core::Event>::namespaced(self.client.clone(), namespace);
        let params = ListParams::default().fields("reason=FailedCreate");
        let right = Right {
            verb: "list",
            resource: "events",
            namespace: Some(namespace.into()),
        };
        let what = format!("events of namespace {namespace}");
        let of_replicas = format!("{name}-");
        let (mut newest, mut read): (Option<EventSeen>, usize) = (None, 0);
        self.pages(&api, params, what, right, |page| {
            let Some(page) = page else {
                newest = None;
                return Flow::On;
            };
            read += page.len();
            for object in page {
                let about = &object.involved_object;
                let named = about.name.as_deref().unwrap_or_default();
                let ours = match about.kind.as_deref() {
                    Some("ReplicaSet") if kind == WorkloadKind::Deployment => {
                        named.starts_with(&of_replicas)
                    }
                    other => other == Some(kind.kind()) && named == name,
                };
                if object.reason.as_deref() != Some("FailedCreate") || !ours {
                    continue;
                }
                let event = convert::event(&object);
                if newest.as_ref().is_none_or(|known| event.last >= known.last) {
                    newest = Some(event);
                }
            }
            if read > EVENTS {
                Flow::Enough(EVENTS)
            } else {
                Flow::On
            }
        })
        .await;
        newest.map(|event| NotCreated {
            message: event.message,
            images,
        })
    }
}

/// The images that a workload's template names.
pub(super) fn template_images(object: &Value) -> Vec<String> {
    let lists = ["initContainers", "containers"];
    let containers = lists.iter().filter_map(|list| {
        object
            .pointer(&format!("/spec/template/spec/{list}"))?
            .as_array()
    });
    let named = containers
        .flatten()
        .filter_map(|one| one.get("image")?.as_str());
    let mut images: Vec<String> = Vec::new();
    for image in named.take(IMAGES) {
        if !images.iter().any(|known| known == image) {
            images.push(image.to_owned());
        }
    }
    images
}
