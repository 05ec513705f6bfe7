//! The buckets of a registry by tier (published limits of 2026, requests a minute).
//!
//! A bucket is full again at every whole minute of the run, and a refusal says how many seconds
//! that is away. Other clients of a bucket, where the tenant has some, take their share at the
//! start of the minute, because they have been waiting for it too.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::Method;

use super::state::Acr;
use super::tenant::Sku;
use crate::auth::Identity;
use crate::protocol::Route;
use crate::window::Window;

const PERIOD: u64 = 60;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bucket {
    Read,
    Write,
    Delete,
    Referrers,
    OAuth,
}

impl Bucket {
    /// The buckets that a request is counted in.
    pub(crate) fn of(route: Route, method: &Method) -> &'static [Self] {
        match (route, method.as_str()) {
            (Route::Token | Route::Exchange, _) => &[Self::OAuth],
            (Route::Referrers, _) => &[Self::Referrers, Self::Read],
            (_, "GET" | "HEAD" | "OPTIONS") => &[Self::Read],
            (_, "DELETE") => &[Self::Delete],
            _ => &[Self::Write],
        }
    }

    /// Per registry, and per identity where there is such a limit.
    pub(crate) fn limits(self, sku: Sku) -> (u64, Option<u64>) {
        match (self, sku) {
            (Self::Read, Sku::Premium) => (20_000, Some(10_000)),
            (Self::Read, _) => (10_000, Some(5000)),
            (Self::Write, Sku::Premium) => (4000, Some(2000)),
            (Self::Write, _) => (2000, Some(1000)),
            (Self::Delete, Sku::Premium) => (4000, None),
            (Self::Delete, _) => (1000, None),
            (Self::Referrers, Sku::Premium) => (2000, None),
            (Self::Referrers, _) => (500, None),
            (Self::OAuth, Sku::Premium) => (20_000, None),
            (Self::OAuth, _) => (10_000, None),
        }
    }
}

impl Sku {
    /// Reads a minute that a registry of this tier answers: to everybody together, and to one identity.
    pub fn reads_a_minute(self) -> (u64, u64) {
        let (registry, identity) = Bucket::Read.limits(self);
        (registry, identity.unwrap_or(registry))
    }

    /// Token requests a minute that a registry of this tier answers.
    pub fn tokens_a_minute(self) -> u64 {
        Bucket::OAuth.limits(self).0
    }
}

/// What was used in the current minute.
#[derive(Default)]
pub(crate) struct Usage {
    inner: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    period: u64,
    counts: BTreeMap<(Bucket, Option<Identity>), Window>,
}

impl Usage {
    /// Counts a request; refused requests do not count. `Err` has the seconds to the next minute.
    pub(crate) fn charge(
        &self,
        acr: &Acr,
        buckets: &[Bucket],
        identity: Option<&Identity>,
        elapsed: Duration,
    ) -> Result<(), u64> {
        let period = elapsed.as_secs() / PERIOD;
        let mut used = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if used.period != period {
            *used = Used {
                period,
                counts: BTreeMap::new(),
            };
        }
        let mut keys = Vec::with_capacity(buckets.len() * 2);
        for bucket in buckets {
            let (registry, own) = bucket.limits(acr.sku());
            keys.push(((*bucket, None), registry));
            if let (Some(limit), Some(identity)) = (own, identity) {
                keys.push(((*bucket, Some(identity.clone())), limit));
            }
        }
        let wait = keys.iter().find_map(|(key, limit)| {
            let (bucket, who) = key;
            let others = if *bucket == Bucket::Read {
                acr.taken_by_others(who.as_ref())
            } else {
                0
            };
            let window = used.counts.get(key).copied().unwrap_or_default();
            window.refuses(limit.saturating_sub(others), PERIOD, elapsed)
        });
        if let Some(wait) = wait {
            return Err(wait);
        }
        for (key, _) in keys {
            used.counts.entry(key).or_default().count(PERIOD, elapsed);
        }
        Ok(())
    }
}

impl Acr {
    /// Reads a minute that others take: of the whole registry, or of one identity's bucket.
    fn taken_by_others(&self, identity: Option<&Identity>) -> u64 {
        let counts = |who: &Option<String>| match (identity, who) {
            (None, _) => true,
            (Some(Identity::Named(name)), Some(who)) => name == who,
            _ => false,
        };
        self.loads
            .iter()
            .filter(|(who, _)| counts(who))
            .map(|(_, rate)| u64::from(*rate))
            .sum()
    }
}
