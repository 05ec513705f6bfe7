//! What there is in a registry, and what a mirror makes of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::seen::{Method, RateLimit};
use crate::reference::{Digest, Target};
use crate::stage::Stage;
use crate::wire::Excerpt;

/// A manifest or index as found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestSeen {
    /// The method that found it.
    pub method: Method,
    /// The tag or digest that was asked for.
    pub target: Target,
    /// Its digest: of the bytes after a GET, else as the registry announces it.
    pub digest: Option<Digest>,
    /// Its media type.
    pub media_type: Excerpt,
    /// Its size in bytes, if told.
    pub size: Option<u64>,
    /// What it is.
    pub kind: ManifestKind,
    /// Rate-limit headers that came with it.
    pub rate_limit: Option<RateLimit>,
}

/// What a manifest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ManifestKind {
    /// A list of manifests by platform.
    Index,
    /// One image.
    Image,
    /// Not a container image: a chart, a signature, a bill of materials …
    Artifact,
    /// The old format that runtimes no longer take.
    Schema1,
    /// None of these.
    Unknown,
}

/// What a blob is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlobKind {
    /// The image configuration.
    Config,
    /// A layer.
    Layer,
}

/// An operating system and an architecture.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// `linux`, `windows`.
    pub os: Box<str>,
    /// `amd64`, `arm64` …
    pub architecture: Box<str>,
    /// `v7`, `v8` …
    pub variant: Option<Box<str>>,
}

impl Platform {
    /// A platform without a variant.
    pub fn new(os: &str, architecture: &str) -> Self {
        Self {
            os: os.into(),
            architecture: architecture.into(),
            variant: None,
        }
    }

    /// `linux` and this architecture.
    pub fn linux(architecture: &str) -> Self {
        Self::new("linux", architecture)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl Serialize for Platform {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Platform {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut parts = text.splitn(3, '/');
        let (Some(os), Some(architecture)) = (parts.next(), parts.next()) else {
            return Err(serde::de::Error::custom("not a platform"));
        };
        Ok(Self {
            variant: parts.next().map(Into::into),
            ..Self::new(os, architecture)
        })
    }
}

/// What came of asking a mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum MirrorOutcome {
    /// It served the whole image, as far as the probe goes.
    Served,
    /// It knows the name and, by its configuration, serves no content.
    Resolved,
    /// It has no such image: the next host is asked, and nothing is wrong.
    Absent,
    /// It wants a credential, which the probe gives to no mirror.
    Refused {
        /// Where it stopped.
        stage: Stage,
    },
    /// It does not work.
    Failed {
        /// Where it stopped.
        stage: Stage,
    },
}
