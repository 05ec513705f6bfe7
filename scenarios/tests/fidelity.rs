//! The embedded cluster is held to what real ones did: recordings of kind clusters, played again with the same
//! versions; and the comparison itself, on observations that are made up.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic, and says so best by doing it"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use pull_scenarios::Seconds;
use pull_scenarios::fidelity::{
    self, Asked, Aspect, Event, Explained, Observation, Row, Status, compare,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fidelity/recorded")
}

/// Every recording beside its play on the embedded cluster, on as many threads as there are cores.
static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let explained = Explained::checked_in().unwrap();
    let catalogue = pull_scenarios::catalogue::all().unwrap();
    let recordings = fidelity::recordings(&folder()).unwrap();
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut rows: Vec<(usize, Row)> = std::thread::scope(|scope| {
        let work = || {
            let mut mine = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(recorded) = recordings.get(at) else {
                    return mine;
                };
                let id = &recorded.header.scenario;
                let scenario = catalogue.iter().find(|one| one.id() == id);
                let scenario = scenario.unwrap_or_else(|| panic!("no scenario `{id}`"));
                mine.push((
                    at,
                    fidelity::hold(scenario, recorded, explained, 1).unwrap(),
                ));
            }
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    rows.sort_by_key(|(at, _)| *at);
    rows.into_iter().map(|(_, row)| row).collect()
});

#[test]
fn the_embedded_cluster_does_what_real_ones_did() {
    let rows = &*ROWS;
    let named = ["bad-tag", "firewall-block", "missing-role", "throttling"];
    for id in named {
        assert!(
            rows.iter().any(|row| row.scenario == id),
            "{id} is not recorded"
        );
    }
    let differ = rows.iter().any(|row| row.unexplained().next().is_some());
    assert!(!differ, "{}", fidelity::text(rows));
}

/// An entry that explains nothing any more is taken out; one that says that no recording shows it, is shown by none.
#[test]
fn every_explanation_is_needed() {
    let findings = || ROWS.iter().flat_map(|row| &row.findings);
    for entry in Explained::checked_in().unwrap().entries() {
        let used = findings().any(|finding| finding.explanation.as_ref() == Some(entry));
        assert_eq!(
            used,
            entry.unrecorded.is_none(),
            "explains {:?} of `{}`: {used}",
            entry.aspects,
            entry.what
        );
    }
}

/// Nothing is the same because there is nothing: a recording has all that is compared.
#[test]
fn no_recording_is_empty() {
    for recorded in fidelity::recordings(&folder()).unwrap() {
        let id = &recorded.header.scenario;
        let parts = [
            recorded.events.len(),
            recorded.statuses.len(),
            recorded.requests.len(),
        ];
        assert!(!parts.contains(&0), "{id}: {parts:?}");
        let mut events = recorded.events.iter();
        let again = events.any(|event| event.reason == "Pulling" && event.at.len() > 1);
        assert!(again, "{id}: no pull after another");
    }
}

/// A recording in which one text is another is not reproduced: the test above can fail.
#[test]
fn a_text_that_no_kubelet_wrote_is_found() {
    let recordings = fidelity::recordings(&folder()).unwrap();
    let bad_tag = recordings
        .iter()
        .find(|one| one.header.scenario == "bad-tag");
    let mut changed = bad_tag.unwrap().clone();
    let failed = changed
        .events
        .iter_mut()
        .find(|event| event.message.contains("Failed to pull"));
    let event = failed.unwrap();
    event.message = event.message.replace("not found", "not there");
    let catalogue = pull_scenarios::catalogue::all().unwrap();
    let scenario = catalogue.iter().find(|one| one.id() == "bad-tag").unwrap();
    let row = fidelity::hold(scenario, &changed, &Explained::default(), 1).unwrap();
    let found: Vec<_> = row
        .unexplained()
        .filter(|one| one.aspect == Aspect::Events)
        .collect();
    assert_eq!(
        found.len(),
        1,
        "{}",
        fidelity::text(std::slice::from_ref(&row))
    );
    assert!(found[0].real.as_ref().unwrap().contains("not there"));
    assert!(found[0].embedded.as_ref().unwrap().contains("not found"));
}

const fn at(seconds: u64) -> Seconds {
    Seconds(seconds * 1000)
}

fn event(object: &str, number: usize, reason: &str, message: &str, times: &[u64]) -> Event {
    Event {
        object: object.into(),
        number,
        type_: "Normal".into(),
        reason: reason.into(),
        message: message.into(),
        count: i32::try_from(times.len()).unwrap(),
        at: times.iter().copied().map(at).collect(),
    }
}

fn status(time: u64, state: &str, message: Option<&str>) -> Status {
    Status {
        at: at(time),
        pod: "web~1-<pod>".into(),
        number: 0,
        container: "web".into(),
        state: state.into(),
        message: message.map(Into::into),
    }
}

fn asked(time: u64, request: &str, accept: Option<&str>) -> Asked {
    Asked {
        at: at(time),
        node: "node-1".into(),
        request: request.into(),
        accept: accept.map(Into::into),
        range: None,
        authorization: "none".into(),
        status: Some(200),
    }
}

/// A pod that pulls, fails, waits and pulls again, for two minutes.
fn plain() -> Observation {
    let pod = "pod/web~1-<pod>";
    let mut plain = Observation {
        events: vec![
            event(pod, 0, "Pulling", "Pulling a", &[1, 15, 45]),
            event(pod, 0, "Failed", "no", &[2, 16, 46]),
            event(pod, 0, "BackOff", "wait", &[3, 28, 58, 70, 82, 94, 106]),
        ],
        statuses: vec![
            status(1, "ContainerCreating", None),
            status(2, "ErrImagePull", Some("no")),
            status(14, "ImagePullBackOff", Some("wait")),
        ],
        requests: vec![
            asked(1, "HEAD r/manifests/a", Some("x")),
            asked(1, "GET r/manifests/a", Some("x")),
            asked(1, "GET r/blobs/sha256:<digest>", None),
            asked(1, "GET r/blobs/sha256:<digest>", None),
        ],
        ..Observation::default()
    };
    plain.header.whole = at(120);
    plain
}

#[test]
fn what_is_a_difference_and_what_is_chance() {
    type Change = fn(&mut Observation);
    let table: [(&str, Change, &[Aspect]); 19] = [
        ("nothing", |_| {}, &[]),
        (
            "a message",
            |o| o.events[1].message = "No".into(),
            &[Aspect::Events],
        ),
        (
            "a type",
            |o| o.events[1].type_ = "Warning".into(),
            &[Aspect::Events],
        ),
        (
            "one that is missing",
            |o| drop(o.events.remove(1)),
            &[Aspect::Events],
        ),
        (
            "one more, at an age that the real one did not reach",
            |o| {
                o.events
                    .push(event("pod/web~1-<pod>", 0, "Started", "late", &[110]));
            },
            &[],
        ),
        (
            "one more, in the midst",
            |o| {
                o.events
                    .push(event("pod/web~1-<pod>", 0, "Started", "early", &[60]));
            },
            &[Aspect::Events],
        ),
        (
            "one more, at the very end",
            |o| {
                o.events
                    .push(event("deployment/web", 0, "Scaled", "down", &[119]));
            },
            &[],
        ),
        (
            "another order",
            |o| {
                o.events.swap(0, 1);
                o.events[0].at[0] = at(0);
            },
            &[Aspect::Order],
        ),
        (
            "an order that nobody can see",
            |o| o.events[2].at[0] = Seconds(1990),
            &[],
        ),
        (
            "a little more often",
            |o| o.events[2].at.extend([at(62), at(75)]),
            &[],
        ),
        (
            "much more often",
            |o| o.events[2].at.extend((60..68).map(at)),
            &[Aspect::Counts],
        ),
        (
            "more often, after the real one ended",
            |o| o.events[2].at.extend((108..118).map(at)),
            &[],
        ),
        (
            "a gap within the jitter",
            |o| o.events[0].at[2] = at(60),
            &[],
        ),
        (
            "a gap beyond it",
            |o| o.events[0].at[2] = at(70),
            &[Aspect::Gaps],
        ),
        (
            "a waiting message",
            |o| o.statuses[1].message = None,
            &[Aspect::Statuses],
        ),
        (
            "states in another order",
            |o| o.statuses.swap(1, 2),
            &[Aspect::Statuses],
        ),
        (
            "a header",
            |o| o.requests[1].accept = Some("y".into()),
            &[Aspect::Requests],
        ),
        (
            "requests in another order",
            |o| o.requests.swap(0, 1),
            &[Aspect::Requests],
        ),
        (
            "one request more often",
            |o| {
                o.requests
                    .push(asked(2, "GET r/blobs/sha256:<digest>", None));
            },
            &[Aspect::Requests],
        ),
    ];
    for (what, change, want) in table {
        let mut embedded = plain();
        change(&mut embedded);
        let found = compare(&plain(), &embedded);
        let aspects: BTreeSet<Aspect> = found.iter().map(|one| one.aspect).collect();
        assert_eq!(
            aspects,
            want.iter().copied().collect(),
            "{what}: {found:#?}"
        );
    }
}

/// Of several pods of one template each has its own chance: what one of them may do is no difference.
#[test]
fn pods_of_one_template_are_a_crowd() {
    let crowd = |counts: &[usize]| {
        let mut crowd = Observation::default();
        crowd.header.whole = at(600);
        for (number, count) in counts.iter().enumerate() {
            let times: Vec<u64> = (0..*count as u64).map(|at| at * 20).collect();
            let pod = event("pod/web~1-<pod>", number, "Pulling", "Pulling a", &times);
            crowd.events.push(pod);
            let last = event("pod/web~1-<pod>", number, "Started", "it runs", &[400]);
            crowd.events.push(last);
        }
        crowd
    };
    assert_eq!(compare(&crowd(&[1, 9, 4]), &crowd(&[2, 3])), []);
    assert_ne!(compare(&crowd(&[8, 9]), &crowd(&[1, 2])), []);
}

/// `docs/fidelity.md` is what the recordings say. `UPDATE_DOCS=1` writes it anew.
#[test]
fn the_page_is_what_the_recordings_say() {
    let mut page = String::from(include_str!("../fidelity/page.md"));
    page = page.replace("{{table}}\n", &fidelity::markdown(&ROWS));
    page = page.replace("{{older}}\n", &older());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/fidelity.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == page,
        "docs/fidelity.md is stale: UPDATE_DOCS=1 cargo test -p pull-scenarios --test fidelity"
    );
}

/// The recordings of single pulls that sim-cluster's own test plays, and those that it does not.
fn older() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/tests/observed");
    let text = std::fs::read_to_string(folder.join("not-reproduced.yaml")).unwrap();
    let left_out: BTreeMap<String, BTreeMap<String, String>> =
        serde_saphyr::from_str(&text).unwrap();
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    let mut out = String::from("| recorded on | recordings | reproduced |\n|---|---|---|\n");
    let (mut all, mut played) = (0, 0);
    for path in folders {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let count = std::fs::read_dir(&path).unwrap().count();
        let reproduced = count - left_out.get(&name).map_or(0, BTreeMap::len);
        let _ = writeln!(out, "| {name} | {count} | {reproduced} |");
        (all, played) = (all + count, played + reproduced);
    }
    let _ = writeln!(
        out,
        "| all | {all} | {played} ({:.1} %) |\n\nNot reproduced:\n\n| on | recording | why |\n|---|---|---|",
        f64::from(u32::try_from(played * 1000 / all).unwrap()) / 10.0
    );
    for (on, cases) in left_out {
        for (case, why) in cases {
            let _ = writeln!(out, "| {on} | {case} | {} |", why.trim());
        }
    }
    out
}
