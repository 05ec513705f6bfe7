//! containerd's `certs.d`: one folder a registry, `hosts.toml` in it (`core/remotes/docker/config/hosts.go`).
//!
//! The tables of `[host]` are asked in the order in which they are written, `server` comes last; without it the
//! registry itself does. Certificates that are named are read by whoever has the files.

use rustls_pki_types::CertificateDer;
use toml_edit::TableLike;

use super::toml::{ConfigError, Toml};
use super::{MirrorHost, Route, Upstream, host_url, is_registry};
use crate::keyring::Secret;
use crate::reference::{Authority, Reference};
use crate::wire::{Url, UrlScheme};
use crate::world::ClientCertificate;

/// No file lists more hosts.
const MAX_HOSTS: usize = 64;

/// One `hosts.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostsFile {
    hosts: Vec<Entry>,
    server: Option<Entry>,
    /// What the root says of the registry itself where no server is named.
    root: Settings,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    base: Url,
    settings: Settings,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Settings {
    resolve: bool,
    pull: bool,
    skip_verify: bool,
    override_path: bool,
    ca: Vec<String>,
    /// Certificate and key; without a key both stand in the first.
    clients: Vec<(String, Option<String>)>,
    headers: Vec<(Box<str>, Secret)>,
    trust: Vec<CertificateDer<'static>>,
    trusted_from: Vec<Box<str>>,
    client: Option<ClientCertificate>,
}

impl HostsFile {
    /// Reads the text of a `hosts.toml`.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let toml = Toml::parse(text)?;
        let root = toml.root();
        let mut file = Self {
            root: settings(&toml, root)?,
            ..Self::default()
        };
        if let Some(server) = toml.text(root, "server")?.filter(|text| !text.is_empty()) {
            let base = base(server, file.root.override_path).ok_or_else(|| {
                toml.wrong_key(root, "server", "`server` is not the URL of a host")
            })?;
            let settings = file.root.clone();
            file.server = Some(Entry { base, settings });
        }
        let Some(item) = root.get("host") else {
            return Ok(file);
        };
        let hosts = item
            .as_table_like()
            .ok_or_else(|| toml.wrong(item, "`host` is not a table"))?;
        for (name, item) in hosts.iter() {
            let table = item
                .as_table_like()
                .ok_or_else(|| toml.wrong(item, "a host is not a table"))?;
            if file.hosts.len() == MAX_HOSTS {
                return Err(toml.wrong(item, &format!("more than {MAX_HOSTS} hosts")));
            }
            let settings = settings(&toml, table)?;
            let base = base(name, settings.override_path)
                .ok_or_else(|| toml.wrong_key(hosts, name, "the name is not the URL of a host"))?;
            file.hosts.push(Entry { base, settings });
        }
        Ok(file)
    }

    /// The files of authorities that are named (`ca`), each once.
    pub fn authority_files(&self) -> Vec<&str> {
        let mut files: Vec<&str> = Vec::new();
        let settings = self.hosts.iter().map(|entry| &entry.settings);
        for file in settings.chain([&self.root]).flat_map(|one| &one.ca) {
            if !files.contains(&file.as_str()) {
                files.push(file);
            }
        }
        files
    }

    /// The files of client certificates that are named (`client`), each with that of its key.
    pub fn client_files(&self) -> Vec<(&str, Option<&str>)> {
        let mut files: Vec<(&str, Option<&str>)> = Vec::new();
        let settings = self.hosts.iter().map(|entry| &entry.settings);
        for (certificate, key) in settings.chain([&self.root]).flat_map(|one| &one.clients) {
            let pair = (certificate.as_str(), key.as_deref());
            if !files.contains(&pair) {
                files.push(pair);
            }
        }
        files
    }

    /// Hands in a client certificate that is named. Of several, the runtime shows the first that fits; so does this.
    #[must_use]
    pub fn with_client(mut self, file: &str, found: &ClientCertificate) -> Self {
        let server = self.server.as_mut().map(|entry| &mut entry.settings);
        let hosts = self.hosts.iter_mut().map(|entry| &mut entry.settings);
        for settings in hosts.chain(server).chain([&mut self.root]) {
            if settings.client.is_none() && settings.clients.iter().any(|(name, _)| name == file) {
                settings.client = Some(found.clone());
            }
        }
        self
    }

    /// Hands in the certificates of a file that is named.
    #[must_use]
    pub fn with_authorities(mut self, file: &str, found: &[CertificateDer<'static>]) -> Self {
        let server = self.server.as_mut().map(|entry| &mut entry.settings);
        let hosts = self.hosts.iter_mut().map(|entry| &mut entry.settings);
        for settings in hosts.chain(server).chain([&mut self.root]) {
            if settings.ca.iter().any(|name| name == file) {
                settings.trust.extend(found.iter().cloned());
                settings.trusted_from.push(file.into());
            }
        }
        self
    }

    /// The hosts for an image, in containerd's order.
    pub(super) fn route(&self, reference: &Reference) -> Route {
        let registry = reference.registry();
        let mut route = Route::default();
        for entry in self.hosts.iter().chain(&self.server) {
            let authority = entry.base.authority();
            let settings = &entry.settings;
            let other = !is_registry(authority, registry);
            route.mirrors.push(MirrorHost {
                base: entry.base.clone(),
                renamed: None,
                namespace: other.then(|| registry.to_string().into()),
                resolve: settings.resolve,
                pull: settings.pull,
                verify: !settings.skip_verify,
                plain_fallback: false,
                trust: settings.trust.clone(),
                trusted_from: settings.trusted_from.clone(),
                client: settings.client.clone(),
                headers: settings.headers.clone(),
            });
        }
        match &self.server {
            None => {
                route.registry = Some(Upstream {
                    plain_http: false,
                    verify: !self.root.skip_verify,
                    plain_fallback: false,
                    trust: self.root.trust.clone(),
                    trusted_from: self.root.trusted_from.clone(),
                    client: self.root.client.clone(),
                });
            }
            // The registry is asked as itself, with credentials, where the last host is nobody else.
            Some(entry)
                if is_registry(entry.base.authority(), registry)
                    && entry.base.target() == "/v2" =>
            {
                route.mirrors.pop();
                route.registry = Some(Upstream {
                    plain_http: entry.base.scheme() == UrlScheme::Http,
                    verify: !entry.settings.skip_verify,
                    plain_fallback: false,
                    trust: entry.settings.trust.clone(),
                    trusted_from: entry.settings.trusted_from.clone(),
                    client: entry.settings.client.clone(),
                });
            }
            Some(_) => {}
        }
        route
    }
}

/// The folders that are looked for, in order.
pub(super) fn folder_names(registry: &Authority) -> Vec<String> {
    let mut names = Vec::new();
    if let Some(port) = registry.port() {
        names.push(format!("{}_{port}_", registry.host()));
    }
    names.push(registry.to_string());
    names.push("_default".to_owned());
    names
}

fn settings(toml: &Toml<'_>, table: &dyn TableLike) -> Result<Settings, ConfigError> {
    let mut settings = Settings {
        skip_verify: toml.flag(table, "skip_verify")?,
        override_path: toml.flag(table, "override_path")?,
        clients: clients(toml, table)?,
        headers: headers(toml, table)?,
        ..Settings::default()
    };
    let named = toml.texts(table, "ca")?.unwrap_or_default();
    settings.ca = named.into_iter().map(str::to_owned).collect();
    match toml.texts(table, "capabilities")? {
        None => (settings.resolve, settings.pull) = (true, true),
        Some(list) if list.is_empty() => (settings.resolve, settings.pull) = (true, true),
        Some(list) => {
            for capability in list {
                match capability {
                    "resolve" => settings.resolve = true,
                    "pull" => settings.pull = true,
                    "push" => {}
                    other => {
                        let text = format!("`{other}` is no capability");
                        return Err(toml.wrong_key(table, "capabilities", &text));
                    }
                }
            }
        }
    }
    Ok(settings)
}

/// `client`: a file, a list of files, or a list of pairs of certificate and key.
fn clients(
    toml: &Toml<'_>,
    table: &dyn TableLike,
) -> Result<Vec<(String, Option<String>)>, ConfigError> {
    let Some(item) = table.get("client") else {
        return Ok(Vec::new());
    };
    if let Some(text) = item.as_str() {
        return Ok(vec![(text.to_owned(), None)]);
    }
    let text = "`client` is neither a file, a list of files nor a list of pairs";
    let wrong = || toml.wrong(item, text);
    let mut found = Vec::new();
    for value in item.as_array().ok_or_else(wrong)?.iter().take(MAX_HOSTS) {
        if let Some(file) = value.as_str() {
            found.push((file.to_owned(), None));
            continue;
        }
        let pair: Option<Vec<&str>> = value
            .as_array()
            .and_then(|pair| pair.iter().map(toml_edit::Value::as_str).collect());
        match pair.as_deref() {
            Some([file] | [file, ""]) => found.push(((*file).to_owned(), None)),
            Some([file, key]) => found.push(((*file).to_owned(), Some((*key).to_owned()))),
            _ => return Err(wrong()),
        }
    }
    Ok(found)
}

/// `header`: names with a value or several. They may be credentials, so no complaint repeats one.
fn headers(toml: &Toml<'_>, table: &dyn TableLike) -> Result<Vec<(Box<str>, Secret)>, ConfigError> {
    let Some(item) = table.get("header") else {
        return Ok(Vec::new());
    };
    let wrong = || toml.wrong(item, "`header` is not a table");
    let list = item.as_table_like().ok_or_else(wrong)?;
    let mut found = Vec::new();
    for (name, _) in list.iter().take(MAX_HOSTS) {
        if name.parse::<http::HeaderName>().is_err() {
            return Err(toml.wrong_key(list, name, "not the name of a header"));
        }
        for value in toml.texts(list, name)?.unwrap_or_default() {
            if http::HeaderValue::from_str(value).is_err() {
                return Err(toml.wrong_key(list, name, "a value that no header can have"));
            }
            found.push((name.into(), Secret::new(value)));
        }
    }
    Ok(found)
}

/// The URL of a host with the path that containerd puts before repositories.
fn base(text: &str, override_path: bool) -> Option<Url> {
    let url = host_url(text)?;
    let path = url.path().trim_end_matches('/');
    let path = if override_path || path.ends_with("/v2") {
        path.to_owned()
    } else {
        format!("{path}/v2")
    };
    Some(url.with_target(&path))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn route(text: &str, image: &str) -> Route {
        HostsFile::parse(text)
            .unwrap()
            .route(&image.parse().unwrap())
    }

    #[test]
    fn hosts_keep_their_order_and_the_registry_comes_last() {
        let text = r#"
server = "https://registry-1.docker.io"
[host."https://b.example/proxy/hub"]
  capabilities = ["pull", "resolve"]
[host."http://a.example:5000"]
  capabilities = ["pull"]
  skip_verify = true
[host."c.example/path"]
  override_path = true
"#;
        let route = route(text, "alpine:3");
        let got: Vec<(String, bool, bool, bool)> = route
            .mirrors
            .iter()
            .map(|one| (one.base.to_string(), one.resolve, one.pull, one.verify))
            .collect();
        assert_eq!(
            got,
            [
                (
                    "https://b.example/proxy/hub/v2".to_owned(),
                    true,
                    true,
                    true
                ),
                ("http://a.example:5000/v2".to_owned(), false, true, false),
                ("https://c.example/path".to_owned(), true, true, true),
            ]
        );
        assert_eq!(route.mirrors[0].namespace.as_deref(), Some("docker.io"));
        assert_eq!(route.registry, Some(Upstream::default()));
    }

    #[test]
    fn another_server_takes_the_registrys_place() {
        let route = route("server = \"https://other.example\"", "r.example/a:1");
        assert_eq!(route.registry, None);
        assert_eq!(route.mirrors.len(), 1);
        let alone = super::tests::route("", "r.example/a:1");
        assert_eq!(
            (alone.mirrors.len(), alone.registry),
            (0, Some(Upstream::default()))
        );
        let plain = super::tests::route("server = \"http://r.example:5000\"", "r.example:5000/a:1");
        assert!(plain.registry.unwrap().plain_http);
    }

    #[test]
    fn complaints_name_their_place() {
        let table = [
            ("server = 5", "line 1, column 10: `server` is not a text"),
            (
                "\nserver = \"ftp://x\"",
                "line 2, column 1: `server` is not the URL of a host",
            ),
            (
                "[host.\"https://a\"]\n  capabilities = [\"pull\", \"fly\"]",
                "line 2, column 3: `fly` is no capability",
            ),
            (
                "[host]\n\"h t\" = {}",
                "line 2, column 1: the name is not the URL of a host",
            ),
            ("host = 1", "line 1, column 8: `host` is not a table"),
            (
                "[host.\"https://a\"]\nclient = [[1]]",
                "line 2, column 10: `client` is neither a file, a list of files nor a list of pairs",
            ),
            (
                "[host.\"https://a\".header]\n\"a b\" = \"x\"",
                "line 2, column 1: not the name of a header",
            ),
            (
                "[host.\"https://a\"]\nca = 4",
                "line 2, column 6: `ca` is neither a text nor a list of texts",
            ),
        ];
        for (text, want) in table {
            let error = HostsFile::parse(text).unwrap_err();
            assert_eq!(error.to_string(), want, "for {text:?}");
        }
        assert_eq!(HostsFile::parse("a = 1\nb = =").unwrap_err().line, 2);
        let deep = format!("a = {}", "[".repeat(100_000));
        assert!(HostsFile::parse(&deep).is_err());
    }

    #[test]
    fn what_a_host_is_given_of_its_own() {
        let text = r#"
client = [["client.cert", "client.key"], ["both.pem", ""]]
[host."https://a.example"]
  client = "one.pem"
  [host."https://a.example".header]
    authorization = "Basic aHVudGVyMg=="
    x-two = ["1", "2"]
"#;
        let file = HostsFile::parse(text).unwrap();
        assert_eq!(
            file.client_files(),
            [
                ("one.pem", None),
                ("client.cert", Some("client.key")),
                ("both.pem", None)
            ]
        );
        let route = file.route(&"r.example/a:1".parse().unwrap());
        let names: Vec<&str> = route.mirrors[0]
            .headers
            .iter()
            .map(|(name, _)| &**name)
            .collect();
        assert_eq!(names, ["authorization", "x-two", "x-two"]);
        assert!(!format!("{file:?} {route:?}").contains("aHVudGVyMg"));
    }

    #[test]
    fn folders_as_containerd_looks_for_them() {
        let names = |text: &str| folder_names(&Authority::parse(text).unwrap());
        assert_eq!(names("r.example"), ["r.example", "_default"]);
        assert_eq!(
            names("r.example:5000"),
            ["r.example_5000_", "r.example:5000", "_default"]
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = HostsFile::parse(&text);
        }

        #[test]
        fn nothing_like_a_file_panics(text in r#"(server|host|ca|\[|\]|"https://a"|=|\.|\n| |true|\{|\}|,){0,30}"#) {
            if let Ok(file) = HostsFile::parse(&text) {
                let _ = file.route(&"r.example/a:1".parse().unwrap());
            }
        }
    }
}
