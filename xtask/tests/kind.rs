//! What `cargo xtask kind` and `scenario --backend kind` say when they cannot begin, with a `docker` that does
//! what a script says: exit code 2, one line, nothing touched that is somebody else's.
//!
//! No daemon is needed, and none is asked.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A machine of our own: its programs, its cache, its kubeconfig.
struct Machine {
    folder: tempfile::TempDir,
    /// A program that has just been written cannot be started while another thread starts one.
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

impl Machine {
    /// `docker` is the body of a shell script; none is a machine without it.
    fn new(docker: Option<&str>) -> Self {
        let machine = Self {
            folder: tempfile::tempdir().unwrap(),
            _alone: ALONE.lock().unwrap_or_else(PoisonError::into_inner),
        };
        fs::create_dir(machine.path("bin")).unwrap();
        // A packet filter that has Docker's chain and takes whatever is asked.
        machine.program("iptables", "exit 0");
        if let Some(docker) = docker {
            let log = machine.path("log");
            let log = format!("echo \"$*\" >>{}\n{docker}", log.display());
            machine.program("docker", &log);
        }
        fs::write(machine.path("kubeconfig"), KUBECONFIG).unwrap();
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, name: &str, body: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(arguments)
            .env("PATH", self.path("bin"))
            .env("PULLCHECK_KIND_CACHE", self.path("cache"))
            .env("KUBECONFIG", self.path("kubeconfig"))
            .env("HOME", self.folder.path())
            .output()
            .unwrap()
    }

    /// What `docker` was asked.
    fn asked(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Runs it, and gives the one line that it refuses with.
    fn refusal(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert_eq!(output.stdout, b"", "{arguments:?}");
        let kubeconfig = fs::read_to_string(self.path("kubeconfig")).unwrap();
        assert_eq!(
            kubeconfig, KUBECONFIG,
            "the user's kubeconfig is left alone"
        );
        text
    }
}

const KUBECONFIG: &str = "apiVersion: v1\nkind: Config\n";
/// Everything that begins by asking Docker.
const COMMANDS: [&[&str]; 6] = [
    &["scenario", "bad-tag", "--backend", "kind"],
    &["fidelity", "bad-tag"],
    &["kind", "vantage"],
    &["kind", "up"],
    &["kind", "down"],
    &["kind", "build-node"],
];

#[test]
fn docker_that_is_absent_stopped_or_not_for_this_user() {
    let table = [
        (None, "Docker is not installed"),
        (
            Some(
                "echo 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?' >&2; exit 1",
            ),
            "the Docker daemon is not running",
        ),
        (
            Some(
                "echo 'permission denied while trying to connect to the Docker daemon socket' >&2; exit 1",
            ),
            "no permission to talk to the Docker daemon",
        ),
    ];
    for (docker, want) in table {
        let machine = Machine::new(docker);
        for command in COMMANDS {
            let said = machine.refusal(command);
            assert!(said.contains(want), "{command:?}: {said}");
            assert_eq!(said.trim_end().lines().count(), 1, "{command:?}: {said}");
        }
    }
}

/// Docker with a cluster `shop` that plain kind made.
const SOMEBODYS: &str = r#"
case "$*" in
  version*) echo 20.10.24 ;;
  *container\ ls*label=io.x-k8s.kind.cluster*) echo aa ;;
  *container\ inspect*) echo '[{"Id":"aa","Name":"/shop-control-plane","State":{"Running":true},"Image":"sha256:bb","NetworkSettings":{"Networks":{"kind":{}}}}]' ;;
esac"#;

#[test]
fn a_cluster_of_the_same_name_that_is_somebodys_is_left_alone() {
    let machine = Machine::new(Some(SOMEBODYS));
    let said = machine.refusal(&["kind", "down", "--name", "shop"]);
    assert!(said.contains("was not made by pullcheck"), "{said}");
    let asked = machine.asked();
    assert!(asked.contains("container inspect"), "{asked}");
    for word in [" rm", "kill", "stop", "create"] {
        assert!(!asked.contains(word), "`{word}` in\n{asked}");
    }
}

#[test]
fn a_cluster_that_another_run_is_busy_with() {
    let machine = Machine::new(Some(SOMEBODYS));
    let locks = machine.path("cache").join("lock");
    fs::create_dir_all(&locks).unwrap();
    let held = fs::File::create(locks.join("cluster-shop")).unwrap();
    held.lock().unwrap();
    for command in [
        &[
            "scenario",
            "bad-tag",
            "--backend",
            "kind",
            "--cluster",
            "shop",
        ][..],
        &["kind", "up", "--name", "shop"],
        &["kind", "down", "--name", "shop"],
    ] {
        let said = machine.refusal(command);
        assert!(said.contains("another pullcheck is busy"), "{said}");
    }
    assert_eq!(machine.asked(), "", "Docker is not even asked");
    drop(held);
    let said = machine.refusal(&["kind", "down", "--name", "shop"]);
    assert!(!said.contains("busy"), "{said}");
}

#[test]
fn options_that_do_not_go_together_and_images_that_are_none() {
    let machine = Machine::new(None);
    let table: [(&[&str], &str); 5] = [
        (&["--image", "--privileged"], "--privileged"),
        (&["--image", "a b"], "is no image's name"),
        (&["--kubernetes", "1.31"], "is no whole version"),
        (
            &["--kubernetes", "1.31.4", "--image", "kindest/node:v1.31.4"],
            "--kubernetes cannot be used with",
        ),
        (
            &["--context", "somewhere"],
            "is no context of a kind cluster",
        ),
    ];
    for (more, want) in table {
        let arguments = [&["scenario", "bad-tag", "--backend", "kind"], more].concat();
        let said = machine.refusal(&arguments);
        assert!(said.contains(want), "{more:?}: {said}");
    }
}

#[test]
fn a_cache_that_cannot_be_written() {
    let machine = Machine::new(Some(SOMEBODYS));
    fs::write(machine.path("cache"), "a file").unwrap();
    let output = machine.run(&["kind", "up"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("failed to create"), "{said}");
    assert!(Path::new(&machine.path("cache")).is_file());
}
