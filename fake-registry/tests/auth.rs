//! Basic and token authentication as a raw client sees them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which may panic"
)]

mod common;

use std::time::Duration;

use common::{Client, HOST, client};
use fake_registry::{Accounts, AuthPolicy, FakeRegistry, HostSpec, TokenService};

fn accounts() -> Accounts {
    Accounts::new()
        .user("ci", "s3cret", &["*"])
        .user("dev", "dev", &["team/*:pull"])
        .anonymous(&["public/*:pull"])
}

fn registry(auth: AuthPolicy) -> Client {
    let registry = FakeRegistry::builder()
        .seed(1)
        .host(HostSpec::new(HOST).auth(auth))
        .image(HOST, "team/web:v1 1x1KiB")
        .image(HOST, "public/app:v1 1x1KiB")
        .build()
        .unwrap();
    client(&registry)
}

const TEAM: &str = "/v2/team/web/manifests/v1";

#[tokio::test]
async fn basic() {
    let client = registry(AuthPolicy::Basic(accounts()));
    let refused = client.get("/v2/").await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (401, "UNAUTHORIZED")
    );
    assert_eq!(
        refused.header("www-authenticate"),
        Some("Basic realm=\"registry.example\"")
    );
    let table = [
        ("ci", "s3cret", "GET", TEAM, 200),
        ("ci", "wrong", "GET", TEAM, 401),
        ("nobody", "s3cret", "GET", TEAM, 401),
        ("dev", "dev", "GET", TEAM, 200),
        ("dev", "dev", "DELETE", TEAM, 403),
        ("dev", "dev", "GET", "/v2/_catalog", 403),
        ("ci", "s3cret", "GET", "/v2/_catalog", 200),
    ];
    for (user, password, method, path, status) in table {
        let answer = client.basic(user, password).ask(method, path, b"").await;
        assert_eq!(
            answer.status, status,
            "for {user}:{password} {method} {path}"
        );
    }
    assert_eq!(
        client.get("/v2/public/app/manifests/v1").await.status,
        200,
        "anonymous right"
    );
    assert_eq!(client.get(TEAM).await.status, 401);
    assert_eq!(
        client
            .with("Authorization", "Basic !!!")
            .get(TEAM)
            .await
            .status,
        401
    );
}

#[tokio::test(start_paused = true)]
async fn the_token_flow() {
    let client = registry(AuthPolicy::Token(TokenService::new(accounts())));
    let refused = client.get(TEAM).await;
    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.header("www-authenticate"),
        Some(
            "Bearer realm=\"http://registry.example/token\",service=\"registry.example\",scope=\"repository:team/web:pull\""
        )
    );
    assert_eq!(refused.json()["errors"][0]["detail"][0]["Action"], "pull");
    let scope = "/token?service=registry.example&scope=repository:team/web:pull,push";
    let got = client.basic("dev", "dev").get(scope).await;
    assert_eq!(got.status, 200);
    let token = got.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(got.json()["access_token"], token.as_str());
    assert_eq!(got.json()["expires_in"], 300);
    assert_eq!(client.bearer(&token).get(TEAM).await.status, 200);
    // Pushing was not granted, and the registry says so.
    let push = client
        .bearer(&token)
        .ask("POST", "/v2/team/web/blobs/uploads/", b"")
        .await;
    assert_eq!(push.status, 401);
    assert!(
        push.header("www-authenticate")
            .unwrap()
            .ends_with("error=\"insufficient_scope\""),
        "{}",
        push.head
    );
    assert_eq!(client.basic("dev", "bad").get(scope).await.status, 401);
    // Nobody's token works where anonymous pulls are allowed, and elsewhere is good for nothing.
    let anonymous = client
        .get("/token?scope=repository:public/app:pull&scope=repository:team/web:pull")
        .await;
    let token_of =
        |answer: &common::Answer| answer.json()["access_token"].as_str().unwrap().to_owned();
    let anonymous = token_of(&anonymous);
    assert_eq!(
        client
            .bearer(&anonymous)
            .get("/v2/public/app/manifests/v1")
            .await
            .status,
        200
    );
    assert_eq!(client.bearer(&anonymous).get(TEAM).await.status, 401);
    // Time passes.
    tokio::time::advance(Duration::from_secs(301)).await;
    let expired = client.bearer(&token).get(TEAM).await;
    assert!(
        expired
            .header("www-authenticate")
            .unwrap()
            .ends_with("error=\"invalid_token\"")
    );
    for forged in ["x", "a.b.c", &format!("{token}x")] {
        assert_eq!(client.bearer(forged).get(TEAM).await.status, 401);
    }
}

#[tokio::test]
async fn tokens_by_post() {
    let client = registry(AuthPolicy::Token(TokenService::new(accounts())));
    let form = "grant_type=password&username=ci&password=s3cret&service=registry.example&client_id=t&access_type=offline&scope=repository:team/web:pull";
    let got = client.form("/token", form).await;
    assert_eq!(got.status, 200, "{}", got.text());
    assert_eq!(got.json()["scope"], "repository:team/web:pull");
    let refresh = got.json()["refresh_token"].as_str().unwrap().to_owned();
    let again = client
        .form(
            "/token",
            &format!(
                "grant_type=refresh_token&refresh_token={refresh}&scope=repository:team/web:pull"
            ),
        )
        .await;
    let token = again.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(client.bearer(&token).get(TEAM).await.status, 200);
    // Each kind of token has its use.
    assert_eq!(client.bearer(&refresh).get(TEAM).await.status, 401);
    assert_eq!(
        client
            .form(
                "/token",
                &format!("grant_type=refresh_token&refresh_token={token}")
            )
            .await
            .status,
        401
    );
    assert_eq!(
        client
            .form("/token", "grant_type=password&username=ci&password=no")
            .await
            .status,
        401
    );
    assert_eq!(client.form("/token", "grant_type=magic").await.status, 400);
    let no_post = registry(AuthPolicy::Token(
        TokenService::new(accounts()).accepts_post(false),
    ));
    assert_eq!(no_post.form("/token", form).await.status, 404);
}

#[tokio::test]
async fn a_blob_is_mounted_only_from_where_one_may_read() {
    let accounts = Accounts::new()
        .user("a", "a", &["mine/*"])
        .user("all", "all", &["*"]);
    let registry = registry(AuthPolicy::Basic(accounts));
    let all = registry.basic("all", "all");
    let bytes = b"shared";
    let digest = common::sha256(bytes);
    all.ask(
        "POST",
        &format!("/v2/secret/x/blobs/uploads/?digest={digest}"),
        bytes,
    )
    .await;
    let a = registry.basic("a", "a");
    let table = [("&from=secret/x", 403), ("", 202), ("&from=", 202)];
    for (from, status) in table {
        let answer = a
            .ask(
                "POST",
                &format!("/v2/mine/y/blobs/uploads/?mount={digest}{from}"),
                b"",
            )
            .await;
        assert_eq!(answer.status, status, "for {from:?}");
    }
    let answer = all
        .ask(
            "POST",
            &format!("/v2/mine/y/blobs/uploads/?mount={digest}"),
            b"",
        )
        .await;
    assert_eq!(answer.status, 201);
}
