//! Who owns which field: `metadata.managedFields`, and server-side apply on top of it.
//!
//! The pieces: [`set`] turns objects into sets of paths and compares them, [`entry`] reads and writes
//! the owners, [`apply`] merges what a manager applies, finds its conflicts and drops what it no longer
//! says. Lists with keys, sets, and values that are owned whole are told apart by the names of their
//! fields (structured-merge-diff, and the markers in the types of `k8s.io/api`).

mod apply;
mod entry;
mod set;
#[cfg(test)]
mod tests;

pub(super) use apply::apply;
pub(super) use entry::{Author, update};
