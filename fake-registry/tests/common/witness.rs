//! Programs that bear witness, and the way for them to the fake: a proxy that leads every host
//! name to one address, so that a client of Azure needs no other setting than its CA.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::print_stderr, reason = "a test says that it skips")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use fake_registry::{FakeRegistry, Scheme, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The program of a witness that was prepared before; in CI it has to be there.
pub(crate) fn prepared(name: &str) -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/witness/prepare");
    let output = Command::new("bash")
        .arg(script)
        .args(["find", name])
        .output();
    let found = output.ok().filter(|output| output.status.success());
    if let Some(output) = found {
        return Some(String::from_utf8(output.stdout).unwrap().trim().into());
    }
    skip(&format!(
        "`{name}` is not there: run fake-registry/tests/witness/prepare {name}"
    ));
    None
}

/// Whether programs of this machine are there; in CI they have to be.
pub(crate) fn installed(programs: &[&str]) -> bool {
    let missing = programs
        .iter()
        .find(|program| Command::new(program).arg("--version").output().is_err());
    if let Some(program) = missing {
        skip(&format!("{program} is not installed on this machine"));
    }
    missing.is_none()
}

pub(crate) fn skip(why: &str) {
    assert!(
        std::env::var_os("CI").is_none(),
        "{why}, and CI has to have it"
    );
    eprintln!("skipped: {why}");
}

/// A registry over TLS, its CA in a file, and the proxy to it.
pub(crate) struct Cloud {
    pub(crate) registry: FakeRegistry,
    pub(crate) server: Server,
    pub(crate) proxy: SocketAddr,
    proxying: JoinHandle<()>,
}

impl Cloud {
    pub(crate) async fn start(registry: FakeRegistry, ca: &Path) -> Self {
        std::fs::write(ca, registry.ca_pem()).unwrap();
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = registry.listen_as(loopback, Scheme::Https).await.unwrap();
        let listener = TcpListener::bind(loopback).await.unwrap();
        let proxy = listener.local_addr().unwrap();
        let to = server.address();
        let proxying = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(lead(client, to));
            }
        });
        Self {
            registry,
            server,
            proxy,
            proxying,
        }
    }

    /// What a program of Azure is to be run with.
    pub(crate) fn settings(&self, home: &Path, ca: &Path) -> Vec<(&'static str, String)> {
        let proxy = format!("http://{}", self.proxy);
        let (home, ca) = (home.display().to_string(), ca.display().to_string());
        vec![
            ("HOME", home.clone()),
            ("AZURE_CONFIG_DIR", home),
            ("AZURE_CORE_COLLECT_TELEMETRY", "false".into()),
            ("HTTPS_PROXY", proxy),
            ("REQUESTS_CA_BUNDLE", ca.clone()),
            ("SSL_CERT_FILE", ca),
            ("LC_ALL", "C.UTF-8".into()),
        ]
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.proxying.abort();
    }
}

/// `CONNECT` to whatever host, and bytes both ways.
async fn lead(mut client: TcpStream, to: SocketAddr) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match client.read_u8().await {
            Ok(byte) if head.len() < 8192 => head.push(byte),
            _ => return,
        }
    }
    if !head.starts_with(b"CONNECT ") {
        let _ = client
            .write_all(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            .await;
        return;
    }
    let Ok(mut server) = TcpStream::connect(to).await else {
        return;
    };
    if client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.is_ok() {
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
}
