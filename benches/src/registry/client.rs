//! A client that does little, so that the server under measurement is what limits.
//!
//! One connection, one request at a time, requests written from ready bytes. Of an answer it
//! reads status, length and place; bodies are counted and handed on, never kept. An answer
//! without a length is refused: every peer here sends one.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const BUFFER: usize = 256 << 10;
const MAX_HEADERS: usize = 64;

/// A connection that is kept.
#[derive(Debug)]
pub(crate) struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    buffer: Box<[u8]>,
    usable: bool,
}

/// What an answer says before its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Of the body, also where there is none because the request was a HEAD.
    pub(crate) length: u64,
    pub(crate) location: Option<String>,
    closes: bool,
}

/// Why there is no usable answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The connection failed.
    #[error("no connection to {address}")]
    Io {
        /// Of the server.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Not HTTP, or a head that is too large.
    #[error("{0} sent no readable answer")]
    Unreadable(SocketAddr),
    /// Neither length nor a status without body.
    #[error("{0} sent an answer without length")]
    NoLength(SocketAddr),
    /// More bytes than announced.
    #[error("{0} sent more than it announced")]
    TooMuch(SocketAddr),
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, ClientError> {
        let stream = connect(address).await?;
        Ok(Self {
            address,
            stream,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            usable: true,
        })
    }

    /// Sends a request and reads its answer to the end; `sink` sees the body as it comes.
    pub(crate) async fn exchange(
        &mut self,
        head: &[u8],
        body: &[u8],
        mut sink: impl FnMut(&[u8]),
    ) -> Result<Answer, ClientError> {
        if !self.usable {
            self.stream = connect(self.address).await?;
        }
        // Stays so if this future is dropped half-way.
        self.usable = false;
        let address = self.address;
        let failed = |source| ClientError::Io { address, source };
        self.stream.write_all(head).await.map_err(failed)?;
        self.stream.write_all(body).await.map_err(failed)?;

        let mut filled = 0;
        let (answer, start) = loop {
            let (_, free) = self.buffer.split_at_mut(filled);
            if free.is_empty() {
                return Err(ClientError::Unreadable(address));
            }
            let count = self.stream.read(free).await.map_err(failed)?;
            if count == 0 {
                return Err(failed(io::ErrorKind::UnexpectedEof.into()));
            }
            filled += count;
            let (seen, _) = self.buffer.split_at(filled);
            if let Some(found) = parse(seen, address)? {
                break found;
            }
        };
        let (seen, _) = self.buffer.split_at(filled);
        let (_, early) = seen.split_at(start);
        let mut left = if head.starts_with(b"HEAD ") {
            0
        } else {
            answer.length
        };
        left = left
            .checked_sub(early.len() as u64)
            .ok_or(ClientError::TooMuch(address))?;
        sink(early);
        while left > 0 {
            let count = self.stream.read(&mut self.buffer).await.map_err(failed)?;
            if count == 0 {
                return Err(failed(io::ErrorKind::UnexpectedEof.into()));
            }
            left = left
                .checked_sub(count as u64)
                .ok_or(ClientError::TooMuch(address))?;
            let (piece, _) = self.buffer.split_at(count);
            sink(piece);
        }
        self.usable = !answer.closes;
        Ok(answer)
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, ClientError> {
    let failed = |source| ClientError::Io { address, source };
    let stream = TcpStream::connect(address).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}

/// The answer's head and where its body starts; `None` while the head is not complete.
fn parse(seen: &[u8], address: SocketAddr) -> Result<Option<(Answer, usize)>, ClientError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let unreadable = |_| ClientError::Unreadable(address);
    let httparse::Status::Complete(start) = response.parse(seen).map_err(unreadable)? else {
        return Ok(None);
    };
    let status = response.code.unwrap_or_default();
    let mut answer = Answer {
        status,
        length: 0,
        location: None,
        closes: false,
    };
    let mut length = matches!(status, 204 | 304).then_some(0);
    for header in response.headers.iter() {
        let text = std::str::from_utf8(header.value).unwrap_or_default();
        if header.name.eq_ignore_ascii_case("content-length") {
            length = text.trim().parse().ok();
        } else if header.name.eq_ignore_ascii_case("location") {
            answer.location = Some(text.to_owned());
        } else if header.name.eq_ignore_ascii_case("connection") {
            answer.closes = text.eq_ignore_ascii_case("close");
        }
    }
    answer.length = length.ok_or(ClientError::NoLength(address))?;
    Ok(Some((answer, start)))
}

/// What a container runtime says that it reads; docker-registry hides OCI manifests from others.
pub(crate) const MANIFESTS: &str = "application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*";

/// The head of a request; `more` are further lines, each with its end.
pub(crate) fn head(method: &str, target: &str, address: SocketAddr, more: &str) -> Vec<u8> {
    let accept = if target.contains("/manifests/") {
        MANIFESTS
    } else {
        "*/*"
    };
    format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\nAccept: {accept}\r\n{more}\r\n")
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_whole_or_not_at_all() {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let text = b"HTTP/1.1 202 Accepted\r\nLocation: /v2/a\r\ncontent-length: 3\r\nConnection: close\r\n\r\nabc";
        for end in 0..text.len() - 3 {
            assert!(matches!(parse(&text[..end], address), Ok(None)), "{end}");
        }
        let (answer, start) = parse(text, address).unwrap().unwrap();
        assert_eq!(&text[start..], b"abc");
        let want = Answer {
            status: 202,
            length: 3,
            location: Some("/v2/a".into()),
            closes: true,
        };
        assert_eq!(answer, want);
    }

    #[test]
    fn answers_that_are_refused() {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let no_length = parse(b"HTTP/1.1 200 OK\r\n\r\n", address);
        assert!(matches!(no_length, Err(ClientError::NoLength(_))));
        let not_http = parse(b"SSH-2.0-OpenSSH\r\n", address);
        assert!(matches!(not_http, Err(ClientError::Unreadable(_))));
    }
}
