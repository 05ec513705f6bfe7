//! Steps of a scenario on a real cluster, and which of them it cannot do.
//!
//! What is impossible is known before the play begins, so that a scenario is skipped before it has
//! broken anything. A reason is the end of the sentence "not possible on this backend: …".

use std::fmt::Write as _;
use std::net::IpAddr;

use super::lot::Lot;
use super::node::Node;
use super::zone::{Answer, Word};
use crate::backend::StepError;
use crate::spec::{
    DnsAnswer, Firewall, FirewallAction, NodeSettings, Scenario, ServiceState, SetNode, Step,
};

/// `Err` is why a step cannot be carried out on any real cluster.
pub(super) fn supported(step: &Step) -> Result<(), String> {
    match step {
        Step::AddNodes(nodes) => possible(&nodes.node),
        Step::SetNode(change) => possible(&change.to),
        Step::Firewall(rule) => match &rule.action {
            FirewallAction::Drop
            | FirewallAction::Refuse
            | FirewallAction::NoRoute
            | FirewallAction::Unreachable
            | FirewallAction::Open
                if rule.to != "anywhere" =>
            {
                Ok(())
            }
            action => Err(format!("a packet filter that does {action:?}")),
        },
        Step::SetDns(change) => match &change.answer {
            DnsAnswer::Alias(_) => Err("aliases of names".to_owned()),
            _ => Ok(()),
        },
        Step::Service(change) => match change.state {
            ServiceState::Up | ServiceState::Mute if change.port == 443 => Ok(()),
            state => Err(format!(
                "a service that is {state:?} at port {}",
                change.port
            )),
        },
        _ => Ok(()),
    }
}

/// `Err` is why a real node cannot be made like this.
pub(super) fn possible(node: &NodeSettings) -> Result<(), String> {
    let limits = [
        (node.architecture.is_some(), "another architecture"),
        (!node.labels.is_empty(), "labels of its own"),
        (
            node.serialize_image_pulls == Some(true),
            "one pull at a time",
        ),
        (
            node.registry_qps.is_some() || node.registry_burst.is_some(),
            "a limit of pulls",
        ),
        (node.sandbox_image.is_some(), "another sandbox image"),
        (
            node.names_identity == Some(false),
            "a credential provider without an identity",
        ),
        (
            node.trusts_registries == Some(false),
            "no trust in the registries",
        ),
        (node.clock.is_some(), "a wrong clock"),
        (node.disk.is_some(), "a disk of a given size"),
        (node.proxy.is_some(), "a proxy"),
    ];
    match limits.into_iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(format!("a node with {what}")),
        None => Ok(()),
    }
}

pub(super) async fn carry_out(lot: &Lot<'_>, step: &Step) -> Result<(), StepError> {
    let registry = &lot.registry;
    match step {
        Step::AddNodes(nodes) => lot.add_nodes(nodes.count).await,
        Step::SetNode(change) => set_node(lot, change).await,
        Step::RestartRuntime(node) => {
            let done = lot
                .node_of(node)?
                .script("systemctl restart containerd", &[]);
            done.await
                .map(drop)
                .map_err(|error| StepError::failed(&error))
        }
        Step::RemoveImage(removal) => {
            let script =
                r#"crictl rmi "$IMAGE" || ctr --namespace k8s.io images rm --sync "$IMAGE""#;
            let script = format!("IMAGE='{}'; {script}", removal.image.replace('\'', ""));
            let done = lot.node_of(&removal.node)?.script(&script, &[]).await;
            done.map(drop).map_err(|error| StepError::failed(&error))
        }
        Step::Firewall(rule) => firewall(lot, rule).await,
        Step::SetDns(change) => {
            let client = match &change.node {
                Some(node) => Some(lot.node_of(node)?.address()),
                None => None,
            };
            dns(lot, client, &change.name, &change.answer).await
        }
        Step::SetTls(change) => registry.set_tls(change).await,
        Step::Service(change) => match change.state {
            ServiceState::Mute => registry.pause(true).await,
            _ => registry.pause(false).await,
        },
        Step::Faults(rules) => registry.set_faults(rules).await,
        Step::RemoveRole(grant) => registry.remove_role(lot.azure()?, grant).await,
        Step::AssignRole(grant) => registry.assign_role(lot.azure()?, grant).await,
        Step::NodeIdentities(change) => {
            for node in nodes(lot, change.node.as_ref())? {
                registry
                    .set_identities(lot.azure()?, node.address(), &change.identities)
                    .await?;
            }
            Ok(())
        }
        Step::RegistryLoad(load) => registry.load(lot.azure()?, load).await,
        Step::SetSku(change) => registry.set_sku(change).await,
        Step::RegistryNetwork(change) => registry.set_network(change).await,
        Step::RegistrySettings(change) => registry.set_registry(change).await,
        Step::Push(change) => registry.push(change).await,
        Step::Untag(change) => registry.untag(change).await,
        other => Err(StepError::Failed(format!(
            "{other:?} is for the cluster's API"
        ))),
    }
}

/// One node, or every node that has joined.
fn nodes<'a>(lot: &'a Lot<'_>, name: Option<&String>) -> Result<Vec<&'a Node>, StepError> {
    match name {
        Some(name) => Ok(vec![lot.node_of(name)?]),
        None => Ok(lot.site.nodes.iter().take(lot.joined()).collect()),
    }
}

async fn firewall(lot: &Lot<'_>, rule: &Firewall) -> Result<(), StepError> {
    let to = match rule.to.parse::<IpAddr>() {
        Ok(address) => address,
        Err(_) if lot.names.contains(&rule.to) => lot.registry.container.address,
        Err(_) => return Err(StepError::Failed(format!("there is no host `{}`", rule.to))),
    };
    for node in nodes(lot, rule.node.as_ref())? {
        match node.firewall(to, rule.port, &rule.action).await {
            Some(outcome) => outcome.map_err(|error| StepError::failed(&error))?,
            None => {
                return Err(StepError::Unsupported(format!(
                    "a packet filter that does {:?}",
                    rule.action
                )));
            }
        }
    }
    Ok(())
}

/// Sets what a name is answered with, for everybody or for one that asks.
pub(super) async fn dns(
    lot: &Lot<'_>,
    client: Option<IpAddr>,
    name: &str,
    answer: &DnsAnswer,
) -> Result<(), StepError> {
    let word = |word| Some(Answer::Word(word));
    let answer = match answer {
        DnsAnswer::NxDomain => word(Word::NxDomain),
        DnsAnswer::ServFail => word(Word::ServFail),
        DnsAnswer::Silent => word(Word::Silent),
        DnsAnswer::NoData => Some(Answer::Addresses(Vec::new())),
        DnsAnswer::Addresses(addresses) => Some(Answer::Addresses(addresses.clone())),
        DnsAnswer::Alias(_) => {
            return Err(StepError::Unsupported("aliases of names".to_owned()));
        }
        DnsAnswer::Restore => client
            .is_none()
            .then(|| Answer::Addresses(vec![lot.registry.container.address])),
    };
    let set = lot.site.zone.set(client, name, answer).await;
    set.map_err(|error| StepError::failed(&error))
}

/// Which hosts a pull asks: containerd reads these files at every pull.
async fn set_node(lot: &Lot<'_>, change: &SetNode) -> Result<(), StepError> {
    for node in nodes(lot, change.node.as_ref())? {
        configure(node, &change.to).await?;
    }
    Ok(())
}

/// The registries whose mirrors a scenario sets somewhere.
pub(super) fn mirrored(scenario: &Scenario) -> Vec<&str> {
    let steps = scenario.acts.break_.iter().chain(&scenario.acts.fix);
    let changed = steps.filter_map(|step| match &step.value {
        Step::SetNode(change) => Some(&change.to),
        Step::AddNodes(nodes) => Some(&nodes.node),
        _ => None,
    });
    let cluster = &scenario.cluster;
    let settings = cluster.nodes_by_name.values().chain([&cluster.node]);
    let names = settings.chain(changed).flat_map(|node| node.mirrors.keys());
    names.map(String::as_str).collect()
}

/// Makes a node what the file says of it.
pub(super) async fn configure(node: &Node, to: &NodeSettings) -> Result<(), StepError> {
    possible(to).map_err(StepError::Unsupported)?;
    for (registry, mirrors) in &to.mirrors {
        let folder = format!("/etc/containerd/certs.d/{registry}");
        let done = if mirrors.hosts.is_empty() && mirrors.server.is_none() {
            node.script(&format!("rm -rf '{folder}'"), &[])
                .await
                .map(drop)
        } else {
            let server = mirrors.server.clone();
            let server = server.unwrap_or_else(|| format!("https://{registry}"));
            let mut file = format!("server = \"{server}\"\n");
            for host in &mirrors.hosts {
                let _ = write!(
                    file,
                    "\n[host.\"{host}\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
                );
            }
            if mirrors.hosts.is_empty() {
                // Without the table containerd 1.6 ignores the file.
                file.push_str("\n[host]\n");
            }
            node.write(&format!("{folder}/hosts.toml"), file.as_bytes())
                .await
        };
        done.map_err(|error| StepError::failed(&error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_real_cluster_cannot_do_has_a_reason() {
        let step = |text: &str| -> Step { serde_saphyr::from_str(text).unwrap() };
        let table = [
            (
                "firewall: { node: node-1, to: r.example, action: drop }",
                None,
            ),
            (
                "firewall: { to: anywhere, action: drop }",
                Some("a packet filter that does Drop"),
            ),
            (
                "firewall: { to: r.example, action: { stall-after: 10 } }",
                Some("a packet filter that does StallAfter(10)"),
            ),
            ("set-dns: { name: r.example, answer: serv-fail }", None),
            (
                "set-node: { to: { clock: 2h } }",
                Some("a node with a wrong clock"),
            ),
            ("service: { host: r.example, state: mute }", None),
            (
                "service: { host: r.example, state: down }",
                Some("a service that is Down at port 443"),
            ),
        ];
        for (text, want) in table {
            assert_eq!(supported(&step(text)).err().as_deref(), want, "for {text}");
        }
    }
}
