//! A network in memory on which each place has its own names and its own rules. No sockets: what
//! answers at an address is the fake registry, or a few lines of a test.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use fake_registry::{Conn, FakeRegistry, Scheme};
use futures::future::BoxFuture;
use pullcheck::reference::Host;
use pullcheck::world::{BoxStream, DialError, DnsError, Net, Resolved};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

pub(crate) const RESOLVER: &str = "10.0.0.10:53";

/// What a name server says about a name.
#[derive(Clone)]
pub(crate) enum Record {
    At(Vec<IpAddr>),
    NoName,
    ServerFails,
    Silent,
}

impl Record {
    pub(crate) fn at(addresses: &[&str]) -> Self {
        Self::At(addresses.iter().map(|text| ip(text)).collect())
    }
}

/// What becomes of a dial, or of the connection that it makes.
#[derive(Clone, Copy)]
pub(crate) enum Fate {
    /// Packets vanish.
    Drops,
    Refuses,
    NoRoute,
    /// The connection is reset after so many bytes have come.
    Resets(usize),
    /// Nothing more comes after so many bytes.
    Stalls(usize),
}

pub(crate) type Acceptor = Arc<dyn Fn(DuplexStream) + Send + Sync>;

/// What there is on the network, the same for everybody.
#[derive(Clone)]
pub(crate) struct Map {
    pub(crate) fake: FakeRegistry,
    pub(crate) names: BTreeMap<String, Record>,
    /// What answers at an address, apart from the fake registry, which answers at all others.
    pub(crate) servers: BTreeMap<SocketAddr, Acceptor>,
    /// Addresses of the fake registry.
    pub(crate) registry: Vec<IpAddr>,
}

/// The network as one place sees it.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) who: String,
    pub(crate) address: SocketAddr,
    pub(crate) map: Arc<Map>,
    pub(crate) names: BTreeMap<String, Record>,
    pub(crate) fates: BTreeMap<IpAddr, Fate>,
}

impl Net for View {
    fn resolve<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<Resolved, DnsError>> {
        let server = Some(RESOLVER.to_owned());
        let name = host.name().unwrap_or_default();
        let record = self.names.get(name).or_else(|| self.map.names.get(name));
        let record = record.cloned().unwrap_or(Record::NoName);
        Box::pin(async move {
            let addresses = match record {
                Record::At(addresses) => addresses,
                Record::NoName => return Err(DnsError::NxDomain { server }),
                Record::ServerFails => return Err(DnsError::ServFail { server }),
                Record::Silent => {
                    tokio::time::sleep(Duration::from_secs(10)).await;
                    return Err(DnsError::Timeout { server });
                }
            };
            Ok(Resolved {
                addresses,
                aliases: Vec::new(),
                server,
            })
        })
    }

    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, Result<BoxStream, DialError>> {
        Box::pin(async move {
            let fate = self.fates.get(&to.ip()).copied();
            match fate {
                Some(Fate::Drops) => {
                    tokio::time::sleep(Duration::from_secs(127)).await;
                    return Err(DialError::TimedOut);
                }
                Some(Fate::Refuses) => return Err(DialError::Refused),
                Some(Fate::NoRoute) => return Err(DialError::NoRoute),
                Some(Fate::Resets(_) | Fate::Stalls(_)) | None => {}
            }
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            if let Some(accept) = self.map.servers.get(&to) {
                accept(theirs);
            } else if self.map.registry.contains(&to.ip()) {
                let scheme = if to.port() == 80 {
                    Scheme::Http
                } else {
                    Scheme::Https
                };
                let conn = Conn {
                    peer: self.address,
                    client: self.who.clone(),
                    scheme,
                };
                tokio::spawn(self.map.fake.serve(theirs, conn));
            } else {
                return Err(DialError::NoRoute);
            }
            Ok(match fate {
                Some(Fate::Resets(after)) => Box::new(Cut::new(ours, after, true)) as BoxStream,
                Some(Fate::Stalls(after)) => Box::new(Cut::new(ours, after, false)) as BoxStream,
                _ => Box::new(ours) as BoxStream,
            })
        })
    }
}

/// A connection that gives so many bytes, and then a reset or silence.
struct Cut {
    inner: DuplexStream,
    left: usize,
    resets: bool,
}

impl Cut {
    fn new(inner: DuplexStream, left: usize, resets: bool) -> Self {
        Self {
            inner,
            left,
            resets,
        }
    }
}

impl AsyncRead for Cut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return if self.resets {
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            } else {
                Poll::Pending
            };
        }
        let mut some = into.take(self.left);
        let outcome = Pin::new(&mut self.inner).poll_read(cx, &mut some);
        let read = some.filled().len();
        // `take` borrows the same memory: what it filled is initialised there, too.
        let filled = some.filled().to_vec();
        into.put_slice(&filled);
        self.left -= read;
        outcome
    }
}

impl AsyncWrite for Cut {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A registry of its own behind an address.
pub(crate) fn serves(fake: &FakeRegistry) -> Acceptor {
    let fake = fake.clone();
    Arc::new(move |stream| {
        let conn = Conn {
            peer: "20.1.0.9:40000".parse().expect("an address"),
            client: "node-1".into(),
            scheme: Scheme::Https,
        };
        tokio::spawn(fake.serve(stream, conn));
    })
}

/// An HTTP proxy: it answers CONNECT with `refusal`, or else opens a tunnel to the fake registry.
pub(crate) fn proxy(fake: &FakeRegistry, refusal: Option<&'static str>) -> Acceptor {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let fake = fake.clone();
    Arc::new(move |mut stream| {
        let fake = fake.clone();
        tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => return,
                }
            }
            let answer = refusal.unwrap_or("HTTP/1.1 200 OK\r\n\r\n");
            if stream.write_all(answer.as_bytes()).await.is_err() || refusal.is_some() {
                return;
            }
            let (mut ours, theirs) = tokio::io::duplex(64 * 1024);
            let conn = Conn {
                peer: "10.9.0.1:40000".parse().expect("an address"),
                client: "proxy".into(),
                scheme: Scheme::Https,
            };
            tokio::spawn(fake.serve(theirs, conn));
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut ours).await;
        });
    })
}
