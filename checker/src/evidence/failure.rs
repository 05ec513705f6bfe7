//! Why there is no handshake, or no answer.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::wire::Excerpt;

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// It does not take the client certificate that was shown.
    ClientCertificateRefused {
        /// The alert.
        text: Excerpt,
    },
    /// It does not speak HTTP/1.1 (ALPN), which is what a probe speaks.
    NoProtocol,
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

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired {
                not_after: Some(end),
                ..
            } => write!(f, "the certificate ended on {end}"),
            Self::Expired { .. } => f.write_str("the certificate has ended"),
            Self::NotYetValid { .. } => f.write_str("the certificate has not begun"),
            Self::UnknownIssuer => f.write_str("signed by nobody who is trusted here"),
            Self::NameMismatch => f.write_str("the certificate is for other names"),
            Self::Revoked => f.write_str("the certificate was revoked"),
            Self::PlainHttp => f.write_str("answers plain HTTP"),
            Self::ClientCertificateRequired => f.write_str("wants a client certificate"),
            Self::ClientCertificateRefused { text } => {
                write!(f, "does not take the client certificate ({text})")
            }
            Self::NoProtocol => f.write_str("does not speak HTTP/1.1"),
            Self::VersionRefused => f.write_str("no TLS version in common"),
            Self::Timeout { received } => {
                write!(f, "no whole handshake in time, {received} bytes came")
            }
            Self::Reset { received } => write!(f, "reset after {received} bytes"),
            Self::Closed { received } => write!(f, "closed after {received} bytes"),
            Self::BadCertificate { text } | Self::Alert { text } | Self::Other { text } => {
                write!(f, "{text}")
            }
        }
    }
}

/// Why a request has no whole answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Bytes kept coming, and too few of them in the time that there was.
    TooSlow {
        /// Bytes of the body that had come.
        received: u64,
        /// In so many seconds.
        seconds: u64,
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

impl fmt::Display for HttpFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no answer in time"),
            Self::BodyStalled { received } => write!(f, "stalled after {received} bytes"),
            Self::TooSlow { received, seconds } => {
                write!(f, "only {received} bytes in {seconds} s")
            }
            Self::Reset { received } => write!(f, "reset after {received} bytes"),
            Self::Closed { received } => write!(f, "closed after {received} bytes"),
            Self::TooLarge { limit } => write!(f, "more than {limit} bytes"),
            Self::TooManyRedirects => f.write_str("too many redirects"),
            Self::BadRedirect { location } => write!(f, "redirect to {location}"),
            Self::NoConnection => f.write_str("no connection"),
            Self::Malformed { text } | Self::Other { text } => write!(f, "{text}"),
        }
    }
}
