//! Someone who knows only kubectl: starts the cluster with a failure, finds it with stock kubectl and
//! pullcheck, runs the remedy, sees the pod run.
//!
//! Needs a `kubectl` (or the one that `KUBECTL` names), `sh` and `curl`. Without kubectl it says that it
//! skips; with `CI` set it fails instead.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test program that waits for real ones"
)]

mod stock;

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use stock::kubectl;

/// A cluster that is up, and the file with its variables.
struct Up {
    child: Child,
    env: PathBuf,
    said: String,
}

impl Up {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["cluster", "up"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        for line in BufReader::new(child.stdout.as_mut().unwrap()).lines() {
            let line = line.unwrap();
            said.push_str(&line);
            said.push('\n');
            if line == "Ctrl-C ends it." {
                break;
            }
        }
        let env = said.split_once("`. ").unwrap().1.split_once('`').unwrap().0;
        Self {
            child,
            env: env.into(),
            said,
        }
    }

    /// Runs a line in a shell that has read the variables.
    fn sh(&self, line: &str) -> Output {
        let script = format!(". {}\n{line}", self.env.display());
        Command::new("sh")
            .args(["-c", &script])
            .env("HOME", "/nonexistent")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn ok(&self, line: &str) -> String {
        let output = self.sh(line);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}\n{errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Repeats a line until its output holds a text.
    fn until(&self, line: &str, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let output = self.ok(line);
            if output.contains(text) {
                return output;
            }
            assert!(
                Instant::now() < deadline,
                "no {text:?} from {line}:\n{output}"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Ends it as Ctrl-C does.
    fn end(mut self) {
        let id = self.child.id().to_string();
        let killed = Command::new("kill").args(["-INT", &id]).status().unwrap();
        assert!(killed.success());
        assert!(self.child.wait().unwrap().success());
        assert!(!self.env.exists(), "the folder goes with the cluster");
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_missing_role_is_found_and_repaired() {
    let Some(kubectl) = kubectl() else {
        return;
    };
    let up = Up::start(&["--scenario", "missing-role", "--speed", "20x"]);
    assert!(up.said.contains("export KUBECONFIG="), "{}", up.said);
    assert!(!up.said.contains("acr-role"), "the cause is not given away");

    // The symptom.
    let pods = up.ok(&format!("{kubectl} get pods"));
    let bad = pods.lines().find(|line| line.contains("0/1")).unwrap();
    assert!(
        bad.contains("ErrImagePull") || bad.contains("ImagePullBackOff"),
        "{pods}"
    );
    let name = bad.split_whitespace().next().unwrap();
    let events = up.ok(&format!("{kubectl} describe pod {name}"));
    assert!(
        events.contains("failed to fetch anonymous token"),
        "{events}"
    );

    // The cause, and the remedy in so many words.
    let checked = up.sh(&format!("{kubectl} pullcheck deployment api --quiet"));
    let report = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(
        checked.status.code(),
        Some(1),
        "{report}{}",
        String::from_utf8_lossy(&checked.stderr)
    );
    assert!(report.contains("acr-role-missing"), "{report}");

    // What the article reads.
    let object = "--query identityProfile.kubeletidentity.objectId --output tsv";
    let kubelet = up.ok(&format!(
        "az aks show --resource-group shop-cluster --name shop {object}"
    ));
    let scope = up.ok("az acr show --name shopregistry --query id --output tsv");
    let (kubelet, scope) = (kubelet.trim(), scope.trim());
    let roles = format!(
        "az role assignment list --assignee {kubelet} --scope {scope} --include-inherited -o table"
    );
    assert!(!up.ok(&roles).contains("AcrPull"));

    let remedy = report
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("az role assignment create"))
        .unwrap();
    assert!(
        remedy.contains(kubelet) && remedy.contains(scope),
        "{remedy}"
    );
    up.ok(remedy);
    assert!(up.ok(&roles).contains("AcrPull"));
    up.until(&format!("{kubectl} get deployment api"), "2/2");
    let pods = up.ok(&format!("{kubectl} get pods"));
    assert_eq!(pods.matches("1/1").count(), 2, "{pods}");
    up.end();
}

#[test]
fn other_programs_see_the_registry_through_the_gateway() {
    let up = Up::start(&["--speed", "10x"]);
    let curl = "curl --silent --show-error --fail-with-body --max-time 30";
    let answer = up.sh(&format!("{curl} https://registry.example/v2/"));
    let text = String::from_utf8_lossy(&answer.stdout);
    assert!(
        text.contains("UNAUTHORIZED"),
        "{text}{}",
        String::from_utf8_lossy(&answer.stderr)
    );
    let outside = up.sh(&format!("{curl} https://registry.k8s.io/v2/"));
    assert!(
        !outside.status.success(),
        "nothing outside of the simulated network"
    );
    if up.sh("skopeo --version").status.success() {
        let image = "docker://registry.example/team/web:v1";
        let tags = up.ok(&format!("skopeo list-tags {image}").replace(":v1", ""));
        assert!(tags.contains("v2"), "{tags}");
        let digest = up.ok(&format!("skopeo inspect {image}"));
        assert!(digest.contains("sha256:"), "{digest}");
    }
    up.end();
}

#[test]
fn what_is_asked_wrongly_is_said() {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let output = command
            .args(["cluster", "up"])
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text)
    };
    let (code, text) = run(&["--scenario", "missing-rule"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("the nearest is `missing-role`"), "{text}");
    let (code, text) = run(&["--from", "node-9"]);
    assert_eq!(code, Some(2));
    assert!(
        text.contains("there are workstation, node-1, node-2"),
        "{text}"
    );
    let (code, text) = run(&["--speed", "fast"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("`fast` is no speed"), "{text}");
    let mine = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let (code, text) = run(&["--kubeconfig", mine]);
    assert_eq!(code, Some(2));
    assert!(text.contains("is left alone"), "{text}");
}
