//! What the control endpoint answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::metrics;
use super::tenant::TenantChange;
use crate::azure::AzureError;
use crate::core::bare_host;
use crate::fault::{Rule, RuleId, RuleReport, Script, ScriptError};
use crate::journal::{Entry, Wanted};
use crate::message::{param, text_of};
use crate::registry::{FakeRegistry, LookupError};
use crate::tls::TlsError;

/// A fault script or a list of images.
const MAX_BODY: usize = 1 << 20;
/// A client that is slower than this with its body is given up.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_RULES: usize = 10_000;
/// Entries that are written out in one go.
const PAGE: usize = 500;

const INDEX: &str = "\
fake-registry control
GET    /healthz      alive
GET    /readyz       taking connections
GET    /metrics      Prometheus text
GET    /faults       rules with their counts, JSON
PUT    /faults       replace all rules (YAML or JSON: {rules: [...]})
POST   /faults       add rules at the end, or before all others with ?first=true
DELETE /faults       remove all rules
DELETE /faults/ID    remove one rule
GET    /journal      requests, JSON lines; ?host= client= method= path= status= authorization= fault= since= limit=
DELETE /journal      forget them
GET    /ca.pem       the CA certificate of the run
GET    /client.pem   a certificate of that CA for a client, and its key; ?name=
POST   /images?host= one image a line, such as `team/web:v1 linux/amd64 2x1MiB`
DELETE /images?host= and ?reference=team/web:v1: the tag goes
PUT    /tls?host=    and ?mode=expired: what is wrong with the host's TLS from now on
POST   /azure        a change of the tenant (YAML or JSON: {set-sku: {registry: shop, sku: premium}})
GET    /hosts        host names that somebody answers for, JSON
";

type Answer = Response<BoxBody<Bytes, std::convert::Infallible>>;

/// Answers requests to the control endpoint.
pub(super) struct Desk {
    pub(super) registry: FakeRegistry,
    pub(super) ready: Arc<AtomicBool>,
    /// Listening where only this machine can reach it.
    pub(super) loopback: bool,
}

/// What is wrong with a request.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("requests from web pages are not taken")]
    Browser,
    #[error("nothing here; GET / lists what there is")]
    NoSuchPath,
    #[error("not with this method")]
    Method,
    #[error("`{0}` is no value of `{1}`")]
    Query(String, &'static str),
    #[error("the body is larger than {MAX_BODY} bytes")]
    TooLarge,
    #[error("the body did not arrive")]
    Broken,
    #[error("the body is not UTF-8")]
    Encoding,
    #[error("{0}")]
    Script(#[from] ScriptError),
    #[error("there would be more than {MAX_RULES} rules")]
    TooMany,
    #[error("no rule has the id {0}")]
    NoRule(u64),
    #[error("line {line}: {what}")]
    Image { line: usize, what: String },
    #[error("which registry? say ?host=, one of {0:?}")]
    WhichHost(Vec<String>),
    #[error("{0}")]
    Lookup(#[from] LookupError),
    #[error("{0}")]
    Tls(#[from] TlsError),
    #[error("{0}")]
    Azure(#[from] AzureError),
}

impl Refused {
    fn status(&self) -> StatusCode {
        match self {
            Self::Browser => StatusCode::FORBIDDEN,
            Self::NoSuchPath | Self::NoRule(_) => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken => StatusCode::REQUEST_TIMEOUT,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    fn answer(&self) -> Answer {
        let mut value = json!({"error": self.to_string()});
        if let (Self::Script(error), Some(map)) = (self, value.as_object_mut()) {
            map.insert("line".into(), error.line.into());
            map.insert("column".into(), error.column.into());
        }
        json_answer(self.status(), &value)
    }
}

impl Desk {
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let mut answer = self
            .dispatch(request)
            .await
            .unwrap_or_else(|refused| refused.answer());
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        if !matches!(path.as_str(), "/healthz" | "/readyz" | "/metrics") {
            tracing::info!(%method, path, status = answer.status().as_u16(), "control");
        }
        answer
    }

    async fn dispatch(&self, request: Request<Incoming>) -> Result<Answer, Refused> {
        self.check_origin(&request)?;
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let method = match request.method() {
            &Method::HEAD => Method::GET,
            other => other.clone(),
        };
        let registry = &self.registry;
        match (path.as_str(), method.as_str()) {
            ("/", "GET") => Ok(text(StatusCode::OK, INDEX)),
            ("/healthz", "GET") => Ok(text(StatusCode::OK, "ok\n")),
            ("/readyz", "GET") if self.ready.load(Ordering::Relaxed) => {
                Ok(text(StatusCode::OK, "ready\n"))
            }
            ("/readyz", "GET") => Ok(text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n")),
            ("/metrics", "GET") => Ok(typed(
                StatusCode::OK,
                "text/plain; version=0.0.4; charset=utf-8",
                metrics::page(registry),
            )),
            ("/ca.pem", "GET") => Ok(typed(
                StatusCode::OK,
                "application/x-pem-file",
                registry.ca_pem(),
            )),
            ("/client.pem", "GET") => {
                let name = param(&query, "name").unwrap_or_else(|| "client".into());
                let (certificate, key) = registry.client_certificate(&name)?;
                let both = certificate + &key;
                Ok(typed(StatusCode::OK, "application/x-pem-file", both))
            }
            ("/hosts", "GET") => Ok(json_answer(StatusCode::OK, &json!(registry.hosts()))),
            ("/faults", "GET") => Ok(self.rules()),
            ("/faults", "PUT") => {
                let script = script(&body(request).await?)?;
                registry.faults().replace(script);
                Ok(self.rules())
            }
            ("/faults", "POST") => {
                let script = script(&body(request).await?)?;
                let first = flag(&query, "first")?;
                self.add(script, first)
            }
            ("/faults", "DELETE") => {
                registry.faults().clear();
                Ok(self.rules())
            }
            ("/journal", "GET") => Ok(self.journal(wanted(&query)?)),
            ("/journal", "DELETE") => {
                registry.journal().clear();
                Ok(json_answer(StatusCode::OK, &json!({})))
            }
            ("/images", "POST") => {
                let lines = body(request).await?;
                self.seed(&query, &lines)
            }
            ("/images", "DELETE") => {
                let host = self.host(&query)?;
                let reference = param(&query, "reference").unwrap_or_default();
                registry.untag(&host, &reference)?;
                Ok(json_answer(StatusCode::OK, &json!({})))
            }
            ("/tls", "PUT") => {
                let host = self.host(&query)?;
                let text = param(&query, "mode").unwrap_or_default();
                let mode = serde_json::from_value(json!(text))
                    .map_err(|_| Refused::Query(text, "mode"))?;
                registry.set_tls(&host, mode);
                Ok(json_answer(StatusCode::OK, &json!({})))
            }
            ("/azure", "POST") => {
                let text = body(request).await?;
                let change: TenantChange =
                    serde_saphyr::from_str(&text).map_err(|error| ScriptError::of(&error))?;
                change.make(&registry.azure())?;
                Ok(json_answer(StatusCode::OK, &json!({})))
            }
            (
                "/" | "/healthz" | "/readyz" | "/metrics" | "/ca.pem" | "/client.pem" | "/hosts"
                | "/faults" | "/journal" | "/images" | "/tls" | "/azure",
                _,
            ) => Err(Refused::Method),
            (path, method) => {
                let id = path.strip_prefix("/faults/").ok_or(Refused::NoSuchPath)?;
                let id: u64 = id.parse().map_err(|_| Refused::NoSuchPath)?;
                if method != "DELETE" {
                    return Err(Refused::Method);
                }
                if !registry.faults().remove(RuleId::from_number(id)) {
                    return Err(Refused::NoRule(id));
                }
                Ok(self.rules())
            }
        }
    }

    /// A page in a browser can send requests to loopback, by its own name even; programs that
    /// are meant to be here do neither.
    fn check_origin(&self, request: &Request<Incoming>) -> Result<(), Refused> {
        let headers = request.headers();
        let page = headers.contains_key(header::ORIGIN)
            || text_of(headers, http::HeaderName::from_static("sec-fetch-site"))
                .is_some_and(|site| site != "none");
        let host = text_of(headers, header::HOST).unwrap_or_default();
        let host = bare_host(host);
        let named = host != "localhost" && host.parse::<std::net::IpAddr>().is_err();
        if page || (self.loopback && named) {
            return Err(Refused::Browser);
        }
        Ok(())
    }

    fn rules(&self) -> Answer {
        let rules: Vec<Value> = self.registry.faults().report().iter().map(shown).collect();
        json_answer(StatusCode::OK, &json!({"rules": rules}))
    }

    fn add(&self, script: Script, first: bool) -> Result<Answer, Refused> {
        let faults = self.registry.faults();
        if faults.report().len() + script.rules.len() > MAX_RULES {
            return Err(Refused::TooMany);
        }
        let ids: Vec<u64> = if first {
            // The last goes first, so that they end up in the order given.
            let ids = script.rules.into_iter().rev();
            let ids = ids.map(|rule| faults.add_first(rule).number());
            let mut ids: Vec<u64> = ids.collect();
            ids.reverse();
            ids
        } else {
            let rules = script.rules.into_iter();
            rules.map(|rule| faults.add(rule).number()).collect()
        };
        Ok(json_answer(StatusCode::CREATED, &json!({"added": ids})))
    }

    /// Written page by page, so that a long journal is never in memory twice.
    fn journal(&self, wanted: Wanted) -> Answer {
        let journal = self.registry.journal();
        let limit = wanted.limit;
        let pages = stream::unfold((wanted, limit), move |(mut wanted, left)| {
            let journal = journal.clone();
            async move {
                if left == 0 {
                    return None;
                }
                wanted.limit = left.min(PAGE);
                let found = journal.page(&wanted);
                let next = found.last()?.number + 1;
                let lines: BytesMut = found.iter().fold(BytesMut::new(), |mut all, entry| {
                    all.extend_from_slice(line(entry).to_string().as_bytes());
                    all.extend_from_slice(b"\n");
                    all
                });
                wanted.since = next;
                let left = left - found.len();
                Some((Ok(Frame::data(lines.freeze())), (wanted, left)))
            }
        });
        let mut answer = Response::new(BodyExt::boxed(StreamBody::new(pages)));
        answer.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-ndjson"),
        );
        answer
    }

    fn host(&self, query: &str) -> Result<String, Refused> {
        param(query, "host")
            .or_else(|| self.registry.only_host())
            .ok_or_else(|| Refused::WhichHost(self.registry.hosts()))
    }

    fn seed(&self, query: &str, lines: &str) -> Result<Answer, Refused> {
        let registry = &self.registry;
        let host = self.host(query)?;
        let mut made = Vec::new();
        let lines = lines.lines().enumerate();
        for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let digest = registry.tag(&host, line.trim()).map_err(|error| {
                let what = match &error {
                    LookupError::Image(source) => format!("{error}: {source}"),
                    _ => error.to_string(),
                };
                Refused::Image {
                    line: number + 1,
                    what,
                }
            })?;
            made.push(json!({"host": host, "image": line.trim(), "digest": digest}));
        }
        Ok(json_answer(StatusCode::CREATED, &json!({"images": made})))
    }
}

fn shown(report: &RuleReport) -> Value {
    let mut value = serde_json::to_value(&report.rule).unwrap_or_default();
    if let Some(map) = value.as_object_mut() {
        map.insert("id".into(), report.id.number().into());
        map.insert("matched".into(), report.matched.into());
        map.insert("fired".into(), report.fired.into());
    }
    value
}

fn line(entry: &Entry) -> Value {
    json!({
        "number": entry.number,
        "at": entry.at.as_secs_f64(),
        "client": *entry.client,
        "peer": entry.peer.to_string(),
        "host": entry.host,
        "method": entry.method.as_str(),
        "path": entry.path,
        "query": entry.query,
        "authorization": entry.authorization.name(),
        "user-agent": entry.user_agent,
        "range": entry.range,
        "accept": entry.accept,
        "status": entry.status,
        "bytes": entry.bytes,
        "fault": entry.fault,
    })
}

fn script(text: &str) -> Result<Script, Refused> {
    // One rule by itself will do too; the error of the script is the one to show.
    let script = Script::from_yaml(text).or_else(|error| {
        Rule::from_yaml(text)
            .map(|rule| Script { rules: vec![rule] })
            .or(Err(error))
    })?;
    if script.rules.len() > MAX_RULES {
        return Err(Refused::TooMany);
    }
    Ok(script)
}

fn flag(query: &str, key: &'static str) -> Result<bool, Refused> {
    match param(query, key).as_deref() {
        None | Some("false" | "0") => Ok(false),
        Some("" | "true" | "1") => Ok(true),
        Some(other) => Err(Refused::Query(other.to_owned(), key)),
    }
}

fn number<T: std::str::FromStr>(query: &str, key: &'static str) -> Result<Option<T>, Refused> {
    param(query, key)
        .map(|text| text.parse().map_err(|_| Refused::Query(text, key)))
        .transpose()
}

fn wanted(query: &str) -> Result<Wanted, Refused> {
    let known = [
        "host",
        "client",
        "method",
        "path",
        "status",
        "authorization",
        "fault",
        "since",
        "limit",
    ];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let key = pair.split('=').next().unwrap_or_default();
        if !known.contains(&key) {
            return Err(Refused::Query(key.to_owned(), "the journal's filters"));
        }
    }
    let status = param(query, "status")
        .map(|text| text.parse().map_err(|()| Refused::Query(text, "status")))
        .transpose()?;
    Ok(Wanted {
        host: param(query, "host"),
        client: param(query, "client"),
        method: param(query, "method").map(|method| method.to_ascii_uppercase()),
        path: param(query, "path"),
        authorization: param(query, "authorization"),
        fault: param(query, "fault"),
        status,
        since: number(query, "since")?.unwrap_or_default(),
        limit: number(query, "limit")?.unwrap_or(usize::MAX),
    })
}

async fn body(request: Request<Incoming>) -> Result<String, Refused> {
    let limited = http_body_util::Limited::new(request.into_body(), MAX_BODY);
    let collected = tokio::time::timeout(BODY_TIMEOUT, limited.collect()).await;
    let bytes = match collected {
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(Refused::TooLarge);
        }
        Err(_) | Ok(Err(_)) => return Err(Refused::Broken),
        Ok(Ok(collected)) => collected.to_bytes(),
    };
    String::from_utf8(bytes.into()).map_err(|_| Refused::Encoding)
}

fn typed(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()).boxed());
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn text(status: StatusCode, body: &'static str) -> Answer {
    typed(status, "text/plain; charset=utf-8", body)
}

fn json_answer(status: StatusCode, value: &Value) -> Answer {
    typed(status, "application/json", format!("{value:#}\n"))
}
