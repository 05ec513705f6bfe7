//! The embedded backend: cluster, network, registries and tenant in memory, in virtual time.
//!
//! Everything lives on a runtime of its own, on one thread, with a paused clock. The parts are the
//! real rooms: sim-cluster's kubelets pull over the simulated network from fake-registry.

mod cloud;
mod place;
mod tenant;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fake_registry::{
    Accounts, AuthPolicy, Conn, FakeRegistry, Flavour, HostSpec, Scheme, TokenService,
};
use pullcheck::keyring::Secret;
use pullcheck::world::{Arm, FixedToken, Net, Place as CheckerPlace, Trust, Vantage, World};
use sim_cluster::clock::default_start;
use sim_cluster::cluster::Cluster;
use sim_cluster::credential::AcrCredentialProvider;
use sim_cluster::net::{Acceptor, Host, Network, Record, Rule, RuleId, Verdict};
use sim_cluster::node::NodeSpec;

use self::cloud::Az;
use self::place::{Date, Place};
use self::tenant::Tenant;
use super::{Attempt, Backend, StepError};
use crate::observer::Seconds;
use crate::play::{Act, ActPlayed, Ending, Mismatch, NAMESPACE, Play};
use crate::remedy::Command;
use crate::spec::{Access, DnsAnswer, FirewallAction, Scenario, Step};

/// The metadata service of every cloud, reached from the machine itself only.
const METADATA: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);

/// Plays on a runtime with a paused clock.
pub(crate) fn play(scenario: &Scenario, seed: u64) -> Play {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return cannot(scenario, seed, &format!("no runtime: {error}")),
    };
    runtime.block_on(async {
        match Embedded::build(scenario, seed, default_start()) {
            Ok(backend) => crate::play::play(&backend, scenario, seed).await,
            Err(error) => cannot(scenario, seed, &error.to_string()),
        }
    })
}

/// The world that the file describes cannot be made: the first act fails before it begins.
fn cannot(scenario: &Scenario, seed: u64, reason: &str) -> Play {
    let healthy = ActPlayed {
        act: Act::Healthy,
        passed: false,
        from: Seconds::default(),
        to: Seconds::default(),
        notes: Vec::new(),
        mismatches: vec![Mismatch {
            what: "the world that the file describes".to_owned(),
            expected: "made".to_owned(),
            seen: reason.to_owned(),
        }],
    };
    Play {
        scenario: scenario.clone(),
        seed,
        ending: Ending::Failed(Act::Healthy),
        acts: vec![healthy],
        attempts: Vec::new(),
        statuses: Vec::new(),
        events: Vec::new(),
        report: None,
    }
}

/// The world of one scenario.
pub(crate) struct Embedded {
    cluster: Cluster,
    network: Network,
    registry: FakeRegistry,
    workstation: Host,
    tenant: Option<Tenant>,
    /// Whether the person who runs the checker has a token for Azure Resource Manager.
    arm: bool,
    hosts: Vec<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    nodes: u32,
    rules: BTreeMap<(String, String, u16), Vec<RuleId>>,
}

impl Embedded {
    /// The cluster.
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The host of the person at the keyboard.
    pub(crate) fn workstation(&self) -> Host {
        self.workstation.clone()
    }

    /// The certificate of the authority that signs for registries and cloud.
    pub(crate) fn authority_pem(&self) -> String {
        self.registry.ca_pem()
    }

    /// A token for Azure Resource Manager, where that person has one.
    pub(crate) fn arm_token(&self) -> Option<String> {
        let token = || Tenant::user_token(&self.registry).ok();
        (self.arm && self.tenant.is_some()).then(token).flatten()
    }

    /// Makes the world; its clocks read `start`.
    pub(crate) fn build(
        scenario: &Scenario,
        seed: u64,
        start: jiff::Timestamp,
    ) -> Result<Self, StepError> {
        let network = Network::new();
        let cluster = Cluster::builder()
            .seed(seed)
            .start_time(start)
            .network(network.clone())
            .build();
        let tenant = scenario.azure.as_ref().map(Tenant::new);
        let clock = fake_registry::Clock::starting_at(start);
        let mut builder = FakeRegistry::builder().seed(seed).clock(clock);
        for registry in &scenario.registries {
            let spec = HostSpec::new(registry.host.value.as_str());
            builder = builder.host(match registry.access {
                Access::Open => spec.auth(AuthPolicy::Open),
                Access::AnonymousToken => {
                    let anyone = Accounts::new().anonymous(&["*:pull"]);
                    spec.auth(AuthPolicy::Token(TokenService::new(anyone)))
                }
                Access::Acr => spec.flavour(Flavour::Acr),
            });
            for image in &registry.images {
                builder = builder.image(&registry.host.value, &image.value);
            }
        }
        if let Some(tenant) = &tenant {
            builder = builder.azure(tenant.describe());
        }
        let registry = builder.build().map_err(|error| StepError::failed(&error))?;

        let workstation =
            network.add_host("workstation", &[IpAddr::V4(Ipv4Addr::new(10, 1, 0, 10))]);
        let hosts: Vec<String> = scenario
            .registries
            .iter()
            .map(|r| r.host.value.clone())
            .collect();
        let world = Self {
            cluster,
            network,
            registry,
            workstation,
            tenant,
            arm: scenario.checker.arm,
            hosts,
            state: Mutex::default(),
        };
        world.open_services();
        world.add_nodes(scenario.cluster.nodes.value)?;
        Ok(world)
    }

    /// Every registry and cloud name at an address of its own.
    fn open_services(&self) {
        let cloud = ["management.azure.com", "login.microsoftonline.com"];
        let cloud = cloud
            .iter()
            .filter(|_| self.tenant.is_some())
            .map(|name| (*name).to_owned());
        for (number, name) in (10_u8..).zip(self.hosts.iter().cloned().chain(cloud)) {
            let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, number));
            let host = self.network.add_host(&name, &[address]);
            host.listen(443, self.acceptor(Scheme::Https));
            self.network
                .set_record(&name, Record::Addresses(vec![address]));
        }
    }

    fn acceptor(&self, scheme: Scheme) -> Acceptor {
        let registry = self.registry.clone();
        let failures = self.cluster.failures().clone();
        Arc::new(move |stream, peer| {
            let conn = Conn {
                peer: peer.address,
                client: peer.host,
                scheme,
            };
            let task = format!("a registry, asked from {}", conn.client);
            tokio::spawn(failures.watch(&task, registry.serve(stream, conn)));
        })
    }

    fn add_nodes(&self, count: u32) -> Result<(), StepError> {
        let first = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.nodes += count;
            state.nodes - count + 1
        };
        for number in first..first + count {
            let name = format!("node-{number}");
            let [_, _, high, low] = number.to_be_bytes();
            let mut spec = NodeSpec::new(&name, IpAddr::V4(Ipv4Addr::new(10, 2, high, low)));
            spec.trusted_ca = vec![self.registry.ca_der()];
            // As AKS and kind set it; the kubelet's own default is one pull at a time.
            spec.serialize_image_pulls = false;
            if let Some(tenant) = &self.tenant {
                let failed = |error| StepError::failed(&error);
                spec.provider_id = Some(tenant.add_node(&self.registry, &name).map_err(failed)?);
                let identity = tenant.kubelet_client_id(&self.registry).map_err(failed)?;
                spec.credential_provider = Some(AcrCredentialProvider {
                    identity: Some(identity),
                    tenant: self.registry.azure().tenant_id().map_err(failed)?,
                });
            }
            let node = self.cluster.add_node(spec);
            if self.tenant.is_some() {
                node.host()
                    .listen_local(METADATA, self.acceptor(Scheme::Http));
            }
        }
        Ok(())
    }

    fn node_host(&self, name: &str) -> Result<Host, StepError> {
        let node = self.cluster.node(name);
        node.map(|node| node.host())
            .ok_or_else(|| StepError::Failed(format!("there is no node `{name}`")))
    }

    fn firewall(&self, rule: &crate::spec::Firewall) -> Result<(), StepError> {
        let host = self.node_host(&rule.node)?;
        let key = (rule.node.clone(), rule.to.clone(), rule.port);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let verdict = match rule.action {
            FirewallAction::Drop => Verdict::Drop,
            FirewallAction::Refuse => Verdict::Refuse,
            FirewallAction::Open => {
                for id in state.rules.remove(&key).unwrap_or_default() {
                    host.remove_rule(id);
                }
                return Ok(());
            }
        };
        let target = self.network.host(&rule.to);
        let to = target.map(|target| target.addresses()).unwrap_or_default();
        if to.is_empty() {
            return Err(StepError::Failed(format!("there is no host `{}`", rule.to)));
        }
        let id = host.add_rule(Rule {
            to,
            port: Some(rule.port),
            verdict,
        });
        state.rules.entry(key).or_default().push(id);
        Ok(())
    }

    fn dns(&self, change: &crate::spec::SetDns) -> Result<(), StepError> {
        let record = match change.answer {
            DnsAnswer::NxDomain => Some(Record::NxDomain),
            DnsAnswer::ServFail => Some(Record::ServFail),
            DnsAnswer::Silent => Some(Record::Silent),
            DnsAnswer::Restore => None,
        };
        match (&change.node, record) {
            (Some(node), Some(record)) => {
                self.node_host(node)?.override_record(&change.name, record);
            }
            (Some(node), None) => self.node_host(node)?.clear_override(&change.name),
            (None, Some(record)) => self.network.set_record(&change.name, record),
            (None, None) => {
                let addresses = self.network.host(&change.name).map(|host| host.addresses());
                self.network.set_record(
                    &change.name,
                    Record::Addresses(addresses.unwrap_or_default()),
                );
            }
        }
        Ok(())
    }

    fn tenant(&self) -> Result<&Tenant, StepError> {
        self.tenant
            .as_ref()
            .ok_or_else(|| StepError::Failed("there is no Azure tenant".to_owned()))
    }

    fn az(&self) -> Result<Az, StepError> {
        Ok(Az {
            workstation: self.workstation.clone(),
            authority: self.registry.ca_der(),
            clock: self.cluster.clock(),
            token: Tenant::user_token(&self.registry)?,
        })
    }

    fn place(&self, vantage: Vantage, host: Host) -> CheckerPlace {
        let net: Arc<dyn Net> = Arc::new(Place(host));
        CheckerPlace::new(vantage, net, Trust::roots([self.registry.ca_der()]))
    }
}

impl Backend for Embedded {
    fn client(&self) -> kube::Client {
        kube::Client::new(self.cluster.service(), NAMESPACE)
    }

    fn world(&self) -> World {
        let nodes = self.cluster.nodes();
        let places = nodes
            .into_iter()
            .map(|node| self.place(Vantage::node(node.name()), node.host()));
        let world = World::new(
            Arc::new(Date(self.cluster.clock())),
            self.place(Vantage::Workstation, self.workstation.clone()),
        )
        .with_nodes(places)
        .with_cluster(self.client());
        match Tenant::user_token(&self.registry) {
            Ok(token) if self.arm => {
                world.with_arm(Arm::new(Arc::new(FixedToken(Secret::new(token)))))
            }
            _ => world,
        }
    }

    async fn step(&self, step: &Step) -> Result<(), StepError> {
        match step {
            Step::AddNodes(nodes) => self.add_nodes(nodes.count),
            Step::Firewall(rule) => self.firewall(rule),
            Step::SetDns(change) => self.dns(change),
            Step::RemoveRole(grant) => self.tenant()?.remove_role(&self.registry, grant),
            Step::AssignRole(grant) => self.tenant()?.assign_role(&self.registry, grant),
            Step::RegistryLoad(load) => self.tenant()?.load(&self.registry, load),
            Step::SetSku(change) => Tenant::set_sku(&self.registry, change),
            Step::RegistryNetwork(change) => Tenant::set_network(&self.registry, change),
            Step::Push(change) => self
                .registry
                .tag(&change.host, &change.image)
                .map(drop)
                .map_err(|error| StepError::failed(&error)),
            Step::Untag(change) => self
                .registry
                .untag(&change.host, &change.image)
                .map_err(|error| StepError::failed(&error)),
            other => Err(StepError::Failed(format!(
                "{other:?} is for the cluster's API"
            ))),
        }
    }

    async fn cloud(&self, command: &Command) -> Result<(), StepError> {
        match command {
            Command::AssignRole {
                assignee,
                role,
                scope,
            } => self.az()?.assign_role(assignee, role, scope).await,
            Command::SetSku { name, sku, .. } => {
                let subscription = self.registry.azure().subscription_id();
                let subscription = subscription.map_err(|error| StepError::failed(&error))?;
                self.az()?.set_sku(&subscription, name, sku).await
            }
            other => Err(StepError::Failed(format!(
                "`{other}` is no command of a cloud"
            ))),
        }
    }

    fn attempts(&self) -> Vec<Attempt> {
        let mut attempts: Vec<_> = self
            .cluster
            .nodes()
            .iter()
            .flat_map(sim_cluster::node::Node::attempts)
            .map(|attempt| Attempt {
                node: attempt.node,
                pod: attempt.pod,
                image: attempt.image,
                at: Seconds::from(attempt.started),
                took: Seconds::from(attempt.ended.saturating_sub(attempt.started)),
                pulled: attempt.outcome.is_ok(),
                error: attempt.outcome.err(),
                back_off: attempt.back_off.map(Seconds::from),
            })
            .collect();
        attempts.sort_by(|a, b| (a.at, &a.node, &a.pod).cmp(&(b.at, &b.node, &b.pod)));
        attempts
    }

    fn digest(&self, reference: &str) -> Option<String> {
        let (host, rest) = reference.split_once('/')?;
        self.registry.digest(host, rest)
    }

    async fn sleep(&self, length: Duration) {
        tokio::time::sleep(length).await;
    }
}
