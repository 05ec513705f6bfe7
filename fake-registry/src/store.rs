//! Content of one registry: repositories over content by digest.
//!
//! Blobs are kept once for the host and linked into repositories, so that a mount copies nothing
//! and a repository shows only what was pushed to it. Everything that goes in has been checked
//! against its digest by the caller. Answers come out in lexical order.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::digest::Digest;
use crate::image::{Image, ImageSpec, media};

pub(crate) const DOCKER_CONTENT_DIGEST: HeaderName =
    HeaderName::from_static("docker-content-digest");

#[derive(Debug, Default)]
pub(crate) struct Store {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Looked up, never iterated.
    blobs: HashMap<Digest, Bytes>,
    repositories: BTreeMap<Box<str>, Repository>,
}

#[derive(Debug, Default)]
struct Repository {
    blobs: BTreeSet<Digest>,
    manifests: BTreeMap<Digest, Arc<Manifest>>,
    tags: BTreeMap<Box<str>, Digest>,
}

/// A stored manifest with the headers that go with it, ready to be sent.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) digest: Digest,
    pub(crate) bytes: Bytes,
    pub(crate) headers: HeaderMap,
    pub(crate) subject: Option<Digest>,
    /// As a referrer of its subject: type, artifact type, annotations.
    referrer: Option<Value>,
}

/// Why something is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Repository,
    Content,
}

impl Store {
    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A manifest by tag or digest.
    pub(crate) fn manifest(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<Arc<Manifest>, Missing> {
        let inner = self.read();
        let repository = inner
            .repositories
            .get(repository)
            .ok_or(Missing::Repository)?;
        let found = if reference.contains(':') {
            repository.manifests.get(reference)
        } else {
            let digest = repository.tags.get(reference);
            digest.and_then(|digest| repository.manifests.get(digest))
        };
        found.cloned().ok_or(Missing::Content)
    }

    /// A blob that the repository holds.
    pub(crate) fn blob(&self, repository: &str, digest: &str) -> Result<Bytes, Missing> {
        let inner = self.read();
        let repository = inner
            .repositories
            .get(repository)
            .ok_or(Missing::Repository)?;
        if !repository.blobs.contains(digest) {
            return Err(Missing::Content);
        }
        inner.blobs.get(digest).cloned().ok_or(Missing::Content)
    }

    /// A blob of whatever repository, for signed addresses.
    pub(crate) fn content(&self, digest: &str) -> Option<Bytes> {
        self.read().blobs.get(digest).cloned()
    }

    /// Whether the repository holds a blob or, for indexes, a manifest of that digest.
    pub(crate) fn holds(&self, repository: &str, digest: &str, manifest: bool) -> bool {
        let inner = self.read();
        inner
            .repositories
            .get(repository)
            .is_some_and(|repository| {
                if manifest {
                    repository.manifests.contains_key(digest)
                } else {
                    repository.blobs.contains(digest)
                }
            })
    }

    pub(crate) fn put_blob(&self, repository: &str, digest: Digest, bytes: Bytes) {
        let mut inner = self.write();
        inner.blobs.entry(digest.clone()).or_insert(bytes);
        inner.repository(repository).blobs.insert(digest);
    }

    /// Links a blob of another repository, or of any one that holds it.
    pub(crate) fn mount(&self, repository: &str, digest: &Digest, from: Option<&str>) -> bool {
        let mut inner = self.write();
        let found = match from {
            Some(from) => inner
                .repositories
                .get(from)
                .is_some_and(|r| r.blobs.contains(digest)),
            None => inner
                .repositories
                .values()
                .any(|r| r.blobs.contains(digest)),
        };
        if found {
            inner.repository(repository).blobs.insert(digest.clone());
        }
        found
    }

    pub(crate) fn put_manifest(&self, repository: &str, manifest: Manifest, tags: &[&str]) {
        let mut inner = self.write();
        let repository = inner.repository(repository);
        for tag in tags {
            repository
                .tags
                .insert((*tag).into(), manifest.digest.clone());
        }
        repository
            .manifests
            .insert(manifest.digest.clone(), Arc::new(manifest));
    }

    pub(crate) fn delete_tag(&self, repository: &str, tag: &str) -> Result<(), Missing> {
        let mut inner = self.write();
        let repository = inner
            .repositories
            .get_mut(repository)
            .ok_or(Missing::Repository)?;
        repository
            .tags
            .remove(tag)
            .map(drop)
            .ok_or(Missing::Content)
    }

    /// Removes a manifest and every tag that points to it.
    pub(crate) fn delete_manifest(&self, repository: &str, digest: &str) -> Result<(), Missing> {
        let mut inner = self.write();
        let repository = inner
            .repositories
            .get_mut(repository)
            .ok_or(Missing::Repository)?;
        repository
            .manifests
            .remove(digest)
            .ok_or(Missing::Content)?;
        repository
            .tags
            .retain(|_, tagged| tagged.as_str() != digest);
        Ok(())
    }

    pub(crate) fn delete_blob(&self, repository: &str, digest: &str) -> Result<(), Missing> {
        let mut inner = self.write();
        let found = inner
            .repositories
            .get_mut(repository)
            .ok_or(Missing::Repository)?;
        if !found.blobs.remove(digest) {
            return Err(Missing::Content);
        }
        if !inner
            .repositories
            .values()
            .any(|other| other.blobs.contains(digest))
        {
            inner.blobs.remove(digest);
        }
        Ok(())
    }

    /// Tags after `last`, at most `limit` of them, and whether there are more.
    pub(crate) fn tags(
        &self,
        repository: &str,
        last: &str,
        limit: usize,
    ) -> Result<(Vec<String>, bool), Missing> {
        let inner = self.read();
        let repository = inner
            .repositories
            .get(repository)
            .ok_or(Missing::Repository)?;
        Ok(page(repository.tags.keys(), last, limit))
    }

    pub(crate) fn repositories(&self, last: &str, limit: usize) -> (Vec<String>, bool) {
        page(self.read().repositories.keys(), last, limit)
    }

    /// Descriptors of the manifests whose subject is `digest`, in order of their digests.
    pub(crate) fn referrers(&self, repository: &str, digest: &Digest) -> Vec<Value> {
        let inner = self.read();
        let Some(repository) = inner.repositories.get(repository) else {
            return Vec::new();
        };
        let manifests = repository.manifests.values();
        manifests
            .filter(|manifest| manifest.subject.as_ref() == Some(digest))
            .filter_map(|manifest| manifest.referrer.clone())
            .collect()
    }

    /// Puts a described image in; gives the digest that its tag points to.
    pub(crate) fn seed(&self, spec: &ImageSpec) -> Digest {
        let Image {
            repository,
            tag,
            blobs,
            manifests,
        } = spec.make();
        for (digest, bytes) in blobs {
            self.put_blob(&repository, digest, bytes);
        }
        let mut top = Digest::of(b"");
        let count = manifests.len();
        for (position, (digest, media_type, bytes)) in manifests.into_iter().enumerate() {
            let tags: &[&str] = if position + 1 == count { &[&tag] } else { &[] };
            let media_type = HeaderValue::from_static(media_type);
            let manifest = Manifest::new(digest.clone(), bytes, media_type, None);
            self.put_manifest(&repository, manifest, tags);
            top = digest;
        }
        top
    }
}

impl Inner {
    fn repository(&mut self, name: &str) -> &mut Repository {
        if !self.repositories.contains_key(name) {
            self.repositories.insert(name.into(), Repository::default());
        }
        self.repositories.entry(name.into()).or_default()
    }
}

fn page<'a>(
    names: impl Iterator<Item = &'a Box<str>>,
    last: &str,
    limit: usize,
) -> (Vec<String>, bool) {
    let mut rest = names.filter(|name| name.as_ref() > last);
    let page = rest.by_ref().take(limit).map(ToString::to_string).collect();
    let more = limit > 0 && rest.next().is_some();
    (page, more)
}

impl Manifest {
    /// `parsed` is the manifest as JSON, where it may have a subject.
    pub(crate) fn new(
        digest: Digest,
        bytes: Bytes,
        media_type: HeaderValue,
        parsed: Option<&Value>,
    ) -> Self {
        let subject = parsed
            .and_then(|value| value.get("subject")?.get("digest")?.as_str())
            .and_then(Digest::parse);
        let referrer = parsed.filter(|_| subject.is_some()).map(|value| {
            as_referrer(
                value,
                &digest,
                bytes.len(),
                media_type.to_str().unwrap_or_default(),
            )
        });
        let mut headers = HeaderMap::with_capacity(6);
        headers.insert(CONTENT_TYPE, media_type);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        if let Ok(value) = HeaderValue::from_str(digest.as_str()) {
            headers.insert(DOCKER_CONTENT_DIGEST, value);
        }
        if let Ok(value) = HeaderValue::from_str(&format!("\"{digest}\"")) {
            headers.insert(ETAG, value);
        }
        Self {
            digest,
            bytes,
            headers,
            subject,
            referrer,
        }
    }
}

/// distribution-spec 1.1, "Listing Referrers": the artifact type is the manifest's own, else the
/// config's media type; an index without one has none.
fn as_referrer(value: &Value, digest: &Digest, size: usize, media_type: &str) -> Value {
    let mut descriptor = serde_json::Map::new();
    descriptor.insert("mediaType".into(), media_type.into());
    descriptor.insert("digest".into(), digest.as_str().into());
    descriptor.insert("size".into(), size.into());
    let own = value
        .get("artifactType")
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty());
    let configured = value
        .get("config")
        .and_then(|config| config.get("mediaType")?.as_str());
    let is_index = matches!(media_type, media::OCI_INDEX | media::DOCKER_LIST);
    let artifact_type = own.or(configured.filter(|_| !is_index));
    if let Some(artifact_type) = artifact_type {
        descriptor.insert("artifactType".into(), artifact_type.into());
    }
    if let Some(annotations) = value.get("annotations").filter(|value| value.is_object()) {
        descriptor.insert("annotations".into(), annotations.clone());
    }
    Value::Object(descriptor)
}
