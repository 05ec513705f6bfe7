//! Room: verdict.
