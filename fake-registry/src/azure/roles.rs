//! Role definitions: the built-in ones that matter to registries, with their real ids, and how
//! actions match patterns.
//!
//! Sources: Azure built-in roles (containers, general) and the registry's role directory.

use serde_json::{Value, json};

use crate::pattern::glob;

/// A role: which actions it allows, at the control plane and on data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Role {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) custom: bool,
    pub(crate) actions: Vec<String>,
    pub(crate) not_actions: Vec<String>,
    pub(crate) data_actions: Vec<String>,
    pub(crate) not_data_actions: Vec<String>,
    pub(crate) assignable_scopes: Vec<String>,
}

pub(crate) const PULL: &str = "Microsoft.ContainerRegistry/registries/pull/read";
pub(crate) const PUSH: &str = "Microsoft.ContainerRegistry/registries/push/write";
pub(crate) const DELETE: &str = "Microsoft.ContainerRegistry/registries/artifacts/delete";
pub(crate) const CONTENT_READ: &str =
    "Microsoft.ContainerRegistry/registries/repositories/content/read";
pub(crate) const CONTENT_WRITE: &str =
    "Microsoft.ContainerRegistry/registries/repositories/content/write";
pub(crate) const CONTENT_DELETE: &str =
    "Microsoft.ContainerRegistry/registries/repositories/content/delete";
pub(crate) const METADATA_READ: &str =
    "Microsoft.ContainerRegistry/registries/repositories/metadata/read";
pub(crate) const METADATA_WRITE: &str =
    "Microsoft.ContainerRegistry/registries/repositories/metadata/write";
pub(crate) const METADATA_DELETE: &str =
    "Microsoft.ContainerRegistry/registries/repositories/metadata/delete";
pub(crate) const CATALOG_READ: &str = "Microsoft.ContainerRegistry/registries/catalog/read";

struct BuiltIn {
    id: &'static str,
    name: &'static str,
    description: &'static str,
    actions: &'static [&'static str],
    not_actions: &'static [&'static str],
    data_actions: &'static [&'static str],
}

const NONE: &[&str] = &[];

const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        id: "7f951dda-4ed3-4680-a7ca-43fe172d538d",
        name: "AcrPull",
        description: "acr pull",
        actions: &[PULL],
        not_actions: NONE,
        data_actions: NONE,
    },
    BuiltIn {
        id: "8311e382-0749-4cb8-b61a-304f252e45ec",
        name: "AcrPush",
        description: "acr push",
        actions: &[PULL, PUSH],
        not_actions: NONE,
        data_actions: NONE,
    },
    BuiltIn {
        id: "c2f4ef07-c644-48eb-af81-4b1b4947fb11",
        name: "AcrDelete",
        description: "acr delete",
        actions: &[DELETE],
        not_actions: NONE,
        data_actions: NONE,
    },
    BuiltIn {
        id: "6cef56e8-d556-48e5-a04f-b8e64114680f",
        name: "AcrImageSigner",
        description: "acr image signer",
        actions: &["Microsoft.ContainerRegistry/registries/sign/write"],
        not_actions: NONE,
        data_actions: &["Microsoft.ContainerRegistry/registries/trustedCollections/write"],
    },
    BuiltIn {
        id: "cdda3590-29a3-44f6-95f2-9f980659eb04",
        name: "AcrQuarantineReader",
        description: "acr quarantine data reader",
        actions: &["Microsoft.ContainerRegistry/registries/quarantine/read"],
        not_actions: NONE,
        data_actions: &["Microsoft.ContainerRegistry/registries/quarantinedArtifacts/read"],
    },
    BuiltIn {
        id: "c8d4ff99-41c3-41a8-9f60-21dfdad59608",
        name: "AcrQuarantineWriter",
        description: "acr quarantine data writer",
        actions: &[
            "Microsoft.ContainerRegistry/registries/quarantine/read",
            "Microsoft.ContainerRegistry/registries/quarantine/write",
        ],
        not_actions: NONE,
        data_actions: &[
            "Microsoft.ContainerRegistry/registries/quarantinedArtifacts/read",
            "Microsoft.ContainerRegistry/registries/quarantinedArtifacts/write",
        ],
    },
    BuiltIn {
        id: "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
        name: "Owner",
        description: "Grants full access to manage all resources, including the ability to assign roles in Azure RBAC.",
        actions: &["*"],
        not_actions: NONE,
        data_actions: NONE,
    },
    BuiltIn {
        id: "b24988ac-6180-42a0-ab88-20f7382dd24c",
        name: "Contributor",
        description: "Grants full access to manage all resources, but does not allow you to assign roles in Azure RBAC, manage assignments in Azure Blueprints, or share image galleries.",
        actions: &["*"],
        not_actions: &[
            "Microsoft.Authorization/*/Delete",
            "Microsoft.Authorization/*/Write",
            "Microsoft.Authorization/elevateAccess/Action",
            "Microsoft.Blueprint/blueprintAssignments/write",
            "Microsoft.Blueprint/blueprintAssignments/delete",
            "Microsoft.Compute/galleries/share/action",
        ],
        data_actions: NONE,
    },
    BuiltIn {
        id: "acdd72a7-3385-48ef-bd42-f606fba81ae7",
        name: "Reader",
        description: "View all resources, but does not allow you to make any changes.",
        actions: &["*/read"],
        not_actions: NONE,
        data_actions: NONE,
    },
    BuiltIn {
        id: "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
        name: "User Access Administrator",
        description: "Lets you manage user access to Azure resources.",
        actions: &["*/read", "Microsoft.Authorization/*", "Microsoft.Support/*"],
        not_actions: NONE,
        data_actions: NONE,
    },
    BuiltIn {
        id: "f1a07417-d97a-45cb-824c-7a7467783830",
        name: "Managed Identity Operator",
        description: "Read and Assign User Assigned Identity",
        actions: &[
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/read",
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action",
            "Microsoft.Authorization/*/read",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
        ],
        not_actions: NONE,
        data_actions: NONE,
    },
    BuiltIn {
        id: "4d97b98b-1d4f-4787-a291-c67834d212e7",
        name: "Network Contributor",
        description: "Lets you manage networks, but not access to them.",
        actions: &[
            "Microsoft.Authorization/*/read",
            "Microsoft.Network/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
        ],
        not_actions: NONE,
        data_actions: NONE,
    },
    BuiltIn {
        id: "b93aa761-3e63-49ed-ac28-beffa264f7ac",
        name: "Container Registry Repository Reader",
        description: "Allows for read access to Azure Container Registry repositories, but excluding catalog listing.",
        actions: NONE,
        not_actions: NONE,
        data_actions: &[METADATA_READ, CONTENT_READ],
    },
    BuiltIn {
        id: "2a1e307c-b015-4ebd-883e-5b7698a07328",
        name: "Container Registry Repository Writer",
        description: "Allows for read and write access to Azure Container Registry repositories, but excluding catalog listing.",
        actions: NONE,
        not_actions: NONE,
        data_actions: &[METADATA_READ, CONTENT_READ, METADATA_WRITE, CONTENT_WRITE],
    },
    BuiltIn {
        id: "2efddaa5-3f1f-4df3-97df-af3f13818f4c",
        name: "Container Registry Repository Contributor",
        description: "Allows for read, write, and delete access to Azure Container Registry repositories, but excluding catalog listing.",
        actions: NONE,
        not_actions: NONE,
        data_actions: &[
            METADATA_READ,
            CONTENT_READ,
            METADATA_WRITE,
            CONTENT_WRITE,
            METADATA_DELETE,
            CONTENT_DELETE,
        ],
    },
    BuiltIn {
        id: "bfdb9389-c9a5-478a-bb2f-ba9ca092c3c7",
        name: "Container Registry Repository Catalog Lister",
        description: "Allows for listing all repositories in an Azure Container Registry.",
        actions: NONE,
        not_actions: NONE,
        data_actions: &[CATALOG_READ],
    },
    BuiltIn {
        id: "577a9874-89fd-4f24-9dbd-b5034d0ad23a",
        name: "Container Registry Data Importer and Data Reader",
        description: "Provides the ability to import images into a registry, and to read its content.",
        actions: &[
            "Microsoft.ContainerRegistry/registries/importImage/action",
            "Microsoft.ContainerRegistry/registries/read",
            PULL,
        ],
        not_actions: NONE,
        data_actions: &[METADATA_READ, CONTENT_READ],
    },
    BuiltIn {
        id: "3bc748fc-213d-45c1-8d91-9da5725539b9",
        name: "Container Registry Contributor and Data Access Configuration Administrator",
        description: "Provides permissions to create, list, and update container registries and registry configuration properties.",
        actions: &[
            "Microsoft.ContainerRegistry/registries/read",
            "Microsoft.ContainerRegistry/registries/write",
            "Microsoft.ContainerRegistry/registries/delete",
            "Microsoft.ContainerRegistry/registries/tokens/*",
            "Microsoft.ContainerRegistry/registries/scopeMaps/*",
        ],
        not_actions: NONE,
        data_actions: NONE,
    },
    BuiltIn {
        id: "69b07be0-09bf-439a-b9a6-e73de851bd59",
        name: "Container Registry Configuration Reader and Data Access Configuration Reader",
        description: "Provides permissions to list container registries and registry configuration properties.",
        actions: &[
            "Microsoft.ContainerRegistry/registries/read",
            "Microsoft.ContainerRegistry/registries/tokens/read",
            "Microsoft.ContainerRegistry/registries/scopeMaps/read",
        ],
        not_actions: NONE,
        data_actions: NONE,
    },
];

/// The built-in roles.
pub(crate) fn built_in() -> Vec<Role> {
    let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    BUILT_IN
        .iter()
        .map(|role| Role {
            id: role.id.into(),
            name: role.name.into(),
            description: role.description.into(),
            custom: false,
            actions: owned(role.actions),
            not_actions: owned(role.not_actions),
            data_actions: owned(role.data_actions),
            not_data_actions: Vec::new(),
            assignable_scopes: vec!["/".into()],
        })
        .collect()
}

impl Role {
    /// Whether a control-plane action is allowed.
    pub(crate) fn allows(&self, action: &str) -> bool {
        covers(&self.actions, action) && !covers(&self.not_actions, action)
    }

    /// Whether an action on data is allowed.
    pub(crate) fn allows_data(&self, action: &str) -> bool {
        covers(&self.data_actions, action) && !covers(&self.not_data_actions, action)
    }

    pub(crate) fn to_json(&self, subscription: Option<&str>) -> Value {
        let prefix = subscription.map_or_else(String::new, |id| format!("/subscriptions/{id}"));
        json!({
            "id": format!("{prefix}/providers/Microsoft.Authorization/roleDefinitions/{}", self.id),
            "name": self.id,
            "type": "Microsoft.Authorization/roleDefinitions",
            "properties": {
                "roleName": self.name,
                "type": if self.custom { "CustomRole" } else { "BuiltInRole" },
                "description": self.description,
                "assignableScopes": self.assignable_scopes,
                "permissions": [{
                    "actions": self.actions,
                    "notActions": self.not_actions,
                    "dataActions": self.data_actions,
                    "notDataActions": self.not_data_actions,
                }],
                "createdOn": "2018-10-29T23:52:32.3440000Z",
                "updatedOn": "2021-11-11T20:13:22.2740000Z",
                "createdBy": null,
                "updatedBy": null,
            },
        })
    }
}

fn covers(patterns: &[String], action: &str) -> bool {
    patterns.iter().any(|pattern| wildcard(pattern, action))
}

/// `*` stands for any characters; letters match whatever their case.
pub(crate) fn wildcard(pattern: &str, text: &str) -> bool {
    glob(&pattern.to_ascii_lowercase(), &text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_actions() {
        let table = [
            ("*", PULL, true),
            ("*/read", PULL, true),
            ("*/read", PUSH, false),
            ("Microsoft.ContainerRegistry/*", PULL, true),
            (
                "microsoft.containerregistry/registries/PULL/read",
                PULL,
                true,
            ),
            ("Microsoft.ContainerRegistry/registries/*/read", PULL, true),
            ("Microsoft.ContainerRegistry/registries/read", PULL, false),
            (
                "Microsoft.Authorization/*/Write",
                "Microsoft.Authorization/roleAssignments/write",
                true,
            ),
            ("a*a", "a", false),
            ("", "", true),
            ("", "a", false),
        ];
        for (pattern, action, want) in table {
            assert_eq!(wildcard(pattern, action), want, "for {pattern} on {action}");
        }
    }

    #[test]
    fn which_built_in_roles_allow_a_pull() {
        let names = |test: fn(&Role) -> bool| -> Vec<String> {
            built_in()
                .into_iter()
                .filter(test)
                .map(|role| role.name)
                .collect()
        };
        assert_eq!(
            names(|role| role.allows(PULL)),
            [
                "AcrPull",
                "AcrPush",
                "Owner",
                "Contributor",
                "Reader",
                "User Access Administrator",
                "Container Registry Data Importer and Data Reader"
            ]
        );
        assert_eq!(
            names(|role| role.allows_data(CONTENT_READ)),
            [
                "Container Registry Repository Reader",
                "Container Registry Repository Writer",
                "Container Registry Repository Contributor",
                "Container Registry Data Importer and Data Reader"
            ]
        );
    }
}
