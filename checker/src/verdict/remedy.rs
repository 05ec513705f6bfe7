//! Remedies for this very case: the catalogue's templates with the real names filled in, and for
//! the commonest causes the line that a person would type.

use super::{Case, Judgement, Remedy};
use crate::azure::{READS_PER_PULL_EXTRA, sku_limits};
use crate::cause::Cause;
use crate::evidence::{Role, Seen};
use crate::symptom::Owner;
use crate::world::Vantage;

/// Names of the failing pod, for commands.
#[derive(Clone, Debug, Default)]
pub struct Names<'a> {
    /// The namespace.
    pub namespace: Option<&'a str>,
    /// The pod.
    pub pod: Option<&'a str>,
    /// The workload that made it.
    pub owner: Option<&'a Owner>,
    /// The container.
    pub container: Option<&'a str>,
}

impl Names<'_> {
    /// `deployment/api`, else `pod/api-1`.
    fn workload(&self) -> Option<String> {
        match (self.owner, self.pod) {
            (Some(owner), _) => Some(format!("{}/{}", owner.kind, owner.name)),
            (None, Some(pod)) => Some(format!("pod/{pod}")),
            (None, None) => None,
        }
    }

    /// The command that puts a fresh pod, without back-off, in the place of this one.
    pub(super) fn fresh_pod(&self) -> Option<String> {
        let namespace = self.namespace.unwrap_or("default");
        let pod = self.pod?;
        Some(match self.owner {
            Some(owner)
                if matches!(
                    owner.kind.as_str(),
                    "deployment" | "statefulset" | "daemonset"
                ) =>
            {
                format!(
                    "kubectl -n {namespace} rollout restart {}/{}",
                    owner.kind, owner.name
                )
            }
            _ => format!("kubectl -n {namespace} delete pod {pod}"),
        })
    }

    fn set_image(&self, image: &str) -> Option<String> {
        let (workload, container) = (self.workload()?, self.container?);
        let namespace = self.namespace.unwrap_or("default");
        Some(format!(
            "kubectl -n {namespace} set image {workload} {container}={image}"
        ))
    }
}

/// What to do about the judgement's cause, or about its first candidate.
pub fn remedies(case: &Case<'_>, judgement: &Judgement, names: &Names<'_>) -> Vec<Remedy> {
    let Some(cause) = judgement.verdict.cause() else {
        return Vec::new();
    };
    let mut list = match cause {
        Cause::TagNotFound => nearest_tag(case, names),
        Cause::Registry429 => throttled(case, names),
        Cause::FirewallDrop => open_the_way(case, judgement),
        Cause::StaleBackoff => fresh_pod(names),
        _ => Vec::new(),
    };
    if list.is_empty() {
        list = from_catalogue(case, cause, names);
    }
    list
}

fn from_catalogue(case: &Case<'_>, cause: Cause, names: &Names<'_>) -> Vec<Remedy> {
    let values: Vec<(&str, String)> = values(case, names)
        .into_iter()
        .map(|(key, value)| (key, quoted(&value)))
        .collect();
    let values: Vec<(&str, &str)> = values
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    cause
        .remedies()
        .iter()
        .map(|template| Remedy {
            title: template.title.into(),
            commands: template.fill(&values),
            note: template.note.map(Into::into),
        })
        .collect()
}

/// A word for a shell: names of images come from anybody who may write a pod, and commands are pasted.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/:@+=,%-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let printable: String = text.chars().filter(|c| !c.is_control()).collect();
    format!("'{}'", printable.replace('\'', r"'\''"))
}

fn values(case: &Case<'_>, names: &Names<'_>) -> Vec<(&'static str, String)> {
    let mut values: Vec<(&'static str, String)> = vec![("image", case.image.to_owned())];
    let mut put = |key, value: Option<String>| values.extend(value.map(|value| (key, value)));
    put("namespace", names.namespace.map(Into::into));
    put("pod", names.pod.map(Into::into));
    put("container", names.container.map(Into::into));
    put("workload", names.workload());
    put("node", case.failing_nodes.first().cloned());
    put(
        "secret",
        case.secrets.first().map(|secret| secret.name.clone()),
    );
    if let Some(reference) = case.reference {
        put("host", Some(reference.endpoint().host().to_string()));
        put(
            "registry",
            Some(
                case.corrected_host
                    .map_or_else(|| reference.registry().to_string(), Into::into),
            ),
        );
        put("repository", Some(reference.repository().to_owned()));
        put(
            "tag",
            nearest(case).or_else(|| reference.tag().map(Into::into)),
        );
        put(
            "acr",
            crate::azure::registry_login_server(&reference.registry().to_string())
                .and_then(|login| Some(login.split('.').next()?.to_owned())),
        );
    }
    let refused = case.evidence.iter().find_map(|fact| match &fact.seen {
        Seen::DialFailed { address, .. } => Some(address.ip().to_string()),
        _ => None,
    });
    let named = case
        .evidence
        .iter()
        .filter_map(super::ending::refusal)
        .find_map(|refusal| {
            super::rules::client_address(&refusal.message.as_str().to_ascii_lowercase())
        });
    put("address", named.map(|one| one.to_string()).or(refused));
    if let Some(azure) = case.azure {
        if let Some(registry) = &azure.registry {
            values.retain(|(key, _)| *key != "acr");
            values.push(("acr", registry.name.clone()));
            values.push(("registry-id", registry.id.clone()));
        }
        if let Some(cluster) = &azure.cluster {
            values.push(("cluster", cluster.name.clone()));
            values.push(("resource-group", cluster.resource_group.clone()));
            values.push(("node-resource-group", cluster.node_resource_group.clone()));
        }
        if let Some(identity) = azure.kubelet() {
            values.push(("object-id", identity.object_id.clone()));
            values.extend(identity.client_id.clone().map(|id| ("client-id", id)));
        }
    }
    values
}

fn nearest(case: &Case<'_>) -> Option<String> {
    case.evidence.iter().find_map(|fact| match &fact.seen {
        Seen::Tags { nearest, .. } => nearest.first().map(ToString::to_string),
        _ => None,
    })
}

/// The image with the nearest tag that exists, written as the pod writes it.
fn nearest_tag(case: &Case<'_>, names: &Names<'_>) -> Vec<Remedy> {
    let Some(near) = nearest(case) else {
        return Vec::new();
    };
    let written = case.reference.map_or(case.image, |one| one.written());
    let end = written.rfind('/').map_or(0, |slash| slash + 1);
    let (path, last) = written.split_at(end);
    let image = format!("{path}{}:{near}", last.split(':').next().unwrap_or(last));
    let mut list = vec![Remedy {
        title: format!("Use a tag that exists: the nearest is `{near}`"),
        commands: names.set_image(&image).into_iter().collect(),
        note: Some("A changed image name starts a new pod with a fresh back-off.".into()),
    }];
    if names.workload().is_none() {
        list = vec![Remedy {
            title: format!("Use a tag that exists: {image}"),
            commands: Vec::new(),
            note: None,
        }];
    }
    list.push(Remedy {
        title: "Or push the tag that is asked for".into(),
        commands: vec![format!("docker push {}", case.image)],
        note: Some("A waiting pod notices it at the next attempt of its back-off, after at most five minutes.".into()),
    });
    list
}

/// Whose limit, what a pull costs, and three ways out of it.
fn throttled(case: &Case<'_>, names: &Names<'_>) -> Vec<Remedy> {
    let reads = case
        .evidence
        .requests_per_pull()
        .map(crate::evidence::RequestsPerPull::reads);
    let cost = reads.map_or_else(
        || format!(" One pull is {READS_PER_PULL_EXTRA} reads and one more a layer."),
        |reads| format!(" One pull of this image is {reads} reads."),
    );
    let wait = case
        .evidence
        .iter()
        .filter_map(super::ending::refusal)
        .filter(|one| one.status == 429)
        .find_map(|one| one.retry_after);
    let wait = wait.map_or_else(String::new, |wait| {
        format!(" The registry asks to wait {} s.", wait.as_secs())
    });
    let namespace = names.namespace.unwrap_or("default");
    let watch = names
        .workload()
        .map(|workload| format!("kubectl -n {namespace} rollout status {workload}"));
    let mut list = vec![
        Remedy {
            title: "Spread the pulls: start fewer pods at once".into(),
            commands: watch.into_iter().collect(),
            note: Some(format!(
                "It heals by itself as the limit refills.{wait}{cost} All nodes of a cluster pull as one identity and share its limit."
            )),
        },
        Remedy {
            title: "Pull less: a cache or mirror near the nodes, and imagePullPolicy IfNotPresent"
                .into(),
            commands: Vec::new(),
            note: None,
        },
    ];
    let registry = case.azure.and_then(|azure| azure.registry.as_ref());
    if let Some(registry) = registry
        && let (Some(now), Some(premium)) = (sku_limits(&registry.sku), sku_limits("Premium"))
        && premium != now
    {
        list.push(Remedy {
            title: "Raise the tier to Premium".into(),
            commands: vec![format!("az acr update --name {} --resource-group {} --sku Premium", registry.name, registry.resource_group)],
            note: Some(format!(
                "{} is published to serve {} reads a minute to one identity and {} in all; Premium {} and {}.",
                registry.sku, now.reads_per_identity, now.reads_per_registry, premium.reads_per_identity, premium.reads_per_registry
            )),
        });
    }
    list
}

/// What a firewall has to let through: address, port, and every name a pull needs.
fn open_the_way(case: &Case<'_>, judgement: &Judgement) -> Vec<Remedy> {
    let targets: Vec<String> = case
        .evidence
        .iter()
        .filter(|fact| judgement.vantage.as_ref() == Some(&fact.vantage))
        .filter_map(|fact| match &fact.seen {
            Seen::DialFailed { address, .. } => Some(address.to_string()),
            _ => None,
        })
        .collect();
    let Some(reference) = case.reference else {
        return Vec::new();
    };
    let endpoint = reference.endpoint();
    let port = endpoint.port().unwrap_or(443);
    let seen_on = match &judgement.vantage {
        Some(Vantage::Node(name)) => Some(&**name),
        _ => None,
    };
    let failing = case.failing_nodes.first().map(String::as_str);
    let node = failing.or(seen_on).unwrap_or("NODE");
    let mut hosts = vec![endpoint.host().to_string()];
    let elsewhere = case
        .evidence
        .about(Role::Storage)
        .chain(case.evidence.about(Role::TokenService));
    hosts.extend(
        elsewhere.filter_map(|fact| Some(fact.endpoint.as_ref()?.authority.host().to_string())),
    );
    if let Some(registry) = case.azure.and_then(|azure| azure.registry.as_ref()) {
        hosts.extend(registry.data_hosts.iter().cloned());
    } else if crate::azure::registry_login_server(&reference.registry().to_string()).is_some() {
        hosts.push("*.blob.core.windows.net".into());
    }
    let mut seen: Vec<String> = Vec::new();
    hosts.retain(|host| {
        if seen.contains(host) {
            false
        } else {
            seen.push(host.clone());
            true
        }
    });
    let targets = if targets.is_empty() {
        format!("{}:{port}", endpoint.host())
    } else {
        targets.join(", ")
    };
    vec![Remedy {
        title: format!("Let node {node} through to {targets}"),
        commands: vec![format!(
            "kubectl debug node/{node} -it --image=busybox -- nc -zv -w 5 {} {port}",
            endpoint.host()
        )],
        note: Some(format!(
            "Firewall, network security group or route of that node: allow TCP {port} to {}. A rule for the login server alone moves the failure to the layers.",
            hosts.join(", ")
        )),
    }]
}

fn fresh_pod(names: &Names<'_>) -> Vec<Remedy> {
    let Some(command) = names.fresh_pod() else {
        return Vec::new();
    };
    vec![Remedy {
        title: "Wait for the next attempt, at most five minutes and one sync away, or start a fresh pod".into(),
        commands: vec![command],
        note: Some("A new pod begins without back-off.".into()),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pasted_is_one_word() {
        let table = [
            (
                "registry.example/a/b:1@sha256:00",
                "registry.example/a/b:1@sha256:00",
            ),
            ("", "''"),
            ("a b", "'a b'"),
            ("x; rm -rf ~", "'x; rm -rf ~'"),
            ("$(id)'`id`", r"'$(id)'\''`id`'"),
            ("a\nb", "'ab'"),
        ];
        for (text, want) in table {
            assert_eq!(quoted(text), want, "for {text:?}");
        }
    }
}
