//! Locks: attributes of a repository, a tag or a manifest that forbid reading, writing, deleting
//! or listing it, whatever the role of the one who asks.
//!
//! Source: Azure Container Registry, "Lock a container image"; the words of the refusal are those
//! that clients were seen to get.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::state::Acr;
use super::tenant::AcrRegistry;
use crate::message::Refusal;
use crate::protocol::{Route, Target};
use crate::store::Store;

/// What is allowed with something; everything by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) delete: bool,
    pub(crate) list: bool,
    pub(crate) read: bool,
    pub(crate) write: bool,
}

/// By `repository`, `repository:tag` and `repository@digest`.
pub(crate) type Locks = BTreeMap<String, Attributes>;

impl Default for Attributes {
    fn default() -> Self {
        Self {
            delete: true,
            list: true,
            read: true,
            write: true,
        }
    }
}

impl Attributes {
    pub(super) fn to_json(self) -> Value {
        json!({
            "deleteEnabled": self.delete, "listEnabled": self.list,
            "readEnabled": self.read, "writeEnabled": self.write,
        })
    }

    /// With what a request changes.
    pub(super) fn changed(self, body: &Value) -> Option<Self> {
        let flag = |key: &str, current: bool| match body.get(key) {
            None | Some(Value::Null) => Some(current),
            Some(value) => value.as_bool(),
        };
        Some(Self {
            delete: flag("deleteEnabled", self.delete)?,
            list: flag("listEnabled", self.list)?,
            read: flag("readEnabled", self.read)?,
            write: flag("writeEnabled", self.write)?,
        })
    }
}

impl AcrRegistry {
    /// Locks an image (`team/web:v1`, `team/web@sha256:…`) or a repository against reading.
    #[must_use]
    pub fn unreadable(mut self, what: &str) -> Self {
        self.locks.insert(
            what.to_owned(),
            Attributes {
                read: false,
                ..Attributes::default()
            },
        );
        self
    }
}

impl Acr {
    pub(super) fn attributes(&self, key: &str) -> Attributes {
        self.spec.locks.get(key).copied().unwrap_or_default()
    }

    /// Refuses what a lock on the repository, the tag or the manifest forbids.
    pub(crate) fn check_locks(
        &self,
        target: Target<'_>,
        method: &Method,
        store: &Store,
    ) -> Result<(), Box<Refusal>> {
        if self.spec.locks.is_empty() || target.repository.is_empty() {
            return Ok(());
        }
        let Target {
            route,
            repository,
            reference,
        } = target;
        let mut keys = vec![repository.to_owned()];
        if route == Route::Manifest {
            if reference.contains(':') {
                keys.push(format!("{repository}@{reference}"));
            } else {
                keys.push(format!("{repository}:{reference}"));
                let tagged = store.manifest(repository, reference);
                keys.extend(tagged.map(|found| format!("{repository}@{}", found.digest)));
            }
        }
        let allowed = |attributes: Attributes| match (route, method.as_str()) {
            (Route::Manifest | Route::Blob, "GET" | "HEAD") => attributes.read,
            (Route::Manifest | Route::Blob, "DELETE") => attributes.delete && attributes.write,
            (Route::Manifest | Route::UploadStart, _) => attributes.write,
            (Route::Tags, _) => attributes.list,
            _ => true,
        };
        if keys.iter().all(|key| allowed(self.attributes(key))) {
            return Ok(());
        }
        Err(disallowed())
    }
}

pub(super) fn disallowed() -> Box<Refusal> {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "REGISTRY_DISALLOWED_OPERATION",
        "The operation is disallowed on this registry, repository or image. View troubleshooting steps at https://aka.ms/acr/faq/#why-does-my-pull-or-push-request-fail-with-disallowed-operation",
    )
    .detail(json!({}))
}
