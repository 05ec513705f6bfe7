//! Carries out a remedy's command as a person would who pastes it: the line is parsed, so that a
//! wrong remedy fails the scenario.

use std::fmt;

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
    /// `az role assignment create`
    AssignRole {
        /// The object id that gets the role.
        assignee: String,
        /// The role's name.
        role: String,
        /// The resource id of the scope.
        scope: String,
    },
    /// `az acr update --sku`
    SetSku {
        /// The registry's name.
        name: String,
        /// The resource group, where the line names one.
        resource_group: Option<String>,
        /// The tier.
        sku: String,
    },
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
}

impl Command {
    /// Parses a line as a shell would.
    pub fn parse(line: &str) -> Result<Self, CommandError> {
        let words = shlex::split(line).ok_or_else(|| CommandError::Syntax(line.to_owned()))?;
        if words
            .iter()
            .any(|word| word.contains('<') && word.contains('>'))
        {
            return Err(CommandError::Placeholder(line.to_owned()));
        }
        let words = Words::new(line, &words);
        let plain: Vec<&str> = words.plain.iter().map(String::as_str).collect();
        match plain.as_slice() {
            ["kubectl", "set", "image", target, images @ ..] if !images.is_empty() => {
                Ok(Self::SetImage {
                    namespace: words.optional(&["-n", "--namespace"]),
                    target: (*target).to_owned(),
                    images: images
                        .iter()
                        .map(|pair| pair.split_once('='))
                        .map(|pair| pair.map(|(name, image)| (name.to_owned(), image.to_owned())))
                        .collect::<Option<_>>()
                        .ok_or_else(|| CommandError::Syntax(line.to_owned()))?,
                })
            }
            ["kubectl", "delete", "pod", name] => Ok(Self::DeletePod {
                namespace: words.optional(&["-n", "--namespace"]),
                name: (*name).to_owned(),
            }),
            ["az", "role", "assignment", "create"] => Ok(Self::AssignRole {
                assignee: words.required(&["--assignee-object-id", "--assignee"])?,
                role: words.required(&["--role"])?,
                scope: words.required(&["--scope"])?,
            }),
            ["az", "acr", "update"] => Ok(Self::SetSku {
                name: words.required(&["--name", "-n"])?,
                resource_group: words.optional(&["--resource-group", "-g"]),
                sku: words.required(&["--sku"])?,
            }),
            _ => Err(CommandError::Unknown(line.to_owned())),
        }
    }

    /// The words that name it, without its arguments.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SetImage { .. } => "kubectl set image",
            Self::DeletePod { .. } => "kubectl delete pod",
            Self::AssignRole { .. } => "az role assignment create",
            Self::SetSku { .. } => "az acr update",
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A command line, its options apart from the rest. Every option here takes a value.
struct Words<'a> {
    line: &'a str,
    plain: Vec<String>,
    options: Vec<(String, String)>,
}

impl<'a> Words<'a> {
    fn new(line: &'a str, words: &[String]) -> Self {
        let mut plain = Vec::new();
        let mut options = Vec::new();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            match word.strip_prefix('-').map(|_| word.split_once('=')) {
                None => plain.push(word.clone()),
                Some(Some((name, value))) => options.push((name.to_owned(), value.to_owned())),
                Some(None) => {
                    let value = rest.next().cloned().unwrap_or_default();
                    options.push((word.clone(), value));
                }
            }
        }
        Self {
            line,
            plain,
            options,
        }
    }

    fn optional(&self, names: &[&str]) -> Option<String> {
        let found = self
            .options
            .iter()
            .find(|(name, _)| names.contains(&name.as_str()));
        found.map(|(_, value)| value.clone())
    }

    fn required(&self, names: &[&'static str]) -> Result<String, CommandError> {
        self.optional(names)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| CommandError::Missing {
                line: self.line.to_owned(),
                option: names.first().copied().unwrap_or_default(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_that_are_understood() {
        let table = [
            (
                "kubectl -n shop set image deployment/web web=r.example/team/web:v1",
                Ok(Command::SetImage {
                    namespace: Some("shop".into()),
                    target: "deployment/web".into(),
                    images: vec![("web".into(), "r.example/team/web:v1".into())],
                }),
            ),
            (
                "az role assignment create --assignee-object-id 1-2 --assignee-principal-type \
                 ServicePrincipal --role AcrPull --scope '/subscriptions/s'",
                Ok(Command::AssignRole {
                    assignee: "1-2".into(),
                    role: "AcrPull".into(),
                    scope: "/subscriptions/s".into(),
                }),
            ),
            (
                "az acr update --name shop --sku=Premium",
                Ok(Command::SetSku {
                    name: "shop".into(),
                    resource_group: None,
                    sku: "Premium".into(),
                }),
            ),
            (
                "az acr update --name shop",
                Err(CommandError::Missing {
                    line: "az acr update --name shop".into(),
                    option: "--sku",
                }),
            ),
            (
                "kubectl delete pod <pod>",
                Err(CommandError::Placeholder("kubectl delete pod <pod>".into())),
            ),
            ("rm -rf /", Err(CommandError::Unknown("rm -rf /".into()))),
            (
                "kubectl set image 'x",
                Err(CommandError::Syntax("kubectl set image 'x".into())),
            ),
        ];
        for (line, want) in table {
            assert_eq!(Command::parse(line), want, "for {line}");
        }
    }
}
