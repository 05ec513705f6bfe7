//! What runs inside of containers, where it matters: the seam between the kubelet and programs that take part.
//!
//! A container of the simulation does nothing and runs until it is stopped. A node may be given [`Programs`], which
//! look at what a container starts and may know it: then that program really runs, on the node's own network, its
//! output is the container's log, and its end the container's end. Which program is known by its image and its words
//! is for whoever gives them; nothing here knows any.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::kubelet::pod_text as text;
use crate::net::Host;

/// A container that starts.
#[derive(Clone, Debug)]
pub struct Start {
    /// The image as the pod names it.
    pub image: String,
    /// Command and arguments.
    pub words: Vec<String>,
    /// Its variables, those that come from fields of the pod included.
    pub environment: BTreeMap<String, String>,
    /// The files that secrets of its namespace put into it, by path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The name of the node.
    pub node: String,
    /// The node on the network.
    pub host: Host,
}

/// What came of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// What it printed.
    pub output: String,
    /// Its exit code.
    pub code: i32,
}

/// A program on its way.
pub type Running = Pin<Box<dyn Future<Output = Ended> + Send>>;

/// Knows programs by what a container starts.
pub trait Programs: Send + Sync {
    /// The program, if it is known.
    fn start(&self, start: &Start) -> Option<Running>;
}

/// Programs that a node is given.
#[derive(Clone)]
pub struct Given(pub Arc<dyn Programs>);

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Given(…)")
    }
}

/// What containers printed, by pod and container. Cheap to clone, all clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Logs(Arc<Mutex<BTreeMap<(String, String), String>>>);

impl Logs {
    /// What the container of the pod with this uid printed so far.
    pub fn of(&self, uid: &str, container: &str) -> Option<String> {
        let logs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        logs.get(&(uid.to_owned(), container.to_owned())).cloned()
    }

    pub(crate) fn keep(&self, uid: &str, container: &str, output: String) {
        let mut logs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        logs.insert((uid.to_owned(), container.to_owned()), output);
    }

    /// The pod is gone, and what its containers printed with it.
    pub(crate) fn forget(&self, uid: &str) {
        let mut logs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        logs.retain(|(of, _), _| of != uid);
    }
}

/// The variables of a container: plain values, and fields of its pod.
pub(crate) fn environment(pod: &Value, container: &Value) -> BTreeMap<String, String> {
    let list = container.get("env").and_then(Value::as_array);
    let pairs = list.into_iter().flatten().filter_map(|one| {
        let name = one.get("name")?.as_str()?.to_owned();
        let field = text(one, &["valueFrom", "fieldRef", "fieldPath"]);
        let value = if field.is_empty() {
            text(one, &["value"])
        } else {
            let path: Vec<&str> = field.split('.').collect();
            text(pod, &path)
        };
        Some((name, value.to_owned()))
    });
    pairs.collect()
}

/// The files of mounted secrets.
pub(crate) fn files(
    pod: &Value,
    container: &Value,
    secret: impl Fn(&str) -> Option<Arc<Value>>,
) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mounts = container.get("volumeMounts").and_then(Value::as_array);
    for mount in mounts.into_iter().flatten() {
        let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array);
        let named = volumes
            .into_iter()
            .flatten()
            .find(|volume| volume.get("name") == mount.get("name"));
        let name = named.map_or("", |volume| text(volume, &["secret", "secretName"]));
        let Some(secret) = Some(name).filter(|name| !name.is_empty()).and_then(&secret) else {
            continue;
        };
        let data = secret.get("data").and_then(Value::as_object);
        for (key, value) in data.into_iter().flatten() {
            let bytes = value.as_str().and_then(|text| STANDARD.decode(text).ok());
            let at = format!("{}/{key}", text(mount, &["mountPath"]));
            files.extend(bytes.map(|bytes| (at, bytes)));
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_container_is_given() {
        let container = json!({
            "env": [
                { "name": "A", "value": "1" },
                { "name": "NODE", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } },
                { "name": "NONE", "valueFrom": { "secretKeyRef": { "name": "x", "key": "y" } } }
            ],
            "volumeMounts": [
                { "name": "etc", "mountPath": "/host/etc" },
                { "name": "cred", "mountPath": "/run/cred" },
                { "name": "gone", "mountPath": "/run/gone" }
            ]
        });
        let pod = json!({ "spec": { "nodeName": "n", "volumes": [
            { "name": "etc", "hostPath": { "path": "/etc" } },
            { "name": "cred", "secret": { "secretName": "regcred" } },
            { "name": "gone", "secret": { "secretName": "absent" } }
        ] } });
        let set: Vec<(String, String)> = environment(&pod, &container).into_iter().collect();
        let want = [("A", "1"), ("NODE", "n"), ("NONE", "")];
        assert_eq!(set, want.map(|(a, b)| (a.to_owned(), b.to_owned())));
        let found = files(&pod, &container, |name| {
            let secret = json!({ "data": { "key": "aGk=", "broken": "?" } });
            (name == "regcred").then(|| Arc::new(secret))
        });
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [("/run/cred/key".to_owned(), b"hi".to_vec())]
        );
    }

    #[test]
    fn logs_go_with_their_pod() {
        let logs = Logs::default();
        logs.keep("u", "c", "text".into());
        assert_eq!(logs.of("u", "c").as_deref(), Some("text"));
        assert_eq!(logs.of("u", "d"), None);
        logs.forget("u");
        assert_eq!(logs.of("u", "c"), None);
    }
}
