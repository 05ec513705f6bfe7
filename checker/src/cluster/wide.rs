//! A namespace, or the whole cluster: pods in trouble are kept, of the others only who runs what.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1 as core;
use kube::api::{Api, ListParams};

use super::Surroundings;
use super::convert;
use super::pages::Flow;
use super::read::{PODS, Reader};
use crate::symptom::{ContainerState, Pod, Right, Runs};

/// Namespaces that are read one by one, where the whole cluster may not be.
const NAMESPACES: usize = 200;
/// Nodes whose platforms are read.
const NODES: usize = 5000;
/// Images whose running containers are counted.
const IMAGES: usize = 20_000;

impl Reader<'_> {
    pub(super) async fn pods_in(&mut self, namespace: &str) -> Vec<Pod> {
        let api = Api::<core::Pod>::namespaced(self.client.clone(), namespace);
        let right = pods(Some(namespace));
        let what = format!("pods of namespace {namespace}");
        self.sift(&api, what, right).await.unwrap_or_default()
    }

    /// All pods at once; where that is forbidden, those of each namespace that may be listed.
    pub(super) async fn pods_everywhere(&mut self) -> Vec<Pod> {
        let api = Api::<core::Pod>::all(self.client.clone());
        let what = "pods of all namespaces".to_owned();
        if let Some(pods) = self.sift(&api, what, pods(None)).await {
            return pods;
        }
        let api = Api::<core::Namespace>::all(self.client.clone());
        let right = Right {
            verb: "list",
            resource: "namespaces",
            namespace: None,
        };
        let names = self
            .list(
                &api,
                ListParams::default(),
                NAMESPACES,
                "namespaces".into(),
                right,
            )
            .await;
        let mut found = Vec::new();
        for name in names
            .into_iter()
            .flatten()
            .filter_map(|one| one.metadata.name)
        {
            found.extend(self.pods_in(&name).await);
            if found.len() >= PODS {
                break;
            }
        }
        found
    }

    async fn sift(&mut self, api: &Api<core::Pod>, what: String, right: Right) -> Option<Vec<Pod>> {
        let (mut kept, mut count) = (Vec::new(), 0);
        let mut runs = std::mem::take(&mut self.runs);
        let before = runs.clone();
        let params = ListParams::default();
        let read = self
            .pages(api, params, what, right, |page| {
                let Some(page) = page else {
                    kept.clear();
                    count = 0;
                    runs.clone_from(&before);
                    return Flow::On;
                };
                count += page.len();
                for pod in page.iter().map(convert::pod) {
                    if is_fine(&pod) {
                        for container in &pod.containers {
                            if runs.len() >= IMAGES || container.image_id.is_empty() {
                                continue;
                            }
                            let entry: &mut Runs = runs.entry(container.image.clone()).or_default();
                            entry.containers += 1;
                            if entry.nodes.len() < Runs::NODES {
                                entry.nodes.extend(pod.node.clone());
                            }
                        }
                    } else {
                        kept.push(pod);
                    }
                }
                if kept.len() > PODS {
                    kept.truncate(PODS);
                    return Flow::Enough(PODS);
                }
                Flow::On
            })
            .await;
        self.runs = runs;
        self.pods_read += count;
        read.then_some(kept)
    }

    pub(super) async fn surroundings(
        mut self,
        secrets: &[(String, String)],
        accounts: &[(String, String)],
    ) -> Surroundings {
        let mut found = Surroundings::default();
        for (namespace, name) in accounts {
            let api = Api::<core::ServiceAccount>::namespaced(self.client.clone(), namespace);
            match api.get(name).await {
                Ok(object) => {
                    let names = object.image_pull_secrets.into_iter().flatten();
                    let names: Vec<String> = names.map(|one| one.name).collect();
                    found
                        .accounts
                        .insert((namespace.clone(), name.clone()), names);
                }
                // Without a namespace there is no account yet.
                Err(error) if super::pages::is_not_found(&error) => {}
                Err(error) => {
                    let right = Right {
                        verb: "get",
                        resource: "serviceaccounts",
                        namespace: Some(namespace.clone()),
                    };
                    let what = format!("service account {namespace}/{name}");
                    let _: Option<()> = self.gap(what, &error, right);
                }
            }
        }
        let named = secrets
            .iter()
            .cloned()
            .chain(found.accounts.iter().flat_map(|((namespace, _), names)| {
                names.iter().map(|name| (namespace.clone(), name.clone()))
            }));
        for (namespace, name) in named.collect::<BTreeSet<_>>() {
            let state = self.one_secret(&namespace, &name).await;
            found.secrets.insert((namespace, name), state);
        }
        let api = Api::<core::Node>::all(self.client.clone());
        let right = Right {
            verb: "list",
            resource: "nodes",
            namespace: None,
        };
        let nodes = self
            .list(&api, ListParams::default(), NODES, "nodes".into(), right)
            .await;
        for node in nodes.into_iter().flatten() {
            let facts = convert::node(&node);
            if let (Some(os), Some(architecture)) = (facts.operating_system, facts.architecture) {
                found.platforms.insert((os, architecture));
            }
        }
        found.gaps = self.gaps.into_iter().collect();
        found
    }
}

fn pods(namespace: Option<&str>) -> Right {
    Right {
        verb: "list",
        resource: "pods",
        namespace: namespace.map(Into::into),
    }
}

/// Nothing in the pod waits for an image, and nothing could: all its containers were begun.
fn is_fine(pod: &Pod) -> bool {
    let begun = |state: &ContainerState| {
        matches!(
            state,
            ContainerState::Running | ContainerState::Terminated { .. }
        )
    };
    let over = matches!(pod.phase.as_deref(), Some("Succeeded" | "Failed"));
    pod.troubles().next().is_none() && (over || pod.containers.iter().all(|one| begun(&one.state)))
}
