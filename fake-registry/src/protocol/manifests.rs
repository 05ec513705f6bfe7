//! Manifests and indexes: served byte for byte, checked on the way in.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::{
    Ask, MAX_MANIFEST, Outcome, commit, created, digest_invalid, name_unknown, refusal,
    refused_operation, storage_failed,
};
use crate::digest::{Algorithm, Digest};
use crate::message::{ReadError, Refusal, empty_reply, params, read_all, set, text_of};
use crate::names;
use crate::store::{Manifest, Missing};

/// Tags that one PUT may set besides its reference.
const MAX_TAGS: usize = 32;

pub(super) fn get(ask: &Ask<'_>) -> Outcome {
    let (store, repository) = (&ask.registry.store, ask.target.repository);
    let tags = ask.if_none_match.and_then(|value| value.to_str().ok());
    let found = store.look_at(repository, ask.target.reference, |manifest| {
        let has = |tags: &str| tags.trim().trim_matches('"') == manifest.digest.as_str();
        if tags.is_some_and(has) {
            (manifest.headers.clone(), None)
        } else {
            (manifest.headers.clone(), Some(manifest.kept()))
        }
    });
    let (headers, kept) = found.map_err(|missing| unknown(ask, missing))?;
    let mut reply = empty_reply(StatusCode::OK);
    *reply.headers_mut() = headers;
    let Some(kept) = kept else {
        *reply.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(reply);
    };
    let content = store.kept_content(repository, kept);
    let content = content.map_err(|failure| refusal(failure, |missing| unknown(ask, missing)))?;
    let length = content.len();
    *reply.body_mut() = content.part(0, length);
    Ok(reply)
}

fn unknown(ask: &Ask<'_>, missing: Missing) -> Box<Refusal> {
    if missing == Missing::Repository {
        return name_unknown(ask);
    }
    let (name, reference) = (ask.target.repository, ask.target.reference);
    let is_digest = reference.contains(':');
    let message = match (ask.registry.is_acr(), is_digest) {
        (true, false) => format!("manifest tagged by \"{reference}\" is not found"),
        (true, true) => format!("manifest sha \"{reference}\" is not found"),
        (false, _) => "manifest unknown".to_owned(),
    };
    let detail = if is_digest {
        json!({"Name": name, "Revision": reference})
    } else if ask.registry.is_acr() {
        json!({"Name": name, "Tag": reference})
    } else {
        json!({"Tag": reference})
    };
    Refusal::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", message).detail(detail)
}

pub(super) async fn put(ask: &Ask<'_>, body: Incoming) -> Outcome {
    let reference = ask.target.reference;
    let named = Digest::parse(reference);
    let mut tags: Vec<String> = params(ask.query, "tag").take(MAX_TAGS).collect();
    if named.is_none() {
        tags.push(reference.to_owned());
    }
    if let Some(tag) = tags.iter().find(|tag| !names::is_tag(tag)) {
        return Err(
            Refusal::new(StatusCode::BAD_REQUEST, "TAG_INVALID", "invalid tag name")
                .detail(json!({"tag": tag})),
        );
    }
    let bytes = read_all(body, MAX_MANIFEST).await;
    let bytes = bytes.map_err(|error| {
        error.refusal_or(|error| match error {
            ReadError::TooLarge => Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "SIZE_INVALID",
                "manifest exceeds the limit of 4194304 bytes",
            ),
            _ => invalid("the body ended before its announced length"),
        })
    })?;
    let asked = params(ask.query, "digest-algorithm").next();
    let algorithm = match (&named, asked.as_deref()) {
        (Some(digest), _) => digest.algorithm(),
        (None, None) => Algorithm::default(),
        (None, Some(name)) => Algorithm::parse(name).ok_or_else(|| digest_invalid(name))?,
    };
    let digest = Digest::of_with(algorithm, &bytes);
    if named.is_some_and(|named| named != digest) {
        return Err(digest_invalid(reference));
    }
    let (media_type, parsed) = checked(ask, &bytes)?;
    let manifest = Manifest::new(digest.clone(), bytes, media_type, Some(&parsed));
    let location = format!("/v2/{}/manifests/{digest}", ask.target.repository);
    let mut reply = created(&location, &digest);
    set(&mut reply, header::CONTENT_LENGTH, "0");
    // Without a referrers API the header would keep clients from maintaining the fallback tag.
    if let Some(subject) = manifest
        .subject
        .as_ref()
        .filter(|_| ask.registry.spec.referrers)
    {
        set(
            &mut reply,
            HeaderName::from_static("oci-subject"),
            subject.as_str(),
        );
    }
    for tag in params(ask.query, "tag").take(MAX_TAGS) {
        if let Ok(value) = HeaderValue::from_str(&tag) {
            reply
                .headers_mut()
                .append(HeaderName::from_static("oci-tag"), value);
        }
    }
    let repository = ask.target.repository.to_owned();
    let stored = commit(ask, move |store| {
        store.put_manifest(&repository, manifest, &tags)
    });
    stored.await.map_err(|error| storage_failed(&error))?;
    Ok(reply)
}

/// The media type and the JSON of a manifest that is fit to be stored.
fn checked(ask: &Ask<'_>, bytes: &Bytes) -> Result<(HeaderValue, Value), Box<Refusal>> {
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| invalid(&format!("not JSON: {error}")))?;
    if !value.is_object() {
        return Err(invalid("not a JSON object"));
    }
    let own = value.get("mediaType").and_then(Value::as_str);
    let sent = text_of(ask.headers, header::CONTENT_TYPE)
        .map(|text| text.split(';').next().unwrap_or(text).trim());
    let media_type = match (sent, own) {
        (Some(sent), Some(own)) if sent != own => {
            return Err(invalid(&format!(
                "Content-Type is {sent}, but mediaType is {own}"
            )));
        }
        (Some(text), _) | (None, Some(text)) => text,
        (None, None) => return Err(invalid("neither Content-Type nor mediaType")),
    };
    let media_type =
        HeaderValue::from_str(media_type).map_err(|_| invalid("mediaType is no header value"))?;
    // Schema 1 lists its layers in another way and is stored as it is.
    if value.get("fsLayers").is_none() {
        check_references(ask, &value)?;
    }
    Ok((media_type, value))
}

fn check_references(ask: &Ask<'_>, value: &Value) -> Result<(), Box<Refusal>> {
    if value.get("schemaVersion").and_then(Value::as_u64) != Some(2) {
        return Err(invalid("schemaVersion is not 2"));
    }
    if let Some(subject) = value.get("subject").filter(|value| !value.is_null()) {
        digest_of(subject)?;
    }
    let list = |key: &str| value.get(key).and_then(Value::as_array);
    let mut missing = BTreeSet::new();
    if let Some(children) = list("manifests") {
        for child in children {
            let digest = digest_of(child)?;
            if !ask.registry.spec.sparse
                && !ask
                    .registry
                    .store
                    .holds(ask.target.repository, digest, true)
            {
                missing.insert(digest);
            }
        }
    } else {
        let config = value
            .get("config")
            .ok_or_else(|| invalid("neither config nor manifests"))?;
        let layers = list("layers").ok_or_else(|| invalid("no layers"))?;
        for descriptor in std::iter::once(config).chain(layers) {
            let digest = digest_of(descriptor)?;
            // Layers with addresses of their own may be kept elsewhere.
            let foreign = descriptor
                .get("urls")
                .and_then(Value::as_array)
                .is_some_and(|urls| !urls.is_empty());
            let needed = !foreign && !ask.registry.spec.sparse;
            if needed
                && !ask
                    .registry
                    .store
                    .holds(ask.target.repository, digest, false)
            {
                missing.insert(digest);
            }
        }
    }
    match missing.first() {
        None => Ok(()),
        Some(digest) => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "MANIFEST_BLOB_UNKNOWN",
            "blob unknown to registry",
        )
        .detail(json!({"digest": digest}))),
    }
}

fn digest_of(descriptor: &Value) -> Result<&str, Box<Refusal>> {
    let digest = descriptor
        .get("digest")
        .and_then(Value::as_str)
        .unwrap_or_default();
    match Digest::parse(digest) {
        Some(_) => Ok(digest),
        None => Err(invalid(&format!("`{digest}` is not a digest"))),
    }
}

fn invalid(why: &str) -> Box<Refusal> {
    Refusal::new(
        StatusCode::BAD_REQUEST,
        "MANIFEST_INVALID",
        "manifest invalid",
    )
    .detail(json!(why))
}

pub(super) async fn delete(ask: &Ask<'_>) -> Outcome {
    if !ask.registry.spec.deletes {
        return Err(refused_operation());
    }
    let repository = ask.target.repository.to_owned();
    let reference = ask.target.reference.to_owned();
    let gone = commit(ask, move |store| {
        if reference.contains(':') {
            store.delete_manifest(&repository, &reference)
        } else {
            store.delete_tag(&repository, &reference)
        }
    });
    gone.await
        .map_err(|failure| refusal(failure, |missing| unknown(ask, missing)))?;
    let mut reply = empty_reply(StatusCode::ACCEPTED);
    set(&mut reply, header::CONTENT_LENGTH, "0");
    Ok(reply)
}
