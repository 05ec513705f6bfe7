//! What only others can do: those who run the network, the name servers, the registries, the nodes.
//!
//! The list is made from what is there, never from what is wrong: every host can be reached again,
//! every name restored, every registry healed. Who reads it learns nothing about the cause.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::spec::{Doing, Registry, Scenario, Step};

/// Something that others do when asked.
#[derive(Clone, Debug)]
pub struct Favour {
    /// Who does what, in words.
    pub what: String,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

/// A text that is no step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FavourError {
    /// It cannot be read.
    #[error("no step of the scenario format: {0}")]
    Unreadable(String),
    /// It is for the learner's own hands.
    #[error("that is for kubectl or az")]
    OwnHands,
    /// It names something that is not there.
    #[error("{0}")]
    Unknown(String),
}

/// All that others can do in this world.
pub fn favours(scenario: &Scenario) -> Vec<Favour> {
    let mut list = List {
        favours: Vec::new(),
        nodes: scenario.all_nodes().into_iter().collect(),
    };
    let hosts = scenario.all_hosts();
    for (to, port) in destinations(scenario, &hosts) {
        list.add(
            format!("the network: nothing stands in the way of {to}:{port} on any node"),
            vec![json!({"firewall": {"to": to, "port": port, "action": "open"}})],
        );
    }
    for name in names(scenario, &hosts) {
        let everywhere = json!({"set-dns": {"name": name, "answer": "restore"}});
        let own = list.each_node(
            |node| json!({"set-dns": {"node": node, "name": name, "answer": "restore"}}),
        );
        list.add(
            format!("the name servers: {name} is answered as before, on every node"),
            std::iter::once(everywhere).chain(own).collect(),
        );
    }
    for registry in &scenario.registries {
        let host = registry.name();
        list.add(
            format!("{host}: a certificate that is in order, and TLS as it should be"),
            vec![json!({"set-tls": {"host": host, "mode": "valid"}})],
        );
    }
    for (host, port) in listening(scenario) {
        list.add(
            format!("{host}: what listens at port {port} is started again"),
            vec![json!({"service": {"host": host, "port": port, "state": "up"}})],
        );
    }
    list.add(
        "the registries: what misbehaves is mended".to_owned(),
        vec![json!({"faults": []})],
    );
    list.nodes(scenario);
    list.favours
}

/// A favour as the scenario format has it: `firewall: { node: node-2, to: registry.example, action: open }`.
pub fn favour(scenario: &Scenario, text: &str) -> Result<Favour, FavourError> {
    let unreadable = |error: serde_saphyr::Error| {
        FavourError::Unreadable(crate::spec::first_line(
            &error.without_snippet().to_string(),
        ))
    };
    let step: Step = serde_saphyr::from_str(text).map_err(unreadable)?;
    if own_hands(&step) {
        return Err(FavourError::OwnHands);
    }
    scenario.check_step(&step).map_err(FavourError::Unknown)?;
    Ok(Favour {
        what: crate::told::told(&step),
        steps: vec![step],
    })
}

/// What a learner does with kubectl, az or patience.
fn own_hands(step: &Step) -> bool {
    matches!(
        step,
        Step::SetImage(_)
            | Step::Scale(_)
            | Step::Apply(_)
            | Step::Delete(_)
            | Step::DeleteSecret(_)
            | Step::Restart(_)
            | Step::Cordon(_)
            | Step::Uncordon(_)
            | Step::Wait(_)
            | Step::Diagnose(_)
            | Step::ApplyRemedy(_)
    )
}

struct List {
    favours: Vec<Favour>,
    nodes: Vec<String>,
}

impl List {
    fn add(&mut self, what: String, steps: Vec<Value>) {
        let steps: Result<Vec<Step>, _> = steps.into_iter().map(Step::deserialize).collect();
        if let Ok(steps) = steps {
            self.favours.push(Favour { what, steps });
        }
    }

    fn each_node(&self, step: impl Fn(&str) -> Value) -> Vec<Value> {
        self.nodes.iter().map(|node| step(node)).collect()
    }

    fn nodes(&mut self, scenario: &Scenario) {
        let every = |to: Value| vec![json!({"set-node": {"to": to}})];
        self.add(
            "the nodes: every clock is set".to_owned(),
            every(json!({"clock": "0s"})),
        );
        self.add(
            "the nodes: room for images is made".to_owned(),
            every(json!({"disk": "unlimited"})),
        );
        self.add(
            "the nodes: every runtime trusts the authority of the registries".to_owned(),
            every(json!({"trusts-registries": true})),
        );
        let restarts = self.each_node(|node| json!({"restart-runtime": node}));
        self.add("the nodes: every runtime is restarted".to_owned(), restarts);
        for registry in &scenario.registries {
            let host = registry.host.value.as_str();
            self.add(
                format!("the nodes: no mirror of {host} any more"),
                every(json!({"mirrors": {host: {}}})),
            );
        }
        self.add(
            "the nodes: no proxy any more".to_owned(),
            every(json!({"proxy": {}})),
        );
        let proxies = scenario
            .machines
            .iter()
            .filter(|machine| matches!(machine.does, Doing::Proxy(_)));
        for proxy in proxies {
            let (name, url) = (&proxy.name, format!("http://{}:3128", proxy.name));
            self.add(
                format!("the nodes: every runtime goes out through the proxy {name}"),
                every(json!({"proxy": {"https": url}})),
            );
            let own: Vec<&str> = scenario.registries.iter().map(Registry::name).collect();
            self.add(
                format!("the nodes: the same, and straight to {}", own.join(", ")),
                every(json!({"proxy": {"https": url, "no-proxy": own}})),
            );
        }
        if scenario.azure.is_some() {
            self.add(
                "Azure: every machine has the kubelet's identity and no other".to_owned(),
                vec![json!({"node-identities": {"identities": ["kubelet"]}})],
            );
        }
    }
}

/// Where nodes may have to go, with the port.
fn destinations(scenario: &Scenario, hosts: &BTreeSet<String>) -> BTreeSet<(String, u16)> {
    let mut all: BTreeSet<(String, u16)> = hosts.iter().map(|host| (host.clone(), 443)).collect();
    for registry in &scenario.registries {
        let port = registry.port().unwrap_or(443);
        all.insert((registry.name().to_owned(), port));
        all.extend(
            registry
                .addresses
                .iter()
                .map(|address| (address.to_string(), port)),
        );
    }
    let proxies = scenario
        .machines
        .iter()
        .filter(|machine| matches!(machine.does, Doing::Proxy(_)));
    all.extend(proxies.map(|machine| (machine.name.clone(), 3128)));
    if scenario.azure.is_some() {
        all.insert(("169.254.169.254".to_owned(), 80));
    }
    all
}

fn names(scenario: &Scenario, hosts: &BTreeSet<String>) -> BTreeSet<String> {
    hosts.iter().chain(scenario.dns.keys()).cloned().collect()
}

fn listening(scenario: &Scenario) -> BTreeSet<(String, u16)> {
    let mut all: BTreeSet<(String, u16)> = scenario
        .all_hosts()
        .into_iter()
        .map(|host| (host, 443))
        .collect();
    for machine in &scenario.machines {
        all.remove(&(machine.name.clone(), 443));
        if matches!(machine.does, Doing::Proxy(_)) {
            all.insert((machine.name.clone(), 3128));
        }
    }
    for registry in &scenario.registries {
        all.insert((registry.name().to_owned(), registry.port().unwrap_or(443)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever a file's own fix asks of others is among the favours, or can be asked for in the format.
    #[test]
    fn what_mends_a_scenario_can_be_asked_for() {
        for scenario in crate::catalogue::all().unwrap() {
            let favours = favours(&scenario);
            assert!(favours.len() > 5, "{}", scenario.id());
            for step in &scenario.acts.fix {
                let kind = |step: &Step| std::mem::discriminant(step);
                let offered = || {
                    favours
                        .iter()
                        .flat_map(|favour| &favour.steps)
                        .any(|one| kind(one) == kind(&step.value))
                };
                let by_format = matches!(step.value, Step::Push(_));
                assert!(
                    own_hands(&step.value) || by_format || offered(),
                    "{}: {:?}",
                    scenario.id(),
                    step.value
                );
            }
        }
    }

    #[test]
    fn a_favour_in_the_format_is_checked() {
        let scenario = crate::catalogue::find("firewall-block").unwrap().unwrap();
        let good = favour(
            &scenario,
            "firewall: { node: node-2, to: registry.example, action: open }",
        )
        .unwrap();
        assert_eq!(good.what, "node-2: packets to registry.example:443: open");
        let table = [
            (
                "firewall: { node: node-9, to: registry.example, action: open }",
                "no node `node-9`",
            ),
            (
                "firewall: { to: elsewhere.example, action: open }",
                "no host `elsewhere.example`",
            ),
            ("firewal: {}", "unknown variant"),
            ("wait: 5m", "for kubectl"),
            ("set-image: { deployment/web: a }", "for kubectl"),
            ("", "no step"),
        ];
        for (text, want) in table {
            let error = favour(&scenario, text).unwrap_err().to_string();
            assert!(error.contains(want), "{text}: {error}");
        }
    }
}
