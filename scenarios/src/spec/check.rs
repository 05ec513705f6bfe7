//! Whether a scenario that parses also holds together: every name that is used exists, every image, cause
//! and stage can be read, and nothing asks for more than a machine can bear.

use std::collections::BTreeSet;
use std::net::IpAddr;

use pullcheck::cause::Cause;
use pullcheck::stage::Stage;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::load::{LoadError, Source, first_line};
use super::{
    Access, Diagnosis, FirewallAction, NodeSettings, RoleGrant, RoleScope, Scenario, Step, Target,
    TargetKind, nearest, objects,
};
use crate::remedy::Command;

/// Nodes, and replicas of one workload.
const MAX_NODES: u32 = 5_000;
const MAX_REGISTRIES: usize = 100;

type Checked<T = ()> = Result<T, Box<LoadError>>;

pub(super) fn all(source: &Source<'_>, scenario: &Scenario) -> Checked {
    check_id(source, scenario)?;
    check_cause(source, &scenario.cause)?;
    check_registries(source, scenario)?;
    let invalid_images = invalid_images(scenario);
    let mut workloads = check_manifests(source, scenario, invalid_images)?;
    for step in scenario.steps() {
        if let Step::Apply(text) = &step.value {
            let found = applied(text).and_then(|objects| check_objects(&objects, invalid_images));
            workloads.extend(found.map_err(|message| source.at(step, message))?);
        }
    }
    let nodes = scenario.count_nodes();
    if nodes == 0 || nodes > MAX_NODES {
        let message =
            format!("{nodes} nodes, those that join included; between 1 and {MAX_NODES} can be");
        return Err(source.at(&scenario.cluster.nodes, message));
    }
    let known = Known {
        workloads,
        nodes: scenario.all_nodes().into_iter().collect(),
        hosts: scenario.all_hosts(),
        invalid_images,
        scenario,
    };
    for grant in scenario.azure.iter().flat_map(|azure| &azure.roles) {
        check_grant(scenario, &grant.value).map_err(|message| source.at(grant, message))?;
    }
    known
        .check_cluster()
        .map_err(|message| source.at(&scenario.cluster.nodes, message))?;
    for step in scenario.steps() {
        known
            .check_step(&step.value)
            .map_err(|message| source.at(step, message))?;
        if let Step::Diagnose(again) = &step.value {
            check_cause(source, &again.cause)?;
            known.check_diagnosis(source, &again.ask, &again.expect)?;
        }
    }
    let acts = &scenario.acts;
    let wanted = acts.healthy.expect.iter().chain(&acts.verify.expect);
    for (target, state) in wanted {
        known
            .check_target(target)
            .map_err(|message| source.at(state, message))?;
    }
    known.check_diagnosis(source, &acts.diagnose.ask, &acts.diagnose.expect)?;
    if let Some(twin) = &scenario.twin {
        let id = &twin.scenario;
        if !is_id(&id.value) || id.value == scenario.id() {
            let message = format!("`{}` is no id of another scenario", id.value);
            return Err(source.at(id, message));
        }
    }
    Ok(())
}

impl Scenario {
    /// Whether a step that is not the file's own names only what is there.
    pub(crate) fn check_step(&self, step: &Step) -> Result<(), String> {
        let invalid_images = invalid_images(self);
        let mut workloads = Vec::new();
        let more = self.steps().filter_map(|step| match &step.value {
            Step::Apply(text) => Some(text),
            _ => None,
        });
        for text in std::iter::once(&self.cluster.manifests.value).chain(more) {
            workloads.extend(check_objects(&applied(text)?, invalid_images)?);
        }
        let known = Known {
            workloads,
            nodes: self.all_nodes().into_iter().collect(),
            hosts: self.all_hosts(),
            invalid_images,
            scenario: self,
        };
        known.check_step(step)
    }
}

/// Whether references that are none are what the scenario is about.
fn invalid_images(scenario: &Scenario) -> bool {
    scenario.cause.value == Cause::ImageNameInvalid.id()
}

/// The objects of a text that is applied.
fn applied(text: &str) -> Result<Vec<Value>, String> {
    objects(text).map_err(|error| first_line(&error.without_snippet().to_string()))
}

fn is_id(id: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !id.is_empty() && id.len() <= 60 && id.chars().all(fits)
}

fn check_id(source: &Source<'_>, scenario: &Scenario) -> Checked {
    let id = scenario.id();
    if !is_id(id) {
        let message = format!("`{id}` is no id: lower-case letters, digits and `-`, at most 60");
        return Err(source.at(&scenario.id, message));
    }
    let name = source
        .file
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or(source.file);
    let stem = name
        .strip_suffix(".yaml")
        .or_else(|| name.strip_suffix(".yml"));
    match stem {
        Some(stem) if stem != id => {
            let message = format!("the id is `{id}`, but the file is named `{name}`");
            Err(source.at(&scenario.id, message))
        }
        _ => Ok(()),
    }
}

fn check_cause(source: &Source<'_>, cause: &Spanned<String>) -> Checked {
    let id = &cause.value;
    if Cause::from_id(id).is_some() {
        return Ok(());
    }
    let help = nearest(id, Cause::ALL.iter().map(|cause| cause.id()))
        .map(|near| format!("the nearest cause is `{near}`; `pullcheck causes` lists them"));
    let message = format!("`{id}` is no cause that pullcheck knows");
    Err(source.located(cause.referenced, message, help))
}

fn check_registries(source: &Source<'_>, scenario: &Scenario) -> Checked {
    if let Some(extra) = scenario.registries.get(MAX_REGISTRIES) {
        let message = format!("at most {MAX_REGISTRIES} registries can be");
        return Err(source.at(&extra.host, message));
    }
    let mut hosts = BTreeSet::new();
    for registry in &scenario.registries {
        let host = &registry.host.value;
        if !hosts.insert(registry.name()) {
            return Err(source.at(&registry.host, format!("`{host}` is named twice")));
        }
        if registry.port().is_none() {
            return Err(source.at(&registry.host, format!("`{host}` has no port of a number")));
        }
        let named = scenario.azure.as_ref().is_some_and(|azure| {
            azure
                .registries
                .iter()
                .any(|r| format!("{}.azurecr.io", r.name) == *host)
        });
        if registry.access == Access::Acr && !named {
            let message = format!(
                "`{host}` has `access: acr`, but no registry of the `azure` section has this login server"
            );
            return Err(source.at(&registry.host, message));
        }
        let accounts = matches!(registry.access, Access::Token | Access::Basic);
        if !registry.users.is_empty() && !accounts {
            let message = format!("`{host}` has users, but not `access: token` or `access: basic`");
            return Err(source.at(&registry.host, message));
        }
        for image in &registry.images {
            image_line(&image.value).map_err(|message| source.at(image, message))?;
        }
    }
    Ok(())
}

fn check_manifests(
    source: &Source<'_>,
    scenario: &Scenario,
    invalid_images: bool,
) -> Checked<Vec<Target>> {
    let place = &scenario.cluster.manifests;
    let objects = objects(&place.value).map_err(|error| {
        let error = error.without_snippet();
        // A block scalar's text begins on the line below its `|`.
        let (line, column) = error.location().map_or((place.referenced.line(), 1), |at| {
            (place.referenced.line() + at.line(), at.column())
        });
        let message = format!("manifests: {}", first_line(&error.to_string()));
        source.error(line, column, message, None)
    })?;
    let workloads = check_objects(&objects, invalid_images)
        .map_err(|message| source.at(place, format!("manifests: {message}")))?;
    if workloads.is_empty() {
        let message = "manifests: neither a Deployment nor a Pod".to_owned();
        return Err(source.at(place, message));
    }
    Ok(workloads)
}

/// The workloads among Kubernetes objects, once each of them is found to be readable.
fn check_objects(objects: &[Value], invalid_images: bool) -> Result<Vec<Target>, String> {
    let mut workloads = Vec::new();
    for object in objects {
        let name = object.pointer("/metadata/name").and_then(Value::as_str);
        let (Some(kind), Some(name)) = (object["kind"].as_str(), name) else {
            return Err("every object needs `kind` and `metadata.name`".to_owned());
        };
        let replicas = object.pointer("/spec/replicas").and_then(Value::as_u64);
        if replicas.is_some_and(|replicas| replicas > u64::from(MAX_NODES)) {
            return Err(format!(
                "{kind} `{name}` wants more than {MAX_NODES} replicas"
            ));
        }
        for (container, image) in images(object).into_iter().filter(|_| !invalid_images) {
            reference(image)
                .map_err(|why| format!("container `{container}` of {kind} `{name}`: {why}"))?;
        }
        let kind = match kind {
            "Deployment" => TargetKind::Deployment,
            "Pod" => TargetKind::Pod,
            _ => continue,
        };
        workloads.push(Target {
            kind,
            name: name.to_owned(),
        });
    }
    Ok(workloads)
}

/// The images of an object's pod template or pod, with the container's name.
fn images(object: &Value) -> Vec<(&str, &str)> {
    let spec = object
        .pointer("/spec/template/spec")
        .or_else(|| object.pointer("/spec").filter(|_| object["kind"] == "Pod"));
    let lists = ["initContainers", "containers"];
    lists
        .iter()
        .filter_map(|list| spec?.get(list)?.as_array())
        .flatten()
        .filter_map(|container| {
            Some((
                container.get("name")?.as_str()?,
                container.get("image")?.as_str()?,
            ))
        })
        .collect()
}

/// What the steps may name.
struct Known<'a> {
    workloads: Vec<Target>,
    nodes: BTreeSet<String>,
    hosts: BTreeSet<String>,
    /// References that are none are what the scenario is about.
    invalid_images: bool,
    scenario: &'a Scenario,
}

impl Known<'_> {
    fn check_cluster(&self) -> Result<(), String> {
        let cluster = &self.scenario.cluster;
        check_settings(&cluster.node)?;
        for (node, settings) in &cluster.nodes_by_name {
            self.check_node(node)?;
            check_settings(settings)?;
        }
        let hosts_of = self.scenario.checker.hosts_of.as_ref();
        hosts_of.map_or(Ok(()), |node| self.check_node(node))
    }

    fn check_step(&self, step: &Step) -> Result<(), String> {
        let optional =
            |node: &Option<String>| node.as_ref().map_or(Ok(()), |node| self.check_node(node));
        match step {
            Step::SetImage(images) => images.iter().try_for_each(|(target, image)| {
                self.check_target(target)?;
                if self.invalid_images {
                    return Ok(());
                }
                reference(image)
            }),
            Step::Scale(replicas) => replicas.iter().try_for_each(|(target, count)| {
                if *count > MAX_NODES {
                    return Err(format!("at most {MAX_NODES} replicas can be"));
                }
                self.check_target(target)
            }),
            Step::Delete(target) | Step::Restart(target) => self.check_target(target),
            Step::Cordon(node) | Step::Uncordon(node) | Step::RestartRuntime(node) => {
                self.check_node(node)
            }
            Step::Firewall(rule) => {
                optional(&rule.node)?;
                if let FirewallAction::Redirect(to) = &rule.action {
                    self.check_host(to)?;
                }
                if rule.to == "anywhere" || rule.to.parse::<IpAddr>().is_ok() {
                    return Ok(());
                }
                self.check_host(&rule.to)
            }
            Step::SetDns(dns) => optional(&dns.node),
            Step::SetTls(change) => self.check_host(&change.host),
            Step::Service(change) => self.check_host(&change.host),
            Step::SetNode(change) => {
                optional(&change.node)?;
                check_settings(&change.to)
            }
            Step::RemoveImage(removal) => {
                self.check_node(&removal.node)?;
                reference(&removal.image)
            }
            Step::RemoveRole(grant) | Step::AssignRole(grant) => {
                if grant.when.is_some() {
                    return Err("`when` can stand in `azure.roles` only".to_owned());
                }
                check_grant(self.scenario, grant)
            }
            Step::NodeIdentities(change) => {
                optional(&change.node)?;
                let mut identities = change.identities.iter();
                identities.try_for_each(|who| check_identity(self.scenario, who))
            }
            Step::RegistryLoad(load) => {
                check_registry(self.scenario, &load.registry)?;
                check_identity(self.scenario, &load.who)
            }
            Step::SetSku(change) => check_registry(self.scenario, &change.registry),
            Step::RegistryNetwork(change) => check_registry(self.scenario, &change.registry),
            Step::RegistrySettings(change) => check_registry(self.scenario, &change.registry),
            Step::AddNodes(nodes) if nodes.count == 0 => {
                Err("`count` must be at least 1".to_owned())
            }
            Step::AddNodes(nodes) => check_settings(&nodes.node),
            Step::Push(change) => {
                self.check_registry_host(&change.host)?;
                image_line(&change.image)
            }
            Step::Untag(change) => {
                self.check_registry_host(&change.host)?;
                reference(&format!("{}/{}", change.host, change.image))
            }
            Step::ApplyRemedy(which) => {
                let names = Command::NAMES;
                let command = which.command();
                if names.contains(&command) {
                    return Ok(());
                }
                let near = nearest(command, names.iter().copied());
                let near = near.map_or(String::new(), |near| format!("; the nearest is `{near}`"));
                Err(format!(
                    "`{command}` is no command that a scenario can carry out{near}"
                ))
            }
            Step::Apply(_)
            | Step::DeleteSecret(_)
            | Step::Wait(_)
            | Step::Faults(_)
            | Step::Diagnose(_) => Ok(()),
        }
    }

    fn check_diagnosis(
        &self,
        source: &Source<'_>,
        ask: &Spanned<Target>,
        expect: &Diagnosis,
    ) -> Checked {
        self.check_target(&ask.value)
            .map_err(|message| source.at(ask, message))?;
        if let Some(stage) = &expect.stage
            && !Stage::ALL.iter().any(|one| one.id() == stage.value)
        {
            let ids: Vec<_> = Stage::ALL.iter().map(|one| one.id()).collect();
            let message = format!(
                "`{}` is none of the stages: {}",
                stage.value,
                ids.join(", ")
            );
            return Err(source.at(stage, message));
        }
        expect
            .also
            .values()
            .try_for_each(|cause| check_cause(source, cause))
    }

    fn check_target(&self, target: &Target) -> Result<(), String> {
        if self.workloads.contains(target) {
            return Ok(());
        }
        let names = self
            .workloads
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        Err(format!(
            "`{target}` is not in the manifests, which have: {names}"
        ))
    }

    fn check_node(&self, node: &str) -> Result<(), String> {
        if self.nodes.contains(node) {
            return Ok(());
        }
        Err(format!(
            "there is no node `{node}`; nodes are named `node-1`, `node-2` and so on"
        ))
    }

    fn check_host(&self, host: &str) -> Result<(), String> {
        if self.hosts.contains(host) {
            return Ok(());
        }
        let hosts: Vec<_> = self.hosts.iter().map(String::as_str).collect();
        Err(format!(
            "there is no host `{host}`; there are: {}",
            hosts.join(", ")
        ))
    }

    fn check_registry_host(&self, host: &str) -> Result<(), String> {
        let mut registries = self.scenario.registries.iter();
        if registries.any(|registry| registry.host.value == host) {
            return Ok(());
        }
        Err(format!("there is no registry `{host}`"))
    }
}

fn check_settings(settings: &NodeSettings) -> Result<(), String> {
    if let Some(image) = &settings.sandbox_image {
        reference(image)?;
    }
    if let Some(proxy) = &settings.proxy
        && let Some(url) = &proxy.https
        && !url.starts_with("http://")
    {
        return Err(format!("`{url}` is not of the form `http://HOST:PORT`"));
    }
    if settings
        .registry_qps
        .is_some_and(|qps| !(0.0..=1e6).contains(&qps))
    {
        return Err("`registry-qps` must be between 0 and a million".to_owned());
    }
    Ok(())
}

fn reference(image: &str) -> Result<(), String> {
    image
        .parse::<pullcheck::reference::Reference>()
        .map(drop)
        .map_err(|error| format!("image reference `{}`: {error}", image.escape_debug()))
}

fn image_line(line: &str) -> Result<(), String> {
    line.parse::<fake_registry::ImageSpec>()
        .map(drop)
        .map_err(|error| format!("image line: {error}"))
}

fn check_grant(scenario: &Scenario, grant: &RoleGrant) -> Result<(), String> {
    check_identity(scenario, &grant.who)?;
    match &grant.on {
        RoleScope::Registry(name) => check_registry(scenario, name),
        RoleScope::Subscription | RoleScope::ResourceGroup(_) => Ok(()),
    }
}

fn check_identity(scenario: &Scenario, who: &str) -> Result<(), String> {
    let azure = scenario
        .azure
        .as_ref()
        .ok_or("this needs an `azure` section")?;
    let known = ["kubelet", "control-plane"];
    if known.contains(&who) || azure.identities.iter().any(|name| name == who) {
        return Ok(());
    }
    Err(format!(
        "`{who}` is neither `kubelet`, `control-plane` nor one of `identities`"
    ))
}

fn check_registry(scenario: &Scenario, name: &str) -> Result<(), String> {
    let azure = scenario
        .azure
        .as_ref()
        .ok_or("this needs an `azure` section")?;
    if azure
        .registries
        .iter()
        .any(|registry| registry.name == name)
    {
        return Ok(());
    }
    Err(format!("the `azure` section has no registry `{name}`"))
}
