//! What a run is made of, and who answers for which host.
//!
//! A registry asks in this order: rules of the network, quotas, the caller's rights, and the
//! protocol. `respond` brings requests here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use hyper::body::Incoming;

use crate::auth::token::{self, Signer, TokenRequest};
use crate::auth::{AuthPolicy, Caller, Gate, Identity, Scope};
use crate::azure::acr::Acrs;
use crate::azure::data_plane::{self, Done};
use crate::azure::quota::Bucket;
use crate::azure::state::Acr;
use crate::azure::{self, Azure};
use crate::clock::Clock;
use crate::expect::Expectations;
use crate::fault::Faults;
use crate::fault::apply::throttled;
use crate::flavour::{Standing, voice};
use crate::host::{AddressError, Registry, signed_blob};
use crate::journal::Journal;
use crate::keys::Keys;
use crate::message::{ReadError, Refusal, Reply, empty_reply, read_all, set, text_reply};
use crate::protocol::{self, Ask, Route, Target};
use crate::random::Random;
use crate::serve::Connection;
use crate::tls::Tls;

pub(crate) const API_VERSION: HeaderName =
    HeaderName::from_static("docker-distribution-api-version");

/// Forms and the bodies of Resource Manager.
const MAX_FORM: usize = 256 << 10;

pub(crate) struct Core {
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) journal: Journal,
    pub(crate) keys: Keys,
    pub(crate) tls: Tls,
    pub(crate) dates: Dates,
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
    /// What the client has already, by its tag.
    pub(crate) if_none_match: Option<&'a HeaderValue>,
    /// When it came, since the start.
    pub(crate) elapsed: Duration,
}

impl Call<'_> {
    /// Whether the answer waits for nothing: no body, no disk, no other request.
    pub(crate) fn only_reads(&self) -> bool {
        matches!(*self.method, Method::GET | Method::HEAD) && self.target.route != Route::Upload
    }
}

/// How far a request has come before the protocol itself is asked.
enum Step {
    Answered(Reply),
    Token,
    Exchange,
    DataPlane,
    Protocol(Caller, Option<Standing>),
}

impl Core {
    pub(crate) fn registry(&self, host: &str) -> Option<&Arc<Registry>> {
        match self.place(&host.to_ascii_lowercase())? {
            Place::Registry(registry) => Some(registry),
            _ => None,
        }
    }

    pub(crate) fn place(&self, host: &str) -> Option<&Place> {
        self.places.get(host).or(self.fallback.as_ref())
    }

    pub(crate) async fn answer(
        &self,
        place: Option<&Place>,
        call: &Call<'_>,
        body: Incoming,
    ) -> Reply {
        if call.only_reads()
            && let Some(reply) = self.answer_now(place, call)
        {
            return reply;
        }
        match place {
            Some(Place::Registry(registry) | Place::Tokens(registry)) => {
                let outcome = self.ask_registry(registry, call, body).await;
                self.in_its_voice(registry, call, outcome)
            }
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
            Some(Place::Data(registries)) => self.ask_data(registries, call),
            Some(Place::Imds) => azure::imds(self, call),
            None => text_reply(
                StatusCode::MISDIRECTED_REQUEST,
                "text/plain; charset=utf-8",
                format!("nobody answers for {:?} here\n", call.host),
            ),
        }
    }

    /// The answer to a request that only reads, where nobody has to wait for it.
    pub(crate) fn answer_now(&self, place: Option<&Place>, call: &Call<'_>) -> Option<Reply> {
        match place {
            Some(Place::Registry(registry) | Place::Tokens(registry)) => {
                let outcome = self.read_registry(registry, call);
                Some(self.in_its_voice(registry, call, outcome))
            }
            Some(Place::Data(registries)) => Some(self.ask_data(registries, call)),
            _ => None,
        }
    }

    fn in_its_voice(
        &self,
        registry: &Registry,
        call: &Call<'_>,
        outcome: protocol::Outcome,
    ) -> Reply {
        let route = call.target.route;
        // A stored manifest has all of its headers.
        let mut bare = match route {
            Route::Other | Route::Token | Route::Exchange => false,
            Route::Manifest => !call.only_reads(),
            _ => true,
        };
        let mut reply = outcome.unwrap_or_else(|refusal| {
            bare = bare || route == Route::Manifest;
            voice(registry, call, &self.signer(registry), refusal)
        });
        if bare {
            let version = HeaderValue::from_static("registry/2.0");
            reply.headers_mut().insert(API_VERSION, version);
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

    /// All that is asked before the protocol.
    fn approach(&self, registry: &Registry, call: &Call<'_>) -> Result<Step, Box<Refusal>> {
        if let Some(outcome) = self.with_acr(registry, call, |acr| acr.check_network()) {
            outcome?;
        }
        if call.path == "/v2" {
            let mut reply = empty_reply(StatusCode::MOVED_PERMANENTLY);
            set(&mut reply, header::LOCATION, "/v2/");
            return Ok(Step::Answered(reply));
        }
        match call.target.route {
            Route::Token => {
                self.charge(registry, call, None)?;
                return Ok(Step::Token);
            }
            Route::Exchange => {
                self.charge(registry, call, None)?;
                return Ok(Step::Exchange);
            }
            Route::Other if call.path.starts_with(data_plane::ROOT) && registry.is_acr() => {
                return Ok(Step::DataPlane);
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
        let limit = registry.spec.pull_limit;
        let standing = limit.and_then(|limit| {
            let pulls = &registry.pulls;
            pulls.charge(limit, call, &caller.identity, call.elapsed)
        });
        Ok(Step::Protocol(caller, standing))
    }

    async fn ask_registry(
        &self,
        registry: &Registry,
        call: &Call<'_>,
        body: Incoming,
    ) -> protocol::Outcome {
        match self.approach(registry, call)? {
            Step::Answered(reply) => Ok(reply),
            Step::Token => {
                let form = form(call, body).await?;
                self.token(registry, call, &form)
            }
            Step::Exchange => {
                let form = form(call, body).await?;
                self.exchange(registry, call, &form)
            }
            Step::DataPlane => {
                let body = bytes(body).await?;
                self.data_plane(registry, call, &body)
            }
            Step::Protocol(caller, standing) => {
                if let Some(refusal) = standing.as_ref().and_then(Standing::refusal) {
                    return self.standing(registry, call, standing, Err(refusal));
                }
                let ask = self.question(registry, call, &caller);
                let outcome = protocol::answer(&ask, body).await;
                self.standing(registry, call, standing, outcome)
            }
        }
    }

    /// As `ask_registry`, for what only reads.
    fn read_registry(&self, registry: &Registry, call: &Call<'_>) -> protocol::Outcome {
        match self.approach(registry, call)? {
            Step::Answered(reply) => Ok(reply),
            Step::Token => self.token(registry, call, ""),
            Step::Exchange => self.exchange(registry, call, ""),
            Step::DataPlane => self.data_plane(registry, call, b""),
            Step::Protocol(caller, standing) => {
                if let Some(refusal) = standing.as_ref().and_then(Standing::refusal) {
                    return self.standing(registry, call, standing, Err(refusal));
                }
                let ask = self.question(registry, call, &caller);
                let outcome = protocol::read(&ask);
                self.standing(registry, call, standing, outcome)
            }
        }
    }

    fn question<'a>(
        &'a self,
        registry: &'a Registry,
        call: &Call<'a>,
        caller: &'a Caller,
    ) -> Ask<'a> {
        Ask {
            core: self,
            registry,
            caller,
            target: call.target,
            method: call.method,
            headers: call.headers,
            if_none_match: call.if_none_match,
            query: call.query,
            scheme: call.connection.scheme(),
        }
    }

    /// Where pulls are counted, the answer says how things stand.
    fn standing(
        &self,
        registry: &Registry,
        call: &Call<'_>,
        standing: Option<Standing>,
        outcome: protocol::Outcome,
    ) -> protocol::Outcome {
        let Some(standing) = standing else {
            return outcome;
        };
        let mut reply = outcome
            .unwrap_or_else(|refusal| voice(registry, call, &self.signer(registry), refusal));
        standing.show(&mut reply);
        Ok(reply)
    }

    fn exchange(&self, registry: &Registry, call: &Call<'_>, form: &str) -> protocol::Outcome {
        self.with_acr(registry, call, |acr| acr.exchange(form))
            .unwrap_or_else(|| Err(protocol::page_not_found()))
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
                .charge(acr.acr, buckets, identity, call.elapsed)
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
}

impl Place {
    /// What a path asks for at this place.
    pub(crate) fn target<'a>(&self, path: &'a str) -> Target<'a> {
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
    let bytes = read_all(body, MAX_FORM).await;
    bytes.map_err(|error| {
        error.refusal_or(|error| match error {
            ReadError::TooLarge => Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "SIZE_INVALID",
                "the body is too large",
            ),
            _ => Refusal::new(
                StatusCode::BAD_REQUEST,
                "UNKNOWN",
                "the body ended before its announced length",
            ),
        })
    })
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
    let colon = authority.bytes().rposition(|byte| byte == b':');
    colon
        .and_then(|at| authority.get(..at))
        .unwrap_or(authority)
}

/// The `Date` header of this second.
#[derive(Default)]
pub(crate) struct Dates {
    latest: Mutex<Option<(i64, HeaderValue)>>,
}

impl Dates {
    /// The date at a time since the clock's start.
    pub(crate) fn at(&self, clock: Clock, elapsed: Duration) -> HeaderValue {
        let second = clock.second(elapsed);
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, value)) = latest.as_ref()
            && *at == second
        {
            return value.clone();
        }
        let text = clock.at(elapsed).strftime("%a, %d %b %Y %H:%M:%S GMT");
        let value = HeaderValue::from_str(&text.to_string());
        let value = value.unwrap_or_else(|_| HeaderValue::from_static(""));
        *latest = Some((second, value.clone()));
        value
    }
}
