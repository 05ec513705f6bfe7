//! Room: credential.
