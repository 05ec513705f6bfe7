//! What `kubectl` does, through an ordinary client: apply, set image, scale, delete, cordon.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::backend::StepError;
use crate::play::NAMESPACE;
use crate::spec::{Target, TargetKind, objects};

pub(crate) async fn apply(client: &Client, manifests: &str) -> Result<(), StepError> {
    let objects = objects(manifests).map_err(|error| StepError::failed(&error))?;
    for object in objects {
        let api = dynamic(client, &object)?;
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

fn dynamic(client: &Client, object: &Value) -> Result<Api<DynamicObject>, StepError> {
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
    Ok(Api::namespaced_with(client.clone(), NAMESPACE, &resource))
}

/// The new images of a workload's containers; no container name means every container.
pub(crate) async fn set_image(
    client: &Client,
    namespace: &str,
    target: &Target,
    images: &[(Option<&str>, &str)],
) -> Result<(), StepError> {
    let containers = |names: &[String]| -> Value {
        let named = images.iter().flat_map(|(name, image)| match name {
            Some(name) => vec![json!({"name": name, "image": image})],
            None => names
                .iter()
                .map(|name| json!({"name": name, "image": image}))
                .collect(),
        });
        named.collect()
    };
    match target.kind {
        TargetKind::Deployment => {
            let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
            let found = api
                .get(&target.name)
                .await
                .map_err(|error| StepError::failed(&error))?;
            let template = found
                .spec
                .and_then(|spec| spec.template.spec)
                .unwrap_or_default();
            let names: Vec<_> = template.containers.into_iter().map(|c| c.name).collect();
            let patch = json!({"spec": {"template": {"spec": {"containers": containers(&names)}}}});
            patch_strategic(&api, &target.name, &patch).await
        }
        TargetKind::Pod => {
            let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
            let found = api
                .get(&target.name)
                .await
                .map_err(|error| StepError::failed(&error))?;
            let names: Vec<_> = found
                .spec
                .unwrap_or_default()
                .containers
                .into_iter()
                .map(|c| c.name)
                .collect();
            patch_strategic(
                &api,
                &target.name,
                &json!({"spec": {"containers": containers(&names)}}),
            )
            .await
        }
    }
}

pub(crate) async fn scale(
    client: &Client,
    target: &Target,
    replicas: u32,
) -> Result<(), StepError> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
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

/// Marks a node as unschedulable.
pub(crate) async fn cordon(client: &Client, node: &str) -> Result<(), StepError> {
    let api: Api<Node> = Api::all(client.clone());
    patch_merge(&api, node, &json!({"spec": {"unschedulable": true}})).await
}
