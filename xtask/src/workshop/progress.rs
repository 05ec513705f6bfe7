//! What a learner has done, kept from session to session: one file a learner, in the state folder of
//! whoever runs it. A lock beside it keeps two sessions of one learner apart.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use etcetera::{AppStrategy as _, AppStrategyArgs};
use pull_scenarios::workshop::Marks;
use serde_json::{Map, Value, json};

const SCHEMA: &str = "pullcheck.workshop/1";
const MAX_BYTES: u64 = 1 << 20;
/// Where state is kept, whatever the platform says.
const FOLDER: &str = "PULLCHECK_STATE_DIR";

/// Why progress cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProgressError {
    #[error(
        "`{0}` is no name of a learner: letters, digits, `.`, `_` and `-`, at most 40, a letter or digit first"
    )]
    Name(String),
    #[error("a session of {0} is running; another name is for another learner: --learner")]
    Running(String),
    #[error("no folder is known for state; set {FOLDER}")]
    NoFolder,
    #[error("{} is no record of a workshop; move it away to begin anew", .0.display())]
    Unreadable(PathBuf),
    #[error("cannot keep progress at {}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

pub(super) struct Progress {
    path: PathBuf,
    record: Map<String, Value>,
    /// Held for as long as the session lives; the system lets go of it with the process. None where it is only
    /// looked at.
    _lock: Option<File>,
}

impl Progress {
    /// Opens what is kept of a learner.
    pub(super) fn open(learner: &str) -> Result<Self, ProgressError> {
        Self::open_in(&folder()?, learner)
    }

    /// What is kept of a learner, to be looked at: also while a session runs.
    pub(super) fn look(learner: &str) -> Result<Self, ProgressError> {
        Self::look_in(&folder()?, learner)
    }

    fn look_in(folder: &Path, learner: &str) -> Result<Self, ProgressError> {
        let path = of(folder, learner)?;
        Self::read(path, None)
    }

    fn open_in(folder: &Path, learner: &str) -> Result<Self, ProgressError> {
        let path = of(folder, learner)?;
        let folder = folder.join("workshop");
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| ProgressError::Io { path, source }
        };
        fs::create_dir_all(&folder).map_err(io(&folder))?;
        let lock_path = folder.join(format!("{learner}.lock"));
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(io(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(ProgressError::Running(learner.to_owned()));
            }
            Err(fs::TryLockError::Error(source)) => return Err(io(&lock_path)(source)),
        }
        Self::read(path, Some(lock))
    }

    fn read(path: PathBuf, lock: Option<File>) -> Result<Self, ProgressError> {
        let record = match read(&path) {
            Ok(Some(text)) => {
                parse(&text).ok_or_else(|| ProgressError::Unreadable(path.clone()))?
            }
            Ok(None) => Map::new(),
            Err(source) => return Err(ProgressError::Io { path, source }),
        };
        Ok(Self {
            path,
            record,
            _lock: lock,
        })
    }

    /// What was done with a scenario.
    pub(super) fn marks(&self, scenario: &str) -> Option<Marks> {
        let kept = self.record.get(scenario)?;
        serde_json::from_value(kept.get("marks")?.clone()).ok()
    }

    /// Keeps what was done with a scenario, by this date.
    pub(super) fn keep(
        &mut self,
        scenario: &str,
        marks: &Marks,
        at: &str,
    ) -> Result<(), ProgressError> {
        self.record.insert(
            scenario.to_owned(),
            json!({ "at": at, "points": marks.points(), "marks": marks }),
        );
        self.write()
    }

    /// Forgets what was done with a scenario.
    pub(super) fn forget(&mut self, scenario: &str) -> Result<(), ProgressError> {
        match self.record.remove(scenario) {
            Some(_) => self.write(),
            None => Ok(()),
        }
    }

    /// Whole or not at all.
    fn write(&self) -> Result<(), ProgressError> {
        let write = || -> io::Result<()> {
            let folder = self.path.parent().unwrap_or_else(|| Path::new("."));
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            let record = json!({ "schema": SCHEMA, "scenarios": self.record });
            file.write_all(record.to_string().as_bytes())?;
            file.persist(&self.path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(|source| ProgressError::Io {
            path: self.path.clone(),
            source,
        })
    }
}

/// The file of a learner.
fn of(folder: &Path, learner: &str) -> Result<PathBuf, ProgressError> {
    if !is_name(learner) {
        return Err(ProgressError::Name(learner.chars().take(60).collect()));
    }
    Ok(folder.join("workshop").join(format!("{learner}.json")))
}

fn read(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut text)?;
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

fn parse(text: &str) -> Option<Map<String, Value>> {
    let value: Value = serde_json::from_str(text).ok()?;
    if value.get("schema")? != SCHEMA {
        return None;
    }
    value.get("scenarios")?.as_object().cloned()
}

pub(super) fn is_name(name: &str) -> bool {
    let first = name.chars().next();
    name.len() <= 40
        && first.is_some_and(|c| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

fn folder() -> Result<PathBuf, ProgressError> {
    if let Some(folder) = std::env::var_os(FOLDER).filter(|folder| !folder.is_empty()) {
        return Ok(folder.into());
    }
    let strategy = etcetera::choose_app_strategy(AppStrategyArgs {
        top_level_domain: "org".to_owned(),
        author: "pullcheck".to_owned(),
        app_name: "pullcheck".to_owned(),
    });
    let strategy = strategy.map_err(|_| ProgressError::NoFolder)?;
    Ok(strategy.state_dir().unwrap_or_else(|| strategy.data_dir()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_kept_and_learners_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        let mut ann = Progress::open_in(folder.path(), "ann").unwrap();
        let marks = Marks {
            hints: 2,
            named: true,
            ..Marks::default()
        };
        ann.keep("bad-tag", &marks, "2026-01-01T00:00:00Z").unwrap();
        let bob = Progress::open_in(folder.path(), "bob").unwrap();
        assert_eq!(bob.marks("bad-tag"), None);
        let twice = Progress::open_in(folder.path(), "ann").err().unwrap();
        assert!(twice.to_string().contains("is running"), "{twice}");
        let looked = Progress::look_in(folder.path(), "ann").unwrap();
        assert!(looked.marks("bad-tag").is_some());
        drop(ann);
        let mut ann = Progress::open_in(folder.path(), "ann").unwrap();
        assert_eq!(ann.marks("bad-tag"), Some(marks));
        ann.forget("bad-tag").unwrap();
        assert_eq!(ann.marks("bad-tag"), None);
    }

    #[test]
    fn what_is_no_record_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("workshop")).unwrap();
        let path = folder.path().join("workshop/ann.json");
        for text in ["", "{}", "{\"schema\": \"other\"}", "not json"] {
            fs::write(&path, text).unwrap();
            let error = Progress::open_in(folder.path(), "ann").err().unwrap();
            assert!(
                matches!(error, ProgressError::Unreadable(_)),
                "{text}: {error}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        for name in ["", "../x", ".hidden", "a/b", &"a".repeat(41)] {
            let error = Progress::open_in(folder.path(), name).err().unwrap();
            assert!(matches!(error, ProgressError::Name(_)), "{name}");
        }
    }
}
