//! A stream that counts what it receives, so that a failed handshake can say how far it came.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::world::BoxStream;

/// What was received so far: the number of bytes, and the first eight of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    count: Arc<AtomicU64>,
    first: Arc<AtomicU64>,
}

impl Received {
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// True if the other side spoke HTTP without TLS.
    pub(crate) fn looks_like_http(&self) -> bool {
        self.count() >= 5
            && self
                .first
                .load(Ordering::Relaxed)
                .to_be_bytes()
                .starts_with(b"HTTP/")
    }

    fn note(&self, bytes: &[u8]) {
        let before = self.count.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if before < 8 {
            let mut first = self.first.load(Ordering::Relaxed).to_be_bytes();
            let places = first.iter_mut().skip(before as usize);
            places.zip(bytes).for_each(|(place, byte)| *place = *byte);
            self.first
                .store(u64::from_be_bytes(first), Ordering::Relaxed);
        }
    }
}

pub(crate) struct Watched {
    inner: BoxStream,
    received: Received,
}

impl Watched {
    pub(crate) fn new(inner: BoxStream) -> (Self, Received) {
        let received = Received::default();
        (
            Self {
                inner,
                received: received.clone(),
            },
            received,
        )
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if let Some(new) = buf.filled().get(before..).filter(|new| !new.is_empty()) {
            self.received.note(new);
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
