//! Resources: subscriptions, groups, clusters, registries, scale sets, identities.

use http::StatusCode;
use serde_json::{Value, json};

use super::shapes::{
    cluster_json, group_json, identity_json, registry_json, scale_set_id, scale_set_json,
    subscription_json,
};
use super::{ArmError, Outcome, Request, clusters, documents, not_allowed, operations, registries};
use crate::azure::state::{Acr, Cluster, State, Who};
use crate::message::{json_reply, param};

pub(super) const REGISTRIES: &str = "Microsoft.ContainerRegistry/registries";
pub(super) const CLUSTERS: &str = "Microsoft.ContainerService/managedClusters";
pub(super) const SCALE_SETS: &str = "Microsoft.Compute/virtualMachineScaleSets";
pub(super) const IDENTITIES: &str = "Microsoft.ManagedIdentity/userAssignedIdentities";

/// `/subscriptions/<id>/…` has a subscription.
pub(super) fn subscription_of(scope: &str) -> Option<&str> {
    let mut parts = scope.trim_start_matches('/').split('/');
    parts
        .next()
        .filter(|word| word.eq_ignore_ascii_case("subscriptions"))?;
    parts.next().filter(|id| !id.is_empty())
}

pub(super) fn known_subscription(state: &State, id: &str) -> Result<(), ArmError> {
    if state
        .subscriptions
        .iter()
        .any(|known| known.eq_ignore_ascii_case(id))
    {
        return Ok(());
    }
    Err(ArmError::new(
        StatusCode::NOT_FOUND,
        "SubscriptionNotFound",
        format!("The subscription '{id}' could not be found."),
    ))
}

pub(super) fn answer(request: &Request<'_>, path: &str) -> Outcome {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let lower: Vec<String> = parts.iter().map(|part| part.to_ascii_lowercase()).collect();
    let words: Vec<&str> = lower.iter().map(String::as_str).collect();
    if let Some(id) = subscription_of(path) {
        known_subscription(&request.azure.read(), id)?;
    }
    let at = |position: usize| parts.get(position).copied().unwrap_or_default();
    match words.as_slice() {
        ["subscriptions"] => subscriptions(request),
        ["subscriptions", _] => subscription(request, at(1)),
        ["subscriptions", _, "resourcegroups"] => groups(request, at(1)),
        ["subscriptions", _, "resourcegroups", _] => group(request, at(1), at(3)),
        ["subscriptions", _, "resources"] => everything(request, at(1), None),
        ["subscriptions", _, "resourcegroups", _, "resources"] => {
            known_group(request, at(1), at(3))?;
            everything(request, at(1), Some(at(3)))
        }
        [
            "subscriptions",
            _,
            "providers",
            _,
            "locations",
            _,
            "operations" | "operationresults",
            name,
        ] => operations::answer(request, path, name),
        ["subscriptions", _, "providers", "microsoft.network", kind] => {
            documents::list(request, at(1), None, kind)
        }
        ["subscriptions", _, "providers", namespace, kind] => {
            list(request, at(1), None, namespace, kind)
        }
        [
            "subscriptions",
            _,
            "resourcegroups",
            _,
            "providers",
            "microsoft.network",
            ..,
        ] => {
            known_group(request, at(1), at(3))?;
            documents::answer(request, path)
        }
        [
            "subscriptions",
            _,
            "resourcegroups",
            _,
            "providers",
            namespace,
            kind,
        ] => {
            known_group(request, at(1), at(3))?;
            list(request, at(1), Some(at(3)), namespace, kind)
        }
        [
            "subscriptions",
            _,
            "resourcegroups",
            _,
            "providers",
            namespace,
            kind,
            name,
            rest @ ..,
        ] => one(request, path, (at(1), at(3)), (namespace, kind), name, rest),
        _ => Err(ArmError::new(
            StatusCode::NOT_FOUND,
            "NotFound",
            "The requested resource path does not exist.",
        )),
    }
}

pub(super) fn only_get(request: &Request<'_>) -> Result<(), ArmError> {
    if request.call.method == http::Method::GET {
        Ok(())
    } else {
        Err(not_allowed(request.call.method))
    }
}

fn subscriptions(request: &Request<'_>) -> Outcome {
    only_get(request)?;
    let state = request.azure.read();
    let visible = state.subscriptions.iter().filter(|id| {
        let scope = format!("/subscriptions/{id}");
        request.all_rights
            || state.allows_somewhere(
                &request.object_id,
                &scope,
                "Microsoft.Resources/subscriptions/read",
            )
    });
    let items = visible.map(|id| subscription_json(&state, id)).collect();
    Ok(request.page(&state, items))
}

fn subscription(request: &Request<'_>, id: &str) -> Outcome {
    only_get(request)?;
    let state = request.azure.read();
    request.need(
        &state,
        &format!("/subscriptions/{id}"),
        "Microsoft.Resources/subscriptions/read",
    )?;
    Ok(json_reply(StatusCode::OK, &subscription_json(&state, id)))
}

fn groups(request: &Request<'_>, subscription: &str) -> Outcome {
    only_get(request)?;
    let state = request.azure.read();
    let action = "Microsoft.Resources/subscriptions/resourceGroups/read";
    let groups: Vec<(String, String, String)> = state
        .groups(subscription)
        .into_iter()
        .map(|(name, location)| (State::group_id(subscription, &name), name, location))
        .collect();
    let scope = format!("/subscriptions/{subscription}");
    let visible = request.visible(&state, &scope, action, groups.iter(), |(id, _, _)| id)?;
    let items = visible
        .iter()
        .map(|(_, name, location)| group_json(subscription, name, location))
        .collect();
    Ok(request.page(&state, items))
}

fn group(request: &Request<'_>, subscription: &str, name: &str) -> Outcome {
    only_get(request)?;
    let state = request.azure.read();
    request.need(
        &state,
        &State::group_id(subscription, name),
        "Microsoft.Resources/subscriptions/resourceGroups/read",
    )?;
    let (name, location) = find_group(&state, subscription, name)?;
    Ok(json_reply(
        StatusCode::OK,
        &group_json(subscription, &name, &location),
    ))
}

fn find_group(state: &State, subscription: &str, name: &str) -> Result<(String, String), ArmError> {
    let found = state
        .groups(subscription)
        .into_iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.ok_or_else(|| {
        ArmError::new(
            StatusCode::NOT_FOUND,
            "ResourceGroupNotFound",
            format!("Resource group '{name}' could not be found."),
        )
    })
}

/// A group that is not there is only said not to be there to those who could see it.
fn known_group(request: &Request<'_>, subscription: &str, name: &str) -> Result<(), ArmError> {
    let state = request.azure.read();
    let action = "Microsoft.Resources/subscriptions/resourceGroups/read";
    let sees = request.all_rights
        || state.allows(
            &request.object_id,
            &State::group_id(subscription, name),
            action,
        );
    if sees {
        find_group(&state, subscription, name).map(drop)
    } else {
        Ok(())
    }
}

pub(super) fn unknown_type(namespace: &str, kind: &str) -> ArmError {
    ArmError::new(
        StatusCode::NOT_FOUND,
        "InvalidResourceType",
        format!("The resource type '{kind}' could not be found in the namespace '{namespace}'."),
    )
}

/// Whether a resource is in the subscription and group that a list is about.
pub(super) fn within(id: &str, subscription: &str, group: Option<&str>) -> bool {
    let parts: Vec<&str> = id.trim_start_matches('/').split('/').collect();
    let at = |position: usize| parts.get(position).copied().unwrap_or_default();
    at(1).eq_ignore_ascii_case(subscription)
        && group.is_none_or(|group| at(3).eq_ignore_ascii_case(group))
}

fn list(
    request: &Request<'_>,
    subscription: &str,
    group: Option<&str>,
    namespace: &str,
    kind: &str,
) -> Outcome {
    only_get(request)?;
    let state = request.azure.read();
    let scope = group.map_or_else(
        || format!("/subscriptions/{subscription}"),
        |group| State::group_id(subscription, group),
    );
    let action = |resource: &str| format!("{resource}/read");
    let here = |id: &str| within(id, subscription, group);
    let items: Vec<Value> = match (namespace, kind) {
        ("microsoft.containerregistry", "registries") => {
            let all = state.registries.iter().filter(|acr| here(&acr.id));
            let visible =
                request.visible(&state, &scope, &action(REGISTRIES), all, |acr: &Acr| {
                    &acr.id
                })?;
            visible
                .into_iter()
                .map(|acr| registry_json(&state, acr))
                .collect()
        }
        ("microsoft.containerservice", "managedclusters") => {
            let all = state.clusters.iter().filter(|cluster| here(&cluster.id));
            let visible = request.visible(
                &state,
                &scope,
                &action(CLUSTERS),
                all,
                |cluster: &Cluster| &cluster.id,
            )?;
            visible
                .into_iter()
                .map(|cluster| cluster_json(&state, cluster))
                .collect()
        }
        ("microsoft.compute", "virtualmachinescalesets") => {
            let all: Vec<(String, &Cluster)> = state
                .clusters
                .iter()
                .map(|cluster| (scale_set_id(cluster), cluster))
                .collect();
            let here = all.iter().filter(|(id, _)| within(id, subscription, group));
            let visible = request.visible(
                &state,
                &scope,
                &action(SCALE_SETS),
                here,
                |(id, _): &(String, &Cluster)| id,
            )?;
            visible
                .into_iter()
                .map(|(id, cluster)| scale_set_json(&state, id, cluster))
                .collect()
        }
        ("microsoft.managedidentity", "userassignedidentities") => {
            let all = state
                .principals
                .values()
                .filter(|who| who.resource_id.as_deref().is_some_and(here));
            let visible =
                request.visible(&state, &scope, &action(IDENTITIES), all, |who: &Who| {
                    who.resource_id.as_deref().unwrap_or_default()
                })?;
            visible
                .into_iter()
                .map(|who| identity_json(&state, who))
                .collect()
        }
        _ => return Err(unknown_type(namespace, kind)),
    };
    Ok(request.page(&state, items))
}

fn one(
    request: &Request<'_>,
    path: &str,
    place: (&str, &str),
    kind: (&str, &str),
    name: &str,
    rest: &[&str],
) -> Outcome {
    let (subscription, group) = place;
    // The id of the resource itself, without what is asked of it.
    let id: Vec<&str> = path.split('/').take(9).collect();
    let id = id.join("/");
    let not_found = |resource: &str| {
        let name = id.rsplit('/').next().unwrap_or(name);
        ArmError::new(
            StatusCode::NOT_FOUND,
            "ResourceNotFound",
            format!(
                "The Resource '{resource}/{name}' under resource group '{group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"
            ),
        )
    };
    let same = |other: &str| other.eq_ignore_ascii_case(&id);
    let method = request.call.method.as_str();
    if kind == ("microsoft.containerregistry", "registries")
        && !(method == "GET" && rest.is_empty())
    {
        known_group(request, subscription, group)?;
        return registries::answer(request, &id, rest, not_found);
    }
    if kind == ("microsoft.containerservice", "managedclusters")
        && !(method == "GET" && rest.is_empty())
    {
        known_group(request, subscription, group)?;
        return clusters::change(request, &id, rest, not_found);
    }
    let state = request.azure.read();
    let read = |resource: &str| request.need(&state, &id, &format!("{resource}/read"));
    if method != "GET" || !rest.is_empty() {
        return Err(not_allowed(request.call.method));
    }
    let body = match kind {
        ("microsoft.containerregistry", "registries") => {
            read(REGISTRIES)?;
            known_group(request, subscription, group)?;
            state
                .registries
                .iter()
                .find(|acr| same(&acr.id))
                .map(|acr| registry_json(&state, acr))
                .ok_or_else(|| not_found(REGISTRIES))?
        }
        ("microsoft.containerservice", "managedclusters") => {
            read(CLUSTERS)?;
            known_group(request, subscription, group)?;
            state
                .clusters
                .iter()
                .find(|cluster| same(&cluster.id))
                .map(|cluster| cluster_json(&state, cluster))
                .ok_or_else(|| not_found(CLUSTERS))?
        }
        ("microsoft.compute", "virtualmachinescalesets") => {
            read(SCALE_SETS)?;
            known_group(request, subscription, group)?;
            let found = state
                .clusters
                .iter()
                .find(|cluster| same(&scale_set_id(cluster)));
            found
                .map(|cluster| scale_set_json(&state, &id, cluster))
                .ok_or_else(|| not_found(SCALE_SETS))?
        }
        ("microsoft.managedidentity", "userassignedidentities") => {
            read(IDENTITIES)?;
            let found = state
                .principals
                .values()
                .find(|who| who.resource_id.as_deref().is_some_and(same));
            found
                .map(|who| identity_json(&state, who))
                .ok_or_else(|| not_found(IDENTITIES))?
        }
        (namespace, kind) => return Err(unknown_type(namespace, kind)),
    };
    Ok(json_reply(StatusCode::OK, &body))
}

/// The short form of every resource, for clients that look one up by type and name.
fn everything(request: &Request<'_>, subscription: &str, group: Option<&str>) -> Outcome {
    only_get(request)?;
    let filter = param(request.call.query, "$filter").unwrap_or_default();
    let wanted = Wanted::parse(&filter).ok_or_else(|| {
        ArmError::bad_request(
            "InvalidFilterInQueryString",
            format!("Invalid $filter '{filter}' specified in the query string."),
        )
    })?;
    let state = request.azure.read();
    let registries = state
        .registries
        .iter()
        .map(|acr| registry_json(&state, acr));
    let clusters = state
        .clusters
        .iter()
        .map(|cluster| cluster_json(&state, cluster));
    let scale_sets = state
        .clusters
        .iter()
        .map(|cluster| scale_set_json(&state, &scale_set_id(cluster), cluster));
    let identities = state
        .principals
        .values()
        .filter(|who| who.resource_id.is_some())
        .map(|who| identity_json(&state, who));
    let all = registries
        .chain(clusters)
        .chain(scale_sets)
        .chain(identities)
        .chain(state.documents.values().cloned());
    let text = |item: &Value, key: &str| {
        item.get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let items = all
        .filter(|item| {
            let (id, kind) = (text(item, "id"), text(item, "type"));
            // What belongs to another resource is no entry of its own.
            kind.matches('/').count() == 1
                && within(&id, subscription, group)
                && wanted.takes(&kind, &text(item, "name"))
                && (request.all_rights
                    || state.allows(&request.object_id, &id, &format!("{kind}/read")))
        })
        .map(|item| {
            let mut short = json!({
                "id": item.get("id"), "name": item.get("name"), "type": item.get("type"),
                "location": item.get("location"), "tags": item.get("tags").cloned().unwrap_or_else(|| json!({})),
            });
            if let (Some(map), Some(sku)) = (short.as_object_mut(), item.get("sku")) {
                map.insert("sku".into(), sku.clone());
            }
            short
        })
        .collect();
    Ok(request.page(&state, items))
}

/// `resourceType eq '…'` and `name eq '…'`, joined by `and`.
#[derive(Default)]
struct Wanted {
    kind: Option<String>,
    name: Option<String>,
}

impl Wanted {
    fn parse(filter: &str) -> Option<Self> {
        let mut wanted = Self::default();
        for term in filter.split(" and ").filter(|term| !term.trim().is_empty()) {
            let (key, value) = term.trim().split_once(" eq ")?;
            let value = value.trim().strip_prefix('\'')?.strip_suffix('\'')?;
            match key.trim().to_ascii_lowercase().as_str() {
                "resourcetype" => wanted.kind = Some(value.to_owned()),
                "name" => wanted.name = Some(value.to_owned()),
                _ => return None,
            }
        }
        Some(wanted)
    }

    fn takes(&self, kind: &str, name: &str) -> bool {
        let same = |wanted: &Option<String>, text: &str| {
            wanted
                .as_ref()
                .is_none_or(|wanted| wanted.eq_ignore_ascii_case(text))
        };
        same(&self.kind, kind) && same(&self.name, name)
    }
}
