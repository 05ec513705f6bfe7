//! Bodies and media types: what comes in, and which form of an answer the client takes.

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};
use serde_json::Value;

use super::protobuf;
use crate::store::ApiError;

/// The real server's bound on a request.
const MAX_BODY: usize = 3 * 1024 * 1024;

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The objects themselves.
    Objects,
    /// A table for people, of this version of `meta.k8s.io`.
    Table(&'static str),
    /// Only the metadata.
    Metadata,
}

pub(super) async fn read(body: Body) -> Result<Bytes, ApiError> {
    to_bytes(body, MAX_BODY).await.map_err(|_| {
        ApiError::plain(
            413,
            "RequestEntityTooLarge",
            format!("Request entity too large: limit is {MAX_BODY}"),
        )
    })
}

/// The media type of the body, without parameters.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let text = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let text = text.unwrap_or("application/json");
    let head = text.split(';').next().unwrap_or_default();
    head.trim().to_ascii_lowercase()
}

/// Reads an object.
pub(super) fn decode(headers: &HeaderMap, body: &[u8]) -> Result<Value, ApiError> {
    match media_type(headers).as_str() {
        "application/json" | "" | "*/*" => json(body),
        "application/yaml" => yaml(body),
        protobuf::MEDIA_TYPE => protobuf::decode(body),
        _ => Err(ApiError::unsupported_media_type(&[
            "application/json",
            "application/yaml",
            protobuf::MEDIA_TYPE,
        ])),
    }
}

/// Reads JSON that must be an object or a list.
pub(super) fn json(body: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        ApiError::bad_request(format!(
            "couldn't get version/kind; json parse error: {error}"
        ))
    })
}

/// Reads YAML, of which JSON is a part.
pub(super) fn yaml(body: &[u8]) -> Result<Value, ApiError> {
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    let wrong =
        |error: String| ApiError::bad_request(format!("error converting YAML to JSON: {error}"));
    let text = std::str::from_utf8(body).map_err(|error| wrong(error.to_string()))?;
    serde_saphyr::from_str(text).map_err(|error| wrong(error.without_snippet().to_string()))
}

/// Chooses the form of the answer: the first that the client names and the server has.
pub(super) fn negotiate(headers: &HeaderMap) -> Result<Form, ApiError> {
    let Some(accept) = headers.get(ACCEPT).and_then(|value| value.to_str().ok()) else {
        return Ok(Form::Objects);
    };
    if accept.trim().is_empty() {
        return Ok(Form::Objects);
    }
    accept.split(',').find_map(form_of).ok_or_else(|| {
        ApiError::plain(
            406,
            "NotAcceptable",
            "only the following media types are accepted: application/json, \
             application/json;stream=watch",
        )
    })
}

fn form_of(clause: &str) -> Option<Form> {
    let mut parts = clause.split(';').map(str::trim);
    let media = parts.next()?.to_ascii_lowercase();
    if !matches!(media.as_str(), "application/json" | "application/*" | "*/*") {
        return None;
    }
    let (mut form, mut group, mut version) = ("", "", "");
    for part in parts {
        match part.split_once('=') {
            Some(("as", value)) => form = value,
            Some(("g", value)) => group = value,
            Some(("v", value)) => version = value,
            _ => {}
        }
    }
    match (form, group, version) {
        ("", ..) => Some(Form::Objects),
        ("Table", "meta.k8s.io", "v1") => Some(Form::Table("meta.k8s.io/v1")),
        ("Table", "meta.k8s.io", "v1beta1") => Some(Form::Table("meta.k8s.io/v1beta1")),
        ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io", "v1") => {
            Some(Form::Metadata)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_that_is_known_is_taken() {
        let form = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            negotiate(&headers).map_err(|error| error.code)
        };
        let table = [
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
                Ok(Form::Table("meta.k8s.io/v1")),
            ),
            (
                "application/json;as=Table;v=v9;g=meta.k8s.io,application/json",
                Ok(Form::Objects),
            ),
            (
                "application/vnd.kubernetes.protobuf,application/json",
                Ok(Form::Objects),
            ),
            (
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                Ok(Form::Metadata),
            ),
            ("application/json;stream=watch", Ok(Form::Objects)),
            ("*/*", Ok(Form::Objects)),
            ("text/html", Err(406)),
        ];
        for (accept, want) in table {
            assert_eq!(form(accept), want, "{accept}");
        }
    }
}
