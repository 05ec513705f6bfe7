//! A tenant in YAML: the same few lines as with the builder, for `serve --config`.
//!
//! ```yaml
//! name: contoso
//! clusters: [{ name: aks1, resource-group: apps, nodes: [node-1] }]
//! registries: [{ name: contoso1, resource-group: registries, sku: premium }]
//! assign: [{ to: kubelet/aks1, role: AcrPull, at: registry/contoso1 }]
//! ```
//!
//! Somebody is `kind/name`, a scope is `kind/name`, `subscription`, `root` or a resource id.
//! Whether names hold together is for the state to say, as it is for a tenant from the builder.

use std::str::FromStr;

use indexmap::IndexMap;
use jiff::Timestamp;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, de};

use super::tenant::{
    AcrRegistry, CustomRole, ManagedCluster, Principal, RepositoryToken, Scope, Sku, Tenant,
};
use super::vnet::VirtualNetwork;
use crate::fault::Span;
use crate::keys::Secret;

/// A tenant as its file describes it, and the images of its registries.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Described {
    name: String,
    #[serde(default)]
    subscription: Option<String>,
    #[serde(default)]
    management_groups: Vec<String>,
    #[serde(default)]
    clusters: Vec<Cluster>,
    #[serde(default)]
    registries: Vec<Registry>,
    #[serde(default)]
    identities: Vec<Identity>,
    #[serde(default)]
    service_principals: Vec<Application>,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    groups: Vec<Group>,
    #[serde(default)]
    roles: Vec<Role>,
    #[serde(default)]
    assign: Vec<Assignment>,
    #[serde(default)]
    deny: Vec<Denial>,
    #[serde(default)]
    virtual_networks: Vec<Network>,
    #[serde(default)]
    private_dns_zones: Vec<Zone>,
    #[serde(default)]
    page_size: Option<usize>,
    #[serde(default)]
    grant_lag: Option<Span>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Cluster {
    name: String,
    resource_group: String,
    #[serde(default)]
    subscription: Option<String>,
    #[serde(default)]
    location: Option<String>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    nodes: Vec<String>,
    #[serde(default)]
    kubelet_identity: Option<String>,
    #[serde(default)]
    service_principal: Option<String>,
    #[serde(default = "yes")]
    identity_attached: bool,
    #[serde(default)]
    stopped: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Registry {
    name: String,
    resource_group: String,
    #[serde(default)]
    subscription: Option<String>,
    #[serde(default)]
    location: Option<String>,
    #[serde(default)]
    sku: Sku,
    #[serde(default)]
    admin_user: bool,
    #[serde(default)]
    anonymous_pull: bool,
    #[serde(default)]
    abac: bool,
    #[serde(default = "yes")]
    public_network: bool,
    #[serde(default)]
    allow_only: Option<Vec<String>>,
    #[serde(default)]
    private_endpoints: Vec<Endpoint>,
    #[serde(default)]
    data_endpoint: bool,
    #[serde(default)]
    blobs_at: Option<String>,
    #[serde(default = "yes")]
    arm_audience: bool,
    #[serde(default)]
    tokens: Vec<Token>,
    #[serde(default)]
    competing_load: Vec<Load>,
    /// Images and repositories that are locked against reading.
    #[serde(default)]
    unreadable: Vec<String>,
    #[serde(default)]
    images: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Network {
    name: String,
    resource_group: String,
    addresses: String,
    #[serde(default)]
    subnets: IndexMap<String, String>,
    /// Names and states.
    #[serde(default)]
    peerings: IndexMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Zone {
    name: String,
    resource_group: String,
    #[serde(default)]
    records: IndexMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Endpoint {
    name: String,
    #[serde(default)]
    status: Status,
    #[serde(default)]
    subnets: Vec<String>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Status {
    #[default]
    Approved,
    Pending,
    Rejected,
    Disconnected,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Approved => "Approved",
            Self::Pending => "Pending",
            Self::Rejected => "Rejected",
            Self::Disconnected => "Disconnected",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Token {
    name: String,
    password: Secret,
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    expires: Option<Timestamp>,
    #[serde(default)]
    allow: Vec<Allowed>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Allowed {
    repositories: String,
    actions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Load {
    /// Other identities if nobody is named.
    #[serde(default)]
    by: Option<Principal>,
    per_minute: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Identity {
    name: String,
    resource_group: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Application {
    name: String,
    secret: Secret,
    #[serde(default)]
    expires: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Group {
    name: String,
    #[serde(default)]
    members: Vec<Principal>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Role {
    name: String,
    #[serde(default)]
    actions: Vec<String>,
    #[serde(default)]
    not_actions: Vec<String>,
    #[serde(default)]
    data_actions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Assignment {
    to: Principal,
    role: String,
    at: Scope,
    /// A condition of version 2.0.
    #[serde(default)]
    when: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Denial {
    to: Principal,
    role: String,
    at: Scope,
}

fn yes() -> bool {
    true
}

fn texts(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

impl Described {
    /// The tenant, and the images by login server.
    pub(crate) fn into_tenant(self) -> (Tenant, Vec<(String, String)>) {
        let mut images = Vec::new();
        let mut tenant = Tenant::new(self.name);
        if let Some(id) = self.subscription {
            tenant = tenant.subscription(id);
        }
        for group in self.management_groups {
            tenant = tenant.management_group(group);
        }
        for cluster in self.clusters {
            tenant = tenant.cluster(cluster.into_cluster());
        }
        for registry in self.registries {
            let login_server = format!(
                "{}.{}",
                registry.name.to_ascii_lowercase(),
                tenant.cloud.registries()
            );
            let lines = registry.images.iter();
            images.extend(lines.map(|line| (login_server.clone(), line.clone())));
            tenant = tenant.registry(registry.into_registry());
        }
        for identity in self.identities {
            tenant = tenant.identity(identity.name, identity.resource_group);
        }
        for application in self.service_principals {
            let Application {
                name,
                secret,
                expires,
            } = application;
            tenant = tenant.service_principal(&name, &secret.0, expires);
        }
        for user in self.users {
            tenant = tenant.user(user);
        }
        for group in self.groups {
            tenant = tenant.group(group.name, &group.members);
        }
        for role in self.roles {
            tenant = tenant.custom_role(
                CustomRole::new(role.name)
                    .actions(&texts(&role.actions))
                    .not_actions(&texts(&role.not_actions))
                    .data_actions(&texts(&role.data_actions)),
            );
        }
        for Assignment { to, role, at, when } in self.assign {
            tenant = match when {
                Some(condition) => tenant.assign_when(to, &role, at, &condition),
                None => tenant.assign(to, &role, at),
            };
        }
        for Denial { to, role, at } in self.deny {
            tenant = tenant.deny(to, &role, at);
        }
        for network in self.virtual_networks {
            tenant = tenant.virtual_network(network.into_network());
        }
        for zone in self.private_dns_zones {
            let records = zone.records.iter();
            let records: Vec<(&str, &str)> = records
                .map(|(name, address)| (name.as_str(), address.as_str()))
                .collect();
            tenant = tenant.private_dns_zone(&zone.name, &zone.resource_group, &records);
        }
        if let Some(entries) = self.page_size {
            tenant = tenant.page_size(entries);
        }
        if let Some(time) = self.grant_lag {
            tenant = tenant.grant_lag(time.0);
        }
        (tenant, images)
    }
}

impl Network {
    fn into_network(self) -> VirtualNetwork {
        let mut network = VirtualNetwork::new(self.name, self.resource_group, self.addresses);
        for (name, addresses) in self.subnets {
            network = network.subnet(name, addresses);
        }
        for (name, state) in self.peerings {
            network = network.peering(name, state);
        }
        network
    }
}

impl Cluster {
    fn into_cluster(self) -> ManagedCluster {
        let mut cluster = ManagedCluster::new(self.name, self.resource_group)
            .nodes(self.nodes)
            .identity_attached(self.identity_attached)
            .stopped(self.stopped);
        if let Some(id) = self.subscription {
            cluster = cluster.subscription(id);
        }
        if let Some(location) = self.location {
            cluster = cluster.location(location);
        }
        if let Some(version) = self.version {
            cluster = cluster.version(version);
        }
        if let Some(name) = self.kubelet_identity {
            cluster = cluster.kubelet_identity(name);
        }
        if let Some(name) = self.service_principal {
            cluster = cluster.service_principal(name);
        }
        cluster
    }
}

impl Registry {
    fn into_registry(self) -> AcrRegistry {
        let mut registry = AcrRegistry::new(self.name, self.resource_group)
            .sku(self.sku)
            .admin_user(self.admin_user)
            .anonymous_pull(self.anonymous_pull)
            .abac(self.abac)
            .public_network(self.public_network)
            .data_endpoint(self.data_endpoint)
            .arm_audience(self.arm_audience);
        if let Some(id) = self.subscription {
            registry = registry.subscription(id);
        }
        if let Some(location) = self.location {
            registry = registry.location(location);
        }
        if let Some(addresses) = &self.allow_only {
            registry = registry.allow_only(&texts(addresses));
        }
        for endpoint in &self.private_endpoints {
            let subnets = texts(&endpoint.subnets);
            registry = registry.private_endpoint(&endpoint.name, endpoint.status.name(), &subnets);
        }
        if let Some(host) = self.blobs_at {
            registry = registry.blobs_at(host);
        }
        for what in &self.unreadable {
            registry = registry.unreadable(what);
        }
        for described in self.tokens {
            let mut token = RepositoryToken::new(described.name, described.password.0)
                .enabled(described.enabled);
            if let Some(at) = described.expires {
                token = token.expires(at);
            }
            for allowed in &described.allow {
                token = token.allow(&allowed.repositories, &texts(&allowed.actions));
            }
            registry = registry.token(token);
        }
        for load in self.competing_load {
            registry = registry.competing_load(load.by, load.per_minute);
        }
        registry
    }
}

/// Neither one of the kinds nor, for a scope, a resource id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is none of {known}")]
pub struct SpellingError {
    text: String,
    known: &'static str,
}

impl FromStr for Principal {
    type Err = SpellingError;

    /// Reads `kubelet/aks1`, `control-plane/aks1`, `identity/x`, `service-principal/x`, `user/x`,
    /// `group/x`, `object/GUID`.
    fn from_str(text: &str) -> Result<Self, SpellingError> {
        let known = "kubelet/NAME, control-plane/NAME, identity/NAME, service-principal/NAME, \
                     user/NAME, group/NAME, object/ID";
        let refused = || SpellingError {
            text: text.to_owned(),
            known,
        };
        let (kind, name) = text.split_once('/').ok_or_else(refused)?;
        if name.is_empty() {
            return Err(refused());
        }
        Ok(match kind {
            "kubelet" => Self::kubelet(name),
            "control-plane" => Self::control_plane(name),
            "identity" => Self::identity(name),
            "service-principal" => Self::service_principal(name),
            "user" => Self::user(name),
            "group" => Self::group(name),
            "object" => Self::object(name),
            _ => return Err(refused()),
        })
    }
}

impl FromStr for Scope {
    type Err = SpellingError;

    /// Reads `registry/x`, `resource-group/x`, `node-resource-group/CLUSTER`, `subscription`,
    /// `management-group/x`, `root`, or a resource id.
    fn from_str(text: &str) -> Result<Self, SpellingError> {
        let known = "registry/NAME, resource-group/NAME, node-resource-group/CLUSTER, \
                     subscription, management-group/NAME, root, a resource id";
        let refused = || SpellingError {
            text: text.to_owned(),
            known,
        };
        match text {
            "subscription" => return Ok(Self::Subscription),
            "root" => return Ok(Self::Root),
            id if id.starts_with('/') => return Ok(Self::id(id)),
            _ => {}
        }
        let (kind, name) = text.split_once('/').ok_or_else(refused)?;
        if name.is_empty() {
            return Err(refused());
        }
        Ok(match kind {
            "registry" => Self::registry(name),
            "resource-group" => Self::resource_group(name),
            "node-resource-group" => Self::node_resource_group(name),
            "management-group" => Self::management_group(name),
            _ => return Err(refused()),
        })
    }
}

impl<'de> Deserialize<'de> for Principal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Sku {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!("`{text}` is none of Basic, Standard, Premium"))
        })
    }
}
