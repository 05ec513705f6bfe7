//! The questions to the API server, each bounded, each refusal kept as a gap.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1 as core;
use kube::Client;
use kube::api::{Api, ListParams};

use super::pages::{is_not_found, plain, reason};
use super::{Target, convert};
use crate::symptom::{
    Gap, GapReason, NotCreated, Pod, Right, Rollout, Runs, SecretState, Symptoms,
};

/// Pods kept of one workload, or in trouble in a namespace or cluster.
pub(super) const PODS: usize = 5000;
/// Events read for one pod.
const EVENTS: usize = 500;
/// Pods whose events are read; replicas beyond tell the same.
const EVENT_PODS: usize = 40;
/// Names of missing secrets that are looked for in other namespaces.
const MISSING: usize = 5;
/// Nodes and secrets read one by one.
const OBJECTS: usize = 40;

pub(super) struct Reader<'a> {
    pub(super) client: &'a Client,
    pub(super) gaps: BTreeSet<Gap>,
    pub(super) pods_read: usize,
    pub(super) runs: BTreeMap<String, Runs>,
    pub(super) rollout: Option<Rollout>,
    pub(super) not_created: Option<NotCreated>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(client: &'a Client) -> Self {
        Self {
            client,
            gaps: BTreeSet::new(),
            pods_read: 0,
            runs: BTreeMap::new(),
            rollout: None,
            not_created: None,
        }
    }

    pub(super) async fn symptoms(mut self, target: &Target) -> Symptoms {
        let mut pods = self.pods(target).await;
        self.events(&mut pods).await;
        self.secrets(&mut pods).await;
        let nodes = self.nodes(&pods).await;
        self.done(pods, nodes)
    }

    pub(super) async fn glance(mut self, target: &Target) -> Symptoms {
        let pods = self.pods(target).await;
        self.done(pods, BTreeMap::new())
    }

    fn done(self, pods: Vec<Pod>, nodes: BTreeMap<String, crate::symptom::NodeFacts>) -> Symptoms {
        Symptoms {
            pods,
            nodes,
            gaps: self.gaps.into_iter().collect(),
            pods_read: self.pods_read,
            runs: self.runs,
            rollout: self.rollout,
            not_created: self.not_created,
        }
    }

    async fn pods(&mut self, target: &Target) -> Vec<Pod> {
        let mut pods = match target {
            Target::Pod { namespace, name } => {
                let found = self.one_pod(namespace, name).await;
                self.pods_read += usize::from(found.is_some());
                found.into_iter().collect()
            }
            Target::Workload {
                kind,
                namespace,
                name,
            } => self.pods_of(*kind, namespace, name).await,
            Target::Namespace { namespace } => self.pods_in(namespace).await,
            Target::Cluster => self.pods_everywhere().await,
        };
        pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        pods
    }

    async fn one_pod(&mut self, namespace: &str, name: &str) -> Option<Pod> {
        let api = Api::<core::Pod>::namespaced(self.client.clone(), namespace);
        let right = Right {
            verb: "get",
            resource: "pods",
            namespace: Some(namespace.into()),
        };
        match api.get(name).await {
            Ok(object) => Some(convert::pod(&object)),
            Err(error) => self.gap(format!("pod {namespace}/{name}"), &error, right),
        }
    }

    async fn events(&mut self, pods: &mut [Pod]) {
        // Pods in trouble first; a pod that waits for its first pull shows it by its events only.
        let mut order: Vec<&mut Pod> = pods.iter_mut().collect();
        order.sort_by_key(|pod| {
            (
                pod.troubles().next().is_none(),
                pod.phase.as_deref() == Some("Running"),
            )
        });
        // Of many replicas on one node two tell as much as all.
        let mut alike: BTreeMap<(Option<String>, Vec<String>), usize> = BTreeMap::new();
        let (first, rest): (Vec<&mut Pod>, Vec<&mut Pod>) = order.into_iter().partition(|pod| {
            let images = pod.containers.iter().map(|one| one.image.clone()).collect();
            let seen = alike.entry((pod.node.clone(), images)).or_default();
            *seen += 1;
            *seen <= 2
        });
        for pod in first.into_iter().chain(rest).take(EVENT_PODS) {
            let selector = format!("involvedObject.uid={}", pod.uid);
            let params = ListParams {
                field_selector: Some(selector),
                ..ListParams::default()
            };
            let right = Right {
                verb: "list",
                resource: "events",
                namespace: Some(pod.namespace.clone()),
            };
            let api = Api::<core::Event>::namespaced(self.client.clone(), &pod.namespace);
            let what = format!("events of namespace {}", pod.namespace);
            let Some(objects) = self.list(&api, params, EVENTS, what, right).await else {
                return;
            };
            let ours = objects
                .iter()
                .filter(|object| object.involved_object.uid.as_deref() == Some(&pod.uid));
            let mut events: Vec<_> = ours.map(convert::event).collect();
            events.sort_by_key(|event| event.last);
            pod.events = Some(events);
        }
    }

    async fn secrets(&mut self, pods: &mut [Pod]) {
        let mut known: BTreeMap<(String, String), SecretState> = BTreeMap::new();
        let any = pods.iter().any(|pod| pod.troubles().next().is_some());
        let ours = pods
            .iter_mut()
            .filter(|pod| !any || pod.troubles().next().is_some());
        let mut elsewhere: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pod in ours {
            let missed: Vec<String> = pod
                .secrets_missed()
                .into_iter()
                .map(str::to_owned)
                .collect();
            for secret in &mut pod.pull_secrets {
                let key = (pod.namespace.clone(), secret.name.clone());
                if let Some(state) = known.get(&key) {
                    secret.state = state.clone();
                } else if known.len() < OBJECTS {
                    secret.state = self.one_secret(&pod.namespace, &secret.name).await;
                    known.insert(key, secret.state.clone());
                }
                // The kubelet's own warning tells as much to those who may not read secrets.
                let silent = !matches!(
                    secret.state,
                    SecretState::Missing | SecretState::Found { .. }
                );
                if silent && missed.contains(&secret.name) {
                    secret.state = SecretState::Missing;
                }
                if secret.state != SecretState::Missing {
                    continue;
                }
                if let Some(known) = elsewhere.get(&secret.name) {
                    secret.elsewhere.clone_from(known);
                } else if elsewhere.len() < MISSING {
                    secret.elsewhere = self.namespaces_with_secret(&secret.name).await;
                    elsewhere.insert(secret.name.clone(), secret.elsewhere.clone());
                }
            }
        }
    }

    /// Namespaces that have a secret of this name. Asks for names only, never for contents; who may
    /// not list secrets everywhere is not told of it, for nothing hangs on it.
    async fn namespaces_with_secret(&mut self, name: &str) -> Vec<String> {
        let api = Api::<core::Secret>::all(self.client.clone());
        let params = ListParams::default()
            .fields(&format!("metadata.name={name}"))
            .limit(super::pages::PAGE);
        let Ok(found) = api.list_metadata(&params).await else {
            return Vec::new();
        };
        let mut namespaces: Vec<String> = found
            .items
            .into_iter()
            .filter(|one| one.metadata.name.as_deref() == Some(name))
            .filter_map(|one| one.metadata.namespace)
            .take(20)
            .collect();
        namespaces.sort();
        namespaces
    }

    pub(super) async fn one_secret(&mut self, namespace: &str, name: &str) -> SecretState {
        let api = Api::<core::Secret>::namespaced(self.client.clone(), namespace);
        match api.get(name).await {
            Ok(object) => convert::secret(&object),
            Err(error) if is_not_found(&error) => SecretState::Missing,
            Err(error) => {
                let right = Right {
                    verb: "get",
                    resource: "secrets",
                    namespace: Some(namespace.into()),
                };
                let forbidden = matches!(reason(&error, right.clone()), GapReason::Forbidden(_));
                let _: Option<()> =
                    self.gap(format!("pull secret {namespace}/{name}"), &error, right);
                if forbidden {
                    SecretState::Forbidden
                } else {
                    SecretState::Failed(plain(&error))
                }
            }
        }
    }

    async fn nodes(&mut self, pods: &[Pod]) -> BTreeMap<String, crate::symptom::NodeFacts> {
        let failing = pods.iter().filter(|pod| pod.troubles().next().is_some());
        let names = failing
            .chain(pods.iter())
            .filter_map(|pod| pod.node.clone());
        let mut seen = BTreeSet::new();
        let names: Vec<String> = names
            .filter(|name| seen.insert(name.clone()))
            .take(OBJECTS)
            .collect();
        let api = Api::<core::Node>::all(self.client.clone());
        let mut nodes = BTreeMap::new();
        for name in names {
            match api.get(&name).await {
                Ok(object) => {
                    nodes.insert(name, convert::node(&object));
                }
                Err(error) => {
                    let right = Right {
                        verb: "get",
                        resource: "nodes",
                        namespace: None,
                    };
                    let refused = matches!(reason(&error, right.clone()), GapReason::Forbidden(_));
                    let what = if refused {
                        "nodes".into()
                    } else {
                        format!("node {name}")
                    };
                    let _: Option<()> = self.gap(what, &error, right);
                    if refused {
                        break;
                    }
                }
            }
        }
        nodes
    }
}
