//! What CRI-O fails with, as values, and the one place where they become its text.
//!
//! An error of containers/image is a cause with steps around it, outermost first when printed. Two wordings
//! exist: that of containers/image 5.10 (CRI-O 1.20) and the later one.

use super::super::distribution::{self, Complaint};
use super::super::error::{Code, DialFailure, Status, TransportError, UrlError};
use super::super::go;
use crate::profile::Profile;

/// What was being done when something failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// `GET /v2/` of a registry.
    Ping(String),
    /// Asking for a manifest: tag or digest, repository.
    Manifest(String, String),
    /// Opening the image before it is copied; its name.
    Source(String),
    /// Finding the entry of an index while copying; the image's name.
    Choosing(String),
    /// Finding the entry of an index while only looking.
    ChoosingInstance,
    /// Copying the chosen entry.
    SystemImage,
    /// Reading the manifest of the chosen entry; the image's name.
    MimeType(String),
    /// Understanding the manifest; the image's name.
    Image(String),
    /// Reading the config.
    Config,
    /// Opening a blob.
    Fetching,
    /// Opening a layer; its digest.
    Blob(String),
    /// Writing a blob to a file; its path.
    Storing(String),
    /// Making an image of the layers.
    Commit,
}

/// The cause itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// No answer.
    Request(Box<UrlError>),
    /// The body broke; what came of asking for its rest.
    Body(TransportError, Option<Box<CrioError>>),
    /// The registry refuses.
    Refused(Vec<Complaint>),
    /// The ping of containers/image 5.10 was refused: `503 Service Unavailable`.
    PingStatus(String),
    /// The token service says 401.
    TokenUser(Vec<Complaint>),
    /// The token service says 429.
    TooMany,
    /// The token service says something else.
    Token(String),
    /// A token that is no JSON: URL, beginning of the body, Go's words.
    TokenText(String, String, String),
    /// A Bearer challenge without a realm.
    NoRealm,
    /// Nowhere may be asked.
    Nowhere,
    /// No entry of the index fits; whether it is an OCI index, and the architecture.
    NoPlatform(bool, String),
    /// A manifest that is not JSON, in Go's words.
    BadManifest(String),
    /// A manifest with another digest than it was asked for by.
    WrongManifest(String),
    /// A config with another digest: what came, what was wanted.
    WrongConfig(String, String),
    /// A layer with another digest: what was wanted, what came.
    WrongBlob(String, String),
    /// The disk is full; the file.
    NoSpace(String),
    /// A layer that is not what the config says: its place, its digest, the config's diff id.
    WrongDiffId(usize, String, String),
    /// As many layers as diff ids are wanted: layers, diff ids.
    DiffIdCount(usize, usize),
    /// A layer cannot be unpacked.
    Unpack(String),
    /// Several places failed: the mirrors, then the registry.
    Mirrors(Vec<(String, CrioError)>, Box<(String, CrioError)>),
    /// A manifest of something that is no image.
    IsImage,
    /// The name is none.
    Name(String),
}

/// A cause and the steps around it, the innermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CrioError {
    /// Why.
    pub(crate) cause: Cause,
    /// In the course of what.
    pub(crate) steps: Vec<Step>,
}

impl From<Cause> for CrioError {
    fn from(cause: Cause) -> Self {
        Self {
            cause,
            steps: Vec::new(),
        }
    }
}

impl CrioError {
    /// The same, one step further out.
    pub(super) fn within(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    pub(super) fn transport(&self) -> Option<&TransportError> {
        match &self.cause {
            Cause::Request(error) => Some(&error.error),
            Cause::Body(error, _) => Some(error),
            Cause::Mirrors(_, primary) => primary.1.transport(),
            _ => None,
        }
    }

    /// `errors.Is(err, ECONNREFUSED)`.
    fn was_refused_connection(&self) -> bool {
        let mut error = self.transport();
        while let Some(TransportError::Proxy(inner)) = error {
            error = Some(inner);
        }
        matches!(
            error,
            Some(TransportError::Dial {
                failure: DialFailure::Refused,
                ..
            })
        )
    }

    /// `errors.As(err, &net.Error)`: every failed request is one, a body that ends early is not.
    pub(super) fn is_of_network(&self) -> bool {
        match &self.cause {
            Cause::Request(_) => true,
            Cause::Body(error, _) => matches!(error, TransportError::Reset { .. }),
            Cause::Mirrors(_, primary) => primary.1.is_of_network(),
            _ => false,
        }
    }

    pub(super) fn text(&self, profile: &Profile) -> String {
        let inner = self.cause.text(profile);
        self.steps
            .iter()
            .fold(inner, |text, step| step.around(&text, profile))
    }
}

impl Step {
    fn around(&self, inner: &str, profile: &Profile) -> String {
        let old = profile.shouts_errors();
        let said = match self {
            Self::Ping(host) if old => format!("error pinging docker registry {host}"),
            Self::Ping(host) => format!("pinging container registry {host}"),
            Self::Manifest(object, repository) => {
                format!("reading manifest {object} in {repository}")
            }
            Self::Source(name) => format!("initializing source docker://{name}"),
            Self::Choosing(name) => {
                format!("choosing an image from manifest list docker://{name}")
            }
            Self::ChoosingInstance => "choosing image instance".to_owned(),
            // 5.10 has no words for this step.
            Self::SystemImage if old => return inner.to_owned(),
            Self::SystemImage => "copying system image from manifest list".to_owned(),
            Self::MimeType(name) => format!("determining manifest MIME type for docker://{name}"),
            Self::Image(name) => format!("initializing image from source docker://{name}"),
            Self::Config => "parsing image configuration".to_owned(),
            Self::Fetching => "fetching blob".to_owned(),
            Self::Blob(digest) => format!("reading blob {digest}"),
            Self::Storing(path) => {
                format!("writing blob: storing blob to file {}", go::quote(path))
            }
            Self::Commit => "committing the finished image".to_owned(),
        };
        let said = if old && !matches!(self, Self::Ping(_)) {
            format!("Error {said}")
        } else {
            said
        };
        format!("{said}: {inner}")
    }
}

impl Cause {
    fn text(&self, profile: &Profile) -> String {
        let old = profile.shouts_errors();
        match self {
            Self::Request(error) => error.text(profile),
            Self::Body(error, None) => error.text(profile),
            Self::Body(error, Some(again)) => {
                let (error, again) = (error.text(profile), again.text(profile));
                format!("{error} (while reconnecting: {again})")
            }
            Self::Refused(complaints) => refused(complaints, old),
            Self::PingStatus(line) => {
                let (code, phrase) = line.split_once(' ').unwrap_or((line, ""));
                format!("invalid status code from registry {code} ({phrase})")
            }
            Self::TokenUser(complaints) => {
                let why = if old {
                    distribution::all(complaints)
                } else {
                    refused(complaints, old)
                };
                format!("unable to retrieve auth token: invalid username/password: {why}")
            }
            Self::TooMany => "too many requests to registry".to_owned(),
            Self::Token(line) if old => {
                let (code, phrase) = line.split_once(' ').unwrap_or((line, ""));
                format!(
                    "Requesting bear token: invalid status code from registry {code} ({phrase})"
                )
            }
            Self::Token(line) => {
                format!("Requesting bearer token: received unexpected HTTP status: {line}")
            }
            Self::TokenText(_, _, why) if old => why.clone(),
            Self::TokenText(url, start, why) => format!(
                "decoding bearer token (last URL {}, body start {}): {why}",
                go::quote(url),
                go::quote(start)
            ),
            Self::NoRealm => "missing realm in bearer auth challenge".to_owned(),
            Self::Nowhere => {
                "Internal error: newImageSource returned without trying any endpoint".to_owned()
            }
            Self::NoPlatform(oci, architecture) => {
                let list = if *oci { "image index" } else { "manifest list" };
                let (architecture, os) = if profile.quotes_platform() {
                    (go::quote(architecture), "\"linux\"")
                } else {
                    (architecture.clone(), "linux")
                };
                format!(
                    "no image found in {list} for architecture {architecture}, variant \"\", OS {os}"
                )
            }
            Self::BadManifest(why) | Self::Name(why) => why.clone(),
            Self::WrongManifest(digest) => {
                format!("Manifest does not match provided manifest digest {digest}")
            }
            Self::WrongConfig(got, want) => {
                format!("Download config.json digest {got} does not match expected {want}")
            }
            Self::WrongBlob(want, got) => {
                format!("Digest did not match, expected {want}, got {got}")
            }
            Self::NoSpace(path) => format!("write {path}: no space left on device"),
            Self::WrongDiffId(n, blob, want) => format!(
                "layer {n} (blob {}) does not match config's DiffID {}",
                go::quote(blob),
                go::quote(want)
            ),
            Self::DiffIdCount(layers, diff_ids) => {
                format!("image has {layers} layers, but config lists {diff_ids} DiffIDs")
            }
            Self::Unpack(why) => format!("unpacking failed (error: exit status 1; output: {why})"),
            Self::Mirrors(mirrors, primary) => {
                let mirrors: Vec<_> = mirrors
                    .iter()
                    .map(|(name, error)| format!("[{name}: {}]", error.text(profile)))
                    .collect();
                let (name, error) = &**primary;
                format!(
                    "(Mirrors also failed: {}): {name}: {}",
                    mirrors.join("\n"),
                    error.text(profile)
                )
            }
            Self::IsImage if profile.spares_artifacts_after_network_errors() => {
                "reference is a container image, not an OCI artifact".to_owned()
            }
            Self::IsImage => "provided artifact is a container image".to_owned(),
        }
    }
}

/// `registryHTTPResponseToError`: only the first complaint, and a default message by itself.
fn refused(complaints: &[Complaint], old: bool) -> String {
    let [first, ..] = complaints else {
        return distribution::all(complaints);
    };
    match first {
        Complaint::Unread { status, body, .. } => {
            let body = String::from_utf8_lossy(body);
            let mut start: String = body.chars().take(50).collect();
            if start.len() < body.len() {
                start.push_str("...");
            }
            if old {
                format!("StatusCode: {status}, {start}")
            } else {
                format!("StatusCode: {status}, {}", go::quote(&start))
            }
        }
        _ if old => distribution::all(complaints),
        Complaint::Error(code, message) if message == code.message() => message.clone(),
        other => other.text(),
    }
}

/// Why an image did not come: the image's error, and the artifact's where that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CrioFailure {
    /// As an image.
    pub(crate) image: CrioError,
    /// As an artifact; `None`: that was not tried.
    pub(crate) artifact: Option<CrioError>,
}

impl CrioFailure {
    /// The status as the kubelet gets it: CRI-O gives no code, gRPC one where a deadline passed.
    pub(crate) fn status(&self, profile: &Profile) -> Status {
        let image = self.image.text(profile);
        let text = match &self.artifact {
            Some(artifact) => {
                let inner = artifact.text(profile);
                let later = profile.spares_artifacts_after_network_errors();
                let artifact = match (&artifact.cause, later) {
                    (Cause::IsImage, true) => format!("image reference: {inner}"),
                    (Cause::IsImage, false) => inner,
                    (Cause::NoPlatform(..), true) => {
                        format!("image reference: choose manifest instance: {inner}")
                    }
                    (Cause::NoPlatform(..), false) => format!("choose instance: {inner}"),
                    (_, true) => {
                        format!(
                            "image reference: get manifest from ref: create image source: {inner}"
                        )
                    }
                    (_, false) => format!("get manifest: build image source: {inner}"),
                };
                format!(
                    "unable to pull image or OCI artifact: pull image err: {image}; artifact err: {artifact}"
                )
            }
            None if profile.tries_artifacts() && !matches!(self.image.cause, Cause::Name(_)) => {
                format!("unable to pull image: {image}")
            }
            None => image,
        };
        let text = if profile.tells_registry_unavailable() && self.image.was_refused_connection() {
            format!("RegistryUnavailable: {text}")
        } else {
            text
        };
        let errors = [Some(&self.image), self.artifact.as_ref()];
        let deadline = errors
            .into_iter()
            .flatten()
            .filter_map(CrioError::transport)
            .any(|error| error.code() == Code::DeadlineExceeded);
        let code = if deadline && profile.finds_deadlines() {
            Code::DeadlineExceeded
        } else {
            Code::Unknown
        };
        Status {
            code,
            message: text,
        }
    }
}
