//! fake-registry beside the registries and servers that people run.
//!
//! Starts every peer that is installed on loopback, loads the same bytes into each, and gives
//! them the same work in turns: one short measurement of each peer, then the next round, so that
//! what else the machine does falls on all of them alike. Medians over the rounds are compared.
//! The figure that counts is work per CPU-second of the server; on a machine of few cores the
//! client takes its share, and the plain rate says as much about it as about the server.

pub(crate) mod client;
pub(crate) mod content;
mod count;
pub(crate) mod fleet;
mod peer;
mod process;
mod table;
mod work;

use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use client::ClientError;
pub use count::{Counted, count, table as count_table};
pub use peer::{Peer, Programs};
pub use table::Table;
pub use work::Case;

use content::Image;
use fleet::Fleet;
use work::{Bounds, Done};

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Options {
    /// Peers, in the order of the table.
    pub peers: Vec<Peer>,
    /// Cases.
    pub cases: Vec<Case>,
    /// How often each peer has its turn.
    pub rounds: usize,
    /// Connections at a time.
    pub connections: usize,
    /// The most requests of one measurement.
    pub count: usize,
    /// The longest that one measurement takes on new requests.
    pub time: Duration,
    /// The workspace's own programs.
    pub programs: Programs,
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// Not installed, or gone.
    #[error("{} is not there", .0.name())]
    Missing(Peer),
    /// Nothing to count with.
    #[error("valgrind is not there: apt-get install valgrind")]
    NoValgrind,
    /// Cannot be started or watched.
    #[error("{} cannot be started or watched", peer.name())]
    Start {
        /// Which.
        peer: Peer,
        /// What the system said.
        source: io::Error,
    },
    /// Ended instead of serving.
    #[error("{} ended: {said}", peer.name())]
    Ended {
        /// Which.
        peer: Peer,
        /// The last line of its standard error.
        said: String,
    },
    /// Too slow to answer.
    #[error("{} did not answer in time", peer.name())]
    Silent {
        /// Which.
        peer: Peer,
    },
    /// The conversation failed.
    #[error("{}", peer.name())]
    Client {
        /// With which.
        peer: Peer,
        /// How.
        source: ClientError,
    },
    /// Another status than the work needs.
    #[error("{} answered `{request}` with {status}", peer.name())]
    Answer {
        /// Who.
        peer: Peer,
        /// To what.
        request: String,
        /// With what.
        status: u16,
    },
    /// A client under measurement failed.
    #[error("{client}: {text}")]
    Asked {
        /// Which.
        client: &'static str,
        /// How.
        text: String,
    },
    /// Other bytes than were loaded.
    #[error("{} answered `{request}` with other bytes", peer.name())]
    Content {
        /// Who.
        peer: Peer,
        /// To what.
        request: String,
    },
}

/// Measures; `say` is told what is being done. Call `stop` on the bench afterwards, whether this
/// ended, failed or was dropped half-way.
#[derive(Debug, Default)]
pub struct Bench {
    fleet: Fleet,
}

impl Bench {
    /// Runs the whole comparison.
    pub async fn run(
        &mut self,
        options: &Options,
        mut say: impl FnMut(&str),
    ) -> Result<Table, BenchError> {
        let image = content::read_image();
        let mut table = Table::new(options);
        let present = table.present();
        for round in 0..options.rounds.max(1) {
            for peer in turns(&present, round) {
                say(&format!("round {}: starting {}", round + 1, peer.name()));
                let start = self.fleet.start(peer, &options.programs, &image).await?;
                table.started(peer, start);
            }
        }
        for peer in &present {
            say(&format!("loading {}", peer.name()));
            self.fleet.load(*peer, &image).await?;
        }
        for round in 0..options.rounds {
            for case in &options.cases {
                let batches = match case {
                    Case::Push => batches(round),
                    _ => Vec::new(),
                };
                for peer in turns(&present, round) {
                    // Once is enough to fill a disk.
                    if !case.suits(peer) || (*case == Case::Stored && round > 0) {
                        continue;
                    }
                    say(&format!(
                        "round {}: {}, {}",
                        round + 1,
                        case.title(),
                        peer.name()
                    ));
                    let done = self.measure(peer, *case, &image, &batches, options).await?;
                    table.measured(peer, *case, done);
                    if *case == Case::Stored {
                        table.stored(peer, self.resident(peer)?);
                    }
                }
            }
        }
        for peer in &present {
            table.ended(*peer, self.resident(*peer)?);
        }
        Ok(table)
    }

    fn resident(&mut self, peer: Peer) -> Result<u64, BenchError> {
        let resident = self.fleet.member(peer)?.process.resident();
        resident.map_err(|source| BenchError::Start { peer, source })
    }

    async fn measure(
        &mut self,
        peer: Peer,
        case: Case,
        image: &Image,
        batches: &[Arc<[Image]>],
        options: &Options,
    ) -> Result<Done, BenchError> {
        let member = self.fleet.member(peer)?;
        let bounds = Bounds {
            connections: options.connections,
            count: options.count,
            time: options.time,
        };
        match case {
            Case::Push => work::push_all(member, batches, bounds).await,
            Case::Stored => work::fill(member).await,
            _ => work::read(member, case, image, bounds).await,
        }
    }

    /// Stops every server that was started and removes its files.
    pub async fn stop(&mut self) {
        self.fleet.stop().await;
    }
}

/// How many times 200 images a fast server may push before its time is over.
const BATCHES: usize = 20;

fn batches(round: usize) -> Vec<Arc<[Image]>> {
    (0..BATCHES)
        .map(|batch| content::pushed_images(round * BATCHES + batch).into())
        .collect()
}

/// The peers in an order that turns with the round, so that nobody always comes after the same.
fn turns(peers: &[Peer], round: usize) -> Vec<Peer> {
    let mut peers = peers.to_vec();
    let by = round.checked_rem(peers.len()).unwrap_or(0);
    peers.rotate_left(by);
    peers
}
