//! An embedded cluster in virtual time.
