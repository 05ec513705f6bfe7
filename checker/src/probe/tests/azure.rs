//! A node of AKS and a registry of Azure, both of the fake registry: the whole way of the kubelet's identity.

use std::sync::Arc;

use fake_registry::{
    AcrRegistry, Clock, Conn, FakeRegistry, ManagedCluster, Principal, Scheme, Scope, Tenant,
};

use super::net::{TestNet, There, registry};
use super::{ended, find, probe};
use crate::evidence::{Evidence, Identity, Role, Seen};
use crate::keyring::Keyring;
use crate::probe::{NodeIdentity, Options};
use crate::stage::Stage;

const LOGIN: &str = "shopacr.azurecr.io";
const IMAGE: &str = "shopacr.azurecr.io/team/web:v1";

fn tenant(acr: AcrRegistry) -> Tenant {
    let cluster = ManagedCluster::new("shop", "rg-shop").node("n1");
    Tenant::new("contoso").cluster(cluster).registry(acr)
}

fn acr() -> AcrRegistry {
    AcrRegistry::new("shopacr", "rg-shop")
}

fn granted(acr: AcrRegistry) -> Tenant {
    tenant(acr).assign(
        Principal::kubelet("shop"),
        "AcrPull",
        Scope::registry("shopacr"),
    )
}

fn build(tenant: Tenant) -> FakeRegistry {
    let clock = Clock::starting_at("2026-01-15T09:00:00Z".parse().unwrap());
    FakeRegistry::builder()
        .seed(7)
        .clock(clock)
        .azure(tenant)
        .image(LOGIN, "team/web:v1 linux/amd64 2x64KiB")
        .build()
        .unwrap()
}

async fn from_node(fake: &FakeRegistry, metadata: Option<There>) -> Evidence {
    let mut net = TestNet::default();
    for (number, host) in fake.hosts().iter().enumerate() {
        let address = format!("10.4.0.{}", number + 1);
        net = net
            .name(host, &[&address])
            .there(&format!("{address}:443"), registry(fake, Scheme::Https));
    }
    let metadata = metadata.unwrap_or_else(|| registry(fake, Scheme::Http));
    let net = net.there("169.254.169.254:80", metadata);
    let options = Options {
        node_identity: NodeIdentity::Default,
        ..Options::default()
    };
    probe(
        &net.place([fake.ca_der()]),
        IMAGE,
        &Keyring::new(),
        &options,
    )
    .await
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_with_a_role_pulls() {
    let fake = build(granted(acr()));
    let evidence = from_node(&fake, None).await;
    assert_eq!(ended(&evidence), (Stage::Blob, true), "{evidence:#?}");
    let oid = find!(&evidence, Seen::IdentityToken { object_id, .. } => object_id.clone().unwrap().into_string());
    assert_eq!(
        oid,
        fake.azure().object_id(&Principal::kubelet("shop")).unwrap()
    );
    let grant =
        find!(&evidence, Seen::TokenGranted { granted: Some(granted), .. } => granted.clone());
    assert_eq!(grant[0].name.as_str(), "team/web");
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_without_a_role_is_refused_at_the_exchange() {
    let fake = build(tenant(acr()).assign(
        Principal::control_plane("shop"),
        "AcrPull",
        Scope::registry("shopacr"),
    ));
    let evidence = from_node(&fake, None).await;
    assert_eq!(ended(&evidence), (Stage::Token, false));
    let refusal = find!(&evidence, Seen::ExchangeRefused { refusal } => refusal.clone());
    assert_eq!(refusal.status, 401);
    assert!(refusal.has_code("UNAUTHORIZED"));
    assert_eq!(
        evidence.attempts().next().unwrap().0.identity,
        Some(Identity::Anonymous)
    );
    // The remedy, and the same question again.
    fake.azure()
        .assign_role(
            &Principal::kubelet("shop"),
            "AcrPull",
            &Scope::registry("shopacr"),
        )
        .unwrap();
    assert_eq!(ended(&from_node(&fake, None).await), (Stage::Blob, true));
}

#[tokio::test(start_paused = true)]
async fn a_firewall_of_the_registry_shows_everywhere() {
    let fake = build(granted(acr()));
    fake.azure()
        .set_network_rules("shopacr", true, Some(&["192.0.2.0/24"]))
        .unwrap();
    let evidence = from_node(&fake, None).await;
    find!(&evidence, Seen::Pinged { status: 403, refusal: Some(refusal), .. } if refusal.message.as_str().contains("10.244.0.1") => ());
    find!(&evidence, Seen::ChallengeUnusable { .. } => ());
    find!(&evidence, Seen::ManifestRefused { refusal, .. } if refusal.has_code("DENIED") => ());
    assert_eq!(ended(&evidence), (Stage::Manifest, false));
}

#[tokio::test(start_paused = true)]
async fn a_node_without_an_identity() {
    let fake = build(granted(acr()));
    fake.azure().set_node_identities("n1", &[]).unwrap();
    let evidence = from_node(&fake, None).await;
    let refusal = find!(&evidence, Seen::IdentityTokenRefused { refusal, .. } => refusal.clone());
    assert_eq!(refusal.status, 400);
    assert_eq!(ended(&evidence), (Stage::Token, false));
}

#[tokio::test(start_paused = true)]
async fn layers_at_a_data_endpoint() {
    let fake = build(granted(
        acr().sku(fake_registry::Sku::Premium).data_endpoint(true),
    ));
    let evidence = from_node(&fake, None).await;
    assert_eq!(ended(&evidence), (Stage::Blob, true), "{evidence:#?}");
    assert!(
        evidence
            .about(Role::Storage)
            .any(|fact| matches!(fact.seen, Seen::TlsEstablished { .. }))
    );
    let leaked = fake.journal().count(|entry| {
        entry.host.contains(".data.") && entry.authorization != fake_registry::Authorization::None
    });
    assert_eq!(leaked, 0);
}

#[tokio::test(start_paused = true)]
async fn another_machine_has_no_identity_to_give() {
    let fake = build(granted(acr()));
    let other = fake.clone();
    let metadata = There::Answers(Arc::new(move |stream| {
        let peer = "10.244.0.9:40000".parse().unwrap();
        tokio::spawn(other.serve(
            stream,
            Conn {
                peer,
                client: "stranger".into(),
                scheme: Scheme::Http,
            },
        ));
    }));
    let evidence = from_node(&fake, Some(metadata)).await;
    assert_eq!(ended(&evidence), (Stage::Token, false));
    find!(&evidence, Seen::IdentityTokenRefused { .. } => ());
}
