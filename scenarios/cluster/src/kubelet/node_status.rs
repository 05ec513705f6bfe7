//! The Node object: registration, its lease, and the image list that grows with pulls.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::{Instant, interval_at};

use super::Shared;
use crate::events::correlator::{ObjectRef, Severity};
use crate::node::NodeSpec;
use crate::store::Kind;

/// How often a lease is renewed and the node looked at.
const RENEW: Duration = Duration::from_secs(10);
/// How often a status is reported that says nothing new.
const REPORT: u32 = 30;
/// `nodeStatusMaxImages`.
const MOST_IMAGES: usize = 50;
const LEASES: &str = "kube-node-lease";

/// Creates the Node object, or takes over the one of that name, and the node's lease.
pub(crate) fn register(kubelet: &Shared, spec: &NodeSpec) {
    let now = kubelet.clock.seconds();
    let mut labels = Map::new();
    for (name, value) in [
        ("beta.kubernetes.io/arch", spec.architecture.as_str()),
        ("beta.kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", &spec.architecture),
        ("kubernetes.io/hostname", &spec.name),
        ("kubernetes.io/os", "linux"),
    ] {
        labels.insert(name.to_owned(), value.into());
    }
    for (name, value) in &spec.labels {
        labels.insert(name.clone(), value.clone().into());
    }
    let cidr = format!("10.244.{}.0/24", super::lock(&kubelet.addresses).number);
    let mut node_spec = json!({ "podCIDR": cidr, "podCIDRs": [cidr] });
    if let (Some(fields), Some(id)) = (node_spec.as_object_mut(), &spec.provider_id) {
        fields.insert("providerID".to_owned(), id.clone().into());
    }
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": spec.name, "labels": labels, "annotations": { "node.alpha.kubernetes.io/ttl": "0" } },
        "spec": node_spec,
    });
    if kubelet.store.create(Kind::Node, node).is_err() {
        let _ = kubelet.store.update(Kind::Node, "", &spec.name, |object| {
            let meta = object.get_mut("metadata").and_then(Value::as_object_mut);
            if let Some(meta) = meta {
                let current = meta.entry("labels").or_insert_with(|| json!({}));
                if let Some(current) = current.as_object_mut() {
                    current.extend(labels);
                }
            }
        });
    }
    let _ = kubelet
        .store
        .merge_status(Kind::Node, "", &spec.name, status(kubelet, spec, &now));
    renew_lease(kubelet);
    let object = ObjectRef {
        kind: "Node".to_owned(),
        name: spec.name.clone(),
        uid: spec.name.clone(),
        ..ObjectRef::default()
    };
    kubelet.event(
        &object,
        Severity::Normal,
        "Starting",
        "Starting kubelet.".to_owned(),
    );
}

/// Keeps lease, heartbeat and image list up to date.
pub(crate) async fn report(kubelet: Arc<Shared>) {
    let mut ticks = interval_at(Instant::now() + RENEW, RENEW);
    let (mut seen, mut silent) = (images(&kubelet), 0);
    loop {
        ticks.tick().await;
        renew_lease(&kubelet);
        silent += 1;
        let now = images(&kubelet);
        if now != seen || silent >= REPORT {
            silent = 0;
            let beat = kubelet.clock.seconds();
            let _ = kubelet
                .store
                .update(Kind::Node, "", &kubelet.name, |object| {
                    let Some(status) = object.get_mut("status").and_then(Value::as_object_mut)
                    else {
                        return;
                    };
                    status.insert("images".to_owned(), now.clone());
                    let conditions = status.get_mut("conditions").and_then(Value::as_array_mut);
                    for condition in conditions.into_iter().flatten() {
                        if let Some(fields) = condition.as_object_mut() {
                            fields.insert("lastHeartbeatTime".to_owned(), beat.clone().into());
                        }
                    }
                });
            seen = now;
        }
    }
}

fn status(kubelet: &Shared, spec: &NodeSpec, now: &str) -> Value {
    let capacity = |cpu: &str, memory: &str, disk: &str| {
        json!({
            "cpu": cpu, "ephemeral-storage": disk, "hugepages-1Gi": "0", "hugepages-2Mi": "0",
            "memory": memory, "pods": "110",
        })
    };
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": now, "lastTransitionTime": now,
        })
    };
    let id = |purpose: &str| {
        let hex = kubelet.hex_id();
        format!("{}-{purpose}", hex.get(..12).unwrap_or_default())
    };
    json!({
        "addresses": [
            { "type": "InternalIP", "address": spec.address.to_string() },
            { "type": "Hostname", "address": spec.name },
        ],
        "allocatable": capacity("3860m", "12881956Ki", "119703055367"),
        "capacity": capacity("4", "16375316Ki", "129886128Ki"),
        "conditions": [
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
        ],
        "daemonEndpoints": { "kubeletEndpoint": { "Port": 10250 } },
        "images": images(kubelet),
        "nodeInfo": {
            "architecture": spec.architecture,
            "bootID": id("boot"),
            "containerRuntimeVersion": kubelet.profile.runtime_version(),
            "kernelVersion": "6.12.48-amd64",
            "kubeProxyVersion": "",
            "kubeletVersion": kubelet.profile.kubernetes.to_string(),
            "machineID": id("machine"),
            "operatingSystem": "linux",
            "osImage": "Debian GNU/Linux 13 (trixie)",
            "systemUUID": id("system"),
        },
    })
}

fn images(kubelet: &Shared) -> Value {
    let images = kubelet.runtime.images();
    let list = images
        .iter()
        .take(MOST_IMAGES)
        .map(|image| json!({ "names": image.names, "sizeBytes": image.size }));
    Value::Array(list.collect())
}

fn renew_lease(kubelet: &Shared) {
    let now = kubelet.clock.micros();
    let renewed = kubelet
        .store
        .update(Kind::Lease, LEASES, &kubelet.name, |lease| {
            if let Some(spec) = lease.get_mut("spec").and_then(Value::as_object_mut) {
                spec.insert("renewTime".to_owned(), now.clone().into());
            }
        });
    if renewed.is_err() {
        let _ = kubelet.store.create(Kind::Lease, json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": { "name": kubelet.name, "namespace": LEASES },
            "spec": { "holderIdentity": kubelet.name, "leaseDurationSeconds": 40, "renewTime": now },
        }));
    }
}
