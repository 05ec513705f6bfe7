//! The API server: requests in, objects and `Status` errors out, over the store.
//!
//! [`Api::router`] is an [`axum::Router`], so `kube::Client::new(router, "default")` talks to it in
//! memory and a TLS front can serve it to kubectl. [`Api`] itself offers the same verbs as plain
//! functions to the controllers, with defaults, admission and validation. What is not modelled is
//! refused with the error the real server has for things it does not know.

mod access;
mod admission;
mod body;
mod defaults;
mod discovery;
mod eventsv1;
mod eviction;
mod fields;
mod logs;
mod openapi;
mod patch;
mod protobuf;
mod query;
mod respond;
mod route;
mod scale;
mod select;
mod serve;
mod table;
#[cfg(test)]
mod tests;
mod typed;
mod validate;
mod verbs;
mod watching;

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;

pub use access::{Access, Denial};
pub use select::{FieldSelector, LabelSelector};
pub use verbs::{DeleteOptions, Propagation, WriteOptions};

use crate::clock::{Generator, Seed};
use crate::store::{ApiError, Store};

/// The answer to someone who has no token, or a wrong one.
pub fn unauthorized() -> axum::response::Response {
    respond::error(&ApiError::plain(401, "Unauthorized", "Unauthorized"))
}

/// The API server. Cheap to clone, all clones serve the same store.
#[derive(Clone)]
pub struct Api {
    store: Store,
    minor: u32,
    patch: u32,
    access: Access,
    names: Arc<Mutex<Generator>>,
}

impl Api {
    /// A server of Kubernetes 1.`minor` over a store.
    pub fn new(store: Store, minor: u32, seed: Seed) -> Self {
        Self {
            store,
            minor,
            patch: 0,
            access: Access::default(),
            names: Arc::new(Mutex::new(seed.generator("api/names"))),
        }
    }

    /// The same server as seen by a user with other rights.
    #[must_use]
    pub fn with_access(&self, access: Access) -> Self {
        Self {
            access,
            ..self.clone()
        }
    }

    /// The same server with a patch release in its version.
    #[must_use]
    pub fn with_patch(self, patch: u32) -> Self {
        Self { patch, ..self }
    }

    /// The store behind it.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What the users of this server may not do.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The minor version it claims to be.
    pub fn minor(&self) -> u32 {
        self.minor
    }

    /// The HTTP service.
    pub fn router(&self) -> Router {
        serve::router(self.clone())
    }

    /// The version it claims to be: `v1.36.2`.
    pub fn version(&self) -> String {
        format!("v1.{}.{}", self.minor, self.patch)
    }

    fn suffix(&self) -> String {
        self.names
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .suffix(5)
    }
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api")
            .field("store", &self.store)
            .field("minor", &self.minor)
            .finish_non_exhaustive()
    }
}
