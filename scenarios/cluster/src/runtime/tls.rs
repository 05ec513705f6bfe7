//! TLS as Go's client does it: who is trusted, in which order a certificate is judged, and what the
//! refusal is called.
//!
//! rustls does the work; only the order (expiry, then name, then trust) and the words are Go's. Dates
//! come from the simulation's clock.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::error::TransportError;
use crate::clock::{Clock, rfc3339_seconds};

/// A client configuration that trusts these certificates (DER) and nothing else. What is no certificate
/// is left out, as a bundle with a damaged entry is read.
pub(crate) fn client_config(trusted: &[Vec<u8>], clock: Clock) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for der in trusted {
        let _ = roots.add(CertificateDer::from(der.clone()));
    }
    let verifier = Arc::new(GoVerifier::new(roots, &provider));
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(WallTime(clock)))
        .with_safe_default_protocol_versions()
        .expect("ring speaks the default versions")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

#[derive(Debug)]
struct WallTime(Clock);

impl TimeProvider for WallTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// rustls' own verifier, with Go's order of complaints.
struct GoVerifier {
    /// None when nothing is trusted, which rustls' builder refuses.
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for GoVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoVerifier").finish_non_exhaustive()
    }
}

impl GoVerifier {
    fn new(roots: RootCertStore, provider: &Arc<CryptoProvider>) -> Self {
        let inner =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
                .build()
                .ok();
        Self {
            inner,
            provider: Arc::clone(provider),
        }
    }
}

impl ServerCertVerifier for GoVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = match &self.inner {
            Some(inner) => inner.verify_server_cert(end_entity, intermediates, name, ocsp, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        match verdict {
            // webpki looks for the issuer first, Go for the name.
            Err(Error::InvalidCertificate(problem)) if !is_date(&problem) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
                Err(problem.into())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn is_date(problem: &CertificateError) -> bool {
    matches!(
        problem,
        CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
    )
}

/// The failure of a handshake in Go's words.
pub(crate) fn describe(error: &Error, name: &str, clock: &Clock) -> TransportError {
    match error {
        Error::InvalidCertificate(problem) => {
            TransportError::Certificate(certificate(problem, name, clock))
        }
        Error::AlertReceived(alert) => {
            TransportError::Tls(format!("remote error: tls: {}", alert_text(*alert)))
        }
        Error::InvalidMessage(_) => {
            TransportError::Tls("tls: first record does not look like a TLS handshake".to_owned())
        }
        Error::PeerIncompatible(_) => {
            TransportError::Tls("tls: server selected unsupported protocol version 301".to_owned())
        }
        other => TransportError::Tls(format!("tls: {other}")),
    }
}

/// What the other side objected to, if it said so.
pub(crate) fn alert(error: &Error) -> Option<TransportError> {
    match error {
        Error::AlertReceived(alert) => Some(TransportError::Tls(format!(
            "remote error: tls: {}",
            alert_text(*alert)
        ))),
        _ => None,
    }
}

fn certificate(problem: &CertificateError, name: &str, clock: &Clock) -> String {
    let expired = "x509: certificate has expired or is not yet valid: current time";
    match problem {
        CertificateError::ExpiredContext { time, not_after } => {
            format!("{expired} {} is after {}", date(*time), date(*not_after))
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            format!("{expired} {} is before {}", date(*time), date(*not_before))
        }
        CertificateError::Expired | CertificateError::NotValidYet => {
            format!(
                "{expired} {} is after an unknown date",
                rfc3339_seconds(clock.now())
            )
        }
        CertificateError::NotValidForNameContext { presented, .. } => wrong_name(presented, name),
        CertificateError::NotValidForName => wrong_name(&[], name),
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "x509: certificate signed by unknown authority".to_owned()
        }
        CertificateError::BadEncoding => "x509: malformed certificate".to_owned(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "x509: certificate specifies an incompatible key usage".to_owned()
        }
        other => format!("x509: {other}"),
    }
}

/// `presented` are rustls' prints of alternative names: `DnsName("a.example")`, `IpAddress(10.0.0.1)`.
fn wrong_name(presented: &[String], name: &str) -> String {
    let inner = |kind: &str| -> Vec<String> {
        presented
            .iter()
            .filter_map(|p| p.strip_prefix(kind)?.strip_suffix(')'))
            .map(|p| p.trim_matches('"').to_owned())
            .collect()
    };
    let is_address = name.parse::<std::net::IpAddr>().is_ok();
    let valid = inner(if is_address { "IpAddress(" } else { "DnsName(" });
    match (is_address, valid.as_slice()) {
        (true, []) => format!(
            "x509: cannot validate certificate for {name} because it doesn't contain any IP SANs"
        ),
        (false, []) => {
            format!("x509: certificate is not valid for any names, but wanted to match {name}")
        }
        (_, names) => format!(
            "x509: certificate is valid for {}, not {name}",
            names.join(", ")
        ),
    }
}

fn date(time: UnixTime) -> String {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|s| Timestamp::from_second(s).ok())
        .map_or_else(|| time.as_secs().to_string(), rfc3339_seconds)
}

fn alert_text(alert: rustls::AlertDescription) -> &'static str {
    use rustls::AlertDescription as A;
    match alert {
        A::HandshakeFailure => "handshake failure",
        A::BadCertificate => "bad certificate",
        A::UnsupportedCertificate => "unsupported certificate",
        A::CertificateRevoked => "revoked certificate",
        A::CertificateExpired => "expired certificate",
        A::CertificateUnknown => "unknown certificate",
        A::IllegalParameter => "illegal parameter",
        A::UnknownCA => "unknown certificate authority",
        A::AccessDenied => "access denied",
        A::DecodeError => "error decoding message",
        A::DecryptError => "error decrypting message",
        A::ProtocolVersion => "protocol version not supported",
        A::InsufficientSecurity => "insufficient security level",
        A::InternalError => "internal error",
        A::UserCanceled => "user canceled",
        A::UnrecognisedName => "unrecognized name",
        A::CertificateRequired => "certificate required",
        A::NoApplicationProtocol => "no application protocol",
        A::UnexpectedMessage => "unexpected message",
        A::BadRecordMac => "bad record MAC",
        _ => "unknown alert",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_go_words() {
        let dns = [
            "DnsName(\"a.example\")".to_owned(),
            "DnsName(\"b.example\")".to_owned(),
        ];
        let table: [(&[String], &str, &str); 4] = [
            (
                &dns,
                "c.example",
                "x509: certificate is valid for a.example, b.example, not c.example",
            ),
            (
                &dns,
                "10.0.0.1",
                "x509: cannot validate certificate for 10.0.0.1 because it doesn't contain any IP SANs",
            ),
            (
                &["IpAddress(10.0.0.2)".to_owned()],
                "10.0.0.1",
                "x509: certificate is valid for 10.0.0.2, not 10.0.0.1",
            ),
            (
                &[],
                "c.example",
                "x509: certificate is not valid for any names, but wanted to match c.example",
            ),
        ];
        for (presented, name, want) in table {
            assert_eq!(wrong_name(presented, name), want);
        }
    }
}
