//! The innermost reason of a layer: what the operating system or TLS said.
//!
//! Read from the phrases that stand in the layer; the name of a system call is the word before the
//! reason (`connect: connection refused`) or before a path (`write /data: no space left on device`).

use super::layer::TlsReason;
use super::lexer::{Hit, Lexed};
use super::signal::Signal;
use super::text;

/// System calls that Go programs name in front of an error.
const CALLS: &[&str] = &[
    "accept",
    "bind",
    "chmod",
    "chown",
    "clone",
    "connect",
    "connectex",
    "fallocate",
    "fchown",
    "fsync",
    "getsockopt",
    "lchown",
    "link",
    "lsetxattr",
    "lstat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mount",
    "open",
    "openat",
    "read",
    "recvfrom",
    "remove",
    "rename",
    "sendto",
    "setxattr",
    "socket",
    "stat",
    "statfs",
    "symlink",
    "sync",
    "truncate",
    "unlink",
    "unlinkat",
    "unshare",
    "write",
    "wsarecv",
    "wsasend",
];

/// What was found in a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reason<'t> {
    pub(super) syscall: Option<&'t str>,
    pub(super) errno: Option<&'t str>,
    pub(super) tls: Option<TlsReason>,
}

/// Reads the phrases in `start..end`.
pub(super) fn read<'t>(lexed: &Lexed<'t>, start: usize, end: usize) -> Reason<'t> {
    let mut found = Reason::default();
    let from = lexed.hits.partition_point(|hit| hit.start < start);
    for hit in lexed
        .hits
        .iter()
        .skip(from)
        .take_while(|hit| hit.start < end)
    {
        match hit.phrase.signal {
            Signal::Refused
            | Signal::Reset
            | Signal::Unreachable
            | Signal::TimedOut
            | Signal::DiskFull
            | Signal::SystemReason => {
                let said = text::slice(lexed.text, hit.start, hit.end);
                let call = call_before(text::slice(lexed.text, start, hit.start));
                // What Go prints as an error of the system follows a call or a colon.
                if call.is_some() || found.errno.is_none() {
                    found.errno = Some(said);
                    found.syscall = call.or(found.syscall);
                }
            }
            _ => found.tls = found.tls.or_else(|| tls(lexed, hit, end)),
        }
    }
    found
}

fn call_before(words: &str) -> Option<&str> {
    let words = words.strip_suffix(": ")?;
    let words = words
        .get(words.len().saturating_sub(600)..)
        .unwrap_or_else(|| words.rsplit(": ").next().unwrap_or(""));
    let last = words.rsplit(": ").next()?;
    let call = last.split(' ').next()?;
    let about_a_path = last.get(call.len()..)?.trim_start().starts_with('/');
    let alone = call.len() == last.len();
    ((alone || about_a_path) && CALLS.contains(&call)).then_some(call)
}

fn tls(lexed: &Lexed<'_>, hit: &Hit, end: usize) -> Option<TlsReason> {
    let said = hit.phrase.text;
    Some(match hit.phrase.signal {
        Signal::UnknownAuthority => TlsReason::UnknownAuthority,
        Signal::CertExpired => {
            let rest = text::bounded(text::slice(lexed.text, hit.end, end), 200);
            if said == "is not yet valid" || rest.contains(" is before ") {
                TlsReason::NotYetValid
            } else {
                TlsReason::Expired
            }
        }
        Signal::CertName => TlsReason::NameMismatch,
        Signal::HttpToHttps | Signal::HttpsToHttp => TlsReason::NotTls,
        Signal::Handshake => match said {
            "TLS handshake timeout" | "SSL connection timeout" | "handshake did not complete" => {
                TlsReason::HandshakeTimeout
            }
            "certificate required" => TlsReason::ClientCertificateRequired,
            "protocol version not supported"
            | "server selected unsupported protocol version"
            | "unsupported protocol version" => TlsReason::VersionRefused,
            "first record does not look like a TLS handshake" | "oversized record received" => {
                TlsReason::NotTls
            }
            "failed to parse certificate"
            | "malformed certificate"
            | "unhandled critical extension"
            | "incompatible key usage"
            | "negative serial number"
            | "asn1: structure error"
            | "insecure algorithm" => TlsReason::BadCertificate,
            // `remote error: tls` is followed by the alert, which says more.
            "remote error: tls" | "local error: tls" => return None,
            _ => TlsReason::HandshakeFailed,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::lexer::lex;

    #[test]
    fn calls_and_reasons() {
        let table = [
            (
                "dial tcp 10.0.0.1:443: connect: connection refused",
                Some("connect"),
                Some("connection refused"),
                None,
            ),
            (
                "read tcp 10.0.0.2:5->10.0.0.1:443: read: connection reset by peer",
                Some("read"),
                Some("connection reset by peer"),
                None,
            ),
            (
                "write /var/lib/containerd/x/data: no space left on device",
                Some("write"),
                Some("no space left on device"),
                None,
            ),
            (
                "failed to lchown: lchown /a: operation not permitted",
                Some("lchown"),
                Some("operation not permitted"),
                None,
            ),
            (
                "registry: connection refused",
                None,
                Some("connection refused"),
                None,
            ),
            ("dial tcp 10.0.0.1:443: i/o timeout", None, None, None),
            (
                "x509: certificate signed by unknown authority",
                None,
                None,
                Some(TlsReason::UnknownAuthority),
            ),
            (
                "x509: certificate has expired or is not yet valid: current time 2026-01-01T00:00:00Z is after 2025-01-01T00:00:00Z",
                None,
                None,
                Some(TlsReason::Expired),
            ),
            (
                "x509: certificate has expired or is not yet valid: current time 2024-01-01T00:00:00Z is before 2025-01-01T00:00:00Z",
                None,
                None,
                Some(TlsReason::NotYetValid),
            ),
            (
                "remote error: tls: certificate required",
                None,
                None,
                Some(TlsReason::ClientCertificateRequired),
            ),
            (
                "net/http: TLS handshake timeout",
                None,
                None,
                Some(TlsReason::HandshakeTimeout),
            ),
            (
                "http: server gave HTTP response to HTTPS client",
                None,
                None,
                Some(TlsReason::NotTls),
            ),
        ];
        for (words, syscall, errno, tls) in table {
            let lexed = lex(words);
            let got = read(&lexed, 0, words.len());
            assert_eq!(
                (got.syscall, got.errno, got.tls),
                (syscall, errno, tls),
                "for {words:?}"
            );
        }
    }
}
