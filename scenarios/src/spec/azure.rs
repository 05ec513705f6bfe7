//! The `azure` section: a tenant in a few lines. Object ids are derived from the names.

use serde::Deserialize;

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
    pub roles: Vec<RoleGrant>,
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
