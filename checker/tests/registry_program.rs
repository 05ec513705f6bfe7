//! `pullcheck image` against a real registry program, Debian's `docker-registry`, over TCP.
//!
//! The test starts it on a free port of loopback with its store in memory, pushes an image by raw
//! HTTP requests, and reads what the built binary says. Without the program it says so and skips;
//! where `CI` is set it fails instead.

#![expect(
    clippy::indexing_slicing,
    reason = "a missing member of JSON is null, and that fails the test"
)]

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const PROGRAM: &str = "docker-registry";

struct Registry {
    child: Child,
    at: SocketAddr,
    _folder: Folder,
}

/// A folder of its own that goes away with the test.
struct Folder(std::path::PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    /// None when the program is not installed.
    fn start(name: &str, extra: &str) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0")
            .expect("a free port")
            .local_addr()
            .expect("bound")
            .port();
        let at = SocketAddr::from(([127, 0, 0, 1], port));
        let folder =
            std::env::temp_dir().join(format!("pullcheck-{name}-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let config = folder.join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{inmemory: {{}}}}\nhttp: {{addr: '{at}'}}\n{extra}"
        );
        std::fs::write(&config, text.replace("FOLDER", &folder.to_string_lossy()))
            .expect("written");
        let folder = Folder(folder);
        let started = Command::new(PROGRAM)
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match started {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                assert!(
                    std::env::var_os("CI").is_none(),
                    "CI must have `{PROGRAM}` installed"
                );
                eprintln!(
                    "SKIPPED: `{PROGRAM}` is not installed (Debian: apt-get install docker-registry)"
                );
                return None;
            }
            Err(error) => panic!("`{PROGRAM}` cannot be started: {error}"),
        };
        let registry = Self {
            child,
            at,
            _folder: folder,
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "a real program on real sockets lives in real time"
        )]
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            if TcpStream::connect(at).is_ok() {
                return Some(registry);
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "a real program on real sockets lives in real time"
            )]
            let now = Instant::now();
            assert!(now < end, "`{PROGRAM}` does not listen on {at}");
            #[expect(
                clippy::disallowed_methods,
                reason = "a real program on real sockets lives in real time"
            )]
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// One request; status, headers in lower case, body.
    fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.at).expect("it listens");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            self.at,
            body.len()
        );
        stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body))
            .expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("answered");
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse().ok())
            .expect("a status");
        (status, text)
    }

    fn push_blob(&self, repository: &str, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        let (status, head) = self.send(
            "POST",
            &format!("/v2/{repository}/blobs/uploads/"),
            "text/plain",
            b"",
        );
        assert_eq!(status, 202, "{head}");
        let line = head
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with("location:"))
            .expect("a location");
        let url = line.split_once(':').expect("a value").1.trim();
        let path = url
            .strip_prefix(&format!("http://{}", self.at))
            .unwrap_or(url);
        let joint = if path.contains('?') { '&' } else { '?' };
        let put = self.send(
            "PUT",
            &format!("{path}{joint}digest={digest}"),
            "application/octet-stream",
            bytes,
        );
        assert_eq!(put.0, 201, "{}", put.1);
        json!({"digest": digest, "size": bytes.len()})
    }

    fn push_image(&self, repository: &str, tag: &str) {
        let layer = self.push_blob(repository, b"not really a layer, but bytes with a digest");
        let config = json!({"architecture": architecture(), "os": "linux", "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}, "config": {}});
        let config = self.push_blob(repository, config.to_string().as_bytes());
        let typed = |mut descriptor: Value, kind: &str| {
            descriptor["mediaType"] = json!(kind);
            descriptor
        };
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": kind,
            "config": typed(config, "application/vnd.oci.image.config.v1+json"),
            "layers": [typed(layer, "application/vnd.oci.image.layer.v1.tar")],
        });
        let put = self.send(
            "PUT",
            &format!("/v2/{repository}/manifests/{tag}"),
            kind,
            manifest.to_string().as_bytes(),
        );
        assert_eq!(put.0, 201, "{}", put.1);
    }
}

fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    }
}

fn digest(bytes: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn pullcheck(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pullcheck"))
        .args(arguments)
        .env_remove("COLUMNS")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    // A command that does not read it may be gone already.
    let _ = child
        .stdin
        .take()
        .expect("piped")
        .write_all(input.as_bytes());
    child.wait_with_output().expect("it ends")
}

fn report(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr))
    })
}

#[test]
fn a_good_tag_a_bad_tag_a_bad_repository() {
    let Some(registry) = Registry::start("open", "") else {
        return;
    };
    registry.push_image("shop/api", "1.8");
    registry.push_image("shop/api", "1.9");
    // Plain HTTP by the flag, and without it because the host is this machine, as containerd does.
    for flag in [&["--plain-http"][..], &[][..]] {
        let good = format!("{}/shop/api:1.9", registry.at);
        let output = pullcheck(
            &[&["image", &good, "--output", "json"][..], flag].concat(),
            "",
        );
        let found = report(&output);
        assert_eq!(found["verdict"], "pullable", "{found:#}");
        assert_eq!(output.status.code(), Some(0));

        let bad = format!("{}/shop/api:1.91", registry.at);
        let output = pullcheck(
            &[&["image", &bad, "--output", "json"][..], flag].concat(),
            "",
        );
        let found = report(&output);
        assert_eq!(
            (&found["verdict"], &found["cause"]),
            (&json!("blocked"), &json!("tag-not-found")),
            "{found:#}"
        );
        assert_eq!(output.status.code(), Some(1));
    }
    let bad = format!("{}/shop/api:1.91", registry.at);
    let text = pullcheck(&["image", &bad], "");
    let page = String::from_utf8_lossy(&text.stdout);
    assert!(
        page.starts_with("BLOCKED tag-not-found (at manifest): "),
        "{page}"
    );
    assert!(page.contains("`1.9`"), "the nearest tag is named: {page}");
    assert!(!page.contains('\u{1b}'), "no colour in a pipe: {page:?}");

    let none = format!("{}/shop/nothing:1", registry.at);
    let found = report(&pullcheck(&["image", &none, "--output", "json"], ""));
    assert_eq!(found["cause"], "repository-not-found", "{found:#}");
}

#[test]
fn a_registry_that_wants_a_password() {
    // `letmein` with bcrypt at cost 5.
    let users = "visitor:$2y$05$HNu3gVvXVDRsYV4hMFVPwuYrw9uJj4vJ7xYNXBAs7HrxgqNQhVpeq\n";
    let folder =
        Folder(std::env::temp_dir().join(format!("pullcheck-users-{}", std::process::id())));
    std::fs::create_dir_all(&folder.0).expect("a folder");
    let file = folder.0.join("users");
    std::fs::write(&file, users).expect("written");
    let extra = format!(
        "auth: {{htpasswd: {{realm: test, path: '{}'}}}}\n",
        file.display()
    );
    let Some(registry) = Registry::start("locked", &extra) else {
        return;
    };
    let image = format!("{}/shop/api:1.9", registry.at);
    let output = pullcheck(&["image", &image, "--output", "json"], "");
    let found = report(&output);
    assert_eq!(found["cause"], "credentials-missing", "{found:#}");
    let wrong = pullcheck(
        &[
            "image",
            &image,
            "-o",
            "json",
            "--username",
            "visitor",
            "--password-stdin",
        ],
        "s3cret-wrong\n",
    );
    let found = report(&wrong);
    assert_eq!(found["cause"], "credentials-wrong", "{found:#}");
    assert!(!String::from_utf8_lossy(&wrong.stdout).contains("s3cret-wrong"));
}
