//! The container image of fake-registry in tests, by way of testcontainers (feature
//! `testcontainers`).
//!
//! The image is the one of `cargo xtask image`, loaded into Docker before. A container is ready
//! when its control endpoint says so; through that its faults are changed and its journal read.
//! Whoever tests in Rust alone needs none of this: `FakeRegistry::builder()` is a registry in the
//! same process.

mod old_docker;

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use testcontainers::core::{ContainerPort, CopyToContainer, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, Image, TestcontainersError};
use tokio::net::TcpStream;

pub use old_docker::OldDocker;

const REGISTRY: ContainerPort = ContainerPort::Tcp(5000);
const CONTROL: ContainerPort = ContainerPort::Tcp(5001);
const CONFIG: &str = "/tmp/config.yaml";
/// From the first line of the program to its readiness; both come at once.
const PATIENCE: Duration = Duration::from_secs(10);
const MAX_ANSWER: usize = 64 << 20;

/// The image, and what a container of it is to hold.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use fake_registry::testcontainers::FakeRegistryImage;
///
/// let registry = FakeRegistryImage::new().image("team/web:v1 linux/amd64 2x1MiB").start().await?;
/// registry.add_faults("{ match: { route: manifest }, times: 1, action: { status: 503 } }").await?;
/// println!("http://{}/v2/", registry.address());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct FakeRegistryImage {
    name: String,
    tag: String,
    arguments: Vec<String>,
    config: Vec<CopyToContainer>,
    ports: [ContainerPort; 2],
}

impl Default for FakeRegistryImage {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeRegistryImage {
    /// `fake-registry` with the tag of this version, which `cargo xtask image` makes.
    pub fn new() -> Self {
        Self {
            name: "fake-registry".into(),
            tag: env!("CARGO_PKG_VERSION").into(),
            arguments: vec!["serve".into()],
            config: Vec::new(),
            ports: [REGISTRY, CONTROL],
        }
    }

    /// Another name and tag, where the image was pushed under one.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>, tag: impl Into<String>) -> Self {
        self.name = name.into();
        self.tag = tag.into();
        self
    }

    /// An image that is there from the start, such as `team/web:v1 linux/amd64 2x1MiB`.
    #[must_use]
    pub fn image(mut self, line: &str) -> Self {
        self.arguments.extend(["--image".into(), line.into()]);
        self
    }

    /// Serves TLS; `RunningRegistry::ca_pem` is what clients have to trust.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.arguments.push("--tls".into());
        self
    }

    /// Hosts, accounts, images, a tenant and faults, as `serve --config` takes them.
    #[must_use]
    pub fn config(mut self, yaml: &str) -> Self {
        if self.config.is_empty() {
            self.arguments.extend(["--config".into(), CONFIG.into()]);
        }
        self.config = vec![CopyToContainer::new(yaml.as_bytes().to_vec(), CONFIG)];
        self
    }

    /// Starts a container and waits until it is ready; it is removed when the result is dropped.
    pub async fn start(self) -> Result<RunningRegistry, ContainerError> {
        let scheme = if self.arguments.iter().any(|word| word == "--tls") {
            "https"
        } else {
            "http"
        };
        let container = AsyncRunner::start(self).await?;
        let host = container.get_host().await?.to_string();
        let address = format!("{host}:{}", container.get_host_port_ipv4(REGISTRY).await?);
        let control = format!("{host}:{}", container.get_host_port_ipv4(CONTROL).await?);
        let running = RunningRegistry {
            container,
            scheme,
            address,
            control,
        };
        let ready = async {
            while running.ask(Method::GET, "/readyz", "").await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, ready).await {
            Ok(()) => Ok(running),
            Err(_) => Err(ContainerError::NotReady {
                control: running.control,
            }),
        }
    }
}

impl Image for FakeRegistryImage {
    fn name(&self) -> &str {
        &self.name
    }

    fn tag(&self) -> &str {
        &self.tag
    }

    fn ready_conditions(&self) -> Vec<WaitFor> {
        vec![WaitFor::message_on_stdout("control at ")]
    }

    fn env_vars(
        &self,
    ) -> impl IntoIterator<
        Item = (
            impl Into<std::borrow::Cow<'_, str>>,
            impl Into<std::borrow::Cow<'_, str>>,
        ),
    > {
        [("FAKE_REGISTRY_CONTROL_LISTEN", "0.0.0.0:5001")]
    }

    fn copy_to_sources(&self) -> impl IntoIterator<Item = &CopyToContainer> {
        &self.config
    }

    fn cmd(&self) -> impl IntoIterator<Item = impl Into<std::borrow::Cow<'_, str>>> {
        &self.arguments
    }

    fn expose_ports(&self) -> &[ContainerPort] {
        &self.ports
    }
}

/// Why there is no container, or why it did not do as it was told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// Docker does not start it.
    #[error("the container")]
    Docker(#[from] TestcontainersError),
    /// It runs, but is not ready.
    #[error("the control endpoint at {control} is not ready")]
    NotReady {
        /// Where it was asked.
        control: String,
    },
    /// The control endpoint does not answer.
    #[error("no answer from the control endpoint to {path}")]
    NoAnswer {
        /// What was asked for.
        path: String,
        /// What the client says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The control endpoint says no.
    #[error("the control endpoint answers {path} with {status}: {text}")]
    Refused {
        /// What was asked for.
        path: String,
        /// Its status.
        status: StatusCode,
        /// Its words.
        text: String,
    },
}

/// A container that runs; it is removed when this is dropped.
#[derive(Debug)]
pub struct RunningRegistry {
    container: ContainerAsync<FakeRegistryImage>,
    scheme: &'static str,
    address: String,
    control: String,
}

impl RunningRegistry {
    /// Host and port of the registry, as seen from this machine.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `http://localhost:49153`
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Host and port of the control endpoint, as seen from this machine.
    pub fn control(&self) -> &str {
        &self.control
    }

    /// The container, for what is not here.
    pub fn container(&self) -> &ContainerAsync<FakeRegistryImage> {
        &self.container
    }

    /// The CA certificate of the run.
    pub async fn ca_pem(&self) -> Result<String, ContainerError> {
        self.ask(Method::GET, "/ca.pem", "").await
    }

    /// Adds fault rules, in YAML, after those that are there.
    pub async fn add_faults(&self, yaml: &str) -> Result<(), ContainerError> {
        self.ask(Method::POST, "/faults", yaml).await.map(drop)
    }

    /// Removes all fault rules.
    pub async fn clear_faults(&self) -> Result<(), ContainerError> {
        self.ask(Method::DELETE, "/faults", "").await.map(drop)
    }

    /// Puts an image in, by its one-line description.
    pub async fn add_image(&self, line: &str) -> Result<(), ContainerError> {
        self.ask(Method::POST, "/images", line).await.map(drop)
    }

    /// What clients did, an object each.
    pub async fn journal(&self) -> Result<Vec<Value>, ContainerError> {
        let text = self.ask(Method::GET, "/journal", "").await?;
        let lines = text.lines().map(serde_json::from_str);
        lines
            .collect::<Result<_, _>>()
            .map_err(|error| ContainerError::NoAnswer {
                path: "/journal".into(),
                source: error.into(),
            })
    }

    async fn ask(&self, method: Method, path: &str, body: &str) -> Result<String, ContainerError> {
        let (status, text) =
            self.send(method, path, body)
                .await
                .map_err(|source| ContainerError::NoAnswer {
                    path: path.to_owned(),
                    source,
                })?;
        if status.is_success() {
            return Ok(text);
        }
        Err(ContainerError::Refused {
            path: path.to_owned(),
            status,
            text,
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: &str,
    ) -> Result<(StatusCode, String), Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(&self.control).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driving = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.control)
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let bytes = Limited::new(answer.into_body(), MAX_ANSWER)
            .collect()
            .await?
            .to_bytes();
        driving.abort();
        Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
    }
}
