//! Whole programs: started, waited for, and measured as the system sees them.
//!
//! A program is started by a small process of our own that has no other child, since the system keeps the largest
//! memory over all children of a process.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub struct One {
    /// From start to end.
    pub wall: Duration,
    /// Time on processors.
    pub cpu: Duration,
    /// Most resident memory in bytes.
    pub peak: u64,
}

/// Runs a program to its end and writes what it took as JSON. For a process of its own.
#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
pub fn run_one(program: &Path, arguments: &[String]) -> io::Result<Value> {
    let started = std::time::Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    let wall = started.elapsed();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    Ok(json!({
        "code": status.code(),
        "wall_us": wall.as_micros() as u64,
        "cpu_us": micros(usage.user_time()) + micros(usage.system_time()),
        "peak_kib": usage.max_rss(),
    }))
}

/// Runs a program so often; a reason if it cannot be run or fails.
pub(super) fn measure(
    program: &Path,
    arguments: &[String],
    starts: usize,
) -> Result<Vec<One>, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut runs = Vec::new();
    for _ in 0..starts.max(1) {
        let output = Command::new(&own)
            .arg("--one")
            .arg(program)
            .args(arguments)
            .output()
            .map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err("not installed".into());
        }
        let value: Value =
            serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        let number = |name: &str| value.get(name).and_then(Value::as_u64).unwrap_or_default();
        if value.get("code").and_then(Value::as_i64) != Some(0) {
            return Err(format!(
                "ended with code {}",
                value.get("code").unwrap_or(&Value::Null)
            ));
        }
        runs.push(One {
            wall: Duration::from_micros(number("wall_us")),
            cpu: Duration::from_micros(number("cpu_us")),
            peak: number("peak_kib") << 10,
        });
    }
    Ok(runs)
}
