//! Content in a directory: it outlives the process, however that ends, is read by other tools,
//! and does not fill the memory.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests, which may panic and say that they skip"
)]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use common::{Client, HOST, client, sha256};
use fake_registry::{BuildError, FakeRegistry, HostSpec, StoreError};
use serde_json::{Value, json};
use tempfile::TempDir;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn open(path: &Path) -> Result<Client, BuildError> {
    let registry = FakeRegistry::builder()
        .host(HostSpec::new(HOST).directory(path))
        .seed(1)
        .build()?;
    Ok(client(&registry))
}

async fn push(client: &Client, repository: &str, bytes: &[u8]) -> String {
    let digest = sha256(bytes);
    let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
    let answer = client.ask("POST", &path, bytes).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    digest
}

fn manifest(layers: &[&[u8]], extra: &Value) -> Vec<u8> {
    let layers: Vec<Value> = layers
        .iter()
        .map(|layer| {
            json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": sha256(layer), "size": layer.len(),
            })
        })
        .collect();
    let mut value = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(b"{}"), "size": 2},
        "layers": layers,
    });
    for (key, extra) in extra.as_object().unwrap() {
        value[key] = extra.clone();
    }
    value.to_string().into_bytes()
}

async fn put(client: &Client, path: &str, bytes: &[u8]) {
    let typed = client.with("Content-Type", OCI_MANIFEST);
    let answer = typed.ask("PUT", path, bytes).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

/// Every file below a directory with its bytes.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        for entry in std::fs::read_dir(&path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                all.insert(path.strip_prefix(root).unwrap().to_owned(), bytes);
            }
        }
    }
    all
}

/// That whatever is called by a digest has it, and that every index is one.
fn assert_intact(root: &Path) {
    for (path, bytes) in files(root) {
        let parent = path.parent().unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        if parent.ends_with("blobs/sha256") {
            assert_eq!(sha256(&bytes), format!("sha256:{name}"));
        } else if name == "index.json" {
            let index: Value = serde_json::from_slice(&bytes).unwrap();
            for entry in index["manifests"].as_array().unwrap() {
                let digest = entry["digest"].as_str().unwrap().replace(':', "/");
                let blob = root.join(parent).join("blobs").join(digest);
                let size = std::fs::metadata(&blob).unwrap().len();
                assert_eq!(entry["size"].as_u64(), Some(size));
            }
        }
    }
}

#[tokio::test]
async fn what_was_pushed_is_there_after_a_restart() {
    let home = TempDir::new().unwrap();
    let root = home.path().join("store");
    let client = open(&root).unwrap();
    push(&client, "team/web", b"{}").await;
    push(&client, "team/web", b"layer").await;
    let loose = push(&client, "team/web", b"loose").await;
    let image = manifest(&[b"layer"], &json!({}));
    let digest = sha256(&image);
    put(&client, "/v2/team/web/manifests/v1", &image).await;
    put(&client, "/v2/team/web/manifests/v2", &image).await;
    let subject = json!({"mediaType": OCI_MANIFEST, "digest": digest, "size": image.len()});
    let signature = manifest(
        &[],
        &json!({"artifactType": "test/signature", "subject": subject}),
    );
    let path = format!("/v2/team/web/manifests/{}", sha256(&signature));
    put(&client, &path, &signature).await;
    let mount = format!("/v2/other/blobs/uploads/?mount={loose}&from=team/web");
    assert_eq!(client.ask("POST", &mount, b"").await.status, 201);
    // A session that nobody ends.
    let place = client.ask("POST", "/v2/team/web/blobs/uploads/", b"").await;
    let place = place.header("location").unwrap().to_owned();
    assert_eq!(client.ask("PATCH", &place, b"half").await.status, 202);
    assert_eq!(std::fs::read_dir(root.join(".drafts")).unwrap().count(), 1);

    let paths = [
        "/v2/team/web/manifests/v1".to_owned(),
        format!("/v2/team/web/manifests/{digest}"),
        format!("/v2/team/web/blobs/{}", sha256(b"layer")),
        format!("/v2/other/blobs/{loose}"),
        format!("/v2/team/web/referrers/{digest}"),
        "/v2/team/web/tags/list".to_owned(),
        "/v2/_catalog".to_owned(),
    ];
    let mut before = Vec::new();
    for path in &paths {
        let answer = client.get(path).await;
        assert_eq!(answer.status, 200, "for {path}");
        before.push((
            answer.header("content-type").map(str::to_owned),
            answer.body,
        ));
    }
    drop(client);
    assert_intact(&root);

    let client = open(&root).unwrap();
    assert_eq!(std::fs::read_dir(root.join(".drafts")).unwrap().count(), 0);
    for (path, (content_type, body)) in paths.iter().zip(before) {
        let answer = client.get(path).await;
        assert_eq!(answer.header("content-type"), content_type.as_deref());
        assert!(answer.body == body, "for {path}");
    }
    let path = format!("/v2/team/web/blobs/{}", sha256(b"layer"));
    let part = client.with("Range", "bytes=1-3").get(&path).await;
    assert_eq!((part.status, part.text().as_str()), (206, "aye"));
    assert_eq!(client.head(&path).await.header("content-length"), Some("5"));

    // Gone here, gone there; a blob stays where another repository has it.
    let blob = format!("/v2/team/web/blobs/{loose}");
    for path in ["/v2/team/web/manifests/v1", &paths[1], &blob] {
        assert_eq!(client.ask("DELETE", path, b"").await.status, 202, "{path}");
    }
    drop(client);
    assert_intact(&root);
    let client = open(&root).unwrap();
    for path in ["/v2/team/web/manifests/v2", &paths[1], &blob] {
        assert_eq!(client.get(path).await.status, 404, "for {path}");
    }
    assert_eq!(client.get(&paths[3]).await.text(), "loose");
}

#[tokio::test]
async fn directories_that_are_refused() {
    let home = TempDir::new().unwrap();
    let root = home.path().join("store");
    let client = open(&root).unwrap();
    let why = |outcome: Result<Client, BuildError>| match outcome {
        Err(BuildError::Store { source, .. }) => source,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    };
    assert!(matches!(why(open(&root)), StoreError::InUse(_)));
    push(&client, "a", b"{}").await;
    let image = manifest(&[], &json!({}));
    put(&client, "/v2/a/manifests/v1", &image).await;
    drop(client);
    let layout = root.join("a");
    assert!(matches!(why(open(&layout)), StoreError::Layout(_)));
    let hex = sha256(&image).replace("sha256:", "");
    let path = layout.join("blobs/sha256").join(hex);
    std::fs::write(&path, b"other bytes").unwrap();
    assert!(matches!(why(open(&root)), StoreError::Content { .. }));
    std::fs::write(&path, &image).unwrap();
    std::fs::write(layout.join("index.json"), b"{").unwrap();
    assert!(matches!(why(open(&root)), StoreError::Index { .. }));
    std::fs::write(&path, &image).unwrap();
    std::fs::remove_file(layout.join("index.json")).unwrap();
    assert!(
        open(&root).is_ok(),
        "a layout without an index has no manifests"
    );
}

#[tokio::test]
async fn many_push_the_same_at_once() {
    let home = TempDir::new().unwrap();
    let client = open(home.path()).unwrap();
    let bytes = vec![7_u8; 200 << 10];
    let digest = sha256(&bytes);
    let pushes = (0..12).map(|number| {
        let (client, bytes) = (client.clone(), bytes.clone());
        tokio::spawn(async move {
            let repository = format!("team/app-{}", number % 3);
            push(&client, &repository, &bytes).await;
            push(&client, &repository, b"{}").await;
            let image = manifest(&[&bytes], &json!({}));
            let path = format!("/v2/{repository}/manifests/v{number}");
            put(&client, &path, &image).await;
        })
    });
    for push in pushes.collect::<Vec<_>>() {
        push.await.unwrap();
    }
    assert_intact(home.path());
    for number in 0..3 {
        let path = format!("/v2/team/app-{number}/blobs/{digest}");
        assert!(client.get(&path).await.body == bytes);
        let tags = client
            .get(&format!("/v2/team/app-{number}/tags/list"))
            .await;
        assert_eq!(tags.json()["tags"].as_array().unwrap().len(), 4);
    }
}

#[tokio::test]
async fn skopeo_reads_it_without_a_registry() {
    if Command::new("skopeo").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "skopeo is missing");
        eprintln!("skipped: no skopeo");
        return;
    }
    let home = TempDir::new().unwrap();
    let root = home.path().join("store");
    let registry = FakeRegistry::builder()
        .host(HostSpec::new(HOST).directory(&root))
        .image(HOST, "team/web:v1 linux/amd64,linux/arm64 2x64KiB")
        .image(HOST, "team/web:v2 1x4KiB")
        .build()
        .unwrap();
    drop(registry);
    let copy = home.path().join("copy");
    for tag in ["v1", "v2"] {
        let source = format!("oci:{}:{tag}", root.join("team+web").display());
        let output = Command::new("skopeo")
            .args(["--insecure-policy", "--tmpdir"])
            .arg(home.path())
            .args(["copy", "--all", &source])
            .arg(format!("oci:{}:{tag}", copy.display()))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}");
    }
    let blobs = |path: &Path| files(&path.join("blobs"));
    assert!(blobs(&root.join("team+web")) == blobs(&copy));
}

/// The program on a port of its own, with its content in a directory.
struct Program {
    child: Child,
    address: String,
}

impl Program {
    fn start(home: &Path) -> Self {
        let config = home.join("config.yaml");
        let text = format!(
            "any-host: localhost\nhosts:\n  - name: localhost\n    directory: {}\n",
            home.join("store").display()
        );
        std::fs::write(&config, text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_fake-registry"))
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(&config)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().expect("the store opens").unwrap();
        let address = line.rsplit("://").next().unwrap().to_owned();
        Self { child, address }
    }

    /// SIGKILL, and its end awaited.
    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn memory(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(path).unwrap();
        let line = text.lines().find(|line| line.starts_with(field)).unwrap();
        let digits = line.split_whitespace().nth(1).unwrap();
        digits.parse::<u64>().unwrap() << 10
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A request over a connection of its own; none if that breaks.
fn ask(address: &str, method: &str, path: &str, kind: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address).ok()?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    )
    .ok()?;
    stream.write_all(body).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer[end + 4..].to_vec()))
}

const BLOB: &str = "application/octet-stream";

#[test]
fn killed_while_pushing_it_keeps_what_it_answered_for() {
    let home = TempDir::new().unwrap();
    let root = home.path().join("store");
    let mut promised: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    // Killed after so many answers, in the middle of whatever the others are at.
    for (round, after) in [1, 9, 40, 80, 160].into_iter().enumerate() {
        let mut program = Program::start(home.path());
        let answered = Arc::new(AtomicUsize::new(0));
        let (tell, told) = mpsc::channel();
        let pushers = (0..3).map(|pusher| {
            let (address, answered, tell) =
                (program.address.clone(), answered.clone(), tell.clone());
            std::thread::spawn(move || {
                let mut kept = Vec::new();
                for number in 0.. {
                    let repository = format!("team/app-{}", number % 2);
                    let layer = format!("{round} {pusher} {number} ").repeat(4000);
                    let layer = layer.as_bytes();
                    let image = manifest(&[layer], &json!({}));
                    let tag = format!("v{round}-{pusher}-{number}");
                    let posts = [(sha256(b"{}"), &b"{}"[..]), (sha256(layer), layer)];
                    for (digest, bytes) in posts {
                        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
                        match ask(&address, "POST", &path, BLOB, bytes) {
                            Some((201, _)) => {}
                            None => return kept,
                            Some(other) => panic!("{other:?}"),
                        }
                        kept.push((format!("/v2/{repository}/blobs/{digest}"), bytes.to_vec()));
                        answered.fetch_add(1, Ordering::Relaxed);
                        let _ = tell.send(());
                    }
                    let path = format!("/v2/{repository}/manifests/{tag}");
                    match ask(&address, "PUT", &path, OCI_MANIFEST, &image) {
                        Some((201, _)) => kept.push((path, image)),
                        None => return kept,
                        Some(other) => panic!("{other:?}"),
                    }
                    let _ = tell.send(());
                }
                kept
            })
        });
        let pushers: Vec<_> = pushers.collect();
        for () in told.iter().take(after) {}
        program.kill();
        for pusher in pushers {
            promised.extend(pusher.join().unwrap());
        }
        assert_intact(&root);
    }
    assert!(promised.len() > 100, "only {} pushed", promised.len());
    let program = Program::start(home.path());
    for (path, bytes) in &promised {
        let (status, body) = ask(&program.address, "GET", path, BLOB, b"").unwrap();
        assert_eq!(status, 200, "for {path}");
        assert!(body == *bytes, "for {path}");
    }
    assert_eq!(std::fs::read_dir(root.join(".drafts")).unwrap().count(), 0);
}

#[test]
fn memory_does_not_grow_with_content() {
    let home = TempDir::new().unwrap();
    let program = Program::start(home.path());
    let bytes = vec![3_u8; 64 << 20];
    let mut digests = Vec::new();
    for number in 0..3_u8 {
        let mut bytes = bytes.clone();
        bytes[0] = number;
        let digest = sha256(&bytes);
        let path = format!("/v2/a/blobs/uploads/?digest={digest}");
        let answer = ask(&program.address, "POST", &path, BLOB, &bytes);
        assert_eq!(answer.unwrap().0, 201);
        digests.push(digest);
    }
    for digest in &digests {
        let path = format!("/v2/a/blobs/{digest}");
        let (status, body) = ask(&program.address, "GET", &path, BLOB, b"").unwrap();
        assert_eq!((status, sha256(&body)), (200, digest.clone()));
    }
    let peak = program.memory("VmHWM");
    assert!(peak < 64 << 20, "{} MiB for 192 MiB of content", peak >> 20);
}
