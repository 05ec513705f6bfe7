//! A cluster's life: created, waited for, found again, removed. Whatever ends `up` early,
//! what it had begun is removed before it returns.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::build::{self, NodeImage};
use super::command::{Call, Stop, tail};
use super::config::ClusterSpec;
use super::docker;
use super::error::KindError;
use super::fence::Fence;
use super::name::ClusterName;
use super::ownership::{Decision, Found};
use super::place::{self, Place};
use super::progress::{Progress, Task};
use super::stock::{self, Nodes};

/// kind itself, for up to four nodes on a busy machine.
const SLOWEST_CREATE: Duration = Duration::from_mins(10);
/// From kind's end until everything in the cluster is ready.
const SLOWEST_READY: Duration = Duration::from_mins(5);

/// Creates the cluster, or leaves one that is as wanted and works as it is. Gives the path of
/// its kubeconfig when nodes, service network and cluster DNS are ready.
pub(crate) async fn up(
    place: &Place,
    wanted: &ClusterSpec,
    nodes: &Nodes,
    progress: &Progress,
    stop: &Stop,
) -> Result<PathBuf, KindError> {
    let _lock = lock(place, &wanted.name)?;
    up_held(place, wanted, nodes, progress, stop).await
}

/// `up` for who holds the cluster's lock.
pub(crate) async fn up_held(
    place: &Place,
    wanted: &ClusterSpec,
    nodes: &Nodes,
    progress: &Progress,
    stop: &Stop,
) -> Result<PathBuf, KindError> {
    let name = &wanted.name;
    docker::runs_nodes(stop).await?;
    let fence = Fence::find(stop).await?;
    let image = match nodes {
        Nodes::Built(suite) => {
            build::image(place, *suite, progress, stop)
                .await?
                .ok_or(KindError::NoImage {
                    suite: suite.as_str(),
                })?
        }
        Nodes::Stock(image) => stock::find(place, image, progress, stop).await?,
    };
    let tools = Tools {
        image: &image,
        kubeconfig: place.kubeconfig(name),
        folder: place.cluster(name),
    };

    let why = match docker::find(name, stop).await?.decide(wanted, &image.id)? {
        Decision::Create => None,
        Decision::Replace(why) => Some(why),
        Decision::Reuse => match tools.works(wanted, stop).await? {
            None => {
                fence.put_up(name, stop).await?;
                progress.note(&format!("cluster {name} is there and works"));
                return Ok(tools.kubeconfig);
            }
            Some(why) => Some(why),
        },
    };
    if let Some(why) = why {
        progress.note(&format!("replacing cluster {name}: {why}"));
        remove(place, name, &fence, stop).await?;
    }

    match create(wanted, &tools, &fence, place, progress, stop).await {
        Ok(()) => Ok(tools.kubeconfig),
        Err(first) => {
            let removed = remove(place, name, &fence, &Stop::never()).await;
            KindError::with_clearing(Err(first), removed)
        }
    }
}

/// Removes the cluster and all that belongs to it; none is fine.
pub(crate) async fn down(
    place: &Place,
    name: &ClusterName,
    progress: &Progress,
    stop: &Stop,
) -> Result<(), KindError> {
    let _lock = lock(place, name)?;
    down_held(place, name, progress, stop).await
}

/// `down` for who holds the cluster's lock.
pub(crate) async fn down_held(
    place: &Place,
    name: &ClusterName,
    progress: &Progress,
    stop: &Stop,
) -> Result<(), KindError> {
    docker::reachable(stop).await?;
    let fence = Fence::find(stop).await?;
    let found = docker::find(name, stop).await?;
    found.refuse_others(name)?;
    if found == Found::default() && !place.cluster(name).exists() {
        // A rule alone can be left where Docker's own state was wiped.
        fence.take_down(name, stop).await?;
        progress.note(&format!("there is no cluster {name}"));
        return Ok(());
    }
    stop.check()?;
    let task = progress.task(format!("removing cluster {name}"));
    // Half removed is worse than a moment's wait.
    remove(place, name, &fence, &Stop::never()).await?;
    task.done();
    Ok(())
}

/// Keeps other runs away from a cluster, until it is dropped.
pub(crate) fn lock(place: &Place, name: &ClusterName) -> Result<fs::File, KindError> {
    place.lock(&format!("cluster {name}"))
}

/// Removes containers, network, fence and files, in this order.
async fn remove(
    place: &Place,
    name: &ClusterName,
    fence: &Fence,
    stop: &Stop,
) -> Result<(), KindError> {
    pull_scenarios::kind::remove_beside(name.as_str()).await?;
    let mut found = docker::find(name, stop).await?;
    // A `docker run` that was cut off can still bring up its container: look again until
    // there is none twice in a row.
    let mut clear = 0;
    while clear < 2 {
        found.refuse_others(name)?;
        clear = if found.nodes.is_empty() { clear + 1 } else { 0 };
        docker::remove_nodes(&found.nodes, stop).await?;
        if clear < 2 {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        found = docker::find(name, stop).await?;
    }
    if found.network.is_some() {
        docker::remove_network(name, stop).await?;
    }
    fence.take_down(name, stop).await?;
    place::remove(&place.cluster(name))
}

async fn create(
    wanted: &ClusterSpec,
    tools: &Tools<'_>,
    fence: &Fence,
    place: &Place,
    progress: &Progress,
    stop: &Stop,
) -> Result<(), KindError> {
    let name = &wanted.name;
    let nodes = if wanted.nodes == 1 {
        "1 node".to_owned()
    } else {
        format!("{} nodes", wanted.nodes)
    };
    let task = progress.task(format!("creating cluster {name} ({nodes})"));
    place::create(&tools.folder)?;
    let configuration = tools.folder.join("cluster.yaml");
    write(&configuration, &wanted.render())?;
    docker::create_network(name, stop).await?;
    fence.put_up(name, stop).await?;

    let log = place.log(&format!("cluster-{name}"))?;
    let call = Call::new(&tools.image.kind)
        .arguments([
            "create",
            "cluster",
            "--name",
            name.as_str(),
            "--image",
            &tools.image.name,
        ])
        .arguments([
            Path::new("--config"),
            &configuration,
            Path::new("--kubeconfig"),
            &tools.kubeconfig,
        ])
        .variable("KIND_EXPERIMENTAL_PROVIDER", "docker")
        .variable("KIND_EXPERIMENTAL_DOCKER_NETWORK", name.network())
        .variable("KUBECONFIG", &tools.kubeconfig)
        .within(SLOWEST_CREATE);
    let status = call.logged(&log, &task, stop).await?;
    if !status.success() {
        return Err(KindError::Step {
            step: "kind create cluster",
            status: status.to_string(),
            tail: tail(&log, 15),
            log,
        });
    }
    fs::set_permissions(&tools.kubeconfig, fs::Permissions::from_mode(0o600)).map_err(
        |source| KindError::File {
            doing: "protect",
            path: tools.kubeconfig.clone(),
            source,
        },
    )?;
    tools.wait(wanted, &task, stop).await?;
    task.done();
    Ok(())
}

/// The programs that belong to the image, and the cluster's files.
struct Tools<'a> {
    image: &'a NodeImage,
    kubeconfig: PathBuf,
    folder: PathBuf,
}

impl Tools<'_> {
    /// Waits until everything in a new cluster is ready.
    async fn wait(&self, wanted: &ClusterSpec, task: &Task, stop: &Stop) -> Result<(), KindError> {
        let since = Instant::now();
        loop {
            let Some(why) = self.works(wanted, stop).await? else {
                return Ok(());
            };
            task.detail(&why);
            if since.elapsed() > SLOWEST_READY {
                return Err(KindError::NotReady {
                    seconds: SLOWEST_READY.as_secs(),
                    text: why,
                });
            }
            stop.check()?;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// `None` when the nodes are ready, kube-proxy and DNS run and pods can be made; otherwise
    /// what is not.
    async fn works(&self, wanted: &ClusterSpec, stop: &Stop) -> Result<Option<String>, KindError> {
        if !self.kubeconfig.is_file() {
            return Ok(Some("its kubeconfig is missing".into()));
        }
        let ready =
            r#"{range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}"#;
        // From 1.24 on an account has no secret, and is of use as soon as it is there.
        let account = if wanted.stock {
            "{.metadata.name}"
        } else {
            "{.secrets[0].name}"
        };
        let questions: [Question<'_>; 4] = [
            (
                "nodes are not ready",
                &["get", "nodes", "--output", ready],
                nodes_ready,
            ),
            (
                "kube-proxy does not run on every node",
                &[
                    "--namespace",
                    "kube-system",
                    "get",
                    "daemonset",
                    "kube-proxy",
                    "--output",
                    "{.status.numberReady}",
                ],
                as_many,
            ),
            // Its pods are ready only when kube-proxy, pod network and API server work.
            (
                "cluster DNS does not run",
                &[
                    "--namespace",
                    "kube-system",
                    "get",
                    "deployment",
                    "coredns",
                    "--output",
                    "{.status.unavailableReplicas}/{.status.readyReplicas}",
                ],
                all_available,
            ),
            // Until it is there no pod can be made.
            (
                "the default service account is missing",
                &[
                    "--namespace",
                    "default",
                    "get",
                    "serviceaccount",
                    "default",
                    "--output",
                    account,
                ],
                |text, _| !text.is_empty(),
            ),
        ];
        for (what, arguments, enough) in questions {
            let said = self.kubectl(arguments).said(stop).await?;
            if !said.status.success() {
                let line = said.err.lines().next().unwrap_or_default();
                return Ok(Some(format!("{what} ({})", line.trim())));
            }
            if !enough(said.out.trim(), wanted.nodes) {
                return Ok(Some(what.to_owned()));
            }
        }
        Ok(None)
    }

    fn kubectl(&self, arguments: &[&str]) -> Call {
        // The output arguments above are templates; kubectl wants their kind before them.
        let arguments = arguments.iter().map(|argument| {
            if argument.starts_with('{') {
                format!("jsonpath={argument}")
            } else {
                (*argument).to_owned()
            }
        });
        Call::new(&self.image.kubectl)
            .arguments([Path::new("--kubeconfig"), &self.kubeconfig])
            .arguments([Path::new("--cache-dir"), &self.folder.join("cache")])
            .arguments(["--request-timeout", "10s"])
            .arguments(arguments)
            .within(Duration::from_secs(30))
    }
}

/// What is wrong when the answer is no; what to ask kubectl; which answer is a yes, given the
/// number of nodes.
type Question<'a> = (&'a str, &'a [&'a str], fn(&str, u8) -> bool);

/// One `True` a node, and no other line.
fn nodes_ready(text: &str, nodes: u8) -> bool {
    text.lines().count() == usize::from(nodes) && text.lines().all(|line| line == "True")
}

fn as_many(text: &str, nodes: u8) -> bool {
    text.parse() == Ok(nodes)
}

/// `<unavailable>/<ready>`, of which Kubernetes leaves out the one that is zero.
fn all_available(text: &str, _: u8) -> bool {
    match text.split_once('/') {
        Some((unavailable, ready)) => {
            matches!(unavailable, "" | "0") && ready.parse::<u32>().is_ok_and(|ready| ready > 0)
        }
        None => false,
    }
}

fn write(path: &Path, text: &str) -> Result<(), KindError> {
    fs::write(path, text).map_err(|source| KindError::File {
        doing: "write",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_nodes_are_ready() {
        let table = [
            ("True", 1, true),
            ("True\nTrue", 2, true),
            ("True\nFalse", 2, false),
            ("True\nUnknown", 2, false),
            ("True", 2, false),
            ("True\nTrue", 1, false),
            ("", 1, false),
        ];
        for (text, nodes, want) in table {
            assert_eq!(nodes_ready(text, nodes), want, "for {text:?} of {nodes}");
        }
    }

    #[test]
    fn when_a_deployment_is_available() {
        let table = [
            ("/2", true),
            ("0/2", true),
            ("1/1", false),
            ("2/", false),
            ("/", false),
            ("", false),
            ("/0", false),
        ];
        for (text, want) in table {
            assert_eq!(all_available(text, 1), want, "for {text:?}");
        }
    }

    #[test]
    fn when_a_daemon_set_runs_everywhere() {
        for (text, want) in [("2", true), ("1", false), ("", false), ("x", false)] {
            assert_eq!(as_many(text, 2), want, "for {text:?}");
        }
    }
}
