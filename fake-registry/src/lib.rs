//! An OCI registry that misbehaves on command.
//!
//! Content and protocol are real: digests are checked, tokens are signed, certificates chain to
//! a CA of the run. What goes wrong goes wrong because a fault script, a quota or the state of
//! the modelled Azure tenant says so, and every request stands in the journal. It serves any
//! byte stream, so a simulation in memory and a TCP port get the same answers.
//! It knows nothing of who tests against it, and never shares code with them.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use fake_registry::FakeRegistry;
//!
//! let server = FakeRegistry::builder()
//!     .image("registry.example", "team/web:v1 linux/amd64,linux/arm64 2x64KiB")
//!     .start()
//!     .await?;
//! println!("http://{}/v2/", server.address());
//! # Ok(()) }
//! ```
//!
//! With a tenant of Azure, a fault, and a bucket that somebody else has nearly drained:
//!
//! ```
//! # async fn example(stream: tokio::io::DuplexStream) -> Result<(), Box<dyn std::error::Error>> {
//! use fake_registry::{
//!     AcrRegistry, Action, Conn, FakeRegistry, ManagedCluster, Match, Principal, Route, Rule, Scheme,
//!     Scope, Script, Sku, Tenant,
//! };
//!
//! let kubelet = Principal::kubelet("aks1");
//! let registry = FakeRegistry::builder()
//!     .seed(1)
//!     .azure(
//!         Tenant::new("contoso")
//!             .cluster(ManagedCluster::new("aks1", "apps").node("node-1"))
//!             .registry(
//!                 AcrRegistry::new("contoso1", "registries")
//!                     .sku(Sku::Standard)
//!                     .competing_load(Some(kubelet.clone()), 4990),
//!             )
//!             .assign(kubelet, "AcrPull", Scope::registry("contoso1")),
//!     )
//!     .image("contoso1.azurecr.io", "team/web:v1 linux/amd64 2x1MiB")
//!     .faults(Script::new().rule(
//!         Rule::new(Action::status(503)).when(Match::any().route(&[Route::Blob])).times(1),
//!     ))
//!     .build()?;
//! // Node 1 has dialled; its name decides who it is at the metadata service.
//! let conn = Conn { peer: "10.0.0.4:40000".parse()?, client: "node-1".into(), scheme: Scheme::Https };
//! tokio::spawn(registry.serve(stream, conn));
//! // Later: the fix, by the handle or over HTTP at management.azure.com.
//! registry.azure().set_sku("contoso1", Sku::Premium)?;
//! # Ok(()) }
//! ```

mod auth;
mod azure;
mod builder;
mod clock;
mod config;
mod control;
mod core;
mod digest;
mod dns;
mod expect;
mod fault;
mod flavour;
mod host;
mod image;
mod journal;
mod keys;
mod listen;
mod message;
mod names;
mod patience;
mod pattern;
mod positioned;
mod protocol;
mod random;
mod registry;
mod respond;
mod serve;
mod stop;
mod store;
mod stream;
#[cfg(feature = "testcontainers")]
pub mod testcontainers;
mod tls;
mod window;

pub use auth::{Accounts, AuthPolicy, TokenService};
pub use azure::{
    AcrRegistry, AzureError, AzureHandle, Cloud, ConditionError, CustomRole, ManagedCluster,
    Principal, RepositoryToken, Scope, Sku, SpellingError, Tenant, VirtualNetwork,
};
pub use builder::{BuildError, Builder};
pub use clock::Clock;
pub use control::Control;
pub use dns::{DnsError, NameServer};
pub use expect::{Expectation, ExpectationGuard, Times, Unmet};
pub use fault::{
    Action, Challenge, CountBy, End, FaultHandle, FaultKey, KeyKind, KnownQuota, Match, Nth,
    OneOrMany, Pattern, Quota, Rule, RuleId, RuleReport, Script, ScriptError, Span, TokenFault,
    fault_table,
};
pub use flavour::PullLimit;
pub use host::{Flavour, HostSpec};
pub use image::{ImageLineError, ImageSpec, SeedError};
pub use journal::{Authorization, Entry, Journal};
pub use listen::{Server, StartError};
pub use protocol::Route;
pub use registry::{FakeRegistry, LookupError};
pub use serve::{Conn, ResetHook, Scheme};
pub use store::StoreError;
pub use tls::{TlsError, TlsMode};
pub use window::Window;
