//! An HTTP proxy that opens tunnels, or refuses to, whatever network it stands on.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::spec::ProxyRules;

const LARGEST_HEAD: usize = 8 << 10;

/// The machine that a proxy dials from.
pub(super) trait Way: Send + Sync {
    /// What it dials to.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send;

    /// A stream to a host by its name; `None` where there is no way.
    fn dial(&self, name: &str, port: u16) -> impl Future<Output = Option<Self::Stream>> + Send;
}

/// Serves one connection.
pub(super) async fn serve<W: Way>(
    way: &W,
    rules: &ProxyRules,
    mut client: impl AsyncRead + AsyncWrite + Unpin + Send,
) {
    let Some(head) = read_head(&mut client).await else {
        return;
    };
    let mut server = match tunnel(way, rules, &head).await {
        Ok(server) => server,
        Err(status) => {
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = client.write_all(answer.as_bytes()).await;
            let _ = client.shutdown().await;
            return;
        }
    };
    let opened = b"HTTP/1.1 200 Connection established\r\n\r\n";
    if client.write_all(opened).await.is_ok() {
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
}

/// The head of a request, up to its empty line.
async fn read_head(client: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= LARGEST_HEAD {
            return None;
        }
        head.push(client.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

/// The stream to the host that is asked for, or the status of a refusal.
async fn tunnel<W: Way>(
    way: &W,
    rules: &ProxyRules,
    head: &str,
) -> Result<W::Stream, &'static str> {
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    let (Some("CONNECT"), Some(target)) = (words.next(), words.next()) else {
        return Err("405 Method Not Allowed");
    };
    let signed_in = head.lines().any(|line| {
        line.to_ascii_lowercase()
            .starts_with("proxy-authorization:")
    });
    if rules.wants_user && !signed_in {
        return Err(
            "407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"proxy\"",
        );
    }
    let (name, port) = target.rsplit_once(':').ok_or("400 Bad Request")?;
    let port = port.parse().map_err(|_| "400 Bad Request")?;
    if rules.refuses.iter().any(|refused| refused == name) {
        return Err("403 Forbidden");
    }
    way.dial(name, port).await.ok_or("502 Bad Gateway")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Echo;

    impl Way for Echo {
        type Stream = tokio::io::DuplexStream;

        async fn dial(&self, name: &str, port: u16) -> Option<Self::Stream> {
            if (name, port) != ("registry.example", 443) {
                return None;
            }
            let (near, mut far) = tokio::io::duplex(64);
            tokio::spawn(async move {
                let _ = far.write_all(b"hello").await;
            });
            Some(near)
        }
    }

    #[tokio::test]
    async fn which_tunnels_open() {
        let plain = ProxyRules::default();
        let strict = ProxyRules {
            refuses: vec!["other.example".to_owned()],
            wants_user: true,
        };
        let table = [
            (
                &plain,
                "CONNECT registry.example:443 HTTP/1.1\r\n\r\n",
                "200",
            ),
            (&plain, "CONNECT gone.example:443 HTTP/1.1\r\n\r\n", "502"),
            (&plain, "CONNECT registry.example HTTP/1.1\r\n\r\n", "400"),
            (
                &plain,
                "GET http://registry.example/ HTTP/1.1\r\n\r\n",
                "405",
            ),
            (
                &strict,
                "CONNECT registry.example:443 HTTP/1.1\r\n\r\n",
                "407",
            ),
            (
                &strict,
                "CONNECT other.example:443 HTTP/1.1\r\nProxy-Authorization: Basic eDp5\r\n\r\n",
                "403",
            ),
        ];
        for (rules, request, want) in table {
            let (mut near, far) = tokio::io::duplex(1024);
            near.write_all(request.as_bytes()).await.unwrap();
            let serving = serve(&Echo, rules, far);
            let reading = async {
                let mut text = String::new();
                near.shutdown().await.unwrap();
                near.read_to_string(&mut text).await.unwrap();
                text
            };
            let ((), text) = tokio::join!(serving, reading);
            assert_eq!(
                text.split(' ').nth(1),
                Some(want),
                "for {request:?}: {text}"
            );
            assert_eq!(want == "200", text.ends_with("hello"), "{text}");
        }
    }
}
