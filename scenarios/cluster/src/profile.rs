//! Room: profile.
