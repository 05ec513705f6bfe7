//! Cache rules of a registry: which repositories it fetches from elsewhere, and whether its
//! credentials for that work.
//!
//! Azure checks the credentials of a rule itself and keeps the outcome as their health. Only the rule that covers
//! the repository in question is asked about; what is not allowed to be read is left out and not missed.

use serde::Serialize;
use serde_json::Value;

use super::client::{ArmError, Client};

const API: &str = "2025-11-01";
const RULES: &str = "Microsoft.ContainerRegistry/registries/cacheRules/read";
const SETS: &str = "Microsoft.ContainerRegistry/registries/credentialSets/read";
/// Rules that are read.
const LIMIT: usize = 1000;

/// A rule by which repositories are fetched from another registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CacheRule {
    /// Its name.
    pub name: String,
    /// Where it fetches from: `docker.io/library/*`.
    pub source: String,
    /// Which repositories here: `hub/*`.
    pub target: String,
    /// Why its credentials do not work, when Azure says that they do not.
    pub unhealthy: Option<String>,
}

impl CacheRule {
    /// Whether it is about `repository`.
    pub fn covers(&self, repository: &str) -> bool {
        match self.target.strip_suffix('*') {
            Some(prefix) => repository.starts_with(prefix),
            None => self.target == repository,
        }
    }

    /// What `repository` is at the source.
    pub fn source_of(&self, repository: &str) -> String {
        let rest = self
            .target
            .strip_suffix('*')
            .and_then(|prefix| repository.strip_prefix(prefix))
            .unwrap_or_default();
        format!("{}{rest}", self.source.trim_end_matches('*'))
    }
}

/// The rules of a registry that cover `repository`.
pub(super) async fn rules(
    client: &mut Client<'_>,
    registry: &str,
    repository: &str,
) -> Result<Vec<CacheRule>, ArmError> {
    let path = format!("{registry}/cacheRules?api-version={API}");
    let items = match client
        .list("cache rules of the registry", &path, RULES)
        .await
    {
        // Clouds and tiers without the feature.
        Err(ArmError::NotFound { .. } | ArmError::Status { status: 405, .. }) => {
            client.lookups.pop();
            return Ok(Vec::new());
        }
        other => other?,
    };
    let mut found = Vec::new();
    for item in items.iter().take(LIMIT) {
        let Some((mut rule, set)) = rule(item).filter(|(rule, _)| rule.covers(repository)) else {
            continue;
        };
        if let Some(set) = set {
            let path = format!("{registry}/credentialSets/{set}?api-version={API}");
            let what = format!("credentials of cache rule {}", rule.name);
            let read = client.get(&what, &path, SETS).await;
            rule.unhealthy = read.ok().as_ref().and_then(complaint);
        }
        found.push(rule);
    }
    Ok(found)
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    let text = value.pointer(pointer)?.as_str()?;
    let printable = text.chars().filter(|c| !c.is_control());
    Some(printable.take(500).collect())
}

/// A rule, and the name of its credential set.
fn rule(item: &Value) -> Option<(CacheRule, Option<String>)> {
    let named = |name: &&str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let set = text(item, "/properties/credentialSetResourceId");
    let set = set
        .as_deref()
        .and_then(|id| id.rsplit('/').next())
        .filter(named)
        .map(str::to_owned);
    let rule = CacheRule {
        name: text(item, "/name")?,
        source: text(item, "/properties/sourceRepository")?,
        target: text(item, "/properties/targetRepository")?,
        unhealthy: None,
    };
    Some((rule, set))
}

/// What Azure says about credentials that do not work.
fn complaint(set: &Value) -> Option<String> {
    let credentials = set.pointer("/properties/authCredentials")?.as_array()?;
    credentials.iter().find_map(|one| {
        let status = text(one, "/credentialHealth/status")?;
        status.eq_ignore_ascii_case("Unhealthy").then(|| {
            let said = |key: &str| text(one, &format!("/credentialHealth/{key}"));
            let words: Vec<String> = said("errorCode")
                .into_iter()
                .chain(said("errorMessage"))
                .collect();
            if words.is_empty() {
                status
            } else {
                words.join(": ")
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_repositories_a_rule_covers_and_what_they_are_at_the_source() {
        let table = [
            (
                "hub/*",
                "docker.io/library/*",
                "hub/alpine",
                Some("docker.io/library/alpine"),
            ),
            ("hub/*", "docker.io/*", "team/web", None),
            ("web", "ghcr.io/team/web", "web", Some("ghcr.io/team/web")),
            ("web", "ghcr.io/team/web", "web2", None),
        ];
        for (target, source, repository, want) in table {
            let rule = CacheRule {
                name: "r".into(),
                source: source.into(),
                target: target.into(),
                unhealthy: None,
            };
            let got = rule.covers(repository).then(|| rule.source_of(repository));
            assert_eq!(got.as_deref(), want, "{repository} by {target}");
        }
    }
}
