//! Certificates out of their dates, and versions of TLS.

use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::AsyncReadExt as _;
use tokio_rustls::LazyConfigAcceptor;

use super::net::{Authority, Script, TestClock, TestNet, There, say};
use super::{find, look};
use crate::cause::Cause;
use crate::check::{Request, check};
use crate::evidence::Seen;
use crate::world::{Vantage, World};

const IMAGE: &str = "r.example/a/b:1";
const OURS: &str = "Thu, 15 Jan 2026 09:00:00 GMT";

fn net(there: There) -> TestNet {
    TestNet::default()
        .name("r.example", &["10.2.0.1"])
        .there("10.2.0.1:443", there)
}

async fn cause(net: &TestNet, authority: &Authority) -> Option<Cause> {
    let mut place = net.place([authority.der()]);
    place.vantage = Vantage::Workstation;
    let world = World::new(Arc::new(TestClock::new()), place);
    let request = Request::Image(IMAGE.parse().unwrap());
    check(&world, &request).await.cause()
}

#[tokio::test(start_paused = true)]
async fn a_wrong_clock_is_told_from_a_wrong_certificate() {
    let authority = Authority::new("CA");
    let past = ((2025, 1, 1), (2026, 1, 1));
    let future = ((2026, 2, 1), (2027, 1, 1));
    let table = [
        (past, OURS, false, Some(Cause::TlsExpired)),
        // Two clocks that differ, and nothing that says which is right.
        (past, "Mon, 15 Dec 2025 09:00:00 GMT", true, None),
        (future, OURS, false, Some(Cause::TlsExpired)),
        (
            future,
            "Mon, 16 Mar 2026 09:00:00 GMT",
            true,
            Some(Cause::ClockSkew),
        ),
    ];
    for ((from, to), date, valid, want) in table {
        let tls = authority.server(&["r.example"], from, to);
        let script = Script::new(move |_| say(401, "").with("date", date)).with_tls(tls);
        let net = net(script.there());
        let evidence = look(&net.place([authority.der()]), IMAGE).await;
        let then = find!(&evidence, Seen::ServerDate { valid_then, .. } => *valid_then);
        assert_eq!(then, valid, "for {date}");
        // The certificate was not verified, so no more than this was asked, and as nobody.
        assert_eq!(script.lines(), ["GET /v2/"]);
        assert!(script.got().iter().all(|got| got.authorization.is_none()));
        assert_eq!(cause(&net, &authority).await, want, "for {date}");
    }
}

/// Cuts the connection of a client that offers TLS 1.3, as devices on the way have been seen to.
fn cuts_13(tls: Arc<ServerConfig>) -> There {
    There::Answers(Arc::new(move |stream| {
        let tls = tls.clone();
        tokio::spawn(async move {
            let acceptor = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
            let Ok(start) = acceptor.await else {
                return;
            };
            // Only a client of TLS 1.3 alone or both has its cipher suites.
            let modern = start
                .client_hello()
                .cipher_suites()
                .iter()
                .any(|suite| matches!(suite, rustls::CipherSuite::TLS13_AES_128_GCM_SHA256));
            if modern {
                return;
            }
            if let Ok(mut stream) = start.into_stream(tls).await {
                let _ = stream.read(&mut [0; 64]).await;
            }
        });
    }))
}

#[tokio::test(start_paused = true)]
async fn the_version_that_is_taken_alone_is_found() {
    let authority = Authority::new("CA");
    let tls = authority.server(&["r.example"], (2026, 1, 1), (2027, 1, 1));
    let net = net(cuts_13(tls));
    let evidence = look(&net.place([authority.der()]), IMAGE).await;
    let taken = find!(&evidence, Seen::TlsVersions { taken } => taken.clone());
    assert_eq!(taken, ["TLSv1.2".into()]);
    assert_eq!(
        cause(&net, &authority).await,
        Some(Cause::TlsVersionRefused)
    );

    let closing = There::Answers(Arc::new(|mut stream| {
        tokio::spawn(async move {
            let _ = stream.read(&mut [0; 64]).await;
        });
    }));
    let evidence = look(&self::net(closing).place([authority.der()]), IMAGE).await;
    let taken = find!(&evidence, Seen::TlsVersions { taken } => taken.len());
    assert_eq!(taken, 0);
}
