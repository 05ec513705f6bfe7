//! Manifests, indexes and image configurations, as far as a pull needs them.
//!
//! Bytes come in with the media type they were served with; what comes out is an index, an image, or the
//! reason why it is neither. Lists are bounded; entries that cannot be read make the whole unusable, as they
//! would for a runtime.

use serde_json::Value;

use crate::evidence::{ManifestKind, Platform};
use crate::reference::Digest;
use crate::wire::Excerpt;

/// What containerd accepts when it resolves a name.
pub const ACCEPT: &str = "application/vnd.docker.distribution.manifest.v2+json, \
application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, \
application/vnd.oci.image.index.v1+json, */*";

const MAX_ENTRIES: usize = 1024;

/// What a registry's answer to a request for a manifest is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manifest {
    /// A list by platform.
    Index(Vec<Entry>),
    /// One image or artifact.
    Image {
        /// [`ManifestKind::Image`] or [`ManifestKind::Artifact`].
        kind: ManifestKind,
        /// The configuration.
        config: Descriptor,
        /// The layers, lowest first.
        layers: Vec<Descriptor>,
    },
    /// The old format.
    Schema1,
}

/// A pointer to content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Its media type.
    pub media_type: Excerpt,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// True if it is to be fetched from elsewhere (`urls`), as layers of some Windows images are.
    pub foreign: bool,
}

/// An entry of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The manifest it points to.
    pub descriptor: Descriptor,
    /// For which platform; an entry without one fits every platform.
    pub platform: Option<Platform>,
}

/// What an image configuration says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What the image was built for.
    pub platform: Platform,
    /// How many layers it has when unpacked.
    pub layers: usize,
}

/// Why bytes are no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON.
    #[error("not JSON, it begins with `{begins}`")]
    NotJson {
        /// The first bytes.
        begins: Excerpt,
    },
    /// JSON, but neither a manifest nor an index.
    #[error("neither a manifest nor an index")]
    Neither,
    /// Something in it is missing or malformed.
    #[error("`{field}` is missing or malformed")]
    Field {
        /// Which.
        field: &'static str,
    },
    /// More entries than are read.
    #[error("more than {MAX_ENTRIES} entries")]
    TooMany,
}

/// The media type without parameters, in lower case.
pub fn media_type(header: Option<&str>) -> String {
    header
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

/// What the media type of an answer promises.
pub fn kind_of(media_type: &str) -> ManifestKind {
    match media_type {
        "application/vnd.docker.distribution.manifest.list.v2+json"
        | "application/vnd.oci.image.index.v1+json" => ManifestKind::Index,
        "application/vnd.docker.distribution.manifest.v2+json"
        | "application/vnd.oci.image.manifest.v1+json" => ManifestKind::Image,
        "application/vnd.docker.distribution.manifest.v1+json"
        | "application/vnd.docker.distribution.manifest.v1+prettyjws" => ManifestKind::Schema1,
        _ => ManifestKind::Unknown,
    }
}

impl Manifest {
    /// Reads the bytes of an answer.
    pub fn read(media_type: &str, body: &[u8]) -> Result<Self, ManifestError> {
        let value: Value = serde_json::from_slice(body).map_err(|_| ManifestError::NotJson {
            begins: Excerpt::from_bytes(body.get(..120).unwrap_or(body)),
        })?;
        let old = value.get("schemaVersion").and_then(Value::as_u64) == Some(1);
        if old || kind_of(media_type) == ManifestKind::Schema1 {
            return Ok(Self::Schema1);
        }
        if let Some(entries) = value.get("manifests") {
            return list(entries, "manifests")?
                .iter()
                .map(entry)
                .collect::<Result<_, _>>()
                .map(Self::Index);
        }
        let config = value.get("config").ok_or(ManifestError::Neither)?;
        let config = descriptor(config).ok_or(ManifestError::Field { field: "config" })?;
        let layers = match value.get("layers") {
            None | Some(Value::Null) => Vec::new(),
            Some(layers) => list(layers, "layers")?
                .iter()
                .map(|layer| descriptor(layer).ok_or(ManifestError::Field { field: "layers" }))
                .collect::<Result<_, _>>()?,
        };
        let is_image = matches!(
            config.media_type.as_str(),
            "application/vnd.oci.image.config.v1+json"
                | "application/vnd.docker.container.image.v1+json"
        );
        let kind = if is_image {
            ManifestKind::Image
        } else {
            ManifestKind::Artifact
        };
        Ok(Self::Image {
            kind,
            config,
            layers,
        })
    }

    /// What it is.
    pub const fn kind(&self) -> ManifestKind {
        match self {
            Self::Index(_) => ManifestKind::Index,
            Self::Image { kind, .. } => *kind,
            Self::Schema1 => ManifestKind::Schema1,
        }
    }
}

impl Config {
    /// Reads an image configuration.
    pub fn read(body: &[u8]) -> Result<Self, ManifestError> {
        let value: Value = serde_json::from_slice(body).map_err(|_| ManifestError::NotJson {
            begins: Excerpt::from_bytes(body.get(..120).unwrap_or(body)),
        })?;
        let platform = platform(&value).ok_or(ManifestError::Field {
            field: "os, architecture",
        })?;
        let layers = value
            .pointer("/rootfs/diff_ids")
            .and_then(Value::as_array)
            .map_or(0, Vec::len);
        Ok(Self { platform, layers })
    }
}

fn list<'a>(value: &'a Value, field: &'static str) -> Result<&'a Vec<Value>, ManifestError> {
    let Value::Array(list) = value else {
        return Err(ManifestError::Field { field });
    };
    if list.len() > MAX_ENTRIES {
        Err(ManifestError::TooMany)
    } else {
        Ok(list)
    }
}

fn entry(value: &Value) -> Result<Entry, ManifestError> {
    let descriptor = descriptor(value).ok_or(ManifestError::Field { field: "manifests" })?;
    Ok(Entry {
        descriptor,
        platform: value.get("platform").and_then(platform),
    })
}

fn descriptor(value: &Value) -> Option<Descriptor> {
    Some(Descriptor {
        media_type: Excerpt::new(
            value
                .get("mediaType")
                .and_then(Value::as_str)
                .unwrap_or_default(),
        ),
        digest: value.get("digest")?.as_str()?.parse().ok()?,
        size: value.get("size")?.as_u64()?,
        foreign: value
            .get("urls")
            .and_then(Value::as_array)
            .is_some_and(|urls| !urls.is_empty()),
    })
}

fn platform(value: &Value) -> Option<Platform> {
    let part = |name: &str| {
        let text = value.get(name)?.as_str()?;
        (!text.is_empty() && text.len() <= 64)
            .then(|| Box::<str>::from(Excerpt::new(text).as_str()))
    };
    Some(Platform {
        os: part("os")?,
        architecture: part("architecture")?,
        variant: part("variant"),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    #[test]
    fn manifests_of_each_kind() {
        let descriptor = |media_type: &str| {
            format!(r#"{{"mediaType":"{media_type}","digest":"{DIGEST}","size":2}}"#)
        };
        let image = format!(
            r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#,
            descriptor("application/vnd.oci.image.config.v1+json"),
            descriptor("application/vnd.oci.image.layer.v1.tar+gzip")
        );
        let chart = format!(
            r#"{{"schemaVersion":2,"config":{}}}"#,
            descriptor("application/vnd.cncf.helm.config.v1+json")
        );
        let index = format!(
            r#"{{"manifests":[{{"digest":"{DIGEST}","size":2,"platform":{{"os":"linux","architecture":"arm","variant":"v7"}}}},{{"digest":"{DIGEST}","size":2}}]}}"#
        );
        let table = [
            (image.as_str(), Ok(ManifestKind::Image)),
            (chart.as_str(), Ok(ManifestKind::Artifact)),
            (index.as_str(), Ok(ManifestKind::Index)),
            (
                r#"{"schemaVersion":1,"fsLayers":[]}"#,
                Ok(ManifestKind::Schema1),
            ),
            ("{}", Err(ManifestError::Neither)),
            (
                r#"{"manifests":{}}"#,
                Err(ManifestError::Field { field: "manifests" }),
            ),
            (
                r#"{"config":{"digest":"sha256:00"}}"#,
                Err(ManifestError::Field { field: "config" }),
            ),
            (
                "<html>",
                Err(ManifestError::NotJson {
                    begins: Excerpt::new("<html>"),
                }),
            ),
        ];
        for (body, want) in table {
            let got =
                Manifest::read("application/json", body.as_bytes()).map(|manifest| manifest.kind());
            assert_eq!(got, want, "for {body}");
        }
        let Ok(Manifest::Index(entries)) = Manifest::read("", index.as_bytes()) else {
            panic!("no index")
        };
        assert_eq!(
            entries[0].platform.as_ref().unwrap().to_string(),
            "linux/arm/v7"
        );
        assert_eq!(entries[1].platform, None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (Manifest::read("", &body), Config::read(&body));
        }
    }
}
