//! The credential provider of an AKS node, against a registry of Azure and the metadata service.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::match_same_arms,
    reason = "a test may panic, and says so best by doing it"
)]

mod support;

use sim_cluster::credential::AcrCredentialProvider;
use sim_cluster::node::Node;
use support::image::Image;
use support::server::{Certificate, Server, reply, serve_image};
use support::world::{World, seconds};

fn running(world: &World, pod: &str) -> bool {
    world.get(pod)["status"]["phase"] == "Running"
}

/// A registry of Azure and the metadata service of its node, as far as the credential provider asks.
fn azure(world: &World, allowed: bool) -> (Node, Server, Server) {
    const LOGIN: &str = "myacr.azurecr.io";
    let certificate = Certificate::valid(&[LOGIN], world.clock);
    world.alias(&[LOGIN]);
    let image = Image::new("acr", "amd64", &[1000]);
    let registry = Server::new(world.clock, move |seen| {
        match seen.path.split('?').next().unwrap() {
            "/oauth2/exchange" if allowed => reply(200).body(r#"{"refresh_token":"refresh"}"#),
            "/oauth2/exchange" => reply(401),
            "/oauth2/token" if seen.body.contains("password=refresh") => {
                reply(200).body(r#"{"access_token":"access"}"#)
            }
            "/oauth2/token" => reply(401),
            _ if seen.header("authorization") == "Bearer access" => serve_image(seen, &image),
            _ => {
                let challenge =
                    format!("Bearer realm=\"https://{LOGIN}/oauth2/token\",service=\"{LOGIN}\"");
                reply(401).header("WWW-Authenticate", &challenge)
            }
        }
    });
    registry.listen_tls(&world.registry, 443, &certificate);
    let mut spec = world.spec();
    spec.trusted_ca = vec![certificate.ca];
    spec.credential_provider = Some(AcrCredentialProvider {
        identity: Some("client-1".into()),
        tenant: "tenant-1".into(),
    });
    let node = world.start(&spec);
    let metadata = Server::new(world.clock, |_| {
        reply(200).body(r#"{"access_token":"entra","expires_in":"3599"}"#)
    });
    metadata.listen_local(&node.host(), "169.254.169.254:80");
    (node, registry, metadata)
}

#[tokio::test(start_paused = true)]
async fn the_credential_provider_exchanges_once_an_hour() {
    let world = World::new(3);
    let (node, registry, metadata) = azure(&world, true);
    world.pod("one", "myacr.azurecr.io/acr:1.0");
    seconds(10).await;
    world.pod("two", "myacr.azurecr.io/acr:1.1");
    seconds(10).await;
    assert!(running(&world, "one") && running(&world, "two"));
    let asked = &metadata.log()[0];
    assert_eq!(
        (asked.path.as_str(), asked.header("metadata")),
        (
            "/metadata/identity/oauth2/token?api-version=2018-02-01&client_id=client-1&resource=https%3A%2F%2Fcontainerregistry.azure.net",
            "true"
        )
    );
    let exchanges: Vec<_> = registry
        .log()
        .into_iter()
        .filter(|s| s.path == "/oauth2/exchange")
        .collect();
    assert_eq!(exchanges.len(), 1, "the second pod finds it in the cache");
    assert_eq!(
        exchanges[0].body,
        "access_token=entra&grant_type=access_token_refresh_token&refresh_token=entra&service=myacr.azurecr.io&tenant=tenant-1"
    );
    seconds(60 * 60).await;
    world.pod("three", "myacr.azurecr.io/acr:1.2");
    seconds(10).await;
    assert!(running(&world, "three"));
    assert_eq!(
        registry
            .log()
            .iter()
            .filter(|s| s.path == "/oauth2/exchange")
            .count(),
        2
    );
    assert!(node.attempts().iter().all(|a| a.outcome.is_ok()));
}

#[tokio::test(start_paused = true)]
async fn without_a_role_the_pull_goes_on_anonymously() {
    let world = World::new(3);
    let (node, _registry, _metadata) = azure(&world, false);
    world.pod("app", "myacr.azurecr.io/acr:1.0");
    seconds(60).await;
    let want = "failed to pull and unpack image \"myacr.azurecr.io/acr:1.0\": failed to resolve image: failed to authorize: \
                failed to fetch anonymous token: unexpected status from GET request to \
                https://myacr.azurecr.io/oauth2/token?scope=repository%3Aacr%3Apull&service=myacr.azurecr.io: 401 Unauthorized";
    assert_eq!(node.attempts()[0].outcome, Err(want.to_owned()));
}

/// A role that is lost while a refresh token is cached shows another text: two attempts, two errors.
#[tokio::test(start_paused = true)]
async fn a_cached_token_that_no_longer_helps_gives_two_errors() {
    let world = World::new(3);
    let (node, registry, _metadata) = azure(&world, true);
    world.pod("one", "myacr.azurecr.io/acr:1.0");
    seconds(10).await;
    registry.set(|seen| match seen.path.split('?').next().unwrap() {
        "/oauth2/token" => reply(401),
        _ => reply(401).header(
            "WWW-Authenticate",
            "Bearer realm=\"https://myacr.azurecr.io/oauth2/token\",service=\"myacr.azurecr.io\"",
        ),
    });
    world.pod("two", "myacr.azurecr.io/acr:1.1");
    seconds(10).await;
    let outcome = node
        .attempts()
        .into_iter()
        .find(|a| a.pod == "two")
        .unwrap()
        .outcome
        .unwrap_err();
    let (first, second) = outcome.strip_prefix('[').unwrap().split_once(", ").unwrap();
    assert!(
        first.contains("failed to fetch oauth token")
            && second.contains("failed to fetch anonymous token"),
        "{outcome}"
    );
}
