//! Resource ids. Azure writes them in changing case, so they are compared without regard to it.

/// Where a node lives in Azure, from `spec.providerID`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId {
    /// Subscription id, lower case.
    pub subscription: String,
    /// The node resource group, as written.
    pub resource_group: String,
    /// The scale set or virtual machine's id, as written.
    pub resource: String,
}

impl NodeId {
    /// Reads `azure:///subscriptions/S/resourceGroups/RG/providers/…`.
    pub fn parse(provider_id: &str) -> Option<Self> {
        let path = provider_id.strip_prefix("azure://")?;
        let subscription = segment_after(path, "subscriptions")?;
        let resource_group = segment_after(path, "resourceGroups")?;
        let resource = path
            .split_once("/virtualMachines/")
            .map_or(path, |(before, _)| {
                if before
                    .to_ascii_lowercase()
                    .contains("/virtualmachinescalesets/")
                {
                    before
                } else {
                    path
                }
            });
        Some(Self {
            subscription: subscription.to_ascii_lowercase(),
            resource_group: resource_group.to_owned(),
            resource: resource.to_owned(),
        })
    }
}

/// The segment that follows `name` in a resource id, whatever the case of `name`.
pub(super) fn segment_after<'a>(id: &'a str, name: &str) -> Option<&'a str> {
    let mut segments = id.split('/');
    segments.find(|segment| segment.eq_ignore_ascii_case(name))?;
    segments.next().filter(|segment| !segment.is_empty())
}

/// Whether two resource ids mean the same resource.
pub fn same_id(a: &str, b: &str) -> bool {
    a.trim_end_matches('/')
        .eq_ignore_ascii_case(b.trim_end_matches('/'))
}

/// Whether an assignment at `scope` holds for `resource`: the same, or a path above it.
///
/// A management group is above every resource that ARM lists it for.
pub(super) fn holds_for(scope: &str, resource: &str) -> bool {
    let scope = scope.trim_end_matches('/').to_ascii_lowercase();
    let resource = resource.trim_end_matches('/').to_ascii_lowercase();
    if scope.is_empty() || scope.starts_with("/providers/microsoft.management/managementgroups/") {
        return true;
    }
    resource
        .strip_prefix(&scope)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether `host` is the login server of an Azure container registry, as the kubelet's plug-in
/// takes it: `NAME.azurecr.io`, `.cn`, `.de` or `.us`.
pub fn registry_login_server(host: &str) -> Option<String> {
    let host = host.to_ascii_lowercase();
    let (name, suffix) = host.split_once('.')?;
    let known = matches!(
        suffix,
        "azurecr.io" | "azurecr.cn" | "azurecr.de" | "azurecr.us"
    );
    let named = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (known && named).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provider_ids() {
        let set = "azure:///subscriptions/AAAA-1/resourceGroups/mc_rg_aks/providers/Microsoft.Compute/\
                   virtualMachineScaleSets/pool/virtualMachines/0";
        let node = NodeId::parse(set).expect("a node");
        assert_eq!(
            (node.subscription.as_str(), node.resource_group.as_str()),
            ("aaaa-1", "mc_rg_aks")
        );
        assert!(
            node.resource.ends_with("/virtualMachineScaleSets/pool"),
            "{}",
            node.resource
        );
        let single = NodeId::parse(
            "azure:///subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm",
        );
        assert!(single.is_some_and(|node| node.resource.ends_with("/virtualMachines/vm")));
        for text in [
            "",
            "kind://docker/kind/node",
            "azure:///subscriptions/",
            "aws:///eu/i-1",
            "azure:///x/y",
        ] {
            assert_eq!(NodeId::parse(text), None, "for {text:?}");
        }
    }

    #[test]
    fn scopes_hold_downwards_only() {
        let registry = "/subscriptions/S/resourceGroups/RG/providers/Microsoft.ContainerRegistry/registries/one";
        let table = [
            (registry, true),
            (
                "/subscriptions/s/resourcegroups/rg/providers/microsoft.containerregistry/registries/ONE",
                true,
            ),
            ("/subscriptions/S/resourceGroups/RG", true),
            ("/subscriptions/S/resourceGroups/R", false),
            ("/subscriptions/S", true),
            ("/", true),
            (
                "/providers/Microsoft.Management/managementGroups/root",
                true,
            ),
            (
                "/subscriptions/S/resourceGroups/RG/providers/Microsoft.ContainerRegistry/registries/two",
                false,
            ),
            ("/subscriptions/T", false),
        ];
        for (scope, want) in table {
            assert_eq!(holds_for(scope, registry), want, "for {scope}");
        }
    }

    #[test]
    fn login_servers() {
        let table = [
            ("Shop.azurecr.io", Some("shop.azurecr.io")),
            ("shop.eastus.data.azurecr.io", None),
            ("registry.example", None),
            ("azurecr.io", None),
            ("x.azureacr.io", None),
        ];
        for (host, want) in table {
            assert_eq!(registry_login_server(host).as_deref(), want, "for {host}");
        }
    }
}
