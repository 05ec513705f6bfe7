//! The questions to ARM, in order: cluster, registry, who may pull from it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::cache;
use super::client::{ArmError, Client};
use super::cloud::Cloud;
use super::facts::{
    Assignment, AzureFacts, AzureGap, ClusterFacts, Grant, KubeletIdentity, MachineFacts,
    PrivateEndpoint, RegistryFacts, RegistryMode,
};
use super::id::{NodeId, holds_for, same_id, segment_after};
use super::roles::Role;
use crate::world::{Arm, World};

/// What to find out.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// `spec.providerID` of the nodes.
    pub provider_ids: Vec<String>,
    /// Login server of the registry, when it is one of Azure's.
    pub login_server: Option<String>,
    /// The repository to be pulled.
    pub repository: Option<String>,
}

/// Subscriptions that are searched for a registry.
const SUBSCRIPTIONS: usize = 25;
/// Role definitions that are read.
const DEFINITIONS: usize = 60;
/// Characters of a query value that stay as they are.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Scale sets and virtual machines that are read.
const MACHINES: usize = 8;
const SCALE_SETS: &str = "Microsoft.Compute/virtualMachineScaleSets/read";
const VIRTUAL_MACHINES: &str = "Microsoft.Compute/virtualMachines/read";
const SUBSCRIPTION: &str = "Microsoft.Resources/subscriptions/read";
const CLUSTERS: &str = "Microsoft.ContainerService/managedClusters/read";
const REGISTRIES: &str = "Microsoft.ContainerRegistry/registries/read";
const ASSIGNMENTS: &str = "Microsoft.Authorization/roleAssignments/read";
const DEFINITION: &str = "Microsoft.Authorization/roleDefinitions/read";

/// Asks ARM through the workstation's network.
pub async fn read(world: &World, arm: &Arm, question: &Question) -> AzureFacts {
    let login = question.login_server.as_deref();
    let cloud = login.and_then(Cloud::of_registry).unwrap_or(Cloud::Public);
    let mut reader = Reader {
        client: Client::new(world, arm, cloud),
        facts: AzureFacts::default(),
    };
    let nodes: BTreeSet<NodeId> = question
        .provider_ids
        .iter()
        .filter_map(|id| NodeId::parse(id))
        .collect();
    let mut subscriptions: Vec<String> = Vec::new();
    for node in &nodes {
        if !subscriptions.contains(&node.subscription) {
            subscriptions.push(node.subscription.clone());
        }
    }
    if let Some(node) = nodes.first() {
        reader.cluster(node).await;
        reader.machines(&nodes).await;
    }
    if let Some(login) = &question.login_server {
        reader.registry(&subscriptions, login).await;
        reader.tenant().await;
        reader.assignments(question.repository.as_deref()).await;
        reader.cache_rules(question.repository.as_deref()).await;
    }
    reader.facts.lookups = reader.client.lookups;
    reader.facts
}

struct Reader<'a> {
    client: Client<'a>,
    facts: AzureFacts,
}

impl Reader<'_> {
    fn gap(&mut self, what: &str, error: &ArmError) {
        self.facts.gaps.push(AzureGap::new(what, error));
    }

    fn gap_text(&mut self, what: &str, why: String) {
        self.facts.gaps.push(AzureGap {
            what: what.into(),
            why,
            missing_action: None,
        });
    }

    async fn cluster(&mut self, node: &NodeId) {
        let subscription = &node.subscription;
        let path = format!(
            "/subscriptions/{subscription}/providers/Microsoft.ContainerService/managedClusters?api-version=2024-10-01"
        );
        let what = "managed clusters of the nodes' subscription";
        match self.client.list(what, &path, CLUSTERS).await {
            Ok(items) => {
                let all = items.iter().filter_map(cluster);
                let ours = all
                    .into_iter()
                    .find(|one| same_id(&one.node_resource_group, &node.resource_group));
                if ours.is_none() {
                    let group = &node.resource_group;
                    self.gap_text(
                        what,
                        format!(
                            "none of {} has the node resource group {group}",
                            items.len()
                        ),
                    );
                }
                self.facts.cluster = ours;
            }
            Err(error) => self.gap(what, &error),
        }
    }

    /// The identities of the machines that the nodes are: where the kubelet's is not among them, no node of theirs
    /// can sign in with it, whatever the cluster says.
    async fn machines(&mut self, nodes: &BTreeSet<NodeId>) {
        if self
            .facts
            .kubelet()
            .is_none_or(|one| one.resource_id.is_none())
        {
            return;
        }
        let ids: BTreeSet<&str> = nodes.iter().map(|node| node.resource.as_str()).collect();
        for id in ids.into_iter().take(MACHINES) {
            let scale_set = id
                .to_ascii_lowercase()
                .contains("/virtualmachinescalesets/");
            let action = if scale_set {
                SCALE_SETS
            } else {
                VIRTUAL_MACHINES
            };
            let what = format!("identities of {}", last_segment(id));
            let path = format!("{id}?api-version=2024-07-01");
            match self.client.get(&what, &path, action).await {
                Ok(item) => self.facts.machines.push(machine(id, &item)),
                // The node is gone, and its machine with it.
                Err(ArmError::NotFound { .. }) => {}
                Err(error) => self.gap(&what, &error),
            }
        }
    }

    /// The tenant of the registry's subscription, to hold against the cluster's. Not missed where it may not be read.
    async fn tenant(&mut self) {
        let known = self
            .facts
            .cluster
            .as_ref()
            .is_some_and(|one| one.tenant.is_some());
        let Some(registry) = self.facts.registry.as_mut().filter(|_| known) else {
            return;
        };
        let Some(subscription) = segment_after(&registry.id, "subscriptions") else {
            return;
        };
        let path = format!("/subscriptions/{subscription}?api-version=2022-12-01");
        let what = "tenant of the registry's subscription";
        let read = self.client.get(what, &path, SUBSCRIPTION).await;
        registry.tenant = read.ok().and_then(|item| text(&item, "/tenantId"));
    }

    async fn registry(&mut self, first: &[String], login: &str) {
        let mut searched = Vec::new();
        for subscription in first {
            if self.registry_in(subscription, login).await {
                return;
            }
            searched.push(subscription.clone());
        }
        // Registries often live in a subscription of their own.
        let what = "subscriptions that may hold the registry";
        let path = "/subscriptions?api-version=2022-12-01";
        match self
            .client
            .list(what, path, "Microsoft.Resources/subscriptions/read")
            .await
        {
            Ok(items) => {
                let ids = items
                    .iter()
                    .filter_map(|item| item.get("subscriptionId")?.as_str())
                    .map(str::to_ascii_lowercase);
                for id in ids.take(SUBSCRIPTIONS) {
                    if !searched.contains(&id) {
                        if self.registry_in(&id, login).await {
                            return;
                        }
                        searched.push(id);
                    }
                }
            }
            Err(error) => self.gap(what, &error),
        }
        let why = format!(
            "no registry with this login server in {} subscriptions that could be read",
            searched.len()
        );
        self.gap_text(&format!("registry {login}"), why);
    }

    async fn registry_in(&mut self, subscription: &str, login: &str) -> bool {
        let path = format!(
            "/subscriptions/{subscription}/providers/Microsoft.ContainerRegistry/registries?api-version=2025-11-01"
        );
        let what = format!("registries of subscription {subscription}");
        match self.client.list(&what, &path, REGISTRIES).await {
            Ok(items) => {
                let ours = items
                    .iter()
                    .filter_map(registry)
                    .find(|one| one.login_server.eq_ignore_ascii_case(login));
                self.facts.registry = ours;
                self.facts.registry.is_some()
            }
            Err(error) => {
                self.gap(&what, &error);
                false
            }
        }
    }

    async fn assignments(&mut self, repository: Option<&str>) {
        let Some(registry) = self.facts.registry.clone() else {
            return;
        };
        let what = "role assignments at and above the registry";
        let mut items = match self
            .client
            .list(what, &by_filter(&registry.id, "atScope()"), ASSIGNMENTS)
            .await
        {
            Ok(items) => items,
            Err(error) => return self.gap(what, &error),
        };
        items.retain(|item| {
            item.pointer("/properties/scope")
                .and_then(Value::as_str)
                .is_some_and(|scope| holds_for(scope, &registry.id))
        });
        let roles = self.definitions(&items).await;
        let mut found: Vec<Assignment> = items
            .iter()
            .filter_map(|item| assignment(item, &registry, &roles, repository))
            .collect();
        self.members(&registry, &mut found).await;
        found.sort_by(|a, b| a.id.cmp(&b.id));
        self.facts.assignments = Some(found);
    }

    async fn cache_rules(&mut self, repository: Option<&str>) {
        let (Some(repository), Some(registry)) = (repository, self.facts.registry.as_mut()) else {
            return;
        };
        match cache::rules(&mut self.client, &registry.id, repository).await {
            Ok(rules) => registry.cache_rules = rules,
            Err(error) => self.gap("cache rules of the registry", &error),
        }
    }

    /// Definitions of the roles in `items`, by the last segment of their ids, lower case.
    async fn definitions(&mut self, items: &[Value]) -> BTreeMap<String, Role> {
        let ids: BTreeSet<String> = items
            .iter()
            .filter_map(|item| item.pointer("/properties/roleDefinitionId")?.as_str())
            .map(str::to_owned)
            .collect();
        let mut roles = BTreeMap::new();
        let subscription = self
            .facts
            .registry
            .as_ref()
            .and_then(|one| segment_after(&one.id, "subscriptions"))
            .map(str::to_owned);
        for id in ids.iter().take(DEFINITIONS) {
            let key = last_segment(id);
            if roles.contains_key(&key)
                || !key
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            {
                continue;
            }
            let scope = subscription
                .as_ref()
                .map_or_else(String::new, |one| format!("/subscriptions/{one}"));
            let path = format!(
                "{scope}/providers/Microsoft.Authorization/roleDefinitions/{key}?api-version=2022-04-01"
            );
            let role = match self
                .client
                .get(&format!("role definition {key}"), &path, DEFINITION)
                .await
            {
                Ok(definition) => Role::read(&definition),
                Err(error) => {
                    self.gap(&format!("role definition {key}"), &error);
                    None
                }
            };
            if let Some(role) = role.or_else(|| Role::built_in(&key)) {
                roles.insert(key, role);
            }
        }
        roles
    }

    /// A grant to a group counts for its members: asks whether the kubelet identity is one.
    async fn members(&mut self, registry: &RegistryFacts, found: &mut [Assignment]) {
        let is_group = |one: &Assignment| {
            one.principal_type.as_deref() == Some("Group") && one.grant == Grant::Pull
        };
        if !found.iter().any(is_group) {
            return;
        }
        let Some(identity) = self.facts.kubelet().map(|one| one.object_id.clone()) else {
            return;
        };
        let what = "role assignments of the kubelet identity, groups included";
        let filter = format!("atScope() and assignedTo('{identity}')");
        match self
            .client
            .list(what, &by_filter(&registry.id, &filter), ASSIGNMENTS)
            .await
        {
            Ok(items) => {
                let ids: Vec<&str> = items
                    .iter()
                    .filter_map(|item| item.get("id")?.as_str())
                    .collect();
                for one in found.iter_mut().filter(|one| is_group(one)) {
                    if ids.iter().any(|id| same_id(id, &one.id)) {
                        one.members.push(identity.clone());
                    }
                }
            }
            Err(error) => {
                self.gap(what, &error);
                for one in found.iter_mut().filter(|one| is_group(one)) {
                    one.grant = Grant::Unknown;
                }
            }
        }
    }
}

fn by_filter(scope: &str, filter: &str) -> String {
    let filter = utf8_percent_encode(filter, QUERY);
    format!(
        "{scope}/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01&$filter={filter}"
    )
}

fn last_segment(id: &str) -> String {
    id.trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    let text = value.pointer(pointer)?.as_str()?;
    Some(
        text.chars()
            .filter(|c| !c.is_control())
            .take(1000)
            .collect(),
    )
}

fn cluster(item: &Value) -> Option<ClusterFacts> {
    let id = text(item, "/id")?;
    let properties = item.get("properties")?;
    let kubelet = text(properties, "/identityProfile/kubeletidentity/objectId").map(|object_id| {
        KubeletIdentity {
            object_id,
            client_id: text(properties, "/identityProfile/kubeletidentity/clientId"),
            resource_id: text(properties, "/identityProfile/kubeletidentity/resourceId"),
        }
    });
    let assigned = item
        .pointer("/identity/userAssignedIdentities")
        .and_then(Value::as_object);
    let assigned = assigned
        .into_iter()
        .flatten()
        .filter_map(|(_, one)| text(one, "/principalId"));
    Some(ClusterFacts {
        name: text(item, "/name").unwrap_or_default(),
        resource_group: segment_after(&id, "resourceGroups")
            .unwrap_or_default()
            .to_owned(),
        node_resource_group: text(properties, "/nodeResourceGroup")?,
        kubelet,
        control_plane: text(item, "/identity/principalId")
            .into_iter()
            .chain(assigned)
            .collect(),
        service_principal: text(properties, "/servicePrincipalProfile/clientId")
            .filter(|id| id != "msi"),
        state: text(properties, "/provisioningState"),
        tenant: text(item, "/identity/tenantId"),
        id,
    })
}

fn machine(id: &str, item: &Value) -> MachineFacts {
    let attached = item
        .pointer("/identity/userAssignedIdentities")
        .and_then(Value::as_object);
    MachineFacts {
        id: id.to_owned(),
        identities: attached
            .into_iter()
            .flatten()
            .take(100)
            .map(|(id, _)| id.clone())
            .collect(),
    }
}

fn registry(item: &Value) -> Option<RegistryFacts> {
    let id = text(item, "/id")?;
    let properties = item.get("properties")?;
    let flag = |pointer: &str| {
        properties
            .pointer(pointer)
            .and_then(Value::as_bool)
            .unwrap_or(false)
    };
    let is = |pointer: &str, word: &str| {
        text(properties, pointer).is_some_and(|text| text.eq_ignore_ascii_case(word))
    };
    let list = |pointer: &str| {
        properties
            .pointer(pointer)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    Some(RegistryFacts {
        name: text(item, "/name").unwrap_or_default(),
        resource_group: segment_after(&id, "resourceGroups")
            .unwrap_or_default()
            .to_owned(),
        login_server: text(properties, "/loginServer")?,
        sku: text(item, "/sku/name").unwrap_or_default(),
        mode: if is("/roleAssignmentMode", "AbacRepositoryPermissions") {
            RegistryMode::Abac
        } else {
            RegistryMode::Legacy
        },
        // Older API versions leave the field out, which means enabled.
        public_network: text(properties, "/publicNetworkAccess")
            .is_none_or(|text| text.eq_ignore_ascii_case("Enabled")),
        denies_by_default: is("/networkRuleSet/defaultAction", "Deny"),
        ip_rules: list("/networkRuleSet/ipRules")
            .filter_map(|rule| text(rule, "/value"))
            .take(500)
            .collect(),
        private_endpoints: list("/privateEndpointConnections")
            .take(100)
            .map(private_endpoint)
            .collect(),
        data_hosts: list("/dataEndpointHostNames")
            .filter_map(|host| text(host, ""))
            .take(100)
            .collect(),
        anonymous_pull: flag("/anonymousPullEnabled"),
        admin_user: flag("/adminUserEnabled"),
        arm_tokens: !is(
            "/policies/azureADAuthenticationAsArmPolicy/status",
            "disabled",
        ),
        state: text(properties, "/provisioningState"),
        cache_rules: Vec::new(),
        tenant: None,
        id,
    })
}

fn private_endpoint(item: &Value) -> PrivateEndpoint {
    PrivateEndpoint {
        name: text(item, "/name").unwrap_or_default(),
        status: text(item, "/properties/privateLinkServiceConnectionState/status")
            .unwrap_or_default(),
    }
}

fn assignment(
    item: &Value,
    registry: &RegistryFacts,
    roles: &BTreeMap<String, Role>,
    repository: Option<&str>,
) -> Option<Assignment> {
    let properties = item.get("properties")?;
    let scope = text(properties, "/scope")?;
    let key = last_segment(&text(properties, "/roleDefinitionId")?);
    let role = roles.get(&key);
    let condition = text(properties, "/condition");
    let changed = |key| text(properties, key).and_then(|date| date.parse::<Timestamp>().ok());
    Some(Assignment {
        id: text(item, "/id").unwrap_or_default(),
        inherited: !same_id(&scope, &registry.id),
        role: role.map_or_else(|| key.clone(), |role| role.name.clone()),
        principal_id: text(properties, "/principalId")?,
        principal_type: text(properties, "/principalType"),
        members: Vec::new(),
        changed: changed("/updatedOn").max(changed("/createdOn")),
        grant: role.map_or(Grant::Unknown, |role| {
            role.grant(registry.mode, condition.as_deref(), repository)
        }),
        scope,
    })
}
