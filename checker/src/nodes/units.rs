//! The variables that systemd gives to a runtime: that is where its proxies are set.
//!
//! `Environment=` and `EnvironmentFile=` of a service and of its drop-ins below `/etc`, in systemd's order: of each
//! kind a later one wins, and files win over what units say themselves (`man systemd.exec`). Units below `/usr/lib`
//! set no proxies of a site and are not looked at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::stand::bounded;

/// No unit is larger.
const MAX_UNIT: u64 = 64 * 1024;
/// Drop-ins that are read.
const MAX_FILES: usize = 64;

/// The variables of `service`, from the units below `root`.
pub(super) fn variables(root: &Path, service: &str) -> BTreeMap<String, String> {
    let units = root.join("etc/systemd/system");
    let mut files = vec![units.join(format!("{service}.service"))];
    if let Ok(entries) = std::fs::read_dir(units.join(format!("{service}.service.d"))) {
        let mut dropped: Vec<PathBuf> = entries
            .take(MAX_FILES)
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|end| end == "conf"))
            .collect();
        dropped.sort();
        files.extend(dropped);
    }
    let mut found = BTreeMap::new();
    let mut named: Vec<String> = Vec::new();
    for file in files {
        let Some(text) = bounded(&file, MAX_UNIT) else {
            continue;
        };
        // A line that ends in a backslash goes on in the next one.
        let text = text.replace("\\\n", " ");
        for line in text.lines().map(str::trim) {
            if let Some(list) = line.strip_prefix("Environment=") {
                if list.trim().is_empty() {
                    found.clear();
                }
                found.extend(words(list).iter().filter_map(|word| assignment(word)));
            } else if let Some(path) = line.strip_prefix("EnvironmentFile=") {
                let path = path.trim().trim_start_matches(['-', '/']);
                if path.is_empty() {
                    named.clear();
                } else {
                    named.push(path.to_owned());
                }
            }
        }
    }
    for path in named {
        if let Some(text) = bounded(&root.join(path), MAX_UNIT) {
            let lines = text.lines().map(str::trim);
            let set = lines.filter(|line| !line.starts_with(['#', ';']));
            found.extend(set.filter_map(|line| {
                let (name, value) = assignment(line)?;
                Some((name, value.trim_matches(['"', '\'']).to_owned()))
            }));
        }
    }
    found
}

fn assignment(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (!name.is_empty() && name.bytes().all(sound)).then(|| (name.to_owned(), value.to_owned()))
}

/// Words between blanks; quotes of both kinds hold blanks together.
fn words(text: &str) -> Vec<String> {
    let (mut found, mut word) = (Vec::new(), String::new());
    let mut quote = None;
    for letter in text.chars() {
        match quote {
            Some(open) if letter == open => quote = None,
            None if matches!(letter, '"' | '\'') => quote = Some(letter),
            None if letter.is_whitespace() => {
                if !word.is_empty() {
                    found.push(std::mem::take(&mut word));
                }
            }
            Some(_) | None => word.push(letter),
        }
    }
    if !word.is_empty() {
        found.push(word);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_unit() {
        let table: [(&str, &[&str]); 4] = [
            ("A=1 B=2", &["A=1", "B=2"]),
            ("\"A=1 2\" 'B=\"3\"'", &["A=1 2", "B=\"3\""]),
            ("A=\"x y\"", &["A=x y"]),
            ("", &[]),
        ];
        for (text, want) in table {
            assert_eq!(words(text), want, "for {text:?}");
        }
    }

    #[test]
    fn later_units_win_an_empty_one_clears_and_files_win_over_units() {
        let root = tempfile::tempdir().unwrap();
        let units = root.path().join("etc/systemd/system/x.service.d");
        std::fs::create_dir_all(&units).unwrap();
        std::fs::create_dir_all(root.path().join("etc/default")).unwrap();
        std::fs::write(
            root.path().join("etc/default/x"),
            "# no\nNO_PROXY=\"a,b\"\n",
        )
        .unwrap();
        std::fs::write(
            root.path().join("etc/systemd/system/x.service"),
            "[Service]\nEnvironment=HTTPS_PROXY=one OTHER=1\n",
        )
        .unwrap();
        std::fs::write(
            units.join("20.conf"),
            "[Service]\nEnvironment=HTTPS_PROXY=two\nEnvironmentFile=-/etc/default/x\nEnvironmentFile=/etc/none\n",
        )
        .unwrap();
        std::fs::write(units.join("10.conf"), "[Service]\nEnvironment=\n").unwrap();
        std::fs::write(
            units.join("30.conf"),
            "[Service]\nEnvironment=NO_PROXY=late \\\n  \"THIRD=3 3\"\n",
        )
        .unwrap();
        std::fs::write(units.join("note.txt"), "Environment=HTTPS_PROXY=three\n").unwrap();
        let found: Vec<(String, String)> = variables(root.path(), "x").into_iter().collect();
        let want = [
            ("HTTPS_PROXY", "two"),
            ("NO_PROXY", "a,b"),
            ("THIRD", "3 3"),
        ];
        assert_eq!(
            found,
            want.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
