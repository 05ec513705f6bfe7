//! Probes beside other people's clients, against one server in one run.
//!
//! Each asks for the same manifest by HEAD: pullcheck's warm and cold probes, oci-client in this process, and a bare
//! hyper client that does nothing but send and read, which is the limit. They have their turns round by round, so
//! that what else the machine does falls on all alike; medians are compared. Whole programs (`pullcheck image`,
//! `crane digest`, `skopeo inspect`) are started one after the other and measured as the system sees them.

mod client;
mod program;
mod table;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pullcheck::bench::{self, Kind, Load};
use pullcheck::keyring::Keyring;
use pullcheck::probe::Options as ProbeOptions;
use pullcheck::reference::Reference;
use pullcheck::world::real::{SystemClock, SystemNet};
use pullcheck::world::{Place, Trust, Vantage};

use crate::registry::content;
use crate::registry::fleet::Fleet;
use crate::registry::{BenchError, Peer, Programs};

pub use program::{One, run_one};
pub use table::Table;

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Options {
    /// Probes in flight, one table row group each.
    pub in_flight: Vec<usize>,
    /// How often each has its turn.
    pub rounds: usize,
    /// How long one measurement goes on.
    pub time: Duration,
    /// How often each program is started.
    pub starts: usize,
    /// The server's program.
    pub fake_registry: PathBuf,
    /// `pullcheck`, release build.
    pub pullcheck: PathBuf,
}

/// A client that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Client {
    Bare,
    Warm,
    Oci,
    BareCold,
    Cold,
}

impl Client {
    const ALL: [Self; 5] = [
        Self::Bare,
        Self::Warm,
        Self::Oci,
        Self::BareCold,
        Self::Cold,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare hyper, kept connection",
            Self::Warm => "pullcheck, warm",
            Self::Oci => "oci-client",
            Self::BareCold => "bare hyper, new connection",
            Self::Cold => "pullcheck, cold",
        }
    }

    /// What it is held against.
    pub(crate) const fn limit(self) -> Self {
        match self {
            Self::Bare | Self::Warm | Self::Oci => Self::Bare,
            Self::BareCold | Self::Cold => Self::BareCold,
        }
    }
}

/// Runs the comparison; `say` is told what is being done.
pub async fn run(options: &Options, mut say: impl FnMut(&str)) -> Result<Table, BenchError> {
    let mut fleet = Fleet::default();
    let outcome = measured(&mut fleet, options, &mut say).await;
    fleet.stop().await;
    outcome
}

async fn measured(
    fleet: &mut Fleet,
    options: &Options,
    say: &mut impl FnMut(&str),
) -> Result<Table, BenchError> {
    let peer = Peer::FakeRegistry;
    let programs = Programs {
        fake_registry: options.fake_registry.clone(),
        bare_server: PathBuf::new(),
    };
    let image = content::read_image();
    say("starting and loading the server");
    fleet.start(peer, &programs, &image).await?;
    fleet.load(peer, &image).await?;
    let address = fleet.member(peer)?.process.address;
    let mut table = Table::default();
    for round in 0..options.rounds.max(1) {
        for in_flight in &options.in_flight {
            let mut turns = Client::ALL;
            let first = round % turns.len();
            turns.rotate_left(first);
            for client in turns {
                say(&format!(
                    "round {}: {}, {in_flight} in flight",
                    round + 1,
                    client.name()
                ));
                let rate = rate(client, address, *in_flight, options.time).await?;
                table.measured(client, *in_flight, rate);
            }
        }
    }
    let name = reference(address);
    for (title, program, arguments) in programs_of(options, &name) {
        say(&format!("starting {title}"));
        table.program(
            title,
            program::measure(&program, &arguments, options.starts),
        );
    }
    Ok(table)
}

fn reference(address: SocketAddr) -> String {
    format!("{address}/{}:{}", content::REPOSITORY, content::TAG)
}

/// What is started as a whole: the same question to the same server.
fn programs_of(options: &Options, name: &str) -> Vec<(&'static str, PathBuf, Vec<String>)> {
    let texts = |list: &[&str]| list.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
    vec![
        (
            "pullcheck image",
            options.pullcheck.clone(),
            texts(&["image", name, "--plain-http", "--anonymous", "--quiet"]),
        ),
        ("crane digest", "crane".into(), texts(&["digest", name])),
        (
            "skopeo inspect",
            "skopeo".into(),
            texts(&[
                "inspect",
                "--raw",
                "--tls-verify=false",
                &format!("docker://{name}"),
            ]),
        ),
    ]
}

/// Probes a second.
async fn rate(
    client: Client,
    address: SocketAddr,
    in_flight: usize,
    time: Duration,
) -> Result<f64, BenchError> {
    match client {
        Client::Bare => client::bare(address, in_flight, time, true).await,
        Client::BareCold => client::bare(address, in_flight, time, false).await,
        Client::Oci => client::oci(&reference(address), in_flight, time).await,
        Client::Warm => ours(Kind::Warm, address, in_flight, time).await,
        Client::Cold => ours(Kind::Cold, address, in_flight, time).await,
    }
    .map_err(|text| BenchError::Asked {
        client: client.name(),
        text,
    })
}

async fn ours(
    kind: Kind,
    address: SocketAddr,
    in_flight: usize,
    time: Duration,
) -> Result<f64, String> {
    let trust = Trust::Roots(Vec::new());
    let place = Place::new(Vantage::Workstation, Arc::new(SystemNet::new(None)), trust);
    let image: Reference = reference(address).parse().map_err(|_| "no reference")?;
    let mut options = ProbeOptions::default();
    options.plain_http.insert(image.endpoint());
    let load = Load {
        kind,
        connections: in_flight,
        time,
        rate: None,
        public: false,
    };
    let keyring = Keyring::new();
    let outcome = bench::run(&place, &SystemClock, &image, &keyring, &options, load);
    let outcome = outcome.await.map_err(|error| error.to_string())?;
    match outcome.failures().iter().next() {
        None => Ok(outcome.per_second()),
        Some((what, count)) => Err(format!("{count} probes failed: {what}")),
    }
}
