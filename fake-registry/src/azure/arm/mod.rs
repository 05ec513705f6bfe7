//! Azure Resource Manager: who asks, for what, and the errors in its own words.
//!
//! Rights come from the tenant's roles, as for everybody else: without the right to read, a
//! resource that is there and one that is not look the same (403). Lists show what the caller may
//! see. Ids compare without regard to case.

mod authorization;
mod clusters;
mod documents;
mod import;
pub(super) mod operations;
mod registries;
mod resources;
mod shapes;

use http::{HeaderName, Method, StatusCode, header};
use serde_json::{Value, json};

use super::state::State;
use super::{Azure, read_entra_token};
use crate::auth::Credential;
use crate::auth::jwt::{Unaccepted, claim};
use crate::core::{Call, Core};
use crate::message::{Reply, json_reply, param, set};

/// A request to Resource Manager whose caller is known.
pub(super) struct Request<'a> {
    core: &'a Core,
    call: &'a Call<'a>,
    azure: &'a Azure,
    object_id: String,
    client_id: String,
    /// Rights beyond the tenant's roles.
    all_rights: bool,
    body: Value,
}

/// A refusal of Resource Manager.
pub(super) struct ArmError {
    status: StatusCode,
    code: &'static str,
    message: String,
    headers: Vec<(HeaderName, String)>,
}

pub(super) type Outcome = Result<Reply, ArmError>;

impl ArmError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            headers: Vec::new(),
        }
    }

    fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    fn into_reply(self) -> Reply {
        let mut reply = json_reply(
            self.status,
            &json!({"error": {"code": self.code, "message": self.message}}),
        );
        for (name, value) in self.headers {
            set(&mut reply, name, &value);
        }
        set(
            &mut reply,
            HeaderName::from_static("x-ms-failure-cause"),
            "gateway",
        );
        reply
    }
}

pub(crate) fn answer(core: &Core, call: &Call<'_>, body: &[u8]) -> Reply {
    let outcome = match &core.azure {
        None => Err(ArmError::new(
            StatusCode::NOT_FOUND,
            "NotFound",
            "There is no tenant.",
        )),
        Some(azure) => dispatch(core, call, azure, body),
    };
    let mut reply = outcome.unwrap_or_else(ArmError::into_reply);
    let id = core.random.guid();
    let time = core.clock.now().strftime("%Y%m%dT%H%M%SZ").to_string();
    set(&mut reply, HeaderName::from_static("x-ms-request-id"), &id);
    set(
        &mut reply,
        HeaderName::from_static("x-ms-correlation-request-id"),
        &id,
    );
    set(
        &mut reply,
        HeaderName::from_static("x-ms-routing-request-id"),
        &format!("EASTUS:{time}:{id}"),
    );
    let kind = if *call.method == Method::GET {
        "reads"
    } else {
        "writes"
    };
    if let Ok(name) =
        HeaderName::from_bytes(format!("x-ms-ratelimit-remaining-subscription-{kind}").as_bytes())
    {
        set(&mut reply, name, "11999");
    }
    set(&mut reply, header::CACHE_CONTROL, "no-cache");
    reply
}

fn dispatch(core: &Core, call: &Call<'_>, azure: &Azure, body: &[u8]) -> Outcome {
    let mut request = authenticated(core, call, azure)?;
    match param(call.query, "api-version") {
        None => {
            return Err(ArmError::bad_request(
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
            ));
        }
        Some(version) if !is_version(&version) => {
            return Err(ArmError::bad_request(
                "InvalidApiVersionParameter",
                format!("The api-version '{version}' is invalid."),
            ));
        }
        Some(_) => {}
    }
    if !body.is_empty() {
        request.body = serde_json::from_slice(body).map_err(|error| {
            ArmError::bad_request(
                "InvalidRequestContent",
                format!(
                    "The request content was invalid and could not be deserialized: '{error}'."
                ),
            )
        })?;
    }
    let path = call.path.trim_end_matches('/');
    match split_ignoring_case(path, "/providers/Microsoft.Authorization/") {
        Some((scope, rest)) => {
            authorization::answer(&request, if scope.is_empty() { "/" } else { scope }, rest)
        }
        None => resources::answer(&request, path),
    }
}

/// `2022-04-01`, `2022-04-01-preview`
fn is_version(text: &str) -> bool {
    let date = text.strip_suffix("-preview").unwrap_or(text);
    date.len() == 10
        && date.bytes().enumerate().all(|(at, b)| {
            if at == 4 || at == 7 {
                b == b'-'
            } else {
                b.is_ascii_digit()
            }
        })
}

fn split_ignoring_case<'a>(text: &'a str, at: &str) -> Option<(&'a str, &'a str)> {
    let position = text.to_ascii_lowercase().find(&at.to_ascii_lowercase())?;
    let (head, tail) = text.split_at_checked(position)?;
    Some((head, tail.get(at.len()..)?))
}

fn authenticated<'a>(
    core: &'a Core,
    call: &'a Call<'a>,
    azure: &'a Azure,
) -> Result<Request<'a>, ArmError> {
    let state = azure.read();
    let challenge = |code: &'static str, message: &str| {
        let mut error = ArmError::new(StatusCode::UNAUTHORIZED, code, message);
        let value = format!(
            "Bearer authorization_uri=\"https://login.windows.net/{}\", error=\"invalid_token\", error_description=\"{message}\"",
            state.tenant_id
        );
        error.headers.push((header::WWW_AUTHENTICATE, value));
        error
    };
    let Credential::Bearer(token) = Credential::of(call.headers) else {
        return Err(challenge(
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing.",
        ));
    };
    let claims = read_entra_token(
        &core.keys,
        core.clock,
        &state,
        &token,
        &state.cloud.audiences(),
    )
    .map_err(|why| match why {
        Unaccepted::Expired => challenge(
            "ExpiredAuthenticationToken",
            "The access token expiry UTC time is earlier than current UTC time.",
        ),
        Unaccepted::Purpose => challenge(
            "InvalidAuthenticationTokenAudience",
            "The access token has been obtained for wrong audience or resource.",
        ),
        Unaccepted::Malformed | Unaccepted::Signature | Unaccepted::NotYet => {
            challenge("InvalidAuthenticationToken", "The access token is invalid.")
        }
    })?;
    Ok(Request {
        core,
        call,
        azure,
        object_id: claim(&claims, "oid").to_owned(),
        client_id: claim(&claims, "appid").to_owned(),
        all_rights: claim(&claims, "fake_rights") == "all",
        body: Value::Null,
    })
}

impl Request<'_> {
    fn need(&self, state: &State, scope: &str, action: &str) -> Result<(), ArmError> {
        if self.all_rights || state.allows(&self.object_id, scope, action) {
            return Ok(());
        }
        Err(self.forbidden(scope, action))
    }

    fn forbidden(&self, scope: &str, action: &str) -> ArmError {
        let client = if self.client_id.is_empty() {
            &self.object_id
        } else {
            &self.client_id
        };
        ArmError::new(
            StatusCode::FORBIDDEN,
            "AuthorizationFailed",
            format!(
                "The client '{client}' with object id '{}' does not have authorization to perform action '{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.",
                self.object_id
            ),
        )
    }

    /// For lists: the caller sees what it may read, and is refused if there is nothing it may read
    /// anywhere below.
    fn visible<'s, T>(
        &self,
        state: &State,
        scope: &str,
        action: &str,
        items: impl Iterator<Item = &'s T>,
        id: impl Fn(&T) -> &str,
    ) -> Result<Vec<&'s T>, ArmError> {
        if !self.all_rights && !state.allows_somewhere(&self.object_id, scope, action) {
            return Err(self.forbidden(scope, action));
        }
        Ok(items
            .filter(|item| self.all_rights || state.allows(&self.object_id, id(item), action))
            .collect())
    }

    /// One page of a list.
    fn page(&self, state: &State, items: Vec<Value>) -> Reply {
        const SKIP: &str = "$skiptoken";
        let parameter = |pair: &str| {
            pair.split('=')
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase()
                .replace("%24", "$")
        };
        let start = self
            .call
            .query
            .split('&')
            .find(|pair| parameter(pair) == SKIP);
        let start: usize = start
            .and_then(|pair| pair.split('=').nth(1)?.parse().ok())
            .unwrap_or(0);
        let total = items.len();
        let page: Vec<Value> = items
            .into_iter()
            .skip(start)
            .take(state.page_size)
            .collect();
        let end = start.saturating_add(page.len());
        let mut body = json!({"value": page});
        if end < total
            && let Some(map) = body.as_object_mut()
        {
            let kept: Vec<&str> = self
                .call
                .query
                .split('&')
                .filter(|pair| parameter(pair) != SKIP)
                .collect();
            let scheme = self.call.connection.scheme();
            // The path as it came in, encoded or not.
            let path = self.call.raw_path;
            let link = format!(
                "{scheme}://{}{path}?{}&%24skiptoken={end}",
                self.call.authority,
                kept.join("&")
            );
            map.insert("nextLink".into(), link.into());
        }
        json_reply(StatusCode::OK, &body)
    }
}

fn not_allowed(method: &Method) -> ArmError {
    ArmError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "HttpMethodNotAllowed",
        format!("The requested resource does not support http method '{method}'."),
    )
}
