//! The distribution API as a client meets it: text and bytes from registries, read without trust.

mod excerpt;

pub use excerpt::{Excerpt, MAX_EXCERPT};
