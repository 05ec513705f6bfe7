//! Room: controllers.
