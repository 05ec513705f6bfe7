//! A node: its machine on the network, its runtime, its kubelet.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Seed;
use crate::credential::AcrCredentialProvider;
use crate::kubelet::Kubelet;
use crate::net::{Host, Network};
use crate::profile::Profile;
use crate::program;
use crate::runtime::{NodeRuntime, RegistryHost, RuntimeConfig};
use crate::store::Store;

/// What a node is made from.
#[derive(Debug, Clone)]
pub struct NodeSpec {
    /// Name of the Node object and of the host.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Architecture as Go names it: `amd64`, `arm64`.
    pub architecture: String,
    /// Labels beside the usual ones.
    pub labels: BTreeMap<String, String>,
    /// `spec.providerID`.
    pub provider_id: Option<String>,
    /// The kubelet's credential provider.
    pub credential_provider: Option<AcrCredentialProvider>,
    /// Certificates (DER) the machine trusts.
    pub trusted_ca: Vec<Vec<u8>>,
    /// The runtime's `hosts.toml` by registry.
    pub hosts: BTreeMap<String, RegistryHost>,
    /// `serializeImagePulls`: the kubelet's default is true; AKS and kind set it to false.
    pub serialize_image_pulls: bool,
    /// `registryPullQPS`; 0 is no limit.
    pub registry_qps: f64,
    /// `registryBurst`.
    pub registry_burst: u32,
    /// An image that sandboxes are made of and that is not on the node. None: it is there, as on any node
    /// whose image was built with care.
    pub sandbox_image: Option<String>,
    /// Programs that its containers may start; without them a container does nothing.
    pub programs: Option<program::Given>,
    /// Versions.
    pub profile: Profile,
}

impl NodeSpec {
    /// A node with the kubelet's own defaults, an amd64 machine that trusts nobody.
    pub fn new(name: &str, address: IpAddr) -> Self {
        Self {
            name: name.to_owned(),
            address,
            architecture: "amd64".to_owned(),
            labels: BTreeMap::new(),
            provider_id: None,
            credential_provider: None,
            trusted_ca: Vec::new(),
            hosts: BTreeMap::new(),
            serialize_image_pulls: true,
            registry_qps: 5.0,
            registry_burst: 10,
            sandbox_image: None,
            programs: None,
            profile: Profile::default(),
        }
    }
}

/// One attempt of a kubelet to pull an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullAttempt {
    /// The node.
    pub node: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container; empty for an image volume.
    pub container: String,
    /// The image as the pod names it.
    pub image: String,
    /// When the kubelet decided to pull, since the start of the simulation; a queue may come first.
    pub started: Duration,
    /// When it ended.
    pub ended: Duration,
    /// `repository@digest`, or the kubelet's text.
    pub outcome: Result<String, String>,
    /// After a failure: the delay until the next attempt.
    pub back_off: Option<Duration>,
}

/// A running node. Cheap to clone; it runs until [`Node::stop`].
#[derive(Clone)]
pub struct Node {
    shared: Arc<Shared>,
}

struct Shared {
    host: Host,
    runtime: NodeRuntime,
    kubelet: Kubelet,
}

impl Node {
    /// Starts a node: puts its host on the network (one of that name is used as it is), registers the Node
    /// object and begins to sync. `seed` is the cluster's; `number` gives the node its pod network.
    /// Must be called within a tokio runtime.
    pub fn start(
        spec: &NodeSpec,
        network: &Network,
        store: &Store,
        seed: Seed,
        number: u8,
    ) -> Self {
        let host = network
            .host(&spec.name)
            .unwrap_or_else(|| network.add_host(&spec.name, &[spec.address]));
        let seed = seed.derive(&format!("node/{}", spec.name));
        let config = RuntimeConfig {
            profile: spec.profile,
            architecture: spec.architecture.clone(),
            trusted_ca: spec.trusted_ca.clone(),
            hosts: spec.hosts.clone(),
            sandbox_image: spec.sandbox_image.clone(),
        };
        let runtime = NodeRuntime::new(config, host.clone(), store.clock(), seed);
        let kubelet = Kubelet::start(
            spec,
            runtime.clone(),
            host.clone(),
            store.clone(),
            seed,
            number,
        );
        Self {
            shared: Arc::new(Shared {
                host,
                runtime,
                kubelet,
            }),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.shared.host.name()
    }

    /// Its machine on the network.
    pub fn host(&self) -> Host {
        self.shared.host.clone()
    }

    /// Its runtime.
    pub fn runtime(&self) -> NodeRuntime {
        self.shared.runtime.clone()
    }

    /// All pull attempts so far, in the order they ended.
    pub fn attempts(&self) -> Vec<PullAttempt> {
        self.shared.kubelet.attempts()
    }

    /// Stops the kubelet and everything it runs. The Node object stays.
    pub fn stop(&self) {
        self.shared.kubelet.stop();
    }
}
