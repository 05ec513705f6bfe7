//! The token service of a registry: GET as Docker first had it, POST as OAuth 2 has it.
//!
//! A scope that is granted in part, or not at all, is no error here: the token holds the
//! intersection and the registry refuses later.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::jwt::{self, Unaccepted, claim};
use super::{Caller, Credential, Identity, Rights, Scope, TokenService, unauthorized};
use crate::clock::Clock;
use crate::flavour::refuses_token;
use crate::host::Flavour;
use crate::keys::Keys;
use crate::message::{Refusal, Reply, json_reply, param, params, text_of};
use crate::random::Random;

/// Refresh tokens of a plain token service last this long.
const REFRESH: Duration = Duration::from_hours(24);

/// Makes and reads the tokens of one registry.
pub(crate) struct Signer<'a> {
    pub(crate) keys: &'a Keys,
    pub(crate) clock: Clock,
    pub(crate) random: &'a Random,
    pub(crate) issuer: &'a str,
}

impl Signer<'_> {
    fn now(&self) -> i64 {
        self.clock.now().as_second()
    }

    /// A token of a kind; `extra` goes in beside the usual claims.
    pub(crate) fn mint(
        &self,
        kind: &str,
        subject: &str,
        audience: &str,
        lifetime: Duration,
        extra: Value,
    ) -> String {
        let now = self.now();
        let mut claims = Map::new();
        claims.insert("jti".into(), self.random.guid().into());
        claims.insert("sub".into(), subject.into());
        claims.insert("nbf".into(), (now - 60).into());
        claims.insert(
            "exp".into(),
            (now + lifetime.as_secs().cast_signed()).into(),
        );
        claims.insert("iat".into(), now.into());
        claims.insert("iss".into(), self.issuer.into());
        claims.insert("aud".into(), audience.into());
        claims.insert("grant_type".into(), kind.into());
        if let Value::Object(extra) = extra {
            claims.extend(extra);
        }
        jwt::sign(self.keys, &Value::Object(claims))
    }

    /// The claims of a token of a kind for an audience.
    pub(crate) fn read(
        &self,
        token: &str,
        kind: &str,
        audience: &str,
    ) -> Result<Value, Unaccepted> {
        let claims = jwt::verify(self.keys, token, self.now())?;
        let fits = claim(&claims, "grant_type") == kind
            && claim(&claims, "aud") == audience
            && claim(&claims, "iss") == self.issuer;
        if fits {
            Ok(claims)
        } else {
            Err(Unaccepted::Purpose)
        }
    }

    /// Who an access token is for and what it allows.
    pub(crate) fn access(&self, token: &str, audience: &str) -> Result<Caller, Unaccepted> {
        let claims = self.read(token, "access_token", audience)?;
        let access = claims.get("access").and_then(Value::as_array);
        let scopes = access
            .map(|list| list.iter().filter_map(Scope::from_claim).collect())
            .unwrap_or_default();
        let identity = match claim(&claims, "sub") {
            "" => Identity::Anonymous,
            name => Identity::Named(name.to_owned()),
        };
        Ok(Caller {
            identity,
            rights: Rights::of_scopes(scopes),
        })
    }

    pub(crate) fn mint_access(
        &self,
        subject: &str,
        audience: &str,
        lifetime: Duration,
        scopes: &[Scope],
    ) -> String {
        let access: Vec<Value> = scopes.iter().map(Scope::to_claim).collect();
        self.mint(
            "access_token",
            subject,
            audience,
            lifetime,
            json!({"access": access}),
        )
    }
}

/// A request to the token endpoint.
pub(crate) struct TokenRequest<'a> {
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) query: &'a str,
    /// The form of a POST.
    pub(crate) form: &'a str,
    pub(crate) host: &'a str,
    pub(crate) flavour: Flavour,
}

pub(crate) fn answer(
    service: &TokenService,
    signer: &Signer<'_>,
    request: &TokenRequest<'_>,
) -> Result<Reply, Box<Refusal>> {
    let audience = service.service.as_deref().unwrap_or(request.host);
    let is_post = *request.method == Method::POST;
    let text = match *request.method {
        Method::GET => request.query,
        Method::POST if service.accepts_post => request.form,
        Method::POST => {
            return Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "NOT_FOUND",
                "404 page not found",
            ));
        }
        _ => {
            return Err(Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "UNSUPPORTED",
                "The operation is unsupported.",
            )
            .header(header::ALLOW, "GET, POST"));
        }
    };
    let (user, rights) = if is_post {
        who_posts(service, signer, text, audience)?
    } else {
        who_gets(service, request.headers, signer.clock.now())?
    };
    let asked = Scope::parse_all(params(text, "scope"));
    let granted = rights.intersect(&asked);
    if let Some(refusal) = refuses_token(request.flavour, &asked, &granted) {
        return Err(refusal);
    }
    let subject = user.as_deref().unwrap_or_default();
    let token = signer.mint_access(subject, audience, service.expires_in, &granted);
    let offline = param(text, "offline_token").as_deref() == Some("true")
        || param(text, "access_type").as_deref() == Some("offline");
    let refresh = user
        .as_deref()
        .filter(|_| offline)
        .map(|user| signer.mint("refresh_token", user, audience, REFRESH, Value::Null));
    let mut body = if is_post {
        let scope: Vec<String> = granted.iter().map(ToString::to_string).collect();
        json!({"access_token": token, "scope": scope.join(" ")})
    } else {
        json!({"token": token, "access_token": token})
    };
    if let Some(map) = body.as_object_mut() {
        map.insert("expires_in".into(), service.expires_in.as_secs().into());
        map.insert(
            "issued_at".into(),
            signer
                .clock
                .now()
                .strftime("%Y-%m-%dT%H:%M:%SZ")
                .to_string()
                .into(),
        );
        if let Some(refresh) = refresh {
            map.insert("refresh_token".into(), refresh.into());
        }
    }
    Ok(json_reply(StatusCode::OK, &body))
}

fn who_gets<'a>(
    service: &'a TokenService,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<(Option<String>, &'a Rights), Box<Refusal>> {
    match Credential::of(headers) {
        Credential::None => Ok((None, &service.accounts.anonymous)),
        Credential::Basic { user, password } => {
            let rights = service
                .accounts
                .check(&user, &password, now)
                .map_err(|_| refused())?;
            Ok((Some(user), rights))
        }
        Credential::Bearer(_) | Credential::Unreadable => Err(refused()),
    }
}

fn who_posts<'a>(
    service: &'a TokenService,
    signer: &Signer<'_>,
    form: &str,
    audience: &str,
) -> Result<(Option<String>, &'a Rights), Box<Refusal>> {
    let value = |key: &str| param(form, key).unwrap_or_default();
    match value("grant_type").as_str() {
        "password" => {
            let user = value("username");
            let rights = service
                .accounts
                .check(&user, &value("password"), signer.clock.now())
                .map_err(|_| refused())?;
            Ok((Some(user), rights))
        }
        "refresh_token" => {
            let claims = signer
                .read(&value("refresh_token"), "refresh_token", audience)
                .map_err(|_| refused())?;
            let user = claim(&claims, "sub").to_owned();
            let rights = service.accounts.rights(&user).ok_or_else(refused)?;
            Ok((Some(user), rights))
        }
        other => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "UNSUPPORTED",
            format!("unsupported grant_type: {other:?}"),
        )),
    }
}

fn refused() -> Box<Refusal> {
    unauthorized("authentication required".into(), &[])
}

/// A form is only read as one when it says that it is one.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    text_of(headers, header::CONTENT_TYPE)
        .is_some_and(|text| text.starts_with("application/x-www-form-urlencoded"))
}
