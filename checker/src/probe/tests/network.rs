//! Names, connections, handshakes.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::net::{Authority, Script, TestNet, There, say};
use super::{ended, find, look, plain, probe};
use crate::evidence::{HttpFailure, Seen, TlsFailure};
use crate::keyring::Keyring;
use crate::probe::{Depth, Options};
use crate::stage::Stage;
use crate::world::{DialError, DnsError};

type Fits = fn(&HttpFailure) -> bool;

const IMAGE: &str = "r.example/a/b:1";

#[tokio::test(start_paused = true)]
async fn each_way_in_which_a_name_fails() {
    let server = Some("10.0.0.10:53".to_owned());
    let errors = [
        DnsError::NxDomain {
            server: server.clone(),
        },
        DnsError::ServFail {
            server: server.clone(),
        },
        DnsError::Timeout {
            server: server.clone(),
        },
        DnsError::NoData { server },
    ];
    for error in errors {
        let net = TestNet::default().fails("r.example", error.clone());
        let evidence = look(&net.place([]), IMAGE).await;
        assert_eq!(ended(&evidence), (Stage::Dns, false));
        assert_eq!(
            find!(&evidence, Seen::DnsFailed { error } => error.clone()),
            error
        );
        assert!(net.dialled().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn every_address_is_reported() {
    let script = Script::new(|_| say(404, ""));
    let net = TestNet::default()
        .name(
            "r.example",
            &["10.2.0.1", "10.2.0.2", "fd00::1", "10.2.0.3"],
        )
        .there("10.2.0.1:80", There::Drops)
        .there("10.2.0.2:80", There::Refuses)
        .there("10.2.0.3:80", script.there());
    let evidence = probe(&net.place([]), IMAGE, &Keyring::new(), &plain("r.example")).await;
    let outcomes: Vec<String> = super::seen(&evidence)
        .filter_map(|seen| match seen {
            Seen::Connected { address } => Some(format!("{address} ok")),
            Seen::DialFailed { address, error } => Some(format!("{address} {error}")),
            _ => None,
        })
        .collect();
    assert_eq!(
        outcomes,
        [
            "10.2.0.1:80 no answer in time",
            "[fd00::1]:80 no route to host",
            "10.2.0.2:80 connection refused",
            "10.2.0.3:80 ok",
        ]
    );
    assert_eq!(ended(&evidence).0, Stage::Manifest);
}

#[tokio::test(start_paused = true)]
async fn dropped_packets_end_at_the_probes_own_deadline() {
    let net = TestNet::default()
        .name("r.example", &["10.2.0.1"])
        .there("10.2.0.1:443", There::Drops);
    let evidence = look(&net.place([]), IMAGE).await;
    assert_eq!(ended(&evidence), (Stage::Tcp, false));
    let fact = evidence.at(Stage::Tcp).next().unwrap();
    assert!(matches!(
        &fact.seen,
        Seen::DialFailed {
            error: DialError::TimedOut,
            ..
        }
    ));
    assert_eq!(fact.took, Duration::from_secs(5));
}

async fn handshake(there: There, roots: Vec<Vec<u8>>) -> crate::evidence::Evidence {
    let net = TestNet::default()
        .name("r.example", &["10.2.0.1"])
        .there("10.2.0.1:443", there);
    look(&net.place(roots), IMAGE).await
}

#[tokio::test(start_paused = true)]
async fn certificates_that_are_refused_are_described() {
    let ours = Authority::new("Our CA");
    let other = Authority::new("Corporate Proxy CA");
    let good = ((2026, 1, 1), (2027, 1, 1));
    let script = |tls| Script::new(|_| say(200, "{}")).with_tls(tls).there();

    let evidence = handshake(
        script(other.server(&["r.example"], good.0, good.1)),
        vec![ours.der()],
    )
    .await;
    assert_eq!(ended(&evidence), (Stage::Tls, false));
    let (reason, chain) =
        find!(&evidence, Seen::TlsFailed { reason, chain } => (reason.clone(), chain.clone()));
    assert_eq!(reason, TlsFailure::UnknownIssuer);
    assert_eq!(chain[0].names[0].as_str(), "r.example");
    assert!(
        chain[0]
            .issuer
            .as_str()
            .starts_with("CN=Corporate Proxy CA"),
        "{}",
        chain[0].issuer
    );
    assert!(chain[1].self_issued());

    // Without any trusted authority the reason is the same.
    let evidence = handshake(script(ours.server(&["r.example"], good.0, good.1)), vec![]).await;
    find!(&evidence, Seen::TlsFailed { reason: TlsFailure::UnknownIssuer, .. } => ());

    let evidence = handshake(
        script(ours.server(&["r.example"], (2025, 1, 1), (2026, 1, 1))),
        vec![ours.der()],
    )
    .await;
    let not_after = find!(&evidence, Seen::TlsFailed { reason: TlsFailure::Expired { not_after, .. }, .. } => *not_after);
    assert_eq!(not_after.unwrap().to_string(), "2026-01-01T00:00:00Z");

    let evidence = handshake(
        script(ours.server(&["r.example"], (2026, 2, 1), (2027, 1, 1))),
        vec![ours.der()],
    )
    .await;
    find!(&evidence, Seen::TlsFailed { reason: TlsFailure::NotYetValid { not_before: Some(_), .. }, .. } => ());

    let evidence = handshake(
        script(ours.server(&["other.example"], good.0, good.1)),
        vec![ours.der()],
    )
    .await;
    let chain = find!(&evidence, Seen::TlsFailed { reason: TlsFailure::NameMismatch, chain } => chain.clone());
    assert_eq!(chain[0].names[0].as_str(), "other.example");

    let evidence = handshake(
        script(ours.server(&["r.example"], good.0, good.1)),
        vec![ours.der()],
    )
    .await;
    find!(&evidence, Seen::TlsEstablished { version, .. } if &**version == "TLSv1.3" => ());
}

#[tokio::test(start_paused = true)]
async fn servers_that_do_not_speak_tls() {
    let evidence = handshake(Script::new(|_| say(200, "{}")).there(), vec![]).await;
    assert_eq!(ended(&evidence), (Stage::Tls, false));
    find!(&evidence, Seen::TlsFailed { reason: TlsFailure::PlainHttp, .. } => ());

    let silent = There::Answers(Arc::new(|stream| {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_hours(1)).await;
            drop(stream);
        });
    }));
    let evidence = handshake(silent, vec![]).await;
    find!(&evidence, Seen::TlsFailed { reason: TlsFailure::Timeout { received: 0 }, .. } => ());
    assert_eq!(
        evidence.at(Stage::Tls).next().unwrap().took,
        Duration::from_secs(10)
    );

    let closing = There::Answers(Arc::new(|mut stream| {
        tokio::spawn(async move {
            let _ = stream.read(&mut [0; 64]).await;
        });
    }));
    let evidence = handshake(closing, vec![]).await;
    find!(&evidence, Seen::TlsFailed { reason: TlsFailure::Closed { received: 0 } | TlsFailure::Reset { received: 0 }, .. } => ());
}

#[tokio::test(start_paused = true)]
async fn a_local_registry_may_do_without_tls() {
    let script = Script::new(|got| {
        if got.line == "GET /v2/" {
            say(200, "{}")
        } else {
            say(404, "")
        }
    });
    let net = TestNet::default().there("127.0.0.1:5000", script.there());
    let options = Options {
        depth: Depth::Ping,
        ..Options::default()
    };
    let evidence = probe(
        &net.place([]),
        "127.0.0.1:5000/a/b:1",
        &Keyring::new(),
        &options,
    )
    .await;
    assert_eq!(ended(&evidence), (Stage::Ping, true));
    find!(&evidence, Seen::PlainHttp => ());
    // Also further down, on the kept connection.
    let evidence = look(&net.place([]), "127.0.0.1:5000/a/b:1").await;
    assert_eq!(ended(&evidence), (Stage::Manifest, false));
    assert!(script.lines().iter().any(|line| line.contains("tags/list")));
}

#[tokio::test(start_paused = true)]
async fn answers_that_do_not_come() {
    let open = |answer: &'static [u8], hold: bool| {
        There::Answers(Arc::new(move |mut stream: tokio::io::DuplexStream| {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer).await;
                if hold {
                    tokio::time::sleep(Duration::from_hours(1)).await;
                }
            });
        }))
    };
    let table: [(There, Fits); 5] = [
        (open(b"", true), |it| *it == HttpFailure::Timeout),
        (open(b"", false), |it| {
            matches!(it, HttpFailure::Closed { .. } | HttpFailure::Reset { .. })
        }),
        (open(b"SSH-2.0-OpenSSH\r\n\r\n", false), |it| {
            matches!(it, HttpFailure::Malformed { .. })
        }),
        (
            open(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", true),
            |it| matches!(it, HttpFailure::BodyStalled { received: 1 }),
        ),
        (
            open(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", false),
            |it| matches!(it, HttpFailure::Closed { received: 1 }),
        ),
    ];
    for (number, (there, fits)) in table.into_iter().enumerate() {
        let net = TestNet::default()
            .name("r.example", &["10.2.0.1"])
            .there("10.2.0.1:80", there);
        let evidence = probe(&net.place([]), IMAGE, &Keyring::new(), &plain("r.example")).await;
        assert_eq!(ended(&evidence), (Stage::Ping, false), "for {number}");
        let reason = find!(&evidence, Seen::HttpFailed { reason, .. } => reason.clone());
        assert!(fits(&reason), "for {number}: {reason:?}");
    }
}
