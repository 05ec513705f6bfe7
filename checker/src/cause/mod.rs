//! The closed list of causes: what the evidence together can prove.
//!
//! A cause has a stable identifier, a stage, one line of meaning, an explanation, the evidence that
//! proves it, remedies, and look-alikes with the question that splits each. All of it is plain data,
//! one file a family; nothing here reads evidence or decides.

mod azure;
mod credentials;
mod entry;
mod names;
mod network;
mod node;
mod pairs;
mod registry;
mod tls;

pub use entry::{LookAlike, PLACEHOLDERS, RemedyTemplate, fill_template};

use crate::clue::Clue;
use crate::stage::Stage;

/// Why a pull fails (or would fail), as the evidence proves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// `image-name-invalid`.
    ImageNameInvalid,
    /// `registry-host-typo`.
    RegistryHostTypo,
    /// `registry-name-unknown`.
    RegistryNameUnknown,
    /// `cloud-suffix-wrong`.
    CloudSuffixWrong,
    /// `default-registry-assumed`.
    DefaultRegistryAssumed,
    /// `repository-not-found`.
    RepositoryNotFound,
    /// `tag-not-found`.
    TagNotFound,
    /// `digest-not-found`.
    DigestNotFound,
    /// `tag-digest-gone`.
    TagDigestGone,
    /// `acr-image-locked`.
    AcrImageLocked,
    /// `dns-nxdomain`.
    DnsNxdomain,
    /// `dns-servfail`.
    DnsServfail,
    /// `dns-timeout`.
    DnsTimeout,
    /// `private-dns-zone-unlinked`.
    PrivateDnsZoneUnlinked,
    /// `dns-stale-private-record`.
    DnsStalePrivateRecord,
    /// `dns-data-endpoint-missing`.
    DnsDataEndpointMissing,
    /// `firewall-drop`.
    FirewallDrop,
    /// `tcp-refused`.
    TcpRefused,
    /// `tcp-reset`.
    TcpReset,
    /// `vnet-peering-missing`.
    VnetPeeringMissing,
    /// `snat-exhaustion`.
    SnatExhaustion,
    /// `mtu-blackhole`.
    MtuBlackhole,
    /// `data-endpoint-blocked`.
    DataEndpointBlocked,
    /// `tls-handshake-timeout`.
    TlsHandshakeTimeout,
    /// `tls-unknown-ca`.
    TlsUnknownCa,
    /// `tls-intercepted`.
    TlsIntercepted,
    /// `tls-expired`.
    TlsExpired,
    /// `clock-skew`.
    ClockSkew,
    /// `tls-hostname-mismatch`.
    TlsHostnameMismatch,
    /// `tls-client-cert-required`.
    TlsClientCertRequired,
    /// `tls-plain-http`.
    TlsPlainHttp,
    /// `tls-version-refused`.
    TlsVersionRefused,
    /// `proxy-unreachable`.
    ProxyUnreachable,
    /// `proxy-auth-required`.
    ProxyAuthRequired,
    /// `proxy-missing-on-node`.
    ProxyMissingOnNode,
    /// `no-proxy-missing`.
    NoProxyMissing,
    /// `credentials-missing`.
    CredentialsMissing,
    /// `credentials-wrong`.
    CredentialsWrong,
    /// `credentials-expired`.
    CredentialsExpired,
    /// `pull-secret-missing`.
    PullSecretMissing,
    /// `pull-secret-wrong-namespace`.
    PullSecretWrongNamespace,
    /// `pull-secret-malformed`.
    PullSecretMalformed,
    /// `pull-secret-wrong-host`.
    PullSecretWrongHost,
    /// `scope-insufficient`.
    ScopeInsufficient,
    /// `bad-credential-blocks-public`.
    BadCredentialBlocksPublic,
    /// `token-endpoint-unreachable`.
    TokenEndpointUnreachable,
    /// `credential-provider-broken`.
    CredentialProviderBroken,
    /// `mirror-credential-misrouted`.
    MirrorCredentialMisrouted,
    /// `acr-role-missing`.
    AcrRoleMissing,
    /// `acr-role-propagating`.
    AcrRolePropagating,
    /// `acr-role-wrong-identity`.
    AcrRoleWrongIdentity,
    /// `acr-abac-role-missing`.
    AcrAbacRoleMissing,
    /// `kubelet-identity-detached`.
    KubeletIdentityDetached,
    /// `kubelet-identity-ambiguous`.
    KubeletIdentityAmbiguous,
    /// `imds-blocked`.
    ImdsBlocked,
    /// `sp-secret-expired`.
    SpSecretExpired,
    /// `acr-arm-token-disabled`.
    AcrArmTokenDisabled,
    /// `acr-tenant-mismatch`.
    AcrTenantMismatch,
    /// `acr-firewall-ip`.
    AcrFirewallIp,
    /// `acr-private-only`.
    AcrPrivateOnly,
    /// `acr-replica-lag`.
    AcrReplicaLag,
    /// `acr-cache-credentials`.
    AcrCacheCredentials,
    /// `acr-streaming-proxy`.
    AcrStreamingProxy,
    /// `acr-cmk-unavailable`.
    AcrCmkUnavailable,
    /// `registry-429`.
    Registry429,
    /// `hub-rate-limit`.
    HubRateLimit,
    /// `registry-5xx`.
    Registry5xx,
    /// `registry-html`.
    RegistryHtml,
    /// `registry-slow`.
    RegistrySlow,
    /// `platform-mismatch`.
    PlatformMismatch,
    /// `platform-mismatch-as-401`.
    PlatformMismatchAs401,
    /// `manifest-unsupported`.
    ManifestUnsupported,
    /// `layer-missing`.
    LayerMissing,
    /// `layer-corrupt`.
    LayerCorrupt,
    /// `layer-truncated`.
    LayerTruncated,
    /// `disk-full`.
    DiskFull,
    /// `pull-progress-timeout`.
    PullProgressTimeout,
    /// `kubelet-qps`.
    KubeletQps,
    /// `serialized-queue`.
    SerializedQueue,
    /// `stale-backoff`.
    StaleBackoff,
    /// `never-pull-absent`.
    NeverPullAbsent,
    /// `credential-reverify`.
    CredentialReverify,
    /// `mirror-broken`.
    MirrorBroken,
    /// `signature-rejected`.
    SignatureRejected,
    /// `admission-blocks-probe`.
    AdmissionBlocksProbe,
    /// `pull-hanging`.
    PullHanging,
    /// `platform-mismatch-single`.
    PlatformMismatchSingle,
    /// `artifact-not-image`.
    ArtifactNotImage,
}

impl Cause {
    /// Every value, in the order of the catalogue.
    pub const ALL: &'static [Self] = &[
        Self::ImageNameInvalid,
        Self::RegistryHostTypo,
        Self::RegistryNameUnknown,
        Self::CloudSuffixWrong,
        Self::DefaultRegistryAssumed,
        Self::RepositoryNotFound,
        Self::TagNotFound,
        Self::DigestNotFound,
        Self::TagDigestGone,
        Self::AcrImageLocked,
        Self::DnsNxdomain,
        Self::DnsServfail,
        Self::DnsTimeout,
        Self::PrivateDnsZoneUnlinked,
        Self::DnsStalePrivateRecord,
        Self::DnsDataEndpointMissing,
        Self::FirewallDrop,
        Self::TcpRefused,
        Self::TcpReset,
        Self::VnetPeeringMissing,
        Self::SnatExhaustion,
        Self::MtuBlackhole,
        Self::DataEndpointBlocked,
        Self::TlsHandshakeTimeout,
        Self::TlsUnknownCa,
        Self::TlsIntercepted,
        Self::TlsExpired,
        Self::ClockSkew,
        Self::TlsHostnameMismatch,
        Self::TlsClientCertRequired,
        Self::TlsPlainHttp,
        Self::TlsVersionRefused,
        Self::ProxyUnreachable,
        Self::ProxyAuthRequired,
        Self::ProxyMissingOnNode,
        Self::NoProxyMissing,
        Self::CredentialsMissing,
        Self::CredentialsWrong,
        Self::CredentialsExpired,
        Self::PullSecretMissing,
        Self::PullSecretWrongNamespace,
        Self::PullSecretMalformed,
        Self::PullSecretWrongHost,
        Self::ScopeInsufficient,
        Self::BadCredentialBlocksPublic,
        Self::TokenEndpointUnreachable,
        Self::CredentialProviderBroken,
        Self::MirrorCredentialMisrouted,
        Self::AcrRoleMissing,
        Self::AcrRolePropagating,
        Self::AcrRoleWrongIdentity,
        Self::AcrAbacRoleMissing,
        Self::KubeletIdentityDetached,
        Self::KubeletIdentityAmbiguous,
        Self::ImdsBlocked,
        Self::SpSecretExpired,
        Self::AcrArmTokenDisabled,
        Self::AcrTenantMismatch,
        Self::AcrFirewallIp,
        Self::AcrPrivateOnly,
        Self::AcrReplicaLag,
        Self::AcrCacheCredentials,
        Self::AcrStreamingProxy,
        Self::AcrCmkUnavailable,
        Self::Registry429,
        Self::HubRateLimit,
        Self::Registry5xx,
        Self::RegistryHtml,
        Self::RegistrySlow,
        Self::PlatformMismatch,
        Self::PlatformMismatchAs401,
        Self::ManifestUnsupported,
        Self::LayerMissing,
        Self::LayerCorrupt,
        Self::LayerTruncated,
        Self::DiskFull,
        Self::PullProgressTimeout,
        Self::KubeletQps,
        Self::SerializedQueue,
        Self::StaleBackoff,
        Self::NeverPullAbsent,
        Self::CredentialReverify,
        Self::MirrorBroken,
        Self::SignatureRejected,
        Self::AdmissionBlocksProbe,
        Self::PullHanging,
        Self::PlatformMismatchSingle,
        Self::ArtifactNotImage,
    ];

    /// The stable kebab-case identifier.
    pub const fn id(self) -> &'static str {
        match self {
            Self::ImageNameInvalid => "image-name-invalid",
            Self::RegistryHostTypo => "registry-host-typo",
            Self::RegistryNameUnknown => "registry-name-unknown",
            Self::CloudSuffixWrong => "cloud-suffix-wrong",
            Self::DefaultRegistryAssumed => "default-registry-assumed",
            Self::RepositoryNotFound => "repository-not-found",
            Self::TagNotFound => "tag-not-found",
            Self::DigestNotFound => "digest-not-found",
            Self::TagDigestGone => "tag-digest-gone",
            Self::AcrImageLocked => "acr-image-locked",
            Self::DnsNxdomain => "dns-nxdomain",
            Self::DnsServfail => "dns-servfail",
            Self::DnsTimeout => "dns-timeout",
            Self::PrivateDnsZoneUnlinked => "private-dns-zone-unlinked",
            Self::DnsStalePrivateRecord => "dns-stale-private-record",
            Self::DnsDataEndpointMissing => "dns-data-endpoint-missing",
            Self::FirewallDrop => "firewall-drop",
            Self::TcpRefused => "tcp-refused",
            Self::TcpReset => "tcp-reset",
            Self::VnetPeeringMissing => "vnet-peering-missing",
            Self::SnatExhaustion => "snat-exhaustion",
            Self::MtuBlackhole => "mtu-blackhole",
            Self::DataEndpointBlocked => "data-endpoint-blocked",
            Self::TlsHandshakeTimeout => "tls-handshake-timeout",
            Self::TlsUnknownCa => "tls-unknown-ca",
            Self::TlsIntercepted => "tls-intercepted",
            Self::TlsExpired => "tls-expired",
            Self::ClockSkew => "clock-skew",
            Self::TlsHostnameMismatch => "tls-hostname-mismatch",
            Self::TlsClientCertRequired => "tls-client-cert-required",
            Self::TlsPlainHttp => "tls-plain-http",
            Self::TlsVersionRefused => "tls-version-refused",
            Self::ProxyUnreachable => "proxy-unreachable",
            Self::ProxyAuthRequired => "proxy-auth-required",
            Self::ProxyMissingOnNode => "proxy-missing-on-node",
            Self::NoProxyMissing => "no-proxy-missing",
            Self::CredentialsMissing => "credentials-missing",
            Self::CredentialsWrong => "credentials-wrong",
            Self::CredentialsExpired => "credentials-expired",
            Self::PullSecretMissing => "pull-secret-missing",
            Self::PullSecretWrongNamespace => "pull-secret-wrong-namespace",
            Self::PullSecretMalformed => "pull-secret-malformed",
            Self::PullSecretWrongHost => "pull-secret-wrong-host",
            Self::ScopeInsufficient => "scope-insufficient",
            Self::BadCredentialBlocksPublic => "bad-credential-blocks-public",
            Self::TokenEndpointUnreachable => "token-endpoint-unreachable",
            Self::CredentialProviderBroken => "credential-provider-broken",
            Self::MirrorCredentialMisrouted => "mirror-credential-misrouted",
            Self::AcrRoleMissing => "acr-role-missing",
            Self::AcrRolePropagating => "acr-role-propagating",
            Self::AcrRoleWrongIdentity => "acr-role-wrong-identity",
            Self::AcrAbacRoleMissing => "acr-abac-role-missing",
            Self::KubeletIdentityDetached => "kubelet-identity-detached",
            Self::KubeletIdentityAmbiguous => "kubelet-identity-ambiguous",
            Self::ImdsBlocked => "imds-blocked",
            Self::SpSecretExpired => "sp-secret-expired",
            Self::AcrArmTokenDisabled => "acr-arm-token-disabled",
            Self::AcrTenantMismatch => "acr-tenant-mismatch",
            Self::AcrFirewallIp => "acr-firewall-ip",
            Self::AcrPrivateOnly => "acr-private-only",
            Self::AcrReplicaLag => "acr-replica-lag",
            Self::AcrCacheCredentials => "acr-cache-credentials",
            Self::AcrStreamingProxy => "acr-streaming-proxy",
            Self::AcrCmkUnavailable => "acr-cmk-unavailable",
            Self::Registry429 => "registry-429",
            Self::HubRateLimit => "hub-rate-limit",
            Self::Registry5xx => "registry-5xx",
            Self::RegistryHtml => "registry-html",
            Self::RegistrySlow => "registry-slow",
            Self::PlatformMismatch => "platform-mismatch",
            Self::PlatformMismatchAs401 => "platform-mismatch-as-401",
            Self::ManifestUnsupported => "manifest-unsupported",
            Self::LayerMissing => "layer-missing",
            Self::LayerCorrupt => "layer-corrupt",
            Self::LayerTruncated => "layer-truncated",
            Self::DiskFull => "disk-full",
            Self::PullProgressTimeout => "pull-progress-timeout",
            Self::KubeletQps => "kubelet-qps",
            Self::SerializedQueue => "serialized-queue",
            Self::StaleBackoff => "stale-backoff",
            Self::NeverPullAbsent => "never-pull-absent",
            Self::CredentialReverify => "credential-reverify",
            Self::MirrorBroken => "mirror-broken",
            Self::SignatureRejected => "signature-rejected",
            Self::AdmissionBlocksProbe => "admission-blocks-probe",
            Self::PullHanging => "pull-hanging",
            Self::PlatformMismatchSingle => "platform-mismatch-single",
            Self::ArtifactNotImage => "artifact-not-image",
        }
    }

    /// The value whose identifier is `id`, if there is one.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.id() == id)
    }

    /// The cause whose identifier is nearest to `text`, for a misspelt one; `None` if none is near.
    pub fn nearest(text: &str) -> Option<Self> {
        crate::clue::nearest(text, Self::ALL, Self::id)
    }

    /// The step of the pull at which this cause stops it.
    pub fn stage(self) -> Stage {
        self.entry().stage
    }

    /// What it means, in one sentence.
    pub fn meaning(self) -> &'static str {
        self.entry().meaning
    }

    /// A longer explanation: how it comes about, and what misleads.
    pub fn detail(self) -> &'static str {
        self.entry().detail
    }

    /// What must be seen to prove it.
    pub fn evidence(self) -> &'static str {
        self.entry().evidence
    }

    /// What to do about it, best first; commands hold placeholders.
    pub fn remedies(self) -> &'static [RemedyTemplate] {
        self.entry().remedies
    }

    /// Causes with the same symptom, each with the question that splits the two.
    pub fn look_alikes(self) -> &'static [LookAlike] {
        pairs::of(self)
    }

    /// The clues that may stand for this cause, those first that put it higher in their list.
    pub fn clues(self) -> Vec<Clue> {
        let mut clues: Vec<(usize, Clue)> = Clue::ALL
            .iter()
            .filter_map(|clue| {
                clue.causes()
                    .iter()
                    .position(|c| *c == self)
                    .map(|at| (at, *clue))
            })
            .collect();
        clues.sort();
        clues.into_iter().map(|(_, clue)| clue).collect()
    }

    /// True where waiting alone may heal it: the kubelet's next attempts can succeed with nothing
    /// changed.
    pub const fn heals_itself(self) -> bool {
        matches!(
            self,
            Self::AcrRolePropagating
                | Self::AcrReplicaLag
                | Self::Registry429
                | Self::HubRateLimit
                | Self::Registry5xx
                | Self::SnatExhaustion
                | Self::KubeletQps
                | Self::SerializedQueue
                | Self::StaleBackoff
        )
    }

    fn entry(self) -> &'static entry::Entry {
        match self {
            Self::ImageNameInvalid => &names::IMAGE_NAME_INVALID,
            Self::RegistryHostTypo => &names::REGISTRY_HOST_TYPO,
            Self::RegistryNameUnknown => &names::REGISTRY_NAME_UNKNOWN,
            Self::CloudSuffixWrong => &names::CLOUD_SUFFIX_WRONG,
            Self::DefaultRegistryAssumed => &names::DEFAULT_REGISTRY_ASSUMED,
            Self::RepositoryNotFound => &names::REPOSITORY_NOT_FOUND,
            Self::TagNotFound => &names::TAG_NOT_FOUND,
            Self::DigestNotFound => &names::DIGEST_NOT_FOUND,
            Self::TagDigestGone => &names::TAG_DIGEST_GONE,
            Self::AcrImageLocked => &names::ACR_IMAGE_LOCKED,
            Self::DnsNxdomain => &network::DNS_NXDOMAIN,
            Self::DnsServfail => &network::DNS_SERVFAIL,
            Self::DnsTimeout => &network::DNS_TIMEOUT,
            Self::PrivateDnsZoneUnlinked => &network::PRIVATE_DNS_ZONE_UNLINKED,
            Self::DnsStalePrivateRecord => &network::DNS_STALE_PRIVATE_RECORD,
            Self::DnsDataEndpointMissing => &network::DNS_DATA_ENDPOINT_MISSING,
            Self::FirewallDrop => &network::FIREWALL_DROP,
            Self::TcpRefused => &network::TCP_REFUSED,
            Self::TcpReset => &network::TCP_RESET,
            Self::VnetPeeringMissing => &network::VNET_PEERING_MISSING,
            Self::SnatExhaustion => &network::SNAT_EXHAUSTION,
            Self::MtuBlackhole => &network::MTU_BLACKHOLE,
            Self::DataEndpointBlocked => &network::DATA_ENDPOINT_BLOCKED,
            Self::TlsHandshakeTimeout => &tls::TLS_HANDSHAKE_TIMEOUT,
            Self::TlsUnknownCa => &tls::TLS_UNKNOWN_CA,
            Self::TlsIntercepted => &tls::TLS_INTERCEPTED,
            Self::TlsExpired => &tls::TLS_EXPIRED,
            Self::ClockSkew => &tls::CLOCK_SKEW,
            Self::TlsHostnameMismatch => &tls::TLS_HOSTNAME_MISMATCH,
            Self::TlsClientCertRequired => &tls::TLS_CLIENT_CERT_REQUIRED,
            Self::TlsPlainHttp => &tls::TLS_PLAIN_HTTP,
            Self::TlsVersionRefused => &tls::TLS_VERSION_REFUSED,
            Self::ProxyUnreachable => &network::PROXY_UNREACHABLE,
            Self::ProxyAuthRequired => &network::PROXY_AUTH_REQUIRED,
            Self::ProxyMissingOnNode => &network::PROXY_MISSING_ON_NODE,
            Self::NoProxyMissing => &network::NO_PROXY_MISSING,
            Self::CredentialsMissing => &credentials::CREDENTIALS_MISSING,
            Self::CredentialsWrong => &credentials::CREDENTIALS_WRONG,
            Self::CredentialsExpired => &credentials::CREDENTIALS_EXPIRED,
            Self::PullSecretMissing => &credentials::PULL_SECRET_MISSING,
            Self::PullSecretWrongNamespace => &credentials::PULL_SECRET_WRONG_NAMESPACE,
            Self::PullSecretMalformed => &credentials::PULL_SECRET_MALFORMED,
            Self::PullSecretWrongHost => &credentials::PULL_SECRET_WRONG_HOST,
            Self::ScopeInsufficient => &credentials::SCOPE_INSUFFICIENT,
            Self::BadCredentialBlocksPublic => &credentials::BAD_CREDENTIAL_BLOCKS_PUBLIC,
            Self::TokenEndpointUnreachable => &credentials::TOKEN_ENDPOINT_UNREACHABLE,
            Self::CredentialProviderBroken => &credentials::CREDENTIAL_PROVIDER_BROKEN,
            Self::MirrorCredentialMisrouted => &credentials::MIRROR_CREDENTIAL_MISROUTED,
            Self::AcrRoleMissing => &azure::ACR_ROLE_MISSING,
            Self::AcrRolePropagating => &azure::ACR_ROLE_PROPAGATING,
            Self::AcrRoleWrongIdentity => &azure::ACR_ROLE_WRONG_IDENTITY,
            Self::AcrAbacRoleMissing => &azure::ACR_ABAC_ROLE_MISSING,
            Self::KubeletIdentityDetached => &azure::KUBELET_IDENTITY_DETACHED,
            Self::KubeletIdentityAmbiguous => &azure::KUBELET_IDENTITY_AMBIGUOUS,
            Self::ImdsBlocked => &azure::IMDS_BLOCKED,
            Self::SpSecretExpired => &azure::SP_SECRET_EXPIRED,
            Self::AcrArmTokenDisabled => &azure::ACR_ARM_TOKEN_DISABLED,
            Self::AcrTenantMismatch => &azure::ACR_TENANT_MISMATCH,
            Self::AcrFirewallIp => &azure::ACR_FIREWALL_IP,
            Self::AcrPrivateOnly => &azure::ACR_PRIVATE_ONLY,
            Self::AcrReplicaLag => &azure::ACR_REPLICA_LAG,
            Self::AcrCacheCredentials => &azure::ACR_CACHE_CREDENTIALS,
            Self::AcrStreamingProxy => &azure::ACR_STREAMING_PROXY,
            Self::AcrCmkUnavailable => &azure::ACR_CMK_UNAVAILABLE,
            Self::Registry429 => &registry::REGISTRY_429,
            Self::HubRateLimit => &registry::HUB_RATE_LIMIT,
            Self::Registry5xx => &registry::REGISTRY_5XX,
            Self::RegistryHtml => &registry::REGISTRY_HTML,
            Self::RegistrySlow => &registry::REGISTRY_SLOW,
            Self::PlatformMismatch => &registry::PLATFORM_MISMATCH,
            Self::PlatformMismatchAs401 => &registry::PLATFORM_MISMATCH_AS_401,
            Self::ManifestUnsupported => &registry::MANIFEST_UNSUPPORTED,
            Self::LayerMissing => &registry::LAYER_MISSING,
            Self::LayerCorrupt => &registry::LAYER_CORRUPT,
            Self::LayerTruncated => &registry::LAYER_TRUNCATED,
            Self::DiskFull => &node::DISK_FULL,
            Self::PullProgressTimeout => &node::PULL_PROGRESS_TIMEOUT,
            Self::KubeletQps => &node::KUBELET_QPS,
            Self::SerializedQueue => &node::SERIALIZED_QUEUE,
            Self::StaleBackoff => &node::STALE_BACKOFF,
            Self::NeverPullAbsent => &node::NEVER_PULL_ABSENT,
            Self::CredentialReverify => &node::CREDENTIAL_REVERIFY,
            Self::MirrorBroken => &registry::MIRROR_BROKEN,
            Self::SignatureRejected => &node::SIGNATURE_REJECTED,
            Self::AdmissionBlocksProbe => &node::ADMISSION_BLOCKS_PROBE,
            Self::PullHanging => &node::PULL_HANGING,
            Self::PlatformMismatchSingle => &node::PLATFORM_MISMATCH_SINGLE,
            Self::ArtifactNotImage => &node::ARTIFACT_NOT_IMAGE,
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id())
    }
}

impl serde::Serialize for Cause {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}
