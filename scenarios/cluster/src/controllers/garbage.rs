//! The garbage collector: what nobody owns any more goes, and a foreground deletion waits for it.

use std::time::Duration;

use serde_json::Value;

use super::object::{is_deleted, items, key, text, uid};
use super::work::{Controller, Key};
use crate::api::{Api, DeleteOptions, Propagation};
use crate::store::{Action, Change, Kind};

/// The finalizer that holds an owner until its dependents are gone.
const FOREGROUND: &str = "foregroundDeletion";

/// The kinds that own or are owned.
const KINDS: &[Kind] = &[
    Kind::Pod,
    Kind::ReplicaSet,
    Kind::Deployment,
    Kind::DaemonSet,
    Kind::StatefulSet,
    Kind::Job,
    Kind::Node,
    Kind::Lease,
    Kind::ConfigMap,
    Kind::Secret,
    Kind::Service,
    Kind::ServiceAccount,
];

/// Keys are `(kind/namespace, name)`: one queue for all kinds.
#[derive(Debug)]
pub(super) struct Garbage {
    api: Api,
}

impl Garbage {
    pub(super) fn new(api: Api) -> Self {
        Self { api }
    }

    /// Whether an owner that a reference speaks of is still there.
    fn exists(&self, namespace: &str, owner: &Value) -> bool {
        let Some(kind) = Kind::named(text(owner, "/kind")) else {
            // An owner of a kind that is not modelled is left alone, and its dependents with it.
            return true;
        };
        let namespace = if kind.namespaced() { namespace } else { "" };
        self.api
            .store()
            .get_shared(kind, namespace, text(owner, "/name"))
            .is_some_and(|found| uid(&found) == text(owner, "/uid"))
    }

    /// What an owner owns: kind, key, and whether it holds the owner's deletion up.
    fn dependents(&self, owner: &str) -> Vec<(Kind, Key, bool)> {
        let mut found = Vec::new();
        for kind in KINDS {
            for object in self.api.store().list_shared(*kind, None).0 {
                let own = items(&object, "/metadata/ownerReferences")
                    .iter()
                    .find(|reference| text(reference, "/uid") == owner);
                if let Some(own) = own {
                    let blocks = own.get("blockOwnerDeletion") == Some(&Value::Bool(true));
                    found.push((*kind, key(&object), blocks));
                }
            }
        }
        found
    }

    /// Deletes an object whose owners are all gone.
    fn collect(&self, kind: Kind, object: &Value) {
        let (namespace, name) = key(object);
        let owners = items(object, "/metadata/ownerReferences");
        if owners.is_empty()
            || is_deleted(object)
            || owners.iter().any(|owner| self.exists(&namespace, owner))
        {
            return;
        }
        let options = DeleteOptions {
            uid: Some(uid(object).to_owned()),
            ..DeleteOptions::default()
        };
        let _ = self.api.delete(kind, &namespace, &name, &options);
    }

    /// Deletes the dependents of an owner that waits for them, and lets it go when they are gone.
    fn foreground(&self, kind: Kind, owner: &Value) {
        let dependents = self.dependents(uid(owner));
        for (of, (namespace, name), _) in &dependents {
            let found = self.api.store().get_shared(*of, namespace, name);
            if found.is_some_and(|found| !is_deleted(&found)) {
                let options = DeleteOptions {
                    propagation: Propagation::Foreground,
                    ..DeleteOptions::default()
                };
                let _ = self.api.delete(*of, namespace, name, &options);
            }
        }
        let left = self.dependents(uid(owner));
        if left.iter().any(|(.., blocks)| *blocks) {
            return;
        }
        let (namespace, name) = key(owner);
        let _ = self.api.store().update(kind, &namespace, &name, |object| {
            let list = object.pointer_mut("/metadata/finalizers");
            if let Some(list) = list.and_then(Value::as_array_mut) {
                list.retain(|finalizer| finalizer != FOREGROUND);
            }
        });
    }
}

fn queue_key(kind: Kind, (namespace, name): Key) -> Key {
    (format!("{}/{namespace}", kind.name()), name)
}

impl Controller for Garbage {
    fn kinds(&self) -> &'static [Kind] {
        KINDS
    }

    fn concerned(&mut self, kind: Kind, change: &Change) -> Vec<Key> {
        let object = &change.object;
        if change.action == Action::Deleted {
            // Its dependents may be garbage now, its owners may wait for it no more.
            let mut keys: Vec<Key> = self
                .dependents(uid(object))
                .into_iter()
                .map(|(kind, key, _)| queue_key(kind, key))
                .collect();
            for owner in items(object, "/metadata/ownerReferences") {
                if let Some(kind) = Kind::named(text(owner, "/kind")) {
                    let namespace = if kind.namespaced() {
                        text(object, "/metadata/namespace")
                    } else {
                        ""
                    };
                    let key = (namespace.to_owned(), text(owner, "/name").to_owned());
                    keys.push(queue_key(kind, key));
                }
            }
            return keys;
        }
        let owned = !items(object, "/metadata/ownerReferences").is_empty();
        if (change.action == Action::Added && owned) || is_deleted(object) {
            return vec![queue_key(kind, key(object))];
        }
        Vec::new()
    }

    fn everything(&mut self) -> Vec<Key> {
        let mut keys = Vec::new();
        for kind in KINDS {
            let (objects, _) = self.api.store().list_shared(*kind, None);
            keys.extend(objects.iter().map(|object| queue_key(*kind, key(object))));
        }
        keys
    }

    fn sync(&mut self, (place, name): &Key) -> Option<Duration> {
        let (kind, namespace) = place.split_once('/')?;
        let kind = Kind::named(kind)?;
        let object = self.api.store().get_shared(kind, namespace, name)?;
        let waits = items(&object, "/metadata/finalizers")
            .iter()
            .any(|finalizer| finalizer == FOREGROUND);
        if is_deleted(&object) && waits {
            self.foreground(kind, &object);
        } else {
            self.collect(kind, &object);
        }
        None
    }
}
