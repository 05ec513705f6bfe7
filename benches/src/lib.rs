//! Benches: pullcheck and fake-registry beside the tools people would use instead.
//!
//! Two kinds. Programs that start peers on loopback, give them the same work in turns and print
//! one table (`registry`; run by `cargo xtask bench`), and criterion benches of single functions
//! in the `benches` folder (`cargo bench`). Nothing here is a test of speed that could fail: a
//! figure belongs to the machine it was taken on.

pub mod probe;
pub mod registry;
