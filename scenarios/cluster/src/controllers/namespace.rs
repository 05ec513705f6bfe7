//! Namespaces: each gets a service account and the cluster's CA; one that is deleted is emptied.

use std::time::Duration;

use serde_json::{Value, json};

use super::object::{is_deleted, key, name, namespace};
use super::work::{Controller, Key};
use crate::api::{Api, DeleteOptions, WriteOptions};
use crate::store::{Action, Change, Kind};

#[derive(Debug)]
pub(super) struct Namespaces {
    api: Api,
}

impl Namespaces {
    pub(super) fn new(api: Api) -> Self {
        Self { api }
    }

    /// Makes what every namespace has; it is there already most of the time.
    pub(super) fn furnish(&self, namespace: &str) {
        let store = self.api.store();
        let furniture = [
            (
                Kind::ServiceAccount,
                json!({ "metadata": { "name": "default" } }),
            ),
            (
                Kind::ConfigMap,
                json!({
                    "metadata": { "name": "kube-root-ca.crt" },
                    "data": { "ca.crt": "" }
                }),
            ),
        ];
        for (kind, object) in furniture {
            if store.get_shared(kind, namespace, name(&object)).is_none()
                && let Err(error) =
                    self.api
                        .create(kind, namespace, object, WriteOptions::default())
            {
                tracing::debug!(%error, namespace, "a namespace could not be furnished");
            }
        }
    }

    /// Deletes what a namespace holds, then lets it go.
    fn empty(&self, namespace: &str) {
        let store = self.api.store();
        let mut left = 0;
        for kind in Kind::ALL.into_iter().filter(|kind| kind.namespaced()) {
            let (objects, _) = store.list_shared(kind, Some(namespace));
            for object in objects {
                if !is_deleted(&object) {
                    let options = DeleteOptions::default();
                    // Something that is gone in between is as good as deleted.
                    let _ = self.api.delete(kind, namespace, name(&object), &options);
                }
            }
            left += store.list_shared(kind, Some(namespace)).0.len();
        }
        if left == 0 {
            let _ = store.update(Kind::Namespace, "", namespace, |object| {
                if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
                    spec.shift_remove("finalizers");
                }
            });
        }
    }
}

impl Controller for Namespaces {
    fn kinds(&self) -> &'static [Kind] {
        // What is deleted may be the last thing a namespace held.
        &Kind::ALL
    }

    fn concerned(&mut self, kind: Kind, change: &Change) -> Vec<Key> {
        if kind == Kind::Namespace {
            return vec![key(&change.object)];
        }
        if change.action != Action::Deleted || !kind.namespaced() {
            return Vec::new();
        }
        vec![(String::new(), namespace(&change.object).to_owned())]
    }

    fn everything(&mut self) -> Vec<Key> {
        let (objects, _) = self.api.store().list_shared(Kind::Namespace, None);
        objects.iter().map(|object| key(object)).collect()
    }

    fn sync(&mut self, (_, namespace): &Key) -> Option<Duration> {
        let found = self
            .api
            .store()
            .get_shared(Kind::Namespace, "", namespace)?;
        if is_deleted(&found) {
            self.empty(namespace);
        } else {
            self.furnish(namespace);
        }
        None
    }
}
