//! `registries.conf` of CRI-O and podman (containers-registries.conf(5), version 2).
//!
//! The table with the longest prefix that fits an image decides: its mirrors are asked in order, then its
//! location. A blocked registry is not asked at all. Mirrors may be for digests or for tags alone.

use toml_edit::{Item, TableLike};

use super::toml::{ConfigError, Toml};
use super::{MirrorHost, Route, Upstream, host_url};
use crate::reference::Reference;
use crate::wire::Url;

/// No file lists more.
const MAX_REGISTRIES: usize = 1024;
const MAX_MIRRORS: usize = 64;

/// One `registries.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistriesConf {
    search: Vec<Box<str>>,
    registries: Vec<Registry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Registry {
    prefix: Box<str>,
    location: Option<Box<str>>,
    blocked: bool,
    insecure: bool,
    by_digest_only: bool,
    mirrors: Vec<Mirror>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mirror {
    location: Box<str>,
    insecure: bool,
    digests: bool,
    tags: bool,
}

impl RegistriesConf {
    /// Reads the text of a `registries.conf`.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let toml = Toml::parse(text)?;
        let root = toml.root();
        if let Some(item) = root.get("registries") {
            let text = "version 1 of the format, which CRI-O no longer reads";
            return Err(toml.wrong(item, text));
        }
        let mut conf = Self::default();
        if let Some(list) = toml.texts(root, "unqualified-search-registries")? {
            conf.search = list.into_iter().take(MAX_MIRRORS).map(Into::into).collect();
        }
        for table in tables(&toml, root, "registry", MAX_REGISTRIES)? {
            let registry = registry(&toml, table)?;
            conf.registries.push(registry);
        }
        Ok(conf)
    }

    /// The registries that an image without a host is looked for in, in order.
    pub fn search(&self) -> impl Iterator<Item = &str> {
        self.search.iter().map(|name| &**name)
    }

    /// The hosts for an image; `None` if no table fits.
    pub(super) fn route(&self, reference: &Reference) -> Option<Route> {
        let name = format!("{}/{}", reference.registry(), reference.repository());
        let (registry, length) = self
            .registries
            .iter()
            .filter_map(|registry| Some((registry, fits(&registry.prefix, &name)?)))
            // Of two that are as long, the first.
            .rev()
            .max_by_key(|(_, length)| *length)?;
        if registry.blocked {
            return Some(Route {
                blocked: true,
                ..Route::default()
            });
        }
        let rest = name.get(length..).unwrap_or_default();
        let by_digest = reference.digest().is_some();
        let suffix = reference.digest().map_or_else(
            || format!(":{}", reference.target()),
            |digest| format!("@{digest}"),
        );
        let mut route = Route::default();
        for mirror in &registry.mirrors {
            let allowed = if by_digest {
                mirror.digests
            } else {
                mirror.tags && !registry.by_digest_only
            };
            if allowed {
                route.mirrors.extend(host(
                    &format!("{}{rest}", mirror.location),
                    &suffix,
                    mirror.insecure,
                ));
            }
        }
        match &registry.location {
            Some(location) if **location != *registry.prefix => {
                let moved = format!("{location}{rest}");
                route
                    .mirrors
                    .extend(host(&moved, &suffix, registry.insecure));
            }
            _ => {
                route.registry = Some(Upstream {
                    verify: !registry.insecure,
                    plain_fallback: registry.insecure,
                    ..Upstream::default()
                });
            }
        }
        Some(route)
    }
}

/// The host for a repository that is written with its registry.
fn host(name: &str, suffix: &str, insecure: bool) -> Option<MirrorHost> {
    let renamed = Reference::parse(&format!("{name}{suffix}")).ok()?;
    let base = Url::parse(&format!("https://{}/v2", renamed.endpoint()))?;
    Some(MirrorHost {
        base,
        renamed: Some(renamed),
        namespace: None,
        resolve: true,
        pull: true,
        verify: !insecure,
        plain_fallback: insecure,
        trust: Vec::new(),
        trusted_from: Vec::new(),
        client: None,
        headers: Vec::new(),
    })
}

fn registry(toml: &Toml<'_>, table: &dyn TableLike) -> Result<Registry, ConfigError> {
    let location = toml
        .text(table, "location")?
        .filter(|text| !text.is_empty());
    let prefix = toml.text(table, "prefix")?.filter(|text| !text.is_empty());
    if let Some(location) = location {
        check_location(toml, table, "location", location)?;
    }
    if let Some(prefix) = prefix {
        check_location(
            toml,
            table,
            "prefix",
            prefix.strip_prefix("*.").unwrap_or(prefix),
        )?;
    }
    let Some(written) = prefix.or(location) else {
        let text = "a registry has neither `prefix` nor `location`";
        let first = table.iter().next();
        return Err(match first {
            Some((key, _)) => toml.wrong_key(table, key, text),
            None => toml.wrong(&Item::None, text),
        });
    };
    let by_digest_only = toml.flag(table, "mirror-by-digest-only")?;
    let mut mirrors = Vec::new();
    for mirror in tables(toml, table, "mirror", MAX_MIRRORS)? {
        let Some(location) = toml
            .text(mirror, "location")?
            .filter(|text| !text.is_empty())
        else {
            return Err(toml.wrong_key(table, "mirror", "a mirror has no `location`"));
        };
        check_location(toml, mirror, "location", location)?;
        let (digests, tags) = match toml.text(mirror, "pull-from-mirror")? {
            None | Some("" | "all") => (true, true),
            Some("digest-only") => (true, false),
            Some("tag-only") => (false, true),
            Some(other) => {
                let text = format!("`{other}` is neither all, digest-only nor tag-only");
                return Err(toml.wrong_key(mirror, "pull-from-mirror", &text));
            }
        };
        mirrors.push(Mirror {
            location: location.trim_end_matches('/').into(),
            insecure: toml.flag(mirror, "insecure")?,
            digests,
            tags,
        });
    }
    Ok(Registry {
        prefix: written.trim_end_matches('/').into(),
        location: location.map(|text| text.trim_end_matches('/').into()),
        blocked: toml.flag(table, "blocked")?,
        insecure: toml.flag(table, "insecure")?,
        by_digest_only,
        mirrors,
    })
}

fn check_location(
    toml: &Toml<'_>,
    table: &dyn TableLike,
    key: &str,
    text: &str,
) -> Result<(), ConfigError> {
    let complain = |what: &str| Err(toml.wrong_key(table, key, what));
    if text.starts_with("http://") || text.starts_with("https://") {
        return complain("a location has no `http://` or `https://`");
    }
    if host_url(text).is_none() {
        return complain("it does not begin with a host");
    }
    Ok(())
}

fn tables<'t>(
    toml: &Toml<'_>,
    table: &'t dyn TableLike,
    key: &str,
    most: usize,
) -> Result<Vec<&'t dyn TableLike>, ConfigError> {
    let Some(item) = table.get(key) else {
        return Ok(Vec::new());
    };
    let wrong = || toml.wrong_key(table, key, &format!("`{key}` is not a list of tables"));
    let found: Vec<&dyn TableLike> = if let Some(list) = item.as_array_of_tables() {
        list.iter().map(|table| table as &dyn TableLike).collect()
    } else {
        let list = item.as_array().ok_or_else(wrong)?;
        let inline = list.iter().map(|value| {
            let table = value.as_inline_table()?;
            Some(table as &dyn TableLike)
        });
        inline.collect::<Option<_>>().ok_or_else(wrong)?
    };
    if found.len() > most {
        return Err(toml.wrong_key(table, key, &format!("more than {most} tables")));
    }
    Ok(found)
}

/// How much of a name a prefix covers, if it fits.
fn fits(prefix: &str, name: &str) -> Option<usize> {
    if let Some(suffix) = prefix.strip_prefix('*') {
        let host = name.split('/').next().unwrap_or_default();
        let bare = host.split(':').next().unwrap_or_default();
        return (bare.len() > suffix.len() && (bare.ends_with(suffix) || host.ends_with(suffix)))
            .then_some(host.len());
    }
    let rest = name.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with(['/', ':', '@'])).then_some(prefix.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = r#"
unqualified-search-registries = ["registry.fedoraproject.org", "docker.io"]
[[registry]]
prefix = "r.example/team"
location = "moved.example/inner"
[[registry.mirror]]
location = "m1.example:5000/copy"
insecure = true
[[registry.mirror]]
location = "m2.example"
pull-from-mirror = "digest-only"
[[registry]]
location = "r.example"
[[registry]]
prefix = "*.blocked.example"
blocked = true
"#;

    fn asked(image: &str) -> Option<(Vec<String>, bool, bool)> {
        let conf = RegistriesConf::parse(TEXT).unwrap();
        let route = conf.route(&image.parse().unwrap())?;
        let names = route
            .mirrors
            .iter()
            .map(|one| one.renamed.as_ref().unwrap().written().to_owned());
        Some((names.collect(), route.registry.is_some(), route.blocked))
    }

    #[test]
    fn the_longest_prefix_decides() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let list = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            asked("r.example/team/web:1"),
            Some((
                list(&["m1.example:5000/copy/web:1", "moved.example/inner/web:1"]),
                false,
                false
            ))
        );
        let by_digest = asked(&format!("r.example/team/web@{digest}")).unwrap();
        assert_eq!(by_digest.0.len(), 3);
        assert_eq!(by_digest.0[1], format!("m2.example/web@{digest}"));
        assert_eq!(asked("r.example/teams/web:1"), Some((vec![], true, false)));
        assert_eq!(asked("a.blocked.example/x:1"), Some((vec![], false, true)));
        assert_eq!(asked("blocked.example/x:1"), None);
        assert_eq!(asked("other.example/x:1"), None);
        let conf = RegistriesConf::parse(TEXT).unwrap();
        assert_eq!(
            conf.search().collect::<Vec<_>>(),
            ["registry.fedoraproject.org", "docker.io"]
        );
    }

    #[test]
    fn complaints_name_their_place() {
        let table = [
            (
                "[[registry]]\ninsecure = true",
                "line 2, column 1: a registry has neither `prefix` nor `location`",
            ),
            (
                "[[registry]]\nlocation = \"https://x\"",
                "line 2, column 1: a location has no `http://` or `https://`",
            ),
            (
                "[registries.search]\nregistries = []",
                "line 1, column 2: version 1 of the format, which CRI-O no longer reads",
            ),
            (
                "registry = 1",
                "line 1, column 1: `registry` is not a list of tables",
            ),
            (
                "[[registry]]\nlocation = \"x\"\nblocked = \"yes\"",
                "line 3, column 11: `blocked` is not true or false",
            ),
        ];
        for (text, want) in table {
            let error = RegistriesConf::parse(text).unwrap_err();
            assert_eq!(error.to_string(), want, "for {text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = RegistriesConf::parse(&text);
        }

        #[test]
        fn no_prefix_panics(prefix in "[*a-z./:@]{0,12}", name in "[a-z./:]{0,12}") {
            if let Some(length) = fits(&prefix, &name) {
                prop_assert!(name.get(length..).is_some());
            }
        }
    }
}
