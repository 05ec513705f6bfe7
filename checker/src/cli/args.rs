//! The command line as it is typed. Raw values only; `request.rs` turns them into checked ones.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::azure::AzureAccess;
use super::credentials::Credentials;
use super::nodes::{FromNodes, NodesTarget};
use super::probing::Probing;

const AFTER: &str = "\
Exit codes:
  0    pullable: every stage a pull needs was seen to succeed
  1    blocked: one cause, proven
  2    the command line is wrong, or pullcheck could not run
  3    undetermined: several causes remain, or there was nothing to check
  130  interrupted

Examples:
  pullcheck deployment api -n shop
  pullcheck pod api-5d9c-x2x4z -n shop --output json
  pullcheck namespace shop
  pullcheck deployment api -n shop --watch --timeout 10m
  helm template . | pullcheck manifests -f - --platform linux/arm64
  pullcheck image registry.example/team/web:v1
  pullcheck image registry.example/team/web:v1 --from nodes=agentpool=user
  pullcheck image docker.io/library/alpine:3 --hosts-dir /etc/containerd/certs.d
  kubectl describe pod api-5d9c-x2x4z | pullcheck explain -
  pullcheck causes tag-not-found";

const POD: &str = "\
Examples:
  pullcheck pod api-5d9c-x2x4z -n shop
  pullcheck pod api-5d9c-x2x4z -n shop --arm-token-file arm-token
  kubectl pullcheck pod/api-5d9c-x2x4z -n shop --output json";
const WORKLOAD: &str = "\
Examples:
  pullcheck deployment api -n shop
  pullcheck deploy/api -n shop --output html > report.html
  pullcheck deployment api -n shop --output junit > report.xml";
const IMAGE: &str = "\
Examples:
  pullcheck image registry.example/team/web:v1
  pullcheck image registry.example/team/web:v1 --username puller --password-stdin < password
  pullcheck image registry.example/team/web:v1 --platform linux/arm64 --ca /etc/ssl/private-ca.pem
  pullcheck image docker.io/library/alpine:3 --hosts-dir /etc/containerd/certs.d";
const NODES: &str = "\
Examples:
  pullcheck nodes --print-manifests | kubectl apply -f -
  pullcheck nodes --print-manifests --subject user:alice@example.com
  pullcheck deployment api -n shop --from nodes";
const EXPLAIN: &str = "\
Examples:
  pullcheck explain 'pull access denied, repository does not exist or may require authorization'
  kubectl describe pod api-5d9c-x2x4z | pullcheck explain -
  pullcheck explain --jsonl < messages.jsonl > answers.jsonl";
const CAUSES: &str = "\
Examples:
  pullcheck causes
  pullcheck causes tag-not-found
  pullcheck causes --output json";
const COMPLETIONS: &str = "\
Examples:
  pullcheck completions bash > /etc/bash_completion.d/pullcheck
  pullcheck completions zsh > \"${fpath[1]}/_pullcheck\"";

/// Names the cause of a failed container image pull, with evidence and a remedy.
#[derive(Debug, Parser)]
#[command(
    name = "pullcheck",
    version,
    after_help = AFTER,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
    /// How to print the answer.
    #[arg(
        long,
        short = 'o',
        global = true,
        env = "PULLCHECK_OUTPUT",
        value_enum,
        default_value_t = Output::Text
    )]
    pub(super) output: Output,
    /// When to use colour; NO_COLOR and a pipe switch `auto` off.
    #[arg(
        long,
        global = true,
        env = "PULLCHECK_COLOR",
        value_enum,
        default_value_t = Color::Auto
    )]
    pub(super) color: Color,
    /// No progress on standard error.
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// What each place saw in full, also where it is the same as elsewhere.
    #[arg(long, short, global = true)]
    pub(super) verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For reading.
    Text,
    /// For programs; the field `schema` names the form.
    Json,
    /// For CI servers: a case an image, blocked as failure, undetermined as error.
    Junit,
    /// One page for a browser, without network.
    Html,
    /// Annotations of a GitHub workflow, and the text for its log.
    Github,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check the images of a pod that does not start.
    #[command(after_help = POD)]
    Pod(ClusterTarget),
    /// Check the pods of a Deployment.
    #[command(after_help = WORKLOAD)]
    Deployment(ClusterTarget),
    /// Check the pods of a ReplicaSet.
    Replicaset(ClusterTarget),
    /// Check the pods of a StatefulSet.
    Statefulset(ClusterTarget),
    /// Check the pods of a DaemonSet.
    Daemonset(ClusterTarget),
    /// Check the pods of a Job.
    Job(ClusterTarget),
    /// Check the pods of a CronJob's jobs.
    Cronjob(ClusterTarget),
    /// Check every image that pods of a namespace wait for.
    Namespace(ClusterTarget),
    /// Check every image that pods of the cluster wait for.
    Cluster(WideTarget),
    /// Check every image of manifests before they are deployed, with the credentials they will have.
    Manifests(ManifestsTarget),
    /// Check whether an image can be pulled from here, without a cluster.
    #[command(after_help = IMAGE)]
    Image(ImageTarget),
    /// Measure how many probes a second a registry of your own and this client are good for.
    Bench(super::bench::BenchTarget),
    /// Print the manifests that --from nodes needs.
    #[command(after_help = NODES)]
    Nodes(NodesTarget),
    /// The program in the pod of --from nodes: prints what it sees from there, a line of JSON each.
    #[command(hide = true)]
    NodeProbe {
        /// What to ask.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        order: Vec<String>,
    },
    /// Say what a message of a kubelet or a runtime tells, on its own.
    #[command(after_help = EXPLAIN)]
    Explain(Explain),
    /// List the causes, or describe one.
    #[command(after_help = CAUSES)]
    Causes(Causes),
    /// Write completions for a shell to standard output.
    #[command(after_help = COMPLETIONS)]
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Write one manual page a command into a folder.
    #[command(hide = true)]
    Man {
        /// The folder; it is made.
        folder: PathBuf,
    },
    /// Write the pages that are generated from the code into a folder.
    #[command(hide = true)]
    Docs {
        /// The folder; it is made.
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(super) struct ClusterTarget {
    /// Its name.
    pub(super) name: String,
    /// The namespace; without it that of the context.
    #[arg(long, short, env = "PULLCHECK_NAMESPACE")]
    pub(super) namespace: Option<String>,
    #[command(flatten)]
    pub(super) wide: WideTarget,
}

/// What every question to a cluster may add.
#[derive(Debug, Args)]
pub(super) struct WideTarget {
    /// The kubeconfig file; without it KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub(super) kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig.
    #[arg(long, env = "PULLCHECK_CONTEXT")]
    pub(super) context: Option<String>,
    /// Judge by what the cluster says alone; send nothing to a registry.
    #[arg(long)]
    pub(super) no_probe: bool,
    /// Follow until every pod is healthy or --timeout is over; then check what is wrong.
    #[arg(long, short)]
    pub(super) watch: bool,
    /// How long --watch follows, as 90s, 5m or 1h.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = time)]
    pub(super) timeout: std::time::Duration,
    #[command(flatten)]
    pub(super) azure: AzureAccess,
    #[command(flatten)]
    pub(super) credentials: Credentials,
    #[command(flatten)]
    pub(super) network: Network,
    #[command(flatten)]
    pub(super) nodes: FromNodes,
}

#[derive(Debug, Args)]
pub(super) struct ManifestsTarget {
    /// Files, folders, or `-` for standard input.
    #[arg(long = "filename", short, value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,
    /// The namespace of objects that name none; without it that of the context, else `default`.
    #[arg(long, short)]
    pub(super) namespace: Option<String>,
    /// A platform that nodes have, OS/ARCH; repeat it for several. Without it those of the cluster's
    /// nodes, else that of this machine.
    #[arg(long, value_name = "OS/ARCH")]
    pub(super) platform: Vec<String>,
    /// Ask the cluster for pull secrets that the manifests name and do not hold, and for its nodes.
    #[arg(long)]
    pub(super) with_cluster: bool,
    /// The kubeconfig file; without it KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE", requires = "with_cluster")]
    pub(super) kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig.
    #[arg(long, requires = "with_cluster")]
    pub(super) context: Option<String>,
    #[command(flatten)]
    pub(super) azure: AzureAccess,
    #[command(flatten)]
    pub(super) credentials: Credentials,
    #[command(flatten)]
    pub(super) network: Network,
    #[command(flatten)]
    pub(super) nodes: FromNodes,
}

/// `90s`, `5m`, `1h`, or seconds alone; at most a day.
pub(super) fn time(text: &str) -> Result<std::time::Duration, String> {
    let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("write a number with s, m or h, as 5m".into()),
    };
    let seconds = digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .filter(|seconds| *seconds <= 86_400)
        .ok_or("write a number with s, m or h, at most a day")?;
    Ok(std::time::Duration::from_secs(seconds))
}

#[derive(Debug, Args)]
pub(super) struct ImageTarget {
    /// The image, as a pod would name it.
    #[arg(value_name = "REF")]
    pub(super) reference: String,
    /// Sign in to the registry as this user; needs --password-stdin.
    #[arg(long, requires = "password_stdin")]
    pub(super) username: Option<String>,
    /// Read the password or token from standard input.
    #[arg(long, requires = "username")]
    pub(super) password_stdin: bool,
    /// The platform that a node would choose: OS/ARCH[/VARIANT]; without it that of this machine.
    #[arg(long, env = "PULLCHECK_PLATFORM", value_name = "OS/ARCH")]
    pub(super) platform: Option<String>,
    #[command(flatten)]
    pub(super) credentials: Credentials,
    #[command(flatten)]
    pub(super) network: Network,
    #[command(flatten)]
    pub(super) nodes: FromNodes,
    /// The kubeconfig file of --from nodes; without it KUBECONFIG or ~/.kube/config.
    #[arg(
        long,
        value_name = "FILE",
        requires = "from",
        help_heading = "Looking from nodes"
    )]
    pub(super) kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig.
    #[arg(long, requires = "from", help_heading = "Looking from nodes")]
    pub(super) context: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Network {
    /// Certificates (PEM) of authorities to trust besides the platform's.
    #[arg(long, env = "PULLCHECK_CA", value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
    /// The DNS server to ask, ADDRESS[:PORT]; without it the system's.
    #[arg(long, env = "PULLCHECK_DNS", value_name = "ADDRESS")]
    pub(super) dns: Option<String>,
    /// The mirrors of containerd: its folder `certs.d`, as a node has it in /etc/containerd.
    #[arg(long, env = "PULLCHECK_HOSTS_DIR", value_name = "DIR")]
    pub(super) hosts_dir: Option<PathBuf>,
    /// The mirrors of CRI-O and podman: their `registries.conf`.
    #[arg(
        long,
        env = "PULLCHECK_REGISTRIES_CONF",
        value_name = "FILE",
        conflicts_with = "hosts_dir"
    )]
    pub(super) registries_conf: Option<PathBuf>,
    /// Speak plain HTTP with the registry; without it only with localhost, as containerd does.
    #[arg(long, env = "PULLCHECK_PLAIN_HTTP", value_parser = clap::builder::FalseyValueParser::new())]
    pub(super) plain_http: bool,
    #[command(flatten)]
    pub(super) probing: Probing,
}

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The message, or `-` to read it from standard input.
    #[arg(value_name = "MESSAGE", required_unless_present = "jsonl")]
    pub(super) message: Option<String>,
    /// Read JSON lines with `id` and `message`; write the same objects with what was found.
    #[arg(long)]
    pub(super) jsonl: bool,
}

#[derive(Debug, Args)]
pub(super) struct Causes {
    /// The cause to describe.
    pub(super) id: Option<String>,
}

/// `deployment/api` as kubectl takes it, for `deployment api`.
pub(super) fn split_kind_and_name(arguments: Vec<std::ffi::OsString>) -> Vec<std::ffi::OsString> {
    let mut split = Vec::with_capacity(arguments.len() + 1);
    for (at, argument) in arguments.into_iter().enumerate() {
        let pair = argument
            .to_str()
            .filter(|_| at == 1)
            .and_then(|text| text.split_once('/'));
        match pair.and_then(|(kind, name)| Some((command_of(kind)?, name))) {
            Some((kind, name)) => split.extend([kind.into(), name.into()]),
            None if at == 1 => split.push(
                argument
                    .to_str()
                    .and_then(command_of)
                    .map_or(argument, Into::into),
            ),
            None => split.push(argument),
        }
    }
    split
}

/// The subcommand for a kind in any spelling that kubectl takes.
fn command_of(kind: &str) -> Option<&'static str> {
    match kind.to_ascii_lowercase().as_str() {
        "pod" | "pods" | "po" => return Some("pod"),
        "namespace" | "namespaces" | "ns" => return Some("namespace"),
        _ => {}
    }
    crate::cluster::WorkloadKind::from_word(kind).map(crate::cluster::WorkloadKind::word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times() {
        for (text, want) in [
            ("90s", Some(90)),
            ("5m", Some(300)),
            ("1h", Some(3600)),
            ("7", Some(7)),
        ] {
            assert_eq!(
                time(text).ok().map(|one| one.as_secs()),
                want,
                "for {text:?}"
            );
        }
        for text in ["", "m", "1d", "-1s", "99999999999999999999h", "25h", "1.5m"] {
            assert!(time(text).is_err(), "for {text:?}");
        }
    }

    #[test]
    fn kubectl_spellings() {
        let table: [(&[&str], &[&str]); 5] = [
            (
                &["pullcheck", "deployment/api", "-n", "shop/x"],
                &["pullcheck", "deployment", "api", "-n", "shop/x"],
            ),
            (
                &["pullcheck", "deploy", "api"],
                &["pullcheck", "deployment", "api"],
            ),
            (&["pullcheck", "po/api"], &["pullcheck", "pod", "api"]),
            (
                &["pullcheck", "image", "r.test/a:1"],
                &["pullcheck", "image", "r.test/a:1"],
            ),
            (&["pullcheck", "r.test/a"], &["pullcheck", "r.test/a"]),
        ];
        for (given, want) in table {
            let got = split_kind_and_name(given.iter().map(Into::into).collect());
            assert_eq!(
                got,
                want.iter()
                    .map(std::ffi::OsString::from)
                    .collect::<Vec<_>>(),
                "for {given:?}"
            );
        }
    }
}
