//! Pulls that work, and what happens around them: many nodes, indexes, redirects, resumed layers, images
//! that are there already, queues, hangs.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::unchecked_time_subtraction,
    reason = "a test may panic, and says so best by doing it"
)]

mod support;

use serde_json::{Value, json};
use sim_cluster::node::{Node, NodeSpec};
use sim_cluster::profile::{ContainerdVersion, KubernetesVersion, Profile, PullPath};
use sim_cluster::runtime::RegistryHost;
use sim_cluster::store::Kind;
use support::image::{INDEX, Image, digest, index};
use support::server::{Certificate, Reply, Seen, Server, reply, serve_image};
use support::world::{World, address, seconds};

const STUB: &str = "stub.pk.test:5010";

/// A world whose stub follows a script, and its node.
fn world(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> (World, Node, Server) {
    let world = World::new(3);
    world.alias(&["stub.pk.test"]);
    let server = Server::new(world.clock, script);
    server.listen(&world.registry, 5010);
    let node = world.start(&world.spec());
    (world, node, server)
}

fn running(world: &World, pod: &str) -> bool {
    world.get(pod)["status"]["phase"] == "Running"
}

fn container(name: &str, image: &str, policy: &str) -> Value {
    json!({ "name": name, "image": image, "imagePullPolicy": policy })
}

#[tokio::test(start_paused = true)]
async fn thirty_nodes_pull_over_tls() {
    let world = World::new(1);
    let certificate = Certificate::valid(&["registry.pk.test"], world.clock);
    let image = Image::new("fleet", "amd64", &[200_000, 100_000]);
    let served = image.clone();
    let server = Server::new(world.clock, move |seen| serve_image(seen, &served));
    server.listen_tls(&world.registry, 443, &certificate);
    let nodes: Vec<_> = (0..30)
        .map(|n| {
            let mut spec =
                NodeSpec::new(&format!("fleet-{n}"), address(&format!("10.1.0.{}", n + 1)));
            spec.trusted_ca = vec![certificate.ca.clone()];
            let node = Node::start(&spec, &world.network, &world.store, world.seed, n);
            let pod = json!({
                "metadata": { "name": format!("pod-{n}"), "namespace": "default" },
                "spec": {
                    "nodeName": node.name(), "restartPolicy": "Always",
                    "containers": [container("app", "registry.pk.test/fleet:1.0", "Always")],
                },
            });
            world.store.create(Kind::Pod, pod).unwrap();
            node
        })
        .collect();
    seconds(30).await;
    for (n, node) in nodes.iter().enumerate() {
        let pod = world.get(&format!("pod-{n}"));
        assert_eq!(pod["status"]["phase"], "Running");
        let want = format!("registry.pk.test/fleet@{}", digest(&image.manifest));
        assert_eq!(
            pod["status"]["containerStatuses"][0]["imageID"],
            want.as_str()
        );
        assert_eq!(node.attempts()[0].outcome, Ok(want));
    }
    assert_eq!(
        server.log().len(),
        30 * 5,
        "HEAD, manifest, config and two layers each"
    );
    let listed = world.store.get(Kind::Node, "", "fleet-0").unwrap();
    assert_eq!(listed["status"]["images"][0]["sizeBytes"], image.size());
    assert_eq!(
        listed["status"]["nodeInfo"]["containerRuntimeVersion"],
        "containerd://2.1.9+unknown"
    );
    assert!(
        world
            .store
            .get(Kind::Lease, "kube-node-lease", "fleet-0")
            .is_some()
    );
}

#[tokio::test(start_paused = true)]
async fn an_index_gives_the_nodes_platform() {
    let (arm, amd) = (
        Image::new("i", "arm64", &[1000]),
        Image::new("i", "amd64", &[1000]),
    );
    let body = index(&[("arm64", &arm), ("amd64", &amd)]);
    let top = digest(&body);
    let served = amd.clone();
    let (world, node, server) = world(move |seen| match seen.path.as_str() {
        p if p.ends_with("/1.0") || p.ends_with(&digest(&body)) => reply(200)
            .header("Content-Type", INDEX)
            .header("Docker-Content-Digest", &digest(&body))
            .body(body.clone()),
        _ => serve_image(seen, &served),
    });
    world.pod("app", &format!("{STUB}/multi:1.0"));
    seconds(10).await;
    assert!(running(&world, "app"));
    let image_id = format!("{STUB}/multi@{top}");
    assert_eq!(
        world.get("app")["status"]["containerStatuses"][0]["imageID"],
        image_id.as_str()
    );
    let layer = server
        .log()
        .iter()
        .any(|s| s.path.ends_with(&digest(&amd.layers[0])));
    assert!(layer && node.runtime().image(&image_id).is_some());

    // By digest: the manifest is asked for by digest, and nothing is fetched twice.
    let before = server.log().len();
    world.pod("again", &image_id);
    seconds(10).await;
    assert!(running(&world, "again"));
    assert_eq!(
        server.lines()[before..],
        [format!("HEAD /v2/multi/manifests/{top}")]
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_request_carries() {
    let image = Image::new("h", "amd64", &[1000]);
    let blob = image.layers[0].clone();
    let path = format!("/azure/{}", digest(&blob));
    let location = format!("http://blob.pk.test:5011{path}?sig=secret");
    let (world, _node, server) = world(move |seen| match seen.header("authorization") {
        "" => reply(401).header("WWW-Authenticate", "Basic realm=\"x\""),
        _ if seen.path.ends_with(&digest(&image.layers[0])) => {
            reply(307).header("Location", &location)
        }
        _ => serve_image(seen, &image),
    });
    world.alias(&["blob.pk.test"]);
    let blobs = Server::new(world.clock, move |_| reply(200).body(blob.clone()));
    blobs.listen(&world.registry, 5011);
    world.secret("pull", STUB, "user", "password");
    world.create(
        "app",
        json!({
            "containers": [container("app", &format!("{STUB}/h:1.0"), "Always")],
            "imagePullSecrets": [{ "name": "pull" }],
        }),
    );
    seconds(10).await;
    assert!(running(&world, "app"));
    let log = server.log();
    assert_eq!(log[0].header("user-agent"), "containerd/2.1.9+unknown");
    assert!(
        log[0]
            .header("accept")
            .starts_with("application/vnd.docker.distribution.manifest.v2+json, ")
    );
    assert!(log.iter().all(|s| s.header("host") == STUB));
    let get = log.iter().find(|s| s.method == "GET").unwrap();
    assert_eq!(
        get.header("accept"),
        "application/vnd.docker.distribution.manifest.v2+json, */*"
    );
    assert_eq!(
        get.header("accept-encoding"),
        "zstd;q=1.0, gzip;q=0.8, deflate;q=0.5"
    );
    let away = &blobs.log()[0];
    assert_eq!(away.path, format!("{path}?sig=secret"));
    assert_eq!(
        away.header("authorization"),
        "",
        "credentials stay with the registry"
    );
}

#[tokio::test(start_paused = true)]
async fn a_broken_layer_is_resumed() {
    let image = Image::new("r", "amd64", &[50_000]);
    let (world, _node, server) = world(move |seen| {
        let layer = &image.layers[0];
        if !seen.path.ends_with(&digest(layer)) {
            return serve_image(seen, &image);
        }
        match seen
            .header("range")
            .strip_prefix("bytes=")
            .and_then(|r| r.strip_suffix('-'))
        {
            None => reply(200).body(layer.clone()).cut(20_000),
            Some(from) => {
                let from: usize = from.parse().unwrap();
                let range = format!("bytes {from}-{}/{}", layer.len() - 1, layer.len());
                reply(206)
                    .header("Content-Range", &range)
                    .body(layer[from..].to_vec())
            }
        }
    });
    world.pod("app", &format!("{STUB}/r:1.0"));
    seconds(10).await;
    assert!(running(&world, "app"));
    let ranges: Vec<_> = server
        .log()
        .iter()
        .map(|s| s.header("range").to_owned())
        .filter(|r| !r.is_empty())
        .collect();
    assert_eq!(ranges, ["bytes=20000-"]);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_fetched_for_resolving_and_for_fetching() {
    let image = Image::new("t", "amd64", &[1000]);
    let (world, _node, server) = world(move |seen| {
        if seen.path.starts_with("/token") {
            return reply(200).body(r#"{"access_token":"abc","expires_in":300}"#);
        }
        if seen.header("authorization") == "Bearer abc" {
            return serve_image(seen, &image);
        }
        let challenge = format!(
            "Bearer realm=\"http://{STUB}/token\",service=\"s\",scope=\"repository:t:pull\""
        );
        reply(401).header("WWW-Authenticate", &challenge)
    });
    world.secret("pull", STUB, "user", "password");
    world.create(
        "app",
        json!({
            "containers": [container("app", &format!("{STUB}/t:1.0"), "Always")],
            "imagePullSecrets": [{ "name": "pull" }],
        }),
    );
    seconds(10).await;
    assert!(running(&world, "app"));
    let log = server.log();
    let methods: Vec<_> = log.iter().map(|s| s.method.as_str()).collect();
    assert_eq!(
        methods,
        ["HEAD", "POST", "HEAD", "GET", "POST", "GET", "GET", "GET"]
    );
    assert_eq!(
        log[1].body,
        "client_id=containerd-client&grant_type=password&password=password&scope=repository%3At%3Apull&service=s&username=user"
    );
}

#[tokio::test(start_paused = true)]
async fn an_image_on_the_node_is_for_those_who_could_pull_it() {
    let image = Image::new("p", "amd64", &[1000]);
    let (world, _node, _server) = world(move |seen| match seen.header("authorization") {
        "Basic dXNlcjpwYXNzd29yZA==" => serve_image(seen, &image),
        _ => reply(401).header("WWW-Authenticate", "Basic realm=\"x\""),
    });
    let image = format!("{STUB}/p:1.0");
    world.secret("one", STUB, "user", "password");
    world.secret("same", STUB, "user", "password");
    world.secret("wrong", STUB, "user", "wrong");
    let pod = |name: &str, policy: &str, secrets: &[&str]| {
        let secrets: Vec<_> = secrets.iter().map(|s| json!({ "name": s })).collect();
        world.create(name, json!({ "containers": [container("app", &image, policy)], "imagePullSecrets": secrets }));
    };
    pod("first", "IfNotPresent", &["one"]);
    seconds(10).await;
    pod("same", "IfNotPresent", &["same"]);
    pod("never", "Never", &["one"]);
    pod("wrong", "IfNotPresent", &["wrong"]);
    pod("none", "Never", &[]);
    seconds(10).await;
    let reasons = |pod: &str| {
        world
            .events(pod)
            .into_iter()
            .map(|(r, _, _)| r)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        reasons("first"),
        ["Pulling", "Pulled", "Created", "Started"]
    );
    assert_eq!(reasons("same"), ["Pulled", "Created", "Started"]);
    let text = format!(
        "Container image \"{image}\" already present on machine and can be accessed by the pod"
    );
    assert_eq!(world.events("same")[0].2, text);
    assert!(running(&world, "never"));
    assert_eq!(world.waiting("wrong", "app").0, "ErrImagePull");
    assert_eq!(world.waiting("none", "app").0, "ErrImageNeverPull");
}

#[tokio::test(start_paused = true)]
async fn a_changed_image_is_pulled_at_once() {
    let image = Image::new("c", "amd64", &[1000]);
    let (world, node, _server) = world(move |seen| {
        if seen.path.ends_with("/2.0") {
            reply(404)
        } else {
            serve_image(seen, &image)
        }
    });
    world.pod("app", &format!("{STUB}/c:2.0"));
    seconds(100).await;
    assert_eq!(world.waiting("app", "app").0, "ImagePullBackOff");
    let set = |tag: &str| {
        world
            .store
            .update(Kind::Pod, "default", "app", |pod| {
                pod["spec"]["containers"][0]["image"] = format!("{STUB}/c:{tag}").into();
            })
            .unwrap();
    };
    set("1.0");
    seconds(3).await;
    assert!(running(&world, "app"));
    assert_eq!(
        world.get("app")["status"]["observedGeneration"],
        world.get("app")["metadata"]["generation"]
    );
    // A running container is stopped for it and starts with the new one.
    set("1.1");
    seconds(3).await;
    let status = &world.get("app")["status"]["containerStatuses"][0];
    assert_eq!(
        (
            status["restartCount"].as_u64(),
            status["state"]["running"].is_object()
        ),
        (Some(1), true)
    );
    assert!(world.events("app").iter().any(|(r, _, m)| r == "Killing" && m.ends_with("definition changed, will be restarted")));
    assert_eq!(
        node.attempts().last().unwrap().image,
        format!("{STUB}/c:1.1")
    );
}

#[tokio::test(start_paused = true)]
async fn a_deleted_pod_is_gone_in_seconds_and_a_hanging_pull_holds_it() {
    let image = Image::new("d", "amd64", &[1000]);
    let (world, node, _server) = world(move |seen| {
        if seen.path.contains("/hang/") {
            Reply::Silence
        } else {
            serve_image(seen, &image)
        }
    });
    for (pod, image) in [
        ("runs", "d:1.0"),
        ("fails", "d@sha256:00"),
        ("hangs", "hang:1.0"),
    ] {
        world.pod(pod, &format!("{STUB}/{image}"));
    }
    seconds(20 * 60).await;
    assert_eq!(
        world.events("hangs").len(),
        1,
        "Pulling, and then nothing for twenty minutes"
    );
    assert_eq!(
        world.waiting("hangs", "app"),
        ("ContainerCreating".into(), String::new())
    );
    for pod in ["runs", "fails", "hangs"] {
        world
            .store
            .delete_graceful(Kind::Pod, "default", pod, 30)
            .unwrap();
    }
    seconds(3).await;
    assert!(world.store.get(Kind::Pod, "default", "runs").is_none());
    assert!(world.store.get(Kind::Pod, "default", "fails").is_none());
    assert!(
        world
            .events("runs")
            .iter()
            .any(|(_, _, m)| m == "Stopping container app")
    );
    assert!(
        world.store.get(Kind::Pod, "default", "hangs").is_some(),
        "its pull does not end"
    );
    assert_eq!(
        node.attempts().iter().filter(|a| a.pod == "hangs").count(),
        0
    );
}

#[tokio::test(start_paused = true)]
async fn the_local_path_gives_up_after_five_minutes() {
    let world = World::new(3);
    world.alias(&["stub.pk.test"]);
    Server::new(world.clock, |_| Reply::Silence).listen(&world.registry, 5010);
    let mut spec = world.spec();
    spec.profile = Profile::new(
        KubernetesVersion::new(36),
        ContainerdVersion::new(2, 1),
        PullPath::Local,
    );
    let node = world.start(&spec);
    world.pod("app", &format!("{STUB}/slow:1.0"));
    seconds(400).await;
    let attempt = &node.attempts()[0];
    assert_eq!((attempt.ended - attempt.started).as_secs(), 300);
    let reference = format!("{STUB}/slow:1.0");
    let want = format!(
        "rpc error: code = Canceled desc = failed to pull and unpack image \"{reference}\": failed to resolve reference \"{reference}\": \
         failed to do request: Head \"http://{STUB}/v2/slow/manifests/1.0\": context canceled"
    );
    assert_eq!(attempt.outcome, Err(want));
}

/// A pull whose layer stops half way holds up the others, until it is given up.
#[tokio::test(start_paused = true)]
async fn serialized_pulls_wait_in_line() {
    let world = World::new(3);
    world.alias(&["stub.pk.test"]);
    let (big, small) = (
        Image::new("big", "amd64", &[6_000_000]),
        Image::new("small", "amd64", &[1000]),
    );
    let script = move |seen: &Seen| match seen.path.contains("/big/") {
        true if seen.path.ends_with(&digest(&big.layers[0])) => {
            reply(200).body(big.layers[0].clone()).stall(3_200_000)
        }
        true => serve_image(seen, &big),
        false => serve_image(seen, &small),
    };
    Server::new(world.clock, script).listen(&world.registry, 5010);
    let mut spec = world.spec();
    spec.serialize_image_pulls = true;
    let node = world.start(&spec);
    world.pod("hang", &format!("{STUB}/big:1.0"));
    seconds(5).await;
    world.pod("good", &format!("{STUB}/small:1.0"));
    seconds(200).await;
    assert_eq!(world.events("good").len(), 1, "Pulling, and it waits");
    seconds(150).await;
    assert!(running(&world, "good"));
    let (_, _, text) = world
        .events("good")
        .into_iter()
        .find(|(r, _, _)| r == "Pulled")
        .unwrap();
    assert!(
        text.contains(" (5m1") && text.contains("s including waiting)"),
        "{text}"
    );
    let text = format!(
        "rpc error: code = Canceled desc = failed to pull and unpack image \"{STUB}/big:1.0\": context canceled"
    );
    assert_eq!(node.attempts()[0].outcome, Err(text));
    assert_eq!(
        (node.attempts()[0].ended - node.attempts()[0].started).as_secs(),
        320
    );
}

#[tokio::test(start_paused = true)]
async fn too_many_pulls_in_a_second_are_refused_by_the_kubelet_itself() {
    let (world, node, _server) = world(|_| reply(404));
    let containers: Vec<_> = (0..20)
        .map(|n| container(&format!("c{n}"), &format!("{STUB}/many:{n}"), "Always"))
        .collect();
    world.create("app", json!({ "containers": containers }));
    seconds(3).await;
    let refused = node
        .attempts()
        .iter()
        .filter(|a| a.outcome == Err("pull QPS exceeded".into()))
        .count();
    assert_eq!(refused, 10);
    assert_eq!(
        world.waiting("app", "c10"),
        ("ErrImagePull".into(), "pull QPS exceeded".into())
    );
    let combined = world
        .events("app")
        .iter()
        .any(|(_, _, m)| m.starts_with("(combined from similar events): "));
    assert!(combined, "twenty containers tell one story");
}

#[tokio::test(start_paused = true)]
async fn image_volumes_have_events_of_the_pod() {
    let image = Image::new("v", "amd64", &[1000]);
    let (world, _node, _server) = world(move |seen| {
        if seen.path.contains("/gone/") {
            reply(404)
        } else {
            serve_image(seen, &image)
        }
    });
    let mut app = container("app", &format!("{STUB}/v:1.0"), "Always");
    app["volumeMounts"] = json!([{ "mountPath": "/v", "name": "v" }]);
    let volumes = |image: &str, policy: &str| json!([{ "name": "v", "image": { "reference": format!("{STUB}/{image}"), "pullPolicy": policy } }]);
    world.create(
        "good",
        json!({ "containers": [app.clone()], "volumes": volumes("v:2.0", "Always") }),
    );
    world.create(
        "never",
        json!({ "containers": [app.clone()], "volumes": volumes("n:1.0", "Never") }),
    );
    world.create(
        "bad",
        json!({ "containers": [app], "volumes": volumes("gone:1.0", "Always") }),
    );
    seconds(5).await;
    assert!(running(&world, "good"));
    let (all, _) = world.store.list(Kind::Event, Some("default"));
    let of = |pod: &str, reason: &str| {
        let found = all
            .iter()
            .find(|e| e["involvedObject"]["name"] == pod && e["reason"] == reason)
            .unwrap();
        found["involvedObject"]["fieldPath"]
            .as_str()
            .map(str::to_owned)
    };
    assert_eq!(
        of("good", "Pulling"),
        None,
        "about the pod, not about a container"
    );
    assert_eq!(of("never", "ErrImageNeverPull"), None);
    assert_eq!(
        of("never", "Failed").as_deref(),
        Some("spec.containers{app}")
    );
    assert_eq!(world.waiting("never", "app").0, "ErrImageNeverPull");
    let (reason, message) = world.waiting("bad", "app");
    assert!(
        reason == "ImagePullBackOff" || reason == "ErrImagePull",
        "{reason}"
    );
    assert!(
        message.contains("/gone:1.0"),
        "the volume's image, which no container names: {message}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_mirror_is_asked_first() {
    let world = World::new(3);
    world.alias(&["stub.pk.test", "mirror.pk.test"]);
    let image = Image::new("m", "amd64", &[1000]);
    let served = image.clone();
    let mirror = Server::new(world.clock, move |seen| serve_image(seen, &served));
    mirror.listen(&world.registry, 80);
    let own = Server::new(world.clock, |_| reply(500));
    own.listen(&world.registry, 5010);
    let mut spec = world.spec();
    let hosts = RegistryHost::plain_http(STUB).with_mirror("http://mirror.pk.test");
    spec.hosts.insert(STUB.to_owned(), hosts);
    let _node = world.start(&spec);
    world.pod("app", &format!("{STUB}/m:1.0"));
    seconds(10).await;
    assert!(running(&world, "app"));
    assert!(own.log().is_empty());
    assert!(
        mirror
            .log()
            .iter()
            .all(|s| s.path.ends_with("?ns=stub.pk.test%3A5010"))
    );
}
