//! A way to an old Docker daemon for clients that insist on a new version of its API.
//!
//! testcontainers asks for the version that it was built with, and a daemon refuses one that is
//! newer than itself, although what a test needs is the same in both. This listens on a loopback
//! port, puts the daemon's own version into the path of each request and passes on everything
//! else. Its address is for `DOCKER_HOST`.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A head that is longer is none of Docker's.
const MAX_HEAD: usize = 64 << 10;

/// The proxy; it ends when this is dropped.
#[derive(Debug)]
pub struct OldDocker {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl OldDocker {
    /// Leads to a daemon's socket (`/var/run/docker.sock`), whose newest version is `version`
    /// (`1.41`, as `docker version --format '{{.Server.APIVersion}}'` shows it).
    #[cfg(unix)]
    pub async fn start(socket: impl Into<std::path::PathBuf>, version: &str) -> io::Result<Self> {
        let socket = socket.into();
        let version = version.to_owned();
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (socket, version) = (socket.clone(), version.clone());
                tokio::spawn(async move {
                    let daemon = tokio::net::UnixStream::connect(socket).await;
                    if let Ok(daemon) = daemon {
                        let _ = lead(client, daemon, &version).await;
                    }
                });
            }
        });
        Ok(Self { address, task })
    }

    /// The value for `DOCKER_HOST`. By name, since that is the host of published ports as well, and
    /// a registry over TLS has a certificate for `localhost` but not for an address outside of its
    /// container.
    pub fn docker_host(&self) -> String {
        format!("tcp://localhost:{}", self.address.port())
    }
}

impl Drop for OldDocker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request of a connection, which is then the only one: the daemon is told to close.
async fn lead<D>(mut client: TcpStream, mut daemon: D, version: &str) -> io::Result<()>
where
    D: AsyncRead + AsyncWrite + Unpin,
{
    let mut read = Vec::new();
    let mut piece = [0; 4096];
    let end = loop {
        let count = client.read(&mut piece).await?;
        read.extend(piece.iter().take(count));
        if let Some(at) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if count == 0 || read.len() > MAX_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
    };
    let (head, rest) = read.split_at(end);
    let head = String::from_utf8_lossy(head);
    daemon
        .write_all(rewritten(&head, version).as_bytes())
        .await?;
    daemon.write_all(rest).await?;
    tokio::io::copy_bidirectional(&mut client, &mut daemon).await?;
    Ok(())
}

/// The head of a request with another version in its path, for a connection of its own.
fn rewritten(head: &str, version: &str) -> String {
    let mut lines = head.split("\r\n");
    let mut new = String::with_capacity(head.len());
    let mut words = lines.next().unwrap_or_default().splitn(3, ' ');
    let (method, path, protocol) = (words.next(), words.next(), words.next());
    let path = path.unwrap_or_default();
    let unversioned = path
        .strip_prefix("/v1.")
        .map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()))
        .filter(|rest| rest.starts_with('/'));
    new += method.unwrap_or_default();
    new.push(' ');
    match unversioned {
        Some(rest) => new.extend(["/v", version, rest]),
        None => new += path,
    }
    new.push(' ');
    new += protocol.unwrap_or_default();
    let mut upgrades = false;
    for line in lines {
        let connection = line
            .get(..11)
            .is_some_and(|name| name.eq_ignore_ascii_case("connection:"));
        upgrades |= connection && line.to_ascii_lowercase().contains("upgrade");
        if !connection || upgrades {
            new += "\r\n";
            new += line;
        }
    }
    if !upgrades {
        new += "\r\nConnection: close";
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let table = [
            (
                "GET /v1.53/version HTTP/1.1\r\nHost: x",
                "GET /v1.41/version HTTP/1.1\r\nHost: x\r\nConnection: close",
            ),
            (
                "GET /_ping HTTP/1.1\r\nconnection: keep-alive\r\nHost: x",
                "GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close",
            ),
            (
                "POST /v1.53/exec/1/start HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp",
                "POST /v1.41/exec/1/start HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp",
            ),
            (
                "GET /v1.x HTTP/1.1",
                "GET /v1.x HTTP/1.1\r\nConnection: close",
            ),
        ];
        for (head, want) in table {
            assert_eq!(rewritten(head, "1.41"), want);
        }
    }
}
