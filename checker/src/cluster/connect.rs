//! From a kubeconfig to a client, with kube's own reading of it.

use std::path::{Path, PathBuf};

use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};

use crate::wire::Url;
use crate::world::Proxies;
use crate::world::real::proxies_of_environment;

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

/// Kube takes the environment's proxy for every server. As kubectl does, one that `NO_PROXY` covers, and
/// loopback, is reached without it; a proxy that the kubeconfig names is another and stays.
fn without_needless_proxy(config: &mut Config, proxies: &Proxies) {
    let straight = |url: &Url| proxies.of(url).is_none();
    if !proxies.is_empty()
        && Url::parse(&config.cluster_url.to_string())
            .as_ref()
            .is_some_and(straight)
    {
        config.proxy_url = None;
    }
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
    let mut config = match kubeconfig {
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
    without_needless_proxy(&mut config, &proxies_of_environment());
    let namespace = config.default_namespace.clone();
    let client = Client::try_from(config).map_err(|error| ConnectError::Client {
        source: error.into(),
    })?;
    Ok((client, namespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_what_no_proxy_covers_go_without() {
        let proxies = Proxies::new(
            Some("http://proxy.example:3128"),
            None,
            Some("aks.example,10.0.0.0/8"),
        );
        let table = [
            ("https://127.0.0.1:6443/", false),
            ("https://10.0.0.1:443/", false),
            ("https://api.aks.example/", false),
            ("https://api.eks.example/", true),
        ];
        for (server, through) in table {
            let mut config = Config::new(server.parse().unwrap());
            config.proxy_url = Some("http://proxy.example:3128".parse().unwrap());
            without_needless_proxy(&mut config, &proxies);
            assert_eq!(config.proxy_url.is_some(), through, "{server}");
        }
    }
}
