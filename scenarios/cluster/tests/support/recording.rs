//! Recordings of real kubelets, and what makes them comparable: names, times, digests, addresses and
//! ports are replaced by what they are.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

pub(crate) struct Recording {
    pub(crate) value: Value,
}

impl Recording {
    pub(crate) fn load(folder: &str, case: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/observed")
            .join(folder)
            .join(format!("{case}.json"));
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self {
            value: serde_json::from_str(&text).unwrap(),
        }
    }

    /// Events as recorded at the end, without the scheduler's: reason, count, message.
    pub(crate) fn events(&self) -> Vec<(String, u64, String)> {
        let events = self.value["events"].as_array().unwrap();
        events
            .iter()
            .filter(|e| e["reason"] != "Scheduled")
            .map(|e| {
                let text = |name: &str| e[name].as_str().unwrap_or_default().to_owned();
                (
                    text("reason"),
                    e["count"].as_u64().unwrap_or_default(),
                    text("message"),
                )
            })
            .collect()
    }
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/observed")
        .join(name)
}

/// The recordings of a folder, by name.
pub(crate) fn names(name: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder(name)).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = files
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// Why recordings are not played, by folder and name.
pub(crate) fn not_reproduced() -> BTreeMap<String, BTreeMap<String, String>> {
    let text = std::fs::read_to_string(folder("not-reproduced.yaml")).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

/// Replaces what differs by nature.
pub(crate) fn normal(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let word = |rest: &str| {
            rest.find(|c: char| !c.is_ascii_alphanumeric())
                .unwrap_or(rest.len())
        };
        if let Some(after) = rest.strip_prefix("sha256:") {
            let n = word(after);
            out.push_str("sha256:<digest>");
            rest = &after[n..];
            continue;
        }
        let n = rest
            .find(|c: char| !(c.is_ascii_digit() || "-T:Z".contains(c)))
            .unwrap_or(rest.len());
        if n == 20 && rest[..n].contains('T') {
            out.push_str("<time>");
            rest = &rest[n..];
            continue;
        }
        let n = rest
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .unwrap_or(rest.len());
        if rest[..n].matches('.').count() == 3 {
            out.push_str("<address>");
            rest = &rest[n..];
            if let Some(after) = rest.strip_prefix(':') {
                let n = after
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(after.len());
                out.push_str(":<port>");
                rest = &after[n..];
            }
            continue;
        }
        if n > 0 {
            out.push_str(&rest[..n]);
            rest = &rest[n..];
            continue;
        }
        let c = rest.chars().next().unwrap();
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}
