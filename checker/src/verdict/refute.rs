//! What excludes a cause: one fact each, in words; and which look-alikes a cause must exclude.

use super::ending::{
    Ending, connected, ending, from, is_private, reached_from_elsewhere, role, status,
};
use super::{Case, Settle, kubelet};
use crate::azure::{Grant, RegistryMode};
use crate::cause::Cause;
use crate::clue::Clue;
use crate::evidence::{Fact, Identity, Role, Seen};
use crate::reference::Target;
use crate::stage::Stage;
use crate::symptom::SecretState;
use crate::world::{DialError, DnsError, Vantage};

/// The look-alikes that must be excluded before a cause counts as proven.
pub(super) const fn rivals(cause: Cause) -> &'static [Cause] {
    match cause {
        Cause::TagNotFound => &[
            Cause::RepositoryNotFound,
            Cause::DigestNotFound,
            Cause::CredentialsMissing,
            Cause::DnsNxdomain,
        ],
        Cause::RepositoryNotFound => &[Cause::TagNotFound, Cause::CredentialsMissing],
        Cause::DigestNotFound => &[Cause::RepositoryNotFound, Cause::TagNotFound],
        Cause::AcrRoleMissing => &[
            Cause::AcrRoleWrongIdentity,
            Cause::AcrRolePropagating,
            Cause::AcrAbacRoleMissing,
            Cause::AcrFirewallIp,
            Cause::AcrPrivateOnly,
        ],
        Cause::AcrRoleWrongIdentity => &[
            Cause::AcrRolePropagating,
            Cause::AcrAbacRoleMissing,
            Cause::AcrFirewallIp,
        ],
        Cause::FirewallDrop => &[
            Cause::TcpRefused,
            Cause::DnsNxdomain,
            Cause::DnsServfail,
            Cause::DnsTimeout,
            Cause::AcrFirewallIp,
            Cause::VnetPeeringMissing,
        ],
        Cause::TcpRefused => &[Cause::FirewallDrop, Cause::DnsNxdomain],
        Cause::DnsNxdomain => &[Cause::DnsServfail, Cause::DnsTimeout],
        Cause::DnsServfail => &[Cause::DnsNxdomain, Cause::DnsTimeout],
        Cause::DnsTimeout => &[Cause::DnsNxdomain, Cause::DnsServfail],
        Cause::Registry429 => &[
            Cause::KubeletQps,
            Cause::SerializedQueue,
            Cause::HubRateLimit,
        ],
        Cause::HubRateLimit => &[
            Cause::KubeletQps,
            Cause::SerializedQueue,
            Cause::Registry429,
        ],
        Cause::LayerMissing => &[Cause::TagNotFound],
        Cause::CredentialsMissing => &[Cause::PullSecretMissing, Cause::CredentialsWrong],
        _ => &[],
    }
}

/// The fact that excludes `cause`, if there is one. `first` is the cause that is held against it.
pub(super) fn refute(
    cause: Cause,
    first: Cause,
    case: &Case<'_>,
    vantage: Option<&Vantage>,
) -> Option<String> {
    let workstation = Vantage::Workstation;
    let seen = Seer {
        case,
        vantage: vantage.unwrap_or(&workstation),
        first,
    };
    match cause {
        Cause::ImageNameInvalid => case
            .reference
            .map(|one| format!("`{}` is a well-formed reference", one.written())),
        Cause::DefaultRegistryAssumed => case
            .reference
            .filter(|one| !one.registry_assumed())
            .map(|one| format!("the image names its registry, {}", one.registry())),
        Cause::DnsNxdomain
        | Cause::DnsServfail
        | Cause::DnsTimeout
        | Cause::RegistryHostTypo
        | Cause::RegistryNameUnknown
        | Cause::CloudSuffixWrong => seen.name_resolves(cause),
        Cause::FirewallDrop
        | Cause::TcpRefused
        | Cause::TcpReset
        | Cause::VnetPeeringMissing
        | Cause::DnsStalePrivateRecord
        | Cause::SnatExhaustion
        | Cause::ProxyMissingOnNode => seen.tcp(cause),
        Cause::MtuBlackhole
        | Cause::TlsHandshakeTimeout
        | Cause::TlsVersionRefused
        | Cause::TlsClientCertRequired => seen.never_connected().or_else(|| seen.tls()),
        Cause::TlsUnknownCa
        | Cause::TlsIntercepted
        | Cause::TlsExpired
        | Cause::TlsHostnameMismatch
        | Cause::ClockSkew
        | Cause::TlsPlainHttp => seen.never_connected().or_else(|| seen.tls()),
        Cause::DataEndpointBlocked | Cause::DnsDataEndpointMissing => seen.data_host(),
        Cause::TokenEndpointUnreachable => seen.token_answered(),
        Cause::AcrFirewallIp | Cause::AcrPrivateOnly | Cause::PrivateDnsZoneUnlinked => {
            seen.network_rules(cause)
        }
        // That a probe gets a credential says nothing about the kubelet's own plug-in.
        Cause::CredentialProviderBroken
            if matches!(first, Cause::StaleBackoff | Cause::AcrArmTokenDisabled) =>
        {
            None
        }
        Cause::CredentialsMissing
        | Cause::CredentialsWrong
        | Cause::CredentialsExpired
        | Cause::PullSecretMissing
        | Cause::PullSecretWrongHost
        | Cause::PullSecretMalformed
        | Cause::PullSecretWrongNamespace
        | Cause::ScopeInsufficient
        | Cause::BadCredentialBlocksPublic
        | Cause::CredentialProviderBroken => seen.signed_in().or_else(|| seen.credentials(cause)),
        Cause::AcrRoleMissing
        | Cause::AcrRoleWrongIdentity
        | Cause::AcrRolePropagating
        | Cause::AcrAbacRoleMissing
        | Cause::AcrArmTokenDisabled
        | Cause::AcrTenantMismatch
        | Cause::KubeletIdentityDetached
        | Cause::KubeletIdentityAmbiguous
        | Cause::ImdsBlocked
        | Cause::SpSecretExpired => seen.signed_in().or_else(|| seen.azure(cause)),
        Cause::RepositoryNotFound
        | Cause::TagNotFound
        | Cause::DigestNotFound
        | Cause::TagDigestGone
        | Cause::AcrReplicaLag => seen.held(cause),
        Cause::LayerMissing | Cause::LayerCorrupt | Cause::LayerTruncated => seen.layers(),
        Cause::KubeletQps | Cause::SerializedQueue => seen.left_the_node(cause),
        Cause::HubRateLimit => case
            .reference
            .filter(|one| !one.is_hub())
            .map(|one| format!("{} is not Docker Hub", one.registry())),
        Cause::Registry429 if first == Cause::HubRateLimit => {
            Some("the registry is Docker Hub, whose limit of pulls this is".into())
        }
        Cause::Registry429 => seen.no_status("429", |status| status == 429),
        Cause::Registry5xx => seen.no_status("5xx", |status| status >= 500),
        Cause::PlatformMismatch | Cause::PlatformMismatchAs401 => seen.platform(),
        Cause::MirrorBroken => {
            let named = case
                .told
                .iter()
                .any(|told| told.text.contains("?ns=") || told.text.contains("&ns="));
            (!case.told.is_empty() && !named)
                .then(|| "no mirror appears in what the node says".into())
        }
        Cause::StaleBackoff => match ending(case.evidence, seen.vantage) {
            Ending::Stopped(_) => Some(format!("a probe {} still fails", from(seen.vantage))),
            Ending::Passed | Ending::NotRun => None,
        },
        _ => None,
    }
}

/// What would tell the first candidate from each of the others, in the catalogue's words.
pub(super) fn questions(first: Cause, others: &[Cause]) -> Vec<Settle> {
    let mut found = Vec::new();
    for other in others.iter().take(4) {
        if let Some(one) = first.look_alikes().iter().find(|one| one.cause == *other) {
            found.push(Settle::new(format!(
                "{} ({first} or {other})",
                one.question
            )));
        }
    }
    if found.is_empty() {
        let proof = |cause: &Cause| Settle::new(format!("for {cause}: {}", cause.evidence()));
        found.extend(std::iter::once(&first).chain(others).take(3).map(proof));
    }
    found
}

struct Seer<'a> {
    case: &'a Case<'a>,
    vantage: &'a Vantage,
    first: Cause,
}

impl Seer<'_> {
    fn facts(&self) -> impl DoubleEndedIterator<Item = &Fact> {
        self.case.evidence.from(self.vantage)
    }

    fn name_resolves(&self, cause: Cause) -> Option<String> {
        if let Some(words) = kubelet::resolved(self.case, self.vantage) {
            return Some(words);
        }
        if self
            .case
            .reference
            .is_some_and(|one| one.endpoint().host().name().is_none())
        {
            return Some("the registry is named by its address, so no name is asked for".into());
        }
        let failed = self.facts().find_map(|fact| match &fact.seen {
            Seen::DnsFailed { error } => Some(error),
            _ => None,
        })?;
        let kind = match failed {
            DnsError::NxDomain { .. } | DnsError::NoData { .. } => Cause::DnsNxdomain,
            DnsError::ServFail { .. } => Cause::DnsServfail,
            DnsError::Timeout { .. } => Cause::DnsTimeout,
            DnsError::Other { .. } => return None,
        };
        let resolver = matches!(
            cause,
            Cause::DnsNxdomain | Cause::DnsServfail | Cause::DnsTimeout
        );
        (resolver && cause != kind)
            .then(|| format!("the resolver's answer {} is: {failed}", from(self.vantage)))
    }

    fn tcp(&self, cause: Cause) -> Option<String> {
        let evidence = self.case.evidence;
        // One dial that is answered says nothing about many.
        let connected = connected(evidence, self.vantage, Role::Registry);
        if let Some(address) = connected.filter(|_| cause != Cause::SnatExhaustion) {
            return Some(format!(
                "{address} accepts connections {}",
                from(self.vantage)
            ));
        }
        let failed: Vec<_> = self
            .facts()
            .filter(|fact| role(fact) == Role::Registry)
            .filter_map(|fact| match &fact.seen {
                Seen::DialFailed { address, error } => Some((*address, error)),
                _ => None,
            })
            .collect();
        let (address, error) = failed.first()?;
        let silent = failed
            .iter()
            .all(|(_, error)| **error == DialError::TimedOut);
        let elsewhere = failed.iter().find_map(|(address, _)| {
            reached_from_elsewhere(evidence, self.vantage, *address)
                .filter(|other| matches!(other, Vantage::Node(_)))
        });
        match cause {
            Cause::TcpRefused if silent => Some(format!(
                "{address} gives no answer at all; a closed port refuses at once"
            )),
            Cause::TcpReset => Some("no connection was made that could be cut".into()),
            Cause::FirewallDrop if **error == DialError::Refused => {
                Some(format!("{address} refuses at once, so packets come and go"))
            }
            Cause::VnetPeeringMissing | Cause::DnsStalePrivateRecord
                if !is_private(address.ip()) =>
            {
                Some(format!("{} is a public address", address.ip()))
            }
            Cause::VnetPeeringMissing
            | Cause::DnsStalePrivateRecord
            | Cause::ProxyMissingOnNode => {
                elsewhere.map(|other| format!("{address} is reached directly {}", from(other)))
            }
            Cause::SnatExhaustion => {
                let repeated = self
                    .case
                    .told
                    .iter()
                    .filter(|told| told.clue == Clue::TcpTimeout)
                    .map(|told| told.count)
                    .sum::<u32>();
                (silent && repeated >= 2).then(|| {
                    format!(
                        "every dial fails: {repeated} of the kubelet's and this probe's, not some"
                    )
                })
            }
            _ => None,
        }
    }

    fn never_connected(&self) -> Option<String> {
        let dialled = self.facts().any(|fact| {
            matches!(fact.seen, Seen::DialFailed { .. }) && role(fact) == Role::Registry
        });
        let made = connected(self.case.evidence, self.vantage, Role::Registry).is_some();
        (dialled && !made).then(|| {
            format!(
                "no connection was made {}, so TLS was never spoken",
                from(self.vantage)
            )
        })
    }

    fn tls(&self) -> Option<String> {
        self.facts()
            .filter(|fact| role(fact) == Role::Registry)
            .find_map(|fact| match &fact.seen {
                Seen::TlsEstablished { version, .. } => Some(format!(
                    "{version} was established {} with a trusted certificate",
                    from(self.vantage)
                )),
                Seen::PlainHttp => Some("the registry is spoken to without TLS".into()),
                _ => None,
            })
    }

    fn data_host(&self) -> Option<String> {
        let reached = self.facts().find_map(|fact| match &fact.seen {
            Seen::BlobReachable { host, .. } => {
                Some(format!("{host} gives a layer {}", from(self.vantage)))
            }
            _ => None,
        });
        reached.or_else(|| match ending(self.case.evidence, self.vantage) {
            Ending::Stopped(stop)
                if stop.stage < Stage::Blob
                    && stop.fact.is_some_and(|fact| role(fact) == Role::Registry) =>
            {
                Some("what fails is the registry itself, before any layer".into())
            }
            _ => None,
        })
    }

    fn token_answered(&self) -> Option<String> {
        self.facts().find_map(|fact| match &fact.seen {
            Seen::TokenGranted { .. } => {
                Some(format!("the token service answers {}", from(self.vantage)))
            }
            Seen::TokenRefused { refusal, .. } => Some(format!(
                "the token service answers {}, with {}",
                from(self.vantage),
                refusal.status
            )),
            _ => None,
        })
    }

    /// 403 is what network rules say; any other answer of the registry came through them.
    fn network_rules(&self, cause: Cause) -> Option<String> {
        if let Some(words) = self.never_connected() {
            return Some(words.replace(
                "so TLS was never spoken",
                "so no 403 of network rules came back",
            ));
        }
        let registry = self.case.azure.and_then(|azure| azure.registry.as_ref());
        let other = self
            .facts()
            .filter(|fact| {
                matches!(
                    role(fact),
                    Role::Registry | Role::Exchange | Role::TokenService
                )
            })
            .find_map(|fact| status(fact).filter(|status| !matches!(status, 403 | 429 | 500..)));
        if let Some(status) = other.filter(|_| !self.facts().any(|fact| status_is(fact, 403))) {
            return Some(format!(
                "the registry answers {status} and not 403 {}, so its network rules let that address in",
                from(self.vantage)
            ));
        }
        match cause {
            Cause::AcrPrivateOnly if registry?.public_network => {
                Some("Azure says that public network access is on".into())
            }
            Cause::AcrFirewallIp if !registry?.public_network => {
                Some("public network access is off altogether, address rules do not matter".into())
            }
            Cause::AcrFirewallIp if !registry?.denies_by_default => {
                Some("Azure says that the default action is Allow".into())
            }
            Cause::PrivateDnsZoneUnlinked if registry?.private_endpoints.is_empty() => {
                Some("Azure says that the registry has no private endpoint".into())
            }
            _ => None,
        }
    }

    /// The registry answered about the manifest itself, which it does only after sign-in.
    fn signed_in(&self) -> Option<String> {
        self.facts().find_map(|fact| match &fact.seen {
            Seen::ManifestRefused { refusal, .. } if refusal.status == 404 => {
                Some("the registry answers 404, not 401: sign-in is not what stops it".into())
            }
            Seen::ManifestFound(_) if !matches!(self.first, Cause::BadCredentialBlocksPublic) => {
                Some(format!("the manifest can be read {}", from(self.vantage)))
            }
            _ => None,
        })
    }

    fn credentials(&self, cause: Cause) -> Option<String> {
        let exchange = self.facts().any(|fact| {
            matches!(
                fact.seen,
                Seen::ExchangeRefused { .. } | Seen::ExchangeGranted { .. }
            )
        });
        let sent = self.facts().find_map(|fact| match &fact.identity {
            Some(who @ Identity::Credential { .. }) => Some(who),
            _ => None,
        });
        let secrets = self.case.secrets;
        match cause {
            Cause::CredentialsMissing if exchange => {
                Some("the node signed in with its identity, and that was refused".into())
            }
            Cause::CredentialsMissing => sent.map(|who| format!("a credential was sent: {who}")),
            Cause::CredentialsWrong
            | Cause::CredentialsExpired
            | Cause::BadCredentialBlocksPublic
                if sent.is_none() =>
            {
                (!self.case.evidence.is_empty())
                    .then(|| "no user name and password were sent".into())
            }
            Cause::PullSecretMissing
            | Cause::PullSecretWrongHost
            | Cause::PullSecretMalformed
            | Cause::PullSecretWrongNamespace
                if secrets.is_empty() =>
            {
                self.case
                    .in_cluster
                    .then(|| "the pod names no pull secret".into())
                    .or_else(|| Some("no pull secret is involved".into()))
            }
            Cause::PullSecretMissing | Cause::PullSecretWrongNamespace => {
                let there = secrets
                    .iter()
                    .all(|secret| matches!(secret.state, SecretState::Found { .. }));
                there.then(|| "every pull secret of the pod exists".into())
            }
            Cause::CredentialProviderBroken if exchange => {
                Some("the node's identity reached the exchange".into())
            }
            _ => None,
        }
    }

    fn azure(&self, cause: Cause) -> Option<String> {
        let token = self.facts().find_map(|fact| match &fact.seen {
            Seen::IdentityToken { object_id, .. } => {
                Some(object_id.as_deref().unwrap_or("its identity"))
            }
            _ => None,
        });
        if let Cause::KubeletIdentityDetached
        | Cause::KubeletIdentityAmbiguous
        | Cause::ImdsBlocked
        | Cause::SpSecretExpired = cause
        {
            let attached = || {
                let azure = self.case.azure?;
                let known = cause == Cause::KubeletIdentityDetached && !azure.machines.is_empty();
                (known && azure.without_kubelet().next().is_none())
                    .then(|| "the kubelet identity is attached to the nodes' machines".to_owned())
            };
            return token
                .map(|id| format!("the metadata service gave the node a token for {id}"))
                .or_else(attached);
        }
        let azure = self.case.azure?;
        let registry = azure.registry.as_ref()?;
        let identity = token
            .map(ToOwned::to_owned)
            .or_else(|| azure.kubelet().map(|one| one.object_id.clone()));
        match cause {
            Cause::AcrAbacRoleMissing if registry.mode == RegistryMode::Legacy => {
                Some("the registry's mode is LegacyRegistryPermissions, not ABAC".into())
            }
            Cause::AcrTenantMismatch => {
                let (cluster, registry) = azure.tenants()?;
                cluster
                    .eq_ignore_ascii_case(registry)
                    .then(|| format!("cluster and registry are both of the tenant {registry}"))
            }
            Cause::AcrArmTokenDisabled if registry.arm_tokens => {
                Some("the registry takes tokens for Azure Resource Manager".into())
            }
            Cause::AcrRoleMissing | Cause::AcrRoleWrongIdentity | Cause::AcrRolePropagating => {
                let identity = identity?;
                azure.assignments.as_ref()?;
                let grant = azure
                    .assignments_of(&identity)
                    .find(|one| one.grant == Grant::Pull);
                match cause {
                    Cause::AcrRolePropagating if grant.is_none() => Some(
                        "the kubelet identity has no assignment that could still be on its way"
                            .into(),
                    ),
                    Cause::AcrRoleMissing => grant.map(|one| {
                        format!("the kubelet identity has {} at {}", one.role, one.scope)
                    }),
                    Cause::AcrRoleWrongIdentity => {
                        let control = &azure.cluster.as_ref()?.control_plane;
                        let has = control
                            .iter()
                            .any(|id| azure.assignments_of(id).any(|one| one.grant == Grant::Pull));
                        (!has).then(|| match control.first() {
                            Some(id) => format!("the control plane's identity {id} has no role to pull at this registry either"),
                            None => "the cluster has no other identity".into(),
                        })
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// What the registry holds; the same from everywhere.
    fn held(&self, cause: Cause) -> Option<String> {
        let evidence = self.case.evidence;
        let by_tag = self
            .case
            .reference
            .is_some_and(|one| matches!(one.target(), Target::Tag(_)));
        let count = evidence.iter().find_map(|fact| match &fact.seen {
            Seen::Tags { count, listed, .. } => Some((*count, *listed)),
            _ => None,
        });
        let tag_found = evidence.iter().any(|fact| matches!(&fact.seen, Seen::ManifestFound(seen) if matches!(seen.target, Target::Tag(_))));
        match cause {
            Cause::RepositoryNotFound => count
                .map(|(count, _)| format!("the repository answers, with {count} tags"))
                .or_else(|| tag_found.then(|| "the repository answers with the manifest".into())),
            Cause::TagNotFound if tag_found => Some("the tag answers with a manifest".into()),
            Cause::TagNotFound if self.first == Cause::RepositoryNotFound => Some(
                "the tag list itself is 404: the repository is missing, not only the tag".into(),
            ),
            Cause::TagNotFound if !by_tag => Some("the image is asked for by digest".into()),
            Cause::DigestNotFound if by_tag => Some("the image is asked for by tag".into()),
            Cause::TagDigestGone if by_tag && count.is_some_and(|(_, listed)| !listed) => {
                Some("the tag itself is not listed, so nothing hangs behind it".into())
            }
            Cause::AcrReplicaLag => {
                let azure = self.case.reference.is_some_and(|one| {
                    crate::azure::registry_login_server(&one.registry().to_string()).is_some()
                });
                (!azure).then(|| "the registry is not Azure's, and not replicated by it".into())
            }
            _ => None,
        }
    }

    fn layers(&self) -> Option<String> {
        self.facts().find_map(|fact| match &fact.seen {
            Seen::ManifestRefused { refusal, .. } => Some(format!(
                "the manifest itself is answered {}",
                refusal.status
            )),
            _ => None,
        })
    }

    fn left_the_node(&self, cause: Cause) -> Option<String> {
        let told = self
            .case
            .told
            .iter()
            .find(|told| told.status.is_some() || told.clue == Clue::RateLimited);
        let answer = told
            .map(|told| told.status.unwrap_or(429))
            .or_else(|| self.facts().find_map(status));
        match (cause, told, answer) {
            (Cause::KubeletQps, Some(told), _) if !told.text.contains("pull QPS exceeded") => {
                let status = told
                    .status
                    .map_or_else(String::new, |status| format!(" {status}"));
                Some(format!(
                    "the answer{status} comes from the registry, so the request left the node"
                ))
            }
            (Cause::KubeletQps, None, Some(status)) => {
                Some(format!("the registry itself answers {status}"))
            }
            // What answers a probe has not answered the kubelet.
            (Cause::SerializedQueue, None, _) if self.case.hanging.is_some() => None,
            (Cause::SerializedQueue, _, Some(status)) => Some(format!(
                "the pull was answered ({status}); it did not wait in the node's queue"
            )),
            _ => None,
        }
    }

    fn no_status(&self, name: &str, is: fn(u16) -> bool) -> Option<String> {
        let all: Vec<u16> = self
            .case
            .evidence
            .iter()
            .filter_map(status)
            .chain(self.case.told.iter().filter_map(|told| told.status))
            .collect();
        (!all.is_empty() && !all.iter().any(|status| is(*status)))
            .then(|| format!("no answer was a {name}"))
    }

    fn platform(&self) -> Option<String> {
        self.facts().find_map(|fact| match &fact.seen {
            Seen::PlatformChosen { wanted, .. } => {
                Some(format!("the index has an entry for {wanted}"))
            }
            Seen::ManifestRefused { refusal, .. } => Some(format!(
                "the manifest itself is answered {}",
                refusal.status
            )),
            _ => None,
        })
    }
}

fn status_is(fact: &Fact, wanted: u16) -> bool {
    status(fact) == Some(wanted)
}
