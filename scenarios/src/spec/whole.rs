//! What a scenario has in all: its steps, its nodes, its hosts.

use std::collections::BTreeSet;

use serde_saphyr::Spanned;

use super::{Scenario, Step};

/// Hosts of the cloud, where there is a tenant.
const CLOUD: [&str; 2] = ["management.azure.com", "login.microsoftonline.com"];

impl Scenario {
    /// The steps of `break`, then those of `fix`.
    pub fn steps(&self) -> impl Iterator<Item = &Spanned<Step>> {
        self.acts.break_.iter().chain(&self.acts.fix)
    }

    /// Nodes at the beginning and those that join.
    pub fn count_nodes(&self) -> u32 {
        self.steps()
            .fold(self.cluster.nodes.value, |sum, step| match &step.value {
                Step::AddNodes(nodes) => sum.saturating_add(nodes.count),
                _ => sum,
            })
    }

    /// Their names: `node-1`, `node-2` and so on, in this order.
    pub fn all_nodes(&self) -> Vec<String> {
        (1..=self.count_nodes())
            .map(|n| format!("node-{n}"))
            .collect()
    }

    /// Registries, their token services and data hosts, other machines, and the cloud's own.
    pub fn all_hosts(&self) -> BTreeSet<String> {
        let mut hosts: BTreeSet<String> = BTreeSet::new();
        for registry in &self.registries {
            hosts.insert(registry.name().to_owned());
            hosts.extend(registry.token_host.clone());
            hosts.extend(registry.blobs_at.clone());
            if let Some(host) = registry.habits.token_host() {
                hosts.insert(host.to_owned());
            }
        }
        hosts.extend(self.machines.iter().map(|machine| machine.name.clone()));
        if let Some(azure) = &self.azure {
            hosts.extend(CLOUD.map(str::to_owned));
            for registry in &azure.registries {
                hosts.extend(registry.blobs_at.clone());
                if registry.data_endpoint {
                    hosts.insert(registry.data_host());
                }
            }
        }
        hosts
    }
}
