//! An HTTP proxy on the simulated network: opens tunnels, or refuses to.

use std::net::SocketAddr;
use std::sync::Arc;

use sim_cluster::net::{Acceptor, Host, Stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::spec::ProxyRules;

const LARGEST_HEAD: usize = 8 << 10;

/// What listens at the proxy's port; `host` is the machine that it dials from.
pub(super) fn acceptor(host: Host, rules: ProxyRules) -> Acceptor {
    let rules = Arc::new(rules);
    Arc::new(move |stream, _peer| {
        tokio::spawn(serve(host.clone(), Arc::clone(&rules), stream));
    })
}

async fn serve(host: Host, rules: Arc<ProxyRules>, mut client: Stream) {
    let Some(head) = read_head(&mut client).await else {
        return;
    };
    let mut server = match tunnel(&host, &rules, &head).await {
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
async fn read_head(client: &mut Stream) -> Option<String> {
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
async fn tunnel(host: &Host, rules: &ProxyRules, head: &str) -> Result<Stream, &'static str> {
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
    let found = host.lookup(name).await.map_err(|_| "502 Bad Gateway")?;
    let address = found.addresses.first().copied().ok_or("502 Bad Gateway")?;
    let dialled = host.dial(SocketAddr::new(address, port)).await;
    dialled.map_err(|_| "502 Bad Gateway")
}
