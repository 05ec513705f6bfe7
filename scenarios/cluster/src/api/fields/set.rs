//! Sets of field paths, as `FieldsV1` writes them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// A path: `f:spec`, `f:containers`, `k:{"name":"main"}`, `f:image`.
pub(super) type Path = Vec<String>;

/// A set of paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Set(pub(super) BTreeSet<Path>);

/// How the items of a list are told apart.
pub(super) enum List {
    /// By these fields.
    Keyed(&'static [&'static str]),
    /// By what they are.
    Unique,
    /// Not at all: the list is one value.
    Whole,
}

/// Fields of an object that nobody owns: the server's own, and those that name the object.
const UNOWNED: [&[&str]; 10] = [
    &["f:apiVersion"],
    &["f:kind"],
    &["f:metadata", "f:name"],
    &["f:metadata", "f:namespace"],
    &["f:metadata", "f:uid"],
    &["f:metadata", "f:resourceVersion"],
    &["f:metadata", "f:generation"],
    &["f:metadata", "f:creationTimestamp"],
    &["f:metadata", "f:managedFields"],
    &["f:metadata", "f:selfLink"],
];

/// How the list in a field is owned. `within` is the field that the list's owner is an item of.
pub(super) fn list(within: &str, field: &str) -> List {
    List::Keyed(match field {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets"
        | "secrets"
        | "resourceClaims" => &["name"],
        "volumeMounts" => &["mountPath"],
        "volumeDevices" => &["devicePath"],
        "ports" if within.to_ascii_lowercase().ends_with("containers") => {
            &["containerPort", "protocol"]
        }
        "ports" => &["port", "protocol"],
        "conditions" | "addresses" => &["type"],
        "ownerReferences" => &["uid"],
        "hostAliases" | "podIPs" | "hostIPs" => &["ip"],
        "topologySpreadConstraints" => &["topologyKey", "whenUnsatisfiable"],
        "finalizers" => return List::Unique,
        _ => return List::Whole,
    })
}

/// Objects that are owned whole.
fn is_whole(field: &str) -> bool {
    matches!(
        field,
        "selector"
            | "nodeSelector"
            | "labelSelector"
            | "podSelector"
            | "namespaceSelector"
            | "secretKeyRef"
            | "configMapKeyRef"
            | "fieldRef"
            | "resourceFieldRef"
            | "involvedObject"
            | "nodeAffinity"
    )
}

/// The element of a path that names an item of a keyed list.
pub(super) fn key(item: &Value, keys: &[&str]) -> Option<String> {
    let mut named = Map::new();
    for key in keys {
        let value = item.get(*key).cloned();
        // The one key that has a default.
        let value = value.or_else(|| (*key == "protocol").then(|| json!("TCP")))?;
        named.insert((*key).to_owned(), value);
    }
    Some(format!("k:{}", Value::Object(named)))
}

/// Every owned value of an object by its path. Items of keyed lists are there themselves too.
pub(super) fn leaves(object: &Value) -> BTreeMap<Path, Option<&Value>> {
    let mut found = BTreeMap::new();
    collect(object, &mut Vec::new(), "", "", &mut found);
    found.retain(|path, _| {
        !UNOWNED.iter().any(|unowned| {
            path.len() >= unowned.len() && path.iter().zip(*unowned).all(|(a, b)| a == b)
        })
    });
    found
}

fn collect<'a>(
    value: &'a Value,
    path: &mut Path,
    within: &str,
    field: &str,
    found: &mut BTreeMap<Path, Option<&'a Value>>,
) {
    match value {
        Value::Object(fields) if !fields.is_empty() && !is_whole(field) => {
            for (name, value) in fields {
                path.push(format!("f:{name}"));
                collect(value, path, field, name, found);
                path.pop();
            }
        }
        Value::Array(items) if !items.is_empty() => match list(within, field) {
            List::Whole => {
                found.insert(path.clone(), Some(value));
            }
            List::Unique => {
                for item in items {
                    let mut path = path.clone();
                    path.push(format!("v:{item}"));
                    found.insert(path, Some(item));
                }
            }
            List::Keyed(keys) => {
                for item in items {
                    let Some(key) = key(item, keys) else {
                        continue;
                    };
                    path.push(key);
                    found.insert(path.clone(), None);
                    collect(item, path, within, field, found);
                    path.pop();
                }
            }
        },
        Value::Null => {}
        plain => {
            found.insert(path.clone(), Some(plain));
        }
    }
}

impl Set {
    /// The owned paths of an object.
    pub(super) fn of(object: &Value) -> Self {
        Self(leaves(object).into_keys().collect())
    }

    /// What came or changed from one object to another, and what went.
    pub(super) fn compare(old: &Value, new: &Value) -> (Self, Self) {
        let (old, new) = (leaves(old), leaves(new));
        let changed = new
            .iter()
            .filter(|(path, value)| old.get(*path) != Some(value));
        let changed = changed.map(|(path, _)| path.clone()).collect();
        let removed = old.keys().filter(|path| !new.contains_key(*path));
        (Self(changed), Self(removed.cloned().collect()))
    }

    /// Reads `FieldsV1`.
    pub(super) fn read(fields: &Value) -> Self {
        let mut set = Self::default();
        set.read_into(fields, &mut Vec::new());
        set
    }

    fn read_into(&mut self, fields: &Value, path: &mut Path) {
        let Some(fields) = fields.as_object() else {
            return;
        };
        if fields.is_empty() && !path.is_empty() {
            self.0.insert(path.clone());
        }
        for (name, inner) in fields {
            if name == "." {
                self.0.insert(path.clone());
            } else {
                path.push(name.clone());
                self.read_into(inner, path);
                path.pop();
            }
        }
    }

    /// Writes `FieldsV1`.
    pub(super) fn write(&self) -> Value {
        let mut root = Value::Object(Map::new());
        for path in &self.0 {
            let mut at = &mut root;
            for element in path {
                let Some(fields) = at.as_object_mut() else {
                    break;
                };
                at = fields.entry(element.clone()).or_insert_with(|| json!({}));
            }
        }
        // In their order a path comes before those below it, so only now is it known who has any.
        for path in &self.0 {
            let mut at = Some(&mut root);
            for element in path {
                at = at.and_then(|at| at.get_mut(element));
            }
            if let Some(fields) = at.and_then(Value::as_object_mut)
                && !fields.is_empty()
            {
                fields.shift_insert(0, ".".into(), json!({}));
            }
        }
        root
    }

    /// Whether a path, or one below it, is in the set.
    pub(super) fn reaches(&self, path: &[String]) -> bool {
        self.0
            .range(path.to_vec()..)
            .next()
            .is_some_and(|found| found.starts_with(path))
    }
}

/// `.spec.containers[name="main"].image`
pub(super) fn text(path: &[String]) -> String {
    let element = |element: &String| {
        if let Some(name) = element.strip_prefix("f:") {
            return format!(".{name}");
        }
        if let Some(key) = element.strip_prefix("k:") {
            let key: Value = serde_json::from_str(key).unwrap_or_default();
            let pairs = key.as_object().into_iter().flatten();
            let pairs: Vec<String> = pairs
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            return format!("[{}]", pairs.join(","));
        }
        element
            .strip_prefix("v:")
            .map_or_else(String::new, |value| format!("[={value}]"))
    };
    path.iter().map(element).collect::<Vec<_>>().concat()
}
