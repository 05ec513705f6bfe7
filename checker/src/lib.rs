//! pullcheck: names the cause of a failed container image pull.
//!
//! Data goes one way: request and symptoms, a plan, one stage after another, evidence, a verdict,
//! a report. Modules stand in that order.

pub mod azure;
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
