//! Carries out a remedy's command as a person would who pastes it: the line is parsed, so that a
//! wrong remedy fails the scenario.
//!
//! Options that a command does not have are refused, and so is a placeholder that nobody filled in.

mod words;

use std::fmt;

use indexmap::IndexMap;
use serde_json::Value;

use self::words::Words;

/// A command of a remedy that a scenario can carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `kubectl set image TARGET CONTAINER=IMAGE…`
    SetImage {
        /// The namespace, where the line names one.
        namespace: Option<String>,
        /// `deployment/web`.
        target: String,
        /// Container and image.
        images: Vec<(String, String)>,
    },
    /// `kubectl delete pod NAME`
    DeletePod {
        /// The namespace, where the line names one.
        namespace: Option<String>,
        /// The pod.
        name: String,
    },
    /// `kubectl rollout restart TARGET`
    Restart {
        /// The namespace, where the line names one.
        namespace: Option<String>,
        /// `deployment/web`.
        target: String,
    },
    /// `kubectl patch TARGET --patch JSON`, a strategic merge patch.
    Patch {
        /// The namespace, where the line names one.
        namespace: Option<String>,
        /// `deployment/web`, `serviceaccount/default`.
        target: String,
        /// The patch.
        patch: Value,
    },
    /// `kubectl create secret docker-registry NAME`
    CreateSecret {
        /// The namespace, where the line names one.
        namespace: Option<String>,
        /// The secret.
        name: String,
        /// The registry that it is for.
        server: String,
        /// The user.
        username: String,
        /// The password.
        password: String,
    },
    /// `kubectl delete secret NAME`
    DeleteSecret {
        /// The namespace, where the line names one.
        namespace: Option<String>,
        /// The secret.
        name: String,
    },
    /// `az role assignment create`
    AssignRole {
        /// The object id that gets the role.
        assignee: String,
        /// What the assignee is, where the line says so.
        principal_type: Option<String>,
        /// The role's name.
        role: String,
        /// The resource id of the scope.
        scope: String,
    },
    /// `az acr update`
    UpdateRegistry {
        /// The registry's name.
        name: String,
        /// The resource group, where the line names one.
        resource_group: Option<String>,
        /// What changes.
        change: RegistryChange,
    },
    /// `az acr config authentication-as-arm update`
    AllowArmTokens {
        /// The registry's name.
        name: String,
        /// The resource group, where the line names one.
        resource_group: Option<String>,
        /// What changes.
        change: RegistryChange,
    },
    /// `az acr network-rule add`
    AllowAddress {
        /// The registry's name.
        name: String,
        /// The resource group, where the line names one.
        resource_group: Option<String>,
        /// An address or a range.
        address: String,
    },
    /// `az aks update --attach-acr`
    AttachRegistry {
        /// The cluster's name.
        name: String,
        /// Its resource group.
        resource_group: String,
        /// The registry's name.
        registry: String,
    },
    /// `az aks update` without anything to change: Azure makes the cluster what it should be.
    ReconcileCluster {
        /// The cluster's name.
        name: String,
        /// Its resource group.
        resource_group: String,
    },
}

/// What becomes different at a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryChange {
    /// The tier.
    pub sku: Option<String>,
    /// Whether it is reachable publicly.
    pub public_network: Option<bool>,
    /// Whether tokens for Azure Resource Manager are taken.
    pub arm_tokens: Option<bool>,
}

/// Why a command is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The shell would not read it.
    #[error("`{0}` is not a command line")]
    Syntax(String),
    /// A placeholder was left for the reader to fill in.
    #[error("`{0}` still has a placeholder")]
    Placeholder(String),
    /// It is a command of another kind.
    #[error("`{0}` is none of the commands that a scenario can carry out")]
    Unknown(String),
    /// An option that it needs is missing.
    #[error("`{line}` lacks `{option}`")]
    Missing {
        /// The line.
        line: String,
        /// The option.
        option: &'static str,
    },
    /// An option that it does not have.
    #[error("`{line}` has the option `{option}`, which the command does not know")]
    Option {
        /// The line.
        line: String,
        /// The option.
        option: String,
    },
    /// A value that means nothing.
    #[error("`{line}` has `{value}` for `{option}`")]
    Value {
        /// The line.
        line: String,
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
    },
}

const NAMESPACE: &[&str] = &["-n", "--namespace"];
const GROUP: &[&str] = &["-g", "--resource-group"];
const NAME: &[&str] = &["--name", "-n"];

impl Command {
    /// The words that name each command, without its arguments.
    pub const NAMES: [&'static str; 11] = [
        "kubectl set image",
        "kubectl delete pod",
        "kubectl rollout restart",
        "kubectl patch",
        "kubectl create secret docker-registry",
        "kubectl delete secret",
        "az role assignment create",
        "az acr update",
        "az acr config authentication-as-arm update",
        "az acr network-rule add",
        "az aks update",
    ];

    /// Parses a line as a shell would.
    pub fn parse(line: &str) -> Result<Self, CommandError> {
        Self::parse_filled(line, None)
    }

    /// The same; where an option's value is `…`, that of `with` stands in for it.
    pub fn parse_filled(
        line: &str,
        with: Option<&IndexMap<String, String>>,
    ) -> Result<Self, CommandError> {
        let words = Words::read(line, with)?;
        let command = match words.plain().as_slice() {
            ["kubectl", "set", "image", target, images @ ..] if !images.is_empty() => {
                Self::SetImage {
                    namespace: words.optional(NAMESPACE),
                    target: (*target).to_owned(),
                    images: images
                        .iter()
                        .map(|pair| pair.split_once('='))
                        .map(|pair| pair.map(|(name, image)| (name.to_owned(), image.to_owned())))
                        .collect::<Option<_>>()
                        .ok_or_else(|| CommandError::Syntax(line.to_owned()))?,
                }
            }
            ["kubectl", "delete", "pod", name] => Self::DeletePod {
                namespace: words.optional(NAMESPACE),
                name: (*name).to_owned(),
            },
            ["kubectl", "delete", "secret", name] => Self::DeleteSecret {
                namespace: words.optional(NAMESPACE),
                name: (*name).to_owned(),
            },
            ["kubectl", "rollout", "restart", target] => Self::Restart {
                namespace: words.optional(NAMESPACE),
                target: (*target).to_owned(),
            },
            ["kubectl", "patch", rest @ ..] if matches!(rest.len(), 1 | 2) => {
                let text = words.required(&["--patch", "-p"])?;
                Self::Patch {
                    namespace: words.optional(NAMESPACE),
                    target: rest.join("/"),
                    patch: serde_json::from_str(&text).map_err(|_| CommandError::Value {
                        line: line.to_owned(),
                        option: "--patch",
                        value: text,
                    })?,
                }
            }
            ["kubectl", "create", "secret", "docker-registry", name] => Self::CreateSecret {
                namespace: words.optional(NAMESPACE),
                name: (*name).to_owned(),
                server: words.required(&["--docker-server"])?,
                username: words.required(&["--docker-username"])?,
                password: words.required(&["--docker-password"])?,
            },
            ["az", "role", "assignment", "create"] => Self::AssignRole {
                assignee: words.required(&["--assignee-object-id", "--assignee"])?,
                principal_type: words.optional(&["--assignee-principal-type"]),
                role: words.required(&["--role"])?,
                scope: words.required(&["--scope"])?,
            },
            ["az", "acr", "update"] => {
                let change = RegistryChange {
                    sku: words.optional(&["--sku"]),
                    public_network: words.boolean(&["--public-network-enabled"])?,
                    arm_tokens: None,
                };
                if change == RegistryChange::default() {
                    words.required(&["--sku"])?;
                }
                Self::UpdateRegistry {
                    name: words.required(NAME)?,
                    resource_group: words.optional(GROUP),
                    change,
                }
            }
            ["az", "acr", "config", "authentication-as-arm", "update"] => {
                let status = words.required(&["--status"])?;
                Self::AllowArmTokens {
                    name: words.required(&["--registry", "-r"])?,
                    resource_group: words.optional(GROUP),
                    change: RegistryChange {
                        arm_tokens: Some(match status.as_str() {
                            "enabled" => true,
                            "disabled" => false,
                            _ => return Err(words.value("--status", status)),
                        }),
                        ..RegistryChange::default()
                    },
                }
            }
            ["az", "acr", "network-rule", "add"] => Self::AllowAddress {
                name: words.required(NAME)?,
                resource_group: words.optional(GROUP),
                address: words.required(&["--ip-address"])?,
            },
            ["az", "aks", "update"] => {
                let name = words.required(NAME)?;
                let resource_group = words.required(GROUP)?;
                match words.optional(&["--attach-acr"]) {
                    Some(registry) => Self::AttachRegistry {
                        name,
                        resource_group,
                        registry,
                    },
                    None => Self::ReconcileCluster {
                        name,
                        resource_group,
                    },
                }
            }
            _ => return Err(CommandError::Unknown(line.to_owned())),
        };
        words.all_known()?;
        Ok(command)
    }

    /// The words after `az`, where it is a command of Azure's.
    pub(crate) fn az(&self) -> Option<Vec<String>> {
        let mut words: Vec<String> = self
            .name()
            .strip_prefix("az ")?
            .split(' ')
            .map(str::to_owned)
            .collect();
        let mut option = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                words.extend([name.to_owned(), value.to_owned()]);
            }
        };
        match self {
            Self::AssignRole {
                assignee,
                principal_type,
                role,
                scope,
            } => {
                option("--assignee-object-id", Some(assignee));
                option("--assignee-principal-type", principal_type.as_deref());
                option("--role", Some(role));
                option("--scope", Some(scope));
            }
            Self::UpdateRegistry {
                name,
                resource_group,
                change,
            } => {
                option("--name", Some(name));
                option("--resource-group", resource_group.as_deref());
                option("--sku", change.sku.as_deref());
                let public = change.public_network.map(|on| on.to_string());
                option("--public-network-enabled", public.as_deref());
            }
            Self::AllowArmTokens {
                name,
                resource_group,
                change,
            } => {
                option("--registry", Some(name));
                option("--resource-group", resource_group.as_deref());
                let status = change
                    .arm_tokens
                    .map(|on| if on { "enabled" } else { "disabled" });
                option("--status", status);
            }
            Self::AllowAddress {
                name,
                resource_group,
                address,
            } => {
                option("--name", Some(name));
                option("--resource-group", resource_group.as_deref());
                option("--ip-address", Some(address));
            }
            Self::AttachRegistry {
                name,
                resource_group,
                registry,
            } => {
                option("--name", Some(name));
                option("--resource-group", Some(resource_group));
                option("--attach-acr", Some(registry));
            }
            Self::ReconcileCluster {
                name,
                resource_group,
            } => {
                option("--name", Some(name));
                option("--resource-group", Some(resource_group));
            }
            _ => return None,
        }
        Some(words)
    }

    /// The words that name it, without its arguments.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SetImage { .. } => "kubectl set image",
            Self::DeletePod { .. } => "kubectl delete pod",
            Self::Restart { .. } => "kubectl rollout restart",
            Self::Patch { .. } => "kubectl patch",
            Self::CreateSecret { .. } => "kubectl create secret docker-registry",
            Self::DeleteSecret { .. } => "kubectl delete secret",
            Self::AssignRole { .. } => "az role assignment create",
            Self::UpdateRegistry { .. } => "az acr update",
            Self::AllowArmTokens { .. } => "az acr config authentication-as-arm update",
            Self::AllowAddress { .. } => "az acr network-rule add",
            Self::AttachRegistry { .. } | Self::ReconcileCluster { .. } => "az aks update",
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
