//! Server-side apply: what a manager says is merged into what is there; what it said before and says no
//! more goes, unless someone else says it too; what another manager holds otherwise is a conflict.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::entry::{self, Author, Entry};
use super::set::{List, Path, Set, key, list, text};
use crate::store::ApiError;

/// Applies a configuration. `live` is the object as it is, or only its type and name when there is none.
pub(in crate::api) fn apply(
    live: &mut Value,
    config: &Value,
    author: &Author,
    force: bool,
) -> Result<(), ApiError> {
    if config
        .pointer("/metadata/managedFields")
        .is_some_and(|sent| !sent.is_null())
    {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    let mut entries = entry::read(live);
    let said = Set::of(config);
    let mut merged = live.clone();
    merge(&mut merged, config, "", "");
    let before = entries.iter().find(|entry| entry.is_of(author, true));
    let dropped: Vec<Path> = before
        .map(|before| before.set.0.difference(&said.0).cloned().collect())
        .unwrap_or_default();
    let others: Vec<&Entry> = entries
        .iter()
        .filter(|entry| !entry.is_of(author, true))
        .collect();
    for path in &dropped {
        let held = others.iter().any(|entry| entry.set.reaches(path)) || said.reaches(path);
        if !held && !is_key(path) {
            remove(&mut merged, path);
        }
    }
    // What was emptied may have been said to be empty.
    merge(&mut merged, config, "", "");

    let (changed, removed) = Set::compare(live, &merged);
    let conflicts: Vec<(Entry, Path)> = others
        .iter()
        .flat_map(|entry| {
            let shared = entry.set.0.intersection(&changed.0);
            shared.map(|path| (Entry::clone(entry), path.clone()))
        })
        .collect();
    if !conflicts.is_empty() && !force {
        return Err(conflict(&conflicts));
    }

    for entry in &mut entries {
        if !entry.is_of(author, true) {
            entry
                .set
                .0
                .retain(|path| !changed.0.contains(path) && !removed.0.contains(path));
        }
    }
    match entries.iter_mut().find(|entry| entry.is_of(author, true)) {
        // The date is that of the last change.
        Some(entry)
            if entry.set == said
                && entry.api_version == author.api_version
                && changed.0.is_empty() => {}
        Some(entry) => *entry = Entry::new(author, true, said),
        None => entries.push(Entry::new(author, true, said)),
    }
    *live = merged;
    entry::write(live, entries);
    Ok(())
}

fn merge(live: &mut Value, config: &Value, within: &str, field: &str) {
    match config {
        Value::Object(fields) => {
            if !live.is_object() {
                *live = Value::Object(Map::new());
            }
            let Some(object) = live.as_object_mut() else {
                return;
            };
            for (name, value) in fields {
                if !value.is_null() {
                    let slot = object.entry(name.clone()).or_insert(Value::Null);
                    merge(slot, value, field, name);
                }
            }
        }
        Value::Array(items) => match list(within, field) {
            List::Whole => *live = config.clone(),
            List::Unique => {
                let mut all = live.as_array().cloned().unwrap_or_default();
                for item in items {
                    if !all.contains(item) {
                        all.push(item.clone());
                    }
                }
                *live = all.into();
            }
            List::Keyed(keys) => {
                let mut all = live.as_array().cloned().unwrap_or_default();
                for item in items {
                    let wanted = key(item, keys);
                    let found = all.iter_mut().find(|one| key(one, keys) == wanted);
                    match found.filter(|_| wanted.is_some()) {
                        Some(slot) => merge(slot, item, within, field),
                        None => all.push(item.clone()),
                    }
                }
                *live = all.into();
            }
        },
        plain => *live = plain.clone(),
    }
}

/// Whether a path is a field that names an item: it goes with the item only.
fn is_key(path: &[String]) -> bool {
    let [.., item, field] = path else {
        return false;
    };
    let keys = item
        .strip_prefix("k:")
        .and_then(|keys| serde_json::from_str::<Value>(keys).ok());
    let name = field.strip_prefix("f:").unwrap_or_default();
    keys.is_some_and(|keys| keys.get(name).is_some())
}

/// Takes what is at a path out of an object, and what is left empty around it.
fn remove(object: &mut Value, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else {
        return true;
    };
    if let Some(name) = first.strip_prefix("f:") {
        let Some(fields) = object.as_object_mut() else {
            return false;
        };
        if fields
            .get_mut(name)
            .is_some_and(|inner| remove(inner, rest))
        {
            fields.shift_remove(name);
        }
        return fields.is_empty();
    }
    let Some(items) = object.as_array_mut() else {
        return false;
    };
    let at = items.iter().position(|item| {
        first
            .strip_prefix("v:")
            .and_then(|value| serde_json::from_str::<Value>(value).ok())
            .is_some_and(|value| value == *item)
            || first
                .strip_prefix("k:")
                .is_some_and(|wanted| is_named(item, wanted))
    });
    // An item is gone with its own path, not because nothing else is left in it.
    if let Some(at) = at {
        let gone = items.get_mut(at).is_some_and(|item| {
            let empty = remove(item, rest);
            rest.is_empty() && empty
        });
        if gone {
            items.remove(at);
        }
    }
    items.is_empty()
}

fn is_named(item: &Value, wanted: &str) -> bool {
    let wanted: Value = serde_json::from_str(wanted).unwrap_or_default();
    wanted.as_object().is_some_and(|wanted| {
        wanted.iter().all(|(name, value)| match item.get(name) {
            Some(found) => found == value,
            None => name == "protocol" && value == "TCP",
        })
    })
}

/// The 409, in the words of `managedfields/internal/conflict.go`.
fn conflict(conflicts: &[(Entry, Path)]) -> ApiError {
    let mut by_manager: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (entry, path) in conflicts {
        by_manager
            .entry(entry.described())
            .or_default()
            .push(text(path));
    }
    let texts: Vec<String> = by_manager
        .iter()
        .map(|(manager, paths)| match paths.as_slice() {
            [one] => format!("conflict with {manager}: {one}"),
            several => format!("conflicts with {manager}:\n- {}", several.join("\n- ")),
        })
        .collect();
    let count = match conflicts.len() {
        1 => "1 conflict".to_owned(),
        several => format!("{several} conflicts"),
    };
    let causes: Vec<Value> = conflicts
        .iter()
        .map(|(entry, path)| {
            json!({
                "reason": "FieldManagerConflict",
                "message": format!("conflict with {}", entry.described()),
                "field": text(path)
            })
        })
        .collect();
    ApiError {
        details: Some(json!({ "causes": causes })),
        ..ApiError::plain(
            409,
            "Conflict",
            format!("Apply failed with {count}: {}", texts.join("\n")),
        )
    }
}
