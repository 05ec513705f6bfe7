//! Images from an OCI layout and from an archive of `docker save`: served byte for byte, and
//! refused where they are not what they say.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests, which may panic and say that they skip"
)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{HOST, client, sha256};
use fake_registry::{BuildError, Builder, FakeRegistry, HostSpec, SeedError};
use serde_json::{Value, json};
use tempfile::TempDir;

const LINE: &str = "team/web:v1 linux/amd64,linux/arm64 2x64KiB";

/// A layout of a described image, as the store of a registry leaves it.
fn make_layout(home: &Path) -> PathBuf {
    let root = home.join("store");
    let registry = FakeRegistry::builder()
        .host(HostSpec::new(HOST).directory(&root))
        .image(HOST, LINE)
        .build();
    drop(registry.unwrap());
    root.join("team+web")
}

fn blob(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs").join(digest.replace(':', "/"))
}

fn why(builder: Builder) -> SeedError {
    match builder.build() {
        Err(BuildError::Seed { source, .. }) => source,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("built"),
    }
}

#[tokio::test]
async fn a_layout_is_served_as_it_is() {
    let home = TempDir::new().unwrap();
    let layout = make_layout(home.path());
    let described = FakeRegistry::builder().image(HOST, LINE).build().unwrap();
    let seeded = FakeRegistry::builder()
        .oci_layout(HOST, "other/app", &layout)
        .build()
        .unwrap();
    let digest = described.digest(HOST, "team/web:v1").unwrap();
    assert_eq!(seeded.digest(HOST, "other/app:v1"), Some(digest.clone()));
    let client = client(&seeded);
    let index = client.get("/v2/other/app/manifests/v1").await;
    assert_eq!(sha256(&index.body), digest);
    for child in index.json()["manifests"].as_array().unwrap() {
        let path = format!(
            "/v2/other/app/manifests/{}",
            child["digest"].as_str().unwrap()
        );
        let image = client.get(&path).await.json();
        let layers = image["layers"].as_array().unwrap();
        for part in layers.iter().chain([&image["config"]]) {
            let digest = part["digest"].as_str().unwrap();
            let answer = client.get(&format!("/v2/other/app/blobs/{digest}")).await;
            assert_eq!(sha256(&answer.body), digest);
        }
    }
    // Into a directory too, while running, and once more without a change.
    let root = home.path().join("second");
    let registry = FakeRegistry::builder()
        .host(HostSpec::new(HOST).directory(&root))
        .build()
        .unwrap();
    for _ in 0..2 {
        let references = registry.seed_layout(HOST, "a", &layout).unwrap();
        assert!(references.contains(&"a:v1".to_owned()), "{references:?}");
    }
    assert_eq!(registry.digest(HOST, "a:v1"), Some(digest));
}

#[tokio::test]
async fn layouts_that_are_refused() {
    let home = TempDir::new().unwrap();
    let layout = make_layout(home.path());
    let at = |path: &Path| FakeRegistry::builder().oci_layout(HOST, "a", path);
    let refused = why(at(home.path()));
    assert!(matches!(refused, SeedError::Layout(_)), "{refused}");
    let refused = why(FakeRegistry::builder().oci_layout(HOST, "A", &layout));
    assert!(matches!(refused, SeedError::Repository(_)), "{refused}");

    let described = FakeRegistry::builder().image(HOST, LINE).build().unwrap();
    let client = client(&described);
    let index = client.get("/v2/team/web/manifests/v1").await.json();
    let child = index["manifests"][0]["digest"].as_str().unwrap();
    let image = client.get(&format!("/v2/team/web/manifests/{child}")).await;
    let layer = blob(
        &layout,
        image.json()["layers"][0]["digest"].as_str().unwrap(),
    );
    let bytes = std::fs::read(&layer).unwrap();
    std::fs::write(&layer, b"other bytes").unwrap();
    let refused = why(at(&layout));
    assert!(matches!(refused, SeedError::Digest { .. }), "{refused}");
    std::fs::remove_file(&layer).unwrap();
    let refused = why(at(&layout));
    assert!(matches!(refused, SeedError::Missing(_)), "{refused}");
    std::fs::write(&layer, bytes).unwrap();
    std::fs::write(layout.join("index.json"), b"{").unwrap();
    let refused = why(at(&layout));
    assert!(matches!(refused, SeedError::Json { .. }), "{refused}");
    let odd = json!({"schemaVersion": 2, "manifests": [{"digest": "sha256:../../etc/passwd", "mediaType": "x"}]});
    std::fs::write(layout.join("index.json"), odd.to_string()).unwrap();
    let refused = why(at(&layout));
    assert!(matches!(refused, SeedError::Descriptor(_)), "{refused}");
}

/// What stands in an archive: a file with its bytes, or a link.
enum Entry<'a> {
    File(&'a str, Vec<u8>),
    Link(&'a str, &'a str),
}

fn write_archive(path: &Path, entries: &[Entry<'_>]) {
    let mut tar = tar::Builder::new(std::fs::File::create(path).unwrap());
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        match entry {
            Entry::File(name, bytes) => {
                header.set_size(bytes.len() as u64);
                tar.append_data(&mut header, name, &bytes[..]).unwrap();
            }
            Entry::Link(name, target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                tar.append_link(&mut header, name, target).unwrap();
            }
        }
    }
    tar.finish().unwrap();
}

fn config(layers: &[&[u8]]) -> Vec<u8> {
    let diff_ids: Vec<String> = layers.iter().map(|layer| sha256(layer)).collect();
    let value = json!({
        "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    value.to_string().into_bytes()
}

fn saved(names: &Value, layers: &[&str]) -> Vec<u8> {
    let value = json!([{"Config": "config.json", "RepoTags": names, "Layers": layers}]);
    value.to_string().into_bytes()
}

#[tokio::test]
async fn an_archive_becomes_an_image_of_docker_types() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("image.tar");
    let config = config(&[b"layer", b"layer"]);
    let names = json!(["registry.other:5000/team/web:v1", "web"]);
    let layers = ["one/layer.tar", "two/layer.tar"];
    let entries = [
        Entry::File("one/layer.tar", b"layer".to_vec()),
        Entry::Link("two/layer.tar", "../one/layer.tar"),
        Entry::File("config.json", config.clone()),
        Entry::File("manifest.json", saved(&names, &layers)),
    ];
    write_archive(&path, &entries);
    let registry = FakeRegistry::builder()
        .docker_archive(HOST, &path)
        .build()
        .unwrap();
    let client = client(&registry);
    for place in ["/v2/team/web/manifests/v1", "/v2/web/manifests/latest"] {
        let answer = client.get(place).await;
        let kind = "application/vnd.docker.distribution.manifest.v2+json";
        assert_eq!(answer.header("content-type"), Some(kind));
        let image = answer.json();
        assert_eq!(image["config"]["digest"], json!(sha256(&config)));
        assert_eq!(image["layers"].as_array().unwrap().len(), 2);
        for layer in image["layers"].as_array().unwrap() {
            assert_eq!(layer["digest"], json!(sha256(b"layer")));
            assert_eq!(layer["size"], json!(5));
        }
    }
    let blob = format!("/v2/team/web/blobs/{}", sha256(b"layer"));
    assert_eq!(client.get(&blob).await.text(), "layer");
}

#[tokio::test]
async fn archives_that_are_refused() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("image.tar");
    let names = json!(["web:v1"]);
    let refused = |entries: &[Entry<'_>]| {
        write_archive(&path, entries);
        why(FakeRegistry::builder().docker_archive(HOST, &path))
    };
    let whole = |names: &Value, layer: &[u8], layers: &[&str]| {
        [
            Entry::File("layer.tar", layer.to_vec()),
            Entry::File("config.json", config(&[b"layer"])),
            Entry::File("manifest.json", saved(names, layers)),
        ]
    };
    let error = refused(&[]);
    assert!(matches!(error, SeedError::Missing(_)), "{error}");
    let error = refused(&[Entry::File("manifest.json", b"{".to_vec())]);
    assert!(matches!(error, SeedError::Json { .. }), "{error}");
    let error = refused(&whole(&names, b"other", &["layer.tar"]));
    assert!(matches!(error, SeedError::Digest { .. }), "{error}");
    let error = refused(&whole(&names, b"layer", &[]));
    assert!(matches!(error, SeedError::Layers { .. }), "{error}");
    let error = refused(&whole(&names, b"layer", &["../../etc/passwd"]));
    assert!(matches!(error, SeedError::Missing(_)), "{error}");
    let error = refused(&whole(&Value::Null, b"layer", &["layer.tar"]));
    assert!(matches!(error, SeedError::Nameless), "{error}");
    let error = refused(&whole(&json!(["Web:v1"]), b"layer", &["layer.tar"]));
    assert!(matches!(error, SeedError::Repository(_)), "{error}");
    std::fs::write(&path, vec![b'x'; 2000]).unwrap();
    let error = why(FakeRegistry::builder().docker_archive(HOST, &path));
    assert!(matches!(error, SeedError::Read { .. }), "{error}");
}

#[tokio::test]
async fn an_archive_of_skopeo_is_read() {
    if Command::new("skopeo").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "skopeo is missing");
        eprintln!("skipped: no skopeo");
        return;
    }
    let home = TempDir::new().unwrap();
    let root = home.path().join("store");
    let registry = FakeRegistry::builder()
        .host(HostSpec::new(HOST).directory(&root))
        .image(HOST, "team/web:v1 linux/amd64 2x64KiB")
        .build();
    drop(registry.unwrap());
    let archive = home.path().join("image.tar");
    let output = Command::new("skopeo")
        .args(["--insecure-policy", "--tmpdir"])
        .arg(home.path())
        .arg("copy")
        .arg(format!("oci:{}:v1", root.join("team+web").display()))
        .arg(format!("docker-archive:{}:team/web:v1", archive.display()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    let registry = FakeRegistry::builder()
        .docker_archive(HOST, &archive)
        .build()
        .unwrap();
    let client = client(&registry);
    let image = client.get("/v2/team/web/manifests/v1").await.json();
    assert_eq!(image["layers"].as_array().unwrap().len(), 2);
    let digest = image["config"]["digest"].as_str().unwrap();
    let config = client.get(&format!("/v2/team/web/blobs/{digest}")).await;
    assert_eq!(
        config.json()["rootfs"]["diff_ids"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}
