//! `fake-registry`: the registry as a program, and the commands that speak to a running one.

use std::process::ExitCode;

mod cli;

/// A request takes and gives back a dozen small pieces of memory, and this one does that in half the
/// instructions.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
