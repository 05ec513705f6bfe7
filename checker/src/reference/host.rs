//! Hosts and authorities: the part of a reference (or of a URL) that says where to go.
//!
//! Text comes in, checked values go out. A host is a DNS name or an address literal; an authority is a
//! host with an optional port. Nothing here resolves or dials.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest DNS name in text form (RFC 1035, without the final dot).
pub const MAX_HOST: usize = 253;

/// A DNS name or an address literal, without a port. Kept as written; compared without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(Kind);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Name(Box<str>),
    Address(IpAddr),
}

/// Why a text is not a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// There is no text.
    #[error("the host is empty")]
    Empty,
    /// Longer than DNS allows.
    #[error("the host has {length} characters, DNS allows {MAX_HOST}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// One label between two dots is longer than DNS allows.
    #[error("a label of the host has {length} characters, DNS allows 63")]
    LabelTooLong {
        /// Byte offset of the label.
        at: usize,
        /// Its length in bytes.
        length: usize,
    },
    /// Two dots in a row, or one at an end.
    #[error("a label of the host is empty")]
    EmptyLabel {
        /// Byte offset of the place.
        at: usize,
    },
    /// A label begins or ends with a hyphen.
    #[error("a label of the host begins or ends with a hyphen")]
    Hyphen {
        /// Byte offset of the hyphen.
        at: usize,
    },
    /// A character that no host contains.
    #[error("`{found}` is not allowed in a host")]
    Character {
        /// Byte offset of the character.
        at: usize,
        /// The character.
        found: char,
    },
    /// Brackets without an IPv6 address between them.
    #[error("no IPv6 address between the brackets")]
    Ipv6,
    /// The port is not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port {
        /// Byte offset of the port.
        at: usize,
    },
}

impl Host {
    /// Reads a DNS name, an IPv4 address, or an IPv6 address with or without brackets.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(Kind::Address(address)));
        }
        if let Some(inner) = text.strip_prefix('[') {
            return inner
                .strip_suffix(']')
                .and_then(|inner| inner.parse::<Ipv6Addr>().ok())
                .map(|address| Self(Kind::Address(address.into())))
                .ok_or(HostError::Ipv6);
        }
        if text.len() > MAX_HOST {
            return Err(HostError::TooLong { length: text.len() });
        }
        let mut start = 0;
        for label in text.split('.') {
            check_label(label, start)?;
            start += label.len() + 1;
        }
        Ok(Self(Kind::Name(text.into())))
    }

    /// The host of an address.
    pub const fn from_address(address: IpAddr) -> Self {
        Self(Kind::Address(address))
    }

    /// The address, if the host is a literal.
    pub const fn address(&self) -> Option<IpAddr> {
        match &self.0 {
            Kind::Address(address) => Some(*address),
            Kind::Name(_) => None,
        }
    }

    /// The DNS name, if the host is one.
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            Kind::Name(name) => Some(name),
            Kind::Address(_) => None,
        }
    }

    /// True for `localhost` and loopback addresses, which container runtimes treat leniently.
    pub fn is_local(&self) -> bool {
        match &self.0 {
            Kind::Name(name) => name.eq_ignore_ascii_case("localhost"),
            Kind::Address(address) => address.is_loopback(),
        }
    }

    /// True if both name the same host (DNS names without regard to case).
    pub fn same_as(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Kind::Name(a), Kind::Name(b)) => a.eq_ignore_ascii_case(b),
            (a, b) => a == b,
        }
    }

    /// True if the name is `suffix` or ends in `.suffix`.
    pub fn is_under(&self, suffix: &str) -> bool {
        self.name().is_some_and(|name| {
            let name = name.to_ascii_lowercase();
            name == suffix
                || name
                    .strip_suffix(suffix)
                    .is_some_and(|head| head.ends_with('.'))
        })
    }
}

fn check_label(label: &str, start: usize) -> Result<(), HostError> {
    if label.is_empty() {
        return Err(HostError::EmptyLabel { at: start });
    }
    for (at, found) in label.char_indices() {
        if !(found.is_ascii_alphanumeric() || found == '-' || found == '_') {
            return Err(HostError::Character {
                at: start + at,
                found,
            });
        }
    }
    if label.starts_with('-') {
        return Err(HostError::Hyphen { at: start });
    }
    if label.ends_with('-') {
        return Err(HostError::Hyphen {
            at: start + label.len() - 1,
        });
    }
    if label.len() > 63 {
        return Err(HostError::LabelTooLong {
            at: start,
            length: label.len(),
        });
    }
    Ok(())
}

impl fmt::Display for Host {
    /// IPv6 addresses in brackets, so that a port may follow.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Name(name) => f.write_str(name),
            Kind::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Kind::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        Self::parse(text)
    }
}

impl Serialize for Host {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Host {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A host and, if one was written, a port: `registry.example:5000`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Authority {
    host: Host,
    port: Option<u16>,
}

impl Authority {
    /// Joins the two parts.
    pub const fn new(host: Host, port: Option<u16>) -> Self {
        Self { host, port }
    }

    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port`.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let (host, port) = match text.rfind(':') {
            Some(colon) if !text.ends_with(']') => text.split_at(colon),
            _ => (text, ""),
        };
        // A bare IPv6 address has colons of its own, and no port can follow it.
        if host.contains(':') && !host.starts_with('[') {
            return Host::parse(text).map(|host| Self { host, port: None });
        }
        let port = match port.strip_prefix(':') {
            None => None,
            Some(digits) => Some(
                digits
                    .bytes()
                    .all(|byte| byte.is_ascii_digit())
                    .then(|| digits.parse::<u16>().ok().filter(|port| *port != 0))
                    .flatten()
                    .ok_or(HostError::Port { at: host.len() + 1 })?,
            ),
        };
        Ok(Self {
            host: Host::parse(host)?,
            port,
        })
    }

    /// The host.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port as written.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// The port, or the one that the scheme implies.
    pub fn port_or(&self, default: u16) -> u16 {
        self.port.unwrap_or(default)
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => write!(f, "{}", self.host),
        }
    }
}

impl FromStr for Authority {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        Self::parse(text)
    }
}

impl Serialize for Authority {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Authority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn authorities_that_are_read() {
        let table = [
            ("registry.example", "registry.example", None),
            ("registry.example:5000", "registry.example", Some(5000)),
            ("10.0.0.1:80", "10.0.0.1", Some(80)),
            ("[::1]:5000", "[::1]", Some(5000)),
            ("[::1]", "[::1]", None),
            ("::1", "[::1]", None),
            ("LocalHost", "LocalHost", None),
        ];
        for (text, host, port) in table {
            let got = Authority::parse(text).unwrap();
            assert_eq!(
                (got.host().to_string().as_str(), got.port()),
                (host, port),
                "for {text:?}"
            );
        }
    }

    #[test]
    fn hosts_that_are_refused() {
        let long = "a".repeat(64);
        let table = [
            ("", HostError::Empty),
            ("a..b", HostError::EmptyLabel { at: 2 }),
            ("-a.b", HostError::Hyphen { at: 0 }),
            ("a-.b", HostError::Hyphen { at: 1 }),
            ("a.b c", HostError::Character { at: 3, found: ' ' }),
            ("[::1", HostError::Ipv6),
            ("a:0", HostError::Port { at: 2 }),
            ("a:65536", HostError::Port { at: 2 }),
            ("a:", HostError::Port { at: 2 }),
            ("a:+5", HostError::Port { at: 2 }),
            (long.as_str(), HostError::LabelTooLong { at: 0, length: 64 }),
        ];
        for (text, want) in table {
            assert_eq!(Authority::parse(text), Err(want), "for {text:?}");
        }
    }

    #[test]
    fn suffixes_end_at_a_dot() {
        assert!(Host::parse("a.azurecr.io").unwrap().is_under("azurecr.io"));
        assert!(!Host::parse("aazurecr.io").unwrap().is_under("azurecr.io"));
    }

    proptest! {
        #[test]
        fn no_text_panics_the_parser(text in any::<String>()) {
            let _ = Authority::parse(&text);
        }

        #[test]
        fn printing_and_parsing_agree(text in "[a-z0-9.:-]{1,30}") {
            if let Ok(authority) = Authority::parse(&text) {
                prop_assert_eq!(Authority::parse(&authority.to_string()), Ok(authority));
            }
        }
    }
}
