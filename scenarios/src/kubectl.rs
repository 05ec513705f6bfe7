//! What `kubectl` does, through an ordinary client: apply, set image, scale, delete, cordon.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, Node, Pod, PodSpec, Secret, ServiceAccount};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::backend::StepError;
use crate::spec::{Target, TargetKind};

/// Kinds that live in no namespace, of those that a scenario applies.
const CLUSTER_SCOPED: [&str; 2] = ["Namespace", "Node"];

pub(crate) async fn apply(
    client: &Client,
    namespace: &str,
    objects: Vec<Value>,
) -> Result<(), StepError> {
    for object in objects {
        let api = dynamic(client, namespace, &object)?;
        let object: DynamicObject =
            serde_json::from_value(object).map_err(|error| StepError::failed(&error))?;
        let name = object.metadata.name.clone().unwrap_or_default();
        match api.create(&PostParams::default(), &object).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 409 => {
                api.patch(&name, &PatchParams::default(), &Patch::Merge(&object))
                    .await
                    .map_err(|error| StepError::failed(&error))?;
            }
            Err(error) => return Err(StepError::failed(&error)),
        }
    }
    Ok(())
}

fn dynamic(
    client: &Client,
    namespace: &str,
    object: &Value,
) -> Result<Api<DynamicObject>, StepError> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let (group, version) = text("apiVersion")
        .split_once('/')
        .unwrap_or(("", text("apiVersion")));
    let kind = text("kind");
    if version.is_empty() || kind.is_empty() {
        return Err(StepError::Failed(
            "an object without `apiVersion` or `kind`".to_owned(),
        ));
    }
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    if CLUSTER_SCOPED.contains(&kind) {
        return Ok(Api::all_with(client.clone(), &resource));
    }
    let own = object
        .pointer("/metadata/namespace")
        .and_then(Value::as_str);
    let namespace = own.unwrap_or(namespace);
    Ok(Api::namespaced_with(client.clone(), namespace, &resource))
}

/// The new images of a workload's containers; no container name means every container.
pub(crate) async fn set_image(
    client: &Client,
    namespace: &str,
    target: &Target,
    images: &[(Option<&str>, &str)],
) -> Result<(), StepError> {
    let patch = |spec: &PodSpec| -> Value {
        let named = |list: &[Container], name: &str| list.iter().any(|one| one.name == name);
        let init = spec.init_containers.as_deref().unwrap_or_default();
        let (mut before, mut main) = (Vec::new(), Vec::new());
        for (name, image) in images {
            let one = |name: &str| json!({"name": name, "image": image});
            match name {
                Some(name) if named(init, name) => before.push(one(name)),
                // A name that no container has is sent along, so that the server refuses it.
                Some(name) => main.push(one(name)),
                None => main.extend(spec.containers.iter().map(|container| one(&container.name))),
            }
        }
        let lists = [("initContainers", before), ("containers", main)];
        let changed = lists.into_iter().filter(|(_, list)| !list.is_empty());
        let changed: serde_json::Map<String, Value> = changed
            .map(|(name, list)| (name.to_owned(), list.into()))
            .collect();
        changed.into()
    };
    match target.kind {
        TargetKind::Deployment => {
            let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
            let found = api.get(&target.name).await;
            let found = found.map_err(|error| StepError::failed(&error))?;
            let spec = found.spec.and_then(|spec| spec.template.spec);
            let patch = patch(&spec.unwrap_or_default());
            let patch = json!({"spec": {"template": {"spec": patch}}});
            patch_strategic(&api, &target.name, &patch).await
        }
        TargetKind::Pod => {
            let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
            let found = api.get(&target.name).await;
            let found = found.map_err(|error| StepError::failed(&error))?;
            let patch = patch(&found.spec.unwrap_or_default());
            patch_strategic(&api, &target.name, &json!({ "spec": patch })).await
        }
    }
}

pub(crate) async fn scale(
    client: &Client,
    namespace: &str,
    target: &Target,
    replicas: u32,
) -> Result<(), StepError> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    patch_merge(&api, &target.name, &json!({"spec": {"replicas": replicas}})).await
}

pub(crate) async fn delete(
    client: &Client,
    namespace: &str,
    target: &Target,
) -> Result<(), StepError> {
    let parameters = DeleteParams::default();
    let outcome = match target.kind {
        TargetKind::Deployment => {
            let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
            api.delete(&target.name, &parameters).await.map(drop)
        }
        TargetKind::Pod => {
            let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
            api.delete(&target.name, &parameters).await.map(drop)
        }
    };
    outcome.map_err(|error| StepError::failed(&error))
}

async fn patch_merge<K>(api: &Api<K>, name: &str, patch: &Value) -> Result<(), StepError>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let outcome = api
        .patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await;
    outcome.map(drop).map_err(|error| StepError::failed(&error))
}

async fn patch_strategic<K>(api: &Api<K>, name: &str, patch: &Value) -> Result<(), StepError>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let outcome = api
        .patch(name, &PatchParams::default(), &Patch::Strategic(patch))
        .await;
    outcome.map(drop).map_err(|error| StepError::failed(&error))
}

/// Marks a node as unschedulable, or as schedulable again.
pub(crate) async fn cordon(client: &Client, node: &str, closed: bool) -> Result<(), StepError> {
    let api: Api<Node> = Api::all(client.clone());
    patch_merge(&api, node, &json!({"spec": {"unschedulable": closed}})).await
}

/// `kubectl rollout restart`: a note in the template, so that it differs from the one before.
pub(crate) async fn restart(
    client: &Client,
    namespace: &str,
    target: &Target,
    at: jiff::Timestamp,
) -> Result<(), StepError> {
    if target.kind != TargetKind::Deployment {
        return Err(StepError::Failed(format!("{target} cannot be restarted")));
    }
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let note = json!({"kubectl.kubernetes.io/restartedAt": at.to_string()});
    let patch = json!({"spec": {"template": {"metadata": {"annotations": note}}}});
    patch_strategic(&api, &target.name, &patch).await
}

/// `kubectl patch`, a strategic merge patch.
pub(crate) async fn patch(
    client: &Client,
    namespace: &str,
    target: &str,
    patch: &Value,
) -> Result<(), StepError> {
    let (kind, name) = target.split_once('/').unwrap_or((target, ""));
    match kind {
        "deployment" | "deploy" => {
            let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
            patch_strategic(&api, name, patch).await
        }
        "pod" | "po" => {
            let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
            patch_strategic(&api, name, patch).await
        }
        "serviceaccount" | "sa" => {
            let api: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
            patch_strategic(&api, name, patch).await
        }
        other => Err(StepError::Failed(format!("`{other}` is not patched here"))),
    }
}

/// `kubectl create secret docker-registry`.
pub(crate) async fn create_secret(
    client: &Client,
    namespace: &str,
    name: &str,
    (server, username, password): (&str, &str, &str),
) -> Result<(), StepError> {
    let auth = json!({"username": username, "password": password});
    let config = json!({"auths": {server: auth}}).to_string();
    let secret: Secret = serde_json::from_value(json!({
        "metadata": {"name": name},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": config},
    }))
    .map_err(|error| StepError::failed(&error))?;
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let made = api.create(&PostParams::default(), &secret).await;
    made.map(drop).map_err(|error| StepError::failed(&error))
}

/// `kubectl delete secret`.
pub(crate) async fn delete_secret(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<(), StepError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let gone = api.delete(name, &DeleteParams::default()).await;
    gone.map(drop).map_err(|error| StepError::failed(&error))
}
