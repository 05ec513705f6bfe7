//! The secrets of a run: what tokens and addresses are signed with.
//!
//! Random, unless the run was given a seed, in which case everything is reproducible and nothing
//! is secret. One key a purpose, so that a signature for one thing never passes for another.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use crate::random;

pub(crate) struct Keys {
    address: hmac::Key,
    token: hmac::Key,
}

impl Keys {
    pub(crate) fn new(seed: Option<u64>) -> Self {
        let key = |purpose: &str| hmac::Key::new(hmac::HMAC_SHA256, &secret(seed, purpose));
        Self {
            address: key("address"),
            token: key("token"),
        }
    }

    pub(crate) fn sign_address(&self, host: &str, path: &str, until: i64) -> String {
        let tag = hmac::sign(&self.address, format!("{host}\n{path}\n{until}").as_bytes());
        URL_SAFE_NO_PAD.encode(tag)
    }

    pub(crate) fn address_is_signed(
        &self,
        host: &str,
        path: &str,
        until: i64,
        signature: &str,
    ) -> bool {
        let message = format!("{host}\n{path}\n{until}");
        URL_SAFE_NO_PAD
            .decode(signature)
            .is_ok_and(|tag| hmac::verify(&self.address, message.as_bytes(), &tag).is_ok())
    }

    pub(crate) fn sign_token(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.token, text.as_bytes()))
    }

    pub(crate) fn token_is_signed(&self, text: &str, signature: &str) -> bool {
        URL_SAFE_NO_PAD
            .decode(signature)
            .is_ok_and(|tag| hmac::verify(&self.token, text.as_bytes(), &tag).is_ok())
    }
}

/// 32 bytes for one purpose.
pub(crate) fn secret(seed: Option<u64>, purpose: &str) -> [u8; 32] {
    if let Some(seed) = seed {
        return random::key(seed, purpose);
    }
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the system gives random bytes");
    bytes
}

/// A text that is not to be seen.
#[derive(Clone, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(pub(crate) String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}
