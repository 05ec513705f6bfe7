//! One pull's conversation with a registry: containerd's resolver and fetcher
//! (`remotes/docker/resolver.go`, `fetcher.go`).
//!
//! It knows which hosts to ask in which order, how often, and with what headers. A descriptor comes out
//! of [`Session::resolve`], a body out of [`Session::open`]. What the content means is for others.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::Method;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RANGE,
    REFERER,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::auth::{Authorizer, Seen, is_redirect, keeps_authorization};
use super::error::{FetchError, Refused, TransportError, UrlError};
use super::hosts::Place;
use super::media;
use super::progress::Progress;
use super::reference::{Named, check_digest};
use super::steps::{MOST_REQUESTS, repeats_at_once};
use super::transport::{Body, Client, Response};
use super::url::Url;
use crate::profile::Profile;

/// containerd's own limit, odd as it is.
const MAX_MANIFEST: u64 = 4 * 1048 * 1048;
const ERROR_BODY: usize = 64 << 10;
const ACCEPT_ANY: &str = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*";

/// What a registry says a reference is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
}

/// The conversation.
pub(crate) struct Session {
    pub(crate) profile: Profile,
    pub(crate) image: Named,
    pub(crate) places: Vec<Place>,
    pub(crate) client: Client,
    pub(crate) authorizer: Authorizer,
    pub(crate) progress: Progress,
    /// The request under way, for the text of a pull that is given up.
    pub(crate) asking: Mutex<Option<(&'static str, String)>>,
}

/// An answer and the URL that gave it.
struct Answer {
    response: Response,
    url: Url,
    asked: (String, String),
    method: Method,
}

impl Session {
    /// The descriptor behind the image's tag or digest.
    pub(crate) async fn resolve(&self) -> Result<Descriptor, FetchError> {
        let object = self.image.object();
        let by_digest = self.image.digest().is_some();
        // Blobs are asked when no manifest has the digest.
        let kinds: &[&str] = if by_digest {
            &["manifests", "blobs"]
        } else {
            &["manifests"]
        };
        let places: Vec<_> = self
            .places
            .iter()
            .filter(|p| p.pull && (by_digest || p.resolve))
            .collect();
        if places.is_empty() {
            return Err(FetchError::NoHosts);
        }
        let mut worst = Worst {
            profile: &self.profile,
            rank: 0,
            error: None,
        };
        for kind in kinds {
            for (n, place) in places.iter().enumerate() {
                let last = n + 1 == places.len();
                match self.resolve_at(place, kind, object, by_digest, last).await {
                    Ok(descriptor) => return Ok(descriptor),
                    Err((rank, error)) if rank < FINAL => worst.consider(rank, error),
                    Err((_, error)) => return Err(error),
                }
            }
        }
        Err(worst
            .error
            .unwrap_or_else(|| FetchError::NotFound(self.image.to_string())))
    }

    /// One host. Errors come with how far they got; the furthest is told in the end.
    async fn resolve_at(
        &self,
        place: &Place,
        kind: &str,
        object: &str,
        by_digest: bool,
        last: bool,
    ) -> Result<Descriptor, (u8, FetchError)> {
        let what = format!("{kind}/{object}");
        let accept = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(ACCEPT_ANY))]);
        let answer = self
            .request(place, Method::HEAD, &what, &accept, last)
            .await
            .map_err(|e| (TRANSPORT, e))?;
        let status = answer.response.status;
        if status > 299 {
            if status == 404 {
                answer.response.body.discard(&self.client).await;
                return Err((MISSING, FetchError::NotFound(self.image.to_string())));
            }
            let refused = self.refused(answer).await;
            return Err((
                if status > 399 { STATUS } else { FINAL },
                FetchError::Refused(refused),
            ));
        }
        let mut size = answer.response.content_length();
        let mut media_type = media_type(&answer.response);
        let mut digest = by_digest.then(|| object.to_owned());
        if !by_digest && size.is_some() {
            let header = answer
                .response
                .header("docker-content-digest")
                .map(str::to_owned);
            if let Some(header) = header.filter(|h| !h.is_empty()) {
                if let Err(why) = check_digest(&header) {
                    return Err((FINAL, FetchError::BadDigestHeader(header, why)));
                }
                digest = Some(header);
            }
        }
        answer.response.body.discard(&self.client).await;
        let (digest, size) = match (digest, size.take()) {
            (Some(digest), Some(size)) => (digest, size),
            (digest, _) => {
                let got = self
                    .request(place, Method::GET, &what, &accept, true)
                    .await
                    .map_err(|e| (FINAL, e))?;
                media_type = self::media_type(&got.response);
                // Earlier versions hash whatever comes, an error page too.
                if self.profile.tells_registry_errors_below() && got.response.status > 299 {
                    if got.response.status == 404 {
                        return Err((FINAL, FetchError::ContentNotFound(got.asked.0)));
                    }
                    return Err((FINAL, FetchError::Refused(self.refused(got).await)));
                }
                if digest.is_none()
                    && media_type == media::SCHEMA1
                    && self.profile.refuses_schema1()
                {
                    return Err((FINAL, FetchError::Schema1));
                }
                let (sum, size) = self
                    .hash(got.response.body)
                    .await
                    .map_err(|e| (FINAL, FetchError::Body(e)))?;
                (digest.unwrap_or(sum), size)
            }
        };
        if size > MAX_MANIFEST {
            return Err((OVERSIZE, FetchError::Oversize(size, self.image.to_string())));
        }
        Ok(Descriptor {
            media_type,
            digest,
            size,
        })
    }

    async fn hash(&self, mut body: Body) -> Result<(String, u64), TransportError> {
        let (mut hasher, mut size) = (Sha256::new(), 0);
        while let Some(chunk) = body.chunk().await {
            let chunk = chunk?;
            hasher.update(&chunk);
            size += chunk.len() as u64;
            if size > MAX_MANIFEST {
                break;
            }
        }
        self.client.recycle(body);
        Ok((media::digest(hasher), size))
    }

    /// Opens a descriptor's content at an offset.
    pub(crate) async fn open(
        &self,
        descriptor: &Descriptor,
        offset: u64,
    ) -> Result<Body, FetchError> {
        let manifest = media::is_manifest(&descriptor.media_type)
            || media::is_index(&descriptor.media_type)
            || descriptor.media_type == media::SCHEMA1;
        let what = format!(
            "{}/{}",
            if manifest { "manifests" } else { "blobs" },
            descriptor.digest
        );
        let mut headers = HeaderMap::new();
        let accept = HeaderValue::from_str(&format!("{}, */*", descriptor.media_type));
        headers.insert(
            ACCEPT,
            accept.unwrap_or_else(|_| HeaderValue::from_static("*/*")),
        );
        if self.profile.asks_for_compression() {
            headers.insert(
                ACCEPT_ENCODING,
                HeaderValue::from_static("zstd;q=1.0, gzip;q=0.8, deflate;q=0.5"),
            );
        }
        if offset > 0 {
            headers.insert(
                RANGE,
                HeaderValue::from_str(&format!("bytes={offset}-")).expect("digits and ASCII"),
            );
        }
        let places: Vec<_> = self.places.iter().filter(|p| p.pull).collect();
        let mut first = None;
        for (n, place) in places.iter().enumerate() {
            match self
                .open_at(place, &what, &headers, offset, n + 1 == places.len())
                .await
            {
                Ok(body) => return Ok(body),
                Err(error) => {
                    first.get_or_insert(error);
                }
            }
        }
        Err(match first {
            Some(FetchError::ContentNotFound(_)) if !manifest => FetchError::DescriptorNotFound {
                digest: descriptor.digest.clone(),
                media_type: descriptor.media_type.clone(),
            },
            Some(error) => error,
            None => FetchError::NoHosts,
        })
    }

    async fn open_at(
        &self,
        place: &Place,
        what: &str,
        headers: &HeaderMap,
        offset: u64,
        last: bool,
    ) -> Result<Body, FetchError> {
        let answer = self
            .request(place, Method::GET, what, headers, last)
            .await?;
        let status = answer.response.status;
        if status > 299 {
            if status == 404 {
                answer.response.body.discard(&self.client).await;
                return Err(FetchError::ContentNotFound(answer.asked.0));
            }
            return Err(FetchError::Refused(self.refused(answer).await));
        }
        let range = answer.response.header("content-range").map(str::to_owned);
        let mut body = answer.response.body;
        if offset == 0 {
            return Ok(body);
        }
        match range {
            Some(range) if range.starts_with(&format!("bytes {offset}-")) => Ok(body),
            Some(range) => Err(FetchError::ContentRange(range)),
            None if status == 206 => Ok(body),
            // The range was ignored: what is known already is thrown away.
            None => {
                body.skip(offset).await.map_err(FetchError::Body)?;
                Ok(body)
            }
        }
    }

    async fn refused(&self, answer: Answer) -> Box<Refused> {
        let status = answer.response.status_line.clone();
        let body = answer
            .response
            .body
            .text(&self.client, ERROR_BODY)
            .await
            .unwrap_or_default();
        Box::new(Refused {
            method: answer.method.to_string(),
            url: answer.url.to_string(),
            status,
            asked: answer.asked,
            errors: registry_errors(&body),
        })
    }

    /// A request with containerd's retries: 401 after learning, 408 and 429 at once and without looking at
    /// Retry-After, server errors once more on the last host.
    async fn request(
        &self,
        place: &Place,
        mut method: Method,
        what: &str,
        headers: &HeaderMap,
        last: bool,
    ) -> Result<Answer, FetchError> {
        let url = place.url(self.image.path(), what);
        let mut seen: Vec<Seen> = Vec::new();
        loop {
            let (response, at) = self.once(&method, &url, headers).await?;
            let status = response.status;
            let before = seen.last().map(|s| s.status);
            seen.push(Seen {
                method: method.clone(),
                url: at.to_string(),
                status,
            });
            let again = match status {
                _ if seen.len() >= MOST_REQUESTS => false,
                401 => {
                    self.authorizer
                        .learn(&at.authority, &response.headers, &seen)
                        .await?
                }
                405 if method == Method::HEAD && url.path.contains("/manifests/") => {
                    method = Method::GET;
                    true
                }
                _ if repeats_at_once(status) => true,
                500 | 503 | 504 => {
                    self.profile.retries_server_errors() && last && before != Some(status)
                }
                _ => false,
            };
            if !again {
                let what = what.replacen('/', " ", 1);
                return Ok(Answer {
                    response,
                    url: at,
                    asked: (url.to_string(), what),
                    method,
                });
            }
            response.body.discard(&self.client).await;
        }
    }

    /// One request and its redirects, as Go's client and containerd's redirect check do them.
    async fn once(
        &self,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
    ) -> Result<(Response, Url), FetchError> {
        let operation = if *method == Method::HEAD {
            "Head"
        } else {
            "Get"
        };
        let agent = self.profile.user_agent("");
        let mut headers = headers.clone();
        if let Some(value) = self
            .authorizer
            .authorize(&self.client, &url.authority)
            .await?
        {
            headers.insert(AUTHORIZATION, value);
        }
        let mut url = url.clone();
        let mut method = method.clone();
        let mut sent = 0;
        loop {
            self.note(Some((operation, url.to_string())));
            let active = self.progress.request();
            let result = self
                .client
                .send(&method, &url, &agent, &headers, Bytes::new())
                .await;
            drop(active);
            self.note(None);
            let fail = |url: String, error| {
                FetchError::Request(Box::new(UrlError {
                    operation,
                    url,
                    error,
                }))
            };
            let response = result.map_err(|error| fail(url.to_string(), error))?;
            sent += 1;
            let location = response.header(LOCATION.as_str()).map(str::to_owned);
            let Some(location) = location.filter(|_| is_redirect(response.status)) else {
                return Ok((response, url));
            };
            if response.status <= 303 && method != Method::HEAD {
                method = Method::GET;
            }
            response.body.discard(&self.client).await;
            if sent >= 10 {
                return Err(fail(location, TransportError::TooManyRedirects));
            }
            let Some(next) = url.join(&location) else {
                let why = format!(
                    "failed to parse Location header {}: invalid URL",
                    super::go::quote(&location)
                );
                return Err(fail(url.to_string(), TransportError::Other(why)));
            };
            if !keeps_authorization(&url, &next) {
                headers.remove(AUTHORIZATION);
            }
            if let Ok(referer) = HeaderValue::from_str(&url.to_string()) {
                headers.insert(REFERER, referer);
            }
            if let Some(value) = self
                .authorizer
                .authorize(&self.client, &next.authority)
                .await?
            {
                headers.insert(AUTHORIZATION, value);
            }
            url = next;
        }
    }

    fn note(&self, asking: Option<(&'static str, String)>) {
        *self.asking.lock().unwrap_or_else(PoisonError::into_inner) = asking;
    }
}

const TRANSPORT: u8 = 1;
const MISSING: u8 = 2;
const STATUS: u8 = 3;
const OVERSIZE: u8 = 4;
/// Ends the search at once.
const FINAL: u8 = 9;

/// The error that is told when every host failed.
struct Worst<'a> {
    profile: &'a Profile,
    rank: u8,
    error: Option<FetchError>,
}

impl Worst<'_> {
    fn consider(&mut self, rank: u8, error: FetchError) {
        let better = if self.profile.ranks_host_errors() {
            rank > self.rank
        } else {
            // The first error that is not a 404.
            self.error.is_none() || (self.rank == MISSING && rank != MISSING)
        };
        if better {
            (self.rank, self.error) = (rank, Some(error));
        }
    }
}

fn media_type(response: &Response) -> String {
    let text = response.header(CONTENT_TYPE.as_str()).unwrap_or_default();
    let text = text.split(';').next().unwrap_or_default();
    // A registry once served schema 1 without saying so.
    if text == "text/plain" {
        media::SCHEMA1.to_owned()
    } else {
        text.to_owned()
    }
}

/// The errors of a body in containerd's words; nothing if it is not the registry's JSON.
pub(crate) fn registry_errors(body: &[u8]) -> Vec<String> {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return Vec::new();
    };
    let Some(list) = value.get("errors").and_then(Value::as_array) else {
        return Vec::new();
    };
    list.iter().take(16).filter_map(registry_error).collect()
}

fn registry_error(error: &Value) -> Option<String> {
    let code = error.get("code")?.as_str()?;
    let (code, usual) = match code {
        "UNSUPPORTED" => (code, "The operation is unsupported."),
        "UNAUTHORIZED" => (code, "authentication required"),
        "DENIED" => (code, "requested access to the resource is denied"),
        "UNAVAILABLE" => (code, "service unavailable"),
        "TOOMANYREQUESTS" => (code, "too many requests"),
        _ => ("UNKNOWN", "unknown error"),
    };
    let code = code.to_ascii_lowercase();
    let message = error
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let detail = error.get("detail").is_some_and(|d| !d.is_null());
    if !detail && (message.is_empty() || message == usual) {
        Some(code)
    } else {
        Some(format!("{code}: {message}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_a_registry() {
        let table: [(&str, &[&str]); 6] = [
            (
                r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"too many requests"}]}"#,
                &["toomanyrequests"],
            ),
            (
                r#"{"errors":[{"code":"DENIED","message":"no"}]}"#,
                &["denied: no"],
            ),
            (
                r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":[{}]}]}"#,
                &["unauthorized: authentication required"],
            ),
            (
                r#"{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown"}]}"#,
                &["unknown: blob unknown"],
            ),
            ("<Error/>", &[]),
            (r#"{"errors":"many"}"#, &[]),
        ];
        for (body, want) in table {
            assert_eq!(registry_errors(body.as_bytes()), want, "for {body}");
        }
    }
}
