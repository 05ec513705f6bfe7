//! The cluster's memory: versioned objects, optimistic concurrency, history and watches.
//!
//! Objects are JSON values, kept by kind, namespace and name in order. One counter gives every
//! write its resource version. The store sets what every object has (uid, creation time, version,
//! generation) and honours finalizers; defaults, admission and validation are the API's job.

mod error;
mod kind;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};
use tokio::sync::Notify;

pub use error::{ApiError, FieldCause};
pub use kind::{Kind, Wire};
pub use watch::{Action, Change, Lagged, Watch};

use crate::clock::{Clock, Generator, Seed};
use crate::failure::Failures;
use crate::program::Logs;

/// How many changes of a kind are kept for watches.
const DEFAULT_HISTORY: usize = 8192;
/// How often a generated name may be taken before the API gives up, as the real one does.
const NAME_TRIES: usize = 8;
/// The longest base of a generated name: 63 letters less the suffix.
const LONGEST_BASE: usize = 58;

/// The store. Cheap to clone, all clones are the same.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    state: Mutex<State>,
    bells: BTreeMap<Kind, Arc<Notify>>,
    failures: Failures,
    logs: Logs,
}

struct State {
    version: u64,
    uids: Generator,
    names: Generator,
    shelves: BTreeMap<Kind, Shelf>,
    history: usize,
}

#[derive(Default)]
struct Shelf {
    objects: BTreeMap<(String, String), Arc<Value>>,
    changes: VecDeque<Change>,
    /// The version of the newest change no longer kept.
    cut: u64,
}

impl Store {
    /// An empty store. Uids and generated names come from the seed, dates from the clock.
    pub fn new(clock: Clock, seed: Seed) -> Self {
        Self {
            shared: Arc::new(Shared {
                clock,
                state: Mutex::new(State {
                    version: 1,
                    uids: seed.generator("store/uid"),
                    names: seed.generator("store/name"),
                    shelves: BTreeMap::new(),
                    history: DEFAULT_HISTORY,
                }),
                bells: Kind::ALL
                    .into_iter()
                    .map(|kind| (kind, Arc::new(Notify::new())))
                    .collect(),
                failures: Failures::default(),
                logs: Logs::default(),
            }),
        }
    }

    /// Keeps at most so many changes of each kind.
    pub fn keep_history(&self, changes: usize) {
        let mut state = self.lock();
        state.history = changes;
        for shelf in state.shelves.values_mut() {
            shelf.trim(changes);
        }
    }

    /// The clock that dates come from.
    pub fn clock(&self) -> Clock {
        self.shared.clock
    }

    /// The tasks that worked on this store and panicked.
    pub fn failures(&self) -> &Failures {
        &self.shared.failures
    }

    /// What containers printed.
    pub fn logs(&self) -> &Logs {
        &self.shared.logs
    }

    /// The version of the last write.
    pub fn version(&self) -> u64 {
        self.lock().version
    }

    /// The oldest version from which a kind can be watched.
    pub fn oldest(&self, kind: Kind) -> u64 {
        self.lock().shelves.get(&kind).map_or(0, |shelf| shelf.cut)
    }

    /// An object. The namespace of kinds without one is the empty text.
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Value> {
        self.get_shared(kind, namespace, name)
            .map(|object| Value::clone(&object))
    }

    /// The same without a copy.
    pub fn get_shared(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let state = self.lock();
        let shelf = state.shelves.get(&kind)?;
        shelf.objects.get(&key(namespace, name)).cloned()
    }

    /// All objects of a kind, of one namespace or of all, by namespace and name; and the version at
    /// which they were read.
    pub fn list(&self, kind: Kind, namespace: Option<&str>) -> (Vec<Value>, u64) {
        let (objects, version) = self.list_shared(kind, namespace);
        let copies = objects.iter().map(|object| Value::clone(object)).collect();
        (copies, version)
    }

    /// The same without copies.
    pub fn list_shared(&self, kind: Kind, namespace: Option<&str>) -> (Vec<Arc<Value>>, u64) {
        let state = self.lock();
        let objects = state
            .shelves
            .get(&kind)
            .map_or_else(Vec::new, |shelf| match namespace {
                None => shelf.objects.values().cloned().collect(),
                Some(namespace) => shelf
                    .objects
                    .range(key(namespace, "")..)
                    .take_while(|((of, _), _)| of == namespace)
                    .map(|(_, object)| Arc::clone(object))
                    .collect(),
            });
        (objects, state.version)
    }

    /// Stores a new object. Its name may be generated (`metadata.generateName`).
    pub fn create(&self, kind: Kind, object: Value) -> Result<Value, ApiError> {
        self.create_at(kind, object, true)
    }

    /// As [`Store::create`]; nothing is stored when `store` is false (a dry run).
    pub fn create_at(&self, kind: Kind, mut object: Value, store: bool) -> Result<Value, ApiError> {
        let now = self.shared.clock.seconds();
        let mut guard = self.lock();
        let state = &mut *guard;
        let shelf = state.shelves.entry(kind).or_default();
        let meta = metadata_mut(&mut object)?;
        let namespace = text(meta, "namespace");
        let mut name = text(meta, "name");
        let base = text(meta, "generateName");
        if name.is_empty() && base.is_empty() {
            return Err(ApiError::invalid(
                kind,
                "",
                &[FieldCause::required(
                    "metadata.name",
                    "name or generateName is required",
                )],
            ));
        }
        if name.is_empty() {
            let base: String = base.chars().take(LONGEST_BASE).collect();
            name = (0..NAME_TRIES)
                .map(|_| format!("{base}{}", state.names.suffix(5)))
                .find(|name| !shelf.objects.contains_key(&key(&namespace, name)))
                .ok_or_else(|| ApiError::already_exists(kind, &base))?;
        } else if shelf.objects.contains_key(&key(&namespace, &name)) {
            return Err(ApiError::already_exists(kind, &name));
        }
        meta.insert("name".into(), name.clone().into());
        meta.insert("uid".into(), state.uids.uid().into());
        meta.insert("creationTimestamp".into(), now.into());
        meta.shift_remove("deletionTimestamp");
        meta.shift_remove("deletionGracePeriodSeconds");
        if kind.wire().has_generation {
            meta.insert("generation".into(), 1.into());
        } else {
            meta.shift_remove("generation");
        }
        set_type(kind, &mut object);
        if store {
            state.put(kind, (namespace, name), Action::Added, &mut object);
            drop(guard);
            self.ring(kind);
        } else {
            set_version(&mut object, 0);
        }
        Ok(object)
    }

    /// Replaces an object whole. A `resourceVersion` in it must be the current one; without one the
    /// write is unconditional. Uid and creation time stay; deletion cannot be undone.
    pub fn replace(&self, kind: Kind, object: Value) -> Result<Value, ApiError> {
        let meta = object.get("metadata");
        let field = |name: &str| meta.and_then(|meta| meta.get(name)).and_then(Value::as_str);
        let namespace = field("namespace").unwrap_or_default().to_owned();
        let name = field("name").unwrap_or_default().to_owned();
        self.modify(kind, &namespace, &name, true, |current| {
            *current = object;
            Ok(())
        })
    }

    /// Sets fields of an object's status: each field given replaces the one that is there, null
    /// removes it.
    pub fn merge_status(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        status: Value,
    ) -> Result<Value, ApiError> {
        self.update(kind, namespace, name, |object| {
            let Some(object) = object.as_object_mut() else {
                return;
            };
            let current = object.entry("status").or_insert_with(|| json!({}));
            match (current.as_object_mut(), status) {
                (Some(current), Value::Object(fields)) => {
                    for (field, value) in fields {
                        if value.is_null() {
                            current.shift_remove(&field);
                        } else {
                            current.insert(field, value);
                        }
                    }
                }
                (_, status) => {
                    object.insert("status".into(), status);
                }
            }
        })
    }

    /// Changes an object in place, atomically.
    pub fn update(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<Value, ApiError> {
        self.modify(kind, namespace, name, true, |object| {
            change(object);
            // What the closure was given is the latest: there is nothing to conflict with.
            if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                meta.shift_remove("resourceVersion");
            }
            Ok(())
        })
    }

    /// The general write: `change` sees the current object and leaves the wanted one. A version it
    /// leaves must be the current one. An object that comes out equal is not written. The last
    /// finalizer to go takes a deleted object with it.
    pub fn modify(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        store: bool,
        change: impl FnOnce(&mut Value) -> Result<(), ApiError>,
    ) -> Result<Value, ApiError> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let place = key(namespace, name);
        let current = state
            .shelves
            .get(&kind)
            .and_then(|shelf| shelf.objects.get(&place))
            .cloned()
            .ok_or_else(|| ApiError::not_found(kind, name))?;
        let mut wanted = Value::clone(&current);
        change(&mut wanted)?;
        settle(kind, name, &current, &mut wanted)?;
        if *current == wanted || !store {
            return Ok(wanted);
        }
        if is_released(&wanted) {
            state.remove(kind, &place, &mut wanted);
        } else {
            state.put(kind, place, Action::Modified, &mut wanted);
        }
        drop(guard);
        self.ring(kind);
        Ok(wanted)
    }

    /// Removes an object at once and gives its last state; with finalizers it is only marked as
    /// deleted and goes with the last of them.
    pub fn delete(&self, kind: Kind, namespace: &str, name: &str) -> Result<Value, ApiError> {
        self.delete_graceful(kind, namespace, name, 0)
    }

    /// The same, leaving `grace` seconds: the object is marked and whoever runs it deletes it again
    /// with 0. A later call can only shorten the time.
    pub fn delete_graceful(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        grace: u64,
    ) -> Result<Value, ApiError> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let place = key(namespace, name);
        let current = state
            .shelves
            .get(&kind)
            .and_then(|shelf| shelf.objects.get(&place))
            .cloned()
            .ok_or_else(|| ApiError::not_found(kind, name))?;
        let mut object = Value::clone(&current);
        let finalizers = has_finalizers(&object);
        if grace == 0 && !finalizers {
            state.remove(kind, &place, &mut object);
        } else {
            let meta = metadata_mut(&mut object)?;
            let running = meta
                .get("deletionGracePeriodSeconds")
                .and_then(Value::as_u64);
            if running.is_some_and(|running| running <= grace) {
                return Ok(object);
            }
            let due = self.shared.clock.now() + std::time::Duration::from_secs(grace.min(1 << 32));
            let due = crate::clock::rfc3339_seconds(due);
            if running.is_none() && kind.wire().has_generation {
                let generation = meta.get("generation").and_then(Value::as_u64);
                meta.insert("generation".into(), (generation.unwrap_or(0) + 1).into());
            }
            meta.insert("deletionTimestamp".into(), due.into());
            meta.insert("deletionGracePeriodSeconds".into(), grace.into());
            state.put(kind, place, Action::Modified, &mut object);
        }
        drop(guard);
        self.ring(kind);
        Ok(object)
    }

    /// Watches a kind: every change after version `from`.
    pub fn watch(&self, kind: Kind, from: u64) -> Watch {
        Watch::new(self.clone(), kind, from)
    }

    /// A uid from the store's own chance.
    pub fn new_uid(&self) -> String {
        self.lock().uids.uid()
    }

    pub(crate) fn bell(&self, kind: Kind) -> Arc<Notify> {
        self.shared
            .bells
            .get(&kind)
            .cloned()
            .unwrap_or_else(|| Arc::new(Notify::new()))
    }

    fn ring(&self, kind: Kind) {
        if let Some(bell) = self.shared.bells.get(&kind) {
            bell.notify_waiters();
        }
    }

    fn change_after(&self, kind: Kind, version: u64) -> Result<Option<Change>, Lagged> {
        let state = self.lock();
        let Some(shelf) = state.shelves.get(&kind) else {
            return Ok(None);
        };
        if version < shelf.cut {
            return Err(Lagged {
                wanted: version,
                oldest: shelf.cut,
            });
        }
        let at = shelf
            .changes
            .partition_point(|change| change.version <= version);
        Ok(shelf.changes.get(at).cloned())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, kind: Kind, place: (String, String), action: Action, object: &mut Value) {
        self.version += 1;
        set_version(object, self.version);
        let stored = Arc::new(object.clone());
        let shelf = self.shelves.entry(kind).or_default();
        let previous = shelf.objects.insert(place, Arc::clone(&stored));
        shelf.record(self.history, action, stored, previous, self.version);
    }

    fn remove(&mut self, kind: Kind, place: &(String, String), object: &mut Value) {
        self.version += 1;
        set_version(object, self.version);
        let shelf = self.shelves.entry(kind).or_default();
        let previous = shelf.objects.remove(place);
        let last = Arc::new(object.clone());
        shelf.record(self.history, Action::Deleted, last, previous, self.version);
    }
}

impl Shelf {
    fn record(
        &mut self,
        history: usize,
        action: Action,
        object: Arc<Value>,
        previous: Option<Arc<Value>>,
        version: u64,
    ) {
        self.changes.push_back(Change {
            action,
            object,
            previous,
            version,
        });
        self.trim(history);
    }

    fn trim(&mut self, history: usize) {
        while self.changes.len() > history {
            if let Some(change) = self.changes.pop_front() {
                self.cut = change.version;
            }
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

fn key(namespace: &str, name: &str) -> (String, String) {
    (namespace.to_owned(), name.to_owned())
}

fn text(map: &Map<String, Value>, field: &str) -> String {
    map.get(field)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn metadata_mut(object: &mut Value) -> Result<&mut Map<String, Value>, ApiError> {
    object
        .as_object_mut()
        .map(|object| object.entry("metadata").or_insert_with(|| json!({})))
        .and_then(Value::as_object_mut)
        .ok_or_else(|| ApiError::bad_request("the object has no usable metadata"))
}

fn set_version(object: &mut Value, version: u64) {
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        if version == 0 {
            meta.shift_remove("resourceVersion");
        } else {
            meta.insert("resourceVersion".into(), version.to_string().into());
        }
    }
}

/// Puts kind and version of the API first, as the wire has them.
fn set_type(kind: Kind, object: &mut Value) {
    if let Some(object) = object.as_object_mut() {
        object.shift_remove("kind");
        object.shift_remove("apiVersion");
        object.shift_insert(0, "kind".into(), kind.name().into());
        object.shift_insert(1, "apiVersion".into(), kind.api_version().into());
    }
}

/// Whether something holds an object back; namespaces have a list of their own in their spec.
fn has_finalizers(object: &Value) -> bool {
    ["/metadata/finalizers", "/spec/finalizers"]
        .into_iter()
        .filter_map(|path| object.pointer(path)?.as_array())
        .any(|finalizers| !finalizers.is_empty())
}

/// Deleted, no time left, and nobody holds it any more.
fn is_released(object: &Value) -> bool {
    let deleted = object.pointer("/metadata/deletionTimestamp").is_some();
    let grace = object.pointer("/metadata/deletionGracePeriodSeconds");
    deleted && grace.and_then(Value::as_u64).unwrap_or(0) == 0 && !has_finalizers(object)
}

/// Checks the version and uid of a wanted object against the current one, restores what no write
/// may change, and counts the generation.
fn settle(kind: Kind, name: &str, current: &Value, wanted: &mut Value) -> Result<(), ApiError> {
    set_type(kind, wanted);
    let old = current.get("metadata").and_then(Value::as_object);
    let old_text = |field: &str| old.map(|old| text(old, field)).unwrap_or_default();
    let old_value = |field: &str| old.and_then(|old| old.get(field)).cloned();
    let spec_changed = spec_changed(kind, current, wanted);
    let meta = metadata_mut(wanted)?;
    let version = text(meta, "resourceVersion");
    if !version.is_empty() && version != "0" && version != old_text("resourceVersion") {
        return Err(ApiError::conflict(kind, name));
    }
    let uid = text(meta, "uid");
    if !uid.is_empty() && uid != old_text("uid") {
        return Err(ApiError::conflict_because(
            kind,
            name,
            &format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                old_text("uid")
            ),
        ));
    }
    for field in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "resourceVersion",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        match old_value(field) {
            Some(value) => {
                meta.insert(field.into(), value);
            }
            None => {
                meta.shift_remove(field);
            }
        }
    }
    if kind.wire().has_generation && spec_changed {
        let generation = meta.get("generation").and_then(Value::as_u64);
        meta.insert("generation".into(), (generation.unwrap_or(0) + 1).into());
    }
    Ok(())
}

/// Whether a write counts as a change of the spec. Binding a pod to a node does not.
fn spec_changed(kind: Kind, current: &Value, wanted: &Value) -> bool {
    let (old, new) = (current.get("spec"), wanted.get("spec"));
    if kind != Kind::Pod || old == new {
        return old != new;
    }
    let unbound = |spec: Option<&Value>| {
        let mut spec = spec.cloned().unwrap_or_default();
        if let Some(spec) = spec.as_object_mut() {
            spec.shift_remove("nodeName");
        }
        spec
    };
    unbound(old) != unbound(new)
}
