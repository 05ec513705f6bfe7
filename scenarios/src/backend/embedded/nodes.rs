//! Nodes as the file describes them: what they are made of, and what is changed while they run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::SignedDuration;
use pullcheck::mirrors::{HostsFile, Mirrors};
use pullcheck::world::{Place as CheckerPlace, Proxies, Trust, Vantage};
use sim_cluster::clock::Clock;
use sim_cluster::net::Host;
use sim_cluster::node::{Node, NodeSpec};
use sim_cluster::runtime::{HttpProxy, Mirror, RegistryHost};

use super::place::{Date, Place};
use crate::spec::{self, NodeSettings};

/// What was set on the nodes, as far as somebody who stands on them notices it.
#[derive(Default)]
pub(super) struct Settings {
    by_node: Mutex<BTreeMap<String, Known>>,
}

#[derive(Clone, Default)]
struct Known {
    untrusting: bool,
    shift: SignedDuration,
    proxy: spec::ProxySettings,
    mirrors: BTreeMap<String, spec::Mirrors>,
}

/// What a node is made with.
pub(super) fn describe(spec: &mut NodeSpec, settings: &NodeSettings) {
    if let Some(architecture) = &settings.architecture {
        spec.architecture.clone_from(architecture);
    }
    for (key, value) in &settings.labels {
        spec.labels.insert(key.clone(), value.clone());
    }
    if let Some(serialize) = settings.serialize_image_pulls {
        spec.serialize_image_pulls = serialize;
    }
    if let Some(qps) = settings.registry_qps {
        spec.registry_qps = qps;
    }
    if let Some(burst) = settings.registry_burst {
        spec.registry_burst = burst;
    }
    if settings.sandbox_image.is_some() {
        spec.sandbox_image.clone_from(&settings.sandbox_image);
    }
}

impl Settings {
    /// Changes a running node.
    pub(super) fn apply(
        &self,
        node: &Node,
        settings: &NodeSettings,
        authority: Vec<u8>,
        clock: Clock,
    ) {
        let runtime = node.runtime();
        let mut by_node = self.by_node.lock().unwrap_or_else(PoisonError::into_inner);
        let known = by_node.entry(node.name().to_owned()).or_default();
        if let Some(trusts) = settings.trusts_registries {
            known.untrusting = !trusts;
            runtime.set_trust(if trusts { vec![authority] } else { Vec::new() });
        }
        if let Some(shift) = settings.clock {
            known.shift = shift.0;
            runtime.set_clock(clock.shifted(shift.0));
        }
        if let Some(room) = settings.disk {
            runtime.set_room(room.0);
        }
        if let Some(proxy) = &settings.proxy {
            runtime.set_proxy(proxy.authority().map(|authority| HttpProxy {
                authority: authority.to_owned(),
                no_proxy: proxy.no_proxy.clone(),
            }));
            known.proxy.clone_from(proxy);
        }
        for (registry, mirrors) in &settings.mirrors {
            let gone = mirrors.hosts.is_empty() && mirrors.server.is_none();
            if gone {
                known.mirrors.remove(registry);
                runtime.set_hosts(registry, None);
            } else {
                known.mirrors.insert(registry.clone(), mirrors.clone());
                runtime.set_hosts(registry, Some(hosts(mirrors)));
            }
        }
    }

    /// A place on a node, with its trust, its clock and its proxy.
    pub(super) fn place(
        &self,
        name: &str,
        host: Host,
        authority: Vec<u8>,
        clock: Clock,
    ) -> CheckerPlace {
        let by_node = self.by_node.lock().unwrap_or_else(PoisonError::into_inner);
        let known = by_node.get(name).cloned().unwrap_or_default();
        let trust = if known.untrusting {
            Trust::roots([])
        } else {
            Trust::roots([authority])
        };
        let no_proxy = known.proxy.no_proxy.join(",");
        let proxies = Proxies::new(known.proxy.https.as_deref(), None, Some(&no_proxy));
        CheckerPlace::new(Vantage::node(name), Arc::new(Place(host)), trust)
            .with_proxies(proxies)
            .with_clock(Arc::new(Date(clock.shifted(known.shift))))
    }

    /// The `certs.d` of a node, as its files say it.
    pub(super) fn mirrors_of(&self, node: &str) -> Mirrors {
        let by_node = self.by_node.lock().unwrap_or_else(PoisonError::into_inner);
        let known = by_node.get(node).cloned().unwrap_or_default();
        let files = known.mirrors.iter().filter_map(|(registry, mirrors)| {
            let file = HostsFile::parse(&hosts_toml(mirrors)).ok()?;
            Some((registry.clone(), file))
        });
        files.fold(Mirrors::default(), |mirrors, (registry, file)| {
            mirrors.with_folder(&registry, file)
        })
    }
}

fn hosts(mirrors: &spec::Mirrors) -> RegistryHost {
    RegistryHost {
        server: mirrors.server.clone(),
        mirrors: mirrors
            .hosts
            .iter()
            .map(|url| Mirror {
                url: url.clone(),
                resolve: true,
                pull: true,
                override_path: false,
            })
            .collect(),
    }
}

fn hosts_toml(mirrors: &spec::Mirrors) -> String {
    let server = mirrors
        .server
        .iter()
        .map(|server| format!("server = \"{server}\"\n"));
    let tables = mirrors
        .hosts
        .iter()
        .map(|url| format!("[host.\"{url}\"]\n  capabilities = [\"pull\", \"resolve\"]\n"));
    server.chain(tables).collect()
}
