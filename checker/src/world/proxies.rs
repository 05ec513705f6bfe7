//! Which proxy a place goes through, by the rules of Go's HTTP client, which every container runtime has.
//!
//! The values of `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` come in; which proxy serves a host goes out
//! (`golang.org/x/net/http/httpproxy`). A password in a value goes to the proxy and nowhere else: nothing here
//! prints it. Loopback is never proxied. What cannot be read counts as not set, as in Go, and is told.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use crate::keyring::Secret;
use crate::reference::{Authority, Host};
use crate::wire::{Url, UrlScheme};

/// No variable is read further.
const MAX_VALUE: usize = 64 * 1024;
/// No list is longer.
const MAX_ENTRIES: usize = 4096;

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyScheme {
    /// HTTP.
    Http,
    /// HTTP within TLS.
    Https,
    /// SOCKS, which runtimes can speak and the probe cannot.
    Socks,
}

/// One proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    scheme: ProxyScheme,
    authority: Authority,
    authorization: Option<Secret>,
}

impl Proxy {
    /// Reads the value of a variable: a URL, or a host with a port. `None` if it is no proxy.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_VALUE || text.chars().any(char::is_control) {
            return None;
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            None => ("http".to_owned(), text),
        };
        let scheme = match scheme.as_str() {
            "http" => ProxyScheme::Http,
            "https" => ProxyScheme::Https,
            "socks5" | "socks5h" => ProxyScheme::Socks,
            _ => return None,
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let rest = rest.get(..end)?;
        let (user_info, host) = match rest.rsplit_once('@') {
            Some((user_info, host)) => (Some(user_info), host),
            None => (None, rest),
        };
        // Go takes `host:` for a host without a port.
        let host = host.strip_suffix(':').unwrap_or(host);
        Some(Self {
            scheme,
            authority: Authority::parse(host).ok()?,
            authorization: user_info.map(authorization),
        })
    }

    /// How it is spoken to.
    pub const fn scheme(&self) -> ProxyScheme {
        self.scheme
    }

    /// Host and port, without user and password.
    pub fn authority(&self) -> Authority {
        Authority::new(self.authority.host().clone(), Some(self.port()))
    }

    /// Its host.
    pub const fn host(&self) -> &Host {
        self.authority.host()
    }

    /// Its port, written or implied.
    pub fn port(&self) -> u16 {
        self.authority.port_or(match self.scheme {
            ProxyScheme::Http => 80,
            ProxyScheme::Https => 443,
            ProxyScheme::Socks => 1080,
        })
    }

    /// True if a user is set for it.
    pub const fn has_credential(&self) -> bool {
        self.authorization.is_some()
    }

    /// The value of `Proxy-Authorization`, for the proxy alone.
    pub(crate) const fn authorization(&self) -> Option<&Secret> {
        self.authorization.as_ref()
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.authority())
    }
}

fn authorization(user_info: &str) -> Secret {
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    let mut pair: Vec<u8> = percent_decode_str(user).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(password));
    Secret::new(format!("Basic {}", STANDARD.encode(pair)))
}

/// The proxies of a place, and what goes without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    https: Option<Proxy>,
    http: Option<Proxy>,
    bypass: Bypass,
    unreadable: Vec<&'static str>,
}

impl Proxies {
    /// No proxy at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads the values of `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.
    pub fn new(https: Option<&str>, http: Option<&str>, no_proxy: Option<&str>) -> Self {
        let mut unreadable = Vec::new();
        let mut read = |name, text: Option<&str>| {
            let text = text.filter(|text| !text.trim().is_empty())?;
            let proxy = Proxy::parse(text);
            if proxy.is_none() {
                unreadable.push(name);
            }
            proxy
        };
        Self {
            https: read("HTTPS_PROXY", https),
            http: read("HTTP_PROXY", http),
            bypass: Bypass::parse(no_proxy.unwrap_or_default()),
            unreadable,
        }
    }

    /// Reads the variables of an environment: each in capitals, else in small letters, as Go does.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Self {
        let any = |name: &str| {
            let set = |name: &str| get(name).filter(|value| !value.is_empty());
            set(name).or_else(|| set(&name.to_ascii_lowercase()))
        };
        Self::new(
            any("HTTPS_PROXY").as_deref(),
            any("HTTP_PROXY").as_deref(),
            any("NO_PROXY").as_deref(),
        )
    }

    /// True if nothing goes through a proxy.
    pub const fn is_empty(&self) -> bool {
        self.https.is_none() && self.http.is_none()
    }

    /// The variables whose value is no proxy, and which Go passes over without a word.
    pub fn unreadable(&self) -> &[&'static str] {
        &self.unreadable
    }

    /// The proxy for a URL, if it goes through one.
    pub fn of(&self, url: &Url) -> Option<&Proxy> {
        let proxy = match url.scheme() {
            UrlScheme::Https => self.https.as_ref(),
            UrlScheme::Http => self.http.as_ref(),
        };
        proxy.filter(|_| !self.bypass.covers(url.host(), url.port()))
    }
}

/// `NO_PROXY`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Bypass(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    All,
    Network {
        address: IpAddr,
        bits: u8,
    },
    Address {
        address: IpAddr,
        port: Option<Box<str>>,
    },
    /// `suffix` begins with a dot; `exact` if the name itself counts besides those below it.
    Domain {
        suffix: Box<str>,
        exact: bool,
        port: Option<Box<str>>,
    },
}

impl Bypass {
    fn parse(text: &str) -> Self {
        let text = if text.len() > MAX_VALUE { "" } else { text };
        let mut rules = Vec::new();
        for entry in text.split(',').take(MAX_ENTRIES) {
            let entry = entry.trim().to_lowercase();
            if entry == "*" {
                return Self(vec![Rule::All]);
            }
            rules.extend(Rule::parse(&entry));
        }
        Self(rules)
    }

    fn covers(&self, host: &Host, port: u16) -> bool {
        let address = host.address().map(|address| address.to_canonical());
        if host.is_local() || address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        let name = host.to_string().trim().to_ascii_lowercase();
        let port = port.to_string();
        self.0.iter().any(|rule| rule.covers(&name, address, &port))
    }
}

impl Rule {
    fn parse(entry: &str) -> Option<Self> {
        if let Some((address, bits)) = entry.split_once('/') {
            let address: Option<IpAddr> = address.parse().ok();
            let bits: Option<u8> = bits
                .bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| bits.parse().ok())
                .flatten();
            if let (Some(address), Some(bits)) = (address, bits)
                && bits <= if address.is_ipv4() { 32 } else { 128 }
            {
                return Some(Self::Network { address, bits });
            }
        }
        let (host, port) = split_port(entry);
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let port = port.filter(|port| !port.is_empty()).map(Into::into);
        if let Ok(address) = host.parse::<IpAddr>() {
            let address = address.to_canonical();
            return Some(Self::Address { address, port });
        }
        let host = match host.strip_prefix('*') {
            Some(rest) if rest.starts_with('.') => rest,
            _ => host,
        };
        if host.is_empty() {
            return None;
        }
        let exact = !host.starts_with('.');
        let suffix = if exact {
            format!(".{host}").into()
        } else {
            host.into()
        };
        Some(Self::Domain {
            suffix,
            exact,
            port,
        })
    }

    fn covers(&self, name: &str, address: Option<IpAddr>, port: &str) -> bool {
        let fits =
            |wanted: &Option<Box<str>>| wanted.as_deref().is_none_or(|wanted| wanted == port);
        match self {
            Self::All => true,
            Self::Network {
                address: network,
                bits,
            } => address.is_some_and(|address| within(address, *network, *bits)),
            Self::Address {
                address: wanted,
                port,
            } => address == Some(*wanted) && fits(port),
            Self::Domain {
                suffix,
                exact,
                port,
            } => {
                let itself = *exact && suffix.strip_prefix('.') == Some(name);
                (itself || name.ends_with(&**suffix)) && fits(port)
            }
        }
    }
}

/// Go's `SplitHostPort`: a port follows the only colon, or the bracket.
fn split_port(entry: &str) -> (&str, Option<&str>) {
    match entry.rsplit_once(':') {
        Some((host, port))
            if !host.contains(':') || (host.starts_with('[') && host.ends_with(']')) =>
        {
            (host, Some(port))
        }
        _ => (entry, None),
    }
}

/// Whether an address lies in a network that is written as `10.0.0.0/8`; what is no network holds nothing.
pub(crate) fn is_within(address: IpAddr, network: &str) -> bool {
    let Some((network, bits)) = network.split_once('/') else {
        return false;
    };
    match (network.parse(), bits.parse::<u8>()) {
        (Ok(network), Ok(bits))
            if bits
                <= if matches!(network, IpAddr::V4(_)) {
                    32
                } else {
                    128
                } =>
        {
            within(address, network, bits)
        }
        _ => false,
    }
}

fn within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn goes_through(no_proxy: &str, url: &str) -> bool {
        let proxies = Proxies::new(
            Some("http://p.example:3128"),
            Some("p.example"),
            Some(no_proxy),
        );
        proxies.of(&Url::parse(url).unwrap()).is_some()
    }

    /// The table of `httpproxy`'s own tests, and what registries meet.
    #[test]
    fn what_goes_without_a_proxy() {
        let list = "foobar.com, .barbaz.net, 192.168.1.1, 192.168.1.2:81, 192.168.1.3:80, 10.0.0.0/30, \
                    2001:db8::52:0:1, [2001:db8::52:0:2]:443, [2001:db8::52:0:3]:80, 2002:db8:a::45/64, *.wild.test, r.test:5000, :99,";
        let table = [
            ("https://localhost", false),
            ("https://127.0.0.1:5000", false),
            ("https://[::1]", false),
            ("https://[::2]", true),
            ("https://barbaz.net", true),
            ("https://www.barbaz.net", false),
            ("https://foobar.com", false),
            ("https://FooBar.com", false),
            ("https://www.foobar.com", false),
            ("https://foofoobar.com", true),
            ("https://baz.com", true),
            ("https://192.168.1.1", false),
            ("https://192.168.1.2:81", false),
            ("https://192.168.1.2", true),
            ("http://192.168.1.3", false),
            ("https://192.168.1.3", true),
            ("https://10.0.0.2", false),
            ("https://10.0.0.4", true),
            ("https://[2001:db8::52:0:1]", false),
            ("https://[2001:db8::52:0:2]", false),
            ("https://[2001:db8::52:0:3]", true),
            ("https://[2002:db8:a::123]", false),
            ("https://[fe80::424b:c8be:1643:a1b6]", true),
            ("https://wild.test", true),
            ("https://a.wild.test", false),
            ("https://r.test:5000", false),
            ("https://r.test", true),
        ];
        for (url, want) in table {
            assert_eq!(goes_through(list, url), want, "for {url}");
        }
        assert!(!goes_through("a.test,*", "https://r.example"));
        assert!(goes_through("", "https://r.example"));
    }

    #[test]
    fn values_as_go_reads_them() {
        let table = [
            ("proxy:3128", Some(("proxy:3128", ProxyScheme::Http))),
            ("http://proxy", Some(("proxy:80", ProxyScheme::Http))),
            ("HTTPS://proxy/", Some(("proxy:443", ProxyScheme::Https))),
            ("socks5://proxy", Some(("proxy:1080", ProxyScheme::Socks))),
            (
                "http://u:p%40ss@proxy:8080/x",
                Some(("proxy:8080", ProxyScheme::Http)),
            ),
            ("10.0.0.1:3128", Some(("10.0.0.1:3128", ProxyScheme::Http))),
            ("ftp://proxy", None),
            ("http://", None),
            ("", None),
            ("a b", None),
        ];
        for (text, want) in table {
            let got = Proxy::parse(text).map(|one| (one.authority().to_string(), one.scheme()));
            let want = want.map(|(at, scheme)| (at.to_owned(), scheme));
            assert_eq!(got, want, "for {text:?}");
        }
    }

    #[test]
    fn capitals_come_first_and_nothing_prints_a_password() {
        let proxies = Proxies::from_variables(|name| match name {
            "HTTPS_PROXY" => Some("http://user:s3cr3t@upper:1".into()),
            "https_proxy" => Some("http://lower:2".into()),
            "http_proxy" => Some("://".into()),
            _ => None,
        });
        let proxy = proxies
            .of(&Url::parse("https://r.example").unwrap())
            .unwrap();
        assert_eq!(proxy.authority().to_string(), "upper:1");
        assert_eq!(
            proxy.authorization().unwrap().expose(),
            format!("Basic {}", STANDARD.encode("user:s3cr3t"))
        );
        assert_eq!(proxies.unreadable(), ["HTTP_PROXY"]);
        let printed = format!("{proxies:?}");
        assert!(
            !printed.contains("s3cr3t") && !printed.contains("user") && !printed.contains("Basic")
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(value in any::<String>(), list in any::<String>()) {
            let proxies = Proxies::new(Some(&value), None, Some(&list));
            let _ = proxies.of(&Url::parse("https://r.example:5000").unwrap());
            let _ = proxies.of(&Url::parse("https://[2001:db8::1]").unwrap());
        }

        /// A naive reading of one network: compare bit by bit.
        #[test]
        fn networks_hold_what_their_bits_say(address in any::<u32>(), network in any::<u32>(), bits in 0_u8..=32) {
            let same = (0..u32::from(bits)).all(|at| (address ^ network) >> (31 - at) & 1 == 0);
            prop_assert_eq!(within(IpAddr::V4(address.into()), IpAddr::V4(network.into()), bits), same);
        }
    }
}
