//! The proxy in the runtime's environment: a tunnel by CONNECT, and Go's words where there is none.
//!
//! `HTTPS_PROXY` and `NO_PROXY` as Go reads them, for registries over TLS; plain HTTP goes straight.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::error::TransportError;
use super::go;
use super::transport::Dialer;
use super::url::{Scheme, Url};
use crate::net::Stream;

/// The longest head of a proxy's answer that is read.
const LARGEST_HEAD: usize = 8 << 10;

/// A proxy and where it is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProxy {
    /// `HOST:PORT`, spoken to in plain HTTP.
    pub authority: String,
    /// `NO_PROXY`: hosts, domains with or without a leading dot, `*`.
    pub no_proxy: Vec<String>,
}

impl HttpProxy {
    fn covers(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let spared = self.no_proxy.iter().any(|entry| {
            let entry = entry.trim().to_ascii_lowercase();
            let domain = entry.strip_prefix('.').unwrap_or(&entry);
            entry == "*"
                || (!domain.is_empty()
                    && (host == domain
                        || host
                            .strip_suffix(domain)
                            .is_some_and(|head| head.ends_with('.'))))
        });
        !spared && !matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1")
    }
}

impl Dialer {
    /// The proxy that a request goes through.
    pub(super) fn proxy_for(&self, url: &Url) -> Option<&HttpProxy> {
        self.proxy
            .as_ref()
            .filter(|proxy| url.scheme == Scheme::Https && proxy.covers(url.host()))
    }

    /// Opens a tunnel to the host of `url`.
    pub(super) async fn tunnel(
        &self,
        proxy: &HttpProxy,
        url: &Url,
    ) -> Result<Stream, TransportError> {
        let at = Url::new(Scheme::Http, &proxy.authority, "/");
        let mut stream = self
            .dial(&at)
            .await
            .map_err(|error| TransportError::Proxy(Box::new(error)))?;
        let port = url.port().unwrap_or(443);
        let target = format!("{}:{port}", url.host());
        let request = format!(
            "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: Go-http-client/1.1\r\n\r\n"
        );
        let sent = stream.write_all(request.as_bytes()).await;
        sent.map_err(|_| TransportError::Eof)?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && head.len() < LARGEST_HEAD {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return Err(TransportError::Eof),
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let line = head.lines().next().unwrap_or_default();
        let (_, status) = line.split_once(' ').unwrap_or_default();
        let (code, phrase) = status.split_once(' ').unwrap_or((status, ""));
        match code.parse::<u16>() {
            Ok(200) => Ok(stream),
            Ok(code) if phrase.is_empty() => {
                Err(TransportError::Other(go::status_line(code, None)))
            }
            Ok(_) => Err(TransportError::Other(phrase.to_owned())),
            Err(_) => Err(TransportError::Malformed(line.as_bytes().to_vec())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_are_spared() {
        let proxy = HttpProxy {
            authority: "proxy.example:3128".into(),
            no_proxy: vec!["registry.example".into(), ".corp.example".into()],
        };
        let table = [
            ("registry.example", false),
            ("eu.registry.example", false),
            ("myregistry.example", true),
            ("a.corp.example", false),
            ("localhost", false),
            ("quay.io", true),
        ];
        for (host, want) in table {
            assert_eq!(proxy.covers(host), want, "for {host}");
        }
    }
}
