//! Who may do what: roles at and above a scope, groups, deny assignments, and the two ways in
//! which a registry reads them.
//!
//! In legacy mode a registry asks for control-plane actions such as `registries/pull/read`, so
//! Reader, Contributor and Owner can pull too. In ABAC mode it asks for data actions on the
//! repository, subject to conditions, and AcrPull and its kin count for nothing.

use std::collections::BTreeSet;

use super::roles::{
    CATALOG_READ, CONTENT_DELETE, CONTENT_READ, CONTENT_WRITE, DELETE, METADATA_READ,
    METADATA_WRITE, PULL, PUSH,
};
use super::state::{Acr, Assignment, State};
use crate::auth::Scope;
use crate::auth::accounts::matches;

impl State {
    /// Object ids under which somebody has rights: the own one and those of groups, nested ones
    /// included.
    pub(crate) fn memberships(&self, object_id: &str) -> BTreeSet<String> {
        let mut ids = BTreeSet::from([object_id.to_owned()]);
        loop {
            let more: Vec<String> = self
                .principals
                .values()
                .filter(|who| {
                    !ids.contains(&who.object_id)
                        && who.members.iter().any(|member| ids.contains(member))
                })
                .map(|who| who.object_id.clone())
                .collect();
            if more.is_empty() {
                return ids;
            }
            ids.extend(more);
        }
    }

    fn holding<'a>(
        &'a self,
        object_id: &str,
        scope: &'a str,
    ) -> impl Iterator<Item = &'a Assignment> + use<'a> {
        let ids = self.memberships(object_id);
        self.assignments.iter().filter(move |assignment| {
            ids.contains(&assignment.principal) && self.is_at_or_above(&assignment.scope, scope)
        })
    }

    /// Whether a control-plane action is allowed at a scope.
    pub(crate) fn allows(&self, object_id: &str, scope: &str, action: &str) -> bool {
        let mut allowed = false;
        for assignment in self.holding(object_id, scope) {
            if self
                .role(&assignment.role)
                .is_some_and(|role| role.allows(action))
            {
                if assignment.deny {
                    return false;
                }
                allowed = true;
            }
        }
        allowed
    }

    /// Whether somebody may do something at a scope or at anything below it: what a list needs.
    pub(crate) fn allows_somewhere(&self, object_id: &str, scope: &str, action: &str) -> bool {
        let ids = self.memberships(object_id);
        self.assignments.iter().any(|assignment| {
            ids.contains(&assignment.principal)
                && !assignment.deny
                && (self.is_at_or_above(&assignment.scope, scope)
                    || self.is_at_or_above(scope, &assignment.scope))
                && self
                    .role(&assignment.role)
                    .is_some_and(|role| role.allows(action))
        })
    }

    /// Whether an action on data is allowed; `None` for the repository asks whether it is for any.
    fn allows_data(
        &self,
        object_id: &str,
        scope: &str,
        action: &str,
        repository: Option<&str>,
    ) -> bool {
        let mut allowed = false;
        for assignment in self.holding(object_id, scope) {
            let holds = match (&assignment.condition, repository) {
                (Some((_, condition)), Some(repository)) => condition.holds(action, repository),
                _ => true,
            };
            if holds
                && self
                    .role(&assignment.role)
                    .is_some_and(|role| role.allows_data(action))
            {
                if assignment.deny {
                    return false;
                }
                allowed = true;
            }
        }
        allowed
    }

    /// Whether an identity has any business with a registry's content; else its exchange fails.
    pub(crate) fn may_exchange(&self, acr: &Acr, object_id: &str) -> bool {
        if self.tenant_of(&acr.subscription) != self.tenant_id {
            return false;
        }
        if acr.spec.abac {
            return [
                CONTENT_READ,
                CONTENT_WRITE,
                CONTENT_DELETE,
                METADATA_READ,
                CATALOG_READ,
            ]
            .iter()
            .any(|action| self.allows_data(object_id, &acr.id, action, None));
        }
        [PULL, PUSH, DELETE]
            .iter()
            .any(|action| self.allows(object_id, &acr.id, action))
    }

    /// Whether an identity may do one thing that a token is asked for.
    pub(crate) fn may(&self, acr: &Acr, object_id: &str, scope: &Scope, action: &str) -> bool {
        let repository = Some(scope.name.as_str());
        let data = |action: &str| self.allows_data(object_id, &acr.id, action, repository);
        let legacy = |action: &str| self.allows(object_id, &acr.id, action);
        match (scope.kind.as_str(), action, acr.spec.abac) {
            ("registry", _, true) => self.allows_data(object_id, &acr.id, CATALOG_READ, None),
            ("registry", _, false) | ("repository", "pull" | "metadata_read", false) => {
                legacy(PULL)
            }
            ("repository", "pull", true) => data(CONTENT_READ),
            ("repository", "push", true) => data(CONTENT_WRITE),
            ("repository", "delete", true) => data(CONTENT_DELETE),
            ("repository", "metadata_read", true) => data(METADATA_READ),
            ("repository", "metadata_write", true) => data(METADATA_WRITE),
            ("repository", "push" | "metadata_write", false) => legacy(PUSH),
            ("repository", "delete", false) => legacy(DELETE),
            ("repository", "*", _) => ["pull", "push", "delete"]
                .iter()
                .all(|action| self.may(acr, object_id, scope, action)),
            _ => false,
        }
    }
}

impl Acr {
    /// Whether a scope map of this registry allows something to one of its tokens.
    pub(crate) fn token_may(&self, name: &str, scope: &Scope, action: &str) -> bool {
        let wanted = match action {
            "pull" => "content/read",
            "push" => "content/write",
            "delete" => "content/delete",
            "metadata_read" => "metadata/read",
            "metadata_write" => "metadata/write",
            _ => return false,
        };
        // Scope maps know no catalog.
        scope.kind == "repository"
            && self.token(name).is_some_and(|token| {
                token.rights.iter().any(|(pattern, actions)| {
                    matches(pattern, &scope.name) && actions.iter().any(|a| a == wanted)
                })
            })
    }
}
