//! Challenges, tokens, credentials, the node's identity, and waiting.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::net::{Authority, Got, Say, Script, TestNet, There, say};
use super::{ended, find, names, plain, probe, with};
use crate::evidence::{AttemptEnd, Evidence, Identity, Method, Role, Seen};
use crate::keyring::Keyring;
use crate::probe::{Depth, NodeIdentity, Options};
use crate::stage::Stage;

const IMAGE: &str = "r.example/a/b:1";
const MANIFEST: &str = r#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#;
const REFUSED: &str = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;

fn challenge(realm: &str) -> Say {
    let value =
        format!(r#"Bearer realm="{realm}",service="r.example",scope="repository:a/b:pull""#);
    say(401, REFUSED).with("www-authenticate", value)
}

/// A registry that gives its manifest to bearers of `good`.
fn registry(got: &Got, realm: &str) -> Say {
    match got.authorization.as_deref() {
        Some("Bearer good") if got.line.contains("/manifests/") => say(200, MANIFEST),
        Some("Bearer good") => say(200, "{}"),
        _ => challenge(realm),
    }
}

fn manifest_only(registry: &str) -> Options {
    Options {
        depth: Depth::Manifest,
        ..plain(registry)
    }
}

fn net(script: &Script) -> TestNet {
    TestNet::default()
        .name("r.example", &["10.2.0.1"])
        .there("10.2.0.1:80", script.there())
}

async fn ask(script: &Script, keyring: &Keyring) -> Evidence {
    probe(
        &net(script).place([]),
        IMAGE,
        keyring,
        &manifest_only("r.example"),
    )
    .await
}

#[tokio::test(start_paused = true)]
async fn an_anonymous_token() {
    let access = r#"{"access":[{"type":"repository","name":"a/b","actions":["pull"]}]}"#;
    let token = format!("e30.{}.x", URL_SAFE_NO_PAD.encode(access));
    let body = format!(r#"{{"token":"{token}","expires_in":300}}"#);
    let script = Script::new(move |got| match got.line.starts_with("GET /token?") {
        true => say(200, body.clone()),
        false
            if got
                .authorization
                .as_deref()
                .is_some_and(|it| it.starts_with("Bearer e30")) =>
        {
            say(200, MANIFEST)
        }
        false => challenge("http://r.example/token"),
    });
    let evidence = ask(&script, &Keyring::new()).await;
    assert_eq!(ended(&evidence), (Stage::Platform, true));
    assert!(
        script
            .lines()
            .contains(&"GET /token?scope=repository%3Aa%2Fb%3Apull&service=r.example".to_owned())
    );
    let granted = find!(&evidence, Seen::TokenGranted { granted, expires_in: Some(300), .. } => granted.clone().unwrap());
    assert_eq!(granted[0].name.as_str(), "a/b");
    let requests = evidence.requests_per_pull().unwrap();
    assert_eq!(
        (requests.manifests, requests.blobs, requests.tokens),
        (3, 1, 1)
    );
    assert!(!serde_json::to_string(&evidence).unwrap().contains(&token));
}

#[tokio::test(start_paused = true)]
async fn a_credential_goes_by_post_and_falls_back_to_get() {
    for post_known in [true, false] {
        let script = Script::new(move |got| match got.line.as_str() {
            "POST /token" if post_known => say(200, r#"{"access_token":"good"}"#),
            "POST /token" => say(404, ""),
            line if line.starts_with("GET /token?") && got.authorization.is_some() => {
                say(200, r#"{"token":"good"}"#)
            }
            _ => registry(got, "http://r.example/token"),
        });
        let evidence = ask(&script, &with("r.example", "someone", "hunter2")).await;
        assert_eq!(ended(&evidence), (Stage::Platform, true));
        let got = script.got();
        let post = got.iter().find(|got| got.line == "POST /token").unwrap();
        assert_eq!(
            post.body,
            "client_id=containerd-client&service=r.example&scope=repository%3Aa%2Fb%3Apull&grant_type=password&username=someone&password=hunter2"
        );
        let basic = format!("Basic {}", STANDARD.encode("someone:hunter2"));
        assert_eq!(
            got.iter()
                .any(|got| got.authorization.as_ref() == Some(&basic)),
            !post_known
        );
        let text = format!("{} {evidence:?}", serde_json::to_string(&evidence).unwrap());
        assert!(
            !text.contains("hunter2")
                && !text.contains("good\"")
                && !text.contains(&STANDARD.encode("someone:hunter2"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_credential_in_front_of_a_public_image() {
    let script = Script::new(|got| match got.line.as_str() {
        "POST /token" => say(401, REFUSED),
        line if line.starts_with("GET /token?") && got.authorization.is_some() => say(401, REFUSED),
        line if line.starts_with("GET /token?") => say(200, r#"{"token":"good"}"#),
        _ => registry(got, "http://r.example/token"),
    });
    let evidence = ask(&script, &with("r.example", "someone", "wrong")).await;
    assert_eq!(ended(&evidence), (Stage::Token, false));
    find!(&evidence, Seen::TokenRefused { method: Method::Get, refusal, .. } if refusal.status == 401 => ());
    find!(&evidence, Seen::ComparisonEnded(AttemptEnd { complete: true, .. }) => ());
    let compared = evidence
        .iter()
        .find(|fact| matches!(fact.seen, Seen::ManifestFound(_)))
        .unwrap();
    assert_eq!(compared.identity, Some(Identity::Anonymous));
}

#[tokio::test(start_paused = true)]
async fn each_credential_is_tried_until_one_works() {
    let script = Script::new(|got| match got.line.as_str() {
        "POST /token" if got.body.contains("username=right") => {
            say(200, r#"{"access_token":"good"}"#)
        }
        line if line.contains("/token") => say(401, REFUSED),
        _ => registry(got, "http://r.example/token"),
    });
    let mut keyring = with("r.example", "wrong", "x");
    keyring.add_given("r.example", crate::keyring::Credential::basic("right", "y"));
    keyring.add_given("r.example", crate::keyring::Credential::basic("never", "z"));
    let evidence = ask(&script, &keyring).await;
    let ends: Vec<bool> = evidence.attempts().map(|(_, end)| end.complete).collect();
    assert_eq!(ends, [false, true]);
    assert!(!script.got().iter().any(|got| got.body.contains("never")));
}

#[tokio::test(start_paused = true)]
async fn the_registry_refuses_the_token_it_asked_for() {
    let script = Script::new(|got| {
        match got.line.starts_with("GET /token?") {
        true => say(200, r#"{"token":"weak"}"#),
        false if got.authorization.is_some() => say(401, REFUSED).with(
            "www-authenticate",
            r#"Bearer realm="http://r.example/token",service="r.example",error="insufficient_scope""#,
        ),
        false => challenge("http://r.example/token"),
    }
    });
    let evidence = ask(&script, &Keyring::new()).await;
    assert_eq!(ended(&evidence), (Stage::Auth, false));
    let (error, code) = find!(&evidence, Seen::AuthorizationRefused { error, refusal } => (error.clone(), refusal.has_code("UNAUTHORIZED")));
    assert_eq!(
        (error.unwrap().as_str(), code),
        ("insufficient_scope", true)
    );
}

#[tokio::test(start_paused = true)]
async fn basic_challenges() {
    let script = Script::new(|got| match got.authorization.as_deref() {
        Some(value) if value == format!("Basic {}", STANDARD.encode("AWS:pw")) => {
            say(200, MANIFEST)
        }
        _ => say(401, "Not Authorized\n")
            .with("www-authenticate", r#"Basic realm="https://r.example/""#),
    });
    assert_eq!(
        ended(&ask(&script, &Keyring::new()).await),
        (Stage::Auth, false)
    );
    assert_eq!(
        ended(&ask(&script, &with("r.example", "AWS", "pw")).await),
        (Stage::Platform, true)
    );
}

#[tokio::test(start_paused = true)]
async fn odd_answers_of_a_token_service() {
    for (body, text) in [
        ("<html>", "<html>"),
        (
            r#"{"tok":1}"#,
            "neither `token` nor `access_token`, only: tok",
        ),
        ("[]", "[]"),
    ] {
        let script = Script::new(move |got| {
            if got.line.starts_with("GET /token?") {
                say(200, body)
            } else {
                challenge("http://r.example/token")
            }
        });
        let evidence = ask(&script, &Keyring::new()).await;
        assert_eq!(ended(&evidence), (Stage::Token, false));
        assert_eq!(
            find!(&evidence, Seen::TokenUnreadable { text } => text.clone()).as_str(),
            text
        );
    }
    for realm in ["", "not a url", "ftp://x/"] {
        let script = Script::new(move |_| challenge(realm));
        let evidence = ask(&script, &Keyring::new()).await;
        assert_eq!(ended(&evidence), (Stage::Auth, false), "for {realm:?}");
        find!(&evidence, Seen::ChallengeUnusable { .. } => ());
    }
}

#[tokio::test(start_paused = true)]
async fn a_malformed_pull_secret_ends_the_pull_before_it_begins() {
    let script = Script::new(|_| say(200, "{}"));
    let net = net(&script);
    let mut keyring = Keyring::new();
    keyring.add_pull_secret(
        "ns",
        "s",
        "kubernetes.io/dockerconfigjson",
        Some(b"{\"auths\":{\"x\":{\"auth\":\"!\"}}}"),
    );
    let evidence = probe(&net.place([]), IMAGE, &keyring, &manifest_only("r.example")).await;
    assert_eq!(ended(&evidence), (Stage::Kubelet, false));
    assert!(net.dialled().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_busy_registry_is_waited_for_but_not_for_ever() {
    let asked = AtomicU32::new(0);
    let script = Script::new(move |got| {
        if !got.line.contains("/manifests/") {
            return say(200, "{}");
        }
        if asked.fetch_add(1, Ordering::Relaxed) < 2 {
            return say(
                429,
                r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#,
            )
            .with("retry-after", "20");
        }
        say(200, MANIFEST)
    });
    let started = tokio::time::Instant::now();
    let evidence = ask(&script, &Keyring::new()).await;
    assert_eq!(ended(&evidence), (Stage::Platform, true));
    let waited = find!(&evidence, Seen::Waited { status: 429, retry_after, waited } => (*retry_after, *waited));
    assert_eq!(
        waited,
        (Some(Duration::from_secs(20)), Duration::from_secs(20))
    );
    assert_eq!(started.elapsed(), Duration::from_secs(20));
    let refusal = find!(&evidence, Seen::ManifestRefused { method: Method::Get, refusal, .. } => refusal.clone());
    assert!(refusal.has_code("TOOMANYREQUESTS"));

    for (retry_after, longest) in [("3600", 0), ("25", 50), ("0", 2)] {
        let script = Script::new(move |got| {
            if got.line.contains("/manifests/") {
                say(429, "").with("retry-after", retry_after)
            } else {
                say(200, "{}")
            }
        });
        let started = tokio::time::Instant::now();
        let evidence = ask(&script, &Keyring::new()).await;
        assert_eq!(ended(&evidence), (Stage::Manifest, false));
        assert_eq!(
            started.elapsed(),
            Duration::from_secs(longest),
            "for {retry_after}"
        );
    }
}

// The node's identity in Azure.

const ACR: &str = "myacr.azurecr.io/a/b:1";

fn entra_token() -> String {
    let claims = r#"{"aud":"https://containerregistry.azure.net","oid":"kubelet-oid","appid":"kubelet-app","tid":"tenant","exp":1768471200}"#;
    format!("e30.{}.secretsignature", URL_SAFE_NO_PAD.encode(claims))
}

fn metadata() -> Script {
    Script::new(|_| {
        say(
            200,
            format!(
                r#"{{"access_token":"{}","expires_in":"3599"}}"#,
                entra_token()
            ),
        )
    })
}

/// A registry of Azure with this answer to the exchange.
fn azure(exchange: fn() -> Say) -> (Script, Authority) {
    let authority = Authority::new("Azure CA");
    let tls = authority.server(&["myacr.azurecr.io"], (2026, 1, 1), (2027, 1, 1));
    let script = Script::new(move |got| match got.line.as_str() {
        "POST /oauth2/exchange" => exchange(),
        "POST /oauth2/token" => say(400, ""),
        line if line.starts_with("GET /oauth2/token") => match &got.authorization {
            Some(value)
                if *value
                    == format!(
                        "Basic {}",
                        STANDARD.encode("00000000-0000-0000-0000-000000000000:refresh")
                    ) =>
            {
                say(200, r#"{"access_token":"good"}"#)
            }
            _ => say(401, REFUSED),
        },
        _ => {
            let realm = "https://myacr.azurecr.io/oauth2/token";
            match got.authorization.as_deref() {
                Some("Bearer good") => say(200, MANIFEST),
                _ => say(401, REFUSED).with(
                    "www-authenticate",
                    format!(r#"Bearer realm="{realm}",service="myacr.azurecr.io""#),
                ),
            }
        }
    });
    (script.with_tls(tls), authority)
}

async fn from_node(registry: &(Script, Authority), metadata: There) -> Evidence {
    let net = TestNet::default()
        .name("myacr.azurecr.io", &["10.3.0.1"])
        .there("10.3.0.1:443", registry.0.there())
        .there("169.254.169.254:80", metadata);
    let options = Options {
        depth: Depth::Manifest,
        node_identity: NodeIdentity::Default,
        ..Options::default()
    };
    probe(
        &net.place([registry.1.der()]),
        ACR,
        &Keyring::new(),
        &options,
    )
    .await
}

#[tokio::test(start_paused = true)]
async fn the_nodes_identity_pulls() {
    let metadata = metadata();
    let registry = azure(|| say(200, r#"{"refresh_token":"refresh"}"#));
    let evidence = from_node(&registry, metadata.there()).await;
    assert_eq!(ended(&evidence), (Stage::Platform, true));
    let oid = find!(&evidence, Seen::IdentityToken { object_id, .. } => object_id.clone());
    assert_eq!(oid.as_deref(), Some("kubelet-oid"));
    assert_eq!(
        metadata.lines(),
        [
            "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fcontainerregistry.azure.net"
        ]
    );
    find!(&evidence, Seen::ExchangeGranted { .. } => ());
    let exchange = registry
        .0
        .got()
        .into_iter()
        .find(|got| got.line == "POST /oauth2/exchange")
        .unwrap();
    assert!(exchange.body.starts_with(
        "grant_type=access_token_refresh_token&service=myacr.azurecr.io&tenant=tenant&"
    ));
    assert_eq!(evidence.requests_per_pull().unwrap().tokens, 2);
    let text = format!("{} {evidence:?}", serde_json::to_string(&evidence).unwrap());
    assert!(!text.contains("secretsignature") && !text.contains("\"refresh\""));
}

#[tokio::test(start_paused = true)]
async fn an_identity_without_a_role_goes_on_as_nobody() {
    let registry = azure(|| say(401, REFUSED));
    let evidence = from_node(&registry, metadata().there()).await;
    assert_eq!(ended(&evidence), (Stage::Token, false));
    let fact = evidence
        .iter()
        .find(|fact| matches!(fact.seen, Seen::ExchangeRefused { .. }))
        .unwrap();
    assert_eq!(
        fact.identity,
        Some(Identity::KubeletIdentity { client_id: None })
    );
    let fact = evidence
        .iter()
        .find(|fact| matches!(fact.seen, Seen::TokenRefused { .. }))
        .unwrap();
    assert_eq!(fact.identity, Some(Identity::Anonymous));
    assert_eq!(evidence.attempts().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn metadata_services_that_refuse_or_cannot_be_reached() {
    let registry = azure(|| say(401, REFUSED));
    let detached = Script::new(|_| {
        say(
            400,
            r#"{"error":"invalid_request","error_description":"Identity not found"}"#,
        )
    });
    let evidence = from_node(&registry, detached.there()).await;
    let refusal = find!(&evidence, Seen::IdentityTokenRefused { refusal, .. } => refusal.clone());
    assert_eq!(
        (refusal.status, refusal.message.as_str()),
        (400, "Identity not found")
    );

    let evidence = from_node(&registry, There::Drops).await;
    assert_eq!(names(&evidence, Role::Metadata), ["dial-failed"]);
    assert_eq!(ended(&evidence), (Stage::Token, false));
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_is_granted_and_a_repository_that_is_not() {
    let registry = azure(|| say(200, r#"{"refresh_token":"other"}"#));
    let evidence = from_node(&registry, metadata().there()).await;
    let ends: Vec<(Option<Identity>, Stage)> = evidence
        .attempts()
        .map(|(fact, end)| (fact.identity.clone(), end.stage))
        .collect();
    assert_eq!(
        ends,
        [
            (
                Some(Identity::KubeletIdentity { client_id: None }),
                Stage::Token
            ),
            (Some(Identity::Anonymous), Stage::Token),
        ]
    );
}
