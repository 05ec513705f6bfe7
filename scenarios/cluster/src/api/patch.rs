//! Patches: JSON patch, merge patch, and strategic merge with its list keys and directives.

use serde_json::{Map, Value};

use crate::store::ApiError;

/// How deep a patch or an object may nest.
const MAX_DEPTH: usize = 64;
/// How many operations a JSON patch may hold; the real server has the same bound.
const MAX_OPERATIONS: usize = 10_000;

/// A media type of PATCH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatchKind {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl PatchKind {
    pub(super) const ACCEPTED: [&'static str; 4] = [
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/strategic-merge-patch+json",
        "application/apply-patch+yaml",
    ];

    pub(super) fn from_media_type(text: &str) -> Option<Self> {
        match text {
            "application/json-patch+json" => Some(Self::Json),
            "application/merge-patch+json" => Some(Self::Merge),
            "application/strategic-merge-patch+json" => Some(Self::Strategic),
            "application/apply-patch+yaml" => Some(Self::Apply),
            _ => None,
        }
    }
}

/// Applies a patch of one of the first three kinds. An apply patch is merged like a strategic one.
pub(super) fn apply(kind: PatchKind, object: &mut Value, patch: &Value) -> Result<(), ApiError> {
    if depth(patch) > MAX_DEPTH {
        return Err(ApiError::bad_request("the patch is nested too deeply"));
    }
    match kind {
        PatchKind::Json => json_patch(object, patch),
        PatchKind::Merge => {
            if !patch.is_object() {
                return Err(cannot_unmarshal(patch));
            }
            merge(object, patch);
            Ok(())
        }
        PatchKind::Strategic | PatchKind::Apply => {
            let Some(fields) = patch.as_object() else {
                return Err(cannot_unmarshal(patch));
            };
            strategic(object, fields, "");
            Ok(())
        }
    }
}

fn cannot_unmarshal(patch: &Value) -> ApiError {
    let what = match patch {
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
        Value::Null | Value::Object(_) => "null",
    };
    ApiError::bad_request(format!(
        "json: cannot unmarshal {what} into Go value of type map[string]interface {{}}"
    ))
}

fn depth(value: &Value) -> usize {
    // serde_json refuses to read more than 128 levels, so the recursion is bounded.
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// RFC 7386.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(object) = target.as_object_mut() else {
        return;
    };
    for (field, value) in fields {
        if value.is_null() {
            object.shift_remove(field);
        } else {
            merge(object.entry(field.clone()).or_insert(Value::Null), value);
        }
    }
}

// --- JSON patch, RFC 6902 ---------------------------------------------------------------------

fn json_patch(object: &mut Value, patch: &Value) -> Result<(), ApiError> {
    let operations = patch
        .as_array()
        .ok_or_else(|| ApiError::bad_request("a JSON patch is a list of operations"))?;
    if operations.len() > MAX_OPERATIONS {
        return Err(ApiError::plain(
            413,
            "RequestEntityTooLarge",
            format!(
                "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
                operations.len()
            ),
        ));
    }
    let mut changed = object.clone();
    for operation in operations {
        one_operation(&mut changed, operation).ok_or_else(|| {
            ApiError::plain(
                422,
                "Invalid",
                "the server rejected our request due to an error in our request",
            )
        })?;
    }
    *object = changed;
    Ok(())
}

fn one_operation(object: &mut Value, operation: &Value) -> Option<()> {
    let text = |field: &str| operation.get(field).and_then(Value::as_str);
    let path = text("path")?;
    match text("op")? {
        "add" => add(object, path, operation.get("value")?.clone()),
        "remove" => remove(object, path).map(drop),
        "replace" => {
            *object.pointer_mut(path)? = operation.get("value")?.clone();
            Some(())
        }
        "move" => {
            let from = text("from")?;
            if path.starts_with(&format!("{from}/")) {
                return None;
            }
            let value = remove(object, from)?;
            add(object, path, value)
        }
        "copy" => {
            let value = object.pointer(text("from")?)?.clone();
            add(object, path, value)
        }
        "test" => (object.pointer(path)? == operation.get("value")?).then_some(()),
        _ => None,
    }
}

fn parent<'a>(object: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (parent, last) = path.rsplit_once('/')?;
    let last = last.replace("~1", "/").replace("~0", "~");
    Some((object.pointer_mut(parent)?, last))
}

fn add(object: &mut Value, path: &str, value: Value) -> Option<()> {
    if path.is_empty() {
        *object = value;
        return Some(());
    }
    match parent(object, path)? {
        (Value::Object(fields), name) => {
            fields.insert(name, value);
        }
        (Value::Array(items), last) if last == "-" => items.push(value),
        (Value::Array(items), last) => {
            let at: usize = last.parse().ok()?;
            if at > items.len() {
                return None;
            }
            items.insert(at, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(object: &mut Value, path: &str) -> Option<Value> {
    match parent(object, path)? {
        (Value::Object(fields), name) => fields.shift_remove(&name),
        (Value::Array(items), last) => {
            let at: usize = last.parse().ok()?;
            (at < items.len()).then(|| items.remove(at))
        }
        _ => None,
    }
}

// --- strategic merge --------------------------------------------------------------------------

/// The key that tells the items of a list apart; none for lists that are replaced whole.
/// `within` is the field that the list's owner is an item of.
fn merge_key(within: &str, field: &str) -> Option<&'static str> {
    Some(match field {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets"
        | "secrets"
        | "resourceClaims" => "name",
        "volumeMounts" => "mountPath",
        "volumeDevices" => "devicePath",
        "ports" if within.to_ascii_lowercase().ends_with("containers") => "containerPort",
        "ports" => "port",
        "conditions" | "addresses" => "type",
        "ownerReferences" => "uid",
        "hostAliases" | "podIPs" | "hostIPs" => "ip",
        "topologySpreadConstraints" => "topologyKey",
        _ => return None,
    })
}

/// Lists of plain values that are united instead of replaced.
fn is_united(field: &str) -> bool {
    matches!(field, "finalizers")
}

fn strategic(target: &mut Value, patch: &Map<String, Value>, within: &str) {
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            let mut fields = patch.clone();
            fields.shift_remove("$patch");
            *target = Value::Object(fields);
            return;
        }
        Some("delete") => {
            *target = Value::Object(Map::new());
            return;
        }
        _ => {}
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(object) = target.as_object_mut() else {
        return;
    };
    if let Some(retained) = patch.get("$retainKeys").and_then(Value::as_array) {
        object.retain(|field, _| retained.iter().any(|kept| kept == field));
    }
    for (field, value) in patch {
        if let Some(list) = field.strip_prefix("$deleteFromPrimitiveList/") {
            let gone = value.as_array().map(Vec::as_slice).unwrap_or_default();
            if let Some(items) = object.get_mut(list).and_then(Value::as_array_mut) {
                items.retain(|item| !gone.contains(item));
            }
            continue;
        }
        if field.starts_with('$') {
            continue;
        }
        match value {
            Value::Null => {
                object.shift_remove(field);
            }
            Value::Object(fields) => {
                let slot = object.entry(field.clone()).or_insert(Value::Null);
                strategic(slot, fields, field);
                if fields.get("$patch").and_then(Value::as_str) == Some("delete") {
                    object.shift_remove(field);
                }
            }
            Value::Array(items) => {
                let slot = object
                    .entry(field.clone())
                    .or_insert_with(|| Value::Array(Vec::new()));
                if !slot.is_array() {
                    *slot = Value::Array(Vec::new());
                }
                let Some(list) = slot.as_array_mut() else {
                    continue;
                };
                if let Some(key) = merge_key(within, field) {
                    merge_list(list, items, key, field);
                } else if is_united(field) {
                    for item in items {
                        if !list.contains(item) {
                            list.push(item.clone());
                        }
                    }
                } else {
                    list.clone_from(items);
                }
            }
            plain => {
                object.insert(field.clone(), plain.clone());
            }
        }
    }
    for (field, order) in patch {
        let Some(list) = field.strip_prefix("$setElementOrder/") else {
            continue;
        };
        let items = object.get_mut(list).and_then(Value::as_array_mut);
        if let (Some(items), Some(order)) = (items, order.as_array()) {
            set_order(items, order, merge_key(within, list));
        }
    }
}

fn merge_list(list: &mut Vec<Value>, patch: &[Value], key: &str, field: &str) {
    if patch
        .iter()
        .any(|item| item.get("$patch").and_then(Value::as_str) == Some("replace"))
    {
        *list = patch
            .iter()
            .filter(|item| item.get("$patch").is_none())
            .cloned()
            .collect();
        return;
    }
    for item in patch {
        let Some(fields) = item.as_object() else {
            continue;
        };
        let wanted = fields.get(key);
        let at = list
            .iter()
            .position(|candidate| wanted.is_some() && candidate.get(key) == wanted);
        if fields.get("$patch").and_then(Value::as_str) == Some("delete") {
            if let Some(at) = at {
                list.remove(at);
            }
            continue;
        }
        if let Some(slot) = at.and_then(|at| list.get_mut(at)) {
            strategic(slot, fields, field);
        } else {
            let mut fresh = Value::Object(Map::new());
            strategic(&mut fresh, fields, field);
            list.push(fresh);
        }
    }
}

/// Puts the items the patch names in its order; the others stay behind the one they followed.
fn set_order(items: &mut Vec<Value>, order: &[Value], key: Option<&str>) {
    let name = |item: &Value| match key {
        Some(key) => item.get(key).cloned().unwrap_or(Value::Null),
        None => item.clone(),
    };
    let wanted: Vec<Value> = order.iter().map(name).collect();
    let before: Vec<Value> = std::mem::take(items);
    let mut sorted: Vec<Value> = Vec::with_capacity(before.len());
    for wanted in &wanted {
        sorted.extend(before.iter().filter(|item| name(item) == *wanted).cloned());
    }
    for (at, item) in before.iter().enumerate() {
        if wanted.contains(&name(item)) {
            continue;
        }
        let earlier = before.iter().take(at).map(name).collect::<Vec<_>>();
        let place = sorted
            .iter()
            .rposition(|placed| earlier.last().is_some_and(|last| *last == name(placed)));
        sorted.insert(place.map_or(0, |place| place + 1), item.clone());
    }
    *items = sorted;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn patched(kind: PatchKind, mut object: Value, patch: &Value) -> Value {
        apply(kind, &mut object, patch).unwrap();
        object
    }

    #[test]
    fn strategic_merge_follows_the_keys_of_each_list() {
        let table = [
            // kubectl set image
            (
                json!({ "spec": { "containers": [{ "name": "a", "image": "x:1", "args": ["1"] }, { "name": "b" }] } }),
                json!({ "spec": { "$setElementOrder/containers": [{ "name": "a" }, { "name": "b" }],
                    "containers": [{ "name": "a", "image": "x:2" }] } }),
                json!({ "spec": { "containers": [{ "name": "a", "image": "x:2", "args": ["1"] }, { "name": "b" }] } }),
            ),
            // a pull secret is added, not put in place of the others
            (
                json!({ "imagePullSecrets": [{ "name": "one" }] }),
                json!({ "imagePullSecrets": [{ "name": "two" }] }),
                json!({ "imagePullSecrets": [{ "name": "one" }, { "name": "two" }] }),
            ),
            (
                json!({ "imagePullSecrets": [{ "name": "one" }, { "name": "two" }] }),
                json!({ "imagePullSecrets": [{ "name": "one", "$patch": "delete" }] }),
                json!({ "imagePullSecrets": [{ "name": "two" }] }),
            ),
            (
                json!({ "imagePullSecrets": [{ "name": "one" }] }),
                json!({ "imagePullSecrets": [{ "$patch": "replace" }, { "name": "two" }] }),
                json!({ "imagePullSecrets": [{ "name": "two" }] }),
            ),
            // tolerations are replaced, null deletes
            (
                json!({ "spec": { "tolerations": [{ "key": "a" }], "nodeName": "n" } }),
                json!({ "spec": { "tolerations": [{ "key": "b" }], "nodeName": null } }),
                json!({ "spec": { "tolerations": [{ "key": "b" }] } }),
            ),
            // order, with one that only the server has
            (
                json!({ "containers": [{ "name": "a" }, { "name": "side" }, { "name": "b" }] }),
                json!({ "$setElementOrder/containers": [{ "name": "b" }, { "name": "a" }] }),
                json!({ "containers": [{ "name": "b" }, { "name": "a" }, { "name": "side" }] }),
            ),
            (
                json!({ "metadata": { "finalizers": ["a", "b"] } }),
                json!({ "metadata": { "$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"] } }),
                json!({ "metadata": { "finalizers": ["b", "c"] } }),
            ),
            (
                json!({ "strategy": { "type": "RollingUpdate", "rollingUpdate": {} } }),
                json!({ "strategy": { "$retainKeys": ["type"], "type": "Recreate" } }),
                json!({ "strategy": { "type": "Recreate" } }),
            ),
            (
                json!({ "containers": [{ "name": "a", "ports": [{ "containerPort": 80, "name": "web" }] }] }),
                json!({ "containers": [{ "name": "a", "ports": [{ "containerPort": 80, "protocol": "TCP" }] }] }),
                json!({ "containers": [{ "name": "a", "ports": [{ "containerPort": 80, "name": "web", "protocol": "TCP" }] }] }),
            ),
        ];
        for (object, patch, want) in table {
            assert_eq!(
                patched(PatchKind::Strategic, object, &patch),
                want,
                "{patch}"
            );
        }
    }

    #[test]
    fn merge_patches_replace_lists() {
        assert_eq!(
            patched(
                PatchKind::Merge,
                json!({ "a": [1], "b": { "c": 1, "d": 2 } }),
                &json!({ "a": [2], "b": { "c": null } })
            ),
            json!({ "a": [2], "b": { "d": 2 } })
        );
        assert!(apply(PatchKind::Merge, &mut json!({}), &json!([])).is_err());
    }

    #[test]
    fn json_patches_do_all_or_nothing() {
        let object = json!({ "a": { "b/c": 1 }, "l": [1, 3] });
        let patch = json!([
            { "op": "test", "path": "/a/b~1c", "value": 1 },
            { "op": "add", "path": "/l/1", "value": 2 },
            { "op": "add", "path": "/l/-", "value": 4 },
            { "op": "move", "from": "/a/b~1c", "path": "/a/x" },
            { "op": "copy", "from": "/a/x", "path": "/y" },
            { "op": "replace", "path": "/a/x", "value": 5 },
            { "op": "remove", "path": "/l/0" }
        ]);
        assert_eq!(
            patched(PatchKind::Json, object.clone(), &patch),
            json!({ "a": { "x": 5 }, "l": [2, 3, 4], "y": 1 })
        );
        for bad in [
            json!([{ "op": "remove", "path": "/l/0" }, { "op": "test", "path": "/a", "value": 1 }]),
            json!([{ "op": "add", "path": "/l/9", "value": 1 }]),
            json!([{ "op": "move", "from": "/a", "path": "/a/b" }]),
            json!([{ "op": "remove", "path": "/none" }]),
            json!([{ "path": "/a" }]),
        ] {
            let mut untouched = object.clone();
            let error = apply(PatchKind::Json, &mut untouched, &bad).unwrap_err();
            assert_eq!(error.code, 422);
            assert_eq!(untouched, object);
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            "[a-c]".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec(
                    ("(name|containers|\\$patch|env|op|path|value)", inner),
                    0..4
                )
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_patch_panics(object in any_json(), patch in any_json()) {
            for kind in [PatchKind::Json, PatchKind::Merge, PatchKind::Strategic] {
                let mut object = object.clone();
                let _ = apply(kind, &mut object, &patch);
            }
        }

        #[test]
        fn merging_twice_is_merging_once(object in any_json(), patch in any_json()) {
            let mut once = object;
            merge(&mut once, &patch);
            let mut twice = once.clone();
            merge(&mut twice, &patch);
            prop_assert_eq!(once, twice);
        }
    }
}
