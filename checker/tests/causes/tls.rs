//! Handshakes that fail.

use std::sync::Arc;
use std::time::Duration;

use fake_registry::TlsMode;
use jiff::SignedDuration;
use pullcheck::report::Report;
use tokio::io::AsyncReadExt as _;

use crate::Expect::{Blocked, Open};
use crate::lab::{HERE, Lab, NODE, open};
use crate::names::{IMAGE, resolved};
use crate::net::{Acceptor, Record};
use crate::{Row, row};

const REGISTRY: &str = "registry.example";
/// Where something else answers for the registry.
const ELSEWHERE: &str = "203.0.113.77";
const UNKNOWN: &str =
    "tls: failed to verify certificate: x509: certificate signed by unknown authority";
const EXPIRED: &str =
    "tls: failed to verify certificate: x509: certificate has expired or is not yet valid";

pub(crate) fn rows() -> Vec<Row> {
    use pullcheck::cause::Cause as C;
    vec![
        row!(TlsHandshakeTimeout, Blocked, tls_handshake_timeout),
        row!(TlsUnknownCa, Blocked, tls_unknown_ca),
        row!(TlsIntercepted, Blocked, tls_intercepted),
        row!(
            TlsIntercepted,
            Open(&[C::TlsUnknownCa]),
            an_issuer_seen_from_one_place
        ),
        row!(TlsExpired, Blocked, tls_expired),
        row!(ClockSkew, Blocked, clock_skew),
        row!(TlsHostnameMismatch, Blocked, tls_hostname_mismatch),
        row!(TlsClientCertRequired, Blocked, tls_client_cert_required),
        row!(TlsPlainHttp, Blocked, tls_plain_http),
        row!(TlsVersionRefused, Blocked, tls_version_refused),
    ]
}

fn said(why: &str) -> String {
    resolved(
        IMAGE,
        &format!(
            "failed to do request: Head \"https://registry.example/v2/shop/api/manifests/1.9\": {why}"
        ),
    )
}

/// The fake registry with something wrong in its TLS, seen from everywhere.
async fn with_tls(broken: bool, mode: TlsMode, why: &str) -> Report {
    let fake = open();
    if broken {
        fake.set_tls(REGISTRY, mode);
    }
    Lab::new(fake).told(broken, IMAGE, &said(why)).check().await
}

/// Something else answers the node.
fn answered_by(broken: bool, acceptor: Acceptor) -> Lab {
    let lab = Lab::new(open()).server(&format!("{ELSEWHERE}:443"), acceptor);
    if broken {
        lab.name_at(NODE, REGISTRY, Record::at(&[ELSEWHERE]))
    } else {
        lab
    }
}

async fn tls_handshake_timeout(broken: bool) -> Report {
    let silent: Acceptor = Arc::new(|mut stream| {
        tokio::spawn(async move {
            let _ = stream.read(&mut [0; 4096]).await;
            tokio::time::sleep(Duration::from_hours(1)).await;
        });
    });
    answered_by(broken, silent)
        .told(broken, IMAGE, &said("net/http: TLS handshake timeout"))
        .check()
        .await
}

/// The registry's own authority, which the nodes do not know; everybody is shown the same.
async fn tls_unknown_ca(broken: bool) -> Report {
    let lab = Lab::new(open());
    let lab = if broken { lab.distrusted() } else { lab };
    lab.told(broken, IMAGE, &said(UNKNOWN)).check().await
}

/// On the way of the node somebody else signs for the registry's name.
fn in_between(broken: bool) -> Lab {
    let other = open();
    other.set_tls(REGISTRY, TlsMode::UnknownCa);
    let there = crate::net::serves(&other);
    answered_by(broken, there).told(broken, IMAGE, &said(UNKNOWN))
}

async fn tls_intercepted(broken: bool) -> Report {
    in_between(broken).check().await
}

/// Nobody else looked, so who signed is all that is known.
async fn an_issuer_seen_from_one_place(broken: bool) -> Report {
    let here = if broken {
        Record::NoName
    } else {
        Record::at(&["203.0.113.1"])
    };
    let lab = in_between(broken).name_at(HERE, REGISTRY, here);
    lab.check().await
}

async fn tls_expired(broken: bool) -> Report {
    with_tls(broken, TlsMode::Expired, EXPIRED).await
}

/// The places' clocks are twenty years behind the registry's.
async fn clock_skew(broken: bool) -> Report {
    let lab = Lab::new(open());
    let lab = if broken {
        lab.wrong_clock(SignedDuration::from_hours(-24 * 365 * 20))
    } else {
        lab
    };
    lab.told(broken, IMAGE, &said(EXPIRED)).check().await
}

async fn tls_hostname_mismatch(broken: bool) -> Report {
    let why = "tls: failed to verify certificate: x509: certificate is valid for elsewhere.invalid, not registry.example";
    with_tls(broken, TlsMode::WrongName, why).await
}

async fn tls_client_cert_required(broken: bool) -> Report {
    let why = "remote error: tls: certificate required";
    with_tls(broken, TlsMode::ClientCertificate, why).await
}

async fn tls_plain_http(broken: bool) -> Report {
    let why = "http: server gave HTTP response to HTTPS client";
    with_tls(broken, TlsMode::PlainHttp, why).await
}

async fn tls_version_refused(broken: bool) -> Report {
    let why = "remote error: tls: protocol version not supported";
    with_tls(broken, TlsMode::OldVersion, why).await
}
