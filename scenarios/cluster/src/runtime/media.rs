//! Media types and digests of image content.

use sha2::{Digest as _, Sha256};

pub(crate) const SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

pub(crate) fn is_manifest(media_type: &str) -> bool {
    matches!(
        media_type,
        "application/vnd.docker.distribution.manifest.v2+json"
            | "application/vnd.oci.image.manifest.v1+json"
    )
}

pub(crate) fn is_index(media_type: &str) -> bool {
    matches!(
        media_type,
        "application/vnd.docker.distribution.manifest.list.v2+json"
            | "application/vnd.oci.image.index.v1+json"
    )
}

/// What a manifest is whose media type is not told (`manifest.GuessMIMEType`, in short): an index has
/// manifests, an image has a config, anything else is taken for schema 1.
pub(crate) fn guess(text: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(text).unwrap_or_default();
    let told = value.get("mediaType").and_then(serde_json::Value::as_str);
    let guessed = match told {
        Some(told) if is_manifest(told) || is_index(told) => told,
        _ if value.get("manifests").is_some() => "application/vnd.oci.image.index.v1+json",
        _ if value.get("config").is_some() => "application/vnd.oci.image.manifest.v1+json",
        _ => SCHEMA1,
    };
    guessed.to_owned()
}

pub(crate) fn is_config(media_type: &str) -> bool {
    matches!(
        media_type,
        "application/vnd.docker.container.image.v1+json"
            | "application/vnd.oci.image.config.v1+json"
    )
}

pub(crate) fn is_layer(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.oci.image.layer.")
        || media_type.starts_with("application/vnd.docker.image.rootfs.")
}

pub(crate) fn is_zstd(media_type: &str) -> bool {
    media_type.ends_with("zstd")
}

/// containerd's key of an ingest: `layer-sha256:…`.
pub(crate) fn ingest_key(media_type: &str, digest: &str) -> String {
    let kind = match media_type {
        t if is_manifest(t) => "manifest",
        t if is_index(t) => "index",
        t if is_layer(t) => "layer",
        t if is_config(t) => "config",
        _ => "unknown",
    };
    format!("{kind}-{digest}")
}

/// `sha256:<hex>` of what was hashed.
pub(crate) fn digest(hasher: Sha256) -> String {
    let mut text = String::with_capacity(71);
    text.push_str("sha256:");
    text.push_str(&hex(&hasher.finalize()));
    text
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
