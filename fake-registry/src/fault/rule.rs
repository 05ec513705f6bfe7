//! A rule: when it is meant, and what it does. The fields are the keys of the YAML form.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::MethodName;
use super::quota::Quota;
use super::shortcut::{Challenge, TokenFault};
use super::values::{Chance, Flap, Name, Nth, OneOrMany, Pattern, Span, Status, Text};
use crate::protocol::Route;

/// One rule of a fault script.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rule {
    /// Shown in the journal and in reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(default, rename = "match", skip_serializing_if = "is_default")]
    pub(crate) when: Match,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) times: Option<u64>,
    pub(crate) action: Action,
}

/// When a rule is meant; what is not said does not matter.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Match {
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) host: Option<Pattern>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) route: Option<OneOrMany<Route>>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) method: Option<OneOrMany<MethodName>>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) repository: Option<Pattern>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) reference: Option<Pattern>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) client: Option<Pattern>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) path: Option<Pattern>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) ranged: Option<bool>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) authorized: Option<bool>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) nth: Option<Nth>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) probability: Option<Chance>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) from: Option<Span>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) until: Option<Span>,
    /// Bad in some stretches of time, good in others, drawn from the run's seed.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) flap: Option<Flap>,
}

/// What a rule does. With a status, a body or an error code the registry is not asked at all;
/// otherwise its answer is changed on the way out.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Action {
    /// Waits before anything else.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) delay: Option<Span>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) status: Option<Status>,
    /// The error code of the envelope; follows from the status otherwise.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) code: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) message: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) detail: Option<Value>,
    /// A body instead of the envelope; may be empty.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) body: Option<String>,
    /// A body of so many bytes.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) body_size: Option<u64>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) content_type: Option<Text>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) headers: IndexMap<Name, Text>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) remove_headers: Vec<Name>,
    /// 401 with a well-known kind of `WWW-Authenticate`.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) challenge: Option<Challenge>,
    /// `WWW-Authenticate`, one header each.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) challenges: Option<Vec<Text>>,
    /// Seconds; counts down if a quota gave them.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) retry_after: Option<Span>,
    /// An answer of a token endpoint that has no token.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) token: Option<TokenFault>,
    /// 307 to an address, `loop` or `downgrade`; `{path}` stands for the path and query,
    /// `{scheme}` and `{host}` for how and where the request came in.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) redirect: Option<String>,
    /// Ends the connection without an answer.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) end: Option<End>,
    /// Ends the body after so many bytes.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) cut_after: Option<u64>,
    /// How the cut ends it; closes by default.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) cut: End,
    /// Bytes a second.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) bandwidth: Option<u64>,
    /// Waits before each byte.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) pace: Option<Span>,
    /// Flips the byte at this offset (the last one if there are fewer).
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) corrupt: Option<u64>,
    /// Keeps the first half of a JSON body, and announces that.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) bad_json: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) wrong_digest: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) ignore_range: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) wrong_content_range: bool,
    /// Acts only on requests beyond so many in a window; 429 unless a status is given.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) quota: Option<Quota>,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// An orderly close (FIN).
    #[default]
    Close,
    /// RST, where the stream can.
    Reset,
    /// Nothing more, ever; the client has to give up.
    Hang,
}

/// What is not said is not written either.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Rule {
    /// A rule that does something to every request.
    pub fn new(action: Action) -> Self {
        Self {
            action,
            ..Self::default()
        }
    }

    /// Shown in the journal and in reports.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// When it is meant.
    #[must_use]
    pub fn when(mut self, when: Match) -> Self {
        self.when = when;
        self
    }

    /// Fires at most so often.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }
}

impl Match {
    /// Every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// At a host (`*` stands for anything, here and below).
    #[must_use]
    pub fn host(mut self, host: impl Into<Pattern>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// To one of these operations.
    #[must_use]
    pub fn route(mut self, routes: &[Route]) -> Self {
        self.route = Some(OneOrMany(routes.to_vec()));
        self
    }

    /// With one of these methods.
    #[must_use]
    pub fn method(mut self, methods: &[http::Method]) -> Self {
        self.method = Some(OneOrMany(methods.iter().cloned().map(MethodName).collect()));
        self
    }

    /// About a repository.
    #[must_use]
    pub fn repository(mut self, repository: impl Into<Pattern>) -> Self {
        self.repository = Some(repository.into());
        self
    }

    /// About a tag, a digest or an upload.
    #[must_use]
    pub fn reference(mut self, reference: impl Into<Pattern>) -> Self {
        self.reference = Some(reference.into());
        self
    }

    /// From a client by name.
    #[must_use]
    pub fn client(mut self, client: impl Into<Pattern>) -> Self {
        self.client = Some(client.into());
        self
    }

    /// To a path, decoded.
    #[must_use]
    pub fn path(mut self, path: impl Into<Pattern>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// With or without a `Range`.
    #[must_use]
    pub fn ranged(mut self, ranged: bool) -> Self {
        self.ranged = Some(ranged);
        self
    }

    /// With or without an `Authorization`.
    #[must_use]
    pub fn authorized(mut self, authorized: bool) -> Self {
        self.authorized = Some(authorized);
        self
    }

    /// The n-th of these requests, counted by the rule.
    #[must_use]
    pub fn nth(mut self, nth: Nth) -> Self {
        self.nth = Some(nth);
        self
    }

    /// With a probability (0 to 1) drawn from the run's seed.
    #[must_use]
    pub fn probability(mut self, chance: f64) -> Self {
        self.probability = Some(Chance(chance.clamp(0.0, 1.0)));
        self
    }

    /// Not before this time since the start.
    #[must_use]
    pub fn from(mut self, from: impl Into<Span>) -> Self {
        self.from = Some(from.into());
        self
    }

    /// Only before this time since the start.
    #[must_use]
    pub fn until(mut self, until: impl Into<Span>) -> Self {
        self.until = Some(until.into());
        self
    }
}

impl Match {
    /// In some stretches of time and not in others, drawn from the run's seed: of stretches this
    /// long, this share (0 to 1) is bad.
    #[must_use]
    pub fn flap(mut self, every: impl Into<Span>, share: f64) -> Self {
        self.flap = Some(Flap::new(every, share));
        self
    }
}

impl Action {
    /// An answer with this status and the error envelope that goes with it.
    ///
    /// # Panics
    ///
    /// For a number that is no status of an answer (200 to 999).
    pub fn status(status: u16) -> Self {
        let status = http::StatusCode::from_u16(status)
            .ok()
            .filter(|status| !status.is_informational());
        let status = status.expect("a status of an answer is from 200 to 999");
        Self {
            status: Some(Status(status)),
            ..Self::default()
        }
    }

    /// Lets requests through up to a quota and answers 429 beyond it.
    pub fn quota(quota: Quota) -> Self {
        Self {
            quota: Some(quota),
            ..Self::default()
        }
    }

    /// Ends the connection without an answer.
    pub fn end(end: End) -> Self {
        Self {
            end: Some(end),
            ..Self::default()
        }
    }

    /// Only waits.
    pub fn delay(time: impl Into<Span>) -> Self {
        Self {
            delay: Some(time.into()),
            ..Self::default()
        }
    }

    /// Ends the body after so many bytes.
    pub fn cut_after(bytes: u64, cut: End) -> Self {
        Self {
            cut_after: Some(bytes),
            cut,
            ..Self::default()
        }
    }

    /// Flips the byte at an offset of the body.
    pub fn corrupt(at: u64) -> Self {
        Self {
            corrupt: Some(at),
            ..Self::default()
        }
    }

    /// Sends bodies at so many bytes a second.
    pub fn bandwidth(bytes_per_second: u64) -> Self {
        Self {
            bandwidth: Some(bytes_per_second),
            ..Self::default()
        }
    }

    /// Announces a digest that is not that of the bytes.
    pub fn wrong_digest() -> Self {
        Self {
            wrong_digest: true,
            ..Self::default()
        }
    }

    /// Answers a request for a range with everything.
    pub fn ignore_range() -> Self {
        Self {
            ignore_range: true,
            ..Self::default()
        }
    }

    /// Announces another range than is sent.
    pub fn wrong_content_range() -> Self {
        Self {
            wrong_content_range: true,
            ..Self::default()
        }
    }

    /// Waits before each byte of a body.
    pub fn pace(time: impl Into<Span>) -> Self {
        Self {
            pace: Some(time.into()),
            ..Self::default()
        }
    }

    /// Sends the first half of a JSON body.
    pub fn bad_json() -> Self {
        Self {
            bad_json: true,
            ..Self::default()
        }
    }

    /// 401 with a well-known kind of challenge.
    pub fn challenge(kind: Challenge) -> Self {
        Self {
            challenge: Some(kind),
            ..Self::default()
        }
    }

    /// An answer of a token endpoint that has no token.
    pub fn token(fault: TokenFault) -> Self {
        Self {
            token: Some(fault),
            ..Self::default()
        }
    }

    /// A body of so many bytes.
    pub fn body_size(bytes: u64) -> Self {
        Self {
            body_size: Some(bytes),
            ..Self::default()
        }
    }

    /// Redirects (307): to an address, in which `{path}` stands for the path and query of the
    /// request, `{scheme}` and `{host}` for how and where it came in; `loop`: back to where it
    /// came in; `downgrade`: to the same place over plain HTTP.
    pub fn redirect(address: impl Into<String>) -> Self {
        Self {
            redirect: Some(address.into()),
            ..Self::default()
        }
    }

    /// Leaves a header out.
    #[must_use]
    pub fn without_header(mut self, name: http::HeaderName) -> Self {
        self.remove_headers.push(Name(name));
        self
    }

    /// Sets a header.
    #[must_use]
    pub fn header(mut self, name: http::HeaderName, value: http::HeaderValue) -> Self {
        self.headers.insert(Name(name), Text(value));
        self
    }

    /// The error code of the envelope.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// The message of the envelope.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// A body instead of the envelope.
    #[must_use]
    pub fn body(mut self, content_type: http::HeaderValue, body: impl Into<String>) -> Self {
        self.content_type = Some(Text(content_type));
        self.body = Some(body.into());
        self
    }

    /// `Retry-After`, in whole seconds.
    #[must_use]
    pub fn retry_after(mut self, time: impl Into<Span>) -> Self {
        self.retry_after = Some(time.into());
        self
    }

    /// Waits before the headers.
    #[must_use]
    pub fn after(mut self, time: impl Into<Span>) -> Self {
        self.delay = Some(time.into());
        self
    }
}
