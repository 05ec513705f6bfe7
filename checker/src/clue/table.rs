//! What a clue means, where it arises, which causes it admits, and what to run next.
//!
//! The causes stand in order of likelihood for a message alone; evidence reorders them later.
//! Commands hold the same placeholders as remedies.

use super::Clue;
use crate::cause::Cause as C;
use crate::stage::Stage as S;

/// All that is known about a clue.
pub(super) struct Row {
    pub(super) meaning: &'static str,
    pub(super) stages: &'static [S],
    pub(super) causes: &'static [C],
    pub(super) next: &'static [&'static str],
}

const IMAGE: &str = "pullcheck image <image>";
const POD: &str = "pullcheck pod <pod> --namespace <namespace>";
const SECRETS: &str =
    "kubectl -n <namespace> get pod <pod> --output jsonpath='{.spec.imagePullSecrets}'";
const EVENTS: &str = "kubectl -n <namespace> describe pod <pod>";
const RESOLVE: &str = "kubectl debug node/<node> -it --image=busybox -- nslookup <host>";
const DIAL: &str = "kubectl debug node/<node> -it --image=busybox -- nc -zv -w 5 <host> 443";
const HANDSHAKE: &str =
    "openssl s_client -connect <host>:443 -servername <host> -showcerts </dev/null";
const KUBELET_LOG: &str = "kubectl debug node/<node> -it --image=busybox -- chroot /host journalctl -u kubelet --since -1h";
const RUNTIME_LOG: &str = "kubectl debug node/<node> -it --image=busybox -- chroot /host journalctl -u containerd --since -1h";
const MIRRORS: &str = "kubectl debug node/<node> -it --image=busybox -- find /host/etc/containerd/certs.d -name hosts.toml";
const KUBELET_IDENTITY: &str = "az aks show --resource-group <resource-group> --name <cluster> --query identityProfile.kubeletidentity";
const ROLES: &str = "az role assignment list --assignee <object-id> --scope <registry-id> --include-inherited --output table";
const NETWORK_RULES: &str =
    "az acr show --name <acr> --query \"{public:publicNetworkAccess, rules:networkRuleSet}\"";

pub(super) static INVALID_REFERENCE: Row = Row {
    meaning: "The image name cannot be read, or cannot be tied to a registry.",
    stages: &[S::Reference],
    causes: &[C::ImageNameInvalid, C::DefaultRegistryAssumed],
    next: &[IMAGE],
};
pub(super) static NEVER_PULL_ABSENT: Row = Row {
    meaning: "The image is not on the node, and the policy forbids pulling it.",
    stages: &[S::Kubelet],
    causes: &[C::NeverPullAbsent, C::CredentialReverify],
    next: &[
        "kubectl -n <namespace> get pod <pod> --output jsonpath='{.spec.containers[*].imagePullPolicy}'",
    ],
};
pub(super) static SECRET_MISSING: Row = Row {
    meaning: "A pull secret that the pod names does not exist in its namespace.",
    stages: &[S::Kubelet, S::Auth],
    causes: &[C::PullSecretMissing, C::PullSecretWrongNamespace],
    next: &[
        SECRETS,
        "kubectl get secrets --all-namespaces --field-selector metadata.name=<secret>",
    ],
};
pub(super) static SECRET_MALFORMED: Row = Row {
    meaning: "A pull secret or docker configuration exists, but cannot be decoded.",
    stages: &[S::Kubelet, S::Auth],
    causes: &[C::PullSecretMalformed],
    next: &[
        SECRETS,
        "kubectl -n <namespace> get secret <secret> --output jsonpath='{.type}'",
    ],
};
pub(super) static PULL_QPS_EXCEEDED: Row = Row {
    meaning: "The kubelet's own limit on pulls stopped it; no registry was asked.",
    stages: &[S::Kubelet],
    causes: &[C::KubeletQps],
    next: &["kubectl get --raw /api/v1/nodes/<node>/proxy/configz"],
};
pub(super) static BACK_OFF_ONLY: Row = Row {
    meaning: "The pull is being retried; the message does not say why it failed.",
    stages: &[S::Kubelet],
    causes: &[
        C::StaleBackoff,
        C::TagNotFound,
        C::CredentialsMissing,
        C::AcrRoleMissing,
        C::FirewallDrop,
        C::DnsNxdomain,
    ],
    next: &[POD, EVENTS],
};
pub(super) static PULL_CANCELLED: Row = Row {
    meaning: "Somebody stopped the pull: the runtime for lack of progress, a restart, or a deleted pod.",
    stages: &[S::Blob, S::Manifest, S::Kubelet],
    causes: &[
        C::PullProgressTimeout,
        C::PullHanging,
        C::RegistrySlow,
        C::MtuBlackhole,
    ],
    next: &[RUNTIME_LOG, "pullcheck image <image> --depth full"],
};
pub(super) static UNKNOWN: Row = Row {
    meaning: "The text names no cause.",
    stages: &[S::Kubelet],
    causes: &[],
    next: &[POD, EVENTS],
};
pub(super) static DNS_NOT_FOUND: Row = Row {
    meaning: "The resolver says that the host name does not exist.",
    stages: &[S::Dns],
    causes: &[
        C::DnsNxdomain,
        C::RegistryNameUnknown,
        C::RegistryHostTypo,
        C::CloudSuffixWrong,
        C::DnsDataEndpointMissing,
        C::TokenEndpointUnreachable,
        C::MirrorBroken,
        C::DefaultRegistryAssumed,
        C::CredentialReverify,
    ],
    next: &[RESOLVE, IMAGE],
};
pub(super) static DNS_SERVER_FAILED: Row = Row {
    meaning: "The resolver failed, or could not be asked.",
    stages: &[S::Dns],
    causes: &[
        C::DnsServfail,
        C::DnsTimeout,
        C::TokenEndpointUnreachable,
        C::DefaultRegistryAssumed,
        C::CredentialReverify,
    ],
    next: &[
        RESOLVE,
        "kubectl debug node/<node> -it --image=busybox -- cat /host/etc/resolv.conf",
    ],
};
pub(super) static DNS_TIMEOUT: Row = Row {
    meaning: "The resolver did not answer in time.",
    stages: &[S::Dns],
    causes: &[
        C::DnsTimeout,
        C::DnsServfail,
        C::TokenEndpointUnreachable,
        C::DefaultRegistryAssumed,
        C::CredentialReverify,
    ],
    next: &[
        RESOLVE,
        "kubectl debug node/<node> -it --image=busybox -- cat /host/etc/resolv.conf",
    ],
};
pub(super) static TCP_REFUSED: Row = Row {
    meaning: "The host refused the connection: nothing listens on that port, or a firewall rejects it.",
    stages: &[S::Tcp],
    causes: &[
        C::TcpRefused,
        C::MirrorBroken,
        C::TokenEndpointUnreachable,
        C::DataEndpointBlocked,
        C::AcrStreamingProxy,
        C::ProxyMissingOnNode,
    ],
    next: &[DIAL, MIRRORS, IMAGE],
};
pub(super) static TCP_TIMEOUT: Row = Row {
    meaning: "The connection was never made: no answer to the first packet.",
    stages: &[S::Tcp],
    causes: &[
        C::FirewallDrop,
        C::ProxyMissingOnNode,
        C::VnetPeeringMissing,
        C::DataEndpointBlocked,
        C::TokenEndpointUnreachable,
        C::SnatExhaustion,
        C::DnsStalePrivateRecord,
        C::DefaultRegistryAssumed,
        C::CredentialReverify,
    ],
    next: &[DIAL, IMAGE],
};
pub(super) static NETWORK_UNREACHABLE: Row = Row {
    meaning: "There is no route to the address, often an IPv6 address on a node without IPv6.",
    stages: &[S::Tcp],
    causes: &[
        C::FirewallDrop,
        C::ProxyMissingOnNode,
        C::VnetPeeringMissing,
        C::SnatExhaustion,
    ],
    next: &[
        "kubectl debug node/<node> -it --image=busybox -- chroot /host ip route get <address>",
        DIAL,
    ],
};
pub(super) static CONNECTION_RESET: Row = Row {
    meaning: "An open connection was cut.",
    stages: &[S::Manifest, S::Ping, S::Blob, S::Token, S::Tls],
    causes: &[
        C::TcpReset,
        C::DataEndpointBlocked,
        C::TlsVersionRefused,
        C::DnsStalePrivateRecord,
        C::NoProxyMissing,
        C::ProxyAuthRequired,
        C::TokenEndpointUnreachable,
        C::MtuBlackhole,
        C::LayerTruncated,
    ],
    next: &[IMAGE, HANDSHAKE],
};
pub(super) static PROXY_FAILED: Row = Row {
    meaning: "The HTTP proxy in between failed or refused.",
    stages: &[S::Proxy, S::Tcp, S::Dns],
    causes: &[C::ProxyUnreachable, C::ProxyAuthRequired, C::NoProxyMissing],
    next: &[
        "kubectl debug node/<node> -it --image=busybox -- chroot /host systemctl show containerd --property=Environment",
        IMAGE,
    ],
};
pub(super) static RESPONSE_TIMEOUT: Row = Row {
    meaning: "No answer came in time; the text does not say whether a connection was open.",
    stages: &[S::Ping, S::Manifest, S::Token, S::Blob],
    causes: &[
        C::FirewallDrop,
        C::DnsTimeout,
        C::ProxyMissingOnNode,
        C::MtuBlackhole,
        C::TokenEndpointUnreachable,
        C::PullHanging,
        C::RegistrySlow,
        C::SnatExhaustion,
    ],
    next: &[IMAGE, DIAL],
};
pub(super) static TLS_UNKNOWN_CA: Row = Row {
    meaning: "The certificate is signed by an authority that the node does not know.",
    stages: &[S::Tls],
    causes: &[C::TlsUnknownCa, C::TlsIntercepted],
    next: &[HANDSHAKE, IMAGE],
};
pub(super) static TLS_EXPIRED: Row = Row {
    meaning: "By the node's clock, the certificate has expired or is not valid yet.",
    stages: &[S::Tls],
    causes: &[C::TlsExpired, C::ClockSkew, C::TlsIntercepted],
    next: &[
        "openssl s_client -connect <host>:443 -servername <host> </dev/null 2>/dev/null | openssl x509 -noout -dates -issuer",
        "kubectl debug node/<node> -it --image=busybox -- date -u",
    ],
};
pub(super) static TLS_NAME_MISMATCH: Row = Row {
    meaning: "The certificate is for another name.",
    stages: &[S::Tls],
    causes: &[C::TlsHostnameMismatch, C::TlsIntercepted],
    next: &[HANDSHAKE],
};
pub(super) static TLS_HANDSHAKE_FAILED: Row = Row {
    meaning: "The TLS handshake failed for another reason than trust, name or dates.",
    stages: &[S::Tls],
    causes: &[
        C::TlsHandshakeTimeout,
        C::TlsClientCertRequired,
        C::TlsVersionRefused,
        C::TlsPlainHttp,
        C::MtuBlackhole,
        C::ProxyMissingOnNode,
        C::TlsIntercepted,
    ],
    next: &[HANDSHAKE, IMAGE],
};
pub(super) static HTTP_TO_HTTPS: Row = Row {
    meaning: "The runtime speaks HTTPS, the registry answers in plain HTTP.",
    stages: &[S::Tls],
    causes: &[C::TlsPlainHttp, C::TlsIntercepted],
    next: &[MIRRORS, "curl -sSi http://<host>/v2/"],
};
pub(super) static HTTPS_TO_HTTP: Row = Row {
    meaning: "The runtime speaks plain HTTP to a port that wants HTTPS.",
    stages: &[S::Tls],
    causes: &[C::MirrorBroken],
    next: &[MIRRORS, "curl -sSi https://<host>/v2/"],
};
pub(super) static AUTH_REQUIRED_NO_CREDENTIALS: Row = Row {
    meaning: "The registry wants credentials, and none that it knows were sent.",
    stages: &[S::Auth, S::Token, S::Manifest],
    causes: &[
        C::CredentialsMissing,
        C::AcrRoleMissing,
        C::PullSecretWrongHost,
        C::PullSecretMissing,
        C::PullSecretWrongNamespace,
        C::CredentialProviderBroken,
        C::PullSecretMalformed,
        C::ImdsBlocked,
        C::KubeletIdentityDetached,
        C::KubeletIdentityAmbiguous,
        C::PlatformMismatchAs401,
        C::AcrRoleWrongIdentity,
        C::AcrRolePropagating,
        C::AcrAbacRoleMissing,
        C::AcrTenantMismatch,
        C::SpSecretExpired,
        C::AcrFirewallIp,
        C::AcrPrivateOnly,
        C::PrivateDnsZoneUnlinked,
        C::RepositoryNotFound,
        C::ScopeInsufficient,
        C::MirrorCredentialMisrouted,
        C::CredentialReverify,
        C::RegistryHostTypo,
        C::CredentialsWrong,
    ],
    next: &[POD, SECRETS, KUBELET_IDENTITY, ROLES],
};
pub(super) static CREDENTIALS_REJECTED: Row = Row {
    meaning: "Credentials were sent, and refused.",
    stages: &[S::Token, S::Auth, S::Manifest],
    causes: &[
        C::CredentialsWrong,
        C::CredentialsExpired,
        C::BadCredentialBlocksPublic,
        C::AcrRoleMissing,
        C::ScopeInsufficient,
        C::AcrRolePropagating,
        C::AcrRoleWrongIdentity,
        C::AcrAbacRoleMissing,
        C::SpSecretExpired,
        C::AcrArmTokenDisabled,
        C::AcrTenantMismatch,
        C::MirrorCredentialMisrouted,
        C::AcrCacheCredentials,
        C::ClockSkew,
    ],
    next: &[POD, SECRETS, KUBELET_IDENTITY, ROLES],
};
pub(super) static PERMISSION_DENIED: Row = Row {
    meaning: "The registry knows the caller, or does not care, and says no.",
    stages: &[S::Manifest, S::Token, S::Blob],
    causes: &[
        C::ScopeInsufficient,
        C::AcrRoleMissing,
        C::AcrFirewallIp,
        C::AcrPrivateOnly,
        C::PrivateDnsZoneUnlinked,
        C::AcrImageLocked,
        C::AcrCmkUnavailable,
        C::AcrAbacRoleMissing,
        C::CredentialsMissing,
        C::CredentialsWrong,
        C::PullSecretMissing,
        C::PullSecretWrongHost,
        C::PullSecretMalformed,
        C::NoProxyMissing,
        C::MirrorCredentialMisrouted,
    ],
    next: &[IMAGE, POD, NETWORK_RULES],
};
pub(super) static MANIFEST_OR_AUTH_AMBIGUOUS: Row = Row {
    meaning: "Absent or not allowed: the registry does not tell which.",
    stages: &[S::Manifest],
    causes: &[
        C::RepositoryNotFound,
        C::CredentialsMissing,
        C::ScopeInsufficient,
        C::DefaultRegistryAssumed,
        C::PullSecretWrongHost,
        C::PullSecretMissing,
    ],
    next: &[IMAGE, SECRETS],
};
pub(super) static ECR_TOKEN_EXPIRED: Row = Row {
    meaning: "The Amazon ECR token in the credentials has expired; such a token lives 12 hours.",
    stages: &[S::Auth],
    causes: &[C::CredentialsExpired, C::BadCredentialBlocksPublic],
    next: &[
        "kubectl -n <namespace> get secret <secret> --output jsonpath='{.metadata.creationTimestamp}'",
        SECRETS,
    ],
};
pub(super) static TOKEN_SERVICE_FAILED: Row = Row {
    meaning: "The token service was reached and gave a bad answer.",
    stages: &[S::Token],
    causes: &[
        C::Registry5xx,
        C::RegistryHtml,
        C::ProxyAuthRequired,
        C::NoProxyMissing,
    ],
    next: &["curl -sSi https://<registry>/v2/", IMAGE],
};
pub(super) static AZURE_IDENTITY_FAILED: Row = Row {
    meaning: "Azure gave no identity token, or the registry refused to exchange it.",
    stages: &[S::Token, S::Auth],
    causes: &[
        C::KubeletIdentityDetached,
        C::AcrRoleMissing,
        C::ImdsBlocked,
        C::KubeletIdentityAmbiguous,
        C::SpSecretExpired,
        C::AcrRoleWrongIdentity,
        C::AcrRolePropagating,
        C::AcrAbacRoleMissing,
        C::AcrTenantMismatch,
        C::AcrArmTokenDisabled,
    ],
    next: &[KUBELET_IDENTITY, ROLES, KUBELET_LOG],
};
pub(super) static CREDENTIAL_PROVIDER_FAILED: Row = Row {
    meaning: "A credential plug-in or helper failed before any registry was asked.",
    stages: &[S::Auth, S::Token, S::Kubelet],
    causes: &[
        C::CredentialProviderBroken,
        C::ImdsBlocked,
        C::KubeletIdentityDetached,
        C::AcrRoleMissing,
    ],
    next: &[KUBELET_LOG],
};
pub(super) static FIREWALL_DENIED_403: Row = Row {
    meaning: "The registry refuses the address that the request came from.",
    stages: &[S::Ping, S::Token, S::Manifest],
    causes: &[
        C::AcrFirewallIp,
        C::AcrPrivateOnly,
        C::PrivateDnsZoneUnlinked,
        C::NoProxyMissing,
    ],
    next: &[NETWORK_RULES, RESOLVE],
};
pub(super) static QUOTA_OR_BILLING: Row = Row {
    meaning: "The account or project behind the registry is blocked.",
    stages: &[S::Manifest, S::Token, S::Blob],
    causes: &[],
    next: &[IMAGE],
};
pub(super) static POLICY_BLOCKED: Row = Row {
    meaning: "A policy said no: admission, signatures, or the runtime's own rules.",
    stages: &[S::Policy],
    causes: &[C::SignatureRejected, C::AdmissionBlocksProbe],
    next: &[
        "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations",
        "kubectl debug node/<node> -it --image=busybox -- cat /host/etc/containers/policy.json",
    ],
};
pub(super) static RATE_LIMITED: Row = Row {
    meaning: "The registry says: too many requests.",
    stages: &[S::Manifest, S::Token, S::Blob],
    causes: &[C::Registry429, C::HubRateLimit],
    next: &[IMAGE],
};
pub(super) static TAG_NOT_FOUND: Row = Row {
    meaning: "The registry answered that this tag is not there.",
    stages: &[S::Manifest],
    causes: &[
        C::TagNotFound,
        C::RepositoryNotFound,
        C::MirrorBroken,
        C::AcrReplicaLag,
        C::StaleBackoff,
        C::DefaultRegistryAssumed,
        C::DigestNotFound,
        C::AcrCacheCredentials,
        C::RegistryHtml,
    ],
    next: &[
        IMAGE,
        "az acr repository show-tags --name <acr> --repository <repository> --orderby time_desc --top 10",
    ],
};
pub(super) static REPOSITORY_NOT_FOUND: Row = Row {
    meaning: "The registry answered that it has no such repository.",
    stages: &[S::Manifest],
    causes: &[
        C::RepositoryNotFound,
        C::DefaultRegistryAssumed,
        C::RegistryHtml,
        C::MirrorBroken,
        C::TagNotFound,
        C::AcrCacheCredentials,
    ],
    next: &[IMAGE, "az acr repository list --name <acr> --output table"],
};
pub(super) static MANIFEST_DIGEST_NOT_FOUND: Row = Row {
    meaning: "The registry answered that it has no manifest with this digest.",
    stages: &[S::Manifest],
    causes: &[
        C::DigestNotFound,
        C::TagDigestGone,
        C::AcrReplicaLag,
        C::LayerCorrupt,
        C::MirrorBroken,
        C::RegistryHtml,
    ],
    next: &[IMAGE],
};
pub(super) static BLOB_NOT_FOUND: Row = Row {
    meaning: "The manifest is there; a layer or the configuration that it names is not.",
    stages: &[S::Blob],
    causes: &[
        C::LayerMissing,
        C::RegistryHtml,
        C::TagDigestGone,
        C::MirrorBroken,
    ],
    next: &["pullcheck image <image> --depth blobs"],
};
pub(super) static PLATFORM_MISMATCH: Row = Row {
    meaning: "The image exists, but not for this operating system or architecture.",
    stages: &[S::Platform],
    causes: &[
        C::PlatformMismatch,
        C::PlatformMismatchAs401,
        C::PlatformMismatchSingle,
    ],
    next: &[
        IMAGE,
        "kubectl get nodes --label-columns kubernetes.io/os,kubernetes.io/arch",
    ],
};
pub(super) static UNSUPPORTED_MANIFEST: Row = Row {
    meaning: "The manifest cannot be used: too old, of an unknown kind, or damaged.",
    stages: &[S::Manifest],
    causes: &[
        C::ManifestUnsupported,
        C::RegistryHtml,
        C::ArtifactNotImage,
        C::LayerCorrupt,
    ],
    next: &[IMAGE, "crane manifest <image>"],
};
pub(super) static REGISTRY_5XX: Row = Row {
    meaning: "The registry, or a mirror in front of it, failed by itself.",
    stages: &[S::Manifest, S::Ping, S::Blob, S::Token],
    causes: &[C::Registry5xx, C::MirrorBroken, C::AcrStreamingProxy],
    next: &[IMAGE, MIRRORS],
};
pub(super) static REGISTRY_UNAVAILABLE: Row = Row {
    meaning: "The registry cannot be reached, and the message gives no lower reason.",
    stages: &[S::Ping],
    causes: &[
        C::TcpRefused,
        C::FirewallDrop,
        C::DnsNxdomain,
        C::ProxyMissingOnNode,
        C::Registry5xx,
        C::TlsUnknownCa,
    ],
    next: &[IMAGE, DIAL],
};
pub(super) static REDIRECT_OR_STORAGE_FAILED: Row = Row {
    meaning: "The registry sent the client to its storage, and the storage gave a bad answer.",
    stages: &[S::Blob],
    causes: &[C::DataEndpointBlocked, C::ClockSkew, C::NoProxyMissing],
    next: &[
        "pullcheck image <image> --depth blobs",
        "az acr show-endpoints --name <acr>",
    ],
};
pub(super) static MIRROR_MISCONFIGURED: Row = Row {
    meaning: "A mirror, or the configuration that names it, is at fault.",
    stages: &[S::Kubelet, S::Manifest],
    causes: &[
        C::MirrorBroken,
        C::RegistryHtml,
        C::MirrorCredentialMisrouted,
        C::AcrStreamingProxy,
    ],
    next: &[MIRRORS, RUNTIME_LOG],
};
pub(super) static BLOB_CORRUPT: Row = Row {
    meaning: "The content that arrived is not what its digest or size says.",
    stages: &[S::Blob, S::Unpack],
    causes: &[C::LayerCorrupt, C::LayerTruncated, C::TagDigestGone],
    next: &["pullcheck image <image> --depth full"],
};
pub(super) static TRUNCATED_TRANSFER: Row = Row {
    meaning: "A download ended too early.",
    stages: &[S::Blob],
    causes: &[
        C::LayerTruncated,
        C::TcpReset,
        C::MtuBlackhole,
        C::LayerCorrupt,
    ],
    next: &["pullcheck image <image> --depth full"],
};
pub(super) static UNPACK_FAILED: Row = Row {
    meaning: "A layer arrived and could not be written to the node's file system.",
    stages: &[S::Unpack],
    causes: &[C::LayerCorrupt, C::ManifestUnsupported, C::DiskFull],
    next: &["kubectl describe node <node>", RUNTIME_LOG],
};
pub(super) static DISK_FULL: Row = Row {
    meaning: "The node's disk is full.",
    stages: &[S::Unpack, S::Blob],
    causes: &[C::DiskFull],
    next: &[
        "kubectl describe node <node>",
        "kubectl debug node/<node> -it --image=busybox -- df -h /host /host/var/lib/containerd",
    ],
};
pub(super) static RUNTIME_ERROR: Row = Row {
    meaning: "The runtime's own store or snapshotter is at fault.",
    stages: &[S::Unpack, S::Kubelet],
    causes: &[C::LayerCorrupt, C::DiskFull],
    next: &[RUNTIME_LOG],
};

impl Clue {
    pub(super) fn row(self) -> &'static Row {
        match self {
            Self::InvalidReference => &INVALID_REFERENCE,
            Self::NeverPullAbsent => &NEVER_PULL_ABSENT,
            Self::SecretMissing => &SECRET_MISSING,
            Self::SecretMalformed => &SECRET_MALFORMED,
            Self::PullQpsExceeded => &PULL_QPS_EXCEEDED,
            Self::BackOffOnly => &BACK_OFF_ONLY,
            Self::PullCancelled => &PULL_CANCELLED,
            Self::Unknown => &UNKNOWN,
            Self::DnsNotFound => &DNS_NOT_FOUND,
            Self::DnsServerFailed => &DNS_SERVER_FAILED,
            Self::DnsTimeout => &DNS_TIMEOUT,
            Self::TcpRefused => &TCP_REFUSED,
            Self::TcpTimeout => &TCP_TIMEOUT,
            Self::NetworkUnreachable => &NETWORK_UNREACHABLE,
            Self::ConnectionReset => &CONNECTION_RESET,
            Self::ProxyFailed => &PROXY_FAILED,
            Self::ResponseTimeout => &RESPONSE_TIMEOUT,
            Self::TlsUnknownCa => &TLS_UNKNOWN_CA,
            Self::TlsExpired => &TLS_EXPIRED,
            Self::TlsNameMismatch => &TLS_NAME_MISMATCH,
            Self::TlsHandshakeFailed => &TLS_HANDSHAKE_FAILED,
            Self::HttpToHttps => &HTTP_TO_HTTPS,
            Self::HttpsToHttp => &HTTPS_TO_HTTP,
            Self::AuthRequiredNoCredentials => &AUTH_REQUIRED_NO_CREDENTIALS,
            Self::CredentialsRejected => &CREDENTIALS_REJECTED,
            Self::PermissionDenied => &PERMISSION_DENIED,
            Self::ManifestOrAuthAmbiguous => &MANIFEST_OR_AUTH_AMBIGUOUS,
            Self::EcrTokenExpired => &ECR_TOKEN_EXPIRED,
            Self::TokenServiceFailed => &TOKEN_SERVICE_FAILED,
            Self::AzureIdentityFailed => &AZURE_IDENTITY_FAILED,
            Self::CredentialProviderFailed => &CREDENTIAL_PROVIDER_FAILED,
            Self::FirewallDenied403 => &FIREWALL_DENIED_403,
            Self::QuotaOrBilling => &QUOTA_OR_BILLING,
            Self::PolicyBlocked => &POLICY_BLOCKED,
            Self::RateLimited => &RATE_LIMITED,
            Self::TagNotFound => &TAG_NOT_FOUND,
            Self::RepositoryNotFound => &REPOSITORY_NOT_FOUND,
            Self::ManifestDigestNotFound => &MANIFEST_DIGEST_NOT_FOUND,
            Self::BlobNotFound => &BLOB_NOT_FOUND,
            Self::PlatformMismatch => &PLATFORM_MISMATCH,
            Self::UnsupportedManifest => &UNSUPPORTED_MANIFEST,
            Self::Registry5xx => &REGISTRY_5XX,
            Self::RegistryUnavailable => &REGISTRY_UNAVAILABLE,
            Self::RedirectOrStorageFailed => &REDIRECT_OR_STORAGE_FAILED,
            Self::MirrorMisconfigured => &MIRROR_MISCONFIGURED,
            Self::BlobCorrupt => &BLOB_CORRUPT,
            Self::TruncatedTransfer => &TRUNCATED_TRANSFER,
            Self::UnpackFailed => &UNPACK_FAILED,
            Self::DiskFull => &DISK_FULL,
            Self::RuntimeError => &RUNTIME_ERROR,
        }
    }
}
