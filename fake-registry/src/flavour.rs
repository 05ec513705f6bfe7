//! Habits of public registries: how each is set up, and how it words its refusals.
//!
//! The protocol is the same everywhere; what a client sees when something is missing or not
//! allowed is not. Observed answers of 2025 and 2026.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderName, Method, StatusCode, header};
use serde_json::json;

use crate::auth::token::Signer;
use crate::auth::{
    Accounts, AuthPolicy, Complaint, Credential, Identity, Scope, TokenService, bearer_challenge,
    unauthorized,
};
use crate::core::Call;
use crate::host::{Flavour, HostSpec, Registry};
use crate::message::{Refusal, Reply, set, text_reply};
use crate::protocol::Route;

/// How many manifests may be fetched, as Docker Hub counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PullLimit {
    /// For each address without a name.
    pub anonymous: u64,
    /// For each user.
    pub named: u64,
    /// In such a time.
    pub window: Duration,
}

impl PullLimit {
    /// As Docker Hub has it: 100 pulls in six hours for an address, 200 for a user.
    pub const DOCKER_HUB: Self = Self {
        anonymous: 100,
        named: 200,
        window: Duration::from_hours(6),
    };
}

impl HostSpec {
    /// Docker Hub: `registry-1.docker.io`, tokens from `auth.docker.io`, 100 pulls in six hours
    /// for an address and 200 for a user.
    pub fn docker_hub(accounts: Accounts) -> Self {
        let tokens = TokenService::new(accounts)
            .realm("https://auth.docker.io/token")
            .service("registry.docker.io");
        Self::new("registry-1.docker.io")
            .auth(AuthPolicy::Token(tokens))
            .flavour(Flavour::DockerHub)
            .pull_limit(PullLimit::DOCKER_HUB)
    }

    /// A private registry of Amazon ECR; the user is `AWS`.
    pub fn ecr(account: &str, region: &str, accounts: Accounts) -> Self {
        Self::new(format!("{account}.dkr.ecr.{region}.amazonaws.com"))
            .auth(AuthPolicy::Basic(accounts))
            .flavour(Flavour::Ecr)
    }

    /// Google Artifact Registry: `<location>-docker.pkg.dev`.
    pub fn artifact_registry(location: &str, accounts: Accounts) -> Self {
        let tokens = TokenService::new(accounts).path("/v2/token").service("");
        Self::new(format!("{location}-docker.pkg.dev"))
            .auth(AuthPolicy::Token(tokens))
            .flavour(Flavour::ArtifactRegistry)
    }

    /// GitHub's `ghcr.io`.
    pub fn ghcr(accounts: Accounts) -> Self {
        Self::new("ghcr.io")
            .auth(AuthPolicy::Token(TokenService::new(accounts)))
            .flavour(Flavour::Ghcr)
    }

    /// `quay.io`.
    pub fn quay(accounts: Accounts) -> Self {
        let tokens = TokenService::new(accounts).path("/v2/auth");
        Self::new("quay.io")
            .auth(AuthPolicy::Token(tokens))
            .flavour(Flavour::Quay)
    }
}

/// A refusal in the registry's own words.
pub(crate) fn voice(
    registry: &Registry,
    call: &Call<'_>,
    signer: &Signer<'_>,
    refusal: Box<Refusal>,
) -> Reply {
    let challenge = refusal
        .headers
        .get(header::WWW_AUTHENTICATE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let insufficient = challenge.contains("insufficient_scope");
    match registry.spec.flavour {
        Flavour::DockerHub => docker_hub(registry, call, refusal).into_reply(),
        Flavour::Ecr => ecr(registry, call, refusal),
        Flavour::ArtifactRegistry => {
            let hidden = refusal.code == "NAME_UNKNOWN" || insufficient;
            if hidden {
                artifact_registry(registry, call, signer).into_reply()
            } else {
                refusal.into_reply()
            }
        }
        Flavour::Ghcr if insufficient => {
            denied("requested access to the resource is denied".into()).into_reply()
        }
        Flavour::Quay if insufficient => unauthorized(
            "access to the requested resource is not authorized".into(),
            &[],
        )
        .header(header::WWW_AUTHENTICATE, challenge)
        .into_reply(),
        Flavour::Plain | Flavour::Acr | Flavour::Ghcr | Flavour::Quay => refusal.into_reply(),
    }
}

fn denied(message: String) -> Box<Refusal> {
    Refusal::new(StatusCode::FORBIDDEN, "DENIED", message)
}

/// A repository that is not there looks like one that is private.
fn docker_hub(registry: &Registry, call: &Call<'_>, refusal: Box<Refusal>) -> Box<Refusal> {
    let AuthPolicy::Token(service) = &registry.spec.auth else {
        return refusal;
    };
    if refusal.code != "NAME_UNKNOWN" {
        return refusal;
    }
    let needed = Scope::needed(call.target, call.method, call.query);
    let realm = service.realm.as_deref().unwrap_or_default();
    let audience = service.service.as_deref().unwrap_or_default();
    bearer_challenge(
        realm,
        audience,
        &needed,
        Complaint::InsufficientScope,
        "authentication required".into(),
    )
}

fn ecr(registry: &Registry, call: &Call<'_>, mut refusal: Box<Refusal>) -> Reply {
    let host = registry.spec.name.as_str();
    let mut parts = host.split('.');
    let (account, region) = (
        parts.next().unwrap_or_default(),
        parts.nth(2).unwrap_or_default(),
    );
    let name = call.target.repository;
    match (refusal.status, refusal.code) {
        (StatusCode::UNAUTHORIZED, _) => {
            let mut reply = text_reply(
                refusal.status,
                "text/plain; charset=utf-8",
                "Not Authorized\n",
            );
            set(
                &mut reply,
                header::WWW_AUTHENTICATE,
                &format!("Basic realm=\"https://{host}/\",service=\"ecr.amazonaws.com\""),
            );
            return reply;
        }
        (_, "NAME_UNKNOWN") => {
            refusal.message = format!(
                "The repository with name '{name}' does not exist in the registry with id '{account}'"
            );
            refusal.detail = None;
        }
        (_, "MANIFEST_UNKNOWN") => {
            refusal.message = "Requested image not found".into();
            refusal.detail = None;
        }
        (_, "EXPIRED") => {
            return denied(
                "Your authorization token has expired. Reauthenticate and try again.".into(),
            )
            .into_reply();
        }
        (_, "DENIED") => {
            let action = if matches!(*call.method, Method::GET | Method::HEAD) {
                "ecr:BatchGetImage"
            } else {
                "ecr:InitiateLayerUpload"
            };
            let arn = format!("arn:aws:ecr:{region}:{account}:repository/{name}");
            return denied(format!("User: arn:aws:sts::{account}:assumed-role/node is not authorized to perform: {action} on resource: {arn} because no identity-based policy allows the {action} action")).into_reply();
        }
        _ => {}
    }
    refusal.into_reply()
}

fn artifact_registry(registry: &Registry, call: &Call<'_>, signer: &Signer<'_>) -> Box<Refusal> {
    let location = registry
        .spec
        .name
        .strip_suffix("-docker.pkg.dev")
        .unwrap_or_default();
    let mut parts = call.target.repository.split('/');
    let (project, repository) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let resource = format!("projects/{project}/locations/{location}/repositories/{repository}");
    let action = if matches!(*call.method, Method::GET | Method::HEAD) {
        "downloadArtifacts"
    } else {
        "uploadArtifacts"
    };
    let permission = format!("artifactregistry.repositories.{action}");
    let caller = match Credential::of(call.headers) {
        Credential::Bearer(token) => signer.access(&token, "").ok(),
        _ => None,
    };
    let nobody = caller.is_none_or(|caller| caller.identity == Identity::Anonymous);
    denied(if nobody {
        format!(
            "Unauthenticated request. Unauthenticated requests do not have permission \"{permission}\" on resource \"{resource}\" (or it may not exist)"
        )
    } else {
        format!(
            "Permission \"{permission}\" denied on resource \"{resource}\" (or it may not exist)"
        )
    })
}

/// Pulls of the current windows, by source.
#[derive(Default)]
pub(crate) struct Pulls {
    sources: Mutex<BTreeMap<String, (Duration, u64)>>,
}

/// How a source stands.
pub(crate) struct Standing {
    limit: u64,
    remaining: u64,
    window: u64,
    source: String,
    over: bool,
    wait: u64,
    anonymous: bool,
}

impl Pulls {
    /// Counts a GET of a manifest; a HEAD only asks how things stand.
    pub(crate) fn charge(
        &self,
        limit: PullLimit,
        call: &Call<'_>,
        identity: &Identity,
        now: Duration,
    ) -> Option<Standing> {
        if call.target.route != Route::Manifest
            || !matches!(*call.method, Method::GET | Method::HEAD)
        {
            return None;
        }
        let (source, most, anonymous) = match identity {
            Identity::Anonymous => (call.connection.peer.ip().to_string(), limit.anonymous, true),
            Identity::Named(name) => (name.clone(), limit.named, false),
        };
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.retain(|_, (start, _)| now < *start + limit.window);
        let (start, used) = sources.entry(source.clone()).or_insert((now, 0));
        let over = *used >= most;
        if *call.method == Method::GET && !over {
            *used += 1;
        }
        Some(Standing {
            limit: most,
            remaining: most.saturating_sub(*used),
            window: limit.window.as_secs(),
            source,
            over: over && *call.method == Method::GET,
            wait: (*start + limit.window).saturating_sub(now).as_secs().max(1),
            anonymous,
        })
    }
}

impl Standing {
    pub(crate) fn refusal(&self) -> Option<Box<Refusal>> {
        let text = if self.anonymous {
            "You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit"
        } else {
            "You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limit"
        };
        let refusal = || Refusal::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", text);
        self.over
            .then(|| refusal().header(header::RETRY_AFTER, &self.wait.to_string()))
    }

    pub(crate) fn show(&self, reply: &mut Reply) {
        let Self {
            limit,
            remaining,
            window,
            ..
        } = self;
        set(
            reply,
            HeaderName::from_static("ratelimit-limit"),
            &format!("{limit};w={window}"),
        );
        set(
            reply,
            HeaderName::from_static("ratelimit-remaining"),
            &format!("{remaining};w={window}"),
        );
        set(
            reply,
            HeaderName::from_static("docker-ratelimit-source"),
            &self.source,
        );
    }
}

/// At GitHub the token endpoint itself refuses what the account may not see.
pub(crate) fn refuses_token(
    flavour: Flavour,
    asked: &[Scope],
    granted: &[Scope],
) -> Option<Box<Refusal>> {
    let refuses = flavour == Flavour::Ghcr && !asked.is_empty() && granted.is_empty();
    refuses.then(|| denied("requested access to the resource is denied".into()).detail(json!({})))
}
