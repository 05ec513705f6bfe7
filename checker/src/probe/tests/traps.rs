//! Servers that want what is not theirs: each records what arrives, and nothing secret may.

use std::sync::Arc;

use wiremock::matchers::{any, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::net::{Authority, Got, Say, Script, TestNet, say};
use super::{ended, find, plain, probe, with};
use crate::evidence::{HttpFailure, Role, Seen, WhyWithheld};
use crate::keyring::Keyring;
use crate::probe::Options;
use crate::stage::Stage;

const IMAGE: &str = "r.example/a/b:1";

fn challenge(realm: &str) -> Say {
    say(401, "").with(
        "www-authenticate",
        format!(r#"Bearer realm="{realm}",service="s""#),
    )
}

fn is_clean(trap: &Script) -> bool {
    trap.got().iter().all(|got| {
        got.authorization.is_none()
            && !got.body.contains("hunter2")
            && !got.line.contains("hunter2")
    })
}

/// A registry over TLS, with a trap at another host; both trusted.
async fn trapped(
    realm: &'static str,
    trap: &Script,
    options: &Options,
) -> crate::evidence::Evidence {
    let authority = Authority::new("CA");
    let dates = ((2026, 1, 1), (2027, 1, 1));
    let registry = Script::new(move |_| challenge(realm)).with_tls(authority.server(
        &["r.example"],
        dates.0,
        dates.1,
    ));
    let trap_tls = trap
        .clone()
        .with_tls(authority.server(&["trap.example"], dates.0, dates.1));
    let net = TestNet::default()
        .name("r.example", &["10.2.0.1"])
        .there("10.2.0.1:443", registry.there())
        .name("trap.example", &["10.2.0.66"])
        .there("10.2.0.66:443", trap_tls.there())
        .there("10.2.0.66:80", trap.there())
        .name("inside.example", &["169.254.169.254"])
        .there("169.254.169.254:80", trap.there())
        .there("169.254.169.254:443", trap.there())
        .there("127.0.0.1:80", trap.there());
    probe(
        &net.place([authority.der()]),
        IMAGE,
        &with("r.example", "someone", "hunter2"),
        options,
    )
    .await
}

fn token(_: &Got) -> Say {
    say(200, r#"{"token":"t"}"#)
}

#[tokio::test(start_paused = true)]
async fn realms_that_get_no_credential() {
    let table = [
        ("https://trap.example/token", WhyWithheld::OtherHost),
        ("http://r.example/token", WhyWithheld::PlainHttp),
        ("http://trap.example/token", WhyWithheld::PlainHttp),
        (
            "http://169.254.169.254/metadata/identity/oauth2/token",
            WhyWithheld::PlainHttp,
        ),
        (
            "https://r.example.trap.example/token",
            WhyWithheld::OtherHost,
        ),
        (
            "https://r.example@trap.example/token",
            WhyWithheld::OtherHost,
        ),
    ];
    for (realm, want) in table {
        let trap = Script::new(token);
        let evidence = trapped(realm, &trap, &Options::default()).await;
        assert_eq!(
            find!(&evidence, Seen::CredentialWithheld { why, .. } => *why),
            want,
            "for {realm}"
        );
        assert_eq!(ended(&evidence), (Stage::Token, false));
        assert!(is_clean(&trap), "for {realm}: {:?}", trap.got());
    }
}

#[tokio::test(start_paused = true)]
async fn a_realm_that_was_allowed_gets_it() {
    let trap = Script::new(token);
    let options = Options {
        allow_realm: vec!["trap.example".parse().unwrap()],
        ..Options::default()
    };
    let evidence = trapped("https://trap.example/token", &trap, &options).await;
    find!(&evidence, Seen::TokenGranted { .. } => ());
    assert!(!is_clean(&trap));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_sent_to_local_addresses() {
    for realm in [
        "https://inside.example/token",
        "http://169.254.169.254/latest",
        "http://127.0.0.1/x",
        "http://[::ffff:169.254.169.254]/x",
    ] {
        let trap = Script::new(token);
        let authority = Authority::new("CA");
        let tls = authority.server(&["r.example"], (2026, 1, 1), (2027, 1, 1));
        let registry = Script::new(move |_| challenge(realm)).with_tls(tls);
        let net = TestNet::default()
            .name("r.example", &["10.2.0.1"])
            .there("10.2.0.1:443", registry.there())
            .name("inside.example", &["169.254.169.254"])
            .there("169.254.169.254:80", trap.there())
            .there("127.0.0.1:80", trap.there());
        let evidence = probe(
            &net.place([authority.der()]),
            IMAGE,
            &Keyring::new(),
            &Options::default(),
        )
        .await;
        find!(&evidence, Seen::RedirectRefused { why: WhyWithheld::LocalAddress, .. } => ());
        assert!(trap.got().is_empty(), "for {realm}");
        assert_eq!(net.dialled(), ["10.2.0.1:443"], "for {realm}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirect_takes_no_credential_along() {
    let trap = Script::new(|_| say(200, "{}"));
    let registry = Script::new(|got| match got.authorization.as_deref() {
        Some("Basic c29tZW9uZTpodW50ZXIy") => say(307, "").with(
            "location",
            format!(
                "http://trap.example{}?sig=signed",
                got.line.split(' ').nth(1).unwrap()
            ),
        ),
        _ => say(401, "").with("www-authenticate", "Basic realm=\"r\""),
    });
    let net = TestNet::default()
        .name("r.example", &["10.2.0.1"])
        .there("10.2.0.1:80", registry.there())
        .name("trap.example", &["10.2.0.66"])
        .there("10.2.0.66:80", trap.there());
    let keyring = with("r.example", "someone", "hunter2");
    let evidence = probe(&net.place([]), IMAGE, &keyring, &plain("r.example")).await;
    assert!(!trap.got().is_empty() && is_clean(&trap));
    assert!(trap.got().iter().all(|got| got.host == "trap.example"));
    assert_eq!(
        evidence.about(Role::Storage).next().map(|fact| fact.stage),
        Some(Stage::Dns)
    );
    assert!(
        !serde_json::to_string(&evidence)
            .unwrap()
            .contains("sig=signed")
    );
}

#[tokio::test(start_paused = true)]
async fn redirects_come_to_an_end() {
    let registry = Script::new(|got| match got.line.as_str() {
        "GET /v2/" => say(200, "{}"),
        _ => say(307, "").with("location", "/v2/a/b/manifests/1"),
    });
    let net = TestNet::default()
        .name("r.example", &["10.2.0.1"])
        .there("10.2.0.1:80", registry.there());
    let evidence = probe(&net.place([]), IMAGE, &Keyring::new(), &plain("r.example")).await;
    find!(&evidence, Seen::HttpFailed { reason: HttpFailure::TooManyRedirects, .. } => ());
    assert_eq!(registry.lines().len(), 12);

    let registry = Script::new(|_| say(307, "").with("location", "ftp://x/"));
    let net = TestNet::default()
        .name("r.example", &["10.2.0.1"])
        .there("10.2.0.1:80", registry.there());
    let evidence = probe(&net.place([]), IMAGE, &Keyring::new(), &plain("r.example")).await;
    find!(&evidence, Seen::HttpFailed { reason: HttpFailure::BadRedirect { .. }, .. } => ());
}

/// Over real sockets and real time: the same code, an HTTP server that we did not write.
#[tokio::test]
async fn an_odd_server_on_a_socket() {
    let server = MockServer::start().await;
    Mock::given(method("HEAD"))
        .respond_with(ResponseTemplate::new(403))
        .mount(&server)
        .await;
    let denied = r#"{"errors":[{"code":"DENIED","message":"client with IP '192.0.2.1' is not allowed access."}]}"#;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(403).set_body_string(denied))
        .mount(&server)
        .await;
    let net = Arc::new(crate::world::real::SystemNet::new(None));
    let place = crate::world::Place::new(
        crate::world::Vantage::Workstation,
        net,
        crate::world::Trust::Roots(Vec::new()),
    );
    let image = format!("{}/a/b:1", server.address());
    let clock = crate::world::real::SystemClock;
    let image = image.parse().unwrap();
    let evidence =
        crate::probe::run(&place, &clock, &image, &Keyring::new(), &Options::default()).await;
    assert_eq!(ended(&evidence), (Stage::Manifest, false));
    find!(&evidence, Seen::Pinged { status: 403, refusal: Some(refusal), .. } if refusal.has_code("DENIED") => ());
    find!(&evidence, Seen::ManifestRefused { method: crate::evidence::Method::Get, refusal, .. } if refusal.message.as_str().contains("192.0.2.1") => ());
}
