//! Namespaces, the cluster, manifests, and following a rollout.

use std::time::Duration;

use super::*;
use crate::check::{Follow, Manifests, Settings, follow, preflight};
use crate::report::Extent;

fn namespace() -> Request {
    Request::Namespace {
        namespace: "shop".into(),
    }
}

#[tokio::test(start_paused = true)]
async fn one_bad_image_is_one_problem() {
    let registry = open_registry();
    let image = "registry.example/shop/api:1.91";
    let text = format!("{image}: not found");
    let pods = [
        failing("node-1", "api-5d9-a", image, &text),
        failing("node-2", "api-5d9-b", image, &text),
        running("node-2", "api-5d9-c", "registry.example/shop/api:1.9"),
    ];
    let world = world(&registry, &["node-1", "node-2"], &[])
        .with_cluster(client(answers(&pods, |_| None), Arc::default()));
    let found = check(&world, &namespace()).await;
    assert_eq!(found.cause(), Some(Cause::TagNotFound), "{}", page(&found));
    let [problem] = &found.problems[..] else {
        panic!("{:?}", found.problems)
    };
    assert!(matches!(&problem.extent, Extent::Image { image: one } if one == image));
    assert_eq!((problem.waiting, problem.nodes.len()), (2, 2));
    assert_eq!(
        found.summary.as_deref(),
        Some("3 pods were read; 2 containers wait for an image, 1 problems")
    );
}

#[tokio::test(start_paused = true)]
async fn one_bad_node_is_one_problem_whatever_the_images() {
    let registry = open_registry();
    let (one, two) = (
        "registry.example/shop/api:1.8",
        "registry.example/shop/api:1.9",
    );
    let text = |tag: &str| {
        format!(
            "failed to do request: Head \"https://registry.example/v2/shop/api/manifests/{tag}\": dial tcp 10.0.1.4:443: i/o timeout"
        )
    };
    let pods = [
        failing("node-1", "api-5d9-a", one, &text("1.8")),
        failing("node-1", "api-5d9-b", two, &text("1.9")),
        running("node-2", "api-5d9-c", one),
        running("node-2", "api-5d9-d", two),
    ];
    let world = world(&registry, &["node-1", "node-2"], &["node-1"])
        .with_cluster(client(answers(&pods, |_| None), Arc::default()));
    let found = check(&world, &namespace()).await;
    let [problem] = &found.problems[..] else {
        panic!("{}", page(&found))
    };
    assert_eq!(problem.cause, Some(Cause::FirewallDrop), "{}", page(&found));
    assert_eq!(
        problem.extent,
        Extent::Node {
            node: "node-1".into()
        }
    );
    assert_eq!(problem.images, [one, two]);
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_list_everywhere_each_namespace_is_asked() {
    let registry = open_registry();
    let image = "registry.example/shop/api:1.91";
    let pods = [failing(
        "node-1",
        "api-5d9-a",
        image,
        &format!("{image}: not found"),
    )];
    let mut known = answers(&pods, |_| None);
    let names = json!({"metadata": {"name": "shop"}});
    known.insert(
        "/api/v1/namespaces?".to_owned(),
        (200, list("NamespaceList", &[names], None)),
    );
    let world = world(&registry, &["node-1"], &[]).with_cluster(client(known, Arc::default()));
    let found = check(&world, &Request::Cluster).await;
    assert_eq!(found.cause(), Some(Cause::TagNotFound), "{}", page(&found));
    let asks: Vec<&str> = found
        .gaps
        .iter()
        .filter_map(|gap| gap.ask.as_deref())
        .collect();
    assert!(
        asks.contains(&"kubectl auth can-i list pods --all-namespaces"),
        "{asks:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_healthy_namespace_is_pullable_and_asks_no_registry() {
    let registry = open_registry();
    let pods = [running(
        "node-1",
        "api-5d9-c",
        "registry.example/shop/api:1.9",
    )];
    let world = world(&registry, &["node-1"], &[])
        .with_cluster(client(answers(&pods, |_| None), Arc::default()));
    let mut lines = Vec::new();
    let how = Follow::default();
    let followed = follow(&world, &namespace(), &Settings::default(), &how, |line| {
        lines.push(line.to_owned());
    })
    .await;
    for found in [check(&world, &namespace()).await, followed] {
        assert_eq!(found.verdict(), &Verdict::Pullable);
        assert!(
            page(&found).contains("No pod waits for an image."),
            "{}",
            page(&found)
        );
    }
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        registry.journal().entries().is_empty(),
        "nobody had to be asked"
    );
}

#[tokio::test(start_paused = true)]
async fn following_ends_with_the_time_and_says_why() {
    let registry = open_registry();
    let image = "registry.example/shop/api:1.91";
    let pods = [failing(
        "node-1",
        "api-5d9-a",
        image,
        &format!("{image}: not found"),
    )];
    let world = world(&registry, &["node-1"], &[])
        .with_cluster(client(answers(&pods, |_| None), Arc::default()));
    let how = Follow {
        every: Duration::from_secs(5),
        timeout: Duration::from_secs(30),
    };
    let begun = tokio::time::Instant::now();
    let found = follow(&world, &deployment(), &Settings::default(), &how, |_| {}).await;
    assert_eq!(found.cause(), Some(Cause::TagNotFound), "{}", page(&found));
    assert!(
        found.gaps[0].what.starts_with("not healthy after 3"),
        "{:?}",
        found.gaps
    );
    assert!(begun.elapsed() >= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn manifests_are_checked_before_anything_is_deployed() {
    let registry = open_registry();
    let world = world(&registry, &[], &[]);
    let text = "kind: Pod\nmetadata: { name: web }\nspec:\n  containers:\n    - { name: a, image: \"registry.example/shop/api:1.9\" }\n    - { name: b, image: \"registry.example/shop/api:1.91\" }\n";
    let mut manifests = Manifests::default();
    manifests.add("web.yaml", text, "shop").expect("YAML");
    let settings = Settings::default();
    let found = preflight(&world, "manifests web.yaml", &manifests, &[], &settings).await;
    let verdicts: Vec<(&str, &str)> = found
        .answers
        .iter()
        .map(|one| (one.image.as_str(), one.judgement.verdict.kind()))
        .collect();
    assert_eq!(
        verdicts,
        [
            ("registry.example/shop/api:1.91", "blocked"),
            ("registry.example/shop/api:1.9", "pullable"),
        ],
        "{}",
        page(&found)
    );
    assert_eq!(found.cause(), Some(Cause::TagNotFound));
    assert!(
        page(&found).contains("asked for by pod/web b (web.yaml:6)"),
        "{}",
        page(&found)
    );
    // For another platform than the image is built for.
    let odd = [crate::evidence::Platform::new("linux", "s390x")];
    let found = preflight(&world, "manifests web.yaml", &manifests, &odd, &settings).await;
    let causes: Vec<Option<Cause>> = found
        .answers
        .iter()
        .map(|one| one.judgement.verdict.cause())
        .collect();
    assert!(
        causes.contains(&Some(Cause::PlatformMismatch)),
        "{}",
        page(&found)
    );
}

/// A registry that is not reached twice is not dialled for a third image.
#[tokio::test(start_paused = true)]
async fn a_dead_registry_is_left_alone_after_two_images() {
    let registry = open_registry();
    let images = [
        "registry.example/shop/a:1",
        "registry.example/shop/b:1",
        "registry.example/shop/c:1",
    ];
    let pods = images.map(|image| failing("node-1", "api-5d9-a", image, "i/o timeout"));
    let names = ["api-5d9-a", "api-5d9-b", "api-5d9-c"];
    let pods: Vec<PodSpec> = pods
        .into_iter()
        .zip(names)
        .map(|(pod, name)| PodSpec { name, ..pod })
        .collect();
    let world = world(&registry, &["node-1"], &["node-1", "workstation"])
        .with_cluster(client(answers(&pods, |_| None), Arc::default()));
    let found = check(&world, &namespace()).await;
    assert_eq!(
        page(&found)
            .matches("not probed: registry.example was not reached")
            .count(),
        1,
        "{}",
        page(&found)
    );
}
