//! A tenant from YAML answers as one from the builder does.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which may panic"
)]

mod common;

use common::client;
use common::tenant::{ARM, LOGIN, MANIFEST, exchange};
use fake_registry::{BuildError, Builder, Clock};

const TEXT: &str = "
seed: 1
azure:
  name: contoso
  management-groups: [corp]
  clusters:
    - { name: aks1, resource-group: apps, nodes: [node-1, node-2] }
    - { name: aks2, resource-group: apps, nodes: [node-3], kubelet-identity: puller, stopped: true }
  registries:
    - name: contoso1
      resource-group: registries
      sku: premium
      images: ['team/web:v1 1x1KiB']
      private-endpoints: [{ name: pe1, status: pending, subnets: [10.9.0.0/16] }]
      tokens:
        - { name: ci, password: hunter2, allow: [{ repositories: 'team/*', actions: [content/read] }] }
      competing-load: [{ by: kubelet/aks1, per-minute: 3 }, { per-minute: 5 }]
  identities: [{ name: puller, resource-group: ids }]
  service-principals: [{ name: sp, secret: s3cret, expires: '2027-01-01T00:00:00Z' }]
  users: [alice]
  groups: [{ name: devs, members: [user/alice] }]
  roles: [{ name: Puller, actions: ['Microsoft.ContainerRegistry/registries/pull/read'] }]
  assign:
    - { to: kubelet/aks1, role: AcrPull, at: registry/contoso1 }
    - { to: group/devs, role: Reader, at: subscription }
  deny:
    - { to: identity/puller, role: AcrPull, at: registry/contoso1 }
  page-size: 10
  grant-lag: 1m
";

#[tokio::test(start_paused = true)]
async fn a_tenant_in_a_few_lines() {
    let registry = Builder::from_yaml(TEXT)
        .unwrap()
        .clock(Clock::starting_at("2026-01-15T09:00:00Z".parse().unwrap()))
        .build()
        .unwrap();
    let node = client(&registry).at(LOGIN);
    let answer = exchange(&node, LOGIN).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let refused = exchange(&node.named("node-3"), LOGIN).await;
    assert_eq!(refused.status, 401, "denied: {}", refused.text());
    let anonymous = node.get(MANIFEST).await;
    assert_eq!(anonymous.status, 401);
    let ci = node.basic("ci", "hunter2").get(MANIFEST).await;
    assert_eq!(ci.status, 200, "{}", ci.text());
    let token = registry.arm_token("11111111-1111-1111-1111-111111111111");
    let found = node
        .at(ARM)
        .bearer(&token)
        .get("/subscriptions?api-version=2022-12-01")
        .await;
    assert_eq!(found.status, 200, "{}", found.text());
    let subscription = found.json()["value"][0]["subscriptionId"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!(
        "/subscriptions/{subscription}/providers/Microsoft.ContainerRegistry/registries?api-version=2023-07-01"
    );
    let found = node.at(ARM).bearer(&token).get(&path).await.json();
    assert_eq!(found["value"][0]["sku"]["name"], "Premium");
}

#[tokio::test]
async fn names_that_lead_nowhere_are_refused() {
    let text = "
azure:
  name: contoso
  assign: [{ to: kubelet/nobody, role: AcrPull, at: root }]
";
    let outcome = Builder::from_yaml(text).unwrap().build();
    assert!(matches!(outcome.err(), Some(BuildError::Azure(_))));
}
