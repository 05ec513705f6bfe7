//! One line a fact.

use std::net::IpAddr;

use crate::evidence::{ClientShown, Fact, MirrorOutcome, RateLimit, Refusal, Role, Seen};
use crate::world::is_private;

/// How a fact ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Ok,
    Fail,
    /// Neither: said for the record.
    Note,
}

/// The mark and the words of a fact; none for what only counts.
pub(super) fn line(fact: &Fact) -> Option<(Mark, String)> {
    let host = fact
        .endpoint
        .as_ref()
        .map(|endpoint| endpoint.authority.to_string())
        .unwrap_or_default();
    let at = match fact.endpoint.as_ref().map(|endpoint| endpoint.role) {
        None | Some(Role::Registry) => String::new(),
        Some(_) => format!(" at {host}"),
    };
    let who = fact
        .identity
        .as_ref()
        .map(|who| format!(" as {who}"))
        .unwrap_or_default();
    Some(match &fact.seen {
        Seen::Resolved {
            addresses,
            aliases,
            server,
        } => {
            let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            let via = aliases
                .last()
                .map(|alias| format!(" through {alias}"))
                .unwrap_or_default();
            let server = server
                .as_ref()
                .map(|server| format!(" (asked {server})"))
                .unwrap_or_default();
            (
                Mark::Ok,
                format!(
                    "{host} is {}{via}{server}{}",
                    list.join(", "),
                    private_link(aliases, addresses)
                ),
            )
        }
        Seen::DnsFailed { error } => {
            let server = error
                .server()
                .map(|server| format!(" (asked {server})"))
                .unwrap_or_default();
            (Mark::Fail, format!("{host}: {error}{server}"))
        }
        Seen::Connected { address } => (Mark::Ok, format!("{address} accepts")),
        Seen::DialFailed { address, error } => (Mark::Fail, format!("{address}: {error}")),
        Seen::Flapping { working, dead } => {
            let list: Vec<String> = dead
                .iter()
                .take(4)
                .map(|one| format!("{}: {}", one.address, one.why))
                .collect();
            (
                Mark::Note,
                format!(
                    "works only sometimes: {working} of {} addresses answer ({})",
                    working + dead.len(),
                    list.join(", ")
                ),
            )
        }
        Seen::MirrorTried { outcome } => match outcome {
            MirrorOutcome::Served => (Mark::Ok, format!("the mirror {host} serves the image")),
            MirrorOutcome::Resolved => (
                Mark::Ok,
                format!("the mirror {host} knows the image and serves no content"),
            ),
            MirrorOutcome::Absent => (
                Mark::Note,
                format!("the mirror {host} does not have the image"),
            ),
            MirrorOutcome::Refused { stage } => (
                Mark::Note,
                format!("the mirror {host} wants a credential (at {stage}); none is given to it"),
            ),
            MirrorOutcome::Failed { stage } => {
                (Mark::Fail, format!("the mirror {host} fails at {stage}"))
            }
        },
        Seen::RegistryBlocked => (
            Mark::Fail,
            format!("the runtime's configuration blocks {host}"),
        ),
        Seen::Proxied { to } => (Mark::Ok, format!("through the proxy {host} to {to}")),
        Seen::ProxyRefused {
            to, status, phrase, ..
        } => (
            Mark::Fail,
            format!("the proxy {host} refuses {to}: {status} {phrase}"),
        ),
        Seen::ProxyUnsupported => (
            Mark::Fail,
            format!("the proxy {host} speaks SOCKS, which is not tried"),
        ),
        Seen::WithoutProxy { reached, text } => (
            Mark::Note,
            format!(
                "without the proxy {host} {} ({text})",
                if *reached {
                    "answers"
                } else {
                    "does not answer"
                }
            ),
        ),
        Seen::TlsEstablished {
            version,
            alpn,
            chain,
            client,
        } => {
            let issuer = chain
                .first()
                .map(|one| format!(", certificate by {}", one.issuer))
                .unwrap_or_default();
            // HTTP/1.1 is what was offered, and no answer at all is taken for it.
            let alpn = alpn
                .as_ref()
                .filter(|alpn| ***alpn != *"http/1.1")
                .map(|alpn| format!(", {alpn}"))
                .unwrap_or_default();
            let client = match client {
                None => String::new(),
                Some(ClientShown::Nothing) => {
                    ", asks for a client certificate and is shown none".into()
                }
                Some(ClientShown::Certificate { subject }) => {
                    format!(", is shown the client certificate {subject}")
                }
            };
            (Mark::Ok, format!("{version}{alpn}{issuer}{client}"))
        }
        Seen::TrustCompared(compared) => (Mark::Note, compared.to_string()),
        Seen::ProtocolTaken {
            protocol: Some(protocol),
        } => (
            Mark::Note,
            format!(
                "offered HTTP/2 as well, it takes {protocol}: runtimes speak that, a probe does not"
            ),
        ),
        Seen::ProtocolTaken { protocol: None } => (
            Mark::Note,
            "offered HTTP/2 as well, it takes neither".into(),
        ),
        Seen::TlsFailed { reason, .. } => (Mark::Fail, format!("{host}: {reason}")),
        Seen::TlsVersions { taken } if taken.is_empty() => (
            Mark::Note,
            "neither TLSv1.2 nor TLSv1.3 alone is taken".into(),
        ),
        Seen::TlsVersions { taken } => (
            Mark::Note,
            format!("offered alone, {} is taken", taken.join(" and ")),
        ),
        Seen::ServerDate { date, valid_then } => (
            Mark::Note,
            format!(
                "by the server's clock it is {date}, when the certificate is {}",
                if *valid_then {
                    "valid"
                } else {
                    "not valid either"
                }
            ),
        ),
        Seen::PlainHttp => (Mark::Note, "plain HTTP, without TLS".into()),
        Seen::Pinged {
            status,
            unlike_a_registry,
            ..
        } => match unlike_a_registry {
            Some(text) => (
                Mark::Fail,
                format!("GET /v2/: {status}, unlike a registry: {text}"),
            ),
            None if matches!(status, 200 | 401) => (Mark::Ok, format!("GET /v2/: {status}")),
            None => (Mark::Fail, format!("GET /v2/: {status}")),
        },
        Seen::HttpFailed {
            method,
            path,
            reason,
        } => (Mark::Fail, format!("{method} {path}{at}: {reason}")),
        Seen::Waited { status, waited, .. } if waited.is_zero() => (
            Mark::Note,
            format!("{status}: asks to wait longer than a probe waits"),
        ),
        Seen::Waited { status, waited, .. } => (
            Mark::Note,
            format!(
                "{status}: waited {} s as the server asked",
                waited.as_secs()
            ),
        ),
        Seen::Redirected { status, to } => (Mark::Ok, format!("{status}: sent on to {to}")),
        Seen::RedirectRefused { to, why } => {
            (Mark::Fail, format!("not followed to {to} ({why:?})"))
        }
        Seen::CredentialPassedOver { source, key, why } => (
            Mark::Note,
            if key.is_empty() {
                format!("{source} passed over: {why}")
            } else {
                format!("{source} passed over: key `{key}` ({why})")
            },
        ),
        Seen::CredentialOrder { order } if order.is_empty() => (
            Mark::Note,
            "no pull secret or given credential matches".into(),
        ),
        Seen::CredentialOrder { order } => {
            let list: Vec<String> = order.iter().map(ToString::to_string).collect();
            (
                Mark::Note,
                format!("would be tried: {}", list.join(", then ")),
            )
        }
        Seen::Challenged { realm, .. } => (
            Mark::Ok,
            realm.as_ref().map_or_else(
                || "asks for a sign-in".into(),
                |realm| format!("sends to {realm}"),
            ),
        ),
        Seen::ChallengeUnusable { text } => (
            Mark::Fail,
            format!("a challenge that cannot be used: {text}"),
        ),
        Seen::CredentialWithheld { from, why } => (
            Mark::Fail,
            format!("credential not given to {from} ({why:?})"),
        ),
        Seen::TokenGranted { scope, .. } => (Mark::Ok, format!("token for {scope}{who}")),
        Seen::TokenRefused { refusal, .. } => {
            (Mark::Fail, format!("no token{who}: {}", refused(refusal)))
        }
        Seen::TokenUnreadable { text } => (Mark::Fail, format!("no token in the answer: {text}")),
        Seen::AuthorizationRefused { refusal, .. } => {
            (Mark::Fail, format!("refused{who}: {}", refused(refusal)))
        }
        Seen::IdentityToken { object_id, .. } => (
            Mark::Ok,
            format!(
                "the node's identity is {}",
                object_id
                    .as_deref()
                    .unwrap_or("known to the metadata service")
            ),
        ),
        Seen::IdentityTokenRefused { refusal, .. } => (
            Mark::Fail,
            format!("no identity for the node: {}", refused(refusal)),
        ),
        Seen::ExchangeGranted { .. } => (Mark::Ok, "the registry takes the node's identity".into()),
        Seen::ExchangeRefused { refusal } => (
            Mark::Fail,
            format!(
                "the registry refuses the node's identity: {}",
                refused(refusal)
            ),
        ),
        Seen::ManifestFound(seen) => {
            let kind = serde_json::to_value(seen.kind)
                .ok()
                .and_then(|kind| kind.as_str().map(str::to_owned))
                .unwrap_or_default();
            let limit = seen.rate_limit.as_ref().map(limited).unwrap_or_default();
            (
                Mark::Ok,
                format!(
                    "{} {}: found ({kind}){limit}",
                    seen.method,
                    short(&seen.target.to_string())
                ),
            )
        }
        Seen::ManifestRefused {
            method,
            target,
            refusal,
        } => (
            Mark::Fail,
            format!("{method} {target}{who}: {}", refused(refusal)),
        ),
        Seen::ManifestUnusable {
            target,
            media_type,
            text,
        } => (Mark::Fail, format!("{target} is {media_type}: {text}")),
        Seen::DigestMismatch { expected, got } => {
            (Mark::Fail, format!("{got} came instead of {expected}"))
        }
        Seen::Tags {
            count,
            complete,
            listed,
            nearest,
        } => {
            let more = if *complete { "" } else { " or more" };
            let has = if *listed {
                "the wanted one among them"
            } else {
                "the wanted one not among them"
            };
            let near: Vec<&str> = nearest.iter().take(3).map(|tag| &**tag).collect();
            let near = if near.is_empty() || *listed {
                String::new()
            } else {
                format!("; nearest: {}", near.join(", "))
            };
            (Mark::Note, format!("{count}{more} tags, {has}{near}"))
        }
        Seen::TagsRefused { refusal } => (Mark::Note, format!("tag list: {}", refused(refusal))),
        Seen::PlatformChosen { wanted, .. } => (Mark::Ok, format!("an image for {wanted}")),
        Seen::PlatformMissing { wanted, available } => {
            let list: Vec<String> = available.iter().map(ToString::to_string).collect();
            (
                Mark::Fail,
                format!("nothing for {wanted}; there is {}", list.join(", ")),
            )
        }
        Seen::ConfigRead { platform, layers } => (
            Mark::Ok,
            format!("configuration: {platform}, {layers} layers"),
        ),
        Seen::BlobReachable {
            size,
            host,
            bytes_per_second: Some(rate),
            ..
        } => (
            Mark::Ok,
            format!(
                "{size} bytes at {host}, read whole and verified, {:.1} MB/s",
                *rate as f64 / 1e6
            ),
        ),
        Seen::BlobReachable { size, host, .. } => (Mark::Ok, format!("{size} bytes at {host}")),
        Seen::BlobRefused {
            digest,
            host,
            refusal,
            ..
        } => (
            Mark::Fail,
            format!("{digest} at {host}: {}", refused(refusal)),
        ),
        Seen::SizeMismatch {
            digest,
            expected,
            got,
            ..
        } => (
            Mark::Fail,
            format!("{digest}: {got} bytes instead of {expected}"),
        ),
        Seen::RequestsPerPull(requests) => (
            Mark::Note,
            format!(
                "one pull is {} reads and {} token requests",
                requests.reads(),
                requests.tokens
            ),
        ),
        _ => return None,
    })
}

/// A digest as far as people compare it.
fn short(target: &str) -> String {
    match target.get(..19) {
        Some(head) if target.starts_with("sha256:") && target.len() > 19 => format!("{head}…"),
        _ => target.to_owned(),
    }
}

/// Names of private endpoints, and whether this network's resolver knows the private address.
fn private_link(aliases: &[String], addresses: &[IpAddr]) -> &'static str {
    let is_one = |name: &String| {
        let name = name.to_ascii_lowercase();
        name.contains(".privatelink.")
            || name.ends_with(".vpce.amazonaws.com")
            || name.ends_with(".p.googleapis.com")
    };
    if !aliases.iter().any(is_one) {
        return "";
    }
    if addresses.iter().all(|address| is_private(*address)) {
        ": a private endpoint, by its private address"
    } else {
        ": there is a private endpoint, and this is not its private address"
    }
}

/// What the registry says of its limit.
fn limited(limit: &RateLimit) -> String {
    let number = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), |it| it.to_string());
    let window = limit
        .window
        .map(|seconds| format!(" in {seconds} s"))
        .unwrap_or_default();
    let source = limit
        .source
        .as_ref()
        .map(|source| format!(", counted for {source}"))
        .unwrap_or_default();
    format!(
        "; {} of {} requests left{window}{source}",
        number(limit.remaining),
        number(limit.limit)
    )
}

fn refused(refusal: &Refusal) -> String {
    let code = refusal
        .codes
        .first()
        .map(|code| format!(" {code}"))
        .unwrap_or_default();
    let said = if refusal.message.is_empty() {
        String::new()
    } else {
        format!(": {}", refusal.message)
    };
    let wait = refusal
        .retry_after
        .map(|wait| format!(", Retry-After {} s", wait.as_secs()))
        .unwrap_or_default();
    format!("{}{code}{said}{wait}", refusal.status)
}
