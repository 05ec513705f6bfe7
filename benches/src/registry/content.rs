//! What is loaded into every peer: the same bytes, made from a counter and nothing else.

use std::fmt::Write as _;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

pub(crate) const REPOSITORY: &str = "bench/web";
pub(crate) const TAG: &str = "v1";
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Images that one push run sends.
pub(crate) const PUSHED: usize = 200;
const PUSHED_LAYER: usize = 4 << 10;

/// Bytes under their digest.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) digest: String,
    pub(crate) bytes: Bytes,
}

/// An image: its blobs, config first, and its manifest.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) repository: String,
    pub(crate) blobs: Vec<Blob>,
    pub(crate) manifest: Blob,
}

impl Blob {
    fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            digest: digest(&bytes),
            bytes,
        }
    }
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    finish(Sha256::new_with_prefix(bytes))
}

pub(crate) fn finish(hash: Sha256) -> String {
    let mut text = String::from("sha256:");
    for byte in hash.finalize() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The image that is read: layers of 1 MiB and 64 MiB.
pub(crate) fn read_image() -> Image {
    image(REPOSITORY.to_owned(), 1, &[1 << 20, 64 << 20])
}

/// The small images of one push run; another run, other images.
pub(crate) fn pushed_images(run: usize) -> Vec<Image> {
    (0..PUSHED)
        .map(|number| {
            let seed = ((run * PUSHED + number) as u64 + 1) << 8;
            let repository = format!("push/run{run}/image{number}");
            image(repository, seed, &[PUSHED_LAYER])
        })
        .collect()
}

/// One of the blobs of 64 MiB that fill a store.
pub(crate) fn stored_blob(number: u64) -> Blob {
    Blob::new(noise((number + 1) << 40, 64 << 20))
}

fn image(repository: String, seed: u64, layers: &[usize]) -> Image {
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Labels":{{"seed":"{seed}"}}}},"rootfs":{{"type":"layers","diff_ids":[]}}}}"#
    );
    let mut blobs = vec![Blob::new(config)];
    for (position, size) in layers.iter().enumerate() {
        blobs.push(Blob::new(noise(seed + position as u64, *size)));
    }
    let descriptors: Vec<String> = blobs
        .iter()
        .enumerate()
        .map(|(position, blob)| {
            let kind = match position {
                0 => "application/vnd.oci.image.config.v1+json",
                _ => "application/vnd.oci.image.layer.v1.tar",
            };
            let (digest, size) = (&blob.digest, blob.bytes.len());
            format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{size}}}"#)
        })
        .collect();
    let (config, layers) = descriptors
        .split_first()
        .map_or_else(Default::default, |(first, rest)| {
            (first.clone(), rest.join(","))
        });
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST_TYPE}","config":{config},"layers":[{layers}]}}"#
    );
    Image {
        repository,
        blobs,
        manifest: Blob::new(manifest),
    }
}

/// Bytes that no compression shrinks (splitmix64).
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_manifest_lists_what_goes_with_it() {
        let image = image("a".into(), 7, &[10, 20]);
        let value: serde_json::Value = serde_json::from_slice(&image.manifest.bytes).unwrap();
        assert_eq!(value["config"]["digest"], image.blobs[0].digest.as_str());
        assert_eq!(value["layers"][1]["digest"], image.blobs[2].digest.as_str());
        assert_eq!(value["layers"][1]["size"], 20);
    }

    #[test]
    fn no_two_pushed_images_share_anything() {
        let images = pushed_images(0).into_iter().chain(pushed_images(1));
        let digests: Vec<String> = images
            .flat_map(|image| image.blobs.into_iter().chain([image.manifest]))
            .map(|blob| blob.digest)
            .collect();
        let distinct: BTreeSet<&String> = digests.iter().collect();
        assert_eq!(distinct.len(), digests.len());
    }
}
