//! Registry hosts that people misspell, and what they meant.

use crate::azure::Cloud;
use crate::evidence::{Evidence, Role, Seen};
use crate::reference::{Host, Reference};
use crate::world::World;

/// Suffixes of registries that people misspell.
const KNOWN: [&str; 9] = [
    "azurecr.io",
    "azurecr.us",
    "azurecr.cn",
    "docker.io",
    "ghcr.io",
    "quay.io",
    "gcr.io",
    "pkg.dev",
    "mcr.microsoft.com",
];

/// For a name that does not exist: the same host with a known suffix, if it is near and resolves.
pub(super) async fn corrected_host(
    world: &World,
    reference: &Reference,
    evidence: &Evidence,
) -> Option<String> {
    let unknown = evidence
        .about(Role::Registry)
        .any(|fact| matches!(fact.seen, Seen::DnsFailed { .. }));
    let resolved = evidence
        .about(Role::Registry)
        .any(|fact| matches!(fact.seen, Seen::Resolved { .. }));
    if !unknown || resolved {
        return None;
    }
    let written = reference.registry().host().to_string();
    let net = &world.workstation.net;
    for host in near(&written).into_iter().chain(other_clouds(&written)) {
        let Ok(parsed) = Host::parse(&host) else {
            continue;
        };
        if net.resolve(&parsed).await.is_ok() {
            return Some(host);
        }
    }
    None
}

/// The same registry in Azure's other clouds.
fn other_clouds(host: &str) -> Vec<String> {
    let host = host.to_ascii_lowercase();
    let Some(written) = Cloud::of_registry(&host) else {
        return Vec::new();
    };
    let name = host.strip_suffix(written.suffix()).unwrap_or(&host);
    let others = Cloud::ALL.into_iter().filter(|cloud| *cloud != written);
    others
        .map(|cloud| format!("{name}{}", cloud.suffix()))
        .collect()
}

pub(super) fn near(host: &str) -> Option<String> {
    let host = host.to_ascii_lowercase();
    if KNOWN
        .iter()
        .any(|suffix| host == *suffix || host.ends_with(&format!(".{suffix}")))
    {
        return None;
    }
    KNOWN.iter().find_map(|suffix| {
        let labels = suffix.split('.').count();
        let mut parts: Vec<&str> = host.rsplitn(labels + 1, '.').collect();
        let rest = if parts.len() > labels {
            parts.pop()
        } else {
            None
        };
        parts.reverse();
        let tail = parts.join(".");
        let distance = strsim::osa_distance(&tail, suffix);
        let hosts_names = suffix.starts_with("azurecr") || *suffix == "pkg.dev";
        let fits = (1..=2).contains(&distance) && rest.is_some() == hosts_names;
        fits.then(|| rest.map_or_else(|| (*suffix).to_owned(), |rest| format!("{rest}.{suffix}")))
    })
}
