//! What the program on a node prints, a line of JSON at a time, and how it is read.
//!
//! The reader believes nothing but the form: at most [`MAX_HEARD`] bytes, every fact read by itself and those that
//! it does not know passed over (a newer program may see more), and all of it seen from the node that the cluster
//! says the container ran on, whatever the lines claim.

use std::collections::BTreeMap;

use serde::Deserialize as _;
use serde_json::{Value, json};

use super::load::LoadSeen;
use crate::evidence::{Evidence, Fact};
use crate::wire::Excerpt;
use crate::world::Vantage;

/// The form of the lines.
const FORM: &str = "nodes/1";
/// Bytes that are read of one node's output.
pub const MAX_HEARD: usize = 4 * 1024 * 1024;
/// Notes that are kept.
const NOTES: usize = 20;

/// What one node told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    /// What its probe saw, by image as written.
    pub images: BTreeMap<String, Evidence>,
    /// What it has to say besides: files that it could not read.
    pub notes: Vec<String>,
    /// What came of a load.
    pub load: Option<LoadSeen>,
    /// Whether it got to its end.
    pub complete: bool,
}

impl Heard {
    /// Reads what was printed on `node`; none when it is not the program's.
    pub fn read(text: &str, node: &str) -> Option<Self> {
        let vantage = Vantage::node(node);
        let mut heard = Self::default();
        let mut ours = false;
        let mut unknown = 0_usize;
        for line in text.lines() {
            let Ok(Value::Object(line)) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            if let Some(form) = line.get("pullcheck") {
                ours |= form == FORM;
            }
            if !ours {
                continue;
            }
            if let (Some(Value::String(image)), Some(Value::Array(facts))) =
                (line.get("image"), line.get("evidence"))
            {
                let mut known: Vec<Fact> = Vec::new();
                for fact in facts {
                    match Fact::deserialize(fact) {
                        Ok(fact) => known.push(fact),
                        Err(_) => unknown += 1,
                    }
                }
                let seen: Evidence = known.into_iter().collect();
                heard.images.insert(image.clone(), seen.seen_from(&vantage));
            }
            if let Some(Value::String(note)) = line.get("note")
                && heard.notes.len() < NOTES
            {
                heard.notes.push(Excerpt::new(note).as_str().to_owned());
            }
            if let Some(load) = line.get("load") {
                heard.load = LoadSeen::read(load);
            }
            heard.complete |= line.get("end") == Some(&Value::Bool(true));
        }
        if unknown > 0 {
            heard.notes.push(format!(
                "{unknown} facts were not understood: the program there is of another version"
            ));
        }
        ours.then_some(heard)
    }
}

/// The first line.
pub(super) fn head() -> String {
    json!({ "pullcheck": FORM, "version": env!("CARGO_PKG_VERSION") }).to_string()
}

pub(super) fn note(text: &str) -> String {
    json!({ "note": text }).to_string()
}

pub(super) fn image(written: &str, evidence: &Evidence) -> String {
    json!({ "image": written, "evidence": evidence }).to_string()
}

pub(super) fn load(seen: &LoadSeen) -> String {
    json!({ "load": seen }).to_string()
}

pub(super) fn end() -> String {
    json!({ "end": true }).to_string()
}
