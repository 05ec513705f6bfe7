//! Mirrors: which hosts a runtime asks for an image before the registry, and how.
//!
//! The text of containerd's `hosts.toml` or of CRI-O's `registries.conf` comes in, a [`Route`] for one image goes
//! out: its hosts in the order in which that runtime asks them. Files are hostile: they are bounded, and what is
//! wrong with one is told with line and column. Nothing here dials; [`crate::probe`] does.

mod certs;
mod containerd;
mod crio;
mod docker;
mod read;
mod toml;

use std::collections::BTreeMap;

use rustls_pki_types::CertificateDer;

use crate::keyring::Secret;
use crate::reference::{Authority, Host, Reference};
use crate::wire::{Url, UrlScheme};
use crate::world::ClientCertificate;

pub use certs::HostCertificates;
pub use containerd::HostsFile;
pub use crio::RegistriesConf;
pub use docker::DaemonJson;
pub use read::{
    MirrorFileError, certs_folder, config_path, daemon_json, hosts_folder, hosts_folders,
    registries_conf,
};
pub use toml::ConfigError;

/// All mirrors that a runtime is configured with.
#[derive(Clone, Debug, Default)]
pub struct Mirrors {
    /// containerd: the `hosts.toml` of each folder below `certs.d`, by the folder's name.
    folders: BTreeMap<String, HostsFile>,
    /// CRI-O and podman.
    registries: Option<RegistriesConf>,
    /// dockerd.
    daemon: Option<DaemonJson>,
    /// docker's and CRI-O's `certs.d`, by the folder's name.
    certificates: BTreeMap<String, HostCertificates>,
}

impl Mirrors {
    /// Adds the `hosts.toml` of one folder of `certs.d`.
    #[must_use]
    pub fn with_folder(mut self, name: &str, file: HostsFile) -> Self {
        self.folders.insert(name.to_owned(), file);
        self
    }

    /// Sets `registries.conf`.
    #[must_use]
    pub fn with_registries(mut self, registries: RegistriesConf) -> Self {
        self.registries = Some(registries);
        self
    }

    /// Sets dockerd's `daemon.json`.
    #[must_use]
    pub fn with_daemon(mut self, daemon: DaemonJson) -> Self {
        self.daemon = Some(daemon);
        self
    }

    /// Adds what one folder of docker's or CRI-O's `certs.d` holds for the host that it is named after.
    #[must_use]
    pub fn with_certificates(mut self, name: &str, certificates: HostCertificates) -> Self {
        self.certificates.insert(name.to_owned(), certificates);
        self
    }

    /// The hosts for an image; `None` if nothing is said about it, so that the registry is asked as always.
    pub fn route(&self, reference: &Reference) -> Option<Route> {
        let route = self.hosts(reference);
        if self.certificates.is_empty() {
            return route;
        }
        let registry = self.certificates.get(&reference.endpoint().to_string());
        let mut route = match (route, registry) {
            (None, None) => return None,
            (Some(route), _) => route,
            (None, Some(_)) => Route {
                registry: Some(Upstream::default()),
                ..Route::default()
            },
        };
        if let (Some(found), Some(upstream)) = (registry, &mut route.registry) {
            upstream.trust.extend(found.authorities.iter().cloned());
            upstream.trusted_from.extend(found.files.iter().cloned());
            upstream.client = upstream.client.take().or_else(|| found.client.clone());
        }
        for mirror in &mut route.mirrors {
            if let Some(found) = self.certificates.get(&mirror.base.authority().to_string()) {
                mirror.trust.extend(found.authorities.iter().cloned());
                mirror.trusted_from.extend(found.files.iter().cloned());
                mirror.client = mirror.client.take().or_else(|| found.client.clone());
            }
        }
        Some(route)
    }

    fn hosts(&self, reference: &Reference) -> Option<Route> {
        if let Some(registries) = &self.registries {
            return registries.route(reference);
        }
        if let Some(daemon) = &self.daemon {
            return daemon.route(reference);
        }
        containerd::folder_names(reference.registry())
            .iter()
            .find_map(|name| self.folders.get(name))
            .map(|file| file.route(reference))
    }
}

/// The hosts that a runtime asks for one image, in its order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Route {
    /// The hosts before the registry.
    pub mirrors: Vec<MirrorHost>,
    /// How the registry itself is spoken to; `None` if it is not asked at all.
    pub registry: Option<Upstream>,
    /// True if the configuration forbids the registry.
    pub blocked: bool,
}

/// How the registry itself is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// True for plain HTTP.
    pub plain_http: bool,
    /// False if its certificate is not verified.
    pub verify: bool,
    /// True for CRI-O's `insecure`: where TLS fails, plain HTTP is tried.
    pub plain_fallback: bool,
    /// Authorities that are trusted besides the place's (DER).
    pub trust: Vec<CertificateDer<'static>>,
    /// The files they were read from.
    pub trusted_from: Vec<Box<str>>,
    /// The certificate that is shown to it.
    pub client: Option<ClientCertificate>,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            plain_http: false,
            verify: true,
            plain_fallback: false,
            trust: Vec::new(),
            trusted_from: Vec::new(),
            client: None,
        }
    }
}

/// One mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorHost {
    /// Scheme, host, and the path that stands in the place of `/v2`.
    pub base: Url,
    /// The image as it is asked for there, if not by the same repository.
    pub renamed: Option<Reference>,
    /// The registry's name that is sent as `ns=`, as containerd does where the host is another.
    pub namespace: Option<Box<str>>,
    /// Whether a tag may be resolved there.
    pub resolve: bool,
    /// Whether content may be had there.
    pub pull: bool,
    /// False if its certificate is not verified.
    pub verify: bool,
    /// True for CRI-O's `insecure`: where TLS fails, plain HTTP is tried.
    pub plain_fallback: bool,
    /// Authorities that are trusted besides the place's (DER).
    pub trust: Vec<CertificateDer<'static>>,
    /// The files they were read from.
    pub trusted_from: Vec<Box<str>>,
    /// The certificate that is shown to it.
    pub client: Option<ClientCertificate>,
    /// Headers that the runtime sends to this host alone; credentials of its own are among them.
    pub headers: Vec<(Box<str>, Secret)>,
}

impl MirrorHost {
    /// Whether the runtime asks it for this image: a digest needs content, a tag an answer to its name.
    pub fn serves(&self, reference: &Reference) -> bool {
        if reference.digest().is_some() {
            self.pull
        } else {
            self.resolve
        }
    }
}

/// `host[:port]`, with the scheme and path that may stand around it.
fn host_url(text: &str) -> Option<Url> {
    if text.starts_with("http://") || text.starts_with("https://") {
        return Url::parse(text);
    }
    if text.contains("://") {
        return None;
    }
    Url::parse(&format!("https://{text}"))
}

/// True if a host of a file is the registry itself.
fn is_registry(authority: &Authority, registry: &Authority) -> bool {
    let same = |a: &Host, b: &Host| a.same_as(b);
    let hub = registry.host().name() == Some("docker.io")
        && authority.host().name() == Some("registry-1.docker.io");
    hub || (same(authority.host(), registry.host())
        && authority.port_or(UrlScheme::Https.port()) == registry.port_or(UrlScheme::Https.port()))
}
