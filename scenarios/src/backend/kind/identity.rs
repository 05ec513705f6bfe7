//! A node of a managed cluster: its identity, its credential provider, its place in the cloud.
//!
//! The kubelet gets the provider by flags in its own drop-in file, which every node of kubeadm reads;
//! the metadata service is the registry's container, to which the node's packet filter leads; the
//! Node object is made anew, since its `spec.providerID` cannot be changed. All of it is undone.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Node as KubeNode;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::node::{Node, STAGE_COMMENT};
use crate::backend::StepError;

const PROVIDER: &str = include_str!("acr-credential-provider");
const METADATA: &str = "169.254.169.254";
/// What all of this is kept in.
const FOLDER: &str = "/etc/pullcheck";
const FLAGS: &str = "/etc/default/kubelet";

/// What a kubelet of some version calls the provider's interface.
struct Interface {
    config: &'static str,
    plugin: &'static str,
    /// Before it was there for everyone it had to be turned on.
    gate: bool,
}

/// Credential providers are there from 1.20 on; `None` for an older kubelet.
fn interface(version: &str) -> Option<Interface> {
    let mut parts = version.trim_start_matches('v').split('.');
    let major: u32 = parts.next()?.parse().ok()?;
    let minor: u32 = parts.next()?.parse().ok()?;
    Some(match (major, minor) {
        (1, ..20) => return None,
        (1, 20..24) => Interface {
            config: "kubelet.config.k8s.io/v1alpha1",
            plugin: "credentialprovider.kubelet.k8s.io/v1alpha1",
            gate: true,
        },
        (1, 24..26) => Interface {
            config: "kubelet.config.k8s.io/v1beta1",
            plugin: "credentialprovider.kubelet.k8s.io/v1beta1",
            gate: false,
        },
        _ => Interface {
            config: "kubelet.config.k8s.io/v1",
            plugin: "credentialprovider.kubelet.k8s.io/v1",
            gate: false,
        },
    })
}

/// The kubelet's configuration of the provider. JSON is YAML.
fn configuration(interface: &Interface) -> Value {
    json!({
        "apiVersion": interface.config,
        "kind": "CredentialProviderConfig",
        "providers": [{
            "name": "acr-credential-provider",
            "apiVersion": interface.plugin,
            "matchImages": ["*.azurecr.io"],
            "defaultCacheDuration": "1h0m0s",
        }],
    })
}

/// Makes a node one of the tenant's cluster. The kubelet starts anew.
pub(super) async fn give(
    node: &Node,
    client: &Client,
    identity: &Value,
    provider_id: &str,
    metadata: IpAddr,
) -> Result<(), StepError> {
    let api: Api<KubeNode> = Api::all(client.clone());
    let object = api.get(node.name()).await;
    let object = object.map_err(|error| StepError::failed(&error))?;
    let version = object.status.as_ref().and_then(|s| s.node_info.as_ref());
    let version = version.map_or("", |info| info.kubelet_version.as_str());
    let interface = interface(version).ok_or_else(|| {
        StepError::Unsupported(format!(
            "a kubelet of {version} has no credential providers"
        ))
    })?;
    let failed = |error| StepError::failed(&error as &dyn std::error::Error);
    let gate = if interface.gate {
        "--feature-gates=KubeletCredentialProviders=true "
    } else {
        ""
    };
    let flags = format!(
        "KUBELET_EXTRA_ARGS={gate}--image-credential-provider-config={FOLDER}/providers.yaml \
         --image-credential-provider-bin-dir={FOLDER}/bin\n"
    );
    let provider = format!("{FOLDER}/bin/acr-credential-provider");
    for (path, content) in [
        (provider.as_str(), PROVIDER),
        (
            &format!("{FOLDER}/providers.yaml"),
            &configuration(&interface).to_string(),
        ),
        (&format!("{FOLDER}/azure.json"), &identity.to_string()),
        (&format!("{FOLDER}/flags"), &flags),
    ] {
        node.write(path, content.as_bytes()).await.map_err(failed)?;
    }
    let script = format!(
        "set -e
         chmod 755 {provider}
         iptables -t nat -I OUTPUT -d {METADATA} -p tcp --dport 80 \
           -m comment --comment {STAGE_COMMENT} -j DNAT --to-destination {metadata}:80
         if [ -f {FLAGS} ]; then cp -p {FLAGS} {FOLDER}/flags-before; fi
         cp {FOLDER}/flags {FLAGS}
         systemctl restart kubelet"
    );
    node.script(&script, &[]).await.map_err(failed)?;
    make_anew(&api, object, provider_id).await
}

/// Undoes `give`; a node that never got it is left alone. `provider_id` is what it had before.
pub(super) async fn take(
    node: &Node,
    client: &Client,
    provider_id: Option<&str>,
) -> Result<(), StepError> {
    let script = format!(
        "set -e
         if [ ! -d {FOLDER} ]; then exit 0; fi
         if [ -f {FOLDER}/flags-before ]; then cp -p {FOLDER}/flags-before {FLAGS}
         elif [ -f {FOLDER}/flags ]; then rm -f {FLAGS}; fi
         rm -rf {FOLDER}
         systemctl restart kubelet"
    );
    let done = node.script(&script, &[]).await;
    done.map_err(|error| StepError::failed(&error))?;
    let Some(before) = provider_id else {
        return Ok(());
    };
    let api: Api<KubeNode> = Api::all(client.clone());
    let object = api.get(node.name()).await;
    let object = object.map_err(|error| StepError::failed(&error))?;
    make_anew(&api, object, before).await
}

/// The `spec.providerID` of a node.
pub(super) async fn provider_id(node: &Node, client: &Client) -> Result<Option<String>, StepError> {
    let api: Api<KubeNode> = Api::all(client.clone());
    let object = api.get(node.name()).await;
    let object = object.map_err(|error| StepError::failed(&error))?;
    Ok(object.spec.and_then(|spec| spec.provider_id))
}

/// The same node with another `spec.providerID`: deleted and created at once, so that neither the
/// kubelet nor the pods on it notice.
async fn make_anew(
    api: &Api<KubeNode>,
    mut object: KubeNode,
    provider_id: &str,
) -> Result<(), StepError> {
    let mut spec = object.spec.clone().unwrap_or_default();
    if spec.provider_id.as_deref() == Some(provider_id) {
        return Ok(());
    }
    let name = object.metadata.name.clone().unwrap_or_default();
    spec.provider_id = Some(provider_id.to_owned());
    object.spec = Some(spec);
    object.metadata.resource_version = None;
    object.metadata.uid = None;
    object.metadata.creation_timestamp = None;
    object.metadata.managed_fields = None;
    api.delete(&name, &DeleteParams::default())
        .await
        .map_err(|error| StepError::failed(&error))?;
    let mut last = None;
    for _ in 0..20 {
        // The kubelet, which has just started, may have been quicker.
        match api.create(&PostParams::default(), &object).await {
            Ok(_) => return Ok(()),
            Err(error) => last = Some(error),
        }
        let _ = api.delete(&name, &DeleteParams::default()).await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Err(last.map_or_else(
        || StepError::Failed(format!("node `{name}` cannot be made anew")),
        |error| StepError::failed(&error),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interface_of_each_version() {
        let table = [
            ("v1.19.3", None),
            ("v1.20.2", Some(("v1alpha1", true))),
            ("v1.24.0", Some(("v1beta1", false))),
            ("v1.34.1", Some(("v1", false))),
            ("", None),
        ];
        for (version, want) in table {
            let found = interface(version).map(|found| {
                let name = found.plugin.rsplit('/').next().unwrap_or_default();
                (name, found.gate)
            });
            assert_eq!(found, want, "for {version}");
        }
    }

    #[test]
    fn the_provider_is_a_script_that_a_shell_can_read() {
        let read = std::process::Command::new("bash")
            .args(["-n", "-c", PROVIDER])
            .status();
        match read {
            Ok(status) => assert!(status.success()),
            Err(_) => eprintln!("skipped: no bash on this machine"),
        }
    }
}
