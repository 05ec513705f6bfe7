//! The token endpoint of Entra: client credentials, version 1 and 2.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{TOKEN_LIFETIME, entra_token};
use crate::core::{Call, Core};
use crate::message::{Reply, json_reply, param};

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
    let found = state
        .principals
        .values()
        .find(|who| who.client_id.eq_ignore_ascii_case(&client_id) && who.secret.is_some());
    let Some((who, (secret, expires))) = found.and_then(|who| Some((who, who.secret.as_ref()?)))
    else {
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
    if !crate::auth::accounts::equal(secret.as_bytes(), value("client_secret").as_bytes()) {
        let text = format!(
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{client_id}'."
        );
        return refuse(
            core,
            &refused(StatusCode::UNAUTHORIZED, "invalid_client", 7_000_215, text),
        );
    }
    if expires.is_some_and(|until| core.clock.now() >= until) {
        let text = format!(
            "The provided client secret keys for app '{client_id}' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds."
        );
        return refuse(
            core,
            &refused(StatusCode::UNAUTHORIZED, "invalid_client", 7_000_222, text),
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
