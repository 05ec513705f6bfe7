//! The way of a request: who answers for the host, what it is about, who asks, what comes out.
//!
//! Journal first, so that a request that never gets an answer stands there too; then rules of the
//! network, the caller's rights, and the protocol.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

use crate::auth::token::{self, Signer, TokenRequest};
use crate::auth::{AuthPolicy, Caller, Gate, Identity, Scope};
use crate::azure::acr::Acrs;
use crate::azure::data_plane::{self, Done};
use crate::azure::quota::Bucket;
use crate::azure::state::Acr;
use crate::azure::{self, Azure};
use crate::clock::Clock;
use crate::control::Metrics;
use crate::expect::Expectations;
use crate::fault::apply::throttled;
use crate::fault::{End, Faults, Firing};
use crate::flavour::voice;
use crate::host::{AddressError, Registry, signed_blob};
use crate::journal::{Authorization, Entry, Journal, redact};
use crate::keys::Keys;
use crate::message::{Cut, Refusal, Reply, empty_reply, read_all, set, text_of, text_reply};
use crate::protocol::{self, Ask, Route, Target};
use crate::random::Random;
use crate::serve::Connection;
use crate::tls::Tls;

/// Journal and fault rules see no more of a header than this.
const MAX_NOTED: usize = 1024;
/// Forms and the bodies of Resource Manager.
const MAX_FORM: usize = 256 << 10;

pub(crate) struct Core {
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) journal: Journal,
    pub(crate) keys: Keys,
    pub(crate) tls: Tls,
    pub(crate) dates: Dates,
    pub(crate) metrics: Metrics,
    pub(crate) places: BTreeMap<String, Place>,
    pub(crate) fallback: Option<Place>,
    pub(crate) azure: Option<Azure>,
    pub(crate) faults: Faults,
    pub(crate) expectations: Expectations,
}

/// Who answers for a host.
#[derive(Clone)]
pub(crate) enum Place {
    Registry(Arc<Registry>),
    /// Where this registry sends clients for tokens.
    Tokens(Arc<Registry>),
    /// Where these registries send clients for blobs.
    Data(Vec<Arc<Registry>>),
    Arm,
    Entra,
    Graph,
    Imds,
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
    /// As sent.
    pub(crate) raw_path: &'a str,
    /// Decoded.
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) target: Target<'a>,
}

impl Core {
    pub(crate) fn registry(&self, host: &str) -> Option<&Arc<Registry>> {
        match self.place(&host.to_ascii_lowercase())? {
            Place::Registry(registry) => Some(registry),
            _ => None,
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
        let place = self.place(&host);
        let call = Call {
            connection,
            method: &head.method,
            headers: &head.headers,
            host: &host,
            authority: &authority,
            raw_path: head.uri.path(),
            path: &path,
            query: head.uri.query().unwrap_or_default(),
            target: place.map_or(Target::bare(Route::Other), |place| place.target(&path)),
        };
        let number = self.journal.record(self.entry(&call));
        let under_way = self.metrics.arrive(call.target.route);
        let elapsed = self.clock.elapsed();
        self.expectations.see(&call, elapsed);
        let mut reply = match self.faults.decide(&call, elapsed) {
            None => self.answer(place, &call, body).await,
            Some(firing) => {
                self.journal
                    .complete(number, |entry| entry.fault = Some(firing.rule.name()));
                self.misbehave(&firing, place, &call, body).await?
            }
        };
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
        under_way.answered(status, sent);
        tracing::info!(
            target: "fake_registry::request",
            client = %connection.client,
            host,
            method = %call.method,
            path = call.raw_path,
            status,
            bytes = sent,
            "request"
        );
        Ok(reply)
    }

    /// What comes of a request that a fault rule has fired on.
    async fn misbehave(
        &self,
        firing: &Firing,
        place: Option<&Place>,
        call: &Call<'_>,
        body: Incoming,
    ) -> Result<Reply, Cut> {
        if let Some(time) = firing.delay() {
            tokio::time::sleep(time).await;
        }
        match firing.end() {
            None => {}
            Some(End::Close) => return Err(Cut),
            Some(End::Reset) => {
                call.connection.reset();
                return Err(Cut);
            }
            Some(End::Hang) => std::future::pending().await,
        }
        let mut reply = match firing.reply(call) {
            Some(reply) => reply,
            None if firing.ignores_range() => {
                let mut headers = call.headers.clone();
                headers.remove(header::RANGE);
                self.answer(
                    place,
                    &Call {
                        headers: &headers,
                        ..*call
                    },
                    body,
                )
                .await
            }
            None => self.answer(place, call, body).await,
        };
        firing.change(call, &mut reply);
        Ok(reply)
    }

    async fn answer(&self, place: Option<&Place>, call: &Call<'_>, body: Incoming) -> Reply {
        match place {
            Some(Place::Registry(registry) | Place::Tokens(registry)) => {
                self.ask_registry(registry, call, body).await
            }
            Some(Place::Data(registries)) => self.ask_data(registries, call),
            Some(Place::Imds) => azure::imds(self, call),
            Some(Place::Entra) => match form(call, body).await {
                Ok(form) => azure::entra(self, call, &form),
                Err(refusal) => refusal.into_reply(),
            },
            Some(Place::Arm) => match bytes(body).await {
                Ok(body) => azure::arm::answer(self, call, &body),
                Err(refusal) => refusal.into_reply(),
            },
            Some(Place::Graph) => match bytes(body).await {
                Ok(body) => azure::graph(self, call, &body),
                Err(refusal) => refusal.into_reply(),
            },
            None => text_reply(
                StatusCode::MISDIRECTED_REQUEST,
                "text/plain; charset=utf-8",
                format!("nobody answers for {:?} here\n", call.host),
            ),
        }
    }

    async fn ask_registry(&self, registry: &Registry, call: &Call<'_>, body: Incoming) -> Reply {
        let outcome = self.ask_protocol(registry, call, body).await;
        let mut reply = outcome
            .unwrap_or_else(|refusal| voice(registry, call, &self.signer(registry), refusal));
        if !matches!(
            call.target.route,
            Route::Other | Route::Token | Route::Exchange
        ) {
            let version = HeaderValue::from_static("registry/2.0");
            reply
                .headers_mut()
                .insert("docker-distribution-api-version", version);
        }
        if registry.is_acr() {
            set(&mut reply, header::SERVER, "openresty");
            set(
                &mut reply,
                HeaderName::from_static("x-ms-correlation-request-id"),
                &self.random.guid(),
            );
        }
        reply
    }

    async fn ask_protocol(
        &self,
        registry: &Registry,
        call: &Call<'_>,
        body: Incoming,
    ) -> protocol::Outcome {
        if let Some(outcome) = self.with_acr(registry, call, |acr| acr.check_network()) {
            outcome?;
        }
        if call.path == "/v2" {
            let mut reply = empty_reply(StatusCode::MOVED_PERMANENTLY);
            set(&mut reply, header::LOCATION, "/v2/");
            return Ok(reply);
        }
        if matches!(call.target.route, Route::Token | Route::Exchange) {
            self.charge(registry, call, None)?;
        }
        match call.target.route {
            Route::Token => {
                let form = form(call, body).await?;
                return self.token(registry, call, &form);
            }
            Route::Exchange => {
                let form = form(call, body).await?;
                return self
                    .with_acr(registry, call, |acr| acr.exchange(&form))
                    .unwrap_or_else(|| Err(protocol::page_not_found()));
            }
            Route::Other if call.path.starts_with(data_plane::ROOT) && registry.is_acr() => {
                let body = bytes(body).await?;
                return self.data_plane(registry, call, &body);
            }
            Route::Other => return Err(protocol::page_not_found()),
            _ => protocol::check(call.target)?,
        }
        let caller = self.admit(registry, call)?;
        self.charge(registry, call, Some(&caller.identity))?;
        let unlocked = |acr: Acrs<'_>| {
            acr.acr
                .check_locks(call.target, call.method, &registry.store)
        };
        self.with_acr(registry, call, unlocked).unwrap_or(Ok(()))?;
        let ask = Ask {
            core: self,
            registry,
            caller: &caller,
            target: call.target,
            method: call.method,
            headers: call.headers,
            query: call.query,
            scheme: call.connection.scheme(),
        };
        let limit = registry.spec.pull_limit;
        let standing = limit.and_then(|limit| {
            let now = self.clock.elapsed();
            registry.pulls.charge(limit, call, &caller.identity, now)
        });
        let Some(standing) = standing else {
            return protocol::answer(&ask, body).await;
        };
        let outcome = match standing.refusal() {
            Some(refusal) => Err(refusal),
            None => protocol::answer(&ask, body).await,
        };
        let mut reply = outcome
            .unwrap_or_else(|refusal| voice(registry, call, &self.signer(registry), refusal));
        standing.show(&mut reply);
        Ok(reply)
    }

    /// What a registry of Azure says beyond the distribution API.
    fn data_plane(&self, registry: &Registry, call: &Call<'_>, body: &[u8]) -> protocol::Outcome {
        let ask = |body: &[u8]| {
            self.with_acr(registry, call, |acr| acr.data_plane(registry, body))
                .unwrap_or_else(|| Err(protocol::page_not_found()))
        };
        let (Done::Lock(key, attributes), Some(azure)) = (
            match ask(body)? {
                Done::Reply(reply) => return Ok(reply),
                lock @ Done::Lock(..) => lock,
            },
            &self.azure,
        ) else {
            return Err(protocol::page_not_found());
        };
        azure
            .lock(&registry.spec.name, key, attributes)
            .map_err(|_| protocol::page_not_found())?;
        // As a second look shows it.
        self.with_acr(registry, call, |acr| acr.shown(registry))
            .unwrap_or_else(|| Err(protocol::page_not_found()))
    }

    /// Works with the tenant's registry behind this one, if there is one.
    fn with_acr<T>(
        &self,
        registry: &Registry,
        call: &Call<'_>,
        work: impl FnOnce(Acrs<'_>) -> T,
    ) -> Option<T> {
        if !registry.is_acr() {
            return None;
        }
        let state = self.azure.as_ref()?.read();
        let acr = state.registry(&registry.spec.name)?;
        Some(work(Acrs {
            core: self,
            state: &state,
            acr,
            call,
        }))
    }

    /// Counts a request against the buckets of a registry of Azure.
    fn charge(
        &self,
        registry: &Registry,
        call: &Call<'_>,
        identity: Option<&Identity>,
    ) -> Result<(), Box<Refusal>> {
        let buckets = Bucket::of(call.target.route, call.method);
        let charge = |acr: Acrs<'_>| {
            registry
                .usage
                .charge(acr.acr, buckets, identity, self.clock.elapsed())
        };
        self.with_acr(registry, call, charge)
            .unwrap_or(Ok(()))
            .map_err(throttled)
    }

    fn admit(&self, registry: &Registry, call: &Call<'_>) -> Result<Caller, Box<Refusal>> {
        if !registry.is_acr() && matches!(registry.spec.auth, AuthPolicy::Open) {
            return Ok(Caller::anybody());
        }
        let needed = Scope::needed(call.target, call.method, call.query);
        if let Some(outcome) = self.with_acr(registry, call, |acr| acr.admit(&needed)) {
            return outcome;
        }
        let gate = Gate {
            policy: &registry.spec.auth,
            tokens: &self.signer(registry),
            flavour: registry.spec.flavour,
            host: &registry.spec.name,
            origin: &format!("{}://{}", call.connection.scheme(), call.authority),
            headers: call.headers,
        };
        gate.admit(&needed)
    }

    fn token(&self, registry: &Registry, call: &Call<'_>, form: &str) -> protocol::Outcome {
        if let Some(outcome) = self.with_acr(registry, call, |acr| acr.token(form)) {
            return outcome;
        }
        let AuthPolicy::Token(service) = &registry.spec.auth else {
            return Err(protocol::page_not_found());
        };
        let request = TokenRequest {
            method: call.method,
            headers: call.headers,
            query: call.query,
            form,
            host: &registry.spec.name,
            flavour: registry.spec.flavour,
        };
        token::answer(service, &self.signer(registry), &request)
    }

    fn signer<'a>(&'a self, registry: &'a Registry) -> Signer<'a> {
        Signer {
            keys: &self.keys,
            clock: self.clock,
            random: &self.random,
            issuer: &registry.spec.name,
        }
    }

    /// Where a registry's blobs are, if they are not with it.
    pub(crate) fn blob_host(&self, registry: &Registry) -> Option<String> {
        if let Some(azure) = self.azure.as_ref().filter(|_| registry.is_acr()) {
            let state = azure.read();
            if let Some(host) = state.registry(&registry.spec.name).and_then(Acr::blob_host) {
                return Some(host);
            }
        }
        registry.spec.blob_host.clone()
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
                    Some(blob) => protocol::send_blob(call.headers, &digest, blob),
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

    fn entry(&self, call: &Call<'_>) -> Entry {
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
            path: clip(call.raw_path).to_owned(),
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

impl Place {
    /// What a path asks for at this place.
    fn target<'a>(&self, path: &'a str) -> Target<'a> {
        match self {
            Self::Registry(registry) => match registry.service_route(path) {
                Some(route) => Target::bare(route),
                None => Target::parse(path),
            },
            Self::Tokens(registry) => {
                Target::bare(registry.service_route(path).unwrap_or(Route::Other))
            }
            Self::Data(_) => {
                let reference = path
                    .trim_end_matches("/data")
                    .rsplit('/')
                    .next()
                    .unwrap_or_default();
                Target {
                    route: Route::Blob,
                    repository: "",
                    reference,
                }
            }
            Self::Arm => Target::bare(Route::Arm),
            Self::Entra => Target::bare(Route::Entra),
            Self::Graph => Target::bare(Route::Other),
            Self::Imds => Target::bare(Route::Imds),
        }
    }
}

/// The body of a form; nothing for requests without one.
async fn form(call: &Call<'_>, body: Incoming) -> Result<String, Box<Refusal>> {
    if *call.method != Method::POST {
        return Ok(String::new());
    }
    let body = bytes(body).await?;
    if !token::is_form(call.headers) {
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED",
            "application/x-www-form-urlencoded is needed",
        ));
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

async fn bytes(body: Incoming) -> Result<Bytes, Box<Refusal>> {
    let too_large = |_| {
        Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "SIZE_INVALID",
            "the body is too large or broken",
        )
    };
    read_all(body, MAX_FORM).await.map_err(too_large)
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
