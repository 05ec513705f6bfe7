//! Reading objects the way controllers need it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::work::Key;
use crate::store::Kind;

pub(super) fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    let text = object.pointer(path).and_then(Value::as_str);
    text.unwrap_or_default()
}

pub(super) fn number(object: &Value, path: &str) -> i64 {
    let number = object.pointer(path).and_then(Value::as_i64);
    number.unwrap_or(0)
}

pub(super) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

pub(super) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

pub(super) fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

pub(super) fn key(object: &Value) -> Key {
    (namespace(object).to_owned(), name(object).to_owned())
}

pub(super) fn is_deleted(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

pub(super) fn date(object: &Value, path: &str) -> Option<Timestamp> {
    text(object, path).parse().ok()
}

pub(super) fn items<'a>(object: &'a Value, path: &str) -> &'a [Value] {
    let items = object.pointer(path).and_then(Value::as_array);
    items.map(Vec::as_slice).unwrap_or_default()
}

/// The owner that controls an object.
pub(super) fn controller(object: &Value) -> Option<&Value> {
    items(object, "/metadata/ownerReferences")
        .iter()
        .find(|owner| owner.get("controller") == Some(&Value::Bool(true)))
}

/// Whether `owner` controls an object.
pub(super) fn is_controlled_by(object: &Value, owner: &Value) -> bool {
    controller(object).is_some_and(|found| text(found, "/uid") == uid(owner))
}

/// The name of the controlling owner of a kind.
pub(super) fn controller_key(object: &Value, kind: Kind) -> Option<Key> {
    let owner = controller(object).filter(|owner| text(owner, "/kind") == kind.name())?;
    Some((
        namespace(object).to_owned(),
        text(owner, "/name").to_owned(),
    ))
}

/// The reference that makes `owner` the controller of an object.
pub(super) fn reference(kind: Kind, owner: &Value) -> Value {
    json!({
        "apiVersion": kind.api_version(),
        "kind": kind.name(),
        "name": name(owner),
        "uid": uid(owner),
        "controller": true,
        "blockOwnerDeletion": true
    })
}

/// The object in a field; made when it is absent or something else.
pub(super) fn map<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Map<String, Value>> {
    let slot = object
        .as_object_mut()?
        .entry(field)
        .or_insert_with(|| json!({}));
    if !slot.is_object() {
        *slot = json!({});
    }
    slot.as_object_mut()
}

/// Sets an annotation.
pub(super) fn annotate(object: &mut Value, name: &str, value: impl Into<Value>) {
    let annotations = object
        .get_mut("metadata")
        .and_then(|meta| map(meta, "annotations"));
    if let Some(annotations) = annotations {
        annotations.insert(name.into(), value.into());
    }
}

/// Sets a label on something that has metadata.
pub(super) fn label(object: &mut Value, name: &str, value: &str) {
    if map(object, "metadata").is_none() {
        return;
    }
    let labels = object
        .get_mut("metadata")
        .and_then(|meta| map(meta, "labels"));
    if let Some(labels) = labels {
        labels.insert(name.into(), value.into());
    }
}

pub(super) fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    let annotations = object.pointer("/metadata/annotations")?;
    annotations.get(name)?.as_str()
}

/// A condition of the status.
pub(super) fn condition<'a>(object: &'a Value, of: &str) -> Option<&'a Value> {
    items(object, "/status/conditions")
        .iter()
        .find(|condition| text(condition, "/type") == of)
}

/// Whether a pod takes traffic.
pub(super) fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready").is_some_and(|ready| text(ready, "/status") == "True")
}

/// Whether a pod counts: neither over nor on its way out.
pub(super) fn is_active(pod: &Value) -> bool {
    !is_deleted(pod) && !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// A number that may be given in percent of `whole`; percent is rounded up or down.
pub(super) fn scaled(value: Option<&Value>, whole: i64, up: bool) -> i64 {
    match value {
        Some(Value::String(text)) => {
            let percent: i64 = text
                .strip_suffix('%')
                .and_then(|percent| percent.parse().ok())
                .unwrap_or(0);
            let product = percent.saturating_mul(whole).max(0);
            if up {
                product.saturating_add(99) / 100
            } else {
                product / 100
            }
        }
        Some(value) => value.as_i64().unwrap_or(0),
        None => 0,
    }
}

/// A stable text of a value: fields in order of their names, nothing that is null.
pub(super) fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields
                .iter()
                .filter(|(_, value)| !value.is_null())
                .collect();
            fields.sort_by_key(|(name, _)| *name);
            let texts: Vec<String> = fields
                .into_iter()
                .map(|(name, value)| format!("{name:?}:{}", canonical(value)))
                .collect();
            format!("{{{}}}", texts.join(","))
        }
        Value::Array(items) => {
            let texts: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", texts.join(","))
        }
        plain => plain.to_string(),
    }
}

/// FNV-1a, spelt in the letters of generated names.
pub(super) fn hash(parts: &[&str]) -> String {
    let mut hash = 0x811c_9dc5_u32;
    for byte in parts.iter().flat_map(|part| part.bytes()) {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    crate::clock::safe_encode(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_in_the_direction_of_safety() {
        let table = [
            (json!("25%"), 1, 1, 0),
            (json!("25%"), 4, 1, 1),
            (json!("25%"), 10, 3, 2),
            (json!("100%"), 3, 3, 3),
            (json!(2), 10, 2, 2),
            (json!("odd"), 10, 0, 0),
        ];
        for (value, whole, up, down) in table {
            assert_eq!(scaled(Some(&value), whole, true), up, "{value} of {whole}");
            assert_eq!(
                scaled(Some(&value), whole, false),
                down,
                "{value} of {whole}"
            );
        }
    }

    #[test]
    fn the_canonical_text_knows_no_order_and_no_nulls() {
        let one = json!({ "a": 1, "b": { "c": null, "d": [1, 2] } });
        let two = json!({ "b": { "d": [1, 2] }, "a": 1 });
        assert_eq!(canonical(&one), canonical(&two));
        assert_ne!(
            canonical(&one),
            canonical(&json!({ "a": 1, "b": { "d": [2, 1] } }))
        );
    }
}
