//! crane, Google's client of registries, against the program: with and without TLS, Basic and
//! tokens. It checks what it gets: digests on each blob, and `validate` unpacks every layer.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which may panic"
)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::program::{Program, run};
use common::witness::prepared;
use serde_json::Value;
use tempfile::TempDir;

struct Crane {
    program: PathBuf,
    home: PathBuf,
    ca: Option<PathBuf>,
}

impl Crane {
    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .current_dir(&self.home)
            .env_clear()
            .env("HOME", &self.home)
            .env("PATH", "/usr/bin:/bin");
        if let Some(ca) = &self.ca {
            command.env("SSL_CERT_FILE", ca);
        }
        run(&mut command).map(|text| text.trim().to_owned())
    }
}

/// A layer as builders make them.
fn layer(home: &Path) {
    let folder = home.join("layer/etc");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("motd"), "from a layer\n").unwrap();
    let mut tar = Command::new("tar");
    tar.args(["-czf", "layer.tgz", "-C", "layer", "etc"])
        .current_dir(home);
    run(&mut tar).unwrap();
}

#[test]
fn crane_appends_pushes_pulls_mutates_and_validates() {
    let Some(path) = prepared("crane") else {
        return;
    };
    for (kind, tls) in [
        ("basic", true),
        ("token", true),
        ("basic", false),
        ("token", false),
    ] {
        let home = TempDir::new().unwrap();
        layer(home.path());
        let (program, ca) = Program::guarded(home.path(), kind, tls);
        let crane = Crane {
            program: path.clone(),
            home: home.path().to_owned(),
            ca: tls.then_some(ca),
        };
        work(&crane, &program.address);
        if let Some(ca) = &crane.ca {
            std::fs::write(ca, "").unwrap();
            let refused = crane.run(&["digest", &format!("{}/team/app:v1", program.address)]);
            assert!(refused.unwrap_err().contains("x509"));
        }
    }
}

fn work(crane: &Crane, registry: &str) {
    let app = |rest: &str| format!("{registry}/team/app{rest}");
    let first = app(":v1");
    let anonymous = crane.run(&["append", "--new_layer", "layer.tgz", "--new_tag", &first]);
    let anonymous = anonymous.unwrap_err();
    assert!(anonymous.contains("401"), "{anonymous}");
    let login = |password: &str| {
        let arguments = ["auth", "login", registry, "--username", "ci", "--password"];
        crane.run(&[&arguments[..], &[password]].concat()).unwrap();
    };
    login("wrong");
    assert!(crane.run(&["ls", &app("")]).is_err());
    login("s3cret");
    crane
        .run(&["append", "--new_layer", "layer.tgz", "--new_tag", &first])
        .unwrap();
    let digest = crane.run(&["digest", &first]).unwrap();
    for name in [&first, &app(&format!("@{digest}"))] {
        crane.run(&["validate", "--remote", name]).unwrap();
    }
    let files = crane.run(&["export", &first, "image.tar"]);
    files.unwrap();
    let mut tar = Command::new("tar");
    tar.args(["-xOf", "image.tar", "etc/motd"])
        .current_dir(&crane.home);
    assert_eq!(run(&mut tar).unwrap(), "from a layer\n");
    // Out and in again in two forms, with the same bytes.
    for (form, file) in [("tarball", "saved.tar"), ("oci", "layout")] {
        crane
            .run(&["pull", "--format", form, &first, file])
            .unwrap();
        let copy = format!("{registry}/copies/{form}:v2");
        crane.run(&["push", file, &copy]).unwrap();
        assert_eq!(crane.run(&["digest", &copy]).unwrap(), digest);
    }
    // Another configuration on the same layers, which are mounted elsewhere.
    let changed = app(":v2");
    crane
        .run(&["mutate", &first, "--label", "mood=good", "--tag", &changed])
        .unwrap();
    let config: Value = serde_json::from_str(&crane.run(&["config", &changed]).unwrap()).unwrap();
    assert_eq!(config["config"]["Labels"]["mood"], "good");
    let elsewhere = format!("{registry}/other/app:v2");
    crane.run(&["copy", &changed, &elsewhere]).unwrap();
    crane.run(&["validate", "--remote", &elsewhere]).unwrap();
    crane.run(&["tag", &changed, "v3"]).unwrap();
    assert_eq!(crane.run(&["ls", &app("")]).unwrap(), "v1\nv2\nv3");
    crane.run(&["delete", &app(":v3")]).unwrap();
    assert_eq!(crane.run(&["ls", &app("")]).unwrap(), "v1\nv2");
    let all = crane.run(&["catalog", registry]).unwrap();
    assert_eq!(all, "copies/oci\ncopies/tarball\nother/app\nteam/app");
    let gone = crane.run(&["digest", &app(":v3")]).unwrap_err();
    assert!(
        gone.contains("404") || gone.contains("MANIFEST_UNKNOWN"),
        "{gone}"
    );
}
