//! The client's side of a certificate: shown to a server that asks for it, and only then.
//!
//! Keeps whether it was asked, so that "wants a client certificate" and "refuses this one" stay apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;

use super::x509;
use crate::evidence::ClientShown;
use crate::world::ClientCertificate;

/// What one handshake may show, and whether it was asked for.
#[derive(Debug)]
pub(crate) struct Shown {
    key: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl Shown {
    pub(crate) fn new(
        client: Option<&ClientCertificate>,
        provider: &CryptoProvider,
    ) -> Result<Self, String> {
        let key = match client {
            None => None,
            Some(client) => {
                let key = provider.key_provider.load_private_key(client.key());
                let key = key.map_err(|_| "the key of the client certificate cannot be used")?;
                Some(Arc::new(CertifiedKey::new(client.chain().to_vec(), key)))
            }
        };
        Ok(Self {
            key,
            asked: AtomicBool::new(false),
        })
    }

    /// What came of it; none if the server did not ask.
    pub(crate) fn told(&self) -> Option<ClientShown> {
        if !self.asked.load(Ordering::Relaxed) {
            return None;
        }
        let leaf = self.key.as_ref().and_then(|key| key.cert.first());
        Some(match leaf {
            Some(leaf) => ClientShown::Certificate {
                subject: x509::read(leaf).subject,
            },
            None => ClientShown::Nothing,
        })
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}
