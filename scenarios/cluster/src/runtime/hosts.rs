//! Where the images of a registry come from: what `hosts.toml` says for one name.

use super::url::{Scheme, Url};

/// `hosts.toml` of one registry: mirrors in order, then the server itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryHost {
    /// Replaces the registry's own address, e.g. `http://registry.example:5000`; the registry itself
    /// (over TLS) when absent.
    pub server: Option<String>,
    /// Tried first, in this order.
    pub mirrors: Vec<Mirror>,
}

/// One `[host."…"]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Scheme, host and port, and a path if the mirror lives below one.
    pub url: String,
    /// Capability `resolve`: may be asked for tags.
    pub resolve: bool,
    /// Capability `pull`: may be asked for content.
    pub pull: bool,
    /// The path is the whole path: no `/v2` is appended.
    pub override_path: bool,
}

impl RegistryHost {
    /// The registry speaks plain HTTP at its own address.
    pub fn plain_http(registry: &str) -> Self {
        Self {
            server: Some(format!("http://{registry}")),
            mirrors: Vec::new(),
        }
    }

    /// Adds a mirror that may do both.
    #[must_use]
    pub fn with_mirror(mut self, url: &str) -> Self {
        self.mirrors.push(Mirror {
            url: url.to_owned(),
            resolve: true,
            pull: true,
            override_path: false,
        });
        self
    }
}

/// A place that requests for one registry go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) scheme: Scheme,
    pub(crate) authority: String,
    /// `/v2`, or the mirror's path with it.
    base: String,
    pub(crate) resolve: bool,
    pub(crate) pull: bool,
    /// Requests carry `ns=` because this is not the registry itself.
    namespace: Option<String>,
}

impl Place {
    /// The path before `/v2` that a mirror lives below; empty for most.
    pub(crate) fn prefix(&self) -> &str {
        self.base.strip_suffix("/v2").unwrap_or(&self.base)
    }

    /// Whether this is the registry itself and no mirror of it.
    pub(crate) fn is_own(&self) -> bool {
        self.namespace.is_none()
    }

    /// `/v2/<repository>/<kind>/<reference>` here.
    pub(crate) fn url(&self, repository: &str, what: &str) -> Url {
        let url = Url::new(
            self.scheme,
            &self.authority,
            &format!("{}/{repository}/{what}", self.base),
        );
        match &self.namespace {
            Some(registry) => url.with_query(&[("ns".to_owned(), registry.clone())]),
            None => url,
        }
    }
}

/// The places for a registry, in the order containerd tries them. An address that makes no sense is
/// skipped, as containerd skips a host it cannot parse.
pub(crate) fn places(registry: &str, config: Option<&RegistryHost>) -> Vec<Place> {
    let own = if registry == "docker.io" {
        "registry-1.docker.io"
    } else {
        registry
    };
    let make = |scheme, authority: &str, base: String, resolve, pull| Place {
        scheme,
        authority: authority.to_owned(),
        base,
        resolve,
        pull,
        namespace: (authority != own).then(|| registry.to_owned()),
    };
    let mut all = Vec::new();
    for mirror in config.map(|c| c.mirrors.as_slice()).unwrap_or_default() {
        let Some(url) = parse(&mirror.url) else {
            continue;
        };
        let path = url.path.trim_end_matches('/');
        let base = if mirror.override_path {
            path.to_owned()
        } else {
            format!("{path}/v2")
        };
        all.push(make(
            url.scheme,
            &url.authority,
            base,
            mirror.resolve,
            mirror.pull,
        ));
    }
    match config.and_then(|c| c.server.as_deref()) {
        None => all.push(make(Scheme::Https, own, "/v2".to_owned(), true, true)),
        Some(server) => {
            if let Some(url) = parse(server) {
                let base = format!("{}/v2", url.path.trim_end_matches('/'));
                all.push(make(url.scheme, &url.authority, base, true, true));
            }
        }
    }
    all
}

fn parse(text: &str) -> Option<Url> {
    if text.contains("://") {
        Url::parse(text)
    } else {
        Url::parse(&format!("https://{text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_their_urls() {
        let config =
            RegistryHost::plain_http("r.example:5000").with_mirror("http://m.example/prefix");
        let table = [
            (
                "r.example",
                None,
                vec!["https://r.example/v2/a/b/manifests/1"],
            ),
            (
                "docker.io",
                None,
                vec!["https://registry-1.docker.io/v2/a/b/manifests/1"],
            ),
            (
                "r.example:5000",
                Some(&config),
                vec![
                    "http://m.example/prefix/v2/a/b/manifests/1?ns=r.example%3A5000",
                    "http://r.example:5000/v2/a/b/manifests/1",
                ],
            ),
        ];
        for (registry, config, want) in table {
            let got: Vec<_> = places(registry, config)
                .iter()
                .map(|p| p.url("a/b", "manifests/1").to_string())
                .collect();
            assert_eq!(got, want, "for {registry}");
        }
    }
}
