//! A pull from beginning to end: resolve, choose, fetch, verify, unpack, name.
//!
//! containerd's pull of one image for the node's platform, by the transfer service or the local path;
//! the two differ in words ([`super::error`]), in what they watch ([`super::progress`]) and in what stays
//! after an index without the platform. Every byte comes over the node's network.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use bytes::Bytes;
use futures::stream::{StreamExt as _, TryStreamExt as _, iter};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::sleep;

use super::NodeRuntime;
use super::content::Image;
use super::error::{Failure, FetchError, TransportError, UrlError};
use super::go;
use super::media;
use super::progress::Progress;
use super::reference::check_digest;
use super::session::{Descriptor, Session};
use super::steps::{PARALLEL_LAYERS, unpacking};
use super::unpack::DiffId;
use crate::profile::PullPath;

/// Reopenings of a body without new bytes.
const MOST_STRIKES: u32 = 3;
/// What is kept in memory of manifests and configs.
pub(super) const LARGEST_DOCUMENT: u64 = 8 << 20;
/// Bytes beyond the descriptor's size after which nobody reads on.
const SLACK: u64 = 16 << 20;
const MOST_CHILDREN: usize = 1024;
const DEEPEST_INDEX: usize = 4;
/// One pull's work on a node.
pub(super) struct Pull<'a> {
    pub(super) runtime: &'a NodeRuntime,
    pub(super) session: &'a Session,
    pub(super) progress: &'a Progress,
}

/// Content this pull holds; let go when it ends, however it ends.
pub(super) struct Held<'a> {
    runtime: &'a NodeRuntime,
    digests: std::sync::Mutex<Vec<String>>,
}

impl<'a> Held<'a> {
    pub(super) fn new(runtime: &'a NodeRuntime) -> Self {
        Self {
            runtime,
            digests: std::sync::Mutex::default(),
        }
    }

    pub(super) fn note(&self, digest: &str) {
        self.digests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(digest.to_owned());
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let digests =
            std::mem::take(&mut *self.digests.lock().unwrap_or_else(PoisonError::into_inner));
        self.runtime.content().release(&digests);
    }
}

/// Where containerd keeps what it has of a blob so far.
fn ingest_path(digest: &str) -> String {
    let name = media::digest(Sha256::new_with_prefix(digest));
    let name = name.split(':').next_back().unwrap_or_default();
    format!("/var/lib/containerd/io.containerd.content.v1.content/ingest/{name}/data")
}

/// What came of unpacking a layer, if it was fetched: its diff id where that can be told, or why not.
pub(super) type Unpacked = Option<Result<Option<String>, String>>;

/// A manifest's config and layers.
pub(super) struct Manifest {
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

impl Pull<'_> {
    /// Pulls, or gives up when nothing moves.
    pub(super) async fn run(&self) -> Result<Image, Failure> {
        if let Some(result) = Box::pin(self.progress.run(self.pull())).await {
            return result;
        }
        // A request that was still resolving is named; later ones are not.
        let asking = self
            .session
            .asking
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        Err(match asking {
            Some((operation, url)) if operation == "Head" => {
                let error = TransportError::Canceled;
                let error = Box::new(UrlError {
                    operation,
                    url,
                    error,
                });
                Failure::Resolve(FetchError::Request(error))
            }
            _ => Failure::Canceled,
        })
    }

    async fn pull(&self) -> Result<Image, Failure> {
        let top = self.session.resolve().await.map_err(Failure::Resolve)?;
        self.session.authorizer.forget().await;
        if top.media_type == media::SCHEMA1 {
            return Err(Failure::Schema1);
        }
        let held = Held::new(self.runtime);
        let mut documents = BTreeSet::new();
        let mut size = 0;
        let (mut descriptor, mut index) = (top.clone(), None);
        let manifest = loop {
            let text = self.document(&descriptor, &held).await?;
            size += text.len() as u64;
            documents.insert(descriptor.digest.clone());
            if media::is_index(&descriptor.media_type) && documents.len() <= DEEPEST_INDEX {
                let children = children(&descriptor.digest, &text)?;
                index.get_or_insert_with(|| descriptor.digest.clone());
                let Some(child) = best(self.runtime.architecture(), children) else {
                    let digest = index.unwrap_or_default();
                    if self.session.profile.path() == PullPath::Transfer {
                        self.runtime.content().keep(&digest);
                    }
                    return Err(Failure::NoPlatform(digest));
                };
                descriptor = child;
            } else if media::is_manifest(&descriptor.media_type) {
                break manifest(&descriptor.digest, &text)?;
            } else {
                let Descriptor {
                    media_type, digest, ..
                } = descriptor;
                return Err(Failure::UnexpectedMediaType { media_type, digest });
            }
        };
        let config = self.document(&manifest.config, &held).await?;
        size += config.len() as u64;
        let layers = self.layers(&manifest, &config, &held).await?;
        size += layers;

        let mut image = describe(&manifest, &config);
        image.target = top.digest;
        image.size = size;
        image.content = documents;
        image.content.insert(manifest.config.digest.clone());
        image
            .content
            .extend(manifest.layers.iter().map(|l| l.digest.clone()));
        self.runtime
            .content()
            .name(&self.session.image.to_string(), image.clone());
        drop(held);
        Ok(image)
    }

    /// Fetches the layers and unpacks them in order; their sizes together.
    async fn layers(
        &self,
        manifest: &Manifest,
        config: &[u8],
        held: &Held<'_>,
    ) -> Result<u64, Failure> {
        let unpacks = media::is_config(&manifest.config.media_type);
        let diff_ids = if unpacks {
            diff_ids(config)
        } else {
            Vec::new()
        };
        if unpacks && diff_ids.len() != manifest.layers.len() {
            return Err(Failure::DiffIdCount(manifest.layers.len(), diff_ids.len()));
        }
        // The first failure ends the others, whichever layer it was.
        let jobs = manifest
            .layers
            .iter()
            .cloned()
            .enumerate()
            .map(|(n, layer)| async move {
                Ok::<_, Failure>((n, self.layer(&layer, unpacks, held).await?))
            });
        let mut fetched: Vec<(usize, Unpacked)> = iter(jobs.collect::<Vec<_>>())
            .buffer_unordered(PARALLEL_LAYERS)
            .try_collect()
            .await?;
        fetched.sort_by_key(|(n, _)| *n);
        let fetched = fetched.into_iter().map(|(_, got)| got);
        for ((layer, want), got) in manifest.layers.iter().zip(diff_ids).zip(fetched) {
            // A layer that was there already was unpacked already.
            let Some(got) = got else { continue };
            sleep(unpacking(layer.size)).await;
            match got {
                Err(why) => return Err(Failure::Extract(want, why)),
                Ok(Some(got)) if got != want => {
                    return Err(Failure::WrongDiffId {
                        got,
                        want,
                        layer: layer.digest.clone(),
                    });
                }
                Ok(_) => {}
            }
        }
        Ok(manifest.layers.iter().map(|l| l.size).sum())
    }

    /// One layer; none if the node has it.
    async fn layer(
        &self,
        layer: &Descriptor,
        unpacks: bool,
        held: &Held<'_>,
    ) -> Result<Unpacked, Failure> {
        let writer = self.runtime.content().writer(&layer.digest);
        let _alone = writer.lock().await;
        if self.runtime.content().pin(&layer.digest).is_some() {
            held.note(&layer.digest);
            return Ok(None);
        }
        let mut id = DiffId::of(layer, unpacks);
        self.ingest(layer, |bytes| id.update(bytes)).await?;
        self.runtime.content().add(&layer.digest, layer.size, None);
        held.note(&layer.digest);
        Ok(Some(id.finish(&layer.digest)))
    }

    /// A manifest, index or config: its bytes, from the node or from the registry.
    async fn document(&self, descriptor: &Descriptor, held: &Held<'_>) -> Result<Bytes, Failure> {
        let writer = self.runtime.content().writer(&descriptor.digest);
        let _alone = writer.lock().await;
        let there = self.runtime.content().pin(&descriptor.digest);
        if there.is_some() {
            held.note(&descriptor.digest);
        }
        if let Some((_, Some(bytes))) = there {
            return Ok(bytes);
        }
        let mut all = Vec::new();
        self.ingest(descriptor, |bytes| {
            if all.len() as u64 <= LARGEST_DOCUMENT {
                all.extend_from_slice(bytes);
            }
        })
        .await?;
        let bytes = Bytes::from(all);
        self.runtime
            .content()
            .add(&descriptor.digest, descriptor.size, Some(bytes.clone()));
        held.note(&descriptor.digest);
        Ok(bytes)
    }

    /// Reads a descriptor's content to its end, reopening where it breaks off, and checks it.
    async fn ingest(&self, want: &Descriptor, mut each: impl FnMut(&[u8])) -> Result<(), Failure> {
        if want.size == 0 {
            return Err(Failure::ZeroSize(want.digest.clone()));
        }
        let (mut got, mut strikes, mut hasher) = (0_u64, 0, Sha256::new());
        let mut active = self.progress.body();
        let mut body = self.session.open(want, 0).await.map_err(Failure::Open)?;
        loop {
            match body.chunk().await {
                Some(Ok(bytes)) => {
                    strikes = 0;
                    got += bytes.len() as u64;
                    if !self.runtime.has_room(got) {
                        return Err(Failure::NoSpace(ingest_path(&want.digest)));
                    }
                    active.add(bytes.len() as u64);
                    hasher.update(&bytes);
                    each(&bytes);
                    if got > want.size.saturating_add(SLACK) {
                        break;
                    }
                }
                None => {
                    self.session.client.recycle(body);
                    break;
                }
                Some(Err(TransportError::UnexpectedEof)) => {
                    strikes += 1;
                    if strikes > MOST_STRIKES || got >= want.size {
                        break;
                    }
                    match self.session.open(want, got).await {
                        Ok(reopened) => body = reopened,
                        Err(_) => break,
                    }
                }
                Some(Err(error)) => return Err(Failure::Copy(error)),
            }
        }
        if got < want.size {
            return Err(Failure::ShortRead {
                want: want.size,
                got,
            });
        }
        let key = media::ingest_key(&want.media_type, &want.digest);
        if got > want.size {
            return Err(Failure::Size {
                key,
                got,
                want: want.size,
            });
        }
        let sum = media::digest(hasher);
        // Other algorithms than sha256 are taken at their word.
        if want.digest.starts_with("sha256:") && sum != want.digest {
            return Err(Failure::Digest {
                key,
                got: sum,
                want: want.digest.clone(),
            });
        }
        Ok(())
    }
}

/// The entry of an index that suits a node of this architecture best.
pub(super) fn best(
    node: &str,
    children: Vec<(Descriptor, Option<Platform>)>,
) -> Option<Descriptor> {
    let rank = |platform: &Option<Platform>| match platform {
        None => Some(0),
        Some(platform) => platform.rank(node),
    };
    let ranked = children
        .into_iter()
        .filter_map(|(child, platform)| Some((rank(&platform)?, child)));
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, child)| child)
}

/// What an index entry runs on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Platform {
    os: String,
    architecture: String,
    variant: String,
}

impl Platform {
    /// 0 is made for the node, more is run by it as well, none does not run.
    fn rank(&self, node: &str) -> Option<u8> {
        let (architecture, variant) = normalize(&self.architecture, &self.variant);
        if self.os != "linux" {
            return None;
        }
        match (node, architecture, variant) {
            ("amd64", "amd64", "" | "v1") | ("arm64", "arm64", "" | "v8") => Some(0),
            // A baseline machine is assumed: nothing above v1.
            ("amd64", "386", _) | ("arm64", "arm", "v8") => Some(1),
            ("arm64", "arm", "v7") => Some(2),
            ("arm64", "arm", "v6") => Some(3),
            ("arm64", "arm", "v5") => Some(4),
            (node, architecture, _)
                if node == architecture && !matches!(node, "amd64" | "arm64") =>
            {
                Some(0)
            }
            _ => None,
        }
    }
}

fn normalize<'a>(architecture: &'a str, variant: &'a str) -> (&'a str, &'a str) {
    match (architecture, variant) {
        ("x86_64" | "x86-64", v) => ("amd64", v),
        ("aarch64" | "arm64", "8" | "v8" | "") => ("arm64", ""),
        ("aarch64", v) => ("arm64", v),
        ("i386", v) => ("386", v),
        ("arm" | "armhf", "" | "7") => ("arm", "v7"),
        ("armel", "" | "6") => ("arm", "v6"),
        other => other,
    }
}

fn parse(digest: &str, text: &[u8]) -> Result<Value, Failure> {
    if let Some(problem) = go::json_error(text) {
        return Err(Failure::BadManifest(digest.to_owned(), problem));
    }
    serde_json::from_slice(text).map_err(|e| Failure::BadManifest(digest.to_owned(), e.to_string()))
}

fn descriptor(value: &Value) -> Option<Descriptor> {
    let digest = value.get("digest")?.as_str()?.to_owned();
    check_digest(&digest).ok()?;
    Some(Descriptor {
        media_type: value
            .get("mediaType")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        digest,
        size: value
            .get("size")
            .and_then(Value::as_u64)
            .unwrap_or_default(),
    })
}

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value
        .get(field)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .take(MOST_CHILDREN)
}

pub(super) fn children(
    digest: &str,
    text: &[u8],
) -> Result<Vec<(Descriptor, Option<Platform>)>, Failure> {
    let value = parse(digest, text)?;
    let platform = |value: &Value| {
        let field = |name| {
            value
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Platform {
            os: field("os"),
            architecture: field("architecture"),
            variant: field("variant"),
        }
    };
    let entry = |value: &Value| Some((descriptor(value)?, value.get("platform").map(platform)));
    Ok(list(&value, "manifests").filter_map(entry).collect())
}

pub(super) fn manifest(digest: &str, text: &[u8]) -> Result<Manifest, Failure> {
    let value = parse(digest, text)?;
    let bad = || {
        Failure::BadManifest(
            digest.to_owned(),
            "invalid checksum digest format".to_owned(),
        )
    };
    let config = value.get("config").and_then(descriptor).ok_or_else(bad)?;
    let layers = list(&value, "layers")
        .map(|l| descriptor(l).ok_or_else(bad))
        .collect::<Result<_, _>>()?;
    Ok(Manifest { config, layers })
}

pub(super) fn diff_ids(config: &[u8]) -> Vec<String> {
    let value: Value = serde_json::from_slice(config).unwrap_or_default();
    let Some(rootfs) = value.get("rootfs") else {
        return Vec::new();
    };
    list(rootfs, "diff_ids")
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

pub(super) fn describe(manifest: &Manifest, config: &[u8]) -> Image {
    let value: Value = serde_json::from_slice(config).unwrap_or_default();
    let known = media::is_config(&manifest.config.media_type);
    let words = |name: &str| -> Vec<String> {
        let command = value
            .get("config")
            .map(|c| list(c, name).filter_map(Value::as_str));
        command.into_iter().flatten().map(str::to_owned).collect()
    };
    let mut command = words("Entrypoint");
    command.extend(words("Cmd"));
    Image {
        id: manifest.config.digest.clone(),
        target: String::new(),
        size: 0,
        architecture: value
            .get("architecture")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        command,
        runnable: known && !manifest.layers.is_empty(),
        content: BTreeSet::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_runs() {
        let table = [
            ("amd64", "linux", "amd64", "", Some(0)),
            ("amd64", "linux", "x86_64", "", Some(0)),
            ("amd64", "linux", "386", "", Some(1)),
            ("amd64", "linux", "amd64", "v3", None),
            ("amd64", "windows", "amd64", "", None),
            ("amd64", "unknown", "unknown", "", None),
            ("amd64", "linux", "arm64", "", None),
            ("arm64", "linux", "arm64", "v8", Some(0)),
            ("arm64", "linux", "arm", "v7", Some(2)),
            ("s390x", "linux", "s390x", "", Some(0)),
        ];
        for (node, os, architecture, variant, want) in table {
            let platform = Platform {
                os: os.into(),
                architecture: architecture.into(),
                variant: variant.into(),
            };
            assert_eq!(
                platform.rank(node),
                want,
                "{os}/{architecture}/{variant} on {node}"
            );
        }
    }

    #[test]
    fn manifests_that_make_no_sense() {
        assert!(matches!(
            manifest("sha256:x", b"{not json"),
            Err(Failure::BadManifest(_, why)) if why == "invalid character 'n' looking for beginning of object key string"
        ));
        assert!(manifest("sha256:x", b"{}").is_err());
        assert!(children("sha256:x", b"{\"manifests\": 7}").is_ok_and(|c| c.is_empty()));
    }
}
