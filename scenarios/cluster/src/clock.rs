//! Room: clock.
