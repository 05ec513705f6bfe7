//! `pull-storm`: what a rollout does to a registry, from the command line.
//!
//! Exit codes: 0 all nodes run in the end, 1 some do not, 2 usage or something could not be written.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr as _;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Parser, ValueEnum};
use jiff::SignedDuration;
use pull_storm::{Auth, Plan, SKUS, Storm, compare, report, run};

const FAILED: u8 = 2;

/// What a rollout to many nodes does to a registry, and how long until all of them run
#[derive(Debug, Parser)]
#[command(name = "cargo xtask storm", bin_name = "cargo xtask storm", version, after_help = EXAMPLES)]
struct Arguments {
    /// Nodes, each of which needs all images
    #[arg(long, default_value_t = 1000)]
    nodes: u32,
    /// Images of each node, one pod each
    #[arg(long, default_value_t = 1)]
    images: u32,
    /// Layers of each image
    #[arg(long, default_value_t = 10)]
    layers: u32,
    /// Compressed size of each layer
    #[arg(long, default_value = "10MiB", value_parser = size)]
    layer_size: u64,
    /// The published limits of a registry of Azure of this tier
    #[arg(long, value_enum)]
    sku: Option<Tier>,
    /// Reads a minute that the registry answers; 429 beyond
    #[arg(long, value_name = "READS")]
    registry_limit: Option<u64>,
    /// Reads a minute that other clients of the same limit take
    #[arg(long, default_value_t = 0, value_name = "READS")]
    others: u64,
    /// What the registry can send: 10Gbit/s, 1GiB/s
    #[arg(long, value_parser = bandwidth)]
    registry_bandwidth: Option<u64>,
    /// What a node can take in
    #[arg(long, value_parser = bandwidth)]
    node_bandwidth: Option<u64>,
    /// One way between node and registry
    #[arg(long, default_value = "1ms", value_parser = time)]
    latency: Duration,
    /// Nodes pull in parallel (serializeImagePulls: false, as on AKS)
    #[arg(long)]
    parallel: bool,
    /// The kubelet's registryPullQPS; 0 is no limit
    #[arg(long, default_value_t = 5.0)]
    qps: f64,
    /// The kubelet's registryBurst
    #[arg(long, default_value_t = 10)]
    burst: u32,
    /// The pods start spread by chance over this time
    #[arg(long, default_value = "0s", value_parser = time)]
    spread: Duration,
    /// Pull-through mirrors in front of the registry
    #[arg(long, default_value_t = 0)]
    mirrors: u32,
    /// What each mirror can send
    #[arg(long, value_parser = bandwidth)]
    mirror_bandwidth: Option<u64>,
    /// How the nodes sign in [default: tokens; with --sku the credential provider]
    #[arg(long, value_enum)]
    auth: Option<SignIn>,
    /// When to stop looking
    #[arg(long, default_value = "24h", value_parser = time)]
    horizon: Duration,
    /// What chance there is comes from here
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Plays what one change would do as well: parallel pulls, a spread, mirrors, a larger tier
    #[arg(long)]
    compare: bool,
    /// What to write
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Where to, instead of standard output
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask storm --nodes 10000 --sku premium --registry-bandwidth 10Gbit/s
  cargo xtask storm --nodes 2000 --images 3 --registry-limit 5000 --compare
  cargo xtask storm --nodes 500 --sku basic --output html --to storm.html";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Tier {
    Basic,
    Standard,
    Premium,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SignIn {
    Open,
    Token,
    Acr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
    Svg,
    Html,
}

fn size(text: &str) -> Result<u64, String> {
    ByteSize::from_str(text).map(|size| size.as_u64())
}

fn bandwidth(text: &str) -> Result<u64, String> {
    let rate = text.strip_suffix("/s").unwrap_or(text);
    match rate.strip_suffix("bit") {
        Some(bits) => size(&format!("{bits}B")).map(|bits| bits / 8),
        None => size(rate),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let time = SignedDuration::from_str(text).map_err(|error| error.to_string())?;
    Duration::try_from(time).map_err(|_| "a time cannot be negative".to_owned())
}

impl Arguments {
    fn plan(&self) -> Plan {
        let mut plan = Plan::new(self.nodes);
        if let Some(tier) = self.sku {
            let [(_, basic), (_, standard), (_, premium)] = SKUS;
            plan = plan.sku(match tier {
                Tier::Basic => basic,
                Tier::Standard => standard,
                Tier::Premium => premium,
            });
        }
        plan.images = self.images;
        plan.layers = self.layers;
        plan.layer_bytes = self.layer_size;
        if self.registry_limit.is_some() {
            plan.registry.reads_a_minute = self.registry_limit;
        }
        plan.registry.others = self.others;
        plan.registry.bandwidth = self.registry_bandwidth;
        plan.node_bandwidth = self.node_bandwidth;
        plan.latency = self.latency;
        plan.serial = !self.parallel;
        plan.qps = self.qps;
        plan.burst = self.burst;
        plan.spread = self.spread;
        plan.mirrors = self.mirrors;
        plan.mirror_bandwidth = self.mirror_bandwidth;
        match self.auth {
            Some(SignIn::Open) => plan.auth = Auth::Open,
            Some(SignIn::Token) => plan.auth = Auth::Token,
            Some(SignIn::Acr) => plan.auth = Auth::Acr,
            None => {}
        }
        plan.horizon = self.horizon;
        plan.seed = self.seed;
        plan
    }

    fn render(&self, plan: &Plan, storms: &[(String, Storm)]) -> Result<String, String> {
        let Some((_, storm)) = storms.first() else {
            return Ok(String::new());
        };
        match self.output {
            Output::Text if storms.len() > 1 => {
                let text = report::text(plan, storm);
                Ok(format!("{text}\n{}", report::comparison(storms)))
            }
            Output::Text => Ok(report::text(plan, storm)),
            Output::Json => serde_json::to_string_pretty(&report::json(plan, storms))
                .map(|text| text + "\n")
                .map_err(|error| error.to_string()),
            Output::Svg => report::svg(storm).map_err(|error| error.to_string()),
            Output::Html => report::html(plan, storms).map_err(|error| error.to_string()),
        }
    }
}

fn main() -> ExitCode {
    match play(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("storm: {error}");
            ExitCode::from(FAILED)
        }
    }
}

/// Whether all nodes run in the end.
fn play(arguments: &Arguments) -> Result<bool, String> {
    use std::io::Write as _;

    let plan = arguments.plan();
    let storms = if arguments.compare {
        compare(&plan)
    } else {
        run(&plan).map(|storm| vec![("as planned".to_owned(), storm)])
    };
    let storms = storms.map_err(|error| error.to_string())?;
    let text = arguments.render(&plan, &storms)?;
    match &arguments.to {
        Some(path) => {
            fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        // A reader that has seen enough is no fault.
        None => match std::io::stdout().write_all(text.as_bytes()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                return Err(error.to_string());
            }
            _ => {}
        },
    }
    Ok(storms
        .first()
        .is_some_and(|(_, storm)| storm.running() == storm.nodes))
}
