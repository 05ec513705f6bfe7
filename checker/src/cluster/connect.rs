//! From a kubeconfig to a client, with kube's own reading of it.

use std::path::{Path, PathBuf};

use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The file given cannot be read or parsed.
    #[error("the kubeconfig {} cannot be used", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// None was given, and neither KUBECONFIG, `~/.kube/config` nor a service account gives one.
    #[error("no kubeconfig can be used")]
    None {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The configuration does not make a client.
    #[error("no client can be made from the kubeconfig")]
    Client {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A client for `kubeconfig`, else for what kubectl would take, and the namespace of its context.
pub async fn connect(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
) -> Result<(Client, String), ConnectError> {
    let options = KubeConfigOptions {
        context: context.map(Into::into),
        ..KubeConfigOptions::default()
    };
    let config = match kubeconfig {
        Some(path) => {
            let failed = |source| ConnectError::File {
                path: path.into(),
                source,
            };
            let read = Kubeconfig::read_from(path).map_err(|error| failed(error.into()))?;
            Config::from_custom_kubeconfig(read, &options)
                .await
                .map_err(|error| failed(error.into()))?
        }
        None if context.is_some() => {
            Config::from_kubeconfig(&options)
                .await
                .map_err(|error| ConnectError::None {
                    source: error.into(),
                })?
        }
        None => Config::infer().await.map_err(|error| ConnectError::None {
            source: error.into(),
        })?,
    };
    let namespace = config.default_namespace.clone();
    let client = Client::try_from(config).map_err(|error| ConnectError::Client {
        source: error.into(),
    })?;
    Ok((client, namespace))
}
