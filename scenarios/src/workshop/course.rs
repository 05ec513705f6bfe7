//! A course: scenarios in the order in which a class meets them, each with the minutes that it takes.
//!
//! A file is YAML; unknown keys are refused, every scenario must be in the catalogue, and each error
//! points at line and column. The courses that ship with the project are compiled in.

use std::collections::BTreeSet;

use include_dir::{Dir, include_dir};
use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::catalogue;
use crate::spec::{LoadError, Source};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/courses");

/// Lessons of one course.
const MOST_LESSONS: usize = 100;
/// Minutes of one lesson.
const LONGEST_LESSON: u32 = 120;

/// A course, checked: every lesson's scenario exists.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Course {
    /// The stable name; also the file's.
    pub id: Spanned<String>,
    /// One line.
    pub title: String,
    /// For whom, and what they know afterwards.
    pub about: String,
    /// The lessons, in order.
    pub lessons: Spanned<Vec<Lesson>>,
}

/// One lesson of a course.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lesson {
    /// The scenario's id.
    pub scenario: Spanned<String>,
    /// How long a class takes for it, debrief included.
    pub minutes: Spanned<u32>,
    /// What the trainer watches for. Learners never see it.
    pub trainer: String,
}

impl Course {
    /// The stable name.
    pub fn id(&self) -> &str {
        &self.id.value
    }

    /// How long the lessons take together.
    pub fn minutes(&self) -> u32 {
        self.lessons
            .value
            .iter()
            .map(|lesson| lesson.minutes.value)
            .sum()
    }
}

/// The courses that ship with the project, by id.
pub fn ids() -> Vec<&'static str> {
    let stem = |file: &'static include_dir::File<'static>| file.path().file_stem()?.to_str();
    let mut ids: Vec<_> = FILES.files().filter_map(stem).collect();
    ids.sort_unstable();
    ids
}

/// A course that ships with the project; none where there is none of this name.
///
/// Errors: its file is refused.
pub fn find(id: &str) -> Result<Option<Course>, Box<LoadError>> {
    let name = format!("{id}.yaml");
    let text = FILES
        .get_file(&name)
        .and_then(include_dir::File::contents_utf8);
    text.map(|text| parse(&name, text)).transpose()
}

/// Parses and checks the text of a course file. `file` is its name for messages; where it ends in
/// `.yaml` or `.yml`, its stem must be the course's id.
pub fn parse(file: &str, text: &str) -> Result<Course, Box<LoadError>> {
    let source = Source { file, text };
    let course: Course = source.read()?;
    check(&source, &course)?;
    Ok(course)
}

fn check(source: &Source<'_>, course: &Course) -> Result<(), Box<LoadError>> {
    let id = course.id();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if id.is_empty() || id.len() > 60 || !id.chars().all(fits) {
        let message = format!("`{id}` is no id: lower-case letters, digits and `-`, at most 60");
        return Err(source.at(&course.id, message));
    }
    let path = std::path::Path::new(source.file);
    let yaml = path
        .extension()
        .is_some_and(|ending| ending == "yaml" || ending == "yml");
    let stem = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .filter(|_| yaml);
    if stem.is_some_and(|stem| stem != id) {
        let message = format!("the id is `{id}`, but the file is named `{}`", source.file);
        return Err(source.at(&course.id, message));
    }
    let lessons = &course.lessons.value;
    if lessons.is_empty() || lessons.len() > MOST_LESSONS {
        let message = format!(
            "{} lessons; a course has between 1 and {MOST_LESSONS}",
            lessons.len()
        );
        return Err(source.at(&course.lessons, message));
    }
    let known: BTreeSet<&str> = catalogue::ids().into_iter().collect();
    let mut seen = BTreeSet::new();
    for lesson in lessons {
        let id = lesson.scenario.value.as_str();
        if !known.contains(id) {
            let help = catalogue::nearest(id).map(|near| {
                format!(
                    "the nearest scenario is `{near}`; `cargo xtask scenario --list` lists them"
                )
            });
            let message = format!("the catalogue has no scenario `{}`", id.escape_debug());
            return Err(source.located(lesson.scenario.referenced, message, help));
        }
        if !seen.insert(id) {
            return Err(source.at(&lesson.scenario, format!("`{id}` is a lesson already")));
        }
        let minutes = lesson.minutes.value;
        if !(1..=LONGEST_LESSON).contains(&minutes) {
            let message =
                format!("{minutes} minutes; a lesson takes between 1 and {LONGEST_LESSON}");
            return Err(source.at(&lesson.minutes, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_courses_that_ship_hold_together() {
        assert!(ids().contains(&"basics"));
        for id in ids() {
            let course = find(id).unwrap_or_else(|error| panic!("{error}")).unwrap();
            assert_eq!(course.id(), id);
            for lesson in &course.lessons.value {
                let scenario = catalogue::find(&lesson.scenario.value).unwrap().unwrap();
                assert!(
                    scenario.hints.len() >= 2,
                    "{} has no hints to give",
                    scenario.id()
                );
            }
        }
        assert!(find("no-such-course").unwrap().is_none());
        assert!(find("../courses/basics").unwrap().is_none());
    }

    #[test]
    fn a_course_that_is_wrong_says_where() {
        let good = FILES
            .get_file("basics.yaml")
            .unwrap()
            .contents_utf8()
            .unwrap();
        let first = good
            .lines()
            .position(|line| line.contains("scenario: bad-tag"))
            .unwrap() as u64
            + 1;
        let table: &[(&str, &str, &str, u64)] = &[
            ("id: basics", "id: Basics!", "is no id", 2),
            (
                "scenario: bad-tag",
                "scenario: bad-tga",
                "no scenario `bad-tga`",
                first,
            ),
            ("scenario: bad-tag", "scenery: bad-tag", "unknown field", 0),
            (
                "scenario: bad-tag\n    minutes: 15",
                "scenario: bad-tag\n    minutes: 500",
                "500 minutes",
                first + 1,
            ),
            (
                "scenario: repository-typo",
                "scenario: bad-tag",
                "a lesson already",
                0,
            ),
            ("lessons:", "lessons: []\nothers:", "unknown field", 0),
        ];
        for (from, to, want, line) in table {
            assert!(good.contains(from), "no `{from}`");
            let error = parse("basics", &good.replace(from, to)).expect_err(to);
            assert!(
                error.to_string().contains(want),
                "`{error}` does not say `{want}`"
            );
            assert!(*line == 0 || error.line == *line, "{error}");
            assert!(error.line > 0 && error.column > 0, "{error}");
        }
        let empty = parse("x", "id: x\ntitle: t\nabout: a\nlessons: []\n").unwrap_err();
        assert!(empty.to_string().contains("0 lessons"), "{empty}");
        assert_eq!(empty.line, 4);
        let named = parse("other.yaml", good).unwrap_err();
        assert!(named.to_string().contains("the file is named"), "{named}");
    }
}
