//! A registry described in YAML: hosts with their accounts and images, a tenant of Azure, and the
//! fault script.
//!
//! ```yaml
//! hosts:
//!   - name: registry.example
//!     auth: { kind: token, users: { ci: { password: secret, rights: ["*"] } }, anonymous: ["public/*:pull"] }
//!     images: ["team/web:v1 linux/amd64,linux/arm64 2x1MiB"]
//!     directory: ./content            # in memory without it
//!     max-blob: 512MiB                # also max-unfinished, min-chunk, upload-expiry: 10m
//!     layouts: [{ repository: team/app, path: ./app }]   # OCI image layouts
//!     archives: [./saved.tar]         # of `docker save`
//!   - name: registry-1.docker.io
//!     flavour: docker-hub             # also ecr, artifact-registry, ghcr, quay
//!     pull-limit: { anonymous: 100, named: 200, per: 6h }
//! azure:
//!   name: contoso
//!   clusters: [{ name: aks1, resource-group: apps, nodes: [node-1] }]
//!   registries: [{ name: contoso1, resource-group: registries, images: ["team/web:v1 1x1MiB"] }]
//!   assign: [{ to: kubelet/aks1, role: AcrPull, at: registry/contoso1 }]
//! faults:
//!   - match: { route: manifest, nth: 1 }
//!     action: { status: 503 }
//! ```

use std::fmt;
use std::path::PathBuf;

use indexmap::IndexMap;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use crate::auth::{Accounts, AuthPolicy, TokenService};
use crate::azure::described::Described;
use crate::builder::Builder;
use crate::fault::{Rule, Script, ScriptError, Span};
use crate::flavour::PullLimit;
use crate::host::{Flavour, HostSpec};
use crate::image::size_of;
use crate::keys::Secret;
use crate::tls::TlsMode;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Config {
    #[serde(default)]
    seed: Option<u64>,
    #[serde(default)]
    hosts: Vec<Host>,
    #[serde(default)]
    any_host: Option<String>,
    #[serde(default)]
    azure: Option<Described>,
    #[serde(default)]
    faults: Vec<Rule>,
    #[serde(default)]
    journal_limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Host {
    name: String,
    #[serde(default)]
    auth: Option<Auth>,
    #[serde(default)]
    images: Vec<String>,
    #[serde(default = "yes")]
    deletes: bool,
    #[serde(default = "yes")]
    referrers: bool,
    #[serde(default)]
    sparse: bool,
    #[serde(default)]
    blobs_at: Option<String>,
    #[serde(default)]
    flavour: Flavour,
    #[serde(default)]
    pull_limit: Option<Pulls>,
    #[serde(default)]
    min_chunk: Option<Size>,
    #[serde(default)]
    max_blob: Option<Size>,
    #[serde(default)]
    max_unfinished: Option<Size>,
    #[serde(default)]
    upload_expiry: Option<Span>,
    #[serde(default)]
    directory: Option<PathBuf>,
    #[serde(default)]
    layouts: Vec<LayoutAt>,
    #[serde(default)]
    archives: Vec<PathBuf>,
    #[serde(default)]
    tls: TlsMode,
}

/// How many manifests may be fetched.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pulls {
    anonymous: u64,
    named: u64,
    per: Span,
}

/// Bytes: a number, or `512MiB`.
struct Size(u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes such as `512MiB`")
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Size, E> {
                Ok(Size(bytes))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                let size = size_of(text.trim()).map(Size);
                size.ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

fn yes() -> bool {
    true
}

/// An OCI image layout and the repository that its images go to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct LayoutAt {
    repository: String,
    path: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Auth {
    kind: Kind,
    #[serde(default)]
    users: IndexMap<String, User>,
    #[serde(default)]
    anonymous: Vec<String>,
    #[serde(default)]
    expires_in: Option<Span>,
    #[serde(default)]
    service: Option<String>,
    #[serde(default)]
    realm: Option<String>,
    #[serde(default)]
    path: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Basic,
    Token,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    password: Secret,
    #[serde(default)]
    rights: Vec<String>,
}

impl Builder {
    /// Reads a description in YAML; unknown keys are refused, with line and column.
    pub fn from_yaml(text: &str) -> Result<Self, ScriptError> {
        let config: Config =
            serde_saphyr::from_str(text).map_err(|error| ScriptError::of(&error))?;
        let mut builder = Self::default().faults(Script {
            rules: config.faults,
        });
        if let Some(seed) = config.seed {
            builder = builder.seed(seed);
        }
        if let Some(host) = config.any_host {
            builder = builder.any_host(&host);
        }
        if let Some(entries) = config.journal_limit {
            builder = builder.journal_limit(entries);
        }
        if let Some(described) = config.azure {
            let (tenant, images) = described.into_tenant();
            builder = builder.azure(tenant);
            for (host, line) in &images {
                builder = builder.image(host, line);
            }
        }
        for host in config.hosts {
            for line in &host.images {
                builder = builder.image(&host.name, line);
            }
            for layout in host.layouts {
                builder = builder.oci_layout(&host.name, &layout.repository, layout.path);
            }
            for path in host.archives {
                builder = builder.docker_archive(&host.name, path);
            }
            let mut spec = HostSpec::new(host.name)
                .deletes(host.deletes)
                .referrers(host.referrers)
                .sparse(host.sparse)
                .flavour(host.flavour)
                .tls(host.tls);
            if let Some(Size(bytes)) = host.min_chunk {
                spec = spec.min_chunk(bytes);
            }
            if let Some(Size(bytes)) = host.max_blob {
                spec = spec.max_blob(bytes);
            }
            if let Some(Size(bytes)) = host.max_unfinished {
                spec = spec.max_unfinished(bytes);
            }
            if let Some(time) = host.upload_expiry {
                spec = spec.upload_expiry(time.0);
            }
            let limit = host.pull_limit.map(|pulls| PullLimit {
                anonymous: pulls.anonymous,
                named: pulls.named,
                window: pulls.per.0,
            });
            let hub = (host.flavour == Flavour::DockerHub).then_some(PullLimit::DOCKER_HUB);
            if let Some(limit) = limit.or(hub) {
                spec = spec.pull_limit(limit);
            }
            if let Some(path) = host.directory {
                spec = spec.directory(path);
            }
            if let Some(blobs) = host.blobs_at {
                spec = spec.blobs_at(blobs);
            }
            if let Some(auth) = host.auth.or_else(|| Auth::usual(host.flavour)) {
                spec = spec.auth(auth.policy(host.flavour));
            }
            builder = builder.host(spec);
        }
        Ok(builder)
    }
}

impl Auth {
    /// What registries of a flavour have where nothing is said: tokens, and pulls without a name.
    fn usual(flavour: Flavour) -> Option<Self> {
        let hands_out_tokens = matches!(
            flavour,
            Flavour::DockerHub | Flavour::ArtifactRegistry | Flavour::Ghcr | Flavour::Quay
        );
        hands_out_tokens.then(|| Self {
            kind: Kind::Token,
            users: IndexMap::new(),
            anonymous: vec!["*:pull".to_owned()],
            expires_in: None,
            service: None,
            realm: None,
            path: None,
        })
    }

    fn policy(self, flavour: Flavour) -> AuthPolicy {
        fn texts(list: &[String]) -> Vec<&str> {
            list.iter().map(String::as_str).collect()
        }
        let mut accounts = Accounts::new().anonymous(&texts(&self.anonymous));
        for (name, user) in &self.users {
            accounts = accounts.user(name, &user.password.0, &texts(&user.rights));
        }
        match self.kind {
            Kind::Basic => AuthPolicy::Basic(accounts),
            Kind::Token => {
                let mut service = TokenService::new(accounts);
                service = match flavour {
                    Flavour::DockerHub => service.service("registry.docker.io"),
                    Flavour::ArtifactRegistry => service.path("/v2/token").service(""),
                    Flavour::Quay => service.path("/v2/auth"),
                    _ => service,
                };
                if let Some(time) = self.expires_in {
                    service = service.expires_in(time.0);
                }
                if let Some(name) = self.service {
                    service = service.service(name);
                }
                if let Some(realm) = self.realm {
                    service = service.realm(realm);
                }
                if let Some(path) = self.path {
                    service = service.path(path);
                }
                AuthPolicy::Token(service)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_that_are_read_and_refused() {
        let text = "
seed: 1
any-host: a.example
hosts:
  - name: a.example
    auth: { kind: token, users: { ci: { password: x, rights: ['*'] } }, anonymous: ['public/*:pull'], expires-in: 2m }
    images: ['team/web:v1 1x1KiB']
    deletes: false
    directory: ./content
    min-chunk: 1024
    max-blob: 512MiB
    max-unfinished: 1GiB
    upload-expiry: 10m
    flavour: docker-hub
    pull-limit: { anonymous: 1, named: 2, per: 1h }
    layouts: [{ repository: team/app, path: ./app }]
    archives: [./saved.tar]
faults:
  - action: { status: 503 }
";
        assert!(Builder::from_yaml(text).is_ok());
        let table = [
            ("hosts:\n  - nome: a\n", 2),
            ("hosts:\n  - name: a\n    auth: { kind: magic }\n", 3),
            ("seed: many\n", 1),
            ("hosts:\n  - name: a\n    flavour: dockerhub\n", 3),
            ("hosts:\n  - name: a\n    max-blob: 5 furlongs\n", 3),
            ("hosts:\n  - name: a\n    upload-expiry: soon\n", 3),
            ("hosts:\n  - name: a\n    pull-limit: { anonymous: 1 }\n", 3),
            ("faults:\n  - action:\n      quota: acr-huge\n", 3),
            (
                "azure:\n  name: a\n  registries: [{ name: b, resource-group: c, sku: huge }]\n",
                3,
            ),
            (
                "azure:\n  name: a\n  assign:\n    - { to: kubelet, role: AcrPull, at: root }\n",
                4,
            ),
            (
                "azure:\n  name: a\n  assign:\n    - { to: user/u, role: AcrPull, at: nowhere/x }\n",
                4,
            ),
            ("azure:\n  name: a\n  sku: basic\n", 3),
            ("faults:\n  - action: { status: 1 }\n", 2),
        ];
        for (text, line) in table {
            let error = Builder::from_yaml(text).unwrap_err();
            assert_eq!(error.line, line, "for {text:?}: {error}");
        }
    }
}
