//! One registry: how it is described, and what it holds while it runs.
//!
//! A description is plain data with sensible defaults. A running registry has content, upload
//! sessions and, where its blobs live elsewhere, signed addresses for them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use crate::auth::AuthPolicy;
use crate::azure::quota::Usage;
use crate::core::{Core, bare_host};
use crate::flavour::{PullLimit, Pulls};
use crate::message::param;
use crate::protocol::{Route, Target, Uploads};
use crate::store::{Store, StoreError};
use crate::tls::TlsMode;

/// Blob addresses are good for this long.
const SIGNED_FOR: Duration = Duration::from_mins(20);

/// How a registry that answers under one host name behaves.
#[derive(Clone, Debug)]
pub struct HostSpec {
    pub(crate) name: String,
    pub(crate) auth: AuthPolicy,
    pub(crate) flavour: Flavour,
    pub(crate) deletes: bool,
    pub(crate) referrers: bool,
    pub(crate) sparse: bool,
    pub(crate) max_blob: u64,
    pub(crate) min_chunk: u64,
    pub(crate) max_unfinished: Option<u64>,
    pub(crate) upload_expiry: Duration,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) blob_host: Option<String>,
    pub(crate) tls: TlsMode,
    pub(crate) pull_limit: Option<PullLimit>,
}

/// Whose habits the registry has where registries differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Flavour {
    /// The wording of the reference implementation.
    #[default]
    Plain,
    /// Azure Container Registry; its state is a registry of the tenant with this login server.
    Acr,
    /// Docker Hub: 401 for a repository that is not there, limits of pulls.
    DockerHub,
    /// Amazon ECR: Basic, plain text, expired passwords.
    Ecr,
    /// Google Artifact Registry: 403 for what is not there or not allowed.
    ArtifactRegistry,
    /// GitHub: the token endpoint refuses.
    Ghcr,
    /// Quay.
    Quay,
}

impl HostSpec {
    /// An open registry under a host name (without a port).
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into().to_ascii_lowercase(),
            auth: AuthPolicy::default(),
            flavour: Flavour::default(),
            deletes: true,
            referrers: true,
            sparse: false,
            max_blob: 2 << 30,
            min_chunk: 0,
            max_unfinished: None,
            upload_expiry: Duration::from_hours(1),
            directory: None,
            blob_host: None,
            tls: TlsMode::default(),
            pull_limit: None,
        }
    }

    /// Who may do what; open by default.
    #[must_use]
    pub fn auth(mut self, auth: AuthPolicy) -> Self {
        self.auth = auth;
        self
    }

    /// Whose habits it has.
    #[must_use]
    pub fn flavour(mut self, flavour: Flavour) -> Self {
        self.flavour = flavour;
        self
    }

    /// Whether tags, manifests and blobs can be deleted (405 UNSUPPORTED otherwise).
    #[must_use]
    pub fn deletes(mut self, on: bool) -> Self {
        self.deletes = on;
        self
    }

    /// Whether there is a referrers API (404 otherwise, and clients use the fallback tag).
    #[must_use]
    pub fn referrers(mut self, on: bool) -> Self {
        self.referrers = on;
        self
    }

    /// Whether manifests may refer to content that is not there.
    #[must_use]
    pub fn sparse(mut self, on: bool) -> Self {
        self.sparse = on;
        self
    }

    /// The largest blob that is taken, in bytes; 2 GiB by default.
    #[must_use]
    pub fn max_blob(mut self, bytes: u64) -> Self {
        self.max_blob = bytes;
        self
    }

    /// How many bytes all unfinished uploads may hold together; twice the largest blob by default.
    /// The upload that was idle longest makes room, and where none can, the answer is 429.
    #[must_use]
    pub fn max_unfinished(mut self, bytes: u64) -> Self {
        self.max_unfinished = Some(bytes);
        self
    }

    /// An unfinished upload that nobody comes back to for so long is gone; an hour by default.
    #[must_use]
    pub fn upload_expiry(mut self, time: Duration) -> Self {
        self.upload_expiry = time;
        self
    }

    /// Chunks of an upload, but for the last one, have at least so many bytes: announced as
    /// `OCI-Chunk-Min-Length` and insisted upon. 0, the default, is no limit.
    #[must_use]
    pub fn min_chunk(mut self, bytes: u64) -> Self {
        self.min_chunk = bytes;
        self
    }

    /// Keeps content in a directory, which is made where it is not there: for each repository an
    /// OCI image layout that other tools can read (`team/web:v1` is `oci:PATH/team+web:v1` to
    /// skopeo, which looks for images of OCI types only). What is in it is served; one registry at
    /// a time has it open.
    #[must_use]
    pub fn directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.directory = Some(path.into());
        self
    }

    /// What is wrong with its TLS; `FakeRegistry::set_tls` changes it while running.
    #[must_use]
    pub fn tls(mut self, mode: TlsMode) -> Self {
        self.tls = mode;
        self
    }

    /// Limits how many manifests are fetched, as Docker Hub does.
    #[must_use]
    pub fn pull_limit(mut self, limit: PullLimit) -> Self {
        self.pull_limit = Some(limit);
        self
    }

    /// Blobs are served by another host, to which GET is redirected with a signed address.
    #[must_use]
    pub fn blobs_at(mut self, host: impl Into<String>) -> Self {
        self.blob_host = Some(host.into().to_ascii_lowercase());
        self
    }
}

impl HostSpec {
    /// The host of a realm that is not at the registry itself.
    pub(crate) fn realm_host(&self) -> Option<String> {
        let AuthPolicy::Token(service) = &self.auth else {
            return None;
        };
        let (_, rest) = service.realm.as_deref()?.split_once("://")?;
        let authority = rest.split('/').next()?;
        Some(bare_host(authority).to_ascii_lowercase())
    }
}

/// A registry that runs.
pub(crate) struct Registry {
    pub(crate) spec: HostSpec,
    pub(crate) store: Arc<Store>,
    pub(crate) uploads: Uploads,
    pub(crate) usage: Usage,
    pub(crate) pulls: Pulls,
}

impl Registry {
    pub(crate) fn new(spec: HostSpec) -> Result<Self, StoreError> {
        let store = match &spec.directory {
            Some(path) => Store::open(path)?,
            None => Store::default(),
        };
        Ok(Self {
            spec,
            store: Arc::new(store),
            uploads: Uploads::default(),
            usage: Usage::default(),
            pulls: Pulls::default(),
        })
    }

    pub(crate) fn is_acr(&self) -> bool {
        self.spec.flavour == Flavour::Acr
    }

    /// The services beside the distribution API that this registry has.
    pub(crate) fn service_route(&self, path: &str) -> Option<Route> {
        match (&self.spec.auth, path) {
            (_, "/oauth2/token") if self.is_acr() => Some(Route::Token),
            (_, "/oauth2/exchange") if self.is_acr() => Some(Route::Exchange),
            (AuthPolicy::Token(service), path) if service.path == path => Some(Route::Token),
            _ => None,
        }
    }

    /// Where a blob is to be fetched, if not here.
    pub(crate) fn redirect(&self, core: &Core, target: Target<'_>, scheme: &str) -> Option<String> {
        let host = core.blob_host(self)?;
        let digest = target.reference;
        let (algorithm, hex) = digest.split_once(':')?;
        let (shard, _) = hex.split_at_checked(2)?;
        let path = format!("/docker/registry/v2/blobs/{algorithm}/{shard}/{hex}/data");
        let until = core
            .clock
            .now()
            .checked_add(SignedDuration::try_from(SIGNED_FOR).ok()?)
            .ok()?;
        let until = until.as_second();
        let signature = core.keys.sign_address(&host, &path, until);
        Some(format!(
            "{scheme}://{host}{path}?se={until}&sp=r&sig={signature}"
        ))
    }
}

/// Reads a signed address; gives the digest it is for.
pub(crate) fn signed_blob(
    core: &Core,
    host: &str,
    path: &str,
    query: &str,
) -> Result<String, AddressError> {
    let rest = path
        .strip_prefix("/docker/registry/v2/blobs/")
        .ok_or(AddressError::Unknown)?;
    let mut parts = rest.split('/');
    let (Some(algorithm), Some(_), Some(hex), Some("data"), None) = (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) else {
        return Err(AddressError::Unknown);
    };
    let until: i64 = param(query, "se")
        .and_then(|text| text.parse().ok())
        .ok_or(AddressError::Refused)?;
    let signature = param(query, "sig").ok_or(AddressError::Refused)?;
    if !core.keys.address_is_signed(host, path, until, &signature)
        || core.clock.now().as_second() > until
    {
        return Err(AddressError::Refused);
    }
    Ok(format!("{algorithm}:{hex}"))
}

/// Why an address of a blob does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AddressError {
    Unknown,
    Refused,
}
