//! Evidence that was written elsewhere, read back: a node's probe tells what it saw as JSON.
//!
//! Whoever wrote it is not trusted further than what it may say of its own place: what a server said is an excerpt
//! again, the record is bounded as any other, and the reader sets the vantage. What it says is believed as facts seen
//! there. Names and paths are taken as they come; a report prints them without control characters.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use super::{Endpoint, Evidence, Fact, Identity, Seen, from_milliseconds};
use crate::stage::Stage;
use crate::world::Vantage;

/// What every fact has.
#[derive(Deserialize)]
struct Head {
    stage: Stage,
    vantage: Vantage,
    #[serde(default)]
    endpoint: Option<Endpoint>,
    #[serde(default)]
    identity: Option<Identity>,
    at: Timestamp,
    #[serde(rename = "took_ms", deserialize_with = "from_milliseconds")]
    took: Duration,
}

impl<'de> Deserialize<'de> for Fact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Head and observation share members (`stage` of an attempt's end), so both read the whole object.
        let value = Value::deserialize(deserializer)?;
        let head = Head::deserialize(&value).map_err(de::Error::custom)?;
        let seen = Seen::deserialize(value).map_err(de::Error::custom)?;
        Ok(Self {
            stage: head.stage,
            vantage: head.vantage,
            endpoint: head.endpoint,
            identity: head.identity,
            at: head.at,
            took: head.took,
            seen,
        })
    }
}

impl<'de> Deserialize<'de> for Evidence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let facts = Vec::<Fact>::deserialize(deserializer)?;
        Ok(facts.into_iter().collect())
    }
}

impl Evidence {
    /// The same facts, as seen from `vantage`: nobody may speak for another place.
    #[must_use]
    pub fn seen_from(self, vantage: &Vantage) -> Self {
        let facts = self.facts.into_iter().map(|fact| Fact {
            vantage: vantage.clone(),
            ..fact
        });
        facts.collect()
    }
}
