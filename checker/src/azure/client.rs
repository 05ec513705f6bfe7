//! A small client for ARM: one bounded `GET` a call, over the place's network.
//!
//! The token goes to the endpoint's own host only, over TLS, or in plain text to loopback alone.
//! Answers of at most 4 MiB, lists of at most 20 pages; each request has 30 seconds.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, StatusCode};
use serde_json::Value;

use super::cloud::Cloud;
use super::facts::Lookup;
use crate::evidence::{HttpFailure, Method};
use crate::keyring::Secret;
use crate::wire::connector::{Connector, OpenDeadlines};
use crate::wire::http::{Answer, HttpDeadlines, Keep, Outgoing, SendError};
use crate::wire::{Url, refusal};
use crate::world::{Arm, Place, WallClock, World};

const BODY: usize = 4 * 1024 * 1024;
const PAGES: usize = 20;
const DEADLINE: Duration = Duration::from_secs(30);
const OPEN: OpenDeadlines = OpenDeadlines {
    resolve: Duration::from_secs(12),
    dial: Duration::from_secs(10),
    handshake: Duration::from_secs(10),
};
const DEADLINES: HttpDeadlines = HttpDeadlines {
    head: DEADLINE,
    idle: DEADLINE,
    body: DEADLINE,
};
const AGENT: &str = concat!("pullcheck/", env!("CARGO_PKG_VERSION"));

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
    endpoint: http::Uri,
    place: &'a Place,
    clock: Arc<dyn WallClock>,
    token: Option<Secret>,
    pub(super) lookups: Vec<Lookup>,
}

impl<'a> Client<'a> {
    pub(super) fn new(world: &'a World, arm: &'a Arm, cloud: Cloud) -> Self {
        Self {
            arm,
            endpoint: arm.endpoint_of(cloud),
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
        let same =
            uri.scheme() == self.endpoint.scheme() && uri.authority() == self.endpoint.authority();
        let path = uri
            .path_and_query()
            .filter(|_| same)
            .ok_or_else(elsewhere)?;
        Ok(path.to_string())
    }

    async fn ask(&mut self, path: &str, action: &str) -> Result<Value, ArmError> {
        let token = self.token().await?;
        let asked = tokio::time::timeout(DEADLINE, self.send(path, &token)).await;
        let answer = asked.map_err(|_| self.unreachable("no answer in 30 s".into()))??;
        let json: Option<Value> = serde_json::from_slice(&answer.body).ok();
        if answer.status == StatusCode::OK {
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
        Err(match answer.status.as_u16() {
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
            429 => {
                let header = refusal::text(&answer.headers, &RETRY_AFTER);
                ArmError::Throttled {
                    retry_after: header.map(|text| text.chars().take(40).collect()),
                }
            }
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
        let resource = format!("{}/", self.endpoint.to_string().trim_end_matches('/'));
        let token = self.arm.token.token(&resource).await;
        let token = token.map_err(|error| ArmError::NoToken {
            why: error.to_string(),
        })?;
        self.token = Some(token.clone());
        Ok(token)
    }

    async fn send(&self, path: &str, token: &Secret) -> Result<Answer, ArmError> {
        let url = Url::parse(&self.endpoint.to_string())
            .ok_or_else(|| self.unreachable("the endpoint is not a URL".into()))?;
        let bearer = format!("Bearer {}", token.expose());
        if HeaderValue::from_str(&bearer).is_err() {
            return Err(ArmError::NoToken {
                why: "it holds characters that no header may hold".into(),
            });
        }
        let connector = Connector::new(self.place, self.clock.as_ref());
        let mut connection = connector
            .open(&url, OPEN, AGENT)
            .await
            .map_err(|error| self.unreachable(error.to_string()))?;
        let outgoing = Outgoing::new(Method::Get)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, AGENT)
            .secret_header(AUTHORIZATION, &bearer);
        let host = url.authority().to_string();
        let (keep, now) = (Keep::Whole(BODY), self.clock.now());
        let sent = connection
            .send(&host, path, outgoing, keep, DEADLINES, now)
            .await;
        sent.map_err(|error| match error {
            SendError::Http(HttpFailure::TooLarge { limit }) => ArmError::Malformed {
                why: format!("more than {limit} bytes"),
            },
            SendError::Http(failure) => self.unreachable(failure.to_string()),
            SendError::Tls(failure) => self.unreachable(failure.to_string()),
        })
    }

    fn unreachable(&self, why: String) -> ArmError {
        let host = self.endpoint.host().unwrap_or_default().to_owned();
        ArmError::Unreachable { host, why }
    }
}
