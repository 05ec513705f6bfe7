use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Event, Namespace, Node, Pod};
use kube::api::{
    Api as KubeApi, DeleteParams, ListParams, Patch, PatchParams, PostParams, PropagationPolicy,
};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::object::{is_deleted, key, name, namespace, text};
use crate::cluster::Cluster;
use crate::store::{Action, Kind, Store};

type TestResult<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// A node that is ready, and something that plays its kubelet: a pod is ready two seconds after it
/// was placed, unless its image ends in `bad`; a deleted one is gone a second later.
fn add_node(store: &Store, node: &str) {
    let object = json!({
        "metadata": { "name": node, "labels": { "kubernetes.io/hostname": node } },
        "spec": {},
        "status": { "conditions": [{ "type": "Ready", "status": "True" }],
            "allocatable": { "cpu": "4", "memory": "8Gi", "pods": "110" } }
    });
    store.create(Kind::Node, object).unwrap();
    let (store, node) = (store.clone(), node.to_owned());
    tokio::spawn(async move {
        let mut watch = store.watch(Kind::Pod, 0);
        while let Ok(change) = watch.next().await {
            let pod = change.object;
            if text(&pod, "/spec/nodeName") != node || change.action == Action::Deleted {
                continue;
            }
            let store = store.clone();
            tokio::spawn(async move {
                if is_deleted(&pod) {
                    sleep(Duration::from_secs(1)).await;
                    let _ = store.delete(Kind::Pod, namespace(&pod), name(&pod));
                } else if text(&pod, "/status/phase") == "Pending"
                    && pod.pointer("/status/startTime").is_none()
                {
                    report(&store, &pod).await;
                }
            });
        }
    });
}

async fn report(store: &Store, pod: &Value) {
    let started = json!({ "startTime": store.clock().seconds() });
    let (namespace, name) = key(pod);
    let _ = store.merge_status(Kind::Pod, &namespace, &name, started);
    sleep(Duration::from_secs(2)).await;
    let image = text(pod, "/spec/containers/0/image");
    let since = store.clock().seconds();
    let status = if image.ends_with("bad") {
        json!({ "containerStatuses": [{ "name": "main", "ready": false,
            "state": { "waiting": { "reason": "ErrImagePull" } } }] })
    } else {
        json!({ "phase": "Running",
            "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": since }] })
    };
    let _ = store.merge_status(Kind::Pod, &namespace, &name, status);
}

fn cluster(nodes: usize) -> (Cluster, kube::Client) {
    let cluster = Cluster::builder().seed(7).build();
    for number in 1..=nodes {
        add_node(&cluster.store(), &format!("node-{number}"));
    }
    let client = kube::Client::new(cluster.service(), "default");
    (cluster, client)
}

fn deployment(replicas: i32, image: &str) -> Deployment {
    serde_json::from_value(json!({
        "metadata": { "name": "web" },
        "spec": { "replicas": replicas, "selector": { "matchLabels": { "app": "web" } },
            "template": { "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "main", "image": image }] } } }
    }))
    .unwrap()
}

async fn set_image(deployments: &KubeApi<Deployment>, image: &str) -> TestResult {
    let patch = json!({ "spec": { "template": { "spec": {
        "containers": [{ "name": "main", "image": image }] } } } });
    deployments
        .patch("web", &PatchParams::default(), &Patch::Strategic(patch))
        .await?;
    Ok(())
}

async fn messages(client: &kube::Client, reason: &str) -> Vec<String> {
    let events: KubeApi<Event> = KubeApi::all(client.clone());
    let params = ListParams::default().fields(&format!("reason={reason}"));
    let mut list = events.list(&params).await.unwrap().items;
    list.sort_by_key(|event| {
        let version: u64 = event
            .metadata
            .resource_version
            .as_deref()
            .unwrap()
            .parse()
            .unwrap();
        version
    });
    list.into_iter().filter_map(|event| event.message).collect()
}

fn condition(deployment: &Deployment, of: &str) -> (String, String, String) {
    let conditions = deployment
        .status
        .as_ref()
        .unwrap()
        .conditions
        .as_ref()
        .unwrap();
    let found = conditions.iter().find(|c| c.type_ == of).unwrap();
    (
        found.status.clone(),
        found.reason.clone().unwrap(),
        found.message.clone().unwrap(),
    )
}

#[tokio::test(start_paused = true)]
async fn a_deployment_becomes_pods_on_nodes() -> TestResult {
    let (cluster, client) = cluster(2);
    let deployments: KubeApi<Deployment> = KubeApi::default_namespaced(client.clone());
    let pods: KubeApi<Pod> = KubeApi::default_namespaced(client.clone());
    let seen = tokio::spawn({
        let pods = pods.clone();
        async move {
            let stream = watcher(pods, watcher::Config::default())
                .applied_objects()
                .boxed();
            let ready = stream.filter_map(|pod| async move {
                let status = pod.unwrap().status.unwrap();
                (status.phase.as_deref() == Some("Running")).then_some(())
            });
            ready.take(4).count().await
        }
    });
    deployments
        .create(&PostParams::default(), &deployment(4, "x:1"))
        .await?;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(seen.await?, 4);

    let web = deployments.get("web").await?;
    let status = web.status.clone().unwrap();
    assert_eq!(status.observed_generation, Some(1));
    assert_eq!(
        [
            status.replicas,
            status.updated_replicas,
            status.ready_replicas,
            status.available_replicas
        ],
        [Some(4); 4]
    );
    assert_eq!(status.unavailable_replicas, None);
    let text = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
    assert_eq!(
        condition(&web, "Available"),
        text(
            "True",
            "MinimumReplicasAvailable",
            "Deployment has minimum availability."
        )
    );
    let sets: KubeApi<ReplicaSet> = KubeApi::default_namespaced(client.clone());
    let set = sets.list(&ListParams::default()).await?.items.remove(0);
    let set_name = set.metadata.name.clone().unwrap();
    assert_eq!(
        condition(&web, "Progressing"),
        text(
            "True",
            "NewReplicaSetAvailable",
            &format!("ReplicaSet \"{set_name}\" has successfully progressed.")
        )
    );
    let hash = set.metadata.labels.as_ref().unwrap()["pod-template-hash"].clone();
    assert_eq!(set_name, format!("web-{hash}"));
    assert_eq!(
        set.metadata.annotations.as_ref().unwrap()["deployment.kubernetes.io/revision"],
        "1"
    );
    assert_eq!(
        web.metadata.annotations.unwrap()["deployment.kubernetes.io/revision"],
        "1"
    );

    let list = pods.list(&ListParams::default()).await?.items;
    let on = |node: &str| {
        list.iter()
            .filter(|pod| pod.spec.as_ref().unwrap().node_name.as_deref() == Some(node))
            .count()
    };
    assert_eq!((on("node-1"), on("node-2")), (2, 2));
    let owner = &list[0].metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!(
        (owner.kind.as_str(), owner.controller),
        ("ReplicaSet", Some(true))
    );
    assert_eq!(
        messages(&client, "ScalingReplicaSet").await,
        [format!("Scaled up replica set {set_name} from 0 to 4")]
    );
    assert_eq!(messages(&client, "SuccessfulCreate").await.len(), 4);
    let scheduled = messages(&client, "Scheduled").await;
    let pod = list[0].metadata.name.clone().unwrap();
    assert!(scheduled.contains(&format!("Successfully assigned default/{pod} to node-1")));
    let (events, _) = cluster.store().list(Kind::Event, Some("default"));
    let event = events
        .iter()
        .find(|event| event["reason"] == "Scheduled")
        .unwrap();
    assert_eq!(event["source"], json!({}));
    assert_eq!(event["firstTimestamp"], Value::Null);
    assert_eq!(event["action"], "Binding");
    assert_eq!(event["reportingComponent"], "default-scheduler");
    assert_eq!(event["eventTime"], "2026-01-15T09:00:00.000000Z");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_rollout_goes_step_by_step_and_a_bad_one_gets_stuck() -> TestResult {
    let (_cluster, client) = cluster(2);
    let deployments: KubeApi<Deployment> = KubeApi::default_namespaced(client.clone());
    let sets: KubeApi<ReplicaSet> = KubeApi::default_namespaced(client.clone());
    deployments
        .create(&PostParams::default(), &deployment(4, "x:1"))
        .await?;
    sleep(Duration::from_secs(10)).await;
    set_image(&deployments, "x:2").await?;
    sleep(Duration::from_mins(1)).await;
    let web = deployments.get("web").await?;
    let status = web.status.unwrap();
    assert_eq!(status.observed_generation, Some(2));
    assert_eq!(
        (status.replicas, status.updated_replicas),
        (Some(4), Some(4))
    );
    let scaling = messages(&client, "ScalingReplicaSet").await;
    let steps: Vec<String> = scaling
        .iter()
        .skip(1)
        .map(|message| message.split_once(" from ").unwrap().1.to_owned())
        .collect();
    assert_eq!(
        steps,
        ["0 to 1", "4 to 3", "1 to 2", "3 to 1", "2 to 4", "1 to 0"],
        "{scaling:#?}"
    );

    set_image(&deployments, "x:bad").await?;
    sleep(Duration::from_mins(5)).await;
    let web = deployments.get("web").await?;
    let status = web.status.clone().unwrap();
    assert_eq!(
        (
            status.replicas,
            status.updated_replicas,
            status.available_replicas,
            status.unavailable_replicas
        ),
        (Some(5), Some(2), Some(3), Some(2))
    );
    assert_eq!(condition(&web, "Available").1, "MinimumReplicasAvailable");
    assert_eq!(condition(&web, "Progressing").1, "ReplicaSetUpdated");
    sleep(Duration::from_secs(310)).await;
    let web = deployments.get("web").await?;
    let (status, reason, message) = condition(&web, "Progressing");
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("False", "ProgressDeadlineExceeded")
    );
    assert!(
        message.ends_with("\" has timed out progressing."),
        "{message}"
    );

    // Back to what ran before: the old set is found again and gets the newest number.
    set_image(&deployments, "x:2").await?;
    sleep(Duration::from_secs(30)).await;
    let web = deployments.get("web").await?;
    assert_eq!(condition(&web, "Progressing").1, "NewReplicaSetAvailable");
    assert_eq!(
        web.metadata.annotations.unwrap()["deployment.kubernetes.io/revision"],
        "4"
    );
    let running: Vec<i32> = sets
        .list(&ListParams::default())
        .await?
        .iter()
        .map(|set| set.spec.as_ref().unwrap().replicas.unwrap())
        .filter(|replicas| *replicas > 0)
        .collect();
    assert_eq!(running, [4]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn one_replica_keeps_the_old_pod_until_the_new_one_runs() -> TestResult {
    let (_cluster, client) = cluster(1);
    let deployments: KubeApi<Deployment> = KubeApi::default_namespaced(client.clone());
    let pods: KubeApi<Pod> = KubeApi::default_namespaced(client.clone());
    deployments
        .create(&PostParams::default(), &deployment(1, "x:1"))
        .await?;
    sleep(Duration::from_secs(5)).await;
    set_image(&deployments, "x:bad").await?;
    sleep(Duration::from_mins(1)).await;
    assert_eq!(pods.list(&ListParams::default()).await?.items.len(), 2);
    set_image(&deployments, "x:3").await?;
    sleep(Duration::from_mins(1)).await;
    let left = pods.list(&ListParams::default()).await?.items;
    assert_eq!(left.len(), 1);
    let image = left[0].spec.as_ref().unwrap().containers[0].image.clone();
    assert_eq!(image.as_deref(), Some("x:3"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn recreating_ends_the_old_before_the_new_starts() -> TestResult {
    let (cluster, client) = cluster(1);
    let deployments: KubeApi<Deployment> = KubeApi::default_namespaced(client.clone());
    let mut wanted = deployment(2, "x:1");
    wanted.spec.as_mut().unwrap().strategy =
        Some(serde_json::from_value(json!({ "type": "Recreate" }))?);
    deployments.create(&PostParams::default(), &wanted).await?;
    sleep(Duration::from_secs(5)).await;
    let mut watch = cluster.store().watch(Kind::Pod, cluster.store().version());
    set_image(&deployments, "x:2").await?;
    sleep(Duration::from_secs(20)).await;
    let mut order = String::new();
    while let Some(change) = watch.try_next()? {
        match change.action {
            Action::Added => order.push('+'),
            Action::Deleted => order.push('-'),
            Action::Modified => {}
        }
    }
    assert_eq!(order, "--++");
    let web = deployments.get("web").await?;
    assert_eq!(web.status.unwrap().available_replicas, Some(2));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn scaling_and_deleting_leave_nothing_behind() -> TestResult {
    let (cluster, client) = cluster(1);
    let deployments: KubeApi<Deployment> = KubeApi::default_namespaced(client.clone());
    let pods: KubeApi<Pod> = KubeApi::default_namespaced(client.clone());
    deployments
        .create(&PostParams::default(), &deployment(3, "x:1"))
        .await?;
    sleep(Duration::from_secs(5)).await;
    let scale = json!({ "spec": { "replicas": 1 } });
    deployments
        .patch_scale("web", &PatchParams::default(), &Patch::Merge(scale))
        .await?;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(pods.list(&ListParams::default()).await?.items.len(), 1);
    assert_eq!(messages(&client, "SuccessfulDelete").await.len(), 2);
    let foreground = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Foreground),
        ..DeleteParams::default()
    };
    deployments.delete("web", &foreground).await?;
    assert!(
        deployments.get_opt("web").await?.is_some(),
        "it waits for its dependents"
    );
    sleep(Duration::from_secs(10)).await;
    assert!(deployments.get_opt("web").await?.is_none());
    assert!(pods.list(&ListParams::default()).await?.items.is_empty());

    deployments
        .create(&PostParams::default(), &deployment(2, "x:1"))
        .await?;
    sleep(Duration::from_secs(5)).await;
    deployments.delete("web", &DeleteParams::default()).await?;
    sleep(Duration::from_secs(10)).await;
    for kind in [Kind::Deployment, Kind::ReplicaSet, Kind::Pod] {
        assert!(cluster.store().list(kind, None).0.is_empty(), "{kind:?}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_fits_nowhere_waits_for_a_node() -> TestResult {
    let (cluster, client) = cluster(0);
    let deployments: KubeApi<Deployment> = KubeApi::default_namespaced(client.clone());
    deployments
        .create(&PostParams::default(), &deployment(1, "x:1"))
        .await?;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(
        messages(&client, "FailedScheduling").await,
        ["no nodes available to schedule pods"]
    );
    add_node(&cluster.store(), "node-1");
    let nodes: KubeApi<Node> = KubeApi::all(client.clone());
    sleep(Duration::from_secs(5)).await;
    assert_eq!(
        deployments
            .get("web")
            .await?
            .status
            .unwrap()
            .available_replicas,
        Some(1)
    );
    let cordon = Patch::Strategic(json!({ "spec": { "unschedulable": true } }));
    nodes
        .patch("node-1", &PatchParams::default(), &cordon)
        .await?;
    let scale = json!({ "spec": { "replicas": 2 } });
    deployments
        .patch_scale("web", &PatchParams::default(), &Patch::Merge(scale))
        .await?;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(
        messages(&client, "FailedScheduling").await.last().unwrap(),
        "0/1 nodes are available: 1 node(s) were unschedulable. preemption: 0/1 nodes are \
         available: 1 Preemption is not helpful for scheduling."
    );
    let free = Patch::Strategic(json!({ "spec": { "unschedulable": null } }));
    nodes
        .patch("node-1", &PatchParams::default(), &free)
        .await?;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(
        deployments
            .get("web")
            .await?
            .status
            .unwrap()
            .available_replicas,
        Some(2)
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_namespace_is_furnished_and_emptied() -> TestResult {
    let (cluster, client) = cluster(1);
    let namespaces: KubeApi<Namespace> = KubeApi::all(client.clone());
    let made: Namespace = serde_json::from_value(json!({ "metadata": { "name": "team" } }))?;
    namespaces.create(&PostParams::default(), &made).await?;
    sleep(Duration::from_millis(10)).await;
    assert!(
        cluster
            .store()
            .get(Kind::ServiceAccount, "team", "default")
            .is_some()
    );
    let deployments: KubeApi<Deployment> = KubeApi::namespaced(client.clone(), "team");
    deployments
        .create(&PostParams::default(), &deployment(1, "x:1"))
        .await?;
    sleep(Duration::from_secs(5)).await;
    namespaces.delete("team", &DeleteParams::default()).await?;
    let ending = namespaces.get("team").await?;
    assert_eq!(ending.status.unwrap().phase.as_deref(), Some("Terminating"));
    let refused = deployments
        .create(&PostParams::default(), &deployment(1, "x:1"))
        .await;
    assert!(matches!(refused, Err(kube::Error::Api(status)) if status.code == 403));
    sleep(Duration::from_mins(1)).await;
    assert!(namespaces.get_opt("team").await?.is_none());
    let (left, _) = cluster.store().list(Kind::Pod, Some("team"));
    assert!(left.is_empty());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_set_that_cannot_make_pods_says_so_and_goes_on_trying() -> TestResult {
    let (cluster, client) = cluster(1);
    let deployments: KubeApi<Deployment> = KubeApi::default_namespaced(client.clone());
    let mut wanted = deployment(1, "x:1");
    let spec = wanted
        .spec
        .as_mut()
        .unwrap()
        .template
        .spec
        .as_mut()
        .unwrap();
    spec.service_account_name = Some("robot".into());
    deployments.create(&PostParams::default(), &wanted).await?;
    sleep(Duration::from_mins(1)).await;
    let failed = messages(&client, "FailedCreate").await;
    assert_eq!(failed.len(), 1, "repetitions are counted in one event");
    assert!(
        failed[0].ends_with("is forbidden: error looking up service account default/robot: serviceaccount \"robot\" not found"),
        "{failed:?}"
    );
    let web = deployments.get("web").await?;
    assert_eq!(condition(&web, "ReplicaFailure").1, "FailedCreate");
    let account = json!({ "metadata": { "name": "robot", "namespace": "default" } });
    cluster.store().create(Kind::ServiceAccount, account)?;
    sleep(Duration::from_secs(200)).await;
    let web = deployments.get("web").await?;
    assert_eq!(web.status.unwrap().available_replicas, Some(1));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_daemon_set_has_a_pod_on_every_node() -> TestResult {
    let (cluster, _client) = cluster(2);
    let store = cluster.store();
    let set = json!({
        "metadata": { "name": "agent" },
        "spec": { "selector": { "matchLabels": { "app": "agent" } },
            "template": { "metadata": { "labels": { "app": "agent" } },
                "spec": { "containers": [{ "name": "main", "image": "x:1" }] } } }
    });
    let options = crate::api::WriteOptions::default();
    cluster
        .api()
        .create(Kind::DaemonSet, "default", set, options)?;
    sleep(Duration::from_secs(10)).await;
    let status = |field: &str| {
        let set = store.get(Kind::DaemonSet, "default", "agent").unwrap();
        set["status"][field].as_i64().unwrap_or(0)
    };
    assert_eq!(
        (status("desiredNumberScheduled"), status("numberAvailable")),
        (2, 2)
    );
    add_node(&store, "node-3");
    sleep(Duration::from_secs(10)).await;
    assert_eq!(status("numberReady"), 3);
    cluster
        .api()
        .change(Kind::DaemonSet, "default", "agent", |set| {
            set["spec"]["template"]["spec"]["containers"][0]["image"] = "x:2".into();
        })?;
    sleep(Duration::from_mins(1)).await;
    assert_eq!(
        (status("updatedNumberScheduled"), status("numberReady")),
        (3, 3)
    );
    let (pods, _) = store.list(Kind::Pod, None);
    let images: Vec<&str> = pods
        .iter()
        .map(|pod| text(pod, "/spec/containers/0/image"))
        .collect();
    assert_eq!(images, ["x:2"; 3]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_history_and_idling_is_free() -> TestResult {
    let play = async || -> TestResult<(Vec<Value>, u64)> {
        let (cluster, client) = cluster(3);
        let deployments: KubeApi<Deployment> = KubeApi::default_namespaced(client);
        deployments
            .create(&PostParams::default(), &deployment(5, "x:1"))
            .await?;
        sleep(Duration::from_secs(20)).await;
        let busy = cluster.store().version();
        sleep(Duration::from_mins(20)).await;
        let idle = cluster.store().version() - busy;
        let mut all = Vec::new();
        for kind in Kind::ALL {
            all.extend(cluster.store().list(kind, None).0);
        }
        Ok((all, idle))
    };
    let (one, idle) = play().await?;
    let (two, _) = play().await?;
    assert_eq!(one, two);
    assert_eq!(idle, 0, "nothing is written while nothing happens");
    Ok(())
}
