//! A server as the system sees it: started, watched through `/proc`, stopped.
//!
//! Times and memory are summed over the process and its direct children, since nginx works in
//! children. Linux only, like the peers' packages.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// How long a server may take to end before it is killed.
const END: Duration = Duration::from_secs(5);
/// `AT_CLKTCK` of the auxiliary vector: how many ticks of `/proc/PID/stat` make a second.
const AT_CLKTCK: u64 = 17;

/// A server that runs. Asked to end when it is dropped; `stop` also waits for that.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pid: u32,
    pub(crate) address: SocketAddr,
    /// Its files; gone with it.
    folder: TempDir,
}

impl Process {
    pub(crate) fn spawn(
        program: &Path,
        arguments: &[String],
        address: SocketAddr,
        folder: TempDir,
    ) -> io::Result<Self> {
        let child = Command::new(program)
            .args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("stderr"))?)
            .spawn()?;
        let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
        Ok(Self {
            child,
            pid,
            address,
            folder,
        })
    }

    /// Whether it has ended by itself, and what it said then.
    pub(crate) fn ended(&mut self) -> Option<String> {
        let ended = self.child.try_wait().ok().flatten().is_some();
        ended.then(|| {
            let text = fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default();
            text.lines().next_back().unwrap_or_default().to_owned()
        })
    }

    /// User and system time so far.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        let mut ticks = 0;
        for stat in family(self.pid)? {
            ticks += stat.ticks;
        }
        Ok(Duration::from_secs_f64(
            ticks as f64 / ticks_per_second() as f64,
        ))
    }

    /// Resident memory in bytes, pages shared by parent and child counted in both.
    pub(crate) fn resident(&self) -> io::Result<u64> {
        let mut kib = 0;
        for stat in family(self.pid)? {
            let status = fs::read_to_string(format!("/proc/{}/status", stat.pid))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let number = line.and_then(|line| line.split_whitespace().next());
            kib += number
                .and_then(|text| text.parse::<u64>().ok())
                .unwrap_or(0);
        }
        Ok(kib << 10)
    }

    pub(crate) async fn stop(self) {
        self.stop_within(END).await;
    }

    /// Stops a server that may take so long to end.
    pub(crate) async fn stop_within(mut self, time: Duration) {
        self.ask_to_end();
        if tokio::time::timeout(time, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }

    fn ask_to_end(&mut self) {
        // A child that was waited for has given its number back.
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.ask_to_end();
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    pid: u32,
    parent: u32,
    ticks: u64,
}

/// A process and its children.
fn family(pid: u32) -> io::Result<Vec<Stat>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(other) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // Others may end while we look.
        let Ok(text) = fs::read_to_string(format!("/proc/{other}/stat")) else {
            continue;
        };
        found.extend(read_stat(&text).filter(|stat| stat.pid == pid || stat.parent == pid));
    }
    if found.iter().any(|stat| stat.pid == pid) {
        Ok(found)
    } else {
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the server has ended",
        ))
    }
}

/// Fields 1, 4, 14 and 15 of `/proc/PID/stat` (proc(5)). The second, the program's name, stands
/// in parentheses and may hold anything.
fn read_stat(text: &str) -> Option<Stat> {
    let (pid, _) = text.split_once(' ')?;
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(1);
    let parent = fields.next()?.parse().ok()?;
    let mut times = fields.skip(9).map(str::parse::<u64>);
    let user = times.next()?.ok()?;
    let system = times.next()?.ok()?;
    Some(Stat {
        pid: pid.parse().ok()?,
        parent,
        ticks: user + system,
    })
}

fn ticks_per_second() -> u64 {
    let vector = fs::read("/proc/self/auxv").unwrap_or_default();
    let words: Vec<u64> = vector
        .chunks_exact(8)
        .filter_map(|chunk| chunk.try_into().ok().map(u64::from_ne_bytes))
        .collect();
    let found = words.chunks_exact(2).find_map(|pair| match pair {
        [AT_CLKTCK, value] => Some(*value),
        _ => None,
    });
    found.filter(|value| *value > 0).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_any_name() {
        let line = "77 (a) b (c) ) S 12 77 77 0 -1 4194560 98 0 0 0 31 11 7 7 20 0 2 0 9";
        let want = Stat {
            pid: 77,
            parent: 12,
            ticks: 42,
        };
        assert_eq!(read_stat(line), Some(want));
        assert_eq!(read_stat("77 (a"), None);
    }

    #[test]
    fn this_process_has_a_clock_and_memory() {
        assert!(ticks_per_second() >= 100);
        let own = family(std::process::id()).unwrap();
        assert!(own.iter().any(|stat| stat.pid == std::process::id()));
    }
}
