//! The run that README.md shows is made by the program, and stays what the program prints.

use std::fs;
use std::path::Path;

use pull_scenarios::report::{Paint, text};
use pull_scenarios::{catalogue, play_embedded};

const BEGIN: &str = "<!-- begin: cargo xtask scenario bad-tag -->\n";
const END: &str = "<!-- end -->";

/// What is wrong with README.md's picture of a run; with `fix` it is written anew.
pub(crate) fn check(root: &Path, fix: bool) -> Option<String> {
    let path = root.join("README.md");
    let readme = match fs::read_to_string(&path) {
        Ok(readme) => readme,
        Err(error) => return Some(format!("README.md: {error}")),
    };
    let parts = readme.split_once(BEGIN).and_then(|(before, rest)| {
        rest.split_once(END)
            .map(|(shown, after)| (before, shown, after))
    });
    let Some((before, shown, after)) = parts else {
        return Some("README.md has no place for the run of bad-tag".to_owned());
    };
    let made = match picture() {
        Ok(made) => made,
        Err(why) => return Some(why),
    };
    if shown == made {
        return None;
    }
    if !fix {
        return Some("README.md shows an old run of bad-tag: `cargo xtask tidy --fix`".to_owned());
    }
    let written = fs::write(&path, format!("{before}{BEGIN}{made}{END}{after}"));
    written.err().map(|error| format!("README.md: {error}"))
}

fn picture() -> Result<String, String> {
    let scenario = catalogue::find("bad-tag").map_err(|error| error.to_string())?;
    let play = play_embedded(&scenario.ok_or("no scenario bad-tag")?, 1);
    Ok(format!("```text\n{}```\n", text(&play, 100, Paint::Plain)))
}
