//! `cargo xtask dist`: what a package holds: completions, manual pages, the krew manifest, and with `--programs` the
//! checker's programs as packages have them.
//!
//! Everything is written by the programs themselves, so it fits the version that is packed.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Shells, and how each wants the file of its completions to be called.
const SHELLS: &[(&str, &str, &str)] = &[
    ("bash", "", ".bash"),
    ("zsh", "_", ""),
    ("fish", "", ".fish"),
    ("powershell", "_", ".ps1"),
    ("elvish", "", ".elv"),
];

/// Writes completions, manual pages and the krew manifest
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where they go; `target/dist` otherwise
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
    /// Also builds the programs of the checker in release form, with signing in to Azure, into `bin`
    #[arg(long)]
    programs: bool,
}

/// Why the files are not there.
#[derive(Debug, thiserror::Error)]
enum DistError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{program} does not run: {source}")]
    Run { program: String, source: io::Error },
    #[error("{program} {arguments}: {words}")]
    Failed {
        program: String,
        arguments: String,
        words: String,
    },
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = arguments.to.clone().unwrap_or_else(|| {
        std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), PathBuf::from)
            .join("dist")
    });
    let written = write(&root, &folder).and_then(|count| {
        let built = if arguments.programs {
            programs(&root, &folder)?
        } else {
            0
        };
        Ok(count + built)
    });
    match written {
        Ok(count) => {
            let _ = writeln!(io::stdout(), "{count} files in {}", folder.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("dist: {error}");
            ExitCode::from(2)
        }
    }
}

/// The programs that a package holds, with the features that only packages have.
fn programs(root: &Path, folder: &Path) -> Result<usize, DistError> {
    const NAMES: [&str; 2] = ["pullcheck", "kubectl-pullcheck"];
    let cargo = Program {
        name: "cargo",
        start: vec![std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())],
    };
    let manifest = root.join("Cargo.toml").to_string_lossy().into_owned();
    let messages = cargo.output(&[
        "build",
        "--release",
        "--bins",
        "--package",
        "pullcheck",
        "--features",
        "pullcheck/azure-identity",
        "--manifest-path",
        &manifest,
        "--message-format=json-render-diagnostics",
    ])?;
    let messages = String::from_utf8_lossy(&messages);
    let bin = folder.join("bin");
    make(&bin)?;
    for name in NAMES {
        let found = messages
            .lines()
            .find_map(|line| super::bench::executable(line, name))
            .ok_or_else(|| DistError::Failed {
                program: "cargo".into(),
                arguments: "build --release --package pullcheck".into(),
                words: format!("no program {name} was built"),
            })?;
        let to = bin.join(found.file_name().unwrap_or_else(|| name.as_ref()));
        fs::copy(&found, &to).map_err(|source| DistError::File { path: to, source })?;
    }
    Ok(NAMES.len())
}

/// A program of ours, and the words that start it.
struct Program {
    name: &'static str,
    start: Vec<OsString>,
}

impl Program {
    /// What it prints.
    fn output(&self, arguments: &[&str]) -> Result<Vec<u8>, DistError> {
        let (program, first) = self.start.split_first().ok_or_else(|| DistError::Run {
            program: self.name.into(),
            source: io::ErrorKind::NotFound.into(),
        })?;
        let output = Command::new(program)
            .args(first)
            .args(arguments)
            .output()
            .map_err(|source| DistError::Run {
                program: self.name.into(),
                source,
            })?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(DistError::Failed {
                program: self.name.into(),
                arguments: arguments.join(" "),
                words: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            })
        }
    }
}

fn write(root: &Path, folder: &Path) -> Result<usize, DistError> {
    let itself = std::env::current_exe().map_err(|source| DistError::Run {
        program: "xtask".into(),
        source,
    })?;
    let pullcheck = Program {
        name: "pullcheck",
        start: vec![itself.into(), "pullcheck".into(), "pullcheck".into()],
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = root.join("Cargo.toml");
    let registry = Program {
        name: "fake-registry",
        start: [cargo, "run".into(), "--quiet".into()]
            .into_iter()
            .chain(["--manifest-path".into(), manifest.into()])
            .chain(["--package", "fake-registry", "--"].map(OsString::from))
            .collect(),
    };

    let completions = folder.join("completions");
    for program in [&pullcheck, &registry] {
        for (shell, before, after) in SHELLS {
            let text = program.output(&["completions", shell])?;
            let name = program.name;
            file(&completions.join(format!("{before}{name}{after}")), &text)?;
        }
    }
    let pages = folder.join("man").join("man1");
    make(&pages)?;
    pullcheck.output(&["man", &pages.to_string_lossy()])?;
    registry.output(&["man", "--to", &pages.to_string_lossy()])?;
    let krew = root.join("checker/krew.yaml");
    let text = fs::read(&krew).map_err(|source| DistError::File { path: krew, source })?;
    file(&folder.join("krew.yaml"), &text)?;
    Ok(count(&completions)? + count(&pages)? + 1)
}

fn make(folder: &Path) -> Result<(), DistError> {
    fs::create_dir_all(folder).map_err(|source| DistError::File {
        path: folder.to_owned(),
        source,
    })
}

fn file(path: &Path, bytes: &[u8]) -> Result<(), DistError> {
    if let Some(folder) = path.parent() {
        make(folder)?;
    }
    fs::write(path, bytes).map_err(|source| DistError::File {
        path: path.to_owned(),
        source,
    })
}

fn count(folder: &Path) -> Result<usize, DistError> {
    let entries = fs::read_dir(folder).map_err(|source| DistError::File {
        path: folder.to_owned(),
        source,
    })?;
    Ok(entries.count())
}
