//! docs/scenarios.md, docs/schema/scenario.json and the course in docs/workshop.md are what the code makes
//! of them. `UPDATE_DOCS=1` writes them anew.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use pull_scenarios::workshop::courses;
use pull_scenarios::{catalogue, pages, schema};
use serde_json::Value;

fn docs(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(file)
}

fn fresh(file: &str, text: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(docs(file), text).unwrap();
    }
    // Git on Windows may have changed the ends of lines.
    let kept = fs::read_to_string(docs(file))
        .unwrap_or_default()
        .replace("\r\n", "\n");
    assert!(
        kept == text,
        "docs/{file} is stale: UPDATE_DOCS=1 cargo test -p pull-scenarios --test docs"
    );
}

#[test]
fn the_page_of_scenarios_is_fresh_and_whole() {
    let catalogue = catalogue::all().unwrap();
    let page = pages::scenarios(&catalogue);
    for one in &catalogue {
        let id = one.id();
        let section = page.split_once(&format!("\n## {id}\n")).unwrap().1;
        let section = section.split("\n## ").next().unwrap();
        assert!(section.contains(one.cause.value.as_str()), "{id}");
        assert!(page.contains(&format!("| [{id}](#{id}) |")), "{id}");
        if let Some(twin) = &one.twin {
            assert!(
                page.contains(&format!("\n## {}\n", twin.scenario.value)),
                "{id}"
            );
        }
    }
    fresh("scenarios.md", &page);
}

#[test]
fn the_course_of_the_trainers_guide_is_fresh() {
    let course = courses::find("basics").unwrap().unwrap();
    let table = pages::lessons(&course, &catalogue::all().unwrap());
    let (begin, end) = (
        "<!-- begin: course basics -->\n",
        "<!-- end: course basics -->",
    );
    let kept = fs::read_to_string(docs("workshop.md"))
        .unwrap()
        .replace("\r\n", "\n");
    let (before, rest) = kept.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    fresh(
        "workshop.md",
        &format!("{before}{begin}{table}{end}{after}"),
    );
}

#[test]
fn the_schema_is_fresh() {
    let text = serde_json::to_string_pretty(&schema::schema()).unwrap() + "\n";
    fresh("schema/scenario.json", &text);
}

#[test]
fn the_example_of_a_project_is_the_one_that_is_tested() {
    let page = fs::read_to_string(docs("ci.md"))
        .unwrap()
        .replace("\r\n", "\n");
    let tested = include_str!("own_project.rs").replace("\r\n", "\n");
    assert!(page.contains(&format!("```rust\n{tested}```\n")));
}

fn as_json(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

#[test]
fn every_file_of_the_catalogue_is_valid_and_unknown_keys_are_not() {
    let schema = schema::schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for id in catalogue::ids() {
        let text = common::file(id);
        let value = as_json(&text);
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path))
            .collect();
        assert!(errors.is_empty(), "{id}: {}", errors.join("\n"));
        // The same key in every object that is not keyed by names: neither the loader nor the schema takes it.
        for path in [
            "",
            "/registries/0",
            "/cluster",
            "/acts",
            "/acts/healthy",
            "/acts/observe",
            "/acts/observe/expect",
            "/acts/diagnose",
            "/acts/break/0",
        ] {
            let mut wrong = value.clone();
            let Some(object) = wrong.pointer_mut(path).and_then(Value::as_object_mut) else {
                continue;
            };
            object.insert("surprise".to_owned(), true.into());
            assert!(
                !validator.is_valid(&wrong),
                "{id}: an unknown key at `{path}`"
            );
            let text = wrong.to_string();
            assert!(
                pull_scenarios::spec::parse("wrong", &text).is_err(),
                "{id}: an unknown key at `{path}`"
            );
        }
    }
}

#[test]
fn what_a_schema_can_see_it_sees() {
    let schema = schema::schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let good = common::file("bad-tag");
    let table = [
        ("cause: tag-not-found", "cause: tag-not-fund"),
        ("stage: manifest", "stage: manifesto"),
        ("verdict: blocked", "verdict: maybe"),
        ("  nodes: 1", "  nodes: many"),
        ("ask: deployment/web", "ask: web"),
        (
            "apply-remedy: kubectl set image",
            "apply-remedy: kubectl make it work",
        ),
        ("id: bad-tag", "id: Bad Tag"),
        ("access: anonymous-token", "access: everyone"),
    ];
    assert!(validator.is_valid(&as_json(&good)));
    for (from, to) in table {
        assert!(good.contains(from), "{from}");
        assert!(
            !validator.is_valid(&as_json(&good.replace(from, to))),
            "{to}"
        );
    }
}
