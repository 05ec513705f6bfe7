//! Who may do what: policies, what a request needs, and the refusal that a client can act on.
//!
//! A request either comes out of here with a `Caller`, or with a 401 and a challenge (or a 403).
//! Tokens are real: signed with a key of the run, checked for signature, time, audience and kind.

pub(crate) mod accounts;
pub(crate) mod jwt;
pub(crate) mod token;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::{Value, json};

pub use accounts::Accounts;
pub(crate) use accounts::Rights;
use accounts::Wrong;

use crate::host::Flavour;
use crate::message::{Refusal, param, text_of};
use crate::protocol::{Route, Target};

/// Who may do what.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum AuthPolicy {
    /// Everybody may do everything.
    #[default]
    Open,
    /// Name and password with every request.
    Basic(Accounts),
    /// A Bearer challenge and a token service at the registry itself.
    Token(TokenService),
}

/// A token service (distribution's "token" and "oauth2" specifications).
#[derive(Clone, Debug)]
pub struct TokenService {
    pub(crate) accounts: Accounts,
    pub(crate) path: String,
    pub(crate) realm: Option<String>,
    pub(crate) service: Option<String>,
    pub(crate) expires_in: Duration,
    pub(crate) accepts_post: bool,
}

impl TokenService {
    /// A service at `/token` for these accounts; tokens last five minutes.
    pub fn new(accounts: Accounts) -> Self {
        Self {
            accounts,
            path: "/token".into(),
            realm: None,
            service: None,
            expires_in: Duration::from_mins(5),
            accepts_post: true,
        }
    }

    /// The path of the token endpoint at this registry.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// The realm to announce instead of the registry's own address; the service answers for its
    /// own path all the same.
    #[must_use]
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.realm = Some(realm.into());
        self
    }

    /// The service to announce instead of the host name.
    #[must_use]
    pub fn service(mut self, service: impl Into<String>) -> Self {
        self.service = Some(service.into());
        self
    }

    /// How long tokens last; at least a minute, as clients assume.
    #[must_use]
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.expires_in = time.max(Duration::from_mins(1));
        self
    }

    /// Whether the endpoint knows POST (404 otherwise, as some services answer).
    #[must_use]
    pub fn accepts_post(mut self, on: bool) -> Self {
        self.accepts_post = on;
        self
    }
}

/// Who a request comes from and what that one may do.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) identity: Identity,
    pub(crate) rights: Rights,
}

/// Whom quotas count a request for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Identity {
    Anonymous,
    Named(String),
}

impl Caller {
    pub(crate) fn anybody() -> Self {
        Self {
            identity: Identity::Anonymous,
            rights: Rights::all(),
        }
    }
}

/// One entry of a scope: `repository:<name>:<actions>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) actions: Vec<String>,
}

/// A token asks for no more scopes than this.
const MAX_SCOPES: usize = 64;

impl Scope {
    pub(crate) fn repository(name: &str, actions: &[&str]) -> Self {
        Self {
            kind: "repository".into(),
            name: name.into(),
            actions: actions.iter().map(ToString::to_string).collect(),
        }
    }

    /// What a request needs; nothing for `/v2/`.
    pub(crate) fn needed(target: Target<'_>, method: &Method, query: &str) -> Vec<Self> {
        let name = target.repository;
        match target.route {
            Route::Catalog => vec![Self {
                kind: "registry".into(),
                name: "catalog".into(),
                actions: vec!["*".into()],
            }],
            Route::Tags | Route::Referrers => vec![Self::repository(name, &["pull"])],
            Route::UploadStart | Route::Upload => {
                let mut scopes = vec![Self::repository(name, &["pull", "push"])];
                let from = param(query, "from").filter(|from| {
                    param(query, "mount").is_some() && !from.is_empty() && from != name
                });
                scopes.extend(from.map(|from| Self::repository(&from, &["pull"])));
                scopes
            }
            Route::Manifest | Route::Blob => {
                let actions: &[&str] = match *method {
                    Method::PUT => &["pull", "push"],
                    Method::DELETE => &["delete"],
                    _ => &["pull"],
                };
                vec![Self::repository(name, actions)]
            }
            _ => Vec::new(),
        }
    }

    /// Reads scope parameters, each of which may hold several; what cannot be read is left out.
    pub(crate) fn parse_all(texts: impl Iterator<Item = String>) -> Vec<Self> {
        let mut scopes: Vec<Self> = Vec::new();
        for text in texts {
            scopes.extend(
                text.split_whitespace()
                    .filter_map(Self::parse)
                    .take(MAX_SCOPES),
            );
        }
        scopes.truncate(MAX_SCOPES);
        scopes
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        // `repository(plugin)` names a class, which nobody needs any more.
        let kind = kind.split('(').next().unwrap_or(kind);
        Some(Self {
            kind: kind.into(),
            name: name.into(),
            actions: actions
                .split(',')
                .filter(|action| !action.is_empty())
                .map(Into::into)
                .collect(),
        })
    }

    pub(crate) fn to_claim(&self) -> Value {
        json!({"type": self.kind, "name": self.name, "actions": self.actions})
    }

    pub(crate) fn from_claim(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let actions = value.get("actions")?.as_array()?;
        Some(Self {
            kind: text("type")?,
            name: text("name")?,
            actions: actions
                .iter()
                .filter_map(|action| action.as_str().map(str::to_owned))
                .collect(),
        })
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.kind, self.name, self.actions.join(","))
    }
}

/// The credential that came with a request.
pub(crate) enum Credential {
    None,
    Basic { user: String, password: String },
    Bearer(String),
    Unreadable,
}

impl Credential {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        if !headers.contains_key(header::AUTHORIZATION) {
            return Self::None;
        }
        let Some((scheme, value)) =
            text_of(headers, header::AUTHORIZATION).and_then(|text| text.split_once(' '))
        else {
            return Self::Unreadable;
        };
        if scheme.eq_ignore_ascii_case("bearer") {
            return Self::Bearer(value.trim().to_owned());
        }
        let decoded = STANDARD
            .decode(value.trim())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        match decoded.as_deref().and_then(|text| text.split_once(':')) {
            Some((user, password)) if scheme.eq_ignore_ascii_case("basic") => Self::Basic {
                user: user.to_owned(),
                password: password.to_owned(),
            },
            _ => Self::Unreadable,
        }
    }
}

/// Why a Bearer challenge is sent again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Complaint {
    None,
    InvalidToken,
    InsufficientScope,
}

/// 401 with a Bearer challenge.
pub(crate) fn bearer_challenge(
    realm: &str,
    service: &str,
    scopes: &[Scope],
    complaint: Complaint,
    message: String,
) -> Box<Refusal> {
    let mut challenge = format!("Bearer realm=\"{realm}\",service=\"{service}\"");
    if !scopes.is_empty() {
        let list: Vec<String> = scopes.iter().map(ToString::to_string).collect();
        challenge += &[",scope=\"", &list.join(" "), "\""].concat();
    }
    match complaint {
        Complaint::None => {}
        Complaint::InvalidToken => challenge += ",error=\"invalid_token\"",
        Complaint::InsufficientScope => challenge += ",error=\"insufficient_scope\"",
    }
    unauthorized(message, scopes).header(header::WWW_AUTHENTICATE, &challenge)
}

/// 401 without a challenge, for token endpoints.
pub(crate) fn unauthorized(message: String, scopes: &[Scope]) -> Box<Refusal> {
    let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message);
    if scopes.is_empty() {
        return refusal;
    }
    let detail = scopes.iter().flat_map(|scope| {
        scope.actions.iter().map(
            |action| json!({"Type": scope.kind, "Class": "", "Name": scope.name, "Action": action}),
        )
    });
    refusal.detail(detail.collect())
}

/// Decides about a request under one of the plain policies.
pub(crate) struct Gate<'a> {
    pub(crate) policy: &'a AuthPolicy,
    pub(crate) tokens: &'a token::Signer<'a>,
    pub(crate) flavour: Flavour,
    pub(crate) host: &'a str,
    /// `https://registry.example:5000`, where the client reached us.
    pub(crate) origin: &'a str,
    pub(crate) headers: &'a HeaderMap,
}

impl Gate<'_> {
    pub(crate) fn admit(&self, needed: &[Scope]) -> Result<Caller, Box<Refusal>> {
        match self.policy {
            AuthPolicy::Open => Ok(Caller::anybody()),
            AuthPolicy::Basic(accounts) => self.basic(accounts, needed),
            AuthPolicy::Token(service) => self.token(service, needed),
        }
    }

    fn basic(&self, accounts: &Accounts, needed: &[Scope]) -> Result<Caller, Box<Refusal>> {
        let challenge = || {
            let realm = format!("Basic realm=\"{}\"", self.host);
            unauthorized("authentication required".into(), needed)
                .header(header::WWW_AUTHENTICATE, &realm)
        };
        let rights = match Credential::of(self.headers) {
            Credential::Basic { user, password } => {
                let now = self.tokens.clock.now();
                let rights =
                    accounts
                        .check(&user, &password, now)
                        .map_err(|wrong| match wrong {
                            // Only Amazon tells the two apart.
                            Wrong::Expired if self.flavour == Flavour::Ecr => {
                                Refusal::new(StatusCode::FORBIDDEN, "EXPIRED", "expired")
                            }
                            Wrong::Credential | Wrong::Expired => challenge(),
                        })?;
                Caller {
                    identity: Identity::Named(user),
                    rights: rights.clone(),
                }
            }
            Credential::None
                if !needed.is_empty()
                    && needed.iter().all(|scope| accounts.anonymous.covers(scope)) =>
            {
                return Ok(Caller {
                    identity: Identity::Anonymous,
                    rights: accounts.anonymous.clone(),
                });
            }
            _ => return Err(challenge()),
        };
        if needed.iter().all(|scope| rights.rights.covers(scope)) {
            Ok(rights)
        } else {
            Err(denied(needed))
        }
    }

    fn token(&self, service: &TokenService, needed: &[Scope]) -> Result<Caller, Box<Refusal>> {
        let realm = service
            .realm
            .clone()
            .unwrap_or_else(|| format!("{}{}", self.origin, service.path));
        let audience = service.service.as_deref().unwrap_or(self.host);
        let challenge = |complaint| {
            bearer_challenge(
                &realm,
                audience,
                needed,
                complaint,
                "authentication required".into(),
            )
        };
        let Credential::Bearer(token) = Credential::of(self.headers) else {
            return Err(challenge(Complaint::None));
        };
        let caller = self
            .tokens
            .access(&token, audience)
            .map_err(|_| challenge(Complaint::InvalidToken))?;
        if needed.iter().all(|scope| caller.rights.covers(scope)) {
            Ok(caller)
        } else {
            Err(challenge(Complaint::InsufficientScope))
        }
    }
}

fn denied(needed: &[Scope]) -> Box<Refusal> {
    let detail: Vec<Value> = needed.iter().map(Scope::to_claim).collect();
    Refusal::new(
        StatusCode::FORBIDDEN,
        "DENIED",
        "requested access to the resource is denied",
    )
    .detail(json!(detail))
}
