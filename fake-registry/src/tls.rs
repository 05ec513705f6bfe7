//! Certificates of a run: a CA of our own, and a leaf for each host name, made when first asked for.
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
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{ServerConfig, server::ServerSessionMemoryCache};

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
    issuer: Issuer<'static, KeyPair>,
    ca_der: CertificateDer<'static>,
    ca_pem: String,
    configs: Mutex<BTreeMap<String, Arc<ServerConfig>>>,
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
    pub(crate) fn new(clock: Clock, seed: Option<u64>) -> Result<Self, TlsError> {
        let failed = |source| TlsError::Certificate {
            host: "the CA".into(),
            source,
        };
        let key = key_pair(seed, "ca").map_err(failed)?;
        let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
        params
            .distinguished_name
            .push(DnType::OrganizationName, "fake-registry");
        params
            .distinguished_name
            .push(DnType::CommonName, "fake-registry CA of one run");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.serial_number = Some(SerialNumber::from(1_u64));
        set_dates(&mut params, clock);
        let ca = params.self_signed(&key).map_err(failed)?;
        Ok(Self {
            provider: Arc::new(default_provider()),
            clock,
            seed,
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

    /// The configuration for one host name, or IP address.
    pub(crate) fn config(&self, host: &str) -> Result<Arc<ServerConfig>, TlsError> {
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = configs.get(host) {
            return Ok(config.clone());
        }
        let config = Arc::new(self.make_config(host)?);
        if configs.len() >= MAX_LEAVES {
            configs.clear();
        }
        configs.insert(host.to_owned(), config.clone());
        Ok(config)
    }

    fn make_config(&self, host: &str) -> Result<ServerConfig, TlsError> {
        let failed = |source| TlsError::Certificate {
            host: host.to_owned(),
            source,
        };
        let key = key_pair(self.seed, "leaf").map_err(failed)?;
        let mut params = CertificateParams::new(vec![host.to_owned()]).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, host);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.serial_number = Some(SerialNumber::from(2_u64));
        params.use_authority_key_identifier_extension = true;
        set_dates(&mut params, self.clock);
        let leaf = params.signed_by(&key, &self.issuer).map_err(failed)?;
        let failed = |source| TlsError::Config {
            host: host.to_owned(),
            source,
        };
        let chain = vec![leaf.der().clone(), self.ca_der.clone()];
        let private = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let certified = CertifiedKey::from_der(chain, private, &self.provider).map_err(failed)?;
        let time: Arc<dyn TimeProvider> = Arc::new(Wall(self.clock));
        let mut config = ServerConfig::builder_with_details(self.provider.clone(), time)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
        config.session_storage = ServerSessionMemoryCache::new(1024);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// Whether a name can stand in a certificate.
pub(crate) fn is_host(name: &str) -> bool {
    let name_like = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let is_name = !name.is_empty() && name.len() <= 253 && name.bytes().all(name_like);
    is_name || name.parse::<IpAddr>().is_ok()
}

fn set_dates(params: &mut CertificateParams, clock: Clock) {
    let start = u64::try_from(clock.now().as_second()).unwrap_or_default();
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(start).saturating_sub(VALID_BEFORE);
    params.not_after = epoch + Duration::from_secs(start) + VALID_FOR;
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
