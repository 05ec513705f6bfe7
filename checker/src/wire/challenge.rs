//! `WWW-Authenticate` headers, read as containerd reads them.
//!
//! Each header line is one challenge. Parameters are cut off at the first malformed part. Bearer is taken
//! before Basic, whatever the order.

use crate::evidence::Scheme;
use crate::wire::Excerpt;

/// One challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// `Bearer`, `Basic` or another.
    pub scheme: Scheme,
    parameters: Vec<(String, String)>,
}

const MAX_LINE: usize = 8 * 1024;
const MAX_PARAMETERS: usize = 32;

impl Challenge {
    /// Reads one header line.
    pub fn parse(line: &str) -> Option<Self> {
        if line.len() > MAX_LINE {
            return None;
        }
        let line = line.trim_start();
        let end = line.find([' ', '\t']).unwrap_or(line.len());
        let (scheme, rest) = line.split_at(end);
        if scheme.is_empty() || !scheme.bytes().all(is_token) {
            return None;
        }
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "bearer" => Scheme::Bearer,
            "basic" => Scheme::Basic,
            other => Scheme::Other(Excerpt::new(other)),
        };
        Some(Self {
            scheme,
            parameters: parameters(rest),
        })
    }

    /// The challenge to answer among several lines: Bearer, else Basic, else the first.
    pub fn choose<'a>(lines: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut all: Vec<Self> = lines.into_iter().take(16).filter_map(Self::parse).collect();
        let rank = |challenge: &Self| match challenge.scheme {
            Scheme::Bearer => 0,
            Scheme::Basic => 1,
            Scheme::Other(_) => 2,
        };
        all.sort_by_key(rank);
        all.into_iter().next()
    }

    /// A parameter by its name in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The realm, service, scope and error, as excerpts.
    pub fn excerpt(&self, name: &str) -> Option<Excerpt> {
        self.get(name).map(Excerpt::new)
    }
}

const fn is_token(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'z' | b'|' | b'~' | b'0'..=b'9' | b'A'..=b'Z')
}

fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while found.len() < MAX_PARAMETERS {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest
            .bytes()
            .position(|byte| !is_token(byte))
            .unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let after = after.trim_start_matches([' ', '\t']);
        let Some(after) = after.strip_prefix('=').filter(|_| !name.is_empty()) else {
            break;
        };
        let after = after.trim_start_matches([' ', '\t']);
        let Some((value, after)) = value(after) else {
            break;
        };
        found.push((name.to_ascii_lowercase(), value));
        rest = after;
    }
    found
}

fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text
            .bytes()
            .position(|byte| !is_token(byte))
            .unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (!value.is_empty()).then(|| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, found)) = characters.next() {
        match found {
            '"' => return Some((value, quoted.get(at + 1..).unwrap_or_default())),
            '\\' => value.push(characters.next()?.1),
            found => value.push(found),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn challenges_of_real_registries() {
        let hub = Challenge::parse(
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/x:pull",error="insufficient_scope""#,
        )
        .unwrap();
        assert_eq!(hub.scheme, Scheme::Bearer);
        assert_eq!(hub.get("realm"), Some("https://auth.docker.io/token"));
        assert_eq!(hub.get("scope"), Some("repository:library/x:pull"));
        assert_eq!(hub.get("error"), Some("insufficient_scope"));
        let ecr =
            Challenge::parse(r#"Basic realm="https://h/",service="ecr.amazonaws.com""#).unwrap();
        assert_eq!(
            (ecr.scheme.clone(), ecr.get("service")),
            (Scheme::Basic, Some("ecr.amazonaws.com"))
        );
        let odd = Challenge::parse(r#"bearer Realm = "a\"b" , service=plain, ???"#).unwrap();
        assert_eq!(
            (odd.get("realm"), odd.get("service")),
            (Some("a\"b"), Some("plain"))
        );
    }

    #[test]
    fn bearer_goes_before_basic() {
        let chosen = Challenge::choose([
            "Basic realm=\"x\"",
            "Negotiate",
            "Bearer realm=\"https://t\"",
        ])
        .unwrap();
        assert_eq!(chosen.scheme, Scheme::Bearer);
        assert_eq!(Challenge::choose(["", "\"\""]), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = Challenge::parse(&text);
        }

        #[test]
        fn a_quoted_value_comes_back(value in "[ -~]{0,40}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let challenge = Challenge::parse(&format!("Bearer realm=\"{quoted}\",service=\"s\"")).unwrap();
            prop_assert_eq!(challenge.get("realm"), Some(value.as_str()));
            prop_assert_eq!(challenge.get("service"), Some("s"));
        }
    }
}
