//! The real world: this machine's resolver, its TCP stack, its clock.
//!
//! The only place where sockets are opened and the system's time is read. Names go through hickory, so that a
//! name that does not exist, a server that fails, one that is silent and an empty answer stay apart, which
//! `getaddrinfo` does not let them. Never used under a paused clock.

use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use futures::future::BoxFuture;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts,
    ServerOrderingStrategy,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as WireError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::system_conf::read_system_conf;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::net::TcpStream;

pub use super::run::SystemPrograms;
use super::{
    BoxStream, ClientCertificate, ClientCertificateError, DialError, DnsError, Host, Net, Proxies,
    Resolved, WallClock,
};
use crate::wire::Excerpt;

/// One query of a resolver, as the C library waits; two are made.
const DNS_TIMEOUT: Duration = Duration::from_secs(5);
const DNS_TRIES: usize = 2;
/// The longest chain of aliases that is kept.
const MAX_ALIASES: usize = 16;
/// No bundle of certificates is larger.
const MAX_CA_FILE: u64 = 4 * 1024 * 1024;

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl WallClock for SystemClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
}

/// The proxies that this process's environment names (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`).
pub fn proxies_of_environment() -> Proxies {
    Proxies::from_variables(|name| std::env::var(name).ok())
}

/// This machine's network.
pub struct SystemNet {
    server: Option<SocketAddr>,
    timeout: Duration,
    resolver: OnceLock<Result<Resolver, String>>,
}

struct Resolver {
    resolver: TokioResolver,
    /// The servers that are asked, in order.
    servers: String,
}

impl SystemNet {
    /// Resolves by the system's configuration, or by asking `server` alone (then without search domains and hosts
    /// file). The configuration is read at the first name.
    pub const fn new(server: Option<SocketAddr>) -> Self {
        Self {
            server,
            timeout: DNS_TIMEOUT,
            resolver: OnceLock::new(),
        }
    }

    fn resolver(&self) -> Result<&Resolver, DnsError> {
        let made = self.resolver.get_or_init(|| self.make());
        made.as_ref().map_err(|text| DnsError::Other {
            text: text.clone(),
            server: None,
        })
    }

    fn make(&self) -> Result<Resolver, String> {
        let (config, mut options) = match self.server {
            None => read_system_conf()
                .map_err(|error| format!("the resolver's configuration: {error}"))?,
            Some(server) => {
                let mut options = ResolverOpts::default();
                options.use_hosts_file = hickory_resolver::config::ResolveHosts::Never;
                (only(server), options)
            }
        };
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.timeout = self.timeout;
        options.attempts = DNS_TRIES - 1;
        // What was true a moment ago is not what a probe wants to know.
        options.cache_size = 0;
        options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
        options.preserve_intermediates = true;
        let servers: Vec<String> = config
            .name_servers()
            .iter()
            .map(|server| {
                let port = server
                    .connections
                    .first()
                    .map_or(53, |connection| connection.port);
                SocketAddr::new(server.ip, port).to_string()
            })
            .collect();
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        let resolver = builder.build().map_err(|error| error.to_string())?;
        Ok(Resolver {
            resolver,
            servers: servers.join(", "),
        })
    }
}

fn only(server: SocketAddr) -> ResolverConfig {
    let (mut udp, mut tcp) = (ConnectionConfig::udp(), ConnectionConfig::tcp());
    udp.port = server.port();
    tcp.port = server.port();
    ResolverConfig::from_name_servers(vec![NameServerConfig::new(
        server.ip(),
        true,
        vec![udp, tcp],
    )])
}

impl Net for SystemNet {
    fn resolve<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<Resolved, DnsError>> {
        Box::pin(async move {
            let Resolver { resolver, servers } = self.resolver()?;
            let server = (!servers.is_empty()).then(|| servers.clone());
            let name = host.name().unwrap_or_default();
            let found = resolver
                .lookup_ip(name)
                .await
                .map_err(|error| dns_error(&error, server.clone()))?;
            let addresses: Vec<IpAddr> = found.iter().collect();
            let mut aliases: Vec<String> = Vec::new();
            // A search domain may have completed the name: what was really asked for is the first alias then.
            let asked = found.as_lookup().query().name().to_utf8();
            let asked = asked.trim_end_matches('.');
            if !asked.eq_ignore_ascii_case(name.trim_end_matches('.')) {
                aliases.push(Excerpt::new(asked).as_str().to_owned());
            }
            for record in found.as_lookup().answers() {
                if let RData::CNAME(alias) = &record.data {
                    let alias = alias.0.to_utf8();
                    let alias = Excerpt::new(alias.trim_end_matches('.'))
                        .as_str()
                        .to_owned();
                    if aliases.len() < MAX_ALIASES && !aliases.contains(&alias) {
                        aliases.push(alias);
                    }
                }
            }
            Ok(Resolved {
                addresses,
                aliases,
                server,
            })
        })
    }

    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, Result<BoxStream, DialError>> {
        Box::pin(async move {
            let stream = TcpStream::connect(to)
                .await
                .map_err(|error| dial_error(&error))?;
            let _ = stream.set_nodelay(true);
            Ok(Box::new(stream) as BoxStream)
        })
    }
}

fn dns_error(error: &NetError, server: Option<String>) -> DnsError {
    let code = match error {
        NetError::Dns(WireError::NoRecordsFound(none)) => none.response_code,
        NetError::Dns(WireError::ResponseCode(code)) => *code,
        NetError::Timeout => return DnsError::Timeout { server },
        NetError::Io(io) if io.kind() == io::ErrorKind::TimedOut => {
            return DnsError::Timeout { server };
        }
        other => {
            return DnsError::Other {
                text: Excerpt::new(&other.to_string()).as_str().to_owned(),
                server,
            };
        }
    };
    match code {
        ResponseCode::NXDomain => DnsError::NxDomain { server },
        ResponseCode::NoError => DnsError::NoData { server },
        ResponseCode::ServFail => DnsError::ServFail { server },
        other => DnsError::Other {
            text: other.to_string(),
            server,
        },
    }
}

fn dial_error(error: &io::Error) -> DialError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => DialError::Refused,
        io::ErrorKind::TimedOut => DialError::TimedOut,
        io::ErrorKind::HostUnreachable => DialError::NoRoute,
        io::ErrorKind::NetworkUnreachable => DialError::NetUnreachable,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => DialError::Reset,
        _ => DialError::Other(error.to_string()),
    }
}

/// Why a file of certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaFileError {
    /// It cannot be read.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is larger than any bundle.
    #[error("`{}` is larger than 4 MiB", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It holds something that is neither PEM nor DER.
    #[error("`{}` holds no certificate in PEM or DER form", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
}

/// Reads certificates of authorities from a file, PEM (several) or DER (one).
pub fn read_ca_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, CaFileError> {
    let unreadable = |source| CaFileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_CA_FILE {
        return Err(CaFileError::TooLarge {
            path: path.to_owned(),
        });
    }
    let content = std::fs::read(path).map_err(unreadable)?;
    let none = || CaFileError::NoCertificate {
        path: path.to_owned(),
    };
    let found: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&content)
        .collect::<Result<_, _>>()
        .map_err(|_| none())?;
    if !found.is_empty() {
        return Ok(found);
    }
    // A certificate in DER is a sequence with a length in two bytes.
    let is_der = content.starts_with(&[0x30, 0x82]);
    if is_der {
        Ok(vec![CertificateDer::from(content)])
    } else {
        Err(none())
    }
}

/// Why the files of a client certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientFileError {
    /// One cannot be read.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What they hold cannot be used.
    #[error("`{}` is no client certificate", path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        source: ClientCertificateError,
    },
}

/// Reads a client certificate and its key, PEM both; they may stand in one file.
pub fn read_client_certificate(
    certificate: &Path,
    key: &Path,
) -> Result<ClientCertificate, ClientFileError> {
    let bytes = |path: &Path| {
        let mut bytes = Vec::new();
        let read = std::fs::File::open(path)
            .and_then(|file| file.take(MAX_CA_FILE).read_to_end(&mut bytes));
        read.map(|_| bytes)
            .map_err(|source| ClientFileError::Unreadable {
                path: path.to_owned(),
                source,
            })
    };
    let from = certificate.display().to_string();
    ClientCertificate::from_pem(&bytes(certificate)?, &bytes(key)?, &from).map_err(|source| {
        ClientFileError::Unusable {
            path: certificate.to_owned(),
            source,
        }
    })
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, UdpSocket};

    use super::*;

    /// A name server that answers every question with this code and these records.
    async fn server(code: u8, records: Vec<Vec<u8>>) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut query = [0; 512];
            while let Ok((length, peer)) = socket.recv_from(&mut query).await {
                // The question ends with the root label and four bytes of type and class.
                let end = 12
                    + query[12..length]
                        .iter()
                        .position(|byte| *byte == 0)
                        .unwrap()
                    + 5;
                let is_a = query[end - 3] == 1;
                let records = if is_a { records.clone() } else { Vec::new() };
                let mut answer = query[..end].to_vec();
                answer[2..12].copy_from_slice(&[
                    0x81,
                    0x80 | code,
                    0,
                    1,
                    0,
                    records.len() as u8,
                    0,
                    0,
                    0,
                    0,
                ]);
                answer.extend(records.concat());
                let _ = socket.send_to(&answer, peer).await;
            }
        });
        address
    }

    fn name(text: &str) -> Vec<u8> {
        let labels = text
            .split('.')
            .flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
        labels.chain([0]).collect()
    }

    fn record(owner: &str, kind: u8, data: &[u8]) -> Vec<u8> {
        [
            &name(owner)[..],
            &[0, kind, 0, 1, 0, 0, 0, 60, 0, data.len() as u8],
            data,
        ]
        .concat()
    }

    async fn ask(server: SocketAddr) -> Result<Resolved, DnsError> {
        let mut net = SystemNet::new(Some(server));
        net.timeout = Duration::from_millis(300);
        net.resolve(&Host::parse("r.example").unwrap()).await
    }

    #[tokio::test]
    async fn answers_of_a_name_server() {
        let address = server(
            0,
            vec![
                record("r.example", 5, &name("real.example")),
                record("real.example", 1, &[10, 0, 0, 9]),
            ],
        )
        .await;
        let resolved = ask(address).await.unwrap();
        assert_eq!(resolved.addresses, ["10.0.0.9".parse::<IpAddr>().unwrap()]);
        assert_eq!(resolved.aliases, ["real.example"]);
        assert_eq!(resolved.server, Some(address.to_string()));
    }

    #[tokio::test]
    async fn each_way_in_which_a_name_fails() {
        let at = |address: SocketAddr| Some(address.to_string());
        let address = server(3, vec![]).await;
        assert_eq!(
            ask(address).await,
            Err(DnsError::NxDomain {
                server: at(address)
            })
        );
        let address = server(2, vec![]).await;
        assert_eq!(
            ask(address).await,
            Err(DnsError::ServFail {
                server: at(address)
            })
        );
        let address = server(0, vec![]).await;
        assert_eq!(
            ask(address).await,
            Err(DnsError::NoData {
                server: at(address)
            })
        );
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        assert_eq!(
            ask(address).await,
            Err(DnsError::Timeout {
                server: at(address)
            })
        );
    }

    #[tokio::test]
    async fn a_closed_port_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        assert!(SystemNet::new(None).dial(open).await.is_ok());
        drop(listener);
        assert_eq!(
            SystemNet::new(None).dial(open).await.err(),
            Some(DialError::Refused)
        );
    }

    #[test]
    fn files_of_certificates() {
        let folder = std::env::temp_dir().join(format!("pullcheck-ca-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["ca".into()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let write = |name: &str, content: &[u8]| {
            let path = folder.join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let pem = certificate.pem();
        assert_eq!(
            read_ca_file(&write("two.pem", format!("{pem}{pem}").as_bytes()))
                .unwrap()
                .len(),
            2
        );
        assert_eq!(
            read_ca_file(&write("one.der", certificate.der()))
                .unwrap()
                .len(),
            1
        );
        assert!(matches!(
            read_ca_file(&write("none", b"hello")),
            Err(CaFileError::NoCertificate { .. })
        ));
        assert!(matches!(
            read_ca_file(&folder.join("absent")),
            Err(CaFileError::Unreadable { .. })
        ));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
