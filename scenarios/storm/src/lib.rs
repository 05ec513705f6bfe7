//! Pull storms: what a rollout to thousands of nodes does to a registry, and the registry to it.
//!
//! No bytes move and no task runs: nodes, requests and transfers are events in a queue, in virtual time.
//! What decides is the full simulation's own: the kubelet's back-off, pull queue, rate limit and sync
//! times, containerd's retries and parallel layers, the registry's quota windows. So 10,000 nodes take a
//! fraction of a second, and the answer is the one that the full cluster would give.
//!
//! ```
//! use pull_storm::{Plan, run};
//!
//! let mut plan = Plan::new(200);
//! plan.registry.reads_a_minute = Some(1_000);
//! let storm = run(&plan)?;
//! assert_eq!(storm.running(), 200, "all of them in the end");
//! assert!(storm.refused > 0, "but not at once");
//! # Ok::<(), pull_storm::PlanError>(())
//! ```

mod compare;
mod engine;
mod events;
mod link;
mod mirror;
mod outcome;
mod plan;
pub mod report;

pub use compare::{Variant, compare, variants};
pub use engine::run;
pub use outcome::{Second, Storm};
pub use plan::{Auth, Plan, PlanError, Registry, SKUS, Sku};
