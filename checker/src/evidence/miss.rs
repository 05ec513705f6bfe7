//! Why a credential is not used.
//!
//! By the kubelet's rules for what a pod and a node have, by docker's for what a user has. The words say what is
//! wrong with a key or a form, never anything of a value.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::wire::Excerpt;

/// Why a credential does not match an image, or cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KeyringMiss {
    /// The hosts differ.
    Host,
    /// The hosts have a different number of labels (a wildcard stands for one label only).
    Labels,
    /// The ports differ; a port that is not written matches only a port that is not written.
    Port,
    /// The key's path is not the beginning of the image's path.
    Path,
    /// The key is a pattern that cannot be read.
    BadPattern,
    /// The whole secret cannot be read, so nothing is pulled at all.
    Malformed {
        /// What is wrong, without its content.
        text: Excerpt,
    },
    /// The secret has a type or key that the kubelet passes over.
    WrongType {
        /// The type it has.
        kind: Excerpt,
    },
    /// The secret has the form that belongs to another type, so that its type's reader finds no key in it.
    OtherForm {
        /// The type whose form it has.
        form: Excerpt,
    },
    /// The entry holds only what the kubelet does not read (`identitytoken`, `credsStore` …).
    NotRead {
        /// The field that is there.
        field: Excerpt,
    },
    /// A helper was run and failed.
    HelperFailed {
        /// Its name.
        helper: Excerpt,
        /// Why, without secrets.
        text: Excerpt,
    },
    /// A helper was run and knows no credential for the registry.
    HelperEmpty {
        /// Its name.
        helper: Excerpt,
    },
    /// The entry is not read, since a helper is asked for this registry in its place.
    HelperInstead {
        /// The helper's name.
        helper: Excerpt,
    },
    /// docker looks for Docker Hub under one key alone.
    OtherKey {
        /// The key that it looks for.
        wanted: Excerpt,
    },
    /// The provider is not responsible: none of its `matchImages` fits.
    NotForImage,
    /// The provider wants a token of the pod's service account, which is not there.
    NeedsServiceAccount,
    /// A provider was run and gave nothing that can be used; the kubelet then goes on without.
    ProviderFailed {
        /// Why, without secrets.
        text: Excerpt,
    },
    /// A provider was run and answered without a credential.
    ProviderEmpty,
}

impl fmt::Display for KeyringMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("another host"),
            Self::Labels => f.write_str(
                "a wildcard stands for one label of a host, and the labels are more or fewer",
            ),
            Self::Port => f.write_str(
                "another port; one that is not written matches only one that is not written",
            ),
            Self::Path => f.write_str("its path is not the beginning of the image's"),
            Self::BadPattern => f.write_str("no key that can be read"),
            Self::Malformed { text } => write!(f, "cannot be read: {text}"),
            Self::WrongType { kind } if kind.is_empty() => {
                f.write_str("not a type that holds pull secrets")
            }
            Self::WrongType { kind } => {
                write!(f, "of type {kind} without what a kubelet reads there")
            }
            Self::OtherForm { form } => {
                write!(f, "in the form of {form}, so no key is found in it")
            }
            Self::NotRead { field } => write!(f, "a kubelet does not read {field}"),
            Self::HelperFailed { helper, text } => write!(f, "the helper {helper} failed: {text}"),
            Self::HelperEmpty { helper } => {
                write!(f, "the helper {helper} knows no credential for it")
            }
            Self::HelperInstead { helper } => {
                write!(f, "the helper {helper} is asked in its place")
            }
            Self::OtherKey { wanted } => write!(f, "docker looks under {wanted} alone"),
            Self::NotForImage => f.write_str("none of its matchImages fits"),
            Self::NeedsServiceAccount => {
                f.write_str("it wants a token of the pod's service account")
            }
            Self::ProviderFailed { text } => write!(f, "failed: {text}"),
            Self::ProviderEmpty => f.write_str("it gave no credential"),
        }
    }
}
