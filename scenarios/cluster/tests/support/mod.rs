//! What the end-to-end tests share: a small scripted HTTP server on the simulated network, images made by
//! hand, a world with one node, and the comparison with recordings.
//!
//! Each test file uses its own part of this.
#![allow(
    dead_code,
    reason = "every test binary compiles this module and uses a part of it"
)]

pub(crate) mod image;
pub(crate) mod recording;
pub(crate) mod server;
pub(crate) mod stub;
pub(crate) mod world;
