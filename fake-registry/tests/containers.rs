//! The runtimes that nodes have: containerd pulls, unpacks and pushes; so does Docker, where a
//! daemon runs. containerd is started for the test in folders of its own.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which may panic"
)]

mod common;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::program::{Program, run};
use common::sha256;
use common::witness::{installed, skip};
use fake_registry::FakeRegistry;
use serde_json::{Value, json};
use tempfile::TempDir;

/// containerd, ended when dropped, and its client.
struct Containerd<'a> {
    child: Child,
    home: &'a Path,
}

impl<'a> Containerd<'a> {
    async fn start(home: &'a Path) -> Self {
        let at = |name: &str| home.join(name).display().to_string();
        let config = format!(
            "version = 2\nroot = \"{}\"\nstate = \"{}\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\"]\n\
             [grpc]\naddress = \"{}\"\n[ttrpc]\naddress = \"{}\"\n",
            at("root"),
            at("state"),
            at("socket"),
            at("ttrpc")
        );
        std::fs::write(home.join("containerd.toml"), config).unwrap();
        let log = std::fs::File::create(home.join("log")).unwrap();
        let child = Command::new("containerd")
            .args(["--config", &at("containerd.toml")])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let containerd = Self { child, home };
        for _ in 0..200 {
            if containerd.ctr(&["version"]).is_ok() {
                return containerd;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = std::fs::read_to_string(home.join("log")).unwrap();
        panic!("containerd does not start: {log}");
    }

    fn ctr(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new("ctr");
        command
            .arg("--address")
            .arg(self.home.join("socket"))
            .args(arguments);
        run(&mut command)
    }
}

impl Drop for Containerd<'_> {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        // In order, so that it lets go of its files.
        let _ = Command::new("kill").arg(&pid).status();
        let _ = self.child.wait();
    }
}

/// An image that can be unpacked, as an OCI layout in a tar; gives its name and its only file.
fn archive(at: &Path, name: &str) {
    let mut layer = tar::Builder::new(Vec::new());
    let text = b"unpacked\n";
    let mut header = tar::Header::new_ustar();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    layer
        .append_data(&mut header, "etc/motd", &text[..])
        .unwrap();
    let layer = layer.into_inner().unwrap();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/none"]},
        "rootfs": {"type": "layers", "diff_ids": [sha256(&layer)]},
    })
    .to_string();
    let descriptor = |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": sha256(bytes), "size": bytes.len()});
    let kind = "application/vnd.oci.image";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": format!("{kind}.manifest.v1+json"),
        "config": descriptor(&format!("{kind}.config.v1+json"), config.as_bytes()),
        "layers": [descriptor(&format!("{kind}.layer.v1.tar"), &layer)],
    })
    .to_string();
    let mut top = descriptor(&format!("{kind}.manifest.v1+json"), manifest.as_bytes());
    top["annotations"] = json!({"io.containerd.image.name": name});
    let index = json!({"schemaVersion": 2, "manifests": [top]}).to_string();
    let blob = |bytes: &[u8]| format!("blobs/{}", sha256(bytes).replace(':', "/"));
    // What `docker load` of old reads.
    let legacy =
        json!([{"Config": blob(config.as_bytes()), "RepoTags": [name], "Layers": [blob(&layer)]}])
            .to_string();
    let mut all = tar::Builder::new(std::fs::File::create(at).unwrap());
    for (path, bytes) in [
        (
            "oci-layout".to_owned(),
            &br#"{"imageLayoutVersion":"1.0.0"}"#[..],
        ),
        ("index.json".to_owned(), index.as_bytes()),
        ("manifest.json".to_owned(), legacy.as_bytes()),
        (blob(config.as_bytes()), config.as_bytes()),
        (blob(manifest.as_bytes()), manifest.as_bytes()),
        (blob(&layer), &layer),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        all.append_data(&mut header, path, bytes).unwrap();
    }
    all.finish().unwrap();
}

fn root() -> bool {
    let id = run(Command::new("id").arg("-u")).unwrap_or_default();
    if id.trim() == "0" {
        return true;
    }
    skip("containerd is started by root alone");
    false
}

#[tokio::test]
async fn containerd_pushes_pulls_and_unpacks() {
    if !installed(&["containerd", "ctr"]) || !root() {
        return;
    }
    let home = TempDir::new().unwrap();
    let containerd = Containerd::start(home.path()).await;
    for (kind, tls) in [("token", true), ("basic", true), ("token", false)] {
        let (program, ca) = Program::guarded(home.path(), kind, tls);
        let host = &program.address;
        let scheme = if tls { "https" } else { "http" };
        // As containerd wants it written: with a trailing underscore after the port.
        let folder = home.path().join("hosts").join(host.replace(':', "_") + "_");
        std::fs::create_dir_all(&folder).unwrap();
        // Settings of the server itself, which count only where there is a table of hosts.
        let ca = if tls {
            format!("ca = \"{}\"\n", ca.display())
        } else {
            String::new()
        };
        let hosts = format!("server = \"{scheme}://{host}\"\n{ca}[host]\n");
        std::fs::write(folder.join("hosts.toml"), hosts).unwrap();
        let hosts = home.path().join("hosts").display().to_string();
        let with = |work: &str, user: &str, rest: &[&str]| {
            let mut arguments = vec!["images", work, "--user", user, "--hosts-dir", &hosts];
            arguments.extend(rest);
            containerd.ctr(&arguments)
        };
        let name = format!("{host}/team/app:v1");
        let file = home.path().join("image.tar");
        archive(&file, &name);
        containerd
            .ctr(&["images", "import", "--no-unpack", file.to_str().unwrap()])
            .unwrap();
        let refused = with("push", "ci:wrong", &[&name]).unwrap_err();
        assert!(
            refused.contains("401") || refused.contains("authorization failed"),
            "{refused}"
        );
        with("push", "ci:s3cret", &[&name]).unwrap();
        containerd.ctr(&["images", "rm", "--sync", &name]).unwrap();
        with("pull", "ci:s3cret", &["--snapshotter", "native", &name]).unwrap();
        let listed = containerd.ctr(&["images", "ls"]).unwrap();
        assert!(listed.contains(&name), "{listed}");
        let unpacked = run(Command::new("grep")
            .args(["-rl", "--include=motd", "unpacked"])
            .arg(home.path().join("root")))
        .unwrap();
        assert!(unpacked.contains("etc/motd"), "{unpacked}");
        containerd.ctr(&["images", "rm", "--sync", &name]).unwrap();
        let missing = with("pull", "ci:s3cret", &[&format!("{host}/team/app:v2")]);
        let missing = missing.unwrap_err();
        assert!(missing.contains("not found"), "{missing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_pushes_and_pulls() {
    let docker = |arguments: &[&str]| run(Command::new("docker").args(arguments));
    if !installed(&["docker"]) {
        return;
    }
    if docker(&["version", "--format", "{{.Server.Version}}"]).is_err() {
        return skip("no Docker daemon answers");
    }
    // A daemon on this machine takes loopback addresses for insecure ones.
    let server = FakeRegistry::builder().start().await.unwrap();
    let name = format!("{}/team/app:v1", server.address());
    let home = TempDir::new().unwrap();
    let file = home.path().join("image.tar");
    archive(&file, &name);
    docker(&["load", "--input", file.to_str().unwrap()]).unwrap();
    let outcome = (|| {
        docker(&["push", &name])?;
        docker(&["rmi", &name])?;
        docker(&["pull", &name])?;
        docker(&["image", "inspect", &name])
    })();
    let _ = docker(&["rmi", &name]);
    let shown: Value = serde_json::from_str(&outcome.unwrap()).unwrap();
    let digest = shown[0]["RepoDigests"][0].as_str().unwrap();
    let pushed = server
        .registry()
        .digest("localhost", "team/app:v1")
        .unwrap();
    assert!(digest.ends_with(&pushed), "{digest} is {pushed}");
    let missing = docker(&["pull", &name.replace(":v1", ":v2")]).unwrap_err();
    assert!(missing.contains("manifest unknown"), "{missing}");
}
