//! Room: explain.
