//! What `az` does with a cloud command: one HTTPS request to Azure Resource Manager, from the
//! workstation, over the simulated network.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sim_cluster::clock::Clock;
use sim_cluster::net::Host;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::time_provider::TimeProvider;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::backend::StepError;

const HOST: &str = "management.azure.com";

/// A person at the workstation who is signed in to Azure.
pub(super) struct Az {
    pub(super) workstation: Host,
    pub(super) authority: Vec<u8>,
    pub(super) clock: Clock,
    pub(super) token: String,
}

impl Az {
    /// Sends a request and gives the answer's JSON; a refusal is an error with Azure's words.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, StepError> {
        let text = body.map(|body| body.to_string()).unwrap_or_default();
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
        let answer: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
        if status.is_success() {
            return Ok(answer);
        }
        let message = answer
            .pointer("/error/message")
            .and_then(Value::as_str)
            .unwrap_or("no message");
        Err(StepError::Failed(format!(
            "Azure Resource Manager answered {status}: {message}"
        )))
    }

    async fn connect(
        &self,
    ) -> Result<impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static, StepError>
    {
        let found = self
            .workstation
            .lookup(HOST)
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
        let config = ClientConfig::builder_with_details(provider, Arc::new(Today(self.clock)))
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

    /// `az role assignment create`: finds the role by name, then assigns it.
    pub(super) async fn assign_role(
        &self,
        assignee: &str,
        role: &str,
        scope: &str,
    ) -> Result<(), StepError> {
        scope
            .parse::<Uri>()
            .map_err(|error| StepError::failed(&error))?;
        let filter = format!("roleName%20eq%20'{role}'").replace(' ', "%20");
        let path = format!(
            "{scope}/providers/Microsoft.Authorization/roleDefinitions?api-version=2022-04-01&$filter={filter}"
        );
        let found = self.send(Method::GET, &path, None).await?;
        let definition = found
            .pointer("/value/0/id")
            .and_then(Value::as_str)
            .ok_or_else(|| StepError::Failed(format!("Azure has no role `{role}`")))?;
        // A name of its own for each assignment; derived, so that two runs are alike.
        let name = assignment_name(assignee, definition, scope);
        let path = format!(
            "{scope}/providers/Microsoft.Authorization/roleAssignments/{name}?api-version=2022-04-01"
        );
        let body = json!({"properties": {
            "roleDefinitionId": definition,
            "principalId": assignee,
            "principalType": "ServicePrincipal",
        }});
        self.send(Method::PUT, &path, Some(body)).await.map(drop)
    }

    /// `az acr update --sku`: finds the registry by name in the subscription, then patches it.
    pub(super) async fn set_sku(
        &self,
        subscription: &str,
        name: &str,
        sku: &str,
    ) -> Result<(), StepError> {
        let path = format!(
            "/subscriptions/{subscription}/providers/Microsoft.ContainerRegistry/registries?api-version=2025-11-01"
        );
        let found = self.send(Method::GET, &path, None).await?;
        let registries = found
            .get("value")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let id = registries
            .iter()
            .find(|registry| {
                registry["name"]
                    .as_str()
                    .is_some_and(|one| one.eq_ignore_ascii_case(name))
            })
            .and_then(|registry| registry["id"].as_str())
            .ok_or_else(|| {
                StepError::Failed(format!("the subscription has no registry `{name}`"))
            })?;
        let path = format!("{id}?api-version=2025-11-01");
        self.send(Method::PATCH, &path, Some(json!({"sku": {"name": sku}})))
            .await
            .map(drop)
    }
}

/// A GUID made from what is assigned to whom and where.
fn assignment_name(assignee: &str, role: &str, scope: &str) -> String {
    let seed = sim_cluster::clock::Seed::new(0)
        .derive(assignee)
        .derive(role)
        .derive(scope);
    seed.generator("role assignment").uid()
}

#[derive(Debug)]
struct Today(Clock);

impl TimeProvider for Today {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            seconds,
        )))
    }
}
