//! The entries of `metadata.managedFields`: which manager owns what, by which kind of write.

use serde_json::{Value, json};

use super::set::Set;

/// More managers than this and the oldest update entries become one, as the real server does it.
const MAX_UPDATERS: usize = 10;

/// Who writes, and when.
#[derive(Clone, Debug)]
pub(in crate::api) struct Author {
    /// The name of the manager.
    pub(in crate::api) manager: String,
    /// The group and version in which it writes.
    pub(in crate::api) api_version: String,
    /// `status`, `scale`, or empty.
    pub(in crate::api) subresource: String,
    /// The date, in whole seconds.
    pub(in crate::api) now: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) manager: String,
    pub(super) applies: bool,
    pub(super) api_version: String,
    pub(super) subresource: String,
    time: String,
    pub(super) set: Set,
}

impl Entry {
    pub(super) fn new(author: &Author, applies: bool, set: Set) -> Self {
        Self {
            manager: author.manager.clone(),
            applies,
            api_version: author.api_version.clone(),
            subresource: author.subresource.clone(),
            time: author.now.clone(),
            set,
        }
    }

    pub(super) fn is_of(&self, author: &Author, applies: bool) -> bool {
        self.manager == author.manager
            && self.applies == applies
            && self.subresource == author.subresource
            && (applies || self.api_version == author.api_version)
    }

    fn read(entry: &Value) -> Option<Self> {
        let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
        let applies = match text("operation") {
            "Apply" => true,
            "Update" => false,
            _ => return None,
        };
        Some(Self {
            manager: text("manager").to_owned(),
            applies,
            api_version: text("apiVersion").to_owned(),
            subresource: text("subresource").to_owned(),
            time: text("time").to_owned(),
            set: Set::read(entry.get("fieldsV1")?),
        })
    }

    fn write(&self) -> Value {
        let mut entry = json!({
            "manager": self.manager,
            "operation": if self.applies { "Apply" } else { "Update" },
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.set.write()
        });
        if !self.subresource.is_empty()
            && let Some(entry) = entry.as_object_mut()
        {
            entry.insert("subresource".into(), self.subresource.clone().into());
        }
        entry
    }

    /// As conflicts name it: `"kubectl" using apps/v1`.
    pub(super) fn described(&self) -> String {
        let part = match self.subresource.as_str() {
            "" => String::new(),
            name => format!(" with subresource {name:?}"),
        };
        let at = match self.time.as_str() {
            time if !self.applies && !time.is_empty() => format!(" at {time}"),
            _ => String::new(),
        };
        format!("{:?}{part} using {}{at}", self.manager, self.api_version)
    }
}

/// The entries of an object. What cannot be read owns nothing.
pub(super) fn read(object: &Value) -> Vec<Entry> {
    let list = object.pointer("/metadata/managedFields");
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Entry::read).collect()
}

/// Puts entries into an object; those that own nothing are left out.
pub(super) fn write(object: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.set.0.is_empty());
    // Appliers first, then the others by date, as the real server orders them.
    entries
        .sort_by(|a, b| (!a.applies, &a.time, &a.manager).cmp(&(!b.applies, &b.time, &b.manager)));
    let updaters = entries.iter().filter(|entry| !entry.applies).count();
    if updaters > MAX_UPDATERS {
        merge_oldest(&mut entries, updaters - MAX_UPDATERS + 1);
    }
    let Some(meta) = super::super::defaults::child(object, "metadata") else {
        return;
    };
    if entries.is_empty() {
        meta.shift_remove("managedFields");
    } else {
        let list: Value = entries.iter().map(Entry::write).collect();
        meta.insert("managedFields".into(), list);
    }
}

fn merge_oldest(entries: &mut Vec<Entry>, count: usize) {
    let first = entries.iter().position(|entry| !entry.applies).unwrap_or(0);
    let mut old: Vec<Entry> = entries
        .drain(first..(first + count).min(entries.len()))
        .collect();
    if let Some(mut merged) = old.pop() {
        "ancient-changes".clone_into(&mut merged.manager);
        for entry in old {
            merged.set.0.extend(entry.set.0);
        }
        entries.insert(first, merged);
    }
}

/// Whom the fields of a written object belong to, after a write that is no apply. The object carries
/// the entries it was sent with: a client may change them, and resets them with an empty list.
pub(in crate::api) fn update(old: &Value, new: &mut Value, author: &Author) {
    let sent = new.pointer("/metadata/managedFields");
    let reset = sent.is_some_and(|sent| *sent == json!([]) || *sent == json!([{}]));
    let mut entries = read(new);
    if entries.is_empty() && !reset {
        entries = read(old);
    }
    let (mut changed, removed) = Set::compare(old, new);
    if author.subresource != "status" {
        // A status is of no one who writes the object, even when the object is born with one.
        changed
            .0
            .retain(|path| path.first().is_none_or(|first| first != "f:status"));
    }
    for entry in &mut entries {
        let own = entry.is_of(author, false);
        entry
            .set
            .0
            .retain(|path| !removed.0.contains(path) && (own || !changed.0.contains(path)));
    }
    if !changed.0.is_empty() {
        match entries.iter_mut().find(|entry| entry.is_of(author, false)) {
            Some(entry) => {
                entry.set.0.extend(changed.0);
                entry.time.clone_from(&author.now);
            }
            None => entries.push(Entry::new(author, false, changed)),
        }
    }
    write(new, entries);
}
