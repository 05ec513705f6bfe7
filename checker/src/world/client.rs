//! A client certificate, for registries that want one.
//!
//! Certificates and key come in as PEM, as runtimes have them in files. The key goes to the TLS library and nowhere
//! else; nothing prints it.

use std::fmt;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A chain and its key.
#[derive(Clone)]
pub struct ClientCertificate(Arc<Inner>);

struct Inner {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    from: Box<str>,
}

/// Why a client certificate cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientCertificateError {
    /// There is no certificate.
    #[error("no certificate in PEM form")]
    NoCertificate,
    /// There is no key.
    #[error("no private key in PEM form without a password")]
    NoKey,
    /// The key is of a kind that cannot be used.
    #[error("a private key that the TLS library does not take")]
    UnusableKey,
    /// The two do not belong together.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
}

impl ClientCertificate {
    /// Reads a chain (the client's own certificate first) and its key; `from` names the file in answers.
    pub fn from_pem(
        certificates: &[u8],
        key: &[u8],
        from: &str,
    ) -> Result<Self, ClientCertificateError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<_, _>>()
            .map_err(|_| ClientCertificateError::NoCertificate)?;
        if chain.is_empty() {
            return Err(ClientCertificateError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| ClientCertificateError::NoKey)?;
        let signing = rustls::crypto::ring::sign::any_supported_type(&key)
            .map_err(|_| ClientCertificateError::UnusableKey)?;
        let certified = rustls::sign::CertifiedKey::new(chain.clone(), signing);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(_) => return Err(ClientCertificateError::Mismatch),
        }
        let from = from.into();
        Ok(Self(Arc::new(Inner { chain, key, from })))
    }

    /// The chain.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.chain
    }

    /// The name of the file.
    pub fn from(&self) -> &str {
        &self.0.from
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        self.0.key.clone_key()
    }
}

impl PartialEq for ClientCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.chain == other.0.chain
    }
}

impl Eq for ClientCertificate {}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientCertificate({})", self.0.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_and_what_is_not() {
        let make = || {
            let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
            let certificate = rcgen::CertificateParams::new(vec!["me".into()])
                .unwrap()
                .self_signed(&key)
                .unwrap();
            (certificate.pem(), key.serialize_pem())
        };
        let ((certificate, key), (_, other)) = (make(), make());
        let read = |certificate: &str, key: &str| {
            ClientCertificate::from_pem(certificate.as_bytes(), key.as_bytes(), "client.cert")
        };
        let good = read(&certificate, &key).unwrap();
        assert_eq!(good.chain().len(), 1);
        assert_eq!(format!("{good:?}"), "ClientCertificate(client.cert)");
        let table = [
            (read("", &key), ClientCertificateError::NoCertificate),
            (read(&certificate, ""), ClientCertificateError::NoKey),
            (
                read(&certificate, &certificate),
                ClientCertificateError::NoKey,
            ),
            (read(&certificate, &other), ClientCertificateError::Mismatch),
        ];
        for (got, want) in table {
            assert_eq!(got.err(), Some(want));
        }
    }
}
