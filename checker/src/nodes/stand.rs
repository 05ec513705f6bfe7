//! Where the program stands on a node: the node's network, and what its runtime is configured with, read from the
//! node's `/etc`, which the container has below [`HOST`].
//!
//! Nothing is required to be there. What is there and cannot be read is a note, not an error: the probe then asks
//! without it, and the report says so. Paths inside of these files are meant from the node's root.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::CertificateDer;

use super::order::{Order, SECRETS, is_name};
use super::units;
use crate::evidence::Platform;
use crate::keyring::read::credential_providers;
use crate::keyring::{Providers, Secret};
use crate::mirrors::{Mirrors, config_path, hosts_folders, registries_conf};
use crate::probe::Habits;
use crate::world::real::{SystemNet, read_ca_file};
use crate::world::{Place, Proxies, Trust, Vantage};

/// Where the node's root is in the container, as far as it is there.
pub const HOST: &str = "/host";

/// Bundles of authorities, in the order in which Go's programs look for one (`crypto/x509/root_linux.go`).
const BUNDLES: [&str; 6] = [
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/ca-bundle.pem",
    "etc/pki/tls/cacert.pem",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "etc/ssl/cert.pem",
];
/// Folders whose files are read besides.
const FOLDERS: [&str; 2] = ["etc/ssl/certs", "etc/pki/tls/certs"];
/// Files that are read of one folder.
const MAX_FILES: usize = 1000;
/// No pull secret is larger.
const MAX_SECRET: u64 = 1024 * 1024;

/// Where the program stands.
#[derive(Debug)]
pub struct Standing {
    /// The node's network, authorities and proxies.
    pub place: Place,
    /// The mirrors that its runtime asks.
    pub mirrors: Mirrors,
    /// The runtime that it has.
    pub habits: Habits,
    /// Its platform.
    pub platform: Platform,
    /// Pull secrets that were put into the container: type and content by name.
    pub secrets: BTreeMap<String, (&'static str, Secret)>,
    /// The kubelet's credential providers.
    pub providers: Option<Providers>,
    /// What could not be read.
    pub notes: Vec<String>,
}

impl Standing {
    /// A place without files.
    pub fn new(place: Place) -> Self {
        Self {
            place,
            mirrors: Mirrors::default(),
            habits: Habits::Containerd,
            platform: Platform::linux("amd64"),
            secrets: BTreeMap::new(),
            providers: None,
            notes: Vec::new(),
        }
    }

    /// This very machine as a node called `name`, with the files below `host` and what `order` names.
    pub fn of_node(name: &str, host: &Path, order: &Order) -> Self {
        let (trust, from, note) = trust(host);
        let mut place = Place::new(
            Vantage::node(name),
            Arc::new(SystemNet::new(None)),
            Trust::Roots(trust),
        );
        if let Some(from) = from {
            place = place.trusted_from(&from);
        }
        let mut standing = Self::new(place);
        standing.notes.extend(note);
        standing.runtime(host);
        standing.platform = Platform::linux(architecture());
        standing.read_secrets(Path::new(SECRETS), order);
        if let Some((config, programs)) = &order.providers {
            match credential_providers(Path::new(config), Path::new(programs)) {
                Ok(providers) => standing.providers = Some(providers),
                Err(error) => standing.notes.push(format!(
                    "the credential providers were not asked: {}",
                    chain(&error)
                )),
            }
        }
        standing
    }

    /// Mirrors, habits and proxies of the runtime.
    fn runtime(&mut self, host: &Path) {
        let etc = host.join("etc");
        let of_crio = etc.join("crio").is_dir() && !etc.join("containerd").is_dir();
        let service = if of_crio { "crio" } else { "containerd" };
        if of_crio {
            self.habits = Habits::CriO;
            let file = etc.join("containers/registries.conf");
            if file.is_file() {
                match registries_conf(&file) {
                    Ok(mirrors) => self.mirrors = mirrors,
                    Err(error) => self.lost("mirrors", &chain(&error)),
                }
            }
        } else {
            self.hosts_toml(host);
        }
        let variables = units::variables(host, service);
        self.place.proxies = Proxies::from_variables(|name| variables.get(name).cloned());
    }

    fn hosts_toml(&mut self, host: &Path) {
        let named = match config_path(&host.join("etc/containerd/config.toml")) {
            Ok(named) => named,
            Err(error) => {
                self.lost("configuration of containerd", &chain(&error));
                None
            }
        };
        let told = named.is_some();
        let named = named.unwrap_or_else(|| "/etc/containerd/certs.d".to_owned());
        let folders: Vec<PathBuf> = named
            .split(':')
            .map(|folder| host.join(folder.trim_start_matches('/')))
            .filter(|folder| folder.is_dir())
            .collect();
        if folders.is_empty() {
            return;
        }
        if !told {
            self.notes.push(
                "containerd's config.toml names no config_path: whether /etc/containerd/certs.d counts depends on \
                 its version; it was taken to"
                    .to_owned(),
            );
        }
        match hosts_folders(&folders, host) {
            Ok(mirrors) => self.mirrors = mirrors,
            Err(error) => self.lost("mirrors", &chain(&error)),
        }
    }

    fn lost(&mut self, what: &str, why: &str) {
        self.notes
            .push(format!("the node's {what} cannot be read: {why}"));
    }

    fn read_secrets(&mut self, folder: &Path, order: &Order) {
        for (_, name) in order.secrets.iter().filter(|(_, name)| is_name(name)) {
            let kinds = [
                (".dockerconfigjson", "kubernetes.io/dockerconfigjson"),
                (".dockercfg", "kubernetes.io/dockercfg"),
            ];
            let found = kinds.into_iter().find_map(|(file, kind)| {
                let text = bounded(&folder.join(name).join(file), MAX_SECRET)?;
                Some((kind, Secret::new(text)))
            });
            match found {
                Some(found) => {
                    self.secrets.insert(name.clone(), found);
                }
                None => self
                    .notes
                    .push(format!("the pull secret {name} is not there")),
            }
        }
    }
}

/// A file's text, if it is there, is text and not too large.
pub(super) fn bounded(path: &Path, most: u64) -> Option<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(most + 1).read_to_string(&mut text).ok()?;
    (text.len() as u64 <= most).then_some(text)
}

type Authorities = (Vec<CertificateDer<'static>>, Option<String>, Option<String>);

/// The authorities that the node's programs trust, the file that most of them are in, and what to say of it.
fn trust(host: &Path) -> Authorities {
    let mut found: Vec<CertificateDer<'static>> = Vec::new();
    let mut from = None;
    for bundle in BUNDLES {
        if let Ok(certificates) = read_ca_file(&host.join(bundle)) {
            found = certificates;
            from = Some(bundle);
            break;
        }
    }
    for folder in FOLDERS {
        let Ok(entries) = std::fs::read_dir(host.join(folder)) else {
            continue;
        };
        let mut files: Vec<PathBuf> = entries
            .take(MAX_FILES)
            .filter_map(|entry| {
                let entry = entry.ok()?;
                // Links lead out of what the container has; the bundle holds what they lead to.
                let whole = entry.file_type().ok()?.is_file();
                let end = entry.path().extension()?.to_str()?.to_owned();
                (whole && matches!(end.as_str(), "pem" | "crt" | "cer")).then(|| entry.path())
            })
            .collect();
        files.sort();
        for file in files {
            let known = from.is_some_and(|bundle| file == host.join(bundle));
            if !known && let Ok(certificates) = read_ca_file(&file) {
                found.extend(certificates);
            }
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|certificate| seen.insert(certificate.to_vec()));
    let note = found
        .is_empty()
        .then(|| "no authorities were found below the node's /etc".to_owned());
    (found, from.map(|bundle| format!("/{bundle}")), note)
}

/// An error with its sources.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

/// This machine's architecture in Go's words.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Reference;
    use crate::wire::Url;

    fn certificate(name: &str) -> String {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let made = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        made.self_signed(&key).unwrap().pem()
    }

    #[test]
    fn a_node_s_files_are_read_below_its_root() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let (one, two) = (certificate("a.example"), certificate("b.example"));
        write("etc/ssl/certs/ca-certificates.crt", &format!("{one}{two}"));
        write("etc/ssl/certs/added.pem", &certificate("c.example"));
        write("etc/ssl/certs/again.pem", &one);
        write(
            "etc/containerd/config.toml",
            "version = 3\n[plugins.\"io.containerd.cri.v1.images\".registry]\nconfig_path = \"/etc/none:/etc/own\"\n",
        );
        // An absolute path in the file is one of the node, not of the container.
        write(
            "etc/own/r.example/hosts.toml",
            "[host.\"https://m.example\"]\nca = \"/etc/own/ca.pem\"\n",
        );
        write("etc/own/ca.pem", &two);
        write("etc/containerd/certs.d/s.example/hosts.toml", "broken");
        write(
            "etc/systemd/system/containerd.service.d/proxy.conf",
            "[Service]\nEnvironment=\"HTTPS_PROXY=http://proxy.example:3128\" 'NO_PROXY=r.example'\n",
        );
        write("secrets/regcred/.dockerconfigjson", "{\"auths\":{}}");
        let order = Order {
            secrets: vec![
                ("ns".into(), "regcred".into()),
                ("ns".into(), "absent".into()),
            ],
            ..Order::default()
        };
        let mut standing = Standing::of_node("n", root.path(), &Order::default());
        standing.read_secrets(&root.path().join("secrets"), &order);
        let Trust::Roots(roots) = &standing.place.trust else {
            panic!("only what the node trusts");
        };
        assert_eq!(roots.len(), 3);
        let image: Reference = "r.example/a:1".parse().unwrap();
        let route = standing.mirrors.route(&image).unwrap();
        assert_eq!(route.mirrors.len(), 1);
        assert_eq!(route.mirrors[0].trust.len(), 1);
        let proxied = |url: &str| {
            standing
                .place
                .proxies
                .of(&Url::parse(url).unwrap())
                .is_some()
        };
        assert!(proxied("https://s.example/v2/") && !proxied("https://r.example/v2/"));
        assert_eq!(standing.secrets.len(), 1);
        assert_eq!(standing.notes, ["the pull secret absent is not there"]);
        assert_eq!(standing.place.vantage, Vantage::node("n"));
    }

    #[test]
    fn a_node_without_files_is_no_error() {
        let root = tempfile::tempdir().unwrap();
        let standing = Standing::of_node("n", root.path(), &Order::default());
        assert_eq!(
            standing.notes,
            ["no authorities were found below the node's /etc"]
        );
        assert!(matches!(&standing.place.trust, Trust::Roots(none) if none.is_empty()));
        assert!(standing.place.proxies.is_empty());
    }
}
