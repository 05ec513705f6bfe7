//! Events as a kubelet writes them: an occurrence goes through the correlator and becomes a new event
//! object, a higher count on one, or nothing.
//!
//! The rules are in [`correlator`]; here they meet the store. What cannot be written (the namespace is
//! gone) is dropped, as the real recorder drops it after its retries.

pub mod correlator;
pub mod limit;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use self::correlator::{Correlator, Decision, Occurrence, Write};
use crate::clock::rfc3339_seconds;
use crate::profile::Profile;
use crate::store::{Kind, Store};

/// Who writes events: one component on one node.
pub struct Recorder {
    component: String,
    node: String,
    names_reporter: bool,
    store: Store,
    correlator: Mutex<Correlator>,
}

impl Recorder {
    /// A recorder with empty caches.
    pub fn new(component: &str, node: &str, profile: &Profile, store: Store) -> Self {
        Self {
            component: component.to_owned(),
            node: node.to_owned(),
            names_reporter: profile.events_name_reporter(),
            store,
            correlator: Mutex::new(Correlator::new(profile.spam_filter_by_type())),
        }
    }

    /// Writes what the correlator makes of it.
    pub fn record(&self, event: &Occurrence) {
        let clock = self.store.clock();
        let epoch = u128::try_from(clock.start().as_nanosecond()).unwrap_or_default();
        let now = clock.elapsed();
        let mut correlator = self
            .correlator
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut decision = correlator.step(now, epoch, event);
        if let Decision::Update(write) = &decision {
            let namespace = namespace(event);
            let update = self
                .store
                .update(Kind::Event, namespace, &write.name, |object| {
                    if let Some(fields) = object.as_object_mut() {
                        fields.insert("count".to_owned(), write.count.into());
                        fields.insert("lastTimestamp".to_owned(), self.date(write.last).into());
                        fields.insert("message".to_owned(), write.message.clone().into());
                    }
                });
            if update.is_ok() {
                return;
            }
            // Its hour was over: written anew, with the name and the count it had.
            decision = Decision::Create(write.clone());
        }
        if let Decision::Create(write) = decision
            && self
                .store
                .create(Kind::Event, self.object(event, &write))
                .is_err()
        {
            correlator.forget(&write);
        }
    }

    fn object(&self, event: &Occurrence, write: &Write) -> Value {
        let object = &event.object;
        let mut involved = json!({
            "kind": object.kind,
            "namespace": object.namespace,
            "name": object.name,
            "uid": object.uid,
            "apiVersion": object.api_version,
            "resourceVersion": object.resource_version,
            "fieldPath": object.field_path,
        });
        if let Some(fields) = involved.as_object_mut() {
            fields.retain(|_, value| value.as_str() != Some(""));
        }
        let reporter = self.names_reporter && !write.combined;
        let reporting = |text: &str| {
            if reporter {
                text.to_owned()
            } else {
                String::new()
            }
        };
        json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": { "name": write.name, "namespace": namespace(event) },
            "involvedObject": involved,
            "reason": event.reason,
            "message": write.message,
            "source": { "component": self.component, "host": self.node },
            "firstTimestamp": self.date(write.first),
            "lastTimestamp": self.date(write.last),
            "count": write.count,
            "type": event.severity.as_str(),
            "eventTime": null,
            "reportingComponent": reporting(&self.component),
            "reportingInstance": reporting(&self.node),
        })
    }

    fn date(&self, elapsed: Duration) -> String {
        let start = self.store.clock().start();
        let at = SignedDuration::try_from(elapsed)
            .ok()
            .and_then(|d| start.checked_add(d).ok());
        rfc3339_seconds(at.unwrap_or(Timestamp::MAX))
    }
}

/// Events about objects without a namespace live in `default`.
fn namespace(event: &Occurrence) -> &str {
    if event.object.namespace.is_empty() {
        "default"
    } else {
        &event.object.namespace
    }
}
