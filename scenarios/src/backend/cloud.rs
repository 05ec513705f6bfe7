//! Azure Resource Manager as the workstation reaches it, over whatever network the workstation has: what
//! carries the requests of `az`.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use pullcheck::world::{Host, Net, WallClock};
use serde_json::Value;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::time_provider::TimeProvider;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::az::{self, AzError, HOST, Manager, Words};
use crate::backend::StepError;
use crate::remedy::Command;

/// A person at the workstation who is signed in to Azure.
pub(super) struct Az {
    pub(super) workstation: Arc<dyn Net>,
    pub(super) authority: Vec<u8>,
    pub(super) clock: Arc<dyn WallClock>,
    pub(super) token: String,
}

impl Az {
    /// What `az` does with one command of a remedy.
    pub(super) async fn run(&self, command: &Command) -> Result<(), StepError> {
        let words = command
            .az()
            .ok_or_else(|| StepError::Failed(format!("`{command}` is no command of a cloud")))?;
        let words = Words::read(&words).map_err(|error| StepError::failed(&error))?;
        az::carry_out(self, &words)
            .await
            .map(drop)
            .map_err(|error| StepError::failed(&error))
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Bytes), StepError> {
        let text = body.map(ToString::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, HOST)
            .header(
                http::header::AUTHORIZATION,
                format!("Bearer {}", self.token),
            )
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(text)))
            .map_err(|error| StepError::failed(&error))?;
        let stream = self.connect().await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| StepError::failed(&error))?;
        let driver = tokio::spawn(connection);
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| StepError::failed(&error))?;
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|error| StepError::failed(&error))?;
        driver.abort();
        Ok((status, body.to_bytes()))
    }

    async fn connect(
        &self,
    ) -> Result<impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static, StepError>
    {
        let host = Host::parse(HOST).map_err(|error| StepError::failed(&error))?;
        let found = self
            .workstation
            .resolve(&host)
            .await
            .map_err(|error| StepError::failed(&error))?;
        let address = found
            .addresses
            .first()
            .copied()
            .ok_or_else(|| StepError::Failed(format!("{HOST} has no address")))?;
        let stream = self
            .workstation
            .dial(SocketAddr::new(address, 443))
            .await
            .map_err(|error| StepError::failed(&error))?;
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from(self.authority.clone()))
            .map_err(|error| StepError::failed(&error))?;
        let provider = Arc::new(crypto::ring::default_provider());
        let config =
            ClientConfig::builder_with_details(provider, Arc::new(Today(Arc::clone(&self.clock))))
                .with_safe_default_protocol_versions()
                .map_err(|error| StepError::failed(&error))?
                .with_root_certificates(roots)
                .with_no_client_auth();
        let name = ServerName::try_from(HOST).map_err(|error| StepError::failed(&error))?;
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .map_err(|error| StepError::failed(&error))
    }
}

impl Manager for Az {
    fn token(&self) -> Result<String, AzError> {
        Ok(self.token.clone())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, AzError> {
        let asked = self.ask(method, path, body).await;
        let (status, bytes) = asked.map_err(|error| AzError::NoAnswer(error.to_string()))?;
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            return Ok(answer);
        }
        Err(AzError::refused(status, &answer))
    }
}

struct Today(Arc<dyn WallClock>);

impl fmt::Debug for Today {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Today").field(&self.0.now()).finish()
    }
}

impl TimeProvider for Today {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            seconds,
        )))
    }
}
