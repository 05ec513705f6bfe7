//! The API server of a test: it answers from a list of pods, secrets and nodes, and refuses the rest.

use std::collections::BTreeMap;
use std::convert::Infallible;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

pub(crate) const NAMESPACE: &str = "shop";
pub(crate) const NOW: &str = "2026-01-15T09:00:00Z";

/// What a container does.
#[derive(Clone)]
pub(crate) enum State {
    Runs,
    /// Waiting with this reason and this text; an event tells of the same.
    Waits {
        reason: &'static str,
        text: String,
    },
    /// `ContainerCreating`, with a `Pulling` event of so many minutes ago.
    Pulls {
        minutes: i64,
    },
    /// The image is there, the container ends or does not start.
    Fails {
        reason: &'static str,
        text: &'static str,
        exit: Option<i32>,
    },
}

/// A pod of the Deployment `api`.
#[derive(Clone)]
pub(crate) struct Pod {
    pub(crate) name: &'static str,
    pub(crate) node: &'static str,
    pub(crate) image: String,
    pub(crate) secrets: Vec<&'static str>,
    pub(crate) state: State,
}

impl Pod {
    pub(crate) fn runs(node: &'static str, image: &str) -> Self {
        Self {
            name: "api-5d9-ok",
            node,
            image: image.into(),
            secrets: Vec::new(),
            state: State::Runs,
        }
    }

    /// It fails with the text of a runtime.
    pub(crate) fn fails(node: &'static str, image: &str, text: &str) -> Self {
        Self::waits(node, image, "ImagePullBackOff", text)
    }

    pub(crate) fn waits(node: &'static str, image: &str, reason: &'static str, text: &str) -> Self {
        Self {
            name: "api-5d9-a",
            state: State::Waits {
                reason,
                text: text.into(),
            },
            ..Self::runs(node, image)
        }
    }

    pub(crate) fn with_secret(mut self, name: &'static str) -> Self {
        self.secrets.push(name);
        self
    }

    fn object(&self) -> Value {
        let (state, last) = match &self.state {
            State::Runs => (json!({"running": {"startedAt": NOW}}), json!({})),
            State::Waits { reason, text } => {
                let message = if *reason == "ImagePullBackOff" {
                    format!(
                        "Back-off pulling image \"{}\": ErrImagePull: {text}",
                        self.image
                    )
                } else {
                    text.clone()
                };
                (
                    json!({"waiting": {"reason": reason, "message": message}}),
                    json!({}),
                )
            }
            State::Pulls { .. } => (
                json!({"waiting": {"reason": "ContainerCreating"}}),
                json!({}),
            ),
            State::Fails { reason, text, exit } => (
                json!({"waiting": {"reason": reason, "message": text}}),
                exit.map_or_else(
                    || json!({}),
                    |code| json!({"terminated": {"exitCode": code, "reason": "Error"}}),
                ),
            ),
        };
        let pulled = matches!(self.state, State::Runs | State::Fails { .. });
        let id = if pulled { "r.test/x@sha256:00" } else { "" };
        let secrets: Vec<Value> = self
            .secrets
            .iter()
            .map(|name| json!({"name": name}))
            .collect();
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": self.name, "namespace": NAMESPACE, "uid": format!("uid-{}", self.name),
                "labels": {"app": "api", "pod-template-hash": "5d9"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "api-5d9", "uid": "r", "controller": true}],
            },
            "spec": {"nodeName": self.node, "imagePullSecrets": secrets, "containers": [{"name": "main", "image": self.image, "imagePullPolicy": "IfNotPresent"}]},
            "status": {"phase": "Pending", "containerStatuses": [
                {"name": "main", "image": self.image, "imageID": id, "ready": false, "restartCount": 0,
                    "state": state, "lastState": last}]},
        })
    }

    fn events(&self) -> Vec<Value> {
        let event = |reason: &str, kind: &str, message: &str, count: u32, last: &str| {
            json!({
                "apiVersion": "v1", "kind": "Event",
                "metadata": {"name": format!("{}.{reason}", self.name), "namespace": NAMESPACE},
                "involvedObject": {"kind": "Pod", "namespace": NAMESPACE, "name": self.name,
                    "uid": format!("uid-{}", self.name), "fieldPath": "spec.containers{main}"},
                "reason": reason, "type": kind, "count": count, "message": message,
                "firstTimestamp": "2026-01-15T08:50:00Z", "lastTimestamp": last,
            })
        };
        match &self.state {
            State::Runs | State::Fails { .. } => Vec::new(),
            State::Waits { reason, text } => {
                let message = if *reason == "ImagePullBackOff" {
                    format!("Failed to pull image \"{}\": {text}", self.image)
                } else {
                    text.clone()
                };
                vec![event(
                    "Failed",
                    "Warning",
                    &message,
                    3,
                    "2026-01-15T08:59:50Z",
                )]
            }
            State::Pulls { minutes } => {
                let now: jiff::Timestamp = NOW.parse().expect("a date");
                let since = now - jiff::SignedDuration::from_mins(*minutes);
                let message = format!("Pulling image \"{}\"", self.image);
                vec![event("Pulling", "Normal", &message, 1, &since.to_string())]
            }
        }
    }
}

/// A secret, and whether it may be read.
#[derive(Clone)]
pub(crate) struct Secret {
    pub(crate) namespace: &'static str,
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) key: &'static str,
    pub(crate) body: String,
}

impl Secret {
    /// A docker configuration for one registry.
    pub(crate) fn docker(name: &'static str, host: &str, user: &str, password: &str) -> Self {
        let body = json!({"auths": {host: {"username": user, "password": password}}}).to_string();
        Self::raw(name, body)
    }

    pub(crate) fn raw(name: &'static str, body: String) -> Self {
        Self {
            namespace: NAMESPACE,
            name,
            kind: "kubernetes.io/dockerconfigjson",
            key: ".dockerconfigjson",
            body,
        }
    }

    fn object(&self) -> Value {
        use base64::Engine as _;
        let data = base64::engine::general_purpose::STANDARD.encode(&self.body);
        json!({"apiVersion": "v1", "kind": "Secret", "type": self.kind,
            "metadata": {"name": self.name, "namespace": self.namespace}, "data": {self.key: data}})
    }
}

/// A node as the API server shows it.
#[derive(Clone, Default)]
pub(crate) struct Node {
    pub(crate) provider: Option<String>,
    pub(crate) region: Option<&'static str>,
    pub(crate) architecture: Option<&'static str>,
}

impl Node {
    fn object(&self, name: &str) -> Value {
        let region = self.region.unwrap_or("region-1");
        json!({"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {"topology.kubernetes.io/region": region}},
            "spec": {"providerID": self.provider},
            "status": {"nodeInfo": {"architecture": self.architecture.unwrap_or("amd64"), "operatingSystem": "linux",
                "kubeletVersion": "v1.36.2", "containerRuntimeVersion": "containerd://2.1.9", "bootID": "",
                "kernelVersion": "", "kubeProxyVersion": "", "machineID": "", "osImage": "", "systemUUID": ""}}})
    }
}

/// All that the API server knows.
#[derive(Clone, Default)]
pub(crate) struct Cluster {
    pub(crate) pods: Vec<Pod>,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) nodes: BTreeMap<String, Node>,
    /// Why the Deployment's pods cannot be created.
    pub(crate) refusal: Option<&'static str>,
}

impl Cluster {
    pub(crate) fn client(self) -> Client {
        let service = tower::service_fn(move |request: Request<Body>| {
            let uri = request.uri().to_string();
            let (code, body) = self.answer(&uri);
            let body = Body::from(body.to_string().into_bytes());
            let answer = Response::builder().status(code).body(body);
            async move { Ok::<_, Infallible>(answer.expect("a plain answer")) }
        });
        Client::new(service, "default")
    }

    fn answer(&self, uri: &str) -> (u16, Value) {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let field = |name: &str| {
            let rest = query.split_once(&format!("fieldSelector={name}%3D"))?.1;
            Some(rest.split('&').next().unwrap_or_default().to_owned())
        };
        match parts.as_slice() {
            [
                "apis",
                "apps",
                "v1",
                "namespaces",
                NAMESPACE,
                "deployments",
                "api",
            ] => (
                200,
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api", "namespace": NAMESPACE},
                    "spec": {"selector": {"matchLabels": {"app": "api"}},
                        "template": {"spec": {"containers": [{"name": "main", "image": "registry.example/shop/api:1.9"}]}}}}),
            ),
            ["api", "v1", "namespaces", NAMESPACE, "pods"] => {
                list("PodList", self.pods.iter().map(Pod::object).collect())
            }
            ["api", "v1", "namespaces", NAMESPACE, "pods", name] => found(
                self.pods
                    .iter()
                    .find(|pod| pod.name == *name)
                    .map(Pod::object),
            ),
            ["api", "v1", "namespaces", NAMESPACE, "events"] => {
                if field("reason").is_some() {
                    return list("EventList", self.refusal.map(refused).into_iter().collect());
                }
                let uid = field("involvedObject.uid").unwrap_or_default();
                let of = self
                    .pods
                    .iter()
                    .filter(|pod| uid == format!("uid-{}", pod.name));
                list("EventList", of.flat_map(Pod::events).collect())
            }
            ["api", "v1", "namespaces", namespace, "secrets", name] => found(
                self.secrets
                    .iter()
                    .find(|one| one.namespace == *namespace && one.name == *name)
                    .map(Secret::object),
            ),
            ["api", "v1", "secrets"] => {
                let name = field("metadata.name").unwrap_or_default();
                let of = self.secrets.iter().filter(|one| one.name == name);
                list("SecretList", of.map(Secret::object).collect())
            }
            ["api", "v1", "nodes", name] => {
                found(self.nodes.get(*name).map(|node| node.object(name)))
            }
            _ => status(403, "Forbidden"),
        }
    }
}

/// What the controller of the ReplicaSet writes down.
fn refused(text: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "api-5d9.1", "namespace": NAMESPACE},
        "involvedObject": {"kind": "ReplicaSet", "namespace": NAMESPACE, "name": "api-5d9", "uid": "r"},
        "reason": "FailedCreate", "type": "Warning", "count": 9, "message": text,
        "firstTimestamp": "2026-01-15T08:50:00Z", "lastTimestamp": "2026-01-15T08:59:50Z",
    })
}

fn list(kind: &str, items: Vec<Value>) -> (u16, Value) {
    let items = Value::Array(items);
    (
        200,
        json!({"apiVersion": "v1", "kind": kind, "metadata": {"resourceVersion": "7"}, "items": items}),
    )
}

fn found(object: Option<Value>) -> (u16, Value) {
    object.map_or_else(|| status(404, "NotFound"), |object| (200, object))
}

fn status(code: u16, reason: &str) -> (u16, Value) {
    (
        code,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason}),
    )
}
