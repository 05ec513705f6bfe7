//! The network of this machine: names by hickory, streams by TCP.

use std::io::ErrorKind;
use std::net::SocketAddr;

use futures::future::BoxFuture;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as Answered, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RData;

use crate::world::{BoxStream, DialError, DnsError, Host, Net, Resolved, WallClock};

/// The system's resolver, or one server that was named, and the system's TCP.
pub(super) struct RealNet {
    resolver: TokioResolver,
    server: Option<String>,
}

impl RealNet {
    /// With the server that is to be asked; none means those of the system.
    pub(super) fn new(server: Option<SocketAddr>) -> Result<Self, NetError> {
        let mut builder = match server {
            None => TokioResolver::builder_tokio()?,
            Some(at) => {
                let mut named = NameServerConfig::udp_and_tcp(at.ip());
                for connection in &mut named.connections {
                    connection.port = at.port();
                }
                let config = ResolverConfig::from_parts(None, Vec::new(), vec![named]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        // Each stage has a deadline of its own; two tries of 5 s are what resolvers make.
        builder.options_mut().attempts = 2;
        let resolver = builder.build()?;
        Ok(Self {
            resolver,
            server: server.map(|at| at.to_string()),
        })
    }

    fn failed(&self, error: &NetError) -> DnsError {
        let server = self.server.clone();
        match error {
            NetError::Timeout => DnsError::Timeout { server },
            NetError::Dns(Answered::NoRecordsFound(none))
                if none.response_code == ResponseCode::NXDomain =>
            {
                DnsError::NxDomain { server }
            }
            NetError::Dns(Answered::NoRecordsFound(none))
                if none.response_code == ResponseCode::NoError =>
            {
                DnsError::NoData { server }
            }
            NetError::Dns(Answered::ResponseCode(ResponseCode::ServFail)) => {
                DnsError::ServFail { server }
            }
            NetError::Dns(Answered::NoRecordsFound(none))
                if none.response_code == ResponseCode::ServFail =>
            {
                DnsError::ServFail { server }
            }
            NetError::Io(error) if error.kind() == ErrorKind::TimedOut => {
                DnsError::Timeout { server }
            }
            other => DnsError::Other {
                text: other.to_string(),
                server,
            },
        }
    }
}

impl Net for RealNet {
    fn resolve<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<Resolved, DnsError>> {
        Box::pin(async move {
            let found = self
                .resolver
                .lookup_ip(host.to_string())
                .await
                .map_err(|error| self.failed(&error))?;
            let addresses: Vec<_> = found.iter().collect();
            if addresses.is_empty() {
                return Err(DnsError::NoData {
                    server: self.server.clone(),
                });
            }
            let answers = found.as_lookup().answers();
            let aliases = answers.iter().filter_map(|record| match &record.data {
                RData::CNAME(alias) => Some(alias.to_string().trim_end_matches('.').to_owned()),
                _ => None,
            });
            Ok(Resolved {
                addresses,
                aliases: aliases.take(16).collect(),
                server: self.server.clone(),
            })
        })
    }

    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, Result<BoxStream, DialError>> {
        Box::pin(async move {
            match tokio::net::TcpStream::connect(to).await {
                Ok(stream) => {
                    // Small requests and their answers: waiting for more to send only costs time.
                    let _ = stream.set_nodelay(true);
                    Ok(Box::new(stream) as BoxStream)
                }
                Err(error) => Err(match error.kind() {
                    ErrorKind::ConnectionRefused => DialError::Refused,
                    ErrorKind::TimedOut => DialError::TimedOut,
                    ErrorKind::HostUnreachable => DialError::NoRoute,
                    ErrorKind::NetworkUnreachable => DialError::NetUnreachable,
                    ErrorKind::ConnectionReset => DialError::Reset,
                    _ => DialError::Other(error.to_string()),
                }),
            }
        })
    }
}

/// The date of this machine.
pub(super) struct SystemClock;

impl WallClock for SystemClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
}
