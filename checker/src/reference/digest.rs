//! Digests: `algorithm:hex`, with the algorithms that registries and runtimes accept.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// A hash algorithm of a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// `sha256`, 64 hexadecimal digits.
    Sha256,
    /// `sha384`, 96 hexadecimal digits.
    Sha384,
    /// `sha512`, 128 hexadecimal digits.
    Sha512,
}

impl Algorithm {
    /// The name in a digest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// How many hexadecimal digits follow the colon.
    pub const fn length(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }
}

/// The checked digest of some content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    hex: Box<str>,
}

/// Why a text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// No colon, or nothing before it.
    #[error("no algorithm in front of the digest")]
    NoAlgorithm,
    /// An algorithm that no registry of today accepts.
    #[error("digest algorithm `{0}` is not one of sha256, sha384, sha512")]
    Unsupported(Box<str>),
    /// A character that is not a lower-case hexadecimal digit.
    #[error("character {} of the digest is not a lower-case hexadecimal digit", at + 1)]
    NotHex {
        /// Offset behind the colon, in bytes.
        at: usize,
    },
    /// Too few or too many digits.
    #[error("the digest has {got} hexadecimal digits, {want} belong there")]
    Length {
        /// Digits found.
        got: usize,
        /// Digits that the algorithm has.
        want: usize,
    },
}

impl Digest {
    /// The algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hexadecimal digits.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// The SHA-256 digest of `content`.
    pub fn sha256(content: &[u8]) -> Self {
        Self::compute(Algorithm::Sha256, content)
    }

    /// The digest of `content` by `algorithm`.
    pub fn compute(algorithm: Algorithm, content: &[u8]) -> Self {
        let hash = match algorithm {
            Algorithm::Sha256 => Sha256::digest(content).to_vec(),
            Algorithm::Sha384 => Sha384::digest(content).to_vec(),
            Algorithm::Sha512 => Sha512::digest(content).to_vec(),
        };
        Self::from_hash(algorithm, &hash)
    }

    /// Writes the bytes of a hash that was computed elsewhere (piece by piece).
    pub(crate) fn from_hash(algorithm: Algorithm, hash: &[u8]) -> Self {
        use fmt::Write as _;
        let mut hex = String::with_capacity(hash.len() * 2);
        for byte in hash {
            let _ = write!(hex, "{byte:02x}");
        }
        Self {
            algorithm,
            hex: hex.into(),
        }
    }

    /// True if `content` hashes to this digest.
    pub fn matches(&self, content: &[u8]) -> bool {
        Self::compute(self.algorithm, content) == *self
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, hex) = text.split_once(':').ok_or(DigestError::NoAlgorithm)?;
        let algorithm = match algorithm {
            "" => return Err(DigestError::NoAlgorithm),
            "sha256" => Algorithm::Sha256,
            "sha384" => Algorithm::Sha384,
            "sha512" => Algorithm::Sha512,
            other => return Err(DigestError::Unsupported(other.chars().take(32).collect())),
        };
        if let Some(at) = hex
            .bytes()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(DigestError::NotHex { at });
        }
        if hex.len() != algorithm.length() {
            return Err(DigestError::Length {
                got: hex.len(),
                want: algorithm.length(),
            });
        }
        Ok(Self {
            algorithm,
            hex: hex.into(),
        })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
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
    fn digests_that_are_refused() {
        let table = [
            ("", DigestError::NoAlgorithm),
            (":00", DigestError::NoAlgorithm),
            ("md5:00", DigestError::Unsupported("md5".into())),
            ("SHA256:00", DigestError::Unsupported("SHA256".into())),
            ("sha256:0G", DigestError::NotHex { at: 1 }),
            ("sha256:0A", DigestError::NotHex { at: 1 }),
            ("sha256:00", DigestError::Length { got: 2, want: 64 }),
        ];
        for (text, want) in table {
            assert_eq!(text.parse::<Digest>(), Err(want), "for {text:?}");
        }
    }

    #[test]
    fn content_is_hashed() {
        let empty = Digest::sha256(b"{}");
        assert_eq!(
            empty.to_string(),
            "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        );
        assert!(empty.matches(b"{}"));
        assert!(!empty.matches(b"{ }"));
        for algorithm in [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512] {
            let digest = Digest::compute(algorithm, b"x");
            assert_eq!(digest.to_string().parse(), Ok(digest));
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_the_parser(text in any::<String>()) {
            let _ = text.parse::<Digest>();
        }
    }
}
