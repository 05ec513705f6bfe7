//! The pages that are generated from the code are those that are checked in. `UPDATE_DOCS=1` writes
//! them anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn pullcheck(arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pullcheck"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PULLCHECK_")) {
        command.env_remove(name);
    }
    command.args(arguments).output().expect("it runs")
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    folder
}

const FILES: [&str; 4] = [
    "causes.md",
    "cli.md",
    "schema/pullcheck.report-1.json",
    "schema/pullcheck.explain-jsonl.json",
];

#[test]
fn generated_pages_are_fresh() {
    let fresh = folder("docs");
    let output = pullcheck(&["docs", fresh.to_str().expect("a path")]);
    assert!(output.status.success(), "{output:?}");
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let update = std::env::var_os("UPDATE_DOCS").is_some();
    for file in FILES {
        let text = fs::read_to_string(fresh.join(file)).expect("it was written");
        if update {
            let path = kept.join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, &text).expect("it can be written");
        }
        let known = fs::read_to_string(kept.join(file)).unwrap_or_default();
        assert!(
            known == text,
            "docs/{file} is stale: UPDATE_DOCS=1 cargo test -p pullcheck --test docs"
        );
    }
}

/// Windows has no variables of this kind in its help, and file names are alike; the pages are the same.
#[test]
fn every_cause_has_its_section_with_question_and_remedy() {
    let fresh = folder("docs-causes");
    pullcheck(&["docs", fresh.to_str().expect("a path")]);
    let page = fs::read_to_string(fresh.join("causes.md")).expect("it was written");
    for cause in pullcheck::cause::Cause::ALL {
        let (_, section) = page
            .split_once(&format!("\n## {cause}\n"))
            .unwrap_or_else(|| panic!("{cause} has no section"));
        let section = section.split("\n## ").next().unwrap_or_default();
        assert!(section.contains(cause.evidence()), "{cause}");
        assert!(section.contains("**What to do:**"), "{cause}");
        for other in cause.look_alikes() {
            assert!(
                section.contains(other.question),
                "{cause} and {}",
                other.cause
            );
        }
    }
}

#[test]
fn a_manual_page_for_each_command() {
    let pages = folder("man");
    let output = pullcheck(&["man", pages.to_str().expect("a path")]);
    assert!(output.status.success(), "{output:?}");
    for name in [
        "pullcheck.1",
        "pullcheck-pod.1",
        "pullcheck-image.1",
        "pullcheck-explain.1",
    ] {
        let page = fs::read_to_string(pages.join(name)).expect(name);
        assert!(page.contains(".SH NAME"), "{name}");
    }
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = pullcheck(&["completions", shell]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("deployment"),
            "{shell}: {text}"
        );
    }
}

#[test]
fn examples_of_every_command_are_in_its_help() {
    for command in [
        "pod",
        "deployment",
        "image",
        "explain",
        "causes",
        "completions",
    ] {
        let output = pullcheck(&[command, "--help"]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("Examples:\n  "), "{command}: {text}");
    }
}

#[test]
fn forms_that_only_reports_have_are_refused_elsewhere() {
    let output = pullcheck(&["causes", "--output", "junit"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("--output text"), "{text}");
}

#[test]
fn options_come_from_the_environment() {
    let output = Command::new(env!("CARGO_BIN_EXE_pullcheck"))
        .args(["causes", "tag-not-found"])
        .env("PULLCHECK_OUTPUT", "json")
        .output()
        .expect("it runs");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        json.get("id").and_then(|id| id.as_str()),
        Some("tag-not-found")
    );
}

/// One line out of `explain --jsonl` for each message of the corpus holds to its schema.
#[test]
fn lines_of_explain_hold_to_their_schema() {
    let schema = pullcheck::report::explain_schema();
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let corpus = include_str!("../corpus/messages.jsonl");
    let mut out = Vec::new();
    pullcheck::explain::jsonl::run(corpus.as_bytes(), &mut out).expect("memory");
    let text = String::from_utf8(out).expect("text");
    assert!(text.lines().count() > 100);
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(validator.is_valid(&value), "{line}");
    }
    let wrong = serde_json::json!({"message": "x", "clue": "no-such-clue"});
    assert!(!validator.is_valid(&wrong));
}
