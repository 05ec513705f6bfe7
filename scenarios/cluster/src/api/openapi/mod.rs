//! OpenAPI in both versions of the format, as much as kubectl asks for: which kinds take
//! `fieldValidation` and `dryRun`, and the schemas that `kubectl explain` prints.

mod schemas;
mod v2;

use axum::response::Response;
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
        return respond::typed_body(200, V2_MEDIA, v2::document());
    }
    let body = json!({
        "swagger": "2.0", "info": { "title": "Kubernetes", "version": "v1" }, "paths": {}
    });
    respond::json_body(200, &body)
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
        let url = format!("/openapi/v3/{place}?hash={}", schemas::hash());
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
        "components": { "schemas": schemas::of(group) }
    });
    respond::json_body(200, &body)
}
