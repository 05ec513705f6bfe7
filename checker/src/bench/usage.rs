//! Time on the processor and memory of this process, where the system tells them (Linux).

use std::time::Duration;

/// What was used so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    /// Time on the processor, of all threads that live.
    pub(super) cpu: Option<Duration>,
    /// Resident bytes.
    pub(super) resident: Option<u64>,
    /// The most that were resident.
    pub(super) peak: Option<u64>,
}

impl Usage {
    pub(super) fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            cpu: cpu(),
            resident: kib(&status, "VmRSS:"),
            peak: kib(&status, "VmHWM:"),
        }
    }
}

/// The first number of each thread's `schedstat` is its time on the processor in nanoseconds.
fn cpu() -> Option<Duration> {
    let mut sum = 0_u64;
    for thread in std::fs::read_dir("/proc/self/task").ok()? {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        sum += text.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(sum))
}

fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(number << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_status() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(kib(status, "VmRSS:"), Some(1 << 20));
        assert_eq!(kib(status, "VmHWM:"), Some(2 << 20));
        assert_eq!(kib("", "VmRSS:"), None);
    }
}
