//! TLS on any stream: the certificate follows the name that the client asks for.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which may panic"
)]

use std::sync::Arc;

use fake_registry::{Conn, FakeRegistry, HostSpec, Scheme, TlsMode};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn registry() -> FakeRegistry {
    FakeRegistry::builder()
        .seed(7)
        .host(HostSpec::new("a.example"))
        .host(HostSpec::new("b.example"))
        .build()
        .unwrap()
}

fn conn() -> Conn {
    Conn {
        peer: "10.0.0.4:1".parse().unwrap(),
        client: "node-1".into(),
        scheme: Scheme::Https,
    }
}

async fn get(registry: &FakeRegistry, name: &str) -> Result<String, std::io::Error> {
    get_as(registry, name, None).await
}

/// With a certificate and its key in PEM, if any.
async fn get_as(
    registry: &FakeRegistry,
    name: &str,
    client: Option<&(String, String)>,
) -> Result<String, std::io::Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(registry.ca_der())).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match client {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            config
                .with_client_auth_cert(vec![certificate], key)
                .unwrap()
        }
    };
    let (near, far) = tokio::io::duplex(64 << 10);
    tokio::spawn(registry.serve(far, conn()));
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut stream = connector
        .connect(ServerName::try_from(name.to_owned()).unwrap(), near)
        .await?;
    let request = format!("GET /v2/ HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn each_host_has_its_certificate() {
    let registry = registry();
    for name in ["a.example", "b.example"] {
        let answer = get(&registry, name).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
    let error = get(&registry, "c.example").await.unwrap_err();
    assert!(
        error.to_string().contains("NotValidForName")
            || error.to_string().contains("not valid for name"),
        "{error}"
    );
}

#[tokio::test]
async fn the_same_seed_gives_the_same_ca_and_no_seed_another_one() {
    assert_eq!(
        FakeRegistry::builder()
            .seed(7)
            .clock(fixed())
            .build()
            .unwrap()
            .ca_der(),
        FakeRegistry::builder()
            .seed(7)
            .clock(fixed())
            .build()
            .unwrap()
            .ca_der()
    );
    assert_ne!(
        FakeRegistry::builder()
            .clock(fixed())
            .build()
            .unwrap()
            .ca_der(),
        FakeRegistry::builder()
            .clock(fixed())
            .build()
            .unwrap()
            .ca_der()
    );
}

fn fixed() -> fake_registry::Clock {
    fake_registry::Clock::starting_at("2026-01-15T09:00:00Z".parse().unwrap())
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_told_so() {
    let (mut near, far) = tokio::io::duplex(64 << 10);
    tokio::spawn(registry().serve(far, conn()));
    near.write_all(b"GET /v2/ HTTP/1.1\r\nHost: a.example\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    near.read_to_string(&mut answer).await.unwrap();
    assert_eq!(
        answer,
        "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
    );
}

#[tokio::test]
async fn what_can_be_wrong_with_a_certificate() {
    let table = [
        (TlsMode::Valid, ""),
        (TlsMode::Expired, "certificate expired"),
        (TlsMode::NotYetValid, "not valid yet"),
        (TlsMode::WrongName, "not valid for name"),
        (TlsMode::SelfSigned, "invalid peer certificate: "),
        (TlsMode::UnknownCa, "UnknownIssuer"),
        (TlsMode::IncompleteChain, "UnknownIssuer"),
        (TlsMode::ClientCertificate, "CertificateRequired"),
        (TlsMode::OldVersion, "ProtocolVersion"),
        (TlsMode::NoCipher, "HandshakeFailure"),
        (TlsMode::PlainHttp, "corrupt message"),
    ];
    let registry = registry();
    for (mode, want) in table {
        registry.set_tls("a.example", mode);
        match get(&registry, "a.example").await {
            Ok(answer) => assert!(
                want.is_empty() && answer.starts_with("HTTP/1.1 200"),
                "for {mode:?}: {answer}"
            ),
            Err(error) => {
                let text = error.to_string();
                assert!(
                    !want.is_empty() && text.contains(want),
                    "for {mode:?}: {text}"
                );
            }
        }
        assert!(
            get(&registry, "b.example").await.is_ok(),
            "the other host is as it was"
        );
    }
}

#[tokio::test]
async fn a_client_with_a_certificate_of_the_run_is_let_in() {
    let (registry, stranger) = (registry(), FakeRegistry::builder().build().unwrap());
    registry.set_tls("a.example", TlsMode::ClientCertificate);
    let own = registry.client_certificate("node-1").unwrap();
    let answer = get_as(&registry, "a.example", Some(&own)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let other = stranger.client_certificate("node-1").unwrap();
    let error = get_as(&registry, "a.example", Some(&other))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("received fatal alert"), "{text}");
}

#[tokio::test]
async fn a_certificate_may_be_good_for_other_names_too() {
    let names = ["localhost", "127.0.0.1", "::1"];
    let build = |names: &[&str]| {
        FakeRegistry::builder()
            .host(HostSpec::new("a.example"))
            .certificate_names(names.iter().copied())
            .build()
    };
    let registry = build(&names).unwrap();
    for name in ["a.example"].iter().chain(&names) {
        // Nobody answers to the other names, but the certificate is good for them.
        let answer = get(&registry, name).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 "), "{name}: {answer}");
    }
    assert!(get(&registry, "b.example").await.is_err());
    registry.set_tls("a.example", TlsMode::WrongName);
    assert!(get(&registry, "localhost").await.is_err());
    assert!(build(&["no host"]).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_run_with_a_seed_is_the_same_to_the_byte() {
    async fn play() -> (Vec<String>, Vec<u8>, String) {
        let registry = FakeRegistry::builder()
            .seed(7)
            .clock(fixed())
            .image("a.example", "team/web:v1 1x8KiB")
            .build()
            .unwrap();
        let answer = get(&registry, "a.example").await.unwrap();
        (registry.journal().lines(), registry.ca_der(), answer)
    }
    assert_eq!(play().await, play().await);
}
