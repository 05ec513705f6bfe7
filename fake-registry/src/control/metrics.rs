//! Counters of a run, and the text in which Prometheus reads them.

use std::fmt::Write;

use crate::protocol::Route;
use crate::registry::FakeRegistry;

const ROUTES: [Route; 14] = [
    Route::Ping,
    Route::Catalog,
    Route::Tags,
    Route::Manifest,
    Route::Blob,
    Route::UploadStart,
    Route::Upload,
    Route::Referrers,
    Route::Token,
    Route::Exchange,
    Route::Arm,
    Route::Entra,
    Route::Imds,
    Route::Other,
];
/// How a request ended: without an answer, or with a status of 2xx to 5xx, or with an odd one.
const ENDS: [&str; 6] = ["none", "2xx", "3xx", "4xx", "5xx", "other"];
/// Rules that get a line of their own.
const MAX_RULES: usize = 1000;

/// Requests by operation and outcome. The journal has them, whose lock every request takes anyway: counters
/// of their own that all threads share would cost each request more than they are worth.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    arrived: u64,
    ended: [[u64; 6]; 14],
    bytes: u64,
}

impl Counters {
    pub(crate) fn arrive(&mut self) {
        self.arrived += 1;
    }

    /// A request ended, with a status and so many bytes of a body, or without an answer.
    pub(crate) fn end(&mut self, route: Route, answer: Option<(u16, u64)>) {
        let (end, bytes) = match answer {
            None => (0, 0),
            Some((status, bytes)) => match status / 100 {
                class @ 2..=5 => (usize::from(class) - 1, bytes),
                _ => (5, bytes),
            },
        };
        let row = self.ended.get_mut(route as usize);
        if let Some(count) = row.and_then(|row| row.get_mut(end)) {
            *count += 1;
        }
        self.bytes += bytes;
    }
}

/// The page of metrics, Prometheus text format 0.0.4.
pub(super) fn page(registry: &FakeRegistry) -> String {
    let core = registry.core();
    let (counters, entries) = core.journal.counters();
    let mut text = String::new();
    let head = |text: &mut String, name: &str, kind: &str, help: &str| {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    };
    head(
        &mut text,
        "fake_registry_build_info",
        "gauge",
        "The version, as a label.",
    );
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(text, "fake_registry_build_info{{version=\"{version}\"}} 1");
    head(
        &mut text,
        "fake_registry_uptime_seconds",
        "gauge",
        "Time since the start.",
    );
    let uptime = core.clock.elapsed().as_secs_f64();
    let _ = writeln!(text, "fake_registry_uptime_seconds {uptime:.3}");
    head(
        &mut text,
        "fake_registry_requests_total",
        "counter",
        "Requests that ended, by operation and class of the status.",
    );
    let mut ended = 0;
    for (route, row) in ROUTES.iter().zip(counters.ended) {
        let name = serde_json::to_value(route).unwrap_or_default();
        for (end, count) in ENDS.iter().zip(row) {
            ended += count;
            if count > 0 {
                let _ = writeln!(
                    text,
                    "fake_registry_requests_total{{route={name},code=\"{end}\"}} {count}"
                );
            }
        }
    }
    head(
        &mut text,
        "fake_registry_requests_in_flight",
        "gauge",
        "Requests without an answer yet.",
    );
    let _ = writeln!(
        text,
        "fake_registry_requests_in_flight {}",
        counters.arrived.saturating_sub(ended)
    );
    head(
        &mut text,
        "fake_registry_response_bytes_total",
        "counter",
        "Bytes of bodies that answers announced.",
    );
    let _ = writeln!(
        text,
        "fake_registry_response_bytes_total {}",
        counters.bytes
    );
    head(
        &mut text,
        "fake_registry_journal_entries",
        "gauge",
        "Entries that the journal keeps.",
    );
    let _ = writeln!(text, "fake_registry_journal_entries {entries}");
    let rules = registry.faults().report();
    head(
        &mut text,
        "fake_registry_fault_rules",
        "gauge",
        "Rules of the fault script.",
    );
    let _ = writeln!(text, "fake_registry_fault_rules {}", rules.len());
    for (name, help) in [
        ("matched", "Requests that a rule was meant for."),
        ("fired", "Requests that a rule acted on."),
    ] {
        let name = format!("fake_registry_fault_{name}_total");
        head(&mut text, &name, "counter", help);
        for rule in rules.iter().take(MAX_RULES) {
            let count = if name.contains("fired") {
                rule.fired
            } else {
                rule.matched
            };
            let id = rule.id.number();
            let label = escape(rule.rule.name.as_deref().unwrap_or_default());
            let _ = writeln!(text, "{name}{{rule=\"{id}\",name=\"{label}\"}} {count}");
        }
    }
    if let Some(bytes) = resident() {
        head(
            &mut text,
            "process_resident_memory_bytes",
            "gauge",
            "Resident memory.",
        );
        let _ = writeln!(text, "process_resident_memory_bytes {bytes}");
    }
    text
}

/// A label value; backslash, quote and line break are escaped, the rest stays.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// What the kernel says, where it is Linux.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_has_a_row() {
        for (row, route) in ROUTES.iter().enumerate() {
            assert_eq!(*route as usize, row);
        }
        assert_eq!(escape("a\"b\\\n"), "a\\\"b\\\\\\n");
    }
}
