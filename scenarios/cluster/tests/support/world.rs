//! A world: network, store, one node, and the pods a test makes on it.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};
use sim_cluster::clock::{Clock, Seed};
use sim_cluster::net::{Host, Network};
use sim_cluster::node::{Node, NodeSpec};
use sim_cluster::runtime::RegistryHost;
use sim_cluster::store::{Kind, Store};

pub(crate) const NODE: &str = "node-0";

pub(crate) struct World {
    pub(crate) network: Network,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) seed: Seed,
    /// The host that registries of a test live on.
    pub(crate) registry: Host,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let (clock, seed) = (Clock::default(), Seed::new(seed));
        let network = Network::new();
        let registry = network.add_host("registry.pk.test", &[address("172.19.0.3")]);
        Self {
            store: Store::new(clock, seed),
            network,
            clock,
            seed,
            registry,
        }
    }

    /// More names for the registry's host.
    pub(crate) fn alias(&self, names: &[&str]) {
        for name in names {
            let record = sim_cluster::net::Record::Addresses(vec![address("172.19.0.3")]);
            self.network.set_record(name, record);
        }
    }

    /// A node spec as in the recordings: parallel pulls, plain HTTP for the stub.
    pub(crate) fn spec(&self) -> NodeSpec {
        let mut spec = NodeSpec::new(NODE, address("172.19.0.4"));
        spec.serialize_image_pulls = false;
        let stub = "stub.pk.test:5010";
        spec.hosts
            .insert(stub.to_owned(), RegistryHost::plain_http(stub));
        spec
    }

    pub(crate) fn start(&self, spec: &NodeSpec) -> Node {
        let node = Node::start(spec, &self.network, &self.store, self.seed, 0);
        node.host().set_resolver("172.19.0.3:53".parse().unwrap());
        node
    }

    /// A pod with one container, scheduled to the node, as the API server would store it.
    pub(crate) fn pod(&self, name: &str, image: &str) -> Value {
        self.create(name, json!({ "containers": [{ "name": "app", "image": image, "imagePullPolicy": "Always" }] }))
    }

    /// A pod with this spec; what the API server and the scheduler add is added.
    pub(crate) fn create(&self, name: &str, spec: Value) -> Value {
        let mut spec = spec;
        let mount = json!([{ "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "name": "kube-api-access-xxxxx", "readOnly": true }]);
        for field in ["initContainers", "containers"] {
            for container in spec[field].as_array_mut().into_iter().flatten() {
                let mounts = container["volumeMounts"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default();
                let all: Vec<_> = mounts
                    .into_iter()
                    .chain(mount.as_array().unwrap().clone())
                    .collect();
                container["volumeMounts"] = all.into();
            }
        }
        spec["nodeName"] = NODE.into();
        if spec["restartPolicy"].is_null() {
            spec["restartPolicy"] = "Always".into();
        }
        let pod = json!({
            "metadata": { "name": name, "namespace": "default" },
            "spec": spec,
            "status": { "phase": "Pending", "qosClass": "BestEffort" },
        });
        self.store.create(Kind::Pod, pod).unwrap()
    }

    /// A pull secret with one entry.
    pub(crate) fn secret(&self, name: &str, registry: &str, user: &str, password: &str) {
        use base64::Engine as _;
        let config = json!({ "auths": { registry: { "username": user, "password": password } } });
        let data = base64::engine::general_purpose::STANDARD.encode(config.to_string());
        self.store
            .create(
                Kind::Secret,
                json!({
                    "metadata": { "name": name, "namespace": "default" },
                    "type": "kubernetes.io/dockerconfigjson",
                    "data": { ".dockerconfigjson": data },
                }),
            )
            .unwrap();
    }

    pub(crate) fn get(&self, name: &str) -> Value {
        self.store
            .get(Kind::Pod, "default", name)
            .unwrap_or_default()
    }

    /// Waiting reason and message of a container.
    pub(crate) fn waiting(&self, pod: &str, container: &str) -> (String, String) {
        let pod = self.get(pod);
        let all = ["initContainerStatuses", "containerStatuses"].map(|f| pod["status"][f].clone());
        let found = all
            .iter()
            .flat_map(|l| l.as_array().into_iter().flatten())
            .find(|c| c["name"] == container);
        let waiting = found
            .map(|c| c["state"]["waiting"].clone())
            .unwrap_or_default();
        let text = |name: &str| waiting[name].as_str().unwrap_or_default().to_owned();
        (text("reason"), text("message"))
    }

    /// Events of a pod in the order of their last write: reason, count, message.
    pub(crate) fn events(&self, pod: &str) -> Vec<(String, u64, String)> {
        let (all, _) = self.store.list(Kind::Event, Some("default"));
        let mut mine: Vec<_> = all
            .into_iter()
            .filter(|e| e["involvedObject"]["name"] == pod)
            .collect();
        mine.sort_by_key(|e| e["metadata"]["name"].as_str().unwrap().to_owned());
        mine.iter()
            .map(|e| {
                let text = |name: &str| e[name].as_str().unwrap_or_default().to_owned();
                (
                    text("reason"),
                    e["count"].as_u64().unwrap_or_default(),
                    text("message"),
                )
            })
            .collect()
    }

    /// The text of the first failed pull.
    pub(crate) fn first_failure(&self, pod: &str) -> String {
        let events = self.events(pod);
        let text = events
            .iter()
            .find_map(|(_, _, m)| m.strip_prefix("Failed to pull image "))
            .unwrap_or_default();
        let text = text.split_once("\": ").map_or("", |(_, text)| text);
        text.to_owned()
    }
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
