//! Image names: what people write after `image:`, read the way the kubelet and containerd read it.
//!
//! Text comes in, a checked [`Reference`] goes out: registry, repository, tag, digest, with Docker Hub's
//! short names made long. The grammar is that of distribution/reference 0.6. An error names the rule, the
//! character and its place, and offers a correction where one is plain. Stricter than the grammar in two
//! points, since no such host can be reached: ports end at 65535, and host names keep to the limits of DNS.

mod digest;
mod error;
mod host;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

pub use digest::{Algorithm, Digest, DigestError};
pub use error::{ReferenceError, Rule};
pub use host::{Authority, Host, HostError, MAX_HOST};

/// The longest text that is looked at: longer than host, port, repository, tag and digest can be together.
pub const MAX_TEXT: usize = 1024;
/// The longest repository name (without the host).
pub const MAX_REPOSITORY: usize = 255;
/// The longest tag.
pub const MAX_TAG: usize = 128;

const HUB: &str = "docker.io";
const HUB_LEGACY: &str = "index.docker.io";
const HUB_API: &str = "registry-1.docker.io";
const LATEST: &str = "latest";

/// A whole image name: `registry.example:5000/team/web:v1@sha256:…`.
///
/// Two references are equal if they name the same thing, however they were written. Prints the long form.
///
/// ```
/// use pullcheck::reference::Reference;
///
/// let short: Reference = "nginx".parse()?;
/// assert_eq!(short.to_string(), "docker.io/library/nginx:latest");
/// assert!(short.registry_assumed() && short.tag_assumed());
/// # Ok::<(), pullcheck::reference::ReferenceError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Reference {
    written: Box<str>,
    registry: Authority,
    repository: Box<str>,
    tag: Option<Box<str>>,
    digest: Option<Digest>,
    registry_assumed: bool,
}

/// What a manifest is asked for by: the last part of `/v2/<repository>/manifests/<this>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A tag, which may move.
    Tag(Box<str>),
    /// A digest.
    Digest(Digest),
}

impl Target {
    /// The text in the path of a request.
    pub fn as_text(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl Reference {
    /// Reads an image name; see the module for the grammar.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        Self::parse_once(text).map_err(|error| {
            let correction = correct(text, &error);
            error.or_try(correction)
        })
    }

    /// The text as it was given.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// The registry of the name: `docker.io` for Docker Hub, though its API has another host.
    pub const fn registry(&self) -> &Authority {
        &self.registry
    }

    /// Where the registry's API is asked: the registry itself, except for Docker Hub.
    pub fn endpoint(&self) -> Authority {
        if self.is_hub()
            && let Ok(host) = Host::parse(HUB_API)
        {
            return Authority::new(host, None);
        }
        self.registry.clone()
    }

    /// True for Docker Hub.
    pub fn is_hub(&self) -> bool {
        self.registry.port().is_none() && self.registry.host().name() == Some(HUB)
    }

    /// The repository, without the host.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Registry and repository, without tag and digest: what credentials are matched against.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The tag as written.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest.
    pub const fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// What a runtime resolves: the digest if there is one (the tag is then ignored), else the tag, else `latest`.
    pub fn target(&self) -> Target {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => Target::Digest(digest.clone()),
            (None, Some(tag)) => Target::Tag(tag.clone()),
            (None, None) => Target::Tag(LATEST.into()),
        }
    }

    /// True if no registry was written, so that Docker Hub was assumed.
    pub const fn registry_assumed(&self) -> bool {
        self.registry_assumed
    }

    /// True if neither tag nor digest was written, so that `latest` was assumed.
    pub const fn tag_assumed(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }

    /// The same repository with another tag and no digest, as a remedy would name it.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        Self::parse(&format!("{}:{tag}", self.name()))
    }

    fn parse_once(text: &str) -> Result<Self, ReferenceError> {
        let fail = |(rule, at): Fault| ReferenceError::new(text, rule, at);
        check_text(text).map_err(fail)?;
        let (domain, rest_at) = split_domain(text);
        let rest = text.get(rest_at..).unwrap_or_default();
        let registry = match domain {
            Some(domain) => read_domain(domain).map_err(fail)?,
            None => hub(),
        };
        let (named, digest) = match rest.split_once('@') {
            Some((named, digest)) => (named, Some((digest, rest_at + named.len() + 1))),
            None => (rest, None),
        };
        let (path, tag) = match named.split_once(':') {
            Some((path, tag)) => (path, Some((tag, rest_at + path.len() + 1))),
            None => (named, None),
        };
        check_path(path).map_err(|(rule, at)| fail((rule, rest_at + at)))?;
        if let Some((tag, at)) = tag {
            check_tag(tag).map_err(|(rule, offset)| fail((rule, at + offset)))?;
        }
        let digest = match digest {
            None => None,
            Some((digest, at)) => Some(digest.parse::<Digest>().map_err(|error| {
                let colon = digest.find(':').map_or(0, |colon| colon + 1);
                let offset = match &error {
                    DigestError::NoAlgorithm | DigestError::Unsupported(_) => 0,
                    DigestError::NotHex { at } => colon + at,
                    DigestError::Length { want, .. } => (colon + want).min(digest.len()),
                };
                fail((Rule::Digest(error), at + offset))
            })?),
        };
        let is_hub = registry.port().is_none() && registry.host().name() == Some(HUB);
        let repository: Box<str> = if is_hub && !path.contains('/') {
            format!("library/{path}").into()
        } else {
            path.into()
        };
        if repository.len() > MAX_REPOSITORY {
            let excess = repository.len() - MAX_REPOSITORY;
            return Err(fail((
                Rule::RepositoryTooLong,
                rest_at + path.len() - excess,
            )));
        }
        Ok(Self {
            written: text.into(),
            registry,
            repository,
            tag: tag.map(|(tag, _)| tag.into()),
            digest,
            registry_assumed: domain.is_none(),
        })
    }
}

type Fault = (Rule, usize);

fn hub() -> Authority {
    let host = Host::parse(HUB).expect("docker.io is a host");
    Authority::new(host, None)
}

fn check_text(text: &str) -> Result<(), Fault> {
    if text.is_empty() {
        return Err((Rule::Empty, 0));
    }
    if text.len() > MAX_TEXT {
        return Err((Rule::TextTooLong, 0));
    }
    for (at, found) in text.char_indices() {
        let rule = match found {
            ' ' => Rule::Blank,
            found if found.is_control() => Rule::ControlCharacter,
            found if found.is_whitespace() => Rule::Blank,
            found if !found.is_ascii() => Rule::NotAscii,
            _ => continue,
        };
        return Err((rule, at));
    }
    if let Some(at) = text.find("://") {
        return Err((Rule::Scheme, at));
    }
    if text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    {
        return Err((Rule::BareId, 0));
    }
    Ok(())
}

/// The first part is a registry if it could not be a namespace of Docker Hub.
fn split_domain(text: &str) -> (Option<&str>, usize) {
    match text.split_once('/') {
        Some((first, _))
            if first == "localhost"
                || first.contains(['.', ':'])
                || first.bytes().any(|byte| byte.is_ascii_uppercase()) =>
        {
            (Some(first), first.len() + 1)
        }
        _ => (None, 0),
    }
}

fn read_domain(domain: &str) -> Result<Authority, Fault> {
    if domain == HUB_LEGACY {
        return Ok(hub());
    }
    if let Some(at) = domain.find('_') {
        return Err((Rule::HostUnderscore, at));
    }
    // An IPv6 address needs its brackets here: without them its colons would read as a port.
    if !domain.starts_with('[') && domain.matches(':').count() > 1 {
        return Err((Rule::Host(HostError::Ipv6), 0));
    }
    Authority::parse(domain).map_err(|error| {
        let at = match &error {
            HostError::Empty | HostError::Ipv6 | HostError::TooLong { .. } => 0,
            HostError::LabelTooLong { at, .. }
            | HostError::EmptyLabel { at }
            | HostError::Hyphen { at }
            | HostError::Character { at, .. }
            | HostError::Port { at } => *at,
        };
        (Rule::Host(error), at)
    })
}

fn check_path(path: &str) -> Result<(), Fault> {
    if path.is_empty() {
        return Err((Rule::RepositoryEmpty, 0));
    }
    let mut start = 0;
    for component in path.split('/') {
        check_component(component).map_err(|(rule, at)| (rule, start + at))?;
        start += component.len() + 1;
    }
    Ok(())
}

fn check_component(component: &str) -> Result<(), Fault> {
    if component.is_empty() {
        return Err((Rule::EmptyComponent, 0));
    }
    // Where the separator in front of the current character began, if there is one.
    let mut separator: Option<usize> = Some(0);
    for (at, byte) in component.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => separator = None,
            b'A'..=b'Z' => return Err((Rule::UpperCase, at)),
            b'.' | b'_' | b'-' => {
                let begun = *separator.get_or_insert(at);
                let so_far = component.as_bytes().get(begun..at).unwrap_or_default();
                let fits = match byte {
                    b'.' => so_far.is_empty(),
                    b'_' => so_far.is_empty() || so_far == b"_",
                    _ => so_far.iter().all(|byte| *byte == b'-'),
                };
                if !fits || (begun == 0) {
                    return Err((Rule::Separator, at));
                }
            }
            _ => return Err((Rule::RepositoryCharacter, at)),
        }
    }
    match separator {
        Some(begun) => Err((Rule::Separator, begun)),
        None => Ok(()),
    }
}

fn check_tag(tag: &str) -> Result<(), Fault> {
    for (at, byte) in tag.bytes().enumerate() {
        match byte {
            b'.' | b'-' if at == 0 => return Err((Rule::TagStart, 0)),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' => {}
            _ => return Err((Rule::TagCharacter, at)),
        }
        if at >= MAX_TAG {
            return Err((Rule::TagTooLong, at));
        }
    }
    if tag.is_empty() {
        Err((Rule::TagEmpty, 0))
    } else {
        Ok(())
    }
}

/// The plain mistakes, undone one after another; the caller checks that a reference came out.
fn correct(text: &str, error: &ReferenceError) -> Option<String> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let mut fixed = text
        .trim_matches(|found: char| found.is_control() || found.is_whitespace())
        .to_owned();
    if let Some((_, rest)) = fixed.split_once("://") {
        fixed = rest.to_owned();
    }
    if let Rule::BareId | Rule::Empty = error.rule() {
        return None;
    }
    // A tag or digest that is cut short has no correction; a colon or slash too many has.
    fixed = fixed
        .trim_start_matches('/')
        .trim_end_matches(['/', ':', '@'])
        .to_owned();
    while fixed.contains("//") {
        fixed = fixed.replace("//", "/");
    }
    let (domain, rest_at) = split_domain(&fixed);
    let head = domain
        .map(|domain| format!("{domain}/"))
        .unwrap_or_default();
    let rest = fixed.get(rest_at..).unwrap_or_default();
    let end = rest.find([':', '@']).unwrap_or(rest.len());
    let (path, tail) = rest.split_at(end);
    // The first part of `Foo/Bar` counts as a host, but a host without dot and port is a namespace in capitals.
    let head = if head.contains(['.', ':']) {
        head
    } else {
        head.to_ascii_lowercase()
    };
    let tail = match tail.split_once('@') {
        Some((tag, digest)) => format!("{tag}@{}", digest.to_ascii_lowercase()),
        None => tail.to_owned(),
    };
    Some(format!("{head}{}{tail}", path.to_ascii_lowercase()))
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse(text)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        match (&self.tag, &self.digest) {
            (Some(tag), Some(digest)) => write!(f, ":{tag}@{digest}"),
            (Some(tag), None) => write!(f, ":{tag}"),
            (None, Some(digest)) => write!(f, "@{digest}"),
            (None, None) => write!(f, ":{LATEST}"),
        }
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl PartialEq for Reference {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Reference {}

impl PartialOrd for Reference {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Reference {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |it: &Self| {
            (
                it.registry.clone(),
                it.repository.clone(),
                it.tag.clone().or_else(|| it.latest()),
                it.digest.clone(),
            )
        };
        key(self).cmp(&key(other))
    }
}

impl Reference {
    fn latest(&self) -> Option<Box<str>> {
        self.tag_assumed().then(|| LATEST.into())
    }
}

impl Hash for Reference {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.registry.hash(state);
        self.repository.hash(state);
        self.tag.clone().or_else(|| self.latest()).hash(state);
        self.digest.hash(state);
    }
}
