//! From a host to a stream: resolve, dial, handshake, each with a deadline of its own.

use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, timeout};

use super::http::Connection;
use super::tls::{Handshake, How, Tls, Verify};
use super::tunnel::{self, TunnelError};
use super::{Url, UrlScheme};
use crate::evidence::{Certificate, HttpFailure, TlsFailure};
use crate::reference::Authority;
use crate::world::{
    BoxStream, DialError, DnsError, Host, Place, Proxy, ProxyScheme, Resolved, WallClock,
};

/// How many addresses of one name are tried.
pub(crate) const MAX_ADDRESSES: usize = 16;

/// Opens connections from one place. Cheap to make: trusted roots are read at the first handshake.
pub(crate) struct Connector<'a> {
    pub(crate) place: &'a Place,
    pub(crate) clock: &'a dyn WallClock,
    tls: OnceLock<Tls>,
}

/// How long is waited for each step of [`Connector::open`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenDeadlines {
    pub(crate) resolve: Duration,
    pub(crate) dial: Duration,
    /// For a handshake, and for a proxy's answer.
    pub(crate) handshake: Duration,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("{0}")]
    Dns(DnsError),
    #[error("{at}: {error}")]
    Dial { at: SocketAddr, error: DialError },
    #[error("plain HTTP is used with loopback addresses only, for the token's sake")]
    PlainHttp,
    #[error("{0}")]
    Tls(TlsFailure),
    #[error("{0}")]
    Http(HttpFailure),
    #[error("the proxy {proxy} answered {status}")]
    Refused { proxy: Authority, status: u16 },
    #[error("the proxy {0} speaks SOCKS")]
    Socks(Authority),
}

/// One address, what dialling it gave, and how long that took.
pub(crate) type Dialled = (SocketAddr, Result<BoxStream, DialError>, Duration);

impl<'a> Connector<'a> {
    /// Joins a place and a clock.
    pub(crate) fn new(place: &'a Place, clock: &'a dyn WallClock) -> Self {
        Self {
            place,
            clock,
            tls: OnceLock::new(),
        }
    }

    /// The addresses of a host; a literal is its own address.
    pub(crate) async fn resolve(
        &self,
        host: &Host,
        deadline: Duration,
    ) -> Result<Resolved, DnsError> {
        if let Some(address) = host.address() {
            return Ok(Resolved {
                addresses: vec![address],
                aliases: Vec::new(),
                server: None,
            });
        }
        match timeout(deadline, self.place.net.resolve(host)).await {
            Ok(Ok(resolved)) if resolved.addresses.is_empty() => Err(DnsError::NoData {
                server: resolved.server,
            }),
            Ok(outcome) => outcome,
            Err(_) => Err(DnsError::Timeout { server: None }),
        }
    }

    /// Dials every address at once, so that each is reported; the order of the result is that of preference.
    pub(crate) async fn dial_all(
        &self,
        addresses: &[IpAddr],
        port: u16,
        deadline: Duration,
    ) -> Vec<Dialled> {
        let dials = prefer(addresses).into_iter().map(|address| async move {
            let to = SocketAddr::new(address, port);
            let started = Instant::now();
            let outcome = timeout(deadline, self.place.net.dial(to))
                .await
                .unwrap_or(Err(DialError::TimedOut));
            (to, outcome, started.elapsed())
        });
        join_all(dials).await
    }

    /// Dials the addresses one after the other, until one accepts.
    pub(crate) async fn dial_first(
        &self,
        addresses: &[IpAddr],
        port: u16,
        deadline: Duration,
    ) -> Result<BoxStream, DialError> {
        let mut last = DialError::Other("no address".into());
        for address in addresses {
            let to = SocketAddr::new(*address, port);
            match timeout(deadline, self.place.net.dial(to)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = DialError::TimedOut,
            }
        }
        Err(last)
    }

    /// Opens a connection that may carry a secret: TLS, verified, or plain HTTP to loopback alone; through the
    /// place's proxy where it has one. Keeps no record; a probe opens its connections step by step.
    pub(crate) async fn open(
        &self,
        url: &Url,
        deadlines: OpenDeadlines,
        user_agent: &str,
    ) -> Result<Connection, OpenError> {
        let plain = url.scheme() == UrlScheme::Http;
        let stream = match self.place.proxies.of(url).filter(|_| !plain) {
            Some(proxy) => self.tunnel(proxy, url, deadlines, user_agent).await?,
            None => {
                self.stream(url.host(), url.port(), deadlines, plain)
                    .await?
            }
        };
        let stream = if plain {
            stream
        } else {
            self.secured(stream, url.host(), deadlines).await?
        };
        Connection::open(stream).await.map_err(OpenError::Http)
    }

    async fn tunnel(
        &self,
        proxy: &Proxy,
        url: &Url,
        deadlines: OpenDeadlines,
        user_agent: &str,
    ) -> Result<BoxStream, OpenError> {
        if proxy.scheme() == ProxyScheme::Socks {
            return Err(OpenError::Socks(proxy.authority()));
        }
        let mut stream = self
            .stream(proxy.host(), proxy.port(), deadlines, false)
            .await?;
        if proxy.scheme() == ProxyScheme::Https {
            stream = self.secured(stream, proxy.host(), deadlines).await?;
        }
        let to = Authority::new(url.host().clone(), Some(url.port()));
        let asked = tunnel::open(stream, &to, proxy.authorization(), user_agent);
        match timeout(deadlines.handshake, asked).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(TunnelError::Refused { status, .. })) => Err(OpenError::Refused {
                proxy: proxy.authority(),
                status,
            }),
            Ok(Err(TunnelError::Failed(failure))) => Err(OpenError::Http(failure)),
            Err(_) => Err(OpenError::Http(HttpFailure::Timeout)),
        }
    }

    async fn stream(
        &self,
        host: &Host,
        port: u16,
        deadlines: OpenDeadlines,
        loopback: bool,
    ) -> Result<BoxStream, OpenError> {
        let resolved = self.resolve(host, deadlines.resolve).await;
        let addresses = resolved.map_err(OpenError::Dns)?.addresses;
        if loopback && !addresses.iter().all(IpAddr::is_loopback) {
            return Err(OpenError::PlainHttp);
        }
        let mut why = OpenError::Dns(DnsError::NoData { server: None });
        for (at, outcome, _) in self.dial_all(&addresses, port, deadlines.dial).await {
            match outcome {
                Ok(stream) => return Ok(stream),
                Err(error) => why = OpenError::Dial { at, error },
            }
        }
        Err(why)
    }

    async fn secured(
        &self,
        stream: BoxStream,
        host: &Host,
        deadlines: OpenDeadlines,
    ) -> Result<BoxStream, OpenError> {
        let handshake = self.handshake(stream, host, Verify::Fully, deadlines.handshake);
        handshake
            .await
            .map(|handshake| handshake.stream)
            .map_err(|(reason, _)| OpenError::Tls(reason))
    }

    /// Makes the handshake on a stream.
    pub(crate) async fn handshake(
        &self,
        stream: BoxStream,
        host: &Host,
        verify: Verify,
        deadline: Duration,
    ) -> Result<Handshake, (TlsFailure, Vec<Certificate>)> {
        self.handshake_as(stream, host, How::verified(verify), deadline)
            .await
    }

    /// The same, with a say in what is offered and shown.
    pub(crate) async fn handshake_as(
        &self,
        stream: BoxStream,
        host: &Host,
        how: How<'_>,
        deadline: Duration,
    ) -> Result<Handshake, (TlsFailure, Vec<Certificate>)> {
        let tls = self.tls.get_or_init(|| Tls::new(&self.place.trust));
        tls.handshake(stream, host, how, deadline, self.clock.now())
            .await
    }
}

/// The two families in turn, beginning with the first one listed (RFC 8305, section 4), without repetition.
fn prefer(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let v6_first = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (mut first, mut second): (Vec<IpAddr>, Vec<IpAddr>) = addresses
        .iter()
        .partition(|address| address.is_ipv6() == v6_first);
    first.reverse();
    second.reverse();
    let mut order = Vec::new();
    while order.len() < MAX_ADDRESSES && !(first.is_empty() && second.is_empty()) {
        for address in [first.pop(), second.pop()].into_iter().flatten() {
            if !order.contains(&address) {
                order.push(address);
            }
        }
    }
    order.truncate(MAX_ADDRESSES);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let read = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| text.parse().unwrap())
                .collect::<Vec<IpAddr>>()
        };
        let table: [(&[&str], &[&str]); 3] = [
            (
                &["::1", "::2", "10.0.0.1", "::3"],
                &["::1", "10.0.0.1", "::2", "::3"],
            ),
            (&["10.0.0.1", "10.0.0.1", "::1"], &["10.0.0.1", "::1"]),
            (&[], &[]),
        ];
        for (listed, want) in table {
            assert_eq!(prefer(&read(listed)), read(want));
        }
        let many: Vec<IpAddr> = (0..40_u8)
            .map(|last| IpAddr::from([10, 0, 0, last]))
            .collect();
        assert_eq!(prefer(&many).len(), MAX_ADDRESSES);
    }
}
