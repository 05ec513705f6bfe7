//! The OpenAPI v2 document in protobuf, the only form that clients up to 1.26 take: for every kind a
//! PATCH with the two parameters (there they look whether they may ask for a dry run or for
//! validation), and the schemas (`kubectl explain`, and validation in the client up to 1.24).
//!
//! Field numbers: `openapi_v2` of gnostic, `openapiv2/OpenAPIv2.proto`.

use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{object_path, schemas};
use crate::store::Kind;

/// The whole document, made when a client first asks.
pub(super) fn document() -> Bytes {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    DOCUMENT.get_or_init(|| Bytes::from(made())).clone()
}

fn made() -> Vec<u8> {
    let info = [field(1, b"Kubernetes"), field(2, b"v1")].concat();
    let paths = Kind::ALL.map(patch_path).concat();
    let definitions = named(schemas::all());
    [
        field(1, b"2.0"),
        field(2, &info),
        field(8, &paths),
        field(9, &definitions),
    ]
    .concat()
}

fn patch_path(kind: Kind) -> Vec<u8> {
    let wire = kind.wire();
    let yaml = format!(
        "group: {:?}\nkind: {}\nversion: {}\n",
        wire.group, wire.kind, wire.version
    );
    let patch = [
        parameter("dryRun"),
        parameter("fieldValidation"),
        field(13, &extension(&yaml)),
    ]
    .concat();
    let path = [
        field(1, object_path(kind).as_bytes()),
        field(2, &field(8, &patch)),
    ]
    .concat();
    field(2, &path)
}

/// Parameters item, parameter, not in the body, in the query.
fn parameter(name: &str) -> Vec<u8> {
    let query = [field(2, b"query"), field(4, name.as_bytes())].concat();
    field(8, &field(1, &field(2, &field(3, &query))))
}

/// Which kinds this is about: a `NamedAny` whose value is YAML.
fn extension(yaml: &str) -> Vec<u8> {
    let name = field(1, b"x-kubernetes-group-version-kind");
    [name, field(2, &field(2, yaml.as_bytes()))].concat()
}

/// `NamedSchema`s.
fn named(schemas: &Map<String, Value>) -> Vec<u8> {
    let one = |(name, value): (&String, &Value)| {
        field(
            1,
            &[field(1, name.as_bytes()), field(2, &schema(value))].concat(),
        )
    };
    schemas.iter().flat_map(one).collect()
}

fn schema(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let reference = value
        .get("allOf")
        .and_then(|all| all.get(0))
        .unwrap_or(value);
    if let Some(name) = schemas::target(reference) {
        out.extend(field(1, format!("#/definitions/{name}").as_bytes()));
    }
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    if let Some(format) = text("format") {
        out.extend(field(2, format.as_bytes()));
    }
    if let Some(description) = text("description") {
        out.extend(field(4, description.as_bytes()));
    }
    let required = value.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        out.extend(field(19, name.as_bytes()));
    }
    if let Some(of) = value.get("additionalProperties") {
        out.extend(field(21, &field(1, &schema(of))));
    }
    if let Some(name) = text("type") {
        out.extend(field(22, &field(1, name.as_bytes())));
    }
    if let Some(of) = value.get("items") {
        out.extend(field(23, &field(1, &schema(of))));
    }
    if let Some(properties) = value.get("properties").and_then(Value::as_object) {
        out.extend(field(25, &named(properties)));
    }
    if let Some(kinds) = value.get("x-kubernetes-group-version-kind") {
        // JSON is YAML.
        out.extend(field(31, &extension(&kinds.to_string())));
    }
    out
}

/// A length-delimited field of a protobuf message.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = varint(usize::from(number) << 3 | 2);
    out.extend(varint(content.len()));
    out.extend_from_slice(content);
    out
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_numbers_past_seven_bits() {
        assert_eq!(field(1, b"a"), [0x0a, 1, b'a']);
        assert_eq!(field(25, b"a"), [0xca, 0x01, 1, b'a']);
        assert_eq!(varint(300), [0xac, 0x02]);
        assert_eq!(field(4, &[b'x'; 200])[..3], [0x22, 0xc8, 0x01]);
    }

    #[test]
    fn a_reference_keeps_the_words_about_the_field() {
        let value = serde_json::json!({
            "description": "d", "allOf": [{ "$ref": "#/components/schemas/a.B" }]
        });
        let expected = [field(1, b"#/definitions/a.B"), field(4, b"d")].concat();
        assert_eq!(schema(&value), expected);
    }
}
