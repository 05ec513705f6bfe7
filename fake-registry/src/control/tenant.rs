//! A change of the tenant as the control endpoint takes it: one key, which says what changes.
//!
//! ```yaml
//! remove-role: { from: kubelet/aks1, role: AcrPull, at: registry/contoso1 }
//! ```
//!
//! Everything here can also be done by the handle; nothing here gives or takes a credential.

use serde::Deserialize;

use crate::azure::{AzureError, AzureHandle, Principal, Scope, Sku};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) enum TenantChange {
    #[serde(rename_all = "kebab-case")]
    AddNode {
        cluster: String,
        node: String,
    },
    AssignRole {
        to: Principal,
        role: String,
        at: Scope,
    },
    RemoveRole {
        from: Principal,
        role: String,
        at: Scope,
    },
    SetSku {
        registry: String,
        sku: Sku,
    },
    #[serde(rename_all = "kebab-case")]
    SetNetwork {
        registry: String,
        #[serde(default = "yes")]
        public: bool,
        #[serde(default)]
        allow_only: Option<Vec<String>>,
    },
    #[serde(rename_all = "kebab-case")]
    CompetingLoad {
        registry: String,
        /// Other identities if nobody is named.
        #[serde(default)]
        by: Option<Principal>,
        per_minute: u32,
    },
    AnonymousPull {
        registry: String,
        on: bool,
    },
    AdminUser {
        registry: String,
        on: bool,
    },
    NodeIdentities {
        node: String,
        identities: Vec<Principal>,
    },
}

const fn yes() -> bool {
    true
}

impl TenantChange {
    pub(super) fn make(&self, azure: &AzureHandle) -> Result<(), AzureError> {
        match self {
            Self::AddNode { cluster, node } => azure.add_node(cluster, node).map(drop),
            Self::AssignRole { to, role, at } => azure.assign_role(to, role, at).map(drop),
            Self::RemoveRole { from, role, at } => azure.remove_role(from, role, at),
            Self::SetSku { registry, sku } => azure.set_sku(registry, *sku),
            Self::SetNetwork {
                registry,
                public,
                allow_only,
            } => {
                let only: Option<Vec<&str>> = allow_only
                    .as_ref()
                    .map(|list| list.iter().map(String::as_str).collect());
                azure.set_network_rules(registry, *public, only.as_deref())
            }
            Self::CompetingLoad {
                registry,
                by,
                per_minute,
            } => azure.set_competing_load(registry, by.as_ref(), *per_minute),
            Self::AnonymousPull { registry, on } => azure.set_anonymous_pull(registry, *on),
            Self::AdminUser { registry, on } => azure.set_admin_user(registry, *on),
            Self::NodeIdentities { node, identities } => {
                azure.set_node_identities(node, identities)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::FakeRegistry;

    #[tokio::test]
    async fn changes_that_are_made_and_refused() {
        let tenant = "
azure:
  name: contoso
  clusters: [{ name: aks1, resource-group: apps }]
  registries: [{ name: shop, resource-group: r }]
  assign: [{ to: kubelet/aks1, role: AcrPull, at: registry/shop }]
";
        let registry = crate::Builder::from_yaml(tenant).unwrap().build().unwrap();
        let make = |text: &str| -> Result<(), String> {
            let change: TenantChange =
                serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
            let registry: &FakeRegistry = &registry;
            change
                .make(&registry.azure())
                .map_err(|error| error.to_string())
        };
        for text in [
            "add-node: { cluster: aks1, node: 10.0.0.4 }",
            "{\"remove-role\": {\"from\": \"kubelet/aks1\", \"role\": \"AcrPull\", \"at\": \"registry/shop\"}}",
            "assign-role: { to: kubelet/aks1, role: AcrPull, at: subscription }",
            "set-sku: { registry: shop, sku: premium }",
            "set-network: { registry: shop, allow-only: [10.0.0.0/8] }",
            "competing-load: { registry: shop, by: kubelet/aks1, per-minute: 10 }",
            "anonymous-pull: { registry: shop, on: true }",
            "admin-user: { registry: shop, on: true }",
            "node-identities: { node: 10.0.0.4, identities: [] }",
        ] {
            assert_eq!(make(text), Ok(()), "for {text}");
        }
        for text in [
            "",
            "set-sku: { registry: other, sku: premium }",
            "set-sku: { registry: shop, sku: huge }",
            "set-sku: { registry: shop, sku: premium, more: 1 }",
            "drop-tables: {}",
            "remove-role: { from: kubelet/aks1, role: AcrPull, at: registry/shop }",
        ] {
            assert!(make(text).is_err(), "for {text}");
        }
    }
}
