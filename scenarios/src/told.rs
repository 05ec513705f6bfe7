//! Steps in words, for the story of a play.

use crate::spec::{FirewallAction, ServiceState, SetDns, Step};

/// What was done.
pub(crate) fn told(step: &Step) -> String {
    match step {
        Step::AddNodes(nodes) if nodes.count == 1 => "a node joins".to_owned(),
        Step::AddNodes(nodes) => format!("{} nodes join", nodes.count),
        Step::SetNode(change) => {
            let node = change.node.as_deref().unwrap_or("every node");
            format!("the configuration of {node} changes")
        }
        Step::RestartRuntime(node) => format!("the runtime of {node} is restarted"),
        Step::RemoveImage(removal) => format!("{} loses {}", removal.node, removal.image),
        Step::Firewall(rule) => {
            let node = rule.node.as_deref().unwrap_or("every node");
            format!(
                "{node}: packets to {}:{}: {}",
                rule.to,
                rule.port,
                action(&rule.action)
            )
        }
        Step::SetDns(dns) => name(dns),
        Step::SetTls(change) => format!(
            "{} shows another certificate: {:?}",
            change.host, change.mode
        ),
        Step::Service(change) => {
            let state = match change.state {
                ServiceState::Up => "is up",
                ServiceState::Down => "is down",
                ServiceState::Mute => "accepts and says nothing",
            };
            format!("{}:{} {state}", change.host, change.port)
        }
        Step::Faults(rules) if rules.is_empty() => "the registries are well again".to_owned(),
        Step::Faults(_) => "a registry begins to misbehave".to_owned(),
        Step::RemoveRole(grant) => format!("{} loses {} on {}", grant.who, grant.role, grant.on),
        Step::AssignRole(grant) => format!("{} gets {} on {}", grant.who, grant.role, grant.on),
        Step::NodeIdentities(change) => {
            let node = change.node.as_deref().unwrap_or("every node");
            match change.identities.as_slice() {
                [] => format!("{node} has no identity any more"),
                some => format!("identities of {node}: {}", some.join(", ")),
            }
        }
        Step::RegistryLoad(load) => format!(
            "another cluster now takes {} reads a minute from {}",
            load.requests_per_minute, load.registry
        ),
        Step::SetSku(change) => format!("{} becomes {:?}", change.registry, change.sku),
        Step::RegistryNetwork(change) => match (&change.allow_only, change.public) {
            (_, false) => format!("{} is closed to the public", change.registry),
            (None, true) => format!("{} is open to everyone", change.registry),
            (Some(only), true) => format!("{} lets in only {}", change.registry, only.join(", ")),
        },
        Step::RegistrySettings(change) => format!("settings of {} change", change.registry),
        Step::Push(tag) => format!("push {}/{}", tag.host, tag.image),
        Step::Untag(tag) => format!("delete {}/{}", tag.host, tag.image),
        other => format!("{other:?}"),
    }
}

fn action(action: &FirewallAction) -> String {
    match action {
        FirewallAction::Drop => "drop".to_owned(),
        FirewallAction::Refuse => "refuse".to_owned(),
        FirewallAction::NoRoute => "no route".to_owned(),
        FirewallAction::Unreachable => "unreachable".to_owned(),
        FirewallAction::ResetAfter(bytes) => format!("reset after {bytes} bytes"),
        FirewallAction::StallAfter(bytes) => format!("silence after {bytes} bytes"),
        FirewallAction::DropLarger(bytes) => format!("drop what is larger than {bytes} bytes"),
        FirewallAction::Delay(length) => format!("{} late", crate::text::length(length.get())),
        FirewallAction::Redirect(host) => format!("to {host}"),
        FirewallAction::Open => "open".to_owned(),
    }
}

fn name(dns: &SetDns) -> String {
    let place = dns
        .node
        .as_ref()
        .map_or_else(String::new, |node| format!("on {node}, "));
    format!("{place}the name {}: {:?}", dns.name, dns.answer).to_lowercase()
}
