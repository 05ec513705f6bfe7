//! kube-rs against the embedded cluster, in memory and in virtual time: apply, reflectors, a controller,
//! many watchers; and the workloads that it makes pods of.
#![expect(clippy::unwrap_used, reason = "a test program, helpers included")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{
    Api, DeleteParams, EvictParams, ListParams, Patch, PatchParams, PostParams, WatchEvent,
    WatchParams,
};
use kube::runtime::controller::{Action as Requeue, Controller};
use kube::runtime::{WatchStreamExt as _, reflector, watcher};
use kube::{Client, ResourceExt as _};
use proptest::prelude::*;
use serde_json::{Value, json};
use sim_cluster::api::WriteOptions;
use sim_cluster::cluster::Cluster;
use sim_cluster::store::{Action, Kind, Store};
use tokio::time::sleep;

type TestResult<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn cluster() -> (Cluster, Client) {
    let cluster = Cluster::builder().seed(7).build();
    let client = Client::new(cluster.service(), "default");
    (cluster, client)
}

fn map(name: &str, value: u32) -> ConfigMap {
    serde_json::from_value(json!({
        "metadata": { "name": name }, "data": { "value": value.to_string() }
    }))
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn appliers_own_what_they_say() -> TestResult {
    let (_cluster, client) = cluster();
    let api: Api<Deployment> = Api::default_namespaced(client);
    let web = |replicas: Option<u32>, image: &str| {
        let mut spec = json!({
            "selector": { "matchLabels": { "app": "web" } },
            "template": { "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "main", "image": image }] } }
        });
        if let Some(replicas) = replicas {
            spec["replicas"] = replicas.into();
        }
        Patch::Apply(json!({ "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web" }, "spec": spec }))
    };
    let one = PatchParams::apply("one");
    let made = api
        .patch("web", &one, &web(Some(2), "r.example/a:1"))
        .await?;
    assert_eq!(made.spec.as_ref().unwrap().replicas, Some(2));
    // Said again, nothing is written.
    sleep(Duration::from_secs(5)).await;
    let version = api.get("web").await?.resource_version();
    let again = api
        .patch("web", &one, &web(Some(2), "r.example/a:1"))
        .await?;
    assert_eq!(again.resource_version(), version);

    let two = PatchParams::apply("two");
    let error = api
        .patch("web", &two, &web(None, "r.example/a:2"))
        .await
        .unwrap_err();
    let kube::Error::Api(status) = error else {
        return Err("no status".into());
    };
    assert_eq!(
        (status.code, status.message.as_str()),
        (
            409,
            "Apply failed with 1 conflict: conflict with \"one\" using apps/v1: .spec.template.spec.containers[name=\"main\"].image"
        )
    );
    let forced = api
        .patch("web", &two.force(), &web(None, "r.example/a:2"))
        .await?;
    let images = |object: &Deployment| {
        let pod = object.spec.clone().unwrap().template.spec.unwrap();
        pod.containers
            .into_iter()
            .filter_map(|one| one.image)
            .collect::<Vec<_>>()
    };
    assert_eq!(images(&forced), ["r.example/a:2"]);
    // The first lets go of the replicas: the default is back. The image is the other's now.
    let error = api
        .patch("web", &one, &web(None, "r.example/a:1"))
        .await
        .unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 409));
    let left = api.patch("web", &one, &web(None, "r.example/a:2")).await?;
    assert_eq!(left.spec.as_ref().unwrap().replicas, Some(1));
    let owners: Vec<String> = left
        .managed_fields()
        .iter()
        .filter_map(|entry| entry.manager.clone())
        .collect();
    assert_eq!(owners, ["one", "two"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn finalizers_and_stale_writes() -> TestResult {
    let (_cluster, client) = cluster();
    let api: Api<ConfigMap> = Api::default_namespaced(client);
    let mut held = map("held", 1);
    held.metadata.finalizers = Some(vec!["example.com/hold".into()]);
    let mut held = api.create(&PostParams::default(), &held).await?;
    api.delete("held", &DeleteParams::default()).await?;
    assert!(api.get("held").await?.metadata.deletion_timestamp.is_some());
    held.metadata.finalizers = None;
    let stale = api
        .replace("held", &PostParams::default(), &held)
        .await
        .unwrap_err();
    assert!(
        matches!(stale, kube::Error::Api(status) if status.code == 409 && status.reason == "Conflict")
    );
    let free = json!({ "metadata": { "finalizers": null } });
    api.patch("held", &PatchParams::default(), &Patch::Merge(free))
        .await?;
    assert!(api.get_opt("held").await?.is_none());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn two_hundred_watchers_see_every_change_once() -> TestResult {
    const CHANGES: u32 = 50;
    let (_cluster, client) = cluster();
    let api: Api<ConfigMap> = Api::default_namespaced(client);
    let start = api.list(&ListParams::default()).await?;
    let version = start.metadata.resource_version.unwrap_or_default();
    let watchers: Vec<_> = (0..200)
        .map(|number: u64| {
            let (api, version) = (api.clone(), version.clone());
            tokio::spawn(async move {
                let mut seen = Vec::new();
                let params = WatchParams::default().fields("metadata.name=counter");
                let mut stream = api.watch(&params, &version).await.unwrap().boxed();
                while let Some(event) = stream.try_next().await.unwrap() {
                    if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event {
                        seen.push(object.data.unwrap()["value"].parse::<u32>().unwrap());
                    }
                    // Slow readers lose nothing either.
                    sleep(Duration::from_millis(number)).await;
                    if seen.len() == CHANGES as usize {
                        break;
                    }
                }
                seen
            })
        })
        .collect();
    api.create(&PostParams::default(), &map("counter", 1))
        .await?;
    for value in 2..=CHANGES {
        let patch = Patch::Merge(json!({ "data": { "value": value.to_string() } }));
        api.patch("counter", &PatchParams::default(), &patch)
            .await?;
        sleep(Duration::from_millis(10)).await;
    }
    let wanted: Vec<u32> = (1..=CHANGES).collect();
    for watcher in watchers {
        assert_eq!(watcher.await?, wanted);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_controller_reconciles() -> TestResult {
    let (_cluster, client) = cluster();
    let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let runs = Arc::new(AtomicUsize::new(0));
    let context = Arc::new((client, Arc::clone(&runs)));
    let controller = Controller::new(api.clone(), watcher::Config::default()).run(
        |object: Arc<ConfigMap>, context: Arc<(Client, Arc<AtomicUsize>)>| async move {
            context.1.fetch_add(1, Ordering::Relaxed);
            let api: Api<ConfigMap> = Api::namespaced(context.0.clone(), "default");
            let patch = json!({ "metadata": { "labels": { "seen": "yes" } } });
            api.patch(
                &object.name_any(),
                &PatchParams::default(),
                &Patch::Merge(patch),
            )
            .await
            .map(|_| Requeue::await_change())
        },
        |_, _: &kube::Error, _| Requeue::requeue(Duration::from_secs(1)),
        context,
    );
    let running = tokio::spawn(controller.for_each(|_| std::future::ready(())));
    for name in ["a", "b"] {
        api.create(&PostParams::default(), &map(name, 1)).await?;
    }
    sleep(Duration::from_secs(30)).await;
    let labelled = api.list(&ListParams::default().labels("seen=yes")).await?;
    // kube-root-ca.crt is there too.
    assert_eq!(labelled.items.len(), 3);
    assert!(runs.load(Ordering::Relaxed) < 20, "it comes to rest");
    running.abort();
    Ok(())
}

/// What happens to a cluster while someone watches.
#[derive(Clone, Debug)]
enum Step {
    Write(u8),
    Delete(u8),
    /// The watcher loses its connection.
    Cut,
    Pause,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_u8).prop_map(Step::Write),
        2 => (0..4_u8).prop_map(Step::Delete),
        1 => Just(Step::Cut),
        1 => Just(Step::Pause),
    ]
}

async fn carry_out(api: &Api<ConfigMap>, step: &Step, count: u32) -> bool {
    match step {
        Step::Write(number) => {
            let name = format!("m{number}");
            if api
                .create(&PostParams::default(), &map(&name, count))
                .await
                .is_err()
            {
                let patch = Patch::Merge(json!({ "data": { "value": count.to_string() } }));
                api.patch(&name, &PatchParams::default(), &patch)
                    .await
                    .unwrap();
            }
        }
        Step::Delete(number) => {
            let _ = api
                .delete(&format!("m{number}"), &DeleteParams::default())
                .await;
        }
        Step::Pause => sleep(Duration::from_secs(1)).await,
        Step::Cut => return true,
    }
    false
}

/// Watches from a version to the newest, and gives the version it came to.
async fn catch_up(
    api: &Api<ConfigMap>,
    from: &str,
    state: &mut BTreeMap<String, String>,
    cut: usize,
) -> String {
    let mut version = from.to_owned();
    let params = WatchParams::default().timeout(1).labels("app!=none");
    let Ok(stream) = api.watch(&params, &version).await else {
        return version;
    };
    let mut stream = stream.boxed();
    let mut read = 0;
    while let Ok(Some(event)) = stream.try_next().await {
        match event {
            WatchEvent::Added(object) => {
                let name = object.name_any();
                version = object.resource_version().unwrap();
                let old = state.insert(
                    name,
                    object
                        .data
                        .unwrap_or_default()
                        .remove("value")
                        .unwrap_or_default(),
                );
                assert_eq!(old, None, "added twice");
            }
            WatchEvent::Modified(object) => {
                let name = object.name_any();
                version = object.resource_version().unwrap();
                let old = state.insert(
                    name,
                    object
                        .data
                        .unwrap_or_default()
                        .remove("value")
                        .unwrap_or_default(),
                );
                assert!(old.is_some(), "its addition was lost");
            }
            WatchEvent::Deleted(object) => {
                version = object.resource_version().unwrap();
                assert!(state.remove(&object.name_any()).is_some(), "deleted twice");
            }
            WatchEvent::Bookmark(mark) => version = mark.metadata.resource_version,
            WatchEvent::Error(status) => panic!("{status:?}"),
        }
        read += 1;
        if read == cut {
            break;
        }
    }
    version
}

async fn state_of(api: &Api<ConfigMap>) -> (BTreeMap<String, String>, String) {
    let list = api.list(&ListParams::default()).await.unwrap();
    let items = list.items.into_iter().map(|object| {
        let value = object.data.clone().unwrap_or_default().remove("value");
        (object.name_any(), value.unwrap_or_default())
    });
    (items.collect(), list.metadata.resource_version.unwrap())
}

fn paused<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A watcher that is cut again and again, at any event, ends with what a list shows: nothing was
    /// lost and nothing came twice.
    #[test]
    fn a_watch_loses_and_doubles_nothing(steps in proptest::collection::vec(any_step(), 1..40), cut in 1..5_usize) {
        paused(async {
            let (_cluster, client) = cluster();
            let api: Api<ConfigMap> = Api::default_namespaced(client);
            let (mut state, mut version) = state_of(&api).await;
            for (count, step) in (0..).zip(&steps) {
                if carry_out(&api, step, count).await {
                    version = catch_up(&api, &version, &mut state, cut).await;
                }
            }
            let version = catch_up(&api, &version, &mut state, usize::MAX).await;
            let (wanted, newest) = state_of(&api).await;
            assert_eq!(state, wanted);
            assert!(version.parse::<u64>().unwrap() <= newest.parse().unwrap());
        });
    }

    /// A reflector whose history is cut under it (410) lists again and ends with the truth.
    #[test]
    fn a_reflector_survives_expired_versions(steps in proptest::collection::vec(any_step(), 1..40)) {
        paused(async {
            let (cluster, client) = cluster();
            cluster.store().keep_history(2);
            let api: Api<ConfigMap> = Api::default_namespaced(client);
            let (reader, writer) = reflector::store();
            let stream = watcher(api.clone(), watcher::Config::default()).default_backoff();
            let running = tokio::spawn(reflector(writer, stream).for_each(|_| std::future::ready(())));
            for (count, step) in (0..).zip(&steps) {
                carry_out(&api, step, count).await;
            }
            sleep(Duration::from_mins(10)).await;
            let seen: BTreeMap<String, String> = reader
                .state()
                .iter()
                .map(|object| {
                    let value = object.data.clone().unwrap_or_default().remove("value");
                    (object.name_any(), value.unwrap_or_default())
                })
                .collect();
            assert_eq!(seen, state_of(&api).await.0);
            running.abort();
        });
    }
}

/// A ready node, and something that plays its kubelet: pods run at once, but for those whose tag is
/// `bad`; those of a job whose tag is `done` end well; deleted ones go.
fn play_node(store: &Store) {
    let node = json!({
        "metadata": { "name": "node-1" }, "spec": {},
        "status": { "conditions": [{ "type": "Ready", "status": "True" }],
            "allocatable": { "cpu": "4", "memory": "8Gi", "pods": "110" } }
    });
    store.create(Kind::Node, node).unwrap();
    let store = store.clone();
    tokio::spawn(async move {
        let mut watch = store.watch(Kind::Pod, 0);
        while let Ok(change) = watch.next().await {
            let pod = &change.object;
            let text = |path: &str| {
                pod.pointer(path)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
            if change.action == Action::Deleted || text("/spec/nodeName").is_empty() {
                continue;
            }
            if pod.pointer("/metadata/deletionTimestamp").is_some() {
                let _ = store.delete(Kind::Pod, namespace, name);
                continue;
            }
            let image = text("/spec/containers/0/image");
            if text("/status/phase") != "Pending" || image.ends_with(":bad") {
                continue;
            }
            let now = store.clock().seconds();
            let status = if image.ends_with(":done") {
                json!({ "phase": "Succeeded" })
            } else {
                json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": now }] })
            };
            let _ = store.merge_status(Kind::Pod, namespace, name, status);
        }
    });
}

async fn pods(client: &Client) -> Vec<String> {
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let list = pods.list(&ListParams::default()).await.unwrap();
    let name_and_image = |pod: Pod| {
        let containers = pod.spec.clone().unwrap().containers;
        let image = containers.into_iter().find_map(|one| one.image).unwrap();
        format!("{} {image}", pod.name_any())
    };
    list.items.into_iter().map(name_and_image).collect()
}

#[tokio::test(start_paused = true)]
async fn a_stateful_set_goes_one_by_one_and_sticks_to_a_bad_image() -> TestResult {
    let (cluster, client) = cluster();
    play_node(&cluster.store());
    let api: Api<StatefulSet> = Api::default_namespaced(client.clone());
    let set = serde_json::from_value(json!({
        "metadata": { "name": "db" },
        "spec": { "replicas": 3, "serviceName": "db", "selector": { "matchLabels": { "app": "db" } },
            "template": { "metadata": { "labels": { "app": "db" } },
                "spec": { "containers": [{ "name": "main", "image": "r.example/db:1" }] } } }
    }))?;
    api.create(&PostParams::default(), &set).await?;
    sleep(Duration::from_secs(30)).await;
    assert_eq!(
        pods(&client).await,
        [
            "db-0 r.example/db:1",
            "db-1 r.example/db:1",
            "db-2 r.example/db:1"
        ]
    );
    let image = |tag: &str| {
        Patch::Strategic(json!({ "spec": { "template": { "spec": {
            "containers": [{ "name": "main", "image": format!("r.example/db:{tag}") }] } } } }))
    };
    api.patch("db", &PatchParams::default(), &image("bad"))
        .await?;
    sleep(Duration::from_mins(5)).await;
    let broken = [
        "db-0 r.example/db:1",
        "db-1 r.example/db:1",
        "db-2 r.example/db:bad",
    ];
    assert_eq!(pods(&client).await, broken);
    // The known trap: the good template alone does not help, the pod has to be deleted.
    api.patch("db", &PatchParams::default(), &image("2"))
        .await?;
    sleep(Duration::from_mins(5)).await;
    assert_eq!(pods(&client).await, broken);
    let pods_api: Api<Pod> = Api::default_namespaced(client.clone());
    pods_api.delete("db-2", &DeleteParams::default()).await?;
    sleep(Duration::from_mins(5)).await;
    assert_eq!(
        pods(&client).await,
        [
            "db-0 r.example/db:2",
            "db-1 r.example/db:2",
            "db-2 r.example/db:2"
        ]
    );
    let status = api.get("db").await?.status.unwrap();
    assert_eq!(
        (
            status.replicas,
            status.updated_replicas,
            status.current_revision
        ),
        (3, Some(3), status.update_revision)
    );
    assert_eq!(cluster.failures().list(), []);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_job_ends_and_one_that_cannot_pull_does_not() -> TestResult {
    let (cluster, client) = cluster();
    play_node(&cluster.store());
    let api: Api<Job> = Api::default_namespaced(client.clone());
    let job = |name: &str, image: &str, deadline: Option<u32>| -> Job {
        serde_json::from_value(json!({
            "metadata": { "name": name },
            "spec": { "completions": 3, "parallelism": 2, "activeDeadlineSeconds": deadline,
                "template": { "spec": { "restartPolicy": "Never",
                    "containers": [{ "name": "main", "image": image }] } } }
        }))
        .unwrap()
    };
    for job in [
        job("fine", "r.example/a:done", None),
        job("stuck", "r.example/a:bad", None),
        job("late", "r.example/a:bad", Some(600)),
    ] {
        api.create(&PostParams::default(), &job).await?;
    }
    sleep(Duration::from_hours(2)).await;
    let conditions = |job: &Job| -> Vec<String> {
        let all = job.status.clone().unwrap().conditions.unwrap_or_default();
        all.into_iter()
            .map(|one| format!("{} {}", one.type_, one.reason.unwrap_or_default()))
            .collect()
    };
    let fine = api.get("fine").await?;
    assert_eq!(conditions(&fine), ["Complete CompletionsReached"]);
    assert_eq!(fine.status.unwrap().succeeded, Some(3));
    let stuck = api.get("stuck").await?;
    assert_eq!(conditions(&stuck), Vec::<String>::new());
    assert_eq!(
        stuck.status.unwrap().active,
        Some(2),
        "for ever: backoffLimit does not count it"
    );
    let late = api.get("late").await?;
    assert_eq!(conditions(&late), ["Failed DeadlineExceeded"]);
    assert_eq!(
        pods(&client)
            .await
            .iter()
            .filter(|pod| pod.starts_with("late"))
            .count(),
        0
    );
    let events = cluster.store().list(Kind::Event, None).0;
    assert!(
        events.is_empty(),
        "events end after an hour: {}",
        events.len()
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_budget_holds_evictions_up() -> TestResult {
    let (cluster, client) = cluster();
    play_node(&cluster.store());
    let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
    let web = serde_json::from_value(json!({
        "metadata": { "name": "web" },
        "spec": { "replicas": 2, "selector": { "matchLabels": { "app": "web" } },
            "template": { "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "main", "image": "r.example/a:1" }] } } }
    }))?;
    deployments.create(&PostParams::default(), &web).await?;
    let budget = json!({
        "metadata": { "name": "web" },
        "spec": { "minAvailable": 2, "selector": { "matchLabels": { "app": "web" } } }
    });
    let options = WriteOptions::default();
    let kind = Kind::PodDisruptionBudget;
    cluster.api().create(kind, "default", budget, options)?;
    sleep(Duration::from_secs(30)).await;
    let api: Api<Pod> = Api::default_namespaced(client.clone());
    let names: Vec<String> = api
        .list(&ListParams::default())
        .await?
        .iter()
        .map(kube::ResourceExt::name_any)
        .collect();
    let error = api
        .evict(&names[1], &EvictParams::default())
        .await
        .unwrap_err();
    let kube::Error::Api(status) = error else {
        return Err("no status".into());
    };
    assert_eq!(status.code, 429);
    assert_eq!(
        status.message,
        "Cannot evict pod as it would violate the pod's disruption budget."
    );
    cluster.api().change(kind, "default", "web", |budget| {
        budget["spec"]["minAvailable"] = "50%".into();
    })?;
    sleep(Duration::from_secs(30)).await;
    api.evict(&names[1], &EvictParams::default()).await?;
    Ok(())
}
