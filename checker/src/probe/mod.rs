//! Room: probe.
