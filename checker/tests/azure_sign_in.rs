//! Signing in to Azure in each way, against an Entra, a metadata service and a Resource Manager in memory.
//!
//! Each test signs in as the SDKs do and asks Resource Manager with what came of it, so that a token counts only if
//! the tenant takes it. The network is a few lines here: every name leads to the one fake, whose journal says who
//! asked for what.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use fake_registry::{
    AcrRegistry, Cloud as FakeCloud, Conn, FakeRegistry, ManagedCluster, Principal, Scheme, Scope,
    Tenant,
};
use futures::future::BoxFuture;
use pullcheck::azure::{AzureFacts, Question, SignIn, Variables, Way, read};
use pullcheck::keyring::Secret;
use pullcheck::reference::Host;
use pullcheck::world::{
    Arm, BoxStream, Call, DialError, DnsError, FixedToken, Net, Place, Programs, Proxies, Ran,
    Resolved, RunError, Trust, Vantage, WallClock, World,
};

const NODE: &str = "node-1";
const SECRET: &str = "hunter2~Hunter2.hunter2";
const ISSUER: &str = "https://oidc.example/aks1/";
const SUBJECT: &str = "system:serviceaccount:ops:pullcheck";

/// Every name is one address, and behind every address is the fake; `self.1` is who dials.
struct Wires(FakeRegistry, &'static str);

impl Net for Wires {
    fn resolve<'a>(&'a self, _host: &'a Host) -> BoxFuture<'a, Result<Resolved, DnsError>> {
        let addresses = vec!["203.0.113.1".parse().expect("an address")];
        Box::pin(async move {
            Ok(Resolved {
                addresses,
                aliases: Vec::new(),
                server: None,
            })
        })
    }

    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, Result<BoxStream, DialError>> {
        let metadata = to.ip().to_string() == "169.254.169.254";
        if metadata && self.1 != NODE {
            return Box::pin(async { Err(DialError::NoRoute) });
        }
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let conn = Conn {
            peer: "20.1.0.5:40000".parse().expect("an address"),
            client: self.1.into(),
            scheme: if metadata {
                Scheme::Http
            } else {
                Scheme::Https
            },
        };
        tokio::spawn(self.0.serve(theirs, conn));
        Box::pin(async move { Ok(Box::new(ours) as BoxStream) })
    }
}

struct FakeClock(fake_registry::Clock);

impl WallClock for FakeClock {
    fn now(&self) -> jiff::Timestamp {
        self.0.now()
    }
}

/// `az`, as a table: what it prints, and how it ends.
struct Az(Result<String, &'static str>);

impl Programs for Az {
    fn run<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Ran, RunError>> {
        let asked = call.arguments.join(" ");
        assert!(asked.contains("az account get-access-token"), "{asked}");
        assert!(asked.contains("management."), "{asked}");
        let (code, output, errors) = match &self.0 {
            Ok(output) => (0, output.clone(), String::new()),
            Err(errors) => (1, String::new(), (*errors).to_owned()),
        };
        Box::pin(async move {
            Ok(Ran {
                code: Some(code),
                output: Secret::new(output),
                errors: Secret::new(errors),
            })
        })
    }
}

/// A tenant with a registry, a cluster, an application, and an identity with a federated credential; all may read.
fn fake(cloud: FakeCloud) -> FakeRegistry {
    let app = || Principal::service_principal("app");
    let pod = || Principal::identity("pod");
    let tenant = Tenant::new("contoso")
        .cloud(cloud)
        .registry(AcrRegistry::new("shop", "shared"))
        .cluster(ManagedCluster::new("aks1", "shop").node(NODE))
        .service_principal("app", SECRET, None)
        .identity("pod", "shop")
        .federated(pod(), ISSUER, SUBJECT)
        .user("operator")
        .assign(app(), "Reader", Scope::Subscription)
        .assign(pod(), "Reader", Scope::Subscription)
        .assign(Principal::kubelet("aks1"), "Reader", Scope::Subscription);
    FakeRegistry::builder()
        .seed(1)
        .azure(tenant)
        .build()
        .expect("a registry")
}

fn world(fake: &FakeRegistry, from: &'static str) -> World {
    let trust = Trust::roots([fake.ca_der()]);
    let net = Arc::new(Wires(fake.clone(), from));
    let place = Place::new(Vantage::Workstation, net, trust);
    World::new(Arc::new(FakeClock(fake.clock())), place)
}

fn variables(fake: &FakeRegistry, who: &Principal) -> Variables {
    Variables {
        tenant_id: fake.azure().tenant_id().ok(),
        client_id: fake.azure().client_id(who).ok(),
        ..Variables::default()
    }
}

fn of_app(fake: &FakeRegistry, secret: &str) -> Variables {
    Variables {
        client_secret: Some(Secret::new(secret)),
        ..variables(fake, &Principal::service_principal("app"))
    }
}

/// The identity `pod`, with a token of this subject in a file.
fn of_pod(fake: &FakeRegistry, folder: &tempfile::TempDir, subject: &str) -> Variables {
    let path: PathBuf = folder.path().join("token");
    std::fs::write(&path, fake.service_account_token(ISSUER, subject)).expect("a file");
    Variables {
        token_file: Some(path),
        ..variables(fake, &Principal::identity("pod"))
    }
}

async fn ask(fake: &FakeRegistry, world: &World, arm: Arm, login_server: &str) -> AzureFacts {
    let question = Question {
        provider_ids: fake.azure().provider_id(NODE).into_iter().collect(),
        login_server: Some(login_server.into()),
        repository: Some("team/web".into()),
    };
    read(world, &arm, &question).await
}

async fn by(fake: &FakeRegistry, world: &World, way: Way, variables: Variables) -> AzureFacts {
    let arm = Arm::new(Arc::new(SignIn::new(world, way, variables)));
    ask(fake, world, arm, "shop.azurecr.io").await
}

/// Why nothing was found; it never holds a secret.
fn why(facts: &AzureFacts) -> String {
    assert!(facts.cluster.is_none() && facts.registry.is_none());
    let why = facts.gaps.iter().map(|gap| gap.why.clone());
    let why = why.collect::<Vec<_>>().join("\n");
    assert!(!why.contains(SECRET) && !why.contains("eyJ"), "{why}");
    why
}

fn signed_in(facts: &AzureFacts) {
    assert!(
        facts.cluster.is_some() && facts.registry.is_some() && facts.gaps.is_empty(),
        "{:?}",
        facts.gaps
    );
}

#[tokio::test]
async fn an_application_signs_in_with_its_secret() {
    let fake = fake(FakeCloud::Public);
    let world = world(&fake, "workstation");
    let secret = |secret| of_app(&fake, secret);
    signed_in(&by(&fake, &world, Way::ClientSecret, secret(SECRET)).await);
    let tokens = fake
        .journal()
        .filter(|entry| entry.path.ends_with("/oauth2/v2.0/token"));
    assert_eq!(tokens.len(), 1, "one token for all questions: {tokens:?}");

    let refused = by(&fake, &world, Way::ClientSecret, secret("wrong-Secret1")).await;
    let why = why(&refused);
    assert!(
        why.contains("AADSTS7000215") && !why.contains("wrong-Secret1"),
        "{why}"
    );
    let asked = fake
        .journal()
        .filter(|entry| entry.path.ends_with("/oauth2/v2.0/token"));
    assert!(
        asked.len() <= 4,
        "a refusal is not asked for again and again: {asked:?}"
    );
}

#[tokio::test]
async fn an_expired_secret_is_named() {
    let tenant = Tenant::new("contoso").service_principal(
        "app",
        SECRET,
        "2020-01-01T00:00:00Z".parse().ok(),
    );
    let fake = FakeRegistry::builder()
        .seed(1)
        .azure(tenant)
        .build()
        .expect("a registry");
    let world = world(&fake, "workstation");
    let refused = by(&fake, &world, Way::ClientSecret, of_app(&fake, SECRET)).await;
    assert!(why(&refused).contains("AADSTS7000222"));
}

#[tokio::test]
async fn a_pod_signs_in_with_the_token_of_its_service_account() {
    let fake = fake(FakeCloud::Public);
    let world = world(&fake, "pod");
    let folder = tempfile::tempdir().expect("a folder");
    let good = of_pod(&fake, &folder, SUBJECT);
    signed_in(&by(&fake, &world, Way::WorkloadIdentity, good).await);
    let other = of_pod(&fake, &folder, "system:serviceaccount:ops:other");
    let refused = by(&fake, &world, Way::WorkloadIdentity, other).await;
    assert!(why(&refused).contains("AADSTS700213"));
}

#[tokio::test]
async fn a_node_signs_in_with_its_identity_and_no_proxy_stands_before_it() {
    let fake = fake(FakeCloud::Public);
    let mut world = world(&fake, NODE);
    let kubelet = variables(&fake, &Principal::kubelet("aks1"));
    signed_in(&by(&fake, &world, Way::ManagedIdentity, kubelet.clone()).await);

    let proxy = Some("http://proxy.example:3128");
    world.workstation = world
        .workstation
        .with_proxies(Proxies::new(proxy, proxy, None));
    let arm = Arm::new(Arc::new(SignIn::new(&world, Way::ManagedIdentity, kubelet)));
    let token = arm.token.token("https://management.azure.com/").await;
    assert!(token.is_ok(), "{token:?}");

    let stranger = variables(&fake, &Principal::identity("pod"));
    let refused = by(&fake, &world, Way::ManagedIdentity, stranger).await;
    assert!(
        why(&refused).contains("has not been assigned"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn the_account_of_the_cli() {
    let fake = fake(FakeCloud::Public);
    let operator = fake
        .azure()
        .object_id(&Principal::user("operator"))
        .expect("a user");
    let answer = serde_json::json!({
        "accessToken": fake.arm_token(&operator), "expires_on": 4_102_444_800_i64, "tokenType": "Bearer",
        "expiresOn": "2100-01-01 00:00:00.000000", "subscription": "s", "tenant": "t",
    });
    let good = world(&fake, "workstation").with_programs(Arc::new(Az(Ok(answer.to_string()))));
    signed_in(&by(&fake, &good, Way::Cli, Variables::default()).await);

    let signed_out = Az(Err("ERROR: Please run 'az login' to setup account."));
    let world = world(&fake, "workstation").with_programs(Arc::new(signed_out));
    let refused = by(&fake, &world, Way::Cli, Variables::default()).await;
    assert!(why(&refused).contains("az login"), "{refused:?}");
}

#[tokio::test]
async fn no_program_is_run_where_none_may() {
    let fake = fake(FakeCloud::Public);
    let world = world(&fake, "workstation");
    let refused = by(&fake, &world, Way::Cli, Variables::default()).await;
    assert!(
        why(&refused).contains("no programs are run here"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn auto_takes_what_is_there_and_else_says_what_it_tried() {
    let fake = fake(FakeCloud::Public);
    let workstation = world(&fake, "workstation");
    signed_in(&by(&fake, &workstation, Way::Auto, of_app(&fake, SECRET)).await);
    let kubelet = Variables {
        tenant_id: None,
        ..variables(&fake, &Principal::kubelet("aks1"))
    };
    signed_in(&by(&fake, &world(&fake, NODE), Way::Auto, kubelet).await);

    let refused = by(
        &fake,
        &workstation,
        Way::Auto,
        of_app(&fake, "wrong-Secret1"),
    )
    .await;
    let why = why(&refused);
    for way in ["client-secret: ", "cli: ", "managed-identity: "] {
        assert!(why.contains(way), "{way} in {why}");
    }
    assert!(!why.contains("workload-identity: "), "{why}");
}

/// Each cloud has its own Entra and its own Resource Manager, found by the registry's name.
#[tokio::test]
async fn sovereign_clouds() {
    let table = [
        (
            FakeCloud::UsGovernment,
            "shop.azurecr.us",
            "login.microsoftonline.us",
            "management.usgovcloudapi.net",
        ),
        (
            FakeCloud::China,
            "shop.azurecr.cn",
            "login.chinacloudapi.cn",
            "management.chinacloudapi.cn",
        ),
    ];
    for (cloud, login_server, entra, manager) in table {
        let fake = fake(cloud);
        let world = world(&fake, "workstation");
        let way = SignIn::new(&world, Way::ClientSecret, of_app(&fake, SECRET));
        let facts = ask(&fake, &world, Arm::new(Arc::new(way)), login_server).await;
        signed_in(&facts);
        let mut hosts: Vec<String> = fake
            .journal()
            .entries()
            .into_iter()
            .map(|one| one.host)
            .collect();
        hosts.sort();
        hosts.dedup();
        assert_eq!(hosts, [entra, manager]);
    }
}

#[tokio::test]
async fn a_token_of_one_cloud_is_not_sent_to_another() {
    let public = fake(FakeCloud::Public);
    let operator = public
        .azure()
        .object_id(&Principal::user("operator"))
        .expect("a user");
    let token = FixedToken(Secret::new(public.arm_token(&operator)));
    let government = fake(FakeCloud::UsGovernment);
    let world = world(&government, "workstation");
    let facts = ask(
        &government,
        &world,
        Arm::new(Arc::new(token)),
        "shop.azurecr.us",
    )
    .await;
    assert!(why(&facts).contains("is in another cloud"), "{facts:?}");
    assert!(government.journal().entries().is_empty());
}
