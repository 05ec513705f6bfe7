//! What was measured, as a page and as JSON (`pullcheck.bench/1`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::usage::Usage;
use super::work::Tally;
use super::{Kind, Load};

/// Parts of a hundred that are shown.
const SHOWN: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 100.0];

/// What was measured.
#[derive(Clone, Debug)]
pub struct Outcome {
    load: Load,
    connections: usize,
    took: Duration,
    latency: Histogram<u64>,
    failures: BTreeMap<String, u64>,
    cpu: Option<Duration>,
    peak: Option<u64>,
    grew: Option<u64>,
}

impl Outcome {
    pub(super) fn new(
        load: Load,
        connections: usize,
        took: Duration,
        tally: Tally,
        before: &Usage,
    ) -> Self {
        let after = Usage::now();
        let less = |a: Option<u64>, b: Option<u64>| Some(a?.saturating_sub(b?));
        Self {
            load,
            connections,
            took,
            latency: tally.latency,
            failures: tally.failures,
            cpu: after.cpu.zip(before.cpu).map(|(a, b)| a.saturating_sub(b)),
            peak: after.peak,
            grew: less(after.peak, before.resident),
        }
    }

    /// The same from counts that were kept elsewhere: latencies in microseconds, each with how often it was met.
    pub(crate) fn of_counts(
        load: Load,
        connections: usize,
        took: Duration,
        counts: &[(u64, u64)],
        failures: BTreeMap<String, u64>,
    ) -> Self {
        let mut tally = Tally::new();
        for (latency, count) in counts {
            tally.met(*latency, *count);
        }
        Self {
            load,
            connections,
            took,
            latency: tally.latency,
            failures,
            cpu: None,
            peak: None,
            grew: None,
        }
    }

    /// Every latency that was met, in microseconds, with how often.
    pub(crate) fn counts(&self) -> Vec<(u64, u64)> {
        let met = self.latency.iter_recorded();
        met.map(|one| (one.value_iterated_to(), one.count_at_value()))
            .collect()
    }

    /// How long was asked.
    pub const fn took(&self) -> Duration {
        self.took
    }

    /// Probes that found the manifest.
    pub fn probes(&self) -> u64 {
        self.latency.len()
    }

    /// Those a second.
    pub fn per_second(&self) -> f64 {
        self.probes() as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Probes that did not, by what was wrong.
    pub const fn failures(&self) -> &BTreeMap<String, u64> {
        &self.failures
    }

    /// Time on this process's processors for one probe.
    pub fn cpu_per_probe(&self) -> Option<Duration> {
        let probes = u32::try_from(self.probes())
            .ok()
            .filter(|probes| *probes > 0)?;
        Some(self.cpu? / probes)
    }

    /// The latency that so many of a hundred probes do not exceed.
    pub fn latency(&self, percentile: f64) -> Duration {
        Duration::from_micros(self.latency.value_at_percentile(percentile))
    }

    /// The result for reading.
    pub fn text(&self) -> String {
        let mut page = String::new();
        let _ = writeln!(
            page,
            "{:.0} probes/s   {} probes in {:.1} s, {} in flight, {}",
            self.per_second(),
            self.probes(),
            self.took.as_secs_f64(),
            self.connections,
            self.kind()
        );
        let shown: Vec<String> = SHOWN
            .iter()
            .map(|part| {
                let name = if *part < 100.0 {
                    format!("p{part}")
                } else {
                    "max".to_owned()
                };
                format!("{name} {}", milliseconds(self.latency(*part)))
            })
            .collect();
        let _ = writeln!(page, "latency   {}", shown.join("   "));
        let _ = writeln!(page, "          {}", self.basis());
        if let Some(cpu) = self.cpu_per_probe() {
            let _ = writeln!(page, "cpu       {:.1} us a probe", cpu.as_secs_f64() * 1e6);
        }
        if let Some(peak) = self.peak {
            let grew = self.grew.unwrap_or_default() / self.connections.max(1) as u64;
            let _ = writeln!(
                page,
                "memory    {:.1} MiB at most, {:.1} KiB for each probe in flight",
                peak as f64 / f64::from(1 << 20),
                grew as f64 / 1024.0
            );
        }
        for (what, count) in &self.failures {
            let _ = writeln!(page, "failed    {count}: {what}");
        }
        page
    }

    /// The result for programs.
    pub fn json(&self) -> Value {
        let micros: serde_json::Map<String, Value> = SHOWN
            .iter()
            .map(|part| {
                (
                    format!("p{part}"),
                    json!(self.latency(*part).as_micros() as u64),
                )
            })
            .collect();
        json!({
            "schema": "pullcheck.bench/1",
            "kind": self.kind(),
            "in_flight": self.connections,
            "seconds": self.took.as_secs_f64(),
            "probes": self.probes(),
            "probes_per_second": self.per_second(),
            "wanted_per_second": self.load.rate,
            "latency_us": micros,
            "latency_from": if self.load.rate.is_some() { "intended-start" } else { "start" },
            "cpu_us_per_probe": self.cpu_per_probe().map(|cpu| cpu.as_secs_f64() * 1e6),
            "peak_bytes": self.peak,
            "bytes_per_probe_in_flight": self.grew.map(|grew| grew / self.connections.max(1) as u64),
            "failures": self.failures,
        })
    }

    const fn kind(&self) -> &'static str {
        match self.load.kind {
            Kind::Warm => "warm",
            Kind::Cold => "cold",
            Kind::ColdWithToken => "cold with token",
        }
    }

    fn basis(&self) -> String {
        match self.load.rate {
            Some(rate) => format!(
                "from the intended starts of {rate:.0} a second: a stall counts for all that it held up"
            ),
            None => "closed loop: nothing is asked while an answer is waited for, so a stall counts once; --rate counts it in full".into(),
        }
    }
}

fn milliseconds(took: Duration) -> String {
    format!("{:.3} ms", took.as_secs_f64() * 1e3)
}
