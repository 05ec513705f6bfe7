//! pullcheck: names the cause of a failed container image pull.
//!
//! Data goes one way: request and symptoms, a plan, one stage after another, evidence, a verdict,
//! a report. Modules stand in that order.
//!
//! What a message tells on its own:
//!
//! ```
//! use pullcheck::clue::Clue;
//! use pullcheck::explain::explain;
//!
//! let read = explain("dial tcp: lookup r.example on 10.0.0.10:53: no such host");
//! assert_eq!(read.clue, Clue::DnsNotFound);
//! ```
//!
//! A check of an image, and the probe alone (nobody listens on that port):
//!
//! ```
//! use std::sync::Arc;
//! use pullcheck::check::{Request, check};
//! use pullcheck::keyring::Keyring;
//! use pullcheck::probe::{self, Options};
//! use pullcheck::world::real::{SystemClock, SystemNet};
//! use pullcheck::world::{Place, Trust, Vantage, World};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let net = Arc::new(SystemNet::new(None));
//! let here = Place::new(Vantage::Workstation, net, Trust::default());
//! let image: pullcheck::reference::Reference = "127.0.0.1:9/team/web:v1".parse()?;
//!
//! let seen = probe::run(&here, &SystemClock, &image, &Keyring::new(), &Options::default()).await;
//! assert!(seen.attempts().all(|(_, end)| !end.complete));
//!
//! let world = World::new(Arc::new(SystemClock), here);
//! let report = check(&world, &Request::Image(image)).await;
//! assert_ne!(report.verdict().kind(), "pullable");
//! # Ok(())
//! # }
//! ```

pub mod azure;
pub mod bench;
pub mod cause;
pub mod check;
pub mod cli;
pub mod clue;
pub mod cluster;
pub mod evidence;
pub mod explain;
pub mod keyring;
pub mod mirrors;
pub mod probe;
pub mod reference;
pub mod report;
pub mod stage;
pub mod symptom;
pub mod verdict;
pub mod wire;
pub mod world;
