//! A raw client: writes a request as text, shows the answer as it came.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which may panic"
)]
#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod program;
pub(crate) mod tenant;
pub(crate) mod witness;

use fake_registry::{Conn, FakeRegistry, Scheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) const HOST: &str = "registry.example";

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The code of the first error in the envelope.
    pub(crate) fn code(&self) -> String {
        self.json()["errors"][0]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    pub(crate) fn message(&self) -> String {
        self.json()["errors"][0]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) registry: FakeRegistry,
    pub(crate) host: String,
    pub(crate) name: String,
    pub(crate) peer: String,
    pub(crate) headers: Vec<(String, String)>,
}

pub(crate) fn client(registry: &FakeRegistry) -> Client {
    Client {
        registry: registry.clone(),
        host: HOST.to_owned(),
        name: "node-1".to_owned(),
        peer: "10.0.0.4:40000".to_owned(),
        headers: Vec::new(),
    }
}

impl Client {
    pub(crate) fn at(&self, host: &str) -> Self {
        Self {
            host: host.to_owned(),
            ..self.clone()
        }
    }

    pub(crate) fn named(&self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..self.clone()
        }
    }

    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut new = self.clone();
        new.headers.push((name.to_owned(), value.to_owned()));
        new
    }

    pub(crate) fn bearer(&self, token: &str) -> Self {
        self.with("Authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn basic(&self, user: &str, password: &str) -> Self {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        self.with("Authorization", &format!("Basic {text}"))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, b"").await
    }

    pub(crate) async fn head(&self, path: &str) -> Answer {
        self.ask("HEAD", path, b"").await
    }

    pub(crate) async fn form(&self, path: &str, form: &str) -> Answer {
        let typed = self.with("Content-Type", "application/x-www-form-urlencoded");
        typed.ask("POST", path, form.as_bytes()).await
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
            self.host
        );
        for (name, value) in &self.headers {
            request += &[name, ": ", value, "\r\n"].concat();
        }
        if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
            request += &["Content-Length: ", &body.len().to_string(), "\r\n"].concat();
        }
        request.push_str("\r\n");
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        let raw = self.raw(&bytes).await;
        parse(&raw, method == "HEAD")
    }

    /// Sends bytes on a new connection and gives all that came back.
    pub(crate) async fn raw(&self, request: &[u8]) -> Vec<u8> {
        let (mut near, far) = tokio::io::duplex(64 << 10);
        let conn = Conn {
            peer: self.peer.parse().unwrap(),
            client: self.name.clone(),
            scheme: Scheme::Http,
        };
        let serving = tokio::spawn(self.registry.serve(far, conn));
        let mut answer = Vec::new();
        let (mut reader, mut writer) = tokio::io::split(&mut near);
        let send = async {
            // A server may answer and close before it has read everything.
            let _ = writer.write_all(request).await;
        };
        let ((), got) = tokio::join!(send, reader.read_to_end(&mut answer));
        got.unwrap();
        drop(near);
        serving.await.unwrap();
        answer
    }
}

pub(crate) fn parse(raw: &[u8], head_only: bool) -> Answer {
    let end = raw
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .unwrap_or_else(|| panic!("no head in {raw:?}"));
    let head = String::from_utf8(raw[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let answer = Answer {
        status,
        head,
        body: raw[end + 4..].to_vec(),
    };
    if head_only {
        assert!(answer.body.is_empty(), "a body after HEAD: {answer:?}");
    } else if let Some(length) = answer.header("content-length") {
        assert_eq!(length, answer.body.len().to_string(), "{}", answer.head);
    }
    answer
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    let hash = sha2::Sha256::digest(bytes);
    format!("sha256:{hash:x}")
}
