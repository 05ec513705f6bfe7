//! CONNECT: asks a proxy for a stream to another host (RFC 9110, section 9.3.6).
//!
//! The answer's head is bounded and read byte by byte, so that nothing of the tunnel's own bytes is lost. The
//! proxy's credential goes into this request and into no other.

use std::fmt::Write as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Excerpt;
use crate::evidence::HttpFailure;
use crate::keyring::Secret;
use crate::reference::Authority;
use crate::world::BoxStream;

const MAX_HEAD: usize = 16 * 1024;

/// Why there is no tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TunnelError {
    /// The proxy answered, and refused.
    Refused {
        status: u16,
        /// Its phrase: some runtimes print nothing else.
        phrase: Excerpt,
        /// `Proxy-Authenticate`.
        wants: Option<Excerpt>,
    },
    /// It did not answer, or not in HTTP.
    Failed(HttpFailure),
}

/// Asks for a tunnel on a stream to a proxy.
pub(crate) async fn open(
    mut stream: BoxStream,
    to: &Authority,
    authorization: Option<&Secret>,
    user_agent: &str,
) -> Result<BoxStream, TunnelError> {
    let mut request =
        format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\nUser-Agent: {user_agent}\r\n");
    if let Some(value) = authorization {
        let _ = write!(request, "Proxy-Authorization: {}\r\n", value.expose());
    }
    request.push_str("\r\n");
    let failed = |error: &std::io::Error| TunnelError::Failed(failure(error));
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(|error| failed(&error))?;
    stream.flush().await.map_err(|error| failed(&error))?;
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") && !head.ends_with(b"\n\n") {
        if head.len() >= MAX_HEAD {
            let limit = MAX_HEAD as u64;
            return Err(TunnelError::Failed(HttpFailure::TooLarge { limit }));
        }
        head.push(stream.read_u8().await.map_err(|error| failed(&error))?);
        // What does not begin like HTTP never will.
        if !b"HTTP/1.".starts_with(head.get(..7).unwrap_or(&head)) {
            let text = Excerpt::new("the proxy's answer is not HTTP");
            return Err(TunnelError::Failed(HttpFailure::Malformed { text }));
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let (status, phrase) = status(&head).ok_or_else(|| {
        let text = Excerpt::new("the proxy's answer has no status");
        TunnelError::Failed(HttpFailure::Malformed { text })
    })?;
    if (200..300).contains(&status) {
        return Ok(stream);
    }
    Err(TunnelError::Refused {
        status,
        phrase: Excerpt::new(phrase),
        wants: header(&head, "proxy-authenticate").map(Excerpt::new),
    })
}

fn status(head: &str) -> Option<(u16, &str)> {
    let line = head.lines().next()?;
    let (_, rest) = line.split_once(' ')?;
    let (code, phrase) = rest.split_once(' ').unwrap_or((rest, ""));
    let code = (code.len() == 3)
        .then(|| code.parse::<u16>().ok())
        .flatten()?;
    Some((code, phrase))
}

fn header<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(wanted).then(|| value.trim())
    })
}

fn failure(error: &std::io::Error) -> HttpFailure {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            HttpFailure::Reset { received: 0 }
        }
        ErrorKind::UnexpectedEof => HttpFailure::Closed { received: 0 },
        ErrorKind::TimedOut => HttpFailure::Timeout,
        _ => HttpFailure::Other {
            text: Excerpt::new(&error.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    async fn ask(answer: &[u8]) -> (Result<BoxStream, TunnelError>, String) {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        theirs.write_all(answer).await.unwrap();
        theirs.shutdown().await.unwrap();
        let to = Authority::parse("r.example:443").unwrap();
        let secret = Secret::new("Basic eDp5");
        let outcome = open(Box::new(ours), &to, Some(&secret), "t/1").await;
        let mut got = vec![0; 4096];
        let read = theirs.read(&mut got).await.unwrap_or_default();
        (outcome, String::from_utf8_lossy(&got[..read]).into_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_keeps_the_bytes_that_follow() {
        let (stream, got) =
            ask(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nhello").await;
        let mut rest = String::new();
        stream
            .ok()
            .unwrap()
            .read_to_string(&mut rest)
            .await
            .unwrap();
        assert_eq!(rest, "hello");
        assert_eq!(
            got,
            "CONNECT r.example:443 HTTP/1.1\r\nHost: r.example:443\r\nUser-Agent: t/1\r\nProxy-Authorization: Basic eDp5\r\n\r\n"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_and_answers_that_are_none() {
        let refused = |status, phrase: &str, wants: Option<&str>| TunnelError::Refused {
            status,
            phrase: Excerpt::new(phrase),
            wants: wants.map(Excerpt::new),
        };
        let text = |text: &str| {
            TunnelError::Failed(HttpFailure::Malformed {
                text: Excerpt::new(text),
            })
        };
        let table: [(&[u8], TunnelError); 6] = [
            (
                b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=\"p\"\r\n\r\n",
                refused(407, "Proxy Authentication Required", Some("Basic realm=\"p\"")),
            ),
            (b"HTTP/1.0 403\r\n\r\n", refused(403, "", None)),
            (b"SSH-2.0-x\r\n\r\n", text("the proxy's answer is not HTTP")),
            (b"HTTP/1.1 abc\r\n\r\n", text("the proxy's answer has no status")),
            (b"HTTP/1.1 200 OK\r\n", TunnelError::Failed(HttpFailure::Closed { received: 0 })),
            (b"", TunnelError::Failed(HttpFailure::Closed { received: 0 })),
        ];
        for (answer, want) in table {
            let (outcome, _) = ask(answer).await;
            assert_eq!(
                outcome.err(),
                Some(want),
                "for {:?}",
                String::from_utf8_lossy(answer)
            );
        }
        let mut endless = b"HTTP/1.1 200 OK\r\n".to_vec();
        endless.extend(b"a: b\r\n".repeat(4000));
        let (outcome, _) = ask(&endless).await;
        assert!(matches!(
            outcome.err(),
            Some(TunnelError::Failed(HttpFailure::TooLarge { .. }))
        ));
    }

    proptest! {
        #[test]
        fn no_head_panics(head in any::<String>()) {
            let _ = (status(&head), header(&head, "via"));
        }
    }
}
