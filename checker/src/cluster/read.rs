//! The questions to the API server, each bounded, each refusal kept as a gap.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1 as core;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Client, Error, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Target, WorkloadKind, convert};
use crate::symptom::{Gap, GapReason, Pod, Right, SecretState, Symptoms};

/// Objects asked for at a time.
const PAGE: u32 = 500;
/// Pods read for one workload.
const PODS: usize = 5000;
/// Events read for one pod.
const EVENTS: usize = 500;
/// Pods whose events are read; replicas beyond tell the same.
const EVENT_PODS: usize = 40;
/// Nodes and secrets read one by one.
const OBJECTS: usize = 40;

pub(super) struct Reader<'a> {
    client: &'a Client,
    gaps: BTreeSet<Gap>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(client: &'a Client) -> Self {
        Self {
            client,
            gaps: BTreeSet::new(),
        }
    }

    pub(super) async fn symptoms(mut self, target: &Target) -> Symptoms {
        let mut pods = match target {
            Target::Pod { namespace, name } => {
                self.one_pod(namespace, name).await.into_iter().collect()
            }
            Target::Workload {
                kind,
                namespace,
                name,
            } => self.pods_of(*kind, namespace, name).await,
        };
        pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        self.events(&mut pods).await;
        self.secrets(&mut pods).await;
        let nodes = self.nodes(&pods).await;
        Symptoms {
            pods,
            nodes,
            gaps: self.gaps.into_iter().collect(),
        }
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

    /// The pods of a workload: by its selector, else by the names of their owners.
    async fn pods_of(&mut self, kind: WorkloadKind, namespace: &str, name: &str) -> Vec<Pod> {
        let (group, version) = if kind == WorkloadKind::Job {
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
        let selector = match api.get(name).await {
            Ok(object) => selector(object.data.pointer("/spec/selector")),
            Err(error) => {
                let gone = is_not_found(&error);
                let _: Option<()> = self.gap(what, &error, right);
                if gone {
                    return Vec::new();
                }
                None
            }
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
        let pods = self
            .list(&api, params, PODS, what, right)
            .await
            .unwrap_or_default();
        pods.iter()
            .filter(|object| belongs(object, kind, name))
            .map(convert::pod)
            .collect()
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
        for pod in order.into_iter().take(EVENT_PODS) {
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
        for pod in pods.iter_mut() {
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
            }
        }
    }

    async fn one_secret(&mut self, namespace: &str, name: &str) -> SecretState {
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

    /// All pages of a list up to `bound`; none when it was refused.
    async fn list<K>(
        &mut self,
        api: &Api<K>,
        mut params: ListParams,
        bound: usize,
        what: String,
        right: Right,
    ) -> Option<Vec<K>>
    where
        K: Clone + DeserializeOwned + Debug + Resource<Scope = NamespaceResourceScope>,
    {
        params.limit = Some(PAGE);
        let mut items = Vec::new();
        loop {
            let page = match api.list(&params).await {
                Ok(page) => page,
                Err(error) => {
                    let _: Option<()> = self.gap(what, &error, right);
                    // What came before a later page failed is still worth having.
                    return if items.is_empty() { None } else { Some(items) };
                }
            };
            items.extend(page.items);
            let more = page.metadata.continue_.filter(|token| !token.is_empty());
            if items.len() >= bound && (more.is_some() || items.len() > bound) {
                items.truncate(bound);
                self.gaps.insert(Gap {
                    what,
                    why: GapReason::Bounded(bound),
                });
                return Some(items);
            }
            match more {
                Some(token) => params.continue_token = Some(token),
                None => return Some(items),
            }
        }
    }

    fn gap<T>(&mut self, what: String, error: &Error, right: Right) -> Option<T> {
        self.gaps.insert(Gap {
            what,
            why: reason(error, right),
        });
        None
    }
}

fn reason(error: &Error, right: Right) -> GapReason {
    match error {
        Error::Api(status) if status.code == 403 => GapReason::Forbidden(right),
        Error::Api(status) if status.code == 404 => GapReason::NotFound,
        Error::Api(status) if status.code == 401 => GapReason::Unauthorized,
        other => GapReason::Failed(plain(other)),
    }
}

fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 404)
}

/// The client's own words with their sources, without the dump that its `Display` of a status adds.
fn plain(error: &Error) -> String {
    if let Error::Api(status) = error {
        return format!(
            "the API server answered {}: {}",
            status.code, status.message
        );
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = inner.source();
    }
    text
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
    owners
        .iter()
        .any(|owner| owner.kind == kind.kind() && owner.name == name)
}
