//! The explainer against real messages: how often it answers as the corpus is labelled.
//!
//! The figures are floors that must not be lost. A second test changes every host, name, digest and
//! number in every message: what is told must not hang on them.

#![allow(
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may panic"
)]

use pullcheck::cause::Cause;
use pullcheck::clue::Clue;
use pullcheck::explain::{Explanation, explain};
use serde_json::Value;
use std::fmt::Write as _;

struct Row {
    id: String,
    message: String,
    clue: Clue,
    also: Vec<Clue>,
    stage: String,
}

fn rows() -> Vec<Row> {
    let text = include_str!("../corpus/messages.jsonl");
    let clue = |value: &Value| {
        let id = value.as_str().expect("a clue is a text");
        Clue::from_id(id).unwrap_or_else(|| panic!("unknown clue {id}"))
    };
    text.lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).expect("a row is JSON");
            Row {
                id: row["id"].as_str().expect("id").to_owned(),
                message: row["message"].as_str().expect("message").to_owned(),
                clue: clue(&row["clue"]),
                also: row["also"]
                    .as_array()
                    .expect("also")
                    .iter()
                    .map(clue)
                    .collect(),
                stage: row["stage"].as_str().expect("stage").to_owned(),
            }
        })
        .collect()
}

#[derive(Default, Debug)]
struct Score {
    rows: usize,
    exact: usize,
    admitted: usize,
    certain: usize,
    certain_wrong: usize,
    stage: usize,
}

fn score(rows: &[Row], mut seen: impl FnMut(&Row, &Explanation)) -> Score {
    let mut score = Score::default();
    for row in rows {
        let told = explain(&row.message);
        assert!(told.also.len() <= 3, "{}", row.id);
        assert!(!told.also.contains(&told.clue), "{}", row.id);
        let exact = told.clue == row.clue;
        score.rows += 1;
        score.exact += usize::from(exact);
        score.admitted += usize::from(exact || row.also.contains(&told.clue));
        score.certain += usize::from(told.certain);
        score.certain_wrong += usize::from(told.certain && !exact);
        score.stage += usize::from(told.stage.id() == row.stage);
        seen(row, &told);
    }
    score
}

#[test]
fn the_corpus_is_read_as_it_is_labelled() {
    let mut wrong = String::new();
    let score = score(&rows(), |row, told| {
        if told.clue != row.clue {
            let also: Vec<_> = row.also.iter().map(|clue| clue.id()).collect();
            let _ = write!(
                wrong,
                "{} {}: told {} {:?} (certain {}), labelled {} {also:?}\n    {:.300}\n",
                row.id,
                row.stage,
                told.clue,
                told.also.iter().map(|c| c.id()).collect::<Vec<_>>(),
                told.certain,
                row.clue,
                row.message
            );
        }
    });
    println!("{score:?}\n{wrong}");
    let per_mille = |part: usize| part * 1000 / score.rows;
    assert!(per_mille(score.exact) >= 970, "exact: {score:?}\n{wrong}");
    assert!(
        per_mille(score.admitted) >= 995,
        "with `also`: {score:?}\n{wrong}"
    );
    assert!(per_mille(score.certain) >= 600, "certain: {score:?}");
    assert_eq!(score.certain_wrong, 0, "{score:?}\n{wrong}");
}

/// Words that a name may be, and that mean something elsewhere in a message.
const NASTY: &[&str] = &[
    "denied",
    "eof",
    "unauthorized",
    "manifest-unknown",
    "timeout",
    "x509",
    "toomanyrequests",
    "refused",
    "lookup",
    "not-found",
    "blob",
    "token",
    "errimagepull",
    "canceled",
    "proxy",
    "429",
    "500",
    "latest",
    "io",
    "tls",
];

/// Parts of URLs and names that are grammar, not names.
const GRAMMAR: &[&str] = &[
    "http",
    "https",
    "docker",
    "oci",
    "v0",
    "v1",
    "v2",
    "manifests",
    "blobs",
    "blob",
    "sha256",
    "token",
    "oauth2",
    "exchange",
    "scope",
    "service",
    "ns",
    "repository",
    "pull",
    "account",
    "jwt",
    "auth",
    "443",
    "80",
    "53",
    "_ping",
    "repositories",
    "images",
    "com",
    "io",
    "localhost",
    "registry-v2",
    "data",
    "latest",
    "library",
    "http+docker",
];

fn pick(part: &str, seed: u64, words: &[&str]) -> String {
    let hash = part
        .bytes()
        .fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    if part.len() >= 32 && part.bytes().all(|b| b.is_ascii_hexdigit()) {
        return part
            .chars()
            .rev()
            .map(|c| if c == '0' { 'f' } else { c })
            .collect();
    }
    if part.bytes().all(|b| b.is_ascii_digit()) {
        return (1000 + hash % 8999).to_string();
    }
    if words.is_empty() {
        let letters = b"abcdefghijklmnopqrstuvwxyz";
        return (0..6)
            .map(|at| char::from(letters[(hash >> (at * 8)) as usize % 26]))
            .collect();
    }
    words[hash as usize % words.len()].to_owned()
}

/// Swaps the parts of a URL, a reference or a host name.
fn swap_name(name: &str, seed: u64, words: &[&str]) -> String {
    let mut out = String::new();
    let mut part = String::new();
    let flush = |part: &mut String, out: &mut String| {
        let keep = part.is_empty() || GRAMMAR.contains(&part.to_ascii_lowercase().as_str());
        *out += &if keep {
            part.clone()
        } else {
            pick(part, seed, words)
        };
        part.clear();
    };
    for c in name.chars() {
        if c.is_alphanumeric() || c == '_' {
            part.push(c);
        } else {
            flush(&mut part, &mut out);
            out.push(c);
        }
    }
    flush(&mut part, &mut out);
    out
}

/// A host with a dot in it, with or without a path, or a URL.
fn is_name(word: &str) -> bool {
    let keep = [
        "vnd.",
        "Client.",
        "data[",
        "DockerConfig",
        ".conf",
        ".toml",
        "\\",
        "connaisseur",
        ".sock",
        "kubelet.k8s.io",
    ];
    if keep.iter().any(|part| word.contains(part)) || word.contains('=') && !word.contains("://") {
        return false;
    }
    let host = word
        .split("://")
        .last()
        .unwrap_or("")
        .split(['/', ':'])
        .next()
        .unwrap_or("");
    let labels: Vec<&str> = host.split('.').collect();
    word.contains("://")
        || host == "localhost"
        || word.starts_with("[::1]:")
        || labels.len() >= 2
            && labels.iter().all(|label| {
                !label.is_empty()
                    && label
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            })
}

/// Every host, name, digest and number of the message replaced by another.
fn swapped(message: &str, seed: u64, words: &[&str]) -> String {
    let mut out = String::new();
    for word in message.split_inclusive([' ', '"', '\n', '(', ')', '\'', ',', '>']) {
        let body = word.trim_end_matches([' ', '"', '\n', '(', ')', '\'', ',', '>']);
        let end = &word[body.len()..];
        let core = body.trim_end_matches([':', '.']);
        let tail = &body[core.len()..];
        let digest = core.contains("sha256:") && core.len() > 40;
        let number = core.len() >= 4 && core.bytes().all(|b| b.is_ascii_digit());
        if is_name(core) || digest || number {
            out += &swap_name(core, seed, words);
        } else {
            out += core;
        }
        out += tail;
        out += end;
    }
    out
}

#[test]
fn names_and_numbers_do_not_matter() {
    let mut changed = 0;
    let mut wrong = String::new();
    for row in rows() {
        let told = explain(&row.message);
        for (seed, words) in [(1, &[][..]), (2, NASTY), (3, NASTY), (4, NASTY)] {
            let other = swapped(&row.message, seed, words);
            changed += usize::from(other != row.message);
            let again = explain(&other);
            if (again.clue, again.certain) != (told.clue, told.certain) {
                let _ = write!(
                    wrong,
                    "{}: {} {} became {} {}\n    {other:.300}\n",
                    row.id, told.clue, told.certain, again.clue, again.certain
                );
            }
        }
    }
    assert!(changed > 600, "the swap does something: {changed}");
    assert!(wrong.is_empty(), "{wrong}");
}

struct Recording {
    id: String,
    messages: Vec<String>,
    clues: Vec<Clue>,
    causes: Vec<Cause>,
}

fn recordings() -> Vec<Recording> {
    let texts = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .expect("a list")
            .iter()
            .map(|item| item.as_str().expect("a text").to_owned())
            .collect()
    };
    include_str!("../corpus/observed.jsonl")
        .lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).expect("a row is JSON");
            Recording {
                id: row["id"].as_str().expect("id").to_owned(),
                messages: said(&row),
                clues: texts(&row["clues"])
                    .iter()
                    .map(|id| Clue::from_id(id).expect("a clue"))
                    .collect(),
                causes: texts(&row["causes"])
                    .iter()
                    .map(|id| Cause::from_id(id).expect("a cause"))
                    .collect(),
            }
        })
        .collect()
}

/// Every text of a recording: of events that tell of trouble, of waiting containers, of earlier moments.
fn said(row: &Value) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut put = |text: Option<&str>| {
        if let Some(text) = text.filter(|text| !found.iter().any(|known| known == text)) {
            found.push(text.to_owned());
        }
    };
    for event in row["events"].as_array().expect("a list") {
        let troubles = [
            "Failed",
            "FailedCreatePodSandBox",
            "FailedToRetrieveImagePullSecret",
            "BackOff",
            "InspectFailed",
            "ErrImageNeverPull",
        ];
        if troubles.contains(&event["reason"].as_str().expect("a reason")) {
            put(event["message"].as_str());
        }
    }
    for list in ["initContainerStatuses", "containerStatuses"] {
        for one in row["status"][list].as_array().into_iter().flatten() {
            put(one["state"]["waiting"]["message"].as_str());
        }
    }
    for text in row["more"].as_array().expect("a list") {
        put(text.as_str());
    }
    found
}

#[test]
fn recordings_of_real_kubelets_are_read_as_they_are_labelled() {
    let silent = [Clue::BackOffOnly, Clue::Unknown];
    let mut wrong = String::new();
    for recording in recordings() {
        if recording.clues.is_empty() {
            continue;
        }
        for message in &recording.messages {
            let told = explain(message);
            if !silent.contains(&told.clue) && !recording.clues.contains(&told.clue) {
                let _ = writeln!(wrong, "{}: {} for {message:.300}", recording.id, told.clue);
            }
        }
        // As kubectl prints them, all at once.
        let mut rows = String::new();
        for message in &recording.messages {
            let _ = writeln!(
                rows,
                "  Warning  Failed  2m (x4 over 3m)  kubelet  {message}"
            );
        }
        let told = explain(&rows);
        if !recording.clues.contains(&told.clue) {
            let _ = writeln!(wrong, "{}: {} for all", recording.id, told.clue);
        }
        if let Some(cause) = recording.causes.first()
            && !told.causes.contains(cause)
        {
            let _ = writeln!(
                wrong,
                "{}: {cause} is not among {:?} of {}",
                recording.id, told.causes, told.clue
            );
        }
        if told.certain && !recording.clues.contains(&told.clue) {
            let _ = writeln!(
                wrong,
                "{}: certain of {}, not {:?}",
                recording.id, told.clue, recording.clues
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// A message that was cut may tell less, but what it is certain of must still be right.
#[test]
fn a_cut_message_is_not_certain_of_something_else() {
    let mut asked = 0;
    let mut wrong = String::new();
    for row in rows() {
        let whole = explain(&row.message);
        for (end, _) in row.message.char_indices().step_by(5) {
            let told = explain(&row.message[..end]);
            asked += 1;
            let right = told.clue == row.clue
                || row.also.contains(&told.clue)
                || whole.also.contains(&told.clue);
            // Cut behind the name, a back-off is whole again.
            let whole_again = told.clue == Clue::BackOffOnly && row.message[..end].ends_with('"');
            if told.certain && !right && !whole_again {
                let _ = writeln!(
                    wrong,
                    "{}: {} for {:?}",
                    row.id,
                    told.clue,
                    &row.message[..end]
                );
            }
        }
    }
    println!("{asked} cuts, {} certain and wrong", wrong.lines().count());
    assert!(wrong.is_empty(), "{wrong:.6000}");
}

/// Messages that no rule was written for: taken from public threads and labelled by hand, before the
/// explainer had seen them. The floor is what it reached then; rules are not made for single rows here.
#[test]
fn messages_from_the_field_are_read() {
    let (mut all, mut exact, mut near) = (0, 0, 0);
    let mut wrong = String::new();
    for line in include_str!("../corpus/field.jsonl").lines() {
        let row: Value = serde_json::from_str(line).expect("a row is JSON");
        let text = |name: &str| row[name].as_str().expect("a text").to_owned();
        let also: Vec<&str> = row["also"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let told = explain(&text("message"));
        all += 1;
        let is_exact = told.clue.id() == text("clue");
        let is_near = is_exact || also.contains(&told.clue.id());
        exact += usize::from(is_exact);
        near += usize::from(is_near);
        if !is_exact {
            let _ = writeln!(
                wrong,
                "{}: {} ({}) for {}",
                text("id"),
                told.clue,
                if told.certain { "certain" } else { "likely" },
                text("clue")
            );
        }
        if told.certain && !is_near {
            let _ = writeln!(wrong, "{}: certain and wrong", text("id"));
        }
    }
    println!("{exact} exact, {near} counting `also`, of {all}\n{wrong}");
    assert!(
        all >= 37 && exact * 100 >= all * FIELD_EXACT && near * 100 >= all * FIELD_NEAR,
        "{exact} and {near} of {all}:\n{wrong}"
    );
    assert!(!wrong.contains("certain and wrong"), "{wrong}");
}

/// Per cent of the field's messages that must be read exactly, and so that `also` counts.
const FIELD_EXACT: usize = 91;
const FIELD_NEAR: usize = 94;
