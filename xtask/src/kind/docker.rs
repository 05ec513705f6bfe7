//! Docker, through its own command line: whether it can run nodes, and what it has.

use std::time::Duration;

use serde_json::Value;

use super::command::{Call, Said, Stop};
use super::error::KindError;
use super::name::ClusterName;
use super::ownership::{Found, FoundNetwork, FoundNode};

/// The label of a network, whose value is the name of the cluster.
const LABEL: &str = "pullcheck.kind.cluster";
/// The label that kind gives to its nodes.
const KIND_LABEL: &str = "io.x-k8s.kind.cluster";
/// The runtime of `scenarios/kind/dockerd.sh`.
const BOUNDED_RUNTIME: &str = "bounded-runc";

fn docker<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Call {
    Call::new("docker").arguments(arguments)
}

/// `Ok` when the daemon answers.
pub(crate) async fn reachable(stop: &Stop) -> Result<(), KindError> {
    let asked = docker(["version", "--format", "{{.Server.Version}}"])
        .said(stop)
        .await;
    match asked {
        Ok(Said { status, .. }) if status.success() => Ok(()),
        Ok(said) => Err(why_silent(&said.err)),
        Err(KindError::Start { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Err(KindError::DockerAbsent)
        }
        Err(other) => Err(other),
    }
}

/// `Ok` when the daemon answers and can run the privileged container that a node is.
pub(crate) async fn runs_nodes(stop: &Stop) -> Result<(), KindError> {
    reachable(stop).await?;
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let missing = missing_capabilities(
        &read("/proc/self/status"),
        &read("/proc/sys/kernel/cap_last_cap"),
    );
    if missing.is_empty() {
        return Ok(());
    }
    let runtime = docker(["info", "--format", "{{.DefaultRuntime}}"])
        .text(stop)
        .await?;
    if runtime == BOUNDED_RUNTIME {
        return Ok(());
    }
    let missing: Vec<String> = missing.iter().map(u32::to_string).collect();
    Err(KindError::RuntimeUnbounded {
        missing: format!("number {}", missing.join(", ")),
    })
}

/// Why the daemon did not answer, from what the client says of it.
fn why_silent(text: &str) -> KindError {
    let text = text.trim();
    if text.contains("permission denied") {
        KindError::DockerForbidden
    } else if text.contains("Cannot connect to the Docker daemon")
        || text.contains("connection refused")
    {
        KindError::DockerStopped
    } else {
        KindError::DockerSilent {
            text: text.lines().next().unwrap_or("no reason given").to_owned(),
        }
    }
}

/// The numbers of the capabilities that the kernel knows and this process can never have.
fn missing_capabilities(status: &str, last: &str) -> Vec<u32> {
    let bound = status
        .lines()
        .find_map(|line| line.strip_prefix("CapBnd:"))
        .and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
    let (Some(bound), Ok(last)) = (bound, last.trim().parse::<u32>()) else {
        return Vec::new();
    };
    (0..=last.min(63))
        .filter(|number| bound >> number & 1 == 0)
        .collect()
}

/// The identifier of the image, if Docker has it.
pub(crate) async fn image(name: &str, stop: &Stop) -> Result<Option<String>, KindError> {
    // `inspect` would need its error text read; a list is just empty.
    let ids = docker(["image", "ls", "--quiet", "--no-trunc", name])
        .text(stop)
        .await?;
    Ok(ids.lines().next().map(ToOwned::to_owned))
}

/// Removes the images of this repository whose tag begins so, but the one to keep and those
/// that a container uses: the cache has them all, and loads one in seconds.
pub(crate) async fn forget_others(keep: &str, prefix: &str, stop: &Stop) -> Result<(), KindError> {
    let pattern = format!("{prefix}*");
    let names = docker([
        "image",
        "ls",
        "--format",
        "{{.Repository}}:{{.Tag}}",
        &pattern,
    ])
    .text(stop)
    .await?;
    for name in names.lines().filter(|name| *name != keep) {
        // Refused while in use, which is what is wanted.
        docker(["image", "rm", name]).said(stop).await?;
    }
    Ok(())
}

/// Loads an image from a file made by `docker save | zstd`.
pub(crate) async fn load(archive: &std::path::Path, stop: &Stop) -> Result<(), KindError> {
    Call::new("bash")
        .arguments([
            "-c",
            r#"set -o pipefail; zstd -dcq "$0" | docker load --quiet"#,
        ])
        .arguments([archive])
        .within(Duration::from_mins(10))
        .text(stop)
        .await
        .map(drop)
}

/// What Docker has under that name.
pub(crate) async fn find(name: &ClusterName, stop: &Stop) -> Result<Found, KindError> {
    let filter = format!("label={KIND_LABEL}={name}");
    let ids = docker([
        "container",
        "ls",
        "--all",
        "--quiet",
        "--no-trunc",
        "--filter",
        &filter,
    ])
    .text(stop)
    .await?;
    let mut nodes = Vec::new();
    for id in ids.lines() {
        // One may vanish between the two calls; then it is not there.
        let call = docker(["container", "inspect", id]);
        let said = call.said(stop).await?;
        if said.status.success() {
            nodes.extend(nodes_of(&said.out).ok_or_else(|| unexpected(&call, &said.out))?);
        }
    }
    nodes.sort_by(|a: &FoundNode, b: &FoundNode| a.name.cmp(&b.name));

    let network = name.network();
    let filter = format!("name=^{network}$");
    let ids = docker([
        "network",
        "ls",
        "--quiet",
        "--no-trunc",
        "--filter",
        &filter,
    ])
    .text(stop)
    .await?;
    let network = match ids.lines().next() {
        None => None,
        Some(id) => {
            let call = docker(["network", "inspect", id]);
            let out = call.text(stop).await?;
            Some(network_of(&out).ok_or_else(|| unexpected(&call, &out))?)
        }
    };
    Ok(Found { network, nodes })
}

/// Makes the cluster's network: a bridge, IPv4 only.
pub(crate) async fn create_network(name: &ClusterName, stop: &Stop) -> Result<(), KindError> {
    let label = format!("{LABEL}={name}");
    let bridge = format!("com.docker.network.bridge.name={}", name.bridge());
    docker([
        "network",
        "create",
        "--driver",
        "bridge",
        "--label",
        &label,
        "--opt",
        &bridge,
        &name.network(),
    ])
    .text(stop)
    .await
    .map(drop)
}

/// Removes the network, if it is there.
pub(crate) async fn remove_network(name: &ClusterName, stop: &Stop) -> Result<(), KindError> {
    let network = name.network();
    let containers = docker([
        "container",
        "ls",
        "--all",
        "--format",
        "{{.Names}}",
        "--filter",
        &format!("network={network}"),
    ])
    .text(stop)
    .await?;
    if !containers.is_empty() {
        return Err(KindError::NetworkInUse {
            network,
            containers: containers.replace('\n', ", "),
        });
    }
    docker(["network", "rm", &network])
        .text(stop)
        .await
        .map(drop)
}

/// Removes these containers with their volumes.
pub(crate) async fn remove_nodes(nodes: &[FoundNode], stop: &Stop) -> Result<(), KindError> {
    if nodes.is_empty() {
        return Ok(());
    }
    docker(["container", "rm", "--force", "--volumes"])
        .arguments(nodes.iter().map(|node| node.id.as_str()))
        .within(Duration::from_mins(3))
        .text(stop)
        .await
        .map(drop)
}

fn unexpected(call: &Call, text: &str) -> KindError {
    KindError::Answer {
        command: call.line(),
        text: text.chars().take(200).collect(),
    }
}

/// The containers in the output of `docker container inspect`.
fn nodes_of(json: &str) -> Option<Vec<FoundNode>> {
    let containers: Vec<Value> = serde_json::from_str(json).ok()?;
    containers
        .iter()
        .map(|container| {
            let text = |pointer: &str| container.pointer(pointer)?.as_str().map(ToOwned::to_owned);
            Some(FoundNode {
                id: text("/Id")?,
                name: text("/Name")?.trim_start_matches('/').to_owned(),
                running: container.pointer("/State/Running")?.as_bool()?,
                image: text("/Image")?,
                networks: container
                    .pointer("/NetworkSettings/Networks")?
                    .as_object()?
                    .keys()
                    .cloned()
                    .collect(),
            })
        })
        .collect()
}

/// The network in the output of `docker network inspect`.
fn network_of(json: &str) -> Option<FoundNetwork> {
    let networks: Vec<Value> = serde_json::from_str(json).ok()?;
    let label = networks.first()?.get("Labels")?.get(LABEL);
    Some(FoundNetwork {
        label: label.and_then(Value::as_str).map(ToOwned::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_the_daemon_does_not_answer() {
        let stopped = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n";
        let refused = "error during connect: Get \"http://127.0.0.1:1/v1.50/version\": dial tcp 127.0.0.1:1: connect: connection refused";
        let forbidden = "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get \"http://%2Fvar%2Frun%2Fdocker.sock/v1.50/version\": dial unix /var/run/docker.sock: connect: permission denied";
        let old = "Got permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock";
        let new = "Error response from daemon: client version 1.50 is too new.\nMaximum is 1.41";
        assert!(matches!(why_silent(stopped), KindError::DockerStopped));
        assert!(matches!(why_silent(refused), KindError::DockerStopped));
        assert!(matches!(why_silent(forbidden), KindError::DockerForbidden));
        assert!(matches!(why_silent(old), KindError::DockerForbidden));
        assert!(
            matches!(why_silent(""), KindError::DockerSilent { text } if text == "no reason given")
        );
        let KindError::DockerSilent { text } = why_silent(new) else {
            panic!("another reason is given as it is")
        };
        assert_eq!(
            text,
            "Error response from daemon: client version 1.50 is too new."
        );
    }

    #[test]
    fn capabilities_that_are_missing() {
        let table = [
            ("CapBnd:\t000001ffffffffff\n", "40\n", vec![]),
            (
                "Name: x\nCapBnd:\t000001fffeffffff\nSeccomp: 0\n",
                "40\n",
                vec![24],
            ),
            ("CapBnd:\t0000000000000000\n", "2", vec![0, 1, 2]),
            // A kernel that knows more than this process was told of.
            ("CapBnd:\t000001ffffffffff\n", "41\n", vec![41]),
            ("", "40\n", vec![]),
            ("CapBnd:\tzz\n", "40\n", vec![]),
            ("CapBnd:\t000001fffeffffff\n", "", vec![]),
        ];
        for (status, last, want) in table {
            assert_eq!(
                missing_capabilities(status, last),
                want,
                "for {status:?}, {last:?}"
            );
        }
    }

    #[test]
    fn what_docker_says_of_containers_and_networks() {
        let json = r#"[{"Id":"aa","Name":"/shop-control-plane","State":{"Running":true},"Image":"sha256:bb",
            "NetworkSettings":{"Networks":{"pullcheck-shop":{"NetworkID":"cc"}}}}]"#;
        let want = FoundNode {
            id: "aa".into(),
            name: "shop-control-plane".into(),
            running: true,
            image: "sha256:bb".into(),
            networks: vec!["pullcheck-shop".into()],
        };
        assert_eq!(nodes_of(json), Some(vec![want]));
        for bad in ["", "{}", "[{}]", r#"[{"Id":1}]"#] {
            assert_eq!(nodes_of(bad), None, "for {bad:?}");
        }

        let label = |json| network_of(json).map(|network| network.label);
        assert_eq!(
            label(r#"[{"Labels":{"pullcheck.kind.cluster":"shop"}}]"#),
            Some(Some("shop".into()))
        );
        assert_eq!(label(r#"[{"Labels":{"other":"shop"}}]"#), Some(None));
        assert_eq!(label(r#"[{"Labels":null}]"#), Some(None));
        assert_eq!(label("[]"), None);
    }
}
