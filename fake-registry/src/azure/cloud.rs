//! Azure's clouds: the names under which a tenant's services answer, and the audiences of its tokens.

/// The cloud that a tenant is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cloud {
    /// The public one.
    #[default]
    Public,
    /// Azure Government.
    UsGovernment,
    /// Azure in China.
    China,
}

impl Cloud {
    /// How names of registries end: `NAME.` and this.
    pub(crate) const fn registries(self) -> &'static str {
        match self {
            Self::Public => "azurecr.io",
            Self::UsGovernment => "azurecr.us",
            Self::China => "azurecr.cn",
        }
    }

    /// The host of Resource Manager.
    pub(crate) const fn resource_manager(self) -> &'static str {
        match self {
            Self::Public => "management.azure.com",
            Self::UsGovernment => "management.usgovcloudapi.net",
            Self::China => "management.chinacloudapi.cn",
        }
    }

    /// The host of Entra, as the SDKs call it.
    pub(crate) const fn entra(self) -> &'static str {
        match self {
            Self::Public => "login.microsoftonline.com",
            Self::UsGovernment => "login.microsoftonline.us",
            Self::China => "login.chinacloudapi.cn",
        }
    }

    /// The audiences of tokens for Resource Manager; the first is the one that is handed out.
    pub(crate) const fn audiences(self) -> [&'static str; 2] {
        match self {
            Self::Public => [
                "https://management.azure.com/",
                "https://management.core.windows.net/",
            ],
            Self::UsGovernment => [
                "https://management.usgovcloudapi.net/",
                "https://management.core.usgovcloudapi.net/",
            ],
            Self::China => [
                "https://management.chinacloudapi.cn/",
                "https://management.core.chinacloudapi.cn/",
            ],
        }
    }

    /// As the metadata service names it.
    pub(crate) const fn environment(self) -> &'static str {
        match self {
            Self::Public => "AzurePublicCloud",
            Self::UsGovernment => "AzureUSGovernmentCloud",
            Self::China => "AzureChinaCloud",
        }
    }
}
