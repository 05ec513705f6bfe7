//! The credential provider of AKS nodes: how a kubelet gets a password for an Azure registry.
//!
//! Step by step what `acr-credential-provider` does, over the node's own network: the identity's token
//! from the metadata service, the registry's challenge, the exchange. A success is kept for an hour; a
//! failure leaves a line in the log and no credentials, and the next sync tries again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use rustls::ClientConfig;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use crate::kubelet::keyring;
use crate::runtime::Credential;
use crate::runtime::challenge::{self, Scheme as Auth};
use crate::runtime::go;
use crate::runtime::transport::{Client, Dialer, Response};
use crate::runtime::url::{Scheme, Url};

/// The user that goes with a refresh token.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";
const MATCH_IMAGES: [&str; 4] = [
    "*.azurecr.io",
    "*.azurecr.cn",
    "*.azurecr.de",
    "*.azurecr.us",
];
/// How long the plugin lets the kubelet keep an answer.
pub const CACHE: Duration = Duration::from_hours(1);
/// The kubelet gives a plugin one minute.
const EXEC_LIMIT: Duration = Duration::from_mins(1);
const IMDS: &str = "169.254.169.254";
const RESOURCE: &str = "https://containerregistry.azure.net";
const USER_AGENT: &str = "kubernetes-credentialprovider-acr";
const ANSWER: usize = 256 << 10;

/// What `/etc/kubernetes/azure.json` tells the provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AcrCredentialProvider {
    /// `userAssignedIdentityID`: client id or ARM id of the kubelet identity; the machine's only identity
    /// when absent.
    pub identity: Option<String>,
    /// `tenantId`.
    pub tenant: String,
}

/// Why there are no credentials. The texts are the plugin's own, as they reach the kubelet's log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProviderError {
    #[error("failed to get token: {0}")]
    Identity(String),
    #[error("error reaching registry endpoint {url}, error: {why}")]
    Unreachable { url: String, why: String },
    #[error("registry did not issue a valid AAD challenge, status: {0}")]
    NoChallenge(u16),
    #[error("challenge response does not contain header 'Www-Authenticate'")]
    NoHeader,
    #[error("registry did not issue a valid AAD challenge, authenticate header [{0}]")]
    SeveralHeaders(String),
    #[error("Www-Authenticate: expected realm: Bearer, actual: {0}")]
    NotBearer(String),
    #[error("Www-Authenticate: missing header \"{0}\"")]
    Missing(&'static str),
    #[error("Www-Authenticate: failed to reach auth url {0}")]
    ExchangeUnreachable(String),
    #[error("Www-Authenticate: auth url {url} responded with status code {status}")]
    ExchangeRefused { url: String, status: u16 },
    #[error("Www-Authenticate: unable to read response")]
    Unreadable,
    #[error("the plugin did not finish in time")]
    TimedOut,
}

/// The provider at work on a node.
pub(crate) struct Provider {
    config: AcrCredentialProvider,
    dialer: Dialer,
    tls: Arc<ClientConfig>,
    /// One run at a time, as the kubelet lets identical requests share one.
    cache: Mutex<BTreeMap<String, (Instant, String)>>,
}

impl Provider {
    pub(crate) fn new(
        config: AcrCredentialProvider,
        dialer: Dialer,
        tls: Arc<ClientConfig>,
    ) -> Self {
        Self {
            config,
            dialer,
            tls,
            cache: Mutex::default(),
        }
    }

    /// Entries for the node's keyring: nothing for other registries and after a failure.
    pub(crate) async fn credentials(&self, repository: &str) -> Vec<(String, Credential)> {
        if !MATCH_IMAGES
            .iter()
            .any(|pattern| keyring::matches(pattern, repository))
        {
            return Vec::new();
        }
        let Some(login) = login_server(repository) else {
            return Vec::new();
        };
        let mut cache = self.cache.lock().await;
        let now = Instant::now();
        let kept = cache
            .get(login)
            .filter(|(until, _)| *until > now)
            .map(|(_, token)| token.clone());
        let token = if let Some(token) = kept {
            token
        } else {
            let run = timeout(EXEC_LIMIT, self.run(login)).await;
            match run.unwrap_or(Err(ProviderError::TimedOut)) {
                Ok(token) => {
                    cache.insert(login.to_owned(), (Instant::now() + CACHE, token.clone()));
                    token
                }
                Err(error) => {
                    tracing::info!(registry = login, %error, "failed to get credential from external registry credential provider");
                    return Vec::new();
                }
            }
        };
        let user = Credential {
            username: NOBODY.to_owned(),
            secret: token,
        };
        vec![
            (login.to_owned(), user),
            ("*.azurecr.*".to_owned(), Credential::default()),
        ]
    }

    async fn run(&self, login: &str) -> Result<String, ProviderError> {
        let client = Client::new(self.dialer.clone(), Arc::clone(&self.tls));
        let access = self.identity_token(&client).await?;
        let (exchange, service) = self.challenge(&client, login).await?;
        self.exchange(&client, &exchange, &service, &access).await
    }

    /// The identity's token; the SDK asks again while the metadata service is busy.
    async fn identity_token(&self, client: &Client) -> Result<String, ProviderError> {
        let mut query = vec![("api-version", "2018-02-01"), ("resource", RESOURCE)];
        if let Some(identity) = self.config.identity.as_deref().filter(|i| !i.is_empty()) {
            query.push((
                if identity.starts_with('/') {
                    "mi_res_id"
                } else {
                    "client_id"
                },
                identity,
            ));
        }
        let query: Vec<_> = query
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        let url =
            Url::new(Scheme::Http, IMDS, "/metadata/identity/oauth2/token").with_query(&query);
        let headers = HeaderMap::from_iter([(
            HeaderName::from_static("metadata"),
            HeaderValue::from_static("true"),
        )]);
        let mut delay = Duration::from_secs(2);
        loop {
            let response = client
                .send(&Method::GET, &url, USER_AGENT, &headers, Bytes::new())
                .await
                .map_err(|error| ProviderError::Identity(format!("{error:?}")))?;
            let (status, line) = (response.status, response.status_line.clone());
            let value = json(client, response).await;
            if status == 200 {
                let token = value
                    .as_ref()
                    .and_then(|v| v.get("access_token")?.as_str().map(str::to_owned));
                return token.ok_or_else(|| ProviderError::Identity("no access token".to_owned()));
            }
            let busy = matches!(status, 404 | 410 | 429 | 500..=599);
            if !busy || delay > Duration::from_secs(16) {
                let field = |name| {
                    value
                        .as_ref()
                        .and_then(|v| v.get(name)?.as_str())
                        .unwrap_or_default()
                };
                let why = format!("{line}: {}: {}", field("error"), field("error_description"));
                return Err(ProviderError::Identity(why));
            }
            sleep(delay).await;
            delay *= 2;
        }
    }

    /// Where to exchange tokens, and for which service.
    async fn challenge(
        &self,
        client: &Client,
        login: &str,
    ) -> Result<(Url, String), ProviderError> {
        let url = Url::new(Scheme::Https, login, "/v2/");
        let response = client
            .send(
                &Method::GET,
                &url,
                USER_AGENT,
                &HeaderMap::new(),
                Bytes::new(),
            )
            .await
            .map_err(|error| ProviderError::Unreachable {
                url: url.to_string(),
                why: format!("{error:?}"),
            })?;
        let (status, headers) = (response.status, response.headers.clone());
        response.body.discard(client).await;
        if status != 401 {
            return Err(ProviderError::NoChallenge(status));
        }
        let lines: Vec<_> = headers.get_all("www-authenticate").iter().collect();
        let line = match lines.as_slice() {
            [] => return Err(ProviderError::NoHeader),
            [line] => String::from_utf8_lossy(line.as_bytes()).into_owned(),
            many => {
                let all: Vec<_> = many
                    .iter()
                    .map(|l| String::from_utf8_lossy(l.as_bytes()))
                    .collect();
                return Err(ProviderError::SeveralHeaders(all.join(" ")));
            }
        };
        let challenge = challenge::parse(&headers)
            .into_iter()
            .find(|c| c.scheme == Auth::Bearer);
        let word = || {
            line.split(' ')
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase()
        };
        let parameters = challenge
            .ok_or_else(|| ProviderError::NotBearer(word()))?
            .parameters;
        let service = parameters
            .get("service")
            .ok_or(ProviderError::Missing("service"))?;
        let realm = parameters
            .get("realm")
            .ok_or(ProviderError::Missing("realm"))?;
        let realm = Url::parse(realm).ok_or(ProviderError::Missing("realm"))?;
        Ok((
            Url::new(realm.scheme, &realm.authority, "/oauth2/exchange"),
            service.clone(),
        ))
    }

    async fn exchange(
        &self,
        client: &Client,
        url: &Url,
        service: &str,
        access: &str,
    ) -> Result<String, ProviderError> {
        let form = [
            ("grant_type", "access_token_refresh_token"),
            ("service", service),
            ("access_token", access),
            ("refresh_token", access),
            ("tenant", &self.config.tenant),
        ];
        let form: Vec<_> = form
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind)]);
        let body = Bytes::from(go::encode_query(&form));
        let response = client
            .send(&Method::POST, url, USER_AGENT, &headers, body)
            .await
            .map_err(|_| ProviderError::ExchangeUnreachable(url.to_string()))?;
        if response.status != 200 {
            let status = response.status;
            response.body.discard(client).await;
            return Err(ProviderError::ExchangeRefused {
                url: url.to_string(),
                status,
            });
        }
        let value = json(client, response)
            .await
            .ok_or(ProviderError::Unreadable)?;
        let token = value.get("refresh_token").and_then(Value::as_str);
        token
            .filter(|t| !t.is_empty())
            .map(str::to_owned)
            .ok_or(ProviderError::Unreadable)
    }
}

async fn json(client: &Client, response: Response) -> Option<Value> {
    serde_json::from_slice(&response.body.text(client, ANSWER).await.ok()?).ok()
}

/// `<name>.azurecr.(io|cn|de|us)` at the start of a repository.
fn login_server(repository: &str) -> Option<&str> {
    let host = repository.split('/').next()?;
    let (name, suffix) = host.split_once('.')?;
    let azure = matches!(
        suffix,
        "azurecr.io" | "azurecr.cn" | "azurecr.de" | "azurecr.us"
    );
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric());
    (azure && plain).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_servers() {
        let table = [
            ("myacr.azurecr.io/team/web", Some("myacr.azurecr.io")),
            ("myacr.azurecr.cn", Some("myacr.azurecr.cn")),
            ("myacr.westeurope.geo.azurecr.io/x", None),
            ("my-acr.azurecr.io/x", None),
            ("myacr.azurecr.io.example/x", None),
            ("docker.io/library/nginx", None),
        ];
        for (repository, want) in table {
            assert_eq!(login_server(repository), want, "for {repository}");
        }
    }
}
