//! The `azure` section: a tenant in a few lines. Object ids are derived from the names.

use indexmap::IndexMap;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::Span;

/// A tenant with one AKS cluster, some registries, identities and role assignments.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Azure {
    /// The managed cluster that the scenario's cluster is.
    pub cluster: AzureCluster,
    /// Container registries; one whose login server is a registry of the scenario lends it its rules.
    pub registries: Vec<AzureRegistry>,
    /// Identities beside the cluster's two, by name.
    #[serde(default)]
    pub identities: Vec<String>,
    /// Who has which role where, when the first act begins.
    #[serde(default)]
    pub roles: Vec<Spanned<RoleGrant>>,
}

/// A managed cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AzureCluster {
    /// Its name.
    pub name: String,
    /// Its resource group; the nodes' own is derived from both names as AKS does.
    pub resource_group: String,
}

/// A container registry.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AzureRegistry {
    /// Its name; the login server is `NAME.azurecr.io`.
    pub name: String,
    /// Its resource group.
    pub resource_group: String,
    /// Its tier.
    #[serde(default)]
    pub sku: Sku,
    /// Whether its roles are those of repositories (ABAC).
    #[serde(default)]
    pub abac: bool,
    /// Whether its admin user can sign in.
    #[serde(default)]
    pub admin_user: bool,
    /// Whether anybody can pull.
    #[serde(default)]
    pub anonymous_pull: bool,
    /// Whether tokens for Azure Resource Manager are taken at the exchange.
    #[serde(default = "yes")]
    pub arm_audience: bool,
    /// Private endpoints, each with the subnets whose clients come through it.
    #[serde(default)]
    pub private_endpoints: Vec<PrivateEndpoint>,
    /// Whether layers come from `NAME.eastus.data.azurecr.io`.
    #[serde(default)]
    pub data_endpoint: bool,
    /// The storage account that layers come from.
    #[serde(default)]
    pub blobs_at: Option<String>,
    /// Repository-scoped tokens, by name.
    #[serde(default)]
    pub tokens: IndexMap<String, ScopedToken>,
}

/// A repository-scoped token of a registry.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ScopedToken {
    /// Its password.
    pub password: String,
    /// The repositories that it may read: `team/*`, `shop/api`.
    pub reads: Vec<String>,
    /// How long after the beginning the password works.
    #[serde(default)]
    pub until: Option<Span>,
}

/// A private endpoint.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PrivateEndpoint {
    /// Its name.
    pub name: String,
    /// The subnets whose clients come through it, as `10.2.0.0/16`.
    pub subnets: Vec<String>,
}

/// The tiers of a registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Sku {
    /// Basic.
    Basic,
    /// Standard.
    #[default]
    Standard,
    /// Premium.
    Premium,
}

/// One role assignment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RoleGrant {
    /// `kubelet`, `control-plane`, or one of `identities`.
    pub who: String,
    /// The role's name, such as `AcrPull`.
    pub role: String,
    /// Where: `registry/NAME`, `resource-group/NAME` or `subscription`.
    pub on: RoleScope,
    /// A condition (version 2.0) on the repositories. Only in `azure.roles`.
    #[serde(default)]
    pub when: Option<String>,
}

/// The scope of a role assignment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum RoleScope {
    /// The whole subscription.
    Subscription,
    /// A resource group by name.
    ResourceGroup(String),
    /// A registry by name.
    Registry(String),
}

impl TryFrom<String> for RoleScope {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.split_once('/') {
            None if text == "subscription" => Ok(Self::Subscription),
            Some(("resource-group", name)) if !name.is_empty() => {
                Ok(Self::ResourceGroup(name.into()))
            }
            Some(("registry", name)) if !name.is_empty() => Ok(Self::Registry(name.into())),
            _ => Err(format!(
                "`{text}` is neither `registry/NAME`, `resource-group/NAME` nor `subscription`"
            )),
        }
    }
}

impl std::fmt::Display for RoleScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Subscription => f.write_str("the subscription"),
            Self::ResourceGroup(name) => write!(f, "resource group {name}"),
            Self::Registry(name) => write!(f, "registry {name}"),
        }
    }
}

/// Requests that others take from a registry's data-plane read quota.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RegistryLoad {
    /// The registry's name.
    pub registry: String,
    /// The identity that the load is counted for: `kubelet` or one of `identities`.
    pub who: String,
    /// Requests a minute.
    pub requests_per_minute: u32,
}

/// Changes a registry's tier.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SetSku {
    /// The registry's name.
    pub registry: String,
    /// The new tier.
    pub sku: Sku,
}

/// Changes who may reach a registry.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RegistryNetwork {
    /// The registry's name.
    pub registry: String,
    /// Whether it is reachable other than through private endpoints.
    #[serde(default = "yes")]
    pub public: bool,
    /// The addresses and ranges that are let in; everyone where absent.
    #[serde(default)]
    pub allow_only: Option<Vec<String>>,
}

/// Changes who may sign in to a registry.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RegistrySettings {
    /// The registry's name.
    pub registry: String,
    /// Whether its admin user can sign in.
    #[serde(default)]
    pub admin_user: Option<bool>,
    /// Whether anybody can pull.
    #[serde(default)]
    pub anonymous_pull: Option<bool>,
}

const fn yes() -> bool {
    true
}

impl AzureRegistry {
    /// The host of the dedicated data endpoint.
    pub fn data_host(&self) -> String {
        format!("{}.eastus.data.azurecr.io", self.name)
    }
}
