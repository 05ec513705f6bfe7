//! What the habits of each runtime put on the wire, and what is done with certificates.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::net::{Authority, Got, Say, Script, TestNet, say};
use super::{ended, find, plain, probe, with};
use crate::evidence::{ClientShown, Evidence, Missing, Seen, TlsFailure};
use crate::keyring::Keyring;
use crate::probe::{Depth, Habits, Options, Progress, Watch};
use crate::stage::Stage;
use crate::world::ClientCertificate;

const IMAGE: &str = "r.example/a/b:1";
const MANIFEST: &str = r#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#;

fn registry(got: &Got) -> Say {
    let challenge = r#"Bearer realm="http://r.example/token",service="s""#;
    match (got.line.as_str(), got.authorization.as_deref()) {
        (line, _) if line.starts_with("GET /token") || line.starts_with("POST /token") => {
            say(200, r#"{"token":"good","access_token":"good"}"#)
        }
        (line, Some("Bearer good")) if line.contains("/manifests/") => say(200, MANIFEST),
        _ => say(401, "").with("www-authenticate", challenge),
    }
}

async fn ask(habits: Habits, registry: &Script, keyring: &Keyring) -> Evidence {
    let net = TestNet::default()
        .name("r.example", &["10.2.0.1"])
        .there("10.2.0.1:80", registry.there());
    let options = Options {
        depth: Depth::Manifest,
        habits,
        ..plain("r.example")
    };
    probe(&net.place([]), IMAGE, keyring, &options).await
}

#[tokio::test(start_paused = true)]
async fn each_runtime_asks_in_its_order() {
    let table: [(Habits, &[&str]); 3] = [
        (
            Habits::Containerd,
            &[
                "GET /v2/",
                "HEAD /v2/a/b/manifests/1",
                "POST /token",
                "HEAD /v2/a/b/manifests/1",
                "GET /v2/a/b/manifests/1",
            ],
        ),
        (
            Habits::Docker,
            &[
                "GET /v2/",
                "GET /token?account=someone&scope=repository%3Aa%2Fb%3Apull&service=s",
                "HEAD /v2/a/b/manifests/1",
                "GET /v2/a/b/manifests/1",
            ],
        ),
        (
            Habits::CriO,
            &[
                "GET /v2/",
                "GET /token?account=someone&scope=repository%3Aa%2Fb%3Apull&service=s",
                "GET /v2/a/b/manifests/1",
                "GET /v2/a/b/manifests/1",
            ],
        ),
    ];
    for (habits, lines) in table {
        let script = Script::new(registry);
        let evidence = ask(habits, &script, &with("r.example", "someone", "hunter2")).await;
        assert_eq!(
            ended(&evidence),
            (Stage::Platform, true),
            "{habits:?} {evidence:#?}"
        );
        assert_eq!(script.lines(), lines, "for {habits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_challenge_that_v2_does_not_make_is_containerds_alone() {
    for (habits, complete) in [
        (Habits::Containerd, true),
        (Habits::Docker, false),
        (Habits::CriO, false),
    ] {
        let script = Script::new(|got| match got.line.as_str() {
            "GET /v2/" => say(200, "{}"),
            _ => registry(got),
        });
        let evidence = ask(habits, &script, &Keyring::new()).await;
        assert_eq!(ended(&evidence).1, complete, "for {habits:?}");
    }
    // CRI-O stops at a `/v2/` that no registry has.
    let script = Script::new(|_| say(403, ""));
    let evidence = ask(Habits::CriO, &script, &Keyring::new()).await;
    assert_eq!(ended(&evidence), (Stage::Ping, false));
    assert_eq!(script.lines(), ["GET /v2/"]);
}

fn client(authority: &Authority) -> ClientCertificate {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let params = CertificateParams::new(vec!["client".to_owned()]).unwrap();
    let pem = authority.signed(params, &key);
    ClientCertificate::from_pem(pem.as_bytes(), key.serialize_pem().as_bytes(), "c.pem").unwrap()
}

/// A registry that wants a certificate of this authority.
fn wants_certificate(authority: &Authority) -> Arc<ServerConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().into()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .unwrap();
    let (chain, key) = authority.leaf(&["r.example"]);
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

#[tokio::test(start_paused = true)]
async fn a_client_certificate_is_shown_and_its_want_is_told() {
    let (own, other) = (Authority::new("Own"), Authority::new("Other"));
    let look = async |client: Option<ClientCertificate>| {
        let script = Script::new(registry).with_tls(wants_certificate(&own));
        let net = TestNet::default()
            .name("r.example", &["10.2.0.1"])
            .there("10.2.0.1:443", script.there());
        let mut place = net.place([own.der()]);
        place.client = client;
        let options = Options {
            depth: Depth::Ping,
            ..Options::default()
        };
        probe(&place, IMAGE, &Keyring::new(), &options).await
    };
    let good = look(Some(client(&own))).await;
    find!(&good, Seen::TlsEstablished { client: Some(ClientShown::Certificate { .. }), .. } => ());
    assert_eq!(ended(&good), (Stage::Ping, true));
    let none = look(None).await;
    find!(&none, Seen::TlsFailed { reason: TlsFailure::ClientCertificateRequired, .. } => ());
    let wrong = look(Some(client(&other))).await;
    let refused = super::seen(&wrong).any(|one| {
        matches!(
            one,
            Seen::TlsFailed {
                reason: TlsFailure::ClientCertificateRefused { .. },
                ..
            }
        )
    });
    assert!(refused, "{wrong:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_is_not_trusted_is_held_beside_the_store() {
    let (own, proxy) = (Authority::new("Team CA"), Authority::new("Squid proxy CA"));
    let tls = proxy.server(&["r.example"], (2026, 1, 1), (2027, 1, 1));
    let script = Script::new(registry).with_tls(tls);
    let net = TestNet::default()
        .name("r.example", &["10.2.0.1"])
        .there("10.2.0.1:443", script.there());
    let place = net.place([own.der()]).trusted_from("/etc/own.pem");
    let evidence = probe(&place, IMAGE, &Keyring::new(), &Options::default()).await;
    let compared = find!(&evidence, Seen::TrustCompared(compared) => compared.clone());
    assert_eq!(compared.missing, Missing::Authority);
    assert_eq!(&*compared.file, "/etc/containerd/certs.d/r.example/ca.crt");
    assert_eq!(compared.middlebox.as_deref(), Some("Squid"));
    assert_eq!(
        compared.to_string(),
        "`CN=Squid proxy CA` is not among /etc/own.pem (1 certificates); the runtime would look for it in /etc/containerd/certs.d/r.example/ca.crt; the name is one that Squid gives its authorities (a hint, no proof)"
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_pull_tells_how_far_it_is() {
    let layer = vec![7_u8; 300_000];
    let digest = crate::reference::Digest::sha256(&layer);
    let config =
        r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let config_digest = crate::reference::Digest::sha256(config.as_bytes());
    let manifest = MANIFEST
        .replace("\"size\":2", &format!("\"size\":{}", config.len()))
        .replace(
            "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            &config_digest.to_string(),
        );
    let manifest = manifest.replace(
        "\"layers\":[]",
        &format!(r#""layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{digest}","size":300000}}]"#),
    );
    let script = Script::new(move |got| match got.line.as_str() {
        "GET /v2/" => say(200, "{}"),
        line if line.contains("/manifests/") => say(200, manifest.clone())
            .with("content-type", "application/vnd.oci.image.manifest.v1+json"),
        line if line.contains(config_digest.hex()) => say(200, config),
        _ => say(200, layer.clone()),
    });
    let told: Arc<std::sync::Mutex<Vec<Progress>>> = Arc::default();
    let kept = told.clone();
    let net = TestNet::default()
        .name("r.example", &["10.2.0.1"])
        .there("10.2.0.1:80", script.there());
    let options = Options {
        depth: Depth::Full,
        watch: Watch::new(move |at| kept.lock().unwrap().push(at)),
        ..plain("r.example")
    };
    let evidence = probe(&net.place([]), IMAGE, &Keyring::new(), &options).await;
    let told = told.lock().unwrap();
    find!(&evidence, Seen::BlobReachable { verified: true, size: 300_000, .. } => ());
    let last = told
        .last()
        .map(|at| (at.layer, at.layers, at.read, at.size));
    assert_eq!(last, Some((1, 1, 300_000, 300_000)));
}
