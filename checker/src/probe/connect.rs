//! From a URL to a connection: straight, or through the place's proxy; every address and every handshake a fact.
//!
//! All addresses are dialled at once. Where some answer and others do not, that is a fact of its own: a pull
//! then works only sometimes. After a failure at a proxy the host is dialled without it, once and without a
//! request, since that tells a needless proxy from a closed way.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Habits;
use super::session::{Session, Step, Stop};
use crate::evidence::{
    DeadAddress, Endpoint, HttpFailure, Method, Role, Seen, TlsFailure, WhyWithheld,
};
use crate::reference::{Authority, Host};
use crate::stage::Stage;
use crate::wire::http::{Answer, Connection};
use crate::wire::tls::{Handshake, How};
use crate::wire::tunnel::{self, TunnelError};
use crate::wire::{Excerpt, Url, UrlScheme, Verify};
use crate::world::{BoxStream, DialError, Place, Proxy, ProxyScheme};

/// Streams to different addresses of one host, in order of preference, never empty.
pub(super) type Streams = Vec<(SocketAddr, BoxStream)>;

impl<'a> Session<'a> {
    pub(super) async fn connect_once(&mut self, role: Role, url: &Url) -> Step<Connection> {
        // The metadata service is the node's own: no proxy may see what it says.
        let proxy = Some(&self.connector.place.proxies)
            .filter(|_| role != Role::Metadata)
            .and_then(|proxies| proxies.of(url))
            .cloned();
        let addresses = match (&proxy, url.host().address()) {
            (None, _) => {
                let endpoint = endpoint(role, url);
                self.resolve(Stage::Dns, &endpoint, url.host()).await?
            }
            (Some(_), literal) => literal.into_iter().collect(),
        };
        self.check_addresses(role, url, &addresses)?;
        if let Some(proxy) = &proxy {
            return self.connect_through(proxy, role, url).await;
        }
        let streams = self
            .dial(Stage::Tcp, &endpoint(role, url), url.port(), &addresses)
            .await?;
        if url.scheme() == UrlScheme::Http {
            let stream = first(streams)?;
            if role == self.role {
                let endpoint = endpoint(role, url);
                self.note_about(Stage::Tls, Some(endpoint), Duration::ZERO, Seen::PlainHttp);
            }
            return self.speak(role, url, stream).await;
        }
        self.secure(role, url, streams, &addresses).await
    }

    /// A server must not send the probe to addresses that only a node itself answers.
    fn check_addresses(&mut self, role: Role, url: &Url, addresses: &[IpAddr]) -> Step<()> {
        if role == self.role {
            self.registry_is_local |= addresses.iter().any(is_forbidden);
        } else if role != Role::Metadata
            && !self.registry_is_local
            && addresses.iter().any(is_forbidden)
        {
            let seen = Seen::RedirectRefused {
                to: url.authority().clone(),
                why: WhyWithheld::LocalAddress,
            };
            let endpoint = endpoint(role, url);
            self.note_about(Stage::Tcp, Some(endpoint), Duration::ZERO, seen);
            return Err(Stop(Stage::Tcp));
        }
        Ok(())
    }

    /// Handshakes with every address that accepted; the first that succeeds is used.
    async fn secure(
        &mut self,
        role: Role,
        url: &Url,
        streams: Streams,
        addresses: &[IpAddr],
    ) -> Step<Connection> {
        let lenient = role == self.role && self.is_lenient();
        let how = self.how(role, url);
        let mut good: Option<(Handshake, Duration)> = None;
        let mut failed = Vec::new();
        let mut working = 0;
        for (address, stream) in streams {
            let started = Instant::now();
            let deadline = self.options.deadlines.tls;
            let outcome = self
                .connector
                .handshake_as(stream, url.host(), how, deadline)
                .await;
            match outcome {
                Ok(handshake) => {
                    working += 1;
                    good.get_or_insert((handshake, started.elapsed()));
                }
                Err((reason, chain)) => failed.push((address, reason, chain, started.elapsed())),
            }
        }
        let endpoint = endpoint(role, url);
        if let Some((handshake, took)) = good {
            let dead: Vec<DeadAddress> = failed
                .into_iter()
                .map(|(address, reason, ..)| DeadAddress {
                    address,
                    accepts: true,
                    why: Excerpt::new(&reason.to_string()),
                })
                .collect();
            let (seen, stream) = self.established(role, handshake);
            self.note_about(Stage::Tls, Some(endpoint.clone()), took, seen);
            if !dead.is_empty() {
                let seen = Seen::Flapping { working, dead };
                self.note_about(Stage::Tls, Some(endpoint), Duration::ZERO, seen);
            }
            return self.speak(role, url, stream).await;
        }
        let Some((_, reason, chain, took)) = failed.into_iter().next() else {
            return Err(Stop(Stage::Tcp));
        };
        if reason == TlsFailure::PlainHttp && lenient {
            self.base = Url::new(
                UrlScheme::Http,
                self.base.authority().clone(),
                self.base.target(),
            );
            self.note_about(Stage::Tls, Some(endpoint), took, Seen::PlainHttp);
            let (streams, _) = self.dial_quietly(url.port(), addresses).await;
            let stream = first(streams)?;
            return self.speak(role, url, stream).await;
        }
        let seen = Seen::TlsFailed {
            reason: reason.clone(),
            chain: chain.clone(),
        };
        self.note_about(Stage::Tls, Some(endpoint.clone()), took, seen);
        if role == self.role {
            self.second_look(url, &endpoint, addresses, &reason, &chain)
                .await;
        }
        Err(Stop(Stage::Tls))
    }

    pub(super) fn verify(&self, role: Role) -> Verify {
        if role == self.role && (self.is_lenient() || self.unverified) {
            Verify::NotAtAll
        } else {
            Verify::Fully
        }
    }

    /// How the handshake with a host is made. A client certificate is for the registry (or mirror) itself, and for a
    /// token service of the same name.
    fn how(&self, role: Role, url: &Url) -> How<'a> {
        let place: &'a Place = self.connector.place;
        let own = role == self.role
            || (matches!(role, Role::TokenService | Role::Exchange)
                && url.host().same_as(self.base.host()));
        How {
            client: place.client.as_ref().filter(|_| own),
            ..How::verified(self.verify(role))
        }
    }

    fn established(&mut self, role: Role, handshake: Handshake) -> (Seen, BoxStream) {
        if role == self.role {
            self.client_shown.clone_from(&handshake.client);
        }
        let seen = Seen::TlsEstablished {
            version: handshake.version.into(),
            alpn: handshake.alpn,
            chain: handshake.chain,
            client: handshake.client,
        };
        (seen, handshake.stream)
    }

    /// containerd's rule: a local registry on a port of its own is tried with TLS unverified, then without; and
    /// CRI-O's for what it calls insecure.
    fn is_lenient(&self) -> bool {
        let authority = self.base.authority();
        let local = authority.host().is_local();
        self.plain_fallback
            || match self.options.habits {
                Habits::Containerd => local && authority.port().is_some_and(|port| port != 443),
                Habits::Docker => local,
                Habits::CriO => false,
            }
    }

    async fn connect_through(&mut self, proxy: &Proxy, role: Role, url: &Url) -> Step<Connection> {
        let stream = match self.tunnel(proxy, url).await {
            Ok(stream) => stream,
            Err(stop) => {
                self.look_without_proxy(role, url).await;
                return Err(stop);
            }
        };
        if url.scheme() == UrlScheme::Http {
            if role == self.role {
                let endpoint = endpoint(role, url);
                self.note_about(Stage::Tls, Some(endpoint), Duration::ZERO, Seen::PlainHttp);
            }
            let connection = self.speak(role, url, stream).await?;
            return Ok(connection.through_proxy(proxy));
        }
        let started = Instant::now();
        let how = self.how(role, url);
        let deadline = self.options.deadlines.tls;
        let outcome = self
            .connector
            .handshake_as(stream, url.host(), how, deadline)
            .await;
        let endpoint = endpoint(role, url);
        match outcome {
            Ok(handshake) => {
                let (seen, stream) = self.established(role, handshake);
                self.note_about(Stage::Tls, Some(endpoint), started.elapsed(), seen);
                self.speak(role, url, stream).await
            }
            Err((reason, chain)) => {
                let compared = (reason == TlsFailure::UnknownIssuer)
                    .then(|| self.compared(url, &chain))
                    .flatten();
                let seen = Seen::TlsFailed { reason, chain };
                self.note_about(Stage::Tls, Some(endpoint.clone()), started.elapsed(), seen);
                if let Some(seen) = compared {
                    self.note_about(Stage::Tls, Some(endpoint), Duration::ZERO, seen);
                }
                self.look_without_proxy(role, url).await;
                Err(Stop(Stage::Tls))
            }
        }
    }

    /// A stream that the proxy passes on, or for plain HTTP one to the proxy itself.
    async fn tunnel(&mut self, proxy: &Proxy, url: &Url) -> Step<BoxStream> {
        let stage = Stage::Proxy;
        let endpoint = Endpoint::new(Role::Proxy, proxy.authority());
        if proxy.scheme() == ProxyScheme::Socks {
            let seen = Seen::ProxyUnsupported;
            self.note_about(stage, Some(endpoint), Duration::ZERO, seen);
            return Err(Stop(stage));
        }
        let addresses = self.resolve(stage, &endpoint, proxy.host()).await?;
        let streams = self
            .dial(stage, &endpoint, proxy.port(), &addresses)
            .await?;
        let Some((_, mut stream)) = streams.into_iter().next() else {
            return Err(Stop(stage));
        };
        let started = Instant::now();
        if proxy.scheme() == ProxyScheme::Https {
            let deadline = self.options.deadlines.tls;
            let outcome = self
                .connector
                .handshake(stream, proxy.host(), Verify::Fully, deadline)
                .await;
            match outcome {
                Ok(handshake) => stream = handshake.stream,
                Err((reason, chain)) => {
                    let seen = Seen::TlsFailed { reason, chain };
                    self.note_about(stage, Some(endpoint), started.elapsed(), seen);
                    return Err(Stop(stage));
                }
            }
        }
        let to = Authority::new(url.host().clone(), Some(url.port()));
        if url.scheme() == UrlScheme::Http {
            let seen = Seen::Proxied { to };
            self.note_about(stage, Some(endpoint), started.elapsed(), seen);
            return Ok(stream);
        }
        let asked = tunnel::open(stream, &to, proxy.authorization(), &self.options.user_agent);
        let outcome = timeout(self.options.deadlines.head, asked)
            .await
            .unwrap_or(Err(TunnelError::Failed(HttpFailure::Timeout)));
        let (seen, outcome) = match outcome {
            Ok(stream) => (Seen::Proxied { to }, Ok(stream)),
            Err(TunnelError::Refused {
                status,
                phrase,
                wants,
            }) => {
                let signed_in = proxy.has_credential();
                let seen = Seen::ProxyRefused {
                    to,
                    status,
                    phrase,
                    wants,
                    signed_in,
                };
                (seen, Err(Stop(stage)))
            }
            Err(TunnelError::Failed(reason)) => {
                let seen = Seen::HttpFailed {
                    method: Method::Connect,
                    path: Excerpt::new(&to.to_string()),
                    reason,
                };
                (seen, Err(Stop(stage)))
            }
        };
        self.note_about(stage, Some(endpoint), started.elapsed(), seen);
        outcome
    }

    /// A proxy that forwards plain HTTP wants a user.
    pub(super) async fn forwarding_refused(
        &mut self,
        role: Role,
        url: &Url,
        answer: &Answer,
    ) -> Stop {
        let proxy = self.connector.place.proxies.of(url).cloned();
        let wants = answer.headers.get(http::header::PROXY_AUTHENTICATE);
        let seen = Seen::ProxyRefused {
            to: Authority::new(url.host().clone(), Some(url.port())),
            status: answer.status.as_u16(),
            phrase: Excerpt::new(answer.status.canonical_reason().unwrap_or_default()),
            wants: wants.map(|value| Excerpt::from_bytes(value.as_bytes())),
            signed_in: proxy.as_ref().is_some_and(Proxy::has_credential),
        };
        let endpoint = proxy.map(|proxy| Endpoint::new(Role::Proxy, proxy.authority()));
        self.note_about(Stage::Proxy, endpoint, Duration::ZERO, seen);
        self.look_without_proxy(role, url).await;
        Stop(Stage::Proxy)
    }

    /// Whether the host answers without the proxy. Nothing is asked, and nothing secret is sent.
    async fn look_without_proxy(&mut self, role: Role, url: &Url) {
        let started = Instant::now();
        let (reached, text) = self.reach_directly(role, url).await;
        let seen = Seen::WithoutProxy {
            reached,
            text: Excerpt::new(&text),
        };
        let endpoint = endpoint(role, url);
        self.note_about(Stage::Proxy, Some(endpoint), started.elapsed(), seen);
    }

    async fn reach_directly(&self, role: Role, url: &Url) -> (bool, String) {
        let deadlines = self.options.deadlines;
        let resolved = self.connector.resolve(url.host(), deadlines.resolve).await;
        let addresses = match resolved {
            Ok(resolved) => resolved.addresses,
            Err(error) => return (false, error.to_string()),
        };
        if role != self.role && !self.registry_is_local && addresses.iter().any(is_forbidden) {
            return (false, "an address of the node itself".to_owned());
        }
        let (streams, failures) = self.dial_quietly(url.port(), &addresses).await;
        let Some((address, stream)) = streams.into_iter().next() else {
            let text = failures
                .first()
                .map(|(address, error, _)| format!("{address}: {error}"));
            return (false, text.unwrap_or_default());
        };
        if url.scheme() == UrlScheme::Http {
            return (true, format!("{address} accepts"));
        }
        let verify = self.verify(role);
        let outcome = self
            .connector
            .handshake(stream, url.host(), verify, deadlines.tls)
            .await;
        match outcome {
            Ok(handshake) => (true, format!("{address} speaks {}", handshake.version)),
            Err((reason, _)) => (false, format!("{address}: {reason}")),
        }
    }

    async fn resolve(
        &mut self,
        stage: Stage,
        endpoint: &Endpoint,
        host: &Host,
    ) -> Step<Vec<IpAddr>> {
        let started = Instant::now();
        let deadline = self.options.deadlines.resolve;
        match self.connector.resolve(host, deadline).await {
            Ok(resolved) => {
                let addresses = resolved.addresses.clone();
                if host.address().is_none() {
                    let seen = Seen::Resolved {
                        addresses: resolved.addresses,
                        aliases: resolved.aliases,
                        server: resolved.server,
                    };
                    self.note_about(stage, Some(endpoint.clone()), started.elapsed(), seen);
                }
                Ok(addresses)
            }
            Err(error) => {
                let seen = Seen::DnsFailed { error };
                self.note_about(stage, Some(endpoint.clone()), started.elapsed(), seen);
                Err(Stop(stage))
            }
        }
    }

    /// Dials every address and keeps each stream.
    async fn dial(
        &mut self,
        stage: Stage,
        endpoint: &Endpoint,
        port: u16,
        addresses: &[IpAddr],
    ) -> Step<Streams> {
        let outcomes = self
            .connector
            .dial_all(addresses, port, self.options.deadlines.dial)
            .await;
        let mut streams = Vec::new();
        let mut dead = Vec::new();
        for (address, outcome, took) in outcomes {
            let seen = match outcome {
                Ok(stream) => {
                    streams.push((address, stream));
                    Seen::Connected { address }
                }
                Err(error) => {
                    dead.push((address, error.clone()));
                    Seen::DialFailed { address, error }
                }
            };
            self.note_about(stage, Some(endpoint.clone()), took, seen);
        }
        if streams.is_empty() {
            return Err(Stop(stage));
        }
        let dead: Vec<DeadAddress> = dead
            .into_iter()
            .filter(|(address, error)| !family_is_missing(*address, error, &streams))
            .map(|(address, error)| DeadAddress {
                address,
                accepts: false,
                why: Excerpt::new(&error.to_string()),
            })
            .collect();
        if !dead.is_empty() {
            let seen = Seen::Flapping {
                working: streams.len(),
                dead,
            };
            self.note_about(stage, Some(endpoint.clone()), Duration::ZERO, seen);
        }
        Ok(streams)
    }

    pub(super) async fn dial_quietly(
        &self,
        port: u16,
        addresses: &[IpAddr],
    ) -> (Streams, Vec<(SocketAddr, DialError, Duration)>) {
        let mut streams = Vec::new();
        let mut failures = Vec::new();
        let deadline = self.options.deadlines.dial;
        for (address, outcome, took) in self.connector.dial_all(addresses, port, deadline).await {
            match outcome {
                Ok(stream) => streams.push((address, stream)),
                Err(error) => failures.push((address, error, took)),
            }
        }
        (streams, failures)
    }

    async fn speak(&mut self, role: Role, url: &Url, stream: BoxStream) -> Step<Connection> {
        match Connection::open(stream).await {
            Ok(connection) => Ok(connection),
            Err(reason) => {
                Err(self.http_failed(Stage::Tcp, role, url, Method::Get, reason, Duration::ZERO))
            }
        }
    }
}

/// The stream that is preferred.
fn first(streams: Streams) -> Step<BoxStream> {
    let first = streams.into_iter().next();
    first.map(|(_, stream)| stream).ok_or(Stop(Stage::Tcp))
}

fn endpoint(role: Role, url: &Url) -> Endpoint {
    Endpoint::new(role, Authority::new(url.host().clone(), Some(url.port())))
}

/// A place without IPv6 (or IPv4) is no fault of the addresses: clients go on to the other family at once.
fn family_is_missing(address: SocketAddr, error: &DialError, streams: &Streams) -> bool {
    matches!(error, DialError::NoRoute | DialError::NetUnreachable)
        && streams
            .iter()
            .all(|(other, _)| other.is_ipv6() != address.is_ipv6())
}

/// Addresses that no server of a registry has, and that a hostile one would point to.
fn is_forbidden(address: &IpAddr) -> bool {
    let v4 = |address: &std::net::Ipv4Addr| {
        address.is_loopback()
            || address.is_link_local()
            || address.is_unspecified()
            || address.is_broadcast()
    };
    match address {
        IpAddr::V4(address) => v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => v4(&mapped),
            None => {
                address.is_loopback() || address.is_unspecified() || address.is_unicast_link_local()
            }
        },
    }
}
