//! Accounts of a registry and what each of them may do.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use super::Scope;

/// Names, passwords and rights.
#[derive(Clone, Default)]
pub struct Accounts {
    users: BTreeMap<String, User>,
    pub(crate) anonymous: Rights,
}

#[derive(Clone)]
struct User {
    password: String,
    rights: Rights,
    until: Option<Timestamp>,
}

/// Why a name and password are not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    Credential,
    Expired,
}

impl Accounts {
    /// Nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// A user with rights such as `*` (all), `team/*:pull,push` or `team/web:pull`.
    #[must_use]
    pub fn user(self, name: &str, password: &str, rights: &[&str]) -> Self {
        self.add(name, password, rights, None)
    }

    /// A user whose password stops working, as those of Amazon do after twelve hours.
    #[must_use]
    pub fn user_until(self, name: &str, password: &str, rights: &[&str], until: Timestamp) -> Self {
        self.add(name, password, rights, Some(until))
    }

    fn add(
        mut self,
        name: &str,
        password: &str,
        rights: &[&str],
        until: Option<Timestamp>,
    ) -> Self {
        let user = User {
            password: password.to_owned(),
            rights: Rights::parse(rights),
            until,
        };
        self.users.insert(name.to_owned(), user);
        self
    }

    /// What somebody without a name may do; nothing by default.
    #[must_use]
    pub fn anonymous(mut self, rights: &[&str]) -> Self {
        self.anonymous = Rights::parse(rights);
        self
    }

    pub(crate) fn check(
        &self,
        name: &str,
        password: &str,
        now: Timestamp,
    ) -> Result<&Rights, Wrong> {
        let user = self.users.get(name).ok_or(Wrong::Credential)?;
        if !equal(user.password.as_bytes(), password.as_bytes()) {
            return Err(Wrong::Credential);
        }
        if user.until.is_some_and(|until| now >= until) {
            return Err(Wrong::Expired);
        }
        Ok(&user.rights)
    }

    pub(crate) fn rights(&self, name: &str) -> Option<&Rights> {
        self.users.get(name).map(|user| &user.rights)
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts")
            .field("users", &self.users.keys())
            .field("anonymous", &self.anonymous)
            .finish()
    }
}

/// Compares in time that depends on the lengths only.
pub(crate) fn equal(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

/// What somebody may do, as a list of patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rights {
    all: bool,
    grants: Vec<Grant>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Grant {
    kind: String,
    /// `*`, `team/*`, or a name.
    pattern: String,
    /// `*` for all.
    actions: Vec<String>,
}

impl Rights {
    pub(crate) fn all() -> Self {
        Self {
            all: true,
            grants: Vec::new(),
        }
    }

    fn parse(texts: &[&str]) -> Self {
        let mut grants = Vec::new();
        for text in texts {
            let (pattern, actions) = text.split_once(':').unwrap_or((text, "*"));
            grants.push(Grant {
                kind: "repository".into(),
                pattern: pattern.to_owned(),
                actions: actions.split(',').map(Into::into).collect(),
            });
            if pattern == "*" {
                grants.push(Grant {
                    kind: "registry".into(),
                    pattern: "catalog".into(),
                    actions: vec!["*".into()],
                });
            }
        }
        Self { all: false, grants }
    }

    pub(crate) fn of_scopes(scopes: Vec<Scope>) -> Self {
        let grant = |scope: Scope| Grant {
            kind: scope.kind,
            pattern: scope.name,
            actions: scope.actions,
        };
        Self {
            all: false,
            grants: scopes.into_iter().map(grant).collect(),
        }
    }

    pub(crate) fn covers(&self, scope: &Scope) -> bool {
        self.all
            || scope
                .actions
                .iter()
                .all(|action| self.allows(scope, action))
    }

    fn allows(&self, scope: &Scope, action: &str) -> bool {
        self.all
            || self.grants.iter().any(|grant| {
                grant.kind == scope.kind
                    && matches(&grant.pattern, &scope.name)
                    && grant
                        .actions
                        .iter()
                        .any(|granted| granted == action || granted == "*")
            })
    }

    /// What is granted of what was asked for.
    pub(crate) fn intersect(&self, asked: &[Scope]) -> Vec<Scope> {
        asked
            .iter()
            .map(|scope| Scope {
                actions: scope
                    .actions
                    .iter()
                    .filter(|action| self.allows(scope, action))
                    .cloned()
                    .collect(),
                ..scope.clone()
            })
            .filter(|scope| !scope.actions.is_empty())
            .collect()
    }
}

/// `*`, `prefix/*` and exact names.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    }
}
