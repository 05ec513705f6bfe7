//! The registries of a scenario: one container of fake-registry's image beside the cluster, its
//! description, and the orders that it takes at its control endpoint.
//!
//! A twin of it lives in this process, made from the same description and seed. It answers what only
//! the inside of a registry knows and nobody should have to ask over a network: the digest behind a
//! tag, the object ids of a tenant, a token of the person at the workstation.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use fake_registry::{Builder, FakeRegistry, Principal, Rule};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::describe::{OPERATOR, mode, principal, scope, sku};
use super::docker::{self, Container, DockerError};
use crate::backend::StepError;
use crate::spec::{
    Azure, RegistryLoad, RegistryNetwork, RegistrySettings, RoleGrant, SetSku, SetTls, TagChange,
};

const CONTROL: u16 = 5001;
/// A container that is not up by then will not be.
const STARTING: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests of the journal that a failed play is told with.
const LAST: usize = 5;

/// `10.0.0.2 HEAD registry.example/v2/team/web/manifests/v1 404`
fn request(line: &str) -> Option<String> {
    let entry: Value = serde_json::from_str(line).ok()?;
    let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or("-");
    let status = entry.get("status").and_then(Value::as_u64);
    Some(format!(
        "{} {} {}{} {}",
        text("client"),
        text("method"),
        text("host"),
        text("path"),
        status.map_or_else(|| "no answer".to_owned(), |status| status.to_string()),
    ))
}

/// The container, and its twin.
pub(super) struct Registry {
    pub(super) container: Container,
    pub(super) twin: FakeRegistry,
    salt: String,
}

/// What a registry's container is made from.
pub(super) struct Wanted<'a> {
    pub(super) name: String,
    pub(super) image: &'a str,
    pub(super) network: &'a str,
    pub(super) label: &'a str,
    /// Where its description goes; the container reads it from there.
    pub(super) folder: &'a Path,
    pub(super) config: &'a Value,
    pub(super) salt: &'a str,
    pub(super) seed: u64,
}

impl Registry {
    pub(super) async fn start(wanted: &Wanted<'_>) -> Result<Self, StepError> {
        let failed = |error: DockerError| StepError::failed(&error);
        let text = wanted.config.to_string();
        let file = wanted.folder.join(format!("{}.yaml", wanted.name));
        std::fs::write(&file, &text).map_err(|error| StepError::failed(&error))?;
        let twin = Builder::from_yaml(&text)
            .map_err(|error| StepError::failed(&error))?
            .seed(wanted.seed)
            .build()
            .map_err(|error| StepError::failed(&error))?;
        let (mount, seed) = (
            format!("{}:/config.yaml:ro", file.display()),
            wanted.seed.to_string(),
        );
        let arguments = [
            "run",
            "--detach",
            "--name",
            &wanted.name,
            "--network",
            wanted.network,
            "--label",
            wanted.label,
            "--volume",
            &mount,
            wanted.image,
            "serve",
            "--config=/config.yaml",
            "--listen=0.0.0.0:443",
            "--tls",
            "--plain=0.0.0.0:80",
            &format!("--control=0.0.0.0:{CONTROL}"),
            "--seed",
            &seed,
        ];
        docker::docker(&arguments).await.map_err(failed)?;
        let container = docker::container(&wanted.name, wanted.network).await;
        let registry = Self {
            container: container.map_err(failed)?,
            twin,
            salt: wanted.salt.to_owned(),
        };
        registry.ready().await?;
        Ok(registry)
    }

    async fn ready(&self) -> Result<(), StepError> {
        let asking = async {
            while self.order(Method::GET, "/readyz", "").await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        if tokio::time::timeout(STARTING, asking).await.is_ok() {
            return Ok(());
        }
        let said = docker::docker(&["logs", "--tail=5", &self.container.name]).await;
        Err(StepError::Failed(format!(
            "the registry's container is not ready: {}",
            said.unwrap_or_default()
        )))
    }

    /// Gives an order at the control endpoint.
    async fn order(&self, method: Method, path: &str, body: &str) -> Result<String, StepError> {
        let at = SocketAddr::new(self.container.address, CONTROL);
        let work = async {
            let stream = TcpStream::connect(at).await?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream))
                    .await
                    .map_err(std::io::Error::other)?;
            let driver = tokio::spawn(connection);
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header(http::header::HOST, at.to_string())
                .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
                .map_err(std::io::Error::other)?;
            let answer = sender
                .send_request(request)
                .await
                .map_err(std::io::Error::other)?;
            let status = answer.status();
            let body = answer.into_body().collect().await;
            let body = body.map_err(std::io::Error::other)?.to_bytes();
            driver.abort();
            Ok::<_, std::io::Error>((status, String::from_utf8_lossy(&body).into_owned()))
        };
        let ended = tokio::time::timeout(PATIENCE, work).await;
        let (status, text) = ended
            .map_err(|_| StepError::Failed(format!("the registry's control at {at} is silent")))?
            .map_err(|error| {
                StepError::Failed(format!("the registry's control at {at}: {error}"))
            })?;
        if status.is_success() {
            Ok(text)
        } else {
            Err(StepError::Failed(format!(
                "the registry's control answered {status}: {}",
                text.trim()
            )))
        }
    }

    async fn change_tenant(&self, change: &Value) -> Result<(), StepError> {
        let text = change.to_string();
        self.order(Method::POST, "/azure", &text).await.map(drop)
    }

    pub(super) async fn push(&self, change: &TagChange) -> Result<(), StepError> {
        let line = format!("{} salt={}", change.image, self.salt);
        let path = format!("/images?host={}", change.host);
        self.order(Method::POST, &path, &line).await?;
        let tagged = self.twin.tag(&change.host, &line);
        tagged.map(drop).map_err(|error| StepError::failed(&error))
    }

    pub(super) async fn untag(&self, change: &TagChange) -> Result<(), StepError> {
        let path = format!("/images?host={}&reference={}", change.host, change.image);
        self.order(Method::DELETE, &path, "").await?;
        let gone = self.twin.untag(&change.host, &change.image);
        gone.map_err(|error| StepError::failed(&error))
    }

    pub(super) async fn remove_role(
        &self,
        azure: &Azure,
        grant: &RoleGrant,
    ) -> Result<(), StepError> {
        let from = principal(azure, &grant.who);
        self.change_tenant(&json!({"remove-role": {
            "from": from, "role": grant.role, "at": scope(&grant.on),
        }}))
        .await
    }

    pub(super) async fn assign_role(
        &self,
        azure: &Azure,
        grant: &RoleGrant,
    ) -> Result<(), StepError> {
        let to = principal(azure, &grant.who);
        self.change_tenant(&json!({"assign-role": {
            "to": to, "role": grant.role, "at": scope(&grant.on),
        }}))
        .await
    }

    pub(super) async fn load(&self, azure: &Azure, load: &RegistryLoad) -> Result<(), StepError> {
        self.change_tenant(&json!({"competing-load": {
            "registry": load.registry,
            "by": principal(azure, &load.who),
            "per-minute": load.requests_per_minute,
        }}))
        .await
    }

    pub(super) async fn set_sku(&self, change: &SetSku) -> Result<(), StepError> {
        self.change_tenant(&json!({"set-sku": {
            "registry": change.registry, "sku": sku(change.sku),
        }}))
        .await
    }

    pub(super) async fn set_registry(&self, change: &RegistrySettings) -> Result<(), StepError> {
        let settings = [
            ("anonymous-pull", change.anonymous_pull),
            ("admin-user", change.admin_user),
        ];
        for (what, on) in settings {
            if let Some(on) = on {
                self.change_tenant(&json!({what: {"registry": change.registry, "on": on}}))
                    .await?;
            }
        }
        Ok(())
    }

    pub(super) async fn set_identities(
        &self,
        azure: &Azure,
        node: IpAddr,
        identities: &[String],
    ) -> Result<(), StepError> {
        let identities: Vec<String> = identities.iter().map(|who| principal(azure, who)).collect();
        self.change_tenant(&json!({"node-identities": {
            "node": node.to_string(), "identities": identities,
        }}))
        .await
    }

    pub(super) async fn set_tls(&self, change: &SetTls) -> Result<(), StepError> {
        let path = format!("/tls?host={}&mode={}", change.host, mode(change.mode));
        self.order(Method::PUT, &path, "").await.map(drop)
    }

    /// `address` gives that of a node of the file.
    pub(super) async fn set_faults(
        &self,
        rules: &[Rule],
        address: impl Fn(&str) -> Option<IpAddr>,
    ) -> Result<(), StepError> {
        let mut script = json!({"rules": rules});
        let rules = script.pointer_mut("/rules").and_then(Value::as_array_mut);
        for rule in rules.into_iter().flatten() {
            // The registry sees addresses, where the file says which node.
            if let Some(client) = rule.pointer_mut("/match/client")
                && let Some(address) = client.as_str().and_then(&address)
            {
                *client = json!(address);
            }
        }
        let script = script.to_string();
        self.order(Method::PUT, "/faults", &script).await.map(drop)
    }

    pub(super) async fn set_network(&self, change: &RegistryNetwork) -> Result<(), StepError> {
        self.change_tenant(&json!({"set-network": {
            "registry": change.registry,
            "public": change.public,
            "allow-only": change.allow_only,
        }}))
        .await
    }

    /// A token for Azure Resource Manager of the person at the workstation.
    pub(super) fn user_token(&self) -> Result<String, StepError> {
        let user = self.twin.azure().object_id(&Principal::user(OPERATOR));
        let user = user.map_err(|error| StepError::failed(&error))?;
        Ok(self.twin.arm_token(&user))
    }

    /// What the credential provider of a node reads: who the node is, and where.
    pub(super) fn node_identity(&self, azure: &Azure) -> Result<Value, StepError> {
        let twin = self.twin.azure();
        let failed = |error| StepError::failed(&error as &dyn std::error::Error);
        let client = twin.client_id(&Principal::kubelet(&azure.cluster.name));
        Ok(json!({
            "tenantId": twin.tenant_id().map_err(failed)?,
            "userAssignedIdentityID": client.map_err(failed)?,
        }))
    }

    /// The `spec.providerID` of a node.
    pub(super) fn provider_id(&self, node: IpAddr) -> Result<String, StepError> {
        let id = self.twin.azure().provider_id(&node.to_string());
        id.map_err(|error| StepError::failed(&error))
    }

    /// Every request that it saw, in their order. None where it cannot be asked any more.
    pub(super) async fn journal(&self) -> Vec<crate::traces::Request> {
        let text = self.order(Method::GET, "/journal", "").await;
        let text = text.unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// The last requests that it saw, one a line.
    pub(super) async fn last_requests(&self) -> Result<String, StepError> {
        let text = self.order(Method::GET, "/journal", "").await?;
        let lines: Vec<String> = text.lines().rev().take(LAST).filter_map(request).collect();
        Ok(lines.into_iter().rev().collect::<Vec<_>>().join("; "))
    }
}
