//! The load against the fake registry, over streams in memory and in virtual time.

use std::sync::Arc;
use std::time::Duration;

use fake_registry::{Clock, Conn, FakeRegistry, HostSpec, Scheme};
use futures::future::BoxFuture;

use super::{BenchError, Kind, Load, run};
use crate::keyring::Keyring;
use crate::probe::Options;
use crate::world::{
    BoxStream, DialError, DnsError, Host, Net, Place, Resolved, Trust, Vantage, WallClock,
};

struct OneRegistry(FakeRegistry, &'static str);

impl Net for OneRegistry {
    fn resolve<'a>(&'a self, _: &'a Host) -> BoxFuture<'a, Result<Resolved, DnsError>> {
        let addresses = vec![self.1.parse().unwrap()];
        Box::pin(async move {
            Ok(Resolved {
                addresses,
                aliases: Vec::new(),
                server: None,
            })
        })
    }

    fn dial(&self, _: std::net::SocketAddr) -> BoxFuture<'_, Result<BoxStream, DialError>> {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let conn = Conn {
            peer: "10.0.0.9:40000".parse().unwrap(),
            client: "bench".into(),
            scheme: Scheme::Https,
        };
        tokio::spawn(self.0.serve(theirs, conn));
        Box::pin(async move { Ok(Box::new(ours) as BoxStream) })
    }
}

struct Fixed;

impl WallClock for Fixed {
    fn now(&self) -> jiff::Timestamp {
        "2026-01-15T09:00:00Z".parse().unwrap()
    }
}

fn registry() -> FakeRegistry {
    FakeRegistry::builder()
        .clock(Clock::starting_at(Fixed.now()))
        .host(HostSpec::new("r.example"))
        .image("r.example", "team/web:v1 linux/amd64 1x1KiB")
        .build()
        .unwrap()
}

async fn bench(
    fake: &FakeRegistry,
    image: &str,
    address: &'static str,
    load: Load,
) -> Result<super::Outcome, BenchError> {
    let net = Arc::new(OneRegistry(fake.clone(), address));
    let place = Place::new(Vantage::Workstation, net, Trust::roots([fake.ca_der()]));
    let image = image.parse().unwrap();
    run(
        &place,
        &Fixed,
        &image,
        &Keyring::new(),
        &Options::default(),
        load,
    )
    .await
}

const IMAGE: &str = "r.example/team/web:v1";

fn load(kind: Kind) -> Load {
    Load {
        kind,
        connections: 4,
        time: Duration::from_millis(200),
        rate: Some(100.0),
        public: false,
    }
}

#[tokio::test(start_paused = true)]
async fn each_kind_asks_what_it_says() {
    for kind in [Kind::Warm, Kind::Cold, Kind::ColdWithToken] {
        let fake = registry();
        let outcome = bench(&fake, IMAGE, "10.0.0.1", load(kind)).await.unwrap();
        // 100 a second for 0.2 s, whatever else happens.
        assert_eq!(outcome.probes(), 20, "{kind:?}: {:?}", outcome.failures());
        assert!(outcome.failures().is_empty());
        let text = outcome.text();
        assert!(text.contains("intended starts"), "{text}");
        assert_eq!(outcome.json()["probes"], 20);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_measured() {
    let fake = registry();
    let absent = bench(&fake, "r.example/team/web:v9", "10.0.0.1", load(Kind::Warm)).await;
    assert!(matches!(absent, Err(BenchError::NotPullable { .. })));
    let public = bench(&fake, IMAGE, "20.1.0.4", load(Kind::Warm)).await;
    assert!(matches!(public, Err(BenchError::Public { .. })));
    let allowed = Load {
        public: true,
        ..load(Kind::Warm)
    };
    assert!(bench(&fake, IMAGE, "20.1.0.4", allowed).await.is_ok());
}
