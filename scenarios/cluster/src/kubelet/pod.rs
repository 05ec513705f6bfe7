//! Reading Pod objects: the few fields a kubelet needs, from JSON that the API server has checked.

use serde_json::Value;

use crate::events::correlator::ObjectRef;

/// A text deep in an object; empty if it is not there.
pub(crate) fn text<'a>(object: &'a Value, path: &[&str]) -> &'a str {
    path.iter()
        .try_fold(object, |value, field| value.get(field))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A list in the spec.
pub(crate) fn list<'a>(object: &'a Value, path: &[&str]) -> &'a [Value] {
    let found = path
        .iter()
        .try_fold(object, |value, field| value.get(field))
        .and_then(Value::as_array);
    found.map(Vec::as_slice).unwrap_or_default()
}

pub(crate) fn uid(pod: &Value) -> &str {
    text(pod, &["metadata", "uid"])
}

pub(crate) fn name(pod: &Value) -> &str {
    text(pod, &["metadata", "name"])
}

pub(crate) fn namespace(pod: &Value) -> &str {
    text(pod, &["metadata", "namespace"])
}

pub(crate) fn generation(pod: &Value) -> u64 {
    pod.get("metadata")
        .and_then(|m| m.get("generation"))
        .and_then(Value::as_u64)
        .unwrap_or(1)
}

pub(crate) fn is_terminating(pod: &Value) -> bool {
    !text(pod, &["metadata", "deletionTimestamp"]).is_empty()
}

/// Which list of a pod a container stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// `initContainers`, one after the other.
    Init,
    /// `initContainers` with `restartPolicy: Always`.
    Sidecar,
    /// `containers`.
    App,
    /// `ephemeralContainers`.
    Ephemeral,
}

/// A container as a pod asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Container {
    pub(crate) role: Role,
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) policy: String,
    pub(crate) command: Vec<String>,
    /// Names of the volumes it mounts.
    pub(crate) volumes: Vec<String>,
}

impl Container {
    /// `spec.containers{app}`.
    pub(crate) fn field_path(&self) -> String {
        let field = match self.role {
            Role::Init | Role::Sidecar => "initContainers",
            Role::App => "containers",
            Role::Ephemeral => "ephemeralContainers",
        };
        format!("spec.{field}{{{}}}", self.name)
    }
}

/// The containers of a role's list, in order.
pub(crate) fn containers(pod: &Value, field: &str) -> Vec<Container> {
    list(pod, &["spec", field])
        .iter()
        .map(|value| {
            let role = match field {
                "initContainers" if text(value, &["restartPolicy"]) == "Always" => Role::Sidecar,
                "initContainers" => Role::Init,
                "ephemeralContainers" => Role::Ephemeral,
                _ => Role::App,
            };
            let words = |name: &str| {
                list(value, &[name])
                    .iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
            };
            Container {
                role,
                name: text(value, &["name"]).to_owned(),
                image: text(value, &["image"]).to_owned(),
                policy: text(value, &["imagePullPolicy"]).to_owned(),
                command: words("command").chain(words("args")).collect(),
                volumes: list(value, &["volumeMounts"])
                    .iter()
                    .map(|m| text(m, &["name"]).to_owned())
                    .collect(),
            }
        })
        .collect()
}

/// An image volume: its name, image and policy.
pub(crate) fn image_volumes(pod: &Value) -> Vec<(String, String, String)> {
    list(pod, &["spec", "volumes"])
        .iter()
        .filter_map(|volume| {
            let image = volume.get("image")?;
            let field = |name| text(image, &[name]).to_owned();
            Some((
                text(volume, &["name"]).to_owned(),
                field("reference"),
                field("pullPolicy"),
            ))
        })
        .collect()
}

/// Names of the pull secrets, empty ones left out.
pub(crate) fn pull_secrets(pod: &Value) -> Vec<String> {
    list(pod, &["spec", "imagePullSecrets"])
        .iter()
        .map(|secret| text(secret, &["name"]))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// What an event about the pod, or about a part of it, refers to.
pub(crate) fn reference(pod: &Value, field_path: &str) -> ObjectRef {
    ObjectRef {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        namespace: namespace(pod).to_owned(),
        name: name(pod).to_owned(),
        uid: uid(pod).to_owned(),
        resource_version: text(pod, &["metadata", "resourceVersion"]).to_owned(),
        field_path: field_path.to_owned(),
    }
}
