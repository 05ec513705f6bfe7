//! Events of controllers, in the shapes of the recorders that real controllers use.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::object::{name, namespace, text, uid};
use crate::api::{Api, WriteOptions};
use crate::store::{ApiError, Kind};

/// Repeated events are recognised among so many.
const REMEMBERED: usize = 4096;
/// How many names are tried for an event that happens in the same moment as others.
const NAME_TRIES: i128 = 1000;

/// What happened, apart from the object it happened to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note<'a> {
    /// `Normal` or `Warning`.
    pub(super) of: &'a str,
    /// `ScalingReplicaSet`.
    pub(super) reason: &'a str,
    /// For events of the newer shape: what the controller did.
    pub(super) action: &'a str,
    pub(super) message: &'a str,
}

/// Writes the events of one component, and counts repetitions.
#[derive(Debug)]
pub(super) struct Recorder {
    api: Api,
    component: &'static str,
    instance: String,
    seen: BTreeMap<String, (String, String)>,
}

impl Recorder {
    pub(super) fn new(api: Api, component: &'static str) -> Self {
        Self {
            api,
            component,
            instance: String::new(),
            seen: BTreeMap::new(),
        }
    }

    /// The same for a component that names its instance.
    pub(super) fn with_instance(mut self, instance: String) -> Self {
        self.instance = instance;
        self
    }

    /// An event of the older shape: source, first and last time, count.
    pub(super) fn event(&mut self, kind: Kind, about: &Value, note: Note<'_>) {
        let now = self.api.store().clock().seconds();
        let seen = Self::key(about, note);
        let again = self.seen.get(&seen).cloned();
        if let Some((namespace, event)) = again {
            let repeated = self.api.change(Kind::Event, &namespace, &event, |event| {
                let count = event.get("count").and_then(Value::as_i64).unwrap_or(1);
                if let Some(event) = event.as_object_mut() {
                    event.insert("count".into(), (count + 1).into());
                    event.insert("lastTimestamp".into(), now.clone().into());
                }
            });
            if repeated.is_ok() {
                return;
            }
        }
        let body = json!({
            "involvedObject": Self::reference(kind, about),
            "reason": note.reason,
            "message": note.message,
            "source": { "component": self.component },
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": note.of,
            "eventTime": null,
            "reportingComponent": if self.api.minor() >= 27 { self.component } else { "" },
            "reportingInstance": self.instance
        });
        self.store(seen, about, &body);
    }

    /// An event of the newer shape: event time, action, and a series when it repeats.
    pub(super) fn event_v1(&mut self, kind: Kind, about: &Value, note: Note<'_>) {
        let now = self.api.store().clock().micros();
        let seen = Self::key(about, note);
        let again = self.seen.get(&seen).cloned();
        if let Some((namespace, event)) = again {
            let repeated = self.api.change(Kind::Event, &namespace, &event, |event| {
                let count = event.pointer("/series/count").and_then(Value::as_i64);
                if let Some(event) = event.as_object_mut() {
                    let count = count.unwrap_or(1) + 1;
                    let series = json!({ "count": count, "lastObservedTime": now });
                    event.insert("series".into(), series);
                }
            });
            if repeated.is_ok() {
                return;
            }
        }
        let body = json!({
            "involvedObject": Self::reference(kind, about),
            "reason": note.reason,
            "message": note.message,
            "source": {},
            "firstTimestamp": null,
            "lastTimestamp": null,
            "type": note.of,
            "eventTime": now,
            "action": note.action,
            "reportingComponent": self.component,
            "reportingInstance": self.instance
        });
        self.store(seen, about, &body);
    }

    fn key(about: &Value, note: Note<'_>) -> String {
        format!(
            "{}\n{}\n{}\n{}",
            uid(about),
            note.of,
            note.reason,
            note.message
        )
    }

    fn reference(kind: Kind, about: &Value) -> Value {
        json!({
            "kind": kind.name(),
            "namespace": namespace(about),
            "name": name(about),
            "uid": uid(about),
            "apiVersion": kind.api_version(),
            "resourceVersion": text(about, "/metadata/resourceVersion")
        })
    }

    fn store(&mut self, seen: String, about: &Value, body: &Value) {
        let place = match namespace(about) {
            "" => "default",
            own => own,
        }
        .to_owned();
        let nanos = self.api.store().clock().now().as_nanosecond();
        for offset in 0..NAME_TRIES {
            let event = format!("{}.{:x}", name(about), nanos + offset);
            let mut body = body.clone();
            if let Some(body) = body.as_object_mut() {
                let meta = json!({ "name": event, "namespace": place });
                body.shift_insert(0, "metadata".into(), meta);
            }
            let options = WriteOptions::default();
            match self.api.create(Kind::Event, &place, body, options) {
                Ok(_) => {
                    if self.seen.len() >= REMEMBERED {
                        self.seen.clear();
                    }
                    self.seen.insert(seen, (place, event));
                    return;
                }
                Err(ApiError {
                    reason: "AlreadyExists",
                    ..
                }) => {}
                // A namespace that is gone takes no events any more.
                Err(error) => {
                    tracing::debug!(%error, event, "an event was dropped");
                    return;
                }
            }
        }
    }
}
