//! `pullcheck bench`: load on a registry of one's own.

use std::time::Duration;

use clap::Args;

use super::args::{ImageTarget, Output};
use super::error::CliError;
use super::{emit, exit, pretty, request};
use crate::bench::{self, Kind, Load, MAX_CONNECTIONS};
use crate::check::{Request, keyring_and_options};

#[derive(Debug, Args)]
pub(super) struct BenchTarget {
    #[command(flatten)]
    pub(super) image: ImageTarget,
    /// Probes in flight at a time.
    #[arg(long, short, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=MAX_CONNECTIONS as i64))]
    pub(super) connections: u16,
    /// For how long, in seconds.
    #[arg(long, short, value_name = "S", default_value_t = 5.0, value_parser = seconds)]
    pub(super) duration: f64,
    /// A new connection for each probe.
    #[arg(long)]
    pub(super) cold: bool,
    /// A new token for each probe as well.
    #[arg(long, requires = "cold")]
    pub(super) token: bool,
    /// Probes a second in all, so that latency counts from the intended starts; as fast as answers come without it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) rate: Option<u32>,
    /// Also load a registry at a public address: only one that is yours.
    #[arg(long)]
    pub(super) allow_public: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.1..=3600.0).contains(&value) => Ok(value),
        _ => Err("not a number of seconds between 0.1 and 3600".into()),
    }
}

pub(super) fn run(target: &BenchTarget, output: Output) -> Result<u8, CliError> {
    let (world, request, settings) = request::image(&target.image)?;
    let Request::Image(reference) = request else {
        return Err(CliError::Interrupted);
    };
    let load = Load {
        kind: match (target.cold, target.token) {
            (false, _) => Kind::Warm,
            (true, false) => Kind::Cold,
            (true, true) => Kind::ColdWithToken,
        },
        connections: target.connections.into(),
        time: Duration::from_secs_f64(target.duration),
        rate: target.rate.map(f64::from),
        public: target.allow_public,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|source| CliError::Runtime { source })?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => Err(CliError::Interrupted),
            outcome = async {
                let (keyring, options) = keyring_and_options(&world, &settings, &reference).await;
                let clock = world.clock.as_ref();
                bench::run(&world.workstation, clock, &reference, &keyring, &options, load)
                    .await
                    .map_err(|source| CliError::Bench { source: Box::new(source) })
            } => outcome,
        }
    })?;
    runtime.shutdown_background();
    emit(&match output {
        Output::Json => pretty(&outcome.json()),
        Output::Text | Output::Junit | Output::Html | Output::Github => outcome.text(),
    })?;
    // Some probes failed: the figures are not those of the registry at its best.
    Ok(if outcome.failures().is_empty() {
        exit::PULLABLE
    } else {
        exit::UNDETERMINED
    })
}
