//! What was found in Azure, as plain values.

use jiff::Timestamp;
use serde::Serialize;

use super::cache::CacheRule;
use super::client::ArmError;
use super::id::same_id;

/// Everything that one question to Azure brought.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AzureFacts {
    /// The managed cluster that owns the nodes.
    pub cluster: Option<ClusterFacts>,
    /// The scale sets or virtual machines of the nodes, with the identities that are attached to them.
    pub machines: Vec<MachineFacts>,
    /// The registry with the login server that was asked for.
    pub registry: Option<RegistryFacts>,
    /// Role assignments at and above the registry, of every principal; none when they could not be read.
    pub assignments: Option<Vec<Assignment>>,
    /// Requests made, in order, with what came of them.
    pub lookups: Vec<Lookup>,
    /// What could not be found out.
    pub gaps: Vec<AzureGap>,
}

impl AzureFacts {
    /// Assignments of one principal.
    pub fn assignments_of<'a>(
        &'a self,
        object_id: &'a str,
    ) -> impl Iterator<Item = &'a Assignment> {
        let all = self.assignments.iter().flatten();
        all.filter(move |one| {
            one.principal_id.eq_ignore_ascii_case(object_id)
                || one
                    .members
                    .iter()
                    .any(|id| id.eq_ignore_ascii_case(object_id))
        })
    }

    /// The kubelet's identity, if the cluster and it are known.
    pub fn kubelet(&self) -> Option<&KubeletIdentity> {
        self.cluster.as_ref()?.kubelet.as_ref()
    }

    /// Machines to which the kubelet's identity is not attached, as far as they could be read.
    pub fn without_kubelet(&self) -> impl Iterator<Item = &MachineFacts> {
        let wanted = self.kubelet().and_then(|one| one.resource_id.as_deref());
        self.machines.iter().filter(move |machine| {
            wanted.is_some_and(|id| !machine.identities.iter().any(|one| same_id(one, id)))
        })
    }

    /// The tenants of the cluster and of the registry, where both are known.
    pub fn tenants(&self) -> Option<(&str, &str)> {
        let cluster = self.cluster.as_ref()?.tenant.as_deref()?;
        Some((cluster, self.registry.as_ref()?.tenant.as_deref()?))
    }
}

/// A scale set or virtual machine that nodes are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MachineFacts {
    /// Resource id.
    pub id: String,
    /// Resource ids of the user-assigned identities that are attached.
    pub identities: Vec<String>,
}

impl MachineFacts {
    /// The last segment of its id.
    pub fn name(&self) -> &str {
        self.id.rsplit('/').next().unwrap_or_default()
    }
}

/// One request to ARM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lookup {
    /// What it was for: `role assignments at and above the registry`.
    pub what: String,
    /// Its path and query.
    pub at: String,
    /// `ok`, a count, or the error.
    pub outcome: String,
}

/// Something that Azure did not tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AzureGap {
    /// What was asked for.
    pub what: String,
    /// Why there is no answer.
    pub why: String,
    /// The ARM action that the caller lacks, when that is the reason.
    pub missing_action: Option<String>,
}

impl AzureGap {
    pub(super) fn new(what: &str, error: &ArmError) -> Self {
        let missing_action = match error {
            ArmError::Forbidden { action, .. } => Some(action.clone()),
            _ => None,
        };
        Self {
            what: what.into(),
            why: error.to_string(),
            missing_action,
        }
    }
}

/// An AKS cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClusterFacts {
    /// Resource id.
    pub id: String,
    /// Name.
    pub name: String,
    /// The group of the cluster itself.
    pub resource_group: String,
    /// The group of its nodes.
    pub node_resource_group: String,
    /// The identity that pulls; none for a service-principal cluster.
    pub kubelet: Option<KubeletIdentity>,
    /// Object ids of the control plane's identity, which never pulls.
    pub control_plane: Vec<String>,
    /// The application id of a service-principal cluster.
    pub service_principal: Option<String>,
    /// `provisioningState`.
    pub state: Option<String>,
    /// The Entra tenant of its identities.
    pub tenant: Option<String>,
}

/// `identityProfile.kubeletidentity`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KubeletIdentity {
    /// What role assignments name as principal.
    pub object_id: String,
    /// What the metadata service is asked for.
    pub client_id: Option<String>,
    /// The identity's resource id.
    pub resource_id: Option<String>,
}

/// Whose rules decide who may pull.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegistryMode {
    /// `LegacyRegistryPermissions`: actions decide, for the whole registry.
    #[default]
    Legacy,
    /// `AbacRepositoryPermissions`: data actions decide, repository by repository.
    Abac,
}

/// A registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RegistryFacts {
    /// Resource id.
    pub id: String,
    /// Name.
    pub name: String,
    /// The group it is in.
    pub resource_group: String,
    /// Login server.
    pub login_server: String,
    /// Tier: `Basic`, `Standard`, `Premium`.
    pub sku: String,
    /// Who decides about pulls.
    pub mode: RegistryMode,
    /// False when `publicNetworkAccess` is anything but `Enabled`.
    pub public_network: bool,
    /// Whether `networkRuleSet.defaultAction` is `Deny`.
    pub denies_by_default: bool,
    /// Addresses and ranges that are let in.
    pub ip_rules: Vec<String>,
    /// Private endpoint connections.
    pub private_endpoints: Vec<PrivateEndpoint>,
    /// Names of the data endpoints, if there are dedicated ones.
    pub data_hosts: Vec<String>,
    /// Whether anybody may pull.
    pub anonymous_pull: bool,
    /// Whether the admin user is on.
    pub admin_user: bool,
    /// Whether tokens for ARM are taken at the exchange.
    pub arm_tokens: bool,
    /// `provisioningState`.
    pub state: Option<String>,
    /// Rules by which the repository in question is fetched from elsewhere.
    pub cache_rules: Vec<CacheRule>,
    /// The Entra tenant of its subscription, where that could be read.
    pub tenant: Option<String>,
}

/// A private endpoint connection of a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PrivateEndpoint {
    /// Its name.
    pub name: String,
    /// `Approved`, `Pending`, `Rejected`, `Disconnected`.
    pub status: String,
}

/// A role assignment that holds for the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Assignment {
    /// Resource id.
    pub id: String,
    /// Where it was made.
    pub scope: String,
    /// Whether it was made above the registry.
    pub inherited: bool,
    /// The role's name, or its id when the definition could not be read.
    pub role: String,
    /// Who has it.
    pub principal_id: String,
    /// `ServicePrincipal`, `User`, `Group`, `Unknown`.
    pub principal_type: Option<String>,
    /// Members of the group that were asked about and are in it.
    pub members: Vec<String>,
    /// When it was made or last changed.
    #[serde(serialize_with = "timestamp")]
    pub changed: Option<Timestamp>,
    /// Whether it lets its principal pull.
    pub grant: Grant,
}

/// Whether a role assignment lets its principal pull from a repository of the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "pull", rename_all = "kebab-case")]
pub enum Grant {
    /// It does.
    Pull,
    /// Not as asked: its condition names other repositories.
    OtherRepositories {
        /// The condition.
        condition: String,
    },
    /// It would in the legacy mode; the registry uses the mode that does not honour it.
    NotHonoured,
    /// The role has nothing to do with pulling.
    No,
    /// The role's definition or the condition could not be read.
    Unknown,
}

#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn timestamp<S: serde::Serializer>(
    value: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(at) => serializer.collect_str(at),
        None => serializer.serialize_none(),
    }
}
