//! The Azure section of a scenario, as the fake tenant takes it.

use fake_registry::{
    AcrRegistry, AzureError, FakeRegistry, ManagedCluster, Principal, RepositoryToken, Scope,
};
use jiff::Timestamp;

use crate::backend::StepError;
use crate::spec::{
    Azure, AzureRegistry, RegistryLoad, RegistryNetwork, RegistrySettings, RoleGrant, RoleScope,
    SetSku, Sku,
};

/// The user who is signed in at the workstation.
const OPERATOR: &str = "operator";

/// A tenant whose cluster is the scenario's.
pub(super) struct Tenant {
    azure: Azure,
    /// When the world begins.
    start: Timestamp,
}

impl Tenant {
    pub(super) fn new(azure: &Azure, start: Timestamp) -> Self {
        Self {
            azure: azure.clone(),
            start,
        }
    }

    /// What the fake answers from.
    pub(super) fn describe(&self) -> fake_registry::Tenant {
        let azure = &self.azure;
        let cluster = &azure.cluster;
        let mut tenant = fake_registry::Tenant::new("contoso")
            .user(OPERATOR)
            .cluster(ManagedCluster::new(&cluster.name, &cluster.resource_group));
        for registry in &azure.registries {
            tenant = tenant.registry(describe_registry(registry, self.start));
        }
        for identity in &azure.identities {
            tenant = tenant.identity(identity, &cluster.resource_group);
        }
        for grant in &azure.roles {
            let grant = &grant.value;
            let (who, on) = (self.principal(&grant.who), scope(&grant.on));
            tenant = match &grant.when {
                Some(condition) => tenant.assign_when(who, &grant.role, on, condition),
                None => tenant.assign(who, &grant.role, on),
            };
        }
        tenant
    }

    /// The identities of a node from now on.
    pub(super) fn set_identities(
        &self,
        registry: &FakeRegistry,
        node: &str,
        identities: &[String],
    ) -> Result<(), StepError> {
        let who: Vec<Principal> = identities.iter().map(|who| self.principal(who)).collect();
        registry
            .azure()
            .set_node_identities(node, &who)
            .map_err(failed)
    }

    pub(super) fn set_registry(
        registry: &FakeRegistry,
        change: &RegistrySettings,
    ) -> Result<(), StepError> {
        let azure = registry.azure();
        if let Some(on) = change.admin_user {
            azure.set_admin_user(&change.registry, on).map_err(failed)?;
        }
        if let Some(on) = change.anonymous_pull {
            azure
                .set_anonymous_pull(&change.registry, on)
                .map_err(failed)?;
        }
        Ok(())
    }

    fn principal(&self, who: &str) -> Principal {
        match who {
            "kubelet" => Principal::kubelet(&self.azure.cluster.name),
            "control-plane" => Principal::control_plane(&self.azure.cluster.name),
            name => Principal::identity(name),
        }
    }

    /// Adds a node to the cluster's scale set; gives its provider id.
    pub(super) fn add_node(
        &self,
        registry: &FakeRegistry,
        node: &str,
    ) -> Result<String, AzureError> {
        registry.azure().add_node(&self.azure.cluster.name, node)
    }

    /// The client id that the nodes' configuration names.
    pub(super) fn kubelet_client_id(&self, registry: &FakeRegistry) -> Result<String, AzureError> {
        registry
            .azure()
            .client_id(&Principal::kubelet(&self.azure.cluster.name))
    }

    /// A token for Azure Resource Manager of the person at the workstation.
    pub(super) fn user_token(registry: &FakeRegistry) -> Result<String, StepError> {
        let user = registry
            .azure()
            .object_id(&Principal::user(OPERATOR))
            .map_err(failed)?;
        Ok(registry.arm_token(&user))
    }

    pub(super) fn remove_role(
        &self,
        registry: &FakeRegistry,
        grant: &RoleGrant,
    ) -> Result<(), StepError> {
        let azure = registry.azure();
        azure
            .remove_role(&self.principal(&grant.who), &grant.role, &scope(&grant.on))
            .map_err(failed)
    }

    pub(super) fn assign_role(
        &self,
        registry: &FakeRegistry,
        grant: &RoleGrant,
    ) -> Result<(), StepError> {
        let azure = registry.azure();
        let assigned =
            azure.assign_role(&self.principal(&grant.who), &grant.role, &scope(&grant.on));
        assigned.map(drop).map_err(failed)
    }

    pub(super) fn set_sku(registry: &FakeRegistry, change: &SetSku) -> Result<(), StepError> {
        registry
            .azure()
            .set_sku(&change.registry, sku(change.sku))
            .map_err(failed)
    }

    pub(super) fn set_network(
        registry: &FakeRegistry,
        change: &RegistryNetwork,
    ) -> Result<(), StepError> {
        let only: Option<Vec<&str>> = change
            .allow_only
            .as_ref()
            .map(|list| list.iter().map(String::as_str).collect());
        registry
            .azure()
            .set_network_rules(&change.registry, change.public, only.as_deref())
            .map_err(failed)
    }

    pub(super) fn load(
        &self,
        registry: &FakeRegistry,
        load: &RegistryLoad,
    ) -> Result<(), StepError> {
        registry
            .azure()
            .set_competing_load(
                &load.registry,
                Some(&self.principal(&load.who)),
                load.requests_per_minute,
            )
            .map_err(failed)
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that `map_err` wants"
)]
fn failed(error: AzureError) -> StepError {
    StepError::failed(&error)
}

fn describe_registry(described: &AzureRegistry, start: Timestamp) -> AcrRegistry {
    let mut registry = AcrRegistry::new(&described.name, &described.resource_group)
        .sku(sku(described.sku))
        .abac(described.abac)
        .admin_user(described.admin_user)
        .anonymous_pull(described.anonymous_pull)
        .arm_audience(described.arm_audience)
        .data_endpoint(described.data_endpoint);
    for endpoint in &described.private_endpoints {
        let subnets: Vec<&str> = endpoint.subnets.iter().map(String::as_str).collect();
        registry = registry.private_endpoint(&endpoint.name, "Approved", &subnets);
    }
    if let Some(host) = &described.blobs_at {
        registry = registry.blobs_at(host);
    }
    for (name, token) in &described.tokens {
        let mut scoped = RepositoryToken::new(name, &token.password);
        for repositories in &token.reads {
            scoped = scoped.allow(repositories, &["content/read", "metadata/read"]);
        }
        let end = token
            .until
            .and_then(|until| start.checked_add(until.get()).ok());
        if let Some(end) = end {
            scoped = scoped.expires(end);
        }
        registry = registry.token(scoped);
    }
    registry
}

fn scope(on: &RoleScope) -> Scope {
    match on {
        RoleScope::Subscription => Scope::Subscription,
        RoleScope::ResourceGroup(name) => Scope::resource_group(name),
        RoleScope::Registry(name) => Scope::registry(name),
    }
}

const fn sku(sku: Sku) -> fake_registry::Sku {
    match sku {
        Sku::Basic => fake_registry::Sku::Basic,
        Sku::Standard => fake_registry::Sku::Standard,
        Sku::Premium => fake_registry::Sku::Premium,
    }
}
