//! The registry that runs: who answers for which host, and the way of a request through it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

use crate::builder::Builder;
use crate::clock::Clock;
use crate::host::{AddressError, Registry, signed_blob};
use crate::image::{ImageLineError, ImageSpec};
use crate::journal::{Authorization, Entry, Journal, redact};
use crate::keys::Keys;
use crate::message::{Cut, Refusal, Reply, empty_reply, set, text_of, text_reply};
use crate::protocol::{self, Ask, Route, Target};
use crate::random::Random;
use crate::serve::Connection;
use crate::tls::Tls;

/// Journal and fault rules see no more of a header than this.
const MAX_NOTED: usize = 1024;

/// A registry, or many under one roof. Clones are the same registry.
#[derive(Clone)]
pub struct FakeRegistry {
    core: Arc<Core>,
}

pub(crate) struct Core {
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) journal: Journal,
    pub(crate) keys: Keys,
    pub(crate) tls: Tls,
    pub(crate) dates: Dates,
    pub(crate) places: BTreeMap<String, Place>,
    pub(crate) fallback: Option<Place>,
}

/// Who answers for a host.
#[derive(Clone)]
pub(crate) enum Place {
    Registry(Arc<Registry>),
    /// Where these registries send clients for blobs.
    Data(Vec<Arc<Registry>>),
}

/// A name that the registry does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// No registry under this host name.
    #[error("no registry answers for `{0}`")]
    Host(String),
    /// The description of an image is wrong.
    #[error("the image cannot be made")]
    Image(#[from] ImageLineError),
    /// Neither a tag nor a digest that is there.
    #[error("`{0}` is not there")]
    Reference(String),
}

impl FakeRegistry {
    /// Starts a description.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn from_core(core: Core) -> Self {
        Self {
            core: Arc::new(core),
        }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// What clients did.
    pub fn journal(&self) -> Journal {
        self.core.journal.clone()
    }

    /// The clock that tokens, certificates and the journal go by.
    pub fn clock(&self) -> Clock {
        self.core.clock
    }

    /// The CA certificate of the run, DER.
    pub fn ca_der(&self) -> Vec<u8> {
        self.core.tls.ca_der()
    }

    /// The CA certificate of the run, PEM.
    pub fn ca_pem(&self) -> String {
        self.core.tls.ca_pem().to_owned()
    }

    /// Every host name that somebody answers for; what DNS should know.
    pub fn hosts(&self) -> Vec<String> {
        self.core.places.keys().cloned().collect()
    }

    /// The digest behind a reference such as `team/web:v1` or `team/web@sha256:…`.
    pub fn digest(&self, host: &str, reference: &str) -> Option<String> {
        let registry = self.core.registry(host)?;
        let (repository, reference) = split_reference(reference);
        let manifest = registry.store.manifest(repository, reference).ok()?;
        Some(manifest.digest.to_string())
    }

    /// Tags of a repository in lexical order.
    pub fn tags(&self, host: &str, repository: &str) -> Vec<String> {
        let registry = self.core.registry(host);
        let found =
            registry.and_then(|registry| registry.store.tags(repository, "", usize::MAX).ok());
        found.map(|(tags, _)| tags).unwrap_or_default()
    }

    /// Puts a described image in, or moves a tag to it; gives the digest.
    pub fn tag(&self, host: &str, line: &str) -> Result<String, LookupError> {
        let spec: ImageSpec = line.parse()?;
        let digest = self.put_image(host, &spec);
        digest.ok_or_else(|| LookupError::Host(host.to_owned()))
    }

    pub(crate) fn put_image(&self, host: &str, spec: &ImageSpec) -> Option<String> {
        let registry = self.core.registry(host)?;
        Some(registry.store.seed(spec).to_string())
    }

    /// Removes a tag (`team/web:v1`), or a manifest with its tags (`team/web@sha256:…`).
    pub fn untag(&self, host: &str, reference: &str) -> Result<(), LookupError> {
        let registry = self.core.registry(host);
        let registry = registry.ok_or_else(|| LookupError::Host(host.to_owned()))?;
        let (repository, name) = split_reference(reference);
        let gone = if name.contains(':') {
            registry.store.delete_manifest(repository, name)
        } else {
            registry.store.delete_tag(repository, name)
        };
        gone.map_err(|_| LookupError::Reference(reference.to_owned()))
    }
}

/// `a/b:v1` and `a/b@sha256:…`; no tag means `latest`.
fn split_reference(text: &str) -> (&str, &str) {
    text.split_once('@')
        .or_else(|| text.split_once(':'))
        .unwrap_or((text, "latest"))
}

/// What is known of a request before anybody has looked into it.
pub(crate) struct Call<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    /// Without the port, lower case.
    pub(crate) host: &'a str,
    /// As sent, with the port: what addresses in answers are built from.
    pub(crate) authority: &'a str,
    /// Decoded.
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) target: Target<'a>,
}

impl Core {
    pub(crate) fn registry(&self, host: &str) -> Option<&Arc<Registry>> {
        match self.place(&host.to_ascii_lowercase())? {
            Place::Registry(registry) => Some(registry),
            Place::Data(_) => None,
        }
    }

    fn place(&self, host: &str) -> Option<&Place> {
        self.places.get(host).or(self.fallback.as_ref())
    }

    /// One request, one answer. `Err` means that the connection is to end without one.
    pub(crate) async fn respond(
        &self,
        connection: &Connection,
        request: Request<Incoming>,
    ) -> Result<Reply, Cut> {
        let (head, body) = request.into_parts();
        let authority = head
            .uri
            .authority()
            .map(|authority| authority.as_str().to_owned());
        let authority = authority
            .or_else(|| text_of(&head.headers, header::HOST).map(str::to_owned))
            .unwrap_or_default();
        let host = bare_host(&authority).to_ascii_lowercase();
        let path = percent_decode_str(head.uri.path()).decode_utf8_lossy();
        let call = Call {
            connection,
            method: &head.method,
            headers: &head.headers,
            host: &host,
            authority: &authority,
            path: &path,
            query: head.uri.query().unwrap_or_default(),
            target: Target::parse(&path),
        };
        let number = self.journal.record(self.entry(&call, head.uri.path()));
        let mut reply = self.answer(&call, body).await;
        reply
            .headers_mut()
            .insert(header::DATE, self.dates.now(self.clock));
        let (status, bytes) = (reply.status().as_u16(), reply.body().len());
        let sent = if *call.method == Method::HEAD {
            0
        } else {
            bytes
        };
        self.journal.complete(number, |entry| {
            entry.status = Some(status);
            entry.bytes = sent;
        });
        Ok(reply)
    }

    async fn answer(&self, call: &Call<'_>, body: Incoming) -> Reply {
        match self.place(call.host) {
            Some(Place::Registry(registry)) => self.ask_registry(registry, call, body).await,
            Some(Place::Data(registries)) => self.ask_data(registries, call),
            None => text_reply(
                StatusCode::MISDIRECTED_REQUEST,
                "text/plain; charset=utf-8",
                format!("nobody answers for {:?} here\n", call.host),
            ),
        }
    }

    async fn ask_registry(
        &self,
        registry: &Arc<Registry>,
        call: &Call<'_>,
        body: Incoming,
    ) -> Reply {
        if call.path == "/v2" {
            let mut reply = empty_reply(StatusCode::MOVED_PERMANENTLY);
            set(&mut reply, header::LOCATION, "/v2/");
            return reply;
        }
        let ask = Ask {
            core: self,
            registry,
            target: call.target,
            method: call.method,
            headers: call.headers,
            query: call.query,
            scheme: call.connection.scheme(),
        };
        let outcome = match protocol::check(call.target) {
            Ok(()) => protocol::answer(&ask, body).await,
            Err(refusal) => Err(refusal),
        };
        let mut reply = outcome.unwrap_or_else(Refusal::into_reply);
        if call.target.route != Route::Other {
            let version = HeaderValue::from_static("registry/2.0");
            reply
                .headers_mut()
                .insert("docker-distribution-api-version", version);
        }
        reply
    }

    /// A blob by its signed address, as object stores serve them.
    fn ask_data(&self, registries: &[Arc<Registry>], call: &Call<'_>) -> Reply {
        if !matches!(*call.method, Method::GET | Method::HEAD) {
            return storage_error(
                StatusCode::METHOD_NOT_ALLOWED,
                "UnsupportedHttpVerb",
                "The resource doesn't support specified Http Verb.",
            );
        }
        match signed_blob(self, call.host, call.path, call.query) {
            Ok(digest) => {
                let found = registries
                    .iter()
                    .find_map(|registry| registry.store.content(&digest));
                match found {
                    Some(blob) => protocol::send_blob(call.headers, &digest, &blob),
                    None => storage_error(
                        StatusCode::NOT_FOUND,
                        "BlobNotFound",
                        "The specified blob does not exist.",
                    ),
                }
            }
            Err(AddressError::Refused) => storage_error(
                StatusCode::FORBIDDEN,
                "AuthenticationFailed",
                "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature.",
            ),
            Err(AddressError::Unknown) => storage_error(
                StatusCode::NOT_FOUND,
                "ResourceNotFound",
                "The specified resource does not exist.",
            ),
        }
    }

    fn entry(&self, call: &Call<'_>, path: &str) -> Entry {
        let noted = |name| text_of(call.headers, name).map(|text| clip(text).to_owned());
        let accepts: Vec<&str> = call
            .headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .collect();
        Entry {
            number: 0,
            at: self.clock.elapsed(),
            client: call.connection.client.clone(),
            peer: call.connection.peer,
            host: clip(call.authority).to_owned(),
            method: call.method.clone(),
            path: clip(path).to_owned(),
            query: (!call.query.is_empty()).then(|| redact(clip(call.query))),
            authorization: Authorization::of(call.headers),
            user_agent: noted(header::USER_AGENT),
            range: noted(header::RANGE),
            accept: (!accepts.is_empty()).then(|| clip(&accepts.join(", ")).to_owned()),
            status: None,
            bytes: 0,
            fault: None,
        }
    }
}

fn clip(text: &str) -> &str {
    let mut end = text.len().min(MAX_NOTED);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The error of an object store, which is XML.
fn storage_error(status: StatusCode, code: &str, message: &str) -> Reply {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    text_reply(status, "application/xml", text)
}

/// The host of `host:port`, `[::1]:port`, `host`.
pub(crate) fn bare_host(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host)
}

/// The `Date` header of this second.
#[derive(Default)]
pub(crate) struct Dates {
    latest: Mutex<Option<(i64, HeaderValue)>>,
}

impl Dates {
    fn now(&self, clock: Clock) -> HeaderValue {
        let now = clock.now();
        let second = now.as_second();
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, value)) = latest.as_ref()
            && *at == second
        {
            return value.clone();
        }
        let text = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let value = HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""));
        *latest = Some((second, value.clone()));
        value
    }
}
