//! Manifest, platform and blobs: what the registry holds, and 429 and 5xx wherever they come.

use super::ending::{Stop, from, host, refusal, role};
use super::{Case, Draft, Settle, access};
use crate::cause::Cause;
use crate::clue::Clue;
use crate::evidence::{BlobKind, Identity, ManifestKind, Refusal, Role, Seen};
use crate::reference::Target;
use crate::stage::Stage;
use crate::world::Vantage;

pub(super) fn decide(case: &Case<'_>, vantage: &Vantage, stop: &Stop<'_>) -> Draft {
    let at = stop.stage;
    let open = |because: String| Draft::open(at, Vec::new(), because, Vec::new());
    let Some(fact) = stop.fact else {
        return open(format!("the probe {} stopped at {at}", from(vantage)));
    };
    if let Some(draft) =
        refusal(fact).and_then(|one| overloaded(case, at, &host(fact), vantage, one))
    {
        return draft;
    }
    match &fact.seen {
        Seen::ManifestRefused {
            refusal, target, ..
        } if refusal.status == 404 => absent(case, vantage, target, refusal),
        Seen::PlatformMissing { wanted, available } => {
            let list: Vec<String> = available.iter().map(ToString::to_string).collect();
            let because = format!(
                "the image exists for {}, the node is {wanted}",
                list.join(", ")
            );
            let told = case.told.first();
            let unsigned = told.filter(|told| told.clue == Clue::AuthRequiredNoCredentials);
            let echo = |told: &super::Told| {
                let again = ["401", "anonymous token"];
                told.text.contains("no match for platform")
                    && again.iter().any(|words| told.text.contains(words))
            };
            let twice = unsigned.is_some() || case.told.iter().any(echo);
            if twice && fact.identity.as_ref().is_some_and(Identity::is_known) {
                let because = format!(
                    "{because}; the kubelet then tries without a credential, and its message is that of the second attempt"
                );
                return Draft::proven(Stage::Platform, Cause::PlatformMismatchAs401, because);
            }
            Draft::proven(Stage::Platform, Cause::PlatformMismatch, because)
        }
        Seen::ManifestUnusable {
            media_type, text, ..
        } => {
            let html = media_type.as_str().starts_with("text/html");
            let cause = if html {
                Cause::RegistryHtml
            } else {
                Cause::ManifestUnsupported
            };
            Draft::proven(
                Stage::Manifest,
                cause,
                format!("what the registry serves as manifest is {media_type}: {text}"),
            )
        }
        Seen::DigestMismatch { expected, got } => {
            let because = format!("the registry serves {got} where {expected} was asked for");
            Draft::proven(at, Cause::LayerCorrupt, because)
        }
        Seen::SizeMismatch {
            digest,
            expected,
            got,
            ..
        } => {
            let because = format!("{digest} has {got} bytes, its manifest says {expected}");
            Draft::open(
                at,
                vec![Cause::LayerTruncated, Cause::LayerCorrupt],
                because,
                Vec::new(),
            )
        }
        Seen::BlobRefused {
            digest,
            kind,
            host,
            refusal,
        } => blob(
            case,
            vantage,
            fact,
            (digest.to_string(), *kind, host.to_string()),
            refusal,
        ),
        _ => access::decide(case, vantage, stop),
    }
}

/// 429 and 5xx mean the same at every stage.
pub(super) fn overloaded(
    case: &Case<'_>,
    at: Stage,
    host: &str,
    vantage: &Vantage,
    refusal: &Refusal,
) -> Option<Draft> {
    match refusal.status {
        429 => {
            let wait = refusal.retry_after.map_or_else(String::new, |wait| {
                format!(", Retry-After {} s", wait.as_secs())
            });
            let because = format!(
                "{host} answers 429 Too Many Requests {}{wait}",
                from(vantage)
            );
            Some(Draft::proven(at, throttler(case), because))
        }
        status @ 500..=599 => {
            let said = if refusal.message.is_empty() {
                String::new()
            } else {
                format!(" ({})", refusal.message)
            };
            let because = format!("{host} answers {status}{said} {}", from(vantage));
            Some(Draft::proven(at, Cause::Registry5xx, because))
        }
        _ => None,
    }
}

/// Whose limit it is.
pub(super) fn throttler(case: &Case<'_>) -> Cause {
    if case
        .reference
        .is_some_and(crate::reference::Reference::is_hub)
    {
        Cause::HubRateLimit
    } else {
        Cause::Registry429
    }
}

/// 404 for a manifest: host and sign-in are fine; repository, tag or digest is missing.
fn absent(case: &Case<'_>, vantage: &Vantage, target: &Target, refusal: &Refusal) -> Draft {
    let repository = case.reference.map_or_else(
        || "the repository".into(),
        crate::reference::Reference::name,
    );
    let said = format!("{repository} has no manifest {target} {}", from(vantage));
    // What a registry holds is the same from everywhere: any vantage's tag list counts.
    let tags = case.evidence.iter().find_map(|fact| match &fact.seen {
        Seen::Tags {
            count,
            complete,
            listed,
            nearest,
        } => Some((*count, *complete, *listed, nearest)),
        _ => None,
    });
    let unlisted = case.evidence.iter().any(|fact| match &fact.seen {
        Seen::TagsRefused { refusal } => refusal.status == 404 || refusal.has_code("NAME_UNKNOWN"),
        _ => false,
    });
    if refusal.has_code("NAME_UNKNOWN") || (tags.is_none() && unlisted) {
        let because = format!(
            "the registry answers 404 for the repository {repository} itself, tag list included"
        );
        if unlisted {
            return Draft::proven(Stage::Manifest, Cause::RepositoryNotFound, because);
        }
        return Draft::open(
            Stage::Manifest,
            vec![Cause::RepositoryNotFound],
            said,
            vec![list_tags(case)],
        );
    }
    // The manifest behind a tag that does answer.
    let head_found = case.evidence.from(vantage).any(|fact| match &fact.seen {
        Seen::ManifestFound(seen) => {
            matches!(seen.target, Target::Tag(_)) || seen.kind == ManifestKind::Index
        }
        _ => false,
    });
    match (target, tags) {
        (Target::Digest(_), _) if head_found => {
            let because = format!(
                "the tag or index answers, and the manifest it points to, {target}, is 404"
            );
            Draft::proven(Stage::Manifest, Cause::TagDigestGone, because)
        }
        (Target::Digest(_), Some((count, ..))) => {
            let because = format!("{said}; the repository exists, with {count} tags");
            Draft::proven(Stage::Manifest, Cause::DigestNotFound, because)
        }
        (Target::Tag(tag), Some((count, true, false, nearest))) => {
            let near = nearest
                .first()
                .map_or_else(String::new, |near| format!("; the nearest is `{near}`"));
            let because =
                format!("{repository} lists {count} tags, and `{tag}` is not among them{near}");
            Draft::proven(Stage::Manifest, Cause::TagNotFound, because)
        }
        (Target::Tag(_), Some((_, true, true, _))) => {
            let because = format!("{said}, though the tag is listed");
            let candidates = vec![
                Cause::TagDigestGone,
                Cause::AcrReplicaLag,
                Cause::TagNotFound,
            ];
            Draft::open(Stage::Manifest, candidates, because, Vec::new())
        }
        (Target::Tag(tag), Some((count, false, false, _))) => {
            let because =
                format!("{said}; `{tag}` is not among the first {count} tags of a longer list");
            Draft::proven(Stage::Manifest, Cause::TagNotFound, because)
        }
        (Target::Tag(_), _) => Draft::open(
            Stage::Manifest,
            vec![Cause::TagNotFound, Cause::RepositoryNotFound],
            said,
            vec![list_tags(case)],
        ),
        (Target::Digest(_), None) => Draft::open(
            Stage::Manifest,
            vec![Cause::DigestNotFound, Cause::RepositoryNotFound],
            said,
            vec![list_tags(case)],
        ),
    }
}

fn list_tags(case: &Case<'_>) -> Settle {
    let name = case
        .reference
        .map_or_else(|| case.image.to_owned(), crate::reference::Reference::name);
    Settle::by(
        "the repository's tags, with a credential that may list them",
        format!("crane ls {name}"),
    )
}

fn blob(
    case: &Case<'_>,
    vantage: &Vantage,
    fact: &crate::evidence::Fact,
    (digest, kind, host): (String, BlobKind, String),
    refusal: &Refusal,
) -> Draft {
    let what = match kind {
        BlobKind::Config => "the configuration",
        BlobKind::Layer => "a layer",
    };
    let because = format!(
        "{what} ({digest}) is answered {} by {host} {}",
        refusal.status,
        from(vantage)
    );
    match refusal.status {
        404 => Draft::proven(
            Stage::Blob,
            Cause::LayerMissing,
            format!("the manifest is there, but {because}"),
        ),
        401 | 403 if role(fact) == Role::Storage => {
            let settle = vec![Settle::new(
                "the firewall and service-endpoint policy of the storage behind the registry",
            )];
            Draft::open(
                Stage::Blob,
                vec![Cause::DataEndpointBlocked],
                because,
                settle,
            )
        }
        _ => access::refused(case, vantage, fact, refusal, because),
    }
}
