use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::*;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Answers every byte with itself until the peer is done.
fn echo() -> Acceptor {
    Arc::new(|mut stream, _| {
        tokio::spawn(async move {
            let mut buffer = [0; 1024];
            while let Ok(n) = stream.read(&mut buffer).await {
                if n == 0 || stream.write_all(&buffer[..n]).await.is_err() {
                    break;
                }
            }
        });
    })
}

/// Sends so many bytes and closes.
fn source(size: usize) -> Acceptor {
    Arc::new(move |mut stream, _| {
        tokio::spawn(async move {
            let _ = stream.write_all(&vec![7; size]).await;
        });
    })
}

fn two() -> (Network, Host, Host) {
    let network = Network::new();
    let node = network.add_host("node-1", &[ip("10.1.0.4")]);
    let registry = network.add_host("registry.example", &[ip("10.2.0.9")]);
    (network, node, registry)
}

fn rule(verdict: Verdict) -> Rule {
    Rule {
        to: vec![ip("10.2.0.9")],
        port: Some(443),
        verdict,
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_take_a_round_trip_and_the_peer_is_known() -> Result {
    let (network, node, registry) = two();
    network.set_link(Link {
        latency: Duration::from_millis(10),
        bandwidth: None,
    });
    let peers = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&peers);
    let echo = echo();
    registry.listen(
        443,
        Arc::new(move |stream, peer| {
            seen.lock().unwrap().push(peer.clone());
            echo(stream, peer);
        }),
    );
    let start = Instant::now();
    let mut stream = node.dial(at("10.2.0.9:443")).await?;
    assert_eq!(start.elapsed(), Duration::from_millis(20));
    stream.write_all(b"ping").await?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"ping");
    assert_eq!(start.elapsed(), Duration::from_millis(40));
    let peers = peers.lock().unwrap();
    assert_eq!(peers[0].host, "node-1");
    assert_eq!(peers[0].address, stream.local_addr());
    assert_eq!(stream.peer_addr(), at("10.2.0.9:443"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn names_differ_by_host_and_each_way_to_fail_is_its_own() {
    let (network, node, other) = two();
    let server = node.resolver();
    network.set_record("alias.example", Record::Alias("Registry.Example.".into()));
    network.set_record("loop.example", Record::Alias("loop.example".into()));
    network.set_record("down.example", Record::ServFail);
    network.set_record("empty.example", Record::NoData);
    network.set_record("mute.example", Record::Silent);
    node.override_record("gone.example", Record::NxDomain);
    network.set_record("gone.example", Record::Addresses(vec![ip("10.9.9.9")]));

    let found = node.lookup("alias.example").await.unwrap();
    assert_eq!(found.addresses, [ip("10.2.0.9")]);
    assert_eq!(found.aliases, ["registry.example"]);
    assert_eq!(found.server, at("10.0.0.10:53"));
    let table = [
        ("loop.example", LookupError::ServFail { server }),
        ("down.example", LookupError::ServFail { server }),
        ("empty.example", LookupError::NoData { server }),
        ("never.example", LookupError::NxDomain { server }),
        ("gone.example", LookupError::NxDomain { server }),
    ];
    for (name, want) in table {
        assert_eq!(node.lookup(name).await, Err(want), "{name}");
    }
    assert!(other.lookup("gone.example").await.is_ok());
    node.clear_override("gone.example");
    assert!(node.lookup("gone.example").await.is_ok());

    let start = Instant::now();
    assert_eq!(
        node.lookup("mute.example").await,
        Err(LookupError::Timeout { server })
    );
    assert_eq!(start.elapsed(), Duration::from_secs(10));
    node.add_rule(Rule {
        to: vec![server.ip()],
        port: Some(53),
        verdict: Verdict::Drop,
    });
    assert_eq!(
        node.lookup("registry.example").await,
        Err(LookupError::Timeout { server })
    );
    assert_eq!(
        node.lookup("10.7.7.7").await.unwrap().addresses,
        [ip("10.7.7.7")]
    );
}

#[tokio::test(start_paused = true)]
async fn a_dial_fails_as_its_rule_says_and_in_its_time() {
    let (_network, node, registry) = two();
    registry.listen(443, echo());
    let table = [
        (Verdict::Drop, DialError::TimedOut, 127_000),
        (Verdict::Refuse, DialError::Refused, 2),
        (Verdict::NoRoute, DialError::NoRoute, 2),
        (Verdict::NetUnreachable, DialError::NetUnreachable, 0),
    ];
    for (verdict, want, millis) in table {
        let id = node.add_rule(rule(verdict));
        let start = Instant::now();
        assert_eq!(node.dial(at("10.2.0.9:443")).await.err(), Some(want));
        assert_eq!(
            start.elapsed(),
            Duration::from_millis(millis),
            "{verdict:?}"
        );
        node.remove_rule(id);
    }
    let start = Instant::now();
    node.add_rule(rule(Verdict::Delay(Duration::from_millis(500))));
    assert!(node.dial(at("10.2.0.9:443")).await.is_ok());
    assert_eq!(start.elapsed(), Duration::from_millis(502));
    assert_eq!(
        node.dial(at("10.2.0.9:80")).await.err(),
        Some(DialError::Refused)
    );
    assert_eq!(
        node.dial(at("10.2.0.77:443")).await.err(),
        Some(DialError::TimedOut)
    );
    assert_eq!(
        node.dial(at("169.254.1.1:80")).await.err(),
        Some(DialError::NoRoute)
    );
    assert_eq!(
        node.dial(at("[2001:db8::1]:443")).await.err(),
        Some(DialError::NetUnreachable)
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_matching_rule_decides() {
    let (_network, node, registry) = two();
    registry.listen(443, echo());
    node.add_rule(rule(Verdict::Allow));
    node.add_rule(Rule {
        to: Vec::new(),
        port: None,
        verdict: Verdict::Refuse,
    });
    assert!(node.dial(at("10.2.0.9:443")).await.is_ok());
    assert_eq!(
        node.dial(at("10.2.0.9:80")).await.err(),
        Some(DialError::Refused)
    );
    assert_eq!(node.rules().len(), 2);
    node.clear_rules();
    assert!(node.rules().is_empty());
}

#[tokio::test(start_paused = true)]
async fn closing_resetting_and_silence_look_different() -> Result {
    let (_network, node, registry) = two();
    registry.listen(443, source(100));
    let mut all = Vec::new();
    node.dial(at("10.2.0.9:443"))
        .await?
        .read_to_end(&mut all)
        .await?;
    assert_eq!(all.len(), 100);

    for (verdict, want) in [(Verdict::ResetAfter(40), 40), (Verdict::StallAfter(40), 40)] {
        node.clear_rules();
        node.add_rule(rule(verdict));
        let mut stream = node.dial(at("10.2.0.9:443")).await?;
        let mut got = Vec::new();
        let end = timeout(Duration::from_hours(1), stream.read_to_end(&mut got)).await;
        assert_eq!(got.len(), want, "{verdict:?}");
        match verdict {
            Verdict::ResetAfter(_) => {
                assert_eq!(end?.unwrap_err().kind(), ErrorKind::ConnectionReset);
                assert_eq!(
                    stream.write_all(b"x").await.unwrap_err().kind(),
                    ErrorKind::BrokenPipe
                );
            }
            _ => assert!(end.is_err(), "the FIN must be swallowed as well"),
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn reset_after_nothing_answers_the_first_bytes() -> Result {
    let (_network, node, registry) = two();
    registry.listen(443, echo());
    node.add_rule(rule(Verdict::ResetAfter(0)));
    let mut stream = node.dial(at("10.2.0.9:443")).await?;
    stream.write_all(b"hello").await?;
    let error = stream.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_firewall_that_closes_silences_running_connections() -> Result {
    let (_network, node, registry) = two();
    let (done, mut ended) = tokio::sync::mpsc::unbounded_channel();
    registry.listen(
        443,
        Arc::new(move |mut stream: Stream, _| {
            let done = done.clone();
            tokio::spawn(async move {
                let mut all = Vec::new();
                let end = timeout(Duration::from_mins(15), stream.read_to_end(&mut all)).await;
                let _ = done.send((all, end.is_err()));
            });
        }),
    );
    let mut stream = node.dial(at("10.2.0.9:443")).await?;
    stream.write_all(b"before").await?;
    node.add_rule(rule(Verdict::Drop));
    stream.write_all(b"after").await?;
    node.clear_rules();
    stream.write_all(b"too late").await?;
    drop(stream);
    let (bytes, silent) = ended.recv().await.unwrap();
    assert_eq!(bytes, b"before");
    assert!(
        silent,
        "neither the bytes nor the FIN of a silent connection arrive"
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_full_window_into_silence_blocks_the_sender() -> Result {
    let (_network, node, registry) = two();
    registry.listen(443, echo());
    node.add_rule(rule(Verdict::StallAfter(0)));
    let mut stream = node.dial(at("10.2.0.9:443")).await?;
    let big = vec![0; 8 * 1024 * 1024];
    assert!(
        timeout(Duration::from_mins(1), stream.write_all(&big))
            .await
            .is_err()
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn bandwidth_is_kept_and_a_hosts_own_link_is_shared() -> Result {
    let (network, node, registry) = two();
    let mib = 1024 * 1024;
    registry.listen(443, source(10 * mib));
    network.set_link(Link {
        latency: Duration::from_millis(20),
        bandwidth: Some(mib as u64),
    });
    let start = Instant::now();
    let mut all = Vec::new();
    node.dial(at("10.2.0.9:443"))
        .await?
        .read_to_end(&mut all)
        .await?;
    assert_eq!(all.len(), 10 * mib);
    let took = start.elapsed().as_secs_f64();
    assert!((10.0..10.2).contains(&took), "{took}");

    node.set_link(Link {
        latency: Duration::from_millis(1),
        bandwidth: Some(mib as u64),
    });
    let start = Instant::now();
    let mut pulls = Vec::new();
    for _ in 0..2 {
        let node = node.clone();
        pulls.push(tokio::spawn(async move {
            let mut all = Vec::new();
            let mut stream = node.dial(at("10.2.0.9:443")).await.unwrap();
            stream.read_to_end(&mut all).await.unwrap();
            start.elapsed().as_secs_f64()
        }));
    }
    for pull in pulls {
        let took = pull.await?;
        assert!((18.0..20.2).contains(&took), "both end together: {took}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn local_listeners_are_seen_by_their_host_alone() {
    let (_network, node, registry) = two();
    let imds = at("169.254.169.254:80");
    node.listen_local(imds, echo());
    assert!(node.dial(imds).await.is_ok());
    assert_eq!(registry.dial(imds).await.err(), Some(DialError::NoRoute));
    node.add_rule(Rule {
        to: vec![imds.ip()],
        port: Some(80),
        verdict: Verdict::Refuse,
    });
    assert_eq!(node.dial(imds).await.err(), Some(DialError::Refused));
    node.listen(5000, echo());
    assert!(node.dial(at("127.0.0.1:5000")).await.is_ok());
    assert_eq!(
        node.dial(at("127.0.0.1:5001")).await.err(),
        Some(DialError::Refused)
    );
    node.unlisten(5000);
    assert_eq!(
        node.dial(at("127.0.0.1:5000")).await.err(),
        Some(DialError::Refused)
    );
}

#[tokio::test(start_paused = true)]
async fn writing_to_one_who_left_breaks() -> Result {
    let (_network, node, registry) = two();
    registry.listen(443, Arc::new(|stream, _| drop(stream)));
    let mut stream = node.dial(at("10.2.0.9:443")).await?;
    assert_eq!(stream.read(&mut [0; 4]).await?, 0);
    let error = stream.write_all(b"x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    registry.listen(443, Arc::new(|stream: Stream, _| stream.reset()));
    let mut stream = node.dial(at("10.2.0.9:443")).await?;
    let error = stream.read(&mut [0; 4]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    Ok(())
}
