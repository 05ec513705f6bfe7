//! The arguments of every command.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// An OCI registry that misbehaves on command.
#[derive(Debug, Parser)]
#[command(name = "fake-registry", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve on a TCP port until interrupted.
    Serve(Box<Serve>),
    /// Show or change the fault script of a running registry.
    Faults(Faults),
    /// Show what clients did at a running registry.
    Journal(Journal),
    /// Print the CA certificate of a running registry.
    Ca(Ca),
    /// Put images into a running registry.
    Seed(Seed),
    /// Answer DNS questions from a file, name by name: addresses, NXDOMAIN, SERVFAIL or nothing.
    Dns(Dns),
    /// Write shell completions to standard output.
    #[command(hide = true)]
    Completions {
        /// For which shell.
        shell: Shell,
    },
    /// Write the manual page of the program, or of one of its commands, to standard output.
    #[command(hide = true)]
    Man {
        /// Such as `serve`, or `faults add`.
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
        /// Write the pages of the program and of all its commands to a folder instead.
        #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
        to: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where to listen; port 0 takes a free one.
    #[arg(
        long,
        env = "FAKE_REGISTRY_LISTEN",
        default_value = "127.0.0.1:5000",
        value_name = "ADDRESS"
    )]
    pub(crate) listen: SocketAddr,
    /// Where plain HTTP is served beside, as cloud metadata services are.
    #[arg(long, env = "FAKE_REGISTRY_PLAIN_LISTEN", value_name = "ADDRESS")]
    pub(crate) plain: Option<SocketAddr>,
    /// Where the control endpoint listens: an address or `none`. Whoever reaches it may change the
    /// faults. By default on loopback, at the next port or, if that is taken, at a free one.
    #[arg(long, env = "FAKE_REGISTRY_CONTROL_LISTEN", value_name = "ADDRESS")]
    pub(crate) control: Option<ControlAt>,
    /// Hosts, accounts, images, a tenant and faults in YAML.
    #[arg(long, env = "FAKE_REGISTRY_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// An image that is there from the start, such as `team/web:v1 linux/amd64 2x1MiB`.
    #[arg(
        long = "image",
        env = "FAKE_REGISTRY_IMAGES",
        value_delimiter = '\n',
        value_name = "LINE"
    )]
    pub(crate) images: Vec<String>,
    /// An OCI image layout whose images are there from the start, and the repository they go to:
    /// `team/app=./app`.
    #[arg(
        long = "layout",
        env = "FAKE_REGISTRY_LAYOUTS",
        value_delimiter = '\n',
        value_name = "REPOSITORY=DIRECTORY"
    )]
    pub(crate) layouts: Vec<LayoutAt>,
    /// An archive of `docker save` whose images are there from the start, under their own names.
    #[arg(
        long = "archive",
        env = "FAKE_REGISTRY_ARCHIVES",
        value_delimiter = '\n',
        value_name = "FILE"
    )]
    pub(crate) archives: Vec<PathBuf>,
    /// Keep content in a directory instead of in memory: an OCI image layout for each repository.
    #[arg(
        long,
        env = "FAKE_REGISTRY_DIRECTORY",
        value_name = "DIRECTORY",
        conflicts_with = "config"
    )]
    pub(crate) directory: Option<PathBuf>,
    /// The registry that the images go to.
    #[arg(
        long,
        env = "FAKE_REGISTRY_HOST",
        default_value = "localhost",
        value_name = "NAME"
    )]
    pub(crate) host: String,
    /// A fault script in YAML, in place of the configuration's.
    #[arg(long, env = "FAKE_REGISTRY_FAULTS", value_name = "FILE")]
    pub(crate) faults: Option<PathBuf>,
    /// Makes chance and identifiers reproducible, and keys too, which are then no secrets.
    #[arg(long, env = "FAKE_REGISTRY_SEED", value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
    /// Serve TLS, with certificates of a CA that is made for this run.
    #[arg(long, env = "FAKE_REGISTRY_TLS")]
    pub(crate) tls: bool,
    /// Where to write the certificate of that CA; a new file in the temporary directory otherwise.
    #[arg(
        long,
        env = "FAKE_REGISTRY_CA_FILE",
        value_name = "FILE",
        requires = "tls"
    )]
    pub(crate) ca_file: Option<PathBuf>,
    /// How many requests the journal keeps; 0 for none.
    #[arg(long, env = "FAKE_REGISTRY_JOURNAL_LIMIT", value_name = "NUMBER")]
    pub(crate) journal_limit: Option<usize>,
    /// Threads that serve, each with its own connections; one for each core otherwise.
    #[arg(long, env = "FAKE_REGISTRY_THREADS", value_name = "NUMBER")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// How log lines look; what is logged is said by `FAKE_REGISTRY_LOG` (such as `info`, or
    /// `fake_registry::request=info`).
    #[arg(
        long,
        env = "FAKE_REGISTRY_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Args)]
pub(crate) struct Dns {
    /// Where to listen, over UDP and TCP.
    #[arg(
        long,
        env = "FAKE_REGISTRY_DNS_LISTEN",
        default_value = "127.0.0.1:5353",
        value_name = "ADDRESS"
    )]
    pub(crate) listen: SocketAddr,
    /// The names, in YAML; read again when it changes.
    #[arg(long, env = "FAKE_REGISTRY_ZONE", value_name = "FILE")]
    pub(crate) zone: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// A layout and where its images go.
#[derive(Clone, Debug)]
pub(crate) struct LayoutAt {
    pub(crate) repository: String,
    pub(crate) path: PathBuf,
}

impl std::str::FromStr for LayoutAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((repository, path)) if !repository.is_empty() && !path.is_empty() => Ok(Self {
                repository: repository.to_owned(),
                path: path.into(),
            }),
            _ => Err(format!("`{text}` is not `REPOSITORY=DIRECTORY`")),
        }
    }
}

/// Where the control endpoint is to listen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ControlAt {
    Nowhere,
    At(SocketAddr),
}

impl std::str::FromStr for ControlAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::Nowhere);
        }
        text.parse().map(Self::At).map_err(|_| {
            format!("`{text}` is neither `none` nor an address such as 127.0.0.1:5001")
        })
    }
}

/// Which running registry is meant.
#[derive(Debug, Args)]
pub(crate) struct Running {
    /// The control address of the running registry. A name other than `localhost` is not looked
    /// up: a static program has no resolver.
    #[arg(
        long,
        env = "FAKE_REGISTRY_CONTROL",
        default_value = "127.0.0.1:5001",
        value_name = "ADDRESS",
        value_parser = control_address
    )]
    pub(crate) control: SocketAddr,
}

fn control_address(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix("http://").unwrap_or(text);
    let bare = bare.trim_end_matches('/');
    let parsed = match bare.strip_prefix("localhost:") {
        Some(port) => port
            .parse()
            .ok()
            .map(|port: u16| ([127, 0, 0, 1], port).into()),
        None => bare.parse().ok(),
    };
    parsed.ok_or_else(|| format!("`{text}` is no address such as 127.0.0.1:5001"))
}

#[derive(Debug, Args)]
pub(crate) struct Faults {
    #[command(flatten)]
    pub(crate) running: Running,
    #[command(subcommand)]
    pub(crate) work: Option<FaultsWork>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FaultsWork {
    /// Show all rules and how often each matched and fired (the default).
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Add a rule, or the rules of a file.
    Add {
        /// A rule in YAML, such as `{ match: { route: manifest }, times: 2, action: { status: 503 } }`.
        #[arg(value_name = "RULE", required_unless_present = "file")]
        rule: Option<String>,
        /// A fault script; `-` for standard input.
        #[arg(long, value_name = "FILE", conflicts_with = "rule")]
        file: Option<PathBuf>,
        /// Before all other rules instead of after them.
        #[arg(long)]
        first: bool,
    },
    /// Put a script in the place of all rules.
    Replace {
        /// A fault script; `-` for standard input.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Remove a rule by its id.
    Remove {
        /// As `list` shows it.
        #[arg(value_name = "ID")]
        id: u64,
    },
    /// Remove all rules.
    Clear,
    /// List every key of a rule with an example; needs no running registry.
    Keys,
}

#[derive(Debug, Args)]
pub(crate) struct Journal {
    #[command(flatten)]
    pub(crate) running: Running,
    /// Only requests for this host (`*` stands for anything, here and below).
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// Only requests of this client.
    #[arg(long)]
    pub(crate) client: Option<String>,
    /// Only requests with this method.
    #[arg(long)]
    pub(crate) method: Option<String>,
    /// Only requests for this path.
    #[arg(long)]
    pub(crate) path: Option<String>,
    /// Only requests with this answer: `404`, `4xx`, or `none` for no answer.
    #[arg(long)]
    pub(crate) status: Option<String>,
    /// Only requests with this kind of credential: `none`, `basic`, `bearer`, `other`.
    #[arg(long)]
    pub(crate) authorization: Option<String>,
    /// Only requests that this fault rule fired on.
    #[arg(long)]
    pub(crate) fault: Option<String>,
    /// Only entries from this number on.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) since: Option<u64>,
    /// At most so many entries.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) limit: Option<usize>,
    /// As JSON, one object a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Forget all entries instead of showing them.
    #[arg(long)]
    pub(crate) clear: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Ca {
    #[command(flatten)]
    pub(crate) running: Running,
    /// Instead, a certificate of that CA for a client of this name, and its private key: for hosts
    /// that want one (`tls: client-certificate`).
    #[arg(long, value_name = "NAME")]
    pub(crate) client: Option<String>,
    /// Write it to a file instead.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Seed {
    #[command(flatten)]
    pub(crate) running: Running,
    /// The registry that the images go to; not needed where there is only one.
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// Images, such as `team/web:v1 linux/amd64,linux/arm64 2x1MiB`.
    #[arg(value_name = "LINE", required = true)]
    pub(crate) images: Vec<String>,
}
