//! Room: symptom.
