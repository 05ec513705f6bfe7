//! URLs that servers send (realms, redirects, next pages): bounded, checked, and printed without secrets.

use std::fmt;

use crate::reference::{Authority, Host};

/// The longest URL that is looked at; signed storage URLs reach about 2 KiB.
const MAX_URL: usize = 8 * 1024;

/// `http` or `https`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UrlScheme {
    /// With TLS.
    Https,
    /// Without.
    Http,
}

impl UrlScheme {
    /// The port that goes without saying.
    pub const fn port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }

    /// The text before `://`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }
}

/// An absolute URL. Its query may be secret (signed URLs), so only [`Url::target`] gives it; printing hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    scheme: UrlScheme,
    authority: Authority,
    target: String,
}

impl Url {
    /// Joins the parts; `target` is path and query, and begins with a slash.
    pub fn new(scheme: UrlScheme, authority: Authority, target: &str) -> Self {
        let target = if target.starts_with('/') {
            target.to_owned()
        } else {
            format!("/{target}")
        };
        Self {
            scheme,
            authority,
            target,
        }
    }

    /// Reads an absolute `http` or `https` URL. User info and fragment are dropped.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_URL {
            return None;
        }
        let text = text.split_once('#').map_or(text, |(text, _)| text);
        let uri: http::Uri = text.parse().ok()?;
        let scheme = match uri.scheme_str()? {
            "https" => UrlScheme::Https,
            "http" => UrlScheme::Http,
            _ => return None,
        };
        let authority = Authority::new(
            Host::parse(uri.host()?).ok()?,
            uri.port_u16().filter(|port| *port != 0),
        );
        let target = uri
            .path_and_query()
            .map_or("/", http::uri::PathAndQuery::as_str);
        Some(Self::new(scheme, authority, target))
    }

    /// Reads what a server gave for a place relative to this URL (`Location`, `Link`).
    pub fn join(&self, text: &str) -> Option<Self> {
        if text.len() > MAX_URL {
            return None;
        }
        if let Some(rest) = text.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", self.scheme.as_str()));
        }
        if text.starts_with('/') {
            let uri: http::Uri = text.split('#').next().unwrap_or_default().parse().ok()?;
            return Some(Self {
                target: uri.path_and_query()?.as_str().to_owned(),
                ..self.clone()
            });
        }
        if text.contains("://") {
            return Self::parse(text);
        }
        if text.starts_with('?') {
            return self.join(&format!("{}{text}", self.path()));
        }
        let folder = self
            .path()
            .rfind('/')
            .and_then(|slash| self.path().get(..=slash))
            .unwrap_or("/");
        self.join(&format!("{folder}{text}"))
    }

    /// `http` or `https`.
    pub const fn scheme(&self) -> UrlScheme {
        self.scheme
    }

    /// Host and port as written.
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The host.
    pub const fn host(&self) -> &Host {
        self.authority.host()
    }

    /// The port, written or implied.
    pub fn port(&self) -> u16 {
        self.authority.port_or(self.scheme.port())
    }

    /// Path and query, for the wire and nothing else.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The path alone.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or("/")
    }

    /// The same URL with another path and query.
    #[must_use]
    pub fn with_target(&self, target: &str) -> Self {
        Self::new(self.scheme, self.authority.clone(), target)
    }

    /// True if both go to the same host and port with the same scheme.
    pub fn same_origin(&self, other: &Self) -> bool {
        self.scheme == other.scheme
            && self.host().same_as(other.host())
            && self.port() == other.port()
    }
}

impl fmt::Display for Url {
    /// Without the query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}{}",
            self.scheme.as_str(),
            self.authority,
            self.path()
        )
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

/// Writes query parameters, percent-encoded.
pub fn encode_query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const KEEP: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| {
            format!(
                "{}={}",
                utf8_percent_encode(name, KEEP),
                utf8_percent_encode(value, KEEP)
            )
        })
        .collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn places_are_joined_as_browsers_do() {
        let base = Url::parse("https://r.io:5000/v2/a/tags/list?n=5").unwrap();
        let table = [
            ("/v2/x?last=b", "https://r.io:5000", "/v2/x?last=b"),
            ("https://s.io/b?sig=1", "https://s.io", "/b?sig=1"),
            ("//s.io/b", "https://s.io", "/b"),
            ("next", "https://r.io:5000", "/v2/a/tags/next"),
            ("?last=c", "https://r.io:5000", "/v2/a/tags/list?last=c"),
            ("http://s.io", "http://s.io", "/"),
        ];
        for (text, origin, target) in table {
            let url = base.join(text).unwrap();
            assert_eq!(
                format!("{}://{}", url.scheme().as_str(), url.authority()),
                origin,
                "for {text:?}"
            );
            assert_eq!(url.target(), target, "for {text:?}");
        }
        assert_eq!(base.join("ftp://x/y"), None);
    }

    #[test]
    fn a_query_does_not_print() {
        let url = Url::parse("https://u:p@s.io/b?sig=secret").unwrap();
        assert_eq!(url.to_string(), "https://s.io/b");
        assert_eq!(format!("{url:?}"), "Url(https://s.io/b)");
        assert_eq!(
            encode_query([("scope", "repository:a/b:pull")]),
            "scope=repository%3Aa%2Fb%3Apull"
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let base = Url::parse("https://r.io/a").unwrap();
            let _ = (Url::parse(&text), base.join(&text));
        }
    }
}
