//! `pullcheck bench`: load on a registry of one's own.

use std::time::Duration;

use clap::Args;

use super::args::{ImageTarget, Output};
use super::error::CliError;
use super::nodes::Begun;
use super::{emit, exit, pretty, request};
use crate::bench::{self, Kind, Load, MAX_CONNECTIONS, Outcome};
use crate::check::{Request, Settings, keyring_and_options};
use crate::nodes::{Fleet as _, ImageOrder, LoadError, LoadOrder, NodeLoad, Order};
use crate::probe::Habits;
use crate::reference::Reference;

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
    let begun = Begun::default();
    let measured = runtime.block_on(async {
        let measured = tokio::select! {
            biased;
            () = super::interrupted() => Err(CliError::Interrupted),
            measured = measure(target, load, &begun) => measured,
        };
        begun.take_back().await;
        measured
    });
    runtime.shutdown_background();
    let (text, json, clean) = match measured? {
        Measured::Here(outcome) => (
            outcome.text(),
            outcome.json(),
            outcome.failures().is_empty(),
        ),
        Measured::OnNodes(all) => (all.text(), all.json(), all.is_clean()),
    };
    emit(&match output {
        Output::Json => pretty(&json),
        Output::Text | Output::Junit | Output::Html | Output::Github => text,
    })?;
    // Some probes failed: the figures are not those of the registry at its best.
    Ok(if clean {
        exit::PULLABLE
    } else {
        exit::UNDETERMINED
    })
}

enum Measured {
    Here(Outcome),
    OnNodes(NodeLoad),
}

async fn measure(target: &BenchTarget, load: Load, begun: &Begun) -> Result<Measured, CliError> {
    let (world, request, settings) = request::image(&target.image).await?;
    let Request::Image(reference) = request else {
        return Err(CliError::Interrupted);
    };
    let world = target.image.nodes.lead(world, begun);
    let Some(fleet) = begun.fleet() else {
        let (keyring, options) = keyring_and_options(&world, &settings, &reference).await;
        let clock = world.clock.as_ref();
        let outcome = bench::run(
            &world.workstation,
            clock,
            &reference,
            &keyring,
            &options,
            load,
        );
        return outcome
            .await
            .map(Measured::Here)
            .map_err(|source| CliError::Bench {
                source: Box::new(source),
            });
    };
    let order = load_order(&settings, reference, &load);
    let seen = fleet.look(&order, &[]).await;
    NodeLoad::add_up(&load, &seen)
        .map(Measured::OnNodes)
        .map_err(|source| CliError::NodeBench {
            help: match &source {
                LoadError::Fleet(error) => error.ask(),
                LoadError::Nothing { .. } => None,
            },
            source,
        })
}

/// The whole load in an order: whoever brings it to nodes divides it by their number.
fn load_order(settings: &Settings, reference: Reference, load: &Load) -> Order {
    Order {
        images: vec![ImageOrder::new(reference)],
        plain_http: settings.plain_http,
        habits: (settings.habits != Habits::default()).then_some(settings.habits),
        user_agent: settings.user_agent.clone(),
        load: Some(LoadOrder::part(load, 1)),
        ..Order::default()
    }
}
