//! Which role lets whom pull: actions minus what is taken out of them, with wildcards.

use serde_json::Value;

use super::facts::{Grant, RegistryMode};

const PULL: &str = "Microsoft.ContainerRegistry/registries/pull/read";
const CONTENT: &str = "Microsoft.ContainerRegistry/registries/repositories/content/read";
const METADATA: &str = "Microsoft.ContainerRegistry/registries/repositories/metadata/read";

/// A role definition, as far as it concerns pulls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) name: String,
    pull: bool,
    content: bool,
    metadata: bool,
}

impl Role {
    /// From the answer of `GET …/roleDefinitions/ID`.
    pub(super) fn read(definition: &Value) -> Option<Self> {
        let properties = definition.get("properties")?;
        let permissions = properties.get("permissions")?.as_array()?;
        let any = |action: &str, allow: &str, deny: &str| {
            permissions.iter().any(|one| {
                let listed = |key: &str| {
                    let patterns = one.get(key).and_then(Value::as_array).into_iter().flatten();
                    patterns
                        .filter_map(Value::as_str)
                        .any(|pattern| matches(pattern, action))
                };
                listed(allow) && !listed(deny)
            })
        };
        Some(Self {
            name: properties
                .get("roleName")
                .and_then(Value::as_str)
                .unwrap_or("unnamed role")
                .to_owned(),
            pull: any(PULL, "actions", "notActions"),
            content: any(CONTENT, "dataActions", "notDataActions"),
            metadata: any(METADATA, "dataActions", "notDataActions"),
        })
    }

    /// The built-in roles whose ids are published, for a caller that may not read definitions.
    pub(super) fn built_in(id: &str) -> Option<Self> {
        let role = |name: &str, pull, content| Self {
            name: name.into(),
            pull,
            content,
            metadata: content,
        };
        Some(match id.to_ascii_lowercase().as_str() {
            "7f951dda-4ed3-4680-a7ca-43fe172d538d" => role("AcrPull", true, false),
            "8311e382-0749-4cb8-b61a-304f252e45ec" => role("AcrPush", true, false),
            "c2f4ef07-c644-48eb-af81-4b1b4947fb11" => role("AcrDelete", false, false),
            "6cef56e8-d556-48e5-a04f-b8e64114680f" => role("AcrImageSigner", false, false),
            "8e3af657-a8ff-443c-a75c-2fe8c4bcb635" => role("Owner", true, false),
            "b24988ac-6180-42a0-ab88-20f7382dd24c" => role("Contributor", true, false),
            "acdd72a7-3385-48ef-bd42-f606fba81ae7" => role("Reader", true, false),
            "b93aa761-3e63-49ed-ac28-beffa264f7ac" => {
                role("Container Registry Repository Reader", false, true)
            }
            "2a1e307c-b015-4ebd-883e-5b7698a07328" => {
                role("Container Registry Repository Writer", false, true)
            }
            "2efddaa5-3f1f-4df3-97df-af3f13818f4c" => {
                role("Container Registry Repository Contributor", false, true)
            }
            "577a9874-89fd-4f24-9dbd-b5034d0ad23a" => role(
                "Container Registry Data Importer and Data Reader",
                true,
                true,
            ),
            _ => return None,
        })
    }

    /// What an assignment of this role is worth for a pull of `repository`.
    pub(super) fn grant(
        &self,
        mode: RegistryMode,
        condition: Option<&str>,
        repository: Option<&str>,
    ) -> Grant {
        let honoured = match mode {
            RegistryMode::Legacy => self.pull,
            RegistryMode::Abac => self.content && self.metadata,
        };
        if !honoured {
            return if mode == RegistryMode::Abac && self.pull {
                Grant::NotHonoured
            } else {
                Grant::No
            };
        }
        let Some(condition) = condition.filter(|text| !text.trim().is_empty()) else {
            return Grant::Pull;
        };
        match repository.map(|name| allows(condition, name)) {
            Some(Some(true)) => Grant::Pull,
            Some(Some(false)) => Grant::OtherRepositories {
                condition: condition.chars().take(2000).collect(),
            },
            Some(None) | None => Grant::Unknown,
        }
    }
}

/// Whether `action` is covered by `pattern`, where `*` stands for any text. Without regard to case.
fn matches(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| action.strip_prefix(first)) else {
        return false;
    };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

/// Reads the two comparisons with a repository name that the portal writes. None for any other text.
fn allows(condition: &str, repository: &str) -> Option<bool> {
    let attribute = "@Request[Microsoft.ContainerRegistry/registries/repositories:name]";
    let mut decided = None;
    for (at, _) in condition.match_indices(attribute) {
        let rest = condition.get(at + attribute.len()..)?.trim_start();
        let (operator, rest) = rest.split_once(char::is_whitespace)?;
        let value = rest.trim_start().strip_prefix('\'')?;
        let (value, _) = value.split_once('\'')?;
        let (name, value) = (repository.to_ascii_lowercase(), value.to_ascii_lowercase());
        let holds = match operator {
            "StringEqualsIgnoreCase" | "StringEquals" => name == value,
            "StringStartsWithIgnoreCase" | "StringStartsWith" => name.starts_with(&value),
            _ => return None,
        };
        // The portal joins several names with OR; anything subtler stays unknown.
        decided = Some(decided.unwrap_or(false) || holds);
    }
    let joins_names = condition.matches(" AND ").count();
    let denies = condition.contains(" AND @Request") || condition.contains("!(@Request");
    if denies || joins_names > 8 {
        None
    } else {
        decided
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn role(actions: &[&str], not: &[&str], data: &[&str]) -> Role {
        let permissions = json!([{"actions": actions, "notActions": not, "dataActions": data, "notDataActions": []}]);
        Role::read(&json!({"properties": {"roleName": "r", "permissions": permissions}}))
            .expect("a definition")
    }

    #[test]
    fn legacy_grants() {
        let table: &[(&[&str], &[&str], bool)] = &[
            (
                &["Microsoft.ContainerRegistry/registries/pull/read"],
                &[],
                true,
            ),
            (
                &["microsoft.containerregistry/registries/PULL/read"],
                &[],
                true,
            ),
            (&["*/read"], &[], true),
            (
                &["*"],
                &["Microsoft.ContainerRegistry/registries/pull/*"],
                false,
            ),
            (&["Microsoft.ContainerRegistry/*"], &[], true),
            (
                &["Microsoft.ContainerRegistry/registries/push/write"],
                &[],
                false,
            ),
            (&["Microsoft.ContainerRegistry/registries/read"], &[], false),
            (&[], &[], false),
        ];
        for (actions, not, want) in table {
            let got = role(actions, not, &[]).grant(RegistryMode::Legacy, None, Some("shop/api"));
            assert_eq!(got == Grant::Pull, *want, "for {actions:?} without {not:?}");
        }
    }

    #[test]
    fn abac_does_not_honour_acr_pull() {
        let acr_pull = role(&[PULL], &[], &[]);
        assert_eq!(
            acr_pull.grant(RegistryMode::Abac, None, Some("shop/api")),
            Grant::NotHonoured
        );
        let reader = role(
            &[],
            &[],
            &["Microsoft.ContainerRegistry/registries/repositories/*/read"],
        );
        assert_eq!(
            reader.grant(RegistryMode::Abac, None, Some("shop/api")),
            Grant::Pull
        );
        assert_eq!(
            reader.grant(RegistryMode::Legacy, None, Some("shop/api")),
            Grant::No
        );
    }

    #[test]
    fn conditions_as_the_portal_writes_them() {
        let head =
            format!("((!(ActionMatches{{'{CONTENT}'}}) AND !(ActionMatches{{'{METADATA}'}})) OR (");
        let name = "@Request[Microsoft.ContainerRegistry/registries/repositories:name]";
        let reader = Role::built_in("b93aa761-3e63-49ed-ac28-beffa264f7ac").expect("built in");
        let exact = format!("{head}{name} StringEqualsIgnoreCase 'Shop/API'))");
        let prefix = format!("{head}{name} StringStartsWithIgnoreCase 'shop/'))");
        let other = format!("{head}{name} StringEqualsIgnoreCase 'hello-world'))");
        let odd = format!("{head}{name} StringLike 'x*'))");
        let grant =
            |condition: &str| reader.grant(RegistryMode::Abac, Some(condition), Some("shop/api"));
        assert_eq!(grant(&exact), Grant::Pull);
        assert_eq!(grant(&prefix), Grant::Pull);
        assert!(matches!(grant(&other), Grant::OtherRepositories { .. }));
        assert_eq!(grant(&odd), Grant::Unknown);
    }
}
