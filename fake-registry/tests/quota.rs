//! The data-plane buckets of a registry of Azure.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which may panic"
)]

mod common;

use std::time::Duration;

use common::tenant::{LOGIN, MANIFEST, NONE, OTHER, arm, refresh_token, start, tenant};
use common::{Answer, Client};
use fake_registry::{Principal, Scope, Sku};

async fn reader(client: &Client) -> Client {
    let refresh = refresh_token(client).await;
    let path = format!("/oauth2/token?service={LOGIN}&scope=repository:team/web:pull");
    let token = client.basic(NONE, &refresh).get(&path).await.json();
    client.bearer(token["access_token"].as_str().unwrap())
}

async fn until_refused(client: &Client) -> (usize, Answer) {
    for count in 0.. {
        let answer = client.head(MANIFEST).await;
        if answer.status != 200 {
            return (count, client.get(MANIFEST).await);
        }
    }
    unreachable!()
}

#[tokio::test(start_paused = true)]
async fn a_nearly_drained_bucket_refuses_and_the_wait_counts_down() {
    let client = start(tenant());
    let azure = client.registry.azure();
    let kubelet = Principal::kubelet("aks1");
    azure
        .set_competing_load(LOGIN, Some(&kubelet), 4990)
        .unwrap();
    let reader = reader(&client).await;
    let (count, refused) = until_refused(&reader).await;
    assert_eq!(
        (count, refused.status, refused.code().as_str()),
        (10, 429, "TOOMANYREQUESTS")
    );
    assert_eq!(refused.header("retry-after"), Some("60"));
    tokio::time::advance(Duration::from_secs(40)).await;
    assert_eq!(reader.get(MANIFEST).await.header("retry-after"), Some("20"));
    tokio::time::advance(Duration::from_secs(20)).await;
    let (count, _) = until_refused(&reader).await;
    assert_eq!(count, 10, "full again at the minute");
    // A higher tier helps at once, over HTTP.
    let id = azure.scope_id(&Scope::registry("contoso1")).unwrap();
    let patched = arm(&client)
        .ask(
            "PATCH",
            &format!("{id}?api-version=2025-11-01"),
            br#"{"sku": {"name": "Premium"}}"#,
        )
        .await;
    assert_eq!(patched.status, 200);
    assert_eq!(reader.get(MANIFEST).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn whose_bucket_it_is() {
    let client = start(tenant());
    let azure = client.registry.azure();
    let reader = reader(&client).await;
    // Another identity's load leaves this one's bucket alone, but not that of the registry.
    azure
        .set_competing_load(LOGIN, Some(&Principal::control_plane("aks1")), 9000)
        .unwrap();
    assert_eq!(reader.get(MANIFEST).await.status, 200);
    azure.set_competing_load(LOGIN, None, 1000).unwrap();
    assert_eq!(reader.get(MANIFEST).await.status, 429);
    assert_eq!(
        client.at(OTHER).get("/v2/").await.status,
        401,
        "another registry, another bucket"
    );
    assert_eq!(
        client.get(MANIFEST).await.status,
        401,
        "a challenge costs nothing"
    );
    azure.set_sku(LOGIN, Sku::Premium).unwrap();
    assert_eq!(reader.get(MANIFEST).await.status, 200);
    azure.set_competing_load(LOGIN, None, 0).unwrap();
    azure.set_sku(LOGIN, Sku::Basic).unwrap();
    assert_eq!(reader.get(MANIFEST).await.status, 200);
}
