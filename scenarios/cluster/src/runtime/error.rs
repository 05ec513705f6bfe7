//! Everything that can go wrong in a pull, as values, and the one place where they become text.
//!
//! The runtime fails with a typed [`PullError`]; [`PullError::status`] renders it as containerd would
//! (version and path matter) together with the gRPC code, and [`Status::as_kubelet_prints`] adds or drops
//! the `rpc error` prefix. No other module builds a containerd sentence.

use std::fmt;
use std::net::SocketAddr;

use super::go;
use super::reference::{Named, ReferenceError};
use crate::profile::{Profile, PullPath};

/// gRPC status codes that a pull ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Anything without a better name; hidden by kubelets from 1.28 on.
    Unknown,
    /// Something is not there.
    NotFound,
    /// A request or an image that makes no sense.
    InvalidArgument,
    /// Content is not what its digest says.
    FailedPrecondition,
    /// A format the runtime no longer reads.
    Unimplemented,
    /// The runtime gave up.
    Canceled,
    /// A deadline passed.
    DeadlineExceeded,
    /// The runtime went away.
    Unavailable,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A failed call to the runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The code.
    pub code: Code,
    /// The description.
    pub message: String,
}

impl Status {
    /// What the kubelet's connection to the runtime says when the runtime is restarted.
    pub(crate) fn unavailable() -> Self {
        Self {
            code: Code::Unavailable,
            message: "error reading from server: EOF".to_owned(),
        }
    }

    /// The text that reaches events and statuses.
    pub fn as_kubelet_prints(&self, profile: &Profile) -> String {
        if self.code == Code::Unknown && profile.hides_unknown_code() {
            self.message.clone()
        } else {
            self.to_string()
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rpc error: code = {} desc = {}", self.code, self.message)
    }
}

/// What name servers fail with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupFailure {
    /// NXDOMAIN, or a name without addresses.
    NoSuchHost,
    /// SERVFAIL.
    ServerMisbehaving,
    /// Silence; the socket asked from.
    Timeout(SocketAddr),
}

/// What the kernel says to `connect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialFailure {
    /// RST.
    Refused,
    /// EHOSTUNREACH.
    NoRoute,
    /// ENETUNREACH.
    NetUnreachable,
    /// The 30 s of the dialler are over. Which of its two timers noticed decides about the code.
    Timeout {
        /// The context's timer won.
        deadline: bool,
    },
}

/// Below HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransportError {
    /// The name did not resolve.
    Lookup {
        /// The name.
        host: String,
        /// The server asked.
        server: SocketAddr,
        /// Its answer.
        failure: LookupFailure,
    },
    /// No connection.
    Dial {
        /// Where to.
        to: SocketAddr,
        /// Why.
        failure: DialFailure,
    },
    /// Ten seconds without the end of the handshake.
    TlsTimeout,
    /// The certificate is not acceptable; Go's `x509: …` text.
    Certificate(String),
    /// Another failure of the handshake, as Go puts it.
    Tls(String),
    /// The peer spoke HTTP where TLS was expected.
    HttpToHttps,
    /// Closed before anything came.
    Eof,
    /// Closed in the middle of a body.
    UnexpectedEof,
    /// Reset.
    Reset {
        /// Our socket.
        from: SocketAddr,
        /// Theirs.
        to: SocketAddr,
    },
    /// The first line of the answer is not HTTP.
    Malformed(Vec<u8>),
    /// Ten redirects are enough.
    TooManyRedirects,
    /// Something else that Go has a text for.
    Other(String),
    /// Cancelled by the progress watch.
    Canceled,
    /// On the way to the proxy.
    Proxy(Box<Self>),
}

impl TransportError {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Proxy(inner) => inner.code(),
            Self::Dial {
                failure: DialFailure::Timeout { deadline: true },
                ..
            } => Code::DeadlineExceeded,
            Self::Canceled => Code::Canceled,
            _ => Code::Unknown,
        }
    }

    pub(super) fn text(&self, profile: &Profile) -> String {
        match self {
            Self::Lookup {
                host,
                server,
                failure,
            } => {
                let said = match failure {
                    LookupFailure::NoSuchHost => "no such host".to_owned(),
                    LookupFailure::ServerMisbehaving => "server misbehaving".to_owned(),
                    LookupFailure::Timeout(from) => {
                        format!("read udp {from}->{server}: i/o timeout")
                    }
                };
                format!("dial tcp: lookup {host} on {server}: {said}")
            }
            Self::Proxy(inner) => format!("proxyconnect tcp: {}", inner.text(profile)),
            Self::Dial { to, failure } => {
                let said = match failure {
                    DialFailure::Refused => "connect: connection refused",
                    DialFailure::NoRoute => "connect: no route to host",
                    DialFailure::NetUnreachable => "connect: network is unreachable",
                    DialFailure::Timeout { .. } => "i/o timeout",
                };
                format!("dial tcp {to}: {said}")
            }
            Self::TlsTimeout => "net/http: TLS handshake timeout".to_owned(),
            Self::Certificate(text) if profile.tls_errors_say_verify() => {
                format!("tls: failed to verify certificate: {text}")
            }
            Self::Certificate(text) | Self::Tls(text) | Self::Other(text) => text.clone(),
            Self::HttpToHttps => "http: server gave HTTP response to HTTPS client".to_owned(),
            Self::Eof => "EOF".to_owned(),
            Self::UnexpectedEof => "unexpected EOF".to_owned(),
            Self::Reset { from, to } => {
                format!("read tcp {from}->{to}: read: connection reset by peer")
            }
            Self::Malformed(line) => format!(
                "net/http: HTTP/1.x transport connection broken: malformed HTTP response {}",
                go::quote_bytes(line)
            ),
            Self::TooManyRedirects => "stopped after 10 redirects".to_owned(),
            Self::Canceled => "context canceled".to_owned(),
        }
    }
}

/// Go's `url.Error`: a request that got no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlError {
    /// `Head`, `Get`, `Post`.
    pub operation: &'static str,
    /// The URL (for a refused redirect what its Location said).
    pub url: String,
    /// Why.
    pub error: TransportError,
}

impl UrlError {
    pub(super) fn text(&self, profile: &Profile) -> String {
        let url = if profile.redacts_queries() {
            go::redact_query(&self.url)
        } else {
            self.url.clone()
        };
        format!(
            "{} {}: {}",
            self.operation,
            go::quote(&url),
            self.error.text(profile)
        )
    }
}

/// An answer with a status that is of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Method of the request.
    pub method: String,
    /// The URL that answered in the end.
    pub url: String,
    /// `403 Forbidden`.
    pub status: String,
    /// The URL asked for at first, and what was asked (`manifests 1.0`), for the words of 1.6.
    pub asked: (String, String),
    /// The registry's errors in containerd's words, one an entry.
    pub errors: Vec<String>,
}

impl Refused {
    fn unexpected(&self) -> String {
        format!(
            "unexpected status from {} request to {}: {}",
            self.method, self.url, self.status
        )
    }

    fn server_message(&self) -> String {
        match self.errors.as_slice() {
            [] => "<nil>".to_owned(),
            [one] => one.clone(),
            many => many
                .iter()
                .fold("errors:\n".to_owned(), |text, e| format!("{text}{e}\n")),
        }
    }
}

/// Why no token came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenError {
    /// The token endpoint was not reached.
    Unreachable(Box<UrlError>),
    /// It answered with a status.
    Refused(Box<Refused>),
    /// 200, but no token inside.
    Missing,
    /// 200, but not JSON.
    Undecodable(String),
}

/// One request to a registry, token and retries included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchError {
    /// No answer.
    Request(Box<UrlError>),
    /// The token was not to be had; with the pod's credentials or without.
    Token {
        /// Credentials were sent.
        with_secret: bool,
        /// Why not.
        error: TokenError,
    },
    /// The registry refuses and says why in its challenge.
    ServerMessage(String),
    /// Basic is wanted and there are no credentials.
    NoBasicCredentials,
    /// A Bearer challenge without a realm.
    NoRealm,
    /// A final status.
    Refused(Box<Refused>),
    /// The reference is not there.
    NotFound(String),
    /// Content asked for by digest is not there; the URL.
    ContentNotFound(String),
    /// A blob is not there.
    DescriptorNotFound {
        /// Its digest.
        digest: String,
        /// Its media type.
        media_type: String,
    },
    /// The manifest's digest in the header is no digest.
    BadDigestHeader(String, ReferenceError),
    /// The manifest is too large.
    Oversize(u64, String),
    /// Schema 1, found out while resolving.
    Schema1,
    /// No host may resolve.
    NoHosts,
    /// The answer's range is not the one asked for.
    ContentRange(String),
    /// The body broke.
    Body(TransportError),
}

const SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
const SCHEMA2: &str = "application/vnd.docker.distribution.manifest.v2+json";
const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

impl FetchError {
    fn code(&self) -> Code {
        match self {
            Self::Request(error)
            | Self::Token {
                error: TokenError::Unreachable(error),
                ..
            } => error.error.code(),
            Self::Body(error) => error.code(),
            Self::NotFound(_)
            | Self::ContentNotFound(_)
            | Self::DescriptorNotFound { .. }
            | Self::Oversize(..)
            | Self::NoHosts => Code::NotFound,
            Self::Schema1 => Code::Unimplemented,
            _ => Code::Unknown,
        }
    }

    /// `refused` words a status that ends a fetch; resolving and fetching differ before 2.1.
    fn text(&self, profile: &Profile, refused: fn(&Refused, &Profile) -> String) -> String {
        match self {
            Self::Request(error) => format!("failed to do request: {}", error.text(profile)),
            Self::Token { with_secret, error } => {
                let kind = if *with_secret { "oauth" } else { "anonymous" };
                let why = match error {
                    TokenError::Unreachable(error) => error.text(profile),
                    TokenError::Refused(refused) => token_refused(refused, profile),
                    TokenError::Missing => {
                        "authorization server did not include a token in the response".to_owned()
                    }
                    TokenError::Undecodable(why) => {
                        format!("unable to decode token response: {why}")
                    }
                };
                format!("failed to authorize: failed to fetch {kind} token: {why}")
            }
            Self::ServerMessage(message) => {
                format!("server message: {message}: authorization failed")
            }
            Self::NoBasicCredentials => {
                "authorization failed: no basic auth credentials".to_owned()
            }
            Self::NoRealm => "no realm specified for token auth challenge".to_owned(),
            Self::Refused(status) => refused(status, profile),
            Self::NotFound(reference) => format!("{reference}: not found"),
            Self::ContentNotFound(url) => format!("content at {url} not found: not found"),
            Self::DescriptorNotFound { digest, media_type } => {
                format!(
                    "could not fetch content descriptor {digest} ({media_type}) from remote: not found"
                )
            }
            Self::BadDigestHeader(value, why) => {
                format!("{} in header not a valid digest: {why}", go::quote(value))
            }
            Self::Oversize(size, reference) => {
                format!("rejecting {size} byte manifest for {reference}: not found")
            }
            Self::Schema1 => schema1("v2.0"),
            Self::NoHosts => "no resolve hosts: not found".to_owned(),
            Self::ContentRange(value) => format!("unhandled content range in response: {value}"),
            Self::Body(error) => error.text(profile),
        }
    }

    fn denies_access(&self) -> bool {
        matches!(self, Self::ServerMessage(_) | Self::NoBasicCredentials)
    }
}

fn schema1(since: &str) -> String {
    format!(
        "not implemented: media type \"{SCHEMA1}\" is no longer supported since containerd {since}, \
         please rebuild the image as \"{SCHEMA2}\" or \"{OCI}\""
    )
}

fn token_refused(refused: &Refused, profile: &Profile) -> String {
    if profile.resolves_in_words_of_1_6() {
        return format!("unexpected status: {}", refused.status);
    }
    refused.unexpected()
}

fn resolve_refused(refused: &Refused, profile: &Profile) -> String {
    if profile.resolves_in_words_of_1_6() {
        let (host, what) = &refused.asked;
        let host = host
            .split_once("://")
            .map_or(host.as_str(), |(_, rest)| rest);
        let host = host.split('/').next().unwrap_or_default();
        return format!(
            "pulling from host {host} failed with status code [{what}]: {}",
            refused.status
        );
    }
    with_errors_below(refused)
}

fn fetch_refused(refused: &Refused, profile: &Profile) -> String {
    if profile.tells_registry_errors_below() {
        return with_errors_below(refused);
    }
    let message = match refused.errors.as_slice() {
        [] => String::new(),
        _ => format!(" - Server message: {}", refused.server_message()),
    };
    format!(
        "unexpected status code {}: {}{message}",
        refused.asked.0, refused.status
    )
}

fn with_errors_below(refused: &Refused) -> String {
    match refused.errors.as_slice() {
        [] => refused.unexpected(),
        _ => format!("{}\n{}", refused.unexpected(), refused.server_message()),
    }
}

/// Why an image did not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The name makes no sense to the runtime.
    Reference(String, ReferenceError),
    /// The reference did not resolve to a descriptor.
    Resolve(FetchError),
    /// Schema 1, found out from the resolved descriptor.
    Schema1,
    /// No answer to a fetch.
    Open(FetchError),
    /// The body broke.
    Copy(TransportError),
    /// Less came than the descriptor says.
    ShortRead {
        /// Its size.
        want: u64,
        /// What came.
        got: u64,
    },
    /// More came.
    Size {
        /// `layer-sha256:…`.
        key: String,
        /// What came.
        got: u64,
        /// The descriptor's size.
        want: u64,
    },
    /// Other bytes came.
    Digest {
        /// `layer-sha256:…`.
        key: String,
        /// What came.
        got: String,
        /// The descriptor's digest.
        want: String,
    },
    /// The descriptor has no size.
    ZeroSize(String),
    /// The disk is full; path of the ingest.
    NoSpace(String),
    /// A manifest that is not JSON; digest and Go's words.
    BadManifest(String, String),
    /// No entry of the index fits the node; digest of the index.
    NoPlatform(String),
    /// The top descriptor is no image at all.
    UnexpectedMediaType {
        /// Its type.
        media_type: String,
        /// Its digest.
        digest: String,
    },
    /// Layers and diff ids do not pair up.
    DiffIdCount(usize, usize),
    /// The unpacked layer is not what the config says.
    WrongDiffId {
        /// What it is.
        got: String,
        /// What the config says.
        want: String,
        /// The layer.
        layer: String,
    },
    /// A layer could not be unpacked; diff id and reason.
    Extract(String, String),
    /// Given up for lack of progress.
    Canceled,
}

/// A failed pull of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullError {
    /// The image in full; none if the name was not understood.
    pub image: Option<Named>,
    /// Why.
    pub failure: Failure,
}

impl PullError {
    /// The gRPC status in the words of the profile's runtime.
    pub fn status(&self, profile: &Profile) -> Status {
        let transfer = profile.path() == PullPath::Transfer;
        let name = self
            .image
            .as_ref()
            .map(Named::to_string)
            .unwrap_or_default();
        let (code, text) = self.failure.render(profile, &name);
        let bare = match &self.failure {
            Failure::Reference(..) => true,
            // The transfer service has pulled by then; what fails is reading the image's config.
            Failure::NoPlatform(_) | Failure::UnexpectedMediaType { .. } => transfer,
            _ => false,
        };
        let message = if bare {
            text
        } else {
            format!(
                "failed to pull and unpack image {}: {text}",
                go::quote(&name)
            )
        };
        Status { code, message }
    }
}

impl Failure {
    fn render(&self, profile: &Profile, name: &str) -> (Code, String) {
        let transfer = profile.path() == PullPath::Transfer;
        match self {
            Self::Reference(text, why) => (
                Code::Unknown,
                format!("failed to parse image reference {}: {why}", go::quote(text)),
            ),
            Self::Resolve(error) => {
                let prefix = if transfer {
                    "failed to resolve image: ".to_owned()
                } else {
                    format!("failed to resolve reference {}: ", go::quote(name))
                };
                let denied = if error.denies_access() {
                    "pull access denied, repository does not exist or may require authorization: "
                } else {
                    ""
                };
                (
                    error.code(),
                    format!("{prefix}{denied}{}", error.text(profile, resolve_refused)),
                )
            }
            Self::Schema1 if transfer => (
                Code::InvalidArgument,
                "schema 1 image manifests are no longer supported: invalid argument".to_owned(),
            ),
            Self::Schema1 => (
                Code::Unimplemented,
                schema1(&profile.names_itself_in_schema1()),
            ),
            Self::Open(error) => {
                let text = error.text(profile, fetch_refused);
                (
                    error.code(),
                    format!("failed to copy: httpReadSeeker: failed open: {text}"),
                )
            }
            Self::Copy(error) => (
                error.code(),
                format!("failed to copy: {}", error.text(profile)),
            ),
            Self::ShortRead { want, got } if profile.tells_registry_errors_below() => (
                Code::Unknown,
                format!("short read: expected {want} bytes but got {got}: unexpected EOF"),
            ),
            Self::ShortRead { .. } => (
                Code::Unknown,
                "failed to read expected number of bytes: unexpected EOF".to_owned(),
            ),
            Self::Size { key, got, want } => (
                Code::FailedPrecondition,
                format!(
                    "failed commit on ref \"{key}\": \"{key}\" failed size validation: {got} != {want}: failed precondition"
                ),
            ),
            Self::Digest { key, got, want } => (
                Code::FailedPrecondition,
                format!(
                    "failed commit on ref \"{key}\": unexpected commit digest {got}, expected {want}: failed precondition"
                ),
            ),
            Self::ZeroSize(digest) => (
                Code::InvalidArgument,
                format!(
                    "unable to fetch descriptor ({digest}) which reports content size of zero: invalid argument"
                ),
            ),
            Self::NoSpace(path) => (
                Code::Unknown,
                format!("failed to copy: write {path}: no space left on device"),
            ),
            Self::BadManifest(digest, why) => (
                Code::Unknown,
                format!("children: invalid desc {digest}: {why}"),
            ),
            Self::NoPlatform(digest) if transfer => (
                Code::NotFound,
                format!(
                    "get image config descriptor: no match for platform in manifest {digest}: not found"
                ),
            ),
            Self::NoPlatform(_) => (
                Code::NotFound,
                "no match for platform in manifest: not found".to_owned(),
            ),
            Self::UnexpectedMediaType { media_type, digest } => {
                let what = if transfer {
                    "get image config descriptor"
                } else {
                    "failed to unpack image on snapshotter overlayfs"
                };
                (
                    Code::NotFound,
                    format!("{what}: unexpected media type {media_type} for {digest}: not found"),
                )
            }
            Self::DiffIdCount(layers, diff_ids) => (
                Code::Unknown,
                format!("number of layers and diffIDs don't match: {layers} != {diff_ids}"),
            ),
            Self::WrongDiffId { got, want, layer } => {
                let text = if profile.names_layer_of_diff_id() {
                    format!(
                        "wrong diff id \"{got}\" calculated on extraction \"{want}\", desc \"{layer}\""
                    )
                } else {
                    format!("wrong diff id calculated on extraction \"{want}\"")
                };
                (Code::Unknown, text)
            }
            Self::Extract(diff_id, why) => (
                Code::Unknown,
                format!("failed to extract layer {diff_id}: {why}"),
            ),
            Self::Canceled => (Code::Canceled, "context canceled".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
