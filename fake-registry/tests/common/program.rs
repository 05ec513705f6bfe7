//! The program on a TCP port, and settings that clients of registries need.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The program, killed when dropped.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) address: String,
    pub(crate) ca: Option<String>,
}

impl Program {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_fake-registry"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let line = lines.next().unwrap();
        let address = line.rsplit("://").next().unwrap().to_owned();
        let ca = line.contains("https://").then(|| {
            lines
                .next()
                .unwrap()
                .strip_prefix("CA certificate in ")
                .unwrap()
                .to_owned()
        });
        Self { child, address, ca }
    }

    /// With an account `ci`, whose password is `s3cret`, and the CA in a file of the folder.
    pub(crate) fn guarded(home: &Path, kind: &str, tls: bool) -> (Self, PathBuf) {
        let config = home.join(format!("{kind}-{tls}.yaml"));
        let text = format!(
            "any-host: localhost\nhosts:\n  - name: localhost\n    auth: {{ kind: {kind}, users: {{ ci: {{ password: s3cret, rights: ['*'] }} }} }}\n"
        );
        std::fs::write(&config, text).unwrap();
        let ca = home.join(format!("{kind}-ca.crt"));
        let mut arguments = vec!["--config", config.to_str().unwrap()];
        if tls {
            arguments.extend(["--tls", "--ca-file", ca.to_str().unwrap()]);
        }
        (Self::start(&arguments), ca)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end: what it printed, or what it complained of.
pub(crate) fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr) + &text(&output.stdout))
    }
}
