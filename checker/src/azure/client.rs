//! A small client for ARM: one bounded `GET` a call, over the place's network.
//!
//! The token goes to the endpoint's own host only, over TLS, or in plain text to loopback alone.
//! Answers of at most 4 MiB, lists of at most 20 pages; each request has 30 seconds.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HOST, RETRY_AFTER, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

use super::facts::Lookup;
use crate::keyring::Secret;
use crate::world::{Arm, BoxStream, Host, Place, Trust, WallClock, World};

const BODY: usize = 4 * 1024 * 1024;
const PAGES: usize = 20;
const DEADLINE: Duration = Duration::from_secs(30);
const DIAL: Duration = Duration::from_secs(10);

/// Why ARM gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArmError {
    /// The endpoint was not reached.
    #[error("no answer from {host}: {why}")]
    Unreachable {
        /// The endpoint's host.
        host: String,
        /// What happened.
        why: String,
    },
    /// There is no token to send.
    #[error("no token for Azure Resource Manager: {why}")]
    NoToken {
        /// What the source said.
        why: String,
    },
    /// 401.
    #[error("the token was refused ({code}): {message}")]
    Unauthorized {
        /// ARM's code: `ExpiredAuthenticationToken` and so on.
        code: String,
        /// ARM's text.
        message: String,
    },
    /// 403.
    #[error("forbidden: the right `{action}` is missing")]
    Forbidden {
        /// The action that is missing.
        action: String,
    },
    /// 404.
    #[error("not found ({code})")]
    NotFound {
        /// ARM's code: `ResourceGroupNotFound` and so on.
        code: String,
    },
    /// 429.
    #[error("ARM is throttling this caller{}", .retry_after.as_ref().map_or_else(String::new, |s| format!(", try again in {s} s")))]
    Throttled {
        /// Seconds, as the header says.
        retry_after: Option<String>,
    },
    /// Any other status.
    #[error("ARM answered {status} ({code}): {message}")]
    Status {
        /// The status.
        status: u16,
        /// ARM's code.
        code: String,
        /// ARM's text.
        message: String,
    },
    /// An answer that is not the JSON it should be, or is too large, or points elsewhere.
    #[error("the answer of ARM could not be used: {why}")]
    Malformed {
        /// What is wrong with it.
        why: String,
    },
}

/// Asks ARM and remembers what it asked.
pub(super) struct Client<'a> {
    arm: &'a Arm,
    place: &'a Place,
    clock: Arc<dyn WallClock>,
    token: Option<Secret>,
    pub(super) lookups: Vec<Lookup>,
}

impl<'a> Client<'a> {
    pub(super) fn new(world: &'a World, arm: &'a Arm) -> Self {
        Self {
            arm,
            place: &world.workstation,
            clock: Arc::clone(&world.clock),
            token: None,
            lookups: Vec::new(),
        }
    }

    /// One object. `action` is the right that reading it takes.
    pub(super) async fn get(
        &mut self,
        what: &str,
        path: &str,
        action: &str,
    ) -> Result<Value, ArmError> {
        let answer = self.ask(path, action).await;
        let outcome = answer
            .as_ref()
            .map_or_else(ToString::to_string, |_| "found".into());
        self.lookups.push(Lookup {
            what: what.into(),
            at: path.into(),
            outcome,
        });
        answer
    }

    /// All pages of a list.
    pub(super) async fn list(
        &mut self,
        what: &str,
        path: &str,
        action: &str,
    ) -> Result<Vec<Value>, ArmError> {
        let answer = self.pages(path, action).await;
        let outcome = answer.as_ref().map_or_else(ToString::to_string, |items| {
            format!("{} found", items.len())
        });
        self.lookups.push(Lookup {
            what: what.into(),
            at: path.into(),
            outcome,
        });
        answer
    }

    async fn pages(&mut self, path: &str, action: &str) -> Result<Vec<Value>, ArmError> {
        let mut items = Vec::new();
        let mut path = path.to_owned();
        for _ in 0..PAGES {
            let mut page = self.ask(&path, action).await?;
            match page.get_mut("value").map(Value::take) {
                Some(Value::Array(more)) => items.extend(more),
                _ => {
                    return Err(ArmError::Malformed {
                        why: "a list without `value`".into(),
                    });
                }
            }
            match page
                .get("nextLink")
                .and_then(Value::as_str)
                .filter(|link| !link.is_empty())
            {
                Some(link) => path = self.own_path(link)?,
                None => return Ok(items),
            }
        }
        Err(ArmError::Malformed {
            why: format!("a list of more than {PAGES} pages"),
        })
    }

    /// The path of a link to a further page; the token must not follow it to another host.
    fn own_path(&self, link: &str) -> Result<String, ArmError> {
        let elsewhere = || ArmError::Malformed {
            why: "`nextLink` leads to another host".into(),
        };
        let uri: http::Uri = link.parse().map_err(|_| elsewhere())?;
        let same = uri.scheme() == self.arm.endpoint.scheme()
            && uri.authority() == self.arm.endpoint.authority();
        let path = uri
            .path_and_query()
            .filter(|_| same)
            .ok_or_else(elsewhere)?;
        Ok(path.to_string())
    }

    async fn ask(&mut self, path: &str, action: &str) -> Result<Value, ArmError> {
        let token = self.token().await?;
        let host = self.arm.endpoint.host().unwrap_or_default().to_owned();
        let unreachable = |why: String| ArmError::Unreachable {
            host: host.clone(),
            why,
        };
        let asked = tokio::time::timeout(DEADLINE, self.send(path, &token)).await;
        let (status, retry_after, body) =
            asked.map_err(|_| unreachable("no answer in 30 s".into()))??;
        let json: Option<Value> = serde_json::from_slice(&body).ok();
        if status == StatusCode::OK {
            return json.ok_or_else(|| ArmError::Malformed {
                why: "not JSON".into(),
            });
        }
        let said = |key: &str| {
            let text = json
                .as_ref()
                .and_then(|json| json.pointer("/error")?.get(key)?.as_str());
            text.unwrap_or_default()
                .chars()
                .filter(|c| !c.is_control())
                .take(500)
                .collect::<String>()
        };
        let (code, message) = (said("code"), said("message"));
        Err(match status.as_u16() {
            401 => ArmError::Unauthorized { code, message },
            403 => {
                let named = message
                    .split_once("perform action '")
                    .and_then(|(_, rest)| rest.split_once('\''));
                ArmError::Forbidden {
                    action: named.map_or(action, |(action, _)| action).to_owned(),
                }
            }
            404 => ArmError::NotFound { code },
            429 => ArmError::Throttled { retry_after },
            status => ArmError::Status {
                status,
                code,
                message,
            },
        })
    }

    async fn token(&mut self) -> Result<Secret, ArmError> {
        if let Some(token) = &self.token {
            return Ok(token.clone());
        }
        let resource = format!("{}/", self.arm.endpoint.to_string().trim_end_matches('/'));
        let token = self.arm.token.token(&resource).await;
        let token = token.map_err(|error| ArmError::NoToken {
            why: error.to_string(),
        })?;
        self.token = Some(token.clone());
        Ok(token)
    }

    async fn send(
        &self,
        path: &str,
        token: &Secret,
    ) -> Result<(StatusCode, Option<String>, Bytes), ArmError> {
        let endpoint = &self.arm.endpoint;
        let host = endpoint.host().unwrap_or_default().to_owned();
        let unreachable = |why: String| ArmError::Unreachable {
            host: host.clone(),
            why,
        };
        let stream = self.connect(&host).await.map_err(unreachable)?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| unreachable(error.to_string()))?;
        let authority = endpoint
            .authority()
            .map_or(host.as_str(), http::uri::Authority::as_str);
        let mut bearer = http::HeaderValue::from_str(&format!("Bearer {}", token.expose()))
            .map_err(|_| ArmError::NoToken {
                why: "it holds characters that no header may hold".into(),
            })?;
        bearer.set_sensitive(true);
        let request = Request::get(path)
            .header(HOST, authority)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, concat!("pullcheck/", env!("CARGO_PKG_VERSION")))
            .header(AUTHORIZATION, bearer)
            .body(Empty::<Bytes>::new())
            .map_err(|error| ArmError::Malformed {
                why: error.to_string(),
            })?;
        let exchange = async {
            let answer = sender
                .send_request(request)
                .await
                .map_err(|error| unreachable(error.to_string()))?;
            let status = answer.status();
            let header = answer
                .headers()
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok());
            let retry_after = header.map(|text| text.chars().take(40).collect());
            let body = Limited::new(answer.into_body(), BODY).collect().await;
            let body = body.map_err(|error| ArmError::Malformed {
                why: error.to_string(),
            })?;
            Ok((status, retry_after, body.to_bytes()))
        };
        // The connection is driven beside the exchange, so that nothing outlives the call.
        let mut exchange = std::pin::pin!(exchange);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            ended = &mut connection => match ended {
                Ok(()) => exchange.await,
                Err(error) => Err(unreachable(error.to_string())),
            },
        }
    }

    async fn connect(&self, host: &str) -> Result<BoxStream, String> {
        let secure = self.arm.endpoint.scheme_str() != Some("http");
        let port = self
            .arm
            .endpoint
            .port_u16()
            .unwrap_or(if secure { 443 } else { 80 });
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let addresses = if let Ok(address) = bare.parse::<IpAddr>() {
            vec![address]
        } else {
            let name = Host::parse(host).map_err(|error| error.to_string())?;
            let resolved = self.place.net.resolve(&name).await;
            resolved.map_err(|error| error.to_string())?.addresses
        };
        if !secure && !addresses.iter().all(IpAddr::is_loopback) {
            return Err(
                "plain HTTP is used with loopback addresses only, for the token's sake".into(),
            );
        }
        let mut why = "the name has no address".to_owned();
        for address in addresses.into_iter().take(4) {
            let dialled =
                tokio::time::timeout(DIAL, self.place.net.dial(SocketAddr::new(address, port)))
                    .await;
            match dialled {
                Ok(Ok(stream)) if secure => return self.secure(stream, bare).await,
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => why = format!("{address}:{port}: {error}"),
                Err(_) => why = format!("{address}:{port}: no answer in 10 s"),
            }
        }
        Err(why)
    }

    async fn secure(&self, stream: BoxStream, host: &str) -> Result<BoxStream, String> {
        let config = tls(&self.place.trust, &self.clock)?;
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = connector
            .connect(name, stream)
            .await
            .map_err(|error| error.to_string())?;
        Ok(Box::new(stream))
    }
}

fn tls(trust: &Trust, clock: &Arc<dyn WallClock>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let time = Arc::new(Dates(Arc::clone(clock)));
    let builder = ClientConfig::builder_with_details(Arc::clone(&provider), time)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(match trust {
        Trust::Roots(certificates) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates.iter().cloned());
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        Trust::Platform { extra } => {
            let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(
                extra.iter().cloned(),
                provider,
            );
            let verifier = verifier.map_err(|error| error.to_string())?;
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth()
        }
    })
}

struct Dates(Arc<dyn WallClock>);

impl std::fmt::Debug for Dates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dates")
    }
}

impl TimeProvider for Dates {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}
