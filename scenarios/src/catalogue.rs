//! The scenarios that ship with the project, compiled in, so that they also run from a user's own
//! project and from a binary that was copied elsewhere.

use include_dir::{Dir, include_dir};

use crate::spec::{self, LoadError, Scenario};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/catalogue");

/// Every scenario of the catalogue, by id.
///
/// Errors: the first file that is refused.
pub fn all() -> Result<Vec<Scenario>, Box<LoadError>> {
    let mut files: Vec<_> = FILES.files().filter(|file| is_yaml(file.path())).collect();
    files.sort_by_key(|file| file.path().to_owned());
    files
        .into_iter()
        .map(|file| {
            let name = format!("catalogue/{}", file.path().display());
            spec::parse(&name, file.contents_utf8().unwrap_or("\u{0}"))
        })
        .collect()
}

/// The nearest id to a misspelt one.
pub fn nearest<'a>(wrong: &str, scenarios: &'a [Scenario]) -> Option<&'a str> {
    spec::nearest(wrong, scenarios.iter().map(Scenario::id))
}

fn is_yaml(path: &std::path::Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending == "yaml" || ending == "yml")
}
