//! The figures, as a page and as JSON: medians, spreads, ratios.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Client, One};

/// A warm probe is to reach this part of the bare client.
const WARM_GOAL: f64 = 0.85;

/// What was measured.
#[derive(Debug, Default)]
pub struct Table {
    rates: BTreeMap<(usize, Client), Vec<f64>>,
    programs: Vec<(&'static str, Result<Vec<One>, String>)>,
}

impl Table {
    pub(super) fn measured(&mut self, client: Client, in_flight: usize, rate: f64) {
        self.rates
            .entry((in_flight, client))
            .or_default()
            .push(rate);
    }

    pub(super) fn program(&mut self, title: &'static str, runs: Result<Vec<One>, String>) {
        self.programs.push((title, runs));
    }

    fn rate(&self, in_flight: usize, client: Client) -> Option<f64> {
        self.rates
            .get(&(in_flight, client))
            .and_then(|all| median(all))
    }

    /// The table for reading.
    pub fn text(&self) -> String {
        let mut page = String::new();
        let mut group = None;
        for ((in_flight, client), all) in &self.rates {
            if group != Some(*in_flight) {
                group = Some(*in_flight);
                let title = format!("{in_flight} in flight");
                let _ = writeln!(
                    page,
                    "{title:<30}{:>12}{:>10}{:>10}",
                    "probes/s", "spread", "of bare"
                );
            }
            let rate = median(all).unwrap_or_default();
            let limit = self.rate(*in_flight, client.limit()).unwrap_or(rate);
            let _ = writeln!(
                page,
                "{:<30}{rate:>12.0}{:>9.0}%{:>10.2}",
                client.name(),
                spread(all) * 100.0,
                rate / limit
            );
        }
        let _ = writeln!(
            page,
            "\n{:<30}{:>12}{:>12}{:>12}",
            "whole programs", "wall", "cpu", "memory"
        );
        for (title, runs) in &self.programs {
            match runs {
                Ok(runs) => {
                    let (wall, cpu, peak) = medians(runs);
                    let _ = writeln!(
                        page,
                        "{title:<30}{:>9.1} ms{:>9.1} ms{:>8.1} MiB",
                        wall.as_secs_f64() * 1e3,
                        cpu.as_secs_f64() * 1e3,
                        peak as f64 / f64::from(1 << 20)
                    );
                }
                Err(why) => {
                    let _ = writeln!(page, "{title:<30}skipped: {why}");
                }
            }
        }
        let _ = writeln!(page, "\ngoal");
        for in_flight in self.in_flight() {
            let ratio = self
                .rate(in_flight, Client::Warm)
                .zip(self.rate(in_flight, Client::Bare))
                .map_or(0.0, |(ours, bare)| ours / bare);
            let word = if ratio >= WARM_GOAL {
                "reached"
            } else {
                "not reached"
            };
            let _ = writeln!(
                page,
                "{word}: warm, {in_flight} in flight, of the bare client {ratio:.2}, wanted {WARM_GOAL}"
            );
        }
        page
    }

    fn in_flight(&self) -> Vec<usize> {
        let mut all: Vec<usize> = self.rates.keys().map(|(in_flight, _)| *in_flight).collect();
        all.dedup();
        all
    }

    /// The table for programs, with every round.
    pub fn json(&self) -> Value {
        let rates: Vec<Value> = self
            .rates
            .iter()
            .map(|((in_flight, client), all)| {
                json!({ "client": client.name(), "in_flight": in_flight, "per_second": all })
            })
            .collect();
        let programs: Vec<Value> = self
            .programs
            .iter()
            .map(|(title, runs)| match runs {
                Ok(runs) => {
                    let (wall, cpu, peak) = medians(runs);
                    json!({ "program": title, "wall_us": wall.as_micros() as u64, "cpu_us": cpu.as_micros() as u64, "peak_bytes": peak })
                }
                Err(why) => json!({ "program": title, "skipped": why }),
            })
            .collect();
        json!({ "schema": "pullcheck.bench-probe/1", "probes": rates, "programs": programs })
    }
}

fn median(all: &[f64]) -> Option<f64> {
    let mut sorted = all.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// Largest less smallest, as a part of the median.
fn spread(all: &[f64]) -> f64 {
    let (low, high) = all.iter().fold((f64::MAX, 0.0_f64), |(low, high), one| {
        (low.min(*one), high.max(*one))
    });
    median(all).map_or(0.0, |middle| (high - low) / middle)
}

fn medians(runs: &[One]) -> (Duration, Duration, u64) {
    let middle = |mut all: Vec<u128>| {
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or_default()
    };
    let time = |read: fn(&One) -> Duration| {
        let micros = middle(runs.iter().map(|run| read(run).as_micros()).collect());
        Duration::from_micros(micros as u64)
    };
    let peak = middle(runs.iter().map(|run| u128::from(run.peak)).collect());
    (time(|run| run.wall), time(|run| run.cpu), peak as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_the_bare_client_of_the_same_kind() {
        let mut table = Table::default();
        for (client, rate) in [
            (Client::Bare, 100.0),
            (Client::Warm, 90.0),
            (Client::BareCold, 10.0),
            (Client::Cold, 5.0),
        ] {
            table.measured(client, 16, rate);
        }
        table.program("crane digest", Err("not installed".into()));
        let page = table.text();
        assert!(page.contains("0.90") && page.contains("0.50"), "{page}");
        assert!(page.contains("reached: warm, 16 in flight, of the bare client 0.90"));
        assert!(page.contains("skipped: not installed"));
    }
}
