//! Whole checks in virtual time: a hand-made API server, the fake registry and its Azure, and a
//! small network on which each place has its own rules.

mod nodes;
mod wide;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use fake_registry::{
    AcrRegistry, Action, Clock, Conn, End, FakeRegistry, ManagedCluster, Match, Principal, Route,
    Rule, Scheme, Scope, Script, Tenant,
};
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::near::near;
use super::{Request, WorkloadKind, check};
use crate::cause::Cause;
use crate::cluster::tests::{Answers, client, list};
use crate::keyring::Secret;
use crate::report::{self, Report, Style};
use crate::verdict::Verdict;
use crate::world::{
    Arm, BoxStream, DialError, DnsError, FixedToken, Host, Net, Place, Resolved, Trust, Vantage,
    WallClock, World,
};

const START: &str = "2026-01-15T09:00:00Z";
const REGISTRY: &str = "10.0.1.4";
const METADATA: &str = "169.254.169.254";

#[derive(Clone)]
struct Where {
    name: String,
    address: SocketAddr,
    names: Arc<BTreeMap<&'static str, &'static str>>,
    dropped: Vec<IpAddr>,
    registry: FakeRegistry,
}

impl Net for Where {
    fn resolve<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<Resolved, DnsError>> {
        let server = Some("10.0.0.10:53".to_owned());
        let found = self
            .names
            .get(host.name().unwrap_or_default())
            .map(|text| text.parse().expect("an address"));
        Box::pin(async move {
            let addresses = vec![found.ok_or(DnsError::NxDomain {
                server: server.clone(),
            })?];
            Ok(Resolved {
                addresses,
                aliases: Vec::new(),
                server,
            })
        })
    }

    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, Result<BoxStream, DialError>> {
        Box::pin(async move {
            if self.dropped.contains(&to.ip()) {
                tokio::time::sleep(Duration::from_secs(127)).await;
                return Err(DialError::TimedOut);
            }
            let metadata = to.ip().to_string() == METADATA && self.name == "workstation";
            if metadata || !self.names.values().any(|text| *text == to.ip().to_string()) {
                return Err(DialError::NoRoute);
            }
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            let scheme = if to.port() == 80 {
                Scheme::Http
            } else {
                Scheme::Https
            };
            let conn = Conn {
                peer: self.address,
                client: self.name.clone(),
                scheme,
            };
            tokio::spawn(self.registry.serve(theirs, conn));
            Ok(Box::new(ours) as BoxStream)
        })
    }
}

struct TestClock(Clock);

impl WallClock for TestClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

fn clock() -> Clock {
    Clock::starting_at(START.parse().expect("a date"))
}

/// A world with a workstation and nodes; those named in `cut` cannot reach the registry.
fn world(registry: &FakeRegistry, nodes: &[&str], cut: &[&str]) -> World {
    let names = Arc::new(BTreeMap::from([
        ("registry.example", REGISTRY),
        ("shop.azurecr.io", REGISTRY),
        ("management.azure.com", "20.0.0.1"),
        ("metadata", METADATA),
    ]));
    let place = |vantage: Vantage, name: &str, at: usize| {
        let dropped = if cut.contains(&name) {
            vec![REGISTRY.parse().expect("an address")]
        } else {
            Vec::new()
        };
        let address = format!("10.1.0.{}:40000", at + 5)
            .parse()
            .expect("an address");
        let net = Where {
            name: name.into(),
            address,
            names: Arc::clone(&names),
            dropped,
            registry: registry.clone(),
        };
        Place::new(vantage, Arc::new(net), Trust::roots([registry.ca_der()]))
    };
    let places = nodes
        .iter()
        .enumerate()
        .map(|(at, name)| place(Vantage::node(name), name, at));
    let workstation = place(Vantage::Workstation, "workstation", 100);
    World::new(Arc::new(TestClock(registry.clock())), workstation).with_nodes(places)
}

struct PodSpec {
    name: &'static str,
    node: &'static str,
    image: String,
    /// None for a running one.
    message: Option<String>,
}

fn pod(spec: &PodSpec) -> Value {
    let state = match &spec.message {
        Some(text) => json!({"waiting": {"reason": "ImagePullBackOff",
            "message": format!("Back-off pulling image \"{}\": ErrImagePull: {text}", spec.image)}}),
        None => json!({"running": {"startedAt": START}}),
    };
    let id = if spec.message.is_some() {
        ""
    } else {
        "registry.example/shop/api@sha256:00"
    };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": spec.name, "namespace": "shop", "uid": format!("uid-{}", spec.name),
            "labels": {"app": "api", "pod-template-hash": "5d9"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "api-5d9", "uid": "r", "controller": true}],
        },
        "spec": {"nodeName": spec.node, "containers": [{"name": "main", "image": spec.image}]},
        "status": {"phase": "Pending", "containerStatuses": [
            {"name": "main", "image": spec.image, "imageID": id, "ready": false, "restartCount": 0, "state": state}]},
    })
}

fn events(spec: &PodSpec) -> Vec<Value> {
    let Some(text) = &spec.message else {
        return Vec::new();
    };
    vec![json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": format!("{}.1", spec.name), "namespace": "shop"},
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": spec.name, "uid": format!("uid-{}", spec.name),
            "fieldPath": "spec.containers{main}"},
        "reason": "Failed", "type": "Warning", "count": 3, "message": format!("Failed to pull image \"{}\": {text}", spec.image),
        "firstTimestamp": "2026-01-15T08:58:00Z", "lastTimestamp": "2026-01-15T08:59:50Z",
    })]
}

/// What an API server answers about a Deployment `api` in `shop` with these pods.
fn answers(pods: &[PodSpec], provider: impl Fn(&str) -> Option<String>) -> Answers {
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "api"}}}});
    let all: Vec<Value> = pods.iter().map(pod).collect();
    let mut answers = Answers::from([
        (
            "/apis/apps/v1/namespaces/shop/deployments/api".to_owned(),
            (200, deployment),
        ),
        (
            "/api/v1/namespaces/shop/pods?".to_owned(),
            (200, list("PodList", &all, None)),
        ),
    ]);
    for spec in pods {
        answers.insert(
            format!("/api/v1/namespaces/shop/pods/{}", spec.name),
            (200, pod(spec)),
        );
        let query = format!(
            "/api/v1/namespaces/shop/events?&fieldSelector=involvedObject.uid%3Duid-{}&",
            spec.name
        );
        answers.insert(query, (200, list("EventList", &events(spec), None)));
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": spec.node},
            "spec": {"providerID": provider(spec.node)},
            "status": {"nodeInfo": {"architecture": "amd64", "operatingSystem": "linux", "kubeletVersion": "v1.36.2",
                "containerRuntimeVersion": "containerd://2.1.9", "bootID": "", "kernelVersion": "", "kubeProxyVersion": "",
                "machineID": "", "osImage": "", "systemUUID": ""}}});
        answers.insert(format!("/api/v1/nodes/{}", spec.node), (200, node));
    }
    answers
}

fn deployment() -> Request {
    Request::Workload {
        kind: WorkloadKind::Deployment,
        namespace: "shop".into(),
        name: "api".into(),
    }
}

fn failing(node: &'static str, name: &'static str, image: &str, text: &str) -> PodSpec {
    let text =
        format!("failed to pull and unpack image \"{image}\": failed to resolve image: {text}");
    PodSpec {
        name,
        node,
        image: image.into(),
        message: Some(text),
    }
}

fn page(report: &Report) -> String {
    report::text(report, &Style::default())
}

fn running(node: &'static str, name: &'static str, image: &str) -> PodSpec {
    PodSpec {
        name,
        node,
        image: image.into(),
        message: None,
    }
}

fn open_registry() -> FakeRegistry {
    FakeRegistry::builder()
        .clock(clock())
        .seed(1)
        .image(
            "registry.example",
            "shop/api:1.8 linux/amd64,linux/arm64 2x1KiB",
        )
        .image(
            "registry.example",
            "shop/api:1.9 linux/amd64,linux/arm64 2x1KiB",
        )
        .build()
        .expect("a registry")
}

#[tokio::test(start_paused = true)]
async fn a_bad_tag_is_named_with_the_line_to_type() {
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
    let found = check(&world, &deployment()).await;
    assert_eq!(found.cause(), Some(Cause::TagNotFound), "{}", page(&found));
    let commands: Vec<&str> = found
        .remedies()
        .iter()
        .flat_map(|one| &one.commands)
        .map(String::as_str)
        .collect();
    assert_eq!(
        commands.first(),
        Some(&"kubectl -n shop set image deployment/api main=registry.example/shop/api:1.9")
    );
    insta::assert_snapshot!("bad_tag", page(&found));
    let json = report::json(&found);
    assert_eq!(
        (json["schema"].as_str(), json["cause"].as_str()),
        (Some("pullcheck.report/1"), Some("tag-not-found"))
    );
}

#[tokio::test(start_paused = true)]
async fn the_same_report_renders_to_the_same_bytes() {
    let mut pages = Vec::new();
    for _ in 0..2 {
        let registry = open_registry();
        let image = "registry.example/shop/api:1.91";
        let pods = [failing("node-1", "api-5d9-a", image, "not found")];
        let world = world(&registry, &["node-1"], &[])
            .with_cluster(client(answers(&pods, |_| None), Arc::default()));
        let found = check(&world, &deployment()).await;
        pages.push((page(&found), report::json(&found).to_string()));
    }
    assert_eq!(pages.first(), pages.last());
}

#[tokio::test(start_paused = true)]
async fn a_firewall_before_one_of_two_nodes() {
    let registry = open_registry();
    let image = "registry.example/shop/api:1.9";
    let text = "failed to do request: Head \"https://registry.example/v2/shop/api/manifests/1.9\": dial tcp 10.0.1.4:443: i/o timeout";
    let running = PodSpec {
        name: "api-5d9-b",
        node: "node-2",
        image: image.into(),
        message: None,
    };
    let pods = [failing("node-1", "api-5d9-a", image, text), running];
    let world = world(&registry, &["node-1", "node-2"], &["node-1"]);
    let world = world.with_cluster(client(answers(&pods, |_| None), Arc::default()));
    let found = check(&world, &deployment()).await;
    assert_eq!(found.cause(), Some(Cause::FirewallDrop), "{}", page(&found));
    insta::assert_snapshot!("firewall", page(&found));
}

#[tokio::test(start_paused = true)]
async fn pods_that_run_are_pullable() {
    let registry = open_registry();
    let pods = [PodSpec {
        name: "api-5d9-b",
        node: "node-1",
        image: "registry.example/shop/api:1.9".into(),
        message: None,
    }];
    let world = world(&registry, &["node-1"], &[])
        .with_cluster(client(answers(&pods, |_| None), Arc::default()));
    let found = check(&world, &deployment()).await;
    assert_eq!(found.verdict(), &Verdict::Pullable, "{}", page(&found));
    insta::assert_snapshot!("pullable", page(&found));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_or_not_allowed_is_said() {
    let registry = open_registry();
    let world = world(&registry, &[], &[]).with_cluster(client(Answers::new(), Arc::default()));
    let found = check(
        &world,
        &Request::Pod {
            namespace: "shop".into(),
            name: "api-1".into(),
        },
    )
    .await;
    assert_eq!(found.verdict().kind(), "undetermined");
    assert!(
        page(&found).contains("kubectl auth can-i get pods -n shop"),
        "{}",
        page(&found)
    );
}

/// An AKS-like tenant: one registry, one cluster with a node, and whoever has which role where.
fn tenant() -> Tenant {
    Tenant::new("contoso")
        .registry(AcrRegistry::new("shop", "shared"))
        .registry(AcrRegistry::new("other", "shared"))
        .cluster(ManagedCluster::new("aks1", "shop").node("node-1"))
        .identity("somebody", "shared")
        .user("operator")
        .assign(Principal::user("operator"), "Reader", Scope::Subscription)
        // Neither of these may mislead.
        .assign(
            Principal::kubelet("aks1"),
            "AcrPull",
            Scope::registry("other"),
        )
        .assign(
            Principal::identity("somebody"),
            "AcrPull",
            Scope::resource_group("shared"),
        )
}

async fn check_azure(tenant: Tenant, with_arm: bool) -> (Report, FakeRegistry) {
    let registry = FakeRegistry::builder()
        .clock(clock())
        .seed(1)
        .image("shop.azurecr.io", "team/web:v1 linux/amd64 2x1KiB")
        .azure(tenant)
        .build()
        .expect("a registry");
    let image = "shop.azurecr.io/team/web:v1";
    let text = "failed to authorize: failed to fetch anonymous token: unexpected status from GET request to \
                https://shop.azurecr.io/oauth2/token?scope=repository%3Ateam%2Fweb%3Apull&service=shop.azurecr.io: 401 Unauthorized";
    let pods = [failing("node-1", "api-5d9-a", image, text)];
    let provider = |node: &str| registry.azure().provider_id(node).ok();
    let mut world = world(&registry, &["node-1"], &[])
        .with_cluster(client(answers(&pods, provider), Arc::default()));
    if with_arm {
        let operator = registry
            .azure()
            .object_id(&Principal::user("operator"))
            .expect("there is one");
        let token = Secret::new(registry.arm_token(&operator));
        world = world.with_arm(Arm::new(Arc::new(FixedToken(token))));
    }
    (check(&world, &deployment()).await, registry)
}

#[tokio::test(start_paused = true)]
async fn a_missing_role_with_azure_and_without() {
    let (found, registry) = check_azure(tenant(), true).await;
    assert_eq!(
        found.cause(),
        Some(Cause::AcrRoleMissing),
        "{}",
        page(&found)
    );
    let identity = registry
        .azure()
        .object_id(&Principal::kubelet("aks1"))
        .expect("there is one");
    let scope = registry
        .azure()
        .scope_id(&Scope::registry("shop"))
        .expect("there is one");
    let wanted = format!(
        "az role assignment create --assignee-object-id {identity} --assignee-principal-type ServicePrincipal --role AcrPull --scope {scope}"
    );
    let commands: Vec<&str> = found
        .remedies()
        .iter()
        .flat_map(|one| &one.commands)
        .map(String::as_str)
        .collect();
    assert_eq!(commands.first(), Some(&wanted.as_str()));
    insta::assert_snapshot!("missing_role", page(&found));

    let (found, _) = check_azure(tenant(), false).await;
    let Verdict::Undetermined {
        candidates,
        would_settle,
        ..
    } = found.verdict()
    else {
        panic!("{}", page(&found));
    };
    assert_eq!(
        candidates.first(),
        Some(&Cause::AcrRoleMissing),
        "{}",
        page(&found)
    );
    assert!(
        would_settle
            .iter()
            .any(|one| one.what.contains("--arm-token-file")),
        "{would_settle:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_twin_of_the_missing_role_is_the_wrong_identity() {
    let tenant = tenant().assign(
        Principal::control_plane("aks1"),
        "AcrPull",
        Scope::registry("shop"),
    );
    let (found, _) = check_azure(tenant, true).await;
    assert_eq!(
        found.cause(),
        Some(Cause::AcrRoleWrongIdentity),
        "{}",
        page(&found)
    );
}

#[tokio::test(start_paused = true)]
async fn no_secret_reaches_a_report() {
    let (found, registry) = check_azure(tenant(), true).await;
    let operator = registry
        .azure()
        .object_id(&Principal::user("operator"))
        .expect("there is one");
    let token = registry.arm_token(&operator);
    let whole = format!("{}{}{found:?}", page(&found), report::json(&found));
    assert!(!whole.contains("eyJ"), "something like a token is printed");
    assert!(!whole.contains(&token));
}

/// One fault on every request of a route, and the cause that a check must find.
#[tokio::test(start_paused = true)]
async fn faults_of_a_registry() {
    let on = |route: Route, action: Action| Rule::new(action).when(Match::any().route(&[route]));
    let table = [
        (
            on(
                Route::Manifest,
                Action::status(429).retry_after(Duration::from_mins(4)),
            ),
            Cause::Registry429,
            "429 Too Many Requests",
        ),
        (
            on(Route::Manifest, Action::status(503)),
            Cause::Registry5xx,
            "503 Service Unavailable",
        ),
        (
            on(Route::Manifest, Action::end(End::Hang)),
            Cause::PullHanging,
            "context canceled",
        ),
        (
            on(Route::Blob, Action::status(404)),
            Cause::LayerMissing,
            "could not fetch content descriptor from remote: not found",
        ),
    ];
    for (rule, cause, text) in table {
        let registry = FakeRegistry::builder()
            .clock(clock())
            .seed(1)
            .image(
                "registry.example",
                "shop/api:1.9 linux/amd64,linux/arm64 2x1KiB",
            )
            .faults(Script::new().rule(rule))
            .build()
            .expect("a registry");
        let image = "registry.example/shop/api:1.9";
        let status = format!(
            "unexpected status from HEAD request to https://registry.example/v2/shop/api/manifests/1.9: {text}"
        );
        let pods = [failing("node-1", "api-5d9-a", image, &status)];
        let world = world(&registry, &["node-1"], &[])
            .with_cluster(client(answers(&pods, |_| None), Arc::default()));
        let found = check(&world, &deployment()).await;
        assert_eq!(found.cause(), Some(cause), "{}", page(&found));
    }
}

#[tokio::test(start_paused = true)]
async fn no_entry_of_the_index_fits_the_node() {
    let registry = FakeRegistry::builder()
        .clock(clock())
        .seed(1)
        .image(
            "registry.example",
            "shop/api:1.9 linux/s390x,linux/arm64 2x1KiB",
        )
        .build()
        .expect("a registry");
    let pods = [failing(
        "node-1",
        "api-5d9-a",
        "registry.example/shop/api:1.9",
        "no match for platform in manifest: not found",
    )];
    let world = world(&registry, &["node-1"], &[])
        .with_cluster(client(answers(&pods, |_| None), Arc::default()));
    let found = check(&world, &deployment()).await;
    assert_eq!(
        found.cause(),
        Some(Cause::PlatformMismatch),
        "{}",
        page(&found)
    );
}

#[tokio::test(start_paused = true)]
async fn a_throttled_registry_of_azure_with_the_tier_that_helps() {
    let tenant = tenant().assign(
        Principal::kubelet("aks1"),
        "AcrPull",
        Scope::registry("shop"),
    );
    let throttle = Rule::new(Action::status(429).retry_after(Duration::from_mins(4)))
        .when(Match::any().route(&[Route::Manifest]));
    let registry = FakeRegistry::builder()
        .clock(clock())
        .seed(1)
        .image("shop.azurecr.io", "team/web:v1 linux/amd64 2x1KiB")
        .azure(tenant)
        .faults(Script::new().rule(throttle))
        .build()
        .expect("a registry");
    let text = "unexpected status from HEAD request to https://shop.azurecr.io/v2/team/web/manifests/v1: 429 Too Many Requests";
    let pods = [failing(
        "node-1",
        "api-5d9-a",
        "shop.azurecr.io/team/web:v1",
        text,
    )];
    let provider = |node: &str| registry.azure().provider_id(node).ok();
    let operator = registry
        .azure()
        .object_id(&Principal::user("operator"))
        .expect("there is one");
    let token = FixedToken(Secret::new(registry.arm_token(&operator)));
    let world = world(&registry, &["node-1"], &[])
        .with_cluster(client(answers(&pods, provider), Arc::default()));
    let found = check(&world.with_arm(Arm::new(Arc::new(token))), &deployment()).await;
    assert_eq!(found.cause(), Some(Cause::Registry429), "{}", page(&found));
    insta::assert_snapshot!("throttled", page(&found));
}

#[test]
fn misspelt_hosts() {
    let table = [
        ("shop.azureacr.io", Some("shop.azurecr.io")),
        ("dokcer.io", Some("docker.io")),
        ("qay.io", Some("quay.io")),
        ("shop.azurecr.io", None),
        ("registry.example", None),
        ("localhost", None),
    ];
    for (host, want) in table {
        assert_eq!(near(host).as_deref(), want, "for {host}");
    }
}

/// From a workstation that stands elsewhere and is nobody there, a young grant explains a 401. It does not
/// explain pods that run.
#[tokio::test(start_paused = true)]
async fn what_runs_is_not_blocked_for_what_a_workstation_lacks() {
    let tenant = tenant().assign(
        Principal::kubelet("aks1"),
        "AcrPull",
        Scope::registry("shop"),
    );
    let registry = FakeRegistry::builder()
        .clock(clock())
        .seed(1)
        .image("shop.azurecr.io", "team/web:v1 linux/amd64 2x1KiB")
        .azure(tenant)
        .build()
        .expect("a registry");
    let pods = [running(
        "node-1",
        "api-5d9-a",
        "shop.azurecr.io/team/web:v1",
    )];
    let provider = |node: &str| registry.azure().provider_id(node).ok();
    let operator = registry
        .azure()
        .object_id(&Principal::user("operator"))
        .expect("there is one");
    let token = Secret::new(registry.arm_token(&operator));
    // No node to look from, as on a command line.
    let world = world(&registry, &[], &[])
        .with_cluster(client(answers(&pods, provider), Arc::default()))
        .with_arm(Arm::new(Arc::new(FixedToken(token))));
    let found = check(&world, &deployment()).await;
    assert_eq!(found.verdict().kind(), "undetermined", "{}", page(&found));
}
