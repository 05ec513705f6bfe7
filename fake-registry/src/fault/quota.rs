//! Quotas: so many requests in a window, in numbers or as a known registry counts them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use http::Method;
use serde::de::{self, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Serialize, Serializer};

use super::values::Span;
use crate::azure::Sku;
use crate::azure::quota::Bucket;
use crate::core::Call;
use crate::protocol::Route;
use crate::window::Window;

/// Clients that are counted by themselves; all others are one.
const MAX_COUNTED: usize = 65_536;

/// So many requests in a window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counted(Counted),
    Known(KnownQuota),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Counted {
    limit: u64,
    #[serde(rename = "per")]
    window: Span,
    #[serde(default)]
    by: CountBy,
}

/// Whose requests a quota counts together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CountBy {
    /// Everybody's.
    #[default]
    All,
    /// Those of one client by name.
    Client,
    /// Those of one address.
    Address,
}

/// A quota as a registry publishes it. Where it counts identities, a rule counts addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KnownQuota {
    /// Azure Container Registry, Basic: reads, writes, deletes, referrers and tokens a minute.
    AcrBasic,
    /// Azure Container Registry, Standard.
    AcrStandard,
    /// Azure Container Registry, Premium.
    AcrPremium,
    /// Docker Hub without a login: 100 GETs of manifests in six hours for an address.
    DockerHubAnonymous,
    /// Docker Hub with a login: 200 in six hours.
    DockerHubUser,
}

const HUB_WINDOW: Duration = Duration::from_hours(6);

impl Quota {
    /// So many requests in a window.
    pub fn new(limit: u64, window: impl Into<Span>, by: CountBy) -> Self {
        Self(Kind::Counted(Counted {
            limit,
            window: window.into(),
            by,
        }))
    }

    /// As a registry publishes it.
    pub fn known(quota: KnownQuota) -> Self {
        Self(Kind::Known(quota))
    }

    fn window(&self) -> Duration {
        match self.0 {
            Kind::Counted(counted) => counted.window.0,
            Kind::Known(KnownQuota::DockerHubAnonymous | KnownQuota::DockerHubUser) => HUB_WINDOW,
            Kind::Known(_) => Duration::from_mins(1),
        }
    }

    /// What a request counts against, each with its limit; nothing for a request that is free.
    fn counts(&self, call: &Call<'_>) -> Vec<(String, u64)> {
        let address = || call.connection.peer.ip().to_string();
        let hub = |limit| {
            let counts = call.target.route == Route::Manifest && *call.method == Method::GET;
            counts.then(|| (address(), limit)).into_iter().collect()
        };
        let acr = |sku| {
            let mut all = Vec::new();
            for bucket in Bucket::of(call.target.route, call.method) {
                let (registry, own) = bucket.limits(sku);
                all.push((format!("{bucket:?}"), registry));
                all.extend(own.map(|limit| (format!("{bucket:?} {}", address()), limit)));
            }
            all
        };
        match self.0 {
            Kind::Counted(counted) => {
                let key = match counted.by {
                    CountBy::All => String::new(),
                    CountBy::Client => call.connection.client.to_string(),
                    CountBy::Address => address(),
                };
                vec![(key, counted.limit)]
            }
            Kind::Known(KnownQuota::AcrBasic) => acr(Sku::Basic),
            Kind::Known(KnownQuota::AcrStandard) => acr(Sku::Standard),
            Kind::Known(KnownQuota::AcrPremium) => acr(Sku::Premium),
            Kind::Known(KnownQuota::DockerHubAnonymous) => hub(100),
            Kind::Known(KnownQuota::DockerHubUser) => hub(200),
        }
    }
}

/// Requests of the current window, by whom they are counted for.
#[derive(Debug, Default)]
pub(super) struct Used(BTreeMap<String, Window>);

impl Used {
    /// Counts a request; the seconds until the next window if there is none left of this one.
    pub(super) fn charge(
        &mut self,
        quota: &Quota,
        call: &Call<'_>,
        elapsed: Duration,
    ) -> Option<u64> {
        let length = quota.window().as_secs();
        self.0.retain(|_, window| !window.is_over(length, elapsed));
        let mut keys = quota.counts(call);
        for (key, _) in &mut keys {
            if self.0.len() >= MAX_COUNTED && !self.0.contains_key(key) {
                "the rest".clone_into(key);
            }
        }
        let refuses = |key: &String, limit: &u64| {
            let window = self.0.get(key).copied().unwrap_or_default();
            window.refuses(*limit, length, elapsed)
        };
        let wait = keys.iter().find_map(|(key, limit)| refuses(key, limit));
        if wait.is_none() {
            for (key, _) in keys {
                self.0.entry(key).or_default().count(length, elapsed);
            }
        }
        wait
    }
}

impl Serialize for Quota {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Kind::Counted(counted) => counted.serialize(serializer),
            Kind::Known(known) => known.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Quota {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Quota;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`limit` and `per`, or a name such as `acr-basic`")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Quota, E> {
                KnownQuota::deserialize(de::value::StrDeserializer::new(name)).map(Quota::known)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Quota, A::Error> {
                let counted = Counted::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Quota(Kind::Counted(counted)))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}
