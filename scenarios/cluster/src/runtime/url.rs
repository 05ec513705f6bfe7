//! The few things a registry client does with URLs: print them as Go would, resolve a `Location`.

use std::fmt;

/// `http` or `https`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// An absolute http(s) URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) scheme: Scheme,
    /// Host and port as written; this is also the `Host` header and the key of credentials.
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) path: String,
}

impl Url {
    pub(crate) fn new(scheme: Scheme, authority: &str, path: &str) -> Self {
        Self {
            scheme,
            authority: authority.to_owned(),
            path: path.to_owned(),
        }
    }

    /// Only what a request can be sent to: http or https, with a host, without user info.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = match text.split_once("://")? {
            (s, rest) if s.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            (s, rest) if s.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            _ => return None,
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let authority = authority.rsplit('@').next().unwrap_or_default();
        if authority.is_empty() || rest.bytes().any(|b| b.is_ascii_control() || b == b' ') {
            return None;
        }
        let path = match path.chars().next() {
            Some('/') => path.to_owned(),
            Some(_) => format!("/{path}"),
            None => "/".to_owned(),
        };
        Some(Self {
            scheme,
            authority: authority.to_owned(),
            path,
        })
    }

    /// What a `Location` header means here.
    pub(crate) fn join(&self, location: &str) -> Option<Self> {
        if location.contains("://") {
            return Self::parse(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", self.scheme));
        }
        let location = location.split('#').next().unwrap_or_default();
        if location.bytes().any(|b| b.is_ascii_control() || b == b' ') {
            return None;
        }
        let path = if location.starts_with('/') {
            location.to_owned()
        } else if location.starts_with('?') {
            let base = self.path.split('?').next().unwrap_or("/");
            format!("{base}{location}")
        } else {
            let base = self.path.split('?').next().unwrap_or("/");
            let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{folder}/{location}")
        };
        Some(Self {
            path,
            ..self.clone()
        })
    }

    /// The host without brackets and port.
    pub(crate) fn host(&self) -> &str {
        match self.authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => self.authority.split(':').next().unwrap_or_default(),
        }
    }

    /// The port, the scheme's own if none is written; none if it is no number.
    pub(crate) fn port(&self) -> Option<u16> {
        let after = match self.authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map_or("", |(_, after)| after),
            None => self
                .authority
                .find(':')
                .and_then(|at| self.authority.get(at..))
                .unwrap_or(""),
        };
        match after.strip_prefix(':') {
            None | Some("") => Some(match self.scheme {
                Scheme::Http => 80,
                Scheme::Https => 443,
            }),
            Some(port) => port.parse().ok(),
        }
    }

    /// The path without the query.
    pub(crate) fn with_query(&self, pairs: &[(String, String)]) -> Self {
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let mut all = super::go::parse_query(query);
        all.extend_from_slice(pairs);
        let path = if all.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{}", super::go::encode_query(&all))
        };
        Self {
            path,
            ..self.clone()
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        let base = Url::parse("https://r.example:5000/v2/a/blobs/x?y=1").unwrap();
        let table = [
            (
                "https://blob.example/z?sig=1",
                Some("https://blob.example/z?sig=1"),
            ),
            ("/v2/b", Some("https://r.example:5000/v2/b")),
            ("//other.example/q", Some("https://other.example/q")),
            ("w", Some("https://r.example:5000/v2/a/blobs/w")),
            ("?q=2", Some("https://r.example:5000/v2/a/blobs/x?q=2")),
            ("ftp://x/y", None),
            ("/a b", None),
        ];
        for (location, want) in table {
            assert_eq!(
                base.join(location).map(|u| u.to_string()).as_deref(),
                want,
                "for {location:?}"
            );
        }
    }

    #[test]
    fn hosts_and_ports() {
        let table = [
            ("https://r.example/", "r.example", Some(443)),
            ("http://r.example", "r.example", Some(80)),
            ("http://[fd00::1]:81/x", "fd00::1", Some(81)),
            ("http://r.example:x/", "r.example", None),
        ];
        for (text, host, port) in table {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.host(), url.port()), (host, port), "for {text}");
        }
    }
}
