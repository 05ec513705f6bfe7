//! What fake-registry is told about a scenario's registries and tenant: the file of `serve --config`.
//!
//! Everything that the file of the scenario asks for is either told, or refused with a reason that a
//! person can read; nothing is left out in silence.

use std::net::IpAddr;

use fake_registry::TlsMode;
use serde_json::{Value, json};

use crate::spec::{self, Access, Azure, Habits, RoleScope, Scenario, Sku};

/// The user who is signed in at the workstation.
pub(super) const OPERATOR: &str = "operator";

/// The description. `salt` makes content that nobody else has; the nodes are known by their addresses.
///
/// Errors: what the file asks for and the program cannot be told.
pub(super) fn describe(scenario: &Scenario, salt: &str, nodes: &[IpAddr]) -> Result<Value, String> {
    let mut hosts = Vec::new();
    for registry in &scenario.registries {
        possible(registry)?;
        if registry.access != Access::Acr {
            // The tenant's registries are hosts by themselves.
            hosts.push(host(registry, salt));
        }
    }
    let mut config = json!({"hosts": hosts});
    if let Some(azure) = &scenario.azure {
        let private = |registry: &spec::AzureRegistry| !registry.private_endpoints.is_empty();
        if azure.registries.iter().any(private) {
            return Err("private endpoints".to_owned());
        }
        let stored = |login_server: &str| {
            let mut registries = scenario.registries.iter();
            let found = registries.find(|registry| registry.host.value == login_server);
            found
                .map(|registry| images(registry, salt))
                .unwrap_or_default()
        };
        if let Some(map) = config.as_object_mut() {
            map.insert("azure".to_owned(), tenant(azure, nodes, stored));
        }
    }
    Ok(config)
}

fn possible(registry: &spec::Registry) -> Result<(), String> {
    let host = &registry.host.value;
    let limits = [
        (host.contains(':'), "a port of its own"),
        (registry.plain_http, "plain HTTP"),
        (!registry.addresses.is_empty(), "several addresses"),
        (
            registry.users.values().any(|user| user.until.is_some()),
            "passwords that run out",
        ),
    ];
    match limits.into_iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(format!("registry `{host}` with {what}")),
        None => Ok(()),
    }
}

fn host(registry: &spec::Registry, salt: &str) -> Value {
    let mut host = serde_json::Map::new();
    host.insert("name".to_owned(), json!(registry.host.value));
    host.insert("images".to_owned(), json!(images(registry, salt)));
    host.insert("tls".to_owned(), json!(mode(registry.tls)));
    host.insert("flavour".to_owned(), json!(flavour(registry.habits)));
    if let Some(blobs) = &registry.blobs_at {
        host.insert("blobs-at".to_owned(), json!(blobs));
    }
    if let Some(limit) = registry.pull_limit {
        let limit = json!({
            "anonymous": limit.anonymous,
            "named": limit.named,
            "per": format!("{}s", limit.window.get().as_secs()),
        });
        host.insert("pull-limit".to_owned(), limit);
    }
    let anonymous: Vec<String> = if registry.access == Access::AnonymousToken {
        vec!["*:pull".to_owned()]
    } else {
        let patterns = registry.anonymous.iter();
        patterns.map(|pattern| format!("{pattern}:pull")).collect()
    };
    let users: serde_json::Map<String, Value> = registry
        .users
        .iter()
        .map(|(name, user)| {
            let user = json!({"password": user.password, "rights": user.rights});
            (name.clone(), user)
        })
        .collect();
    let kind = match registry.access {
        // Some habits hand out tokens unless told otherwise.
        Access::Open | Access::Acr => return Value::Object(host),
        Access::Basic => "basic",
        Access::AnonymousToken | Access::Token => "token",
    };
    let mut auth = json!({"kind": kind, "anonymous": anonymous, "users": users});
    let token_host = registry.token_host.as_deref();
    let token_host = token_host.or(registry.habits.token_host());
    if let (Some(name), Some(map)) = (token_host, auth.as_object_mut()) {
        map.insert("realm".to_owned(), json!(format!("https://{name}/token")));
    }
    host.insert("auth".to_owned(), auth);
    Value::Object(host)
}

const fn flavour(habits: Habits) -> &'static str {
    match habits {
        Habits::Plain => "plain",
        Habits::DockerHub => "docker-hub",
        Habits::Ecr => "ecr",
        Habits::ArtifactRegistry => "artifact-registry",
        Habits::Ghcr => "ghcr",
        Habits::Quay => "quay",
    }
}

/// Content of its own for each scenario, or what one pulled would hide the fault of the next.
fn images(registry: &spec::Registry, salt: &str) -> Vec<String> {
    let lines = registry.images.iter();
    lines
        .map(|line| format!("{} salt={salt}", line.value))
        .collect()
}

fn tenant(azure: &Azure, nodes: &[IpAddr], stored: impl Fn(&str) -> Vec<String>) -> Value {
    let group = &azure.cluster.resource_group;
    let assign = azure.roles.iter().map(|grant| {
        let grant = &grant.value;
        json!({
            "to": principal(azure, &grant.who),
            "role": grant.role,
            "at": scope(&grant.on),
            "when": grant.when,
        })
    });
    let registries = azure.registries.iter().map(|registry| {
        json!({
            "name": registry.name,
            "resource-group": registry.resource_group,
            "sku": sku(registry.sku),
            "abac": registry.abac,
            "admin-user": registry.admin_user,
            "anonymous-pull": registry.anonymous_pull,
            "arm-audience": registry.arm_audience,
            "data-endpoint": registry.data_endpoint,
            "blobs-at": registry.blobs_at,
            "images": stored(&format!("{}.azurecr.io", registry.name)),
        })
    });
    let identities = azure
        .identities
        .iter()
        .map(|name| json!({"name": name, "resource-group": group}));
    json!({
        "name": "contoso",
        "users": [OPERATOR],
        "clusters": [{"name": azure.cluster.name, "resource-group": group, "nodes": nodes}],
        "registries": registries.collect::<Vec<_>>(),
        "identities": identities.collect::<Vec<_>>(),
        "assign": assign.collect::<Vec<_>>(),
    })
}

/// Somebody of the tenant, as the program spells it.
pub(super) fn principal(azure: &Azure, who: &str) -> String {
    match who {
        "kubelet" => format!("kubelet/{}", azure.cluster.name),
        "control-plane" => format!("control-plane/{}", azure.cluster.name),
        name => format!("identity/{name}"),
    }
}

pub(super) fn scope(on: &RoleScope) -> String {
    match on {
        RoleScope::Subscription => "subscription".to_owned(),
        RoleScope::ResourceGroup(name) => format!("resource-group/{name}"),
        RoleScope::Registry(name) => format!("registry/{name}"),
    }
}

pub(super) const fn sku(sku: Sku) -> &'static str {
    match sku {
        Sku::Basic => "Basic",
        Sku::Standard => "Standard",
        Sku::Premium => "Premium",
    }
}

/// `SelfSigned` as `self-signed`: the program's spelling of its own names.
pub(super) fn mode(mode: TlsMode) -> String {
    let mut text = String::new();
    for letter in format!("{mode:?}").chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use fake_registry::Builder;

    use super::*;

    #[tokio::test]
    async fn every_description_is_one_that_the_registry_reads() {
        let node: IpAddr = "172.18.0.2".parse().unwrap();
        let mut described = 0;
        for scenario in crate::catalogue::all().unwrap() {
            let Ok(config) = describe(&scenario, "salt", &[node]) else {
                continue;
            };
            let builder = Builder::from_yaml(&config.to_string());
            let builder = builder.unwrap_or_else(|error| panic!("{}: {error}", scenario.id()));
            let built = builder.build();
            assert!(built.is_ok(), "{}: {:?}", scenario.id(), built.err());
            described += 1;
        }
        assert!(described >= 70, "{described}");
    }

    #[test]
    fn the_spelling_of_modes() {
        let table = [
            (TlsMode::Valid, "valid"),
            (TlsMode::SelfSigned, "self-signed"),
            (TlsMode::UnknownCa, "unknown-ca"),
        ];
        for (one, want) in table {
            assert_eq!(mode(one), want);
            let read: TlsMode = serde_json::from_value(json!(want)).unwrap();
            assert_eq!(read, one);
        }
    }
}
