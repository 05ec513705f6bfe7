//! A pod whose image does not exist, for twenty minutes: attempts, events and statuses as a real kubelet
//! shows them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::unchecked_time_subtraction,
    reason = "a test may panic, and says so best by doing it"
)]

mod support;

use std::time::Duration;

use support::server::{Server, reply};
use support::world::{World, seconds};

const IMAGE: &str = "stub.pk.test:5010/team/app:9.9";

async fn ladder(seed: u64) -> (World, sim_cluster::node::Node) {
    let world = World::new(seed);
    world.alias(&["stub.pk.test"]);
    Server::new(world.clock, |_| reply(404)).listen(&world.registry, 5010);
    let node = world.start(&world.spec());
    world.pod("app", IMAGE);
    seconds(20 * 60).await;
    (world, node)
}

#[tokio::test(start_paused = true)]
async fn attempts_follow_the_back_off() {
    let (world, node) = ladder(1).await;
    let attempts = node.attempts();
    assert!(attempts.len() >= 8, "{} attempts", attempts.len());
    for pair in attempts.windows(2) {
        let gap = pair[1].started - pair[0].ended;
        let delay = pair[0].back_off.unwrap();
        assert!(
            gap >= delay && gap < delay + Duration::from_secs(17),
            "{gap:?} after {delay:?}"
        );
    }
    let delays: Vec<_> = attempts
        .iter()
        .map(|a| a.back_off.unwrap().as_secs())
        .collect();
    assert_eq!(delays[..8], [10, 20, 40, 80, 160, 300, 300, 300]);
    let text = format!(
        "rpc error: code = NotFound desc = failed to pull and unpack image \"{IMAGE}\": failed to resolve image: {IMAGE}: not found"
    );
    assert_eq!(attempts[0].outcome, Err(text.clone()));
    let (reason, message) = world.waiting("app", "app");
    assert_eq!(reason, "ImagePullBackOff");
    assert_eq!(
        message,
        format!("Back-off pulling image \"{IMAGE}\": ErrImagePull: {text}")
    );
    let events = world.events("app");
    let count = |reason: &str, start: &str| {
        events
            .iter()
            .find(|(r, _, m)| r == reason && m.starts_with(start))
            .map(|(_, n, _)| *n)
    };
    // The spam filter stops them long before the attempts stop.
    assert_eq!(count("Pulling", "Pulling"), Some(5));
    assert_eq!(count("Failed", "Failed to pull"), Some(5));
    assert!(count("BackOff", "Back-off") > Some(60));
}

#[tokio::test(start_paused = true)]
async fn one_seed_one_story() {
    let told = |seed| async move {
        let (world, node) = ladder(seed).await;
        (node.attempts(), world.events("app"), world.get("app"))
    };
    let (first, second) = (told(7).await, told(7).await);
    assert_eq!(first.0, second.0);
    assert_eq!(first.1, second.1);
    assert_eq!(first.2, second.2);
    assert_ne!(first.0, told(8).await.0);
}
