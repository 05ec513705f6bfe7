//! Time and chance of a simulation.
//!
//! There is one clock, tokio's; [`Clock`] lays wall time over it, so a paused runtime gives the
//! same dates in every run. Chance comes from one [`Seed`]: every purpose draws from a generator of
//! its own, so that a new consumer of chance does not shift what the others see.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Wall time at virtual second 0 when a cluster is not told otherwise: 2026-01-15T09:00:00Z.
pub const DEFAULT_START: i64 = 1_768_467_600;

/// The letters Kubernetes draws name suffixes from: no vowels, nothing that looks alike.
const SAFE_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Wall time of the simulation: a fixed date plus what tokio's clock has moved since.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base: Timestamp,
    start: Instant,
}

impl Clock {
    /// A clock that reads `base` at this very moment.
    pub fn starting_at(base: Timestamp) -> Self {
        Self {
            base,
            start: Instant::now(),
        }
    }

    /// The time since virtual second 0.
    pub fn elapsed(&self) -> Duration {
        Instant::now().saturating_duration_since(self.start)
    }

    /// The wall time now.
    pub fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }

    /// The wall time of a moment on tokio's clock.
    pub fn at(&self, moment: Instant) -> Timestamp {
        let elapsed = moment.saturating_duration_since(self.start);
        SignedDuration::try_from(elapsed)
            .ok()
            .and_then(|elapsed| self.base.checked_add(elapsed).ok())
            .unwrap_or(Timestamp::MAX)
    }

    /// The same clock, wrong by so much, as on a machine whose time was never set.
    #[must_use]
    pub fn shifted(self, by: SignedDuration) -> Self {
        let base = self.base.checked_add(by).unwrap_or(self.base);
        Self { base, ..self }
    }

    /// The wall time at virtual second 0.
    pub fn start(&self) -> Timestamp {
        self.base
    }

    /// Now, as most API fields want it: whole seconds, `2026-01-15T09:00:00Z`.
    pub fn seconds(&self) -> String {
        rfc3339_seconds(self.now())
    }

    /// Now, as `MicroTime` fields want it: six digits, `2026-01-15T09:00:00.000000Z`.
    pub fn micros(&self) -> String {
        rfc3339_micros(self.now())
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::starting_at(default_start())
    }
}

/// [`DEFAULT_START`] as a timestamp.
pub fn default_start() -> Timestamp {
    Timestamp::from_second(DEFAULT_START).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A date in whole seconds, cut and not rounded, as Kubernetes' `Time` prints it.
pub fn rfc3339_seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second().min(at.as_millisecond().div_euclid(1000)))
        .unwrap_or(at)
        .to_string()
}

/// A date with six digits of a second, as Kubernetes' `MicroTime` prints it.
pub fn rfc3339_micros(at: Timestamp) -> String {
    let micros = at.as_microsecond();
    let whole = Timestamp::from_second(micros.div_euclid(1_000_000)).unwrap_or(at);
    let text = whole.to_string();
    let text = text.strip_suffix('Z').unwrap_or(&text);
    format!("{text}.{:06}Z", micros.rem_euclid(1_000_000))
}

/// The one number that a run's chance comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seed(u64);

impl Seed {
    /// The seed with this number.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The number.
    pub const fn value(self) -> u64 {
        self.0
    }

    /// A seed of its own for one purpose or one part (a node, a controller).
    #[must_use]
    pub fn derive(self, purpose: &str) -> Self {
        // FNV-1a over the purpose, then mixed with the parent so that neither shows through.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in purpose.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let mut state = self.0 ^ hash.rotate_left(32);
        Self(splitmix(&mut state) ^ hash)
    }

    /// A generator for one purpose; the same seed and purpose give the same numbers.
    pub fn generator(self, purpose: &str) -> Generator {
        let mut state = self.derive(purpose).0;
        Generator {
            state: [
                splitmix(&mut state),
                splitmix(&mut state),
                splitmix(&mut state),
                splitmix(&mut state),
            ],
        }
    }
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Deterministic numbers (xoshiro256**): good enough to spread, never for secrets.
#[derive(Clone, Debug)]
pub struct Generator {
    state: [u64; 4],
}

impl Generator {
    /// The next 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let [s0, s1, s2, s3] = self.state;
        let result = s1.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let mut next = [s0, s1, s2 ^ s0, s3 ^ s1];
        let [n0, n1, n2, n3] = &mut next;
        *n1 ^= *n2;
        *n0 ^= *n3;
        *n2 ^= s1 << 17;
        *n3 = n3.rotate_left(45);
        self.state = next;
        result
    }

    /// A number below `bound`; 0 when `bound` is 0.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `[0, 1)`.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// `base` stretched by up to `spread` of itself, as Go's `wait.Jitter` does it.
    #[inline]
    pub fn jitter(&mut self, base: Duration, spread: f64) -> Duration {
        base.mul_f64(1.0 + self.unit() * spread.max(0.0))
    }

    /// A name suffix in the letters Kubernetes uses.
    pub fn suffix(&mut self, length: usize) -> String {
        (0..length)
            .map(|_| {
                let at = self.below(SAFE_LETTERS.len() as u64) as usize;
                char::from(SAFE_LETTERS.get(at).copied().unwrap_or(b'x'))
            })
            .collect()
    }

    /// A random-looking version 4 UUID.
    pub fn uid(&mut self) -> String {
        let high = (self.next_u64() & !0xf000) | 0x4000;
        let low = (self.next_u64() & !(0b11 << 62)) | (0b10 << 62);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }
}

/// A number spelt in the letters Kubernetes uses for hashes in names.
pub fn safe_encode(number: u32) -> String {
    number
        .to_string()
        .bytes()
        .map(|byte| {
            char::from(
                SAFE_LETTERS
                    .get(usize::from(byte) % SAFE_LETTERS.len())
                    .copied()
                    .unwrap_or(b'x'),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_wall_follows_the_virtual_clock() {
        let clock = Clock::default();
        assert_eq!(clock.seconds(), "2026-01-15T09:00:00Z");
        tokio::time::sleep(Duration::from_millis(61_250)).await;
        assert_eq!(clock.seconds(), "2026-01-15T09:01:01Z");
        assert_eq!(clock.micros(), "2026-01-15T09:01:01.250000Z");
        assert_eq!(clock.elapsed(), Duration::from_millis(61_250));
    }

    #[test]
    fn purposes_do_not_share_numbers_and_seeds_repeat() {
        let draw = |seed: u64, purpose: &str| {
            let mut generator = Seed::new(seed).generator(purpose);
            (0..4).map(|_| generator.next_u64()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1, "uid"), draw(1, "uid"));
        assert_ne!(draw(1, "uid"), draw(2, "uid"));
        assert_ne!(draw(1, "uid"), draw(1, "jitter"));
    }

    #[test]
    fn generated_values_have_their_shape() {
        let mut generator = Seed::new(7).generator("shape");
        for _ in 0..1000 {
            let uid = generator.uid();
            assert_eq!(uid.len(), 36);
            assert_eq!(uid.as_bytes()[14], b'4');
            assert!(b"89ab".contains(&uid.as_bytes()[19]), "{uid}");
            assert!((0.0..1.0).contains(&generator.unit()));
            assert!(generator.below(10) < 10);
            let jittered = generator.jitter(Duration::from_secs(10), 0.5);
            assert!((10.0..15.0).contains(&jittered.as_secs_f64()));
        }
        assert_eq!(generator.below(0), 0);
        assert_eq!(generator.suffix(5).len(), 5);
        assert!(
            generator
                .suffix(200)
                .bytes()
                .all(|b| SAFE_LETTERS.contains(&b))
        );
    }
}
