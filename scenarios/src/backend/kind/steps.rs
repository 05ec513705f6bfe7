//! Steps of a scenario on a real cluster, and which of them it cannot do.
//!
//! What is impossible is known before the play begins, so that a scenario is skipped before it has
//! broken anything. A reason is the end of the sentence "not possible on this backend: …".

use std::net::IpAddr;

use super::lot::Lot;
use super::node::{self, Node};
use super::settings::possible;
use super::zone::{Answer, Word};
use crate::backend::StepError;
use crate::spec::{DnsAnswer, Firewall, FirewallAction, SetNode, Step};

/// `Err` is why a step cannot be carried out on any real cluster.
pub(super) fn supported(step: &Step) -> Result<(), String> {
    match step {
        Step::AddNodes(nodes) => possible(&nodes.node),
        Step::SetNode(change) => possible(&change.to),
        Step::Firewall(rule) => {
            let any = IpAddr::from([192, 0, 2, 1]);
            let done = node::rule(Some(any), rule.port, &rule.action, Some(any));
            done.map(drop)
                .ok_or_else(|| format!("a packet filter that does {:?}", rule.action))
        }
        Step::SetDns(change) => match &change.answer {
            DnsAnswer::Alias(_) => Err("aliases of names".to_owned()),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

pub(super) async fn carry_out(lot: &Lot<'_>, step: &Step) -> Result<(), StepError> {
    let registry = &lot.registry;
    match step {
        Step::AddNodes(nodes) => lot.add_nodes(nodes).await,
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
        Step::Service(change) if lot.machines.has(&change.host) => {
            lot.machines.service(change.port, change.state).await
        }
        Step::Service(change) => {
            let doors = &lot.doors;
            doors.service(&change.host, change.port, change.state).await
        }
        Step::Faults(rules) => {
            let address = |name: &str| lot.node_of(name).ok().map(Node::address);
            registry.set_faults(rules, address).await
        }
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
    let to = match rule.to.as_str() {
        "anywhere" => None,
        name => Some(match name.parse::<IpAddr>() {
            Ok(address) => address,
            Err(_) => lot.address(name)?,
        }),
    };
    let other = match &rule.action {
        FirewallAction::Redirect(name) => Some(lot.address(name)?),
        _ => None,
    };
    for node in nodes(lot, rule.node.as_ref())? {
        match node.firewall(to, rule.port, &rule.action, other).await {
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
        DnsAnswer::Restore => match client {
            Some(_) => None,
            None => lot.first_answer(name),
        },
    };
    let set = lot.site.zone.set(client, name, answer).await;
    set.map_err(|error| StepError::failed(&error))
}

async fn set_node(lot: &Lot<'_>, change: &SetNode) -> Result<(), StepError> {
    for node in nodes(lot, change.node.as_ref())? {
        lot.known.configure(node, &change.to).await?;
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
            ("firewall: { to: anywhere, action: drop }", None),
            (
                "firewall: { to: r.example, action: { stall-after: 10 } }",
                Some("a packet filter that does StallAfter(10)"),
            ),
            ("set-dns: { name: r.example, answer: serv-fail }", None),
            (
                "set-node: { to: { clock: 2h } }",
                Some("a node with a wrong clock: the nodes of kind have the machine's"),
            ),
            ("service: { host: r.example, state: mute }", None),
            (
                "set-dns: { name: r.example, answer: { alias: s.example } }",
                Some("aliases of names"),
            ),
        ];
        for (text, want) in table {
            assert_eq!(supported(&step(text)).err().as_deref(), want, "for {text}");
        }
    }
}
