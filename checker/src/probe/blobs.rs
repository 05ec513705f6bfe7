//! Configuration and layers: can they be had, from which host, and are they what the manifest says?
//!
//! The configuration is read and verified. Each layer is asked for by HEAD at the registry; one byte of the
//! smallest is really fetched, which goes the way of every layer, to a storage host where there is one. A full
//! probe reads every layer to its end.

use http::StatusCode;
use http::header::CONTENT_LENGTH;

use super::manifest::Image;
use super::session::{Ask, Reply, Session, Step, Stop};
use super::{Depth, Progress};
use crate::evidence::{BlobKind, ManifestKind, Method, Seen};
use crate::reference::Digest;
use crate::stage::Stage;
use crate::wire::http::{Keep, MAX_MANIFEST};
use crate::wire::manifest::{Config, Descriptor};
use crate::wire::{Excerpt, page, refusal};

/// No image has more layers than this.
const MAX_LAYERS: usize = 256;

impl Session<'_> {
    pub(super) async fn blobs(&mut self, image: &Image) -> Step<()> {
        self.config(image).await?;
        let mut layers: Vec<&Descriptor> = Vec::new();
        for layer in image
            .layers
            .iter()
            .filter(|layer| !layer.foreign)
            .take(MAX_LAYERS)
        {
            if !layers.iter().any(|known| known.digest == layer.digest) {
                layers.push(layer);
            }
        }
        if self.options.depth == Depth::Full {
            let all = layers.len();
            for (at, layer) in layers.into_iter().enumerate() {
                self.layer = Some(Progress {
                    layer: at + 1,
                    layers: all,
                    read: 0,
                    size: layer.size,
                });
                let whole = self.whole_layer(layer).await;
                self.layer = None;
                whole?;
            }
            return Ok(());
        }
        let smallest = layers.iter().min_by_key(|layer| layer.size).copied();
        for layer in layers {
            if smallest.is_none_or(|smallest| smallest.digest != layer.digest) {
                self.head_layer(layer).await?;
            }
        }
        match smallest {
            Some(layer) => self.one_byte(layer).await,
            None => Ok(()),
        }
    }

    async fn config(&mut self, image: &Image) -> Step<()> {
        let config = &image.config;
        let limit = usize::try_from(config.size)
            .unwrap_or(usize::MAX)
            .min(MAX_MANIFEST);
        let keep = Keep::Whole(limit.saturating_add(1));
        let reply = self.get_blob(config, BlobKind::Config, keep, None).await?;
        let read = reply.answer.read;
        self.check_size(config, BlobKind::Config, read)?;
        if !config.digest.matches(&reply.answer.body) {
            return Err(self.mismatch(config, &reply));
        }
        self.note_reachable(config, BlobKind::Config, &reply, true);
        if image.kind == ManifestKind::Image {
            match Config::read(&reply.answer.body) {
                Ok(read) => {
                    let seen = Seen::ConfigRead {
                        platform: read.platform,
                        layers: read.layers,
                    };
                    self.note(Stage::Blob, std::time::Duration::ZERO, seen);
                }
                Err(error) => {
                    let seen = Seen::ManifestUnusable {
                        target: crate::reference::Target::Digest(config.digest.clone()),
                        media_type: config.media_type.clone(),
                        text: Excerpt::new(&error.to_string()),
                    };
                    self.note(Stage::Blob, std::time::Duration::ZERO, seen);
                    return Err(Stop(Stage::Blob));
                }
            }
        }
        Ok(())
    }

    async fn head_layer(&mut self, layer: &Descriptor) -> Step<()> {
        let reply = self.blob(Method::Head, layer, Keep::First(0), None).await?;
        match reply.answer.status.as_u16() {
            200 => {
                let told = refusal::text(&reply.answer.headers, &CONTENT_LENGTH)
                    .and_then(|text| text.parse().ok());
                if let Some(told) = told {
                    self.check_size(layer, BlobKind::Layer, told)?;
                }
                self.note_reachable(layer, BlobKind::Layer, &reply, false);
                Ok(())
            }
            // The registry sends on to its storage: it has the layer.
            301..=308 => {
                self.note_reachable(layer, BlobKind::Layer, &reply, false);
                Ok(())
            }
            // A HEAD that is refused proves nothing; a pull never makes one.
            404 => Err(self.refused_blob(layer, BlobKind::Layer, &reply)),
            _ => self.one_byte(layer).await,
        }
    }

    async fn one_byte(&mut self, layer: &Descriptor) -> Step<()> {
        if layer.size == 0 {
            return Ok(());
        }
        let reply = self
            .get_blob(layer, BlobKind::Layer, Keep::First(1), Some("bytes=0-0"))
            .await?;
        let told = match reply.answer.status {
            StatusCode::PARTIAL_CONTENT => page::range_total(&reply.answer.headers),
            _ => refusal::text(&reply.answer.headers, &CONTENT_LENGTH)
                .and_then(|text| text.parse().ok()),
        };
        if let Some(told) = told {
            self.check_size(layer, BlobKind::Layer, told)?;
        }
        self.note_reachable(layer, BlobKind::Layer, &reply, false);
        Ok(())
    }

    async fn whole_layer(&mut self, layer: &Descriptor) -> Step<()> {
        let keep = Keep::Hash(layer.digest.algorithm(), layer.size.saturating_add(1));
        let reply = self.get_blob(layer, BlobKind::Layer, keep, None).await?;
        self.check_size(layer, BlobKind::Layer, reply.answer.read)?;
        if reply.answer.digest.as_ref() != Some(&layer.digest) {
            return Err(self.mismatch(layer, &reply));
        }
        self.note_reachable(layer, BlobKind::Layer, &reply, true);
        Ok(())
    }

    async fn get_blob(
        &mut self,
        blob: &Descriptor,
        kind: BlobKind,
        keep: Keep,
        range: Option<&str>,
    ) -> Step<Reply> {
        loop {
            let reply = self.blob(Method::Get, blob, keep, range).await?;
            if matches!(reply.answer.status.as_u16(), 200 | 206) {
                return Ok(reply);
            }
            let stop = self.refused_blob(blob, kind, &reply);
            if !self.wait_for(&reply.answer, Stage::Blob).await {
                return Err(stop);
            }
        }
    }

    async fn blob(
        &mut self,
        method: Method,
        blob: &Descriptor,
        keep: Keep,
        range: Option<&str>,
    ) -> Step<Reply> {
        let target = format!("/v2/{}/blobs/{}", self.reference.repository(), blob.digest);
        let accept = self.options.habits.accept_blob(blob.media_type.as_str());
        self.ask(Ask {
            stage: Stage::Blob,
            method,
            target,
            accept: &accept,
            range,
            keep,
        })
        .await
    }

    fn refused_blob(&mut self, blob: &Descriptor, kind: BlobKind, reply: &Reply) -> Stop {
        let seen = Seen::BlobRefused {
            digest: blob.digest.clone(),
            kind,
            host: reply.url.host().clone(),
            refusal: self.refusal(&reply.answer),
        };
        self.note_reply(Stage::Blob, reply, seen);
        Stop(Stage::Blob)
    }

    fn note_reachable(&mut self, blob: &Descriptor, kind: BlobKind, reply: &Reply, verified: bool) {
        let seen = Seen::BlobReachable {
            digest: blob.digest.clone(),
            kind,
            size: blob.size,
            host: reply.url.host().clone(),
            read: reply.answer.body.len().max(if verified {
                reply.answer.read as usize
            } else {
                0
            }) as u64,
            verified,
            bytes_per_second: (verified && kind == BlobKind::Layer)
                .then(|| rate(reply.answer.read, reply.answer.body_took))
                .flatten(),
        };
        self.note_reply(Stage::Blob, reply, seen);
    }

    fn check_size(&mut self, blob: &Descriptor, kind: BlobKind, got: u64) -> Step<()> {
        if got == blob.size {
            return Ok(());
        }
        let seen = Seen::SizeMismatch {
            digest: blob.digest.clone(),
            kind,
            expected: blob.size,
            got,
        };
        self.note(Stage::Blob, std::time::Duration::ZERO, seen);
        Err(Stop(Stage::Blob))
    }

    fn mismatch(&mut self, blob: &Descriptor, reply: &Reply) -> Stop {
        let got = reply.answer.digest.clone();
        let got =
            got.unwrap_or_else(|| Digest::compute(blob.digest.algorithm(), &reply.answer.body));
        self.note_reply(
            Stage::Blob,
            reply,
            Seen::DigestMismatch {
                expected: blob.digest.clone(),
                got,
            },
        );
        Stop(Stage::Blob)
    }
}

/// Bytes a second; none where there was nothing to measure.
fn rate(read: u64, took: std::time::Duration) -> Option<u64> {
    let seconds = took.as_secs_f64();
    (read > 0 && seconds > 0.0).then(|| (read as f64 / seconds) as u64)
}
