//! `cargo xtask kind vantage`: the node vantage proven on real nodes, of which one is cut off.
//!
//! Two nodes, a registry beside them, the checker's image on both, and the manifests that the checker prints itself.
//! Then four questions: with packets of one node dropped (the answer must be that node's firewall), with the image of
//! the checker not to be had, interrupted in the middle, and with nothing wrong. After each of them the namespace must
//! be empty. What the checker says is read from its own JSON; nothing of the cluster stays.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use pull_scenarios::kind::LABEL;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::cluster;
use super::command::{Call, Stop};
use super::config::ClusterSpec;
use super::docker;
use super::error::KindError;
use super::name::ClusterName;
use super::place::Place;
use super::play::{archive, registry_image};
use super::progress::Progress;
use super::step::Suite;
use super::stock::Nodes;
use crate::image::Program;

/// Where the probes are.
const NAMESPACE: &str = "pullcheck";
const REPOSITORY: &str = "team/web:v1";
/// How long a kubelet may take to end a pod.
const GOING: Duration = Duration::from_secs(90);
/// On the rule that cuts a node off.
const COMMENT: &str = "pullcheck-vantage";

/// Arguments of `kind vantage`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Vantage {
    /// Name of the cluster that is made for it
    #[arg(long, value_name = "NAME", default_value = "vantage")]
    name: ClusterName,
    /// Debian release of the nodes, as built by `build-node`
    #[arg(long, value_enum, default_value_t)]
    suite: Suite,
    /// Leaves the cluster there, and takes one that is there
    #[arg(long)]
    keep: bool,
    /// A static binary of fake-registry that is there already, instead of building one
    #[arg(long, value_name = "FILE")]
    registry_binary: Option<PathBuf>,
    /// A static binary of pullcheck that is there already, instead of building one
    #[arg(long, value_name = "FILE")]
    checker_binary: Option<PathBuf>,
}

/// Runs it all; whatever ends it early, what it had begun is removed.
pub(super) async fn run(
    place: &Place,
    wanted: &Vantage,
    progress: &Progress,
    stop: &Stop,
) -> Result<String, KindError> {
    let name = &wanted.name;
    let _lock = cluster::lock(place, name)?;
    docker::runs_nodes(stop).await?;
    let registry_image = registry_image(wanted.registry_binary.clone(), progress, stop).await?;
    let task = progress.task("the checker's image");
    let (checker, _) = archive(Program::Pullcheck, wanted.checker_binary.clone()).await?;
    task.done();
    let spec = ClusterSpec {
        name: name.clone(),
        nodes: 2,
        stock: false,
    };
    let of = Nodes::Built(wanted.suite);
    let kubeconfig = cluster::up_held(place, &spec, &of, progress, stop).await?;
    // From here on there is a cluster: nothing returns before it is seen to.
    let mut stage = Stage {
        kubeconfig,
        nodes: Vec::new(),
        registry: format!("{name}-vantage-registry"),
        network: name.network(),
        label: format!("{LABEL}={name}"),
    };
    let outcome = match docker::find(name, stop).await {
        Ok(found) => {
            stage.nodes = found.nodes.into_iter().map(|node| node.name).collect();
            let played = async {
                stage.prepare(&registry_image, &checker, stop).await?;
                stage.play(progress, stop).await
            };
            played.await
        }
        Err(error) => Err(error),
    };
    let cleared = if wanted.keep {
        stage.clear().await
    } else {
        cluster::down_held(place, name, progress, &Stop::never()).await
    };
    KindError::with_clearing(outcome, cleared)
}

/// The cluster, and the registry beside it.
struct Stage {
    kubeconfig: PathBuf,
    /// Containers, by name: the control plane's first.
    nodes: Vec<String>,
    registry: String,
    network: String,
    /// By which `kind down` finds the registry.
    label: String,
}

/// What one question came to.
struct Asked {
    report: Value,
    took: Duration,
}

impl Stage {
    async fn prepare(
        &self,
        registry_image: &str,
        checker: &Path,
        stop: &Stop,
    ) -> Result<(), KindError> {
        self.remove_registry().await?;
        let file = self.kubeconfig.with_file_name("vantage-registry.yaml");
        let config = "any-host: localhost\nhosts:\n  - name: localhost\n    images: [team/web:v1 linux/amd64 2x64KiB]\n";
        std::fs::write(&file, config).map_err(|source| KindError::File {
            doing: "write",
            path: file.clone(),
            source,
        })?;
        let mount = format!("{}:/config.yaml:ro", file.display());
        docker_call([
            "run",
            "--detach",
            "--name",
            &self.registry,
            "--label",
            &self.label,
            "--network",
            &self.network,
            "--volume",
            &mount,
            registry_image,
            "serve",
            "--config=/config.yaml",
            "--listen=0.0.0.0:5000",
        ])
        .text(stop)
        .await?;
        for node in &self.nodes {
            // The archive goes in through standard input: nothing of it stays on the node.
            let script =
                r#"docker exec --interactive "$1" ctr --namespace k8s.io images import - < "$0""#;
            Call::new("bash")
                .arguments(["-c", script])
                .arguments([checker])
                .arguments([node])
                .within(Duration::from_mins(3))
                .text(stop)
                .await?;
        }
        let script = r#"set -o pipefail; "$0" pullcheck pullcheck nodes --print-manifests | kubectl --kubeconfig "$1" apply -f -"#;
        Call::new("bash")
            .arguments(["-c", script])
            .arguments([own()?])
            .arguments([&self.kubeconfig])
            .text(stop)
            .await?;
        Ok(())
    }

    async fn play(&self, progress: &Progress, stop: &Stop) -> Result<String, KindError> {
        let address = self.address(stop).await?;
        let image = format!("{address}:5000/{REPOSITORY}");
        let Some(cut) = self.nodes.iter().find(|name| name.ends_with("-worker")) else {
            return Err(failed("the cluster has no worker"));
        };
        let mut lines = Vec::new();
        let mut told = |what: &str, asked: &Asked| {
            let line = format!("{what:<44} {:>5.1} s", asked.took.as_secs_f64());
            progress.note(&line);
            lines.push(line);
        };

        self.filter(
            cut,
            &format!(
                "-I OUTPUT -d {address} -p tcp --dport 5000 -m comment --comment {COMMENT} -j DROP"
            ),
            stop,
        )
        .await?;
        let asked = self.ask(&image, &[], stop).await?;
        let report = &asked.report;
        expect(report, "/verdict", "blocked")?;
        expect(report, "/cause", "firewall-drop")?;
        expect(report, "/stage", "tcp")?;
        expect(report, "/answers/0/vantage", &format!("node/{cut}"))?;
        expect(report, "/answers/0/side_by_side/differs_at", "tcp")?;
        expect(report, "/answers/0/side_by_side/stands_out/0", cut)?;
        expect(report, "/answers/0/side_by_side/places/0/outcome", "passed")?;
        self.is_empty(stop).await?;
        told("one node of two is cut off: named", &asked);

        let nowhere = format!("{address}:5000/team/none:1");
        let asked = self.ask(&image, &["--node-image", &nowhere], stop).await?;
        let gap = asked.report.pointer("/gaps/0/what").and_then(Value::as_str);
        let gap = gap.unwrap_or_default();
        if !gap.contains("the checker's own image") || !gap.contains("cannot be pulled there") {
            return Err(failed(&format!("an image that is not there: {gap}")));
        }
        expect(&asked.report, "/verdict", "pullable")?;
        self.is_empty(stop).await?;
        told("the checker's image cannot be pulled: said", &asked);

        let took = self.interrupted(&image, stop).await?;
        let asked = Asked {
            report: Value::Null,
            took,
        };
        self.is_empty(stop).await?;
        told("interrupted in the middle: nothing left", &asked);

        self.clear_filter(cut).await?;
        let asked = self.ask(&image, &[], stop).await?;
        expect(&asked.report, "/verdict", "pullable")?;
        let decides = asked.report.pointer("/answers/0/vantage");
        let decides = decides.and_then(Value::as_str).unwrap_or_default();
        if !decides.starts_with("node/") {
            return Err(failed("no node decides where nothing is wrong"));
        }
        expect(&asked.report, "/answers/0/side_by_side/differs_at", "null")?;
        for at in 1..=self.nodes.len() {
            let path = format!("/answers/0/side_by_side/places/{at}/outcome");
            expect(&asked.report, &path, "passed")?;
        }
        self.is_empty(stop).await?;
        told("nothing is wrong: the nodes see the same", &asked);
        Ok(lines.join("\n"))
    }

    /// What `pullcheck image ... --from nodes` says.
    async fn ask(&self, image: &str, more: &[&str], stop: &Stop) -> Result<Asked, KindError> {
        let since = Instant::now();
        let call = Call::new(own()?)
            .arguments(["pullcheck", "pullcheck", "image", image, "--plain-http"])
            .arguments([
                "--from",
                "nodes",
                "--output",
                "json",
                "--anonymous",
                "--kubeconfig",
            ])
            .arguments([&self.kubeconfig])
            .arguments(more)
            .within(Duration::from_mins(4));
        let said = call.said(stop).await?;
        let report = serde_json::from_str(&said.out).map_err(|_| call.failed(&said))?;
        Ok(Asked {
            report,
            took: since.elapsed(),
        })
    }

    /// Starts a question, interrupts it once its Job is there, and gives how long the way back took.
    async fn interrupted(&self, image: &str, stop: &Stop) -> Result<Duration, KindError> {
        let started = |source| KindError::Start {
            program: "pullcheck".into(),
            source,
        };
        let mut child = tokio::process::Command::new(own()?)
            .args(["pullcheck", "pullcheck", "image", image, "--plain-http"])
            .args(["--from", "nodes", "--kubeconfig"])
            .arg(&self.kubeconfig)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(started)?;
        let end = Instant::now() + Duration::from_secs(30);
        while self.objects(stop).await?.is_empty() {
            if Instant::now() > end {
                return Err(failed("no Job was made to interrupt"));
            }
            sleep(Duration::from_millis(200)).await;
        }
        let since = Instant::now();
        let id = child.id().map(|id| id.to_string()).unwrap_or_default();
        Call::new("kill")
            .arguments(["-INT", &id])
            .text(stop)
            .await?;
        let ended = timeout(GOING, child.wait()).await;
        let ended = ended.map_err(|_| failed("an interrupted run does not end"))?;
        let status = ended.map_err(started)?;
        if status.code() != Some(130) {
            return Err(failed(&format!("an interrupted run ended with {status}")));
        }
        Ok(since.elapsed())
    }

    /// Jobs and pods of the namespace.
    async fn objects(&self, stop: &Stop) -> Result<String, KindError> {
        Call::new("kubectl")
            .arguments(["--kubeconfig"])
            .arguments([&self.kubeconfig])
            .arguments([
                "--namespace",
                NAMESPACE,
                "get",
                "jobs,pods",
                "--output",
                "name",
            ])
            .text(stop)
            .await
    }

    /// Nothing is left; a kubelet may take a while to end a pod whose pull is under way.
    async fn is_empty(&self, stop: &Stop) -> Result<(), KindError> {
        let end = Instant::now() + GOING;
        loop {
            let left = self.objects(stop).await?;
            if left.is_empty() {
                return Ok(());
            }
            if left.contains("job") || Instant::now() > end {
                return Err(failed(&format!(
                    "left behind: {}",
                    left.replace('\n', ", ")
                )));
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    async fn address(&self, stop: &Stop) -> Result<String, KindError> {
        let form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        docker_call(["inspect", "--format", form, &self.registry])
            .text(stop)
            .await
    }

    async fn filter(&self, node: &str, rule: &str, stop: &Stop) -> Result<(), KindError> {
        let script = format!("iptables {rule}");
        docker_call(["exec", node, "bash", "-c", &script])
            .text(stop)
            .await
            .map(drop)
    }

    async fn clear_filter(&self, node: &str) -> Result<(), KindError> {
        let script = format!(
            "iptables -S OUTPUT | grep -e {COMMENT} | sed 's/^-A/-D/' | while read -r rule; do eval \"iptables $rule\"; done"
        );
        docker_call(["exec", node, "bash", "-c", &script])
            .text(&Stop::never())
            .await
            .map(drop)
    }

    async fn remove_registry(&self) -> Result<(), KindError> {
        // Not there is fine.
        docker_call(["rm", "--force", "--volumes", &self.registry])
            .said(&Stop::never())
            .await
            .map(drop)
    }

    /// Takes back what is not the cluster's own.
    async fn clear(&self) -> Result<(), KindError> {
        let mut outcome = self.remove_registry().await;
        for node in &self.nodes {
            outcome = outcome.and(self.clear_filter(node).await);
        }
        outcome
    }
}

fn docker_call<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Call {
    Call::new("docker").arguments(arguments)
}

/// This program, which is the checker as well.
fn own() -> Result<PathBuf, KindError> {
    std::env::current_exe().map_err(|source| KindError::Start {
        program: "pullcheck".into(),
        source,
    })
}

fn failed(text: &str) -> KindError {
    KindError::Vantage {
        text: text.to_owned(),
    }
}

/// What a report has to say in one place.
fn expect(report: &Value, path: &str, wanted: &str) -> Result<(), KindError> {
    let found = report.pointer(path);
    let text = match found {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "nothing".into(),
    };
    if text == wanted {
        return Ok(());
    }
    let because = report.pointer("/answers/0/because").and_then(Value::as_str);
    Err(failed(&format!(
        "{path} is {text} and not {wanted} ({})",
        because.unwrap_or("no answer")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_report_has_to_say() {
        let report = json!({ "verdict": "blocked", "gaps": [], "answers": [{ "because": "why" }] });
        assert!(expect(&report, "/verdict", "blocked").is_ok());
        assert!(expect(&report, "/gaps", "[]").is_ok());
        let error = expect(&report, "/cause", "firewall-drop").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the node vantage: /cause is nothing and not firewall-drop (why)"
        );
        assert_eq!(error.exit_code(), 1);
    }
}
