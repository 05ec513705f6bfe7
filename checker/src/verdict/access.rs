//! 401 and 403: who was refused, by whom, and whose setting it is.
//!
//! The order of questions: did the node get an identity at all, do network rules refuse the
//! address, was the identity refused at the exchange, was a credential refused, or was there none.

use super::ending::{Stop, from, host, refusal, role};
use super::kubelet::secrets_in_words;
use super::roles::ask_azure;
use super::{Case, Draft, Settle, image, roles, rules};
use crate::azure::registry_login_server;
use crate::cause::Cause;
use crate::evidence::{CredentialSource, Fact, Identity, KeyringMiss, Refusal, Role, Seen};
use crate::stage::Stage;
use crate::symptom::SecretState;
use crate::world::Vantage;

pub(super) fn decide(case: &Case<'_>, vantage: &Vantage, stop: &Stop<'_>) -> Draft {
    let Some(fact) = stop.fact else {
        let basic = case
            .evidence
            .from(vantage)
            .find(|fact| matches!(fact.seen, Seen::Challenged { .. }));
        if let Some(fact) = basic.filter(|_| stop.stage == Stage::Auth) {
            let because = format!(
                "{} wants a user and a password {}",
                host(fact),
                from(vantage)
            );
            return missing(case, vantage, fact, &because);
        }
        let because = format!("the probe {} stopped at {}", from(vantage), stop.stage);
        return Draft::open(stop.stage, Vec::new(), because, Vec::new());
    };
    match &fact.seen {
        Seen::IdentityTokenRefused { refusal, .. } => return no_identity(case, vantage, refusal),
        Seen::ChallengeUnusable { text } | Seen::TokenUnreadable { text } => {
            let because = format!(
                "{} answers sign-in with what cannot be used: {text}",
                host(fact)
            );
            return Draft::open(
                stop.stage,
                vec![Cause::RegistryHtml, Cause::Registry5xx],
                because,
                Vec::new(),
            );
        }
        Seen::CredentialWithheld { from: asker, why } => {
            let because =
                format!("{asker} asked for the credential and was not given it ({why:?})");
            return Draft::open(
                stop.stage,
                vec![Cause::MirrorCredentialMisrouted],
                because,
                Vec::new(),
            );
        }
        Seen::Pinged {
            status: 403,
            refusal,
            ..
        } => {
            let because = format!("{} answers 403 to {}", host(fact), from(vantage));
            return forbidden(case, vantage, refusal.as_ref(), because);
        }
        Seen::Pinged { status, .. } => {
            let because = format!(
                "{} answers {status} to GET /v2/ {}",
                host(fact),
                from(vantage)
            );
            let cause = if *status >= 500 {
                Cause::Registry5xx
            } else {
                Cause::RegistryHtml
            };
            return if *status == 429 {
                Draft::proven(Stage::Ping, image::throttler(case), because)
            } else {
                Draft::proven(Stage::Ping, cause, because)
            };
        }
        _ => {}
    }
    match refusal(fact) {
        Some(refusal) => {
            let because = format!(
                "{} answers {} {}",
                host(fact),
                describe(refusal),
                from(vantage)
            );
            refused(case, vantage, fact, refusal, because)
        }
        None => Draft::open(
            stop.stage,
            Vec::new(),
            format!("the probe {} stopped at {}", from(vantage), stop.stage),
            Vec::new(),
        ),
    }
}

fn describe(refusal: &Refusal) -> String {
    let code = refusal
        .codes
        .first()
        .map_or_else(String::new, |code| format!(" {code}"));
    let said = if refusal.message.is_empty() {
        String::new()
    } else {
        format!(" (\"{}\")", refusal.message)
    };
    format!("{}{code}{said}", refusal.status)
}

/// An answer that refuses, at any stage.
pub(super) fn refused(
    case: &Case<'_>,
    vantage: &Vantage,
    fact: &Fact,
    refusal: &Refusal,
    because: String,
) -> Draft {
    if let Some(draft) = image::overloaded(case, fact.stage, &host(fact), vantage, refusal) {
        return draft;
    }
    match refusal.status {
        403 => forbidden(case, vantage, Some(refusal), because),
        405 if is_locked(&refusal.message.as_str().to_ascii_lowercase()) => {
            Draft::proven(Stage::Manifest, Cause::AcrImageLocked, because)
        }
        401 => unauthorized(case, vantage, fact, refusal, &because),
        _ if role(fact) == Role::Metadata => no_identity(case, vantage, refusal),
        _ => Draft::open(fact.stage, Vec::new(), because, Vec::new()),
    }
}

/// The node has no identity token, so the credential provider has nothing to exchange.
fn no_identity(case: &Case<'_>, vantage: &Vantage, refusal: &Refusal) -> Draft {
    let because = format!(
        "the metadata service gives {} no token: {}",
        vantage,
        describe(refusal)
    );
    let text = refusal.message.as_str().to_ascii_lowercase();
    if text.contains("multiple user assigned identities") {
        return Draft::proven(Stage::Auth, Cause::KubeletIdentityAmbiguous, because);
    }
    let cluster = case.azure.and_then(|azure| azure.cluster.as_ref());
    if let Some(id) = cluster.and_then(|one| one.service_principal.as_ref()) {
        let because = format!(
            "the cluster signs in as the service principal {id}, whose secret neither the node nor Azure Resource Manager shows; the kubelet got nothing for it"
        );
        let candidates = vec![
            Cause::SpSecretExpired,
            Cause::AcrRoleMissing,
            Cause::CredentialProviderBroken,
        ];
        let settle = vec![
            Settle::by(
                "when its secret ends",
                format!(
                    "az ad sp credential list --id {id} --query \"[].endDateTime\" --output tsv"
                ),
            ),
            Settle::by(
                "its roles",
                format!("az role assignment list --assignee {id} --all --output table"),
            ),
        ];
        return Draft::open(Stage::Token, candidates, because, settle);
    }
    if text.contains("identity not found") {
        if cluster.is_some() {
            return Draft::proven(Stage::Auth, Cause::KubeletIdentityDetached, because);
        }
        let candidates = vec![Cause::KubeletIdentityDetached, Cause::SpSecretExpired];
        let settle = vec![
            ask_azure("which identity the cluster has"),
            Settle::by(
                "whether the node has a managed identity at all",
                "az aks list --query \"[].{name:name, servicePrincipal:servicePrincipalProfile.clientId}\" --output table",
            ),
        ];
        return Draft::open(Stage::Auth, candidates, because, settle);
    }
    Draft::open(
        Stage::Auth,
        vec![Cause::KubeletIdentityDetached, Cause::ImdsBlocked],
        because,
        Vec::new(),
    )
}

/// 403: network rules, a lock, a key vault, or a right that is missing.
fn forbidden(
    case: &Case<'_>,
    vantage: &Vantage,
    refusal: Option<&Refusal>,
    because: String,
) -> Draft {
    // A HEAD has no body, so the words may stand in another answer of the same probe.
    let others = case
        .evidence
        .from(vantage)
        .filter_map(super::ending::refusal)
        .filter(|one| one.status == 403);
    let texts: Vec<String> = refusal
        .into_iter()
        .chain(others)
        .map(|one| one.message.as_str().to_ascii_lowercase())
        .collect();
    let says = |words: &str| texts.iter().any(|text| text.contains(words));
    if says("token has expired") || says("credential has expired") {
        return Draft::proven(Stage::Auth, Cause::CredentialsExpired, because);
    }
    if says("key vault") {
        return Draft::proven(Stage::Manifest, Cause::AcrCmkUnavailable, because);
    }
    if texts.iter().any(|text| is_locked(text)) {
        return Draft::proven(Stage::Manifest, Cause::AcrImageLocked, because);
    }
    let text = texts.iter().find(|text| text.contains("client with ip"));
    let azure_host = case
        .reference
        .is_some_and(|one| registry_login_server(&one.registry().to_string()).is_some());
    if text.is_none() && !azure_host {
        let candidates = vec![
            Cause::ScopeInsufficient,
            Cause::CredentialsWrong,
            Cause::RepositoryNotFound,
        ];
        return Draft::open(Stage::Manifest, candidates, because, Vec::new());
    }
    let address = text.and_then(|text| rules::client_address(text));
    rules::decide(case, vantage, address, because)
}

/// What Azure's registry says of an image that may not be read; in lower case.
fn is_locked(text: &str) -> bool {
    ["locked", "readenabled", "disallowed on this registry"]
        .iter()
        .any(|words| text.contains(words))
}

fn unauthorized(
    case: &Case<'_>,
    vantage: &Vantage,
    fact: &Fact,
    refusal: &Refusal,
    because: &str,
) -> Draft {
    let exchange = case
        .evidence
        .from(vantage)
        .find(|other| matches!(other.seen, Seen::ExchangeRefused { .. }));
    let azure_host = case
        .reference
        .is_some_and(|one| registry_login_server(&one.registry().to_string()).is_some());
    if let Some(exchange) = exchange {
        let status = super::ending::status(exchange).unwrap_or(401);
        let because = format!(
            "the registry refuses the exchange for the node's identity ({status}), so the pull goes on anonymously and is refused"
        );
        return roles::decide(case, vantage, because);
    }
    let no_token = case
        .evidence
        .from(vantage)
        .find_map(|other| match &other.seen {
            Seen::IdentityTokenRefused { refusal, .. } => Some(refusal),
            _ => None,
        });
    if let Some(refusal) = no_token {
        return no_identity(case, vantage, refusal);
    }
    // A credential that was sent.
    if let Some(identity @ Identity::Credential { .. }) = &fact.identity {
        return credential(case, fact, identity, refusal, because);
    }
    if let Some(Identity::KubeletIdentity { .. }) = &fact.identity {
        return roles::decide(
            case,
            vantage,
            format!("{because}, after an exchange that worked"),
        );
    }
    let sent_elsewhere =
        case.evidence
            .from(vantage)
            .find_map(|other| match (&other.seen, &other.identity) {
                (
                    Seen::TokenRefused { refusal, .. } | Seen::AuthorizationRefused { refusal, .. },
                    Some(who @ Identity::Credential { .. }),
                ) => Some((other, who, refusal)),
                _ => None,
            });
    if let Some((other, who, refusal)) = sent_elsewhere {
        return credential(case, other, who, refusal, because);
    }
    let metadata = case
        .evidence
        .from(vantage)
        .filter(|other| role(other) == Role::Metadata);
    let blocked = metadata.into_iter().find(|other| {
        matches!(
            other.seen,
            Seen::DialFailed { .. } | Seen::HttpFailed { .. }
        )
    });
    if let Some(other) = blocked.filter(|_| azure_host && case.on_azure) {
        let because = format!(
            "{because}; the metadata service is not reached {}",
            from(&other.vantage)
        );
        return Draft::proven(Stage::Auth, Cause::ImdsBlocked, because);
    }
    if azure_host && (case.in_cluster || case.azure.is_some()) && no_usable_secret(case) {
        return roles::decide(case, vantage, format!("{because}, to an anonymous request"));
    }
    missing(case, vantage, fact, because)
}

fn no_usable_secret(case: &Case<'_>) -> bool {
    case.secrets.is_empty()
}

/// A credential was sent and refused.
fn credential(
    case: &Case<'_>,
    fact: &Fact,
    who: &Identity,
    refusal: &Refusal,
    because: &str,
) -> Draft {
    let because = format!("{because}, as {who}");
    let text = refusal.message.as_str().to_ascii_lowercase();
    let token_granted = case
        .evidence
        .from(&fact.vantage)
        .find_map(|other| match &other.seen {
            Seen::TokenGranted { granted, .. } if other.identity.as_ref() == Some(who) => {
                Some(granted.clone())
            }
            _ => None,
        });
    if let Some(granted) = token_granted {
        let lacks = granted.is_some_and(|list| {
            let pull = |one: &crate::evidence::Access| {
                one.actions
                    .iter()
                    .any(|action| matches!(action.as_str(), "pull" | "*"))
            };
            !list.iter().any(pull)
        });
        let because = format!(
            "{because}: the sign-in was accepted, the right to pull this repository was not granted"
        );
        let candidates = vec![Cause::ScopeInsufficient, Cause::RepositoryNotFound];
        return if lacks {
            Draft::proven(Stage::Token, Cause::ScopeInsufficient, because)
        } else {
            Draft::open(Stage::Token, candidates, because, Vec::new())
        };
    }
    if text.contains("expired") {
        return Draft::proven(Stage::Token, Cause::CredentialsExpired, because);
    }
    // The same request without a credential.
    let anonymous = case.evidence.from(&fact.vantage).any(|other| {
        other.identity == Some(Identity::Anonymous) && matches!(other.seen, Seen::ManifestFound(_))
    });
    if anonymous {
        let because = format!("{because}; without a credential the same request succeeds");
        return Draft::proven(Stage::Token, Cause::BadCredentialBlocksPublic, because);
    }
    Draft::proven(Stage::Token, Cause::CredentialsWrong, because)
}

/// Every pull secret of the pod is missing: nowhere to be found, or in another namespace.
pub(super) fn missing_secret(case: &Case<'_>) -> Cause {
    if case.secrets.iter().any(|one| !one.elsewhere.is_empty()) {
        Cause::PullSecretWrongNamespace
    } else {
        Cause::PullSecretMissing
    }
}

/// The kubelet since which a pod must show that it may have an image that is on its node.
const VERIFIES: (u32, u32) = (1, 35);

/// The image is on the node, and another pod runs it there: what is missing is this pod's right to it.
fn verified_anew(case: &Case<'_>, because: &str) -> Option<Draft> {
    let kubelet = case.node?.kubelet.as_deref()?;
    let mut numbers = kubelet.trim_start_matches('v').split('.');
    let mut number = || numbers.next()?.parse::<u32>().ok();
    let version = (number()?, number()?);
    if !case.runs_beside || case.always_pulls || version < VERIFIES {
        return None;
    }
    let because = format!(
        "{because}; another pod runs the image on that node, where kubelet {kubelet} asks each pod for a credential of its own"
    );
    Some(Draft::proven(
        Stage::Auth,
        Cause::CredentialReverify,
        because,
    ))
}

/// Nothing was sent that the registry knows.
fn missing(case: &Case<'_>, vantage: &Vantage, fact: &Fact, because: &str) -> Draft {
    let because = format!("{because}; {}", secrets_in_words(case));
    if let Some(draft) = verified_anew(case, &because) {
        return draft;
    }
    let state =
        |wanted: fn(&SecretState) -> bool| case.secrets.iter().any(|secret| wanted(&secret.state));
    if !case.secrets.is_empty() {
        if case
            .secrets
            .iter()
            .all(|secret| secret.state == SecretState::Missing)
        {
            return Draft::proven(Stage::Auth, missing_secret(case), because);
        }
        if state(|state| {
            matches!(
                state,
                SecretState::Forbidden | SecretState::NotRead | SecretState::Failed(_)
            )
        }) {
            let namespace = case.namespace.unwrap_or("default");
            let candidates = vec![
                Cause::PullSecretWrongHost,
                Cause::PullSecretMissing,
                Cause::CredentialsMissing,
                Cause::PullSecretMalformed,
            ];
            let settle = vec![Settle::by(
                "the right to read the pod's pull secrets",
                format!("kubectl auth can-i get secrets -n {namespace}"),
            )];
            return Draft::open(Stage::Auth, candidates, because, settle);
        }
    }
    let passed_over = case.evidence.iter().filter_map(|other| match &other.seen {
        Seen::CredentialPassedOver { source, key, why } => Some((source, key, why)),
        _ => None,
    });
    for (source, key, why) in passed_over {
        if let KeyringMiss::ProviderFailed { text } = why {
            let because = format!("{because}; the {source}, which is responsible, failed: {text}");
            if !case.in_cluster {
                return Draft::proven(Stage::Auth, Cause::CredentialProviderBroken, because);
            }
            // It was run on this machine; the kubelet runs its own.
            let candidates = vec![Cause::CredentialProviderBroken, Cause::CredentialsMissing];
            let settle = vec![Settle::new("what the provider says on the node")];
            return Draft::open(Stage::Auth, candidates, because, settle);
        }
        // What a user's own configuration holds says nothing of a pull secret.
        if !matches!(source, CredentialSource::PullSecret { .. }) {
            continue;
        }
        match why {
            KeyringMiss::Host
            | KeyringMiss::Labels
            | KeyringMiss::Port
            | KeyringMiss::Path
            | KeyringMiss::BadPattern => {
                let because = format!(
                    "{because}; the key `{key}` of {source} does not match {}",
                    case.image
                );
                return Draft::proven(Stage::Auth, Cause::PullSecretWrongHost, because);
            }
            KeyringMiss::Malformed { .. }
            | KeyringMiss::WrongType { .. }
            | KeyringMiss::OtherForm { .. }
            | KeyringMiss::NotRead { .. } => {
                let because =
                    format!("{because}; {source} holds nothing that a kubelet reads ({why})");
                return Draft::proven(Stage::Auth, Cause::PullSecretMalformed, because);
            }
            // A helper of a user is no part of a node's pull.
            _ => {}
        }
    }
    if state(|state| matches!(state, SecretState::Found { body: None, .. })) {
        return Draft::proven(Stage::Auth, Cause::PullSecretMalformed, because);
    }
    // A token was given and then not enough: the registry hides whether the repository exists.
    let hides = case
        .evidence
        .from(vantage)
        .any(|other| matches!(other.seen, Seen::TokenGranted { .. }))
        && matches!(
            fact.seen,
            Seen::AuthorizationRefused { .. } | Seen::ManifestRefused { .. }
        );
    if hides {
        let mut candidates = vec![Cause::CredentialsMissing, Cause::RepositoryNotFound];
        if let Some(assumed) = case.reference.filter(|one| one.registry_assumed()) {
            if let Some(name) = assumed.repository().strip_prefix("library/") {
                // Docker's own images are all public, so a refusal means that there is none.
                let because = format!(
                    "the image names no registry, so {} is asked for Docker's own image `{name}`, and there is none",
                    assumed.registry()
                );
                return Draft::proven(Stage::Reference, Cause::DefaultRegistryAssumed, because);
            }
            candidates.insert(0, Cause::DefaultRegistryAssumed);
        }
        let settle = vec![Settle::new(
            "the same question with a credential that may pull from there",
        )];
        return Draft::open(Stage::Token, candidates, because, settle);
    }
    Draft::proven(Stage::Auth, Cause::CredentialsMissing, because)
}
