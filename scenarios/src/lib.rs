//! Image-pull failures, played from break to verified fix.
