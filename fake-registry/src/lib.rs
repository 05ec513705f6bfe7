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

mod auth;
mod azure;
mod builder;
mod clock;
mod config;
mod core;
mod digest;
mod fault;
mod host;
mod image;
mod journal;
mod keys;
mod message;
mod names;
mod pattern;
mod protocol;
mod random;
mod registry;
mod serve;
mod store;
mod stream;
mod tls;

pub use auth::{Accounts, AuthPolicy, TokenService};
pub use azure::{
    AcrRegistry, AzureError, AzureHandle, ConditionError, CustomRole, ManagedCluster, Principal,
    RepositoryToken, Scope, Sku, Tenant,
};
pub use builder::{BuildError, Builder};
pub use clock::Clock;
pub use fault::{
    Action, CountBy, End, FaultHandle, Match, Nth, OneOrMany, Pattern, Quota, Rule, RuleId,
    RuleReport, Script, ScriptError, Span,
};
pub use host::{Flavour, HostSpec};
pub use image::{ImageLineError, ImageSpec};
pub use journal::{Authorization, Entry, Journal};
pub use protocol::Route;
pub use registry::{FakeRegistry, LookupError};
pub use serve::{Conn, ResetHook, Scheme, Server, StartError};
pub use tls::{TlsError, TlsMode};
