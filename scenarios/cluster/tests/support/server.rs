//! A scripted HTTP server on the simulated network: a function from request to reply, and a log.

use std::io::{self};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sim_cluster::clock::Clock;
use sim_cluster::net::{Host, Stream};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use super::image::{Image, MANIFEST, digest};

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) at: Duration,
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// What the script answers.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A whole answer; Content-Length is added unless a header says otherwise.
    Full {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// The head and only so many bytes of the body, then the connection closes.
    Cut {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
        after: usize,
    },
    /// The head and so many bytes, then silence.
    Stall {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
        after: usize,
    },
    /// The head and so many bytes, then a reset.
    ResetAfter {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
        after: usize,
    },
    /// The connection closes without an answer.
    Close,
    /// The connection is reset without an answer.
    Reset,
    /// No answer at all.
    Silence,
}

pub(crate) fn reply(status: u16) -> Reply {
    Reply::Full {
        status,
        headers: Vec::new(),
        body: Vec::new(),
    }
}

impl Reply {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        if let Self::Full { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    pub(crate) fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        if let Self::Full { body, .. } = &mut self {
            *body = bytes.into();
        }
        self
    }

    fn parts(self) -> (u16, Vec<(String, String)>, Vec<u8>) {
        match self {
            Self::Full {
                status,
                headers,
                body,
            } => (status, headers, body),
            other => panic!("{other:?} has no parts"),
        }
    }

    pub(crate) fn cut(self, after: usize) -> Self {
        let (status, headers, body) = self.parts();
        Self::Cut {
            status,
            headers,
            body,
            after,
        }
    }

    pub(crate) fn stall(self, after: usize) -> Self {
        let (status, headers, body) = self.parts();
        Self::Stall {
            status,
            headers,
            body,
            after,
        }
    }

    pub(crate) fn reset_after(self, after: usize) -> Self {
        let (status, headers, body) = self.parts();
        Self::ResetAfter {
            status,
            headers,
            body,
            after,
        }
    }
}

type Script = Arc<dyn Fn(&Seen) -> Reply + Send + Sync>;

/// A listening script.
#[derive(Clone)]
pub(crate) struct Server {
    script: Arc<Mutex<Script>>,
    log: Arc<Mutex<Vec<Seen>>>,
    clock: Clock,
}

impl Server {
    pub(crate) fn new(
        clock: Clock,
        script: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self {
            script: Arc::new(Mutex::new(Arc::new(script))),
            log: Arc::default(),
            clock,
        }
    }

    /// Replaces the script.
    pub(crate) fn set(&self, script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Arc::new(script);
    }

    pub(crate) fn log(&self) -> Vec<Seen> {
        self.log.lock().unwrap().clone()
    }

    /// `HEAD /v2/…` lines in order.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.log().iter().map(Seen::line).collect()
    }

    /// Listens without TLS.
    pub(crate) fn listen(&self, host: &Host, port: u16) {
        let server = self.clone();
        host.listen(
            port,
            Arc::new(move |stream, _| {
                let server = server.clone();
                tokio::spawn(async move {
                    let _ = server.serve(stream, |stream: Stream| stream.reset()).await;
                });
            }),
        );
    }

    /// Listens with TLS.
    pub(crate) fn listen_tls(&self, host: &Host, port: u16, certificate: &Certificate) {
        let server = self.clone();
        let acceptor = certificate.acceptor();
        host.listen(
            port,
            Arc::new(move |stream, _| {
                let (server, acceptor) = (server.clone(), acceptor.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let _ = server.serve(stream, |s| s.into_inner().0.reset()).await;
                    }
                });
            }),
        );
    }

    /// Listens at an address that only this host can reach.
    pub(crate) fn listen_local(&self, host: &Host, at: &str) {
        let server = self.clone();
        host.listen_local(
            at.parse().unwrap(),
            Arc::new(move |stream, _| {
                let server = server.clone();
                tokio::spawn(async move {
                    let _ = server.serve(stream, |stream: Stream| stream.reset()).await;
                });
            }),
        );
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        mut stream: S,
        reset: impl FnOnce(S),
    ) -> io::Result<()> {
        let mut kept = Vec::new();
        while let Some(mut seen) = read_request(&mut stream, &mut kept).await? {
            seen.at = self.clock.elapsed();
            self.log.lock().unwrap().push(seen.clone());
            let script = Arc::clone(&self.script.lock().unwrap());
            let head_only = seen.method == "HEAD";
            match script(&seen) {
                Reply::Full {
                    status,
                    headers,
                    body,
                } => {
                    stream
                        .write_all(&head(status, &headers, body.len()))
                        .await?;
                    if !head_only {
                        stream.write_all(&body).await?;
                    }
                    stream.flush().await?;
                }
                Reply::Cut {
                    status,
                    headers,
                    body,
                    after,
                } => {
                    stream
                        .write_all(&head(status, &headers, body.len()))
                        .await?;
                    stream.write_all(&body[..after]).await?;
                    stream.shutdown().await?;
                    return Ok(());
                }
                Reply::Stall {
                    status,
                    headers,
                    body,
                    after,
                } => {
                    stream
                        .write_all(&head(status, &headers, body.len()))
                        .await?;
                    stream.write_all(&body[..after]).await?;
                    stream.flush().await?;
                    std::future::pending::<()>().await;
                }
                Reply::ResetAfter {
                    status,
                    headers,
                    body,
                    after,
                } => {
                    stream
                        .write_all(&head(status, &headers, body.len()))
                        .await?;
                    stream.write_all(&body[..after]).await?;
                    stream.flush().await?;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    reset(stream);
                    return Ok(());
                }
                Reply::Close => {
                    stream.shutdown().await?;
                    return Ok(());
                }
                Reply::Reset => {
                    reset(stream);
                    return Ok(());
                }
                Reply::Silence => std::future::pending::<()>().await,
            }
        }
        Ok(())
    }
}

fn head(status: u16, headers: &[(String, String)], length: usize) -> Vec<u8> {
    let phrase = http::StatusCode::from_u16(status)
        .unwrap()
        .canonical_reason()
        .unwrap_or("");
    let mut text = format!("HTTP/1.1 {status} {phrase}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !headers
        .iter()
        .any(|(n, _)| n.eq_ignore_ascii_case("content-length"))
    {
        text.push_str(&format!("Content-Length: {length}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

async fn read_request<S: AsyncRead + Unpin>(
    stream: &mut S,
    kept: &mut Vec<u8>,
) -> io::Result<Option<Seen>> {
    let end = loop {
        if let Some(at) = kept.windows(4).position(|w| w == b"\r\n\r\n") {
            break at;
        }
        let mut buffer = [0; 4096];
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return Ok(None);
        }
        kept.extend_from_slice(&buffer[..n]);
    };
    let text = String::from_utf8_lossy(&kept[..end]).into_owned();
    kept.drain(..end + 4);
    let mut lines = text.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let mut seen = Seen {
        method: first.next().unwrap_or_default().to_owned(),
        path: first.next().unwrap_or_default().to_owned(),
        ..Seen::default()
    };
    for line in lines {
        if let Some((name, value)) = line.split_once(':') {
            seen.headers
                .push((name.to_owned(), value.trim().to_owned()));
        }
    }
    let length: usize = seen.header("content-length").parse().unwrap_or(0);
    while kept.len() < length {
        let mut buffer = [0; 4096];
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return Ok(None);
        }
        kept.extend_from_slice(&buffer[..n]);
    }
    seen.body = String::from_utf8_lossy(&kept[..length]).into_owned();
    kept.drain(..length);
    Ok(Some(seen))
}

/// A certificate and its key, and what a node must trust.
pub(crate) struct Certificate {
    chain: Vec<rustls::pki_types::CertificateDer<'static>>,
    key: Vec<u8>,
    pub(crate) ca: Vec<u8>,
    now: i64,
}

impl Certificate {
    /// Signed by a CA of its own, valid for these names between these dates (`YYYY-MM-DD`).
    pub(crate) fn new(
        names: &[&str],
        from: (i32, u8, u8),
        until: (i32, u8, u8),
        clock: Clock,
    ) -> Self {
        let ca_key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let mut ca = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        ca.distinguished_name.push(
            rcgen::DnType::CommonName,
            format!("CA of {}", names.join(" ")),
        );
        ca.not_before = rcgen::date_time_ymd(2020, 1, 1);
        ca.not_after = rcgen::date_time_ymd(2040, 1, 1);
        let ca_certificate = ca.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::new(ca, ca_key);
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let mut leaf = rcgen::CertificateParams::new(
            names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>(),
        )
        .unwrap();
        leaf.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        leaf.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        Self {
            chain: vec![leaf.der().clone()],
            key: key.serialize_der(),
            ca: ca_certificate.der().to_vec(),
            now: clock.now().as_second(),
        }
    }

    pub(crate) fn valid(names: &[&str], clock: Clock) -> Self {
        Self::new(names, (2025, 1, 1), (2035, 1, 1), clock)
    }

    fn acceptor(&self) -> TlsAcceptor {
        #[derive(Debug)]
        struct Fixed(i64);
        impl rustls::time_provider::TimeProvider for Fixed {
            fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
                let seconds = u64::try_from(self.0).ok()?;
                Some(rustls::pki_types::UnixTime::since_unix_epoch(
                    Duration::from_secs(seconds),
                ))
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            rustls::ServerConfig::builder_with_details(provider, Arc::new(Fixed(self.now)))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(
                    self.chain.clone(),
                    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone())),
                )
                .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Serves an image as a registry would: manifest by tag and digest, config and layers by digest.
pub(crate) fn serve_image(seen: &Seen, image: &Image) -> Reply {
    let path = seen.path.split('?').next().unwrap();
    let bytes = [&image.manifest, &image.config]
        .into_iter()
        .chain(&image.layers);
    let by_digest = bytes.into_iter().find(|b| path.ends_with(&digest(b)));
    if path.contains("/manifests/") {
        let manifest = by_digest.unwrap_or(&image.manifest);
        return reply(200)
            .header("Content-Type", MANIFEST)
            .header("Docker-Content-Digest", &digest(manifest))
            .body(manifest.clone());
    }
    match by_digest {
        Some(blob) => reply(200)
            .header("Content-Type", "application/octet-stream")
            .body(blob.clone()),
        None => reply(404),
    }
}
