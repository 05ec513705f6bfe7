//! Where the checker may look from: this machine, with the name server of the stage; and each node, by
//! streams that a shell in its container opens.
//!
//! A shell is all that a node has for certain. It says `+` when it is connected and carries bytes after
//! that; what it complains of before is the error. Names are asked over TCP, from the node's own
//! address, so that the answer is the one that the node gets.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::future::BoxFuture;
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use pullcheck::world::{BoxStream, DialError, DnsError, Host, Net, Resolved};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::task::JoinHandle;

use super::docker;
use super::node::Node;

/// As long as a resolver on a node waits for an answer, twice.
const DNS_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT: &str = r#"
export LC_ALL=C
exec 3<>"/dev/tcp/$0/$1" || exit 7
printf +
cat <&0 >&3 &
exec cat <&3
"#;

/// A node's own network.
pub(super) struct NodePlace(pub(super) Node);

impl Net for NodePlace {
    fn resolve<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<Resolved, DnsError>> {
        Box::pin(async move {
            let file = self.0.script("cat /etc/resolv.conf", &[]).await;
            let file = file.map_err(|error| DnsError::Other {
                text: error.to_string(),
                server: None,
            })?;
            let Some(server) = name_server(&file) else {
                return Err(DnsError::Other {
                    text: "the node's resolv.conf names no server".to_owned(),
                    server: None,
                });
            };
            let asking = ask(self, server, host.name().unwrap_or_default());
            let named = Some(server.to_string());
            match tokio::time::timeout(DNS_TIMEOUT, asking).await {
                Ok(answer) => answer,
                Err(_) => Err(DnsError::Timeout { server: named }),
            }
        })
    }

    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, Result<BoxStream, DialError>> {
        Box::pin(async move {
            let (address, port) = (to.ip().to_string(), to.port().to_string());
            let arguments = [
                "exec",
                "--interactive",
                self.0.name(),
                "bash",
                "-c",
                CONNECT,
                &address,
                &port,
            ];
            let other = |error: io::Error| DialError::Other(error.to_string());
            let mut child = docker::start(&arguments).map_err(other)?;
            let none = || DialError::Other("docker without its streams".to_owned());
            let input = child.stdin.take().ok_or_else(none)?;
            let mut output = child.stdout.take().ok_or_else(none)?;
            let mut first = [0];
            let stderr = child.stderr.take();
            let complaint = tokio::spawn(async move {
                let mut complaint = String::new();
                if let Some(stderr) = stderr {
                    let _ = stderr.take(4096).read_to_string(&mut complaint).await;
                }
                complaint
            });
            if output.read(&mut first).await.map_err(other)? == 1 && first == *b"+" {
                return Ok(Box::new(Carried {
                    input: Some(input),
                    output,
                    complaint: Some(complaint),
                    _child: child,
                }) as BoxStream);
            }
            Err(why(&complaint.await.unwrap_or_default()))
        })
    }
}

/// What a shell says when it cannot connect.
fn why(complaint: &str) -> DialError {
    let table = [
        ("Connection refused", DialError::Refused),
        ("Connection timed out", DialError::TimedOut),
        ("No route to host", DialError::NoRoute),
        ("Network is unreachable", DialError::NetUnreachable),
        ("Connection reset", DialError::Reset),
    ];
    let found = table.into_iter().find(|(text, _)| complaint.contains(text));
    found.map_or_else(
        || {
            DialError::Other(
                complaint
                    .lines()
                    .next()
                    .unwrap_or("no reason given")
                    .to_owned(),
            )
        },
        |(_, error)| error,
    )
}

/// How a connection ended, where a shell complains of it.
fn cut_off(complaint: &str) -> Option<io::ErrorKind> {
    let table = [
        ("Connection reset", io::ErrorKind::ConnectionReset),
        ("Connection timed out", io::ErrorKind::TimedOut),
        ("No route to host", io::ErrorKind::HostUnreachable),
        ("Broken pipe", io::ErrorKind::BrokenPipe),
    ];
    let found = table.into_iter().find(|(text, _)| complaint.contains(text));
    found.map(|(_, kind)| kind)
}

/// The first server of a `resolv.conf`.
fn name_server(file: &str) -> Option<SocketAddr> {
    let servers = file.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next())?
    });
    let mut servers = servers.filter_map(|text| text.parse::<IpAddr>().ok());
    servers.next().map(|address| SocketAddr::new(address, 53))
}

/// Asks for a name's IPv4 addresses over a stream.
async fn ask(place: &NodePlace, server: SocketAddr, name: &str) -> Result<Resolved, DnsError> {
    let named = Some(server.to_string());
    let other = |text: String| DnsError::Other {
        text,
        server: named.clone(),
    };
    let mut stream = match place.dial(server).await {
        Ok(stream) => stream,
        Err(DialError::TimedOut) => return Err(DnsError::Timeout { server: named }),
        Err(error) => return Err(other(error.to_string())),
    };
    let question = question(name).ok_or_else(|| other(format!("`{name}` is no name")))?;
    let answer: io::Result<Vec<u8>> = async {
        let length = u16::try_from(question.len()).unwrap_or(u16::MAX);
        stream.write_u16(length).await?;
        stream.write_all(&question).await?;
        stream.flush().await?;
        let mut answer = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }
    .await;
    let answer = answer.map_err(|error| other(error.to_string()))?;
    read(&answer, named)
}

fn question(name: &str) -> Option<Vec<u8>> {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    let name = Name::from_ascii(format!("{}.", name.trim_end_matches('.'))).ok()?;
    message.add_query(Query::query(name, RecordType::A));
    message.to_vec().ok()
}

fn read(answer: &[u8], server: Option<String>) -> Result<Resolved, DnsError> {
    let message = Message::from_vec(answer).map_err(|error| DnsError::Other {
        text: error.to_string(),
        server: server.clone(),
    })?;
    match message.metadata.response_code {
        ResponseCode::NoError => {}
        ResponseCode::NXDomain => return Err(DnsError::NxDomain { server }),
        ResponseCode::ServFail => return Err(DnsError::ServFail { server }),
        code => {
            return Err(DnsError::Other {
                text: code.to_string(),
                server,
            });
        }
    }
    let (mut addresses, mut aliases) = (Vec::new(), Vec::new());
    for record in &message.answers {
        match &record.data {
            RData::A(address) => addresses.push(IpAddr::V4(address.0)),
            RData::CNAME(name) => aliases.push(name.0.to_ascii().trim_end_matches('.').to_owned()),
            _ => {}
        }
    }
    if addresses.is_empty() {
        return Err(DnsError::NoData { server });
    }
    Ok(Resolved {
        addresses,
        aliases,
        server,
    })
}

/// A stream that a process carries.
struct Carried {
    input: Option<ChildStdin>,
    output: ChildStdout,
    /// What the process says on its way out; none once it has been heard.
    complaint: Option<JoinHandle<String>>,
    /// Ended when this is dropped.
    _child: Child,
}

impl AsyncRead for Carried {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.output).poll_read(context, buffer));
        let ended = read.is_ok() && buffer.filled().len() == before && buffer.remaining() > 0;
        // An end that was no orderly one: only the process knows.
        if ended && let Some(complaint) = &mut self.complaint {
            let said = ready!(Pin::new(complaint).poll(context)).unwrap_or_default();
            self.complaint = None;
            if let Some(kind) = cut_off(&said) {
                return Poll::Ready(Err(kind.into()));
            }
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Carried {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.input {
            Some(input) => Pin::new(input).poll_write(context, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.input {
            Some(input) => Pin::new(input).poll_flush(context),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input = None;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_says() {
        let table = [
            (
                "bash: connect: Connection refused\nbash: line 1: /dev/tcp/10.0.0.9/1: Connection refused",
                DialError::Refused,
            ),
            ("bash: connect: No route to host", DialError::NoRoute),
            (
                "bash: connect: Network is unreachable",
                DialError::NetUnreachable,
            ),
            ("bash: connect: Connection timed out", DialError::TimedOut),
            (
                "Error: No such container: x",
                DialError::Other("Error: No such container: x".into()),
            ),
            ("", DialError::Other("no reason given".into())),
        ];
        for (text, want) in table {
            assert_eq!(why(text), want, "for {text:?}");
        }
    }

    #[test]
    fn how_connections_are_cut_off() {
        let reset = "cat: -: Connection reset by peer";
        assert_eq!(cut_off(reset), Some(io::ErrorKind::ConnectionReset));
        assert_eq!(cut_off(""), None);
    }

    #[test]
    fn servers_of_a_file() {
        let table = [
            (
                "nameserver 10.0.0.2\nnameserver 10.0.0.3",
                Some("10.0.0.2:53"),
            ),
            (
                "# nameserver 10.0.0.1\nsearch a\nnameserver x\nnameserver 10.0.0.4",
                Some("10.0.0.4:53"),
            ),
            ("", None),
        ];
        for (file, want) in table {
            assert_eq!(
                name_server(file),
                want.map(|text| text.parse().unwrap()),
                "for {file:?}"
            );
        }
    }

    #[test]
    fn answers_to_a_question() {
        let mut message = Message::from_vec(&question("r.example").unwrap()).unwrap();
        message.metadata.response_code = ResponseCode::NXDomain;
        let answer = message.to_vec().unwrap();
        assert_eq!(
            read(&answer, None),
            Err(DnsError::NxDomain { server: None })
        );
        message.metadata.response_code = ResponseCode::NoError;
        let answer = message.to_vec().unwrap();
        assert_eq!(read(&answer, None), Err(DnsError::NoData { server: None }));
        assert!(read(b"", None).is_err());
    }
}
