//! From the text of a file to a checked `Scenario`; every refusal points at line and column.

use miette::{Diagnostic, NamedSource, SourceSpan};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use super::{Scenario, check};

/// The largest scenario file that is read.
pub const MAX_FILE_BYTES: usize = 256 * 1024;

/// Why a scenario file is refused: what is wrong, where, and what was expected.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{file}:{line}:{column}: {message}")]
#[diagnostic(code(pullcheck::scenario::invalid))]
pub struct LoadError {
    /// The file's name, as given.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The column, from 1.
    pub column: u64,
    /// What is wrong and what was expected.
    pub message: String,
    #[source_code]
    source_code: NamedSource<String>,
    #[label("here")]
    at: SourceSpan,
    #[help]
    help: Option<String>,
}

/// Parses and checks the text of a scenario file. `file` is its name for messages; where it ends in
/// `.yaml` or `.yml`, its stem must be the scenario's id.
pub fn parse(file: &str, text: &str) -> Result<Scenario, Box<LoadError>> {
    let source = Source { file, text };
    let mut scenario: Scenario = source.read()?;
    check::all(&source, &scenario)?;
    if scenario.kind.is_some() {
        check::all(&source, &scenario.on_kind())?;
    }
    scenario.source = text.into();
    Ok(scenario)
}

pub(crate) fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("unreadable").to_owned()
}

/// The Kubernetes objects of a manifest text, in order.
pub(crate) fn objects(manifests: &str) -> Result<Vec<Value>, serde_saphyr::Error> {
    let values: Vec<Value> = serde_saphyr::from_multiple(manifests)?;
    Ok(values
        .into_iter()
        .filter(|value| !value.is_null())
        .collect())
}

/// The text of a file, for errors that point into it.
pub(crate) struct Source<'a> {
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
}

impl Source<'_> {
    /// Reads all of it; what is in it is not checked.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Box<LoadError>> {
        if self.text.len() > MAX_FILE_BYTES {
            let message = format!(
                "the file has {} bytes; at most {MAX_FILE_BYTES} are read",
                self.text.len()
            );
            return Err(self.error(1, 1, message, None));
        }
        serde_saphyr::from_str(self.text).map_err(|error| {
            let error = error.without_snippet();
            let (line, column) = error
                .location()
                .map_or((1, 1), |at| (at.line(), at.column()));
            self.error(line, column, first_line(&error.to_string()), None)
        })
    }

    pub(crate) fn error(
        &self,
        line: u64,
        column: u64,
        message: String,
        help: Option<String>,
    ) -> Box<LoadError> {
        let offset = miette::SourceOffset::from_location(
            self.text,
            usize::try_from(line).unwrap_or(1),
            usize::try_from(column).unwrap_or(1),
        );
        Box::new(LoadError {
            file: self.file.to_owned(),
            line,
            column,
            message,
            source_code: NamedSource::new(self.file, self.text.to_owned()),
            at: SourceSpan::new(offset, 1),
            help,
        })
    }

    pub(crate) fn at<T>(&self, place: &Spanned<T>, message: String) -> Box<LoadError> {
        self.located(place.referenced, message, None)
    }

    pub(crate) fn located(
        &self,
        at: Location,
        message: String,
        help: Option<String>,
    ) -> Box<LoadError> {
        self.error(at.line().max(1), at.column().max(1), message, help)
    }
}

/// The nearest of `names` to a misspelt one, where any is near.
pub(crate) fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (strsim::jaro_winkler(wrong, name), name))
        .filter(|(score, _)| *score > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
