use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use tokio::time::timeout;

use super::*;

fn store() -> Store {
    Store::new(Clock::default(), Seed::new(1))
}

fn pod(name: &str) -> Value {
    json!({ "metadata": { "name": name, "namespace": "default" }, "spec": { "nodeName": "" } })
}

#[tokio::test(start_paused = true)]
async fn a_new_object_gets_what_every_object_has() {
    let store = store();
    let made = store.create(Kind::Pod, pod("web")).unwrap();
    assert_eq!(made["kind"], "Pod");
    assert_eq!(made["apiVersion"], "v1");
    assert_eq!(
        made["metadata"]["creationTimestamp"],
        "2026-01-15T09:00:00Z"
    );
    assert_eq!(made["metadata"]["resourceVersion"], "2");
    assert_eq!(made["metadata"]["generation"], 1);
    assert_eq!(made["metadata"]["uid"].as_str().unwrap().len(), 36);
    assert_eq!(store.get(Kind::Pod, "default", "web"), Some(made));
    let error = store.create(Kind::Pod, pod("web")).unwrap_err();
    assert_eq!(error.message, r#"pods "web" already exists"#);
    assert_eq!((error.code, error.reason), (409, "AlreadyExists"));

    let generated = json!({ "metadata": { "generateName": "web-", "namespace": "default" } });
    let one = store.create(Kind::Pod, generated.clone()).unwrap();
    let two = store.create(Kind::Pod, generated).unwrap();
    assert_ne!(one["metadata"]["name"], two["metadata"]["name"]);
    assert_eq!(one["metadata"]["name"].as_str().unwrap().len(), 9);
    assert!(store.create(Kind::Pod, json!({})).is_err());
    assert!(store.create(Kind::Pod, json!([])).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_stale_write_is_a_conflict_and_an_equal_one_is_none() {
    let store = store();
    let first = store.create(Kind::Pod, pod("web")).unwrap();
    let mut second = first.clone();
    second["spec"]["nodeName"] = "node-1".into();
    let bound = store.replace(Kind::Pod, second).unwrap();
    assert_eq!(bound["metadata"]["generation"], 1, "binding is no change");
    let mut second = bound;
    second["spec"]["activeDeadlineSeconds"] = 5.into();
    let second = store.replace(Kind::Pod, second).unwrap();
    assert_eq!(second["metadata"]["generation"], 2);
    let error = store.replace(Kind::Pod, first.clone()).unwrap_err();
    assert_eq!(
        error.message,
        "Operation cannot be fulfilled on pods \"web\": the object has been modified; please \
         apply your changes to the latest version and try again"
    );
    let version = store.version();
    assert_eq!(store.replace(Kind::Pod, second.clone()).unwrap(), second);
    assert_eq!(store.version(), version);
    let mut unconditional = first;
    unconditional["metadata"]
        .as_object_mut()
        .unwrap()
        .shift_remove("resourceVersion");
    assert!(store.replace(Kind::Pod, unconditional).is_ok());
    let error = store.replace(Kind::Pod, pod("none")).unwrap_err();
    assert_eq!(error.message, r#"pods "none" not found"#);
    let mut other = second;
    other["metadata"]["resourceVersion"] = Value::Null;
    other["metadata"]["uid"] = "another".into();
    assert_eq!(
        store.replace(Kind::Pod, other).unwrap_err().reason,
        "Conflict"
    );
}

#[tokio::test(start_paused = true)]
async fn a_status_write_leaves_the_generation() {
    let store = store();
    store.create(Kind::Pod, pod("web")).unwrap();
    let status = json!({ "phase": "Pending", "podIP": "10.0.0.1" });
    store
        .merge_status(Kind::Pod, "default", "web", status)
        .unwrap();
    let status = json!({ "phase": "Running", "podIP": null });
    let pod = store
        .merge_status(Kind::Pod, "default", "web", status)
        .unwrap();
    assert_eq!(pod["status"], json!({ "phase": "Running" }));
    assert_eq!(pod["metadata"]["generation"], 1);
}

#[tokio::test(start_paused = true)]
async fn deletion_waits_for_grace_and_finalizers() {
    let store = store();
    store.create(Kind::Pod, pod("web")).unwrap();
    let marked = store
        .delete_graceful(Kind::Pod, "default", "web", 30)
        .unwrap();
    assert_eq!(
        marked["metadata"]["deletionTimestamp"],
        "2026-01-15T09:00:30Z"
    );
    let again = store
        .delete_graceful(Kind::Pod, "default", "web", 60)
        .unwrap();
    assert_eq!(again, marked, "a longer time changes nothing");
    let last = store.delete(Kind::Pod, "default", "web").unwrap();
    assert_eq!(
        last["metadata"]["resourceVersion"],
        store.version().to_string()
    );
    assert_eq!(store.get(Kind::Pod, "default", "web"), None);

    let mut held = pod("held");
    held["metadata"]["finalizers"] = json!(["example/hold"]);
    store.create(Kind::Pod, held).unwrap();
    store.delete(Kind::Pod, "default", "held").unwrap();
    assert!(store.get(Kind::Pod, "default", "held").is_some());
    store
        .update(Kind::Pod, "default", "held", |pod| {
            pod["metadata"]["finalizers"] = json!([]);
        })
        .unwrap();
    assert_eq!(store.get(Kind::Pod, "default", "held"), None);
}

#[tokio::test(start_paused = true)]
async fn lists_are_in_order_and_by_namespace() {
    let store = store();
    for (namespace, name) in [("b", "1"), ("a", "2"), ("a-b", "0"), ("a", "1")] {
        let object = json!({ "metadata": { "name": name, "namespace": namespace } });
        store.create(Kind::ConfigMap, object).unwrap();
    }
    let names = |namespace| {
        let (objects, version) = store.list(Kind::ConfigMap, namespace);
        assert_eq!(version, store.version());
        objects
            .iter()
            .map(|object| {
                let meta = &object["metadata"];
                format!(
                    "{}/{}",
                    meta["namespace"].as_str().unwrap(),
                    meta["name"].as_str().unwrap()
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(names(Some("a")), ["a/1", "a/2"]);
    assert_eq!(names(None), ["a/1", "a/2", "a-b/0", "b/1"]);
    assert!(names(Some("c")).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_watch_sees_every_change_once_and_says_when_it_lags() {
    let store = store();
    store.create(Kind::Pod, pod("one")).unwrap();
    let mut watch = store.watch(Kind::Pod, store.version());
    assert!(
        timeout(Duration::from_mins(10), watch.next())
            .await
            .is_err()
    );
    let writer = store.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        writer.create(Kind::Pod, pod("two")).unwrap();
        writer
            .create(Kind::Node, json!({ "metadata": { "name": "n" } }))
            .unwrap();
        writer
            .update(Kind::Pod, "default", "two", |pod| pod["spec"] = json!({}))
            .unwrap();
        writer.delete(Kind::Pod, "default", "one").unwrap();
    });
    let mut seen = Vec::new();
    for _ in 0..3 {
        let change = watch.next().await.unwrap();
        assert_eq!(
            change.object["metadata"]["resourceVersion"],
            change.version.to_string()
        );
        seen.push((change.action, change.previous.is_some()));
    }
    assert_eq!(
        seen,
        [
            (Action::Added, false),
            (Action::Modified, true),
            (Action::Deleted, true)
        ]
    );
    assert_eq!(watch.try_next(), Ok(None));
    assert_eq!(watch.catch_up(), Some(store.version()));

    store.keep_history(2);
    for number in 0..4 {
        store
            .create(Kind::Pod, pod(&format!("more-{number}")))
            .unwrap();
    }
    let lagged = watch.next().await.unwrap_err();
    assert_eq!(lagged.oldest, store.oldest(Kind::Pod));
    assert!(lagged.wanted < lagged.oldest);
    assert_eq!(watch.catch_up(), None);
}

#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    Change(u8, u8),
    Delete(u8),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u8..6).prop_map(Step::Create),
        (0_u8..6, any::<u8>()).prop_map(|(name, value)| Step::Change(name, value)),
        (0_u8..6).prop_map(Step::Delete),
    ]
}

proptest! {
    /// A watcher that starts anywhere and replays what it is told ends with what a list shows.
    #[test]
    fn a_replayed_watch_agrees_with_the_list(
        steps in proptest::collection::vec(any_step(), 1..60),
        start in 0_usize..60,
    ) {
        let store = store();
        let mut model = BTreeMap::new();
        let mut watch = None;
        for (at, step) in steps.iter().enumerate() {
            if at == start.min(steps.len() - 1) {
                let (objects, version) = store.list(Kind::Pod, None);
                for object in objects {
                    model.insert(object["metadata"]["name"].to_string(), object);
                }
                watch = Some(store.watch(Kind::Pod, version));
            }
            let _ = match step {
                Step::Create(name) => store.create(Kind::Pod, pod(&name.to_string())),
                Step::Change(name, value) => {
                    store.update(Kind::Pod, "default", &name.to_string(), |pod| {
                        pod["spec"]["value"] = (*value).into();
                    })
                }
                Step::Delete(name) => store.delete(Kind::Pod, "default", &name.to_string()),
            };
        }
        let mut watch = watch.unwrap();
        while let Some(change) = watch.try_next().unwrap() {
            let name = change.object["metadata"]["name"].to_string();
            match change.action {
                Action::Added => prop_assert!(model.insert(name, Value::clone(&change.object)).is_none()),
                Action::Modified => {
                    let before = model.insert(name, Value::clone(&change.object));
                    prop_assert_eq!(before.as_ref(), change.previous.as_deref());
                }
                Action::Deleted => prop_assert!(model.remove(&name).is_some()),
            }
        }
        let (objects, _) = store.list(Kind::Pod, None);
        prop_assert_eq!(model.into_values().collect::<Vec<_>>(), objects);
    }
}
