//! Looking from nodes: the arguments that ask for it, the rights that it needs, and the program in the pod.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;

use super::args::time;
use super::error::CliError;
use super::{emit, exit};
use crate::cluster::fleet::{FleetSettings, JobFleet, Subject, manifests};
use crate::nodes::{HOST, Order, Standing, carry_out};
use crate::world::World;
use crate::world::real::{SystemClock, SystemPrograms};

const HEADING: &str = "Looking from nodes";

/// What every question may add that is to be asked from nodes as well.
#[derive(Debug, Args)]
pub(super) struct FromNodes {
    /// Look from the cluster's nodes as well, all of them or those of a label selector; a Job of the checker's own
    /// image is made for it and taken away.
    #[arg(long, value_name = "nodes[=SELECTOR]", value_parser = from, help_heading = HEADING)]
    pub(super) from: Option<From>,
    #[command(flatten)]
    pub(super) place: NodePlace,
    /// Nodes that are asked at most; those on which pods fail come first.
    #[arg(long, value_name = "N", default_value_t = 100, requires = "from", value_parser = clap::value_parser!(u16).range(1..=1000), help_heading = HEADING)]
    pub(super) node_limit: u16,
    /// How long nodes have to answer, as 90s or 5m.
    #[arg(long, value_name = "TIME", default_value = "2m", requires = "from", value_parser = time, help_heading = HEADING)]
    pub(super) node_timeout: Duration,
}

/// Where probes run, and what they are given. `pullcheck nodes` prints what belongs to it.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_field_names,
    reason = "they are flags beside those of the workstation's own place"
)]
pub(super) struct NodePlace {
    /// The checker's image that nodes run.
    #[arg(long, value_name = "IMAGE", env = "PULLCHECK_NODE_IMAGE", default_value = FleetSettings::IMAGE, help_heading = HEADING)]
    pub(super) node_image: String,
    /// The namespace of the Job; it has to be there.
    #[arg(long, value_name = "NAME", env = "PULLCHECK_NODE_NAMESPACE", default_value = "pullcheck", value_parser = name, help_heading = HEADING)]
    pub(super) node_namespace: String,
    /// A pull secret of that namespace that probes may sign in with; repeat it for several. Without one they have no
    /// credential but what the node itself has.
    #[arg(long, value_name = "NAME", value_parser = name, help_heading = HEADING)]
    pub(super) node_pull_secret: Vec<String>,
    /// The node's configuration of credential providers, a file, or a folder with a slash at its end. The providers
    /// that fit are run there, as root without capabilities, since what they read is root's.
    #[arg(long, value_name = "PATH", value_parser = path, requires = "node_credential_provider_bin_dir", help_heading = HEADING)]
    pub(super) node_credential_provider_config: Option<String>,
    /// The node's folder of the providers' programs.
    #[arg(long, value_name = "DIR", value_parser = path, requires = "node_credential_provider_config", help_heading = HEADING)]
    pub(super) node_credential_provider_bin_dir: Option<String>,
    /// A file of the node that providers read, seen by probes at the same path; repeat it for several.
    #[arg(long, value_name = "PATH", value_parser = path, requires = "node_credential_provider_config", help_heading = HEADING)]
    pub(super) node_file: Vec<String>,
}

/// Which nodes.
#[derive(Clone, Debug)]
pub(super) struct From {
    selector: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct NodesTarget {
    /// Print what has to be there before: namespace, service account, and the rights of whoever looks.
    #[arg(long, required = true)]
    pub(super) print_manifests: bool,
    /// Who may look: user:NAME, group:NAME or serviceaccount:NAMESPACE/NAME.
    #[arg(long, value_name = "WHO", default_value = "group:pullcheck", value_parser = subject)]
    pub(super) subject: Subject,
    #[command(flatten)]
    pub(super) place: NodePlace,
}

fn from(text: &str) -> Result<From, String> {
    let selector = match text.split_once('=') {
        None if text == "nodes" => None,
        Some(("nodes", selector)) if !selector.is_empty() && selector.len() <= 1024 => {
            Some(selector.to_owned())
        }
        _ => return Err("write nodes, or nodes= and a label selector".into()),
    };
    Ok(From { selector })
}

/// A name that Kubernetes takes for a namespace or a secret.
fn name(text: &str) -> Result<String, String> {
    if crate::nodes::is_name(text) {
        Ok(text.to_owned())
    } else {
        Err("not a name: lower-case letters, digits, `-` and `.`".into())
    }
}

/// An absolute path without steps back.
fn path(text: &str) -> Result<String, String> {
    let back = Path::new(text)
        .components()
        .any(|one| one.as_os_str() == "..");
    if text.starts_with('/') && text.len() > 1 && !back && !text.contains(':') {
        Ok(text.to_owned())
    } else {
        Err("not an absolute path".into())
    }
}

fn subject(text: &str) -> Result<Subject, String> {
    let named = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
    match text.split_once(':') {
        Some(("user", user)) if named(user) => Ok(Subject::User(user.to_owned())),
        Some(("group", group)) if named(group) => Ok(Subject::Group(group.to_owned())),
        Some(("serviceaccount", account)) => match account.split_once('/') {
            Some((namespace, account)) => Ok(Subject::Account(name(namespace)?, name(account)?)),
            None => Err("write serviceaccount:NAMESPACE/NAME".into()),
        },
        _ => Err("write user:NAME, group:NAME or serviceaccount:NAMESPACE/NAME".into()),
    }
}

impl NodePlace {
    fn settings(&self) -> FleetSettings {
        let config = self.node_credential_provider_config.clone();
        FleetSettings {
            namespace: self.node_namespace.clone(),
            image: self.node_image.clone(),
            secrets: self.node_pull_secret.clone(),
            providers: config.zip(self.node_credential_provider_bin_dir.clone()),
            files: self.node_file.clone(),
            ..FleetSettings::default()
        }
    }
}

impl FromNodes {
    /// Gives the world the way to its cluster's nodes, if it was asked for; `begun` remembers it for the way back.
    pub(super) fn lead(&self, world: World, begun: &Begun) -> World {
        let (Some(from), Some(client)) = (&self.from, &world.cluster) else {
            return world;
        };
        let settings = FleetSettings {
            selector: from.selector.clone(),
            limit: self.node_limit.into(),
            deadline: self.node_timeout,
            ..self.place.settings()
        };
        let fleet = JobFleet::new(client.clone(), settings, Arc::clone(&world.clock));
        let fleet = Arc::new(fleet);
        begun.set(Arc::clone(&fleet));
        world.with_fleet(fleet)
    }
}

/// What was begun in a cluster and has to be taken back, whatever ends the run.
#[derive(Default)]
pub(super) struct Begun(Mutex<Option<Arc<JobFleet>>>);

impl Begun {
    fn set(&self, fleet: Arc<JobFleet>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(fleet);
    }

    pub(super) fn fleet(&self) -> Option<Arc<JobFleet>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes it back; on standard error, what could not be.
    pub(super) async fn take_back(&self) {
        let Some(fleet) = self.fleet() else { return };
        if !fleet.clean().await {
            use std::io::Write as _;
            let _ = writeln!(
                std::io::stderr(),
                "a Job of probes could not be deleted; it ends by itself within minutes"
            );
        }
    }
}

/// `pullcheck nodes --print-manifests`.
pub(super) fn run(target: &NodesTarget) -> Result<u8, CliError> {
    let settings = target.place.settings();
    let yaml = |value: &serde_json::Value| {
        serde_saphyr::to_string(value).map_err(|error| CliError::Stdout {
            source: std::io::Error::other(error.to_string()),
        })
    };
    let mut page = String::from(
        "# What `pullcheck ... --from nodes` needs. Made and taken away with each run, in this namespace: one Job,\n\
         # shown at the end for review.\n",
    );
    for manifest in manifests(&settings, &target.subject) {
        page.push_str("---\n");
        page.push_str(&yaml(&manifest)?);
    }
    page.push_str("---\n");
    for line in yaml(&crate::cluster::fleet::example(&settings))?.lines() {
        page.push_str("# ");
        page.push_str(line);
        page.push('\n');
    }
    emit(&page)?;
    Ok(exit::PULLABLE)
}

/// The program in the pod: carries an order out and prints what it saw. Its exit code tells nothing: a probe that
/// finds something wrong has done its work.
pub(super) fn probe(words: &[String]) -> Result<u8, CliError> {
    let order = Order::parse(words).map_err(|source| CliError::Order { source })?;
    let name = std::env::var("PULLCHECK_NODE").unwrap_or_else(|_| "unnamed".into());
    let host =
        std::env::var_os("PULLCHECK_HOST").map_or_else(|| PathBuf::from(HOST), PathBuf::from);
    let standing = Standing::of_node(&name, &host, &order);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|source| CliError::Runtime { source })?;
    let mut failed = None;
    runtime.block_on(async {
        let work = carry_out(&order, &standing, &SystemPrograms, &SystemClock, |line| {
            if failed.is_none() {
                failed = emit(&format!("{line}\n")).err();
            }
        });
        // As the first process of a container it ends for a signal only if it says so.
        tokio::select! {
            biased;
            () = super::interrupted() => {}
            () = work => {}
        }
    });
    runtime.shutdown_background();
    failed.map_or(Ok(exit::PULLABLE), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_asked_for() {
        for (text, want) in [
            ("nodes", Some(None)),
            (
                "nodes=disk=fast,zone in (a,b)",
                Some(Some("disk=fast,zone in (a,b)")),
            ),
            ("nodes=", None),
            ("workstation", None),
        ] {
            let got = from(text).ok().map(|one| one.selector);
            assert_eq!(got, want.map(|one| one.map(str::to_owned)), "for {text:?}");
        }
        for text in ["/etc/x", "/etc/x/"] {
            assert!(path(text).is_ok(), "for {text:?}");
        }
        for text in ["etc", "/", "/a/../b", ""] {
            assert!(path(text).is_err(), "for {text:?}");
        }
        for text in [
            "user:",
            "robot:x",
            "serviceaccount:x",
            "serviceaccount:A/b",
            "x",
        ] {
            assert!(subject(text).is_err(), "for {text:?}");
        }
        assert_eq!(
            subject("serviceaccount:ci/runner"),
            Ok(Subject::Account("ci".into(), "runner".into()))
        );
    }
}
