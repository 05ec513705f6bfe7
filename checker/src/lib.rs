//! pullcheck: names the cause of a failed container image pull.
//!
//! A failed pull has a *symptom*, which is what the cluster says, and a *cause*, which is what went wrong between
//! a reference and bytes on a node. Symptoms are few and alike, causes are many. This crate reads the symptom,
//! walks the way of the pull itself, and names the one cause that the evidence proves, with what it ruled out and
//! what to type. Where the evidence does not suffice it says which causes remain and what would settle it.
//!
//! # A message alone gives a clue
//!
//! [`explain::explain`] takes the text of a kubelet or a runtime and needs nothing else:
//!
//! ```
//! use pullcheck::clue::Clue;
//! use pullcheck::explain::explain;
//!
//! let read = explain(
//!     r#"Failed to pull image "registry.example/web:v1": rpc error: code = Unknown desc = failed to pull and unpack
//!     image "registry.example/web:v1": failed to resolve reference "registry.example/web:v1": failed to do request:
//!     Head "https://registry.example/v2/web/manifests/v1": dial tcp 10.0.0.9:443: connect: connection refused"#,
//! );
//! assert_eq!(read.clue, Clue::TcpRefused);
//! assert!(read.certain);
//! assert_eq!(read.host.as_deref(), Some("registry.example"));
//! ```
//!
//! # The evidence together gives a cause
//!
//! [`check::check`] looks from the places of a [`world::World`] and never fails: what cannot be reached is a finding.
//! Here the place is this machine, and the registry a fake one on a loopback port:
//!
//! ```
//! use std::sync::Arc;
//!
//! use pullcheck::cause::Cause;
//! use pullcheck::check::{Request, check};
//! use pullcheck::report::{self, Style};
//! use pullcheck::world::real::{SystemClock, SystemNet};
//! use pullcheck::world::{Place, Trust, Vantage, World};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = fake_registry::FakeRegistry::builder()
//!     .image("registry.example", "team/web:v1 linux/amd64 1x1KiB")
//!     .start()
//!     .await?;
//!
//! let here = Place::new(Vantage::Workstation, Arc::new(SystemNet::new(None)), Trust::roots([]));
//! let world = World::new(Arc::new(SystemClock), here);
//! let image = format!("{}/team/web:v2", registry.address());
//! let found = check(&world, &Request::Image(image.parse()?)).await;
//!
//! assert_eq!(found.cause(), Some(Cause::TagNotFound));
//! assert!(report::text(&found, &Style::default()).starts_with("BLOCKED tag-not-found"));
//! # Ok(()) }
//! ```
//!
//! With [`world::World::with_cluster`] it reads pods, events and secrets of a cluster, with
//! [`world::World::with_arm`] Azure's roles and registry settings, and with [`world::World::with_nodes`] it looks
//! from nodes as well. A fact seen from a workstation never refutes one seen on a node.
//!
//! # The probe alone
//!
//! [`probe::run`] walks the way and judges nothing (nobody listens on this port):
//!
//! ```
//! use std::sync::Arc;
//!
//! use pullcheck::keyring::Keyring;
//! use pullcheck::probe::{self, Options};
//! use pullcheck::world::real::{SystemClock, SystemNet};
//! use pullcheck::world::{Place, Trust, Vantage};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let net = Arc::new(SystemNet::new(None));
//! let here = Place::new(Vantage::Workstation, net, Trust::default());
//! let image: pullcheck::reference::Reference = "127.0.0.1:9/team/web:v1".parse()?;
//!
//! let seen = probe::run(&here, &SystemClock, &image, &Keyring::new(), &Options::default()).await;
//! assert!(seen.attempts().all(|(_, end)| !end.complete));
//! # Ok(()) }
//! ```
//!
//! # What a cause knows
//!
//! ```
//! use pullcheck::cause::Cause;
//!
//! let cause = Cause::from_id("tag-not-found").expect("it is in the list");
//! println!("{}\n{}", cause.meaning(), cause.evidence());
//! for other in cause.look_alikes() {
//!     println!("not {} if: {}", other.cause, other.question);
//! }
//! ```
//!
//! # The rooms, in reading order
//!
//! Data goes one way: request and symptoms, a plan, one stage after another, [`evidence`], a [`verdict`], a
//! [`report`]. [`mod@reference`] parses names, [`world`] holds the two seams to the outside (a network and a clock),
//! [`wire`] speaks the distribution API, [`mirrors`] and [`keyring`] read what a node is configured with,
//! [`symptom`] and [`cluster`] what the cluster says, [`azure`] what Azure does, and [`probe`] walks the way.

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
pub mod nodes;
pub mod probe;
pub mod reference;
pub mod report;
pub mod stage;
pub mod symptom;
pub mod verdict;
pub mod wire;
pub mod world;
