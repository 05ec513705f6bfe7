//! What a fact can say.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::content::{BlobKind, ManifestSeen, MirrorOutcome, Platform};
use super::failure::{HttpFailure, TlsFailure};
use super::miss::KeyringMiss;
use super::subject::{CredentialSource, Identity};
use super::trust::{ClientShown, TrustComparison};
use super::{duration, from_milliseconds, milliseconds};
use crate::reference::{Authority, Digest, Host, Target};
use crate::stage::Stage;
use crate::wire::Excerpt;
use crate::world::{DialError, DnsError};

/// One observation; the fact around it says where, when and as whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "seen", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Seen {
    // DNS and TCP.
    /// A name has addresses.
    Resolved {
        /// In the resolver's order.
        addresses: Vec<IpAddr>,
        /// The chain of aliases.
        aliases: Vec<String>,
        /// The server that answered.
        server: Option<String>,
    },
    /// A name has none.
    DnsFailed {
        /// Why, and which server said so.
        error: DnsError,
    },
    /// One address accepted a connection.
    Connected {
        /// The address.
        address: SocketAddr,
    },
    /// One address did not. `TimedOut` after the probe's own deadline, which is shorter than a runtime's.
    DialFailed {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: DialError,
    },

    /// Some addresses of a name answer and others do not: which one a pull meets is chance.
    Flapping {
        /// How many answer.
        working: usize,
        /// Those that did not, and why.
        dead: Vec<DeadAddress>,
    },

    // Proxies. What concerns the connection to the proxy itself stands at the stage `proxy`, too.
    /// The proxy opened a tunnel, or forwards plain HTTP.
    Proxied {
        /// The host behind it.
        to: Authority,
    },
    /// The proxy refused to.
    ProxyRefused {
        /// The host that was asked for.
        to: Authority,
        /// The status; 407 wants a user and password.
        status: u16,
        /// The phrase beside it, which some runtimes print alone.
        phrase: Excerpt,
        /// `Proxy-Authenticate`.
        wants: Option<Excerpt>,
        /// True if the place's settings hold a user for the proxy.
        signed_in: bool,
    },
    /// The proxy speaks what the probe does not (SOCKS).
    ProxyUnsupported,
    /// After a failure at the proxy: whether the host can be reached without it. Nothing was asked there.
    WithoutProxy {
        /// True if an address accepted and, where the pull speaks TLS, the handshake was complete.
        reached: bool,
        /// What happened.
        text: Excerpt,
    },

    // TLS.
    /// The handshake is complete and the chain trusted.
    TlsEstablished {
        /// `TLSv1.3` or `TLSv1.2`.
        version: Box<str>,
        /// The protocol that was agreed, if any.
        alpn: Option<Box<str>>,
        /// The chain as served, the server's own certificate first.
        chain: Vec<Certificate>,
        /// What was shown, if it asked for a client certificate.
        #[serde(skip_serializing_if = "Option::is_none")]
        client: Option<ClientShown>,
    },
    /// It is not.
    TlsFailed {
        /// Why.
        reason: TlsFailure,
        /// The chain as served, as far as it was seen before the failure.
        chain: Vec<Certificate>,
    },
    /// After a handshake that failed on something else than the certificate: which versions alone are taken.
    TlsVersions {
        /// `TLSv1.2`, `TLSv1.3`, both or none.
        taken: Vec<Box<str>>,
    },
    /// After a chain that nobody trusted vouches for: what it is beside the store, and the file that would have to
    /// hold the authority.
    TrustCompared(TrustComparison),
    /// After a handshake in which the server did not take HTTP/1.1: what it takes if HTTP/2 is offered, too.
    ProtocolTaken {
        /// `h2`, or nothing.
        protocol: Option<Box<str>>,
    },
    /// After a certificate that is out of its dates here: the date by the server's own clock. Nothing secret was
    /// sent to learn it.
    ServerDate {
        /// `Date` of its answer.
        date: Timestamp,
        /// True if every certificate of the chain is within its dates then.
        valid_then: bool,
    },
    /// The registry is spoken to without TLS, as the user or the runtime's rule for local hosts wants it.
    PlainHttp,

    // HTTP.
    /// `GET /v2/` was answered.
    Pinged {
        /// The status; 200 and 401 are both fine.
        status: u16,
        /// `Docker-Distribution-API-Version`.
        api_version: Option<Excerpt>,
        /// `Server`.
        server: Option<Excerpt>,
        /// `Date`, by the server's clock.
        date: Option<Timestamp>,
        /// The first bytes and the type of a body that no registry sends on `/v2/`.
        unlike_a_registry: Option<Excerpt>,
        /// What a status other than 200 and 401 came with (the firewall of an Azure registry shows here).
        refusal: Option<Refusal>,
    },
    /// No answer, or not a whole one.
    HttpFailed {
        /// The method.
        method: Method,
        /// The path, without a query.
        path: Excerpt,
        /// Why.
        reason: HttpFailure,
    },
    /// A server asked to wait, and it was waited for (once or twice at most).
    Waited {
        /// The status that came with it.
        status: u16,
        /// What `Retry-After` said.
        #[serde(
            rename = "retry_after_ms",
            serialize_with = "milliseconds_if",
            deserialize_with = "from_milliseconds_if",
            default
        )]
        retry_after: Option<Duration>,
        /// How long was really waited; zero if it was too long to wait.
        #[serde(
            rename = "waited_ms",
            serialize_with = "milliseconds",
            deserialize_with = "from_milliseconds"
        )]
        waited: Duration,
    },
    /// A request was sent on to another host.
    Redirected {
        /// The status.
        status: u16,
        /// The host it goes to.
        to: Authority,
    },
    /// A redirect or realm pointed where the probe does not go.
    RedirectRefused {
        /// The host it would have gone to.
        to: Authority,
        /// Why not.
        why: WhyWithheld,
    },

    // Credentials.
    /// A credential exists that does not match the image, or cannot be used.
    CredentialPassedOver {
        /// Where it is.
        source: CredentialSource,
        /// The key under which it stands.
        key: Excerpt,
        /// Why the kubelet would not use it.
        why: KeyringMiss,
    },
    /// The credentials that a kubelet would try, in its order; empty means one anonymous attempt.
    CredentialOrder {
        /// Each of them.
        order: Vec<Identity>,
    },
    /// A challenge.
    Challenged {
        /// `Bearer`, `Basic` or another.
        scheme: Scheme,
        /// The realm; a URL for `Bearer`.
        realm: Option<Excerpt>,
        /// The service.
        service: Option<Excerpt>,
        /// The scope that the registry wants.
        scope: Option<Excerpt>,
        /// `invalid_token`, `insufficient_scope` …
        error: Option<Excerpt>,
    },
    /// A 401 without a challenge that could be used.
    ChallengeUnusable {
        /// The headers as they came, or what is missing.
        text: Excerpt,
    },
    /// A credential was not sent.
    CredentialWithheld {
        /// The host that asked for it.
        from: Authority,
        /// Why not.
        why: WhyWithheld,
    },
    /// The token service gave a token.
    TokenGranted {
        /// The scope that was asked for.
        scope: Box<str>,
        /// What the token grants, if it says so.
        granted: Option<Vec<Access>>,
        /// Its lifetime in seconds.
        expires_in: Option<u64>,
    },
    /// The token service gave none.
    TokenRefused {
        /// The method that was refused last.
        method: Method,
        /// The scope that was asked for.
        scope: Box<str>,
        /// Status, code, message.
        refusal: Refusal,
    },
    /// The token service answered 200 with something that holds no token.
    TokenUnreadable {
        /// What was there instead.
        text: Excerpt,
    },
    /// The registry refused the token or the credential that it had asked for.
    AuthorizationRefused {
        /// Status, code, message.
        refusal: Refusal,
        /// The `error` of the second challenge.
        error: Option<Excerpt>,
    },

    // The node's identity in Azure.
    /// The metadata service gave a token for the node's identity.
    IdentityToken {
        /// The client id that was asked for, if one was named.
        requested: Option<Box<str>>,
        /// Who it is (`appid` of the token).
        client_id: Option<Box<str>>,
        /// Its object id (`oid`), to be compared with role assignments.
        object_id: Option<Box<str>>,
        /// Its tenant (`tid`).
        tenant: Option<Box<str>>,
        /// For whom the token is (`aud`).
        audience: Option<Box<str>>,
        /// When it ends.
        expires: Option<Timestamp>,
    },
    /// The metadata service gave none.
    IdentityTokenRefused {
        /// The client id that was asked for, if one was named.
        requested: Option<Box<str>>,
        /// Status, `error` as code, `error_description` as message.
        refusal: Refusal,
    },
    /// The registry gave a refresh token for the identity.
    ExchangeGranted {
        /// When it ends.
        expires: Option<Timestamp>,
    },
    /// The registry gave none.
    ExchangeRefused {
        /// Status, code, message.
        refusal: Refusal,
    },

    // The image.
    /// A manifest or index was found.
    ManifestFound(ManifestSeen),
    /// It was not.
    ManifestRefused {
        /// The method that was answered (a HEAD has no body, so a GET follows where the body decides).
        method: Method,
        /// The tag or digest that was asked for.
        target: Target,
        /// Status, code, message.
        refusal: Refusal,
    },
    /// A manifest came, but cannot be used.
    ManifestUnusable {
        /// The tag or digest that was asked for.
        target: Target,
        /// The media type as served.
        media_type: Excerpt,
        /// Why.
        text: Excerpt,
    },
    /// The content does not hash to the digest it was asked by, or to the one the registry announced.
    DigestMismatch {
        /// What it should be.
        expected: Digest,
        /// What it is.
        got: Digest,
    },
    /// The repository's tags.
    Tags {
        /// How many were listed.
        count: usize,
        /// True if the list was read to its end.
        complete: bool,
        /// True if the wanted tag is in it.
        listed: bool,
        /// The tags that are nearest to the wanted one, nearest first.
        nearest: Vec<Box<str>>,
    },
    /// The tags could not be listed.
    TagsRefused {
        /// Status, code, message.
        refusal: Refusal,
    },
    /// The entry of an index that fits the node.
    PlatformChosen {
        /// What the node is.
        wanted: Platform,
        /// The entry's digest.
        digest: Digest,
        /// The entry's platform, if it names one.
        platform: Option<Platform>,
    },
    /// No entry fits.
    PlatformMissing {
        /// What the node is.
        wanted: Platform,
        /// What there is.
        available: Vec<Platform>,
    },
    /// The image configuration was read.
    ConfigRead {
        /// What the image was built for.
        platform: Platform,
        /// How many layers it has.
        layers: usize,
    },
    /// A blob can be had (for layers: one byte of it was, unless a full pull was asked for).
    BlobReachable {
        /// Its digest.
        digest: Digest,
        /// What it is.
        kind: BlobKind,
        /// Its size in bytes as the manifest says.
        size: u64,
        /// The host that gave it.
        host: Host,
        /// Bytes that were really read.
        read: u64,
        /// True if all of it was read and hashes to its digest.
        verified: bool,
        /// How fast a layer came that was read whole, from the head of the answer to its last byte.
        #[serde(skip_serializing_if = "Option::is_none")]
        bytes_per_second: Option<u64>,
    },
    /// A blob cannot be had.
    BlobRefused {
        /// Its digest.
        digest: Digest,
        /// What it is.
        kind: BlobKind,
        /// The host that refused.
        host: Host,
        /// Status, code, message.
        refusal: Refusal,
    },
    /// A blob has another size than the manifest says.
    SizeMismatch {
        /// Its digest.
        digest: Digest,
        /// What it is.
        kind: BlobKind,
        /// As the manifest says.
        expected: u64,
        /// As the server says.
        got: u64,
    },

    // Mirrors.
    /// A mirror was asked, as a runtime asks it before the registry; the facts before say how it went.
    MirrorTried {
        /// What came of it.
        outcome: MirrorOutcome,
    },
    /// The runtime's configuration forbids the registry: nothing is sent.
    RegistryBlocked,

    // Summaries.
    /// How many requests one pull of this image sends.
    RequestsPerPull(RequestsPerPull),
    /// One attempt at a pull is over: all stages passed, or the stage at which a pull would stop.
    AttemptEnded(AttemptEnd),
    /// A request that no pull makes is over: as nobody, after a credential was refused.
    ComparisonEnded(AttemptEnd),
}

#[expect(
    clippy::ref_option,
    reason = "serde calls it with a reference to the field"
)]
fn milliseconds_if<S: serde::Serializer>(
    took: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match took {
        Some(took) => milliseconds(took, serializer),
        None => serializer.serialize_none(),
    }
}

fn from_milliseconds_if<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let milliseconds = Option::<f64>::deserialize(deserializer)?;
    Ok(milliseconds.map(duration))
}

/// An address that does not answer where others of its name do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadAddress {
    /// The address.
    pub address: SocketAddr,
    /// True if it accepts connections: Go then tries no other address, and the pull fails.
    pub accepts: bool,
    /// What happened.
    pub why: Excerpt,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptEnd {
    /// The last stage that was entered.
    pub stage: Stage,
    /// True if everything that was asked for was seen to succeed.
    pub complete: bool,
}

/// A certificate as served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Distinguished name of the subject.
    pub subject: Excerpt,
    /// Distinguished name of the issuer.
    pub issuer: Excerpt,
    /// DNS names and addresses it is valid for.
    pub names: Vec<Excerpt>,
    /// Begin of validity.
    pub not_before: Option<Timestamp>,
    /// End of validity.
    pub not_after: Option<Timestamp>,
    /// SHA-256 of the certificate.
    pub fingerprint: Box<str>,
}

impl Certificate {
    /// True if it names itself as its issuer.
    pub fn self_issued(&self) -> bool {
        self.subject == self.issuer
    }
}

/// An answer that refuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// Error codes of the body, in order (`MANIFEST_UNKNOWN`, `DENIED` …).
    pub codes: Vec<Excerpt>,
    /// The first message of the body, or its beginning if it is no error envelope.
    pub message: Excerpt,
    /// `Content-Type`.
    pub content_type: Option<Excerpt>,
    /// `Retry-After`.
    #[serde(
        rename = "retry_after_ms",
        serialize_with = "milliseconds_if",
        deserialize_with = "from_milliseconds_if",
        default
    )]
    pub retry_after: Option<Duration>,
    /// Rate-limit headers.
    pub rate_limit: Option<RateLimit>,
    /// The request's id for the registry's support.
    pub correlation: Option<Excerpt>,
    /// `Date`, by the server's clock.
    pub date: Option<Timestamp>,
}

impl Refusal {
    /// True if the body carries this code (codes are compared without regard to case).
    pub fn has_code(&self, code: &str) -> bool {
        self.codes
            .iter()
            .any(|found| found.as_str().eq_ignore_ascii_case(code))
    }
}

/// Rate-limit headers, as Docker Hub and others send them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// Requests in the window.
    pub limit: Option<u64>,
    /// Requests left.
    pub remaining: Option<u64>,
    /// The window in seconds.
    pub window: Option<u64>,
    /// Who is counted (`docker-ratelimit-source`).
    pub source: Option<Excerpt>,
}

/// The scheme of a challenge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// A token service.
    Bearer,
    /// User and password.
    Basic,
    /// Another, in lower case.
    Other(Excerpt),
}

/// One entry of what a token grants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// `repository` or `registry`.
    pub kind: Excerpt,
    /// The repository.
    pub name: Excerpt,
    /// `pull`, `push` …
    pub actions: Vec<Excerpt>,
}

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// `HEAD`
    Head,
    /// `GET`
    Get,
    /// `POST`
    Post,
    /// `CONNECT`, to a proxy
    Connect,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head => "HEAD",
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Connect => "CONNECT",
        })
    }
}

/// Why a credential was not sent, or a redirect not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhyWithheld {
    /// The host is not the registry's, and was not allowed.
    OtherHost,
    /// Plain HTTP, though the registry speaks HTTPS.
    PlainHttp,
    /// The address is link-local, loopback or unspecified.
    LocalAddress,
    /// The realm is not a URL.
    NotAUrl,
}

/// How many requests one pull sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestsPerPull {
    /// Requests for manifests, the first unauthorised one included.
    pub manifests: u32,
    /// Requests for the configuration and the layers.
    pub blobs: u32,
    /// Requests to the token service, exchange included.
    pub tokens: u32,
}

impl RequestsPerPull {
    /// Requests that count as reads of the registry.
    pub const fn reads(&self) -> u32 {
        self.manifests + self.blobs
    }
}
