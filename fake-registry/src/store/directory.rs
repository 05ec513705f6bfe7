//! Content in a directory: one OCI image layout for each repository, which any tool can read.
//!
//! `team/web` is kept in `team+web/`, with `oci-layout`, `index.json` and `blobs/` as the image
//! specification has them; a tag is the annotation `org.opencontainers.image.ref.name`. Everything
//! is written beside its place, synced and renamed, content before the index that names it, so
//! that a process killed at any moment leaves whole layouts. Blobs that several repositories hold
//! are hard links of one file. What is not stored yet stands in `.drafts/` and goes at the next
//! start.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::draft::{Content, DraftFile};
use super::{Manifest, Repository};
use crate::digest::Digest;
use crate::image::media;
use crate::names;
use crate::protocol::MAX_MANIFEST;

const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Why a directory cannot be opened as a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Not to be read or written.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another registry has it open.
    #[error("{} is in use by another registry", .0.display())]
    InUse(PathBuf),
    /// Images can be seeded from a layout, but it has no room for repositories.
    #[error("{} is itself an OCI layout, not a directory of them", .0.display())]
    Layout(PathBuf),
    /// An index that is no index.
    #[error("{} is no image index", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// Where it goes wrong.
        source: serde_json::Error,
    },
    /// An index names content that is not there, or that has another digest.
    #[error("{} names `{digest}`, whose content is not there or has other bytes", path.display())]
    Content {
        /// The layout.
        path: PathBuf,
        /// As the index has it.
        digest: String,
    },
}

#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    serial: AtomicU64,
    /// One change at a time; who reads does not wait for it.
    turn: Mutex<()>,
    /// Held as long as this lives; the system lets go of it when the process is killed.
    lock: File,
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Not left to closing the file: a child that this process is about to start, for whatever
        // purpose, has it open too for a moment.
        let _ = self.lock.unlock();
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> StoreError + '_ {
    |source| StoreError::Io {
        path: path.to_owned(),
        source,
    }
}

impl Directory {
    pub(super) fn open(root: &Path) -> Result<(Self, BTreeMap<Box<str>, Repository>), StoreError> {
        fs::create_dir_all(root).map_err(at(root))?;
        if root.join("oci-layout").exists() || root.join("index.json").exists() {
            return Err(StoreError::Layout(root.to_owned()));
        }
        let path = root.join(".lock");
        let lock = File::create(&path).map_err(at(&path))?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => StoreError::InUse(root.to_owned()),
            fs::TryLockError::Error(source) => at(&path)(source),
        })?;
        let directory = Self {
            root: root.to_owned(),
            serial: AtomicU64::new(0),
            turn: Mutex::new(()),
            lock,
        };
        let drafts = root.join(".drafts");
        if drafts.exists() {
            fs::remove_dir_all(&drafts).map_err(at(&drafts))?;
        }
        fs::create_dir(&drafts).map_err(at(&drafts))?;
        let mut repositories = BTreeMap::new();
        for entry in fs::read_dir(root).map_err(at(root))? {
            let entry = entry.map_err(at(root))?;
            let name = entry.file_name();
            let name = name.to_str().unwrap_or_default().replace('+', "/");
            if names::is_repository(&name) && entry.path().is_dir() {
                repositories.insert(name.into(), read_repository(&entry.path())?);
            }
        }
        Ok((directory, repositories))
    }

    /// To be held while something is changed, here and in memory.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn draft(&self) -> io::Result<DraftFile> {
        let number = self.serial.fetch_add(1, Ordering::Relaxed);
        DraftFile::create(self.root.join(".drafts").join(number.to_string()))
    }

    pub(super) fn content(&self, repository: &str, digest: &str) -> io::Result<Content> {
        Content::open(&content_path(&self.path(repository), digest))
    }

    pub(super) fn put(
        &self,
        repository: &str,
        digest: &Digest,
        draft: &DraftFile,
    ) -> io::Result<()> {
        self.lay_out(repository)?;
        let target = content_path(&self.path(repository), digest.as_str());
        keep(draft, &target)
    }

    pub(super) fn put_bytes(
        &self,
        repository: &str,
        digest: &Digest,
        bytes: &[u8],
    ) -> io::Result<()> {
        let mut draft = self.draft()?;
        draft.append(bytes)?;
        self.put(repository, digest, &draft)
    }

    /// Content of one repository becomes content of another one too.
    pub(super) fn link(&self, repository: &str, digest: &Digest, from: &str) -> io::Result<()> {
        self.lay_out(repository)?;
        let source = content_path(&self.path(from), digest.as_str());
        let target = content_path(&self.path(repository), digest.as_str());
        make_parent(&target)?;
        match fs::hard_link(source, &target) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => sync_parent(&target),
        }
    }

    /// Content that is not there is no error.
    pub(super) fn remove(&self, repository: &str, digest: &str) -> io::Result<()> {
        match fs::remove_file(content_path(&self.path(repository), digest)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Puts the tags and manifests of a repository into force.
    pub(super) fn write_index(&self, name: &str, repository: &Repository) -> io::Result<()> {
        self.lay_out(name)?;
        let tagged = repository.tags.iter().filter_map(|(tag, digest)| {
            let mut descriptor = describe(repository.manifests.get(digest)?);
            if let Some(map) = descriptor.as_object_mut() {
                map.insert("annotations".into(), json!({REF_NAME: tag.as_ref()}));
            }
            Some(descriptor)
        });
        let has_tag = |digest: &Digest| repository.tags.values().any(|tagged| tagged == digest);
        let untagged = repository.manifests.iter();
        let untagged = untagged.filter(|(digest, _)| !has_tag(digest));
        let all: Vec<Value> = tagged
            .chain(untagged.map(|(_, manifest)| describe(manifest)))
            .collect();
        self.write_index_of(&self.path(name), &all)
    }

    fn write_index_of(&self, path: &Path, manifests: &[Value]) -> io::Result<()> {
        let index =
            json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": manifests});
        self.write(&path.join("index.json"), index.to_string().as_bytes())
    }

    fn write(&self, target: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut draft = self.draft()?;
        draft.append(bytes)?;
        keep(&draft, target)
    }

    /// Makes a repository's layout where there is none yet.
    fn lay_out(&self, repository: &str) -> io::Result<()> {
        let path = self.path(repository);
        if path.join("index.json").exists() {
            return Ok(());
        }
        fs::create_dir_all(path.join("blobs"))?;
        sync_parent(&path)?;
        self.write(&path.join("oci-layout"), LAYOUT.as_bytes())?;
        self.write_index_of(&path, &[])
    }

    /// `+` stands in no repository name, and so two names never meet.
    fn path(&self, repository: &str) -> PathBuf {
        self.root.join(repository.replace('/', "+"))
    }
}

/// Where an image layout has content; the digest is well-formed.
pub(crate) fn content_path(layout: &Path, digest: &str) -> PathBuf {
    let (algorithm, hex) = digest.split_once(':').unwrap_or((digest, ""));
    layout.join("blobs").join(algorithm).join(hex)
}

fn keep(draft: &DraftFile, target: &Path) -> io::Result<()> {
    make_parent(target)?;
    draft.file.sync_all()?;
    fs::rename(&draft.path, target)?;
    sync_parent(target)
}

fn make_parent(target: &Path) -> io::Result<()> {
    match target.parent() {
        Some(parent) if !parent.exists() => {
            fs::create_dir_all(parent)?;
            sync_parent(parent)
        }
        _ => Ok(()),
    }
}

/// A name in a directory is safe once the directory is synced.
#[cfg(unix)]
fn sync_parent(target: &Path) -> io::Result<()> {
    match target.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Windows opens no directory as a file, and syncs names with its journal.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the shape that it has on Unix")]
fn sync_parent(_: &Path) -> io::Result<()> {
    Ok(())
}

fn describe(manifest: &Arc<Manifest>) -> Value {
    let media_type = manifest.headers.get(CONTENT_TYPE);
    let media_type = media_type.and_then(|value| value.to_str().ok());
    json!({
        "mediaType": media_type.unwrap_or(media::OCI_MANIFEST),
        "digest": manifest.digest.as_str(),
        "size": manifest.length,
    })
}

fn read_repository(path: &Path) -> Result<Repository, StoreError> {
    let mut repository = Repository::default();
    let index = path.join("index.json");
    // Killed before the first index: nothing in there was ever promised.
    let bytes = match fs::read(&index) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(repository),
        other => other.map_err(at(&index))?,
    };
    let parsed: Value = serde_json::from_slice(&bytes).map_err(|source| StoreError::Index {
        path: index.clone(),
        source,
    })?;
    let mut open: Vec<(Value, bool)> = entries(&parsed).map(|entry| (entry, true)).collect();
    while let Some((entry, listed)) = open.pop() {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        let broken = || StoreError::Content {
            path: path.to_owned(),
            digest: text("digest").to_owned(),
        };
        let digest = Digest::parse(text("digest")).ok_or_else(broken)?;
        if !repository.manifests.contains_key(&digest) {
            let file = content_path(path, digest.as_str());
            let bytes = match read_small(&file) {
                // Other tools do not list what is in an index, and it may not be there.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !listed => continue,
                other => other.map_err(|_| broken())?,
            };
            if Digest::of_with(digest.algorithm(), &bytes) != digest {
                return Err(broken());
            }
            let value: Value = serde_json::from_slice(&bytes).map_err(|_| broken())?;
            open.extend(entries(&value).map(|entry| (entry, false)));
            let media_type = HeaderValue::from_str(text("mediaType")).map_err(|_| broken())?;
            let mut manifest = Manifest::new(digest.clone(), bytes, media_type, Some(&value));
            manifest.bytes = None;
            repository
                .manifests
                .insert(digest.clone(), Arc::new(manifest));
        }
        let tag = entry
            .get("annotations")
            .and_then(|all| all.get(REF_NAME)?.as_str());
        if let Some(tag) = tag.filter(|tag| listed && names::is_tag(tag)) {
            repository.tags.insert(tag.into(), digest);
        }
    }
    for algorithm in ["sha256", "sha512"] {
        let folder = path.join("blobs").join(algorithm);
        if !folder.exists() {
            continue;
        }
        for entry in fs::read_dir(&folder).map_err(at(&folder))? {
            let name = entry.map_err(at(&folder))?.file_name();
            let digest = format!("{algorithm}:{}", name.to_string_lossy());
            if let Some(digest) = Digest::parse(&digest)
                && !repository.manifests.contains_key(&digest)
            {
                repository.blobs.insert(digest);
            }
        }
    }
    Ok(repository)
}

fn entries(index: &Value) -> impl Iterator<Item = Value> + use<> {
    let entries = index.get("manifests").and_then(Value::as_array).cloned();
    entries.unwrap_or_default().into_iter()
}

/// Reads a manifest, which has a limit.
pub(crate) fn read_small(path: &Path) -> io::Result<Bytes> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let limit = MAX_MANIFEST as u64 + 1;
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_MANIFEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(Bytes::from(bytes))
}
