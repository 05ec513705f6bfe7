//! A tenant that most tests begin with, and the way from a machine to a refresh token.
#![allow(dead_code, reason = "each test binary uses its own part")]

use fake_registry::{AcrRegistry, Clock, FakeRegistry, ManagedCluster, Principal, Scope, Tenant};

use super::{Answer, Client, client};

pub(crate) const LOGIN: &str = "contoso1.azurecr.io";
pub(crate) const OTHER: &str = "contoso2.azurecr.io";
pub(crate) const ARM: &str = "management.azure.com";
pub(crate) const MANIFEST: &str = "/v2/team/web/manifests/v1";
pub(crate) const NONE: &str = "00000000-0000-0000-0000-000000000000";

pub(crate) fn tenant() -> Tenant {
    Tenant::new("contoso")
        .cluster(ManagedCluster::new("aks1", "apps").nodes(["node-1", "node-2"]))
        .registry(AcrRegistry::new("contoso1", "registries"))
        .registry(AcrRegistry::new("contoso2", "registries2"))
        .assign(
            Principal::kubelet("aks1"),
            "AcrPull",
            Scope::registry("contoso1"),
        )
}

pub(crate) fn start(tenant: Tenant) -> Client {
    let registry = FakeRegistry::builder()
        .seed(1)
        .clock(Clock::starting_at("2026-01-15T09:00:00Z".parse().unwrap()))
        .azure(tenant)
        .image(LOGIN, "team/web:v1 1x4KiB")
        .image(LOGIN, "other/app:v1 1x4KiB")
        .image(OTHER, "team/web:v1 1x4KiB")
        .build()
        .unwrap();
    client(&registry).at(LOGIN)
}

pub(crate) async fn imds(client: &Client, query: &str) -> Answer {
    let host = client.at("169.254.169.254").with("Metadata", "true");
    host.get(&format!("/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fcontainerregistry.azure.net{query}")).await
}

pub(crate) async fn exchange(client: &Client, login: &str) -> Answer {
    let token = imds(client, "").await.json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let form = format!(
        "grant_type=access_token_refresh_token&service={login}&tenant=t&access_token={token}&refresh_token={token}"
    );
    client.at(login).form("/oauth2/exchange", &form).await
}

pub(crate) async fn refresh_token(client: &Client) -> String {
    let answer = exchange(client, LOGIN).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["refresh_token"].as_str().unwrap().to_owned()
}

pub(crate) fn arm(client: &Client) -> Client {
    let token = client
        .registry
        .arm_token("11111111-1111-1111-1111-111111111111");
    client.at(ARM).bearer(&token)
}
