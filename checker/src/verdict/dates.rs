//! A certificate out of its dates: is it the certificate, or the clock here?
//!
//! Nobody issues certificates for the future, so one that has not begun by the clock here and has by the server's
//! proves the clock here wrong. Of one that has ended, two clocks that differ prove nothing; a third place does.

use super::ending::{from, host};
use super::{Case, Draft, Settle};
use crate::cause::Cause;
use crate::evidence::{Fact, Seen, TlsFailure};
use crate::stage::Stage;
use crate::world::Vantage;

pub(super) fn decide(
    case: &Case<'_>,
    vantage: &Vantage,
    fact: &Fact,
    reason: &TlsFailure,
) -> Draft {
    let (host, seen_from) = (host(fact), from(vantage));
    let (verb, at, now, begins) = match reason {
        TlsFailure::Expired { not_after, now } => ("ended", not_after, now, false),
        TlsFailure::NotYetValid { not_before, now } => ("begins", not_before, now, true),
        other => {
            let because = format!("TLS with {host} failed {seen_from}: {other}");
            return Draft::open(Stage::Tls, vec![Cause::TlsExpired], because, Vec::new());
        }
    };
    let at = at.map_or_else(String::new, |at| format!(" on {at}"));
    let because = format!("the certificate of {host} {verb}{at}; it is {now} {seen_from}");
    let theirs = case
        .evidence
        .from(vantage)
        .find_map(|other| match &other.seen {
            Seen::ServerDate { date, valid_then } if other.endpoint == fact.endpoint => {
                Some((date, *valid_then))
            }
            _ => None,
        });
    let elsewhere = case.evidence.iter().find(|other| {
        other.vantage != *vantage
            && other.endpoint == fact.endpoint
            && matches!(other.seen, Seen::TlsEstablished { .. })
    });
    let proven = |cause, because| Draft::proven(Stage::Tls, cause, because);
    let open = |because| {
        let settle = vec![Settle::by(
            "the node's clock beside true time",
            "timedatectl timesync-status",
        )];
        let candidates = vec![Cause::ClockSkew, Cause::TlsExpired];
        Draft::open(Stage::Tls, candidates, because, settle)
    };
    match (theirs, elsewhere) {
        (Some((date, true)), other) => {
            let because = format!("{because}, and {date} by the clock of {host}");
            match other {
                Some(other) => proven(
                    Cause::ClockSkew,
                    format!(
                        "{because}; {} the same host is trusted",
                        from(&other.vantage)
                    ),
                ),
                None if begins => proven(Cause::ClockSkew, because),
                None => open(because),
            }
        }
        (Some((date, false)), _) => {
            let because = format!("{because}; by the clock of {host} it is {date}, no better");
            proven(Cause::TlsExpired, because)
        }
        (None, _) if begins => open(because),
        (None, _) => proven(Cause::TlsExpired, because),
    }
}
