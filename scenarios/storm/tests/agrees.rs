//! A small storm agrees with the same storm played through the full simulation, bytes and all: kubelets of
//! the embedded cluster pull over the simulated network from fake-registry.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly, also in its helpers"
)]

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fake_registry::{
    Action, Clock, Conn, CountBy, FakeRegistry, HostSpec, Match, Quota, Route, Rule, Scheme, Script,
};
use pull_storm::{Auth, Plan, Storm};
use sim_cluster::clock::default_start;
use sim_cluster::cluster::Cluster;
use sim_cluster::net::{Link, Network};
use sim_cluster::node::NodeSpec;
use sim_cluster::store::Kind;

const HOST: &str = "registry.example";
const NODES: u8 = 20;
const LAYERS: u32 = 6;
const LAYER_BYTES: u64 = 1 << 20;

/// What is compared.
#[derive(Debug)]
struct Seen {
    requests: u64,
    refused: u64,
    half: Duration,
    all: Duration,
}

impl Seen {
    fn of(storm: &Storm) -> Self {
        Self {
            requests: storm.requests,
            refused: storm.refused,
            half: storm.after(0.5).unwrap(),
            all: storm.after(1.0).unwrap(),
        }
    }
}

/// The full simulation: a registry with so many reads a minute, and as many nodes with one pod each.
fn full(reads: u64, bandwidth: Option<u64>, seed: u64) -> Seen {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let network = Network::new();
        let cluster = Cluster::builder()
            .seed(seed)
            .network(network.clone())
            .build();
        let reads = Quota::new(reads, Duration::from_mins(1), CountBy::All);
        let limit = Rule::new(Action::quota(reads))
            .when(Match::any().route(&[Route::Manifest, Route::Blob]));
        let registry = FakeRegistry::builder()
            .seed(seed)
            .clock(Clock::starting_at(default_start()))
            .host(HostSpec::new(HOST))
            .image(HOST, &format!("team/web:v1 linux/amd64 {LAYERS}x1MiB"))
            .faults(Script::new().rule(limit))
            .build()
            .unwrap();
        let address: IpAddr = "192.0.2.10".parse().unwrap();
        let served = registry.clone();
        let host = network.add_host(HOST, &[address]);
        // The registry's own line, which all its connections share.
        host.set_link(Link {
            bandwidth,
            ..Link::default()
        });
        host.listen(
            443,
            Arc::new(move |stream, peer| {
                let conn = Conn {
                    peer: peer.address,
                    client: peer.host.as_str().into(),
                    scheme: Scheme::Https,
                };
                tokio::spawn(served.serve(stream, conn));
            }),
        );
        for n in 1..=NODES {
            let mut spec = NodeSpec::new(&format!("node-{n}"), IpAddr::from([10, 0, 0, n]));
            spec.trusted_ca = vec![registry.ca_der()];
            cluster.add_node(spec);
        }
        let store = cluster.store();
        for n in 1..=NODES {
            let pod = serde_json::json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": { "name": format!("web-{n}"), "namespace": "default" },
                "spec": {
                    "nodeName": format!("node-{n}"),
                    "containers": [{ "name": "web", "image": format!("{HOST}/team/web:v1") }]
                }
            });
            store.create(Kind::Pod, pod).unwrap();
        }
        let mut done = Vec::new();
        for step in 0.. {
            let attempts = (1..=NODES).filter_map(|n| cluster.node(&format!("node-{n}")));
            done = attempts
                .flat_map(|node| node.attempts())
                .filter(|attempt| attempt.outcome.is_ok())
                .map(|attempt| attempt.ended)
                .collect();
            if done.len() == NODES as usize {
                break;
            }
            assert!(
                step < 7200,
                "{} of {NODES} nodes after two hours",
                done.len()
            );
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        done.sort_unstable();
        let entries = registry.journal().entries();
        Seen {
            requests: entries.len() as u64,
            refused: entries
                .iter()
                .filter(|entry| entry.status == Some(429))
                .count() as u64,
            half: done[NODES as usize / 2 - 1],
            all: done[NODES as usize - 1],
        }
    })
}

fn storm(reads: u64, bandwidth: Option<u64>, seed: u64) -> Seen {
    let mut plan = Plan::new(NODES.into());
    plan.layers = LAYERS;
    plan.layer_bytes = LAYER_BYTES;
    plan.index = false;
    plan.auth = Auth::Open;
    plan.registry.reads_a_minute = Some(reads);
    plan.registry.bandwidth = bandwidth;
    plan.seed = seed;
    Seen::of(&pull_storm::run(&plan).unwrap())
}

/// The mean of several seeds: chance moves a single run by a whole minute's window.
fn mean(seeds: std::ops::Range<u64>, run: impl Fn(u64) -> Seen) -> [f64; 4] {
    let count = (seeds.end - seeds.start) as f64;
    let mut sums = [0.0; 4];
    for seed in seeds {
        let seen = run(seed);
        let figures = [
            seen.requests as f64,
            seen.refused as f64,
            seen.half.as_secs_f64(),
            seen.all.as_secs_f64(),
        ];
        for (sum, figure) in sums.iter_mut().zip(figures) {
            *sum += figure / count;
        }
    }
    sums
}

/// Within ten parts of a hundred, or within what one look of the kubelet's is worth.
fn agree(what: &str, full: [f64; 4], storm: [f64; 4]) {
    for ((name, full), storm) in ["requests", "refused", "half done", "all done"]
        .iter()
        .zip(full)
        .zip(storm)
    {
        let slack = if name.ends_with("done") { 1.5 } else { 4.0 };
        let apart = (full - storm).abs();
        assert!(
            apart <= (full.abs() * 0.1).max(slack),
            "{what}: {name} is {full:.1} in the full simulation, {storm:.1} as events"
        );
    }
}

#[test]
fn without_refusals() {
    agree(
        "no limit",
        mean(1..4, |seed| full(100_000, None, seed)),
        mean(1..4, |seed| storm(100_000, None, seed)),
    );
}

#[test]
fn with_a_slow_line() {
    let line = Some(4 << 20);
    agree(
        "4 MiB/s",
        mean(1..3, |seed| full(100_000, line, seed)),
        mean(1..3, |seed| storm(100_000, line, seed)),
    );
}

#[test]
fn under_refusals() {
    agree(
        "60 a minute",
        mean(1..31, |seed| full(60, None, seed)),
        mean(1..400, |seed| storm(60, None, seed)),
    );
}
