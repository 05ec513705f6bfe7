//! An HTTP proxy on the simulated network.

use std::net::SocketAddr;
use std::sync::Arc;

use sim_cluster::net::{Acceptor, Host, Stream};

use crate::backend::proxy::{self, Way};
use crate::spec::ProxyRules;

impl Way for Host {
    type Stream = Stream;

    async fn dial(&self, name: &str, port: u16) -> Option<Stream> {
        let found = self.lookup(name).await.ok()?;
        let address = found.addresses.first().copied()?;
        Self::dial(self, SocketAddr::new(address, port)).await.ok()
    }
}

/// What listens at the proxy's port; `host` is the machine that it dials from.
pub(super) fn acceptor(host: Host, rules: ProxyRules) -> Acceptor {
    let rules = Arc::new(rules);
    Arc::new(move |stream, _peer| {
        let (host, rules) = (host.clone(), Arc::clone(&rules));
        tokio::spawn(async move { proxy::serve(&host, &rules, stream).await });
    })
}
