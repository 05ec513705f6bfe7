//! Images from files: an OCI image layout, or an archive as `docker save` writes it.
//!
//! Everything is checked against the digests that name it on its way into the store, and content
//! goes through in pieces. What other tools made is as little trusted as what comes over a wire:
//! counts, sizes and depths have bounds, and names from an archive are only ever looked up in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::HeaderValue;
use serde::Deserialize;
use serde_json::{Value, json};

use super::media;
use crate::digest::{Algorithm, Digest, Hasher};
use crate::names;
use crate::positioned;
use crate::protocol::MAX_MANIFEST;
use crate::store::{Draft, FilePart, Manifest, REF_NAME, Store, content_path, read_small};

/// Indexes within indexes.
const MAX_DEPTH: usize = 8;
const MAX_ENTRIES: usize = 100_000;
const DOCKER_PLAIN_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
const DOCKER_ZSTD_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";

/// Why images cannot be taken from a file or directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// No registry under this host name.
    #[error("no registry answers for `{0}`")]
    Host(String),
    /// Not to be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Not the JSON that belongs there.
    #[error("{} is not what its name says", path.display())]
    Json {
        /// The file, or its name in the archive.
        path: PathBuf,
        /// Where it goes wrong.
        source: serde_json::Error,
    },
    /// Neither a layout nor of a version that is known.
    #[error("{} is no OCI image layout", .0.display())]
    Layout(PathBuf),
    /// Breaks the grammar.
    #[error("`{0}` is not a repository name")]
    Repository(String),
    /// A descriptor without a digest or media type that can be used.
    #[error("descriptor `{0}`")]
    Descriptor(String),
    /// Content is referred to and not there.
    #[error("`{0}` is not there")]
    Missing(String),
    /// Content has another digest than what refers to it says.
    #[error("`{expected}` has the digest `{found}`")]
    Digest {
        /// As it is referred to.
        expected: String,
        /// As it is.
        found: String,
    },
    /// Indexes within indexes, too many of them.
    #[error("more than {MAX_DEPTH} indexes within each other")]
    Depth,
    /// An archive with more files than an image has.
    #[error("more than {MAX_ENTRIES} entries")]
    Entries,
    /// An archive whose config has another number of layers than its manifest.
    #[error("the config has {config} layers and the manifest {manifest}")]
    Layers {
        /// In the config.
        config: usize,
        /// In `manifest.json`.
        manifest: usize,
    },
    /// An image of an archive has no `RepoTags`, and so no place to go to.
    #[error("an image without a name")]
    Nameless,
    /// The store's directory cannot be written.
    #[error("the store cannot be written")]
    Store(#[source] io::Error),
}

fn read<T>(path: &Path, outcome: io::Result<T>) -> Result<T, SeedError> {
    outcome.map_err(|source| SeedError::Read {
        path: path.to_owned(),
        source,
    })
}

fn parse<'a, T: Deserialize<'a>>(path: &Path, bytes: &'a [u8]) -> Result<T, SeedError> {
    serde_json::from_slice(bytes).map_err(|source| SeedError::Json {
        path: path.to_owned(),
        source,
    })
}

/// Puts all images of an OCI layout into a repository; gives the references that they have there.
pub(crate) fn layout(
    store: &Store,
    repository: &str,
    path: &Path,
) -> Result<Vec<String>, SeedError> {
    if !names::is_repository(repository) {
        return Err(SeedError::Repository(repository.to_owned()));
    }
    let marker = path.join("oci-layout");
    let bytes = read_small(&marker).map_err(|_| SeedError::Layout(path.to_owned()))?;
    let version: Value = parse(&marker, &bytes)?;
    let version = version.get("imageLayoutVersion").and_then(Value::as_str);
    if !version.is_some_and(|version| version.starts_with("1.")) {
        return Err(SeedError::Layout(path.to_owned()));
    }
    let index_path = path.join("index.json");
    let index: Value = parse(&index_path, &read(&index_path, read_small(&index_path))?)?;
    let entries = list(&index, "manifests");
    let mut references = Vec::new();
    let layout = Layout {
        store,
        repository,
        path,
    };
    for entry in entries {
        let name = entry
            .get("annotations")
            .and_then(|all| all.get(REF_NAME)?.as_str());
        let tag = name.map_or((entries.len() == 1).then_some("latest"), tag_of);
        if let Some(digest) = layout.put(entry, tag, 0)? {
            references.push(match tag {
                Some(tag) => format!("{repository}:{tag}"),
                None => format!("{repository}@{digest}"),
            });
        }
    }
    Ok(references)
}

/// The tag in a reference name, which some tools write out in full.
fn tag_of(name: &str) -> Option<&str> {
    let last = name.rsplit_once(':').map_or(name, |(_, last)| last);
    names::is_tag(last).then_some(last)
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    let list = value.get(key).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

struct Layout<'a> {
    store: &'a Store,
    repository: &'a str,
    path: &'a Path,
}

impl Layout<'_> {
    /// A manifest after all that it refers to; none where a child of an index is not there, since
    /// tools copy single platforms.
    fn put(
        &self,
        descriptor: &Value,
        tag: Option<&str>,
        depth: usize,
    ) -> Result<Option<Digest>, SeedError> {
        if depth > MAX_DEPTH {
            return Err(SeedError::Depth);
        }
        let digest = digest_of(descriptor)?;
        let file = content_path(self.path, digest.as_str());
        let bytes = match read_small(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return if depth > 0 {
                    Ok(None)
                } else {
                    Err(SeedError::Missing(digest.to_string()))
                };
            }
            other => read(&file, other)?,
        };
        same(&digest, &Digest::of_with(digest.algorithm(), &bytes))?;
        let value: Value = parse(&file, &bytes)?;
        for child in list(&value, "manifests") {
            self.put(child, None, depth + 1)?;
        }
        for blob in value
            .get("config")
            .into_iter()
            .chain(list(&value, "layers"))
        {
            self.put_blob(blob)?;
        }
        let media_type = descriptor.get("mediaType").and_then(Value::as_str);
        let media_type = media_type.and_then(|text| HeaderValue::from_str(text).ok());
        let media_type = media_type.ok_or_else(|| SeedError::Descriptor(descriptor.to_string()))?;
        let manifest = Manifest::new(digest.clone(), bytes, media_type, Some(&value));
        let tags: Vec<&str> = tag.into_iter().collect();
        self.store
            .put_manifest(self.repository, manifest, &tags)
            .map_err(SeedError::Store)?;
        Ok(Some(digest))
    }

    fn put_blob(&self, descriptor: &Value) -> Result<(), SeedError> {
        let digest = digest_of(descriptor)?;
        if self.store.holds(self.repository, digest.as_str(), false) {
            return Ok(());
        }
        let path = content_path(self.path, digest.as_str());
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let elsewhere = !list(descriptor, "urls").is_empty();
                return elsewhere
                    .then_some(())
                    .ok_or_else(|| SeedError::Missing(digest.to_string()));
            }
            other => read(&path, other)?,
        };
        let length = read(&path, file.metadata())?.len();
        let (draft, found) = take_in(
            self.store,
            &path,
            FilePart::new(file, 0, length),
            digest.algorithm(),
        )?;
        same(&digest, &found)?;
        self.store
            .put_blob(self.repository, digest, draft)
            .map_err(SeedError::Store)
    }
}

fn digest_of(descriptor: &Value) -> Result<Digest, SeedError> {
    let text = descriptor.get("digest").and_then(Value::as_str);
    let digest = text.and_then(Digest::parse);
    digest.ok_or_else(|| SeedError::Descriptor(descriptor.to_string()))
}

fn same(expected: &Digest, found: &Digest) -> Result<(), SeedError> {
    if expected == found {
        return Ok(());
    }
    Err(SeedError::Digest {
        expected: expected.to_string(),
        found: found.to_string(),
    })
}

/// Copies part of a file into a draft; gives the digest that it has.
fn take_in(
    store: &Store,
    path: &Path,
    mut part: FilePart,
    algorithm: Algorithm,
) -> Result<(Draft, Digest), SeedError> {
    let mut draft = store.draft().map_err(SeedError::Store)?;
    let mut hasher = Hasher::new(algorithm);
    while let Some(piece) = read(path, part.next())? {
        hasher.update(&piece);
        draft.append(&piece).map_err(SeedError::Store)?;
    }
    Ok((draft, hasher.finish()))
}

/// An image as `manifest.json` of an archive has it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Vec<String>,
}

/// Puts all images of an archive of `docker save` in, under the names that they have there but for
/// the host; gives these.
pub(crate) fn archive(store: &Store, path: &Path) -> Result<Vec<String>, SeedError> {
    let archive = Archive::open(path)?;
    let bytes = archive.small("manifest.json")?;
    let images: Vec<Saved> = parse(Path::new("manifest.json"), &bytes)?;
    let mut references = Vec::new();
    for image in images {
        let tags = image.repo_tags.as_deref().unwrap_or_default();
        let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for name in tags {
            let (repository, tag) = place_of(name);
            if !names::is_repository(repository) || !names::is_tag(tag) {
                return Err(SeedError::Repository(name.clone()));
            }
            references.push(format!("{repository}:{tag}"));
            places
                .entry(repository.to_owned())
                .or_default()
                .insert(tag.to_owned());
        }
        if places.is_empty() {
            return Err(SeedError::Nameless);
        }
        for (repository, tags) in places {
            let tags: Vec<String> = tags.into_iter().collect();
            archive.put(store, &image, &repository, &tags)?;
        }
    }
    Ok(references)
}

/// `registry.example/team/web:v1` is `team/web` and `v1` here.
fn place_of(name: &str) -> (&str, &str) {
    let (name, tag) = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (name, "latest"),
    };
    let is_host = |head: &str| head.contains(['.', ':']) || head == "localhost";
    match name.split_once('/') {
        Some((head, rest)) if is_host(head) => (rest, tag),
        _ => (name, tag),
    }
}

/// Where the files of a tar are, links followed.
struct Archive<'a> {
    path: &'a Path,
    file: File,
    files: BTreeMap<PathBuf, (u64, u64)>,
}

impl<'a> Archive<'a> {
    fn open(path: &'a Path) -> Result<Self, SeedError> {
        let file = read(path, File::open(path))?;
        let mut files = BTreeMap::new();
        let mut links = Vec::new();
        let mut tar = tar::Archive::new(&file);
        for (count, entry) in read(path, tar.entries_with_seek())?.enumerate() {
            if count >= MAX_ENTRIES {
                return Err(SeedError::Entries);
            }
            let entry = read(path, entry)?;
            let name = plain(&read(path, entry.path())?);
            let kind = entry.header().entry_type();
            if kind.is_file() {
                files.insert(name, (entry.raw_file_position(), entry.size()));
            } else if let Some(target) = read(path, entry.link_name())? {
                // A symbolic link is relative to where it stands, a hard link to the archive.
                let target = if kind.is_symlink() {
                    name.parent().unwrap_or(Path::new("")).join(target)
                } else {
                    target.into_owned()
                };
                links.push((name, plain(&target)));
            }
        }
        for (name, target) in links {
            if let Some(place) = files.get(&target).copied() {
                files.insert(name, place);
            }
        }
        Ok(Self { path, file, files })
    }

    fn find(&self, name: &str) -> Result<(u64, u64), SeedError> {
        let place = self.files.get(&plain(Path::new(name))).copied();
        place.ok_or_else(|| SeedError::Missing(name.to_owned()))
    }

    /// A file that has to be in memory as a whole.
    fn small(&self, name: &str) -> Result<Bytes, SeedError> {
        let (at, length) = self.find(name)?;
        if length > MAX_MANIFEST as u64 {
            return read(Path::new(name), Err(io::ErrorKind::FileTooLarge.into()));
        }
        let mut bytes = vec![0; length as usize];
        read(
            self.path,
            positioned::read_exact_at(&self.file, &mut bytes, at),
        )?;
        Ok(Bytes::from(bytes))
    }

    fn put(
        &self,
        store: &Store,
        image: &Saved,
        repository: &str,
        tags: &[String],
    ) -> Result<(), SeedError> {
        let config = self.small(&image.config)?;
        let value: Value = parse(Path::new(&image.config), &config)?;
        let diff_ids = value
            .get("rootfs")
            .map_or(&[][..], |all| list(all, "diff_ids"));
        if diff_ids.len() != image.layers.len() {
            return Err(SeedError::Layers {
                config: diff_ids.len(),
                manifest: image.layers.len(),
            });
        }
        let mut layers = Vec::new();
        for (name, diff_id) in image.layers.iter().zip(diff_ids) {
            let (at, length) = self.find(name)?;
            let mut magic = [0; 4];
            let count = magic.len().min(length as usize);
            if let Some(magic) = magic.get_mut(..count) {
                read(self.path, positioned::read_exact_at(&self.file, magic, at))?;
            }
            let media_type = match magic {
                [0x1f, 0x8b, ..] => media::DOCKER_LAYER,
                [0x28, 0xb5, 0x2f, 0xfd] => DOCKER_ZSTD_LAYER,
                _ => DOCKER_PLAIN_LAYER,
            };
            let part = FilePart::new(read(self.path, self.file.try_clone())?, at, length);
            let (draft, digest) = take_in(store, self.path, part, Algorithm::Sha256)?;
            if media_type == DOCKER_PLAIN_LAYER {
                let expected = diff_id.as_str().and_then(Digest::parse);
                let expected =
                    expected.ok_or_else(|| SeedError::Descriptor(diff_id.to_string()))?;
                same(&expected, &digest)?;
            }
            layers
                .push(json!({"mediaType": media_type, "digest": digest.as_str(), "size": length}));
            store
                .put_blob(repository, digest, draft)
                .map_err(SeedError::Store)?;
        }
        let digest = Digest::of(&config);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media::DOCKER_MANIFEST,
            "config": {"mediaType": media::DOCKER_CONFIG, "digest": digest.as_str(), "size": config.len()},
            "layers": layers,
        });
        let draft = Draft::Memory(config.into());
        store
            .put_blob(repository, digest, draft)
            .map_err(SeedError::Store)?;
        let bytes = Bytes::from(manifest.to_string());
        let media_type = HeaderValue::from_static(media::DOCKER_MANIFEST);
        let manifest = Manifest::new(Digest::of(&bytes), bytes, media_type, Some(&manifest));
        store
            .put_manifest(repository, manifest, tags)
            .map_err(SeedError::Store)
    }
}

/// Without `.`, and with `..` taken away where it goes back over a name.
fn plain(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => {
                plain.pop();
            }
            _ => {}
        }
    }
    plain
}
