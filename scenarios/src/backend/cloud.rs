//! What `az` does with a cloud command: one HTTPS request to Azure Resource Manager, from the
//! workstation, over whatever network the workstation has.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use pullcheck::world::{Host, Net, WallClock};
use serde_json::{Value, json};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::time_provider::TimeProvider;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::backend::StepError;
use crate::remedy::Command;

const HOST: &str = "management.azure.com";
/// API versions that `az` asks for.
const REGISTRIES: &str = "2025-11-01";
const CLUSTERS: &str = "2025-08-01";

/// A person at the workstation who is signed in to Azure.
pub(super) struct Az {
    pub(super) workstation: Arc<dyn Net>,
    pub(super) authority: Vec<u8>,
    pub(super) clock: Arc<dyn WallClock>,
    pub(super) token: String,
    pub(super) subscription: String,
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

    /// What `az` does with one command.
    pub(super) async fn run(&self, command: &Command) -> Result<(), StepError> {
        match command {
            Command::AssignRole {
                assignee,
                principal_type,
                role,
                scope,
            } => {
                let kind = principal_type.as_deref();
                self.assign_role(assignee, kind, role, scope).await
            }
            Command::UpdateRegistry {
                name,
                resource_group,
                change,
            }
            | Command::AllowArmTokens {
                name,
                resource_group,
                change,
            } => {
                let id = self.registry(name, resource_group.as_deref()).await?;
                self.patch(&id, change.body()).await
            }
            Command::AllowAddress {
                name,
                resource_group,
                address,
            } => {
                let id = self.registry(name, resource_group.as_deref()).await?;
                self.allow_address(&id, address).await
            }
            Command::AttachRegistry {
                name,
                resource_group,
                registry,
            } => self.attach(name, resource_group, registry).await,
            other => Err(StepError::Failed(format!(
                "`{other}` is no command of a cloud"
            ))),
        }
    }

    /// `az role assignment create`: finds the role by name, then assigns it.
    async fn assign_role(
        &self,
        assignee: &str,
        principal_type: Option<&str>,
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
        let mut properties = json!({"roleDefinitionId": definition, "principalId": assignee});
        if let (Some(kind), Some(map)) = (principal_type, properties.as_object_mut()) {
            map.insert("principalType".to_owned(), kind.into());
        }
        let body = json!({ "properties": properties });
        self.send(Method::PUT, &path, Some(body)).await.map(drop)
    }

    /// The id of a registry by name; a resource group that is named must be its own.
    async fn registry(&self, name: &str, group: Option<&str>) -> Result<String, StepError> {
        let path = format!(
            "/subscriptions/{}/providers/Microsoft.ContainerRegistry/registries?api-version={REGISTRIES}",
            self.subscription
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
        match group {
            Some(group) if !is_in_group(id, group) => Err(StepError::Failed(format!(
                "the registry `{name}` is not in resource group `{group}`"
            ))),
            _ => Ok(id.to_owned()),
        }
    }

    async fn patch(&self, id: &str, body: Value) -> Result<(), StepError> {
        let path = format!("{id}?api-version={REGISTRIES}");
        self.send(Method::PATCH, &path, Some(body)).await.map(drop)
    }

    /// `az acr network-rule add`: the rules that are there, and one more.
    async fn allow_address(&self, id: &str, address: &str) -> Result<(), StepError> {
        let path = format!("{id}?api-version={REGISTRIES}");
        let found = self.send(Method::GET, &path, None).await?;
        let mut rules = found
            .pointer("/properties/networkRuleSet/ipRules")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        rules.push(json!({"action": "Allow", "value": address}));
        let default = found.pointer("/properties/networkRuleSet/defaultAction");
        let set = json!({"defaultAction": default, "ipRules": rules});
        let body = json!({"properties": {"networkRuleSet": set}});
        self.patch(id, body).await
    }

    /// `az aks update --attach-acr`: AcrPull for the kubelet identity.
    async fn attach(&self, name: &str, group: &str, registry: &str) -> Result<(), StepError> {
        let path = format!(
            "/subscriptions/{}/resourceGroups/{group}/providers/Microsoft.ContainerService/managedClusters/{name}?api-version={CLUSTERS}",
            self.subscription
        );
        let found = self.send(Method::GET, &path, None).await?;
        let identity = found
            .pointer("/properties/identityProfile/kubeletidentity/objectId")
            .and_then(Value::as_str)
            .ok_or_else(|| StepError::Failed(format!("{name} has no kubelet identity")))?;
        let scope = self.registry(registry, None).await?;
        let kind = Some("ServicePrincipal");
        self.assign_role(identity, kind, "AcrPull", &scope).await
    }
}

/// Whether a resource id lies in a resource group.
fn is_in_group(id: &str, group: &str) -> bool {
    let mut parts = id.split('/');
    let mut parts = parts
        .by_ref()
        .skip_while(|part| !part.eq_ignore_ascii_case("resourceGroups"));
    parts.next().is_some()
        && parts
            .next()
            .is_some_and(|own| own.eq_ignore_ascii_case(group))
}

/// A GUID made from what is assigned to whom and where.
fn assignment_name(assignee: &str, role: &str, scope: &str) -> String {
    let seed = sim_cluster::clock::Seed::new(0)
        .derive(assignee)
        .derive(role)
        .derive(scope);
    seed.generator("role assignment").uid()
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
