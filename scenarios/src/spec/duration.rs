//! A length of time as people write it: `30s`, `12m`, `1h 5m`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};

/// A length of time in a scenario file; at least one second and at most a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(Duration);

impl Span {
    const LONGEST: Duration = Duration::from_hours(24);

    /// The length.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// Reads `30s`, `12m`, `1h 5m`; none where it is no such length, or not between a second and a day.
    pub fn read(text: &str) -> Option<Self> {
        let signed: jiff::SignedDuration = text.parse().ok()?;
        let length = Duration::try_from(signed).ok()?;
        (length >= Duration::from_secs(1) && length <= Self::LONGEST).then_some(Self(length))
    }

    /// The shorter of the two.
    pub(super) fn at_most(self, other: Duration) -> Self {
        Self(self.0.min(other))
    }

    pub(super) const fn ten_minutes() -> Self {
        Self(Duration::from_mins(10))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::read(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is no length of time between 1s and 24h, such as `30s`, `12m` or `1h 5m`"
            ))
        })
    }
}
