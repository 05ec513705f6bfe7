//! What is killed while a scenario plays on a real cluster: the registry's container, then the node. The run says
//! so and fails, nothing stays behind, and the user's kubeconfig is what it was.
//!
//! Needs Docker, the node image and some five minutes: played where `PULLCHECK_KIND_TESTS` is set, and says that
//! it skips elsewhere.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test program that waits for real ones"
)]

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const CLUSTER: &str = "killed";
const REGISTRY: &str = "killed-registry-1";
const NODE: &str = "killed-control-plane";
/// Building an image and a cluster on a busy machine.
const SLOWEST_START: Duration = Duration::from_mins(15);

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn xtask(arguments: &[&str], kubeconfig: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(arguments).env("KUBECONFIG", kubeconfig);
    command
}

/// Plays a scenario whose break takes a while, kills a container in it, and gives the exit code and all
/// that was said.
fn killing(victim: &str, folder: &Path) -> (Option<i32>, String) {
    let said = folder.join("said");
    let file = File::create(&said).unwrap();
    let mut child = xtask(
        &[
            "scenario",
            "stale-back-off",
            "--backend",
            "kind",
            "--cluster",
            CLUSTER,
            "--keep",
        ],
        &folder.join("kubeconfig"),
    )
    .stdin(Stdio::null())
    .stdout(file.try_clone().unwrap())
    .stderr(file)
    .spawn()
    .unwrap();
    let since = Instant::now();
    let names = ["container", "ls", "--format", "{{.Names}}"];
    while !docker(&names).lines().any(|name| name == REGISTRY) {
        assert!(child.try_wait().unwrap().is_none(), "{}", read(&said));
        assert!(since.elapsed() < SLOWEST_START, "{}", read(&said));
        std::thread::sleep(Duration::from_millis(500));
    }
    // The old pods run by then, and the new one fails.
    std::thread::sleep(Duration::from_secs(40));
    docker(&["kill", victim]);
    let code = child.wait().unwrap().code();
    (code, read(&said))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn what_is_killed_in_mid_scenario_is_told_and_cleared_away() {
    if std::env::var_os("PULLCHECK_KIND_TESTS").is_none() {
        eprintln!("skipped: PULLCHECK_KIND_TESTS is not set");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, "kind: Config\n").unwrap();

    let (code, said) = killing(REGISTRY, folder.path());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the registry's container"), "{said}");
    assert!(said.contains("does not run any more"), "{said}");
    assert_eq!(
        docker(&[
            "container",
            "ls",
            "--all",
            "--quiet",
            "--filter",
            &format!("name={REGISTRY}")
        ]),
        ""
    );

    let (code, said) = killing(NODE, folder.path());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(NODE), "{said}");

    let down = xtask(&["kind", "down", "--name", CLUSTER], &kubeconfig).status();
    assert!(down.unwrap().success());
    assert_eq!(
        docker(&[
            "container",
            "ls",
            "--all",
            "--quiet",
            "--filter",
            "name=killed-"
        ]),
        ""
    );
    assert_eq!(read(&kubeconfig), "kind: Config\n");
}
