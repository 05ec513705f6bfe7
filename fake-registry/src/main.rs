//! `fake-registry`: the registry as a program, and the commands that speak to a running one.

use std::process::ExitCode;

mod cli;

/// A request takes and gives back many small pieces of memory. `cargo xtask bench registry` asks for it, and for
/// the bare server beside as well.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
