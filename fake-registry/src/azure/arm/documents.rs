//! `Microsoft.Network`, as far as a registry is reached through it: virtual networks, private
//! endpoints, private DNS zones.
//!
//! These are kept as they were put. A private endpoint does more: it connects a registry, and the
//! addresses of its virtual network come through from then on.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{ArmError, Outcome, Request, not_allowed, operations};
use crate::azure::state::{AzureError, State, cidr};
use crate::azure::tenant::PrivateEndpoint;
use crate::message::{empty_reply, json_reply};

const NAMESPACE: &str = "Microsoft.Network";
/// More than this many are not taken.
const MAX_DOCUMENTS: usize = 10_000;
/// Kinds at the top, and what may be below each.
const KINDS: &[(&str, &[&str])] = &[
    ("virtualNetworks", &["subnets", "virtualNetworkPeerings"]),
    ("privateEndpoints", &["privateDnsZoneGroups"]),
    ("privateDnsZones", &["virtualNetworkLinks", "A"]),
];

/// `Microsoft.Network/virtualNetworks/subnets` for the words of a path.
fn kind_of(words: &[&str]) -> Option<String> {
    let (kind, below) = KINDS
        .iter()
        .find(|(kind, _)| kind.eq_ignore_ascii_case(words.first().copied().unwrap_or_default()))?;
    match words.get(2) {
        None => Some(format!("{NAMESPACE}/{kind}")),
        Some(word) => below
            .iter()
            .find(|known| known.eq_ignore_ascii_case(word))
            .map(|sub| format!("{NAMESPACE}/{kind}/{sub}")),
    }
}

pub(super) fn answer(request: &Request<'_>, path: &str) -> Outcome {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let words = parts.get(6..).unwrap_or_default();
    let at = |position: usize| parts.get(position).copied().unwrap_or_default();
    let kind = kind_of(words).filter(|_| words.len() <= 4);
    let kind = kind.ok_or_else(|| {
        super::resources::unknown_type(NAMESPACE, words.first().copied().unwrap_or_default())
    })?;
    if words.len() % 2 == 1 {
        if words.len() == 1 {
            return list(request, at(1), Some(at(3)), at(6));
        }
        return children(request, path, &kind);
    }
    let id = path.to_owned();
    let key = id.to_ascii_lowercase();
    match request.call.method.as_str() {
        "GET" => {
            let state = request.azure.read();
            request.need(&state, &id, &format!("{kind}/read"))?;
            let found = state.documents.get(&key);
            found
                .map(|document| json_reply(StatusCode::OK, document))
                .ok_or_else(|| not_found(&kind, &id))
        }
        "PUT" => put(request, &id, &kind),
        "DELETE" => {
            let mut state = request.azure.write();
            request.need(&state, &id, &format!("{kind}/delete"))?;
            let Some(gone) = state.documents.remove(&key) else {
                return Ok(empty_reply(StatusCode::NO_CONTENT));
            };
            let below = format!("{key}/");
            state
                .documents
                .retain(|other, _| !other.starts_with(&below));
            disconnect(&mut state, &gone);
            Ok(empty_reply(StatusCode::OK))
        }
        _ => Err(not_allowed(request.call.method)),
    }
}

fn not_found(kind: &str, id: &str) -> ArmError {
    let name = id.rsplit('/').next().unwrap_or_default();
    let group = id.split('/').nth(4).unwrap_or_default();
    ArmError::new(
        StatusCode::NOT_FOUND,
        "ResourceNotFound",
        format!(
            "The Resource '{kind}/{name}' under resource group '{group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"
        ),
    )
}

/// All of a kind in a subscription or group.
pub(super) fn list(
    request: &Request<'_>,
    subscription: &str,
    group: Option<&str>,
    kind: &str,
) -> Outcome {
    super::resources::only_get(request)?;
    let kind = kind_of(&[kind]).ok_or_else(|| super::resources::unknown_type(NAMESPACE, kind))?;
    let state = request.azure.read();
    let scope = group.map_or_else(
        || format!("/subscriptions/{subscription}"),
        |group| State::group_id(subscription, group),
    );
    let of_kind = state.documents.iter().filter(|(id, document)| {
        is(document, &kind) && super::resources::within(id, subscription, group)
    });
    let ids: Vec<(&String, &Value)> = of_kind.collect();
    let visible = request.visible(
        &state,
        &scope,
        &format!("{kind}/read"),
        ids.iter(),
        |(id, _)| id.as_str(),
    )?;
    let items = visible.iter().map(|(_, document)| (*document).clone());
    Ok(request.page(&state, items.collect()))
}

/// All of a kind below one resource.
fn children(request: &Request<'_>, path: &str, kind: &str) -> Outcome {
    super::resources::only_get(request)?;
    let state = request.azure.read();
    let (parent, _) = path.rsplit_once('/').unwrap_or_default();
    request.need(&state, parent, &format!("{kind}/read"))?;
    if !state.documents.contains_key(&parent.to_ascii_lowercase()) {
        let above = kind.rsplit_once('/').map_or(kind, |(above, _)| above);
        return Err(not_found(above, parent));
    }
    let below = format!("{}/", path.to_ascii_lowercase());
    let items = state
        .documents
        .iter()
        .filter(|(id, document)| id.starts_with(&below) && is(document, kind))
        .map(|(_, document)| document.clone())
        .collect();
    Ok(request.page(&state, items))
}

fn is(document: &Value, kind: &str) -> bool {
    document.get("type").and_then(Value::as_str) == Some(kind)
}

fn put(request: &Request<'_>, id: &str, kind: &str) -> Outcome {
    let mut state = request.azure.write();
    request.need(&state, id, &format!("{kind}/write"))?;
    let key = id.to_ascii_lowercase();
    let parent = (kind.matches('/').count() > 1)
        .then(|| key.rsplitn(3, '/').nth(2).unwrap_or_default().to_owned());
    if let Some(parent) = parent.filter(|parent| !state.documents.contains_key(parent)) {
        return Err(ArmError::new(
            StatusCode::NOT_FOUND,
            "ParentResourceNotFound",
            format!(
                "Failed to perform 'write' on resource(s) of type '{kind}', because the parent resource '{parent}' could not be found."
            ),
        ));
    }
    if state.documents.len() >= MAX_DOCUMENTS && !state.documents.contains_key(&key) {
        return Err(ArmError::new(
            StatusCode::CONFLICT,
            "QuotaExceeded",
            "There are too many resources of Microsoft.Network.",
        ));
    }
    let mut document = complete(id, kind, &request.body)?;
    if kind.eq_ignore_ascii_case("Microsoft.Network/privateEndpoints") {
        connect(request, &mut state, &mut document)?;
    }
    let location = document
        .get("location")
        .and_then(Value::as_str)
        .unwrap_or("global")
        .to_owned();
    let place = format!(
        "/subscriptions/{}/providers/{NAMESPACE}/locations/{location}",
        super::resources::subscription_of(id).unwrap_or_default()
    );
    state.documents.insert(key, document.clone());
    Ok(operations::accepted(
        request,
        &mut state,
        &place,
        Some(&document),
    ))
}

/// What was put, with what every resource has.
fn complete(id: &str, kind: &str, body: &Value) -> Result<Value, ArmError> {
    let Value::Object(given) = body else {
        return Err(ArmError::bad_request(
            "InvalidRequestContent",
            "The request content is no resource.",
        ));
    };
    let mut whole = Map::new();
    whole.insert("id".into(), id.into());
    whole.insert("name".into(), id.rsplit('/').next().into());
    whole.insert("type".into(), kind.into());
    for (key, value) in given {
        if !matches!(key.as_str(), "id" | "name" | "type") {
            whole.insert(key.clone(), value.clone());
        }
    }
    let properties = whole
        .entry("properties")
        .or_insert_with(|| Value::Object(Map::new()));
    if let Some(properties) = properties.as_object_mut() {
        properties.insert("provisioningState".into(), "Succeeded".into());
    }
    Ok(Value::Object(whole))
}

/// The subnet that an endpoint stands in, with the address ranges of its network.
fn network_of<'a>(state: &'a State, subnet: &str) -> Option<Vec<&'a str>> {
    let key = subnet.to_ascii_lowercase();
    state.documents.get(&key)?;
    let network = key.split("/subnets/").next()?;
    let ranges = state
        .documents
        .get(network)?
        .pointer("/properties/addressSpace/addressPrefixes")?
        .as_array()?;
    Some(ranges.iter().filter_map(Value::as_str).collect())
}

/// A private endpoint of the tenant's own registry is approved at once.
fn connect(request: &Request<'_>, state: &mut State, document: &mut Value) -> Result<(), ArmError> {
    let invalid = |what: &str| {
        ArmError::bad_request(
            "InvalidResourceReference",
            format!(
                "Resource {what} referenced by the private endpoint was not found. Please make sure that the referenced resource exists, and that both resources are in the same region."
            ),
        )
    };
    let text = |pointer: &str| {
        document
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let subnet = text("/properties/subnet/id");
    let ranges: Vec<String> = network_of(state, &subnet)
        .ok_or_else(|| invalid(&subnet))?
        .into_iter()
        .map(str::to_owned)
        .collect();
    let subnets = ranges
        .iter()
        .map(|range| cidr(range))
        .collect::<Result<Vec<_>, AzureError>>()
        .map_err(|_| invalid(&subnet))?;
    let connection = "/properties/privateLinkServiceConnections/0/properties";
    let target = text(&format!("{connection}/privateLinkServiceId"));
    let name = text("/name");
    let id = text("/id");
    let approve =
        "Microsoft.ContainerRegistry/registries/privateEndpointConnectionsApproval/action";
    request.need(state, &target, approve)?;
    let addresses = free_addresses(state, &subnet, &id);
    let Some(acr) = state
        .registries
        .iter_mut()
        .find(|acr| acr.id.eq_ignore_ascii_case(&target))
    else {
        return Err(invalid(&target));
    };
    acr.private.retain(|(endpoint, _)| endpoint.name != name);
    acr.private.push((
        PrivateEndpoint {
            name,
            status: "Approved".into(),
            subnets: ranges,
        },
        subnets,
    ));
    let names = [acr.login_server.clone(), acr.data_endpoint_host()];
    let configurations: Vec<Value> = names
        .iter()
        .zip(&addresses)
        .map(|(name, address)| json!({"fqdn": name, "ipAddresses": [address]}))
        .collect();
    if let Some(properties) = document
        .get_mut("properties")
        .and_then(Value::as_object_mut)
    {
        properties.insert("customDnsConfigs".into(), configurations.into());
    }
    Ok(())
}

/// Two addresses of a subnet that no other endpoint of it has; Azure keeps the first four.
fn free_addresses(state: &State, subnet: &str, id: &str) -> [String; 2] {
    let others = state
        .documents
        .values()
        .filter(|document| {
            let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str);
            text("/properties/subnet/id").is_some_and(|other| other.eq_ignore_ascii_case(subnet))
                && !text("/id").is_some_and(|other| other.eq_ignore_ascii_case(id))
        })
        .count();
    let prefix = state
        .documents
        .get(&subnet.to_ascii_lowercase())
        .and_then(|found| found.pointer("/properties/addressPrefix")?.as_str());
    let base: std::net::Ipv4Addr = prefix
        .and_then(|prefix| prefix.split('/').next()?.parse().ok())
        .unwrap_or(std::net::Ipv4Addr::UNSPECIFIED);
    let first = u32::from(base).saturating_add(4 + 2 * u32::try_from(others).unwrap_or_default());
    [first, first.saturating_add(1)].map(|address| std::net::Ipv4Addr::from(address).to_string())
}

/// A private endpoint that goes takes its connection along.
fn disconnect(state: &mut State, gone: &Value) {
    let text = |pointer: &str| {
        gone.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let target =
        text("/properties/privateLinkServiceConnections/0/properties/privateLinkServiceId");
    let name = text("/name");
    for acr in &mut state.registries {
        if acr.id.eq_ignore_ascii_case(target) {
            acr.private.retain(|(endpoint, _)| endpoint.name != name);
        }
    }
}
