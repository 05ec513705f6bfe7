//! The verbs as plain functions: what a request does once it is understood. Controllers use them
//! too, so a pod made by a ReplicaSet passes the same admission as one made by kubectl.

use serde_json::{Value, json};

use super::{Api, FieldSelector, LabelSelector, admission, defaults, validate};
use crate::store::{ApiError, FieldCause, Kind};

/// The longest time a pod can be asked to take to end.
const LONGEST_GRACE: u64 = 365 * 24 * 3600;
/// Namespaces that cannot be deleted.
const KEPT: [&str; 3] = ["default", "kube-system", "kube-public"];

/// How a write is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// Do everything but store.
    pub dry_run: bool,
}

/// What becomes of the things an object owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    /// The object goes at once, its dependents follow.
    #[default]
    Background,
    /// The dependents go first.
    Foreground,
    /// The dependents stay, without an owner.
    Orphan,
}

/// How an object is deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Seconds a pod has to end; none is what its spec says.
    pub grace: Option<u64>,
    /// What becomes of dependents.
    pub propagation: Propagation,
    /// Only when the object still has this uid.
    pub uid: Option<String>,
    /// Only when the object still has this version.
    pub resource_version: Option<String>,
    /// Do everything but delete.
    pub dry_run: bool,
}

/// Which half of an object a write may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Main,
    Status,
}

impl Api {
    /// An object, or 404.
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Result<Value, ApiError> {
        self.store
            .get(kind, namespace, name)
            .ok_or_else(|| ApiError::not_found(kind, name))
    }

    /// The objects that match, and the version they were read at.
    pub fn list(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        labels: &LabelSelector,
        fields: &FieldSelector,
    ) -> (Vec<Value>, u64) {
        let (objects, version) = self.store.list_shared(kind, namespace);
        let matching = objects
            .iter()
            .filter(|object| labels.matches(object) && fields.matches(object))
            .map(|object| Value::clone(object));
        (matching.collect(), version)
    }

    /// Creates an object: defaults, admission, validation, store.
    pub fn create(
        &self,
        kind: Kind,
        namespace: &str,
        object: Value,
        options: WriteOptions,
    ) -> Result<Value, ApiError> {
        self.create_as(kind, namespace, object, options, |_| {})
    }

    /// The same; `finish` has the last word before the object is stored.
    pub(super) fn create_as(
        &self,
        kind: Kind,
        namespace: &str,
        mut object: Value,
        options: WriteOptions,
        finish: impl FnOnce(&mut Value),
    ) -> Result<Value, ApiError> {
        let Some(meta) = defaults::child(&mut object, "metadata") else {
            return Err(ApiError::bad_request("the object has no usable metadata"));
        };
        let version = meta.get("resourceVersion").and_then(Value::as_str);
        if version.is_some_and(|version| !matches!(version, "" | "0")) {
            return Err(ApiError::plain(
                500,
                "InternalError",
                "resourceVersion should not be set on objects to be created",
            ));
        }
        for field in ["selfLink", "uid", "managedFields"] {
            meta.shift_remove(field);
        }
        if kind.namespaced() {
            let given = meta.get("namespace").and_then(Value::as_str);
            if given.is_some_and(|given| !given.is_empty() && given != namespace) {
                return Err(namespace_mismatch());
            }
            meta.insert("namespace".into(), namespace.into());
        } else {
            meta.shift_remove("namespace");
        }
        defaults::fill(kind, &mut object);
        admission::admit(&self.store, kind, namespace, &mut object, || self.suffix())?;
        validate::check(kind, &object, None)?;
        finish(&mut object);
        self.store.create_at(kind, object, !options.dry_run)
    }

    /// Replaces an object. A version in it must be the current one.
    pub fn replace(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        object: Value,
        options: WriteOptions,
    ) -> Result<Value, ApiError> {
        check_place(namespace, name, &object)?;
        self.write(kind, namespace, name, Part::Main, options, |current| {
            *current = object;
            Ok(())
        })
    }

    /// Changes an object in place, past defaults and validation.
    pub fn change(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<Value, ApiError> {
        let options = WriteOptions::default();
        self.write(kind, namespace, name, Part::Main, options, |current| {
            change(current);
            drop_version(current);
            Ok(())
        })
    }

    /// Sets the status of an object, if it is still the one with this uid.
    pub fn set_status(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        status: Value,
    ) -> Result<Value, ApiError> {
        let options = WriteOptions::default();
        self.write(kind, namespace, name, Part::Status, options, |current| {
            if let Some(current) = current.as_object_mut() {
                current.insert("status".into(), status);
            }
            drop_version(current);
            Ok(())
        })
    }

    /// The general write: the change may touch one part, the other is kept as it is.
    pub(super) fn write(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        part: Part,
        options: WriteOptions,
        change: impl FnOnce(&mut Value) -> Result<(), ApiError>,
    ) -> Result<Value, ApiError> {
        self.write_as(kind, (namespace, name), part, options, change, |_, _| {})
    }

    /// The same; `finish` sees what was there and has the last word before the object is stored.
    pub(super) fn write_as(
        &self,
        kind: Kind,
        (namespace, name): (&str, &str),
        part: Part,
        options: WriteOptions,
        change: impl FnOnce(&mut Value) -> Result<(), ApiError>,
        finish: impl FnOnce(&Value, &mut Value),
    ) -> Result<Value, ApiError> {
        let store = !options.dry_run;
        self.store.modify(kind, namespace, name, store, |current| {
            let old = current.clone();
            change(current)?;
            check_place(namespace, name, current)?;
            match part {
                Part::Main if kind.wire().has_status => keep(&old, current, "status"),
                Part::Main => {}
                Part::Status => {
                    let status = current.get("status").cloned();
                    let version = current.pointer("/metadata/resourceVersion").cloned();
                    let owners = current.pointer("/metadata/managedFields").cloned();
                    *current = old.clone();
                    if let Some(fields) = current.as_object_mut() {
                        fields.extend(status.map(|status| ("status".into(), status)));
                    }
                    if let Some(meta) = defaults::child(current, "metadata") {
                        meta.insert("resourceVersion".into(), version.unwrap_or_default());
                        if let Some(owners) = owners {
                            meta.insert("managedFields".into(), owners);
                        }
                    }
                    finish(&old, current);
                    return Ok(());
                }
            }
            defaults::fill(kind, current);
            validate::check(kind, current, Some(&old))?;
            finish(&old, current);
            Ok(())
        })
    }

    /// Deletes an object. Gives its last state and whether it is gone already.
    pub fn delete(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<(Value, bool), ApiError> {
        let object = self.get(kind, namespace, name)?;
        preconditions(kind, name, &object, options)?;
        if kind == Kind::Namespace && KEPT.contains(&name) {
            let why = "this namespace may not be deleted";
            return Err(ApiError::forbidden(kind, name, why));
        }
        let grace = if kind == Kind::Pod {
            pod_grace(&object, options.grace)
        } else {
            0
        };
        if options.dry_run {
            return Ok((object, grace == 0));
        }
        let uid = object.pointer("/metadata/uid").and_then(Value::as_str);
        match options.propagation {
            Propagation::Background => {}
            Propagation::Orphan => self.orphan(uid.unwrap_or_default()),
            Propagation::Foreground => {
                self.store.update(kind, namespace, name, |object| {
                    let Some(meta) = defaults::child(object, "metadata") else {
                        return;
                    };
                    let list = meta.entry("finalizers").or_insert_with(|| json!([]));
                    let Some(list) = list.as_array_mut() else {
                        return;
                    };
                    if !list
                        .iter()
                        .any(|finalizer| finalizer == "foregroundDeletion")
                    {
                        list.push("foregroundDeletion".into());
                    }
                })?;
            }
        }
        let last = self.store.delete_graceful(kind, namespace, name, grace)?;
        if kind == Kind::Namespace && self.store.get_shared(kind, "", name).is_some() {
            let status = json!({ "phase": "Terminating" });
            let marked = self.store.merge_status(kind, "", name, status)?;
            return Ok((marked, false));
        }
        let gone = self
            .store
            .get_shared(kind, namespace, name)
            .is_none_or(|now| now.pointer("/metadata/uid") != last.pointer("/metadata/uid"));
        Ok((last, gone))
    }

    /// Takes an owner out of everything it owns.
    fn orphan(&self, uid: &str) {
        for kind in Kind::ALL {
            let (objects, _) = self.store.list_shared(kind, None);
            for object in objects {
                let owners = object.pointer("/metadata/ownerReferences");
                let owners = owners.and_then(Value::as_array).into_iter().flatten();
                if !owners.clone().any(|owner| is_uid(owner, uid)) {
                    continue;
                }
                let text = |path: &str| object.pointer(path).and_then(Value::as_str);
                let namespace = text("/metadata/namespace").unwrap_or_default();
                let name = text("/metadata/name").unwrap_or_default();
                // Gone in between is as good.
                let _ = self.store.update(kind, namespace, name, |object| {
                    let owners = object.pointer_mut("/metadata/ownerReferences");
                    if let Some(owners) = owners.and_then(Value::as_array_mut) {
                        owners.retain(|owner| !is_uid(owner, uid));
                    }
                });
            }
        }
    }
}

fn is_uid(owner: &Value, uid: &str) -> bool {
    owner.get("uid").and_then(Value::as_str) == Some(uid)
}

fn namespace_mismatch() -> ApiError {
    ApiError::bad_request(
        "the namespace of the provided object does not match the namespace sent on the request",
    )
}

/// An object that is written must be the one of the path; what it does not say is taken as right.
fn check_place(namespace: &str, name: &str, object: &Value) -> Result<(), ApiError> {
    let text = |path: &str| {
        let value = object.pointer(path).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let given = text("/metadata/name");
    if !given.is_empty() && given != name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        )));
    }
    let given = text("/metadata/namespace");
    if !given.is_empty() && given != namespace {
        return Err(namespace_mismatch());
    }
    Ok(())
}

fn drop_version(object: &mut Value) {
    if let Some(meta) = defaults::child(object, "metadata") {
        meta.shift_remove("resourceVersion");
    }
}

fn keep(old: &Value, new: &mut Value, field: &str) {
    let Some(fields) = new.as_object_mut() else {
        return;
    };
    match old.get(field) {
        Some(value) => {
            fields.insert(field.into(), value.clone());
        }
        None => {
            fields.shift_remove(field);
        }
    }
}

fn preconditions(
    kind: Kind,
    name: &str,
    object: &Value,
    options: &DeleteOptions,
) -> Result<(), ApiError> {
    for (wanted, path, what, held) in [
        (&options.uid, "/metadata/uid", "UID", "UID"),
        (
            &options.resource_version,
            "/metadata/resourceVersion",
            "ResourceVersion",
            "ResourceVersion",
        ),
    ] {
        let found = object.pointer(path).and_then(Value::as_str);
        let found = found.unwrap_or_default();
        if let Some(wanted) = wanted
            && wanted != found
        {
            let why = format!(
                "Precondition failed: {what} in precondition: {wanted}, {held} in object meta: {found}"
            );
            return Err(ApiError::conflict_because(kind, name, &why));
        }
    }
    Ok(())
}

/// A pod that runs nowhere, or no more, needs no time to end.
fn pod_grace(pod: &Value, wanted: Option<u64>) -> u64 {
    let text = |path: &str| {
        pod.pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let over = ["Succeeded", "Failed"].contains(&text("/status/phase"));
    if text("/spec/nodeName").is_empty() || over {
        return 0;
    }
    let own = pod.pointer("/spec/terminationGracePeriodSeconds");
    wanted
        .or_else(|| own.and_then(Value::as_u64))
        .unwrap_or(30)
        .min(LONGEST_GRACE)
}

impl DeleteOptions {
    /// Reads a `DeleteOptions` object.
    pub(super) fn from_object(object: &Value) -> Result<Self, ApiError> {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str);
        let grace = object.get("gracePeriodSeconds").and_then(Value::as_i64);
        let mut options = Self {
            uid: text("/preconditions/uid").map(str::to_owned),
            resource_version: text("/preconditions/resourceVersion").map(str::to_owned),
            dry_run: object.get("dryRun") == Some(&json!(["All"])),
            ..Self::default()
        };
        options.set_grace(grace)?;
        options.set_propagation(text("/propagationPolicy"))?;
        if object.get("orphanDependents") == Some(&Value::Bool(true)) {
            options.propagation = Propagation::Orphan;
        }
        Ok(options)
    }

    pub(super) fn set_grace(&mut self, grace: Option<i64>) -> Result<(), ApiError> {
        if let Some(grace) = grace {
            self.grace = Some(u64::try_from(grace).map_err(|_| {
                let cause = FieldCause::invalid(
                    "gracePeriodSeconds",
                    &grace.into(),
                    "must be greater than or equal to 0",
                );
                ApiError::invalid_subject("DeleteOptions.meta.k8s.io", "", &[cause])
            })?);
        }
        Ok(())
    }

    pub(super) fn set_propagation(&mut self, policy: Option<&str>) -> Result<(), ApiError> {
        self.propagation = match policy {
            None | Some("") => self.propagation,
            Some("Background") => Propagation::Background,
            Some("Foreground") => Propagation::Foreground,
            Some("Orphan") => Propagation::Orphan,
            Some(other) => {
                let cause = FieldCause::unsupported(
                    "propagationPolicy",
                    &other.into(),
                    &["Foreground", "Background", "Orphan", "nil"],
                );
                return Err(ApiError::invalid_subject(
                    "DeleteOptions.meta.k8s.io",
                    "",
                    &[cause],
                ));
            }
        };
        Ok(())
    }
}
