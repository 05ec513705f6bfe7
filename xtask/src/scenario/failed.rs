//! What was not as expected in the last run, kept beside the program that played it: each play by id or
//! file, with its seed, and what the whole run was played on.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use pull_scenarios::{Ending, Play};
use serde_json::{Value, json};

use super::Job;

const FILE: &str = "scenario-failed.json";
const MAX_BYTES: u64 = 16 << 20;

/// What a run was played on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ground {
    pub(super) backend: String,
    pub(super) kubernetes: Option<String>,
    pub(super) runtime: Option<String>,
}

/// A run that is to be played again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) ground: Ground,
    /// Ids or paths, each with its seed.
    pub(super) plays: Vec<(String, u64)>,
}

/// Writes down what failed; whoever asked for the run does not depend on it.
pub(super) fn remember(jobs: &[Job], plays: &[Play], ground: &Ground) {
    let record = Record {
        ground: ground.clone(),
        plays: unlike(jobs, plays),
    };
    if let Err(error) = path().and_then(|path| write(&path, &record)) {
        eprintln!("warning: what failed cannot be written down: {error}");
    }
}

/// The plays that were not as expected, or did not come to an end.
fn unlike(jobs: &[Job], plays: &[Play]) -> Vec<(String, u64)> {
    // Two files may have one id: then all of its plays have to be well.
    let mut well = BTreeMap::new();
    for play in plays {
        let this = matches!(play.ending, Ending::Passed | Ending::Skipped(_));
        *well.entry((play.scenario.id(), play.seed)).or_insert(true) &= this;
    }
    let bad = jobs
        .iter()
        .filter(|job| well.get(&(job.scenario.id(), job.seed)) != Some(&true));
    bad.map(|job| (job.name.clone(), job.seed)).collect()
}

pub(super) fn recall() -> io::Result<Record> {
    read(&path()?)
}

fn path() -> io::Result<PathBuf> {
    if let Some(folder) =
        std::env::var_os("PULLCHECK_STATE_DIR").filter(|folder| !folder.is_empty())
    {
        std::fs::create_dir_all(&folder)?;
        return Ok(PathBuf::from(folder).join(FILE));
    }
    Ok(std::env::current_exe()?.with_file_name(FILE))
}

/// Whole or not at all.
fn write(path: &Path, record: &Record) -> io::Result<()> {
    let plays = record
        .plays
        .iter()
        .map(|(name, seed)| json!({ "name": name, "seed": seed }));
    let text = json!({
        "backend": record.ground.backend,
        "kubernetes": record.ground.kubernetes,
        "runtime": record.ground.runtime,
        "plays": plays.collect::<Vec<_>>(),
    });
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.to_string().as_bytes())?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn read(path: &Path) -> io::Result<Record> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut text)?;
    let value: Value = serde_json::from_slice(&text)?;
    let text =
        |value: &Value, field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
    let plays = value
        .get("plays")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let plays = plays.filter_map(|play| Some((text(play, "name")?, play.get("seed")?.as_u64()?)));
    Ok(Record {
        ground: Ground {
            backend: text(&value, "backend").unwrap_or_default(),
            kubernetes: text(&value, "kubernetes"),
            runtime: text(&value, "runtime"),
        },
        plays: plays.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let record = Record {
            ground: Ground {
                backend: "embedded".to_owned(),
                kubernetes: Some("1.32".to_owned()),
                runtime: None,
            },
            plays: vec![("bad-tag".to_owned(), 7), ("/a b/mine.yaml".to_owned(), 1)],
        };
        write(&path, &record).unwrap();
        assert_eq!(read(&path).unwrap(), record);
        assert!(read(&folder.path().join("other")).is_err());
        std::fs::write(&path, "bad-tag 1").unwrap();
        assert!(read(&path).is_err());
    }
}
