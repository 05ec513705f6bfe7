//! Where to look from, and what a probe from there sends.

use super::Settings;
use super::group::Group;
use crate::azure::{self, AzureFacts};
use crate::evidence::Platform;
use crate::keyring::{Asked, Keyring};
use crate::probe::{NodeIdentity, Options};
use crate::reference::Reference;
use crate::symptom::{Pod, SecretState, Symptoms};
use crate::world::{Place, Vantage, World};

/// Failing nodes that are looked from.
const FAILING: usize = 2;

/// Failing nodes first, then one that is fine, then the workstation.
pub(super) fn places<'w>(
    world: &'w World,
    group: &Group<'_>,
    failing: &[String],
) -> Vec<&'w Place> {
    let mut chosen: Vec<&Place> = failing
        .iter()
        .filter_map(|node| world.node(node))
        .take(FAILING)
        .collect();
    let name = |place: &Place| match &place.vantage {
        Vantage::Node(name) => Some(name.to_string()),
        Vantage::Workstation => None,
    };
    let healthy = || {
        world
            .nodes
            .iter()
            .filter(|place| name(place).is_some_and(|name| !failing.contains(&name)))
    };
    let runs =
        healthy().find(|place| name(place).is_some_and(|name| group.running_on.contains(&name)));
    if group.in_cluster {
        chosen.extend(runs.or_else(|| healthy().next()));
    }
    chosen.push(&world.workstation);
    chosen
}

/// What the helpers and providers that were given hold for an image: the kubelet's order, then a user's.
pub(super) async fn asked(world: &World, settings: &Settings, reference: &Reference) -> Asked {
    let programs = world.programs.as_ref();
    let mut asked = match &settings.providers {
        Some(providers) => providers.ask(programs, reference).await,
        None => Asked::default(),
    };
    if let Some(config) = &settings.docker_config {
        asked.append(config.ask(programs, reference).await);
    }
    asked
}

pub(super) struct Plan {
    pub(super) keyring: Keyring,
    pub(super) options: Options,
}

/// What a probe from `place` sends: the pod's pull secrets, the node's platform and identity.
pub(super) fn plan(
    settings: &Settings,
    symptoms: &Symptoms,
    reference: &Reference,
    place: &Place,
    pod: Option<&Pod>,
    azure: Option<&AzureFacts>,
) -> Plan {
    let mut keyring = Keyring::new();
    for (pod, secret) in pod
        .into_iter()
        .flat_map(|pod| pod.pull_secrets.iter().map(move |secret| (pod, secret)))
    {
        if let SecretState::Found { kind, body, .. } = &secret.state {
            let body = body.as_ref().map(crate::symptom::SecretBody::expose);
            keyring.add_pull_secret(&pod.namespace, &secret.name, kind, body);
        }
    }
    if let Some(credential) = &settings.credential {
        keyring.add_given(&reference.registry().to_string(), credential.clone());
    }
    let mut options = Options {
        mirrors: settings.mirrors.clone(),
        habits: settings.habits,
        watch: settings.watch.clone(),
        entra_token: settings.entra_token.clone(),
        ..Options::default()
    };
    if let Some(depth) = settings.depth {
        options.depth = depth;
    }
    if let Some(agent) = &settings.user_agent {
        options.user_agent.clone_from(agent);
    }
    if settings.plain_http {
        options.plain_http.insert(reference.endpoint());
    }
    let node = match &place.vantage {
        Vantage::Node(name) => symptoms.nodes.get(&**name),
        Vantage::Workstation => pod.and_then(|pod| symptoms.node_of(pod)),
    };
    if let Some(node) = node
        && let (Some(os), Some(architecture)) = (&node.operating_system, &node.architecture)
    {
        options.platform = Platform::new(os, architecture);
    } else if let Some(platform) = &settings.platform {
        options.platform = platform.clone();
    }
    let azure_registry = azure::registry_login_server(&reference.registry().to_string()).is_some();
    let azure_node = node
        .and_then(|node| node.provider_id.as_deref())
        .is_none_or(|id| id.starts_with("azure://"));
    if azure_registry && azure_node && matches!(place.vantage, Vantage::Node(_)) {
        let client_id = azure.and_then(|facts| facts.kubelet()?.client_id.clone());
        options.node_identity = client_id.map_or(NodeIdentity::Default, |id| {
            NodeIdentity::ClientId(id.into())
        });
    }
    Plan { keyring, options }
}
