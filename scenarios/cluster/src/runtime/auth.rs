//! Who asks: containerd's authorizer (`remotes/docker/authorizer.go`), one for each pull.
//!
//! A 401 teaches it how a host wants to be asked; later requests to that host carry what it wants. Tokens
//! are kept for the length of the pull. Credentials never leave it but in requests.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::challenge::{self, Challenge, Scheme};
use super::error::{FetchError, Refused, TokenError, TransportError, UrlError};
use super::follow::{self, Got};
use super::go;
use super::transport::Client;
use super::url::Url;
use crate::profile::Profile;

const TOKEN_BODY: usize = 1 << 20;

/// A user and a password, or an identity token; one of the attempts that the kubelet makes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Credential {
    /// The user; empty with an identity token.
    pub username: String,
    /// The password or the identity token.
    pub secret: String,
}

impl Credential {
    /// Neither user nor secret: an anonymous attempt.
    pub fn is_anonymous(&self) -> bool {
        self.username.is_empty() && self.secret.is_empty()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// One request of a chain of retries: what was asked and what came.
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) status: u16,
}

/// What a host wants to be asked with.
enum Handler {
    Basic,
    Bearer {
        realm: Url,
        service: Option<String>,
        scopes: Vec<String>,
        token: Mutex<Option<Token>>,
    },
}

struct Token {
    value: String,
    expires: Option<Instant>,
}

/// The authorizer of one pull.
pub(crate) struct Authorizer {
    profile: Profile,
    credential: Credential,
    /// `repository:<name>:pull`, added to what challenges ask for.
    scope: String,
    handlers: Mutex<BTreeMap<String, Arc<Handler>>>,
}

/// What a token service answers; which of the two is looked at first is each client's own habit.
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    #[serde(default)]
    pub(super) token: Option<String>,
    #[serde(default)]
    pub(super) access_token: Option<String>,
    /// Seconds.
    #[serde(default)]
    pub(super) expires_in: Option<f64>,
}

impl Authorizer {
    pub(crate) fn new(profile: Profile, credential: Option<Credential>, repository: &str) -> Self {
        Self {
            profile,
            credential: credential.unwrap_or_default(),
            scope: format!("repository:{repository}:pull"),
            handlers: Mutex::new(BTreeMap::new()),
        }
    }

    /// Forgets what hosts wanted: containerd makes a new authorizer for fetching than it had for resolving.
    pub(crate) async fn forget(&self) {
        self.handlers.lock().await.clear();
    }

    /// The `Authorization` for a host, fetching a token if need be; none if the host never asked.
    pub(crate) async fn authorize(
        &self,
        client: &Client,
        authority: &str,
    ) -> Result<Option<HeaderValue>, FetchError> {
        let Some(handler) = self.handlers.lock().await.get(authority).cloned() else {
            return Ok(None);
        };
        let Handler::Bearer {
            realm,
            service,
            scopes,
            token,
        } = &*handler
        else {
            let Credential { username, secret } = &self.credential;
            return Ok(basic(username, secret));
        };
        // Requests that need the same token wait for one of them to fetch it.
        let mut kept = token.lock().await;
        let valid = |t: &Token| t.expires.is_none_or(|at| at > Instant::now());
        if !kept.as_ref().is_some_and(valid) {
            let with_secret = !self.credential.secret.is_empty();
            let scopes: BTreeSet<&str> = scopes
                .iter()
                .map(String::as_str)
                .chain([self.scope.as_str()])
                .collect();
            let fetched = self
                .fetch_token(client, realm, service.as_deref(), &scopes)
                .await
                .map_err(|error| FetchError::Token { with_secret, error })?;
            *kept = Some(fetched);
        }
        let value = kept.as_ref().map(|t| t.value.clone()).unwrap_or_default();
        drop(kept);
        Ok(sensitive(&format!("Bearer {value}")))
    }

    /// Learns from a 401. True: try again; false: there is nothing to learn.
    pub(crate) async fn learn(
        &self,
        authority: &str,
        headers: &HeaderMap,
        seen: &[Seen],
    ) -> Result<bool, FetchError> {
        let mut handlers = self.handlers.lock().await;
        for Challenge { scheme, parameters } in challenge::parse(headers) {
            match scheme {
                Scheme::Digest => {}
                Scheme::Bearer => {
                    if let Some(error) = parameters.get("error").filter(|e| !e.is_empty())
                        && repeated(seen)
                    {
                        handlers.remove(authority);
                        return Err(FetchError::ServerMessage(error.clone()));
                    }
                    if handlers.contains_key(authority) {
                        return Ok(true);
                    }
                    let realm = parameters.get("realm").ok_or(FetchError::NoRealm)?;
                    let handler = Handler::Bearer {
                        realm: self.realm(realm)?,
                        service: parameters.get("service").cloned().filter(|s| !s.is_empty()),
                        scopes: parameters
                            .get("scope")
                            .map(|s| {
                                s.split(' ')
                                    .filter(|s| !s.is_empty())
                                    .map(str::to_owned)
                                    .collect()
                            })
                            .unwrap_or_default(),
                        token: Mutex::new(None),
                    };
                    handlers.insert(authority.to_owned(), Arc::new(handler));
                    return Ok(true);
                }
                Scheme::Basic => {
                    let Credential { username, secret } = &self.credential;
                    if !username.is_empty() && !secret.is_empty() {
                        handlers.insert(authority.to_owned(), Arc::new(Handler::Basic));
                        return Ok(true);
                    }
                    if self.profile.refuses_basic_without_credentials() {
                        return Err(FetchError::NoBasicCredentials);
                    }
                }
            }
        }
        Ok(false)
    }

    fn realm(&self, text: &str) -> Result<Url, FetchError> {
        Url::parse(text).ok_or_else(|| {
            let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
            FetchError::Token {
                with_secret: !self.credential.secret.is_empty(),
                error: TokenError::Unreachable(Box::new(UrlError {
                    operation: "Get",
                    url: text.to_owned(),
                    error: TransportError::Other(format!(
                        "unsupported protocol scheme {}",
                        go::quote(scheme)
                    )),
                })),
            }
        })
    }

    async fn fetch_token(
        &self,
        client: &Client,
        realm: &Url,
        service: Option<&str>,
        scopes: &BTreeSet<&str>,
    ) -> Result<Token, TokenError> {
        if self.credential.secret.is_empty() {
            return self.get_token(client, realm, service, scopes).await;
        }
        let posted = self.post_token(client, realm, service, scopes).await;
        match &posted {
            // Servers without the POST form answer with one of these; GET is tried instead.
            Err(TokenError::Refused(refused)) => {
                let code = refused.status.get(..3).unwrap_or_default();
                let fall_back = matches!(code, "400" | "401" | "404")
                    || (code == "405" && !self.credential.username.is_empty());
                if fall_back {
                    self.get_token(client, realm, service, scopes).await
                } else {
                    posted
                }
            }
            _ => posted,
        }
    }

    async fn post_token(
        &self,
        client: &Client,
        realm: &Url,
        service: Option<&str>,
        scopes: &BTreeSet<&str>,
    ) -> Result<Token, TokenError> {
        let Credential { username, secret } = &self.credential;
        let mut form: Vec<(String, String)> = Vec::new();
        let mut add = |key: &str, value: &str| form.push((key.to_owned(), value.to_owned()));
        add("client_id", "containerd-client");
        add(
            "scope",
            &scopes.iter().copied().collect::<Vec<_>>().join(" "),
        );
        add("service", service.unwrap_or_default());
        if username.is_empty() {
            add("grant_type", "refresh_token");
            add("refresh_token", secret);
        } else {
            add("grant_type", "password");
            add("username", username);
            add("password", secret);
        }
        let mut headers = HeaderMap::new();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");
        headers.insert(CONTENT_TYPE, kind);
        let body = Bytes::from(go::encode_query(&form));
        self.token_request(client, Method::POST, realm.clone(), headers, body, false)
            .await
    }

    async fn get_token(
        &self,
        client: &Client,
        realm: &Url,
        service: Option<&str>,
        scopes: &BTreeSet<&str>,
    ) -> Result<Token, TokenError> {
        let mut query: Vec<(String, String)> = Vec::new();
        query.extend(service.map(|s| ("service".to_owned(), s.to_owned())));
        query.extend(scopes.iter().map(|&s| ("scope".to_owned(), s.to_owned())));
        let Credential { username, secret } = &self.credential;
        let mut headers = HeaderMap::new();
        if !secret.is_empty()
            && let Some(value) = basic(username, secret)
        {
            headers.insert(AUTHORIZATION, value);
        }
        self.token_request(
            client,
            Method::GET,
            realm.with_query(&query),
            headers,
            Bytes::new(),
            true,
        )
        .await
    }

    /// `either`: the GET form accepts `token` as well as `access_token`.
    async fn token_request(
        &self,
        client: &Client,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Bytes,
        either: bool,
    ) -> Result<Token, TokenError> {
        let agent = self.profile.user_agent("");
        let Got { response, .. } = follow::send(client, &agent, &method, &url, &headers, body)
            .await
            .map_err(|error| TokenError::Unreachable(Box::new(error)))?;
        if !(200..400).contains(&response.status) {
            let refused = Refused {
                method: method.to_string(),
                url: url.to_string(),
                status: response.status_line.clone(),
                asked: (url.to_string(), String::new()),
                errors: Vec::new(),
            };
            response.body.discard(client).await;
            return Err(TokenError::Refused(Box::new(refused)));
        }
        let Ok(text) = response.body.text(client, TOKEN_BODY).await else {
            return Err(TokenError::Undecodable("unexpected EOF".to_owned()));
        };
        if let Some(problem) = go::json_stream_error(&text) {
            return Err(TokenError::Undecodable(problem));
        }
        let answer: TokenAnswer = serde_json::from_slice(&text).map_err(|_| {
            TokenError::Undecodable(
                "json: cannot unmarshal value into Go value of type auth.FetchTokenResponse"
                    .to_owned(),
            )
        })?;
        let value = answer.access_token.filter(|t| !t.is_empty());
        let value = value
            .or(answer.token.filter(|t| either && !t.is_empty()))
            .ok_or(TokenError::Missing)?;
        let seconds = answer.expires_in.filter(|s| *s > 0.0 && *s < 1e9);
        Ok(Token {
            value,
            expires: seconds.map(|s| Instant::now() + Duration::from_secs_f64(s)),
        })
    }
}

/// The statuses Go's client follows.
pub(crate) fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Go keeps `Authorization` on the same host and below it, whatever the port.
pub(crate) fn keeps_authorization(from: &Url, to: &Url) -> bool {
    let (from, to) = (
        from.host().to_ascii_lowercase(),
        to.host().to_ascii_lowercase(),
    );
    from == to
        || to
            .strip_suffix(&from)
            .is_some_and(|below| below.ends_with('.'))
}

/// The same request was refused twice in a row.
fn repeated(seen: &[Seen]) -> bool {
    match seen {
        [.., before, last] => before.method == last.method && before.url == last.url,
        _ => false,
    }
}

pub(crate) fn basic(username: &str, secret: &str) -> Option<HeaderValue> {
    sensitive(&format!(
        "Basic {}",
        STANDARD.encode(format!("{username}:{secret}"))
    ))
}

pub(crate) fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
