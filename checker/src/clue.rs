//! The closed list of clues: what one message can tell on its own.
//!
//! Each clue has a stable identifier, a meaning, the stages where it arises, the causes that it
//! admits in order of likelihood, and what to run next to settle which of them it is. How a text is
//! turned into a clue is the business of [`crate::explain`].

mod table;

use crate::cause::Cause;
use crate::stage::Stage;

/// What one message, on its own, can honestly tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Clue {
    /// The image string itself cannot be parsed or resolved to a registry.
    InvalidReference,
    /// Nothing was pulled because policy forbids it and the image is not on the node.
    NeverPullAbsent,
    /// A named pull secret does not exist.
    SecretMissing,
    /// The pull secret or docker config exists but cannot be decoded.
    SecretMalformed,
    /// The kubelet's own limiter.
    PullQpsExceeded,
    /// The message tells only that pulling is being retried, no cause.
    BackOffOnly,
    /// Somebody stopped the pull.
    PullCancelled,
    /// The text names no cause.
    Unknown,
    /// The resolver answered that the name does not exist.
    DnsNotFound,
    /// The resolver failed or could not be asked.
    DnsServerFailed,
    /// The resolver did not answer.
    DnsTimeout,
    /// The host refused the connection.
    TcpRefused,
    /// The connection was never made.
    TcpTimeout,
    /// No route.
    NetworkUnreachable,
    /// An open connection was cut.
    ConnectionReset,
    /// The HTTP proxy in between failed or refused.
    ProxyFailed,
    /// Connected, but no answer in time.
    ResponseTimeout,
    /// The certificate is signed by an unknown authority.
    TlsUnknownCa,
    /// `certificate has expired or is not yet valid`.
    TlsExpired,
    /// The certificate is for another name.
    TlsNameMismatch,
    /// Any other failure of the handshake.
    TlsHandshakeFailed,
    /// The client spoke HTTPS to a plain HTTP registry.
    HttpToHttps,
    /// The client spoke plain HTTP to an HTTPS port.
    HttpsToHttp,
    /// The registry wants credentials and none that it knows were sent.
    AuthRequiredNoCredentials,
    /// Credentials were sent and refused.
    CredentialsRejected,
    /// Known to the registry but not allowed.
    PermissionDenied,
    /// The text really cannot tell absence from lack of access.
    ManifestOrAuthAmbiguous,
    /// `Your authorization token has expired. Reauthenticate and try again.`.
    EcrTokenExpired,
    /// The token endpoint was reached and answered badly.
    TokenServiceFailed,
    /// Azure could not produce an identity token.
    AzureIdentityFailed,
    /// The kubelet's credential plugin or a docker credential helper (other than Azure identity) failed before any registry was asked.
    CredentialProviderFailed,
    /// Refused for where the request came from.
    FirewallDenied403,
    /// The account or project is blocked, not the user.
    QuotaOrBilling,
    /// A policy said no.
    PolicyBlocked,
    /// `toomanyrequests`, `429 Too Many Requests`, `Rate exceeded`.
    RateLimited,
    /// Repository reached, tag absent.
    TagNotFound,
    /// `name unknown`, `NAME_UNKNOWN`, `The repository with name … does not exist`, a plain 404 page.
    RepositoryNotFound,
    /// A manifest asked for by digest is absent.
    ManifestDigestNotFound,
    /// Manifest present, a layer or the config absent.
    BlobNotFound,
    /// No image for this OS or architecture.
    PlatformMismatch,
    /// The manifest cannot be used.
    UnsupportedManifest,
    /// The registry answered with a 5xx.
    Registry5xx,
    /// "the registry cannot be reached" with no lower cause given.
    RegistryUnavailable,
    /// The storage behind the registry answered badly.
    RedirectOrStorageFailed,
    /// The mirror set-up is the fault.
    MirrorMisconfigured,
    /// The content does not match.
    BlobCorrupt,
    /// A download ended early.
    TruncatedTransfer,
    /// The layer arrived and could not be applied.
    UnpackFailed,
    /// The node's disk is full.
    DiskFull,
    /// The runtime's own store or snapshotter is at fault.
    RuntimeError,
}

impl Clue {
    /// Every value, in the order of the catalogue.
    pub const ALL: &'static [Self] = &[
        Self::InvalidReference,
        Self::NeverPullAbsent,
        Self::SecretMissing,
        Self::SecretMalformed,
        Self::PullQpsExceeded,
        Self::BackOffOnly,
        Self::PullCancelled,
        Self::Unknown,
        Self::DnsNotFound,
        Self::DnsServerFailed,
        Self::DnsTimeout,
        Self::TcpRefused,
        Self::TcpTimeout,
        Self::NetworkUnreachable,
        Self::ConnectionReset,
        Self::ProxyFailed,
        Self::ResponseTimeout,
        Self::TlsUnknownCa,
        Self::TlsExpired,
        Self::TlsNameMismatch,
        Self::TlsHandshakeFailed,
        Self::HttpToHttps,
        Self::HttpsToHttp,
        Self::AuthRequiredNoCredentials,
        Self::CredentialsRejected,
        Self::PermissionDenied,
        Self::ManifestOrAuthAmbiguous,
        Self::EcrTokenExpired,
        Self::TokenServiceFailed,
        Self::AzureIdentityFailed,
        Self::CredentialProviderFailed,
        Self::FirewallDenied403,
        Self::QuotaOrBilling,
        Self::PolicyBlocked,
        Self::RateLimited,
        Self::TagNotFound,
        Self::RepositoryNotFound,
        Self::ManifestDigestNotFound,
        Self::BlobNotFound,
        Self::PlatformMismatch,
        Self::UnsupportedManifest,
        Self::Registry5xx,
        Self::RegistryUnavailable,
        Self::RedirectOrStorageFailed,
        Self::MirrorMisconfigured,
        Self::BlobCorrupt,
        Self::TruncatedTransfer,
        Self::UnpackFailed,
        Self::DiskFull,
        Self::RuntimeError,
    ];

    /// The stable kebab-case identifier.
    pub const fn id(self) -> &'static str {
        match self {
            Self::InvalidReference => "invalid-reference",
            Self::NeverPullAbsent => "never-pull-absent",
            Self::SecretMissing => "secret-missing",
            Self::SecretMalformed => "secret-malformed",
            Self::PullQpsExceeded => "pull-qps-exceeded",
            Self::BackOffOnly => "back-off-only",
            Self::PullCancelled => "pull-cancelled",
            Self::Unknown => "unknown",
            Self::DnsNotFound => "dns-not-found",
            Self::DnsServerFailed => "dns-server-failed",
            Self::DnsTimeout => "dns-timeout",
            Self::TcpRefused => "tcp-refused",
            Self::TcpTimeout => "tcp-timeout",
            Self::NetworkUnreachable => "network-unreachable",
            Self::ConnectionReset => "connection-reset",
            Self::ProxyFailed => "proxy-failed",
            Self::ResponseTimeout => "response-timeout",
            Self::TlsUnknownCa => "tls-unknown-ca",
            Self::TlsExpired => "tls-expired",
            Self::TlsNameMismatch => "tls-name-mismatch",
            Self::TlsHandshakeFailed => "tls-handshake-failed",
            Self::HttpToHttps => "http-to-https",
            Self::HttpsToHttp => "https-to-http",
            Self::AuthRequiredNoCredentials => "auth-required-no-credentials",
            Self::CredentialsRejected => "credentials-rejected",
            Self::PermissionDenied => "permission-denied",
            Self::ManifestOrAuthAmbiguous => "manifest-or-auth-ambiguous",
            Self::EcrTokenExpired => "ecr-token-expired",
            Self::TokenServiceFailed => "token-service-failed",
            Self::AzureIdentityFailed => "azure-identity-failed",
            Self::CredentialProviderFailed => "credential-provider-failed",
            Self::FirewallDenied403 => "firewall-denied-403",
            Self::QuotaOrBilling => "quota-or-billing",
            Self::PolicyBlocked => "policy-blocked",
            Self::RateLimited => "rate-limited",
            Self::TagNotFound => "tag-not-found",
            Self::RepositoryNotFound => "repository-not-found",
            Self::ManifestDigestNotFound => "manifest-digest-not-found",
            Self::BlobNotFound => "blob-not-found",
            Self::PlatformMismatch => "platform-mismatch",
            Self::UnsupportedManifest => "unsupported-manifest",
            Self::Registry5xx => "registry-5xx",
            Self::RegistryUnavailable => "registry-unavailable",
            Self::RedirectOrStorageFailed => "redirect-or-storage-failed",
            Self::MirrorMisconfigured => "mirror-misconfigured",
            Self::BlobCorrupt => "blob-corrupt",
            Self::TruncatedTransfer => "truncated-transfer",
            Self::UnpackFailed => "unpack-failed",
            Self::DiskFull => "disk-full",
            Self::RuntimeError => "runtime-error",
        }
    }

    /// The value whose identifier is `id`, if there is one.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.id() == id)
    }

    /// The clue whose identifier is nearest to `text`, for a misspelt one; `None` if none is near.
    pub fn nearest(text: &str) -> Option<Self> {
        nearest(text, Self::ALL, Self::id)
    }

    /// What it tells, in one sentence.
    pub fn meaning(self) -> &'static str {
        self.row().meaning
    }

    /// The steps of a pull at which it arises, the usual one first.
    pub fn stages(self) -> &'static [Stage] {
        self.row().stages
    }

    /// The causes that it admits, the likeliest first; empty where no cause of the catalogue fits
    /// or where the clue says nothing.
    pub fn causes(self) -> &'static [Cause] {
        self.row().causes
    }

    /// What to run next to settle the cause; command templates with `<placeholders>`.
    pub fn next(self) -> &'static [&'static str] {
        self.row().next
    }
}

/// The value whose identifier is nearest to `text`, if it is near enough to be a slip: at most a
/// third of the letters differ, or one text holds the other.
pub(crate) fn nearest<T: Copy>(text: &str, all: &[T], id: impl Fn(T) -> &'static str) -> Option<T> {
    let text = text.trim().to_ascii_lowercase().replace('_', "-");
    if text.is_empty() || text.len() > 100 {
        return None;
    }
    let distance = |value: &T| strsim::damerau_levenshtein(&text, id(*value));
    let best = all.iter().copied().min_by_key(distance)?;
    if distance(&best) * 3 <= id(best).len().max(3) {
        return Some(best);
    }
    all.iter()
        .copied()
        .filter(|value| text.len() >= 4 && id(*value).contains(text.as_str()))
        .min_by_key(|value| id(*value).len())
}

impl std::fmt::Display for Clue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id())
    }
}

impl serde::Serialize for Clue {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}
