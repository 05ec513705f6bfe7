//! Owners, conflicts, and what is dropped.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::set::Set;
use super::{Author, apply, update};

fn author(manager: &str) -> Author {
    Author {
        manager: manager.into(),
        api_version: "apps/v1".into(),
        subresource: String::new(),
        now: "2026-01-15T09:00:00Z".into(),
    }
}

fn deployment(spec: &Value) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" }, "spec": spec })
}

#[test]
fn what_is_said_no_more_goes_and_what_others_hold_stays() {
    let mut live = deployment(&json!({}));
    let containers = |image: &str| {
        json!({ "replicas": 2, "template": { "spec": { "containers": [
            { "name": "main", "image": image, "env": [{ "name": "A", "value": "1" }] },
            { "name": "side", "image": "s:1" }
        ] } } })
    };
    apply(
        &mut live,
        &deployment(&containers("m:1")),
        &author("one"),
        false,
    )
    .unwrap();
    let fields = live
        .pointer("/metadata/managedFields/0/fieldsV1/f:spec")
        .unwrap();
    assert_eq!(
        *fields,
        json!({ "f:replicas": {}, "f:template": { "f:spec": { "f:containers": {
            "k:{\"name\":\"main\"}": { ".": {}, "f:env": { "k:{\"name\":\"A\"}": { ".": {}, "f:name": {}, "f:value": {} } },
                "f:image": {}, "f:name": {} },
            "k:{\"name\":\"side\"}": { ".": {}, "f:image": {}, "f:name": {} }
        } } } })
    );
    // Another manager sets the image of the second container, as `kubectl set image` does.
    let old = live.clone();
    *live
        .pointer_mut("/spec/template/spec/containers/1/image")
        .unwrap() = "s:2".into();
    update(&old, &mut live, &author("two"));
    let less = deployment(
        &json!({ "template": { "spec": { "containers": [{ "name": "main", "image": "m:2" }] } } }),
    );
    apply(&mut live, &less, &author("one"), false).unwrap();
    assert_eq!(
        live["spec"],
        json!({ "template": { "spec": { "containers": [
            { "name": "main", "image": "m:2" }, { "name": "side", "image": "s:2" }
        ] } } })
    );
}

#[test]
fn a_conflict_is_told_and_can_be_forced() {
    let mut live = deployment(&json!({}));
    let wanted = |replicas: u32| deployment(&json!({ "replicas": replicas, "paused": true }));
    let created = wanted(1);
    let mut first = created.clone();
    update(&Value::Null, &mut first, &author("kubectl-create"));
    live.clone_from(&first);
    // The same value is no conflict, but shared.
    apply(&mut live, &wanted(1), &author("kubectl"), false).unwrap();
    assert_eq!(
        live["metadata"]["managedFields"].as_array().unwrap().len(),
        2
    );
    let before = live.clone();
    let error = apply(&mut live, &wanted(3), &author("kubectl"), false).unwrap_err();
    assert_eq!(live, before);
    assert_eq!((error.code, error.reason), (409, "Conflict"));
    assert_eq!(
        error.message,
        "Apply failed with 1 conflict: conflict with \"kubectl-create\" using apps/v1 at 2026-01-15T09:00:00Z: .spec.replicas"
    );
    apply(&mut live, &wanted(3), &author("kubectl"), true).unwrap();
    assert_eq!(live["spec"]["replicas"], 3);
    let owners: Vec<&str> = live["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry.pointer("/fieldsV1/f:spec/f:replicas").is_some())
        .filter_map(|entry| entry["manager"].as_str())
        .collect();
    assert_eq!(owners, ["kubectl"]);
}

#[test]
fn applying_again_changes_nothing() {
    let mut live = deployment(&json!({}));
    let config = deployment(
        &json!({ "replicas": 1, "template": { "metadata": { "labels": { "a": "b" } } } }),
    );
    apply(&mut live, &config, &author("one"), false).unwrap();
    let first = live.clone();
    let later = Author {
        now: "2026-01-15T10:00:00Z".into(),
        ..author("one")
    };
    apply(&mut live, &config, &later, false).unwrap();
    assert_eq!(live, first);
}

fn any_spec() -> impl Strategy<Value = Value> {
    let container =
        ("[ab]", "[xy]", proptest::option::of(80..82_u32)).prop_map(|(name, image, port)| {
            let mut container = json!({ "name": name, "image": image });
            if let Some(port) = port {
                container["ports"] = json!([{ "containerPort": port }]);
            }
            container
        });
    let containers = proptest::collection::vec(container, 1..3).prop_map(|mut all: Vec<Value>| {
        all.sort_by_key(|one| one["name"].to_string());
        all.dedup_by_key(|one| one["name"].to_string());
        all
    });
    (
        containers,
        proptest::option::of(0..3_u32),
        proptest::option::of("[pq]"),
    )
        .prop_map(|(containers, replicas, label)| {
            let mut spec = json!({ "containers": containers });
            if let Some(replicas) = replicas {
                spec["replicas"] = replicas.into();
            }
            if let Some(label) = label {
                spec["labels"] = json!({ label: "1" });
            }
            spec
        })
}

proptest! {
    #[test]
    fn sets_are_written_and_read_alike(spec in any_spec()) {
        let set = Set::of(&deployment(&spec));
        prop_assert_eq!(Set::read(&set.write()), set);
    }

    /// Whoever applies alone finds exactly what was said last, whatever was said before.
    #[test]
    fn one_manager_gets_what_it_says(first in any_spec(), second in any_spec()) {
        let start = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" } });
        let mut live = start.clone();
        apply(&mut live, &deployment(&first), &author("one"), false).unwrap();
        apply(&mut live, &deployment(&second), &author("one"), false).unwrap();
        let mut fresh = start;
        apply(&mut fresh, &deployment(&second), &author("one"), false).unwrap();
        prop_assert_eq!(Set::of(&live), Set::of(&fresh));
        prop_assert_eq!(Set::compare(&live, &fresh).0, Set::default());
    }

    /// After a forced apply everything said is there.
    #[test]
    fn force_wins(first in any_spec(), second in any_spec()) {
        let mut live = deployment(&first);
        update(&Value::Null, &mut live, &author("two"));
        apply(&mut live, &deployment(&second), &author("one"), true).unwrap();
        let said = Set::of(&deployment(&second));
        prop_assert!(said.0.is_subset(&Set::of(&live).0));
    }
}
