//! Room: check.
