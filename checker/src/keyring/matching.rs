//! The kubelet's rule for which key fits which image.
//!
//! `pkg/credentialprovider/keyring.go`: the port must be equal, the hosts must have the same number of labels,
//! the key's path must be a plain string prefix of the image's path, and each label is matched as a file-name
//! pattern. Case counts.

use crate::evidence::KeyringMiss;

/// A key as the kubelet stores it: host, port and path, without scheme and without `/v1/` or `/v2/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(String);

/// The key for credentials of Docker Hub that no other key fits.
pub(super) const HUB_KEY: &str = "index.docker.io";

impl Key {
    /// Normalises what stands in a configuration; `None` for what the kubelet ignores as no URL.
    pub(super) fn new(written: &str) -> Option<Self> {
        let rest = written
            .strip_prefix("https://")
            .or_else(|| written.strip_prefix("http://"))
            .unwrap_or(written);
        let (host, path) = split_url(rest)?;
        let path = ["/v1/", "/v2/"]
            .iter()
            .find(|prefix| path.starts_with(**prefix))
            .and_then(|prefix| path.get(prefix.len() - 1..))
            .unwrap_or(path);
        let path = if path == "/" { "" } else { path };
        Some(Self(format!("{host}{path}")))
    }

    /// What stands in `matchImages`, where nothing is taken off; `None` for what is no URL.
    pub(super) fn as_written(written: &str) -> Option<Self> {
        let (host, path) = split_url(written)?;
        (!host.is_empty()).then(|| Self(format!("{host}{path}")))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the key fits the image (registry and repository, without tag and digest), and why not.
    pub(super) fn fits(&self, image: &str) -> Result<(), KeyringMiss> {
        let (Some((key_host, key_path)), Some((host, path))) =
            (split_url(&self.0), split_url(image))
        else {
            return Err(KeyringMiss::BadPattern);
        };
        let ((key_host, key_port), (host, port)) = (split_port(key_host), split_port(host));
        // The order of the kubelet's tests decides nothing but the reason that is given; the host comes first here.
        let key_labels: Vec<&str> = key_host.split('.').collect();
        let labels: Vec<&str> = host.split('.').collect();
        if key_labels.len() != labels.len() {
            return Err(if key_host.contains(['*', '?']) {
                KeyringMiss::Labels
            } else {
                KeyringMiss::Host
            });
        }
        for (pattern, label) in key_labels.into_iter().zip(labels) {
            match matches(pattern, label) {
                Some(true) => {}
                Some(false) => return Err(KeyringMiss::Host),
                None => return Err(KeyringMiss::BadPattern),
            }
        }
        if key_port != port {
            return Err(KeyringMiss::Port);
        }
        if path.starts_with(key_path) {
            Ok(())
        } else {
            Err(KeyringMiss::Path)
        }
    }
}

/// True if credentials of Docker Hub may be used for the image though no key fits.
pub(super) fn is_hub(image: &str) -> bool {
    match image.split_once('/') {
        None => !image.is_empty(),
        Some(("", _)) => false,
        Some(("docker.io" | "index.docker.io", _)) => true,
        Some((first, _)) => !first.contains(['.', ':']),
    }
}

/// Host with port, and path, of a URL without its scheme; what Go's `url.Parse` refuses is `None`.
fn split_url(text: &str) -> Option<(&str, &str)> {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let text = text.get(..end)?;
    let slash = text.find('/').unwrap_or(text.len());
    let (host, path) = text.split_at(slash);
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    if host.chars().any(|found| {
        found.is_control() || matches!(found, ' ' | '\\' | '^' | '`' | '{' | '|' | '}')
    }) {
        return None;
    }
    let port = match host.strip_prefix('[') {
        Some(rest) => rest.rsplit_once(']')?.1,
        None => host
            .rfind(':')
            .and_then(|colon| host.get(colon..))
            .unwrap_or_default(),
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    let is_port = digits.bytes().all(|byte| byte.is_ascii_digit())
        && (port.is_empty() || port.starts_with(':'));
    is_port.then_some((host, path))
}

fn split_port(host: &str) -> (&str, &str) {
    if host.starts_with('[') {
        return match host.rsplit_once("]:") {
            Some((address, port)) => (address.trim_start_matches('['), port),
            None => (host, ""),
        };
    }
    match host.split_once(':') {
        // Go's SplitHostPort refuses several colons, and the whole is then the host.
        Some((name, port)) if !port.contains(':') => (name, port),
        _ => (host, ""),
    }
}

/// Go's `filepath.Match` for one label: `*`, `?`, `[a-z]`, `[^a-z]`, `\` for the next character.
/// `None` for a malformed pattern. Time grows with pattern times text.
fn matches(pattern: &str, text: &str) -> Option<bool> {
    let pattern = tokens(pattern)?;
    let text: Vec<char> = text.chars().collect();
    // Which lengths of the text the pattern so far can stand for.
    let mut reached = vec![false; text.len() + 1];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for token in &pattern {
        let mut next = vec![false; text.len() + 1];
        let mut carried = false;
        for (at, place) in next.iter_mut().enumerate() {
            let here = reached.get(at).copied().unwrap_or(false);
            *place = match token {
                Token::Many => {
                    carried |= here;
                    carried
                }
                Token::One(set) => {
                    let before = at.checked_sub(1);
                    before.is_some_and(|before| {
                        reached.get(before).copied().unwrap_or(false)
                            && text.get(before).is_some_and(|found| set.holds(*found))
                    })
                }
            };
        }
        reached = next;
    }
    reached.last().copied()
}

enum Token {
    Many,
    One(Set),
}

struct Set {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Set {
    fn holds(&self, found: char) -> bool {
        found != '/'
            && self
                .ranges
                .iter()
                .any(|(low, high)| (*low..=*high).contains(&found))
                != self.negated
    }
}

fn tokens(pattern: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = pattern.chars().peekable();
    while let Some(found) = rest.next() {
        tokens.push(match found {
            '*' => Token::Many,
            '?' => Token::One(Set {
                negated: true,
                ranges: Vec::new(),
            }),
            '[' => Token::One(set(&mut rest)?),
            '\\' => {
                let literal = rest.next()?;
                Token::One(Set {
                    negated: false,
                    ranges: vec![(literal, literal)],
                })
            }
            literal => Token::One(Set {
                negated: false,
                ranges: vec![(literal, literal)],
            }),
        });
    }
    Some(tokens)
}

fn set(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Set> {
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if rest.peek() == Some(&']') && !ranges.is_empty() {
            rest.next();
            return Some(Set { negated, ranges });
        }
        let low = member(rest)?;
        let high = if rest.next_if_eq(&'-').is_some() {
            member(rest)?
        } else {
            low
        };
        ranges.push((low, high));
    }
}

fn member(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match rest.next()? {
        '-' | ']' => None,
        '\\' => rest.next(),
        found => Some(found),
    }
}

#[cfg(test)]
/// A second reading of the rule, by recursion and without tokens; only for `*`, `?` and plain characters.
#[expect(
    clippy::string_slice,
    reason = "cuts lie at slashes that were found there"
)]
pub(super) mod naive {
    pub(in crate::keyring) fn fits(key: &str, image: &str) -> bool {
        let cut = |text: &str| {
            let (host, path) = match text.find('/') {
                Some(at) => (text[..at].to_owned(), text[at..].to_owned()),
                None => (text.to_owned(), String::new()),
            };
            let mut halves = host.splitn(2, ':');
            let name = halves.next().unwrap_or_default().to_owned();
            (name, halves.next().unwrap_or_default().to_owned(), path)
        };
        let (key_name, key_port, key_path) = cut(key);
        let (name, port, path) = cut(image);
        let (key_labels, labels): (Vec<_>, Vec<_>) =
            (key_name.split('.').collect(), name.split('.').collect());
        key_port == port
            && key_labels.len() == labels.len()
            && path.starts_with(&key_path)
            && key_labels
                .iter()
                .zip(&labels)
                .all(|(glob, label)| glob_fits(glob.as_bytes(), label.as_bytes()))
    }

    fn glob_fits(glob: &[u8], text: &[u8]) -> bool {
        match (glob.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), None) => glob_fits(rest, text),
            (Some((b'*', rest)), Some((_, tail))) => glob_fits(rest, text) || glob_fits(glob, tail),
            (Some((b'?', rest)), Some((_, tail))) => glob_fits(rest, tail),
            (Some((want, rest)), Some((found, tail))) => want == found && glob_fits(rest, tail),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_normalised() {
        let table = [
            ("https://index.docker.io/v1/", Some("index.docker.io")),
            ("https://r.io/v2/team", Some("r.io/team")),
            ("r.io/v1", Some("r.io/v1")),
            ("http://r.io:5000/", Some("r.io:5000")),
            ("r.io", Some("r.io")),
            ("r.io:http", None),
            ("r io", None),
            ("u@r.io?x", Some("r.io")),
        ];
        for (written, want) in table {
            assert_eq!(
                Key::new(written).as_ref().map(Key::as_str),
                want,
                "for {written:?}"
            );
        }
    }

    #[test]
    fn which_key_fits_which_image() {
        let table = [
            ("*.azurecr.io", "a.azurecr.io/x", Ok(())),
            ("*.azurecr.io", "a.b.azurecr.io/x", Err(KeyringMiss::Labels)),
            (
                "myacr.azurecr.io:443",
                "myacr.azurecr.io/x",
                Err(KeyringMiss::Port),
            ),
            ("r.io/foo", "r.io/foobar/x", Ok(())),
            ("r.io/foo", "r.io/bar", Err(KeyringMiss::Path)),
            ("docker.io", "docker.io/library/nginx", Ok(())),
            (
                "registry-1.docker.io",
                "docker.io/library/nginx",
                Err(KeyringMiss::Host),
            ),
            ("R.io", "r.io/x", Err(KeyringMiss::Host)),
            // Go reads `?` as the begin of a query, and refuses `^` in a host.
            ("r?.io", "r1.io/x", Err(KeyringMiss::Host)),
            ("r[0-3].io", "r2.io/x", Ok(())),
            ("r[^0-3].io", "r2.io/x", Err(KeyringMiss::BadPattern)),
            ("r[.io", "r2.io/x", Err(KeyringMiss::BadPattern)),
            ("r.io:*", "r.io:5000/x", Err(KeyringMiss::BadPattern)),
            ("[::1]:5000", "[::1]:5000/x", Ok(())),
        ];
        for (key, image, want) in table {
            let got = Key(key.to_owned()).fits(image);
            assert_eq!(got, want, "for {key} and {image}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn rule_and_naive_rule_agree(
            key in "([ab*]{1,2}\\.){0,2}[ab*]{1,3}(:[56])?(/[ab]{1,2}){0,2}",
            image in "([ab]{1,2}\\.){0,2}[ab]{1,2}(:[56])?(/[ab]{1,2}){1,3}",
        ) {
            prop_assert_eq!(Key(key.clone()).fits(&image).is_ok(), naive::fits(&key, &image), "{} {}", key, image);
        }

        #[test]
        fn no_text_panics(key in any::<String>(), image in any::<String>()) {
            if let Some(key) = Key::new(&key) {
                let _ = key.fits(&image);
            }
        }

        #[test]
        fn hostile_patterns_end_soon(text in "a{200}") {
            let _ = matches(&"a*".repeat(200), &text);
        }
    }
}
