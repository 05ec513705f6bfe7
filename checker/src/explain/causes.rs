//! The causes that fit a message: those of its clue, ordered by what the message's structure tells.
//!
//! The catalogue's order is that of a message nobody has looked into. The host, the step and the
//! attempts move causes to the front, or rule them out where they cannot be.

use super::combine::Analysis;
use super::layer::Role;
use super::reading::Reading;
use super::signal::Signal;
use crate::cause::Cause as C;
use crate::clue::Clue;
use crate::stage::Stage;

/// Registries of other vendors than Azure: suffixes of hosts.
const OTHER_VENDORS: &[&str] = &[
    "docker.io",
    "ghcr.io",
    "quay.io",
    "gcr.io",
    "pkg.dev",
    "amazonaws.com",
    "amazonaws.com.cn",
    "public.ecr.aws",
    "registry.k8s.io",
    "gitlab.com",
    "mcr.microsoft.com",
    "redhat.com",
    "redhat.io",
    "nvcr.io",
    "ocir.io",
    "icr.io",
];

/// The causes, the likeliest first.
pub(super) fn candidates(
    analysis: &Analysis,
    decisive: &Reading<'_>,
    whole: &Reading<'_>,
) -> Vec<C> {
    let view = View::new(analysis, decisive, whole);
    let clue = analysis.finding.clue;
    let mut found: Vec<(u8, C)> = Vec::with_capacity(16);
    let mut add = |cause: C, behind: bool| {
        if found.iter().all(|(_, other)| *other != cause)
            && let Some(place) = view.place(cause)
        {
            found.push((if behind { place.max(2) + 2 } else { place }, cause));
        }
    };
    for cause in clue.causes() {
        add(*cause, false);
    }
    if analysis.echo && clue == Clue::PlatformMismatch {
        add(C::PlatformMismatchAs401, false);
    }
    if !analysis.finding.certain || clue.causes().is_empty() {
        for other in &analysis.finding.also {
            for cause in other.causes().iter().take(2) {
                add(*cause, true);
            }
        }
    }
    found.sort_by_key(|(place, _)| *place);
    found.into_iter().map(|(_, cause)| cause).collect()
}

/// What bears on the order.
struct View {
    azure: bool,
    other_vendor: bool,
    hub: bool,
    short_name: bool,
    local_host: bool,
    mirror: bool,
    mirrors_listed: bool,
    step: Option<Stage>,
    echo: bool,
    names_address: bool,
}

impl View {
    fn new(analysis: &Analysis, decisive: &Reading<'_>, whole: &Reading<'_>) -> Self {
        let registry = decisive.registry().or_else(|| whole.registry());
        let host = decisive.host().or(registry).unwrap_or("");
        let bare = |host: &str| super::url::split_port(host).0.to_ascii_lowercase();
        let registry_host = bare(registry.unwrap_or(host));
        let ends = |suffix: &str| {
            registry_host
                .strip_suffix(suffix)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let hub = ends("docker.io");
        let asked = decisive.request;
        Self {
            azure: registry_host.contains(".azurecr."),
            other_vendor: OTHER_VENDORS.iter().any(|suffix| ends(suffix)),
            hub,
            short_name: registry == Some("docker.io"),
            local_host: matches!(host, "localhost" | "127.0.0.1" | "[::1]"),
            mirror: asked.is_some_and(|url| url.for_other_host)
                || whole.has(Signal::Mirror)
                || analysis
                    .parts
                    .iter()
                    .any(|part| part.decides && part.role == Role::Mirror),
            mirrors_listed: analysis.parts.iter().any(|part| part.role == Role::Mirror),
            step: decisive.step(),
            echo: analysis.echo,
            names_address: whole.has(Signal::AddressDenied),
        }
    }

    /// Where a cause stands: 0 in front, 1 in its place, 2 behind; nothing where it cannot be.
    fn place(&self, cause: C) -> Option<u8> {
        let place = match cause {
            C::DataEndpointBlocked | C::DnsDataEndpointMissing => match self.step {
                Some(Stage::Blob) => 0,
                Some(_) => return None,
                None => 2,
            },
            C::TokenEndpointUnreachable => match self.step {
                Some(Stage::Token) => 0,
                Some(_) => return None,
                None => 2,
            },
            C::HubRateLimit if self.hub => 0,
            C::HubRateLimit if self.azure || self.other_vendor => return None,
            C::DefaultRegistryAssumed if !self.short_name => return None,
            C::DefaultRegistryAssumed => 1,
            C::PlatformMismatchAs401 if self.echo => 0,
            C::AcrStreamingProxy if self.local_host => 0,
            C::AcrStreamingProxy => return None,
            C::MirrorBroken | C::MirrorCredentialMisrouted if self.mirror => 0,
            C::MirrorBroken | C::MirrorCredentialMisrouted if self.mirrors_listed => 1,
            C::MirrorBroken | C::MirrorCredentialMisrouted => 2,
            C::AcrFirewallIp | C::AcrPrivateOnly if self.names_address => 1,
            cause if is_azure(cause) => {
                if self.azure {
                    1
                } else if self.other_vendor {
                    return None;
                } else {
                    2
                }
            }
            C::CredentialReverify | C::RegistryHostTypo => 2,
            _ => 1,
        };
        Some(place)
    }
}

/// Causes that only Azure's registry or identities can have.
fn is_azure(cause: C) -> bool {
    cause.id().starts_with("acr-")
        || matches!(
            cause,
            C::KubeletIdentityDetached
                | C::KubeletIdentityAmbiguous
                | C::ImdsBlocked
                | C::SpSecretExpired
                | C::PrivateDnsZoneUnlinked
                | C::CloudSuffixWrong
        )
}
