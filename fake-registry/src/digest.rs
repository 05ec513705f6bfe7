//! Content digests: parsed once, then compared as text.
//!
//! sha256 and sha512, lower-case hexadecimal, as the image specification has them. A `Digest`
//! in hand is well-formed; whether it fits some bytes is a question to `Hasher`.

use std::borrow::Borrow;
use std::fmt;

use sha2::{Digest as _, Sha256, Sha512};

/// A well-formed digest such as `sha256:2c26…`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Digest(Box<str>);

/// The algorithms that this registry stores under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Algorithm {
    #[default]
    Sha256,
    Sha512,
}

impl Algorithm {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "sha256" => Some(Self::Sha256),
            "sha512" => Some(Self::Sha512),
            _ => None,
        }
    }
}

impl Digest {
    /// Reads `algorithm:hex`; `None` for anything but a well-formed sha256 or sha512.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::is_one(text).then(|| Self(text.into()))
    }

    /// Whether `parse` reads a text.
    pub(crate) fn is_one(text: &str) -> bool {
        let Some((algorithm, hex)) = text.split_once(':') else {
            return false;
        };
        let length = match Algorithm::parse(algorithm) {
            Some(Algorithm::Sha256) => 64,
            Some(Algorithm::Sha512) => 128,
            None => return false,
        };
        hex.len() == length && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }

    /// The sha256 of some bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self::of_with(Algorithm::Sha256, bytes)
    }

    pub(crate) fn of_with(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        if self.0.starts_with("sha512:") {
            Algorithm::Sha512
        } else {
            Algorithm::Sha256
        }
    }
}

impl Borrow<str> for Digest {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A digest in the making; cloned to be able to roll a chunk back.
#[derive(Clone)]
pub(crate) enum Hasher {
    Sha256(Box<Sha256>),
    Sha512(Box<Sha512>),
}

impl Hasher {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Box::new(Sha256::new())),
            Algorithm::Sha512 => Self::Sha512(Box::new(Sha512::new())),
        }
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        let (name, bytes) = match self {
            Self::Sha256(hash) => ("sha256:", hash.finalize().to_vec()),
            Self::Sha512(hash) => ("sha512:", hash.finalize().to_vec()),
        };
        let mut text = String::with_capacity(name.len() + bytes.len() * 2);
        text.push_str(name);
        push_hex(&mut text, &bytes);
        Digest(text.into_boxed_str())
    }
}

/// Appends lower-case hexadecimal.
pub(crate) fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_that_are_read_and_refused() {
        let hex = "a".repeat(64);
        let table = [
            (format!("sha256:{hex}"), true),
            (format!("sha512:{hex}{hex}"), true),
            (format!("sha512:{hex}"), false),
            (format!("sha256:{}", "A".repeat(64)), false),
            (format!("sha256:{}", "g".repeat(64)), false),
            (format!("md5:{}", "a".repeat(32)), false),
            (hex.clone(), false),
            ("sha256:".into(), false),
            (String::new(), false),
            (":".into(), false),
        ];
        for (text, want) in table {
            assert_eq!(Digest::parse(&text).is_some(), want, "for {text:?}");
        }
    }

    #[test]
    fn the_empty_json_object_has_the_digest_of_the_image_specification() {
        assert_eq!(
            Digest::of(b"{}").as_str(),
            "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        );
    }
}
