//! Which credentials are tried for an image, and in which order (`credentialprovider/keyring.go`).
//!
//! Keys are what stands in pull secrets; all that match are tried, in reverse order of the keys' spelling,
//! not in the order of the secrets. Several credentials under one key keep theirs.

use std::collections::BTreeMap;

use crate::runtime::Credential;

/// Where a credential came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// A pull secret of the pod.
    Secret {
        /// Its uid.
        uid: String,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The node: a credential provider.
    Node,
}

/// One attempt that can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) credential: Credential,
    pub(crate) source: Source,
}

/// Credentials by normalised key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keyring {
    entries: BTreeMap<String, Vec<Candidate>>,
}

impl Keyring {
    /// Adds an entry under a registry as somebody wrote it. A key that is no URL is left out, as the
    /// kubelet leaves it out with a line in its log.
    pub(crate) fn add(&mut self, registry: &str, candidate: Candidate) {
        if let Some(key) = normalize(registry) {
            self.entries.entry(key).or_default().push(candidate);
        }
    }

    /// The attempts for a repository in full (`docker.io/library/nginx`), in order.
    pub(crate) fn lookup(&self, repository: &str) -> Vec<Candidate> {
        let matching = self
            .entries
            .iter()
            .rev()
            .filter(|(key, _)| matches(key, repository));
        let found: Vec<_> = matching
            .flat_map(|(_, candidates)| candidates.clone())
            .collect();
        if !found.is_empty() || !is_docker_hub(repository) {
            return found;
        }
        self.entries
            .get("index.docker.io")
            .cloned()
            .unwrap_or_default()
    }
}

/// Host and path of a key: the scheme goes, and one leading `/v1/` or `/v2/`.
fn normalize(registry: &str) -> Option<String> {
    let rest = registry
        .split_once("://")
        .map_or(registry, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let end = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at_checked(end)?;
    let bad = host.is_empty()
        || registry
            .bytes()
            .any(|b| b.is_ascii_control() || b == b' ' || b == b'%');
    if bad {
        return None;
    }
    let path = ["/v1/", "/v2/"]
        .iter()
        .find_map(|prefix| path.strip_prefix(prefix))
        .map_or_else(|| path.to_owned(), |rest| format!("/{rest}"));
    Some(if path == "/" {
        host.to_owned()
    } else {
        format!("{host}{path}")
    })
}

/// `credentialprovider.URLsMatch`: equal ports, as many labels, globs within labels, path as a prefix.
pub(crate) fn matches(key: &str, repository: &str) -> bool {
    let split = |text: &str| {
        let (host, path) = text
            .split_once('/')
            .map_or((text, ""), |(host, path)| (host, path));
        let (host, port) = host.split_once(':').unwrap_or((host, ""));
        (host.to_owned(), port.to_owned(), path.to_owned())
    };
    let ((key_host, key_port, key_path), (host, port, path)) = (split(key), split(repository));
    let (globs, labels): (Vec<_>, Vec<_>) =
        (key_host.split('.').collect(), host.split('.').collect());
    key_port == port
        && globs.len() == labels.len()
        && path.starts_with(&key_path)
        && globs
            .iter()
            .zip(&labels)
            .all(|(pattern, label)| glob(pattern.as_bytes(), label.as_bytes()))
}

/// `filepath.Match` for one label: `*`, `?`, `[a-z]`, `[^a]`, `\`.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let Some((first, rest)) = pattern.split_first() else {
        return text.is_empty();
    };
    match first {
        b'*' => (0..=text.len()).any(|n| text.get(n..).is_some_and(|text| glob(rest, text))),
        b'?' => text.split_first().is_some_and(|(_, text)| glob(rest, text)),
        b'[' => {
            let Some(close) = rest.iter().skip(1).position(|b| *b == b']').map(|n| n + 1) else {
                return false;
            };
            let (Some(class), Some(after)) = (rest.get(..close), rest.get(close + 1..)) else {
                return false;
            };
            text.split_first()
                .is_some_and(|(c, text)| in_class(class, *c) && glob(after, text))
        }
        b'\\' => match rest.split_first() {
            Some((escaped, rest)) => text
                .split_first()
                .is_some_and(|(c, text)| c == escaped && glob(rest, text)),
            None => false,
        },
        c => text
            .split_first()
            .is_some_and(|(t, text)| t == c && glob(rest, text)),
    }
}

fn in_class(class: &[u8], c: u8) -> bool {
    let (negated, mut class) = match class.split_first() {
        Some((b'^', rest)) => (true, rest),
        _ => (false, class),
    };
    let mut found = false;
    while let Some((low, rest)) = class.split_first() {
        let (high, rest) = match rest {
            [b'-', high, rest @ ..] => (high, rest),
            _ => (low, rest),
        };
        found |= (*low..=*high).contains(&c);
        class = rest;
    }
    found != negated
}

fn is_docker_hub(repository: &str) -> bool {
    matches!(
        repository.split('/').next(),
        Some("docker.io" | "index.docker.io")
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_and_images() {
        let table = [
            ("r.io", "r.io/team/web", true),
            ("https://r.io", "r.io/team/web", true),
            ("https://r.io/v2/team", "r.io/team/web", true),
            ("https://r.io/v1/", "r.io/team/web", true),
            ("r.io/foo", "r.io/foobar/x", true),
            ("r.io/other", "r.io/team/web", false),
            ("r.io:443", "r.io/team/web", false),
            ("r.io:5000", "r.io:5000/team/web", true),
            ("*.azurecr.io", "a.azurecr.io/x", true),
            ("*.azurecr.io", "a.b.azurecr.io/x", false),
            ("*.azurecr.*", "a.azurecr.io/x", true),
            // Globs know `?`, but a key is parsed as a URL first, where a query begins with it.
            ("a?.azurecr.io", "ab.azurecr.io/x", false),
            ("[a-c]x.io", "bx.io/x", true),
            ("[^a-c]x.io", "bx.io/x", false),
            (
                "https://index.docker.io/v1/",
                "docker.io/library/nginx",
                true,
            ),
            ("registry-1.docker.io", "docker.io/library/nginx", false),
            ("docker.io", "docker.io/library/nginx", true),
            ("R.io", "r.io/x", false),
        ];
        for (key, image, want) in table {
            let mut keyring = Keyring::default();
            let candidate = Candidate {
                credential: Credential::default(),
                source: Source::Node,
            };
            keyring.add(key, candidate);
            assert_eq!(!keyring.lookup(image).is_empty(), want, "{key} for {image}");
        }
    }

    #[test]
    fn all_that_match_are_tried_the_longest_spelling_first() {
        let mut keyring = Keyring::default();
        for (key, user) in [
            ("*.azurecr.io", "any"),
            ("a.azurecr.io", "one"),
            ("a.azurecr.io/team", "deep"),
            ("a.azurecr.io", "two"),
        ] {
            let credential = Credential {
                username: user.into(),
                secret: "s".into(),
            };
            keyring.add(
                key,
                Candidate {
                    credential,
                    source: Source::Node,
                },
            );
        }
        let users: Vec<_> = keyring
            .lookup("a.azurecr.io/team/web")
            .into_iter()
            .map(|c| c.credential.username)
            .collect();
        assert_eq!(users, ["deep", "one", "two", "any"]);
    }

    proptest! {
        #[test]
        fn no_text_panics(key in any::<String>(), image in any::<String>()) {
            let _ = (normalize(&key), matches(&key, &image));
        }
    }
}
