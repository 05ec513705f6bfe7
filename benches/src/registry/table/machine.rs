//! What a figure hangs on: the machine and the system.

use std::fs;

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) cores: usize,
    pub(super) processor: String,
    pub(super) system: String,
    pub(super) kernel: String,
}

impl Machine {
    pub(super) fn here() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let value = |text: &str, key: &str, mark: char| {
            let found = text.lines().find_map(|line| {
                let (name, value) = line.split_once(mark)?;
                (name.trim() == key).then(|| value.trim().trim_matches('"').to_owned())
            });
            found.unwrap_or_else(|| "unknown".to_owned())
        };
        Self {
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            processor: value(&read("/proc/cpuinfo"), "model name", ':'),
            system: value(&read("/etc/os-release"), "PRETTY_NAME", '='),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }

    #[cfg(test)]
    pub(super) fn sample() -> Self {
        Self {
            cores: 2,
            processor: "a processor".into(),
            system: "a system".into(),
            kernel: "6.1".into(),
        }
    }
}
