//! What a client sees of the habits of public registries.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which may panic"
)]

mod common;

use std::time::Duration;

use common::{Client, client};
use fake_registry::{Accounts, Clock, FakeRegistry, HostSpec};

fn start(spec: HostSpec, host: &str, image: &str) -> Client {
    let registry = FakeRegistry::builder()
        .seed(1)
        .clock(Clock::starting_at("2026-01-15T09:00:00Z".parse().unwrap()))
        .host(spec)
        .image(host, image)
        .build()
        .unwrap();
    client(&registry).at(host)
}

async fn token(client: &Client, path: &str) -> String {
    let answer = client.get(path).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["token"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn docker_hub_hides_what_is_missing_and_counts_pulls() {
    let accounts = Accounts::new()
        .user("me", "pw", &["*:pull"])
        .anonymous(&["*:pull"]);
    let hub = start(
        HostSpec::docker_hub(accounts),
        "registry-1.docker.io",
        "library/nginx:1 1x1KiB",
    );
    let refused = hub.get("/v2/library/nginx/manifests/1").await;
    assert_eq!(
        refused.header("www-authenticate"),
        Some(
            "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"repository:library/nginx:pull\""
        )
    );
    let auth = hub.at("auth.docker.io");
    let path = "/token?service=registry.docker.io&scope=repository:library/nginx:pull&scope=repository:library/x:pull";
    let anonymous = hub.bearer(&token(&auth, path).await);
    assert_eq!(
        auth.get("/v2/").await.status,
        404,
        "the token host is no registry"
    );
    // A repository that is not there.
    let missing = anonymous.get("/v2/library/x/manifests/1").await;
    assert_eq!(
        (missing.status, missing.message().as_str()),
        (401, "authentication required")
    );
    assert_eq!(
        missing.header("www-authenticate"),
        Some(
            "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"repository:library/x:pull\",error=\"insufficient_scope\""
        )
    );
    assert_eq!(
        missing.json()["errors"][0]["detail"][0]["Name"],
        "library/x"
    );
    // A tag that is not there.
    let tag = anonymous.get("/v2/library/nginx/manifests/9").await;
    assert_eq!(
        tag.text(),
        r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"9"}}]}"#
    );
    // GET counts, HEAD does not.
    let head = anonymous.head("/v2/library/nginx/manifests/1").await;
    assert_eq!(
        (
            head.header("ratelimit-limit"),
            head.header("ratelimit-remaining")
        ),
        (Some("100;w=21600"), Some("98;w=21600"))
    );
    assert_eq!(head.header("docker-ratelimit-source"), Some("10.0.0.4"));
    for _ in 0..98 {
        assert_eq!(
            anonymous.get("/v2/library/nginx/manifests/1").await.status,
            200
        );
    }
    // The token lasts five minutes.
    let anonymous = hub.bearer(&token(&auth, path).await);
    let over = anonymous.get("/v2/library/nginx/manifests/1").await;
    assert_eq!(
        (over.status, over.code().as_str()),
        (429, "TOOMANYREQUESTS")
    );
    assert_eq!(
        over.message(),
        "You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit"
    );
    let me = hub.bearer(&token(&auth.basic("me", "pw"), path).await);
    let mine = me.get("/v2/library/nginx/manifests/1").await;
    assert_eq!(
        (
            mine.status,
            mine.header("ratelimit-remaining"),
            mine.header("docker-ratelimit-source")
        ),
        (200, Some("199;w=21600"), Some("me"))
    );
    tokio::time::advance(Duration::from_hours(6)).await;
    let anonymous = hub.bearer(&token(&auth, path).await);
    assert_eq!(
        anonymous.get("/v2/library/nginx/manifests/1").await.status,
        200
    );
}

#[tokio::test(start_paused = true)]
async fn ecr_speaks_basic_and_tells_expiry() {
    let accounts = Accounts::new().user_until(
        "AWS",
        "token",
        &["team/*:pull"],
        "2026-01-15T21:00:00Z".parse().unwrap(),
    );
    let spec = HostSpec::ecr("123456789012", "eu-west-1", accounts);
    let host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    let ecr = start(spec, host, "team/web:v1 1x1KiB");
    let refused = ecr.get("/v2/").await;
    assert_eq!(
        (refused.status, refused.text().as_str()),
        (401, "Not Authorized\n")
    );
    assert_eq!(
        refused.header("www-authenticate"),
        Some(format!("Basic realm=\"https://{host}/\",service=\"ecr.amazonaws.com\"").as_str())
    );
    let aws = ecr.basic("AWS", "token");
    assert_eq!(aws.get("/v2/team/web/manifests/v1").await.status, 200);
    let missing = aws.get("/v2/team/x/manifests/v1").await;
    assert_eq!(
        (missing.status, missing.message().as_str()),
        (
            404,
            "The repository with name 'team/x' does not exist in the registry with id '123456789012'"
        )
    );
    let other = aws.get("/v2/other/x/manifests/v1").await;
    assert_eq!(other.status, 403);
    assert!(other.message().contains("is not authorized to perform: ecr:BatchGetImage on resource: arn:aws:ecr:eu-west-1:123456789012:repository/other/x"));
    tokio::time::advance(Duration::from_hours(13)).await;
    let expired = aws.get("/v2/team/web/manifests/v1").await;
    assert_eq!(
        (
            expired.status,
            expired.code().as_str(),
            expired.message().as_str()
        ),
        (
            403,
            "DENIED",
            "Your authorization token has expired. Reauthenticate and try again."
        )
    );
}

#[tokio::test]
async fn artifact_registry_says_that_it_may_not_exist() {
    let accounts = Accounts::new().user("oauth2accesstoken", "t", &["p/r/*:pull"]);
    let gar = start(
        HostSpec::artifact_registry("europe-west1", accounts),
        "europe-west1-docker.pkg.dev",
        "p/r/web:v1 1x1KiB",
    );
    let challenge = gar.get("/v2/p/r/web/manifests/v1").await;
    assert!(
        challenge.header("www-authenticate").unwrap().starts_with(
            "Bearer realm=\"http://europe-west1-docker.pkg.dev/v2/token\",service=\"\""
        )
    );
    let nobody = gar.bearer(&token(&gar, "/v2/token?scope=repository:p/r/web:pull").await);
    let refused = nobody.get("/v2/p/r/web/manifests/v1").await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "DENIED"));
    assert_eq!(
        refused.message(),
        "Unauthenticated request. Unauthenticated requests do not have permission \"artifactregistry.repositories.downloadArtifacts\" on resource \"projects/p/locations/europe-west1/repositories/r\" (or it may not exist)"
    );
    let user = gar.basic("oauth2accesstoken", "t");
    let user = gar.bearer(
        &token(
            &user,
            "/v2/token?scope=repository:p/r/web:pull&scope=repository:p/r/x:pull",
        )
        .await,
    );
    assert_eq!(user.get("/v2/p/r/web/manifests/v1").await.status, 200);
    assert!(
        user.get("/v2/p/r/x/manifests/v1")
            .await
            .message()
            .starts_with(
                "Permission \"artifactregistry.repositories.downloadArtifacts\" denied on resource"
            )
    );
}

#[tokio::test]
async fn ghcr_refuses_at_the_token_endpoint_and_quay_at_the_registry() {
    let accounts = || {
        Accounts::new()
            .user("me", "pat", &["me/*"])
            .anonymous(&["public/*:pull"])
    };
    let ghcr = start(HostSpec::ghcr(accounts()), "ghcr.io", "me/app:v1 1x1KiB");
    let refused = ghcr.get("/token?scope=repository:me/app:pull").await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "DENIED"));
    let me = ghcr.bearer(
        &token(
            &ghcr.basic("me", "pat"),
            "/token?scope=repository:me/app:pull",
        )
        .await,
    );
    assert_eq!(me.get("/v2/me/app/manifests/v1").await.status, 200);
    let quay = start(HostSpec::quay(accounts()), "quay.io", "me/app:v1 1x1KiB");
    let nobody = quay.bearer(&token(&quay, "/v2/auth?scope=repository:me/app:pull").await);
    let refused = nobody.get("/v2/me/app/manifests/v1").await;
    assert_eq!(
        (refused.status, refused.message().as_str()),
        (401, "access to the requested resource is not authorized")
    );
    assert!(
        refused
            .header("www-authenticate")
            .unwrap()
            .contains("/v2/auth")
    );
}
