//! Images of one or two layers, made by hand: the bytes a registry serves, with their digests.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Mutex;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
pub(crate) const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub(crate) fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    format!("sha256:{hex}")
}

/// One image: manifest, config and layers as bytes.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) manifest: Vec<u8>,
    pub(crate) config: Vec<u8>,
    pub(crate) layers: Vec<Vec<u8>>,
}

impl Image {
    /// An image with layers of about these sizes; the name makes the content.
    pub(crate) fn new(name: &str, architecture: &str, sizes: &[usize]) -> Self {
        static MADE: Mutex<BTreeMap<(String, String, Vec<usize>), Image>> =
            Mutex::new(BTreeMap::new());
        let key = (name.to_owned(), architecture.to_owned(), sizes.to_vec());
        let mut made = MADE.lock().unwrap();
        made.entry(key)
            .or_insert_with(|| Self::make(name, architecture, sizes))
            .clone()
    }

    fn make(name: &str, architecture: &str, sizes: &[usize]) -> Self {
        let (mut layers, mut diff_ids) = (Vec::new(), Vec::new());
        for (n, size) in sizes.iter().enumerate() {
            let mut plain = format!("{name} {architecture} {n} ").into_bytes();
            let mut noise = Sha256::digest(&plain).to_vec();
            while plain.len() < *size {
                noise = Sha256::digest(&noise).to_vec();
                plain.extend_from_slice(&noise);
            }
            diff_ids.push(digest(&plain));
            let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
            encoder.write_all(&plain).unwrap();
            layers.push(encoder.finish().unwrap());
        }
        let config = json!({
            "architecture": architecture, "os": "linux",
            "config": { "Cmd": ["/bin/sleep"] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        Self::assemble(config, layers)
    }

    /// The manifest for a config and layers.
    pub(crate) fn assemble(config: Value, layers: Vec<Vec<u8>>) -> Self {
        let config = config.to_string().into_bytes();
        let describe = |media: &str, bytes: &[u8]| json!({ "mediaType": media, "digest": digest(bytes), "size": bytes.len() });
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": describe(CONFIG, &config),
            "layers": layers.iter().map(|l| describe(LAYER, l)).collect::<Vec<_>>(),
        });
        Self {
            manifest: manifest.to_string().into_bytes(),
            config,
            layers,
        }
    }

    /// Changes the manifest's JSON.
    pub(crate) fn edit(mut self, change: impl FnOnce(&mut Value)) -> Self {
        let mut value: Value = serde_json::from_slice(&self.manifest).unwrap();
        change(&mut value);
        self.manifest = value.to_string().into_bytes();
        self
    }

    pub(crate) fn size(&self) -> usize {
        self.manifest.len() + self.config.len() + self.layers.iter().map(Vec::len).sum::<usize>()
    }
}

/// An index over images: architecture and manifest.
pub(crate) fn index(entries: &[(&str, &Image)]) -> Vec<u8> {
    let manifests: Vec<_> = entries
        .iter()
        .map(|(architecture, image)| {
            json!({
                "mediaType": MANIFEST, "digest": digest(&image.manifest), "size": image.manifest.len(),
                "platform": { "architecture": architecture, "os": "linux" },
            })
        })
        .collect();
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests })
        .to_string()
        .into_bytes()
}
