//! Repositories that Azure's registry fetches from another one: a rule whose credentials do not work.
//!
//! The registry then answers that the image is not there, or may not be had, while its own repositories are fine.
//! Azure itself checks the credentials of its rules and tells how they are.

use super::ending::{Stop, from, host, refusal};
use super::{Case, Draft, Settle};
use crate::cause::Cause;
use crate::stage::Stage;
use crate::world::Vantage;

pub(super) fn decide(case: &Case<'_>, vantage: &Vantage, stop: &Stop<'_>) -> Option<Draft> {
    let refused = stop.fact.filter(|_| stop.stage == Stage::Manifest)?;
    let status = refusal(refused).map(|refusal| refusal.status)?;
    if !matches!(status, 401 | 403 | 404 | 500..=599) {
        return None;
    }
    let repository = case.reference?.repository();
    let registry = case.azure?.registry.as_ref()?;
    let rule = registry
        .cache_rules
        .iter()
        .find(|rule| rule.covers(repository))?;
    let because = format!(
        "{} answers {status} {}, and {repository} comes from {} by the cache rule `{}`",
        host(refused),
        from(vantage),
        rule.source,
        rule.name
    );
    let at = Stage::Manifest;
    match &rule.unhealthy {
        Some(why) => {
            let because = format!("{because}, whose credentials do not work: {why}");
            Some(Draft::proven(at, Cause::AcrCacheCredentials, because))
        }
        // Not in the registry yet, and perhaps not at its source either.
        None if status == 404 => {
            let candidates = vec![
                Cause::TagNotFound,
                Cause::RepositoryNotFound,
                Cause::AcrCacheCredentials,
            ];
            let settle = vec![Settle::by(
                "whether the source has it",
                format!("crane manifest {}", rule.source_of(repository)),
            )];
            Some(Draft::open(at, candidates, because, settle))
        }
        None => None,
    }
}
