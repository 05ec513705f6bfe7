//! `cargo xtask scenario` as its users meet it: exit codes, texts, forms.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

fn xtask(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(arguments)
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn file(name: &str, text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::File::create(&path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

fn catalogue(id: &str) -> String {
    let path = format!(
        "{}/../scenarios/catalogue/{id}.yaml",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn without_arguments_it_says_what_there_is_and_plays_nothing() {
    let output = xtask(&["scenario"]);
    assert_eq!(output.status.code(), Some(3));
    let text = out(&output);
    for id in [
        "bad-tag",
        "missing-role",
        "firewall-block",
        "throttling",
        "cargo xtask scenario bad-tag",
    ] {
        assert!(text.contains(id), "{text}");
    }
}

#[test]
fn the_list_is_one_line_each() {
    let output = xtask(&["scenario", "--list"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(out(&output).lines().count() >= 4);
}

#[test]
fn one_scenario_is_told_in_full_and_without_colour_in_a_pipe() {
    let output = xtask(&["scenario", "bad-tag"]);
    let text = out(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in [
        "1 healthy",
        "6 verify",
        "tag-not-found",
        "kubectl set image",
        "PASSED bad-tag",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    assert!(!text.contains('\u{1b}'));
    assert_eq!(err(&output), "", "a pipe gets no progress");
}

#[test]
fn an_unknown_scenario_is_a_usage_error_with_the_nearest_name() {
    let output = xtask(&["scenario", "bad-tga"]);
    assert_eq!(output.status.code(), Some(2));
    let text = err(&output);
    assert!(
        text.contains("the nearest is `bad-tag`") && text.contains("throttling"),
        "{text}"
    );
}

#[test]
fn a_broken_file_is_shown_where_it_is_broken() {
    let broken = catalogue("bad-tag").replace("cause: tag-not-found", "cause: tag-not-fund");
    let (_folder, path) = file("bad-tag.yaml", &broken);
    let output = xtask(&["scenario", &path]);
    assert_eq!(output.status.code(), Some(2));
    let text = err(&output);
    assert!(
        text.contains("bad-tag.yaml:6:") && text.contains("tag-not-found"),
        "{text}"
    );
}

#[test]
fn an_unmet_expectation_stands_beside_what_was_seen() {
    let lying = catalogue("bad-tag").replace("cause: tag-not-found", "cause: firewall-drop");
    let (_folder, path) = file("bad-tag.yaml", &lying);
    let output = xtask(&["scenario", &path, "--quiet"]);
    let text = out(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("expected  firewall-drop") && text.contains("seen      tag-not-found"),
        "{text}"
    );
}

#[test]
fn what_failed_is_played_again_on_what_it_was_played_on() {
    let state = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .args(arguments)
            .env("PULLCHECK_STATE_DIR", state.path());
        command.output().unwrap()
    };
    let output = run(&["scenario", "--rerun-failed"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        err(&output).contains("nothing is known of a run before"),
        "{}",
        err(&output)
    );
    let lying = catalogue("bad-tag").replace("cause: tag-not-found", "cause: firewall-drop");
    let (_folder, path) = file("bad-tag.yaml", &lying);
    let first = run(&[
        "scenario",
        &path,
        "repository-typo",
        "--seed",
        "3",
        "--kubernetes",
        "1.32",
        "--quiet",
    ]);
    assert_eq!(first.status.code(), Some(1));
    // The file, not the scenario of the catalogue that has its id; the other one passed.
    let again = run(&["scenario", "--rerun-failed", "--quiet"]);
    let text = out(&again);
    assert_eq!(again.status.code(), Some(1), "{text}{}", err(&again));
    assert!(text.contains("0 passed, 1 failed"), "{text}");
    assert!(text.contains("--seed 3 --kubernetes 1.32"), "{text}");
    let output = run(&["scenario", "--rerun-failed", "--kubernetes", "1.30"]);
    assert_eq!(output.status.code(), Some(2));
}

#[cfg(unix)]
#[test]
fn what_only_a_real_cluster_has_is_refused_elsewhere() {
    for option in [
        &["--keep"][..],
        &["--suite", "trixie"],
        &["--jobs", "2"],
        &["--cluster", "mine"],
    ] {
        let mut arguments = vec!["scenario", "bad-tag"];
        arguments.extend(option);
        let output = xtask(&arguments);
        assert_eq!(output.status.code(), Some(2), "{option:?}");
        let want = format!("{} is for a real cluster", option[0]);
        assert!(err(&output).contains(&want), "{}", err(&output));
    }
}

#[test]
fn json_and_junit_are_forms_of_the_same_run() {
    let output = xtask(&["scenario", "bad-tag", "--output", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["schema"], "pullcheck.scenarios/1");
    assert_eq!(json["scenarios"][0]["cause"], "tag-not-found");
    assert_eq!(json["scenarios"][0]["verdict"], "blocked");
    assert_eq!(json["scenarios"][0]["passed"], true);
    let attempts = json["scenarios"][0]["attempts"].as_array().unwrap();
    assert!(attempts.len() >= 9);

    let output = xtask(&["scenario", "bad-tag", "--output", "junit"]);
    assert!(out(&output).starts_with("<?xml"));
}

#[test]
fn quiet_prints_only_the_count() {
    let output = xtask(&["scenario", "bad-tag", "--quiet"]);
    assert_eq!(out(&output), "1 passed, 0 failed, 0 skipped\n");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["scenario", "bad-tag"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""));
}

/// Ctrl-C ends a run at once, with the exit code that shells expect.
#[cfg(unix)]
#[test]
fn an_interrupted_run_exits_130() {
    // A thousand nodes take long enough to be interrupted.
    let long = catalogue("throttling")
        .replace("count: 30", "count: 1000")
        .replace("api: 31", "api: 1001");
    let (_folder, path) = file("throttling.yaml", &long);
    // A signal that comes before the handler is in place just kills: then once more, more patiently.
    let mut output = None;
    for patience in [700, 3_000, 10_000] {
        let ended = interrupted(&path, patience);
        let code = ended.status.code();
        output = Some(ended);
        if code.is_some() {
            break;
        }
    }
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", err(&output));
    assert!(err(&output).contains("interrupted"));
}

#[cfg(unix)]
fn interrupted(path: &str, after_ms: u64) -> Output {
    let child = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["scenario", path])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    #[expect(clippy::disallowed_methods, reason = "a real process on real time")]
    std::thread::sleep(std::time::Duration::from_millis(after_ms));
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    child.wait_with_output().unwrap()
}
