//! Whole workshop sessions, driven by lines as a class would type them.
//!
//! Those that repair with kubectl need one (or the one that `KUBECTL` names); without it they say that
//! they skip, and with `CI` set they fail instead.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod stock;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use stock::kubectl;

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn has(&self, text: &str) -> &Self {
        // Paragraphs are folded at the width of a page.
        let found = joined(&self.out).contains(&joined(text));
        assert!(found, "no `{text}` in\n{}\n{}", self.out, self.err);
        self
    }

    fn lacks(&self, text: &str) -> &Self {
        let found = joined(&self.out).contains(&joined(text));
        assert!(!found, "`{text}` in\n{}", self.out);
        self
    }
}

fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn command(state: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .arg("workshop")
        .args(arguments)
        .env("PULLCHECK_STATE_DIR", state)
        .env("HOME", "/nonexistent")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn session(state: &Path, arguments: &[&str], lines: &[&str]) -> Said {
    let mut child = command(state, arguments).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // A session that ends before its lines do closes the pipe.
    let _ = input.write_all((lines.join("\n") + "\n").as_bytes());
    drop(input);
    let output = child.wait_with_output().unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_whole_session_with_a_wrong_answer_a_hint_and_a_roll_back() {
    let Some(kubectl) = kubectl() else { return };
    let state = tempfile::tempdir().unwrap();
    let undo = format!("! {kubectl} rollout undo deployment/web");
    let get = format!("! {kubectl} get pods");
    let lines = [
        "status",
        &get,
        "answer repository-not-found",
        "hint",
        "answer the tag is not there",
        "mend",
        "answer tag-not-found",
        "check",
        &undo,
        "check",
    ];
    let said = session(state.path(), &["bad-tag", "--learner", "ann"], &lines);
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    said.has("ImagePullBackOff")
        .has("No. repository-not-found would mean")
        .has("Hint 1 of 3: The old pod still runs.")
        .has("Which one do you mean?")
        .has("Name the cause first")
        .has("Right: tag-not-found.")
        .has("Not mended, 10m later in the cluster")
        .has("Mended: the pods run, and nothing else is worse.")
        // The debrief: evidence of a real check, the twin and its words, the real times.
        .has("BLOCKED tag-not-found (at manifest): registry.example/team/web:v1.91")
        .has("GET v1.91 as anonymous: 404 MANIFEST_UNKNOWN")
        .has("`repository-typo` (A rollout names a repository that is not there) shows the same words")
        .has("pull 6  failed after 0.0s, not again within 5m")
        .has("went from registry.example/team/web:v1.91 to")
        .has("80 of 100: cause named, 1 wrong answer, 1 hint; mended in another way.");
    let before = said.out.split("Right: tag-not-found").next().unwrap();
    assert!(
        !before.contains("MANIFEST_UNKNOWN"),
        "the evidence comes last\n{before}"
    );
}

#[test]
fn the_remedy_is_a_repair_and_what_breaks_something_else_is_none() {
    let Some(kubectl) = kubectl() else { return };
    let state = tempfile::tempdir().unwrap();
    let run = |line: &str| format!("! {kubectl} {line}");
    let lines = [
        "answer tag-not-found".to_owned(),
        run("scale deployment/web --replicas=0"),
        "check".to_owned(),
        run("delete deployment web"),
        "check".to_owned(),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let said = session(state.path(), &["bad-tag", "--learner", "ann"], &lines);
    assert_eq!(said.code, Some(1), "it was left");
    said.has("deployment/web wants 0 replicas; it wanted 1")
        .has("deployment/web is gone")
        .lacks("Mended")
        .has("What you have is kept: 50 of 100");

    let lines = [
        run("cordon node-1"),
        run("rollout undo deployment/web"),
        "check".to_owned(),
        run("uncordon node-1"),
        "ask untag: { host: registry.example, image: \"team/web:v1.9\" }".to_owned(),
        "check".to_owned(),
        "ask push: { host: registry.example, image: \"team/web:v1.9 linux/amd64,linux/arm64 2x64KiB\" }".to_owned(),
        format!("{kubectl} -n default set image deployment/web web=registry.example/team/web:v1.9"),
        "check".to_owned(),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let said = session(state.path(), &["bad-tag", "--learner", "ann"], &lines);
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    said.has("node-1 takes no new pods")
        .has("the registry has no registry.example/team/web:v1.9 any more")
        .has("100 of 100: cause named, 0 wrong answers, 0 hints; mended by the remedy.");
}

#[test]
fn what_only_others_can_do_is_asked_for() {
    let state = tempfile::tempdir().unwrap();
    let open = "ask firewall: { node: node-2, to: registry.example, action: open }";
    let lines = [
        "others",
        "accounts",
        "ask 4711",
        "ask set-image: { deployment/web: x }",
        "ask firewall: { to: nowhere.example, action: open }",
        "wait 2m",
        "wait for it",
        "frobnicate",
        open,
        "check",
        "answer firewall drop",
    ];
    let said = session(
        state.path(),
        &["firewall-block", "--learner", "bob"],
        &lines,
    );
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    said.has("the network: nothing stands in the way of registry.example:443 on any node")
        .has("There is no number 4711")
        .has("that is for kubectl or az")
        .has("there is no host `nowhere.example`")
        .has("2m have passed in the cluster")
        .has("How long?")
        .has("`frobnicate` is nothing that is known here")
        .has("What was the cause?")
        .has("after the repair: the kubelet waits for its back-off")
        .has("100 of 100");
}

#[test]
fn a_course_goes_on_where_it_was_left() {
    let state = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let course = folder.path().join("mine.yaml");
    let text = "id: mine\ntitle: Mine\nabout: Two.\nlessons:\n  - { scenario: firewall-block, minutes: 5, trainer: - }\n  \
                - { scenario: dns-silent, minutes: 5, trainer: - }\n";
    let text = text.replace("trainer: -", "trainer: none");
    std::fs::write(&course, &text).unwrap();
    let course = course.to_str().unwrap();
    let arguments = ["--course", course, "--learner", "eve"];

    let said = session(state.path(), &arguments, &["hint", "skip", "hint", "quit"]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    said.has("Lesson 1 of 2")
        .has("Debrief: firewall-block")
        .has("Lesson 2 of 2")
        .has("What you have is kept: 0 of 100: cause not named, 0 wrong answers, 1 hint; not mended.");

    let listed = session(
        state.path(),
        &["--course", course, "--learner", "eve", "--list"],
        &[],
    );
    assert_eq!(listed.code, Some(0));
    listed
        .has("firewall-block: 0 of 100")
        .has("begun")
        .lacks("dns-silent");

    let lines = ["answer dns timeout", "mend"];
    let said = session(state.path(), &arguments, &lines);
    assert_eq!(
        said.code,
        Some(1),
        "the first one was given up\n{}",
        said.err
    );
    said.lacks("Lesson 1 of 2")
        .has("That was the course.")
        .has("50 of 100: cause named, 0 wrong answers, 1 hint; mended by the file.");

    let said = session(
        state.path(),
        &["--course", course, "--learner", "eve", "--again"],
        &["quit"],
    );
    said.has("Lesson 1 of 2");

    std::fs::write(course, text.replace("dns-silent", "dns-silnt")).unwrap();
    let said = session(state.path(), &arguments, &[]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.err.contains("mine.yaml:6:")
            && said.err.contains("the nearest scenario is `dns-silent`"),
        "{}",
        said.err
    );
}

/// A session that waits, and the file with its variables.
struct Running {
    child: Child,
    env: PathBuf,
}

impl Running {
    fn start(state: &Path, learner: &str) -> Self {
        let mut child = command(state, &["bad-tag", "--learner", learner])
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let mut lines = lines.map(Result::unwrap);
        let env = lines
            .find_map(|line| line.trim().strip_prefix(". ").map(PathBuf::from))
            .unwrap();
        Self { child, env }
    }
}

#[test]
fn several_learners_do_not_meet_and_an_interrupt_leaves_nothing_behind() {
    let state = tempfile::tempdir().unwrap();
    let (ann, bob) = (
        Running::start(state.path(), "ann"),
        Running::start(state.path(), "bob"),
    );
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    assert_ne!(ann.env, bob.env);
    let folder = |env: &Path| env.parent().unwrap().to_owned();
    let (of_ann, of_bob) = (
        read(&folder(&ann.env).join("kubeconfig")),
        read(&folder(&bob.env).join("kubeconfig")),
    );
    let server = |text: &str| {
        text.lines()
            .find(|line| line.contains("server:"))
            .unwrap()
            .to_owned()
    };
    assert_ne!(server(&of_ann), server(&of_bob));

    let twice = session(state.path(), &["bad-tag", "--learner", "ann"], &[]);
    assert_eq!(twice.code, Some(2));
    assert!(
        twice.err.contains("a session of ann is running"),
        "{}",
        twice.err
    );

    for (mut one, signal) in [(ann, "-INT"), (bob, "-HUP")] {
        let id = one.child.id().to_string();
        // Held open: waiting closes it, and the end of the input would end the session too.
        let _input = one.child.stdin.take();
        let killed = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(killed.success());
        assert_eq!(one.child.wait().unwrap().code(), Some(130));
        assert!(
            !folder(&one.env).exists(),
            "the folder goes with the session"
        );
    }
    let again = session(state.path(), &["bad-tag", "--learner", "ann"], &["quit"]);
    assert_eq!(again.code, Some(1), "{}", again.err);
}

#[test]
fn what_is_asked_wrongly_is_said() {
    let state = tempfile::tempdir().unwrap();
    let table: &[(&[&str], &str)] = &[
        (&["bad-tga"], "the nearest is `bad-tag`"),
        (&["--course", "advanced-nothing"], "there are: basics"),
        (&["bad-tag", "--learner", "../x"], "no name of a learner"),
        (&["bad-tag", "--speed", "fast"], "is no speed"),
    ];
    for (arguments, want) in table {
        let said = session(state.path(), arguments, &[]);
        assert_eq!(said.code, Some(2), "{arguments:?}");
        assert!(said.err.contains(want), "{arguments:?}: {}", said.err);
    }
}
