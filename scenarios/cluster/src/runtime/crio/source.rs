//! One conversation of CRI-O with a registry: containers/image's `dockerClient` and `dockerImageSource`.
//!
//! It begins with `GET /v2/`, whose challenges count for everything that follows; the manifest is asked for
//! by GET alone. 429 is waited out with `Retry-After` or a doubling pause, blobs that break off are asked for
//! again from where they broke.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RANGE,
};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::super::auth::{Credential, TokenAnswer, basic, sensitive};
use super::super::challenge::{self, Challenge, Scheme as Wants};
use super::super::distribution::complaints;
use super::super::error::TransportError;
use super::super::follow::{self, Got};
use super::super::go;
use super::super::hosts::Place;
use super::super::media;
use super::super::reference::Named;
use super::super::transport::{Body, Client, Response};
use super::super::url::{Scheme, Url};
use super::words::{Cause, CrioError, Step};
use crate::profile::Profile;

/// `backoffNumIterations`, `backoffInitialDelay`, `backoffMaxDelay`.
const MOST_TRIES: u32 = 5;
const FIRST_DELAY: Duration = Duration::from_secs(2);
const LONGEST_DELAY: Duration = Duration::from_mins(1);
/// `minimumTokenLifetimeSeconds`.
const SHORTEST_TOKEN: f64 = 60.0;
const TOKEN_BODY: usize = 1 << 20;
const MANIFEST_BODY: usize = 4 << 20;
/// `bodyReaderMinimumProgress` and `bodyReaderMSSinceLastRetry`.
const PROGRESS: u64 = 1 << 20;
const RETRY_AFTER: Duration = Duration::from_mins(1);

const ACCEPTED: [&str; 6] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
];

/// What a conversation needs from the pull it is part of.
#[derive(Clone, Copy)]
pub(in crate::runtime) struct Asker<'a> {
    pub(super) profile: &'a Profile,
    pub(super) agent: &'a str,
    pub(super) client: &'a Client,
    pub(super) credential: Option<&'a Credential>,
    pub(super) image: &'a Named,
}

impl<'a> Asker<'a> {
    /// For a pull of this name.
    pub(in crate::runtime) fn new(
        profile: &'a Profile,
        agent: &'a str,
        client: &'a Client,
        credential: Option<&'a Credential>,
        image: &'a Named,
    ) -> Self {
        // A user is what makes credentials; an identity token is none that CRI-O knows of.
        let credential = credential.filter(|credential| !credential.username.is_empty());
        Self {
            profile,
            agent,
            client,
            credential,
            image,
        }
    }
}

/// A manifest as it came.
pub(super) struct Document {
    pub(super) media_type: String,
    pub(super) text: Bytes,
}

/// An open conversation.
pub(super) struct Source<'a> {
    asker: Asker<'a>,
    scheme: Scheme,
    authority: String,
    /// Repository as the place knows it, and with its host as errors name it.
    path: String,
    named: String,
    challenges: Vec<Challenge>,
    /// By the scope asked for in addition.
    tokens: Mutex<BTreeMap<String, (String, Instant)>>,
    /// The manifest that the reference stands for.
    pub(super) top: Document,
}

impl<'a> Source<'a> {
    /// The first place that has the manifest; mirrors come first.
    pub(super) async fn open(asker: Asker<'a>, places: &[Place]) -> Result<Self, CrioError> {
        let by_digest = asker.image.digest().is_some();
        let mut failed = Vec::new();
        for place in places {
            if !place.pull || !(by_digest || place.resolve) {
                continue;
            }
            match Box::pin(Self::at(asker, place)).await {
                Ok(source) => return Ok(source),
                Err((name, error)) => failed.push((name, error)),
            }
        }
        let (_, error) = match (failed.pop(), failed.is_empty()) {
            (None, _) => return Err(Cause::Nowhere.into()),
            (Some(only), true) => only,
            (Some(primary), false) => return Err(Cause::Mirrors(failed, Box::new(primary)).into()),
        };
        Err(error)
    }

    async fn at(asker: Asker<'a>, place: &Place) -> Result<Self, (String, CrioError)> {
        let image = asker.image;
        let path = match place.prefix().trim_start_matches('/') {
            "" => image.path().to_owned(),
            prefix => format!("{prefix}/{}", image.path()),
        };
        let named = if place.is_own() {
            image.name()
        } else {
            format!("{}/{path}", place.authority)
        };
        let separator = if image.digest().is_some() { '@' } else { ':' };
        let name = format!("{named}{separator}{}", image.object());
        // Credentials of the pull are for the registry, never for its mirrors.
        let credential = asker.credential.filter(|_| place.is_own());
        let mut source = Self {
            asker: Asker {
                credential,
                ..asker
            },
            scheme: Scheme::Https,
            authority: place.authority.clone(),
            path,
            named,
            challenges: Vec::new(),
            tokens: Mutex::default(),
            top: Document {
                media_type: String::new(),
                text: Bytes::new(),
            },
        };
        let opened = async {
            source.ping(place.scheme == Scheme::Http).await?;
            source.manifest(image.object()).await
        };
        match opened.await {
            Ok(top) => Ok(Self { top, ..source }),
            Err(error) => Err((name, error)),
        }
    }

    /// `insecure`: plain HTTP is tried when TLS fails.
    async fn ping(&mut self, insecure: bool) -> Result<(), CrioError> {
        let mut result = self.ping_by(Scheme::Https).await;
        if insecure && result.is_err() {
            result = self.ping_by(Scheme::Http).await;
        }
        let host = self.authority.clone();
        result.map_err(|cause| CrioError::from(cause).within(Step::Ping(host)))
    }

    async fn ping_by(&mut self, scheme: Scheme) -> Result<(), Cause> {
        let url = Url::new(scheme, &self.authority, "/v2/");
        let got = self.patiently(&url, &HeaderMap::new(), false).await?;
        let response = got.response;
        if !matches!(response.status, 200 | 401) {
            if self.asker.profile.shouts_errors() {
                let line = response.status_line.clone();
                response.body.discard(self.asker.client).await;
                return Err(Cause::PingStatus(line));
            }
            return Err(Cause::Refused(
                complaints(response, self.asker.client).await,
            ));
        }
        self.challenges = challenge::parse(&response.headers);
        self.scheme = scheme;
        response.body.discard(self.asker.client).await;
        Ok(())
    }

    /// The manifest with this tag or digest.
    pub(super) async fn manifest(&self, object: &str) -> Result<Document, CrioError> {
        let mut headers = HeaderMap::new();
        for accepted in ACCEPTED {
            headers.append(ACCEPT, HeaderValue::from_static(accepted));
        }
        let url = self.url(&format!("manifests/{object}"));
        let response = self.patiently(&url, &headers, true).await?.response;
        if response.status != 200 {
            let error = CrioError::from(Cause::Refused(
                complaints(response, self.asker.client).await,
            ));
            let step = Step::Manifest(object.to_owned(), self.named.clone());
            return Err(error.within(step));
        }
        let said = response.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        let said = said.split(';').next().unwrap_or_default().trim().to_owned();
        let text = response.body.text(self.asker.client, MANIFEST_BODY).await;
        let text = Bytes::from(text.map_err(|error| Cause::Body(error, None))?);
        let media_type = if media::is_manifest(&said) || media::is_index(&said) {
            said
        } else {
            media::guess(&text)
        };
        Ok(Document { media_type, text })
    }

    /// Opens a blob.
    pub(super) async fn blob(&self, digest: &str) -> Result<Reader<'_, 'a>, CrioError> {
        let url = self.url(&format!("blobs/{digest}"));
        let response = self
            .patiently(&url, &HeaderMap::new(), true)
            .await?
            .response;
        if response.status != 200 {
            let error = CrioError::from(Cause::Refused(
                complaints(response, self.asker.client).await,
            ));
            return Err(error.within(Step::Fetching));
        }
        Ok(Reader {
            source: self,
            url,
            body: Some(response.body),
            offset: 0,
            last: None,
        })
    }

    fn url(&self, what: &str) -> Url {
        Url::new(
            self.scheme,
            &self.authority,
            &format!("/v2/{}/{what}", self.path),
        )
    }

    /// A request as often as the registry says 429, and once more if it names a scope.
    async fn patiently(&self, url: &Url, headers: &HeaderMap, auth: bool) -> Result<Got, Cause> {
        let (mut delay, mut extra, mut attempt) = (FIRST_DELAY, None, 0);
        loop {
            attempt += 1;
            let mut got = self.once(url, headers, auth, extra.as_deref()).await?;
            if attempt == 1
                && auth
                && self.asker.profile.asks_again_with_scope()
                && let Some(scope) = wanted_scope(&got.response)
            {
                got.response.body.discard(self.asker.client).await;
                got = self.once(url, headers, auth, Some(&scope)).await?;
                extra = Some(scope);
            }
            if got.response.status != 429 || attempt == MOST_TRIES {
                return Ok(got);
            }
            delay = retry_after(&got.response)
                .unwrap_or(delay)
                .min(LONGEST_DELAY);
            got.response.body.discard(self.asker.client).await;
            sleep(delay).await;
            delay *= 2;
        }
    }

    async fn once(
        &self,
        url: &Url,
        headers: &HeaderMap,
        auth: bool,
        extra: Option<&str>,
    ) -> Result<Got, Cause> {
        let mut all = HeaderMap::new();
        all.insert(
            HeaderName::from_static("docker-distribution-api-version"),
            HeaderValue::from_static("registry/2.0"),
        );
        for (name, value) in headers {
            all.append(name.clone(), value.clone());
        }
        if auth && let Some(value) = self.authorization(extra).await? {
            all.insert(AUTHORIZATION, value);
        }
        self.send(url, &all).await
    }

    async fn send(&self, url: &Url, headers: &HeaderMap) -> Result<Got, Cause> {
        let Asker { client, agent, .. } = self.asker;
        follow::send(client, agent, &Method::GET, url, headers, Bytes::new())
            .await
            .map_err(|error| Cause::Request(Box::new(error)))
    }

    /// By the first challenge of the ping that is understood.
    async fn authorization(&self, extra: Option<&str>) -> Result<Option<HeaderValue>, Cause> {
        for Challenge { scheme, parameters } in &self.challenges {
            match scheme {
                Wants::Digest => {}
                Wants::Basic => {
                    let none = Credential::default();
                    let Credential { username, secret } = self.asker.credential.unwrap_or(&none);
                    return Ok(basic(username, secret));
                }
                Wants::Bearer => {
                    let realm = parameters.get("realm").ok_or(Cause::NoRealm)?;
                    let service = parameters.get("service").map(String::as_str);
                    let token = self
                        .token(realm, service.unwrap_or_default(), extra)
                        .await?;
                    return Ok(sensitive(&format!("Bearer {token}")));
                }
            }
        }
        Ok(None)
    }

    async fn token(
        &self,
        realm: &str,
        service: &str,
        extra: Option<&str>,
    ) -> Result<String, Cause> {
        let mut tokens = self.tokens.lock().await;
        let key = extra.unwrap_or_default();
        if let Some((token, until)) = tokens.get(key)
            && *until >= Instant::now()
        {
            return Ok(token.clone());
        }
        let mut query = Vec::new();
        let mut add = |key: &str, value: &str| query.push((key.to_owned(), value.to_owned()));
        if let Some(credential) = self.asker.credential {
            add("account", &credential.username);
        }
        if !service.is_empty() {
            add("service", service);
        }
        add("scope", &format!("repository:{}:pull", self.path));
        if let Some(extra) = extra {
            add("scope", extra);
        }
        let url = Url::parse(realm).ok_or_else(|| {
            let scheme = realm.split_once("://").map_or("", |(scheme, _)| scheme);
            let why = format!("unsupported protocol scheme {}", go::quote(scheme));
            Cause::Request(Box::new(super::super::error::UrlError {
                operation: "Get",
                url: realm.to_owned(),
                error: TransportError::Other(why),
            }))
        })?;
        let mut headers = HeaderMap::new();
        let full = self.asker.credential.filter(|c| !c.secret.is_empty());
        if let Some(value) = full.and_then(|c| basic(&c.username, &c.secret)) {
            headers.insert(AUTHORIZATION, value);
        }
        let got = self.send(&url.with_query(&query), &headers).await?;
        let client = self.asker.client;
        match got.response.status {
            200 => {}
            429 => return Err(Cause::TooMany),
            401 => return Err(Cause::TokenUser(complaints(got.response, client).await)),
            _ => return Err(Cause::Token(got.response.status_line)),
        }
        let text = got.response.body.text(client, TOKEN_BODY).await;
        let text = text.map_err(|error| Cause::Body(error, None))?;
        let undecodable = |why: String| {
            let start = text.get(..text.len().min(50)).unwrap_or_default();
            let start = String::from_utf8_lossy(start).into_owned();
            Cause::TokenText(got.url.to_string(), start, why)
        };
        if let Some(problem) = go::json_error(&text) {
            return Err(undecodable(problem));
        }
        let answer: TokenAnswer = serde_json::from_slice(&text).map_err(|_| {
            undecodable(
                "json: cannot unmarshal value into Go value of type docker.bearerToken".to_owned(),
            )
        })?;
        let token = answer.token.filter(|token| !token.is_empty());
        // A token that is not there is an empty one; the registry will say what it thinks of it.
        let token = token.or(answer.access_token).unwrap_or_default();
        let seconds = answer.expires_in.filter(|s| *s < 1e9).unwrap_or_default();
        let until = Instant::now() + Duration::from_secs_f64(seconds.max(SHORTEST_TOKEN));
        tokens.insert(key.to_owned(), (token.clone(), until));
        Ok(token)
    }
}

/// The scope that a 401 with `insufficient_scope` names.
fn wanted_scope(response: &Response) -> Option<String> {
    if response.status != 401 {
        return None;
    }
    let challenges = challenge::parse(&response.headers);
    let scope = challenges.iter().find_map(|challenge| {
        let told = challenge.parameters.get("error")?;
        let scope = challenge.parameters.get("scope")?;
        (challenge.scheme == Wants::Bearer && told == "insufficient_scope").then_some(scope)
    })?;
    (scope.split(':').count() == 3).then(|| scope.clone())
}

/// Seconds; a date is read as none, for the machine's clock is not asked here.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds: u64 = response.header("retry-after")?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// A blob's body that is asked for again where it breaks off.
pub(super) struct Reader<'s, 'a> {
    source: &'s Source<'a>,
    url: Url,
    body: Option<Body>,
    offset: u64,
    /// Where and when it was asked for again.
    last: Option<(u64, Instant)>,
}

impl Reader<'_, '_> {
    /// The next bytes; none at the end.
    pub(super) async fn chunk(&mut self) -> Option<Result<Bytes, CrioError>> {
        loop {
            let body = self.body.as_mut()?;
            match body.chunk().await {
                None => {
                    let body = self.body.take()?;
                    self.source.asker.client.recycle(body);
                    return None;
                }
                Some(Ok(bytes)) => {
                    self.offset += bytes.len() as u64;
                    return Some(Ok(bytes));
                }
                Some(Err(error)) => {
                    if let Err(error) = self.reopen(error).await {
                        self.body = None;
                        return Some(Err(error));
                    }
                }
            }
        }
    }

    async fn reopen(&mut self, error: TransportError) -> Result<(), CrioError> {
        let resumable = matches!(
            error,
            TransportError::UnexpectedEof | TransportError::Reset { .. }
        );
        let worth = self.last.is_none_or(|(offset, at)| {
            self.offset.saturating_sub(offset) >= PROGRESS || at.elapsed() >= RETRY_AFTER
        });
        if !resumable || !worth {
            return Err(Cause::Body(error, None).into());
        }
        self.body = None;
        sleep(Duration::from_secs(1)).await;
        let mut headers = HeaderMap::new();
        let range = HeaderValue::from_str(&format!("bytes={}-", self.offset));
        headers.insert(RANGE, range.expect("digits and ASCII"));
        let again = self.source.patiently(&self.url, &headers, true).await;
        let failed =
            |why: CrioError| CrioError::from(Cause::Body(error.clone(), Some(Box::new(why))));
        let response = again.map_err(|cause| failed(cause.into()))?.response;
        let from = format!("bytes {}-", self.offset);
        let right = response
            .header("content-range")
            .is_some_and(|r| r.starts_with(&from));
        if response.status != 206 || !right {
            let client = self.source.asker.client;
            let why = Cause::Refused(complaints(response, client).await);
            return Err(failed(CrioError::from(why).within(Step::Fetching)));
        }
        self.body = Some(response.body);
        self.last = Some((self.offset, Instant::now()));
        Ok(())
    }
}
