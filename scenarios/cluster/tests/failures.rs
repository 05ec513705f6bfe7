//! The network's failures in the words of the default profile, where no recording is at hand, and the
//! two texts of one dropped packet.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic, and says so best by doing it"
)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use sim_cluster::net::{Record, Rule, Verdict};
use support::recording::normal;
use support::server::{Certificate, Server, reply};
use support::world::{World, address, seconds};

/// What the first attempt says after `Head "https://<host>/v2/app/manifests/1.0": `.
async fn first_words(host: &str, prepare: impl FnOnce(&World) -> Option<Rule>) -> (String, u64) {
    let world = World::new(5);
    let rule = prepare(&world);
    let node = world.start(&world.spec());
    if let Some(rule) = rule {
        node.host().add_rule(rule);
    }
    world.pod("app", &format!("{host}/app:1.0"));
    seconds(60).await;
    let attempt = node.attempts()[0].clone();
    let text = attempt.outcome.unwrap_err();
    let head = format!("failed to do request: Head \"https://{host}/v2/app/manifests/1.0\": ");
    let (_, words) = text.split_once(&head).unwrap_or_else(|| panic!("{text}"));
    (
        normal(words),
        attempt.ended.saturating_sub(attempt.started).as_secs(),
    )
}

/// The name server lives at the same address: only the registry's port is meant.
fn rule(verdict: Verdict) -> Rule {
    Rule {
        to: vec![address("172.19.0.3")],
        port: Some(443),
        verdict,
    }
}

#[tokio::test(start_paused = true)]
async fn failures_in_go_words() {
    let host = "registry.pk.test";
    let dial = "dial tcp <address>:<port>: ";
    let lookup = "dial tcp: lookup registry.pk.test on <address>:<port>: ";
    let record = |record: Record| {
        move |world: &World| {
            world.network.set_record("registry.pk.test", record);
            None
        }
    };
    let table = [
        (first_words(host, |_| None).await, format!("{dial}connect: connection refused"), 0),
        (first_words(host, |_| Some(rule(Verdict::Drop))).await, format!("{dial}i/o timeout"), 30),
        (first_words(host, |_| Some(rule(Verdict::NoRoute))).await, format!("{dial}connect: no route to host"), 0),
        (first_words(host, |_| Some(rule(Verdict::NetUnreachable))).await, format!("{dial}connect: network is unreachable"), 0),
        (first_words(host, record(Record::NxDomain)).await, format!("{lookup}no such host"), 0),
        (first_words(host, record(Record::NoData)).await, format!("{lookup}no such host"), 0),
        (first_words(host, record(Record::ServFail)).await, format!("{lookup}server misbehaving"), 0),
        (
            first_words(host, record(Record::Silent)).await,
            format!("{lookup}read udp <address>:<port>-><address>:<port>: i/o timeout"),
            10,
        ),
        (
            // A port that accepts and says nothing.
            first_words(host, |world| {
                world.registry.listen(443, Arc::new(|stream, _| {
                    tokio::spawn(async move {
                        let _kept = stream;
                        std::future::pending::<()>().await;
                    });
                }));
                None
            })
            .await,
            "net/http: TLS handshake timeout".to_owned(),
            10,
        ),
        (
            first_words(host, |world| {
                let certificate = Certificate::valid(&["registry.pk.test"], world.clock);
                Server::new(world.clock, |_| reply(200)).listen_tls(&world.registry, 443, &certificate);
                None
            })
            .await,
            "tls: failed to verify certificate: x509: certificate signed by unknown authority".to_owned(),
            0,
        ),
        (
            first_words(host, |world| {
                let certificate = Certificate::valid(&["registry.pk.test"], world.clock);
                Server::new(world.clock, |_| reply(200)).listen_tls(&world.registry, 443, &certificate);
                Some(rule(Verdict::ResetAfter(0)))
            })
            .await,
            "read tcp <address>:<port>-><address>:<port>: read: connection reset by peer".to_owned(),
            0,
        ),
        (
            first_words("172.19.0.3", |world| {
                let certificate = Certificate::valid(&["registry.pk.test"], world.clock);
                Server::new(world.clock, |_| reply(200)).listen_tls(&world.registry, 443, &certificate);
                None
            })
            .await,
            "tls: failed to verify certificate: x509: cannot validate certificate for <address> because it doesn't contain any IP SANs".to_owned(),
            0,
        ),
    ];
    for ((words, took), want, seconds) in table {
        assert_eq!((words, took), (want, seconds));
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_packets_give_two_texts() {
    let world = World::new(5);
    let node = world.start(&world.spec());
    node.host().add_rule(rule(Verdict::Drop));
    for n in 0..8 {
        world.pod(&format!("pod-{n}"), "registry.pk.test/app:1.0");
    }
    seconds(60).await;
    let texts: BTreeSet<_> = node
        .attempts()
        .into_iter()
        .map(|a| normal(&a.outcome.unwrap_err()))
        .collect();
    let [plain, deadline] = texts
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    assert_eq!(
        deadline,
        format!("rpc error: code = DeadlineExceeded desc = {plain}")
    );
}
