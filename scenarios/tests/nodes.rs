//! `--from nodes` on the embedded cluster: a real Job through its API, its scheduler and its kubelets, the program
//! in the containers, and the way back.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic, and says what it saw"
)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Secret};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use pull_scenarios::live::{Lab, Stage};
use pull_scenarios::spec::Scenario;
use pullcheck::bench::{Kind, Load};
use pullcheck::cause::Cause;
use pullcheck::check::{Request, WorkloadKind, check};
use pullcheck::cluster::fleet::{FleetSettings, JobFleet};
use pullcheck::evidence::Evidence;
use pullcheck::nodes::{Fleet, ImageOrder, LoadOrder, NodeLoad, Order};
use pullcheck::report::{self, Report, Style};
use pullcheck::stage::Stage as PullStage;
use pullcheck::verdict::{Outcome, Verdict};
use pullcheck::world::{Vantage, World};
use serde_json::json;

async fn lab(scenario: &Scenario, stage: Stage) -> Lab {
    let start = "2026-01-15T09:00:00Z".parse().unwrap();
    Lab::start(scenario, 1, stage, start).await.unwrap()
}

fn fleet(world: &World, settings: FleetSettings) -> Arc<JobFleet> {
    let client = world.cluster.clone().unwrap();
    Arc::new(JobFleet::new(client, settings, Arc::clone(&world.clock)))
}

fn web() -> Request {
    Request::Workload {
        kind: WorkloadKind::Deployment,
        namespace: "default".into(),
        name: "web".into(),
    }
}

fn page(report: &Report) -> String {
    report::text(report, &Style::default())
}

/// Jobs and pods of probes that are there.
async fn left(world: &World) -> usize {
    let client = || world.cluster.clone().unwrap();
    let all = ListParams::default();
    let jobs = Api::<Job>::namespaced(client(), "pullcheck")
        .list(&all)
        .await;
    let pods = Api::<Pod>::namespaced(client(), "pullcheck")
        .list(&all)
        .await;
    jobs.unwrap().items.len() + pods.unwrap().items.len()
}

#[tokio::test(start_paused = true)]
async fn the_node_that_is_cut_off_is_seen_from_itself() {
    let lab = lab(&common::scenario("firewall-block"), Stage::Broken).await;
    let world = lab.world_of_workstation();
    let fleet = fleet(&world, FleetSettings::default());
    let world = world.with_fleet(Arc::clone(&fleet) as Arc<dyn Fleet>);
    let found = check(&world, &web()).await;
    assert_eq!(found.cause(), Some(Cause::FirewallDrop), "{}", page(&found));
    let answer = &found.answers[0];
    assert_eq!(answer.judgement.vantage, Some(Vantage::node("node-2")));
    let comparison = answer.comparison.as_ref().unwrap();
    assert_eq!(comparison.differs_at, Some(PullStage::Tcp));
    assert_eq!(comparison.stands_out, ["node-2"]);
    assert!(
        page(&found).contains("node node-2       tcp       FAIL"),
        "{}",
        page(&found)
    );
    assert_eq!(found.gaps, [], "{}", page(&found));
    assert_eq!(left(&world).await, 0, "nothing stays");
    assert!(fleet.clean().await);
    assert!(lab.cluster().failures().list().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_look_leaves_nothing() {
    let lab = lab(&common::scenario("firewall-block"), Stage::Broken).await;
    let world = lab.world_of_workstation();
    let fleet = fleet(&world, FleetSettings::default());
    let world = world.with_fleet(Arc::clone(&fleet) as Arc<dyn Fleet>);
    let request = web();
    {
        let looking = check(&world, &request);
        tokio::select! {
            biased;
            () = tokio::time::sleep(Duration::from_secs(3)) => {}
            _ = looking => panic!("it takes longer than that"),
        }
    }
    assert!(left(&world).await >= 3, "a Job and a pod on each node");
    assert!(fleet.clean().await);
    assert_eq!(left(&world).await, 0);
}

#[tokio::test(start_paused = true)]
async fn whom_nobody_ends_ends_by_itself() {
    let lab = lab(&common::scenario("firewall-block"), Stage::Broken).await;
    let world = lab.world_of_workstation();
    let order = Order {
        images: vec![ImageOrder::new(
            "registry.example/team/web:v1".parse().unwrap(),
        )],
        ..Order::default()
    };
    {
        let fleet = fleet(&world, FleetSettings::default());
        tokio::select! {
            biased;
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
            _ = fleet.look(&order, &[]) => panic!("it takes longer than that"),
        }
    }
    assert!(left(&world).await >= 3);
    // The Job's own deadline, and a minute after its end.
    tokio::time::sleep(Duration::from_mins(6)).await;
    assert_eq!(left(&world).await, 0);
}

#[tokio::test(start_paused = true)]
async fn the_checker_s_own_image_that_cannot_be_pulled() {
    let lab = lab(&common::scenario("firewall-block"), Stage::Healthy).await;
    let world = lab.world_of_workstation();
    let settings = FleetSettings {
        image: "registry.example/team/pullcheck:9".into(),
        ..FleetSettings::default()
    };
    let fleet = fleet(&world, settings);
    let found = check(&world.clone().with_fleet(fleet), &web()).await;
    assert_eq!(found.verdict(), &Verdict::Pullable, "{}", page(&found));
    let gaps: Vec<&str> = found.gaps.iter().map(|gap| gap.what.as_str()).collect();
    assert_eq!(gaps.len(), 2, "{gaps:?}");
    assert!(
        gaps[0].starts_with(
            "node node-1: the checker's own image registry.example/team/pullcheck:9 cannot be pulled there: "
        ) && gaps[0].contains("ErrImagePull")
            && gaps[0].contains("not found"),
        "{gaps:?}"
    );
    assert_eq!(left(&world).await, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_in_the_cluster_is_said_with_the_line_to_type() {
    let lab = lab(&common::scenario("firewall-block"), Stage::Healthy).await;
    let world = lab.world_of_workstation();
    let client = world.cluster.clone().unwrap();
    let somewhere = |name: &str| FleetSettings {
        namespace: name.into(),
        ..FleetSettings::default()
    };
    let no_namespace = fleet(&world, somewhere("nowhere"));
    let found = check(&world.clone().with_fleet(no_namespace), &web()).await;
    let gap = &found.gaps[0];
    assert_eq!(
        (gap.what.as_str(), gap.ask.as_deref()),
        (
            "no node was looked from: there is no namespace nowhere for the probes",
            Some("pullcheck nodes --print-manifests | kubectl apply -f -")
        )
    );
    let bare: Namespace =
        serde_json::from_value(json!({ "metadata": { "name": "bare" } })).unwrap();
    Api::all(client)
        .create(&PostParams::default(), &bare)
        .await
        .unwrap();
    let nobody = fleet(
        &world,
        FleetSettings {
            selector: Some("disk=none".into()),
            ..FleetSettings::default()
        },
    );
    let found = check(&world.clone().with_fleet(nobody), &web()).await;
    assert_eq!(
        found.gaps[0].what,
        "no node was looked from: no node fits the selector `disk=none`"
    );
    assert_eq!(left(&world).await, 0);
}

#[tokio::test(start_paused = true)]
async fn cordoned_and_unready_nodes_and_a_selector() {
    let lab = lab(&common::scenario("firewall-block"), Stage::Broken).await;
    let world = lab.world_of_workstation();
    let nodes = Api::<Node>::all(world.cluster.clone().unwrap());
    let patch = |value| Patch::Merge(value);
    let params = PatchParams::default();
    let cordon = patch(json!({ "spec": { "unschedulable": true } }));
    nodes.patch("node-2", &params, &cordon).await.unwrap();
    let label = patch(json!({ "metadata": { "labels": { "pool": "odd" } } }));
    nodes.patch("node-2", &params, &label).await.unwrap();
    let settings = FleetSettings {
        selector: Some("pool=odd".into()),
        ..FleetSettings::default()
    };
    let fleet = fleet(&world, settings);
    let found = check(&world.with_fleet(fleet), &web()).await;
    let comparison = found.answers[0].comparison.as_ref().unwrap();
    let seen: Vec<(String, Outcome)> = comparison
        .places
        .iter()
        .map(|one| (one.name(), one.outcome))
        .collect();
    assert_eq!(
        seen,
        [
            ("this workstation".to_owned(), Outcome::Passed),
            ("node node-2".to_owned(), Outcome::Stopped)
        ],
        "a cordoned node is looked from, others are not"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pull_secret_goes_by_reference_and_never_in_the_job() {
    let scenario = common::scenario("wrong-password");
    let lab = lab(&scenario, Stage::Healthy).await;
    let world = lab.world_of_workstation();
    let client = || world.cluster.clone().unwrap();
    let secret: Secret = serde_json::from_value(json!({
        "metadata": { "name": "regcred", "namespace": "pullcheck" },
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": { ".dockerconfigjson":
            json!({ "auths": { "registry.example": { "username": "ci", "password": "ci-secret" } } }).to_string() }
    }))
    .unwrap();
    Api::namespaced(client(), "pullcheck")
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
    let settings = FleetSettings {
        secrets: vec!["regcred".into()],
        ..FleetSettings::default()
    };
    let fleet = fleet(&world, settings);
    assert!(fleet.signs_in());
    let order = Order {
        images: vec![ImageOrder::new(
            "registry.example/team/web:v1".parse().unwrap(),
        )],
        ..Order::default()
    };
    let looking = async { fleet.look(&order, &[]).await };
    let watching = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let all = ListParams::default();
        let jobs = Api::<Job>::namespaced(client(), "pullcheck")
            .list(&all)
            .await;
        let pods = Api::<Pod>::namespaced(client(), "pullcheck")
            .list(&all)
            .await;
        serde_json::to_string(&(jobs.unwrap().items, pods.unwrap().items)).unwrap()
    };
    let (seen, objects) = tokio::join!(looking, watching);
    assert!(objects.contains("regcred") && !objects.contains("ci-secret"));
    assert_eq!(seen.nodes.len(), 1);
    for node in &seen.nodes {
        let heard = node.heard.as_ref().unwrap();
        assert!(heard.complete);
        let mut ends = heard.images.values().flat_map(Evidence::attempts);
        assert!(ends.any(|(_, end)| end.complete));
        let evidence = serde_json::to_string(&heard.images).unwrap();
        assert!(
            evidence.contains("pull-secret") && evidence.contains("regcred"),
            "{evidence}"
        );
        assert!(!evidence.contains("ci-secret"));
    }
}

#[tokio::test(start_paused = true)]
async fn load_is_spread_over_the_nodes_and_added_up() {
    let lab = lab(&common::scenario("firewall-block"), Stage::Broken).await;
    let world = lab.world_of_workstation();
    let load = Load {
        kind: Kind::Warm,
        connections: 4,
        time: Duration::from_secs(2),
        rate: Some(100.0),
        public: true,
    };
    let order = Order {
        images: vec![ImageOrder::new(
            "registry.example/team/web:v1".parse().unwrap(),
        )],
        load: Some(LoadOrder::part(&load, 1)),
        ..Order::default()
    };
    let fleet = fleet(&world, FleetSettings::default());
    let seen = fleet.look(&order, &[]).await;
    let all = NodeLoad::add_up(&load, &seen).unwrap();
    // Half of the rate for two seconds: the other node is cut off, and says so.
    assert_eq!(all.total().probes(), 100, "{}", all.text());
    assert!(!all.is_clean());
    assert!(all.text().contains("node-2   nothing: "), "{}", all.text());
    assert!(all.text().contains("it stops at tcp"), "{}", all.text());
    assert_eq!(left(&world).await, 0);
}
