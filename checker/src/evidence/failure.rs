//! Why there is no handshake, or no answer.

use jiff::Timestamp;
use serde::Serialize;

use crate::wire::Excerpt;

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TlsFailure {
    /// The certificate has ended.
    Expired {
        /// When it ended.
        not_after: Option<Timestamp>,
        /// The wall clock it was compared with.
        now: Timestamp,
    },
    /// The certificate has not begun.
    NotYetValid {
        /// When it begins.
        not_before: Option<Timestamp>,
        /// The wall clock it was compared with.
        now: Timestamp,
    },
    /// No trusted authority signed it.
    UnknownIssuer,
    /// It is for other names.
    NameMismatch,
    /// It was revoked.
    Revoked,
    /// It is broken in another way.
    BadCertificate {
        /// How.
        text: Excerpt,
    },
    /// The other side answered with plain HTTP.
    PlainHttp,
    /// The other side wants a client certificate.
    ClientCertificateRequired,
    /// No TLS version in common.
    VersionRefused,
    /// The other side gave an alert.
    Alert {
        /// Its name.
        text: Excerpt,
    },
    /// Nothing more came before the deadline.
    Timeout {
        /// Bytes that had come.
        received: u64,
    },
    /// The connection was reset.
    Reset {
        /// Bytes that had come.
        received: u64,
    },
    /// The connection was closed.
    Closed {
        /// Bytes that had come.
        received: u64,
    },
    /// Anything else.
    Other {
        /// What the TLS library said.
        text: Excerpt,
    },
}

/// Why a request has no whole answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum HttpFailure {
    /// No answer before the deadline.
    Timeout,
    /// The answer began, and stalled before its end.
    BodyStalled {
        /// Bytes of the body that had come.
        received: u64,
    },
    /// The connection was reset.
    Reset {
        /// Bytes of the body that had come.
        received: u64,
    },
    /// The connection was closed before the answer or before its end.
    Closed {
        /// Bytes of the body that had come.
        received: u64,
    },
    /// The answer is not HTTP.
    Malformed {
        /// What the HTTP library said.
        text: Excerpt,
    },
    /// The answer is larger than is read.
    TooLarge {
        /// The bound.
        limit: u64,
    },
    /// More redirects than are followed.
    TooManyRedirects,
    /// The redirect's target is not a URL.
    BadRedirect {
        /// The header.
        location: Excerpt,
    },
    /// No connection; the facts before say why.
    NoConnection,
    /// Anything else.
    Other {
        /// What the HTTP library said.
        text: Excerpt,
    },
}
