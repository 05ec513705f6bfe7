//! Images from one line of text: `team/web:v1 linux/amd64,linux/arm64 2x1MiB`.
//!
//! The line gives a repository and tag, the platforms (default `linux/amd64`), the layers
//! (default one of 64 KiB) and the format (`oci`, the default, or `docker`); `salt=WORD` gives other
//! content to the same name. What comes out is a real image: config JSON with diff IDs, gzip'd tar
//! layers, and an index where there are several platforms; on x86-64 it also runs, until it is told
//! to end, or with the word `ends` for a moment. The same line always gives the same bytes.

mod archive;
mod source;

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde_json::{Value, json};

use self::archive::Program;
use crate::digest::Digest;
use crate::names;
pub use source::SeedError;
pub(crate) use source::{archive as seed_archive, layout as seed_layout};

/// No described image may be larger than this: descriptions are for tests, not for filling memory.
const MAX_LAYER: u64 = 1 << 31;
const MAX_LAYERS: usize = 127;
const CREATED: &str = "2026-01-01T00:00:00Z";

pub(crate) mod media {
    pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    pub(crate) const DOCKER_LIST: &str =
        "application/vnd.docker.distribution.manifest.list.v2+json";
    pub(crate) const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    pub(crate) const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
}

/// An image as described, not yet made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSpec {
    repository: String,
    tag: String,
    platforms: Vec<Platform>,
    layers: Vec<u64>,
    docker: bool,
    salt: String,
    /// Whether the program ends at once.
    ends: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant
            .as_ref()
            .map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

/// Why a line does not describe an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageLineError {
    /// Nothing in the line.
    #[error("the image description is empty")]
    Empty,
    /// The part before the colon breaks the grammar.
    #[error("`{0}` is not a repository name")]
    Repository(String),
    /// The part after the colon breaks the grammar.
    #[error("`{0}` is not a tag")]
    Tag(String),
    /// Neither platforms, nor layers, nor a format, nor what the program does.
    #[error(
        "`{0}` is neither platforms (`linux/amd64,linux/arm64`), layers (`2x1MiB`), a format (`oci`, `docker`) nor `ends`"
    )]
    Word(String),
    /// A size out of bounds.
    #[error("layers `{0}` are out of bounds (at most {MAX_LAYERS} layers of at most 2 GiB)")]
    Layers(String),
}

impl FromStr for ImageSpec {
    type Err = ImageLineError;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let mut words = line.split_whitespace();
        let name = words.next().ok_or(ImageLineError::Empty)?;
        let (repository, tag) = name.split_once(':').unwrap_or((name, "latest"));
        if !names::is_repository(repository) {
            return Err(ImageLineError::Repository(repository.to_owned()));
        }
        if !names::is_tag(tag) {
            return Err(ImageLineError::Tag(tag.to_owned()));
        }
        let mut spec = Self {
            repository: repository.to_owned(),
            tag: tag.to_owned(),
            platforms: Vec::new(),
            layers: Vec::new(),
            docker: false,
            salt: String::new(),
            ends: false,
        };
        for word in words {
            if let Some(salt) = word.strip_prefix("salt=") {
                salt.clone_into(&mut spec.salt);
                continue;
            }
            match word {
                "docker" => spec.docker = true,
                "oci" => spec.docker = false,
                "ends" => spec.ends = true,
                _ if word.contains('/') => spec.platforms.extend(platforms(word)?),
                _ => spec.layers.extend(layers(word)?),
            }
        }
        if spec.layers.len() > MAX_LAYERS {
            return Err(ImageLineError::Layers(line.to_owned()));
        }
        if spec.platforms.is_empty() {
            spec.platforms = platforms("linux/amd64")?;
        }
        if spec.layers.is_empty() {
            spec.layers.push(64 << 10);
        }
        Ok(spec)
    }
}

fn platforms(word: &str) -> Result<Vec<Platform>, ImageLineError> {
    let valid = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
    word.split(',')
        .map(|text| {
            let parts: Vec<&str> = text.split('/').collect();
            match parts.as_slice() {
                [os, architecture, variant @ ..]
                    if variant.len() <= 1 && parts.iter().all(|part| valid(part)) =>
                {
                    Ok(Platform {
                        os: (*os).to_owned(),
                        architecture: (*architecture).to_owned(),
                        variant: variant.first().map(|text| (*text).to_owned()),
                    })
                }
                _ => Err(ImageLineError::Word(word.to_owned())),
            }
        })
        .collect()
}

/// `1MiB`, `2x1MiB`, `2x1MiB,1x10KiB`.
fn layers(word: &str) -> Result<Vec<u64>, ImageLineError> {
    let mut sizes = Vec::new();
    for part in word.split(',') {
        let (count, size) = part.split_once('x').unwrap_or(("1", part));
        let unknown = || ImageLineError::Word(word.to_owned());
        let count: usize = count.parse().map_err(|_| unknown())?;
        let size = size_of(size).ok_or_else(unknown)?;
        if size > MAX_LAYER || count.saturating_add(sizes.len()) > MAX_LAYERS {
            return Err(ImageLineError::Layers(word.to_owned()));
        }
        sizes.extend(std::iter::repeat_n(size, count));
    }
    Ok(sizes)
}

/// `1MiB`, `10kB`, `512`.
pub(crate) fn size_of(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let factor: u64 = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "kB" => 1000,
        "MB" => 1_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// An image made from its description.
pub(crate) struct Image {
    pub(crate) repository: String,
    pub(crate) tag: String,
    pub(crate) blobs: Vec<(Digest, Bytes)>,
    /// Children first; the last one is what the tag points to.
    pub(crate) manifests: Vec<(Digest, &'static str, Bytes)>,
}

impl ImageSpec {
    /// The repository, without a host.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    pub(crate) fn make(&self) -> Image {
        let mut image = Image {
            repository: self.repository.clone(),
            tag: self.tag.clone(),
            blobs: Vec::new(),
            manifests: Vec::new(),
        };
        let mut children = Vec::new();
        for platform in &self.platforms {
            let manifest = self.make_one(platform, &mut image.blobs);
            let bytes = encode(&manifest);
            let digest = Digest::of(&bytes);
            let mut described = json!({"architecture": platform.architecture, "os": platform.os});
            if let (Some(variant), Some(map)) = (&platform.variant, described.as_object_mut()) {
                map.insert("variant".to_owned(), json!(variant));
            }
            children.push(json!({
                "mediaType": self.manifest_type(),
                "digest": digest.as_str(),
                "size": bytes.len(),
                "platform": described,
            }));
            image.manifests.push((digest, self.manifest_type(), bytes));
        }
        if children.len() > 1 {
            let media_type = if self.docker {
                media::DOCKER_LIST
            } else {
                media::OCI_INDEX
            };
            let bytes = encode(&json!({
                "schemaVersion": 2, "mediaType": media_type, "manifests": children,
            }));
            image
                .manifests
                .push((Digest::of(&bytes), media_type, bytes));
        }
        image
    }

    fn manifest_type(&self) -> &'static str {
        if self.docker {
            media::DOCKER_MANIFEST
        } else {
            media::OCI_MANIFEST
        }
    }

    fn make_one(&self, platform: &Platform, blobs: &mut Vec<(Digest, Bytes)>) -> Value {
        let (config_type, layer_type) = if self.docker {
            (media::DOCKER_CONFIG, media::DOCKER_LAYER)
        } else {
            (media::OCI_CONFIG, media::OCI_LAYER)
        };
        let mut diff_ids = Vec::new();
        let mut described = Vec::new();
        let mut history = Vec::new();
        for (position, size) in self.layers.iter().enumerate() {
            let mut purpose = format!("{}:{} {platform} {position}", self.repository, self.tag);
            if !self.salt.is_empty() {
                purpose = format!("{purpose} {}", self.salt);
            }
            let program = Program::new(&platform.architecture, self.ends);
            let layer = archive::layer(&purpose, position, *size, program);
            let digest = Digest::of(&layer.gzip);
            described.push(json!({
                "mediaType": layer_type, "digest": digest.as_str(), "size": layer.gzip.len(),
            }));
            diff_ids.push(layer.diff_id.as_str().to_owned());
            history.push(json!({
                "created": CREATED, "created_by": format!("COPY layer-{position}.bin /"),
            }));
            blobs.push((digest, layer.gzip));
        }
        let mut config = json!({
            "architecture": platform.architecture,
            "os": platform.os,
            "created": CREATED,
            "config": {
                "Cmd": ["/layer-0.bin"],
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Labels": {"org.opencontainers.image.version": self.tag},
            },
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": history,
        });
        if let (Some(variant), Some(map)) = (&platform.variant, config.as_object_mut()) {
            map.insert("variant".to_owned(), json!(variant));
        }
        let config = encode(&config);
        let config_digest = Digest::of(&config);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": self.manifest_type(),
            "config": {
                "mediaType": config_type, "digest": config_digest.as_str(), "size": config.len(),
            },
            "layers": described,
        });
        blobs.push((config_digest, config));
        manifest
    }
}

fn encode(value: &Value) -> Bytes {
    // `Value` prints itself as JSON and cannot fail to.
    Bytes::from(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_read() {
        let spec: ImageSpec = "team/web:v1 linux/amd64,linux/arm64/v8 2x1MiB,1x10KiB docker"
            .parse()
            .unwrap();
        assert_eq!(spec.repository(), "team/web");
        assert_eq!(spec.tag(), "v1");
        assert_eq!(spec.platforms.len(), 2);
        assert_eq!(spec.platforms[1].to_string(), "linux/arm64/v8");
        assert_eq!(spec.layers, [1 << 20, 1 << 20, 10 << 10]);
        assert!(spec.docker);
        let spec: ImageSpec = "web".parse().unwrap();
        assert_eq!((spec.tag(), spec.layers.len()), ("latest", 1));
    }

    #[test]
    fn lines_that_are_refused() {
        let table = [
            ("", ImageLineError::Empty),
            ("Web:v1", ImageLineError::Repository("Web".into())),
            ("web:", ImageLineError::Tag(String::new())),
            ("web:v1 linux/", ImageLineError::Word("linux/".into())),
            ("web:v1 huge", ImageLineError::Word("huge".into())),
            ("web:v1 3GiB", ImageLineError::Layers("3GiB".into())),
            ("web:v1 500x1B", ImageLineError::Layers("500x1B".into())),
        ];
        for (line, want) in table {
            assert_eq!(line.parse::<ImageSpec>(), Err(want), "for {line:?}");
        }
    }

    #[test]
    fn the_same_line_gives_the_same_image_and_another_tag_another_one() {
        let make = |line: &str| {
            let image = line.parse::<ImageSpec>().unwrap().make();
            image.manifests.last().unwrap().0.clone()
        };
        assert_eq!(make("a:1 2x10KiB"), make("a:1 2x10KiB"));
        assert_ne!(make("a:1 2x10KiB"), make("a:2 2x10KiB"));
        assert_ne!(make("a:1 2x10KiB"), make("a:1 2x10KiB salt=x"));
        // Clients store digests: these bytes must not change between versions by accident.
        assert_eq!(
            make("team/web:v1 linux/amd64,linux/arm64 2x1KiB").as_str(),
            "sha256:eaddd31df4c43473b26afbc2c79f751f85e56c040224451599a2d8eb229df537"
        );
    }
}
