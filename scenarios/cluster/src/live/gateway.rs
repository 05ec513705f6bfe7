//! The way into the simulated network for programs of this machine: an HTTP proxy that stands at one
//! host of it. Names are looked up, and connections opened, as that host would: through its name
//! server and past its firewall. Nothing outside of the simulated network can be reached through it.

use std::io;
use std::net::SocketAddr;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderName};
use http::{HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use super::bridge::{Arrival, Arrivals};
use crate::failure::Failures;
use crate::net::{DialError, Host, LookupError, Stream};

/// What concerns one connection only, and is not passed on.
const HOP_BY_HOP: [&str; 7] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "upgrade",
];

/// A proxy at a host of the simulated network.
#[derive(Clone)]
pub struct Gateway {
    from: Host,
    failures: Failures,
}

/// Why the proxy cannot do what it is asked for.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("this is a proxy: ask for a whole URL, or CONNECT to HOST:PORT")]
    NotProxied,
    #[error("`{0}` is no host and port")]
    Target(String),
    #[error("looking up {name} from {from}: {source}")]
    Lookup {
        name: String,
        from: String,
        source: LookupError,
    },
    #[error("connecting to {to} from {from}: {source}")]
    Dial {
        to: SocketAddr,
        from: String,
        source: DialError,
    },
    #[error("{0}")]
    Http(#[from] hyper::Error),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotProxied | Self::Target(_) => StatusCode::BAD_REQUEST,
            Self::Lookup {
                source: LookupError::Timeout { .. },
                ..
            }
            | Self::Dial {
                source: DialError::TimedOut,
                ..
            } => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        }
    }
}

impl Gateway {
    /// A proxy that stands at `from`. Panics of its tasks go to `failures`.
    pub fn new(from: Host, failures: Failures) -> Self {
        Self { from, failures }
    }

    /// Serves every connection that arrives, until no more can.
    pub async fn serve(self, mut arrivals: Arrivals) {
        while let Some(arrival) = arrivals.next().await {
            let (gateway, failures) = (self.clone(), self.failures.clone());
            tokio::spawn(failures.watch("the gateway", gateway.connection(arrival)));
        }
    }

    async fn connection(self, arrival: Arrival) {
        let reset = std::sync::Arc::new(arrival.resetter());
        let service = service_fn(move |request: Request<Incoming>| {
            let (gateway, reset) = (self.clone(), std::sync::Arc::clone(&reset));
            async move {
                let answer = if request.method() == Method::CONNECT {
                    gateway.tunnel(request, move || reset()).await
                } else {
                    gateway.forward(request).await
                };
                Ok::<_, std::convert::Infallible>(answer.unwrap_or_else(|why| refuse(&why)))
            }
        });
        let _ = http1::Builder::new()
            .serve_connection(TokioIo::new(arrival.stream), service)
            .with_upgrades()
            .await;
    }

    /// `CONNECT host:port`: bytes go both ways until one end has enough.
    async fn tunnel(
        &self,
        request: Request<Incoming>,
        reset: impl Fn() + Send + 'static,
    ) -> Result<Response, Refusal> {
        let to = request.uri().authority().map(ToString::to_string);
        let to = to.unwrap_or_default();
        let mut remote = self.dial(&to, None).await?;
        let tunnel = async move {
            let Ok(upgraded) = hyper::upgrade::on(request).await else {
                return;
            };
            let mut near = TokioIo::new(upgraded);
            let ended = copy_bidirectional(&mut near, &mut remote).await;
            if ended.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset) {
                reset();
            }
        };
        tokio::spawn(self.failures.watch("a tunnel of the gateway", tunnel));
        Ok(Response::new(Body::empty()))
    }

    /// `GET http://host/path`: plain HTTP, passed on.
    async fn forward(&self, request: Request<Incoming>) -> Result<Response, Refusal> {
        let (mut parts, body) = request.into_parts();
        let authority = match (parts.uri.scheme_str(), parts.uri.authority()) {
            (Some("http"), Some(authority)) => authority.to_string(),
            _ => return Err(Refusal::NotProxied),
        };
        let stream = self.dial(&authority, Some(80)).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(self.failures.watch("a request of the gateway", connection));
        let named: Vec<HeaderName> = parts
            .headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|list| list.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .collect();
        for name in named {
            parts.headers.remove(name);
        }
        for name in HOP_BY_HOP {
            parts.headers.remove(name);
        }
        if let Ok(value) = HeaderValue::from_str(&authority) {
            parts.headers.insert(HOST, value);
        }
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        if let Ok(path) = path.parse() {
            parts.uri = path;
        }
        let answer = sender
            .send_request(Request::from_parts(parts, body))
            .await?;
        Ok(answer.map(Body::new))
    }

    async fn dial(&self, authority: &str, default: Option<u16>) -> Result<Stream, Refusal> {
        let wrong = || Refusal::Target(authority.chars().take(300).collect());
        let parsed: http::uri::Authority = authority.parse().map_err(|_| wrong())?;
        let port = parsed.port_u16().or(default).ok_or_else(wrong)?;
        let name = parsed.host().trim_start_matches('[').trim_end_matches(']');
        let from = || self.from.name().to_owned();
        let found = self.from.lookup(name).await;
        let found = found.map_err(|source| Refusal::Lookup {
            name: name.to_owned(),
            from: from(),
            source,
        })?;
        let mut last = wrong();
        for address in found.addresses {
            let to = SocketAddr::new(address, port);
            match self.from.dial(to).await {
                Ok(stream) => return Ok(stream),
                Err(source) => {
                    last = Refusal::Dial {
                        to,
                        from: from(),
                        source,
                    };
                }
            }
        }
        Err(last)
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway")
            .field("from", &self.from.name())
            .finish_non_exhaustive()
    }
}

fn refuse(why: &Refusal) -> Response {
    let mut response = Response::new(Body::from(Bytes::from(format!("{why}\n"))));
    *response.status_mut() = why.status();
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}
