//! One probe under way: its connections, its record, and how a request travels.
//!
//! Every stage goes through here, so that each connection is described once, every failure becomes a fact, and
//! the rules of safety hold everywhere: no credential leaves the registry's host, no server sends the probe to a
//! link-local or loopback address, redirects and bodies are bounded.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION, HeaderName, LOCATION, USER_AGENT};
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{Habits, Options, Progress};
use crate::evidence::{
    ClientShown, Endpoint, Evidence, Fact, HttpFailure, Identity, Method, Refusal, Role, Seen,
    TlsFailure, WhyWithheld,
};
use crate::keyring::Secret;
use crate::reference::{Host, Reference};
use crate::stage::Stage;
use crate::wire::connector::Connector;
use crate::wire::http::{Answer, Connection, HttpDeadlines, Keep, Outgoing, SendError, Told};
use crate::wire::{Excerpt, Url, UrlScheme, refusal};
use crate::world::{Place, WallClock};

/// As Go's HTTP client, and so every runtime.
const MAX_REDIRECTS: usize = 10;
/// How often a server may ask to wait before it is believed to mean no.
const MAX_WAITS: u32 = 2;
/// What is waited where a server says 429 and not for how long.
const UNTOLD_WAIT: Duration = Duration::from_secs(2);

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// The attempt ends at this stage; the record says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stop(pub(super) Stage);

pub(super) type Step<T> = Result<T, Stop>;

/// What stands in `Authorization` of requests to the registry.
#[derive(Clone, Debug)]
pub(super) enum Authorization {
    None,
    Basic(Secret),
    Bearer(Secret),
}

/// A request to the registry: what differs from one to the next.
pub(super) struct Ask<'a> {
    pub(super) stage: Stage,
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) accept: &'a [String],
    pub(super) range: Option<&'a str>,
    pub(super) keep: Keep,
}

/// An answer and the URL that gave it in the end.
pub(super) struct Reply {
    pub(super) answer: Answer,
    pub(super) url: Url,
    pub(super) took: Duration,
}

type Origin = (UrlScheme, String, u16);

pub(super) struct Session<'a> {
    pub(super) reference: &'a Reference,
    pub(super) options: &'a Options,
    pub(super) authorization: Authorization,
    pub(super) identity: Option<Identity>,
    pub(super) connector: Connector<'a>,
    pub(super) base: Url,
    pub(super) registry_is_local: bool,
    /// What the host at `base` is: the registry, or a mirror of it.
    pub(super) role: Role,
    /// True if the runtime is told not to verify that host's certificate.
    pub(super) unverified: bool,
    /// True if it is told to go on without TLS where TLS fails.
    pub(super) plain_fallback: bool,
    /// What stands in the place of `/v2` at that host.
    pub(super) prefix: String,
    /// The query that names the registry to a mirror.
    pub(super) namespace: Option<String>,
    /// Headers for that host alone.
    pub(super) headers: Vec<(Box<str>, Secret)>,
    /// The layer that is being read whole.
    pub(super) layer: Option<Progress>,
    /// What that host was shown when it asked for a client certificate.
    pub(super) client_shown: Option<ClientShown>,
    evidence: Evidence,
    pool: BTreeMap<Origin, Connection>,
    unreachable: BTreeMap<Origin, Stage>,
    waited: Duration,
    waits: u32,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        place: &'a Place,
        clock: &'a dyn WallClock,
        reference: &'a Reference,
        options: &'a Options,
    ) -> Self {
        let endpoint = reference.endpoint();
        let scheme = if options.plain_http.contains(reference.registry()) {
            UrlScheme::Http
        } else {
            UrlScheme::Https
        };
        Self {
            reference,
            options,
            authorization: Authorization::None,
            identity: None,
            connector: Connector::new(place, clock),
            evidence: Evidence::new(),
            registry_is_local: endpoint.host().is_local(),
            base: Url::new(scheme, endpoint, "/v2/"),
            role: Role::Registry,
            unverified: false,
            plain_fallback: false,
            prefix: "/v2".to_owned(),
            namespace: None,
            headers: Vec::new(),
            layer: None,
            client_shown: None,
            pool: BTreeMap::new(),
            unreachable: BTreeMap::new(),
            waited: Duration::ZERO,
            waits: 0,
        }
    }

    pub(super) fn finish(self) -> Evidence {
        self.evidence
    }

    /// Appends what another session saw.
    pub(super) fn append(&mut self, other: Evidence) {
        self.evidence.append(other);
    }

    /// A path of the API as the host at `base` knows it.
    fn own_target(&self, target: &str) -> String {
        let rest = target.strip_prefix("/v2").unwrap_or(target);
        let joint = if rest.contains('?') { '&' } else { '?' };
        match &self.namespace {
            None => format!("{}{rest}", self.prefix),
            Some(namespace) => format!("{}{rest}{joint}{namespace}", self.prefix),
        }
    }

    /// `/v2/` of the registry, with the scheme that was found to work.
    pub(super) const fn base(&self) -> &Url {
        &self.base
    }

    pub(super) fn now(&self) -> Timestamp {
        self.connector.clock.now()
    }

    /// Appends a fact about the registry.
    pub(super) fn note(&mut self, stage: Stage, took: Duration, seen: Seen) {
        let endpoint = Endpoint::new(self.role, self.base.authority().clone());
        self.note_about(stage, Some(endpoint), took, seen);
    }

    /// Appends a fact about the host that gave a reply in the end.
    pub(super) fn note_reply(&mut self, stage: Stage, reply: &Reply, seen: Seen) {
        let role = if reply.url.same_origin(&self.base) {
            self.role
        } else {
            Role::Storage
        };
        let endpoint = Endpoint::new(role, reply.url.authority().clone());
        self.note_about(stage, Some(endpoint), reply.took, seen);
    }

    pub(super) fn note_about(
        &mut self,
        stage: Stage,
        endpoint: Option<Endpoint>,
        took: Duration,
        seen: Seen,
    ) {
        let identity = match stage {
            Stage::Dns | Stage::Tcp | Stage::Tls | Stage::Ping | Stage::Proxy => None,
            _ => self.identity.clone(),
        };
        let fact = Fact {
            stage,
            vantage: self.connector.place.vantage.clone(),
            endpoint,
            identity,
            at: self.now(),
            took,
            seen,
        };
        self.evidence.push(fact);
    }

    /// Reads an answer that refuses.
    pub(super) fn refusal(&self, answer: &Answer) -> Refusal {
        refusal::read(
            answer.status.as_u16(),
            &answer.headers,
            &answer.body,
            self.now(),
        )
    }

    /// Waits as long as an answer asks for, if that is not too long; false if it is not waited.
    pub(super) async fn wait_for(&mut self, answer: &Answer, stage: Stage) -> bool {
        let busy = answer.status == StatusCode::TOO_MANY_REQUESTS
            || (answer.status == StatusCode::SERVICE_UNAVAILABLE
                && answer.headers.contains_key("retry-after"));
        if !busy {
            return false;
        }
        let retry_after = self.refusal(answer).retry_after;
        let wanted = retry_after
            .unwrap_or(UNTOLD_WAIT)
            .max(Duration::from_secs(1));
        let may = self.waits < MAX_WAITS && self.waited + wanted <= self.options.patience;
        if may {
            sleep(wanted).await;
            self.waits += 1;
            self.waited += wanted;
        }
        let waited = if may { wanted } else { Duration::ZERO };
        self.note(
            stage,
            waited,
            Seen::Waited {
                status: answer.status.as_u16(),
                retry_after,
                waited,
            },
        );
        may
    }

    /// Asks the registry, and follows where it sends to.
    pub(super) async fn ask(&mut self, ask: Ask<'_>) -> Step<Reply> {
        let started = Instant::now();
        let mut url = self.base.with_target(&self.own_target(&ask.target));
        let mut role = self.role;
        for _ in 0..=MAX_REDIRECTS {
            let mut outgoing = self.outgoing(ask.method);
            for accept in ask.accept {
                outgoing = outgoing.another_header(ACCEPT, accept);
            }
            if let Some(range) = ask.range {
                outgoing = outgoing.header(http::header::RANGE, range);
            }
            if role == self.role {
                if self.options.habits == Habits::CriO {
                    outgoing = outgoing.header(API_VERSION, "registry/2.0");
                }
                for (name, value) in &self.headers {
                    if let Ok(name) = name.parse() {
                        outgoing = outgoing.secret_header(name, value.expose());
                    }
                }
                outgoing =
                    match &self.authorization {
                        Authorization::None => outgoing,
                        Authorization::Basic(value) => outgoing
                            .secret_header(AUTHORIZATION, &format!("Basic {}", value.expose())),
                        Authorization::Bearer(value) => outgoing
                            .secret_header(AUTHORIZATION, &format!("Bearer {}", value.expose())),
                    };
            }
            let answer = self.send(ask.stage, role, &url, outgoing, ask.keep).await?;
            if role == self.role {
                // The scheme of a local registry may have changed while connecting.
                url = self.base.with_target(url.target());
            }
            if !is_redirect(answer.status) {
                return Ok(Reply {
                    answer,
                    url,
                    took: started.elapsed(),
                });
            }
            let next = match self.next(ask.stage, &url, &answer, started) {
                Some(next) => next?,
                None => {
                    return Ok(Reply {
                        answer,
                        url,
                        took: started.elapsed(),
                    });
                }
            };
            if !next.same_origin(&self.base) {
                role = Role::Storage;
                let to = next.authority().clone();
                let seen = Seen::Redirected {
                    status: answer.status.as_u16(),
                    to,
                };
                self.note(ask.stage, started.elapsed(), seen);
                // A HEAD need not be followed: that the registry sends on means that it has the content.
                if ask.method == Method::Head {
                    return Ok(Reply {
                        answer,
                        url,
                        took: started.elapsed(),
                    });
                }
            }
            url = next;
        }
        let reason = HttpFailure::TooManyRedirects;
        Err(self.http_failed(ask.stage, role, &url, ask.method, reason, started.elapsed()))
    }

    /// Where a redirect goes; `None` if it says nothing of that.
    fn next(
        &mut self,
        stage: Stage,
        url: &Url,
        answer: &Answer,
        started: Instant,
    ) -> Option<Step<Url>> {
        let location = answer.headers.get(LOCATION)?;
        let next = location
            .to_str()
            .ok()
            .and_then(|location| url.join(location));
        Some(next.ok_or_else(|| {
            let location = Excerpt::from_bytes(location.as_bytes());
            let reason = HttpFailure::BadRedirect { location };
            self.http_failed(
                stage,
                self.role,
                url,
                Method::Get,
                reason,
                started.elapsed(),
            )
        }))
    }

    pub(super) fn outgoing(&self, method: Method) -> Outgoing {
        Outgoing::new(method).header(USER_AGENT, &self.options.user_agent)
    }

    /// Sends one request over a kept or a new connection.
    pub(super) async fn send(
        &mut self,
        stage: Stage,
        role: Role,
        url: &Url,
        outgoing: Outgoing,
        keep: Keep,
    ) -> Step<Answer> {
        let method = outgoing.method;
        let deadlines = HttpDeadlines {
            head: self.options.deadlines.head,
            idle: self.options.deadlines.idle,
            body: self.options.deadlines.body,
        };
        let mut fresh = false;
        loop {
            let mut connection = if let Some(kept) = self.take(&origin(url)) {
                kept
            } else {
                fresh = true;
                self.connect(role, url).await?
            };
            let url = if role == self.role {
                self.base.with_target(url.target())
            } else {
                url.clone()
            };
            let started = Instant::now();
            let host = url.authority().to_string();
            let now = self.now();
            let (watch, layer) = (&self.options.watch, self.layer);
            let told = |read| {
                if let Some(layer) = layer {
                    watch.tell(Progress { read, ..layer });
                }
            };
            let keep = (keep, &told as Told<'_>);
            let sent = connection
                .send_telling(&host, url.target(), outgoing.clone(), keep, deadlines, now)
                .await;
            match sent {
                Ok(answer)
                    if connection.is_through_proxy()
                        && answer.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED =>
                {
                    return Err(self.forwarding_refused(role, &url, &answer).await);
                }
                Ok(answer) => {
                    if connection.is_usable() {
                        self.pool.insert(origin(&url), connection);
                    }
                    return Ok(answer);
                }
                // A kept connection may have been closed in the meantime; that says nothing of the server.
                Err(SendError::Http(
                    HttpFailure::Closed { received: 0 } | HttpFailure::Reset { received: 0 },
                )) if !fresh => {}
                Err(SendError::Http(reason)) => {
                    return Err(self.http_failed(
                        stage,
                        role,
                        &url,
                        method,
                        reason,
                        started.elapsed(),
                    ));
                }
                Err(SendError::Tls(reason)) => {
                    let reason = match (reason, &self.client_shown) {
                        // TLS 1.3 refuses a client certificate when the handshake is over.
                        (TlsFailure::Alert { text }, Some(ClientShown::Certificate { .. })) => {
                            TlsFailure::ClientCertificateRefused { text }
                        }
                        (reason, _) => reason,
                    };
                    let endpoint = Endpoint::new(role, url.authority().clone());
                    let seen = Seen::TlsFailed {
                        reason,
                        chain: Vec::new(),
                    };
                    self.note_about(Stage::Tls, Some(endpoint), started.elapsed(), seen);
                    return Err(Stop(Stage::Tls));
                }
            }
        }
    }

    fn take(&mut self, origin: &Origin) -> Option<Connection> {
        self.pool.remove(origin).filter(Connection::is_usable)
    }

    pub(super) fn http_failed(
        &mut self,
        stage: Stage,
        role: Role,
        url: &Url,
        method: Method,
        reason: HttpFailure,
        took: Duration,
    ) -> Stop {
        let endpoint = Endpoint::new(role, url.authority().clone());
        let seen = Seen::HttpFailed {
            method,
            path: Excerpt::new(url.path()),
            reason,
        };
        self.note_about(stage, Some(endpoint), took, seen);
        Stop(stage)
    }

    /// Resolve, dial, handshake: each a fact.
    async fn connect(&mut self, role: Role, url: &Url) -> Step<Connection> {
        let origin = origin(url);
        if let Some(stage) = self.unreachable.get(&origin) {
            return Err(Stop(*stage));
        }
        match self.connect_once(role, url).await {
            Ok(connection) => Ok(connection),
            Err(Stop(stage)) => {
                self.unreachable.insert(origin, stage);
                Err(Stop(stage))
            }
        }
    }

    /// Whether a host may be given a credential for this registry.
    pub(super) fn may_have_credential(&self, realm: &Url) -> Result<(), WhyWithheld> {
        if realm.scheme() == UrlScheme::Http && self.base.scheme() == UrlScheme::Https {
            return Err(WhyWithheld::PlainHttp);
        }
        let allowed = realm.host().same_as(self.base.host())
            || self
                .options
                .allow_realm
                .iter()
                .any(|host| host.same_as(realm.host()))
            || is_known_pair(self.reference.registry().host(), realm.host());
        if allowed {
            Ok(())
        } else {
            Err(WhyWithheld::OtherHost)
        }
    }
}

/// Registries whose token service is known to have another host.
fn is_known_pair(registry: &Host, realm: &Host) -> bool {
    let pairs = [
        ("docker.io", "auth.docker.io"),
        ("registry.gitlab.com", "gitlab.com"),
    ];
    pairs
        .iter()
        .any(|(a, b)| registry.name() == Some(*a) && realm.name() == Some(*b))
}

fn origin(url: &Url) -> Origin {
    (
        url.scheme(),
        url.host().to_string().to_ascii_lowercase(),
        url.port(),
    )
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}
