//! Name resolution, TCP, proxies, time-outs, TLS: the wording of Go's net packages, of resolvers,
//! of Windows, OpenSSL and curl.

use super::{Phrase, exact, part, says, word};
use crate::explain::layer::Speaker as W;
use crate::explain::signal::Signal as S;
use crate::stage::Stage;

pub(super) static PHRASES: &[Phrase] = &[
    // The name does not exist.
    says("no such host", S::NoSuchHost).at(Stage::Dns),
    says("Name or service not known", S::NoSuchHost).at(Stage::Dns),
    says("nodename nor servname provided", S::NoSuchHost).at(Stage::Dns),
    says("No address associated with hostname", S::NoSuchHost).at(Stage::Dns),
    says("Could not resolve host", S::NoSuchHost).at(Stage::Dns),
    says("Unknown host", S::NoSuchHost).at(Stage::Dns),
    says("Host not found", S::NoSuchHost).at(Stage::Dns),
    says("No such host is known", S::NoSuchHost).at(Stage::Dns),
    says("the requested name is valid, but no data", S::NoSuchHost).at(Stage::Dns),
    word("NXDOMAIN", S::NoSuchHost).at(Stage::Dns),
    word("ENOTFOUND", S::NoSuchHost).at(Stage::Dns),
    // The resolver failed.
    says("server misbehaving", S::ServerMisbehaving).at(Stage::Dns),
    says("Temporary failure in name resolution", S::ServerMisbehaving).at(Stage::Dns),
    says(
        "Non-recoverable failure in name resolution",
        S::ServerMisbehaving,
    )
    .at(Stage::Dns),
    says(
        "temporary error during hostname resolution",
        S::ServerMisbehaving,
    )
    .at(Stage::Dns),
    says("cannot unmarshal DNS message", S::ServerMisbehaving).at(Stage::Dns),
    says("no answer from DNS server", S::ServerMisbehaving).at(Stage::Dns),
    says("lame referral", S::ServerMisbehaving).at(Stage::Dns),
    word("SERVFAIL", S::ServerMisbehaving).at(Stage::Dns),
    word("EAI_AGAIN", S::ServerMisbehaving).at(Stage::Dns),
    exact("Try again", S::TryAgain),
    // The connection.
    says("connection refused", S::Refused),
    says("actively refused it", S::Refused),
    word("ECONNREFUSED", S::Refused),
    says("RegistryUnavailable", S::Unavailable)
        .by(W::CriO)
        .at(Stage::Ping),
    says("i/o timeout", S::IoTimeout),
    says("connection timed out", S::TimedOut),
    says("operation timed out", S::TimedOut),
    says("Connection timeout", S::TimedOut),
    says("connect timeout", S::TimedOut),
    says(
        "did not properly respond after a period of time",
        S::TimedOut,
    ),
    says("connected host has failed to respond", S::TimedOut),
    word("ETIMEDOUT", S::TimedOut),
    says("network is unreachable", S::Unreachable).at(Stage::Tcp),
    says("network unreachable", S::Unreachable).at(Stage::Tcp),
    says("no route to host", S::Unreachable).at(Stage::Tcp),
    says("host is unreachable", S::Unreachable).at(Stage::Tcp),
    says("host is down", S::Unreachable).at(Stage::Tcp),
    says("cannot assign requested address", S::Unreachable).at(Stage::Tcp),
    says("can't assign requested address", S::Unreachable).at(Stage::Tcp),
    says("attempted to an unreachable", S::Unreachable).at(Stage::Tcp),
    says("no suitable address found", S::Unreachable).at(Stage::Tcp),
    word("EHOSTUNREACH", S::Unreachable).at(Stage::Tcp),
    word("ENETUNREACH", S::Unreachable).at(Stage::Tcp),
    says("connection reset by peer", S::Reset),
    says("forcibly closed by the remote host", S::Reset),
    says("connection was aborted", S::Reset),
    says("software caused connection abort", S::Reset),
    says("broken pipe", S::Reset),
    says("use of closed network connection", S::Reset),
    says("server closed idle connection", S::Reset),
    says("connection closed before message completed", S::Reset),
    says("server sent GOAWAY", S::Reset),
    says("stream error: stream ID", S::Reset),
    says("http2: client connection lost", S::Reset),
    says("connection lost", S::Reset),
    says("Empty reply from server", S::Reset),
    says("Remote end closed connection without response", S::Reset),
    says("socket hang up", S::Reset),
    word("ECONNRESET", S::Reset),
    exact("EOF", S::Eof),
    says("unexpected EOF", S::UnexpectedEof),
    says("Unexpected EOF in archive", S::Truncated),
    // Waiting for an answer.
    says("Client.Timeout exceeded", S::ClientTimeout),
    says("Client.Timeout or context cancellation", S::ClientTimeout),
    says("awaiting response headers", S::ClientTimeout),
    says("waiting for connection", S::ClientTimeout),
    says("awaiting headers", S::ClientTimeout),
    says("Read timed out", S::ClientTimeout),
    says("Gateway timed out", S::ClientTimeout),
    says("context deadline exceeded", S::DeadlineExceeded),
    says("deadline has elapsed", S::DeadlineExceeded),
    says("net/http: request canceled", S::RequestCanceled),
    says(
        "net/http: request canceled (Client.Timeout",
        S::ClientTimeout,
    ),
    says(
        "net/http: request canceled while waiting for connection",
        S::ClientTimeout,
    ),
    says("request canceled", S::RequestCanceled),
    says("context canceled", S::Canceled),
    says("context cancelled", S::Canceled),
    says("operation was canceled", S::Canceled),
    says("pull canceled", S::Canceled),
    says("pull cancelled", S::Canceled),
    says("canceled by user", S::Canceled),
    says("because of no progress", S::NoProgress)
        .by(W::Containerd)
        .at(Stage::Blob),
    // Proxy.
    says("proxyconnect", S::ProxyConnect)
        .by(W::HttpClient)
        .at(Stage::Proxy),
    says("socks connect", S::ProxyConnect)
        .by(W::HttpClient)
        .at(Stage::Proxy),
    says("Proxy Authentication Required", S::ProxyRefused)
        .by(W::Proxy)
        .at(Stage::Proxy),
    says("Received HTTP code 407 from proxy", S::ProxyRefused)
        .by(W::Proxy)
        .at(Stage::Proxy),
    says("from proxy after CONNECT", S::ProxyRefused)
        .by(W::Proxy)
        .at(Stage::Proxy),
    says("method ('CONNECT')", S::ProxyRefused)
        .by(W::Proxy)
        .at(Stage::Proxy),
    says("CONNECT tunnel failed", S::ProxyRefused)
        .by(W::Proxy)
        .at(Stage::Proxy),
    says("Tunnel connection failed", S::ProxyRefused)
        .by(W::Proxy)
        .at(Stage::Proxy),
    says("Unable to connect to proxy", S::ProxyConnect)
        .by(W::HttpClient)
        .at(Stage::Proxy),
    says("Cannot connect to proxy", S::ProxyConnect)
        .by(W::HttpClient)
        .at(Stage::Proxy),
    says("could not resolve proxy", S::ProxyConnect)
        .by(W::HttpClient)
        .at(Stage::Proxy),
    says("invalid proxy", S::ProxyConnect)
        .by(W::HttpClient)
        .at(Stage::Proxy),
    // The registry as a whole.
    says("Could not reach any registry endpoint", S::Unavailable)
        .by(W::Docker)
        .at(Stage::Ping),
    says("unable to ping registry endpoint", S::Unavailable)
        .by(W::Docker)
        .at(Stage::Ping),
    says("does not support v2 API", S::Unavailable)
        .by(W::Docker)
        .at(Stage::Ping),
    says("registry is unavailable", S::Unavailable)
        .by(W::Kubelet)
        .at(Stage::Ping),
    says("registry does not implement the V2", S::Unavailable).at(Stage::Ping),
    says("not a docker v2 registry", S::Unavailable).at(Stage::Ping),
    // TLS: trust, dates, name.
    word("x509", S::Nothing).by(W::Tls).at(Stage::Tls),
    says(
        "certificate signed by unknown authority",
        S::UnknownAuthority,
    )
    .at(Stage::Tls),
    says("certificate is not trusted", S::UnknownAuthority).at(Stage::Tls),
    says(
        "unable to get local issuer certificate",
        S::UnknownAuthority,
    )
    .at(Stage::Tls),
    says("unable to get issuer certificate", S::UnknownAuthority).at(Stage::Tls),
    says("self signed certificate", S::UnknownAuthority).at(Stage::Tls),
    says("self-signed certificate", S::UnknownAuthority).at(Stage::Tls),
    says("root certificate which is not trusted", S::UnknownAuthority).at(Stage::Tls),
    says("PKIX path building failed", S::UnknownAuthority).at(Stage::Tls),
    says(
        "unable to verify the first certificate",
        S::UnknownAuthority,
    )
    .at(Stage::Tls),
    exact("UnknownIssuer", S::UnknownAuthority).at(Stage::Tls),
    says("certificate has expired", S::CertExpired).at(Stage::Tls),
    says("certificate is expired", S::CertExpired).at(Stage::Tls),
    says("certificate expired", S::CertExpired).at(Stage::Tls),
    says("is not yet valid", S::CertExpired).at(Stage::Tls),
    says("certificate is valid for", S::CertName).at(Stage::Tls),
    says("doesn't contain any IP SANs", S::CertName).at(Stage::Tls),
    says("not valid for any names", S::CertName).at(Stage::Tls),
    says("relies on legacy Common Name field", S::CertName).at(Stage::Tls),
    says("doesn't match hostname", S::CertName).at(Stage::Tls),
    says("certificate is not valid for", S::CertName).at(Stage::Tls),
    says(
        "no alternative certificate subject name matches",
        S::CertName,
    )
    .at(Stage::Tls),
    says("hostname mismatch", S::CertName).at(Stage::Tls),
    exact("NotValidForName", S::CertName).at(Stage::Tls),
    says("certificate name does not match", S::CertName).at(Stage::Tls),
    // TLS: the handshake.
    says("TLS handshake timeout", S::Handshake).at(Stage::Tls),
    says("handshake failure", S::Handshake).at(Stage::Tls),
    says("handshake did not complete", S::Handshake).at(Stage::Tls),
    says("handshake failed", S::Handshake).at(Stage::Tls),
    says("certificate required", S::Handshake).at(Stage::Tls),
    says(
        "first record does not look like a TLS handshake",
        S::Handshake,
    )
    .at(Stage::Tls),
    says("protocol version not supported", S::Handshake).at(Stage::Tls),
    says("server selected unsupported protocol version", S::Handshake).at(Stage::Tls),
    says("unsupported protocol version", S::Handshake).at(Stage::Tls),
    says("no application protocol", S::Handshake).at(Stage::Tls),
    says("unrecognized name", S::Handshake).at(Stage::Tls),
    says("remote error: tls", S::Handshake)
        .by(W::Tls)
        .at(Stage::Tls),
    says("local error: tls", S::Handshake)
        .by(W::Tls)
        .at(Stage::Tls),
    says("bad record MAC", S::Handshake).at(Stage::Tls),
    says("oversized record received", S::Handshake).at(Stage::Tls),
    says("failed to parse certificate", S::Handshake).at(Stage::Tls),
    says("malformed certificate", S::Handshake).at(Stage::Tls),
    says("unhandled critical extension", S::Handshake).at(Stage::Tls),
    says("incompatible key usage", S::Handshake).at(Stage::Tls),
    says("negative serial number", S::Handshake).at(Stage::Tls),
    says("asn1: structure error", S::Handshake).at(Stage::Tls),
    says("ssl3_get_record", S::Handshake).at(Stage::Tls),
    part("tls_process", S::Handshake).at(Stage::Tls),
    says("SSL_ERROR", S::Handshake).at(Stage::Tls),
    says("SSL connection timeout", S::Handshake).at(Stage::Tls),
    says("tls: failed to verify certificate", S::Nothing)
        .by(W::Tls)
        .at(Stage::Tls),
    says("insecure algorithm", S::Handshake).at(Stage::Tls),
    says("certificate verify failed", S::UnknownAuthority).at(Stage::Tls),
    says("CERTIFICATE_VERIFY_FAILED", S::UnknownAuthority).at(Stage::Tls),
    // Scheme.
    says("server gave HTTP response to HTTPS client", S::HttpToHttps)
        .by(W::HttpClient)
        .at(Stage::Tls),
    says("wrong version number", S::HttpToHttps).at(Stage::Tls),
    says(
        "Client sent an HTTP request to an HTTPS server",
        S::HttpsToHttp,
    )
    .at(Stage::Tls),
    says("plain HTTP request was sent to HTTPS port", S::HttpsToHttp).at(Stage::Tls),
    says(
        "speaking plain HTTP to an SSL-enabled server port",
        S::HttpsToHttp,
    )
    .at(Stage::Tls),
    says(
        "This combination of host and port requires TLS",
        S::HttpsToHttp,
    )
    .at(Stage::Tls),
    says("malformed HTTP response \"\\x15\\x03", S::HttpsToHttp).at(Stage::Tls),
];
