//! Hosts that a runtime asks before the registry: one that fails in front of a registry that is out of reach.
//!
//! A mirror that lacks an image does no harm. One that does not work is the cause where nothing stands behind
//! it, or where the registry behind it cannot be reached from the node anyway, as in closed networks.

use super::ending::{Stop, from, host, role};
use super::{Case, Draft, Settle};
use crate::cause::Cause;
use crate::evidence::{MirrorOutcome, Role, Seen};
use crate::stage::Stage;
use crate::world::Vantage;

/// Mirrors whose outcome `pick` finds the stage of a stop in.
fn stopped<'a>(
    case: &'a Case<'_>,
    vantage: &'a Vantage,
    pick: impl Fn(&MirrorOutcome) -> Option<Stage> + 'a,
) -> impl DoubleEndedIterator<Item = (String, Stage)> + 'a {
    case.evidence
        .from(vantage)
        .filter_map(move |fact| match &fact.seen {
            Seen::MirrorTried { outcome } => Some((host(fact), pick(outcome)?)),
            _ => None,
        })
}

/// Mirrors that do not work, with the stage at which each stops.
fn broken<'a>(
    case: &'a Case<'_>,
    vantage: &'a Vantage,
) -> impl DoubleEndedIterator<Item = (String, Stage)> + 'a {
    stopped(case, vantage, |outcome| match outcome {
        MirrorOutcome::Failed { stage } => Some(*stage),
        _ => None,
    })
}

/// Mirrors that want a credential.
fn refusing<'a>(
    case: &'a Case<'_>,
    vantage: &'a Vantage,
) -> impl DoubleEndedIterator<Item = (String, Stage)> + 'a {
    stopped(case, vantage, |outcome| match outcome {
        MirrorOutcome::Refused { stage } => Some(*stage),
        _ => None,
    })
}

pub(super) fn decide(case: &Case<'_>, vantage: &Vantage, stop: &Stop<'_>) -> Option<Draft> {
    let seen_from = from(vantage);
    if let Some(fact) = stop.fact
        && matches!(fact.seen, Seen::RegistryBlocked)
    {
        let because = format!("the runtime's registries.conf blocks {}", host(fact));
        let settle = vec![Settle::new("who set `blocked` for this registry, and why")];
        return Some(Draft::open(Stage::Policy, Vec::new(), because, settle));
    }
    let alone = stop.fact.is_some_and(|fact| role(fact) == Role::Mirror);
    if alone && let Some((mirror, stage)) = refusing(case, vantage).next_back() {
        let registry = case
            .reference
            .map_or_else(|| "the registry".into(), |one| one.registry().to_string());
        let because = format!(
            "the mirror {mirror} wants a credential of its own {seen_from} (at {stage}), and no host stands behind it; what the pod has is for {registry}"
        );
        let cause = Cause::MirrorCredentialMisrouted;
        return Some(Draft::proven(stage, cause, because));
    }
    if let Some(draft) = unknown_here(case, vantage, stop) {
        return Some(draft);
    }
    let (mirror, stage) = broken(case, vantage).next_back()?;
    let unreachable = matches!(
        stop.stage,
        Stage::Dns | Stage::Tcp | Stage::Proxy | Stage::Tls
    );
    if !alone && !unreachable {
        return None;
    }
    let behind = if alone {
        "and no host stands behind it".to_owned()
    } else {
        let registry = stop.fact.map_or_else(|| "the registry".into(), host);
        format!(
            "and {registry} behind it is out of reach, too ({})",
            stop.stage
        )
    };
    let because = format!("the mirror {mirror} fails {seen_from} (at {stage}), {behind}");
    Some(Draft::proven(stage, Cause::MirrorBroken, because))
}

/// A mirror that works and has accounts of its own, in front of a registry that cannot be reached.
fn unknown_here(case: &Case<'_>, vantage: &Vantage, stop: &Stop<'_>) -> Option<Draft> {
    let (mirror, stage) = refusing(case, vantage).next()?;
    let unreachable = matches!(
        stop.stage,
        Stage::Dns | Stage::Tcp | Stage::Proxy | Stage::Tls
    );
    if !unreachable {
        return None;
    }
    let because = format!(
        "the mirror {mirror} answers {} and wants an account of its own; the registry behind it is out of reach",
        from(vantage)
    );
    Some(Draft::proven(
        stage,
        Cause::MirrorCredentialMisrouted,
        because,
    ))
}

/// What is worth knowing though the pull works.
pub(super) fn notes(case: &Case<'_>, vantage: &Vantage) -> Vec<String> {
    broken(case, vantage)
        .map(|(mirror, stage)| {
            format!(
                "the mirror {mirror} fails {} (at {stage}): every pull asks it first",
                from(vantage)
            )
        })
        .collect()
}
