//! The name of a cluster, and what is named after it.
//!
//! kind makes host names of it (`<name>-control-plane`), so it is a short DNS label. The
//! bridge of its network is a network interface, whose name the kernel bounds to 15 bytes:
//! that one is a hash.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// Longest name whose nodes are still DNS labels of 63 bytes, with room for `-control-plane`.
const LONGEST: usize = 40;

/// A checked name of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClusterName(Box<str>);

/// Why a text is no cluster's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    #[error("a name has 1 to {LONGEST} characters, this has {0}")]
    Length(usize),
    #[error("`{0}` is not allowed in a name: lower-case letters, digits and `-` are")]
    Character(char),
    #[error("a name starts and ends with a letter or digit")]
    Edge,
}

impl ClusterName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Name of the Docker network.
    pub(crate) fn network(&self) -> String {
        format!("pullcheck-{}", self.0)
    }

    /// Name of the network's bridge on this machine.
    pub(crate) fn bridge(&self) -> String {
        let hash = Sha256::digest(self.0.as_bytes());
        hash.iter()
            .take(5)
            .fold("pk-".to_owned(), |text, byte| format!("{text}{byte:02x}"))
    }
}

impl FromStr for ClusterName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if let Some(bad) = text
            .chars()
            .find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-'))
        {
            return Err(NameError::Character(bad));
        }
        if text.is_empty() || text.len() > LONGEST {
            return Err(NameError::Length(text.len()));
        }
        if text.starts_with('-') || text.ends_with('-') {
            return Err(NameError::Edge);
        }
        Ok(Self(text.into()))
    }
}

impl Default for ClusterName {
    fn default() -> Self {
        Self("pullcheck".into())
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_refused() {
        let table = [
            ("", NameError::Length(0)),
            (
                "a234567890123456789012345678901234567890x",
                NameError::Length(41),
            ),
            ("Shop", NameError::Character('S')),
            ("a/b", NameError::Character('/')),
            ("a.b", NameError::Character('.')),
            ("a b", NameError::Character(' ')),
            ("naïve", NameError::Character('ï')),
            ("-a", NameError::Edge),
            ("a-", NameError::Edge),
        ];
        for (text, want) in table {
            assert_eq!(text.parse::<ClusterName>(), Err(want), "for {text:?}");
        }
    }

    #[test]
    fn what_is_named_after_a_cluster() {
        let name = ClusterName::default();
        assert_eq!(
            name.to_string().parse(),
            Ok(name.clone()),
            "the default is a valid name"
        );
        assert_eq!(name.network(), "pullcheck-pullcheck");
        let longest: ClusterName = "a".repeat(LONGEST).parse().unwrap();
        for name in [name, longest] {
            assert!(
                name.bridge().len() <= 15,
                "IFNAMSIZ less the final zero: {}",
                name.bridge()
            );
        }
    }
}
