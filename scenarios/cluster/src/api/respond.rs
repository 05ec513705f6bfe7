//! Answers: objects, lists, tables and `Status` errors as HTTP responses.

use axum::body::Body;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::body::Form;
use super::route::Target;
use super::{Api, eventsv1, table};
use crate::store::{ApiError, Kind};

pub(super) const JSON: &str = "application/json";

/// A JSON answer.
pub(super) fn json_body(status: u16, value: &Value) -> Response {
    typed_body(status, JSON, value.to_string())
}

/// An answer of another media type.
pub(super) fn typed_body(status: u16, media: &str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(media) = HeaderValue::from_str(media) {
        response.headers_mut().insert(CONTENT_TYPE, media);
    }
    response
}

/// A refusal.
pub(super) fn error(error: &ApiError) -> Response {
    let mut response = json_body(error.code, &error.to_status());
    if let Some(seconds) = error
        .details
        .as_ref()
        .and_then(|d| d.get("retryAfterSeconds"))
        && let Ok(value) = HeaderValue::from_str(&seconds.to_string())
    {
        response
            .headers_mut()
            .insert(http::header::RETRY_AFTER, value);
    }
    response
}

/// Adds the warnings of a lenient field validation.
pub(super) fn with_warnings(mut response: Response, warnings: &[String]) -> Response {
    for warning in warnings {
        let text = format!("299 - {warning:?}");
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().append(http::header::WARNING, value);
        }
    }
    response
}

/// A path that leads nowhere, as the real mux answers it.
pub(super) fn no_page() -> Response {
    typed_body(404, "text/plain; charset=utf-8", "404 page not found\n")
}

/// An object in its other encoding, when it was asked for there.
pub(super) fn encode(target: &Target, mut object: Value) -> Value {
    if target.as_events_v1 {
        eventsv1::from_stored(&mut object);
    }
    object
}

/// One object in the form asked for.
pub(super) fn shape(api: &Api, target: &Target, form: Form, include: &str, object: Value) -> Value {
    match form {
        Form::Objects => encode(target, object),
        Form::Metadata => metadata_only(&object),
        Form::Table(version) => {
            let meta = json!({
                "resourceVersion": object.pointer("/metadata/resourceVersion")
            });
            table::render(api, target.kind, version, include, &meta, &[object])
        }
    }
}

/// A list in the form asked for.
pub(super) fn shape_list(
    api: &Api,
    target: &Target,
    form: Form,
    include: &str,
    meta: &Value,
    objects: Vec<Value>,
) -> Value {
    match form {
        Form::Objects => {
            let items: Vec<Value> = objects
                .into_iter()
                .map(|object| without_type(encode(target, object)))
                .collect();
            json!({
                "kind": format!("{}List", target.kind.name()),
                "apiVersion": target.api_version(),
                "metadata": meta,
                "items": items
            })
        }
        Form::Metadata => {
            let items: Vec<Value> = objects.iter().map(metadata_only).collect();
            json!({
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": meta,
                "items": items
            })
        }
        Form::Table(version) => table::render(api, target.kind, version, include, meta, &objects),
    }
}

pub(super) fn metadata_only(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object.get("metadata")
    })
}

/// Items of a list do not repeat the type of the list.
fn without_type(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.shift_remove("kind");
        fields.shift_remove("apiVersion");
    }
    object
}

/// The `Status` of a deletion that is complete.
pub(super) fn deleted(kind: Kind, object: &Value) -> Value {
    let mut details = json!({ "name": object.pointer("/metadata/name") });
    if let Some(details) = details.as_object_mut() {
        if !kind.wire().group.is_empty() {
            details.insert("group".into(), kind.wire().group.into());
        }
        details.insert("kind".into(), kind.plural().into());
        details.insert(
            "uid".into(),
            object.pointer("/metadata/uid").cloned().unwrap_or_default(),
        );
    }
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Success", "details": details
    })
}
