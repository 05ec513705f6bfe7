//! The metadata service of a machine: tokens for the identities that are attached to it.
//!
//! Which machine asks is known from the connection (`Conn::client`), as on a real host, where
//! 169.254.169.254 answers for the machine it is called from.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::state::{Machine, State, Who};
use super::{TOKEN_LIFETIME, entra_token};
use crate::core::{Call, Core};
use crate::message::{Reply, json_reply, param};

const API_VERSIONS: [&str; 4] = ["2018-02-01", "2019-08-01", "2020-06-01", "2021-02-01"];

pub(crate) fn answer(core: &Core, call: &Call<'_>) -> Reply {
    if call.headers.contains_key("x-forwarded-for")
        || !call
            .headers
            .get("metadata")
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
    {
        return refuse(
            StatusCode::BAD_REQUEST,
            "bad_request_102",
            "Required metadata header not specified",
        );
    }
    if *call.method != Method::GET {
        return refuse(
            StatusCode::METHOD_NOT_ALLOWED,
            "bad_request",
            "Method not allowed",
        );
    }
    let Some(version) = param(call.query, "api-version") else {
        return json_reply(
            StatusCode::BAD_REQUEST,
            &json!({
                "error": "Bad request. api-version is invalid or was not specified in the request.",
                "newest-versions": API_VERSIONS,
            }),
        );
    };
    if !version.starts_with("20") {
        return refuse(
            StatusCode::BAD_REQUEST,
            "bad_request",
            "api-version is invalid",
        );
    }
    let Some(azure) = &core.azure else {
        return refuse(StatusCode::NOT_FOUND, "not_found", "no tenant");
    };
    let state = azure.read();
    let machine = state.machines.get(call.connection.client.as_ref());
    match (call.path, machine) {
        ("/metadata/identity/oauth2/token", machine) => token(core, call, &state, machine),
        ("/metadata/instance" | "/metadata/instance/compute", Some(machine)) => {
            let compute = compute(call, &state, machine);
            let whole = call.path == "/metadata/instance";
            json_reply(
                StatusCode::OK,
                &if whole {
                    json!({"compute": compute})
                } else {
                    compute
                },
            )
        }
        _ => refuse(
            StatusCode::NOT_FOUND,
            "not_found",
            "The requested resource was not found",
        ),
    }
}

fn compute(call: &Call<'_>, state: &State, machine: &Machine) -> Value {
    json!({
        "azEnvironment": state.cloud.environment(),
        "location": machine.location,
        "name": call.connection.client.as_ref(),
        "osType": "Linux",
        "provider": "Microsoft.Compute",
        "resourceGroupName": machine.group,
        "resourceId": machine.id,
        "subscriptionId": machine.subscription,
        "vmScaleSetName": machine.scale_set,
    })
}

fn token(core: &Core, call: &Call<'_>, state: &State, machine: Option<&Machine>) -> Reply {
    let resource = param(call.query, "resource").unwrap_or_default();
    if resource.is_empty() {
        return refuse(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "Required query variable 'resource' is missing",
        );
    }
    if !resource.starts_with("https://") {
        let text = format!(
            "AADSTS500011: The resource principal named {resource} was not found in the tenant named {}. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant.",
            state.name
        );
        return refuse(StatusCode::BAD_REQUEST, "invalid_resource", &text);
    }
    let attached: Vec<&Who> = machine
        .into_iter()
        .flat_map(|machine| &machine.identities)
        .filter_map(|id| state.principals.get(id))
        .collect();
    let wanted = |key: &str| param(call.query, key).filter(|text| !text.is_empty());
    let resource_id = wanted("mi_res_id").or_else(|| wanted("msi_res_id"));
    let found = if let Some(id) = wanted("client_id") {
        attached
            .iter()
            .find(|who| who.client_id.eq_ignore_ascii_case(&id))
    } else if let Some(id) = wanted("object_id") {
        attached
            .iter()
            .find(|who| who.object_id.eq_ignore_ascii_case(&id))
    } else if let Some(id) = resource_id {
        attached.iter().find(|who| {
            who.resource_id
                .as_ref()
                .is_some_and(|own| own.eq_ignore_ascii_case(&id))
        })
    } else if attached.len() > 1 {
        return refuse(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request",
        );
    } else {
        attached.first()
    };
    let Some(who) = found else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "Identity not found",
        );
    };
    let now = core.clock.now().as_second();
    let lifetime = TOKEN_LIFETIME.as_secs();
    json_reply(
        StatusCode::OK,
        &json!({
            "access_token": entra_token(&core.keys, core.clock, &core.random, state, &who.object_id, &resource, Value::Null),
            "client_id": who.client_id,
            "expires_in": lifetime.to_string(),
            "expires_on": (now + lifetime.cast_signed()).to_string(),
            "ext_expires_in": lifetime.to_string(),
            "not_before": (now - 300).to_string(),
            "refresh_token": "",
            "resource": resource,
            "token_type": "Bearer",
        }),
    )
}

fn refuse(status: StatusCode, error: &str, description: &str) -> Reply {
    json_reply(
        status,
        &json!({"error": error, "error_description": description}),
    )
}
