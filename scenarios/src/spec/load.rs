//! From the text of a file to a checked `Scenario`; every refusal points at line and column.

use std::collections::BTreeSet;

use miette::{Diagnostic, NamedSource, SourceSpan};
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use super::{Access, RoleGrant, RoleScope, Scenario, Step, Target, TargetKind};

/// Nodes, and replicas of one workload.
const MAX_NODES: u32 = 5_000;
const MAX_REGISTRIES: usize = 100;

/// The largest scenario file that is read.
pub const MAX_FILE_BYTES: usize = 256 * 1024;

/// Why a scenario file is refused: what is wrong, where, and what was expected.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{file}:{line}:{column}: {message}")]
#[diagnostic(code(pullcheck::scenario::invalid))]
pub struct LoadError {
    /// The file's name, as given.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The column, from 1.
    pub column: u64,
    /// What is wrong and what was expected.
    pub message: String,
    #[source_code]
    source_code: NamedSource<String>,
    #[label("here")]
    at: SourceSpan,
    #[help]
    help: Option<String>,
}

/// Parses and checks the text of a scenario file. `file` is its name for messages; where it ends in
/// `.yaml` or `.yml`, its stem must be the scenario's id.
pub fn parse(file: &str, text: &str) -> Result<Scenario, Box<LoadError>> {
    let source = Source { file, text };
    if text.len() > MAX_FILE_BYTES {
        let message = format!(
            "the file has {} bytes; at most {MAX_FILE_BYTES} are read",
            text.len()
        );
        return Err(source.error(1, 1, message, None));
    }
    let scenario: Scenario = serde_saphyr::from_str(text).map_err(|error| {
        let error = error.without_snippet();
        let (line, column) = error
            .location()
            .map_or((1, 1), |at| (at.line(), at.column()));
        source.error(line, column, first_line(&error.to_string()), None)
    })?;
    source.check(&scenario)?;
    Ok(scenario)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("unreadable").to_owned()
}

/// The Kubernetes objects of a manifest text, in order.
pub(crate) fn objects(manifests: &str) -> Result<Vec<Value>, serde_saphyr::Error> {
    let values: Vec<Value> = serde_saphyr::from_multiple(manifests)?;
    Ok(values
        .into_iter()
        .filter(|value| !value.is_null())
        .collect())
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

struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn error(
        &self,
        line: u64,
        column: u64,
        message: String,
        help: Option<String>,
    ) -> Box<LoadError> {
        let offset = miette::SourceOffset::from_location(
            self.text,
            usize::try_from(line).unwrap_or(1),
            usize::try_from(column).unwrap_or(1),
        );
        Box::new(LoadError {
            file: self.file.to_owned(),
            line,
            column,
            message,
            source_code: NamedSource::new(self.file, self.text.to_owned()),
            at: SourceSpan::new(offset, 1),
            help,
        })
    }

    fn at<T>(&self, place: &Spanned<T>, message: String) -> Box<LoadError> {
        self.located(place.referenced, message, None)
    }

    fn located(&self, at: Location, message: String, help: Option<String>) -> Box<LoadError> {
        self.error(at.line().max(1), at.column().max(1), message, help)
    }

    fn check(&self, scenario: &Scenario) -> Result<(), Box<LoadError>> {
        self.check_id(scenario)?;
        self.check_cause(scenario)?;
        self.check_registries(scenario)?;
        let workloads = self.check_manifests(scenario)?;
        self.check_azure(scenario)?;
        let nodes = count_nodes(scenario);
        if nodes == 0 || nodes > MAX_NODES {
            let message = format!(
                "{nodes} nodes, those that join included; between 1 and {MAX_NODES} can be"
            );
            return Err(self.at(&scenario.cluster.nodes, message));
        }
        let known = Known {
            workloads,
            nodes: all_nodes(scenario),
            scenario,
        };
        for step in scenario.acts.break_.iter().chain(&scenario.acts.fix) {
            known
                .check_step(&step.value)
                .map_err(|message| self.at(step, message))?;
        }
        let diagnose = &scenario.acts.diagnose;
        let asked = scenario
            .acts
            .healthy
            .expect
            .keys()
            .chain(scenario.acts.verify.expect.keys());
        for target in asked.chain([&diagnose.ask]) {
            known
                .check_target(target)
                .map_err(|message| self.error(1, 1, message, None))?;
        }
        Ok(())
    }

    fn check_id(&self, scenario: &Scenario) -> Result<(), Box<LoadError>> {
        let id = scenario.id();
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if id.is_empty() || id.len() > 60 || !id.chars().all(fits) {
            let message =
                format!("`{id}` is no id: lower-case letters, digits and `-`, at most 60");
            return Err(self.at(&scenario.id, message));
        }
        let name = self.file.rsplit(['/', '\\']).next().unwrap_or(self.file);
        let stem = name
            .strip_suffix(".yaml")
            .or_else(|| name.strip_suffix(".yml"));
        match stem {
            Some(stem) if stem != id => {
                let message = format!("the id is `{id}`, but the file is named `{name}`");
                Err(self.at(&scenario.id, message))
            }
            _ => Ok(()),
        }
    }

    fn check_cause(&self, scenario: &Scenario) -> Result<(), Box<LoadError>> {
        let id = &scenario.cause.value;
        if pullcheck::cause::Cause::from_id(id).is_some() {
            return Ok(());
        }
        let nearest = nearest(
            id,
            pullcheck::cause::Cause::ALL.iter().map(|cause| cause.id()),
        );
        let help = nearest
            .map(|near| format!("the nearest cause is `{near}`; `pullcheck causes` lists them"));
        let message = format!("`{id}` is no cause that pullcheck knows");
        Err(self.located(scenario.cause.referenced, message, help))
    }

    fn check_registries(&self, scenario: &Scenario) -> Result<(), Box<LoadError>> {
        if let Some(extra) = scenario.registries.get(MAX_REGISTRIES) {
            let message = format!("at most {MAX_REGISTRIES} registries can be");
            return Err(self.at(&extra.host, message));
        }
        let mut hosts = BTreeSet::new();
        for registry in &scenario.registries {
            let host = &registry.host.value;
            if !hosts.insert(host.as_str()) {
                return Err(self.at(&registry.host, format!("`{host}` is named twice")));
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
                return Err(self.at(&registry.host, message));
            }
            for image in &registry.images {
                image
                    .value
                    .parse::<fake_registry::ImageSpec>()
                    .map_err(|error| self.at(image, format!("image line: {error}")))?;
            }
        }
        Ok(())
    }

    fn check_manifests(&self, scenario: &Scenario) -> Result<Vec<Target>, Box<LoadError>> {
        let place = &scenario.cluster.manifests;
        let objects = objects(&place.value).map_err(|error| {
            let error = error.without_snippet();
            // A block scalar's text begins on the line below its `|`.
            let (line, column) = error.location().map_or((place.referenced.line(), 1), |at| {
                (place.referenced.line() + at.line(), at.column())
            });
            self.error(
                line,
                column,
                format!("manifests: {}", first_line(&error.to_string())),
                None,
            )
        })?;
        let mut workloads = Vec::new();
        for object in &objects {
            let name = object.pointer("/metadata/name").and_then(Value::as_str);
            let (Some(kind), Some(name)) = (object["kind"].as_str(), name) else {
                let message = "manifests: every object needs `kind` and `metadata.name`".to_owned();
                return Err(self.at(place, message));
            };
            let replicas = object.pointer("/spec/replicas").and_then(Value::as_u64);
            if replicas.is_some_and(|replicas| replicas > u64::from(MAX_NODES)) {
                let message =
                    format!("manifests: {kind} `{name}` wants more than {MAX_NODES} replicas");
                return Err(self.at(place, message));
            }
            for (container, image) in images(object) {
                reference(image).map_err(|why| {
                    self.at(
                        place,
                        format!("container `{container}` of {kind} `{name}`: {why}"),
                    )
                })?;
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
        if workloads.is_empty() {
            return Err(self.at(
                place,
                "manifests: neither a Deployment nor a Pod".to_owned(),
            ));
        }
        Ok(workloads)
    }

    fn check_azure(&self, scenario: &Scenario) -> Result<(), Box<LoadError>> {
        let Some(azure) = &scenario.azure else {
            return Ok(());
        };
        azure
            .roles
            .iter()
            .try_for_each(|grant| check_grant(scenario, grant))
            .map_err(|message| self.error(1, 1, message, None))
    }
}

/// What the steps may name.
struct Known<'a> {
    workloads: Vec<Target>,
    nodes: BTreeSet<String>,
    scenario: &'a Scenario,
}

impl Known<'_> {
    fn check_step(&self, step: &Step) -> Result<(), String> {
        match step {
            Step::SetImage(images) => images.iter().try_for_each(|(target, image)| {
                self.check_target(target)?;
                reference(image)
            }),
            Step::Scale(replicas) => replicas.iter().try_for_each(|(target, count)| {
                if *count > MAX_NODES {
                    return Err(format!("at most {MAX_NODES} replicas can be"));
                }
                self.check_target(target)
            }),
            Step::Apply(text) => objects(text)
                .map(drop)
                .map_err(|error| first_line(&error.without_snippet().to_string())),
            Step::Cordon(node) => self.check_node(node),
            Step::Firewall(rule) => self.check_node(&rule.node),
            Step::SetDns(dns) => dns.node.iter().try_for_each(|node| self.check_node(node)),
            Step::RemoveRole(grant) | Step::AssignRole(grant) => check_grant(self.scenario, grant),
            Step::RegistryLoad(load) => {
                check_registry(self.scenario, &load.registry)?;
                check_identity(self.scenario, &load.who)
            }
            Step::SetSku(change) => check_registry(self.scenario, &change.registry),
            Step::RegistryNetwork(change) => check_registry(self.scenario, &change.registry),
            Step::AddNodes(nodes) if nodes.count == 0 => {
                Err("`count` must be at least 1".to_owned())
            }
            Step::Push(_)
            | Step::Untag(_)
            | Step::Delete(_)
            | Step::Wait(_)
            | Step::AddNodes(_)
            | Step::ApplyRemedy(_) => Ok(()),
        }
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
}

fn all_nodes(scenario: &Scenario) -> BTreeSet<String> {
    (1..=count_nodes(scenario))
        .map(|n| format!("node-{n}"))
        .collect()
}

/// Nodes at the beginning and those that join.
fn count_nodes(scenario: &Scenario) -> u32 {
    let steps = scenario.acts.break_.iter().chain(&scenario.acts.fix);
    steps.fold(scenario.cluster.nodes.value, |sum, step| {
        match &step.value {
            Step::AddNodes(nodes) => sum.saturating_add(nodes.count),
            _ => sum,
        }
    })
}

fn reference(image: &str) -> Result<(), String> {
    image
        .parse::<pullcheck::reference::Reference>()
        .map(drop)
        .map_err(|error| format!("image reference `{}`: {error}", image.escape_debug()))
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

/// The nearest of `names` to a misspelt one, where any is near.
pub(crate) fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (strsim::jaro_winkler(wrong, name), name))
        .filter(|(score, _)| *score > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
