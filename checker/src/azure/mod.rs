//! Room: what Azure Resource Manager says about a cluster, its identities and a registry.
//!
//! In: the workstation's place, an ARM endpoint with a token, the provider ids of nodes and a
//! registry host. Out: [`AzureFacts`], plain values, each with where it was looked up. A refusal
//! is a gap that names the missing action. Reads only; nothing here judges, nothing is retried,
//! and the token goes to the endpoint and nowhere else.

mod cache;
mod client;
mod cloud;
mod facts;
mod id;
mod limits;
mod read;
mod roles;
#[cfg(feature = "azure-identity")]
mod sign_in;

#[cfg(test)]
mod tests;

pub use cache::CacheRule;
pub use client::ArmError;
pub use cloud::Cloud;
pub use facts::{
    Assignment, AzureFacts, AzureGap, ClusterFacts, Grant, KubeletIdentity, Lookup, MachineFacts,
    PrivateEndpoint, RegistryFacts, RegistryMode,
};
pub use id::{NodeId, registry_login_server, same_id};
pub use limits::{READS_PER_PULL_EXTRA, SkuLimits, sku_limits};
pub use read::{Question, read};
#[cfg(feature = "azure-identity")]
pub use sign_in::{SignIn, Variables, Way};
