//! The checker's two seams over the simulation: a place on the simulated network, and its clock.

use std::net::SocketAddr;

use futures::future::BoxFuture;
use pullcheck::world::{BoxStream, DialError, DnsError, Host, Net, Resolved, WallClock};
use sim_cluster::clock::Clock;
use sim_cluster::net;

/// What the checker can do from a host: resolve and dial, as any program there.
pub(super) struct Place(pub(super) net::Host);

impl Net for Place {
    fn resolve<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<Resolved, DnsError>> {
        Box::pin(async move {
            let found = self
                .0
                .lookup(&host.to_string())
                .await
                .map_err(|error| match error {
                    net::LookupError::NxDomain { server } => DnsError::NxDomain {
                        server: Some(server.to_string()),
                    },
                    net::LookupError::ServFail { server } => DnsError::ServFail {
                        server: Some(server.to_string()),
                    },
                    net::LookupError::Timeout { server } => DnsError::Timeout {
                        server: Some(server.to_string()),
                    },
                    net::LookupError::NoData { server } => DnsError::NoData {
                        server: Some(server.to_string()),
                    },
                })?;
            Ok(Resolved {
                addresses: found.addresses,
                aliases: found.aliases,
                server: Some(found.server.to_string()),
            })
        })
    }

    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, Result<BoxStream, DialError>> {
        Box::pin(async move {
            match self.0.dial(to).await {
                Ok(stream) => Ok(Box::new(stream) as BoxStream),
                Err(net::DialError::Refused) => Err(DialError::Refused),
                Err(net::DialError::TimedOut) => Err(DialError::TimedOut),
                Err(net::DialError::NoRoute) => Err(DialError::NoRoute),
                Err(net::DialError::NetUnreachable) => Err(DialError::NetUnreachable),
            }
        })
    }
}

/// The simulation's date.
pub(super) struct Date(pub(super) Clock);

impl WallClock for Date {
    fn now(&self) -> jiff::Timestamp {
        self.0.now()
    }
}
