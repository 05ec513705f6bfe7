//! The state of a tenant: what the endpoints answer from, and what the writes change.
//!
//! Ids are made from names and never change. Resource ids compare without regard to case, as they
//! do in Azure, where AKS alone spells `resourceGroups` in two ways.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::arm::operations::Operations;
use super::cloud::Cloud;
use super::condition::{Condition, ConditionError};
use super::network::Cidr;
use super::roles::{self, Role};
use super::tenant::{
    AcrRegistry, Assign, Load, ManagedCluster, Principal, PrivateEndpoint, RepositoryToken, Scope,
    Sku, Tenant,
};
use crate::random::named_guid;

pub(crate) struct State {
    pub(crate) name: String,
    pub(crate) cloud: Cloud,
    pub(crate) tenant_id: String,
    pub(crate) subscription: String,
    pub(crate) subscriptions: BTreeSet<String>,
    pub(crate) management_groups: BTreeSet<String>,
    pub(crate) registries: Vec<Acr>,
    pub(crate) clusters: Vec<Cluster>,
    pub(crate) machines: BTreeMap<String, Machine>,
    /// By object id.
    pub(crate) principals: BTreeMap<String, Who>,
    pub(crate) roles: Vec<Role>,
    pub(crate) assignments: Vec<Assignment>,
    pub(crate) page_size: usize,
    pub(crate) grant_lag: Duration,
    /// Subscriptions of other tenants, with these.
    pub(crate) foreign: Vec<(String, String)>,
    /// Object id, issuer and subject of federated credentials.
    pub(crate) federated: Vec<(String, String, String)>,
    pub(crate) start: Timestamp,
    /// Resources of `Microsoft.Network` by id in lower case.
    pub(crate) documents: BTreeMap<String, Value>,
    pub(super) operations: Operations,
}

pub(crate) struct Acr {
    pub(crate) id: String,
    pub(crate) login_server: String,
    pub(crate) subscription: String,
    /// As described, and as changed since.
    pub(crate) spec: AcrRegistry,
    pub(crate) allowed: Option<Vec<(String, Cidr)>>,
    /// Rules that are there and mean nothing, since everything is allowed.
    pub(crate) idle: Vec<(String, Cidr)>,
    pub(crate) private: Vec<(PrivateEndpoint, Vec<Cidr>)>,
    pub(crate) admin_passwords: [String; 2],
    /// The identity, if any, and its requests a minute.
    pub(crate) loads: Vec<(Option<String>, u32)>,
}

pub(crate) struct Cluster {
    pub(crate) id: String,
    pub(crate) spec: ManagedCluster,
    pub(crate) subscription: String,
    pub(crate) node_group: String,
    pub(crate) scale_set: String,
    /// Object ids.
    pub(crate) kubelet: String,
    pub(crate) control_plane: String,
    /// What its traffic to the outside goes through.
    pub(crate) outbound: String,
}

pub(crate) struct Machine {
    pub(crate) id: String,
    pub(crate) group: String,
    pub(crate) subscription: String,
    pub(crate) location: String,
    pub(crate) scale_set: String,
    /// Object ids of attached identities.
    pub(crate) identities: Vec<String>,
}

pub(crate) struct Who {
    pub(crate) object_id: String,
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) client_id: String,
    /// Resource id of a managed identity.
    pub(crate) resource_id: Option<String>,
    pub(crate) location: String,
    pub(crate) secret: Option<(String, Option<Timestamp>)>,
    pub(crate) members: Vec<String>,
}

pub(crate) struct Assignment {
    pub(crate) name: String,
    pub(crate) scope: String,
    pub(crate) role: String,
    pub(crate) principal: String,
    pub(crate) kind: String,
    pub(crate) condition: Option<(String, Condition)>,
    pub(crate) deny: bool,
    pub(crate) created: Timestamp,
}

/// A description of a tenant that does not hold together, or a change that names something that
/// is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AzureError {
    /// There is no tenant.
    #[error("the registry was built without a tenant")]
    NoTenant,
    /// Nobody of that name.
    #[error("no principal {0:?} in the tenant")]
    Principal(Principal),
    /// No such place.
    #[error("no scope {0:?} in the tenant")]
    Scope(Scope),
    /// Neither a built-in nor a custom role.
    #[error("no role `{0}`")]
    Role(String),
    /// No registry of that name or login server.
    #[error("no registry `{0}` in the tenant")]
    Registry(String),
    /// No cluster of that name.
    #[error("no cluster `{0}` in the tenant")]
    Cluster(String),
    /// No node of that name.
    #[error("no node `{0}` in the tenant")]
    Node(String),
    /// Nothing to take away.
    #[error("no assignment of `{role}` to {principal:?} at {scope:?}")]
    Assignment {
        /// Who.
        principal: Principal,
        /// Which role.
        role: String,
        /// Where.
        scope: Scope,
    },
    /// Not an address or a range of them.
    #[error("`{0}` is neither an address nor a CIDR range")]
    Address(String),
    /// A condition that cannot be read.
    #[error("the condition of an assignment")]
    Condition(#[from] ConditionError),
}

impl State {
    pub(crate) fn new(tenant: &Tenant, start: Timestamp) -> Result<Self, AzureError> {
        let name = tenant.name.as_str();
        let id = |what: &str| named_guid(0, &format!("{name}/{what}"));
        let subscription = tenant
            .subscription
            .clone()
            .unwrap_or_else(|| id("subscription"));
        let mut state = Self {
            name: name.to_owned(),
            cloud: tenant.cloud,
            tenant_id: id("tenant"),
            subscriptions: BTreeSet::from([subscription.clone()]),
            subscription,
            management_groups: tenant.management_groups.iter().cloned().collect(),
            registries: Vec::new(),
            clusters: Vec::new(),
            machines: BTreeMap::new(),
            principals: BTreeMap::new(),
            roles: roles::built_in(),
            assignments: Vec::new(),
            page_size: tenant.page_size,
            grant_lag: tenant.grant_lag,
            foreign: tenant.foreign.clone(),
            federated: Vec::new(),
            start,
            documents: BTreeMap::new(),
            operations: Operations::default(),
        };
        for (identity, group) in &tenant.identities {
            let at = Self::group_id(&state.subscription, group);
            state.add_identity(identity, &at, "eastus");
        }
        for principal in &tenant.service_principals {
            let secret = Some((principal.secret.0.clone(), principal.expires));
            state.add_principal("ServicePrincipal", &principal.name, secret, Vec::new());
        }
        for user in &tenant.users {
            state.add_principal("User", user, None, Vec::new());
        }
        for cluster in &tenant.clusters {
            state.add_cluster(cluster)?;
        }
        for (group, members) in &tenant.groups {
            let members = members
                .iter()
                .map(|member| state.object_id(member))
                .collect::<Result<_, _>>()?;
            state.add_principal("Group", group, None, members);
        }
        for registry in &tenant.registries {
            state.add_registry(registry)?;
        }
        for role in &tenant.roles {
            state.roles.push(Role {
                id: id(&format!("role/{}", role.name)),
                name: role.name.clone(),
                description: String::new(),
                custom: true,
                actions: role.actions.clone(),
                not_actions: role.not_actions.clone(),
                data_actions: role.data_actions.clone(),
                not_data_actions: Vec::new(),
                assignable_scopes: vec![format!("/subscriptions/{}", state.subscription)],
            });
        }
        for (who, issuer, subject) in &tenant.federated {
            let object_id = state.object_id(who)?;
            let federated = (object_id, issuer.clone(), subject.clone());
            state.federated.push(federated);
        }
        state.add_networks(tenant)?;
        for assign in &tenant.assignments {
            state.assign(assign, start)?;
        }
        // Loads name principals, so they come last.
        for (position, registry) in tenant.registries.iter().enumerate() {
            let loads = state.resolve_loads(&registry.loads)?;
            if let Some(acr) = state.registries.get_mut(position) {
                acr.loads = loads;
            }
        }
        Ok(state)
    }

    /// The tenant that a subscription belongs to.
    pub(crate) fn tenant_of(&self, subscription: &str) -> &str {
        let foreign = self.foreign.iter();
        let found = foreign
            .rev()
            .find(|(id, _)| id.eq_ignore_ascii_case(subscription));
        found.map_or(&self.tenant_id, |(_, tenant)| tenant)
    }

    pub(crate) fn guid(&self, what: &str) -> String {
        named_guid(0, &format!("{}/{what}", self.name))
    }

    pub(crate) fn group_id(subscription: &str, group: &str) -> String {
        format!("/subscriptions/{subscription}/resourceGroups/{group}")
    }

    fn add_identity(&mut self, name: &str, group_id: &str, location: &str) -> String {
        let resource_id =
            format!("{group_id}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}");
        let object_id = self.guid(&format!("identity/{name}/object"));
        let who = Who {
            object_id: object_id.clone(),
            kind: "ServicePrincipal",
            name: name.to_owned(),
            client_id: self.guid(&format!("identity/{name}/client")),
            resource_id: Some(resource_id),
            location: location.to_owned(),
            secret: None,
            members: Vec::new(),
        };
        self.principals.insert(object_id.clone(), who);
        object_id
    }

    fn add_principal(
        &mut self,
        kind: &'static str,
        name: &str,
        secret: Option<(String, Option<Timestamp>)>,
        members: Vec<String>,
    ) {
        let object_id = self.guid(&format!("{kind}/{name}/object"));
        let who = Who {
            object_id: object_id.clone(),
            kind,
            name: name.to_owned(),
            client_id: self.guid(&format!("{kind}/{name}/client")),
            resource_id: None,
            location: String::new(),
            secret,
            members,
        };
        self.principals.insert(object_id, who);
    }

    fn add_cluster(&mut self, spec: &ManagedCluster) -> Result<(), AzureError> {
        let subscription = spec
            .subscription
            .clone()
            .unwrap_or_else(|| self.subscription.clone());
        self.subscriptions.insert(subscription.clone());
        let ManagedCluster {
            name,
            group,
            location,
            ..
        } = spec;
        let node_group = format!("MC_{group}_{name}_{location}");
        let node_group_id = Self::group_id(&subscription, &node_group);
        let kubelet = match (&spec.service_principal, &spec.kubelet_identity) {
            (Some(principal), _) => {
                self.object_id(&Principal::ServicePrincipal(principal.clone()))?
            }
            (None, Some(identity)) => self.object_id(&Principal::Identity(identity.clone()))?,
            (None, None) => {
                self.add_identity(&format!("{name}-agentpool"), &node_group_id, location)
            }
        };
        let control_plane = if let Some(principal) = &spec.service_principal {
            self.object_id(&Principal::ServicePrincipal(principal.clone()))?
        } else {
            // A system-assigned identity has the cluster's name.
            self.add_principal("ServicePrincipal", name, None, Vec::new());
            self.guid(&format!("ServicePrincipal/{name}/object"))
        };
        let number: u64 = self
            .guid(&format!("scale-set/{name}"))
            .bytes()
            .filter(u8::is_ascii_digit)
            .take(8)
            .fold(0, |n, b| n * 10 + u64::from(b - b'0'));
        self.clusters.push(Cluster {
            id: format!("/subscriptions/{subscription}/resourcegroups/{group}/providers/Microsoft.ContainerService/managedClusters/{name}"),
            spec: spec.clone(),
            subscription,
            node_group,
            scale_set: format!("aks-nodepool1-{number:08}-vmss"),
            kubelet,
            control_plane,
            outbound: "loadBalancer".into(),
        });
        for node in &spec.nodes {
            self.add_node(name, node)?;
        }
        Ok(())
    }

    /// A machine in the scale set of a cluster; gives its provider id. One that is there already
    /// stays as it is.
    pub(crate) fn add_node(&mut self, cluster: &str, node: &str) -> Result<String, AzureError> {
        if let Some(machine) = self.machines.get(node) {
            return Ok(provider_id(machine));
        }
        let found = self
            .clusters
            .iter()
            .find(|found| found.spec.name == cluster);
        let found = found.ok_or_else(|| AzureError::Cluster(cluster.to_owned()))?;
        let number = self
            .machines
            .values()
            .filter(|machine| machine.scale_set == found.scale_set)
            .count();
        let group_id = Self::group_id(&found.subscription, &found.node_group);
        let managed = found.spec.attached && found.spec.service_principal.is_none();
        let machine = Machine {
            id: format!(
                "{group_id}/providers/Microsoft.Compute/virtualMachineScaleSets/{}/virtualMachines/{number}",
                found.scale_set
            ),
            group: found.node_group.clone(),
            subscription: found.subscription.clone(),
            location: found.spec.location.clone(),
            scale_set: found.scale_set.clone(),
            identities: if managed {
                vec![found.kubelet.clone()]
            } else {
                Vec::new()
            },
        };
        let provider_id = provider_id(&machine);
        self.machines.insert(node.to_owned(), machine);
        Ok(provider_id)
    }

    fn add_registry(&mut self, spec: &AcrRegistry) -> Result<(), AzureError> {
        let subscription = spec
            .subscription
            .clone()
            .unwrap_or_else(|| self.subscription.clone());
        self.subscriptions.insert(subscription.clone());
        let group_id = Self::group_id(&subscription, &spec.group);
        let private = spec.private_endpoints.iter().map(|endpoint| {
            let subnets = endpoint
                .subnets
                .iter()
                .map(|text| cidr(text))
                .collect::<Result<_, _>>()?;
            Ok((endpoint.clone(), subnets))
        });
        let password = |number: u8| {
            self.guid(&format!("registry/{}/password{number}", spec.name))
                .replace('-', "")
        };
        self.registries.push(Acr {
            id: format!(
                "{group_id}/providers/Microsoft.ContainerRegistry/registries/{}",
                spec.name
            ),
            login_server: format!(
                "{}.{}",
                spec.name.to_ascii_lowercase(),
                self.cloud.registries()
            ),
            subscription,
            allowed: spec.allowed.as_deref().map(ranges).transpose()?,
            idle: Vec::new(),
            private: private.collect::<Result<_, AzureError>>()?,
            admin_passwords: [password(1), password(2)],
            loads: Vec::new(),
            spec: spec.clone(),
        });
        Ok(())
    }

    pub(crate) fn resolve_loads(
        &self,
        loads: &[Load],
    ) -> Result<Vec<(Option<String>, u32)>, AzureError> {
        let resolve = |load: &Load| {
            let principal = load
                .principal
                .as_ref()
                .map(|principal| self.object_id(principal))
                .transpose()?;
            Ok((principal, load.per_minute))
        };
        loads.iter().map(resolve).collect()
    }

    /// Adds an assignment; gives its id.
    pub(crate) fn assign(&mut self, assign: &Assign, now: Timestamp) -> Result<String, AzureError> {
        let principal = self.object_id(&assign.principal)?;
        let role = self
            .role(&assign.role)
            .ok_or_else(|| AzureError::Role(assign.role.clone()))?
            .id
            .clone();
        let scope = self.scope_id(&assign.scope)?;
        let condition = match &assign.condition {
            None => None,
            Some(text) => Some((text.clone(), Condition::parse(text)?)),
        };
        let kind = self
            .principals
            .get(&principal)
            .map_or("Unknown", |who| who.kind);
        let name = self.guid(&format!(
            "assignment/{scope}/{role}/{principal}/{}",
            assign.deny
        ));
        let assignment = Assignment {
            name,
            scope,
            role,
            kind: kind.to_owned(),
            principal,
            condition,
            deny: assign.deny,
            created: now,
        };
        let id = assignment.id();
        self.assignments
            .retain(|other| other.name != assignment.name);
        self.assignments.push(assignment);
        Ok(id)
    }

    pub(crate) fn unassign(
        &mut self,
        principal: &Principal,
        role: &str,
        scope: &Scope,
    ) -> Result<(), AzureError> {
        let object_id = self.object_id(principal)?;
        let role_id = self
            .role(role)
            .ok_or_else(|| AzureError::Role(role.to_owned()))?
            .id
            .clone();
        let scope_id = self.scope_id(scope)?;
        let before = self.assignments.len();
        self.assignments.retain(|found| {
            found.deny
                || found.principal != object_id
                || found.role != role_id
                || !found.scope.eq_ignore_ascii_case(&scope_id)
        });
        if self.assignments.len() < before {
            return Ok(());
        }
        Err(AzureError::Assignment {
            principal: principal.clone(),
            role: role.to_owned(),
            scope: scope.clone(),
        })
    }

    /// A role by name or id.
    pub(crate) fn role(&self, name: &str) -> Option<&Role> {
        let id = name.rsplit('/').next().unwrap_or(name);
        self.roles
            .iter()
            .find(|role| role.name.eq_ignore_ascii_case(name) || role.id.eq_ignore_ascii_case(id))
    }

    pub(crate) fn object_id(&self, principal: &Principal) -> Result<String, AzureError> {
        let unknown = || AzureError::Principal(principal.clone());
        let named = |kind: &str, name: &str| {
            let wanted =
                |who: &&Who| who.kind == kind && who.name == name && who.resource_id.is_none();
            self.principals
                .values()
                .find(wanted)
                .map(|who| who.object_id.clone())
                .ok_or_else(unknown)
        };
        match principal {
            Principal::Kubelet(name) => self
                .cluster(name)
                .map(|cluster| cluster.kubelet.clone())
                .ok_or_else(unknown),
            Principal::ControlPlane(name) => self
                .cluster(name)
                .map(|cluster| cluster.control_plane.clone())
                .ok_or_else(unknown),
            Principal::Identity(name) => {
                let wanted = |who: &&Who| who.name == *name && who.resource_id.is_some();
                self.principals
                    .values()
                    .find(wanted)
                    .map(|who| who.object_id.clone())
                    .ok_or_else(unknown)
            }
            Principal::ServicePrincipal(name) => named("ServicePrincipal", name),
            Principal::User(name) => named("User", name),
            Principal::Group(name) => named("Group", name),
            Principal::Object(id) => Ok(id.to_ascii_lowercase()),
        }
    }

    pub(crate) fn scope_id(&self, scope: &Scope) -> Result<String, AzureError> {
        let unknown = || AzureError::Scope(scope.clone());
        match scope {
            Scope::Registry(name) => self
                .registry(name)
                .map(|acr| acr.id.clone())
                .ok_or_else(unknown),
            Scope::ResourceGroup(name) => Ok(Self::group_id(&self.subscription, name)),
            Scope::NodeResourceGroup(name) => {
                let cluster = self.cluster(name).ok_or_else(unknown)?;
                Ok(Self::group_id(&cluster.subscription, &cluster.node_group))
            }
            Scope::Subscription => Ok(format!("/subscriptions/{}", self.subscription)),
            Scope::ManagementGroup(id) if self.management_groups.contains(id) => Ok(format!(
                "/providers/Microsoft.Management/managementGroups/{id}"
            )),
            Scope::ManagementGroup(_) => Err(unknown()),
            Scope::Root => Ok("/".into()),
            Scope::Id(id) => Ok(id.clone()),
        }
    }

    pub(crate) fn cluster(&self, name: &str) -> Option<&Cluster> {
        self.clusters
            .iter()
            .find(|cluster| cluster.spec.name == name)
    }

    /// A registry by name or login server.
    pub(crate) fn registry(&self, name: &str) -> Option<&Acr> {
        self.registries.iter().find(|acr| acr.is(name))
    }

    pub(crate) fn registry_mut(&mut self, name: &str) -> Result<&mut Acr, AzureError> {
        let found = self.registries.iter_mut().find(|acr| acr.is(name));
        found.ok_or_else(|| AzureError::Registry(name.to_owned()))
    }

    /// Whether everything at `above` also holds at `below`.
    pub(crate) fn is_at_or_above(&self, above: &str, below: &str) -> bool {
        let above = above.trim_end_matches('/').to_ascii_lowercase();
        let below = below.trim_end_matches('/').to_ascii_lowercase();
        if above.is_empty() || above == below {
            return true;
        }
        if let Some(group) = above.strip_prefix("/providers/microsoft.management/managementgroups/")
        {
            return below.starts_with("/subscriptions/")
                && self
                    .management_groups
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(group));
        }
        below
            .strip_prefix(&above)
            .is_some_and(|rest| rest.starts_with('/'))
    }

    /// Resource groups of a subscription, as far as something is in them.
    pub(crate) fn groups(&self, subscription: &str) -> BTreeMap<String, String> {
        let registries = self.registries.iter().map(|acr| {
            (
                &acr.subscription,
                acr.spec.group.clone(),
                &acr.spec.location,
            )
        });
        let clusters = self.clusters.iter().flat_map(|cluster| {
            let location = &cluster.spec.location;
            [
                (&cluster.subscription, cluster.spec.group.clone(), location),
                (&cluster.subscription, cluster.node_group.clone(), location),
            ]
        });
        registries
            .chain(clusters)
            .filter(|(of, _, _)| of.eq_ignore_ascii_case(subscription))
            .map(|(_, group, location)| (group, location.clone()))
            .collect()
    }
}

impl Acr {
    fn is(&self, name: &str) -> bool {
        self.spec.name.eq_ignore_ascii_case(name) || self.login_server.eq_ignore_ascii_case(name)
    }

    pub(crate) fn sku(&self) -> Sku {
        self.spec.sku
    }

    pub(crate) fn token(&self, name: &str) -> Option<&RepositoryToken> {
        self.spec.tokens.iter().find(|token| token.name == name)
    }

    pub(crate) fn data_endpoint_host(&self) -> String {
        let (name, cloud) = self.login_server.split_once('.').unwrap_or_default();
        format!("{name}.{}.data.{cloud}", self.spec.location)
    }

    /// Where GET of a blob is redirected to.
    pub(crate) fn blob_host(&self) -> Option<String> {
        if self.spec.data_endpoint {
            return Some(self.data_endpoint_host());
        }
        self.spec.blob_host.clone()
    }
}

impl Assignment {
    pub(crate) fn id(&self) -> String {
        let scope = self.scope.trim_end_matches('/');
        let kind = if self.deny {
            "denyAssignments"
        } else {
            "roleAssignments"
        };
        format!(
            "{scope}/providers/Microsoft.Authorization/{kind}/{}",
            self.name
        )
    }
}

/// As the cloud provider writes it into `spec.providerID`, resource group in lower case.
pub(crate) fn provider_id(machine: &Machine) -> String {
    let id = machine
        .id
        .replace(&machine.group, &machine.group.to_ascii_lowercase());
    format!("azure://{id}")
}

pub(crate) fn ranges(texts: &[String]) -> Result<Vec<(String, Cidr)>, AzureError> {
    texts
        .iter()
        .map(|text| Ok((text.clone(), cidr(text)?)))
        .collect()
}

pub(crate) fn cidr(text: &str) -> Result<Cidr, AzureError> {
    Cidr::parse(text).ok_or_else(|| AzureError::Address(text.to_owned()))
}
