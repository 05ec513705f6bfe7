//! Room: keyring.

mod secret;

pub use secret::Secret;
