//! What the node vantage makes in a cluster, and the rights that it needs: the very objects that are printed are the
//! ones that are used.
//!
//! The pods have no rights and no token; they see the node's `/etc` read-only and run as nobody, without
//! capabilities. Only where credential providers of the node are to be run are they its root, still without
//! capabilities, since what those read belongs to root. The network and the folder of the host are what the pod
//! security standards call privileged, so the namespace is labelled so; it holds nothing else.

use std::time::Duration;

use serde_json::{Value, json};

use super::FleetSettings;
use crate::nodes::{HOST, Order, SECRETS};

/// The label by which the pods of one run are found.
pub(super) const RUN: &str = "app.kubernetes.io/instance";
/// The name of the container.
pub(super) const CONTAINER: &str = "probe";
/// Nobody's: not root, and not a user of the machine.
const USER: u32 = 65532;
/// Where the providers' files are in the container.
const CONFIG: &str = "/run/pullcheck/credential-provider-config";
const PROGRAMS: &str = "/run/pullcheck/credential-providers";

/// Who may look from nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A user.
    User(String),
    /// A group.
    Group(String),
    /// A service account: namespace and name.
    Account(String, String),
}

/// Everything that has to be there before: namespace, the pods' account, the rights of whoever looks. For
/// `kubectl apply`, in order.
pub fn manifests(settings: &FleetSettings, subject: &Subject) -> Vec<Value> {
    let FleetSettings {
        namespace, account, ..
    } = settings;
    let labels = json!({ "app.kubernetes.io/name": "pullcheck" });
    let who = match subject {
        Subject::User(name) => {
            json!({ "kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io" })
        }
        Subject::Group(name) => {
            json!({ "kind": "Group", "name": name, "apiGroup": "rbac.authorization.k8s.io" })
        }
        Subject::Account(namespace, name) => {
            json!({ "kind": "ServiceAccount", "name": name, "namespace": namespace })
        }
    };
    let binding = |kind: &str, of: &str| json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": of });
    let rbac = "rbac.authorization.k8s.io/v1";
    vec![
        json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": { "name": namespace, "labels": {
                "app.kubernetes.io/name": "pullcheck",
                // For the node's network and its /etc; nothing else is privileged.
                "pod-security.kubernetes.io/enforce": "privileged",
                "pod-security.kubernetes.io/warn": "privileged",
            } },
        }),
        json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": { "name": account, "namespace": namespace, "labels": labels },
            "automountServiceAccountToken": false,
        }),
        json!({
            "apiVersion": rbac,
            "kind": "Role",
            "metadata": { "name": "pullcheck-nodes", "namespace": namespace, "labels": labels },
            "rules": [
                { "apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "delete"] },
                { "apiGroups": [""], "resources": ["pods"], "verbs": ["list"] },
                { "apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"] },
            ],
        }),
        json!({
            "apiVersion": rbac,
            "kind": "RoleBinding",
            "metadata": { "name": "pullcheck-nodes", "namespace": namespace, "labels": labels },
            "roleRef": binding("Role", "pullcheck-nodes"),
            "subjects": [who],
        }),
        json!({
            "apiVersion": rbac,
            "kind": "ClusterRole",
            "metadata": { "name": "pullcheck-nodes", "labels": labels },
            "rules": [{ "apiGroups": [""], "resources": ["nodes"], "verbs": ["list"] }],
        }),
        json!({
            "apiVersion": rbac,
            "kind": "ClusterRoleBinding",
            "metadata": { "name": "pullcheck-nodes", "labels": labels },
            "roleRef": binding("ClusterRole", "pullcheck-nodes"),
            "subjects": [who],
        }),
    ]
}

/// The Job of one run, for review.
pub fn example(settings: &FleetSettings) -> Value {
    let Ok(reference) = "registry.example/team/web:v1".parse() else {
        return Value::Null;
    };
    let order = Order {
        images: vec![crate::nodes::ImageOrder::new(reference)],
        secrets: settings
            .secrets
            .iter()
            .map(|name| (settings.namespace.clone(), name.clone()))
            .collect(),
        providers: settings.providers.as_ref().map(|_| providers()),
        ..Order::default()
    };
    let nodes = ["node-1".to_owned(), "node-2".to_owned()];
    job(
        settings,
        &order,
        &nodes,
        "pullcheck-example",
        settings.deadline,
    )
}

/// Where an order finds the providers' files in the container.
pub(super) fn providers() -> (String, String) {
    (CONFIG.to_owned(), PROGRAMS.to_owned())
}

/// The Job that carries `order` to `nodes`.
pub(super) fn job(
    settings: &FleetSettings,
    order: &Order,
    nodes: &[String],
    name: &str,
    deadline: Duration,
) -> Value {
    let labels = json!({
        "app.kubernetes.io/name": "pullcheck",
        "app.kubernetes.io/component": "node-probe",
        RUN: name,
    });
    let count = nodes.len();
    // A field of a node is matched against one value; terms are alternatives.
    let terms: Vec<Value> = nodes
        .iter()
        .map(|node| json!({ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": [node] }] }))
        .collect();
    let user = if settings.providers.is_some() {
        0
    } else {
        USER
    };
    let mut arguments = vec!["node-probe".to_owned()];
    arguments.extend(order.arguments());
    let (volumes, mounts) = volumes(settings);
    let memory = if order.load.is_some() { "1Gi" } else { "256Mi" };
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": name, "namespace": settings.namespace, "labels": labels },
        "spec": {
            "completionMode": "Indexed",
            "completions": count,
            "parallelism": count,
            // A probe that fails on one node must not end those of the others.
            "backoffLimit": count,
            "activeDeadlineSeconds": deadline.as_secs(),
            "ttlSecondsAfterFinished": 60,
            "template": {
                "metadata": { "labels": labels },
                "spec": {
                    "restartPolicy": "Never",
                    "hostNetwork": true,
                    "dnsPolicy": "Default",
                    "serviceAccountName": settings.account,
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "terminationGracePeriodSeconds": 1,
                    "tolerations": [{ "operator": "Exists" }],
                    "affinity": {
                        "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
                            "nodeSelectorTerms": terms
                        } },
                        "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [{
                            "topologyKey": "kubernetes.io/hostname",
                            "labelSelector": { "matchLabels": { RUN: name } }
                        }] }
                    },
                    "securityContext": {
                        "runAsUser": user,
                        "runAsGroup": user,
                        "runAsNonRoot": user != 0,
                        "seccompProfile": { "type": "RuntimeDefault" }
                    },
                    "containers": [{
                        "name": CONTAINER,
                        "image": settings.image,
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["pullcheck"],
                        "args": arguments,
                        "env": [{ "name": "PULLCHECK_NODE", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } }],
                        // Requests of nothing: a full node is looked from as well, and nobody is put out for it.
                        "resources": { "requests": { "cpu": "0", "memory": "0" }, "limits": { "memory": memory } },
                        "securityContext": {
                            "allowPrivilegeEscalation": false,
                            "readOnlyRootFilesystem": true,
                            "capabilities": { "drop": ["ALL"] }
                        },
                        "terminationMessagePolicy": "FallbackToLogsOnError",
                        "volumeMounts": mounts
                    }],
                    "volumes": volumes
                }
            }
        }
    })
}

fn volumes(settings: &FleetSettings) -> (Vec<Value>, Vec<Value>) {
    let (mut volumes, mut mounts) = (Vec::new(), Vec::new());
    // With a type the kubelet makes nothing where nothing is.
    let mut host = |name: &str, path: &str, kind: &str, at: &str| {
        volumes.push(json!({ "name": name, "hostPath": { "path": path, "type": kind } }));
        mounts.push(json!({ "name": name, "mountPath": at, "readOnly": true }));
    };
    host("etc", "/etc", "Directory", &format!("{HOST}/etc"));
    if let Some((config, programs)) = &settings.providers {
        let kind = if config.ends_with('/') {
            "Directory"
        } else {
            "File"
        };
        host("provider-config", config, kind, CONFIG);
        host("provider-programs", programs, "Directory", PROGRAMS);
    }
    for (at, file) in settings.files.iter().enumerate() {
        let kind = if file.ends_with('/') {
            "Directory"
        } else {
            "File"
        };
        host(&format!("file-{at}"), file, kind, file);
    }
    for (at, secret) in settings.secrets.iter().enumerate() {
        let name = format!("pull-secret-{at}");
        volumes.push(json!({ "name": name, "secret": { "secretName": secret, "optional": true } }));
        let at = format!("{SECRETS}/{secret}");
        mounts.push(json!({ "name": name, "mountPath": at, "readOnly": true }));
    }
    (volumes, mounts)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1::Job;
    use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
    use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;

    /// Every field is one that the API server knows: none is lost on the way through its own type.
    fn whole<T: Serialize + DeserializeOwned>(value: &Value) {
        let typed: T = serde_json::from_value(value.clone()).expect("its own type");
        let mut again = serde_json::to_value(typed).expect("plain values");
        if let Some(spec) = again.pointer_mut("/spec/template/spec") {
            // What was left out and has a place in every pod.
            assert!(spec.get("containers").is_some());
        }
        assert_eq!(&again, value);
    }

    #[test]
    fn manifests_are_what_the_api_knows() {
        let settings = FleetSettings::default();
        let subject = Subject::Account("ci".into(), "runner".into());
        let all = manifests(&settings, &subject);
        let kinds: Vec<&str> = all.iter().filter_map(|one| one["kind"].as_str()).collect();
        assert_eq!(
            kinds,
            [
                "Namespace",
                "ServiceAccount",
                "Role",
                "RoleBinding",
                "ClusterRole",
                "ClusterRoleBinding"
            ]
        );
        whole::<Namespace>(&all[0]);
        whole::<ServiceAccount>(&all[1]);
        whole::<Role>(&all[2]);
        whole::<RoleBinding>(&all[3]);
        whole::<ClusterRole>(&all[4]);
        whole::<ClusterRoleBinding>(&all[5]);
        whole::<Job>(&example(&settings));
    }

    #[test]
    fn a_pod_has_no_more_than_it_needs() {
        let plain = FleetSettings::default();
        let with = FleetSettings {
            secrets: vec!["regcred".into()],
            providers: Some(("/etc/p/config.json".into(), "/opt/p".into())),
            files: vec!["/etc/kubernetes/azure.json".into()],
            ..FleetSettings::default()
        };
        for (settings, user, volumes) in [(&plain, 65532, 1), (&with, 0, 5)] {
            let job = example(settings);
            let pod = &job["spec"]["template"]["spec"];
            assert_eq!(pod["securityContext"]["runAsUser"], user);
            assert_eq!(pod["automountServiceAccountToken"], false);
            let container = &pod["containers"][0];
            assert_eq!(
                container["securityContext"],
                json!({
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] }
                })
            );
            let mounts = container["volumeMounts"].as_array().expect("a list");
            assert_eq!(mounts.len(), volumes);
            assert!(mounts.iter().all(|mount| mount["readOnly"] == true));
            let list = pod["volumes"].as_array().expect("a list");
            // A host path without a type would be made where it is not.
            let typed = |volume: &Value| match volume.get("hostPath") {
                Some(path) => path["type"] == "File" || path["type"] == "Directory",
                None => volume["secret"]["optional"] == true,
            };
            assert!(list.iter().all(typed));
        }
    }
}
