//! What the end-to-end tests share: a small scripted HTTP server on the simulated network, images made by
//! hand, a world with one node, and the comparison with recordings.
//!
//! Each test file uses its own part of this.
#![allow(
    dead_code,
    reason = "every test binary compiles this module and uses a part of it"
)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::needless_pass_by_value,
    clippy::type_complexity,
    clippy::semicolon_if_nothing_returned,
    clippy::match_same_arms,
    clippy::unused_self,
    clippy::unchecked_time_subtraction,
    clippy::format_collect,
    clippy::format_push_string,
    reason = "a test may panic, and says so best by doing it"
)]

pub(crate) mod image;
pub(crate) mod recording;
pub(crate) mod server;
pub(crate) mod stub;
pub(crate) mod world;
