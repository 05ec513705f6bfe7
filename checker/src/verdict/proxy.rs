//! A stop at the proxy: nobody there, a refusal, or a proxy where none is needed.
//!
//! After a failure at the proxy the probe looks whether the host answers without it. That it does proves that
//! the proxy is in the way, unless the proxy only wants a user, which is a cause of its own.

use super::ending::{from, host};
use super::{Case, Draft, Settle};
use crate::cause::Cause;
use crate::evidence::{Fact, Seen};
use crate::stage::Stage;
use crate::world::Vantage;

pub(super) fn decide(case: &Case<'_>, vantage: &Vantage, fact: &Fact) -> Draft {
    let (proxy, seen_from) = (host(fact), from(vantage));
    let direct = case
        .evidence
        .from(vantage)
        .filter_map(|other| match &other.seen {
            Seen::WithoutProxy { reached, text } => Some((*reached, host(other), text)),
            _ => None,
        })
        .next_back();
    let beside = direct
        .as_ref()
        .map_or_else(String::new, |(reached, host, text)| {
            let answers = if *reached {
                "answers"
            } else {
                "does not answer"
            };
            format!("; without the proxy {host} {answers} ({text})")
        });
    let needless = direct.as_ref().is_some_and(|(reached, ..)| *reached);
    let proven = |cause, what: String| {
        Draft::proven(Stage::Proxy, cause, format!("{what} {seen_from}{beside}"))
    };
    match &fact.seen {
        Seen::ProxyRefused {
            to,
            status: 407,
            signed_in,
            ..
        } => {
            let what = if *signed_in {
                "does not take the user that is set for it"
            } else {
                "wants a user and password, and none is set"
            };
            proven(
                Cause::ProxyAuthRequired,
                format!("the proxy {proxy} answers 407 to CONNECT {to}: it {what}"),
            )
        }
        Seen::ProxyRefused {
            to, status, phrase, ..
        } => {
            let what = format!("the proxy {proxy} answers {status} {phrase} to CONNECT {to}");
            if needless {
                return proven(Cause::NoProxyMissing, what);
            }
            if *status < 500 {
                return proven(Cause::ProxyAuthRequired, what);
            }
            let settle = vec![Settle::by(
                "whether the proxy itself reaches the host",
                format!("curl -v -x http://{proxy} https://{to}/v2/"),
            )];
            Draft::open(
                Stage::Proxy,
                vec![Cause::NoProxyMissing, Cause::FirewallDrop],
                format!("{what} {seen_from}{beside}"),
                settle,
            )
        }
        Seen::DnsFailed { error } => proven(
            Cause::ProxyUnreachable,
            format!("the proxy {proxy} does not resolve ({error})"),
        ),
        Seen::DialFailed { address, error } => proven(
            Cause::ProxyUnreachable,
            format!("no connection to the proxy {proxy} ({address}: {error})"),
        ),
        Seen::TlsFailed { reason, .. } => proven(
            Cause::ProxyUnreachable,
            format!("no TLS with the proxy {proxy} ({reason})"),
        ),
        Seen::HttpFailed { reason, .. } => {
            let what =
                format!("the proxy {proxy} accepts, and gives no answer to CONNECT ({reason})");
            if needless {
                return proven(Cause::NoProxyMissing, what);
            }
            proven(Cause::ProxyUnreachable, what)
        }
        _ => Draft::open(
            Stage::Proxy,
            vec![Cause::ProxyUnreachable, Cause::NoProxyMissing],
            format!("the probe {seen_from} does not go through the proxy {proxy}{beside}"),
            Vec::new(),
        ),
    }
}
