//! Benches; see the benches directory.
