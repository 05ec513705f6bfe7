//! The token endpoint of Entra: client credentials, version 1 and 2, by a secret or by a federated assertion.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::state::{State, Who};
use super::{TOKEN_LIFETIME, entra_token};
use crate::auth::jwt::{self, Unaccepted};
use crate::core::{Call, Core};
use crate::message::{Reply, json_reply, param};

/// Whom a token is made out to that is to be exchanged here.
pub(super) const EXCHANGE_AUDIENCE: &str = "api://AzureADTokenExchange";

struct Refused {
    status: StatusCode,
    error: &'static str,
    number: u32,
    text: String,
}

pub(crate) fn answer(core: &Core, call: &Call<'_>, form: &str) -> Reply {
    let Some(azure) = &core.azure else {
        return refuse(
            core,
            &refused(
                StatusCode::NOT_FOUND,
                "invalid_request",
                90002,
                "Tenant not found.".into(),
            ),
        );
    };
    let state = azure.read();
    let parts: Vec<&str> = call.path.trim_matches('/').split('/').collect();
    let (tenant, version) = match parts.as_slice() {
        [tenant, "oauth2", "token"] => (*tenant, 1),
        [tenant, "oauth2", "v2.0", "token"] => (*tenant, 2),
        [tenant, "v2.0", ".well-known", "openid-configuration"] if *call.method == Method::GET => {
            return discovery(tenant, call.authority);
        }
        _ => {
            return refuse(
                core,
                &refused(
                    StatusCode::NOT_FOUND,
                    "invalid_request",
                    900_144,
                    "No such endpoint.".into(),
                ),
            );
        }
    };
    if *call.method != Method::POST {
        return refuse(
            core,
            &refused(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                900_561,
                "The endpoint only accepts POST requests.".into(),
            ),
        );
    }
    let value = |key: &str| param(form, key).unwrap_or_default();
    if !tenant.eq_ignore_ascii_case(&state.tenant_id) && tenant != state.name {
        let text = format!(
            "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."
        );
        return refuse(
            core,
            &refused(StatusCode::BAD_REQUEST, "invalid_request", 90002, text),
        );
    }
    if value("grant_type") != "client_credentials" {
        let text = "The request body must contain the following parameter: 'grant_type' with the value 'client_credentials'.".into();
        return refuse(
            core,
            &refused(
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                70003,
                text,
            ),
        );
    }
    let client_id = value("client_id");
    let assertion = value("client_assertion");
    let federated = |object_id: &str| state.federated.iter().any(|(who, ..)| who == object_id);
    let found = state.principals.values().find(|who| {
        who.client_id.eq_ignore_ascii_case(&client_id)
            && if assertion.is_empty() {
                who.secret.is_some()
            } else {
                federated(&who.object_id)
            }
    });
    let Some(who) = found else {
        let text = format!(
            "Application with identifier '{client_id}' was not found in the directory '{}'.",
            state.name
        );
        return refuse(
            core,
            &refused(
                StatusCode::BAD_REQUEST,
                "unauthorized_client",
                700_016,
                text,
            ),
        );
    };
    let proven = if assertion.is_empty() {
        by_secret(core, who, &value("client_secret"))
    } else {
        by_assertion(core, &state, who, &assertion)
    };
    if let Err((number, text)) = proven {
        return refuse(
            core,
            &refused(StatusCode::UNAUTHORIZED, "invalid_client", number, text),
        );
    }
    let audience = if version == 1 {
        value("resource")
    } else {
        value("scope")
            .split_whitespace()
            .find_map(|scope| scope.strip_suffix("/.default"))
            .unwrap_or_default()
            .to_owned()
    };
    if audience.is_empty() {
        let text = "The provided value for the input parameter 'scope' is not valid. The scope must end with '/.default'.".into();
        return refuse(
            core,
            &refused(StatusCode::BAD_REQUEST, "invalid_scope", 1_002_012, text),
        );
    }
    let token = entra_token(
        &core.keys,
        core.clock,
        &core.random,
        &state,
        &who.object_id,
        &audience,
        Value::Null,
    );
    let lifetime = TOKEN_LIFETIME.as_secs();
    json_reply(
        StatusCode::OK,
        &json!({
            "token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token,
        }),
    )
}

/// The application knows its secret, and the secret is still good; else the number and words of Entra.
fn by_secret(core: &Core, who: &Who, given: &str) -> Result<(), (u32, String)> {
    let client_id = &who.client_id;
    let (secret, expires) = who
        .secret
        .as_ref()
        .map_or(("", None), |(secret, expires)| (secret.as_str(), *expires));
    if secret.is_empty() || !crate::auth::accounts::equal(secret.as_bytes(), given.as_bytes()) {
        let text = format!(
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{client_id}'."
        );
        return Err((7_000_215, text));
    }
    if expires.is_some_and(|until| core.clock.now() >= until) {
        let text = format!(
            "The provided client secret keys for app '{client_id}' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds."
        );
        return Err((7_000_222, text));
    }
    Ok(())
}

/// The token of a service account that a federated credential of this identity names.
fn by_assertion(
    core: &Core,
    state: &State,
    who: &Who,
    assertion: &str,
) -> Result<(), (u32, String)> {
    let claims = jwt::verify(&core.keys, assertion, core.clock.now().as_second()).map_err(
        |why| match why {
            Unaccepted::Expired | Unaccepted::NotYet => (
                700_024,
                "Client assertion is not within its valid time range.".to_owned(),
            ),
            _ => (50_027, "JWT token is invalid or malformed.".to_owned()),
        },
    )?;
    let for_us = claims
        .get("aud")
        .and_then(Value::as_array)
        .is_some_and(|all| all.iter().any(|one| one == EXCHANGE_AUDIENCE));
    if !for_us {
        let text = format!(
            "No matching federated identity record found for presented assertion audience '{}'. Please note that the audience value should be '{EXCHANGE_AUDIENCE}'.",
            claims.get("aud").unwrap_or(&Value::Null)
        );
        return Err((700_212, text));
    }
    let (issuer, subject) = (jwt::claim(&claims, "iss"), jwt::claim(&claims, "sub"));
    let known = state
        .federated
        .iter()
        .any(|(id, iss, sub)| *id == who.object_id && iss == issuer && sub == subject);
    if known {
        return Ok(());
    }
    let text = format!(
        "No matching federated identity record found for presented assertion subject '{subject}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion."
    );
    Err((700_213, text))
}

/// What clients read before they ask for a token.
fn discovery(tenant: &str, authority: &str) -> Reply {
    let base = format!("https://{authority}/{tenant}");
    json_reply(
        StatusCode::OK,
        &json!({
            "token_endpoint": format!("{base}/oauth2/v2.0/token"),
            "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
            "issuer": format!("{base}/v2.0"),
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["pairwise"],
            "tenant_region_scope": "EU",
            "cloud_instance_name": "microsoftonline.com",
        }),
    )
}

fn refused(status: StatusCode, error: &'static str, number: u32, text: String) -> Refused {
    Refused {
        status,
        error,
        number,
        text,
    }
}

fn refuse(core: &Core, refused: &Refused) -> Reply {
    let now = core.clock.now().strftime("%Y-%m-%d %H:%M:%SZ").to_string();
    let (trace, correlation) = (core.random.guid(), core.random.guid());
    json_reply(
        refused.status,
        &json!({
            "error": refused.error,
            "error_description": format!("AADSTS{}: {} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}", refused.number, refused.text),
            "error_codes": [refused.number],
            "timestamp": now,
            "trace_id": trace,
            "correlation_id": correlation,
        }),
    )
}
