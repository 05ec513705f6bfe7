//! What else a node pulls: other pods on it whose newest pull event is a beginning.

use k8s_openapi::api::core::v1 as core;
use kube::Client;
use kube::api::{Api, ListParams};

use super::convert;
use crate::symptom::{Ahead, ContainerState, Pod, Trouble};

/// Pods of a node that are listed.
const PODS: u32 = 300;
/// Pods whose events are read.
const EVENT_PODS: usize = 20;
/// Events that are read for one of them.
const EVENTS: u32 = 200;

/// The pods of a node; nothing where nothing may be read: these are questions beside the main one.
async fn pods_on(client: &Client, node: &str) -> Vec<Pod> {
    let params = ListParams {
        field_selector: Some(format!("spec.nodeName={node}")),
        limit: Some(PODS),
        ..ListParams::default()
    };
    let list = Api::<core::Pod>::all(client.clone()).list(&params).await;
    let pods = list.map(|list| list.items).unwrap_or_default();
    pods.iter()
        .map(convert::pod)
        .filter(|pod| pod.node.as_deref() == Some(node))
        .collect()
}

/// Pulls that run on a node.
pub(super) async fn pulling_on(client: &Client, node: &str) -> Vec<Ahead> {
    let mut waiting: Vec<Pod> = pods_on(client, node).await;
    waiting.retain(begins);
    waiting.truncate(EVENT_PODS);
    let mut found = Vec::new();
    for pod in &mut waiting {
        let params = ListParams {
            field_selector: Some(format!("involvedObject.uid={}", pod.uid)),
            limit: Some(EVENTS),
            ..ListParams::default()
        };
        let api = Api::<core::Event>::namespaced(client.clone(), &pod.namespace);
        let Ok(events) = api.list(&params).await else {
            continue;
        };
        let mut events: Vec<_> = events.items.iter().map(convert::event).collect();
        events.sort_by_key(|event| event.last);
        pod.events = Some(events);
        for trouble in pod.troubles() {
            if let Trouble::Hanging { image, since, .. } = trouble {
                found.push(Ahead {
                    node: node.to_owned(),
                    namespace: pod.namespace.clone(),
                    pod: pod.name.clone(),
                    image: image.to_owned(),
                    since,
                });
            }
        }
    }
    found
}

/// Whether a container of the pod has not begun yet.
fn begins(pod: &Pod) -> bool {
    let begins = |state: &ContainerState| match state {
        ContainerState::Waiting { reason, .. } => {
            matches!(reason.as_str(), "ContainerCreating" | "PodInitializing")
        }
        _ => false,
    };
    pod.containers.iter().any(|one| begins(&one.state))
}
