//! `cargo xtask tidy`: the rules of the house that no compiler checks.
//!
//! Which room may use which, `biased;` in every `select!` of simulated code, every scenario's file in
//! order, and a fresh picture of a run in README.md.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Who may use whom. A room that is missing here may use none of ours.
const EDGES: &[(&str, &[&str])] = &[
    (
        "pull-scenarios",
        &["pullcheck", "fake-registry", "sim-cluster"],
    ),
    ("pull-storm", &["fake-registry", "sim-cluster"]),
    (
        "pull-benches",
        &[
            "pull-scenarios",
            "pull-storm",
            "pullcheck",
            "fake-registry",
            "sim-cluster",
        ],
    ),
    ("xtask", &["pull-scenarios", "pullcheck", "sim-cluster"]),
];

/// Folders whose code runs in virtual time.
const SIMULATED: &[&str] = &[
    "scenarios/src",
    "scenarios/cluster/src",
    "checker/src",
    "fake-registry/src",
];

/// Checks the rules of the house that no compiler checks.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Writes anew what is generated, instead of complaining
    #[arg(long)]
    fix: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let root = root();
    let mut faults = Vec::new();
    faults.extend(edges(&root));
    for folder in SIMULATED {
        faults.extend(unbiased_selects(&root.join(folder)));
    }
    if let Err(error) = pull_scenarios::catalogue::all() {
        faults.push(error.to_string());
    }
    faults.extend(crate::readme::check(&root, arguments.fix));
    for fault in &faults {
        eprintln!("tidy: {fault}");
    }
    if faults.is_empty() {
        eprintln!("tidy: nothing to say");
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The workspace's own edges, as cargo knows them, beside the list above.
fn edges(root: &Path) -> Vec<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--no-deps"])
        .current_dir(root)
        .output();
    let metadata: serde_json::Value = match output {
        Ok(output) => serde_json::from_slice(&output.stdout).unwrap_or_default(),
        Err(error) => return vec![format!("cargo metadata: {error}")],
    };
    let packages = metadata
        .get("packages")
        .and_then(|list| list.as_array())
        .cloned()
        .unwrap_or_default();
    if packages.is_empty() {
        return vec!["cargo metadata lists no package".to_owned()];
    }
    let allowed: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    let name = |value: &serde_json::Value| {
        value
            .get("name")
            .and_then(|n| n.as_str())
            .unwrap_or_default()
            .to_owned()
    };
    let ours: Vec<String> = packages.iter().map(name).collect();
    let mut faults = Vec::new();
    for package in &packages {
        let from = name(package);
        let dependencies = package
            .get("dependencies")
            .and_then(|list| list.as_array())
            .cloned()
            .unwrap_or_default();
        for dependency in dependencies {
            let to = name(&dependency);
            let development = dependency.get("kind").and_then(|kind| kind.as_str()) == Some("dev");
            let witness = from == "pullcheck" && to == "fake-registry" && development;
            let listed = allowed
                .get(from.as_str())
                .is_some_and(|list| list.contains(&to.as_str()));
            if ours.contains(&to) && !listed && !witness {
                faults.push(format!("{from} must not use {to}"));
            }
        }
    }
    faults
}

fn unbiased_selects(folder: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else {
        return vec![format!("no folder {}", folder.display())];
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            faults.extend(unbiased_selects(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            for pair in lines.windows(2) {
                if let [line, next] = pair
                    && line.contains("select! {")
                    && next.trim() != "biased;"
                {
                    faults.push(format!("{}: a `select!` without `biased;`", path.display()));
                }
            }
        }
    }
    faults
}
