//! A hand-made ARM on in-memory streams: one table of paths and answers.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use super::{AzureFacts, Grant, Question, read};
use crate::keyring::Secret;
use crate::world::{
    Arm, BoxStream, DialError, DnsError, FixedToken, Host, Net, Place, Resolved, Trust, Vantage,
    WallClock, World,
};

const REGISTRY: &str =
    "/subscriptions/S1/resourceGroups/shared/providers/Microsoft.ContainerRegistry/registries/shop";
const KUBELET: &str = "00000000-0000-0000-0000-00000000000a";
const CONTROL: &str = "00000000-0000-0000-0000-00000000000b";
const ACR_PULL: &str =
    "/providers/Microsoft.Authorization/roleDefinitions/7f951dda-4ed3-4680-a7ca-43fe172d538d";

type Answers = BTreeMap<String, (u16, Value)>;

#[derive(Clone)]
struct FakeArm {
    answers: Arc<Answers>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Net for FakeArm {
    fn resolve<'a>(&'a self, _host: &'a Host) -> BoxFuture<'a, Result<Resolved, DnsError>> {
        let addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
        Box::pin(async move {
            Ok(Resolved {
                addresses,
                aliases: Vec::new(),
                server: None,
            })
        })
    }

    fn dial(&self, _to: SocketAddr) -> BoxFuture<'_, Result<BoxStream, DialError>> {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let arm = self.clone();
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let arm = arm.clone();
            async move { Ok::<_, Infallible>(arm.answer(&request)) }
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(theirs), service),
        );
        Box::pin(async move { Ok(Box::new(ours) as BoxStream) })
    }
}

impl FakeArm {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().to_string();
        assert_eq!(
            request
                .headers()
                .get("authorization")
                .and_then(|v| v.to_str().ok()),
            Some("Bearer t0ken")
        );
        self.asked
            .lock()
            .expect("no panic holds it")
            .push(path.clone());
        let known = self
            .answers
            .iter()
            .rev()
            .find(|(key, _)| path.starts_with(key.as_str()));
        let (status, body) = known.map_or_else(
            || (404, json!({"error": {"code": "ResourceNotFound"}})),
            |(_, a)| a.clone(),
        );
        Response::builder()
            .status(status)
            .body(Full::new(body.to_string().into()))
            .expect("a plain answer")
    }
}

struct Noon;

impl WallClock for Noon {
    fn now(&self) -> jiff::Timestamp {
        "2026-01-15T12:00:00Z".parse().expect("a date")
    }
}

async fn ask(answers: Answers) -> (AzureFacts, Vec<String>) {
    let net = FakeArm {
        answers: Arc::new(answers),
        asked: Arc::default(),
    };
    let asked = Arc::clone(&net.asked);
    let world = World::new(
        Arc::new(Noon),
        Place::new(Vantage::Workstation, Arc::new(net), Trust::default()),
    );
    let arm = Arm::new(Arc::new(FixedToken(Secret::new("t0ken"))));
    let arm = arm.with_endpoint(http::Uri::from_static("http://management.test"));
    let provider_id = "azure:///subscriptions/s1/resourceGroups/mc_shop/providers/Microsoft.Compute/\
                       virtualMachineScaleSets/pool/virtualMachines/0";
    let question = Question {
        provider_ids: vec![provider_id.into()],
        login_server: Some("shop.azurecr.io".into()),
        repository: Some("team/web".into()),
    };
    let facts = read(&world, &arm, &question).await;
    let asked = asked.lock().expect("no panic holds it").clone();
    (facts, asked)
}

fn clusters() -> (String, (u16, Value)) {
    let cluster = json!({
        "id": "/subscriptions/S1/resourcegroups/shop/providers/Microsoft.ContainerService/managedClusters/aks1", "name": "aks1",
        "identity": {"type": "SystemAssigned", "principalId": CONTROL},
        "properties": {"nodeResourceGroup": "MC_shop", "provisioningState": "Succeeded",
            "identityProfile": {"kubeletidentity": {"clientId": "c", "objectId": KUBELET, "resourceId": "r"}},
            "servicePrincipalProfile": {"clientId": "msi"}},
    });
    let path = "/subscriptions/s1/providers/Microsoft.ContainerService/managedClusters";
    (path.into(), (200, json!({"value": [cluster]})))
}

fn registries(mode: &str) -> (String, (u16, Value)) {
    let registry = json!({
        "id": REGISTRY, "name": "shop", "sku": {"name": "Standard"},
        "properties": {"loginServer": "Shop.azurecr.io", "adminUserEnabled": false, "roleAssignmentMode": mode,
            "publicNetworkAccess": "Enabled", "networkRuleSet": {"defaultAction": "Deny", "ipRules": [{"value": "20.1.2.3"}]}},
    });
    let path = "/subscriptions/s1/providers/Microsoft.ContainerRegistry/registries";
    (path.into(), (200, json!({"value": [registry]})))
}

fn assignment(name: &str, scope: &str, principal: &str, kind: &str) -> Value {
    json!({"id": format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}"), "name": name, "properties": {
        "roleDefinitionId": format!("/subscriptions/S1{ACR_PULL}"), "principalId": principal, "principalType": kind,
        "scope": scope, "createdOn": "2026-01-15T11:58:00Z", "updatedOn": "2026-01-15T11:59:00Z"}})
}

fn assignments(filter: &str, items: &[Value]) -> (String, (u16, Value)) {
    let path = format!(
        "{REGISTRY}/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01&$filter={filter}"
    );
    (path, (200, json!({"value": items})))
}

fn acr_pull() -> (String, (u16, Value)) {
    let permissions = json!([{"actions": ["Microsoft.ContainerRegistry/registries/pull/read"]}]);
    let definition = json!({"properties": {"roleName": "AcrPull", "permissions": permissions}});
    (format!("/subscriptions/S1{ACR_PULL}"), (200, definition))
}

#[tokio::test]
async fn an_inherited_grant_is_found_whatever_the_case_of_its_scope() {
    let above = assignment(
        "a",
        "/subscriptions/s1/RESOURCEGROUPS/Shared",
        KUBELET,
        "ServicePrincipal",
    );
    let beside = assignment(
        "b",
        "/subscriptions/S1/resourceGroups/MC_shop",
        CONTROL,
        "ServicePrincipal",
    );
    let answers = [
        clusters(),
        registries("LegacyRegistryPermissions"),
        assignments("atScope", &[above, beside]),
        acr_pull(),
    ];
    let (facts, _) = ask(Answers::from(answers)).await;
    assert_eq!(
        facts.kubelet().map(|one| one.object_id.as_str()),
        Some(KUBELET)
    );
    assert_eq!(
        facts.cluster.as_ref().map(|one| one.control_plane.clone()),
        Some(vec![CONTROL.to_owned()])
    );
    let registry = facts.registry.as_ref().expect("the registry");
    assert!(
        registry.denies_by_default && registry.ip_rules == ["20.1.2.3"] && registry.public_network
    );
    let ours: Vec<_> = facts.assignments_of(KUBELET).collect();
    assert_eq!(ours.len(), 1);
    assert!(ours[0].inherited && ours[0].grant == Grant::Pull && ours[0].role == "AcrPull");
    assert_eq!(
        ours[0].changed.map(|at| at.to_string()).as_deref(),
        Some("2026-01-15T11:59:00Z")
    );
    assert_eq!(
        facts.assignments_of(CONTROL).count(),
        0,
        "a scope beside the registry does not hold for it"
    );
    assert!(
        facts.lookups.iter().all(|one| !one.outcome.is_empty()),
        "{:#?}",
        facts.lookups
    );
    assert!(facts.gaps.is_empty(), "{:#?}", facts.gaps);
}

#[tokio::test]
async fn an_abac_registry_does_not_honour_acr_pull() {
    let at = assignment("a", REGISTRY, KUBELET, "ServicePrincipal");
    let answers = [
        clusters(),
        registries("AbacRepositoryPermissions"),
        assignments("atScope", &[at]),
        acr_pull(),
    ];
    let (facts, _) = ask(Answers::from(answers)).await;
    assert_eq!(
        facts
            .assignments_of(KUBELET)
            .map(|one| &one.grant)
            .collect::<Vec<_>>(),
        [&Grant::NotHonoured]
    );
}

#[tokio::test]
async fn a_grant_to_a_group_counts_for_its_members() {
    let group = assignment(
        "g",
        REGISTRY,
        "00000000-0000-0000-0000-0000000000ff",
        "Group",
    );
    let answers = [
        clusters(),
        registries("LegacyRegistryPermissions"),
        assignments("atScope%28%29%20and", std::slice::from_ref(&group)),
        assignments("atScope", &[group]),
        acr_pull(),
    ];
    let (facts, _) = ask(Answers::from(answers)).await;
    assert_eq!(facts.assignments_of(KUBELET).count(), 1);
    assert_eq!(facts.assignments_of(CONTROL).count(), 0);
}

#[tokio::test]
async fn a_refusal_names_the_missing_action() {
    let message = "The client 'x' with object id 'y' does not have authorization to perform action \
                   'Microsoft.Authorization/roleAssignments/read' over scope '/z' or the scope is invalid.";
    let path = format!("{REGISTRY}/providers/Microsoft.Authorization/roleAssignments");
    let refused = (
        403,
        json!({"error": {"code": "AuthorizationFailed", "message": message}}),
    );
    let answers = [
        clusters(),
        registries("LegacyRegistryPermissions"),
        (path, refused),
    ];
    let (facts, _) = ask(Answers::from(answers)).await;
    assert!(facts.assignments.is_none());
    let actions: Vec<_> = facts
        .gaps
        .iter()
        .filter_map(|gap| gap.missing_action.as_deref())
        .collect();
    assert_eq!(actions, ["Microsoft.Authorization/roleAssignments/read"]);
}

#[tokio::test]
async fn throttled_expired_and_missing_are_findings() {
    let table = [
        (429, "TooManyRequests", "throttling"),
        (
            401,
            "ExpiredAuthenticationToken",
            "refused (ExpiredAuthenticationToken)",
        ),
        (
            404,
            "SubscriptionNotFound",
            "not found (SubscriptionNotFound)",
        ),
        (500, "InternalServerError", "answered 500"),
    ];
    for (status, code, want) in table {
        let (path, _) = clusters();
        let (facts, _) = ask(Answers::from([(
            path,
            (status, json!({"error": {"code": code, "message": "m"}})),
        )]))
        .await;
        let why = facts
            .gaps
            .first()
            .map(|gap| gap.why.clone())
            .unwrap_or_default();
        assert!(why.contains(want), "for {status}: {why}");
    }
}

#[tokio::test]
async fn the_token_does_not_follow_a_link_to_another_host() {
    let (path, (_, mut page)) = clusters();
    page["nextLink"] = json!("http://elsewhere.test/steal");
    let (facts, asked) = ask(Answers::from([(path, (200, page))])).await;
    assert!(facts.cluster.is_none());
    assert!(
        facts
            .gaps
            .iter()
            .any(|gap| gap.why.contains("another host")),
        "{:#?}",
        facts.gaps
    );
    assert!(
        asked.iter().all(|path| !path.contains("steal")),
        "{asked:?}"
    );
    assert!(!format!("{facts:?}").contains("t0ken"));
}
