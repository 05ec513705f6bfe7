//! Names the cause of a failed image pull.
