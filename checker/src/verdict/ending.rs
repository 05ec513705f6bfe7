//! How a probe from one vantage ended, read from its facts.

use std::net::{IpAddr, SocketAddr};

use crate::evidence::{AttemptEnd, Evidence, Fact, Identity, Refusal, Role, Seen};
use crate::stage::Stage;
use crate::world::Vantage;
pub(super) use crate::world::is_private;

/// The end of a probe.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending<'e> {
    /// Nothing was seen from there.
    NotRun,
    /// Every stage succeeded for one identity.
    Passed,
    /// It stopped.
    Stopped(Stop<'e>),
}

/// Where and on what a probe stopped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop<'e> {
    pub(super) stage: Stage,
    /// The fact that stopped it.
    pub(super) fact: Option<&'e Fact>,
}

/// The attempt that got furthest decides; of two that got as far, the one that had an identity:
/// the anonymous echo that follows it says nothing new.
pub(super) fn ending<'e>(evidence: &'e Evidence, vantage: &Vantage) -> Ending<'e> {
    let facts: Vec<&'e Fact> = evidence
        .iter()
        .filter(|fact| fact.vantage == *vantage)
        .collect();
    let failures = |some: &[&'e Fact]| -> Vec<&'e Fact> {
        let failed = some.iter().copied();
        failed.filter(|fact| is_failure(fact, evidence)).collect()
    };
    let all = failures(&facts);
    let mut furthest: Option<(Reach, Stop<'e>)> = None;
    let mut rest = facts.as_slice();
    while let Some(at) = rest.iter().position(|fact| ends(fact).is_some()) {
        let (attempt, after) = rest.split_at(at + 1);
        rest = after;
        let Some((last, end)) = attempt.last().and_then(|fact| Some((*fact, ends(fact)?))) else {
            continue;
        };
        if end.complete {
            return Ending::Passed;
        }
        let identity = last.identity.as_ref();
        let ours = |fact: &&&Fact| fact.identity.is_none() || fact.identity.as_ref() == identity;
        let here = |fact: &&&Fact| fact.stage == end.stage;
        let own = failures(attempt);
        let stopping = own
            .iter()
            .rev()
            .find(here)
            // A host that an earlier attempt could not reach is not tried again.
            .or_else(|| all.iter().rev().filter(ours).find(here))
            .or_else(|| own.iter().rev().find(ours))
            .or_else(|| all.iter().rev().find(ours))
            .or_else(|| all.last())
            .copied();
        let known = attempt
            .iter()
            .any(|fact| fact.identity.as_ref().is_some_and(Identity::is_known));
        let reach = (reached(end.stage, stopping), known);
        if furthest.as_ref().is_none_or(|(so_far, _)| reach > *so_far) {
            let stop = Stop {
                stage: end.stage,
                fact: stopping,
            };
            furthest = Some((reach, stop));
        }
    }
    match (furthest, all.last()) {
        (Some((_, stop)), _) => Ending::Stopped(stop),
        (None, Some(fact)) => Ending::Stopped(Stop {
            stage: fact.stage,
            fact: Some(fact),
        }),
        (None, None) => Ending::NotRun,
    }
}

/// How far an attempt got, and whether as somebody.
type Reach = (Stage, bool);

fn ends(fact: &Fact) -> Option<&AttemptEnd> {
    match &fact.seen {
        Seen::AttemptEnded(end) => Some(end),
        _ => None,
    }
}

/// The step of the pull: a name that does not resolve is the last one where it is that of the
/// storage behind the registry.
fn reached(stage: Stage, stopping: Option<&Fact>) -> Stage {
    let of = match stopping.map(role) {
        Some(Role::Storage) => Stage::Blob,
        Some(Role::TokenService) => Stage::Token,
        _ => return stage,
    };
    stage.max(of)
}

fn is_failure(fact: &Fact, evidence: &Evidence) -> bool {
    match &fact.seen {
        Seen::DialFailed { .. } => !evidence.from(&fact.vantage).any(|other| {
            other.endpoint == fact.endpoint && matches!(other.seen, Seen::Connected { .. })
        }),
        Seen::Pinged {
            status,
            unlike_a_registry,
            ..
        } => !matches!(status, 200 | 401) || unlike_a_registry.is_some(),
        Seen::DnsFailed { .. }
        | Seen::TlsFailed { .. }
        | Seen::HttpFailed { .. }
        | Seen::ProxyRefused { .. }
        | Seen::ProxyUnsupported
        | Seen::RegistryBlocked
        | Seen::RedirectRefused { .. }
        | Seen::ChallengeUnusable { .. }
        | Seen::CredentialWithheld { .. }
        | Seen::TokenRefused { .. }
        | Seen::TokenUnreadable { .. }
        | Seen::AuthorizationRefused { .. }
        | Seen::IdentityTokenRefused { .. }
        | Seen::ExchangeRefused { .. }
        | Seen::ManifestRefused { .. }
        | Seen::ManifestUnusable { .. }
        | Seen::DigestMismatch { .. }
        | Seen::PlatformMissing { .. }
        | Seen::BlobRefused { .. }
        | Seen::SizeMismatch { .. } => true,
        _ => false,
    }
}

/// The refusing answer in a fact, if it holds one.
pub(super) fn refusal(fact: &Fact) -> Option<&Refusal> {
    match &fact.seen {
        Seen::TokenRefused { refusal, .. }
        | Seen::AuthorizationRefused { refusal, .. }
        | Seen::IdentityTokenRefused { refusal, .. }
        | Seen::ExchangeRefused { refusal }
        | Seen::ManifestRefused { refusal, .. }
        | Seen::TagsRefused { refusal }
        | Seen::BlobRefused { refusal, .. } => Some(refusal),
        Seen::Pinged { refusal, .. } => refusal.as_ref(),
        _ => None,
    }
}

/// The status of an answer, whatever the fact.
pub(super) fn status(fact: &Fact) -> Option<u16> {
    match &fact.seen {
        Seen::Pinged { status, .. } | Seen::Waited { status, .. } => Some(*status),
        _ => refusal(fact).map(|refusal| refusal.status),
    }
}

/// What a host is in the pull.
pub(super) fn role(fact: &Fact) -> Role {
    fact.endpoint
        .as_ref()
        .map_or(Role::Registry, |endpoint| endpoint.role)
}

/// The host of a fact as it is named.
pub(super) fn host(fact: &Fact) -> String {
    fact.endpoint.as_ref().map_or_else(
        || "the registry".into(),
        |endpoint| endpoint.authority.to_string(),
    )
}

/// Addresses of the host in `role` as resolved from `vantage`.
pub(super) fn addresses(evidence: &Evidence, vantage: &Vantage, wanted: Role) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for fact in evidence.from(vantage).filter(|fact| role(fact) == wanted) {
        if let Seen::Resolved { addresses, .. } = &fact.seen {
            found.extend(
                addresses
                    .iter()
                    .copied()
                    .filter(|address| !found.contains(address))
                    .collect::<Vec<_>>(),
            );
        }
    }
    found
}

/// The address that accepted a connection for `role` from `vantage`, if one did.
pub(super) fn connected(
    evidence: &Evidence,
    vantage: &Vantage,
    wanted: Role,
) -> Option<SocketAddr> {
    evidence
        .from(vantage)
        .filter(|fact| role(fact) == wanted)
        .find_map(|fact| match &fact.seen {
            Seen::Connected { address } => Some(*address),
            _ => None,
        })
}

/// Another vantage that connected to `address`, nodes before the workstation.
pub(super) fn reached_from_elsewhere<'e>(
    evidence: &'e Evidence,
    not: &Vantage,
    address: SocketAddr,
) -> Option<&'e Vantage> {
    let reaches = |fact: &&Fact| matches!(&fact.seen, Seen::Connected { address: other } if *other == address);
    let others = || {
        evidence
            .iter()
            .filter(|fact| fact.vantage != *not)
            .filter(reaches)
    };
    others()
        .find(|fact| fact.vantage != Vantage::Workstation)
        .or_else(|| others().next())
        .map(|fact| &fact.vantage)
}

/// `from node/a`, `from this workstation`.
pub(super) fn from(vantage: &Vantage) -> String {
    match vantage {
        Vantage::Workstation => "from this workstation".into(),
        Vantage::Node(name) => format!("from node {name}"),
    }
}
