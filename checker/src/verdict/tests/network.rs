//! DNS, TCP and TLS.

use super::{Asked, Record, blocked, candidates, socket, told};
use crate::cause::Cause;
use crate::clue::Clue;
use crate::evidence::{Certificate, Identity, MirrorOutcome, Role, Seen, TlsFailure};
use crate::stage::Stage;
use crate::verdict::Verdict;
use crate::wire::Excerpt;
use crate::world::{DialError, DnsError};

const IMAGE: &str = "registry.example/team/web:v1";

fn asked() -> Asked {
    Asked::image(IMAGE).on("a")
}

fn dial(record: Record, from: &str, address: &str, error: DialError) -> Record {
    record
        .resolved(from, address)
        .seen(
            from,
            Stage::Tcp,
            Seen::DialFailed {
                address: socket(address),
                error,
            },
        )
        .ended(from, Stage::Tcp, Identity::Anonymous, false)
}

fn passed(record: Record, from: &str, address: &str) -> Record {
    record
        .reached(from, address)
        .ended(from, Stage::Blob, Identity::Anonymous, true)
}

#[test]
fn packets_dropped_for_one_node_are_a_firewall() {
    let dropped = dial(
        Record::of("registry.example"),
        "a",
        "10.1.0.4:443",
        DialError::TimedOut,
    );
    let record = passed(dropped, "b", "10.1.0.4:443");
    let timeout = told(
        "a",
        Clue::TcpTimeout,
        Stage::Tcp,
        "dial tcp 10.1.0.4:443: i/o timeout",
    );
    let got = asked().told(timeout).judge(&record);
    let others = [
        Cause::TcpRefused,
        Cause::DnsNxdomain,
        Cause::DnsServfail,
        Cause::DnsTimeout,
        Cause::AcrFirewallIp,
        Cause::VnetPeeringMissing,
    ];
    blocked(&got, Cause::FirewallDrop, &others);
    assert_eq!(got.verdict.stage(), Some(Stage::Tcp));
}

#[test]
fn what_passes_from_a_workstation_refutes_nothing_on_a_private_address() {
    let dropped = dial(
        Record::of("registry.example"),
        "a",
        "10.1.0.4:443",
        DialError::TimedOut,
    );
    let record = passed(dropped, "here", "10.1.0.4:443");
    assert_eq!(
        candidates(&asked().judge(&record))[..2],
        [Cause::VnetPeeringMissing, Cause::FirewallDrop]
    );
}

#[test]
fn nobody_reaches_it() {
    let record = dial(
        Record::of("registry.example"),
        "a",
        "20.1.0.4:443",
        DialError::TimedOut,
    );
    let record = dial(record, "here", "20.1.0.4:443", DialError::TimedOut);
    let got = asked().judge(&record);
    assert_eq!(candidates(&got).first(), Some(&Cause::FirewallDrop));
    assert!(
        got.ruled_out
            .iter()
            .any(|one| one.cause == Cause::VnetPeeringMissing),
        "public address: {:#?}",
        got.ruled_out
    );
}

#[test]
fn one_error_one_cause() {
    let server = Some("10.0.0.10:53".to_owned());
    let dns = [
        (
            DnsError::NxDomain {
                server: server.clone(),
            },
            Cause::DnsNxdomain,
        ),
        (
            DnsError::NoData {
                server: server.clone(),
            },
            Cause::DnsNxdomain,
        ),
        (
            DnsError::ServFail {
                server: server.clone(),
            },
            Cause::DnsServfail,
        ),
        (DnsError::Timeout { server }, Cause::DnsTimeout),
    ];
    for (error, cause) in dns {
        let record =
            Record::of("registry.example").seen("a", Stage::Dns, Seen::DnsFailed { error });
        let record = passed(
            record.ended("a", Stage::Dns, Identity::Anonymous, false),
            "here",
            "20.1.0.4:443",
        );
        let got = asked().judge(&record);
        let all = [Cause::DnsNxdomain, Cause::DnsServfail, Cause::DnsTimeout];
        let others: Vec<Cause> = all.into_iter().filter(|other| *other != cause).collect();
        blocked(&got, cause, &others);
    }
    let refused = dial(
        Record::of("registry.example"),
        "a",
        "20.1.0.4:443",
        DialError::Refused,
    );
    blocked(
        &asked().judge(&refused),
        Cause::TcpRefused,
        &[Cause::FirewallDrop, Cause::DnsNxdomain],
    );
}

#[test]
fn the_host_that_fails_names_the_cause() {
    let table = [
        (Role::TokenService, Cause::TokenEndpointUnreachable),
        (Role::Storage, Cause::DataEndpointBlocked),
    ];
    for (role, cause) in table {
        let error = DialError::TimedOut;
        let record = Record::of("registry.example").reached("a", "20.1.0.4:443");
        let record = record.fact(
            "a",
            Stage::Tcp,
            role,
            None,
            Seen::DialFailed {
                address: socket("20.9.9.9:443"),
                error,
            },
        );
        blocked(
            &asked().judge(&record.ended("a", Stage::Tcp, Identity::Anonymous, false)),
            cause,
            &[],
        );
    }
}

#[test]
fn a_misspelt_host_and_an_unknown_registry() {
    let error = DnsError::NxDomain { server: None };
    let record = Record::of("shop.azureacr.io").seen(
        "here",
        Stage::Dns,
        Seen::DnsFailed {
            error: error.clone(),
        },
    );
    let mut asked = Asked::image("shop.azureacr.io/web:1");
    asked.corrected = Some("shop.azurecr.io");
    blocked(&asked.judge(&record), Cause::RegistryHostTypo, &[]);
    let record = Record::of("shop.azurecr.io").seen("here", Stage::Dns, Seen::DnsFailed { error });
    let got = Asked::image("shop.azurecr.io/web:1").judge(&record);
    assert_eq!(
        candidates(&got),
        [Cause::RegistryNameUnknown, Cause::DnsNxdomain]
    );
}

fn certificate(issuer: &str, fingerprint: &str) -> Certificate {
    Certificate {
        subject: Excerpt::new("CN=registry.example"),
        issuer: Excerpt::new(issuer),
        names: vec![Excerpt::new("other.example")],
        not_before: None,
        not_after: "2026-01-01T00:00:00Z".parse().ok(),
        fingerprint: fingerprint.into(),
    }
}

fn handshake(record: Record, from: &str, reason: TlsFailure, chain: Vec<Certificate>) -> Record {
    record
        .reached(from, "20.1.0.4:443")
        .seen(from, Stage::Tls, Seen::TlsFailed { reason, chain })
        .ended(from, Stage::Tls, Identity::Anonymous, false)
}

#[test]
fn handshakes() {
    let now = super::now();
    let table = [
        (
            TlsFailure::Expired {
                not_after: None,
                now,
            },
            Cause::TlsExpired,
        ),
        (TlsFailure::NameMismatch, Cause::TlsHostnameMismatch),
        (TlsFailure::PlainHttp, Cause::TlsPlainHttp),
        (
            TlsFailure::ClientCertificateRequired,
            Cause::TlsClientCertRequired,
        ),
        (TlsFailure::VersionRefused, Cause::TlsVersionRefused),
        (
            TlsFailure::Timeout { received: 0 },
            Cause::TlsHandshakeTimeout,
        ),
        (TlsFailure::Reset { received: 0 }, Cause::TcpReset),
    ];
    for (reason, cause) in table {
        let record = handshake(
            Record::of("registry.example"),
            "a",
            reason,
            vec![certificate("CN=ca", "f1")],
        );
        let got = asked().judge(&record);
        blocked(&got, cause, &[]);
        assert_eq!(got.verdict.stage(), Some(Stage::Tls));
    }
}

#[test]
fn an_unknown_authority_or_somebody_in_between() {
    let own = || {
        handshake(
            Record::of("registry.example"),
            "a",
            TlsFailure::UnknownIssuer,
            vec![certificate("CN=proxy", "f1")],
        )
    };
    let established = |issuer, fingerprint| Seen::TlsEstablished {
        version: "TLSv1.3".into(),
        alpn: None,
        chain: vec![certificate(issuer, fingerprint)],
        client: None,
    };
    let same = own().seen("here", Stage::Tls, established("CN=proxy", "f1"));
    blocked(&asked().judge(&same), Cause::TlsUnknownCa, &[]);
    let other = own().seen("here", Stage::Tls, established("CN=public", "f2"));
    blocked(&asked().judge(&other), Cause::TlsIntercepted, &[]);
    assert_eq!(
        candidates(&asked().judge(&own())),
        [Cause::TlsUnknownCa, Cause::TlsIntercepted]
    );
}

#[test]
fn without_a_look_from_the_node_its_time_out_stays_open() {
    let record = passed(Record::of("registry.example"), "here", "20.1.0.4:443");
    let got = asked()
        .told(told(
            "a",
            Clue::TcpTimeout,
            Stage::Tcp,
            "dial tcp 20.1.0.4:443: i/o timeout",
        ))
        .judge(&record);
    assert!(candidates(&got).contains(&Cause::FirewallDrop), "{got:#?}");
    assert!(!matches!(got.verdict, Verdict::Pullable));
}

/// A mirror that fails in front of a registry that is out of reach, as seen from one place.
fn behind_a_mirror(from: &str) -> Record {
    let mut record = Record::of("registry.example");
    let outcome = MirrorOutcome::Failed { stage: Stage::Dns };
    let seen = Seen::MirrorTried { outcome };
    record.push(from, Stage::Dns, Role::Mirror, "mirror.example", None, seen);
    dial(record, from, "10.1.0.4:443", DialError::Refused)
}

#[test]
fn a_mirror_seen_from_a_workstation_is_weighed_against_the_node_s_words() {
    let full = || told("a", Clue::DiskFull, Stage::Unpack, "no space left");
    let gone = told("a", Clue::TagNotFound, Stage::Manifest, "v1: not found");
    let said = |notes: &[String], what: &str| notes.iter().any(|note| note.contains(what));

    let other = asked().told(full()).judge(&behind_a_mirror("here"));
    blocked(&other, Cause::DiskFull, &[]);
    assert!(said(&other.notes, "mirror-broken"), "{:?}", other.notes);

    let alike = asked().told(gone).judge(&behind_a_mirror("here"));
    blocked(&alike, Cause::MirrorBroken, &[]);
    assert!(said(&alike.notes, "says the same"), "{:?}", alike.notes);

    let from_node = asked().told(full()).judge(&behind_a_mirror("a"));
    blocked(&from_node, Cause::MirrorBroken, &[]);
    assert!(said(&from_node.notes, "disk-full"), "{:?}", from_node.notes);
}
