//! Names, connections, proxies, time-outs, TLS.

use super::{Finding, Weight};
use crate::clue::Clue;
use crate::explain::reading::Reading;
use crate::explain::signal::Signal as S;
use crate::explain::url::Asked;
use crate::stage::Stage;

/// The step that a transport failure is reported at: the token or blob step where it happened there,
/// else the layer that failed.
fn step_or(reading: &Reading<'_>, stage: Stage) -> Stage {
    match reading.step() {
        Some(step @ (Stage::Token | Stage::Blob)) => step,
        _ => stage,
    }
}

/// A failure that a step's own failure could hide behind.
fn step_clue(reading: &Reading<'_>) -> &'static [Clue] {
    match reading.step() {
        Some(Stage::Token) => &[Clue::TokenServiceFailed],
        Some(Stage::Blob) => &[Clue::RedirectOrStorageFailed],
        _ => &[],
    }
}

/// A socket on the node itself: the runtime or its snapshotter is down, not a registry.
pub(super) fn local_socket(reading: &Reading<'_>) -> Option<Finding> {
    let failed = reading.any(&[
        S::Refused,
        S::IoTimeout,
        S::DeadlineExceeded,
        S::Eof,
        S::Reset,
        S::SystemReason,
        S::Runtime,
    ]) || reading
        .last(S::GrpcCode)
        .is_some_and(|hit| reading.after(hit.end).starts_with("Unavailable"));
    (reading.has(S::DialUnix) && failed).then(|| Finding::sure(Clue::RuntimeError, Stage::Kubelet))
}

pub(super) fn proxy(reading: &Reading<'_>) -> Option<Finding> {
    if reading.has(S::ProxyConnect) {
        let also: &[Clue] = if reading.any(&[S::NoSuchHost, S::ServerMisbehaving, S::TryAgain]) {
            &[Clue::DnsServerFailed]
        } else {
            &[]
        };
        return Some(Finding::sure(Clue::ProxyFailed, Stage::Proxy).with(also));
    }
    if reading.has(S::ProxyRefused) || reading.status == Some(407) {
        return Some(Finding::sure(Clue::ProxyFailed, Stage::Proxy));
    }
    if let Some(code) = reading.bare_phrase() {
        let also: &[Clue] = match code {
            403 => &[Clue::PermissionDenied, Clue::FirewallDenied403],
            500..=504 => &[Clue::RegistryUnavailable, Clue::Registry5xx],
            _ => &[Clue::RegistryUnavailable],
        };
        return Some(Finding::unsure(Clue::ProxyFailed, Stage::Proxy, also));
    }
    // The client went to another port than the URL's: somebody stands in between.
    let url = reading.request?;
    let (_, port) = reading.dialled?;
    let dialled_failed = reading.any(&[S::Refused, S::IoTimeout, S::TimedOut, S::Unreachable])
        && reading.any(&[S::DialTcp, S::ConnectingTo]);
    if port != url.port && port != 53 && dialled_failed && !reading.has(S::Lookup) {
        let also: &[Clue] = if reading.has(S::Refused) {
            &[Clue::TcpRefused]
        } else {
            &[Clue::TcpTimeout]
        };
        return Some(Finding::unsure(Clue::ProxyFailed, Stage::Proxy, also));
    }
    None
}

pub(super) fn tls(reading: &Reading<'_>) -> Option<Finding> {
    let clue = if reading.has(S::CertExpired) {
        Clue::TlsExpired
    } else if reading.has(S::UnknownAuthority) {
        Clue::TlsUnknownCa
    } else if reading.has(S::CertName) {
        Clue::TlsNameMismatch
    } else if reading.has(S::Handshake) {
        Clue::TlsHandshakeFailed
    } else {
        return None;
    };
    let mut finding = Finding::sure(clue, step_or(reading, Stage::Tls));
    if clue == Clue::TlsHandshakeFailed {
        if reading.text.contains("timeout") {
            finding.admit(&[Clue::ResponseTimeout]);
        } else if reading.text.contains("certificate required") {
            finding.admit(&[Clue::AuthRequiredNoCredentials]);
        }
    }
    Some(finding.with(step_clue(reading)))
}

/// HTTPS spoken to HTTP, or the other way round.
pub(super) fn scheme(reading: &Reading<'_>) -> Option<Finding> {
    if reading.has(S::HttpToHttps) {
        let finding = Finding::sure(Clue::HttpToHttps, step_or(reading, Stage::Tls));
        // A public storage host does not serve HTTP on its HTTPS port: something in between does.
        return Some(
            if reading.step() == Some(Stage::Blob) && reading.asked() != Some(Asked::Ping) {
                finding.with(&[Clue::RedirectOrStorageFailed, Clue::ProxyFailed])
            } else {
                finding
            },
        );
    }
    if reading.has(S::HttpsToHttp) {
        return Some(Finding::sure(Clue::HttpsToHttp, Stage::Tls));
    }
    // A HEAD has no body to say why: 400 to a request in clear is what an HTTPS port answers.
    let resolves = matches!(reading.step(), Some(Stage::Ping | Stage::Manifest));
    let in_clear = reading.request.is_none_or(|url| url.plain);
    (resolves && in_clear && reading.status == Some(400)).then(|| {
        Finding::unsure(
            Clue::HttpsToHttp,
            Stage::Tls,
            &[Clue::RedirectOrStorageFailed, Clue::MirrorMisconfigured],
        )
        .of(Weight::Status)
    })
}

/// True where the failing socket is the resolver's.
fn asks_resolver(reading: &Reading<'_>) -> bool {
    if reading.has(S::Udp) {
        return true;
    }
    // `dial tcp: lookup HOST on SERVER:53: …`; a later dial to an address is not the resolver's.
    match (reading.last(S::Lookup), reading.last(S::DialTcp)) {
        (Some(lookup), Some(dial)) => {
            lookup.start > dial.start || reading.dialled.is_some_and(|(_, port)| port == 53)
        }
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// Name resolution.
pub(super) fn names(reading: &Reading<'_>) -> Option<Finding> {
    let clue = if reading.has(S::NoSuchHost) {
        Clue::DnsNotFound
    } else if reading.has(S::ServerMisbehaving) {
        Clue::DnsServerFailed
    } else if reading.has(S::TryAgain) && reading.has(S::Lookup) {
        return Some(
            Finding::sure(Clue::DnsServerFailed, step_or(reading, Stage::Dns))
                .with(&[Clue::DnsTimeout]),
        );
    } else if asks_resolver(reading)
        && reading.any(&[S::IoTimeout, S::TimedOut, S::DeadlineExceeded])
    {
        Clue::DnsTimeout
    } else if asks_resolver(reading) && reading.any(&[S::Refused, S::Unreachable, S::Reset]) {
        Clue::DnsServerFailed
    } else if reading.has(S::DialTcp) && reading.has(S::IoTimeout) && reading.dialled.is_none() {
        // The old `dial tcp: i/o timeout` has no address: none was found yet.
        return Some(Finding::unsure(
            Clue::DnsTimeout,
            Stage::Dns,
            &[Clue::TcpTimeout],
        ));
    } else {
        return None;
    };
    Some(Finding::sure(clue, step_or(reading, Stage::Dns)).with(step_clue(reading)))
}

/// TCP: never made, refused, cut.
pub(super) fn connection(reading: &Reading<'_>) -> Option<Finding> {
    if asks_resolver(reading) {
        return None;
    }
    let at = |stage| step_or(reading, stage);
    if reading.has(S::Refused) {
        let mut finding = Finding::sure(Clue::TcpRefused, at(Stage::Tcp));
        if reading.dialled.is_some_and(|(host, _)| is_local(host)) {
            finding.admit(&[Clue::MirrorMisconfigured]);
        }
        return Some(finding.with(step_clue(reading)));
    }
    if reading.has(S::Unreachable) {
        return Some(
            Finding::sure(Clue::NetworkUnreachable, at(Stage::Tcp)).with(step_clue(reading)),
        );
    }
    if reading.has(S::TimedOut) || (reading.has(S::IoTimeout) && reading.has(S::DialTcp)) {
        return Some(Finding::sure(Clue::TcpTimeout, at(Stage::Tcp)).with(step_clue(reading)));
    }
    if reading.has(S::DialTcp) && reading.dialled.is_some() && reading.has(S::DeadlineExceeded) {
        return Some(Finding::unsure(
            Clue::TcpTimeout,
            at(Stage::Tcp),
            &[Clue::ResponseTimeout],
        ));
    }
    if reading.has(S::IoTimeout) {
        // `read tcp a->b: i/o timeout`: open, and silent.
        return Some(Finding::unsure(
            Clue::ResponseTimeout,
            at(Stage::Ping),
            &[Clue::TcpTimeout],
        ));
    }
    if reading.has(S::Reset) {
        let stage = reading.step().unwrap_or(Stage::Tcp);
        let also: &[Clue] = if reading.fetches_blob() {
            &[Clue::TruncatedTransfer]
        } else {
            &[]
        };
        return Some(
            Finding::sure(Clue::ConnectionReset, stage)
                .with(also)
                .with(step_clue(reading)),
        );
    }
    None
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host.starts_with("127.") || host == "[::1]"
}

/// No answer, an early end, a pull that was stopped.
pub(super) fn waiting(reading: &Reading<'_>) -> Option<Finding> {
    let step = reading.step();
    let stage = step.unwrap_or(Stage::Ping);
    if reading.has(S::NoProgress) {
        return Some(
            Finding::sure(Clue::PullCancelled, Stage::Blob).with(&[Clue::ResponseTimeout]),
        );
    }
    if reading.has(S::ClientTimeout) {
        let finding = if reading.text.contains("waiting for connection") {
            Finding::unsure(Clue::ResponseTimeout, stage, &[Clue::TcpTimeout])
        } else {
            Finding::sure(Clue::ResponseTimeout, stage).with(&[Clue::TcpTimeout])
        };
        return Some(finding.with(step_clue(reading)));
    }
    if reading.has(S::DeadlineExceeded) {
        return Some(
            Finding::unsure(
                Clue::ResponseTimeout,
                stage,
                &[Clue::TcpTimeout, Clue::DnsTimeout],
            )
            .of(Weight::Status),
        );
    }
    if reading.has(S::Canceled) || grpc_canceled(reading) {
        let finding = Finding::sure(Clue::PullCancelled, stage).with(&[Clue::ResponseTimeout]);
        return Some(if reading.is_cut() {
            Finding {
                certain: false,
                ..finding
            }
        } else {
            finding
        });
    }
    if reading.has(S::RequestCanceled) {
        return Some(Finding::unsure(
            Clue::PullCancelled,
            stage,
            &[Clue::ResponseTimeout],
        ));
    }
    // Behind a status only the body's end was lost.
    if reading.has(S::UnexpectedEof) && reading.status.is_none() {
        return Some(
            if matches!(step, Some(Stage::Blob) | None) || reading.has(S::Unpack) {
                Finding::sure(Clue::TruncatedTransfer, Stage::Blob).with(&[Clue::ConnectionReset])
            } else {
                Finding::unsure(Clue::ConnectionReset, stage, &[Clue::TruncatedTransfer])
            },
        );
    }
    if reading.has(S::Eof) {
        let also: &[Clue] = if step == Some(Stage::Blob) {
            &[Clue::TruncatedTransfer, Clue::ProxyFailed]
        } else {
            &[Clue::ProxyFailed, Clue::TlsHandshakeFailed]
        };
        return Some(Finding::unsure(Clue::ConnectionReset, stage, also).with(step_clue(reading)));
    }
    None
}

/// `rpc error: code = Canceled`, also where the word was cut.
fn grpc_canceled(reading: &Reading<'_>) -> bool {
    reading
        .last(S::GrpcCode)
        .is_some_and(|hit| reading.after(hit.end).starts_with("Cancel"))
}

/// "The registry cannot be reached", with no reason.
pub(super) fn unavailable(reading: &Reading<'_>) -> Option<Finding> {
    reading.has(S::Unavailable).then(|| {
        Finding::unsure(Clue::RegistryUnavailable, Stage::Ping, &[Clue::Unknown]).of(Weight::Hint)
    })
}

/// The text ends in the middle of a network layer: what could have followed.
pub(super) fn cut(reading: &Reading<'_>) -> Option<Finding> {
    if reading.completed {
        return None;
    }
    if reading.has(S::Lookup) && reading.has(S::DialTcp) {
        return Some(
            Finding::unsure(
                Clue::Unknown,
                Stage::Dns,
                &[Clue::DnsNotFound, Clue::DnsTimeout, Clue::DnsServerFailed],
            )
            .of(Weight::Hint),
        );
    }
    if let Some(completed) = crate::explain::tail::complete(reading) {
        return Some(completed);
    }
    // Cut in front of a status that is known to follow.
    if reading.is_cut()
        && reading
            .request
            .is_some_and(|url| url.end + 4 >= reading.end())
        && reading.status.is_none()
    {
        return Some(
            Finding::unsure(
                Clue::Unknown,
                reading.step().unwrap_or(Stage::Manifest),
                &[Clue::RateLimited, Clue::Registry5xx],
            )
            .of(Weight::Hint),
        );
    }
    None
}
