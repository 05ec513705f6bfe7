//! TLS above the seam: rustls on ring, dates from the wall clock handed in, roots from the place's trust.
//!
//! A recording verifier keeps the chain as served, so that a refused certificate can still be described. It
//! never accepts what the inner verifier refuses; only [`Verify::NotAtAll`] does, for runtimes' rule that local
//! registries are not verified.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error,
    PeerIncompatible, RootCertStore, SignatureScheme,
};
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::shown::Shown;
use super::watched::{Received, Watched};
use super::{Excerpt, x509};
use crate::evidence::{Certificate, ClientShown, TlsFailure};
use crate::reference::Host;
use crate::world::{BoxStream, ClientCertificate, Trust};

/// How long a server has to refuse a client's certificate.
const JUDGED: Duration = Duration::from_millis(300);
/// How much of a chain is kept.
const MAX_CHAIN: usize = 10;

/// Whether a certificate is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verify {
    Fully,
    NotAtAll,
}

/// What is offered: TLS versions, and the protocol above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    Both,
    Only12,
    Only13,
    /// Both versions, and HTTP/2 beside HTTP/1.1, as runtimes offer it. Nothing can be asked over it.
    Http2,
}

/// How one handshake is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How<'a> {
    pub(crate) verify: Verify,
    pub(crate) offer: Offer,
    /// Shown to a server that asks for one.
    pub(crate) client: Option<&'a ClientCertificate>,
}

impl How<'_> {
    pub(crate) const fn verified(verify: Verify) -> Self {
        Self {
            verify,
            offer: Offer::Both,
            client: None,
        }
    }
}

/// Makes handshakes for one place.
#[derive(Clone)]
pub(crate) struct Tls {
    provider: Arc<CryptoProvider>,
    verifier: Result<Arc<dyn ServerCertVerifier>, String>,
}

/// A completed handshake.
pub(crate) struct Handshake {
    pub(crate) stream: BoxStream,
    pub(crate) version: &'static str,
    pub(crate) alpn: Option<Box<str>>,
    pub(crate) chain: Vec<Certificate>,
    /// What came of a wish for a client certificate.
    pub(crate) client: Option<ClientShown>,
}

impl Tls {
    /// Reads the trusted roots; for the platform's this touches the file system.
    pub(crate) fn new(trust: &Trust) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = verifier(trust, &provider);
        Self { provider, verifier }
    }

    pub(crate) async fn handshake(
        &self,
        stream: BoxStream,
        host: &Host,
        how: How<'_>,
        deadline: Duration,
        now: Timestamp,
    ) -> Result<Handshake, (TlsFailure, Vec<Certificate>)> {
        let fail = |text: &str| {
            (
                TlsFailure::Other {
                    text: Excerpt::new(text),
                },
                Vec::new(),
            )
        };
        let name = match (host.name(), host.address()) {
            (Some(name), _) => {
                ServerName::try_from(name.to_owned()).map_err(|error| fail(&error.to_string()))?
            }
            (None, Some(address)) => ServerName::IpAddress(address.into()),
            (None, None) => return Err(fail("a host without name and address")),
        };
        let recorder = Arc::new(Recorder {
            inner: match how.verify {
                Verify::Fully => Some(self.verifier.clone().map_err(|text| fail(&text))?),
                Verify::NotAtAll => None,
            },
            provider: self.provider.clone(),
            chain: Mutex::default(),
        });
        let shown = Arc::new(Shown::new(how.client, &self.provider).map_err(|text| fail(&text))?);
        let config = self
            .config(recorder.clone(), shown.clone(), how.offer, now)
            .map_err(|error| fail(&error.to_string()))?;
        let (stream, received) = Watched::new(stream);
        let outcome = timeout(
            deadline,
            TlsConnector::from(Arc::new(config)).connect(name, stream),
        )
        .await;
        let chain = recorder.chain();
        match outcome {
            Ok(Ok(mut stream)) => {
                if let Some(client) = shown.told() {
                    let verdict = on_the_client(&mut stream, &received, now).await;
                    verdict
                        .map_err(|reason| (about_client(reason, Some(&client)), chain.clone()))?;
                }
                let (_, session) = stream.get_ref();
                let version = match session.protocol_version() {
                    Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
                    _ => "TLSv1.3",
                };
                let alpn = session
                    .alpn_protocol()
                    .map(|name| Excerpt::from_bytes(name).as_str().into());
                Ok(Handshake {
                    stream: Box::new(stream),
                    version,
                    alpn,
                    chain,
                    client: shown.told(),
                })
            }
            Ok(Err(error)) => {
                let reason = early_reason(&error, &received, &chain, now);
                Err((about_client(reason, shown.told().as_ref()), chain))
            }
            Err(_) => Err((
                TlsFailure::Timeout {
                    received: received.count(),
                },
                chain,
            )),
        }
    }

    fn config(
        &self,
        recorder: Arc<Recorder>,
        shown: Arc<Shown>,
        offer: Offer,
        now: Timestamp,
    ) -> Result<ClientConfig, Error> {
        let time = Arc::new(Date(now));
        let versions: &[&'static rustls::SupportedProtocolVersion] = match offer {
            Offer::Both | Offer::Http2 => rustls::DEFAULT_VERSIONS,
            Offer::Only12 => &[&rustls::version::TLS12],
            Offer::Only13 => &[&rustls::version::TLS13],
        };
        let mut provider = self.provider.clone();
        if matches!(offer, Offer::Only12 | Offer::Only13) {
            // Else the greeting would name the suites of the version that is not offered.
            Arc::make_mut(&mut provider)
                .cipher_suites
                .retain(|suite| versions.contains(&suite.version()));
        }
        let mut config = ClientConfig::builder_with_details(provider, time)
            .with_protocol_versions(versions)?
            .dangerous()
            .with_custom_certificate_verifier(recorder)
            .with_client_cert_resolver(shown);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if offer == Offer::Http2 {
            config.alpn_protocols.insert(0, b"h2".to_vec());
        }
        Ok(config)
    }
}

/// The reason in an error of the handshake itself.
fn early_reason(
    error: &io::Error,
    received: &Received,
    chain: &[Certificate],
    now: Timestamp,
) -> TlsFailure {
    if received.looks_like_http() {
        return TlsFailure::PlainHttp;
    }
    if let Some(error) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>())
    {
        return reason(error, chain, now);
    }
    let received = received.count();
    match error.kind() {
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => TlsFailure::Reset { received },
        io::ErrorKind::UnexpectedEof => TlsFailure::Closed { received },
        io::ErrorKind::TimedOut => TlsFailure::Timeout { received },
        _ => TlsFailure::Other {
            text: Excerpt::new(&error.to_string()),
        },
    }
}

/// TLS 1.3 judges a client's certificate when the handshake is over on this side. A refusal is waited for before
/// anything is asked, since what is written to a connection that is being closed can hide it.
async fn on_the_client(
    stream: &mut TlsStream<Watched>,
    received: &Received,
    now: Timestamp,
) -> Result<(), TlsFailure> {
    let mut byte = [0_u8; 1];
    match timeout(JUDGED, stream.read(&mut byte)).await {
        // Nothing is said before something is asked.
        Err(_) => Ok(()),
        Ok(Ok(0)) => Err(TlsFailure::Closed {
            received: received.count(),
        }),
        Ok(Ok(_)) => Err(TlsFailure::Other {
            text: Excerpt::new("it speaks before it is asked"),
        }),
        Ok(Err(error)) => Err(early_reason(&error, received, &[], now)),
    }
}

/// A server that asked for a certificate, was shown none and refuses, wants one: TLS 1.2 has no word for that.
fn about_client(reason: TlsFailure, client: Option<&ClientShown>) -> TlsFailure {
    let refuses = matches!(
        reason,
        TlsFailure::ClientCertificateRefused { .. } | TlsFailure::Alert { .. }
    );
    match client {
        Some(ClientShown::Nothing) if refuses => TlsFailure::ClientCertificateRequired,
        _ => reason,
    }
}

/// The reason in a TLS error that came after the handshake: TLS 1.3 refuses a missing client certificate there.
pub(crate) fn late_reason(error: &Error, now: Timestamp) -> TlsFailure {
    reason(error, &[], now)
}

fn reason(error: &Error, chain: &[Certificate], now: Timestamp) -> TlsFailure {
    let leaf = chain.first();
    match error {
        Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                TlsFailure::Expired {
                    not_after: ended(chain, now),
                    now,
                }
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                TlsFailure::NotYetValid {
                    not_before: leaf.and_then(|leaf| leaf.not_before),
                    now,
                }
            }
            CertificateError::UnknownIssuer => TlsFailure::UnknownIssuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TlsFailure::NameMismatch
            }
            CertificateError::Revoked => TlsFailure::Revoked,
            other => TlsFailure::BadCertificate {
                text: Excerpt::new(&other.to_string()),
            },
        },
        Error::AlertReceived(
            AlertDescription::ProtocolVersion | AlertDescription::InsufficientSecurity,
        )
        | Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::Tls12NotOffered,
        ) => TlsFailure::VersionRefused,
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            TlsFailure::ClientCertificateRequired
        }
        // A server says these of a client's certificate alone.
        Error::AlertReceived(
            alert @ (AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied),
        ) => TlsFailure::ClientCertificateRefused {
            text: Excerpt::new(&format!("{alert:?}")),
        },
        Error::AlertReceived(AlertDescription::NoApplicationProtocol)
        | Error::NoApplicationProtocol => TlsFailure::NoProtocol,
        Error::AlertReceived(alert) => TlsFailure::Alert {
            text: Excerpt::new(&format!("{alert:?}")),
        },
        other => TlsFailure::Other {
            text: Excerpt::new(&other.to_string()),
        },
    }
}

/// The end of the certificate that has ended: usually the server's own, sometimes one above it.
fn ended(chain: &[Certificate], now: Timestamp) -> Option<Timestamp> {
    let over = chain
        .iter()
        .filter_map(|certificate| certificate.not_after)
        .find(|not_after| *not_after < now);
    over.or_else(|| chain.first().and_then(|leaf| leaf.not_after))
}

fn verifier(
    trust: &Trust,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    match trust {
        Trust::Platform { extra } => rustls_platform_verifier::Verifier::new_with_extra_roots(
            extra.iter().cloned(),
            provider.clone(),
        )
        .map(|verifier| Arc::new(verifier) as Arc<dyn ServerCertVerifier>)
        .map_err(|error| error.to_string()),
        Trust::Roots(roots) => {
            let mut store = RootCertStore::empty();
            let _ = store.add_parsable_certificates(roots.iter().cloned());
            if store.is_empty() {
                return Ok(Arc::new(TrustsNobody(provider.clone())));
            }
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone())
                .build()
                .map(|verifier| verifier as Arc<dyn ServerCertVerifier>)
                .map_err(|error| error.to_string())
        }
    }
}

/// The date at which a chain is judged.
#[derive(Debug)]
struct Date(Timestamp);

impl TimeProvider for Date {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// Keeps the chain, then asks the inner verifier.
struct Recorder {
    inner: Option<Arc<dyn ServerCertVerifier>>,
    provider: Arc<CryptoProvider>,
    chain: Mutex<Vec<Certificate>>,
}

impl Recorder {
    fn chain(&self) -> Vec<Certificate> {
        self.chain
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = std::iter::once(end_entity)
            .chain(intermediates)
            .take(MAX_CHAIN);
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) =
            chain.map(|der| x509::read(der)).collect();
        match &self.inner {
            Some(inner) => {
                inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A place without any trusted authority.
struct TrustsNobody(Arc<CryptoProvider>);

impl fmt::Debug for TrustsNobody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TrustsNobody")
    }
}

impl ServerCertVerifier for TrustsNobody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
