//! Kubernetes objects to the plain values of the symptom room.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{self as core, ContainerStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::symptom::{
    Container, ContainerKind, ContainerState, EventSeen, NodeFacts, Owner, Pod, PullPolicy,
    PullSecret, SecretBody, SecretState,
};

/// The longest text taken over from an object; the kubelet writes at most 1 KiB into an event.
const TEXT_LIMIT: usize = 64 * 1024;

pub(super) fn pod(object: &core::Pod) -> Pod {
    let spec = object.spec.as_ref();
    let status = object.status.as_ref();
    let secrets = spec
        .and_then(|spec| spec.image_pull_secrets.as_deref())
        .unwrap_or_default();
    let volumes = spec
        .and_then(|spec| spec.volumes.as_deref())
        .unwrap_or_default();
    Pod {
        namespace: object.metadata.namespace.clone().unwrap_or_default(),
        name: object.metadata.name.clone().unwrap_or_default(),
        uid: object.metadata.uid.clone().unwrap_or_default(),
        node: spec
            .and_then(|spec| spec.node_name.clone())
            .filter(|name| !name.is_empty()),
        phase: status.and_then(|status| status.phase.clone()),
        created: object
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0),
        deleting: object.metadata.deletion_timestamp.is_some(),
        service_account: spec.and_then(|spec| spec.service_account_name.clone()),
        pull_secrets: secrets
            .iter()
            .filter(|reference| !reference.name.is_empty())
            .map(|reference| PullSecret {
                name: reference.name.clone(),
                state: SecretState::NotRead,
                elsewhere: Vec::new(),
            })
            .collect(),
        owner: owner(&object.metadata),
        containers: containers(object),
        image_volumes: volumes
            .iter()
            .filter_map(|volume| volume.image.as_ref()?.reference.clone())
            .collect(),
        events: None,
    }
}

/// The workload above the pod: a Deployment where the ReplicaSet's name is its name and the hash.
fn owner(metadata: &ObjectMeta) -> Option<Owner> {
    let references = metadata.owner_references.as_deref()?;
    let reference = references
        .iter()
        .find(|one| one.controller == Some(true))
        .or_else(|| references.first())?;
    if reference.kind == "ReplicaSet" {
        let hash = metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get("pod-template-hash"));
        let name = hash.and_then(|hash| {
            reference
                .name
                .strip_suffix(hash.as_str())?
                .strip_suffix('-')
        });
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            return Some(Owner {
                kind: "deployment".into(),
                name: name.into(),
            });
        }
    }
    Some(Owner {
        kind: reference.kind.to_ascii_lowercase(),
        name: reference.name.clone(),
    })
}

fn containers(object: &core::Pod) -> Vec<Container> {
    let Some(spec) = object.spec.as_ref() else {
        return Vec::new();
    };
    let status = object.status.as_ref();
    let of = |list: Option<&Vec<ContainerStatus>>| -> BTreeMap<String, ContainerStatus> {
        list.into_iter()
            .flatten()
            .map(|status| (status.name.clone(), status.clone()))
            .collect()
    };
    let init = of(status.and_then(|status| status.init_container_statuses.as_ref()));
    let main = of(status.and_then(|status| status.container_statuses.as_ref()));
    let ephemeral = of(status.and_then(|status| status.ephemeral_container_statuses.as_ref()));
    let ordinary =
        |kind: ContainerKind, known: &BTreeMap<String, ContainerStatus>, one: &core::Container| {
            one_container(
                kind,
                &one.name,
                one.image.as_ref(),
                one.image_pull_policy.as_ref(),
                known.get(&one.name),
            )
        };
    let mut found = Vec::new();
    found.extend(
        spec.init_containers
            .iter()
            .flatten()
            .map(|one| ordinary(ContainerKind::Init, &init, one)),
    );
    found.extend(
        spec.containers
            .iter()
            .map(|one| ordinary(ContainerKind::Main, &main, one)),
    );
    found.extend(spec.ephemeral_containers.iter().flatten().map(|one| {
        let known = ephemeral.get(&one.name);
        one_container(
            ContainerKind::Ephemeral,
            &one.name,
            one.image.as_ref(),
            one.image_pull_policy.as_ref(),
            known,
        )
    }));
    found
}

fn one_container(
    kind: ContainerKind,
    name: &str,
    image: Option<&String>,
    policy: Option<&String>,
    status: Option<&ContainerStatus>,
) -> Container {
    let state = status.and_then(|status| status.state.as_ref());
    let state = state.map_or(ContainerState::Unknown, |state| {
        if let Some(waiting) = &state.waiting {
            return ContainerState::Waiting {
                reason: bounded(waiting.reason.as_deref().unwrap_or_default()),
                message: waiting.message.as_deref().map(bounded),
            };
        }
        if let Some(ended) = &state.terminated {
            return ContainerState::Terminated {
                exit_code: ended.exit_code,
                reason: ended.reason.clone(),
            };
        }
        if state.running.is_some() {
            ContainerState::Running
        } else {
            ContainerState::Unknown
        }
    });
    Container {
        kind,
        name: name.into(),
        image: image.cloned().unwrap_or_default(),
        image_id: status
            .map(|status| status.image_id.clone())
            .unwrap_or_default(),
        policy: policy.map(|word| match word.as_str() {
            "Always" => PullPolicy::Always,
            "IfNotPresent" => PullPolicy::IfNotPresent,
            "Never" => PullPolicy::Never,
            other => PullPolicy::Other(other.into()),
        }),
        state,
        last_exit: status
            .and_then(|status| Some(status.last_state.as_ref()?.terminated.as_ref()?.exit_code)),
    }
}

pub(super) fn event(object: &core::Event) -> EventSeen {
    let path = object.involved_object.field_path.as_deref();
    let series = object.series.as_ref();
    let at = object.event_time.as_ref().map(|time| time.0);
    let count = object.count.or_else(|| series?.count).unwrap_or(1);
    EventSeen {
        reason: object.reason.clone().unwrap_or_default(),
        message: bounded(object.message.as_deref().unwrap_or_default()),
        warning: object.type_.as_deref() == Some("Warning"),
        count: u32::try_from(count).unwrap_or(0).max(1),
        first: object.first_timestamp.as_ref().map(|time| time.0).or(at),
        last: object
            .last_timestamp
            .as_ref()
            .map(|time| time.0)
            .or_else(|| series?.last_observed_time.as_ref().map(|time| time.0))
            .or(at),
        container: path
            .and_then(|path| path.split_once('{')?.1.strip_suffix('}'))
            .map(Into::into),
    }
}

pub(super) fn node(object: &core::Node) -> NodeFacts {
    let status = object.status.as_ref();
    let info = status.and_then(|status| status.node_info.as_ref());
    let ready = status
        .and_then(|status| status.conditions.as_deref())
        .and_then(|conditions| {
            conditions
                .iter()
                .find(|one| one.type_ == "Ready")
                .map(|one| one.status == "True")
        });
    let known = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    NodeFacts {
        name: object.metadata.name.clone().unwrap_or_default(),
        architecture: info.and_then(|info| known(&info.architecture)),
        operating_system: info.and_then(|info| known(&info.operating_system)),
        provider_id: object
            .spec
            .as_ref()
            .and_then(|spec| spec.provider_id.clone()),
        region: object
            .metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get("topology.kubernetes.io/region").cloned()),
        kubelet: info.and_then(|info| known(&info.kubelet_version)),
        runtime: info.and_then(|info| known(&info.container_runtime_version)),
        ready,
    }
}

pub(super) fn secret(object: &core::Secret) -> SecretState {
    let kind = object.type_.clone().unwrap_or_else(|| "Opaque".into());
    let key = match kind.as_str() {
        "kubernetes.io/dockerconfigjson" => Some(".dockerconfigjson"),
        "kubernetes.io/dockercfg" => Some(".dockercfg"),
        _ => None,
    };
    let data = object.data.as_ref();
    let bytes = key
        .and_then(|key| data?.get(key))
        .filter(|bytes| bytes.0.len() <= SecretBody::LIMIT);
    SecretState::Found {
        kind,
        keys: data.into_iter().flat_map(BTreeMap::keys).cloned().collect(),
        body: bytes.map(|bytes| SecretBody::new(bytes.0.clone())),
    }
}

fn bounded(text: &str) -> String {
    let end = text.floor_char_boundary(TEXT_LIMIT);
    text.get(..end).unwrap_or_default().to_owned()
}
