//! The scenarios that ship with the project, compiled in, so that they also run from a user's own
//! project and from a binary that was copied elsewhere.

use std::path::Path;

use include_dir::{Dir, File, include_dir};

use crate::spec::{self, LoadError, Scenario};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/catalogue");

/// Every scenario of the catalogue, by id.
///
/// Errors: the first file that is refused.
pub fn all() -> Result<Vec<Scenario>, Box<LoadError>> {
    files().into_iter().map(|(_, file)| read(file)).collect()
}

/// One scenario by its id; none where the catalogue has none of this name. No other file is read.
///
/// Errors: the file is refused.
pub fn find(id: &str) -> Result<Option<Scenario>, Box<LoadError>> {
    let found = files().into_iter().find(|(name, _)| *name == id);
    found.map(|(_, file)| read(file)).transpose()
}

/// The ids of all scenarios, in order.
pub fn ids() -> Vec<&'static str> {
    files().into_iter().map(|(id, _)| id).collect()
}

/// The nearest id to a misspelt one.
pub fn nearest(wrong: &str) -> Option<&'static str> {
    spec::nearest(wrong, ids().into_iter())
}

/// A file's stem is its scenario's id: `spec::parse` insists on it.
fn files() -> Vec<(&'static str, &'static File<'static>)> {
    let stem = |file: &'static File<'static>| {
        let path = file.path();
        is_yaml(path).then(|| Some((path.file_stem()?.to_str()?, file)))?
    };
    let mut files: Vec<_> = FILES.files().filter_map(stem).collect();
    files.sort_by_key(|(id, _)| *id);
    files
}

fn read(file: &File<'_>) -> Result<Scenario, Box<LoadError>> {
    let name = format!("catalogue/{}", file.path().display());
    spec::parse(&name, file.contents_utf8().unwrap_or("\u{0}"))
}

fn is_yaml(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending == "yaml" || ending == "yml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_is_found_by_its_name() {
        assert_eq!(find("bad-tag").unwrap().unwrap().id(), "bad-tag");
        assert!(find("bad-tga").unwrap().is_none());
        assert_eq!(nearest("bad-tga"), Some("bad-tag"));
        let all: Vec<_> = all()
            .unwrap()
            .iter()
            .map(|one| one.id().to_owned())
            .collect();
        assert_eq!(all, ids());
    }
}
