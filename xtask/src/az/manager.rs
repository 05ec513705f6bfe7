//! Azure Resource Manager over the gateway: CONNECT, TLS with the cluster's authority, one request a
//! connection. The token goes to no other host.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use pull_scenarios::az::{AzError, HOST, Manager};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

const MAX_ANSWER: usize = 4 * 1024 * 1024;
const DEADLINE: Duration = Duration::from_mins(1);

/// What the cluster left: where its gateway is, whom to trust, who asks.
#[derive(Debug)]
pub(super) struct Settings {
    proxy: SocketAddr,
    authority: PathBuf,
    token: PathBuf,
}

impl Settings {
    pub(super) fn read(path: &Path) -> Result<Self, AzError> {
        let wrong = |why: String| AzError::Usage(format!("{}: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let value: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let field = |name: &str| {
            let found = value.get(name).and_then(Value::as_str);
            found.ok_or_else(|| wrong(format!("no `{name}`")))
        };
        Ok(Self {
            proxy: field("proxy")?
                .parse()
                .map_err(|_| wrong("`proxy` is no address".to_owned()))?,
            authority: field("authority")?.into(),
            token: field("token")?.into(),
        })
    }
}

pub(super) struct Gateway {
    settings: Settings,
}

impl Manager for Gateway {
    fn token(&self) -> Result<String, AzError> {
        let text = std::fs::read_to_string(&self.settings.token);
        let text = text.map_err(|error| AzError::NoAnswer(error.to_string()))?;
        Ok(text.trim().to_owned())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, AzError> {
        let token = self.token()?;
        let asked = tokio::time::timeout(DEADLINE, self.ask(method, path, body, &token));
        let (status, bytes) = asked
            .await
            .map_err(|_| AzError::NoAnswer("a minute is over".to_owned()))?
            .map_err(|error| AzError::NoAnswer(error.to_string()))?;
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            return Ok(answer);
        }
        Err(AzError::refused(status, &answer))
    }
}

impl Gateway {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        token: &str,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let stream = self.tunnel().await?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&self.settings.authority)? {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from(HOST)?, stream)
            .await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let text = body.map(ToString::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, HOST)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(text)))?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER)
            .collect()
            .await?;
        Ok((status, body.to_bytes()))
    }

    async fn tunnel(
        &self,
    ) -> Result<TokioIo<hyper::upgrade::Upgraded>, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(self.settings.proxy).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection.with_upgrades());
        let target = format!("{HOST}:443");
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri(&target)
            .header(header::HOST, &target)
            .body(Full::new(Bytes::new()))?;
        let answer = sender.send_request(request).await?;
        if !answer.status().is_success() {
            return Err(format!("the gateway answers {}", answer.status()).into());
        }
        Ok(TokioIo::new(hyper::upgrade::on(answer).await?))
    }
}
