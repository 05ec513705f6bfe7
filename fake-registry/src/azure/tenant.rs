//! A tenant described in a few lines: clusters, registries, identities, roles.
//!
//! Names are enough; ids follow from them, so that the same description has the same ids in every
//! run. `state` turns a description into what the endpoints answer from.

use std::time::Duration;

use jiff::Timestamp;

use super::cloud::Cloud;
use super::lock::Locks;
use super::vnet::{VirtualNetwork, Zone};
use crate::keys::Secret;

/// A tenant of Azure with one subscription or several.
#[derive(Clone, Debug)]
pub struct Tenant {
    pub(crate) name: String,
    pub(crate) cloud: Cloud,
    pub(crate) subscription: Option<String>,
    pub(crate) management_groups: Vec<String>,
    pub(crate) registries: Vec<AcrRegistry>,
    pub(crate) clusters: Vec<ManagedCluster>,
    pub(crate) identities: Vec<(String, String)>,
    pub(crate) service_principals: Vec<ServicePrincipal>,
    pub(crate) users: Vec<String>,
    pub(crate) groups: Vec<(String, Vec<Principal>)>,
    pub(crate) roles: Vec<CustomRole>,
    pub(crate) assignments: Vec<Assign>,
    pub(crate) page_size: usize,
    pub(crate) grant_lag: Duration,
    pub(crate) federated: Vec<(Principal, String, String)>,
    pub(crate) foreign: Vec<(String, String)>,
    pub(crate) networks: Vec<VirtualNetwork>,
    pub(crate) zones: Vec<Zone>,
}

/// One role assignment as described.
#[derive(Clone, Debug)]
pub(crate) struct Assign {
    pub(crate) principal: Principal,
    pub(crate) role: String,
    pub(crate) scope: Scope,
    pub(crate) condition: Option<String>,
    pub(crate) deny: bool,
}

/// Somebody who can have a role.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Principal {
    /// The kubelet identity of a cluster: the one that pulls.
    Kubelet(String),
    /// The control-plane identity of a cluster: the one that does not.
    ControlPlane(String),
    /// A user-assigned identity by name.
    Identity(String),
    /// A service principal by name.
    ServicePrincipal(String),
    /// A user by name.
    User(String),
    /// A group by name.
    Group(String),
    /// An object id, known to the tenant or not.
    Object(String),
}

/// Where a role holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// A registry by name.
    Registry(String),
    /// A resource group of the default subscription.
    ResourceGroup(String),
    /// The node resource group (`MC_…`) of a cluster.
    NodeResourceGroup(String),
    /// The default subscription.
    Subscription,
    /// A management group.
    ManagementGroup(String),
    /// `/`
    Root,
    /// A resource id as it is.
    Id(String),
}

macro_rules! named {
    ($type:ident, $($function:ident => $variant:ident: $doc:literal),+ $(,)?) => {
        impl $type {
            $(#[doc = $doc]
            pub fn $function(name: impl Into<String>) -> Self {
                Self::$variant(name.into())
            })+
        }
    };
}

named!(Principal,
    kubelet => Kubelet: "The kubelet identity of a cluster.",
    control_plane => ControlPlane: "The control-plane identity of a cluster.",
    identity => Identity: "A user-assigned identity.",
    service_principal => ServicePrincipal: "A service principal.",
    user => User: "A user.",
    group => Group: "A group.",
    object => Object: "An object id.",
);
named!(Scope,
    registry => Registry: "A registry.",
    resource_group => ResourceGroup: "A resource group of the default subscription.",
    node_resource_group => NodeResourceGroup: "The node resource group of a cluster.",
    management_group => ManagementGroup: "A management group.",
    id => Id: "A resource id.",
);

/// A tier of Azure Container Registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sku {
    /// Basic.
    Basic,
    /// Standard.
    #[default]
    Standard,
    /// Premium.
    Premium,
}

impl Sku {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Basic => "Basic",
            Self::Standard => "Standard",
            Self::Premium => "Premium",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Basic, Self::Standard, Self::Premium]
            .into_iter()
            .find(|sku| sku.name().eq_ignore_ascii_case(name))
    }
}

/// A registry of Azure Container Registry; answers at `<name>.azurecr.io`.
#[derive(Clone, Debug)]
pub struct AcrRegistry {
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) subscription: Option<String>,
    pub(crate) location: String,
    pub(crate) sku: Sku,
    pub(crate) admin_user: bool,
    pub(crate) anonymous_pull: bool,
    pub(crate) abac: bool,
    pub(crate) public_network: bool,
    pub(crate) allowed: Option<Vec<String>>,
    pub(crate) private_endpoints: Vec<PrivateEndpoint>,
    pub(crate) data_endpoint: bool,
    pub(crate) blob_host: Option<String>,
    pub(crate) arm_audience: bool,
    pub(crate) tokens: Vec<RepositoryToken>,
    pub(crate) loads: Vec<Load>,
    pub(crate) locks: Locks,
}

/// Requests that other clients take out of the data-plane read bucket.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) principal: Option<Principal>,
    pub(crate) per_minute: u32,
}

/// A private endpoint and who reaches the registry through it.
#[derive(Clone, Debug)]
pub(crate) struct PrivateEndpoint {
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) subnets: Vec<String>,
}

/// A repository-scoped token with its scope map.
#[derive(Clone, Debug)]
pub struct RepositoryToken {
    pub(crate) name: String,
    pub(crate) password: Secret,
    pub(crate) enabled: bool,
    pub(crate) expires: Option<Timestamp>,
    /// `team/*` and its actions, such as `content/read`.
    pub(crate) rights: Vec<(String, Vec<String>)>,
}

impl RepositoryToken {
    /// An enabled token without rights.
    pub fn new(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            password: Secret(password.into()),
            enabled: true,
            expires: None,
            rights: Vec::new(),
        }
    }

    /// Allows actions (`content/read`, `content/write`, `content/delete`, `metadata/read`,
    /// `metadata/write`) on repositories (`name`, `prefix/*` or `*`).
    #[must_use]
    pub fn allow(mut self, repositories: &str, actions: &[&str]) -> Self {
        self.rights.push((
            repositories.to_owned(),
            actions.iter().map(ToString::to_string).collect(),
        ));
        self
    }

    /// Whether it can be used.
    #[must_use]
    pub fn enabled(mut self, on: bool) -> Self {
        self.enabled = on;
        self
    }

    /// When its password stops working.
    #[must_use]
    pub fn expires(mut self, at: Timestamp) -> Self {
        self.expires = Some(at);
        self
    }
}

impl AcrRegistry {
    /// A Standard registry in a resource group, reachable from everywhere, roles in legacy mode.
    pub fn new(name: impl Into<String>, resource_group: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            group: resource_group.into(),
            subscription: None,
            location: "eastus".into(),
            sku: Sku::default(),
            admin_user: false,
            anonymous_pull: false,
            abac: false,
            public_network: true,
            allowed: None,
            private_endpoints: Vec::new(),
            data_endpoint: false,
            blob_host: None,
            arm_audience: true,
            tokens: Vec::new(),
            loads: Vec::new(),
            locks: Locks::new(),
        }
    }

    /// In another subscription than the tenant's first.
    #[must_use]
    pub fn subscription(mut self, id: impl Into<String>) -> Self {
        self.subscription = Some(id.into());
        self
    }

    /// The region; `eastus` by default.
    #[must_use]
    pub fn location(mut self, location: impl Into<String>) -> Self {
        self.location = location.into();
        self
    }

    /// The tier.
    #[must_use]
    pub fn sku(mut self, sku: Sku) -> Self {
        self.sku = sku;
        self
    }

    /// Whether the admin user can log in.
    #[must_use]
    pub fn admin_user(mut self, on: bool) -> Self {
        self.admin_user = on;
        self
    }

    /// Whether anybody can pull.
    #[must_use]
    pub fn anonymous_pull(mut self, on: bool) -> Self {
        self.anonymous_pull = on;
        self
    }

    /// Whether roles are those of repositories (`AbacRepositoryPermissions`).
    #[must_use]
    pub fn abac(mut self, on: bool) -> Self {
        self.abac = on;
        self
    }

    /// Whether it is reachable other than through private endpoints.
    #[must_use]
    pub fn public_network(mut self, on: bool) -> Self {
        self.public_network = on;
        self
    }

    /// Denies all addresses but these (`20.1.2.3`, `20.1.0.0/16`).
    #[must_use]
    pub fn allow_only(mut self, addresses: &[&str]) -> Self {
        self.allowed = Some(addresses.iter().map(ToString::to_string).collect());
        self
    }

    /// A private endpoint with a status (`Approved`, `Pending`, `Rejected`, `Disconnected`) and
    /// the subnets whose clients come through it.
    #[must_use]
    pub fn private_endpoint(mut self, name: &str, status: &str, subnets: &[&str]) -> Self {
        self.private_endpoints.push(PrivateEndpoint {
            name: name.into(),
            status: status.into(),
            subnets: subnets.iter().map(ToString::to_string).collect(),
        });
        self
    }

    /// Whether blobs come from the dedicated data endpoint `<name>.<region>.data.azurecr.io`.
    #[must_use]
    pub fn data_endpoint(mut self, on: bool) -> Self {
        self.data_endpoint = on;
        self
    }

    /// Blobs come from a storage account, as they do without a data endpoint
    /// (`eusmanaged1.blob.core.windows.net`). Without either, they come from the login server.
    #[must_use]
    pub fn blobs_at(mut self, host: impl Into<String>) -> Self {
        self.blob_host = Some(host.into());
        self
    }

    /// Whether tokens for ARM are taken at the exchange (`azureADAuthenticationAsArmPolicy`).
    #[must_use]
    pub fn arm_audience(mut self, on: bool) -> Self {
        self.arm_audience = on;
        self
    }

    /// Adds a repository-scoped token.
    #[must_use]
    pub fn token(mut self, token: RepositoryToken) -> Self {
        self.tokens.push(token);
        self
    }

    /// Other clients of the same identity (or, with `None`, of other identities) that read so many
    /// times a minute.
    #[must_use]
    pub fn competing_load(mut self, principal: Option<Principal>, per_minute: u32) -> Self {
        self.loads.push(Load {
            principal,
            per_minute,
        });
        self
    }
}

/// A managed cluster (AKS) with its two identities and its nodes.
#[derive(Clone, Debug)]
pub struct ManagedCluster {
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) subscription: Option<String>,
    pub(crate) location: String,
    pub(crate) version: String,
    pub(crate) kubelet_identity: Option<String>,
    pub(crate) service_principal: Option<String>,
    pub(crate) nodes: Vec<String>,
    pub(crate) attached: bool,
    pub(crate) stopped: bool,
}

impl ManagedCluster {
    /// A cluster in a resource group with system-made identities and no nodes.
    pub fn new(name: impl Into<String>, resource_group: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            group: resource_group.into(),
            subscription: None,
            location: "eastus".into(),
            version: "1.36.0".into(),
            kubelet_identity: None,
            service_principal: None,
            nodes: Vec::new(),
            attached: true,
            stopped: false,
        }
    }

    /// In another subscription than the tenant's first.
    #[must_use]
    pub fn subscription(mut self, id: impl Into<String>) -> Self {
        self.subscription = Some(id.into());
        self
    }

    /// The region; `eastus` by default.
    #[must_use]
    pub fn location(mut self, location: impl Into<String>) -> Self {
        self.location = location.into();
        self
    }

    /// The version of Kubernetes.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// Adds a node; the name is the client's name on its connections (`Conn::client`).
    #[must_use]
    pub fn node(mut self, name: impl Into<String>) -> Self {
        self.nodes.push(name.into());
        self
    }

    /// Adds nodes.
    #[must_use]
    pub fn nodes<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.nodes.extend(names.into_iter().map(Into::into));
        self
    }

    /// An identity of the tenant pulls instead of `<cluster>-agentpool`.
    #[must_use]
    pub fn kubelet_identity(mut self, name: impl Into<String>) -> Self {
        self.kubelet_identity = Some(name.into());
        self
    }

    /// The cluster uses a service principal of the tenant instead of managed identities.
    #[must_use]
    pub fn service_principal(mut self, name: impl Into<String>) -> Self {
        self.service_principal = Some(name.into());
        self
    }

    /// Whether the kubelet identity is attached to the scale set, as it should be.
    #[must_use]
    pub fn identity_attached(mut self, on: bool) -> Self {
        self.attached = on;
        self
    }

    /// Whether the cluster is stopped.
    #[must_use]
    pub fn stopped(mut self, on: bool) -> Self {
        self.stopped = on;
        self
    }
}

/// An application with a secret.
#[derive(Clone, Debug)]
pub(crate) struct ServicePrincipal {
    pub(crate) name: String,
    pub(crate) secret: Secret,
    pub(crate) expires: Option<Timestamp>,
}

/// A role of the tenant's own.
#[derive(Clone, Debug)]
pub struct CustomRole {
    pub(crate) name: String,
    pub(crate) actions: Vec<String>,
    pub(crate) not_actions: Vec<String>,
    pub(crate) data_actions: Vec<String>,
}

impl CustomRole {
    /// A role that allows nothing yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            actions: Vec::new(),
            not_actions: Vec::new(),
            data_actions: Vec::new(),
        }
    }

    /// Allows control-plane actions.
    #[must_use]
    pub fn actions(mut self, actions: &[&str]) -> Self {
        self.actions.extend(actions.iter().map(ToString::to_string));
        self
    }

    /// Takes control-plane actions out again.
    #[must_use]
    pub fn not_actions(mut self, actions: &[&str]) -> Self {
        self.not_actions
            .extend(actions.iter().map(ToString::to_string));
        self
    }

    /// Allows actions on data.
    #[must_use]
    pub fn data_actions(mut self, actions: &[&str]) -> Self {
        self.data_actions
            .extend(actions.iter().map(ToString::to_string));
        self
    }
}

impl Tenant {
    /// An empty tenant.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            cloud: Cloud::Public,
            subscription: None,
            management_groups: Vec::new(),
            registries: Vec::new(),
            clusters: Vec::new(),
            identities: Vec::new(),
            service_principals: Vec::new(),
            users: Vec::new(),
            groups: Vec::new(),
            roles: Vec::new(),
            assignments: Vec::new(),
            page_size: 100,
            grant_lag: Duration::from_mins(10),
            federated: Vec::new(),
            foreign: Vec::new(),
            networks: Vec::new(),
            zones: Vec::new(),
        }
    }

    /// The cloud that it is in, the public one otherwise: names of registries and endpoints, audiences of tokens.
    #[must_use]
    pub fn cloud(mut self, cloud: Cloud) -> Self {
        self.cloud = cloud;
        self
    }

    /// A federated credential: Entra takes tokens of this issuer and subject for somebody's own.
    #[must_use]
    pub fn federated(mut self, who: Principal, issuer: &str, subject: &str) -> Self {
        self.federated.push((who, issuer.into(), subject.into()));
        self
    }

    /// A subscription that belongs to another tenant and is only looked at from here: its registries take no
    /// identity of this one.
    #[must_use]
    pub fn foreign_subscription(mut self, id: &str, tenant_id: &str) -> Self {
        self.foreign.push((id.into(), tenant_id.into()));
        self
    }

    /// The id of the default subscription; one that follows from the tenant's name otherwise.
    #[must_use]
    pub fn subscription(mut self, id: impl Into<String>) -> Self {
        self.subscription = Some(id.into());
        self
    }

    /// A management group above all subscriptions.
    #[must_use]
    pub fn management_group(mut self, id: impl Into<String>) -> Self {
        self.management_groups.push(id.into());
        self
    }

    /// Adds a registry.
    #[must_use]
    pub fn registry(mut self, registry: AcrRegistry) -> Self {
        self.registries.push(registry);
        self
    }

    /// Adds a cluster.
    #[must_use]
    pub fn cluster(mut self, cluster: ManagedCluster) -> Self {
        self.clusters.push(cluster);
        self
    }

    /// Adds a user-assigned identity in a resource group.
    #[must_use]
    pub fn identity(mut self, name: impl Into<String>, resource_group: impl Into<String>) -> Self {
        self.identities.push((name.into(), resource_group.into()));
        self
    }

    /// Adds a service principal with a secret.
    #[must_use]
    pub fn service_principal(
        mut self,
        name: &str,
        secret: &str,
        expires: Option<Timestamp>,
    ) -> Self {
        self.service_principals.push(ServicePrincipal {
            name: name.into(),
            secret: Secret(secret.into()),
            expires,
        });
        self
    }

    /// Adds a user.
    #[must_use]
    pub fn user(mut self, name: impl Into<String>) -> Self {
        self.users.push(name.into());
        self
    }

    /// Adds a group.
    #[must_use]
    pub fn group(mut self, name: impl Into<String>, members: &[Principal]) -> Self {
        self.groups.push((name.into(), members.to_vec()));
        self
    }

    /// Adds a role.
    #[must_use]
    pub fn custom_role(mut self, role: CustomRole) -> Self {
        self.roles.push(role);
        self
    }

    /// Gives somebody a role, by name or id, at a scope.
    #[must_use]
    pub fn assign(self, principal: Principal, role: &str, scope: Scope) -> Self {
        self.assign_entry(principal, role, scope, None, false)
    }

    /// Gives somebody a role under a condition (version 2.0).
    #[must_use]
    pub fn assign_when(
        self,
        principal: Principal,
        role: &str,
        scope: Scope,
        condition: &str,
    ) -> Self {
        self.assign_entry(principal, role, scope, Some(condition.into()), false)
    }

    /// A deny assignment: takes away what the role would allow, whatever else allows it.
    #[must_use]
    pub fn deny(self, principal: Principal, role: &str, scope: Scope) -> Self {
        self.assign_entry(principal, role, scope, None, true)
    }

    fn assign_entry(
        mut self,
        principal: Principal,
        role: &str,
        scope: Scope,
        condition: Option<String>,
        deny: bool,
    ) -> Self {
        self.assignments.push(Assign {
            principal,
            role: role.into(),
            scope,
            condition,
            deny,
        });
        self
    }

    /// Entries of one page of an ARM list; 100 by default.
    #[must_use]
    pub fn page_size(mut self, entries: usize) -> Self {
        self.page_size = entries.max(1);
        self
    }

    /// How long a registry's token server goes on granting what it found at the exchange after a
    /// role is gone; 10 minutes by default.
    #[must_use]
    pub fn grant_lag(mut self, time: Duration) -> Self {
        self.grant_lag = time;
        self
    }
}
