//! What was measured, and its medians and ratios.
//!
//! Computes; `text` and `json` only write down. The best peer is the best of those that are
//! neither ours nor the bare server, in work per CPU-second.

mod json;
mod machine;
mod text;

use std::collections::BTreeMap;
use std::time::Duration;

use machine::Machine;

use super::Options;
use super::fleet::Start;
use super::peer::Peer;
use super::work::{Case, Done};

/// Everything that one comparison saw.
#[derive(Debug)]
pub struct Table {
    machine: Machine,
    rounds: usize,
    connections: usize,
    time: Duration,
    peers: Vec<Seen>,
    cases: Vec<Case>,
    done: BTreeMap<(Case, Peer), Vec<Done>>,
}

/// A peer as it was found.
#[derive(Debug)]
struct Seen {
    peer: Peer,
    /// `None`: not installed.
    version: Option<String>,
    starts: Vec<Start>,
    /// Bytes, after all work.
    resident_at_end: Option<u64>,
    /// Bytes, with 1 GiB stored and nothing of it read.
    resident_with_stored: Option<u64>,
}

/// Medians of a peer in a case, and their relation to others.
#[derive(Debug, Clone, Copy)]
struct Line {
    peer: Peer,
    per_second: f64,
    /// `None`: too little CPU time to be told from none.
    per_cpu_second: Option<f64>,
    /// Largest less smallest, as a part of the median.
    spread: f64,
    of_best: Option<f64>,
    of_best_without_sendfile: Option<f64>,
    of_bare: Option<f64>,
}

/// A goal and how near it is.
#[derive(Debug)]
struct Goal {
    what: String,
    wanted: f64,
    reached: f64,
}

/// The part of the best peer, and of the bare server, that manifests are to reach; one is enough.
const MANIFESTS_OF_BEST: f64 = 1.5;
const MANIFESTS_OF_BARE: f64 = 0.85;
/// The part of the best peer without sendfile that blobs are to reach.
const BLOBS_OF_BEST: f64 = 1.0;

impl Table {
    pub(super) fn new(options: &Options) -> Self {
        let seen = |peer: &Peer| Seen {
            peer: *peer,
            version: peer
                .find(&options.programs)
                .map(|program| peer.version(&program)),
            starts: Vec::new(),
            resident_at_end: None,
            resident_with_stored: None,
        };
        Self {
            machine: Machine::here(),
            rounds: options.rounds,
            connections: options.connections,
            time: options.time,
            peers: options.peers.iter().map(seen).collect(),
            cases: options.cases.clone(),
            done: BTreeMap::new(),
        }
    }

    /// The peers that are installed.
    pub(super) fn present(&self) -> Vec<Peer> {
        let installed = self.peers.iter().filter(|seen| seen.version.is_some());
        installed.map(|seen| seen.peer).collect()
    }

    pub(super) fn started(&mut self, peer: Peer, start: Start) {
        if let Some(seen) = self.peers.iter_mut().find(|seen| seen.peer == peer) {
            seen.starts.push(start);
        }
    }

    pub(super) fn measured(&mut self, peer: Peer, case: Case, done: Done) {
        self.done.entry((case, peer)).or_default().push(done);
    }

    pub(super) fn stored(&mut self, peer: Peer, resident: u64) {
        if let Some(seen) = self.peers.iter_mut().find(|seen| seen.peer == peer) {
            seen.resident_with_stored = Some(resident);
        }
    }

    pub(super) fn ended(&mut self, peer: Peer, resident: u64) {
        if let Some(seen) = self.peers.iter_mut().find(|seen| seen.peer == peer) {
            seen.resident_at_end = Some(resident);
        }
    }

    fn lines(&self, case: Case) -> Vec<Line> {
        let figures: Vec<(Peer, f64, Option<f64>, f64)> = self
            .peers
            .iter()
            .filter_map(|seen| {
                let done = self.done.get(&(case, seen.peer))?;
                let per_second = median(done.iter().map(|done| rate(done.count, done.wall)))?;
                let per_cpu: Vec<f64> = done
                    .iter()
                    .filter(|done| !done.cpu.is_zero())
                    .map(|done| rate(done.count, done.cpu))
                    .collect();
                let middle = median(per_cpu.iter().copied());
                let most = per_cpu.iter().copied().fold(0.0, f64::max);
                let least = per_cpu.iter().copied().fold(f64::INFINITY, f64::min);
                let spread = middle.map_or(0.0, |middle| (most - least) / middle);
                Some((seen.peer, per_second, middle, spread))
            })
            .collect();
        let best = |counts: fn(Peer) -> bool| {
            let values = figures.iter().filter(|(peer, ..)| counts(*peer));
            values
                .filter_map(|(_, _, per_cpu, _)| *per_cpu)
                .reduce(f64::max)
        };
        let all = best(|peer| !peer.is_ours() && peer != Peer::Bare);
        let copying = best(|peer| !peer.is_ours() && peer != Peer::Bare && !peer.sendfile());
        let bare = best(|peer| peer == Peer::Bare);
        let line = |&(peer, per_second, per_cpu_second, spread): &(Peer, f64, Option<f64>, f64)| {
            let of = |whole: Option<f64>| Some(per_cpu_second? / whole?);
            Line {
                peer,
                per_second,
                per_cpu_second,
                spread,
                of_best: of(all),
                of_best_without_sendfile: of(copying),
                of_bare: of(bare),
            }
        };
        figures.iter().map(line).collect()
    }

    /// The goals whose peers were all there.
    fn goals(&self) -> Vec<Goal> {
        let mut goals = Vec::new();
        for case in &self.cases {
            let lines = self.lines(*case);
            let own = lines.iter().find(|line| line.peer == Peer::FakeRegistry);
            let Some(own) = own else { continue };
            if case.is_blob() {
                if let Some(reached) = own.of_best_without_sendfile {
                    goals.push(Goal {
                        what: format!("{}, of the best peer without sendfile", case.title()),
                        wanted: BLOBS_OF_BEST,
                        reached,
                    });
                }
            } else if matches!(case, Case::ManifestGet | Case::ManifestHead)
                && let (Some(of_best), Some(of_bare)) = (own.of_best, own.of_bare)
            {
                // Whichever asks for less work a CPU-second.
                let by_bare = of_best / MANIFESTS_OF_BEST < of_bare / MANIFESTS_OF_BARE;
                let (name, wanted, reached) = if by_bare {
                    ("the bare server", MANIFESTS_OF_BARE, of_bare)
                } else {
                    ("the best peer", MANIFESTS_OF_BEST, of_best)
                };
                goals.push(Goal {
                    what: format!("{}, of {name}", case.title()),
                    wanted,
                    reached,
                });
            }
        }
        goals
    }
}

impl Seen {
    fn cold(&self) -> Option<f64> {
        median(self.starts.iter().map(|start| start.cold.as_secs_f64()))
    }

    fn resident(&self) -> Option<f64> {
        median(self.starts.iter().map(|start| start.resident as f64))
    }
}

fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get(values.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(super) fn sample() -> Table {
        let done = |count, cpu| Done {
            count,
            wall: Duration::from_secs(2),
            cpu: Duration::from_millis(cpu),
        };
        let seen = |peer, version: Option<&str>| Seen {
            peer,
            version: version.map(str::to_owned),
            starts: vec![Start {
                cold: Duration::from_millis(12),
                resident: 5 << 20,
            }],
            resident_at_end: Some(80 << 20),
            resident_with_stored: (peer == Peer::FakeRegistryDirectory).then_some(6 << 20),
        };
        let mut table = Table {
            machine: Machine::sample(),
            rounds: 3,
            connections: 16,
            time: Duration::from_secs(2),
            peers: vec![
                seen(Peer::FakeRegistry, Some("0.1.0")),
                seen(Peer::FakeRegistryDirectory, Some("0.1.0")),
                seen(Peer::DockerRegistry, Some("2.8.2")),
                seen(Peer::NginxCached, Some("1.22.1")),
                seen(Peer::Bare, Some("0.1.0")),
                seen(Peer::Crane, None),
            ],
            cases: vec![Case::ManifestGet, Case::Blob1],
            done: BTreeMap::new(),
        };
        for cpu in [900, 1000, 5000] {
            table.measured(Peer::FakeRegistry, Case::ManifestGet, done(88_000, cpu));
            table.measured(Peer::DockerRegistry, Case::ManifestGet, done(2_000, cpu));
            table.measured(Peer::NginxCached, Case::ManifestGet, done(80_000, cpu));
            table.measured(Peer::Bare, Case::ManifestGet, done(100_000, cpu));
            table.measured(Peer::FakeRegistry, Case::Blob1, done(2_000, cpu));
            table.measured(Peer::DockerRegistry, Case::Blob1, done(500, cpu));
            table.measured(Peer::NginxCached, Case::Blob1, done(8_000, cpu));
        }
        table
    }

    #[test]
    fn the_middle_of_some_values() {
        let table: [(&[f64], Option<f64>); 4] = [
            (&[], None),
            (&[3.0], Some(3.0)),
            (&[9.0, 1.0], Some(5.0)),
            (&[9.0, 1.0, 2.0], Some(2.0)),
        ];
        for (values, want) in table {
            assert_eq!(median(values.iter().copied()), want, "for {values:?}");
        }
    }

    #[test]
    fn goals_are_taken_from_the_easier_measure() {
        let goals = sample().goals();
        let texts: Vec<(&str, f64)> = goals
            .iter()
            .map(|goal| (goal.what.as_str(), goal.reached))
            .collect();
        let want = [
            ("manifest GET, of the bare server", 0.88),
            ("1 MiB blob GET, of the best peer without sendfile", 4.0),
        ];
        assert_eq!(texts, want);
    }
}
