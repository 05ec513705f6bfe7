//! `cargo xtask fuzz`: hostile input, found by coverage, on the stable compiler.
//!
//! The targets live in a crate apart from the workspace (`xtask/fuzz`). Coverage comes from LLVM's own pass,
//! which the stable compiler can run, for the crates that `xtask/fuzz/coverage` names; libFuzzer is built by
//! `libfuzzer-sys` with the system's C++ compiler.
//! All that is made stays below the target folder: programs, what was found to be interesting (kept from run
//! to run), logs, and inputs that something fell over, each with the command that replays it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

/// The targets, the feature with the room that each is about, and how long each runs unless told otherwise, in
/// seconds.
const TARGETS: &[(&str, &str, u64)] = &[
    ("api-path", "cluster", 60),
    ("scenario-file", "scenarios", 60),
    ("request-head", "registry", 20),
    ("explain", "checker", 20),
    ("fault-yaml", "registry", 15),
    ("challenge", "checker", 15),
    ("manifest", "checker", 15),
    ("docker-config", "checker", 15),
];

/// Limits of one input, in the words of libFuzzer. Time is wall time, and a busy machine is no finding.
const LIMITS: &[&str] = &["-timeout=30", "-rss_limit_mb=2048", "-max_len=16384"];

/// Could not run.
const FAILED: u8 = 2;

/// Hostile input for the parsers and servers, by coverage
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which of them; all by default
    #[arg(value_parser = names())]
    targets: Vec<String>,
    /// How long each runs; by default 15 to 60, by target
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// How many run at a time
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Only builds them
    #[arg(long)]
    build: bool,
    /// Runs one target once, with this input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seconds", "build"])]
    replay: Option<PathBuf>,
}

/// Why nothing was fuzzed.
#[derive(Debug, thiserror::Error)]
enum FuzzError {
    #[error("rustc does not say which host it is on")]
    Host,
    #[error("{program} cannot be run: {source}")]
    Run { program: String, source: io::Error },
    #[error("the targets cannot be built (they need a C++ compiler: g++ or clang++)")]
    Build,
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("`--replay` wants one target, as in `cargo xtask fuzz explain --replay FILE`")]
    WhichTarget,
}

fn names() -> Vec<&'static str> {
    TARGETS.iter().map(|(name, ..)| *name).collect()
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match fuzz(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fuzz: {error}");
            ExitCode::from(FAILED)
        }
    }
}

/// Whether nothing was found.
fn fuzz(arguments: &Arguments) -> Result<bool, FuzzError> {
    let wanted: Vec<(&str, &str, u64)> = TARGETS
        .iter()
        .filter(|(name, ..)| {
            arguments.targets.is_empty() || arguments.targets.iter().any(|one| one == name)
        })
        .map(|(name, room, seconds)| (*name, *room, arguments.seconds.unwrap_or(*seconds)))
        .collect();
    let folders = Folders::find()?;
    if let Some(input) = &arguments.replay {
        let [(name, ..)] = wanted.as_slice() else {
            return Err(FuzzError::WhichTarget);
        };
        folders.build(&wanted)?;
        return folders.replay(name, input);
    }
    folders.build(&wanted)?;
    if arguments.build {
        return Ok(true);
    }
    let mut sound = true;
    for some in wanted.chunks(arguments.jobs.max(1)) {
        let running: Vec<_> = some
            .iter()
            .map(|(name, _, seconds)| (*name, folders.start(name, *seconds)))
            .collect();
        for (name, child) in running {
            let mut child = child?;
            let status = child.wait().map_err(|source| FuzzError::Run {
                program: name.to_owned(),
                source,
            })?;
            let log = folders.log(name);
            let text = fs::read(&log).map_err(|source| FuzzError::File { path: log, source })?;
            let read = Told::read(&String::from_utf8_lossy(&text));
            if status.success() {
                eprintln!("fuzz: {name}: nothing found; {}", read.speed());
            } else {
                sound = false;
                eprintln!("{}", read.end);
                eprintln!("fuzz: {name}: {status}; {}", read.speed());
                match read.input {
                    Some(input) => {
                        eprintln!("fuzz: again: cargo xtask fuzz {name} --replay {input}");
                    }
                    None => eprintln!("fuzz: no input was kept; the log is above"),
                }
            }
        }
    }
    Ok(sound)
}

/// Where things are.
struct Folders {
    /// The crate of the targets, with its corpus.
    root: PathBuf,
    /// All that is made.
    made: PathBuf,
    host: String,
}

impl Folders {
    fn find() -> Result<Self, FuzzError> {
        let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| xtask.join("../target"), PathBuf::from);
        Ok(Self {
            root: xtask.join("fuzz"),
            made: target.join("fuzz"),
            host: host()?,
        })
    }

    fn log(&self, name: &str) -> PathBuf {
        self.made.join("logs").join(name)
    }

    fn program(&self, name: &str) -> PathBuf {
        self.made.join(&self.host).join("release").join(name)
    }

    /// With the versions of the workspace's lock file, of which cargo adds to a copy what only the targets use.
    fn build(&self, wanted: &[(&str, &str, u64)]) -> Result<(), FuzzError> {
        let lock = self.root.join("Cargo.lock");
        fs::copy(self.root.join("../../Cargo.lock"), &lock)
            .map_err(|source| FuzzError::File { path: lock, source })?;
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        // For the host as an explicit target: by that the wrapper tells build scripts and macros from the rest.
        command
            .args(["build", "--quiet", "--release", "--target", &self.host])
            .arg("--manifest-path")
            .arg(self.root.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&self.made)
            .env("RUSTC_WRAPPER", self.root.join("coverage"));
        for (name, room, _) in wanted {
            command.args(["--bin", name, "--features", room]);
        }
        let status = command.status().map_err(|source| FuzzError::Run {
            program: "cargo".to_owned(),
            source,
        })?;
        if status.success() {
            Ok(())
        } else {
            Err(FuzzError::Build)
        }
    }

    fn start(&self, name: &str, seconds: u64) -> Result<Child, FuzzError> {
        let found = self.made.join("corpus").join(name);
        let crashes = self.made.join("crashes").join(name);
        for folder in [&found, &crashes, &self.made.join("logs")] {
            fs::create_dir_all(folder).map_err(|source| FuzzError::File {
                path: folder.clone(),
                source,
            })?;
        }
        let log = self.log(name);
        let out = File::create(&log).map_err(|source| FuzzError::File { path: log, source })?;
        let mut prefix = OsString::from("-artifact_prefix=");
        prefix.push(crashes.join(""));
        Command::new(self.program(name))
            .arg(&found)
            .arg(self.root.join("corpus").join(name))
            .arg(format!("-max_total_time={seconds}"))
            .args(LIMITS)
            .arg("-print_final_stats=1")
            .arg(prefix)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(out)
            .spawn()
            .map_err(|source| FuzzError::Run {
                program: name.to_owned(),
                source,
            })
    }

    fn replay(&self, name: &str, input: &Path) -> Result<bool, FuzzError> {
        // libFuzzer would make a folder of a file that is not there.
        if let Err(source) = File::open(input) {
            return Err(FuzzError::File {
                path: input.to_owned(),
                source,
            });
        }
        let status = Command::new(self.program(name))
            .args(LIMITS)
            .arg(input)
            .status()
            .map_err(|source| FuzzError::Run {
                program: name.to_owned(),
                source,
            })?;
        eprintln!("fuzz: {name}: {status}");
        Ok(status.success())
    }
}

fn host() -> Result<String, FuzzError> {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .map_err(|source| FuzzError::Run {
            program: "rustc".to_owned(),
            source,
        })?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or(FuzzError::Host)
}

/// What libFuzzer told in its log.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    executions: u64,
    each_second: u64,
    /// The input that something fell over.
    input: Option<String>,
    /// The last lines, for people.
    end: String,
}

impl Told {
    /// Lines that show what was fallen over and where.
    const SHOWN: usize = 40;

    fn read(log: &str) -> Self {
        let after = |words: &str| {
            let line = log.lines().rev().find_map(|line| line.split_once(words));
            line.map(|(_, rest)| rest.trim().to_owned())
        };
        let number = |words: &str| after(words).and_then(|text| text.parse().ok());
        let lines: Vec<&str> = log.lines().collect();
        let begin = lines.len().saturating_sub(Self::SHOWN);
        // One that died has no statistics: its last line of progress has the numbers.
        let progress = lines.iter().rev().find_map(|line| {
            let (count, rest) = line.strip_prefix('#')?.split_once('\t')?;
            let speed = rest.split_once("exec/s: ")?.1.split_whitespace().next()?;
            Some((count.parse().ok()?, speed.parse().ok()?))
        });
        let (count, speed) = progress.unwrap_or_default();
        Self {
            executions: number("stat::number_of_executed_units:").unwrap_or(count),
            each_second: number("stat::average_exec_per_sec:").unwrap_or(speed),
            input: after("Test unit written to "),
            end: lines.get(begin..).unwrap_or_default().join("\n"),
        }
    }

    fn speed(&self) -> String {
        format!(
            "{} executions, {} a second",
            self.executions, self.each_second
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_the_input_are_read_from_a_log() {
        let ended = "#2\tINITED cov: 9 exec/s: 0 rss: 40Mb\n#256\tpulse  cov: 9 exec/s: 128 rss: 41Mb\n\
            Done 300 runs in 2 second(s)\nstat::number_of_executed_units: 300\nstat::average_exec_per_sec:     150\n";
        let died = "#2\tINITED cov: 9 exec/s: 0 rss: 40Mb\n#256\tpulse  cov: 9 exec/s: 128 rss: 41Mb\n\
            thread '<unnamed>' panicked\nartifact_prefix='/t/crashes/explain/'; Test unit written to /t/crashes/explain/crash-1\n";
        for (log, want) in [
            (ended, (300, 150, None)),
            (
                died,
                (256, 128, Some("/t/crashes/explain/crash-1".to_owned())),
            ),
            ("", (0, 0, None)),
        ] {
            let read = Told::read(log);
            assert_eq!(
                (read.executions, read.each_second, read.input),
                want,
                "for {log}"
            );
        }
    }

    #[test]
    fn each_target_has_a_corpus_and_a_program() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
        let wrapper = fs::read_to_string(root.join("coverage")).unwrap();
        let covered: Vec<&str> = wrapper
            .split_whitespace()
            .map(|word| word.trim_end_matches(')'))
            .collect();
        for (name, room, _) in TARGETS {
            let crate_name = name.replace('-', "_");
            let file = format!("targets/{crate_name}.rs");
            let section =
                format!("name = \"{name}\"\npath = \"{file}\"\nrequired-features = [\"{room}\"]\n");
            assert!(manifest.contains(&section), "{section}");
            assert!(
                root.join("corpus").join(name).read_dir().unwrap().count() > 0,
                "{name}"
            );
            assert!(root.join(file).is_file(), "{name}");
            assert!(covered.contains(&crate_name.as_str()), "{name}");
        }
        assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
    }
}
