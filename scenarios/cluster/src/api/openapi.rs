//! The least of OpenAPI that kubectl needs to validate on the server: which kinds take
//! `fieldValidation` and `dryRun`, in both versions of the format. Schemas are not served, so `kubectl explain` finds none.

use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Map, Value, json};

use super::{Api, respond};
use crate::store::Kind;

const V2_MEDIA: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

pub(super) fn answer(api: &Api, path: &[String], headers: &HeaderMap) -> Response {
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["v2"] => v2(headers),
        ["v3"] => respond::json_body(200, &index()),
        ["v3", "api", "v1"] => document(api, ""),
        ["v3", "apis", group, "v1"] => document(api, group),
        _ => respond::no_page(),
    }
}

fn v2(headers: &HeaderMap) -> Response {
    let accept = headers.get(http::header::ACCEPT);
    let accept = accept.and_then(|value| value.to_str().ok()).unwrap_or("");
    if accept.contains("protobuf") {
        return respond::typed_body(200, V2_MEDIA, Bytes::from(v2_document()));
    }
    let body = json!({
        "swagger": "2.0", "info": { "title": "Kubernetes", "version": "v1" }, "paths": {}
    });
    respond::json_body(200, &body)
}

/// The OpenAPI v2 document in protobuf: for every kind a PATCH with the two parameters. Clients up to
/// 1.26 look there whether they may ask for a dry run or for validation.
fn v2_document() -> Vec<u8> {
    let info = [field(1, b"Kubernetes"), field(2, b"v1")].concat();
    let parameter = |name: &str| {
        let query = [field(2, b"query"), field(4, name.as_bytes())].concat();
        // Parameters item, parameter, not in the body, in the query.
        field(8, &field(1, &field(2, &field(3, &query))))
    };
    let mut paths = Vec::new();
    for kind in Kind::ALL {
        let wire = kind.wire();
        let yaml = format!(
            "group: {:?}\nkind: {}\nversion: {}\n",
            wire.group, wire.kind, wire.version
        );
        let name = field(1, b"x-kubernetes-group-version-kind");
        let extension = [name, field(2, &field(2, yaml.as_bytes()))].concat();
        let patch = [
            parameter("dryRun"),
            parameter("fieldValidation"),
            field(13, &extension),
        ]
        .concat();
        let path = [
            field(1, object_path(kind).as_bytes()),
            field(2, &field(8, &patch)),
        ]
        .concat();
        paths.extend(field(2, &path));
    }
    [field(1, b"2.0"), field(2, &info), field(8, &paths)].concat()
}

/// A length-delimited field of a protobuf message.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut size = content.len();
    while size > 0x7f {
        out.push((size & 0x7f) as u8 | 0x80);
        size >>= 7;
    }
    out.push(size as u8);
    out.extend_from_slice(content);
    out
}

/// `/apis/apps/v1/namespaces/{namespace}/deployments/{name}`.
fn object_path(kind: Kind) -> String {
    let wire = kind.wire();
    let root = if wire.group.is_empty() {
        "/api/v1".to_owned()
    } else {
        format!("/apis/{}/v1", wire.group)
    };
    let within = if wire.namespaced {
        "/namespaces/{namespace}"
    } else {
        ""
    };
    format!("{root}{within}/{}/{{name}}", wire.plural)
}

fn groups() -> Vec<&'static str> {
    let mut groups: Vec<&str> = Vec::new();
    for kind in Kind::ALL {
        if !groups.contains(&kind.wire().group) {
            groups.push(kind.wire().group);
        }
    }
    groups
}

fn index() -> Value {
    let mut paths = Map::new();
    for group in groups() {
        let place = if group.is_empty() {
            "api/v1".to_owned()
        } else {
            format!("apis/{group}/v1")
        };
        let url = format!("/openapi/v3/{place}?hash=1");
        paths.insert(place, json!({ "serverRelativeURL": url }));
    }
    json!({ "paths": paths })
}

fn document(api: &Api, group: &str) -> Response {
    let kinds: Vec<Kind> = Kind::ALL
        .into_iter()
        .filter(|kind| kind.wire().group == group)
        .collect();
    if kinds.is_empty() {
        return respond::no_page();
    }
    let mut paths = Map::new();
    for kind in kinds {
        let wire = kind.wire();
        let parameter =
            |name: &str| json!({ "name": name, "in": "query", "schema": { "type": "string" } });
        paths.insert(
            object_path(kind),
            json!({ "patch": {
                "parameters": [parameter("fieldValidation"), parameter("dryRun")],
                "responses": { "200": { "description": "OK" } },
                "x-kubernetes-action": "patch",
                "x-kubernetes-group-version-kind":
                    { "group": group, "version": "v1", "kind": wire.kind }
            } }),
        );
    }
    let body = json!({
        "openapi": "3.0.0",
        "info": { "title": "Kubernetes", "version": api.version() },
        "paths": paths,
        "components": { "schemas": {} }
    });
    respond::json_body(200, &body)
}
