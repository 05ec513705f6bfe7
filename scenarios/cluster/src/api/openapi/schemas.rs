//! The schemas of the kinds that the cluster knows, as the newest profile's Kubernetes describes them.
//!
//! `xtask/schemas` writes them out of the types of `k8s-openapi`: name of the type to its schema,
//! references in the form of OpenAPI v3. They are unpacked when a client first asks.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::sync::OnceLock;

use flate2::read::GzDecoder;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

const PACKED: &[u8] = include_bytes!("../schemas.json.gz");
const REFERENCE: &str = "#/components/schemas/";

/// Every schema, by the name of its type.
pub(super) fn all() -> &'static Map<String, Value> {
    static ALL: OnceLock<Map<String, Value>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut text = String::new();
        // A file of our own, held to its form by the tests: what cannot be read explains nothing.
        if GzDecoder::new(PACKED).read_to_string(&mut text).is_err() {
            return Map::new();
        }
        serde_json::from_str(&text).unwrap_or_default()
    })
}

/// Changes when the schemas do: clients keep what they were told under this word.
pub(super) fn hash() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| format!("{:X}", Sha256::digest(PACKED)))
}

/// The schemas of these kinds of one group, with all that they refer to.
pub(super) fn of(group: &str) -> Map<String, Value> {
    let mut names = BTreeSet::new();
    let mut open: Vec<&str> = all()
        .iter()
        .filter(|(_, schema)| is_of(schema, group))
        .map(|(name, _)| name.as_str())
        .collect();
    while let Some(name) = open.pop() {
        if let Some(schema) = all().get(name)
            && names.insert(name)
        {
            references(schema, &mut open);
        }
    }
    let found = names
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), all().get(name)?.clone())));
    found.collect()
}

fn is_of(schema: &Value, group: &str) -> bool {
    let kinds = schema["x-kubernetes-group-version-kind"].as_array();
    kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["group"] == group))
}

fn references<'a>(schema: &'a Value, into: &mut Vec<&'a str>) {
    match schema {
        Value::Object(members) => {
            into.extend(target(schema));
            members.values().for_each(|value| references(value, into));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, into)),
        _ => {}
    }
}

/// The type that a schema is only a reference to.
pub(super) fn target(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix(REFERENCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Kind;

    #[test]
    fn every_kind_has_a_schema_and_nothing_refers_to_nowhere() {
        for kind in Kind::ALL {
            let wire = kind.wire();
            let schemas = of(wire.group);
            let has = schemas
                .values()
                .any(|schema| schema["x-kubernetes-group-version-kind"][0]["kind"] == wire.kind);
            assert!(has, "no schema of {}", wire.kind);
        }
        let mut to = Vec::new();
        all()
            .values()
            .for_each(|schema| references(schema, &mut to));
        for name in to {
            assert!(all().contains_key(name), "`{name}` is referred to");
        }
    }

    #[test]
    fn a_group_has_what_its_kinds_are_made_of_and_no_more() {
        let jobs = of("batch");
        assert!(jobs.contains_key("io.k8s.api.core.v1.Container"));
        assert!(!jobs.contains_key("io.k8s.api.apps.v1.Deployment"));
    }
}
