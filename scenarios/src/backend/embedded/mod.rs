//! The embedded backend: cluster, network, registries and tenant in memory, in virtual time.
//!
//! Everything lives on a runtime of its own, on one thread, with a paused clock. The parts are the
//! real rooms: sim-cluster's kubelets pull over the simulated network from fake-registry.

mod nodes;
mod place;
mod program;
mod proxy;
mod registries;
mod reset;
mod services;
mod tenant;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fake_registry::{FakeRegistry, Scheme, Script};
use pullcheck::check::Settings as CheckerSettings;
use pullcheck::cluster::fleet::{FleetSettings, Subject, manifests};
use pullcheck::keyring::Secret;
use pullcheck::world::{Arm, FixedToken, Net, Place as CheckerPlace, Trust, Vantage, World};
use serde_json::Value;
use sim_cluster::api::WriteOptions;
use sim_cluster::clock::default_start;
use sim_cluster::cluster::Cluster;
use sim_cluster::credential::AcrCredentialProvider;
use sim_cluster::net::{Host, Network, Rule, RuleId, Verdict};
use sim_cluster::node::{Node, NodeSpec};
use sim_cluster::program::Given;
use sim_cluster::store::Kind;

use self::nodes::Settings;
use self::place::{Date, Place};
use self::program::Checker;
use self::services::{Services, record};
use self::tenant::Tenant;
use super::cloud::Az;
use super::{Attempt, Backend, Pace, StepError};
use crate::observer::{Seconds, Seen};
use crate::play::{Mismatch, NAMESPACE, Play, Tempo};
use crate::remedy::Command;
use crate::spec::{FirewallAction, NodeSettings, Scenario, Step};
use crate::traces::{NODE, Request, Stage};
use crate::versions::Versions;

/// The metadata service of every cloud, reached from the machine itself only.
const METADATA: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);

/// Plays on a runtime with a paused clock. A panic of a simulated task fails the play.
///
/// With a tempo it is a real cluster's play that is played again: nodes are set up as there, images are
/// pulled anew, and it takes as long.
pub(crate) fn play(
    scenario: &Scenario,
    seed: u64,
    versions: Versions,
    tempo: Option<Tempo>,
) -> Play {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            return Play::cannot(
                scenario,
                seed,
                Pace::Virtual,
                &format!("no runtime: {error}"),
            );
        }
    };
    runtime.block_on(async {
        let built = Embedded::furnish(scenario, seed, versions, default_start(), tempo.is_some());
        match built {
            Ok(backend) => {
                let mut play = crate::play::play_at(&backend, scenario, seed, tempo).await;
                for panic in backend.cluster.failures().list() {
                    play.fail(Mismatch {
                        what: "a task of the simulation".to_owned(),
                        expected: "no panic".to_owned(),
                        seen: panic.to_string(),
                    });
                }
                play
            }
            Err(error) => Play::cannot(scenario, seed, Pace::Virtual, &error.to_string()),
        }
    })
}

/// The world of one scenario.
pub(crate) struct Embedded {
    cluster: Cluster,
    network: Network,
    registry: FakeRegistry,
    services: Services,
    workstation: Host,
    tenant: Option<Tenant>,
    /// Whether the person who runs the checker has a token for Azure Resource Manager.
    arm: bool,
    /// Whether nodes are as those of the real clusters that this one is compared with.
    as_real: bool,
    versions: Versions,
    /// The node whose `hosts.toml` files that person has.
    hosts_of: Option<String>,
    /// What nodes are like.
    node: NodeSettings,
    nodes_by_name: indexmap::IndexMap<String, NodeSettings>,
    settings: Arc<Settings>,
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
        versions: Versions,
        start: jiff::Timestamp,
    ) -> Result<Self, StepError> {
        Self::furnish(scenario, seed, versions, start, false)
    }

    fn furnish(
        scenario: &Scenario,
        seed: u64,
        versions: Versions,
        start: jiff::Timestamp,
        as_real: bool,
    ) -> Result<Self, StepError> {
        let network = Network::new();
        let cluster = Cluster::builder()
            .seed(seed)
            .start_time(start)
            .network(network.clone())
            .profile(versions.profile())
            .build();
        let tenant = scenario
            .azure
            .as_ref()
            .map(|azure| Tenant::new(azure, start));
        let registry = registries::build(scenario, tenant.as_ref(), seed, start)?;
        let intercepting = registries::intercepting(scenario, seed, start)?;
        let services = Services::new(
            &network,
            cluster.failures(),
            &registry,
            intercepting.as_ref(),
            scenario,
        );
        let workstation =
            network.add_host("workstation", &[IpAddr::V4(Ipv4Addr::new(10, 1, 0, 10))]);
        let world = Self {
            cluster,
            network,
            registry,
            services,
            workstation,
            tenant,
            arm: scenario.checker.arm,
            as_real,
            versions,
            hosts_of: scenario.checker.hosts_of.clone(),
            node: scenario.cluster.node.clone(),
            nodes_by_name: scenario.cluster.nodes_by_name.clone(),
            settings: Arc::default(),
            state: Mutex::default(),
        };
        world.add_nodes(scenario.cluster.nodes.value, &NodeSettings::default())?;
        Ok(world)
    }

    fn add_nodes(&self, count: u32, more: &NodeSettings) -> Result<(), StepError> {
        let first = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.nodes += count;
            state.nodes - count + 1
        };
        for number in first..first + count {
            let name = format!("node-{number}");
            let [_, _, high, low] = number.to_be_bytes();
            let address = IpAddr::V4(Ipv4Addr::new(10, 2, high, low));
            let mut spec = self.cluster.node_spec(&name, address);
            spec.trusted_ca = vec![self.registry.ca_der()];
            // As AKS and kind set it; the kubelet's own default is one pull at a time.
            spec.serialize_image_pulls = false;
            if self.as_real {
                spec.registry_qps = 0.0;
            }
            let named = self.nodes_by_name.get(&name);
            let layers: Vec<&NodeSettings> = [Some(&self.node), named, Some(more)]
                .into_iter()
                .flatten()
                .collect();
            for settings in &layers {
                nodes::describe(&mut spec, settings);
            }
            let names_identity = layers.iter().rev().find_map(|one| one.names_identity);
            self.give_identity(&mut spec, names_identity.unwrap_or(true))?;
            let provider = layers.iter().rev().find_map(|one| one.credential_provider);
            if provider == Some(false) {
                spec.credential_provider = None;
            }
            spec.programs = Some(Given(Arc::new(Checker {
                settings: Arc::clone(&self.settings),
                authority: self.registry.ca_der(),
                clock: self.cluster.clock(),
                architecture: spec.architecture.clone(),
            })));
            let node = self.cluster.add_node(spec);
            for settings in layers {
                self.configure(&node, settings);
            }
            if self.tenant.is_some() {
                let acceptor = self.services.serving(&self.registry, Scheme::Http);
                node.host().listen_local(METADATA, acceptor);
            }
        }
        Ok(())
    }

    fn give_identity(&self, spec: &mut NodeSpec, named: bool) -> Result<(), StepError> {
        let Some(tenant) = &self.tenant else {
            return Ok(());
        };
        let failed = |error| StepError::failed(&error);
        let provider_id = tenant.add_node(&self.registry, &spec.name);
        spec.provider_id = Some(provider_id.map_err(failed)?);
        let identity = tenant.kubelet_client_id(&self.registry).map_err(failed)?;
        spec.credential_provider = Some(AcrCredentialProvider {
            identity: named.then_some(identity),
            tenant: self.registry.azure().tenant_id().map_err(failed)?,
        });
        Ok(())
    }

    fn configure(&self, node: &Node, settings: &NodeSettings) {
        let authority = self.registry.ca_der();
        self.settings
            .apply(node, settings, authority, self.cluster.clock());
    }

    fn node(&self, name: &str) -> Result<Node, StepError> {
        let node = self.cluster.node(name);
        node.ok_or_else(|| StepError::Failed(format!("there is no node `{name}`")))
    }

    /// The named node, or all.
    fn nodes(&self, name: Option<&String>) -> Result<Vec<Node>, StepError> {
        match name {
            Some(name) => Ok(vec![self.node(name)?]),
            None => Ok(self.cluster.nodes()),
        }
    }

    fn firewall(&self, rule: &crate::spec::Firewall) -> Result<(), StepError> {
        let to = if rule.to == "anywhere" {
            Vec::new()
        } else if let Ok(address) = rule.to.parse() {
            vec![address]
        } else {
            self.addresses(&rule.to)?
        };
        let verdict = match &rule.action {
            FirewallAction::Drop => Some(Verdict::Drop),
            FirewallAction::Refuse => Some(Verdict::Refuse),
            FirewallAction::NoRoute => Some(Verdict::NoRoute),
            FirewallAction::Unreachable => Some(Verdict::NetUnreachable),
            FirewallAction::ResetAfter(bytes) => Some(Verdict::ResetAfter(*bytes)),
            FirewallAction::StallAfter(bytes) => Some(Verdict::StallAfter(*bytes)),
            FirewallAction::DropLarger(bytes) => Some(Verdict::DropLarger(*bytes)),
            FirewallAction::Delay(length) => Some(Verdict::Delay(length.get())),
            FirewallAction::Redirect(host) => {
                let address = self.addresses(host)?.first().copied();
                address.map(Verdict::Redirect)
            }
            FirewallAction::Open => None,
        };
        for node in self.nodes(rule.node.as_ref())? {
            let host = node.host();
            let key = (node.name().to_owned(), rule.to.clone(), rule.port);
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(verdict) = verdict else {
                for id in state.rules.remove(&key).unwrap_or_default() {
                    host.remove_rule(id);
                }
                continue;
            };
            let id = host.add_rule(Rule {
                to: to.clone(),
                port: Some(rule.port),
                verdict,
            });
            state.rules.entry(key).or_default().push(id);
        }
        Ok(())
    }

    fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, StepError> {
        let found = self.network.host(host).map(|host| host.addresses());
        found
            .filter(|list| !list.is_empty())
            .ok_or_else(|| StepError::Failed(format!("there is no host `{host}`")))
    }

    fn dns(&self, change: &crate::spec::SetDns) -> Result<(), StepError> {
        let name = &change.name;
        match (&change.node, record(&change.answer)) {
            (Some(node), Some(record)) => self.node(node)?.host().override_record(name, record),
            (Some(node), None) => self.node(node)?.host().clear_override(name),
            (None, Some(record)) => self.network.set_record(name, record),
            (None, None) => match self.services.first_record(name) {
                Some(record) => self.network.set_record(name, record),
                None => self.network.clear_record(name),
            },
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
            workstation: Arc::new(Place(self.workstation.clone())),
            authority: self.registry.ca_der(),
            clock: Arc::new(Date(self.cluster.clock())),
            token: Tenant::user_token(&self.registry)?,
        })
    }

    /// What somebody at the workstation has: their own network, and the cluster's API.
    pub(crate) fn world_of_workstation(&self) -> World {
        World::new(
            Arc::new(Date(self.cluster.clock())),
            self.workstation_place(),
        )
        .with_cluster(self.client())
    }

    /// Prepares the cluster for probes from nodes, as its administrator would: the checker's image is on the nodes,
    /// and their namespace and account are there.
    pub(crate) fn prepare_probes(&self) -> Result<(), StepError> {
        let settings = FleetSettings::default();
        for node in self.cluster.nodes() {
            node.runtime().import(&settings.image, &["/pullcheck"]);
        }
        for manifest in manifests(&settings, &Subject::Group("people".into())) {
            let named = |path: &str| {
                let text = manifest.pointer(path).and_then(serde_json::Value::as_str);
                text.unwrap_or_default().to_owned()
            };
            // Rights are those of the lab's own access, which lets everybody do everything.
            let kind = match named("/kind").as_str() {
                "Namespace" => Kind::Namespace,
                "ServiceAccount" => Kind::ServiceAccount,
                _ => continue,
            };
            let namespace = named("/metadata/namespace");
            let made = self.cluster.api().create(
                kind,
                &namespace,
                manifest.clone(),
                WriteOptions::default(),
            );
            made.map_err(|error| StepError::Failed(error.to_string()))?;
        }
        Ok(())
    }

    fn workstation_place(&self) -> CheckerPlace {
        let net: Arc<dyn Net> = Arc::new(Place(self.workstation.clone()));
        let trust = Trust::roots([self.registry.ca_der()]);
        CheckerPlace::new(Vantage::Workstation, net, trust)
    }
}

impl Backend for Embedded {
    fn client(&self) -> kube::Client {
        kube::Client::new(self.cluster.service(), NAMESPACE)
    }

    fn world(&self) -> World {
        let (clock, authority) = (self.cluster.clock(), self.registry.ca_der());
        let nodes = self.cluster.nodes();
        let places = nodes.into_iter().map(|node| {
            self.settings
                .place(node.name(), node.host(), authority.clone(), clock)
        });
        let world = World::new(Arc::new(Date(clock)), self.workstation_place())
            .with_nodes(places)
            .with_cluster(self.client());
        match Tenant::user_token(&self.registry) {
            Ok(token) if self.arm => {
                world.with_arm(Arm::new(Arc::new(FixedToken(Secret::new(token)))))
            }
            _ => world,
        }
    }

    fn settings(&self) -> CheckerSettings {
        let mirrors = self.hosts_of.as_ref();
        CheckerSettings {
            mirrors: mirrors.map_or_else(Default::default, |node| self.settings.mirrors_of(node)),
            ..CheckerSettings::default()
        }
    }

    fn objects(&self, manifests: &str) -> Result<Vec<Value>, StepError> {
        let objects = crate::spec::objects(manifests).map_err(|error| StepError::failed(&error));
        let mut objects = objects?;
        if self.as_real {
            objects.iter_mut().for_each(super::anew::pull_always);
        }
        Ok(objects)
    }

    async fn requests(&self) -> Vec<Request> {
        let entries = self.registry.journal().entries().into_iter();
        let requests = entries.map(|entry| Request {
            at: entry.at.as_secs_f64(),
            client: entry.client.to_string(),
            method: entry.method.to_string(),
            host: entry.host,
            path: entry.path,
            query: entry.query,
            authorization: entry.authorization.name().to_owned(),
            user_agent: entry.user_agent,
            range: entry.range,
            accept: entry.accept,
            status: entry.status,
        });
        requests.collect()
    }

    fn stage(&self) -> Stage {
        let profile = self.versions.profile();
        let nodes = self.cluster.nodes().into_iter();
        let nodes = nodes.map(|node| (node.name().to_owned(), NODE.to_owned()));
        Stage {
            names: nodes.collect(),
            kubernetes: profile.kubernetes.to_string(),
            runtime: profile.runtime_version(),
        }
    }

    async fn step(&self, step: &Step) -> Result<(), StepError> {
        match step {
            Step::AddNodes(nodes) => self.add_nodes(nodes.count, &nodes.node),
            Step::SetNode(change) => {
                for node in self.nodes(change.node.as_ref())? {
                    self.configure(&node, &change.to);
                }
                Ok(())
            }
            Step::RestartRuntime(node) => {
                self.node(node)?.runtime().restart();
                Ok(())
            }
            Step::RemoveImage(removal) => {
                let gone = self.node(&removal.node)?.runtime().remove(&removal.image);
                gone.map(drop).ok_or_else(|| {
                    StepError::Failed(format!("{} has no {}", removal.node, removal.image))
                })
            }
            Step::Firewall(rule) => self.firewall(rule),
            Step::SetDns(change) => self.dns(change),
            Step::SetTls(change) => {
                self.registry.set_tls(&change.host, change.mode);
                Ok(())
            }
            Step::Service(change) => self.services.change(change),
            Step::Faults(rules) => {
                self.registry.faults().replace(Script {
                    rules: rules.clone(),
                });
                Ok(())
            }
            Step::RemoveRole(grant) => self.tenant()?.remove_role(&self.registry, grant),
            Step::AssignRole(grant) => self.tenant()?.assign_role(&self.registry, grant),
            Step::NodeIdentities(change) => {
                for node in self.nodes(change.node.as_ref())? {
                    let tenant = self.tenant()?;
                    tenant.set_identities(&self.registry, node.name(), &change.identities)?;
                }
                Ok(())
            }
            Step::RegistryLoad(load) => self.tenant()?.load(&self.registry, load),
            Step::SetSku(change) => Tenant::set_sku(&self.registry, change),
            Step::RegistryNetwork(change) => Tenant::set_network(&self.registry, change),
            Step::RegistrySettings(change) => Tenant::set_registry(&self.registry, change),
            Step::Push(change) => self
                .registry
                .tag(bare(&change.host), &change.image)
                .map(drop)
                .map_err(|error| StepError::failed(&error)),
            Step::Untag(change) => self
                .registry
                .untag(bare(&change.host), &change.image)
                .map_err(|error| StepError::failed(&error)),
            other => Err(StepError::Failed(format!(
                "{other:?} is for the cluster's API"
            ))),
        }
    }

    async fn cloud(&self, command: &Command) -> Result<(), StepError> {
        if let Command::ReconcileCluster { .. } = command {
            // Azure puts the kubelet identity back onto the machines.
            let kubelet = ["kubelet".to_owned()];
            for node in self.cluster.nodes() {
                let tenant = self.tenant()?;
                tenant.set_identities(&self.registry, node.name(), &kubelet)?;
            }
            return Ok(());
        }
        self.az()?.run(command).await
    }

    fn attempts(&self, _: &Seen) -> Vec<Attempt> {
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
        let (host, rest) = super::stored_at(reference)?;
        self.registry.digest(&host, &rest)
    }

    async fn sleep(&self, length: Duration) {
        tokio::time::sleep(length).await;
    }
}

/// A host without its port, as the registry knows it.
fn bare(host: &str) -> &str {
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}
