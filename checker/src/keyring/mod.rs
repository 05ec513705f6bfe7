//! Room: keyring.
