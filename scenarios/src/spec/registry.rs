//! The `registries` section: hosts, what they hold, who may pull, whose habits they have.

use std::net::IpAddr;

use fake_registry::TlsMode;
use indexmap::IndexMap;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::Span;

/// One registry host and what it holds.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Registry {
    /// The host name in references, with the port where it is not 443.
    pub host: Spanned<String>,
    /// Images, each in one line: `team/web:v1 linux/amd64,linux/arm64 2x64KiB`.
    #[serde(default)]
    pub images: Vec<Spanned<String>>,
    /// Who may pull.
    #[serde(default)]
    pub access: Access,
    /// Accounts, for `access: token` and `access: basic`.
    #[serde(default)]
    pub users: IndexMap<String, Account>,
    /// What anyone may pull without an account: `public/*`, `*`.
    #[serde(default)]
    pub anonymous: Vec<String>,
    /// The host of the token service, where it is not the registry itself.
    #[serde(default)]
    pub token_host: Option<String>,
    /// Whose habits it has.
    #[serde(default)]
    pub habits: Habits,
    /// The host that layers are fetched from, by a redirect.
    #[serde(default)]
    pub blobs_at: Option<String>,
    /// What is wrong with its TLS from the beginning.
    #[serde(default)]
    pub tls: TlsMode,
    /// Whether it speaks plain HTTP at its port.
    #[serde(default)]
    pub plain_http: bool,
    /// Further addresses beside its public one, such as that of a private endpoint.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// How many manifests may be fetched in a while, as Docker Hub counts them.
    #[serde(default)]
    pub pull_limit: Option<PullLimit>,
}

/// Who may pull from a registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Anyone, without a token.
    #[default]
    Open,
    /// Anyone, with an anonymous token from the registry's own token service.
    AnonymousToken,
    /// Its accounts, with a token from a token service.
    Token,
    /// Its accounts, with name and password in every request.
    Basic,
    /// An Azure Container Registry; its rules are in the `azure` section.
    Acr,
}

/// Whose habits a registry has where registries differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Habits {
    /// Those of the reference implementation.
    #[default]
    Plain,
    /// Docker Hub's.
    DockerHub,
    /// Amazon ECR's.
    Ecr,
    /// Google Artifact Registry's.
    ArtifactRegistry,
    /// GitHub's.
    Ghcr,
    /// Quay's.
    Quay,
}

/// An account of a registry.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Account {
    /// Its password.
    pub password: String,
    /// What it may do: `*`, `team/*:pull`.
    #[serde(default = "everything")]
    pub rights: Vec<String>,
    /// How long after the beginning the password works.
    #[serde(default)]
    pub until: Option<Span>,
}

fn everything() -> Vec<String> {
    vec!["*:pull".to_owned()]
}

/// How many manifests may be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PullLimit {
    /// For each address without a name.
    pub anonymous: u64,
    /// For each account.
    pub named: u64,
    /// In such a time.
    pub window: Span,
}

impl Registry {
    /// The host without its port.
    pub fn name(&self) -> &str {
        let host = self.host.value.as_str();
        host.rsplit_once(':').map_or(host, |(name, _)| name)
    }

    /// The port.
    pub fn port(&self) -> Option<u16> {
        match self.host.value.rsplit_once(':') {
            Some((_, port)) => port.parse().ok(),
            None => Some(443),
        }
    }
}

impl Habits {
    /// The host of the token service that goes with these habits, where it is not the registry itself.
    pub const fn token_host(self) -> Option<&'static str> {
        match self {
            Self::DockerHub => Some("auth.docker.io"),
            Self::Plain | Self::Ecr | Self::ArtifactRegistry | Self::Ghcr | Self::Quay => None,
        }
    }
}
