//! A pull by CRI-O: containers/image copies an image from a registry into containers/storage
//! (`server/image_pull.go`, `internal/storage/image.go`; `copy/copy.go`, `copy/single.go`).
//!
//! The order on the wire is its own: ping, token, manifest by GET, the chosen entry of an index, the config,
//! then up to six layers at once. Before 1.31 the image is looked at in a first conversation and copied in a
//! second; from 1.33 on a failure is followed by the attempt to pull an artifact.

mod source;
pub(super) mod words;

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::stream::{StreamExt as _, iter};
use sha2::{Digest as _, Sha256};
use tokio::time::sleep;

pub(super) use self::source::Asker;
use self::source::{Document, Source};
use self::words::{Cause, CrioError, CrioFailure, Step};
use super::NodeRuntime;
use super::content::Image;
use super::error::Failure;
use super::hosts::Place;
use super::media;
use super::pull::{self, Held, Manifest};
use super::session::Descriptor;
use super::steps::unpacking;
use super::unpack::DiffId;
use crate::profile::Profile;

/// `maxParallelDownloads`.
const PARALLEL_LAYERS: usize = 6;

/// One pull's work on a node.
pub(super) struct CrioPull<'a> {
    pub(super) runtime: &'a NodeRuntime,
    pub(super) profile: &'a Profile,
    pub(super) places: &'a [Place],
    pub(super) asker: Asker<'a>,
}

/// What was found to copy.
struct Chosen {
    manifest: Manifest,
    /// Digest of what the reference stands for.
    target: String,
    /// Digests and sizes of the manifests.
    documents: Vec<(String, u64)>,
    /// Whether an index stood in front.
    indexed: bool,
}

impl CrioPull<'_> {
    pub(super) async fn run(&self) -> Result<Image, CrioFailure> {
        let image = match Box::pin(self.image()).await {
            Ok(image) => return Ok(image),
            Err(image) => image,
        };
        let spared = self.profile.spares_artifacts_after_network_errors() && image.is_of_network();
        let artifact = if self.profile.tries_artifacts() && !spared {
            // Its manifest is asked for anew; what has one and is an image ends there.
            Some(Box::pin(self.artifact()).await)
        } else {
            None
        };
        Err(CrioFailure { image, artifact })
    }

    /// Why it is no artifact either: an image, an index without an entry for the node, or nothing at all.
    /// A Docker list counts as an image before 1.35.
    async fn artifact(&self) -> CrioError {
        let source = match Source::open(self.asker, self.places).await {
            Ok(source) => source,
            Err(error) => return error,
        };
        let oci = source.top.media_type.contains("oci");
        let looks = oci || self.profile.spares_artifacts_after_network_errors();
        if media::is_index(&source.top.media_type) && looks {
            let children = match pull::children("", &source.top.text) {
                Ok(children) => children,
                Err(why) => return bad_manifest(why),
            };
            let architecture = self.runtime.architecture();
            let Some(child) = pull::best(architecture, children) else {
                return Cause::NoPlatform(oci, architecture.to_owned()).into();
            };
            if let Err(error) = source.manifest(&child.digest).await {
                return error;
            }
        }
        Cause::IsImage.into()
    }

    async fn image(&self) -> Result<Image, CrioError> {
        let name = self.asker.image.to_string();
        if self.profile.prepares_images() {
            let source = Box::pin(Source::open(self.asker, self.places)).await?;
            let chosen = self
                .choose(&source, |error| error.within(Step::ChoosingInstance))
                .await?;
            let known = self.runtime.content().image(&name).cloned();
            if let Some(image) = known.filter(|image| image.id == chosen.manifest.config.digest) {
                return Ok(image);
            }
        }
        let source = Box::pin(Source::open(self.asker, self.places))
            .await
            .map_err(|error| error.within(Step::Source(name.clone())))?;
        let choosing = |error: CrioError| error.within(Step::Choosing(name.clone()));
        let chosen = self.choose(&source, choosing).await?;
        let indexed = chosen.indexed;
        Box::pin(self.copy(&source, chosen)).await.map_err(|error| {
            if indexed {
                error.within(Step::SystemImage)
            } else {
                error
            }
        })
    }

    /// The manifest to copy: that of the reference, or the entry of its index that suits the node.
    async fn choose(
        &self,
        source: &Source<'_>,
        choosing: impl Fn(CrioError) -> CrioError,
    ) -> Result<Chosen, CrioError> {
        let image = self.asker.image;
        let top = &source.top;
        let target = digest(&top.text);
        if image
            .digest()
            .is_some_and(|wanted| wanted.starts_with("sha256:") && wanted != target)
        {
            let wanted = image.object().to_owned();
            return Err(Cause::WrongManifest(wanted).into());
        }
        let mut documents = vec![(target.clone(), top.text.len() as u64)];
        let indexed = media::is_index(&top.media_type);
        let manifest = if indexed {
            let children = pull::children(&target, &top.text).map_err(bad_manifest)?;
            let oci = top.media_type.contains("oci");
            let architecture = self.runtime.architecture();
            let Some(child) = pull::best(architecture, children) else {
                let cause = Cause::NoPlatform(oci, architecture.to_owned());
                return Err(choosing(cause.into()));
            };
            let within = |error: CrioError| {
                error
                    .within(Step::MimeType(image.to_string()))
                    .within(Step::SystemImage)
            };
            let Document { media_type, text } =
                source.manifest(&child.digest).await.map_err(within)?;
            if digest(&text) != child.digest {
                return Err(within(Cause::WrongManifest(child.digest).into()));
            }
            documents.push((child.digest.clone(), text.len() as u64));
            self.understand(&media_type, &child.digest, &text)?
        } else {
            self.understand(&top.media_type, &target, &top.text)?
        };
        Ok(Chosen {
            manifest,
            target,
            documents,
            indexed,
        })
    }

    fn understand(
        &self,
        media_type: &str,
        digest: &str,
        text: &[u8],
    ) -> Result<Manifest, CrioError> {
        let step = Step::Image(self.asker.image.to_string());
        if media::is_manifest(media_type) {
            return pull::manifest(digest, text).map_err(|why| bad_manifest(why).within(step));
        }
        match schema1(text) {
            Ok(layers) => Ok(Manifest {
                config: Descriptor {
                    media_type: media::SCHEMA1.to_owned(),
                    digest: digest.to_owned(),
                    size: 0,
                },
                layers,
            }),
            Err(why) => Err(CrioError::from(Cause::BadManifest(why)).within(step)),
        }
    }

    async fn copy(&self, source: &Source<'_>, chosen: Chosen) -> Result<Image, CrioError> {
        let held = Held::new(self.runtime);
        let Chosen {
            manifest,
            target,
            documents,
            ..
        } = chosen;
        let mut size = 0;
        for (digest, length) in &documents {
            self.runtime.content().add(digest, *length, None);
            held.note(digest);
            size += length;
        }
        let converted = manifest.config.media_type == media::SCHEMA1;
        let config = if converted {
            Bytes::new()
        } else {
            self.config(source, &manifest.config).await?
        };
        self.runtime
            .content()
            .add(&manifest.config.digest, config.len() as u64, None);
        held.note(&manifest.config.digest);
        size += config.len() as u64;
        size += self.layers(source, &manifest, &config, &held).await?;

        let mut image = pull::describe(&manifest, &config);
        image.target = target;
        image.size = size;
        image.runnable |= converted;
        let digests = documents.into_iter().map(|(digest, _)| digest);
        let mut content: BTreeSet<String> = digests.collect();
        content.insert(manifest.config.digest.clone());
        content.extend(manifest.layers.iter().map(|layer| layer.digest.clone()));
        image.content = content;
        self.runtime
            .content()
            .name(&self.asker.image.to_string(), image.clone());
        drop(held);
        Ok(image)
    }

    async fn config(&self, source: &Source<'_>, config: &Descriptor) -> Result<Bytes, CrioError> {
        let read = async {
            let mut reader = source.blob(&config.digest).await?;
            let mut all = Vec::new();
            while let Some(bytes) = reader.chunk().await {
                all.extend_from_slice(&bytes?);
                if all.len() as u64 > pull::LARGEST_DOCUMENT {
                    break;
                }
            }
            let got = digest(&all);
            if got != config.digest {
                return Err(Cause::WrongConfig(got, config.digest.clone()).into());
            }
            Ok(Bytes::from(all))
        };
        read.await
            .map_err(|error: CrioError| error.within(Step::Config))
    }

    /// All layers are tried to their end; the first in order that failed is told.
    async fn layers(
        &self,
        source: &Source<'_>,
        manifest: &Manifest,
        config: &[u8],
        held: &Held<'_>,
    ) -> Result<u64, CrioError> {
        let unpacks = media::is_config(&manifest.config.media_type);
        let diff_ids = if unpacks {
            pull::diff_ids(config)
        } else {
            Vec::new()
        };
        let jobs = manifest
            .layers
            .iter()
            .enumerate()
            .map(
                |(n, layer)| async move { (n, self.layer(source, n, layer, unpacks, held).await) },
            );
        let mut fetched: Vec<_> = iter(jobs.collect::<Vec<_>>())
            .buffer_unordered(PARALLEL_LAYERS)
            .collect()
            .await;
        fetched.sort_by_key(|(n, _)| *n);
        let mut unpacked = Vec::new();
        for (n, result) in fetched {
            unpacked.push((n, result?));
        }
        let commit = |cause: Cause| CrioError::from(cause).within(Step::Commit);
        if unpacks && diff_ids.len() != manifest.layers.len() {
            return Err(commit(Cause::DiffIdCount(
                manifest.layers.len(),
                diff_ids.len(),
            )));
        }
        for (((n, got), layer), want) in unpacked.into_iter().zip(&manifest.layers).zip(diff_ids) {
            let Some(got) = got else { continue };
            sleep(unpacking(layer.size)).await;
            match got {
                Err(why) => return Err(commit(Cause::Unpack(why))),
                Ok(Some(got)) if got != want => {
                    return Err(commit(Cause::WrongDiffId(n, layer.digest.clone(), want)));
                }
                Ok(_) => {}
            }
        }
        Ok(manifest.layers.iter().map(|layer| layer.size).sum())
    }

    /// One layer; none if the node has it.
    async fn layer(
        &self,
        source: &Source<'_>,
        number: usize,
        layer: &Descriptor,
        unpacks: bool,
        held: &Held<'_>,
    ) -> Result<pull::Unpacked, CrioError> {
        let writer = self.runtime.content().writer(&layer.digest);
        let _alone = writer.lock().await;
        if self.runtime.content().pin(&layer.digest).is_some() {
            held.note(&layer.digest);
            return Ok(None);
        }
        let mut id = DiffId::of(layer, unpacks);
        let file = scratch_file(&layer.digest, number);
        let storing = |error: CrioError| error.within(Step::Storing(file.clone()));
        let mut reader = source
            .blob(&layer.digest)
            .await
            .map_err(|error| error.within(Step::Blob(layer.digest.clone())))?;
        let (mut got, mut hasher) = (0_u64, Sha256::new());
        while let Some(bytes) = reader.chunk().await {
            let bytes = bytes.map_err(&storing)?;
            got += bytes.len() as u64;
            if !self.runtime.has_room(got) {
                return Err(storing(Cause::NoSpace(file.clone()).into()));
            }
            hasher.update(&bytes);
            id.update(&bytes);
        }
        let sum = media::digest(hasher);
        if layer.digest.starts_with("sha256:") && sum != layer.digest {
            return Err(storing(Cause::WrongBlob(layer.digest.clone(), sum).into()));
        }
        self.runtime.content().add(&layer.digest, got, None);
        held.note(&layer.digest);
        Ok(Some(id.finish(&layer.digest)))
    }
}

/// Where containers/storage keeps a layer before it is unpacked; Go's digits of chance come from the layer.
fn scratch_file(digest: &str, number: usize) -> String {
    let sum = Sha256::digest(digest);
    let digits = sum
        .iter()
        .take(4)
        .fold(0_u32, |n, byte| (n << 8) | u32::from(*byte));
    format!("/var/tmp/container_images_storage{digits}/{number}")
}

fn digest(text: &[u8]) -> String {
    media::digest(Sha256::new_with_prefix(text))
}

fn bad_manifest(failure: Failure) -> CrioError {
    match failure {
        Failure::BadManifest(_, why) => Cause::BadManifest(why).into(),
        other => Cause::BadManifest(format!("{other:?}")).into(),
    }
}

/// The layers of a schema 1 manifest, the lowest first; or Go's words on what is none.
fn schema1(text: &[u8]) -> Result<Vec<Descriptor>, String> {
    if let Some(problem) = super::go::json_error(text) {
        return Err(problem);
    }
    let value: serde_json::Value = serde_json::from_slice(text).unwrap_or_default();
    if value
        .get("schemaVersion")
        .and_then(serde_json::Value::as_u64)
        != Some(1)
    {
        let version = value
            .get("schemaVersion")
            .map_or_else(|| "0".to_owned(), ToString::to_string);
        return Err(format!("unsupported schema version {version}"));
    }
    let layers = value.get("fsLayers").and_then(serde_json::Value::as_array);
    let digests = layers.into_iter().flatten().rev().filter_map(|layer| {
        let digest = layer.get("blobSum")?.as_str()?;
        super::reference::check_digest(digest).ok()?;
        Some(Descriptor {
            media_type: String::new(),
            digest: digest.to_owned(),
            size: 0,
        })
    });
    Ok(digests.collect())
}
