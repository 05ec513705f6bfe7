//! A small network for tests: names, addresses, and what answers there. No sockets.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fake_registry::{Conn, FakeRegistry, Scheme};
use futures::future::BoxFuture;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair, PKCS_ED25519};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;

use crate::world::{
    BoxStream, DialError, DnsError, Host, Net, Place, Resolved, Trust, Vantage, WallClock,
};

pub(super) type Acceptor = Arc<dyn Fn(DuplexStream) + Send + Sync>;

/// What happens to a dial.
#[derive(Clone)]
pub(super) enum There {
    Answers(Acceptor),
    Refuses,
    Drops,
}

#[derive(Clone, Default)]
pub(super) struct TestNet {
    names: BTreeMap<String, Result<Vec<IpAddr>, DnsError>>,
    there: BTreeMap<SocketAddr, There>,
    dialled: Arc<Mutex<Vec<SocketAddr>>>,
}

impl TestNet {
    pub(super) fn name(mut self, name: &str, addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        self.names.insert(name.to_owned(), Ok(addresses));
        self
    }

    pub(super) fn fails(mut self, name: &str, error: DnsError) -> Self {
        self.names.insert(name.to_owned(), Err(error));
        self
    }

    pub(super) fn there(mut self, at: &str, there: There) -> Self {
        self.there.insert(at.parse().unwrap(), there);
        self
    }

    pub(super) fn dialled(&self) -> Vec<String> {
        self.dialled
            .lock()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    pub(super) fn place(&self, roots: impl IntoIterator<Item = Vec<u8>>) -> Place {
        Place::new(
            Vantage::node("n1"),
            Arc::new(self.clone()),
            Trust::roots(roots),
        )
    }
}

impl Net for TestNet {
    fn resolve<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<Resolved, DnsError>> {
        let server = Some("10.0.0.10:53".to_owned());
        let answer = match self.names.get(host.name().unwrap_or_default()) {
            Some(Ok(addresses)) => Ok(Resolved {
                addresses: addresses.clone(),
                aliases: Vec::new(),
                server,
            }),
            Some(Err(error)) => Err(error.clone()),
            None => Err(DnsError::NxDomain { server }),
        };
        Box::pin(async move { answer })
    }

    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, Result<BoxStream, DialError>> {
        self.dialled.lock().unwrap().push(to);
        let there = self.there.get(&to).cloned();
        Box::pin(async move {
            match there {
                Some(There::Answers(accept)) => {
                    let (ours, theirs) = tokio::io::duplex(64 * 1024);
                    accept(theirs);
                    Ok(Box::new(ours) as BoxStream)
                }
                Some(There::Refuses) => Err(DialError::Refused),
                Some(There::Drops) => {
                    sleep(std::time::Duration::from_secs(127)).await;
                    Err(DialError::TimedOut)
                }
                None => Err(DialError::NoRoute),
            }
        })
    }
}

/// Wall time that follows tokio's clock.
pub(super) struct TestClock(Instant);

impl TestClock {
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }
}

impl WallClock for TestClock {
    fn now(&self) -> Timestamp {
        let start: Timestamp = "2026-01-15T09:00:00Z".parse().unwrap();
        start + jiff::SignedDuration::try_from(self.0.elapsed()).unwrap()
    }
}

/// The fake registry behind an address.
pub(super) fn registry(registry: &FakeRegistry, scheme: Scheme) -> There {
    let registry = registry.clone();
    There::Answers(Arc::new(move |stream| {
        let peer = "10.244.0.1:40000".parse().unwrap();
        tokio::spawn(registry.serve(
            stream,
            Conn {
                peer,
                client: "n1".into(),
                scheme,
            },
        ));
    }))
}

/// A request as a scripted server saw it.
#[derive(Clone, Debug)]
pub(super) struct Got {
    pub(super) line: String,
    pub(super) host: String,
    pub(super) authorization: Option<String>,
    pub(super) body: String,
}

/// An answer of a scripted server.
pub(super) struct Say {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

pub(super) fn say(status: u16, body: impl Into<Vec<u8>>) -> Say {
    Say {
        status,
        headers: Vec::new(),
        body: body.into(),
    }
}

impl Say {
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A server that answers by a function, over TLS if it has a certificate, and keeps what it got.
#[derive(Clone)]
pub(super) struct Script {
    answer: Arc<dyn Fn(&Got) -> Say + Send + Sync>,
    got: Arc<Mutex<Vec<Got>>>,
    tls: Option<Arc<ServerConfig>>,
}

impl Script {
    pub(super) fn new(answer: impl Fn(&Got) -> Say + Send + Sync + 'static) -> Self {
        Self {
            answer: Arc::new(answer),
            got: Arc::default(),
            tls: None,
        }
    }

    pub(super) fn with_tls(mut self, tls: Arc<ServerConfig>) -> Self {
        self.tls = Some(tls);
        self
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.got
            .lock()
            .unwrap()
            .iter()
            .map(|got| got.line.clone())
            .collect()
    }

    pub(super) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    pub(super) fn there(&self) -> There {
        let script = self.clone();
        There::Answers(Arc::new(move |stream| {
            let script = script.clone();
            tokio::spawn(async move {
                match script.tls.clone() {
                    None => script.serve(stream).await,
                    Some(tls) => {
                        if let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await {
                            script.serve(stream).await;
                        }
                    }
                }
            });
        }))
    }

    async fn serve(
        &self,
        stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    ) {
        let service = service_fn(move |request: http::Request<Incoming>| async move {
            let (head, body) = request.into_parts();
            let body = body
                .collect()
                .await
                .map(http_body_util::Collected::to_bytes)
                .unwrap_or_default();
            let text = |name: &str| {
                head.headers
                    .get(name)
                    .and_then(|value| value.to_str().ok())
                    .map(str::to_owned)
            };
            let got = Got {
                line: format!("{} {}", head.method, head.uri),
                host: text("host").unwrap_or_default(),
                authorization: text("authorization"),
                body: String::from_utf8_lossy(&body).into_owned(),
            };
            self.got.lock().unwrap().push(got.clone());
            let say = (self.answer)(&got);
            let mut response = http::Response::builder().status(say.status);
            for (name, value) in say.headers {
                response = response.header(name, value);
            }
            Ok::<_, Infallible>(response.body(Full::new(Bytes::from(say.body))).unwrap())
        });
        let _ = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }
}

/// A certificate authority for scripted servers.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
        }
    }

    pub(super) fn der(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    /// A certificate by this authority, as PEM.
    pub(super) fn signed(&self, mut params: CertificateParams, key: &KeyPair) -> String {
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        params.signed_by(key, &self.issuer).unwrap().pem()
    }

    /// A chain for these names, and its key.
    pub(super) fn leaf(
        &self,
        names: &[&str],
    ) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let chain = vec![
            CertificateDer::from(leaf.der().to_vec()),
            CertificateDer::from(self.der()),
        ];
        (chain, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    pub(super) fn server(
        &self,
        names: &[&str],
        from: (i32, u8, u8),
        to: (i32, u8, u8),
    ) -> Arc<ServerConfig> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(to.0, to.1, to.2);
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let chain = vec![
            CertificateDer::from(leaf.der().to_vec()),
            CertificateDer::from(self.der()),
        ];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Arc::new(config)
    }
}
