//! Registries beyond reading one: updates, admin credentials, imports, and what belongs to one.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::resources::REGISTRIES;
use super::shapes::registry_json;
use super::{ArmError, Outcome, Request, import, not_allowed, operations};
use crate::azure::state::{Acr, State, ranges};
use crate::azure::tenant::Sku;
use crate::message::json_reply;

pub(super) fn answer(
    request: &Request<'_>,
    id: &str,
    rest: &[&str],
    not_found: impl Fn(&str) -> ArmError,
) -> Outcome {
    let mut state = request.azure.write();
    let position = state
        .registries
        .iter()
        .position(|acr| acr.id.eq_ignore_ascii_case(id));
    let need = |action: &str| request.need(&state, id, &format!("{REGISTRIES}/{action}"));
    match (request.call.method.as_str(), rest) {
        ("GET", [list]) => {
            need("read")?;
            let acr = position
                .and_then(|position| state.registries.get(position))
                .ok_or_else(|| not_found(REGISTRIES))?;
            let items = parts(&state, acr, list)?;
            return Ok(request.page(&state, items));
        }
        ("POST", ["importimage"]) => {
            need("importImage/action")?;
            let acr = position
                .and_then(|position| state.registries.get(position))
                .ok_or_else(|| not_found(REGISTRIES))?;
            let target = acr.login_server.clone();
            let place = format!(
                "/subscriptions/{}/providers/Microsoft.ContainerRegistry/locations/{}",
                acr.subscription, acr.spec.location
            );
            import::carry_out(request, &state, &target)?;
            return Ok(operations::accepted(request, &mut state, &place, None));
        }
        // An update by PUT of the whole resource changes what it names, which comes to the same.
        ("PATCH" | "PUT", []) => {
            need("write")?;
            let position = position.ok_or_else(|| not_found(REGISTRIES))?;
            let acr = state
                .registries
                .get_mut(position)
                .ok_or_else(|| not_found(REGISTRIES))?;
            patch(acr, &request.body)?;
        }
        ("POST", ["listcredentials"]) => {
            need("listCredentials/action")?;
            let acr = position
                .and_then(|position| state.registries.get(position))
                .ok_or_else(|| not_found(REGISTRIES))?;
            if !acr.spec.admin_user {
                return Err(ArmError::bad_request(
                    "UnAuthorizedForCredentialOperations",
                    format!(
                        "Cannot perform credential operations for {} as admin user is disabled. Kindly enable admin user as per docs: https://docs.microsoft.com/en-us/azure/container-registry/container-registry-authentication#admin-account",
                        acr.id
                    ),
                ));
            }
            let [first, second] = &acr.admin_passwords;
            return Ok(json_reply(
                StatusCode::OK,
                &json!({
                    "username": acr.spec.name,
                    "passwords": [{"name": "password", "value": first}, {"name": "password2", "value": second}],
                }),
            ));
        }
        _ => return Err(not_allowed(request.call.method)),
    }
    let acr = position
        .and_then(|position| state.registries.get(position))
        .ok_or_else(|| not_found(REGISTRIES))?;
    Ok(json_reply(StatusCode::OK, &registry_json(&state, acr)))
}

/// What belongs to a registry and is a list of its own.
fn parts(state: &State, acr: &Acr, list: &str) -> Result<Vec<Value>, ArmError> {
    let whole = registry_json(state, acr);
    Ok(match list {
        "privateendpointconnections" => whole
            .pointer("/properties/privateEndpointConnections")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default(),
        // The home region is a replica of its own, and the only one that is modelled.
        "replications" if acr.sku() == Sku::Premium => {
            let location = &acr.spec.location;
            vec![json!({
                "id": format!("{}/replications/{location}", acr.id), "name": location,
                "type": format!("{REGISTRIES}/replications"), "location": location, "tags": {},
                "properties": {
                    "provisioningState": "Succeeded", "regionEndpointEnabled": true, "zoneRedundancy": "Disabled",
                    "status": {"displayStatus": "Ready", "message": null, "timestamp": state.start.to_string()},
                },
            })]
        }
        // There is no artifact cache.
        "replications" | "cacherules" | "credentialsets" => Vec::new(),
        other => {
            return Err(ArmError::new(
                StatusCode::NOT_FOUND,
                "InvalidResourceType",
                format!(
                    "The resource type 'registries/{other}' could not be found in the namespace 'Microsoft.ContainerRegistry'."
                ),
            ));
        }
    })
}

/// Everything is read before anything is changed.
fn patch(acr: &mut Acr, body: &Value) -> Result<(), ArmError> {
    let invalid = |what: &str, value: &Value| {
        ArmError::bad_request(
            "InvalidParameter",
            format!("The value {value} of parameter {what} is invalid."),
        )
    };
    let mut spec = acr.spec.clone();
    let mut allowed = acr.allowed.clone();
    let mut idle = acr.idle.clone();
    if let Some(sku) = body.get("sku").and_then(|sku| sku.get("name")) {
        spec.sku = sku
            .as_str()
            .and_then(Sku::parse)
            .ok_or_else(|| invalid("sku.name", sku))?;
    }
    let empty = Map::new();
    let properties = body
        .get("properties")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let flag = |key: &str, current: bool| match properties.get(key) {
        None | Some(Value::Null) => Ok(current),
        Some(Value::Bool(on)) => Ok(*on),
        Some(other) => Err(invalid(key, other)),
    };
    let choice = |key: &str, on: &str, off: &str, current: bool| match properties.get(key) {
        None | Some(Value::Null) => Ok(current),
        Some(value)
            if value
                .as_str()
                .is_some_and(|text| text.eq_ignore_ascii_case(on)) =>
        {
            Ok(true)
        }
        Some(value)
            if value
                .as_str()
                .is_some_and(|text| text.eq_ignore_ascii_case(off)) =>
        {
            Ok(false)
        }
        Some(other) => Err(invalid(key, other)),
    };
    spec.admin_user = flag("adminUserEnabled", spec.admin_user)?;
    spec.anonymous_pull = flag("anonymousPullEnabled", spec.anonymous_pull)?;
    spec.data_endpoint = flag("dataEndpointEnabled", spec.data_endpoint)?;
    spec.public_network = choice(
        "publicNetworkAccess",
        "Enabled",
        "Disabled",
        spec.public_network,
    )?;
    spec.abac = choice(
        "roleAssignmentMode",
        "AbacRepositoryPermissions",
        "LegacyRegistryPermissions",
        spec.abac,
    )?;
    if let Some(policy) = properties.get("policies").and_then(|policies| {
        policies
            .get("azureADAuthenticationAsArmPolicy")?
            .get("status")
    }) {
        spec.arm_audience = policy
            .as_str()
            .ok_or_else(|| invalid("status", policy))?
            .eq_ignore_ascii_case("enabled");
    }
    if let Some(rules) = properties
        .get("networkRuleSet")
        .filter(|rules| rules.is_object())
    {
        let texts: Vec<String> = rules
            .get("ipRules")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|rule| rule.get("value").and_then(Value::as_str).map(str::to_owned))
            .collect();
        let deny = rules
            .get("defaultAction")
            .and_then(Value::as_str)
            .is_some_and(|action| action.eq_ignore_ascii_case("Deny"));
        let rules = ranges(&texts).map_err(|_| invalid("networkRuleSet.ipRules", rules))?;
        (allowed, idle) = if deny {
            (Some(rules), Vec::new())
        } else {
            (None, rules)
        };
    }
    acr.spec = spec;
    acr.allowed = allowed;
    acr.idle = idle;
    Ok(())
}
