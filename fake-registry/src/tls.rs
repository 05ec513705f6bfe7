//! Certificates of a run: a CA of our own, and a leaf for each host name, made when first asked for,
//! good or bad as the host's mode wants it.
//!
//! Ed25519 throughout, because its signatures all have one length and simulated transfer times
//! then do not depend on keys. Serial numbers are fixed and dates come from the clock handed in.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, SerialNumber, date_time_ymd,
};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{RootCertStore, ServerConfig, server::ServerSessionMemoryCache};

use crate::clock::Clock;
use crate::keys;

/// How long certificates are good for, and how long before the start they already were.
const VALID_FOR: Duration = Duration::from_hours(24 * 365);
const VALID_BEFORE: Duration = Duration::from_hours(24);
/// Host names come from clients; no more than this many certificates are kept.
const MAX_LEAVES: usize = 4096;

pub(crate) struct Tls {
    provider: Arc<CryptoProvider>,
    clock: Clock,
    seed: Option<u64>,
    /// Beside the host's own, in every certificate.
    names: Vec<String>,
    issuer: Issuer<'static, KeyPair>,
    ca_der: CertificateDer<'static>,
    ca_pem: String,
    configs: Mutex<Configs>,
}

#[derive(Default)]
struct Configs {
    modes: BTreeMap<String, TlsMode>,
    made: BTreeMap<String, Arc<ServerConfig>>,
}

/// What is wrong with the TLS of a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TlsMode {
    /// Nothing.
    #[default]
    Valid,
    /// The certificate ran out a day before it was first asked for.
    Expired,
    /// The certificate is good from tomorrow.
    NotYetValid,
    /// The certificate is for `elsewhere.invalid`.
    WrongName,
    /// The certificate is signed by its own key.
    SelfSigned,
    /// The certificate is from a CA that nobody has heard of.
    UnknownCa,
    /// The certificate is from an intermediate CA that the server does not send.
    IncompleteChain,
    /// The server wants a certificate of the run's CA from the client.
    ClientCertificate,
    /// The server refuses every version of TLS (alert `protocol_version`).
    OldVersion,
    /// The server and the client have no cipher in common (alert `handshake_failure`).
    NoCipher,
    /// The server speaks plain HTTP on its TLS port.
    PlainHttp,
}

impl TlsMode {
    /// What a server says to a TLS handshake instead of going on with it.
    pub(crate) fn refusal(self) -> Option<&'static [u8]> {
        match self {
            Self::OldVersion => Some(&[21, 3, 1, 0, 2, 2, 70]),
            Self::NoCipher => Some(&[21, 3, 3, 0, 2, 2, 40]),
            Self::PlainHttp => Some(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request"),
            _ => None,
        }
    }
}

/// Certificates could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// By the certificate library.
    #[error("no certificate for `{host}`")]
    Certificate {
        /// The name it was for.
        host: String,
        /// What the library said.
        source: rcgen::Error,
    },
    /// By the TLS library.
    #[error("no TLS configuration for `{host}`")]
    Config {
        /// The name it was for.
        host: String,
        /// What the library said.
        source: rustls::Error,
    },
}

impl Tls {
    pub(crate) fn new(
        clock: Clock,
        seed: Option<u64>,
        authority: Option<&str>,
        names: Vec<String>,
    ) -> Result<Self, TlsError> {
        let failed = |source| TlsError::Certificate {
            host: "the CA".into(),
            source,
        };
        let key = key_pair(seed, "ca").map_err(failed)?;
        let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
        params
            .distinguished_name
            .push(DnType::OrganizationName, "fake-registry");
        params.distinguished_name.push(
            DnType::CommonName,
            authority.unwrap_or("fake-registry CA of one run"),
        );
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.serial_number = Some(SerialNumber::from(1_u64));
        set_dates(&mut params, clock);
        let ca = params.self_signed(&key).map_err(failed)?;
        Ok(Self {
            provider: Arc::new(default_provider()),
            clock,
            seed,
            names,
            ca_der: ca.der().clone(),
            ca_pem: ca.pem(),
            issuer: Issuer::new(params, key),
            configs: Mutex::default(),
        })
    }

    pub(crate) fn ca_der(&self) -> Vec<u8> {
        self.ca_der.to_vec()
    }

    pub(crate) fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    fn with_configs<T>(&self, work: impl FnOnce(&mut Configs) -> T) -> T {
        work(&mut self.configs.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_mode(&self, host: &str, mode: TlsMode) {
        self.with_configs(|configs| {
            configs.modes.insert(host.to_owned(), mode);
            configs.made.remove(host);
        });
    }

    pub(crate) fn mode(&self, host: &str) -> TlsMode {
        self.with_configs(|configs| configs.modes.get(host).copied().unwrap_or_default())
    }

    /// The configuration for one host name, or IP address.
    pub(crate) fn config(&self, host: &str) -> Result<Arc<ServerConfig>, TlsError> {
        let mode = self.mode(host);
        if let Some(config) = self.with_configs(|configs| configs.made.get(host).cloned()) {
            return Ok(config);
        }
        let config = Arc::new(self.make_config(host, mode)?);
        self.with_configs(|configs| {
            if configs.made.len() >= MAX_LEAVES {
                configs.made.clear();
            }
            configs.made.insert(host.to_owned(), config.clone());
        });
        Ok(config)
    }

    fn make_config(&self, host: &str, mode: TlsMode) -> Result<ServerConfig, TlsError> {
        let failed = |source| TlsError::Config {
            host: host.to_owned(),
            source,
        };
        let (key, chain) = self
            .chain(host, mode)
            .map_err(|source| TlsError::Certificate {
                host: host.to_owned(),
                source,
            })?;
        let private = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let certified = CertifiedKey::from_der(chain, private, &self.provider).map_err(failed)?;
        let time: Arc<dyn TimeProvider> = Arc::new(Wall(self.clock));
        let builder = ServerConfig::builder_with_details(self.provider.clone(), time)
            .with_safe_default_protocol_versions()
            .map_err(failed)?;
        let builder = if mode == TlsMode::ClientCertificate {
            let mut roots = RootCertStore::empty();
            roots.add(self.ca_der.clone()).map_err(failed)?;
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), self.provider.clone());
            let verifier = verifier
                .build()
                .map_err(|error| failed(rustls::Error::General(error.to_string())))?;
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.session_storage = ServerSessionMemoryCache::new(1024);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// A key and the certificates that a server shows for it.
    fn chain(
        &self,
        host: &str,
        mode: TlsMode,
    ) -> Result<(KeyPair, Vec<CertificateDer<'static>>), rcgen::Error> {
        let key = key_pair(self.seed, "leaf")?;
        let name = if mode == TlsMode::WrongName {
            "elsewhere.invalid"
        } else {
            host
        };
        let mut names = vec![name.to_owned()];
        if mode != TlsMode::WrongName {
            let others = self.names.iter().filter(|other| *other != name);
            names.extend(others.cloned());
        }
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.serial_number = Some(SerialNumber::from(2_u64));
        params.use_authority_key_identifier_extension = mode != TlsMode::SelfSigned;
        let day = Duration::from_hours(24);
        let now =
            Duration::from_secs(u64::try_from(self.clock.now().as_second()).unwrap_or_default());
        match mode {
            TlsMode::Expired => set_period(
                &mut params,
                now.saturating_sub(60 * day),
                now.saturating_sub(day),
            ),
            TlsMode::NotYetValid => set_period(&mut params, now + day, now + 60 * day),
            _ => set_dates(&mut params, self.clock),
        }
        let chain = match mode {
            TlsMode::SelfSigned => vec![params.self_signed(&key)?.der().clone()],
            TlsMode::UnknownCa => {
                let (issuer, ca) = self.other_ca("other-ca", None)?;
                vec![params.signed_by(&key, &issuer)?.der().clone(), ca]
            }
            TlsMode::IncompleteChain => {
                let (issuer, _) = self.other_ca("intermediate-ca", Some(&self.issuer))?;
                vec![params.signed_by(&key, &issuer)?.der().clone()]
            }
            _ => vec![
                params.signed_by(&key, &self.issuer)?.der().clone(),
                self.ca_der.clone(),
            ],
        };
        Ok((key, chain))
    }

    /// A certificate for a client, and its key, both PEM.
    pub(crate) fn client(&self, name: &str) -> Result<(String, String), TlsError> {
        let made = || {
            let key = key_pair(self.seed, "client")?;
            let mut params = CertificateParams::new(Vec::new())?;
            params.distinguished_name.push(DnType::CommonName, name);
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            params.serial_number = Some(SerialNumber::from(4_u64));
            params.use_authority_key_identifier_extension = true;
            set_dates(&mut params, self.clock);
            let certificate = params.signed_by(&key, &self.issuer)?;
            Ok((certificate.pem(), key.serialize_pem()))
        };
        made().map_err(|source| TlsError::Certificate {
            host: name.to_owned(),
            source,
        })
    }

    /// Another CA, of its own or below the run's.
    fn other_ca(
        &self,
        name: &str,
        above: Option<&Issuer<'static, KeyPair>>,
    ) -> Result<(Issuer<'static, KeyPair>, CertificateDer<'static>), rcgen::Error> {
        let key = key_pair(self.seed, name)?;
        let mut params = CertificateParams::new(Vec::new())?;
        params
            .distinguished_name
            .push(DnType::CommonName, format!("fake-registry {name}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.serial_number = Some(SerialNumber::from(3_u64));
        set_dates(&mut params, self.clock);
        let certificate = match above {
            Some(issuer) => params.signed_by(&key, issuer)?,
            None => params.self_signed(&key)?,
        };
        let der = certificate.der().clone();
        Ok((Issuer::new(params, key), der))
    }
}

/// Whether a name can stand in a certificate.
pub(crate) fn is_host(name: &str) -> bool {
    let name_like = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let is_name = !name.is_empty() && name.len() <= 253 && name.bytes().all(name_like);
    is_name || name.parse::<IpAddr>().is_ok()
}

fn set_dates(params: &mut CertificateParams, clock: Clock) {
    let now = Duration::from_secs(u64::try_from(clock.now().as_second()).unwrap_or_default());
    set_period(params, now.saturating_sub(VALID_BEFORE), now + VALID_FOR);
}

/// From and until, as time since 1970.
fn set_period(params: &mut CertificateParams, from: Duration, until: Duration) {
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + from;
    params.not_after = epoch + until;
}

fn key_pair(seed: Option<u64>, purpose: &str) -> Result<KeyPair, rcgen::Error> {
    // PKCS #8 version 1 around a 32-byte Ed25519 seed (RFC 8410).
    let mut der = vec![
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    der.extend(keys::secret(seed, purpose));
    KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(der), &PKCS_ED25519)
}

#[derive(Debug)]
struct Wall(Clock);

impl TimeProvider for Wall {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}
