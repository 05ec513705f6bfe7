//! `Www-Authenticate` as containerd reads it (`remotes/docker/auth/parse.go`): one challenge a header
//! line, the scheme in lower case, parameters up to the first malformed one.

use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// The schemes containerd can answer, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scheme {
    Bearer,
    Digest,
    Basic,
}

/// One way to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) scheme: Scheme,
    pub(crate) parameters: BTreeMap<String, String>,
}

/// All challenges of an answer that containerd knows, best first.
pub(crate) fn parse(headers: &HeaderMap) -> Vec<Challenge> {
    let lines = headers.get_all(WWW_AUTHENTICATE).iter();
    let mut all: Vec<_> = lines
        .filter_map(|line| challenge(&String::from_utf8_lossy(line.as_bytes())))
        .collect();
    all.sort_by_key(|challenge| challenge.scheme);
    all
}

fn challenge(line: &str) -> Option<Challenge> {
    let line = line.trim_start();
    let end = line.find(|c| !is_token(c)).unwrap_or(line.len());
    let (word, rest) = line.split_at_checked(end)?;
    let scheme = match word.to_ascii_lowercase().as_str() {
        "bearer" => Scheme::Bearer,
        "digest" => Scheme::Digest,
        "basic" => Scheme::Basic,
        _ => return None,
    };
    Some(Challenge {
        scheme,
        parameters: parameters(rest),
    })
}

fn parameters(mut rest: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find(|c| !is_token(c)).unwrap_or(rest.len());
        let Some((key, after)) = rest.split_at_checked(end) else {
            return found;
        };
        let Some(after) = after.strip_prefix('=').filter(|_| !key.is_empty()) else {
            return found;
        };
        let Some((value, after)) = value(after) else {
            return found;
        };
        found.insert(key.to_ascii_lowercase(), value);
        rest = after;
    }
}

fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
        let (value, rest) = text.split_at_checked(end)?;
        return (!value.is_empty()).then(|| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, quoted.get(at + 1..).unwrap_or_default())),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

fn is_token(c: char) -> bool {
    c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?={}".contains(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn challenges() {
        let line = r#"Bearer realm="https://auth.example/token",service="r.example",scope="repository:a/b:pull",error="insufficient_scope""#;
        let got = challenge(line).unwrap();
        assert_eq!(got.scheme, Scheme::Bearer);
        assert_eq!(got.parameters["realm"], "https://auth.example/token");
        assert_eq!(got.parameters["error"], "insufficient_scope");
        let table: [(&str, Option<usize>); 5] = [
            ("BASIC realm=\"x\\\"y\", charset=utf-8", Some(2)),
            ("Bearer", Some(0)),
            ("Bearer realm=\"unfinished", Some(0)),
            ("Bearer a=1, =2, b=3", Some(1)),
            ("Negotiate abc", None),
        ];
        for (line, want) in table {
            assert_eq!(
                challenge(line).map(|c| c.parameters.len()),
                want,
                "for {line:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_the_parser(text in any::<String>()) {
            let _ = (challenge(&text), challenge(&format!("Bearer {text}")));
        }
    }
}
