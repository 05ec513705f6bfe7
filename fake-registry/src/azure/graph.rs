//! Microsoft Graph, as far as names of principals and secrets of applications are asked for.
//!
//! Directory roles are not modelled: whoever signs in to the tenant may read and may reset a
//! secret. What is asked beyond that is refused.

use http::{Method, StatusCode};
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use super::read_entra_token;
use super::state::{State, Who};
use crate::auth::Credential;
use crate::core::{Call, Core};
use crate::message::{Reply, empty_reply, json_reply, param};

const AUDIENCES: [&str; 1] = ["https://graph.microsoft.com/"];

pub(crate) fn answer(core: &Core, call: &Call<'_>, body: &[u8]) -> Reply {
    let Some(azure) = &core.azure else {
        return refuse(core, StatusCode::NOT_FOUND, "ResourceNotFound", "no tenant");
    };
    let token = match Credential::of(call.headers) {
        Credential::Bearer(token) => token,
        _ => String::new(),
    };
    let claims = read_entra_token(&core.keys, core.clock, &azure.read(), &token, &AUDIENCES);
    if claims.is_err() {
        return refuse(
            core,
            StatusCode::UNAUTHORIZED,
            "InvalidAuthenticationToken",
            "Access token is empty, expired or for another audience.",
        );
    }
    let Some(path) = call.path.strip_prefix("/v1.0/") else {
        return not_found(core, call.path);
    };
    let words: Vec<&str> = path.trim_matches('/').split('/').collect();
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let get = *call.method == Method::GET;
    let post = *call.method == Method::POST;
    match words.as_slice() {
        ["directoryObjects", "getByIds"] if post => {
            let ids: Vec<&str> = body
                .get("ids")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            list(&azure.read(), |who| {
                ids.iter().any(|id| id.eq_ignore_ascii_case(&who.object_id))
            })
        }
        [kind] if get && of_kind(kind).is_some() => {
            let filter = param(call.query, "$filter").unwrap_or_default();
            let Some(wanted) = value_of(&filter) else {
                return refuse(
                    core,
                    StatusCode::BAD_REQUEST,
                    "Request_UnsupportedQuery",
                    "Unsupported or invalid query filter clause.",
                );
            };
            list(&azure.read(), |who| {
                of_kind(kind) == Some(who.kind)
                    && [&who.client_id, &who.name, &who.object_id]
                        .iter()
                        .any(|known| known.eq_ignore_ascii_case(&wanted))
            })
        }
        [kind, id] if get => {
            let state = azure.read();
            let found = state
                .principals
                .get(*id)
                .filter(|who| of_kind(kind) == Some(who.kind));
            found.map_or_else(
                || not_found(core, id),
                |who| json_reply(StatusCode::OK, &to_json(&state, who)),
            )
        }
        ["servicePrincipals" | "applications", id, "addPassword"] if post => {
            add_password(core, &mut azure.write(), id, &body)
        }
        ["servicePrincipals" | "applications", id, "removePassword"] if post => {
            let mut state = azure.write();
            match state.principals.get_mut(*id) {
                Some(who) => {
                    who.secret = None;
                    empty_reply(StatusCode::NO_CONTENT)
                }
                None => not_found(core, id),
            }
        }
        _ => not_found(core, call.path),
    }
}

/// The kind of principal that a collection holds.
fn of_kind(collection: &str) -> Option<&'static str> {
    match collection {
        "servicePrincipals" | "applications" => Some("ServicePrincipal"),
        "users" => Some("User"),
        "groups" => Some("Group"),
        _ => None,
    }
}

/// The text that a filter compares with: `appId eq '…'`, `servicePrincipalNames/any(c:c eq '…')`.
fn value_of(filter: &str) -> Option<String> {
    let (_, rest) = filter.split_once(" eq '")?;
    let (value, _) = rest.split_once('\'')?;
    Some(value.to_owned())
}

fn list(state: &State, wanted: impl Fn(&Who) -> bool) -> Reply {
    let found: Vec<Value> = state
        .principals
        .values()
        .filter(|who| wanted(who))
        .map(|who| to_json(state, who))
        .collect();
    json_reply(StatusCode::OK, &json!({"value": found}))
}

fn to_json(state: &State, who: &Who) -> Value {
    let odata = match who.kind {
        "User" => "#microsoft.graph.user",
        "Group" => "#microsoft.graph.group",
        _ => "#microsoft.graph.servicePrincipal",
    };
    let mut body = json!({"@odata.type": odata, "id": who.object_id, "displayName": who.name});
    let Some(map) = body.as_object_mut() else {
        return body;
    };
    match who.kind {
        "User" => {
            map.insert("userPrincipalName".into(), who.name.as_str().into());
        }
        "Group" => {}
        _ => {
            map.insert("appId".into(), who.client_id.as_str().into());
            let names = [who.client_id.as_str()];
            map.insert("servicePrincipalNames".into(), json!(names));
            let kind = if who.resource_id.is_some() {
                "ManagedIdentity"
            } else {
                "Application"
            };
            map.insert("servicePrincipalType".into(), kind.into());
            let passwords: Vec<Value> = who
                .secret
                .iter()
                .map(|(_, expires)| {
                    json!({
                        "keyId": state.guid(&format!("secret/{}", who.object_id)), "displayName": null,
                        "endDateTime": expires.map(|at| at.to_string()), "secretText": null,
                    })
                })
                .collect();
            map.insert("passwordCredentials".into(), passwords.into());
            map.insert("keyCredentials".into(), json!([]));
        }
    }
    body
}

/// A new secret in the place of the old one, for two years if nothing else is asked for.
fn add_password(core: &Core, state: &mut State, id: &str, body: &Value) -> Reply {
    let until = body
        .pointer("/passwordCredential/endDateTime")
        .and_then(Value::as_str);
    let until = match until.map(str::parse::<Timestamp>) {
        None => core.clock.now().checked_add((2 * 365 * 24).hours()).ok(),
        Some(Ok(until)) => Some(until),
        Some(Err(_)) => {
            return refuse(
                core,
                StatusCode::BAD_REQUEST,
                "Request_BadRequest",
                "endDateTime is no time.",
            );
        }
    };
    let secret = core.random.guid().replace('-', "");
    let key = state.guid(&format!("secret/{id}"));
    let Some(who) = state
        .principals
        .get_mut(id)
        .filter(|who| who.kind == "ServicePrincipal")
    else {
        return not_found(core, id);
    };
    who.secret = Some((secret.clone(), until));
    json_reply(
        StatusCode::OK,
        &json!({
            "keyId": key, "displayName": body.pointer("/passwordCredential/displayName"),
            "startDateTime": core.clock.now().to_string(), "endDateTime": until.map(|at| at.to_string()),
            "hint": secret.get(..3), "secretText": secret,
        }),
    )
}

fn not_found(core: &Core, what: &str) -> Reply {
    refuse(
        core,
        StatusCode::NOT_FOUND,
        "Request_ResourceNotFound",
        &format!(
            "Resource '{what}' does not exist or one of its queried reference-property objects are not present."
        ),
    )
}

fn refuse(core: &Core, status: StatusCode, code: &str, message: &str) -> Reply {
    let date = core.clock.now().strftime("%Y-%m-%dT%H:%M:%S").to_string();
    json_reply(
        status,
        &json!({"error": {
            "code": code, "message": message,
            "innerError": {"date": date, "request-id": core.random.guid()},
        }}),
    )
}
