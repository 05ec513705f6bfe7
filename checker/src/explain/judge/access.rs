//! Sign-in, permission, limits, accounts.

use super::{Finding, Weight};
use crate::clue::Clue;
use crate::explain::reading::Reading;
use crate::explain::signal::Signal as S;
use crate::explain::url::Asked;
use crate::stage::Stage;

/// The step at which an answer came.
fn step(reading: &Reading<'_>) -> Stage {
    reading.step().unwrap_or(Stage::Manifest)
}

/// Azure gave no identity token, or the exchange was refused.
pub(super) fn azure_identity(reading: &Reading<'_>) -> Option<Finding> {
    let exchange = reading.urls.iter().any(|url| {
        url.asked == Asked::Token && reading.after(url.start).contains("/oauth2/exchange")
    }) && reading.status.is_some();
    (reading.has(S::AzureIdentity) || exchange)
        .then(|| Finding::sure(Clue::AzureIdentityFailed, Stage::Token))
}

/// A plug-in or helper failed before any registry was asked.
pub(super) fn credential_provider(reading: &Reading<'_>) -> Option<Finding> {
    reading
        .has(S::CredentialProvider)
        .then(|| Finding::sure(Clue::CredentialProviderFailed, Stage::Auth))
}

/// Too many requests.
pub(super) fn limits(reading: &Reading<'_>) -> Option<Finding> {
    (reading.has(S::RateLimit) || reading.status == Some(429))
        .then(|| Finding::sure(Clue::RateLimited, step(reading)))
}

/// The account, the project or the address is refused, not the user.
pub(super) fn account(reading: &Reading<'_>) -> Option<Finding> {
    if reading.has(S::EcrExpired) {
        return Some(Finding::sure(Clue::EcrTokenExpired, Stage::Auth));
    }
    if reading.has(S::Billing) {
        let also: &[Clue] = if reading.has(S::Xml) {
            &[Clue::RedirectOrStorageFailed]
        } else {
            &[Clue::PermissionDenied]
        };
        return Some(Finding::sure(Clue::QuotaOrBilling, step(reading)).with(also));
    }
    if reading.has(S::AddressDenied) {
        return Some(
            Finding::sure(Clue::FirewallDenied403, step(reading)).with(&[Clue::PermissionDenied]),
        );
    }
    None
}

/// The token endpoint answered, and the answer is no token. A refusal is for the other families.
pub(super) fn token_service(reading: &Reading<'_>) -> Option<Finding> {
    let asks_token = reading.any(&[S::TokenAnonymous, S::TokenOauth, S::Token])
        || reading.asked() == Some(Asked::Token);
    let refused = reading.any(&[
        S::Unauthorized,
        S::Denied,
        S::BadCredentials,
        S::NotAuthorized,
        S::Unauthenticated,
    ]);
    if reading.any(&[S::TokenBad, S::NoRealm]) && !refused {
        let finding = Finding::sure(Clue::TokenServiceFailed, Stage::Token);
        return Some(if reading.has(S::Html) {
            finding.with(&[Clue::ProxyFailed])
        } else if reading.has(S::NoRealm) {
            // A challenge that names no token service: the registry wants something else.
            Finding {
                certain: false,
                ..finding
            }
            .with(&[Clue::AuthRequiredNoCredentials, Clue::Unknown])
        } else {
            finding
        });
    }
    if !asks_token {
        return None;
    }
    match reading.status {
        Some(500..=599) => Some(
            Finding::unsure(Clue::TokenServiceFailed, Stage::Token, &[Clue::Registry5xx])
                .of(Weight::Status),
        ),
        Some(code) if !matches!(code, 401 | 403 | 407 | 429) && !refused => {
            Some(Finding::sure(Clue::TokenServiceFailed, Stage::Token).of(Weight::Status))
        }
        None if reading.has(S::Html) && !refused => {
            Some(Finding::sure(Clue::TokenServiceFailed, Stage::Token))
        }
        _ => None,
    }
}

/// What a registry's words say about who may do what.
pub(super) fn permission(reading: &Reading<'_>) -> Option<Finding> {
    let at = step(reading);
    if reading.has(S::NoCredentials) {
        return Some(Finding::sure(Clue::AuthRequiredNoCredentials, Stage::Auth));
    }
    if reading.has(S::BadCredentials) {
        return Some(Finding::sure(Clue::CredentialsRejected, at));
    }
    if reading.has(S::TokenAnonymous) && matches!(reading.status, Some(401 | 403)) {
        let also = if is_azure(reading) {
            [
                Clue::PermissionDenied,
                Clue::AzureIdentityFailed,
                Clue::FirewallDenied403,
            ]
        } else {
            [
                Clue::PermissionDenied,
                Clue::ManifestOrAuthAmbiguous,
                Clue::TokenServiceFailed,
            ]
        };
        let finding = Finding::sure(Clue::AuthRequiredNoCredentials, Stage::Token)
            .of(Weight::Status)
            .with(&also);
        // A closed network answers 403 as well.
        return Some(Finding {
            certain: reading.status == Some(401),
            ..finding
        });
    }
    if reading.has(S::TokenOauth) && matches!(reading.status, Some(401 | 403)) {
        return Some(if reading.status == Some(401) {
            let finding = Finding::sure(Clue::CredentialsRejected, Stage::Token)
                .of(Weight::Status)
                .with(&[Clue::PermissionDenied]);
            if is_azure(reading) {
                finding.with(&[Clue::AzureIdentityFailed])
            } else {
                finding
            }
        } else {
            Finding::unsure(
                Clue::PermissionDenied,
                Stage::Token,
                &[Clue::CredentialsRejected, Clue::FirewallDenied403],
            )
            .of(Weight::Status)
        });
    }
    if reading.has(S::Unauthenticated) {
        return Some(
            Finding::sure(Clue::AuthRequiredNoCredentials, at)
                .with(&[Clue::ManifestOrAuthAmbiguous]),
        );
    }
    if reading.any(&[S::AbsentOrDenied, S::ResourceDenied]) && !explicit_below(reading) {
        return Some(Finding::sure(Clue::ManifestOrAuthAmbiguous, at).with(&[
            Clue::AuthRequiredNoCredentials,
            Clue::PermissionDenied,
            Clue::RepositoryNotFound,
        ]));
    }
    if reading.has(S::NotAuthorized) && !is_web_page(reading) {
        let finding = Finding::sure(Clue::PermissionDenied, at);
        return Some(if reading.has(S::Unauthorized) {
            // The registry's code says "who are you", its words say "you may not".
            Finding {
                certain: false,
                ..finding
            }
            .with(&[Clue::AuthRequiredNoCredentials, Clue::CredentialsRejected])
        } else {
            finding
        });
    }
    if reading.has(S::Unauthorized) && !reading.has(S::Denied) {
        return Some(bare_unauthorized(at));
    }
    if reading.has(S::Denied) && !reading.any(&[S::Admission, S::AdmissionDenied, S::Xml]) {
        return Some(
            Finding::unsure(
                Clue::PermissionDenied,
                at,
                &[
                    Clue::ManifestOrAuthAmbiguous,
                    Clue::AuthRequiredNoCredentials,
                    Clue::CredentialsRejected,
                ],
            )
            .of(Weight::Status),
        );
    }
    None
}

/// Below "absent or denied" stands a reason that settles it.
fn explicit_below(reading: &Reading<'_>) -> bool {
    let Some(hit) = reading.last(S::AbsentOrDenied) else {
        return false;
    };
    let below = |signal| {
        reading
            .last(signal)
            .is_some_and(|other| other.start > hit.start)
    };
    below(S::NotAuthorized) || below(S::ManifestUnknown) || below(S::NameUnknown)
}

fn bare_unauthorized(stage: Stage) -> Finding {
    Finding::unsure(
        Clue::AuthRequiredNoCredentials,
        stage,
        &[Clue::CredentialsRejected, Clue::PermissionDenied],
    )
    .of(Weight::Status)
}

/// Only the number tells.
pub(super) fn by_status(reading: &Reading<'_>) -> Option<Finding> {
    let at = step(reading);
    match reading.status? {
        401 => Some(bare_unauthorized(at)),
        402 => Some(Finding::sure(Clue::QuotaOrBilling, at).of(Weight::Status)),
        403 if is_web_page(reading) => {
            // A page that names no account: a wall in front of the registry.
            Some(
                Finding::unsure(Clue::FirewallDenied403, at, &[Clue::PermissionDenied])
                    .of(Weight::Status),
            )
        }
        403 => {
            let mut finding = Finding::unsure(Clue::PermissionDenied, at, &[]).of(Weight::Status);
            if reading.fetches_blob() {
                finding.admit(&[
                    Clue::RedirectOrStorageFailed,
                    Clue::FirewallDenied403,
                    Clue::QuotaOrBilling,
                ]);
            } else if reading
                .host()
                .or(reading.registry())
                .is_none_or(|host| host.contains(".dkr.ecr."))
            {
                finding.admit(&[
                    Clue::EcrTokenExpired,
                    Clue::FirewallDenied403,
                    Clue::AuthRequiredNoCredentials,
                ]);
            } else {
                finding.admit(&[
                    Clue::FirewallDenied403,
                    Clue::AuthRequiredNoCredentials,
                    Clue::ManifestOrAuthAmbiguous,
                ]);
            }
            Some(finding)
        }
        _ => None,
    }
}

/// A page for browsers came instead of a registry's answer.
fn is_web_page(reading: &Reading<'_>) -> bool {
    reading.has(S::Html) && !reading.has(S::Xml) && reading.status.is_some()
}

fn is_azure(reading: &Reading<'_>) -> bool {
    reading
        .host()
        .or(reading.registry())
        .is_some_and(|host| host.contains(".azurecr."))
}
