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
use std::process::{Child, Command, Stdio};
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
    command
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        // What failed here is not for somebody's next `--rerun-failed`.
        .env("PULLCHECK_STATE_DIR", kubeconfig.parent().unwrap());
    command
}

/// Containers whose name has this in it, running or not.
fn left(name: &str) -> String {
    let filter = format!("name={name}");
    docker(&["container", "ls", "--all", "--quiet", "--filter", &filter])
}

/// Takes run and cluster away also where the test fails.
struct Cleared<'a> {
    run: Option<Child>,
    kubeconfig: &'a Path,
}

impl Drop for Cleared<'_> {
    fn drop(&mut self) {
        if let Some(run) = &mut self.run {
            let _ = run.kill();
            let _ = run.wait();
        }
        let _ = xtask(&["kind", "down", "--name", CLUSTER], self.kubeconfig).status();
    }
}

/// Plays a scenario whose break takes a while, kills a container in it, and gives the exit code and all
/// that was said.
fn killing(victim: &str, cleared: &mut Cleared<'_>) -> (Option<i32>, String) {
    let said = cleared.kubeconfig.with_file_name("said");
    let file = File::create(&said).unwrap();
    let child = xtask(
        &[
            "scenario",
            "stale-back-off",
            "--backend",
            "kind",
            "--cluster",
            CLUSTER,
            "--keep",
        ],
        cleared.kubeconfig,
    )
    .stdin(Stdio::null())
    .stdout(file.try_clone().unwrap())
    .stderr(file)
    .spawn()
    .unwrap();
    let child = cleared.run.insert(child);
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
    cleared.run = None;
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

    let mut cleared = Cleared {
        run: None,
        kubeconfig: &kubeconfig,
    };
    let (code, said) = killing(REGISTRY, &mut cleared);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the registry's container"), "{said}");
    assert!(said.contains("does not run any more"), "{said}");
    assert_eq!(left(REGISTRY), "");

    let (code, said) = killing(NODE, &mut cleared);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(NODE), "{said}");

    let down = xtask(&["kind", "down", "--name", CLUSTER], &kubeconfig).status();
    assert!(down.unwrap().success());
    assert_eq!(left("killed-"), "");
    assert_eq!(read(&kubeconfig), "kind: Config\n");
}
