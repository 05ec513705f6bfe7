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

/// A program that takes any input.
#[derive(Debug)]
struct Target {
    name: &'static str,
    /// The feature with the room that it is about.
    room: &'static str,
    /// How long it runs unless told otherwise.
    seconds: u64,
    /// Two thirds of the places in the program that the checked-in inputs reach. Fewer are covered where the room was
    /// built without coverage, or the inputs have become stale.
    covers: u64,
}

const TARGETS: &[Target] = &[
    target("api-path", "cluster", 60, 6_000),
    target("scenario-file", "scenarios", 60, 5_200),
    target("request-head", "registry", 20, 4_000),
    target("explain", "checker", 20, 2_500),
    target("fault-yaml", "registry", 15, 950),
    target("challenge", "checker", 15, 320),
    target("manifest", "checker", 15, 420),
    target("docker-config", "checker", 15, 3_000),
];

const fn target(name: &'static str, room: &'static str, seconds: u64, covers: u64) -> Target {
    Target {
        name,
        room,
        seconds,
        covers,
    }
}

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
    TARGETS.iter().map(|target| target.name).collect()
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
    let wanted: Vec<&Target> = TARGETS
        .iter()
        .filter(|target| {
            arguments.targets.is_empty() || arguments.targets.iter().any(|one| one == target.name)
        })
        .collect();
    let folders = Folders::find()?;
    if let Some(input) = &arguments.replay {
        let [target] = wanted.as_slice() else {
            return Err(FuzzError::WhichTarget);
        };
        folders.build(&wanted)?;
        return folders.replay(target.name, input);
    }
    folders.build(&wanted)?;
    if arguments.build {
        return Ok(true);
    }
    let mut sound = true;
    for some in wanted.chunks(arguments.jobs.max(1)) {
        let running: Vec<_> = some
            .iter()
            .map(|target| {
                let seconds = arguments.seconds.unwrap_or(target.seconds);
                (*target, folders.start(target.name, seconds))
            })
            .collect();
        for (target, started) in running {
            let name = target.name;
            let (mut child, seeds) = started?;
            let status = child.wait().map_err(|source| FuzzError::Run {
                program: name.to_owned(),
                source,
            })?;
            let log = folders.log(name);
            let text = fs::read(&log).map_err(|source| FuzzError::File { path: log, source })?;
            let read = Told::read(&String::from_utf8_lossy(&text));
            if status.success() {
                eprintln!("fuzz: {name}: nothing found; {}", read.summary());
                if let Some(blind) = read.blind(target, &seeds) {
                    sound = false;
                    eprintln!("fuzz: {name}: that says nothing: {blind}");
                }
            } else {
                sound = false;
                eprintln!("{}", read.end);
                eprintln!("fuzz: {name}: {status}; {}", read.summary());
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
    fn build(&self, wanted: &[&Target]) -> Result<(), FuzzError> {
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
        for target in wanted {
            command.args(["--bin", target.name, "--features", target.room]);
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

    fn start(&self, name: &str, seconds: u64) -> Result<(Child, Seeds), FuzzError> {
        let found = self.made.join("corpus").join(name);
        let given = self.root.join("corpus").join(name);
        let crashes = self.made.join("crashes").join(name);
        for folder in [&found, &crashes, &self.made.join("logs")] {
            fs::create_dir_all(folder).map_err(|source| FuzzError::File {
                path: folder.clone(),
                source,
            })?;
        }
        let seeds = Seeds {
            given: count_files(&given)?,
            kept: count_files(&found)?,
        };
        let log = self.log(name);
        let out = File::create(&log).map_err(|source| FuzzError::File { path: log, source })?;
        let mut prefix = OsString::from("-artifact_prefix=");
        prefix.push(crashes.join(""));
        let child = Command::new(self.program(name))
            .arg(&found)
            .arg(&given)
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
            })?;
        Ok((child, seeds))
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

/// Files that libFuzzer would read: it passes over empty ones.
fn count_files(folder: &Path) -> Result<u64, FuzzError> {
    let failed = |source| FuzzError::File {
        path: folder.to_owned(),
        source,
    };
    let mut count = 0;
    for entry in folder.read_dir().map_err(failed)? {
        let about = entry.and_then(|entry| entry.metadata()).map_err(failed)?;
        count += u64::from(about.is_file() && about.len() > 0);
    }
    Ok(count)
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

/// Inputs to begin with.
#[derive(Clone, Copy, Debug)]
struct Seeds {
    /// Checked in.
    given: u64,
    /// Found in runs before.
    kept: u64,
}

/// Why a run in which nothing was found is no sign of health: it went on blindly.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Blind {
    #[error(
        "{covered} places covered, fewer than {covers}: the room has no coverage, or its inputs are stale"
    )]
    Uncovered { covered: u64, covers: u64 },
    #[error("{read} inputs to begin with were read, of {there}")]
    Unread { read: u64, there: u64 },
    #[error("no input led to anything new")]
    Unguided,
}

/// What libFuzzer told in its log.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    executions: u64,
    each_second: u64,
    /// Inputs to begin with, as they were read.
    seeds: u64,
    /// Places in the program after those, and at the end.
    covered: (u64, u64),
    /// Inputs that led to something new.
    added: u64,
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
        let progress = |line: &str, word: &str| -> Option<u64> {
            let (_, rest) = line.strip_prefix('#')?.split_once(word)?;
            rest.split_whitespace().next()?.parse().ok()
        };
        let last = |word: &str| lines.iter().rev().find_map(|line| progress(line, word));
        let count = lines.iter().rev().find_map(|line| {
            let (count, _) = line.strip_prefix('#')?.split_once('\t')?;
            count.parse().ok()
        });
        let begun = lines.iter().find(|line| line.contains("\tINITED "));
        let seeds = lines.iter().find_map(|line| {
            let (_, rest) = line.split_once("seed corpus: files: ")?;
            rest.split_whitespace().next()?.parse().ok()
        });
        Self {
            executions: number("stat::number_of_executed_units:")
                .or(count)
                .unwrap_or_default(),
            each_second: number("stat::average_exec_per_sec:")
                .or_else(|| last("exec/s: "))
                .unwrap_or_default(),
            seeds: seeds.unwrap_or_default(),
            covered: (
                begun
                    .and_then(|line| progress(line, "cov: "))
                    .unwrap_or_default(),
                last("cov: ").unwrap_or_default(),
            ),
            added: number("stat::new_units_added:").unwrap_or_default(),
            input: after("Test unit written to "),
            end: lines.get(begin..).unwrap_or_default().join("\n"),
        }
    }

    /// Of a run in which nothing was found.
    fn blind(&self, target: &Target, seeds: &Seeds) -> Option<Blind> {
        let there = seeds.given + seeds.kept;
        if self.covered.1 < target.covers {
            Some(Blind::Uncovered {
                covered: self.covered.1,
                covers: target.covers,
            })
        } else if self.seeds < there {
            Some(Blind::Unread {
                read: self.seeds,
                there,
            })
        } else if self.added == 0 && seeds.kept == 0 {
            Some(Blind::Unguided)
        } else {
            None
        }
    }

    fn summary(&self) -> String {
        format!(
            "{} executions, {} a second; {} inputs to begin with covered {} places, {} more cover {}",
            self.executions,
            self.each_second,
            self.seeds,
            self.covered.0,
            self.added,
            self.covered.1
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDED: &str = "INFO: seed corpus: files: 9 min: 6b max: 55b total: 255b rss: 39Mb\n\
        #10\tINITED cov: 900 ft: 915 corp: 9/255b exec/s: 0 rss: 40Mb\n\
        #12\tNEW    cov: 950 ft: 970 corp: 10/300b lim: 50 exec/s: 0 rss: 40Mb L: 45/55 MS: 1 CrossOver-\n\
        #300\tDONE   cov: 950 ft: 970 corp: 10/300b lim: 50 exec/s: 150 rss: 41Mb\n\
        Done 300 runs in 2 second(s)\nstat::number_of_executed_units: 300\n\
        stat::average_exec_per_sec:     150\nstat::new_units_added:          1\n";

    #[test]
    fn numbers_and_the_input_are_read_from_a_log() {
        let died = "#10\tINITED cov: 900 exec/s: 0 rss: 40Mb\n#256\tpulse  cov: 930 exec/s: 128 rss: 41Mb\n\
            thread '<unnamed>' panicked\nartifact_prefix='/t/crashes/explain/'; Test unit written to /t/crashes/explain/crash-1\n";
        for (log, want) in [
            (ENDED, (300, 150, (900, 950), None)),
            (
                died,
                (
                    256,
                    128,
                    (900, 930),
                    Some("/t/crashes/explain/crash-1".to_owned()),
                ),
            ),
            ("", (0, 0, (0, 0), None)),
        ] {
            let read = Told::read(log);
            assert_eq!(
                (read.executions, read.each_second, read.covered, read.input),
                want,
                "for {log}"
            );
        }
    }

    #[test]
    fn a_run_that_was_not_guided_by_coverage_is_none() {
        let target = target("explain", "checker", 20, 250);
        let covers = target.covers;
        let first = Seeds { given: 9, kept: 0 };
        for (log, seeds, want) in [
            (ENDED.to_owned(), first, None),
            // As libFuzzer tells of a program with no coverage at all.
            (
                "INFO: seed corpus: files: 9\n#10\tINITED exec/s: 0 rss: 40Mb\n".to_owned(),
                first,
                Some(Blind::Uncovered { covered: 0, covers }),
            ),
            // The target alone has some.
            (
                ENDED.replace("cov: 9", "cov: "),
                first,
                Some(Blind::Uncovered {
                    covered: 50,
                    covers,
                }),
            ),
            (
                ENDED.to_owned(),
                Seeds { given: 10, kept: 2 },
                Some(Blind::Unread { read: 9, there: 12 }),
            ),
            (
                ENDED.replace("added:          1", "added:          0"),
                first,
                Some(Blind::Unguided),
            ),
            // What was found before is not found again.
            (
                ENDED.replace("added:          1", "added:          0"),
                Seeds { given: 4, kept: 5 },
                None,
            ),
        ] {
            assert_eq!(Told::read(&log).blind(&target, &seeds), want, "for {log}");
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
        for Target { name, room, .. } in TARGETS {
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
