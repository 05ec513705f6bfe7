//! The embedded cluster held to real ones: a scenario's play on a kind cluster beside the same scenario on the
//! embedded one, with the same versions.
//!
//! An [`Observation`] is a play without what differs by nature (names, digests, dates, addresses); [`compare`]
//! puts two side by side; what is left is a [`Difference`], explained by a checked-in list or not. Observations
//! of real clusters are kept as recordings, so that the simulation is held to them where there is no Docker.

mod compare;
mod explained;
mod normal;
mod observation;
mod requests;
mod table;

use std::path::{Path, PathBuf};

pub use compare::{Aspect, Difference, compare};
pub use explained::{Explained, ExplainedError, Explanation};
pub use observation::{Asked, Event, Header, Observation, RecordingError, SCHEMA, Status};
pub use table::{Finding, Row, Standing, TABLE_SCHEMA, json, markdown, text};

use crate::observer::Seconds;
use crate::play::{Ending, Play, Tempo};
use crate::spec::Scenario;
use crate::versions::Versions;

/// Why there is nothing to compare a recording with.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// The real cluster's versions are not modelled.
    #[error("Kubernetes {kubernetes} with {runtime} is not modelled")]
    Versions {
        /// The kubelet's.
        kubernetes: String,
        /// The runtime's.
        runtime: String,
    },
}

/// Plays a scenario on the embedded cluster as it was played on a real one: the file's form for real
/// clusters, nodes of the same versions and set up alike, no faster than there.
///
/// Must not be called from inside an asynchronous runtime.
///
/// Errors: the versions are not modelled.
pub fn rehearse(
    scenario: &Scenario,
    real: &Observation,
    seed: u64,
) -> Result<Play, RehearsalError> {
    let Header {
        kubernetes,
        runtime,
        ..
    } = &real.header;
    let versions =
        Versions::of_node(kubernetes, runtime).ok_or_else(|| RehearsalError::Versions {
            kubernetes: kubernetes.clone(),
            runtime: runtime.clone(),
        })?;
    let length = |length: Seconds| std::time::Duration::from_millis(length.0);
    let tempo = Tempo {
        observe: length(real.header.observe),
        diagnose: length(real.header.diagnose),
    };
    let scenario = scenario.on_kind();
    Ok(crate::backend::embedded::play(
        &scenario,
        seed,
        versions,
        Some(tempo),
    ))
}

/// Plays a scenario as it was played on a real cluster, and puts the two side by side.
///
/// Errors: the versions are not modelled.
pub fn hold(
    scenario: &Scenario,
    real: &Observation,
    explained: &Explained,
    seed: u64,
) -> Result<Row, RehearsalError> {
    let play = rehearse(scenario, real, seed)?;
    let mut differences = Vec::new();
    if let Ending::Failed(act) = &play.ending {
        let mismatches = play.acts.iter().flat_map(|played| &played.mismatches);
        let seen =
            mismatches.map(|one| format!("{}: {}, not {}", one.what, one.seen, one.expected));
        differences.push(Difference {
            aspect: Aspect::Play,
            what: format!("act `{}`", act.name()),
            real: Some("as expected".to_owned()),
            embedded: Some(seen.collect::<Vec<_>>().join("; ")),
        });
    }
    differences.extend(compare(real, &Observation::of(&play)));
    Ok(Row::new(real.header.clone(), differences, explained))
}

/// Where the recording of a scenario is kept, below the folder of all of them.
pub fn file_of(folder: &Path, header: &Header) -> PathBuf {
    let number = |text: &str| {
        let mut parts = text.split(['.', '~', '+', '-']);
        [parts.next(), parts.next()]
            .map(Option::unwrap_or_default)
            .join(".")
    };
    let kubernetes = number(header.kubernetes.trim_start_matches('v'));
    let (name, version) = header
        .runtime
        .split_once("://")
        .unwrap_or(("runtime", &header.runtime));
    let versions = format!("kube-{kubernetes}-{name}-{}", number(version));
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    folder
        .join(versions.replace(|c| !safe(c), "_"))
        .join(format!(
            "{}.jsonl",
            header.scenario.replace(|c| !safe(c), "_")
        ))
}

/// Why recordings cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RecordingsError {
    /// A folder or file cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// One of them is broken.
    #[error(transparent)]
    Broken(#[from] RecordingError),
}

/// Every recording below a folder, by versions and id.
///
/// Errors: one cannot be read, or is broken.
pub fn recordings(folder: &Path) -> Result<Vec<Observation>, RecordingsError> {
    let mut files = Vec::new();
    for versions in entries(folder)? {
        if versions.is_dir() {
            files.extend(entries(&versions)?);
        }
    }
    files.retain(|file| file.extension().is_some_and(|end| end == "jsonl"));
    files.sort();
    let read = files.into_iter().map(|path| {
        let text = std::fs::read_to_string(&path).map_err(|source| RecordingsError::Read {
            path: path.clone(),
            source,
        })?;
        Ok(Observation::from_lines(&path.display().to_string(), &text)?)
    });
    read.collect()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, RecordingsError> {
    let read = |source| RecordingsError::Read {
        path: folder.to_owned(),
        source,
    };
    std::fs::read_dir(folder)
        .map_err(read)?
        .map(|entry| entry.map(|entry| entry.path()).map_err(read))
        .collect()
}
