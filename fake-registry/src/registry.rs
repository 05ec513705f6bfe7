//! The registry as its owner sees it: content, journal, certificates.

use std::path::Path;
use std::sync::Arc;

use crate::builder::Builder;
use crate::clock::Clock;
use crate::core::{Core, Place};
use crate::image::{self, ImageLineError, ImageSpec, SeedError};
use crate::journal::Journal;
use crate::store::Failure;
use crate::tls::{TlsError, TlsMode};

/// A registry, or many under one roof. Clones are the same registry.
#[derive(Clone)]
pub struct FakeRegistry {
    core: Arc<Core>,
}

/// A name that the registry does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// No registry under this host name.
    #[error("no registry answers for `{0}`")]
    Host(String),
    /// The description of an image is wrong.
    #[error("the image cannot be made")]
    Image(#[from] ImageLineError),
    /// Neither a tag nor a digest that is there.
    #[error("`{0}` is not there")]
    Reference(String),
    /// The store's directory cannot be written.
    #[error("the store cannot be written: {0}")]
    Store(std::io::ErrorKind),
}

impl FakeRegistry {
    /// Starts a description.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn from_core(core: Core) -> Self {
        Self {
            core: Arc::new(core),
        }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// What clients did.
    pub fn journal(&self) -> Journal {
        self.core.journal.clone()
    }

    /// The clock that tokens, certificates and the journal go by.
    pub fn clock(&self) -> Clock {
        self.core.clock
    }

    /// The CA certificate of the run, DER.
    pub fn ca_der(&self) -> Vec<u8> {
        self.core.tls.ca_der()
    }

    /// The CA certificate of the run, PEM.
    pub fn ca_pem(&self) -> String {
        self.core.tls.ca_pem().to_owned()
    }

    /// A certificate of the run's CA for a client, and its private key, both PEM: what a host with
    /// `TlsMode::ClientCertificate` lets in.
    pub fn client_certificate(&self, name: &str) -> Result<(String, String), TlsError> {
        self.core.tls.client(name)
    }

    /// What is wrong with the TLS of a host from its next connection on; any host, registry or not.
    pub fn set_tls(&self, host: &str, mode: TlsMode) {
        self.core.tls.set_mode(&host.to_ascii_lowercase(), mode);
    }

    /// Every host name that somebody answers for; what DNS should know.
    pub fn hosts(&self) -> Vec<String> {
        self.core.places.keys().cloned().collect()
    }

    /// The name of the registry, where there is only one.
    pub(crate) fn only_host(&self) -> Option<String> {
        let mut registries = self.core.places.iter();
        let mut registries = registries
            .by_ref()
            .filter(|(_, place)| matches!(place, Place::Registry(_)));
        let (name, _) = registries.next()?;
        registries.next().is_none().then(|| name.clone())
    }

    /// The digest behind a reference such as `team/web:v1` or `team/web@sha256:…`.
    pub fn digest(&self, host: &str, reference: &str) -> Option<String> {
        let registry = self.core.registry(host)?;
        let (repository, reference) = split_reference(reference);
        let manifest = registry.store.manifest(repository, reference).ok()?;
        Some(manifest.digest.to_string())
    }

    /// Tags of a repository in lexical order.
    pub fn tags(&self, host: &str, repository: &str) -> Vec<String> {
        let registry = self.core.registry(host);
        let found =
            registry.and_then(|registry| registry.store.tags(repository, "", usize::MAX).ok());
        found.map(|(tags, _)| tags).unwrap_or_default()
    }

    /// Puts a described image in, or moves a tag to it; gives the digest.
    pub fn tag(&self, host: &str, line: &str) -> Result<String, LookupError> {
        let spec: ImageSpec = line.parse()?;
        let digest = self.put_image(host, &spec);
        digest
            .map_err(|error| LookupError::Store(error.kind()))?
            .ok_or_else(|| LookupError::Host(host.to_owned()))
    }

    pub(crate) fn put_image(
        &self,
        host: &str,
        spec: &ImageSpec,
    ) -> std::io::Result<Option<String>> {
        let Some(registry) = self.core.registry(host) else {
            return Ok(None);
        };
        Ok(Some(registry.store.seed(spec)?.to_string()))
    }

    /// Puts all images of an OCI image layout into a repository, under the tags that they have
    /// there (`latest` for a single one without); gives their references.
    pub fn seed_layout(
        &self,
        host: &str,
        repository: &str,
        path: &Path,
    ) -> Result<Vec<String>, SeedError> {
        let registry = self.core.registry(host);
        let registry = registry.ok_or_else(|| SeedError::Host(host.to_owned()))?;
        image::seed_layout(&registry.store, repository, path)
    }

    /// Puts all images of an archive as `docker save` writes it in, under the names that they
    /// have there but for the host; gives these.
    pub fn seed_archive(&self, host: &str, path: &Path) -> Result<Vec<String>, SeedError> {
        let registry = self.core.registry(host);
        let registry = registry.ok_or_else(|| SeedError::Host(host.to_owned()))?;
        image::seed_archive(&registry.store, path)
    }

    /// Removes a tag (`team/web:v1`), or a manifest with its tags (`team/web@sha256:…`).
    pub fn untag(&self, host: &str, reference: &str) -> Result<(), LookupError> {
        let registry = self.core.registry(host);
        let registry = registry.ok_or_else(|| LookupError::Host(host.to_owned()))?;
        let (repository, name) = split_reference(reference);
        let gone = if name.contains(':') {
            registry.store.delete_manifest(repository, name)
        } else {
            registry.store.delete_tag(repository, name)
        };
        gone.map_err(|failure| match failure {
            Failure::Missing(_) => LookupError::Reference(reference.to_owned()),
            Failure::Io(error) => LookupError::Store(error.kind()),
        })
    }
}

/// `a/b:v1` and `a/b@sha256:…`; no tag means `latest`.
fn split_reference(text: &str) -> (&str, &str) {
    text.split_once('@')
        .or_else(|| text.split_once(':'))
        .unwrap_or((text, "latest"))
}
