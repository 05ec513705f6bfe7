//! DNS, TCP, TLS, and servers that do not answer: which cause a stop at these stages proves.

use std::net::SocketAddr;

use super::ending::{Stop, addresses, from, host, is_private, reached_from_elsewhere, role};
use super::{Case, Draft, Settle, dates, proxy};
use crate::azure::Cloud;
use crate::cause::Cause;
use crate::evidence::{Certificate, Fact, HttpFailure, Role, Seen, TlsFailure};
use crate::stage::Stage;
use crate::world::{DialError, DnsError, Vantage};

pub(super) fn decide(case: &Case<'_>, vantage: &Vantage, stop: &Stop<'_>) -> Draft {
    let at = stop.stage;
    if at == Stage::Proxy
        && let Some(fact) = stop.fact
    {
        return proxy::decide(case, vantage, fact);
    }
    let Some(fact) = stop.fact else {
        return Draft::open(
            at,
            Vec::new(),
            format!("the probe {} stopped at {at}", from(vantage)),
            Vec::new(),
        );
    };
    match &fact.seen {
        Seen::DnsFailed { error } => dns(case, vantage, fact, error),
        Seen::DialFailed { .. } => tcp(case, vantage, fact),
        Seen::TlsFailed { reason, chain } => tls(case, vantage, fact, reason, chain),
        _ => unanswered(case, vantage, stop).unwrap_or_else(|| {
            Draft::open(
                at,
                Vec::new(),
                format!("the probe {} stopped at {at}", from(vantage)),
                Vec::new(),
            )
        }),
    }
}

fn dns(case: &Case<'_>, vantage: &Vantage, fact: &Fact, error: &DnsError) -> Draft {
    let (host, seen_from) = (host(fact), from(vantage));
    let server = error
        .server()
        .map_or_else(String::new, |server| format!(" (asked {server})"));
    let because = format!("{host} does not resolve {seen_from}: {error}{server}");
    match role(fact) {
        Role::TokenService => {
            return Draft::proven(Stage::Dns, Cause::TokenEndpointUnreachable, because);
        }
        Role::Storage => {
            let cause = if matches!(error, DnsError::NxDomain { .. } | DnsError::NoData { .. }) {
                Cause::DnsDataEndpointMissing
            } else {
                Cause::DataEndpointBlocked
            };
            return Draft::proven(Stage::Dns, cause, because);
        }
        _ => {}
    }
    match error {
        DnsError::NxDomain { .. } | DnsError::NoData { .. } => {
            no_such_name(case, vantage, fact, because)
        }
        DnsError::ServFail { .. } => Draft::proven(Stage::Dns, Cause::DnsServfail, because),
        DnsError::Timeout { .. } => Draft::proven(Stage::Dns, Cause::DnsTimeout, because),
        DnsError::Other { .. } => Draft::open(
            Stage::Dns,
            vec![Cause::DnsServfail, Cause::DnsTimeout, Cause::DnsNxdomain],
            because,
            Vec::new(),
        ),
    }
}

/// A name that does not exist: for this resolver only, or for all; misspelt, or no such registry.
fn no_such_name(case: &Case<'_>, vantage: &Vantage, fact: &Fact, because: String) -> Draft {
    let elsewhere = case.evidence.iter().find(|other| {
        other.vantage != *vantage
            && other.endpoint == fact.endpoint
            && matches!(other.seen, Seen::Resolved { .. })
    });
    if let Some(other) = elsewhere {
        let because = format!("{because}; {} it does", from(&other.vantage));
        return Draft::proven(Stage::Dns, Cause::DnsNxdomain, because);
    }
    if let Some(draft) = other_cloud(case, &because) {
        return draft;
    }
    if let Some(corrected) = case.corrected_host {
        let because = format!("{because}, and {corrected} does: the host is misspelt");
        return Draft::proven(Stage::Dns, Cause::RegistryHostTypo, because);
    }
    let login = case
        .reference
        .and_then(|one| crate::azure::registry_login_server(&one.registry().to_string()));
    let Some(login) = login else {
        return Draft::proven(Stage::Dns, Cause::DnsNxdomain, because);
    };
    let searched = case.azure.is_some_and(|azure| {
        azure.registry.is_none()
            && azure
                .lookups
                .iter()
                .any(|one| one.what.starts_with("registries of subscription"))
    });
    let unread = case
        .azure
        .is_none_or(|azure| azure.gaps.iter().any(|gap| gap.missing_action.is_some()));
    if searched && !unread {
        let because =
            format!("{because}, and no registry that Azure shows has the login server {login}");
        return Draft::proven(Stage::Dns, Cause::RegistryNameUnknown, because);
    }
    let settle = vec![
        Settle::by(
            "whether the registry exists",
            format!("az acr list --query \"[?loginServer=='{login}'].id\" --output tsv"),
        ),
        Settle::new("the same question to a resolver of another network"),
    ];
    Draft::open(
        Stage::Dns,
        vec![Cause::RegistryNameUnknown, Cause::DnsNxdomain],
        because,
        settle,
    )
}

/// The same registry resolves in another of Azure's clouds; the node's region says whether it is
/// the node's own.
fn other_cloud(case: &Case<'_>, because: &str) -> Option<Draft> {
    let corrected = case.corrected_host?;
    let written = case.reference?.registry().host().to_string();
    let (wrong, right) = (
        Cloud::of_registry(&written)?,
        Cloud::of_registry(corrected)?,
    );
    if wrong == right
        || written.strip_suffix(wrong.suffix()) != corrected.strip_suffix(right.suffix())
    {
        return None;
    }
    let region = case.node.and_then(|node| node.region.as_deref());
    let because = format!("{because}, and {corrected} does");
    if let Some(region) = region.filter(|region| Cloud::of_region(region) == right) {
        let because = format!(
            "{because}: the node is in {region}, where registries end in {}",
            right.suffix()
        );
        return Some(Draft::proven(Stage::Dns, Cause::CloudSuffixWrong, because));
    }
    let candidates = vec![
        Cause::CloudSuffixWrong,
        Cause::RegistryNameUnknown,
        Cause::DnsNxdomain,
    ];
    let settle = vec![Settle::by(
        "which of Azure's clouds the cluster is in",
        "kubectl get nodes --label-columns topology.kubernetes.io/region",
    )];
    Some(Draft::open(Stage::Dns, candidates, because, settle))
}

fn tcp(case: &Case<'_>, vantage: &Vantage, fact: &Fact) -> Draft {
    // All addresses that were tried at this host, with what came of each.
    let tried: Vec<(SocketAddr, &DialError)> = case
        .evidence
        .from(vantage)
        .filter(|other| other.endpoint == fact.endpoint)
        .filter_map(|other| match &other.seen {
            Seen::DialFailed { address, error } => Some((*address, error)),
            _ => None,
        })
        .collect();
    let (host, seen_from) = (host(fact), from(vantage));
    let outcome: Vec<String> = tried
        .iter()
        .map(|(address, error)| format!("{address}: {error}"))
        .collect();
    let because = format!(
        "no connection to {host} {seen_from} ({})",
        outcome.join(", ")
    );
    let all = |wanted: fn(&DialError) -> bool| tried.iter().all(|(_, error)| wanted(error));
    match role(fact) {
        Role::TokenService => {
            return Draft::proven(Stage::Tcp, Cause::TokenEndpointUnreachable, because);
        }
        Role::Storage => return Draft::proven(Stage::Tcp, Cause::DataEndpointBlocked, because),
        Role::Proxy => return proxy::decide(case, vantage, fact),
        _ => {}
    }
    if all(|error| *error == DialError::Refused) {
        return Draft::proven(Stage::Tcp, Cause::TcpRefused, because);
    }
    if all(|error| *error == DialError::Reset) {
        return Draft::proven(Stage::Tcp, Cause::TcpReset, because);
    }
    let private = tried.iter().all(|(address, _)| is_private(address.ip()));
    if all(|error| matches!(error, DialError::NoRoute | DialError::NetUnreachable)) {
        let candidates = if private {
            vec![Cause::VnetPeeringMissing, Cause::FirewallDrop]
        } else {
            vec![Cause::FirewallDrop, Cause::ProxyMissingOnNode]
        };
        return Draft::open(
            Stage::Tcp,
            candidates,
            because,
            vec![route_question(case, vantage, &host)],
        );
    }
    dropped(case, vantage, &tried, private, because, &host)
}

/// Nothing came back: a firewall on the way, no way at all, or nobody there.
fn dropped(
    case: &Case<'_>,
    vantage: &Vantage,
    tried: &[(SocketAddr, &DialError)],
    private: bool,
    because: String,
    host: &str,
) -> Draft {
    let through = case.evidence.iter().find(|other| {
        other.vantage != *vantage
            && matches!(other.vantage, Vantage::Node(_))
            && matches!(other.seen, Seen::Proxied { .. })
    });
    let proxied = case
        .evidence
        .from(vantage)
        .any(|fact| role(fact) == Role::Proxy);
    if let Some(other) = through.filter(|_| !proxied) {
        let because = format!(
            "{because}; {} it is reached through a proxy, which this node does not use",
            from(&other.vantage)
        );
        return Draft::proven(Stage::Tcp, Cause::ProxyMissingOnNode, because);
    }
    let elsewhere = tried.iter().find_map(|(address, _)| {
        reached_from_elsewhere(case.evidence, vantage, *address).map(|other| (address, other))
    });
    if let Some((address, other)) = elsewhere {
        let because = format!("{because}; {} {address} answers", from(other));
        if matches!(other, Vantage::Node(_)) || !private {
            return Draft::proven(Stage::Tcp, Cause::FirewallDrop, because);
        }
        let candidates = vec![Cause::VnetPeeringMissing, Cause::FirewallDrop];
        return Draft::open(
            Stage::Tcp,
            candidates,
            because,
            vec![route_question(case, vantage, host)],
        );
    }
    let candidates = if private {
        vec![
            Cause::VnetPeeringMissing,
            Cause::FirewallDrop,
            Cause::DnsStalePrivateRecord,
        ]
    } else {
        vec![
            Cause::FirewallDrop,
            Cause::ProxyMissingOnNode,
            Cause::SnatExhaustion,
        ]
    };
    let proxied = case
        .evidence
        .iter()
        .find(|other| other.vantage != *vantage && matches!(other.seen, Seen::Proxied { .. }));
    let (mut candidates, mut because) = (candidates, because);
    if let Some(other) = proxied.filter(|_| !private) {
        candidates.retain(|cause| *cause != Cause::ProxyMissingOnNode);
        candidates.insert(0, Cause::ProxyMissingOnNode);
        because = format!(
            "{because}; {} the way leads through the proxy {}, {} none is set",
            from(&other.vantage),
            super::ending::host(other),
            from(vantage)
        );
    }
    let mut settle = vec![route_question(case, vantage, host)];
    if !case
        .evidence
        .vantages()
        .iter()
        .any(|other| *other != vantage)
    {
        settle.push(Settle::new(
            "the same dial from a second place, best another node of the same subnet",
        ));
    }
    Draft::open(Stage::Tcp, candidates, because, settle)
}

fn route_question(case: &Case<'_>, vantage: &Vantage, host: &str) -> Settle {
    let node = match vantage {
        Vantage::Node(name) => Some(name.to_string()),
        Vantage::Workstation => case.failing_nodes.first().cloned(),
    };
    let (name, port) = host
        .rsplit_once(':')
        .filter(|(_, port)| port.parse::<u16>().is_ok())
        .unwrap_or((host, "443"));
    match node {
        Some(node) => Settle::by(
            format!("another host behind the same route, dialled from node {node}"),
            format!("kubectl debug node/{node} -it --image=busybox -- nc -zv -w 5 {name} {port}"),
        ),
        None => Settle::by(
            "the same dial from another network",
            format!("nc -zv -w 5 {name} {port}"),
        ),
    }
}

fn tls(
    case: &Case<'_>,
    vantage: &Vantage,
    fact: &Fact,
    reason: &TlsFailure,
    chain: &[Certificate],
) -> Draft {
    let (host, seen_from) = (host(fact), from(vantage));
    let proven = |cause, because: String| Draft::proven(Stage::Tls, cause, because);
    let leaf = chain.first();
    match reason {
        TlsFailure::Expired { .. } | TlsFailure::NotYetValid { .. } => {
            dates::decide(case, vantage, fact, reason)
        }
        TlsFailure::UnknownIssuer => unknown_issuer(case, vantage, fact, leaf),
        TlsFailure::NameMismatch => {
            let names: Vec<&str> = leaf
                .iter()
                .flat_map(|one| &one.names)
                .map(crate::wire::Excerpt::as_str)
                .take(8)
                .collect();
            let names = if names.is_empty() {
                "other names".into()
            } else {
                names.join(", ")
            };
            proven(
                Cause::TlsHostnameMismatch,
                format!("the certificate served for {host} is for {names}"),
            )
        }
        TlsFailure::PlainHttp => proven(
            Cause::TlsPlainHttp,
            format!("{host} answers plain HTTP where TLS was spoken {seen_from}"),
        ),
        TlsFailure::ClientCertificateRequired => proven(
            Cause::TlsClientCertRequired,
            format!("{host} wants a client certificate"),
        ),
        TlsFailure::ClientCertificateRefused { text } => proven(
            Cause::TlsClientCertRequired,
            format!(
                "{host} wants a client certificate and does not take the one that it was shown ({text})"
            ),
        ),
        TlsFailure::NoProtocol => Draft::open(
            Stage::Tls,
            Vec::new(),
            format!(
                "{host} does not speak HTTP/1.1 over TLS {seen_from}, which is all that a probe speaks"
            ),
            vec![Settle::by(
                "whether it answers over HTTP/2, as runtimes would ask it",
                format!("curl -sv --http2 https://{host}/v2/"),
            )],
        ),
        TlsFailure::VersionRefused => proven(
            Cause::TlsVersionRefused,
            format!("{host} has no TLS version in common with the client"),
        ),
        TlsFailure::Timeout { received: 0 } => proven(
            Cause::TlsHandshakeTimeout,
            format!(
                "{host} accepted the connection {seen_from} and never answered the TLS greeting"
            ),
        ),
        TlsFailure::Timeout { received } => Draft::open(
            Stage::Tls,
            vec![Cause::MtuBlackhole, Cause::TlsHandshakeTimeout],
            format!("the TLS handshake with {host} stalled {seen_from} after {received} bytes"),
            vec![Settle::by(
                "a smaller packet size from the node",
                "ping -M do -s 1200 HOST; ping -M do -s 1472 HOST",
            )],
        ),
        TlsFailure::Reset { received } | TlsFailure::Closed { received } => {
            let because = format!(
                "{host} cut the connection {seen_from} in the TLS handshake, after {received} bytes"
            );
            let taken = case
                .evidence
                .from(vantage)
                .find_map(|other| match &other.seen {
                    Seen::TlsVersions { taken } if other.endpoint == fact.endpoint => Some(taken),
                    _ => None,
                });
            if let Some(taken) = taken.filter(|taken| !taken.is_empty()) {
                let because = format!("{because}; offered alone, {} is taken", taken.join(" and "));
                return proven(Cause::TlsVersionRefused, because);
            }
            if matches!(reason, TlsFailure::Reset { .. }) {
                return proven(Cause::TcpReset, because);
            }
            Draft::open(
                Stage::Tls,
                vec![Cause::TcpReset, Cause::TlsVersionRefused],
                because,
                Vec::new(),
            )
        }
        TlsFailure::Revoked => open_certificate(format!("the certificate of {host} was revoked")),
        TlsFailure::BadCertificate { text }
        | TlsFailure::Alert { text }
        | TlsFailure::Other { text } => {
            open_certificate(format!("TLS with {host} failed {seen_from}: {text}"))
        }
    }
}

fn open_certificate(because: String) -> Draft {
    Draft::open(
        Stage::Tls,
        vec![Cause::TlsUnknownCa, Cause::TlsIntercepted],
        because,
        Vec::new(),
    )
}

/// A private authority that is missing here, or somebody in between who signs on the way.
fn unknown_issuer(
    case: &Case<'_>,
    vantage: &Vantage,
    fact: &Fact,
    leaf: Option<&Certificate>,
) -> Draft {
    let (host, seen_from) = (host(fact), from(vantage));
    let issuer = leaf.map_or_else(
        || "an unknown authority".into(),
        |leaf| format!("`{}`", leaf.issuer),
    );
    let compared = case
        .evidence
        .from(vantage)
        .find_map(|other| match &other.seen {
            Seen::TrustCompared(compared) if other.endpoint == fact.endpoint => Some(compared),
            _ => None,
        });
    let beside = compared.map_or_else(String::new, |compared| format!(": {compared}"));
    let because = format!(
        "{host} shows a certificate of {issuer} {seen_from}, which is not trusted there{beside}"
    );
    // A name alone proves nothing; it only says what to think of first.
    let named = compared.is_some_and(|compared| compared.middlebox.is_some());
    let elsewhere = case
        .evidence
        .iter()
        .filter(|other| other.vantage != *vantage && other.endpoint == fact.endpoint);
    let other_leaf = elsewhere.into_iter().find_map(|other| match &other.seen {
        Seen::TlsEstablished { chain, .. } | Seen::TlsFailed { chain, .. } => {
            chain.first().map(|one| (other, one))
        }
        _ => None,
    });
    match (leaf, other_leaf) {
        (Some(leaf), Some((other, same))) if same.fingerprint == leaf.fingerprint => {
            let because = format!("{because}; {} it shows the same one", from(&other.vantage));
            Draft::proven(Stage::Tls, Cause::TlsUnknownCa, because)
        }
        (Some(leaf), Some((other, differs))) if differs.issuer != leaf.issuer => {
            let because = format!(
                "{because}; {} the issuer is `{}`",
                from(&other.vantage),
                differs.issuer
            );
            Draft::proven(Stage::Tls, Cause::TlsIntercepted, because)
        }
        (Some(leaf), None) if leaf.self_issued() && !named => Draft::proven(
            Stage::Tls,
            Cause::TlsUnknownCa,
            format!("{because}; it signed itself"),
        ),
        _ => Draft::open(
            Stage::Tls,
            if named {
                vec![Cause::TlsIntercepted, Cause::TlsUnknownCa]
            } else {
                vec![Cause::TlsUnknownCa, Cause::TlsIntercepted]
            },
            because,
            vec![Settle::by(
                "the issuer seen from a second network",
                format!(
                    "openssl s_client -connect {} -showcerts </dev/null",
                    with_port(&host)
                ),
            )],
        ),
    }
}

fn with_port(host: &str) -> String {
    if host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
    {
        host.into()
    } else {
        format!("{host}:443")
    }
}

/// A request without a whole answer, or the answer of something that is no registry.
pub(super) fn unanswered(case: &Case<'_>, vantage: &Vantage, stop: &Stop<'_>) -> Option<Draft> {
    let fact = stop.fact?;
    let (host, seen_from, at) = (host(fact), from(vantage), stop.stage);
    if let Seen::DnsFailed { .. } | Seen::DialFailed { .. } | Seen::TlsFailed { .. } = &fact.seen {
        return Some(decide(case, vantage, stop));
    }
    if let Seen::Pinged {
        unlike_a_registry: Some(text),
        status,
        ..
    } = &fact.seen
    {
        let because = format!("{host} answers {status} with what no registry sends: {text}");
        return Some(Draft::proven(Stage::Ping, Cause::RegistryHtml, because));
    }
    let Seen::HttpFailed {
        reason,
        method,
        path,
    } = &fact.seen
    else {
        return None;
    };
    let because = |what: String| format!("{host} {what} after {method} {path} {seen_from}");
    if let Some(draft) = stalled(case, vantage, at, reason, &because) {
        return Some(draft);
    }
    Some(match reason {
        HttpFailure::TooSlow { received, seconds } => Draft::proven(
            at,
            Cause::RegistrySlow,
            because(format!("gave {received} bytes in {seconds} s and went on")),
        ),
        HttpFailure::Timeout if at == Stage::Manifest || at == Stage::Blob => {
            Draft::proven(at, Cause::PullHanging, because("gave no answer".into()))
        }
        HttpFailure::BodyStalled { received } if at == Stage::Manifest || at == Stage::Blob => {
            Draft::proven(
                at,
                Cause::PullHanging,
                because(format!("stalled after {received} bytes")),
            )
        }
        HttpFailure::Timeout | HttpFailure::BodyStalled { .. } => {
            let candidates = vec![Cause::PullHanging, Cause::MtuBlackhole, Cause::RegistrySlow];
            Draft::open(
                at,
                candidates,
                because("gave no whole answer in time".into()),
                Vec::new(),
            )
        }
        HttpFailure::Reset { received } => Draft::proven(
            at,
            Cause::TcpReset,
            because(format!("reset the connection at byte {received}")),
        ),
        HttpFailure::Closed { received } if at == Stage::Blob && *received > 0 => Draft::proven(
            at,
            Cause::LayerTruncated,
            because(format!("closed the connection at byte {received}")),
        ),
        HttpFailure::Closed { received } => {
            let because = because(format!("closed the connection at byte {received}"));
            Draft::open(
                at,
                vec![Cause::TcpReset, Cause::DnsStalePrivateRecord],
                because,
                Vec::new(),
            )
        }
        HttpFailure::Malformed { text } => Draft::open(
            at,
            vec![Cause::RegistryHtml, Cause::TlsPlainHttp],
            because(format!("sent no HTTP ({text})")),
            Vec::new(),
        ),
        _ => Draft::open(
            at,
            vec![Cause::RegistryHtml],
            because("gave no usable answer".into()),
            Vec::new(),
        ),
    })
}

/// The most that fits into packets which every network takes.
const SMALL: u64 = 1500;

/// An answer that stopped: given up by the runtime, or lost on the way because it is large.
fn stalled(
    case: &Case<'_>,
    vantage: &Vantage,
    at: Stage,
    reason: &HttpFailure,
    because: &dyn Fn(String) -> String,
) -> Option<Draft> {
    let received = match reason {
        HttpFailure::Timeout => 0,
        HttpFailure::BodyStalled { received } => *received,
        _ => return None,
    };
    if at != Stage::Blob && at != Stage::Manifest {
        return None;
    }
    let whole = case.evidence.iter().find(|fact| {
        fact.vantage != *vantage
            && matches!(fact.vantage, Vantage::Node(_))
            && matches!(fact.seen, Seen::BlobReachable { verified: true, .. })
    });
    let small = case.evidence.from(vantage).any(|fact| {
        matches!(fact.seen, Seen::Pinged { .. } | Seen::ManifestFound(_)) && fact.stage <= at
    });
    if let Some(other) = whole.filter(|_| small && received < SMALL) {
        let because = because(format!(
            "sent {received} bytes of a large answer, where small ones arrive; {} all of it came,",
            from(&other.vantage)
        ));
        return Some(Draft::proven(at, Cause::MtuBlackhole, because));
    }
    let given_up = at == Stage::Blob
        && case
            .told
            .iter()
            .any(|told| told.clue == crate::clue::Clue::PullCancelled);
    given_up.then(|| {
        let because = because(format!(
            "stalled after {received} bytes, and the runtime gave up,"
        ));
        Draft::proven(at, Cause::PullProgressTimeout, because)
    })
}

/// Addresses for a sentence.
pub(super) fn listed(case: &Case<'_>, vantage: &Vantage, wanted: Role) -> String {
    let all: Vec<String> = addresses(case.evidence, vantage, wanted)
        .iter()
        .map(ToString::to_string)
        .collect();
    all.join(", ")
}
