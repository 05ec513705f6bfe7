//! Look-alikes: pairs of causes that show the same symptom, each with the question that splits it.
//!
//! A pair is written once, so the relation is symmetric by construction, and its question must read
//! the same from both sides. The order of the list is the order in which look-alikes are shown.

use super::{Cause, LookAlike};
use std::collections::BTreeMap;
use std::sync::LazyLock;

type Pair = (Cause, Cause, &'static str);

/// The look-alikes of one cause, in the order of [`PAIRS`].
pub(super) fn of(cause: Cause) -> &'static [LookAlike] {
    static INDEX: LazyLock<BTreeMap<Cause, Vec<LookAlike>>> = LazyLock::new(|| {
        let mut index: BTreeMap<Cause, Vec<LookAlike>> = BTreeMap::new();
        for &(left, right, question) in PAIRS {
            index.entry(left).or_default().push(LookAlike {
                cause: right,
                question,
            });
            index.entry(right).or_default().push(LookAlike {
                cause: left,
                question,
            });
        }
        index
    });
    INDEX.get(&cause).map_or(&[], Vec::as_slice)
}

use Cause::{
    AcrAbacRoleMissing, AcrArmTokenDisabled, AcrCacheCredentials, AcrCmkUnavailable, AcrFirewallIp,
    AcrImageLocked, AcrPrivateOnly, AcrReplicaLag, AcrRoleMissing, AcrRolePropagating,
    AcrRoleWrongIdentity, AcrStreamingProxy, AcrTenantMismatch, AdmissionBlocksProbe,
    ArtifactNotImage, BadCredentialBlocksPublic, ClockSkew, CloudSuffixWrong,
    CredentialProviderBroken, CredentialReverify, CredentialsExpired, CredentialsMissing,
    CredentialsWrong, DataEndpointBlocked, DefaultRegistryAssumed, DigestNotFound, DiskFull,
    DnsDataEndpointMissing, DnsNxdomain, DnsServfail, DnsStalePrivateRecord, DnsTimeout,
    FirewallDrop, HubRateLimit, ImageNameInvalid, ImdsBlocked, KubeletIdentityAmbiguous,
    KubeletIdentityDetached, KubeletQps, LayerCorrupt, LayerMissing, LayerTruncated,
    ManifestUnsupported, MirrorBroken, MirrorCredentialMisrouted, MtuBlackhole, NeverPullAbsent,
    NoProxyMissing, PlatformMismatch, PlatformMismatchAs401, PlatformMismatchSingle,
    PrivateDnsZoneUnlinked, ProxyAuthRequired, ProxyMissingOnNode, ProxyUnreachable, PullHanging,
    PullProgressTimeout, PullSecretMalformed, PullSecretMissing, PullSecretWrongHost,
    PullSecretWrongNamespace, Registry5xx, Registry429, RegistryHostTypo, RegistryHtml,
    RegistryNameUnknown, RegistrySlow, RepositoryNotFound, ScopeInsufficient, SerializedQueue,
    SignatureRejected, SnatExhaustion, SpSecretExpired, StaleBackoff, TagDigestGone, TagNotFound,
    TcpRefused, TcpReset, TlsClientCertRequired, TlsExpired, TlsHandshakeTimeout,
    TlsHostnameMismatch, TlsIntercepted, TlsPlainHttp, TlsUnknownCa, TlsVersionRefused,
    TokenEndpointUnreachable, VnetPeeringMissing,
};

/// Every pair once.
#[rustfmt::skip] // A table: one pair a line.
const PAIRS: &[Pair] = &[
    // The name.
    (ImageNameInvalid, DefaultRegistryAssumed, "Was any registry asked at all?"),
    (RegistryHostTypo, RegistryNameUnknown, "Is the host one or two letters away from a registry that resolves?"),
    (RegistryHostTypo, DnsNxdomain, "Is the host one or two letters away from a registry that resolves?"),
    (RegistryHostTypo, CredentialsMissing, "Is the host that answered 401 the registry that was meant?"),
    (RegistryNameUnknown, DnsNxdomain, "Does the name resolve from any other place?"),
    (RegistryNameUnknown, CloudSuffixWrong, "Does the same name resolve under the suffix of the cluster's cloud?"),
    (DnsNxdomain, CloudSuffixWrong, "Does the same name resolve under the suffix of the cluster's cloud?"),
    // `not found`: which object is missing?
    (TagNotFound, RepositoryNotFound, "Does the repository list any tags?"),
    (TagNotFound, DigestNotFound, "Does the reference ask by tag or by digest?"),
    (TagNotFound, TagDigestGone, "Is the tag itself answered, and only its digest missing?"),
    (TagNotFound, AcrReplicaLag, "Does the endpoint of the region of the push have it?"),
    (TagNotFound, MirrorBroken, "Is the host that said `not found` the registry or a mirror, and was the registry asked?"),
    (TagNotFound, StaleBackoff, "Does the same pull succeed now?"),
    (RepositoryNotFound, ScopeInsufficient, "Does the granted token cover the repository?"),
    (RepositoryNotFound, DefaultRegistryAssumed, "Did the user write a registry in the image name?"),
    (RepositoryNotFound, CredentialsMissing, "Does the registry still say so to an account that may see everything?"),
    (RepositoryNotFound, RegistryHtml, "Is the 404 a registry's JSON or a web page?"),
    (DefaultRegistryAssumed, CredentialsMissing, "Did the user write a registry in the image name?"),
    (DefaultRegistryAssumed, ScopeInsufficient, "Did the user write a registry in the image name?"),
    (DigestNotFound, TagDigestGone, "Did the pod ask by digest, or did a tag lead to the missing digest?"),
    (DigestNotFound, AcrReplicaLag, "Does the endpoint of the region of the push have it?"),
    (DigestNotFound, LayerMissing, "Is the missing digest a manifest or a layer?"),
    (TagDigestGone, LayerMissing, "Is the missing digest a manifest or a layer?"),
    (TagDigestGone, AcrReplicaLag, "Does it heal within minutes of a push?"),
    (TagDigestGone, LayerCorrupt, "Is the manifest absent, or other bytes than its digest says?"),
    // Name resolution.
    (DnsNxdomain, DnsServfail, "Which code does the resolver answer: NXDOMAIN or SERVFAIL?"),
    (DnsNxdomain, DnsDataEndpointMissing, "Is the name that fails the registry's or that of its data host?"),
    (DnsNxdomain, TokenEndpointUnreachable, "Is the name that fails the registry's or that of its token service?"),
    (DnsServfail, DnsTimeout, "Does the resolver answer at all?"),
    (DnsTimeout, FirewallDrop, "Was an address found before the time ran out?"),
    (DnsTimeout, TokenEndpointUnreachable, "Did the registry already answer with a challenge?"),
    // Time-outs.
    (FirewallDrop, VnetPeeringMissing, "Is the address private, and does nothing in its subnet answer?"),
    (FirewallDrop, TcpRefused, "Is the connection refused at once, or is there no answer?"),
    (FirewallDrop, SnatExhaustion, "Does it fail always, or only with many connections at once?"),
    (FirewallDrop, MtuBlackhole, "Does a connection open at all?"),
    (FirewallDrop, DataEndpointBlocked, "Which host does not answer: the registry or its data host?"),
    (FirewallDrop, TlsHandshakeTimeout, "Does a connection open at all?"),
    (FirewallDrop, ProxyMissingOnNode, "Does the registry answer through a proxy that this node does not use?"),
    (FirewallDrop, TokenEndpointUnreachable, "Which host does not answer: the registry or its token service?"),
    (FirewallDrop, DnsStalePrivateRecord, "Is the address one of an approved endpoint of this network?"),
    (FirewallDrop, AcrFirewallIp, "Is there no answer, or an answer of 403?"),
    (FirewallDrop, PullHanging, "Does a connection open at all?"),
    (VnetPeeringMissing, DnsStalePrivateRecord, "Is the address one of an approved endpoint of this network?"),
    (MtuBlackhole, TlsHandshakeTimeout, "Do small answers arrive and only large ones stall?"),
    (MtuBlackhole, TcpReset, "Is the connection cut, or does it stall?"),
    (MtuBlackhole, PullHanging, "Does the stall come at a fixed size?"),
    (TlsHandshakeTimeout, ProxyMissingOnNode, "Does a handshake through the proxy succeed?"),
    (DataEndpointBlocked, DnsDataEndpointMissing, "Does the data host's name resolve?"),
    (DataEndpointBlocked, PullHanging, "Does a connection to the data host open?"),
    // Cut connections.
    (TcpReset, DnsStalePrivateRecord, "Is the address one of an approved endpoint of this network?"),
    (TcpReset, TlsVersionRefused, "Does the handshake succeed with another TLS version?"),
    (TcpReset, DataEndpointBlocked, "Which host cuts the connection: the registry or its data host?"),
    (TcpReset, LayerTruncated, "Did part of a layer arrive before the cut?"),
    (TcpReset, TcpRefused, "Was the connection established before it was cut?"),
    (TcpReset, ProxyAuthRequired, "Does a proxy answer before TLS begins?"),
    (TcpReset, NoProxyMissing, "Does it work without the proxy?"),
    (TcpRefused, MirrorBroken, "Is the refused address the registry's or a mirror's?"),
    (TcpRefused, TokenEndpointUnreachable, "Which host refuses: the registry or its token service?"),
    (TcpRefused, DataEndpointBlocked, "Which host refuses: the registry or its data host?"),
    (TcpRefused, AcrStreamingProxy, "Is the refused address a streaming agent on the node itself?"),
    (TcpRefused, ProxyUnreachable, "Is the refused address the registry's or a proxy's?"),
    // Proxy.
    (ProxyUnreachable, ProxyAuthRequired, "Does the proxy answer at all?"),
    (ProxyUnreachable, NoProxyMissing, "Does the proxy answer at all?"),
    (ProxyAuthRequired, NoProxyMissing, "Does a direct connection to the registry work?"),
    (ProxyAuthRequired, AcrFirewallIp, "Who says 403: a proxy before TLS, or the registry?"),
    // TLS.
    (TlsUnknownCa, TlsIntercepted, "Does the same issuer sign other, unrelated hosts as seen from here?"),
    (TlsUnknownCa, TlsHostnameMismatch, "Is the issuer unknown, or the name wrong?"),
    (TlsUnknownCa, TlsExpired, "Is the issuer unknown, or are the dates wrong?"),
    (TlsIntercepted, TlsHostnameMismatch, "Does another place see another certificate?"),
    (TlsExpired, ClockSkew, "Does the server's Date header agree with the node's clock?"),
    (TlsExpired, TlsIntercepted, "Does another place see another certificate?"),
    (TlsHandshakeTimeout, TlsPlainHttp, "Does the port answer with HTTP in clear?"),
    (TlsHandshakeTimeout, TlsVersionRefused, "Is the handshake refused, or not answered?"),
    (TlsClientCertRequired, TlsVersionRefused, "Does the server ask for a client certificate?"),
    (TlsClientCertRequired, TcpReset, "Does the server ask for a client certificate before it closes?"),
    (TlsPlainHttp, TlsVersionRefused, "Does the port answer with HTTP in clear?"),
    (TlsPlainHttp, RegistryHtml, "Does the port speak TLS?"),
    (TlsHandshakeTimeout, TlsClientCertRequired, "Is the handshake ended by the server, or not answered?"),
    (TlsPlainHttp, TlsIntercepted, "Does another place get TLS on this port?"),
    (DataEndpointBlocked, ClockSkew, "Does the storage not answer, or does it refuse a date?"),
    // 401 with an anonymous token: what became of the credentials?
    (CredentialsMissing, PullSecretMissing, "Does the pod name a pull secret that does not exist?"),
    (CredentialsMissing, PullSecretWrongNamespace, "Does a secret of that name exist in another namespace?"),
    (CredentialsMissing, PullSecretWrongHost, "Is a secret attached whose keys do not match the image?"),
    (CredentialsMissing, PullSecretMalformed, "Is a secret attached that cannot be read?"),
    (CredentialsMissing, CredentialProviderBroken, "Is a credential provider set up for this image, and did it give a credential?"),
    (CredentialsMissing, AcrRoleMissing, "Was an exchange made with the kubelet identity, and was it refused?"),
    (CredentialsMissing, KubeletIdentityAmbiguous, "How does the metadata service answer the node?"),
    (CredentialsMissing, ImdsBlocked, "Does the metadata service answer the node?"),
    (CredentialsMissing, PlatformMismatchAs401, "Was there an earlier attempt with credentials that got further?"),
    (CredentialsMissing, CredentialsWrong, "Did the request carry credentials?"),
    (CredentialsMissing, ScopeInsufficient, "Did the request carry credentials?"),
    (CredentialsMissing, AcrFirewallIp, "Is it 401, or 403 with the client's address?"),
    (CredentialsMissing, MirrorCredentialMisrouted, "Is the host that answered 401 the one in the image name?"),
    (CredentialsMissing, CredentialReverify, "Does another pod run this image on the same node?"),
    (PullSecretMissing, PullSecretWrongNamespace, "Does a secret of that name exist in another namespace?"),
    (PullSecretMissing, PullSecretMalformed, "Does the secret exist?"),
    (PullSecretMissing, PullSecretWrongHost, "Does the secret exist?"),
    (PullSecretMalformed, PullSecretWrongHost, "Can the secret be read?"),
    (PullSecretWrongHost, CredentialsWrong, "Does a key of the secret match the image?"),
    (PullSecretWrongHost, MirrorCredentialMisrouted, "Is the host that answered 401 the one in the image name?"),
    (CredentialProviderBroken, AcrRoleMissing, "Does the provider fail before the registry's exchange, or at it?"),
    (CredentialProviderBroken, ImdsBlocked, "Does the metadata service answer the node?"),
    (CredentialProviderBroken, KubeletIdentityDetached, "What does the metadata service say about the identity?"),
    (AcrRoleMissing, ImdsBlocked, "Does the metadata service answer the node?"),
    (AcrRoleMissing, KubeletIdentityAmbiguous, "Does the metadata service give a token for the kubelet identity?"),
    (AcrRoleMissing, KubeletIdentityDetached, "Does the metadata service give a token for the kubelet identity?"),
    (AcrRoleMissing, PlatformMismatchAs401, "Was there an earlier attempt with credentials that got further?"),
    (KubeletIdentityDetached, KubeletIdentityAmbiguous, "How many identities are attached to the scale set: none that fits, or too many?"),
    (KubeletIdentityDetached, ImdsBlocked, "Does the metadata service answer at all?"),
    (KubeletIdentityAmbiguous, ImdsBlocked, "Does the metadata service answer at all?"),
    (PlatformMismatch, PlatformMismatchAs401, "Does the message hold a second, anonymous attempt?"),
    (PlatformMismatch, PlatformMismatchSingle, "Is the tag an index, or a single image?"),
    (PlatformMismatch, ManifestUnsupported, "Can the index be read?"),
    (PlatformMismatchSingle, ArtifactNotImage, "Is the configuration that of an image?"),
    (ManifestUnsupported, ArtifactNotImage, "Is the configuration that of an image?"),
    (ManifestUnsupported, RegistryHtml, "Is the content a web page?"),
    // 401 with credentials: at which hop did the identity stop?
    (CredentialsWrong, CredentialsExpired, "Did the same credential work before, and does it carry an end date?"),
    (CredentialsWrong, ScopeInsufficient, "Is a token given at all?"),
    (CredentialsWrong, BadCredentialBlocksPublic, "Does the same request succeed without credentials?"),
    (CredentialsWrong, AcrRoleMissing, "Whose credential was it: a pull secret's or the kubelet identity's?"),
    (CredentialsWrong, MirrorCredentialMisrouted, "Is the host that refused them the one in the image name?"),
    (CredentialsExpired, BadCredentialBlocksPublic, "Does the same request succeed without credentials?"),
    (CredentialsExpired, SpSecretExpired, "Is the expired secret in a pull secret, or the cluster's own?"),
    (CredentialsExpired, ClockSkew, "Is the node's clock right?"),
    (ScopeInsufficient, AcrAbacRoleMissing, "Is the registry in ABAC mode?"),
    (ScopeInsufficient, AcrRoleMissing, "Is a token given at all?"),
    (ScopeInsufficient, AcrFirewallIp, "Does the body of the 403 name the client's address?"),
    (ScopeInsufficient, AcrImageLocked, "Can other tags of the repository be pulled with the same account?"),
    (AcrRoleMissing, AcrRolePropagating, "Is there an assignment, and how old is it?"),
    (AcrRoleMissing, AcrRoleWrongIdentity, "Is the role assigned to another object id?"),
    (AcrRoleMissing, AcrAbacRoleMissing, "Is the registry in ABAC mode?"),
    (AcrRoleMissing, SpSecretExpired, "Does sign-in itself fail, before the registry is asked?"),
    (AcrRoleMissing, AcrArmTokenDisabled, "Is the role there and only the token's audience refused?"),
    (AcrRoleMissing, AcrTenantMismatch, "Is the token of the registry's tenant?"),
    (AcrRolePropagating, AcrRoleWrongIdentity, "Is the role assigned to the kubelet's object id?"),
    (AcrRolePropagating, StaleBackoff, "Does the same pull succeed now?"),
    (AcrRoleWrongIdentity, AcrAbacRoleMissing, "Is the registry in ABAC mode?"),
    (AcrRoleWrongIdentity, AcrTenantMismatch, "Is the token of the registry's tenant?"),
    (AcrArmTokenDisabled, AcrTenantMismatch, "Is the token of the registry's tenant?"),
    // 403.
    (AcrFirewallIp, AcrPrivateOnly, "Is public network access enabled on the registry?"),
    (AcrFirewallIp, PrivateDnsZoneUnlinked, "Does the name have a privatelink alias that this network resolves to a public address?"),
    (AcrFirewallIp, AcrImageLocked, "Does the body of the 403 name the client's address?"),
    (AcrFirewallIp, AcrCmkUnavailable, "Does the body of a GET name the client's address or the key vault?"),
    (AcrPrivateOnly, PrivateDnsZoneUnlinked, "Does the registry have an approved private endpoint for this network?"),
    (AcrPrivateOnly, ScopeInsufficient, "Does the body of the 403 name the client's address?"),
    (AcrImageLocked, AcrCmkUnavailable, "Can other images of the registry be pulled?"),
    (AcrCacheCredentials, AcrRoleMissing, "Do repositories outside of the cache rule work?"),
    (AcrCacheCredentials, CredentialsWrong, "Do repositories outside of the cache rule work?"),
    (AcrCacheCredentials, RepositoryNotFound, "Does the repository fall under a cache rule?"),
    // Throttling and slowness: did the request leave the node?
    (Registry429, HubRateLimit, "Is the host Docker Hub, with ratelimit headers?"),
    (Registry429, KubeletQps, "Did the request leave the node?"),
    (Registry429, Registry5xx, "Which status does the registry answer?"),
    (Registry429, SerializedQueue, "Did the request leave the node?"),
    (Registry429, RegistrySlow, "Is there a 429, or only slowness?"),
    (HubRateLimit, KubeletQps, "Did the request leave the node?"),
    (RegistrySlow, SerializedQueue, "Is the time spent in the queue or in the transfer?"),
    (RegistrySlow, PullHanging, "Do bytes still arrive?"),
    (KubeletQps, SerializedQueue, "Is there an error, or only waiting?"),
    (SerializedQueue, PullHanging, "Is this pod's own pull hanging, or does it wait behind another?"),
    (PullProgressTimeout, PullHanging, "Did the runtime end the pull?"),
    (PullProgressTimeout, RegistrySlow, "Do bytes still arrive?"),
    (PullProgressTimeout, MtuBlackhole, "Does the stall come at a fixed size?"),
    (Registry5xx, MirrorBroken, "Is the failing host the registry or a mirror?"),
    (Registry5xx, AcrStreamingProxy, "Is the failing host a streaming agent on the node itself?"),
    (Registry5xx, RegistryHtml, "Is the answer an error status, or a page with 200?"),
    (MirrorBroken, AcrStreamingProxy, "Is the mirror the artifact-streaming agent of the node?"),
    (MirrorBroken, MirrorCredentialMisrouted, "Does the mirror fail, or refuse the credentials?"),
    (MirrorBroken, RegistryHtml, "Is the host that served the page the registry or a mirror?"),
    // Layers and disk.
    (LayerMissing, RegistryHtml, "Was a web page served in place of the manifest?"),
    (LayerCorrupt, LayerTruncated, "Is the length right and only the content wrong?"),
    (LayerCorrupt, ManifestUnsupported, "Do the bytes match the digest, and only the configuration disagree?"),
    (LayerTruncated, PullProgressTimeout, "Did the server close, or the runtime give up?"),
    (LayerTruncated, DiskFull, "Is there room on the node's disk?"),
    (LayerCorrupt, DiskFull, "Is there room on the node's disk?"),
    // Policy.
    (SignatureRejected, AdmissionBlocksProbe, "Who refuses: the runtime at the pull, or the API server at the pod's creation?"),
    (NeverPullAbsent, CredentialReverify, "Is the image on the node, used by another pod?"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_pair_is_written_once_and_never_with_itself() {
        let mut seen = BTreeSet::new();
        for &(left, right, question) in PAIRS {
            assert_ne!(left, right);
            assert!(
                seen.insert((left.min(right), left.max(right))),
                "{left} / {right} twice"
            );
            assert!(question.ends_with('?'), "{left} / {right}: {question}");
        }
    }
}
