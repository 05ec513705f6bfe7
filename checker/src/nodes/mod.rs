//! Room: the nodes as places to look from, where nothing but the cluster's API leads to them.
//!
//! An [`Order`] says what is to be asked; it is handed to the program in a container on each node, which stands on
//! the node's network with the node's files ([`Standing`]), carries it out ([`carry_out`]) and prints what it saw,
//! a line of JSON at a time ([`Heard`]). A [`Fleet`] brings the order to the nodes and the lines back; the one of
//! Kubernetes is in [`crate::cluster`]. [`crate::verdict::compare`] puts what nodes and workstation saw side by side. No secret
//! travels either way: an order has no member for one, and evidence cannot hold one.

mod load;
mod look;
mod order;
mod stand;
mod told;
mod units;

#[cfg(test)]
mod tests;

use futures::future::BoxFuture;
use serde::Serialize;

pub use load::{LoadError, LoadOrder, LoadSeen, NodeLoad};
pub use look::carry_out;
pub(crate) use order::is_name;
pub use order::{ImageOrder, Order, OrderError, SECRETS};
pub(crate) use stand::architecture;
pub use stand::{HOST, Standing};
pub use told::{Heard, MAX_HEARD};

/// Brings orders to nodes.
pub trait Fleet: Send + Sync {
    /// Carries `order` out on every node at once, and takes away what it needed for that. Where not all nodes can be
    /// asked, those that are preferred come first.
    fn look<'a>(&'a self, order: &'a Order, prefer: &'a [String]) -> BoxFuture<'a, FleetSeen>;

    /// Whether nodes were given pull secrets, so that they can sign in as pods do.
    fn signs_in(&self) -> bool;
}

/// What came back from the nodes.
#[derive(Clone, Debug, Default)]
pub struct FleetSeen {
    /// Every node that was meant, by name.
    pub nodes: Vec<NodeSeen>,
    /// Why no node was asked at all.
    pub failed: Option<FleetError>,
    /// What else is to be said.
    pub notes: Vec<String>,
}

/// What came back from one.
#[derive(Clone, Debug)]
pub struct NodeSeen {
    /// Its name.
    pub name: String,
    /// What the program printed there, or why there is nothing.
    pub heard: Result<Heard, NoProbe>,
}

/// Why a node tells nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum NoProbe {
    /// The kubelet cannot get the checker's own image.
    #[error(
        "the checker's own image {image} cannot be pulled there: {reason}{}",
        said(message)
    )]
    Image {
        /// The image.
        image: String,
        /// The waiting reason.
        reason: String,
        /// The waiting message.
        message: String,
    },
    /// The scheduler found no room.
    #[error("no probe could be placed there{}", said(message))]
    Unplaced {
        /// What the scheduler said.
        message: String,
    },
    /// The probe was placed and did not start or end in time.
    #[error("no answer in time ({state})")]
    Late {
        /// What it was doing last.
        state: String,
    },
    /// The container ended without telling anything that could be read.
    #[error("the probe ended with code {code}{}", said(text))]
    Ended {
        /// Its exit code.
        code: i32,
        /// The first line that it printed.
        text: String,
    },
    /// The container's output could not be had.
    #[error("its output cannot be read{}", said(text))]
    Unread {
        /// Why.
        text: String,
    },
}

fn said(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}

/// Why no node was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FleetError {
    /// The namespace is not there.
    #[error("there is no namespace {namespace} for the probes")]
    NoNamespace {
        /// Its name.
        namespace: String,
    },
    /// A right is missing.
    #[error("may not {verb} {resource}{}", within(namespace.as_deref()))]
    Forbidden {
        /// `list`, `create` …
        verb: &'static str,
        /// `nodes`, `jobs` …
        resource: &'static str,
        /// The namespace; none for the cluster.
        namespace: Option<String>,
        /// What the API server said.
        text: String,
    },
    /// No node fits.
    #[error("no node fits{}", selector.as_ref().map_or_else(String::new, |one| format!(" the selector `{one}`")))]
    NoNodes {
        /// The selector that was given.
        selector: Option<String>,
    },
    /// The Job was made, and no pod of it came to be.
    #[error(
        "the Job of the probes makes no pod: service account {account} of namespace {namespace} is missing, or a policy forbids it"
    )]
    NoPods {
        /// The namespace.
        namespace: String,
        /// The account.
        account: String,
    },
    /// The API server refused for another reason.
    #[error("the probes cannot be made: {text}")]
    Api {
        /// What it said.
        text: String,
    },
}

fn within(namespace: Option<&str>) -> String {
    namespace.map_or_else(
        || " of the cluster".to_owned(),
        |name| format!(" in namespace {name}"),
    )
}

impl FleetError {
    /// A line that shows or mends it.
    pub fn ask(&self) -> Option<String> {
        Some(match self {
            Self::NoNamespace { .. } | Self::NoPods { .. } => {
                "pullcheck nodes --print-manifests | kubectl apply -f -".to_owned()
            }
            Self::Forbidden {
                verb,
                resource,
                namespace,
                ..
            } => {
                let place = namespace
                    .as_ref()
                    .map_or_else(String::new, |name| format!(" --namespace {name}"));
                format!("kubectl auth can-i {verb} {resource}{place}")
            }
            Self::NoNodes { .. } => "kubectl get nodes --show-labels".to_owned(),
            Self::Api { .. } => return None,
        })
    }
}
