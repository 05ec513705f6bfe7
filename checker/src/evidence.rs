//! Room: evidence.
