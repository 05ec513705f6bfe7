//! Watches over HTTP: one JSON object a line, from a version on, filtered by selectors.
//!
//! An object that stops matching is told as deleted, one that starts as added. A watcher whose
//! history is cut gets a 410 inside the stream and lists again: never a silent gap.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::body::Form;
use super::query::Query;
use super::route::Target;
use super::{Api, FieldSelector, LabelSelector, respond};
use crate::store::{Action, ApiError, Change, FieldCause, Watch};

/// How long a watch lives when the client does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(45);
/// How often a client that asked for bookmarks gets one.
const BOOKMARK_EVERY: Duration = Duration::from_mins(1);

/// A running watch of a client.
struct Running {
    api: Api,
    target: Target,
    form: Form,
    include: String,
    labels: LabelSelector,
    fields: FieldSelector,
    watch: Watch,
    pending: VecDeque<Bytes>,
    bookmark: Option<Instant>,
    bookmarks: bool,
    end: Instant,
    ended: bool,
}

pub(super) fn start(
    api: &Api,
    target: &Target,
    form: Form,
    query: &Query,
    labels: LabelSelector,
    mut fields: FieldSelector,
) -> Result<Response, ApiError> {
    if let Some(name) = &target.name {
        // A watch of one object is a watch of the kind with a field selector.
        fields = FieldSelector::parse(target.kind, &format!("metadata.name={name}"))?;
    }
    let store = api.store();
    let kind = target.kind;
    let initial = initial_events(query)?;
    let now = Instant::now();
    let current = store.version();
    let from = match query.resource_version.as_str() {
        "" | "0" => None,
        text => Some(version(text)?),
    };
    if let Some(from) = from
        && from > current
    {
        return Err(too_large(from, current));
    }
    let mut pending = VecDeque::new();
    let position = match (from, initial) {
        (Some(from), Some(false) | None) => {
            let oldest = store.oldest(kind);
            if from < oldest {
                let error = ApiError::too_old(from, oldest);
                let line = frame("ERROR", &error.to_status());
                return Ok(respond::typed_body(200, respond::JSON, Body::from(line)));
            }
            from
        }
        (None, Some(false)) => current,
        _ => {
            let namespace = target.namespace.as_deref();
            let (objects, version) = store.list_shared(kind, namespace);
            for object in objects {
                if labels.matches(&object) && fields.matches(&object) {
                    let object = Value::clone(&object);
                    let shown = respond::shape(api, target, form, &query.include_object, object);
                    pending.push_back(frame("ADDED", &shown));
                }
            }
            if initial == Some(true) {
                pending.push_back(bookmark(target, form, version, true));
            }
            version
        }
    };
    let timeout = query
        .timeout_seconds
        .filter(|seconds| *seconds > 0)
        .map_or(DEFAULT_TIMEOUT, |seconds| {
            Duration::from_secs(seconds.min(24 * 3600))
        });
    let running = Running {
        api: api.clone(),
        target: target.clone(),
        form,
        include: query.include_object.clone(),
        labels,
        fields,
        watch: store.watch(kind, position),
        pending,
        bookmark: query.bookmarks.then(|| now + BOOKMARK_EVERY),
        bookmarks: query.bookmarks,
        end: now + timeout,
        ended: false,
    };
    let stream = futures::stream::unfold(running, |mut running| async move {
        let line = running.next_line().await?;
        Some((Ok::<_, std::convert::Infallible>(line), running))
    });
    Ok(respond::typed_body(
        200,
        respond::JSON,
        Body::from_stream(stream),
    ))
}

impl Running {
    async fn next_line(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.pending.pop_front() {
                return Some(line);
            }
            if self.ended {
                return None;
            }
            let timer = self.bookmark.map_or(self.end, |at| at.min(self.end));
            tokio::select! {
                biased;
                change = self.watch.next() => match change {
                    Ok(change) => self.pending.extend(self.line(&change)),
                    Err(lagged) => {
                        self.ended = true;
                        let error = ApiError::too_old(lagged.wanted, lagged.oldest);
                        self.pending.push_back(frame("ERROR", &error.to_status()));
                    }
                },
                () = sleep_until(timer) => {
                    self.ended = Instant::now() >= self.end;
                    self.bookmark = self.bookmarks.then(|| Instant::now() + BOOKMARK_EVERY);
                    if self.bookmarks && let Some(version) = self.watch.catch_up() {
                        let line = bookmark(&self.target, self.form, version, false);
                        self.pending.push_back(line);
                    }
                }
            }
        }
    }

    fn line(&self, change: &Change) -> Option<Bytes> {
        let within = |object: &Value| {
            let namespace = object
                .pointer("/metadata/namespace")
                .and_then(Value::as_str);
            self.target
                .namespace
                .as_deref()
                .is_none_or(|wanted| namespace == Some(wanted))
                && self.labels.matches(object)
                && self.fields.matches(object)
        };
        let before = change.previous.as_deref().is_some_and(within);
        let after = change.action != Action::Deleted && within(&change.object);
        let (word, mut object) = match (before, after) {
            (false, false) => return None,
            (false, true) => ("ADDED", Value::clone(&change.object)),
            (true, true) => ("MODIFIED", Value::clone(&change.object)),
            // The last state that matched, with the version of the change.
            (true, false) => ("DELETED", Value::clone(change.previous.as_deref()?)),
        };
        if word == "DELETED"
            && let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut)
        {
            meta.insert("resourceVersion".into(), change.version.to_string().into());
        }
        let shown = respond::shape(&self.api, &self.target, self.form, &self.include, object);
        Some(frame(word, &shown))
    }
}

/// What `sendInitialEvents` asks for, when it is asked correctly.
fn initial_events(query: &Query) -> Result<Option<bool>, ApiError> {
    let refuse = |why: &str| {
        let cause = FieldCause::forbidden("resourceVersionMatch", why);
        ApiError::invalid_subject("ListOptions.meta.k8s.io", "", &[cause])
    };
    match (query.send_initial_events, query.version_match.as_str()) {
        (None, "") => Ok(None),
        (None, _) => Err(refuse(
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        )),
        (Some(wanted), "NotOlderThan") => {
            if wanted && !query.bookmarks {
                let cause = FieldCause::forbidden(
                    "sendInitialEvents",
                    "sendInitialEvents is forbidden for watch unless allowWatchBookmarks is set",
                );
                return Err(ApiError::invalid_subject(
                    "ListOptions.meta.k8s.io",
                    "",
                    &[cause],
                ));
            }
            Ok(Some(wanted))
        }
        (Some(_), _) => Err(refuse(
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        )),
    }
}

/// Reads a resource version.
pub(super) fn version(text: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_| {
        ApiError::bad_request(format!(
            "Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
        ))
    })
}

/// The refusal of a version that is not there yet.
pub(super) fn too_large(wanted: u64, current: u64) -> ApiError {
    let text = format!("Too large resource version: {wanted}, current: {current}");
    ApiError {
        code: 504,
        reason: "Timeout",
        message: format!("Timeout: {text}"),
        details: Some(json!({
            "causes": [{ "reason": "ResourceVersionTooLarge", "message": "Too large resource version" }],
            "retryAfterSeconds": 1
        })),
    }
}

fn frame(word: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{{\"type\":\"{word}\",\"object\":{object}}}\n"))
}

fn bookmark(target: &Target, form: Form, version: u64, initial: bool) -> Bytes {
    let mut meta = json!({ "resourceVersion": version.to_string(), "creationTimestamp": null });
    if initial && let Some(meta) = meta.as_object_mut() {
        meta.insert(
            "annotations".into(),
            json!({ "k8s.io/initial-events-end": "true" }),
        );
    }
    let object = match form {
        Form::Table(version) => json!({
            "kind": "Table", "apiVersion": version, "metadata": {},
            "columnDefinitions": null, "rows": [{ "cells": [],
                "object": { "kind": target.kind.name(), "apiVersion": target.api_version(), "metadata": meta } }]
        }),
        Form::Metadata => json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": meta
        }),
        Form::Objects => json!({
            "kind": target.kind.name(), "apiVersion": target.api_version(), "metadata": meta
        }),
    };
    frame("BOOKMARK", &object)
}
