//! Randomness with a seed: identifiers and probabilities of a run, the same in every run.
//!
//! splitmix64, which is small, has no state beyond a counter and is good enough for names.
//! Keys are not made here unless the run was given a seed on purpose.

use std::sync::{Mutex, PoisonError};

/// A generator that is shared by reference.
#[derive(Debug)]
pub(crate) struct Random {
    state: Mutex<u64>,
}

impl Random {
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        Self {
            state: Mutex::new(derive(seed, purpose)),
        }
    }

    pub(crate) fn next(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        step(&mut state)
    }

    /// A number in `0.0..1.0`.
    pub(crate) fn fraction(&self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A version 4 GUID, lower case.
    pub(crate) fn guid(&self) -> String {
        guid(self.next(), self.next())
    }
}

/// A GUID that depends on its name alone.
pub(crate) fn named_guid(seed: u64, name: &str) -> String {
    let mut state = derive(seed, name);
    guid(step(&mut state), step(&mut state))
}

/// 32 bytes that depend on seed and purpose.
pub(crate) fn key(seed: u64, purpose: &str) -> [u8; 32] {
    let mut hash = <sha2::Sha256 as sha2::Digest>::new();
    sha2::Digest::update(&mut hash, seed.to_le_bytes());
    sha2::Digest::update(&mut hash, purpose.as_bytes());
    sha2::Digest::finalize(hash).into()
}

/// A start value from a seed and a purpose.
pub(crate) fn derive(seed: u64, purpose: &str) -> u64 {
    // FNV-1a over the purpose, mixed with the seed.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ seed;
    for byte in purpose.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    step(&mut hash)
}

pub(crate) fn step(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut value = *state;
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn guid(high: u64, low: u64) -> String {
    let high = (high & !0xf000) | 0x4000;
    let low = (low & !(0b11 << 62)) | (0b10 << 62);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}
