//! A registry described in YAML: hosts with their accounts and images, a tenant of Azure, and the
//! fault script.
//!
//! ```yaml
//! hosts:
//!   - name: registry.example
//!     auth: { kind: token, users: { ci: { password: secret, rights: ["*"] } }, anonymous: ["public/*:pull"] }
//!     images: ["team/web:v1 linux/amd64,linux/arm64 2x1MiB"]
//!     directory: ./content            # in memory without it
//!     layouts: [{ repository: team/app, path: ./app }]   # OCI image layouts
//!     archives: [./saved.tar]         # of `docker save`
//! azure:
//!   name: contoso
//!   clusters: [{ name: aks1, resource-group: apps, nodes: [node-1] }]
//!   registries: [{ name: contoso1, resource-group: registries, images: ["team/web:v1 1x1MiB"] }]
//!   assign: [{ to: kubelet/aks1, role: AcrPull, at: registry/contoso1 }]
//! faults:
//!   - match: { route: manifest, nth: 1 }
//!     action: { status: 503 }
//! ```

use std::path::PathBuf;

use indexmap::IndexMap;
use serde::Deserialize;

use crate::auth::{Accounts, AuthPolicy, TokenService};
use crate::azure::described::Described;
use crate::builder::Builder;
use crate::fault::{Rule, Script, ScriptError, Span};
use crate::host::HostSpec;
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
    min_chunk: u64,
    #[serde(default)]
    directory: Option<PathBuf>,
    #[serde(default)]
    layouts: Vec<LayoutAt>,
    #[serde(default)]
    archives: Vec<PathBuf>,
    #[serde(default)]
    tls: TlsMode,
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
                .min_chunk(host.min_chunk)
                .tls(host.tls);
            if let Some(path) = host.directory {
                spec = spec.directory(path);
            }
            if let Some(blobs) = host.blobs_at {
                spec = spec.blobs_at(blobs);
            }
            if let Some(auth) = host.auth {
                spec = spec.auth(auth.policy());
            }
            builder = builder.host(spec);
        }
        Ok(builder)
    }
}

impl Auth {
    fn policy(self) -> AuthPolicy {
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
