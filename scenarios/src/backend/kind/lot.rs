//! One scenario's part of a site: its namespace, its registries, its names, what it did to nodes.
//!
//! A lot that shares the cluster has host names of its own, so that several scenarios that all speak
//! of `registry.example` can be played at once. One that touches the nodes is alone, and they are
//! compared before and after.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Node as KubeNode, ServiceAccount};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use pullcheck::keyring::Secret;
use pullcheck::world::real::{SystemClock, SystemNet};
use pullcheck::world::{Arm, FixedToken, Net, Place, Trust, Vantage, World};
use serde_json::{Value, json};

use super::describe;
use super::doors::{self, Doors};
use super::machines::{self, Machines};
use super::node::{Node, State};
use super::objects::{keep_to, spread};
use super::place::NodePlace;
use super::registry::{Registry, Wanted};
use super::settings::{self, Known};
use super::zone::Answer;
use super::{LABEL, SCENARIO, Site, attempts, docker, identity, steps};
use crate::backend::anew::pull_always;
use crate::backend::cloud::Az;
use crate::backend::{Attempt, Backend, Pace, StepError};
use crate::observer::Seen;
use crate::play::{Ending, Mismatch, NAMESPACE, Play};
use crate::remedy::Command;
use crate::spec::{self, Scenario, Step};
use crate::traces::{NODE, Request, Stage};

/// A namespace's service account and its token are there in a moment.
const NAMESPACE_READY: Duration = Duration::from_mins(1);
/// For how long pods may take to end when a lot is cleared.
const CLEARED: Duration = Duration::from_secs(90);

/// The stage of one scenario.
pub(super) struct Lot<'a> {
    pub(super) site: &'a Site,
    scenario: Scenario,
    namespace: String,
    pub(super) registry: Registry,
    pub(super) doors: Doors,
    pub(super) machines: Machines,
    pub(super) known: Known,
    /// Nodes that the scenario has; those after them have not joined yet.
    nodes: std::sync::atomic::AtomicUsize,
    names: Vec<String>,
    /// What stands before the file's host names; nothing where they are everybody's.
    prefix: String,
    /// What the nodes were called in their cloud before; only where the file has one.
    provider_ids: Vec<Option<String>>,
    /// Whether the nodes are its own while it lasts.
    alone: bool,
    /// What the nodes were like before the stage was made: all of it where the lot is alone, else what
    /// concerns its hosts.
    pristine: Vec<State>,
    /// What they were like when the first act began, or when they joined.
    furnished: Mutex<Vec<State>>,
}

type Unplayed = (Scenario, StepError);

impl<'a> Lot<'a> {
    pub(super) async fn prepare(
        site: &'a Site,
        scenario: &Scenario,
        number: usize,
    ) -> Result<Self, Unplayed> {
        let alone = !super::shares(scenario);
        let real = if alone || super::keeps_names(scenario) {
            scenario.on_kind()
        } else {
            match scenario.renamed(&prefix(number)) {
                Ok(renamed) => renamed.on_kind(),
                Err(error) => return Err((scenario.on_kind(), StepError::failed(&*error))),
            }
        };
        Self::make(site, &real, number, alone)
            .await
            .map_err(|error| (real, error))
    }

    async fn make(
        site: &'a Site,
        scenario: &Scenario,
        number: usize,
        alone: bool,
    ) -> Result<Self, StepError> {
        let wanted = super::nodes(scenario);
        supported(scenario, wanted, site.nodes.len()).map_err(StepError::Unsupported)?;
        let oldest = scenario.kind.as_ref().and_then(|kind| kind.kubernetes);
        if let Some(oldest) = oldest.filter(|oldest| *oldest > site.kubernetes) {
            let reason = format!(
                "it needs Kubernetes {oldest}, and the cluster has {}",
                site.kubernetes
            );
            return Err(StepError::Unsupported(reason));
        }
        // The salt makes content that no earlier play can have left on a node.
        let salt = format!("{}-{number}-{}", scenario.id(), std::process::id());
        let config = describe::describe(scenario, &salt, &site.addresses())
            .map_err(StepError::Unsupported)?;
        let id = scenario.id();
        let label = format!("{LABEL}={}", site.spec.cluster);
        let registry = Registry::start(&Wanted {
            name: format!("{}-registry-{number}", site.spec.cluster),
            image: &site.spec.image,
            network: &site.spec.network,
            label: &label,
            folder: &site.spec.folder,
            config: &config,
            salt: &salt,
            seed: site.spec.seed,
        })
        .await?;
        // Login servers, data hosts, token services and the cloud's own names.
        let hosts = registry.twin.hosts().into_iter();
        let beside = scenario.registries.iter().flat_map(|registry| {
            let token = registry.token_host.clone();
            let token = token.or_else(|| registry.habits.token_host().map(str::to_owned));
            token.into_iter().chain(registry.blobs_at.clone())
        });
        let names: std::collections::BTreeSet<String> = hosts
            .chain(beside)
            .filter(|name| name.parse::<IpAddr>().is_err())
            .collect();
        let mut names: Vec<String> = names.into_iter().collect();
        let opened = Self::open(site, scenario, &registry, &label, &names).await;
        let (doors, machines) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                remove(&registry.container.name).await.ok();
                return Err(error);
            }
        };
        names.extend(machines.names().map(|(name, _)| name));
        let mut lot = Self {
            site,
            scenario: scenario.clone(),
            namespace: format!("pk-{number}-{id}").chars().take(63).collect(),
            registry,
            doors,
            machines,
            known: Known::default(),
            nodes: std::sync::atomic::AtomicUsize::new(scenario.cluster.nodes.value as usize),
            names,
            prefix: if alone { String::new() } else { prefix(number) },
            provider_ids: Vec::new(),
            alone,
            pristine: Vec::new(),
            furnished: Mutex::default(),
        };
        match lot.furnish().await {
            Ok(()) => Ok(lot),
            Err(error) => {
                lot.take_down().await;
                Err(error)
            }
        }
    }

    /// What stands at the registry's names, and beside them.
    async fn open(
        site: &Site,
        scenario: &Scenario,
        registry: &Registry,
        label: &str,
        names: &[String],
    ) -> Result<(Doors, Machines), StepError> {
        let wanted = doors::Wanted {
            registry: &registry.container.name,
            image: &site.node_image,
            label,
            subnet: site.subnet,
            names,
        };
        let doors = Doors::open(&wanted, || site.next_address()).await;
        let doors = doors.map_err(|error| StepError::failed(&error))?;
        let gateway = IpAddr::V4(site.subnet.gateway);
        let machines = Machines::start(&scenario.machines, gateway, doors.all()).await?;
        Ok((doors, machines))
    }

    async fn furnish(&mut self) -> Result<(), StepError> {
        let names = self.doors.all().clone().into_iter();
        let names = self.site.zone.add(names.chain(self.machines.names())).await;
        names.map_err(|error| StepError::failed(&error))?;
        for (name, answer) in &self.scenario.dns {
            steps::dns(self, None, name, answer).await?;
        }
        self.make_namespace().await?;
        self.pristine = self.states().await?;
        let cluster = &self.scenario.cluster;
        if !self.alone {
            for (number, node) in self.site.nodes.iter().enumerate().take(self.joined()) {
                self.known.configure(node, &cluster.node).await?;
                if let Some(own) = cluster.nodes_by_name.get(&format!("node-{}", number + 1)) {
                    self.known.configure(node, own).await?;
                }
            }
            let states = self.states().await?;
            *self.furnished() = states;
            return Ok(());
        }
        let address = self.registry.container.address;
        for (number, node) in self.site.nodes.iter().enumerate() {
            self.cordon(node, number >= self.joined()).await?;
            if let Some(azure) = &self.scenario.azure {
                let client = &self.site.client;
                let identity = self.registry.node_identity(azure)?;
                let id = self.registry.provider_id(node.address())?;
                let before = identity::provider_id(node, client).await?;
                self.provider_ids.push(before);
                identity::give(node, client, &identity, &id, address).await?;
            }
            self.known.configure(node, &cluster.node).await?;
            if let Some(settings) = cluster.nodes_by_name.get(&format!("node-{}", number + 1)) {
                self.known.configure(node, settings).await?;
            }
        }
        let ready = self.site.wait_ready().await;
        ready.map_err(|error| StepError::failed(&error))?;
        let states = self.states().await?;
        *self.furnished() = states;
        Ok(())
    }

    fn furnished(&self) -> std::sync::MutexGuard<'_, Vec<State>> {
        self.furnished
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a host of the scenario is.
    pub(super) fn address(&self, name: &str) -> Result<IpAddr, StepError> {
        let machine = self.machines.names().find(|(known, _)| known == name);
        let found = self.doors.address(name);
        found
            .or(machine.map(|(_, address)| address))
            .ok_or_else(|| StepError::Failed(format!("there is no host `{name}`")))
    }

    /// What a name was answered with before any change.
    pub(super) fn first_answer(&self, name: &str) -> Option<Answer> {
        let address = self.address(name).ok()?;
        Some(Answer::Addresses(vec![address]))
    }

    pub(super) fn joined(&self) -> usize {
        self.nodes.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub(super) const fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    async fn make_namespace(&self) -> Result<(), StepError> {
        let api: Api<Namespace> = Api::all(self.site.client.clone());
        let object: Namespace = serde_json::from_value(json!({
            "metadata": {"name": self.namespace, "labels": {SCENARIO: self.scenario.id()}},
        }))
        .map_err(|error| StepError::failed(&error))?;
        api.create(&PostParams::default(), &object)
            .await
            .map_err(|error| StepError::failed(&error))?;
        let accounts: Api<ServiceAccount> =
            Api::namespaced(self.site.client.clone(), &self.namespace);
        let since = tokio::time::Instant::now();
        loop {
            // Up to 1.23 an account has a token in a secret, without which no pod is made; later
            // ones have none, and a moment is all that is waited for.
            let account = accounts.get("default").await.ok();
            let token = account
                .as_ref()
                .is_some_and(|one| one.secrets.as_ref().is_some_and(|list| !list.is_empty()));
            if token || (account.is_some() && since.elapsed() > Duration::from_secs(3)) {
                return Ok(());
            }
            if since.elapsed() > NAMESPACE_READY {
                return Err(StepError::Failed(format!(
                    "namespace `{}` got no service account",
                    self.namespace
                )));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn cordon(&self, node: &Node, yes: bool) -> Result<(), StepError> {
        let api: Api<KubeNode> = Api::all(self.site.client.clone());
        let patch = json!({"spec": {"unschedulable": yes}});
        api.patch(node.name(), &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .map(drop)
            .map_err(|error| StepError::failed(&error))
    }

    async fn states(&self) -> Result<Vec<State>, StepError> {
        let mut states = Vec::new();
        for node in &self.site.nodes {
            let state = if self.alone {
                node.state().await
            } else {
                let addresses = self.doors.all().values().copied();
                node.own_state(addresses, self.names.iter()).await
            };
            states.push(state.map_err(|error| StepError::failed(&error))?);
        }
        Ok(states)
    }

    /// Takes everything away, and adds to a play that failed what the stage knows of it.
    pub(super) async fn clear(self, mut play: Play) -> Play {
        if !play.passed()
            && let Some(last) = play.acts.last_mut()
        {
            for gone in self.gone().await {
                if !last.mismatches.contains(&gone) {
                    last.mismatches.push(gone);
                }
            }
            let requests = self.registry.last_requests().await;
            let requests = requests.unwrap_or_else(|error| error.to_string());
            last.notes
                .push(format!("the registry's last requests: {requests}"));
        }
        if let Some(seen) = self.take_down().await
            && let Some(last) = play.acts.last_mut()
        {
            last.passed = false;
            let act = last.act;
            last.mismatches.push(Mismatch {
                what: "the stage, after the play".to_owned(),
                expected: "taken down".to_owned(),
                seen,
            });
            play.ending = Ending::Failed(act);
        }
        play
    }

    /// Everything is tried; gives what did not work.
    async fn take_down(&self) -> Option<String> {
        let mut failures = Vec::new();
        let client = &self.site.client;
        let gone = delete_namespace(client, &self.namespace, self.alone).await;
        failures.extend(gone.err());
        let forgotten = self.site.zone.forget(&self.names).await;
        failures.extend(forgotten.err().map(|error| error.to_string()));
        for name in [&self.doors.container, &self.registry.container.name] {
            failures.extend(remove(name).await.err().map(|error| error.to_string()));
        }
        if self.alone {
            self.put_nodes_back(&mut failures).await;
        } else {
            for node in &self.site.nodes {
                let addresses = self.doors.all().values().copied();
                let cleared = node.clear_own(addresses, self.names.iter()).await;
                failures.extend(cleared.err().map(|error| error.to_string()));
            }
        }
        (!failures.is_empty()).then(|| failures.join("; "))
    }

    /// What a lot that had the nodes to itself did to them; they are compared once more.
    async fn put_nodes_back(&self, failures: &mut Vec<String>) {
        for (number, node) in self.site.nodes.iter().enumerate() {
            let cleared = node.clear_rules().await;
            failures.extend(cleared.err().map(|error| error.to_string()));
            let cleared = settings::put_back(node).await;
            failures.extend(cleared.err().map(|error| error.to_string()));
            if let Some(before) = self.provider_ids.get(number) {
                let taken = identity::take(node, &self.site.client, before.as_deref()).await;
                failures.extend(taken.err().map(|error| error.to_string()));
            }
            let open = self.cordon(node, false).await;
            failures.extend(open.err().map(|error| error.to_string()));
        }
        let ready = self.site.wait_ready().await;
        failures.extend(ready.err().map(|error| error.to_string()));
        let now = match self.states().await {
            Ok(now) => now,
            Err(error) => {
                failures.push(error.to_string());
                return;
            }
        };
        for (node, (before, now)) in self.site.nodes.iter().zip(self.pristine.iter().zip(&now)) {
            let left = before.difference(now);
            failures.extend(left.map(|left| format!("node {}: {left}", node.name())));
        }
    }

    pub(super) fn node_of(&self, name: &str) -> Result<&Node, StepError> {
        let number = name
            .strip_prefix("node-")
            .and_then(|number| number.parse::<usize>().ok())
            .and_then(|number| number.checked_sub(1));
        number
            .filter(|number| *number < self.joined())
            .and_then(|number| self.site.node(number))
            .ok_or_else(|| StepError::Failed(format!("there is no node `{name}`")))
    }

    pub(super) async fn add_nodes(&self, more: &spec::AddNodes) -> Result<(), StepError> {
        let count = more.count as usize;
        let from = self
            .nodes
            .fetch_add(count, std::sync::atomic::Ordering::Relaxed);
        for (number, node) in self.site.nodes.iter().enumerate().skip(from).take(count) {
            if !settings::usual(&more.node) {
                self.known.configure(node, &more.node).await?;
                let ready = self.site.wait_ready().await;
                ready.map_err(|error| StepError::failed(&error))?;
                let state = node.state().await;
                let state = state.map_err(|error| StepError::failed(&error))?;
                if let Some(furnished) = self.furnished().get_mut(number) {
                    *furnished = state;
                }
            }
            self.cordon(node, false).await?;
        }
        Ok(())
    }

    pub(super) fn azure(&self) -> Result<&spec::Azure, StepError> {
        let azure = self.scenario.azure.as_ref();
        azure.ok_or_else(|| StepError::Failed("there is no Azure tenant".to_owned()))
    }

    fn workstation(&self) -> Arc<dyn Net> {
        Arc::new(SystemNet::new(Some(self.site.name_server())))
    }

    fn trust(&self, yes: bool) -> Trust {
        Trust::roots(yes.then(|| self.site.authority.clone()))
    }

    fn az(&self) -> Result<Az, StepError> {
        Ok(Az {
            workstation: self.workstation(),
            authority: self.site.authority.clone(),
            clock: Arc::new(SystemClock),
            token: self.registry.user_token()?,
        })
    }
}

/// What tells the host names of lots apart.
fn prefix(number: usize) -> String {
    format!("k{number}-")
}

/// What a real cluster of this size cannot do of a scenario.
pub(super) fn supported(scenario: &Scenario, wanted: u32, nodes: usize) -> Result<(), String> {
    if let Some(reason) = scenario.kind.as_ref().and_then(|kind| kind.skip.clone()) {
        return Err(reason);
    }
    if wanted as usize > nodes {
        return Err(format!(
            "it needs {wanted} nodes, and the cluster has {nodes}"
        ));
    }
    machines::possible(&scenario.machines)?;
    let cluster = &scenario.cluster;
    let nodes = cluster.nodes_by_name.values().chain([&cluster.node]);
    nodes.into_iter().try_for_each(settings::possible)?;
    let mut steps = scenario.acts.break_.iter().chain(&scenario.acts.fix);
    steps.try_for_each(|step| steps::supported(&step.value))
}

async fn remove(container: &str) -> Result<(), docker::DockerError> {
    let arguments = ["container", "rm", "--force", "--volumes", container];
    docker::docker(&arguments).await.map(drop)
}

async fn delete_namespace(client: &Client, name: &str, wait: bool) -> Result<(), String> {
    let api: Api<Namespace> = Api::all(client.clone());
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        Err(error) => return Err(format!("namespace `{name}`: {error}")),
    }
    let since = tokio::time::Instant::now();
    loop {
        if !wait || matches!(api.get_opt(name).await, Ok(None)) {
            return Ok(());
        }
        if since.elapsed() > CLEARED {
            return Err(format!("namespace `{name}` does not go"));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

impl Backend for Lot<'_> {
    fn client(&self) -> Client {
        self.site.client.clone()
    }

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn pace(&self) -> Pace {
        Pace::Real
    }

    fn objects(&self, manifests: &str) -> Result<Vec<Value>, StepError> {
        let objects = spec::objects(manifests).map_err(|error| StepError::failed(&error))?;
        let mut own = Vec::new();
        for mut object in objects {
            let kind = object.get("kind").and_then(Value::as_str);
            let kind = kind.unwrap_or_default().to_owned();
            if matches!(kind.as_str(), "Namespace" | "Node") {
                let reason = format!("an object of kind {kind}");
                return Err(StepError::Unsupported(reason));
            }
            pull_always(&mut object);
            if kind == "Deployment" && super::nodes(&self.scenario) > 1 {
                spread(&mut object);
            }
            if !self.alone && self.joined() < self.site.nodes.len() {
                let ours = self.site.nodes.iter().take(self.joined());
                keep_to(&mut object, &ours.map(Node::name).collect::<Vec<_>>());
            }
            if let Some(namespace) = object.pointer_mut("/metadata/namespace") {
                if namespace != NAMESPACE {
                    let reason = "objects of several namespaces".to_owned();
                    return Err(StepError::Unsupported(reason));
                }
                *namespace = json!(self.namespace);
            }
            own.push(object);
        }
        Ok(own)
    }

    fn node_name(&self, name: &str) -> String {
        let node = self.node_of(name).map(|node| node.name().to_owned());
        node.unwrap_or_else(|_| name.to_owned())
    }

    fn world(&self) -> World {
        let nodes = self.site.nodes.iter().take(self.joined()).map(|node| {
            let net: Arc<dyn Net> = Arc::new(NodePlace(node.clone()));
            let trust = self.trust(self.known.trusts(node.name()));
            Place::new(Vantage::node(node.name()), net, trust)
                .with_proxies(self.known.proxies(node.name()))
        });
        let world = World::new(
            Arc::new(SystemClock),
            Place::new(Vantage::Workstation, self.workstation(), self.trust(true)),
        )
        .with_nodes(nodes)
        .with_cluster(self.client());
        match self.registry.user_token() {
            Ok(token) if self.scenario.checker.arm => {
                world.with_arm(Arm::new(Arc::new(FixedToken(Secret::new(token)))))
            }
            _ => world,
        }
    }

    fn settings(&self) -> pullcheck::check::Settings {
        let node = self.scenario.checker.hosts_of.as_ref();
        let node = node.and_then(|node| self.node_of(node).ok());
        let mirrors = node.map(|node| self.known.mirrors(node.name()));
        pullcheck::check::Settings {
            mirrors: mirrors.unwrap_or_default(),
            ..pullcheck::check::Settings::default()
        }
    }

    async fn step(&self, step: &Step) -> Result<(), StepError> {
        steps::carry_out(self, step).await
    }

    async fn cloud(&self, command: &Command) -> Result<(), StepError> {
        if let Command::ReconcileCluster { .. } = command {
            // Azure puts the kubelet identity back onto the machines.
            let kubelet = ["kubelet".to_owned()];
            for node in &self.site.nodes {
                self.registry
                    .set_identities(self.azure()?, node.address(), &kubelet)
                    .await?;
            }
            return Ok(());
        }
        self.az()?.run(command).await
    }

    fn attempts(&self, seen: &Seen) -> Vec<Attempt> {
        attempts::from_events(seen)
    }

    async fn requests(&self) -> Vec<Request> {
        let mut requests = self.registry.journal().await;
        for request in &mut requests {
            let mut nodes = self.site.nodes.iter();
            let by = nodes.position(|node| node.address().to_string() == request.client);
            if let Some(number) = by {
                request.client = format!("node-{}", number + 1);
            }
        }
        requests
    }

    fn stage(&self) -> Stage {
        let nodes = self.site.nodes.iter();
        let nodes = nodes.map(|node| (node.name().to_owned(), NODE.to_owned()));
        let hosts = self.names.iter().filter_map(|name| {
            let own = name
                .strip_prefix(&self.prefix)
                .filter(|_| !self.prefix.is_empty())?;
            Some((name.clone(), own.to_owned()))
        });
        let namespace = (self.namespace.clone(), NAMESPACE.to_owned());
        let (kubernetes, runtime) = self.site.versions.clone();
        Stage {
            names: nodes.chain(hosts).chain([namespace]).collect(),
            kubernetes,
            runtime,
        }
    }

    fn digest(&self, reference: &str) -> Option<String> {
        let (host, rest) = crate::backend::stored_at(reference)?;
        self.registry.twin.digest(&host, &rest)
    }

    async fn sleep(&self, length: Duration) {
        tokio::time::sleep(length).await;
    }

    /// Containers that do not run: the registry's, and those of the nodes.
    async fn gone(&self) -> Vec<Mismatch> {
        let registry = &self.registry.container.name;
        let registry = ("the registry's container".to_owned(), registry.as_str());
        let nodes = self.site.nodes.iter().map(Node::name);
        let nodes = nodes.map(|name| (format!("the container of node {name}"), name));
        let mut gone = Vec::new();
        for (what, name) in std::iter::once(registry).chain(nodes) {
            if docker::has_ended(name).await {
                gone.push(Mismatch {
                    what,
                    expected: "running".to_owned(),
                    seen: "it does not run any more".to_owned(),
                });
            }
        }
        gone
    }

    async fn left_behind(&self) -> Vec<Mismatch> {
        let now = match self.states().await {
            Ok(now) => now,
            Err(error) => {
                return vec![Mismatch {
                    what: "the nodes, after the play".to_owned(),
                    expected: "as before".to_owned(),
                    seen: error.to_string(),
                }];
            }
        };
        let furnished = self.furnished();
        let states = self.pristine.iter().zip(furnished.iter()).zip(&now);
        let nodes = self.site.nodes.iter();
        nodes
            .zip(states)
            .filter_map(|(node, ((pristine, furnished), now))| {
                Some(Mismatch {
                    what: format!("node {}, after the play", node.name()),
                    expected: "as before".to_owned(),
                    seen: pristine.left(furnished, now)?,
                })
            })
            .collect()
    }
}
