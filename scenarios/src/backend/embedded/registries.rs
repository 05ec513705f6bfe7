//! The registries of a scenario, as the fake registry takes them.

use fake_registry::{
    Accounts, AuthPolicy, Builder, Clock, FakeRegistry, Flavour, HostSpec, PullLimit, TokenService,
};
use jiff::Timestamp;

use super::tenant::Tenant;
use crate::backend::StepError;
use crate::spec::{Access, Doing, Habits, Registry, Scenario};

/// Everything that the file says is served.
pub(super) fn build(
    scenario: &Scenario,
    tenant: Option<&Tenant>,
    seed: u64,
    start: Timestamp,
) -> Result<FakeRegistry, StepError> {
    let mut builder = clocked(seed, start);
    for registry in &scenario.registries {
        builder = builder.host(host(registry, start));
        for image in &registry.images {
            builder = builder.image(registry.name(), &image.value);
        }
    }
    if let Some(tenant) = tenant {
        builder = builder.azure(tenant.describe());
    }
    builder.build().map_err(|error| StepError::failed(&error))
}

/// What an intercepting machine serves: every name, with certificates of another authority.
pub(super) fn intercepting(
    scenario: &Scenario,
    seed: u64,
    start: Timestamp,
) -> Result<Option<FakeRegistry>, StepError> {
    let mut machines = scenario.machines.iter();
    if !machines.any(|machine| machine.does == Doing::Intercept) {
        return Ok(None);
    }
    let hosts = scenario.registries.iter();
    let builder = hosts.fold(
        clocked(!seed, start).authority("inspection device"),
        |builder, registry| builder.host(HostSpec::new(registry.name())),
    );
    let built = builder.build().map_err(|error| StepError::failed(&error))?;
    Ok(Some(built))
}

fn clocked(seed: u64, start: Timestamp) -> Builder {
    let clock = Clock::starting_at(start);
    FakeRegistry::builder().seed(seed).clock(clock)
}

fn host(registry: &Registry, start: Timestamp) -> HostSpec {
    let spec = HostSpec::new(registry.name()).tls(registry.tls);
    let anonymous: Vec<String> = match registry.access {
        Access::AnonymousToken => vec!["*:pull".to_owned()],
        _ => registry
            .anonymous
            .iter()
            .map(|pattern| format!("{pattern}:pull"))
            .collect(),
    };
    let anonymous: Vec<&str> = anonymous.iter().map(String::as_str).collect();
    let mut accounts = Accounts::new().anonymous(&anonymous);
    for (name, account) in &registry.users {
        let rights: Vec<&str> = account.rights.iter().map(String::as_str).collect();
        let end = account
            .until
            .and_then(|until| start.checked_add(until.get()).ok());
        accounts = match end {
            Some(end) => accounts.user_until(name, &account.password, &rights, end),
            None => accounts.user(name, &account.password, &rights),
        };
    }
    let spec = match registry.access {
        Access::Open => spec.auth(AuthPolicy::Open),
        Access::Acr => spec,
        Access::Basic => spec.auth(AuthPolicy::Basic(accounts)),
        Access::AnonymousToken | Access::Token => {
            spec.auth(AuthPolicy::Token(tokens(registry, accounts)))
        }
    };
    let spec = match registry.access {
        Access::Acr => spec.flavour(Flavour::Acr),
        _ => spec.flavour(flavour(registry.habits)),
    };
    let spec = match &registry.blobs_at {
        Some(host) => spec.blobs_at(host),
        None => spec,
    };
    match registry.pull_limit {
        Some(limit) => spec.pull_limit(PullLimit {
            anonymous: limit.anonymous,
            named: limit.named,
            window: limit.window.get(),
        }),
        None => spec,
    }
}

fn tokens(registry: &Registry, accounts: Accounts) -> TokenService {
    let tokens = TokenService::new(accounts);
    let tokens = match registry.habits {
        Habits::DockerHub => tokens.service("registry.docker.io"),
        Habits::ArtifactRegistry => tokens.path("/v2/token").service(""),
        Habits::Quay => tokens.path("/v2/auth"),
        Habits::Plain | Habits::Ecr | Habits::Ghcr => tokens,
    };
    let habit = registry.habits.token_host();
    match registry.token_host.as_deref().or(habit) {
        Some(host) => tokens.realm(format!("https://{host}/token")),
        None => tokens,
    }
}

const fn flavour(habits: Habits) -> Flavour {
    match habits {
        Habits::Plain => Flavour::Plain,
        Habits::DockerHub => Flavour::DockerHub,
        Habits::Ecr => Flavour::Ecr,
        Habits::ArtifactRegistry => Flavour::ArtifactRegistry,
        Habits::Ghcr => Flavour::Ghcr,
        Habits::Quay => Flavour::Quay,
    }
}
