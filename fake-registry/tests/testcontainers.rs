//! The container image in a container: started by testcontainers, and pulled from by skopeo.
//!
//! The image has to be loaded before: `cargo xtask image`, then `docker load`. A daemon that is
//! older than what testcontainers speaks is reached through `OldDocker`; since testcontainers
//! takes the daemon's address from the environment, the test runs itself again with that set.
#![cfg(all(feature = "testcontainers", unix))]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which may panic"
)]

mod common;

use std::process::Command;

use common::witness::{installed, skip};
use fake_registry::testcontainers::{ContainerError, FakeRegistryImage, OldDocker};
use tempfile::TempDir;

/// Set in the run that has an address of Docker.
const AGAIN: &str = "FAKE_REGISTRY_TEST_AGAIN";

fn docker(arguments: &[&str]) -> Option<String> {
    let output = Command::new("docker").args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_serves_misbehaves_and_tells() {
    if std::env::var_os(AGAIN).is_some() {
        return in_a_container().await;
    }
    let Some(version) = docker(&["version", "--format", "{{.Server.APIVersion}}"]) else {
        return skip("no Docker daemon answers");
    };
    let name = format!("fake-registry:{}", env!("CARGO_PKG_VERSION"));
    if docker(&["image", "inspect", &name]).is_none() {
        return skip(&format!(
            "Docker has no {name}: run `cargo xtask image` and `docker load`"
        ));
    }
    if !installed(&["skopeo"]) {
        return;
    }
    let proxy = OldDocker::start("/var/run/docker.sock", &version)
        .await
        .unwrap();
    let output = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "a_container_serves_misbehaves_and_tells",
            "--nocapture",
        ])
        .env("DOCKER_HOST", proxy.docker_host())
        .env(AGAIN, "1")
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.contains("1 passed"), "{text}");
    let left = docker(&["ps", "--quiet", "--filter", &format!("ancestor={name}")]);
    assert_eq!(left.as_deref(), Some(""), "the container is removed");
}

async fn in_a_container() {
    let registry = FakeRegistryImage::new()
        .image("team/web:v1 linux/amd64 2x16KiB")
        .tls()
        .start()
        .await
        .unwrap();
    registry.add_image("team/late:v1 1x1KiB").await.unwrap();
    let home = TempDir::new().unwrap();
    std::fs::write(home.path().join("ca.crt"), registry.ca_pem().await.unwrap()).unwrap();
    let inspect = async |name: &str| {
        let output = tokio::process::Command::new("skopeo")
            .args(["inspect", "--raw", "--cert-dir"])
            .arg(home.path())
            .arg(format!("docker://{}/team/{name}:v1", registry.address()))
            .env("HOME", home.path())
            .env("XDG_RUNTIME_DIR", home.path())
            .output()
            .await
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), errors)
    };
    for name in ["web", "late"] {
        let (success, errors) = inspect(name).await;
        assert!(success, "{errors}");
    }
    registry
        .add_faults("{ match: { route: manifest }, action: { status: 403 } }")
        .await
        .unwrap();
    assert!(!inspect("web").await.0);
    registry.clear_faults().await.unwrap();
    assert!(inspect("web").await.0);
    let journal = registry.journal().await.unwrap();
    let refused = journal.iter().filter(|entry| entry["status"] == 403);
    assert_eq!(refused.count(), 1, "{journal:?}");
    let wrong = registry.add_faults("{ action: { stattus: 1 } }").await;
    match wrong.unwrap_err() {
        ContainerError::Refused { status, text, .. } => {
            assert_eq!(status, 400);
            assert!(text.contains("line 1, column"), "{text}");
        }
        other => panic!("{other}"),
    }
}
