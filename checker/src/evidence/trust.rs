//! What a chain was compared with, and what came of a wish for a client certificate.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::wire::Excerpt;

/// What was shown to a server that asked for a client certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientShown {
    /// None: there is none for this host.
    Nothing,
    /// A certificate.
    Certificate {
        /// Its subject.
        subject: Excerpt,
    },
}

/// A chain that nobody trusted vouches for, beside the store that it was looked up in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustComparison {
    /// Who signed the top of the chain that was served.
    pub authority: Excerpt,
    /// SHA-256 of that authority's certificate, where the server sent it along.
    pub fingerprint: Option<Box<str>>,
    /// What the store has to say to it.
    pub missing: Missing,
    /// The parts of the store: where they come from, and how many certificates each holds.
    pub store: Vec<StorePart>,
    /// The file in which the runtime would look for the authority.
    pub file: Box<str>,
    /// The product whose authorities are named like one in the chain. A hint: anybody can choose a name.
    pub middlebox: Option<Box<str>>,
}

/// What is missing for a chain to be trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// The authority is not in the store.
    Authority,
    /// Its name is, with another key: it was renewed, or somebody took its name.
    OtherKey {
        /// SHA-256 of the one in the store.
        fingerprint: Box<str>,
    },
    /// The server sent its own certificate alone: one in between may be missing as well as the authority.
    Intermediate,
    /// The very certificate is in the store, and may not vouch for this one.
    Unfit,
}

/// A part of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorePart {
    /// A file, or words for what has none.
    pub from: Box<str>,
    /// How many certificates it holds; none if that is not known.
    pub certificates: Option<usize>,
}

impl fmt::Display for TrustComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store: Vec<String> = self.store.iter().map(ToString::to_string).collect();
        write!(f, "`{}` ", self.authority)?;
        match &self.missing {
            Missing::Authority => write!(f, "is not among {}", store.join(" and "))?,
            Missing::OtherKey { fingerprint } => write!(
                f,
                "is among {} with another key (sha256:{fingerprint})",
                store.join(" and ")
            )?,
            Missing::Intermediate => write!(
                f,
                "is not among {}, and the server sent no certificate but its own",
                store.join(" and ")
            )?,
            Missing::Unfit => write!(
                f,
                "is among {}, and may not vouch for this server",
                store.join(" and ")
            )?,
        }
        write!(f, "; the runtime would look for it in {}", self.file)?;
        if let Some(product) = &self.middlebox {
            write!(
                f,
                "; the name is one that {product} gives its authorities (a hint, no proof)"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for StorePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.certificates {
            Some(count) => write!(f, "{} ({count} certificates)", self.from),
            None => f.write_str(&self.from),
        }
    }
}
