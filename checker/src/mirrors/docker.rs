//! dockerd's `daemon.json`: mirrors of Docker Hub, and registries that it calls insecure.
//!
//! `registry-mirrors` are asked for images of Docker Hub alone, by the same path and without a word of which registry
//! is meant. What `insecure-registries` names, and loopback, is tried with TLS unverified and then without TLS.

use serde_json::{Map, Value};

use super::toml::{ConfigError, MAX_FILE};
use super::{MirrorHost, Route, Upstream, host_url};
use crate::reference::{Authority, Reference};
use crate::wire::{Excerpt, Url};

const MAX_ENTRIES: usize = 64;

/// One `daemon.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DaemonJson {
    mirrors: Vec<Url>,
    insecure: Vec<String>,
}

impl DaemonJson {
    /// Reads the text of a `daemon.json`.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let complain = |line, column, text: &str| ConfigError {
            line,
            column,
            text: Excerpt::new(text),
        };
        if text.len() > MAX_FILE {
            return Err(complain(0, 0, &format!("more than {MAX_FILE} bytes")));
        }
        let value: Value = serde_json::from_str(text)
            .map_err(|error| complain(error.line(), error.column(), "not JSON"))?;
        let Value::Object(root) = value else {
            return Err(complain(1, 1, "not an object"));
        };
        let list = |name| texts(&root, name).map_err(|text| complain(0, 0, &text));
        let mut mirrors = Vec::new();
        for one in list("registry-mirrors")? {
            let url = host_url(&one).filter(|url| url.target().find('?').is_none());
            let url = url.ok_or_else(|| complain(0, 0, "a mirror is not the URL of a host"))?;
            mirrors.push(url);
        }
        Ok(Self {
            mirrors,
            insecure: list("insecure-registries")?,
        })
    }

    /// The hosts for an image; `None` if nothing is said about it.
    pub(super) fn route(&self, reference: &Reference) -> Option<Route> {
        let registry = reference.registry();
        let hub = registry.host().name() == Some("docker.io");
        let insecure = self.is_insecure(registry);
        let mirrors: &[Url] = if hub { &self.mirrors } else { &[] };
        if mirrors.is_empty() && !insecure {
            return None;
        }
        let mirrors = mirrors.iter().map(|url| {
            let path = url.path().trim_end_matches('/');
            let insecure = self.is_insecure(url.authority());
            MirrorHost {
                base: url.with_target(&format!("{path}/v2")),
                renamed: None,
                namespace: None,
                resolve: true,
                pull: true,
                verify: !insecure,
                plain_fallback: insecure,
                trust: Vec::new(),
                trusted_from: Vec::new(),
                client: None,
                headers: Vec::new(),
            }
        });
        Some(Route {
            mirrors: mirrors.collect(),
            registry: Some(Upstream {
                verify: !insecure,
                plain_fallback: insecure,
                ..Upstream::default()
            }),
            blocked: false,
        })
    }

    /// By name with port, or by a network that holds its address.
    fn is_insecure(&self, registry: &Authority) -> bool {
        let name = registry.to_string();
        self.insecure.iter().any(|one| {
            one == &name
                || registry
                    .host()
                    .address()
                    .is_some_and(|address| crate::world::is_within(address, one))
        })
    }
}

fn texts(root: &Map<String, Value>, name: &str) -> Result<Vec<String>, String> {
    match root.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() <= MAX_ENTRIES => list
            .iter()
            .map(|value| value.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(|| format!("`{name}` holds something else than texts")),
        Some(_) => Err(format!(
            "`{name}` is not a list of at most {MAX_ENTRIES} texts"
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn mirrors_are_for_docker_hub_alone() {
        let text = r#"{"registry-mirrors":["https://m.example/hub/"],"insecure-registries":["r.example:5000","10.0.0.0/8"]}"#;
        let daemon = DaemonJson::parse(text).unwrap();
        let route = |image: &str| daemon.route(&image.parse().unwrap());
        let hub = route("alpine").unwrap();
        assert_eq!(hub.mirrors[0].base.to_string(), "https://m.example/hub/v2");
        assert_eq!(
            (hub.mirrors[0].namespace.as_ref(), hub.mirrors[0].verify),
            (None, true)
        );
        let own = route("r.example:5000/a").unwrap();
        assert_eq!(own.mirrors.len(), 0);
        assert!(own.registry.unwrap().plain_fallback);
        assert!(route("10.1.2.3:5000/a").is_some());
        assert!(route("r.example/a").is_none() && route("11.1.2.3/a").is_none());
    }

    #[test]
    fn complaints() {
        let table = [
            ("{", "line 1, column 1: not JSON"),
            ("[]", "line 1, column 1: not an object"),
            (
                r#"{"registry-mirrors":"x"}"#,
                "line 0, column 0: `registry-mirrors` is not a list of at most 64 texts",
            ),
            (
                r#"{"registry-mirrors":["ftp://x"]}"#,
                "line 0, column 0: a mirror is not the URL of a host",
            ),
        ];
        for (text, want) in table {
            assert_eq!(DaemonJson::parse(text).unwrap_err().to_string(), want);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = DaemonJson::parse(&text);
        }
    }
}
