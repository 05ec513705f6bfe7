//! An OCI registry that misbehaves on command.
