//! Events of controllers, in the shapes of the recorders that real controllers use.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::object::{name, namespace, text, uid};
use crate::api::{Api, WriteOptions};
use crate::events::correlator::{Correlator, Decision, ObjectRef, Occurrence, Severity};
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
    correlator: Correlator,
    seen: BTreeMap<String, (String, String)>,
}

impl Recorder {
    pub(super) fn new(api: Api, component: &'static str) -> Self {
        Self {
            correlator: Correlator::new(api.minor() >= 32),
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

    /// An event of the older shape: source, first and last time, count; combined and cut short as the
    /// correlator of client-go does for every component.
    pub(super) fn event(&mut self, kind: Kind, about: &Value, note: Note<'_>) {
        let clock = self.api.store().clock();
        let now = clock.seconds();
        let epoch = u128::try_from(clock.start().as_nanosecond()).unwrap_or_default();
        let occurrence = Occurrence {
            object: ObjectRef {
                api_version: kind.api_version(),
                kind: kind.name().to_owned(),
                namespace: namespace(about).to_owned(),
                name: name(about).to_owned(),
                uid: uid(about).to_owned(),
                ..ObjectRef::default()
            },
            severity: if note.of == "Warning" {
                Severity::Warning
            } else {
                Severity::Normal
            },
            reason: note.reason.to_owned(),
            message: note.message.to_owned(),
        };
        let write = match self.correlator.step(clock.elapsed(), epoch, &occurrence) {
            Decision::Skip => return,
            Decision::Create(write) => write,
            Decision::Update(write) => {
                let known = self.seen.get(&write.name).cloned();
                let repeated = known.map(|(namespace, event)| {
                    self.api.change(Kind::Event, &namespace, &event, |event| {
                        if let Some(event) = event.as_object_mut() {
                            event.insert("count".into(), write.count.into());
                            event.insert("lastTimestamp".into(), now.clone().into());
                            event.insert("message".into(), write.message.clone().into());
                        }
                    })
                });
                if let Some(Ok(_)) = repeated {
                    return;
                }
                write
            }
        };
        let named = self.api.minor() >= 27 && !write.combined;
        let body = json!({
            "involvedObject": Self::reference(kind, about),
            "reason": note.reason,
            "message": write.message,
            "source": { "component": self.component },
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": write.count,
            "type": note.of,
            "eventTime": null,
            "reportingComponent": if named { self.component } else { "" },
            "reportingInstance": self.instance
        });
        self.store(write.name, about, &body);
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
