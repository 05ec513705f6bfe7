//! The record of what was seen: an append-only list of typed facts.
//!
//! Stages and readers append, the verdict reads. Each fact says at which stage, from which vantage, at which
//! host and as which identity it was seen, when, and how long it took. A refusal is a fact like any other.
//! Nothing in here is secret, and every text from outside is an excerpt.

mod content;
mod failure;
mod miss;
mod read;
mod seen;
mod subject;
mod trust;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::stage::Stage;
use crate::world::Vantage;

pub use content::{BlobKind, ManifestKind, ManifestSeen, MirrorOutcome, Platform};
pub use failure::{HttpFailure, TlsFailure};
pub use miss::KeyringMiss;
pub use seen::{
    Access, AttemptEnd, Certificate, DeadAddress, Method, RateLimit, Refusal, RequestsPerPull,
    Scheme, Seen, WhyWithheld,
};
pub use subject::{CredentialSource, Endpoint, Identity, Role};
pub use trust::{ClientShown, Missing, StorePart, TrustComparison};

/// One thing that was seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fact {
    /// At which step of a pull.
    pub stage: Stage,
    /// From where.
    pub vantage: Vantage,
    /// At which host, and what that host is in this pull.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// As whom; none before any identity matters (DNS, TCP, TLS).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Wall time at which it was complete.
    pub at: Timestamp,
    /// How long it took.
    #[serde(rename = "took_ms", serialize_with = "milliseconds")]
    pub took: Duration,
    /// What was seen.
    #[serde(flatten)]
    pub seen: Seen,
}

pub(crate) fn milliseconds<S: Serializer>(
    took: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(took.as_micros() as f64 / 1000.0)
}

/// Reads what [`milliseconds`] wrote; what is no time at all counts as none.
pub(crate) fn from_milliseconds<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    f64::deserialize(deserializer).map(duration)
}

fn duration(milliseconds: f64) -> Duration {
    // A double carries the microseconds of 285 years without loss.
    Duration::from_micros((milliseconds * 1000.0).round() as u64)
}

/// Facts in the order in which they were seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Evidence {
    facts: Vec<Fact>,
}

/// No probe comes near this; a hostile registry cannot make the record grow without bound.
const MAX_FACTS: usize = 10_000;

impl Evidence {
    /// An empty record.
    pub const fn new() -> Self {
        Self { facts: Vec::new() }
    }

    /// Appends a fact. Beyond ten thousand, facts are dropped.
    pub fn push(&mut self, fact: Fact) {
        if self.facts.len() < MAX_FACTS {
            self.facts.push(fact);
        }
    }

    /// Appends the facts of another record, in their order.
    pub fn append(&mut self, other: Self) {
        for fact in other.facts {
            self.push(fact);
        }
    }

    /// All facts.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// True if nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// All facts, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Fact> {
        self.facts.iter()
    }

    /// The facts of one vantage.
    pub fn from<'a>(&'a self, vantage: &'a Vantage) -> impl DoubleEndedIterator<Item = &'a Fact> {
        self.facts
            .iter()
            .filter(move |fact| fact.vantage == *vantage)
    }

    /// The facts of one stage.
    pub fn at(&self, stage: Stage) -> impl DoubleEndedIterator<Item = &Fact> {
        self.facts.iter().filter(move |fact| fact.stage == stage)
    }

    /// The facts about hosts of one role.
    pub fn about(&self, role: Role) -> impl DoubleEndedIterator<Item = &Fact> {
        self.facts.iter().filter(move |fact| {
            fact.endpoint
                .as_ref()
                .is_some_and(|endpoint| endpoint.role == role)
        })
    }

    /// Every vantage that something was seen from, in order of first sight.
    pub fn vantages(&self) -> Vec<&Vantage> {
        let mut seen: Vec<&Vantage> = Vec::new();
        for fact in &self.facts {
            if !seen.contains(&&fact.vantage) {
                seen.push(&fact.vantage);
            }
        }
        seen
    }

    /// How each attempt at a pull ended, in order: as whom, and at which stage.
    pub fn attempts(&self) -> impl Iterator<Item = (&Fact, &AttemptEnd)> {
        self.facts.iter().filter_map(|fact| match &fact.seen {
            Seen::AttemptEnded(end) => Some((fact, end)),
            _ => None,
        })
    }

    /// How many requests one pull of this image sends, if a manifest was read.
    pub fn requests_per_pull(&self) -> Option<&RequestsPerPull> {
        self.facts.iter().find_map(|fact| match &fact.seen {
            Seen::RequestsPerPull(requests) => Some(requests),
            _ => None,
        })
    }
}

impl<'a> IntoIterator for &'a Evidence {
    type Item = &'a Fact;
    type IntoIter = std::slice::Iter<'a, Fact>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<Fact> for Evidence {
    fn from_iter<I: IntoIterator<Item = Fact>>(facts: I) -> Self {
        let mut evidence = Self::new();
        facts.into_iter().for_each(|fact| evidence.push(fact));
        evidence
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{Authority, DnsError};

    fn fact(stage: Stage, vantage: Vantage, seen: Seen) -> Fact {
        Fact {
            stage,
            vantage,
            endpoint: Some(Endpoint::new(
                Role::Registry,
                Authority::parse("r.example:5000").unwrap(),
            )),
            identity: Some(Identity::Anonymous),
            at: "2026-01-15T09:00:00Z".parse().unwrap(),
            took: Duration::from_micros(1500),
            seen,
        }
    }

    #[test]
    fn a_fact_is_written_flat() {
        let seen = Seen::DnsFailed {
            error: DnsError::NxDomain {
                server: Some("10.0.0.10:53".into()),
            },
        };
        let text = serde_json::to_string(&fact(Stage::Dns, Vantage::node("n1"), seen)).unwrap();
        assert_eq!(
            text,
            r#"{"stage":"dns","vantage":"node/n1","endpoint":{"role":"registry","authority":"r.example:5000"},"identity":{"as":"anonymous"},"at":"2026-01-15T09:00:00Z","took_ms":1.5,"seen":"dns-failed","error":{"error":"nx-domain","server":"10.0.0.10:53"}}"#
        );
    }

    #[test]
    fn facts_are_found_by_vantage_and_role() {
        let mut evidence = Evidence::new();
        evidence.push(fact(
            Stage::Dns,
            Vantage::Workstation,
            Seen::DnsFailed {
                error: DnsError::Timeout { server: None },
            },
        ));
        evidence.push(fact(
            Stage::Dns,
            Vantage::node("n"),
            Seen::DnsFailed {
                error: DnsError::NoData { server: None },
            },
        ));
        assert_eq!(evidence.from(&Vantage::node("n")).count(), 1);
        assert_eq!(evidence.about(Role::Registry).count(), 2);
        assert_eq!(evidence.about(Role::Storage).count(), 0);
        assert_eq!(
            evidence.vantages(),
            [&Vantage::Workstation, &Vantage::node("n")]
        );
    }
}
