//! An embedded Kubernetes cluster that models image pulls faithfully, in virtual time.

pub mod api;
pub mod clock;
pub mod cluster;
pub mod controllers;
pub mod credential;
pub mod events;
pub mod failure;
pub mod kubelet;
#[cfg(feature = "live")]
pub mod live;
pub mod net;
pub mod node;
pub mod profile;
pub mod runtime;
pub mod store;
