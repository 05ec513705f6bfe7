//! Azure's clouds: where each has its Resource Manager and its sign-in, and how its registries are named.
//!
//! Nothing of one cloud counts in another: a token, a login server, an endpoint. Source: the Azure SDKs' cloud
//! configurations and the article "Compare Azure Government and global Azure".

/// One of Azure's clouds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cloud {
    /// The public one.
    Public,
    /// For the government of the United States.
    UsGovernment,
    /// Operated by 21Vianet in China.
    China,
}

impl Cloud {
    /// All of them, the public one first.
    pub const ALL: [Self; 3] = [Self::Public, Self::UsGovernment, Self::China];

    /// Azure Resource Manager, without a slash at the end.
    pub const fn resource_manager(self) -> &'static str {
        match self {
            Self::Public => "https://management.azure.com",
            Self::UsGovernment => "https://management.usgovcloudapi.net",
            Self::China => "https://management.chinacloudapi.cn",
        }
    }

    /// The older name under which tokens for Resource Manager are made out as well.
    const fn classic(self) -> &'static str {
        match self {
            Self::Public => "https://management.core.windows.net",
            Self::UsGovernment => "https://management.core.usgovcloudapi.net",
            Self::China => "https://management.core.chinacloudapi.cn",
        }
    }

    /// How login servers of registries end.
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Public => ".azurecr.io",
            Self::UsGovernment => ".azurecr.us",
            Self::China => ".azurecr.cn",
        }
    }

    /// The cloud of a login server.
    pub fn of_registry(host: &str) -> Option<Self> {
        let host = host.to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|cloud| host.ends_with(cloud.suffix()))
    }

    /// The cloud that a region belongs to.
    pub(crate) fn of_region(region: &str) -> Self {
        let region = region.to_ascii_lowercase();
        if region.starts_with("usgov") || region.starts_with("usdod") {
            Self::UsGovernment
        } else if region.starts_with("china") {
            Self::China
        } else {
            Self::Public
        }
    }

    /// The cloud whose Resource Manager a token of this audience is for.
    pub(crate) fn of_audience(audience: &str) -> Option<Self> {
        let audience = audience.trim_end_matches('/').to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|cloud| audience == cloud.resource_manager() || audience == cloud.classic())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_which_cloud() {
        let table = [
            (
                Cloud::Public,
                "shop.azurecr.io",
                "westeurope",
                "https://management.azure.com/",
            ),
            (
                Cloud::UsGovernment,
                "Shop.azurecr.us",
                "usgovvirginia",
                "https://management.core.usgovcloudapi.net/",
            ),
            (
                Cloud::China,
                "shop.azurecr.cn",
                "chinanorth3",
                "https://management.chinacloudapi.cn",
            ),
        ];
        for (cloud, host, region, audience) in table {
            assert_eq!(Cloud::of_registry(host), Some(cloud), "for {host}");
            assert_eq!(Cloud::of_region(region), cloud, "for {region}");
            assert_eq!(Cloud::of_audience(audience), Some(cloud), "for {audience}");
        }
        assert_eq!(Cloud::of_registry("registry.example"), None);
        assert_eq!(
            Cloud::of_audience("https://containerregistry.azure.net"),
            None
        );
    }
}
