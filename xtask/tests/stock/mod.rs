//! The kubectl that tests are played with.

use std::process::Command;

/// The one that `KUBECTL` names, or the one on the path; none is said, and with `CI` set it is a failure.
pub(crate) fn kubectl() -> Option<String> {
    let program = std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned());
    let there = Command::new(&program)
        .args(["version", "--client"])
        .output()
        .is_ok_and(|output| output.status.success());
    assert!(there || std::env::var_os("CI").is_none(), "no {program}");
    if !there {
        eprintln!("skipped: no {program}");
    }
    there.then_some(program)
}
