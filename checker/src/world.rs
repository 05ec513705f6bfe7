//! Room: world.
