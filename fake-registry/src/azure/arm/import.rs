//! `importImage`: an image of another registry that answers here comes into a registry of the
//! tenant, under the names that are asked for.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;

use super::{ArmError, Request};
use crate::azure::state::State;
use crate::digest::Digest;
use crate::host::Registry;
use crate::names;
use crate::protocol::MAX_MANIFEST;
use crate::store::{Failure, Manifest};

/// An index and what it names, and no deeper.
const MAX_DEPTH: u32 = 4;

pub(super) fn carry_out(
    request: &Request<'_>,
    state: &State,
    target: &str,
) -> Result<(), ArmError> {
    let text = |pointer: &str| {
        request
            .body
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let failed = |why: String| ArmError::bad_request("InvalidParameters", why);
    let image = text("/source/sourceImage");
    let host = match text("/source/resourceId") {
        "" => text("/source/registryUri").to_owned(),
        id => state
            .registries
            .iter()
            .find(|acr| acr.id.eq_ignore_ascii_case(id))
            .map(|acr| acr.login_server.clone())
            .ok_or_else(|| failed(format!("The source registry '{id}' could not be found.")))?,
    };
    let found = request.core.registry(&host).or_else(|| {
        let hub = ["docker.io", "index.docker.io", "registry-1.docker.io"];
        let is_hub = hub.contains(&host.as_str());
        hub.iter()
            .filter(|_| is_hub)
            .find_map(|name| request.core.registry(name))
    });
    let source = found.ok_or_else(|| failed(format!("The registry '{host}' is not reachable.")))?;
    let into = request
        .core
        .registry(target)
        .ok_or_else(|| failed(format!("The registry '{target}' does not answer.")))?;
    let (repository, reference) = split(image).ok_or_else(|| {
        failed(format!(
            "The source image '{image}' is no name of an image."
        ))
    })?;
    let mut targets = Vec::new();
    for name in list(&request.body, "targetTags") {
        let (repository, tag) = split(name)
            .filter(|(_, tag)| names::is_tag(tag))
            .ok_or_else(|| failed(format!("'{name}' is no name of an image with a tag.")))?;
        targets.push((repository, Some(tag)));
    }
    for name in list(&request.body, "untaggedTargetRepositories") {
        if !names::is_repository(name) {
            return Err(failed(format!("'{name}' is no name of a repository.")));
        }
        targets.push((name, None));
    }
    let force = text("/mode").eq_ignore_ascii_case("Force");
    for (repository, tag) in &targets {
        let Some(tag) = tag.filter(|_| !force) else {
            continue;
        };
        if into.store.manifest(repository, tag).is_ok() {
            return Err(ArmError::new(
                StatusCode::CONFLICT,
                "Conflict",
                format!("The tag '{repository}:{tag}' already exists in the target registry."),
            ));
        }
    }
    for (name, tag) in targets {
        let copy = Copy {
            source,
            from: repository,
            into,
            to: name,
        };
        copy.manifest(reference, tag, 0).map_err(|error| {
            failed(format!(
                "The image '{host}/{image}' could not be imported: {error}."
            ))
        })?;
    }
    Ok(())
}

fn list<'a>(body: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    body.get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// Repository and tag or digest.
fn split(image: &str) -> Option<(&str, &str)> {
    let (repository, reference) = match image.split_once('@') {
        Some(parts) => parts,
        None => match image.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (image, "latest"),
        },
    };
    let good = names::is_repository(repository)
        && (names::is_tag(reference) || Digest::parse(reference).is_some());
    good.then_some((repository, reference))
}

struct Copy<'a> {
    source: &'a Arc<Registry>,
    from: &'a str,
    into: &'a Arc<Registry>,
    to: &'a str,
}

impl Copy<'_> {
    /// A manifest after all that it names.
    fn manifest(&self, reference: &str, tag: Option<&str>, depth: u32) -> io::Result<()> {
        if depth > MAX_DEPTH {
            return Err(io::Error::other("indexes within indexes, too deep"));
        }
        let missing =
            |_| io::Error::new(io::ErrorKind::NotFound, format!("{reference} is not there"));
        let manifest = self
            .source
            .store
            .manifest(self.from, reference)
            .map_err(missing)?;
        let content = self.source.store.manifest_content(self.from, &manifest);
        let bytes = content.map_err(plain)?.read(MAX_MANIFEST as u64)?;
        let value: Value = serde_json::from_slice(&bytes)?;
        let digests = |key: &str| -> BTreeSet<&str> {
            let entries = value.get(key).and_then(Value::as_array);
            let entries = entries.into_iter().flatten();
            entries
                .filter_map(|entry| entry.get("digest").and_then(Value::as_str))
                .collect()
        };
        for child in digests("manifests") {
            self.manifest(child, None, depth + 1)?;
        }
        let config = value.pointer("/config/digest").and_then(Value::as_str);
        for digest in digests("layers").into_iter().chain(config) {
            self.blob(digest)?;
        }
        let media_type = manifest.headers.get(http::header::CONTENT_TYPE).cloned();
        let media_type = media_type.ok_or(io::ErrorKind::InvalidData)?;
        let copy = Manifest::new(manifest.digest.clone(), bytes, media_type, Some(&value));
        let tags: Vec<&str> = tag.into_iter().collect();
        self.into.store.put_manifest(self.to, copy, &tags)
    }

    fn blob(&self, digest: &str) -> io::Result<()> {
        let content = self.source.store.blob(self.from, digest).map_err(plain)?;
        let parsed = Digest::parse(digest).ok_or(io::ErrorKind::InvalidData)?;
        let bytes = content.read(self.into.spec.max_blob)?;
        let mut draft = self.into.store.draft()?;
        draft.append(&bytes)?;
        self.into.store.put_blob(self.to, parsed, draft)
    }
}

fn plain(failure: Failure) -> io::Error {
    match failure {
        Failure::Io(error) => error,
        Failure::Missing(_) => io::ErrorKind::NotFound.into(),
    }
}
