//! Content of one registry: repositories over content by digest, in memory or in a directory.
//!
//! Blobs are kept once for the host and linked into repositories, so that a mount copies nothing
//! and a repository shows only what was pushed to it. Everything that goes in has been checked
//! against its digest by the caller. Answers come out in lexical order. With a directory, names,
//! digests and what referrers say stay in memory, and no content does; a change is in the
//! directory first, so that what was answered for is there after a crash.

mod directory;
mod draft;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, DATE, ETAG};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::core::API_VERSION;
use crate::digest::Digest;
use crate::image::{Image, ImageSpec, media};
use directory::Directory;
pub use directory::StoreError;
pub(crate) use directory::{REF_NAME, content_path, read_small};
pub(crate) use draft::{Content, Draft, FilePart};

pub(crate) const DOCKER_CONTENT_DIGEST: HeaderName =
    HeaderName::from_static("docker-content-digest");

#[derive(Debug, Default)]
pub(crate) struct Store {
    inner: RwLock<Inner>,
    directory: Option<Directory>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Looked up, never iterated; empty with a directory.
    blobs: HashMap<Digest, Bytes>,
    repositories: BTreeMap<Box<str>, Repository>,
}

#[derive(Clone, Debug, Default)]
struct Repository {
    blobs: BTreeSet<Digest>,
    manifests: BTreeMap<Digest, Arc<Manifest>>,
    tags: BTreeMap<Box<str>, Digest>,
}

/// A stored manifest with the headers that go with it, ready to be sent.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) digest: Digest,
    /// None where a directory has them.
    bytes: Option<Bytes>,
    length: usize,
    pub(crate) headers: HeaderMap,
    pub(crate) subject: Option<Digest>,
    /// As a referrer of its subject: type, artifact type, annotations.
    referrer: Option<Value>,
}

/// Where the bytes of a manifest are.
pub(crate) enum Kept {
    Memory(Bytes),
    Directory(Digest),
}

/// A manifest and the tags that point to it.
pub(crate) type Tagged = (Arc<Manifest>, Vec<String>);

/// Why something is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Repository,
    Content,
}

/// Why the store did not do what it was asked to.
#[derive(Debug)]
pub(crate) enum Failure {
    Missing(Missing),
    Io(io::Error),
}

impl From<Missing> for Failure {
    fn from(missing: Missing) -> Self {
        Self::Missing(missing)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What was removed between looking it up and opening it is missing.
fn unopened(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::NotFound {
        Failure::Missing(Missing::Content)
    } else {
        Failure::Io(error)
    }
}

impl Store {
    /// A store in a directory, with all that is in it.
    pub(crate) fn open(root: &Path) -> Result<Self, StoreError> {
        let (directory, repositories) = Directory::open(root)?;
        let inner = Inner {
            repositories,
            ..Inner::default()
        };
        Ok(Self {
            inner: RwLock::new(inner),
            directory: Some(directory),
        })
    }

    /// Whether changes wait for a disk.
    pub(crate) fn waits(&self) -> bool {
        self.directory.is_some()
    }

    pub(crate) fn draft(&self) -> io::Result<Draft> {
        match &self.directory {
            None => Ok(Draft::default()),
            Some(directory) => directory.draft().map(Draft::File),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at a manifest by tag or digest, without owning it: threads that count the owners of one
    /// thing wait for each other.
    pub(crate) fn look_at<T>(
        &self,
        repository: &str,
        reference: &str,
        work: impl FnOnce(&Arc<Manifest>) -> T,
    ) -> Result<T, Missing> {
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
        found.map(work).ok_or(Missing::Content)
    }

    /// A manifest by tag or digest.
    pub(crate) fn manifest(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<Arc<Manifest>, Missing> {
        self.look_at(repository, reference, Arc::clone)
    }

    pub(crate) fn manifest_content(
        &self,
        repository: &str,
        manifest: &Manifest,
    ) -> Result<Content, Failure> {
        self.kept_content(repository, manifest.kept())
    }

    pub(crate) fn kept_content(&self, repository: &str, kept: Kept) -> Result<Content, Failure> {
        match (kept, &self.directory) {
            (Kept::Memory(bytes), _) => Ok(Content::Memory(bytes)),
            (Kept::Directory(digest), Some(directory)) => directory
                .content(repository, digest.as_str())
                .map_err(unopened),
            (Kept::Directory(_), None) => Err(Missing::Content.into()),
        }
    }

    /// A blob that the repository holds.
    pub(crate) fn blob(&self, repository: &str, digest: &str) -> Result<Content, Failure> {
        let inner = self.read();
        let found = inner
            .repositories
            .get(repository)
            .ok_or(Missing::Repository)?;
        if !found.blobs.contains(digest) {
            return Err(Missing::Content.into());
        }
        if let Some(directory) = &self.directory {
            drop(inner);
            return directory.content(repository, digest).map_err(unopened);
        }
        let bytes = inner.blobs.get(digest).cloned();
        Ok(Content::Memory(bytes.ok_or(Missing::Content)?))
    }

    /// A blob of whatever repository, for signed addresses.
    pub(crate) fn content(&self, digest: &str) -> Option<Content> {
        let inner = self.read();
        let Some(directory) = &self.directory else {
            return inner.blobs.get(digest).cloned().map(Content::Memory);
        };
        let holder = inner.holder(digest)?;
        directory.content(holder, digest).ok()
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

    /// Takes a draft over whose digest the caller has checked.
    pub(crate) fn put_blob(
        &self,
        repository: &str,
        digest: Digest,
        draft: Draft,
    ) -> io::Result<()> {
        let Some(directory) = &self.directory else {
            let Draft::Memory(bytes) = draft else {
                return Err(io::ErrorKind::Unsupported.into());
            };
            let mut inner = self.write();
            inner
                .blobs
                .entry(digest.clone())
                .or_insert_with(|| bytes.freeze());
            inner.repository(repository).blobs.insert(digest);
            return Ok(());
        };
        let _turn = directory.turn();
        let holder = self.read().holder(digest.as_str()).map(str::to_owned);
        match (holder, draft) {
            (Some(_), _) if self.holds(repository, digest.as_str(), false) => return Ok(()),
            (Some(from), _) => directory.link(repository, &digest, &from)?,
            (None, Draft::Memory(bytes)) => directory.put_bytes(repository, &digest, &bytes)?,
            (None, Draft::File(draft)) => directory.put(repository, &digest, &draft)?,
        }
        self.write().repository(repository).blobs.insert(digest);
        Ok(())
    }

    /// Links a blob of another repository, or of any one that holds it.
    pub(crate) fn mount(
        &self,
        repository: &str,
        digest: &Digest,
        from: Option<&str>,
    ) -> io::Result<bool> {
        let _turn = self.directory.as_ref().map(Directory::turn);
        let found = match from {
            Some(from) if self.holds(from, digest.as_str(), false) => Some(from.to_owned()),
            Some(_) => None,
            None => self.read().holder(digest.as_str()).map(str::to_owned),
        };
        let Some(from) = found else {
            return Ok(false);
        };
        if let Some(directory) = &self.directory
            && !self.holds(repository, digest.as_str(), false)
        {
            directory.link(repository, digest, &from)?;
        }
        let mut inner = self.write();
        inner.repository(repository).blobs.insert(digest.clone());
        Ok(true)
    }

    pub(crate) fn put_manifest(
        &self,
        repository: &str,
        mut manifest: Manifest,
        tags: &[impl AsRef<str>],
    ) -> io::Result<()> {
        let _turn = self.directory.as_ref().map(Directory::turn);
        if let Some(directory) = &self.directory
            && let Some(bytes) = manifest.bytes.take()
        {
            directory.put_bytes(repository, &manifest.digest, &bytes)?;
        }
        self.change(repository, true, |repository| {
            for tag in tags {
                let digest = manifest.digest.clone();
                repository.tags.insert(tag.as_ref().into(), digest);
            }
            repository
                .manifests
                .insert(manifest.digest.clone(), Arc::new(manifest));
            Ok(())
        })
        .map_err(|failure| match failure {
            Failure::Io(error) => error,
            Failure::Missing(_) => io::ErrorKind::NotFound.into(),
        })
    }

    /// Changes tags and manifests: the index of the directory first, where there is one.
    /// The caller has the turn.
    fn change(
        &self,
        name: &str,
        create: bool,
        work: impl FnOnce(&mut Repository) -> Result<(), Missing>,
    ) -> Result<(), Failure> {
        let Some(directory) = &self.directory else {
            let mut inner = self.write();
            if !create && !inner.repositories.contains_key(name) {
                return Err(Missing::Repository.into());
            }
            return Ok(work(inner.repository(name))?);
        };
        let known = self.read().repositories.get(name).cloned();
        let mut next = match known {
            Some(repository) => repository,
            None if create => Repository::default(),
            None => return Err(Missing::Repository.into()),
        };
        work(&mut next)?;
        directory.write_index(name, &next)?;
        *self.write().repository(name) = next;
        Ok(())
    }

    pub(crate) fn delete_tag(&self, repository: &str, tag: &str) -> Result<(), Failure> {
        let _turn = self.directory.as_ref().map(Directory::turn);
        self.change(repository, false, |repository| {
            let gone = repository.tags.remove(tag);
            gone.map(drop).ok_or(Missing::Content)
        })
    }

    /// Removes a manifest and every tag that points to it.
    pub(crate) fn delete_manifest(&self, repository: &str, digest: &str) -> Result<(), Failure> {
        let _turn = self.directory.as_ref().map(Directory::turn);
        self.change(repository, false, |repository| {
            let gone = repository.manifests.remove(digest);
            gone.ok_or(Missing::Content)?;
            repository
                .tags
                .retain(|_, tagged| tagged.as_str() != digest);
            Ok(())
        })?;
        if let Some(directory) = &self.directory
            && !self.holds(repository, digest, false)
        {
            directory.remove(repository, digest)?;
        }
        Ok(())
    }

    pub(crate) fn delete_blob(&self, repository: &str, digest: &str) -> Result<(), Failure> {
        let _turn = self.directory.as_ref().map(Directory::turn);
        let mut inner = self.write();
        let found = inner
            .repositories
            .get_mut(repository)
            .ok_or(Missing::Repository)?;
        if !found.blobs.remove(digest) {
            return Err(Missing::Content.into());
        }
        let is_manifest = found.manifests.contains_key(digest);
        if let Some(directory) = &self.directory {
            if !is_manifest {
                directory.remove(repository, digest)?;
            }
        } else if inner.holder(digest).is_none() {
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

    /// Every manifest of a repository with the tags that point to it, in order of digests.
    pub(crate) fn manifests(&self, repository: &str) -> Result<Vec<Tagged>, Missing> {
        let inner = self.read();
        let found = inner
            .repositories
            .get(repository)
            .ok_or(Missing::Repository)?;
        let tags_of = |digest: &Digest| {
            let tags = found.tags.iter();
            tags.filter(|(_, tagged)| *tagged == digest)
                .map(|(tag, _)| tag.to_string())
                .collect()
        };
        let manifests = found.manifests.values();
        Ok(manifests
            .map(|manifest| (manifest.clone(), tags_of(&manifest.digest)))
            .collect())
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
    pub(crate) fn seed(&self, spec: &ImageSpec) -> io::Result<Digest> {
        let Image {
            repository,
            tag,
            blobs,
            manifests,
        } = spec.make();
        for (digest, bytes) in blobs {
            let draft = Draft::Memory(bytes.into());
            self.put_blob(&repository, digest, draft)?;
        }
        let mut top = Digest::of(b"");
        let count = manifests.len();
        for (position, (digest, media_type, bytes)) in manifests.into_iter().enumerate() {
            let tags: &[&str] = if position + 1 == count { &[&tag] } else { &[] };
            let media_type = HeaderValue::from_static(media_type);
            let manifest = Manifest::new(digest.clone(), bytes, media_type, None);
            self.put_manifest(&repository, manifest, tags)?;
            top = digest;
        }
        Ok(top)
    }
}

impl Inner {
    /// A repository that holds a blob.
    fn holder(&self, digest: &str) -> Option<&str> {
        let mut all = self.repositories.iter();
        all.find(|(_, repository)| repository.blobs.contains(digest))
            .map(|(name, _)| name.as_ref())
    }

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
        // All that an answer has, the date as a place to be filled, and some room: a map that grows
        // is made anew. The length is that of the body, which hyper knows.
        let mut headers = HeaderMap::with_capacity(12);
        headers.insert(DATE, HeaderValue::from_static(""));
        headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
        headers.insert(CONTENT_TYPE, uncounted(media_type));
        if let Ok(value) = HeaderValue::from_str(digest.as_str()) {
            headers.insert(DOCKER_CONTENT_DIGEST, value);
        }
        if let Ok(value) = HeaderValue::from_str(&format!("\"{digest}\"")) {
            headers.insert(ETAG, value);
        }
        Self {
            digest,
            length: bytes.len(),
            bytes: Some(bytes),
            headers,
            subject,
            referrer,
        }
    }

    pub(crate) fn kept(&self) -> Kept {
        match &self.bytes {
            Some(bytes) => Kept::Memory(bytes.clone()),
            None => Kept::Directory(self.digest.clone()),
        }
    }
}

/// The types that nearly all manifests have, as values whose owners nobody counts.
fn uncounted(media_type: HeaderValue) -> HeaderValue {
    let known = [
        media::OCI_MANIFEST,
        media::OCI_INDEX,
        media::DOCKER_MANIFEST,
        media::DOCKER_LIST,
    ];
    match known.into_iter().find(|known| media_type == *known) {
        Some(known) => HeaderValue::from_static(known),
        None => media_type,
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
