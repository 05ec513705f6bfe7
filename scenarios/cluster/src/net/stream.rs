//! A connection's end, and the firewall that watches over the connection while it runs.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::pipe::{Arrival, Pipe, Room, Segment};
use super::{Host, Verdict};

const RUNNING: u8 = 0;
const RESET: u8 = 1;
const SILENT: u8 = 2;

/// What both ends of a connection share: its two directions and what the dialler's firewall made of it.
#[derive(Debug)]
pub(super) struct Flow {
    dialler: Host,
    to: SocketAddr,
    out: Pipe,
    back: Pipe,
    received: AtomicU64,
    state: AtomicU8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Dialler,
    Acceptor,
}

/// What the firewall does with bytes about to be sent.
enum Passage {
    Send { allowed: usize, extra: Duration },
    Swallow,
    Broken,
}

impl Flow {
    pub(super) fn new(dialler: Host, to: SocketAddr, out: Pipe, back: Pipe) -> Arc<Self> {
        Arc::new(Self {
            dialler,
            to,
            out,
            back,
            received: AtomicU64::new(0),
            state: AtomicU8::new(RUNNING),
        })
    }

    fn pipe_from(&self, side: Side) -> &Pipe {
        match side {
            Side::Dialler => &self.out,
            Side::Acceptor => &self.back,
        }
    }

    fn pipe_to(&self, side: Side) -> &Pipe {
        match side {
            Side::Dialler => &self.back,
            Side::Acceptor => &self.out,
        }
    }

    fn is_silent(&self) -> bool {
        self.state.load(Ordering::Relaxed) == SILENT
    }

    /// Asks the firewall whether the connection falls silent or breaks right now.
    fn inspect(&self, now: Instant) -> Verdict {
        let verdict = self.dialler.verdict(self.to);
        match verdict {
            Verdict::Drop | Verdict::NoRoute | Verdict::NetUnreachable => self.fall_silent(),
            Verdict::StallAfter(limit) if self.received.load(Ordering::Relaxed) >= limit => {
                self.fall_silent();
            }
            Verdict::Refuse => self.reset(now, Duration::ZERO),
            _ => {}
        }
        verdict
    }

    fn passage(&self, side: Side, now: Instant, size: usize) -> Passage {
        let verdict = self.inspect(now);
        match self.state.load(Ordering::Relaxed) {
            SILENT => return Passage::Swallow,
            RESET => return Passage::Broken,
            _ => {}
        }
        if side == Side::Dialler {
            if verdict == Verdict::ResetAfter(0) {
                self.reset(now, self.out.latency());
                return Passage::Send {
                    allowed: 0,
                    extra: Duration::ZERO,
                };
            }
            let extra = match verdict {
                Verdict::Delay(extra) => extra,
                _ => Duration::ZERO,
            };
            return Passage::Send {
                allowed: size,
                extra,
            };
        }
        if matches!(verdict, Verdict::DropLarger(limit) if size > limit) {
            self.fall_silent();
            return Passage::Swallow;
        }
        let before = self.received.fetch_add(size as u64, Ordering::Relaxed);
        let allowed = match verdict {
            Verdict::ResetAfter(limit) | Verdict::StallAfter(limit) => {
                usize::try_from(limit.saturating_sub(before)).map_or(size, |left| left.min(size))
            }
            _ => size,
        };
        Passage::Send {
            allowed,
            extra: Duration::ZERO,
        }
    }

    fn fall_silent(&self) {
        let _ = self
            .state
            .compare_exchange(RUNNING, SILENT, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn reset(&self, now: Instant, extra: Duration) {
        let first = self
            .state
            .compare_exchange(RUNNING, RESET, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        if first {
            self.back.send_after(now, extra, Segment::Reset);
            self.out.send_after(now, extra, Segment::Reset);
        }
    }

    /// Sends bytes past the firewall; how many the sender is rid of.
    fn send(&self, side: Side, now: Instant, bytes: &[u8]) -> io::Result<usize> {
        let pipe = self.pipe_from(side);
        match self.passage(side, now, bytes.len()) {
            Passage::Broken => Err(io::ErrorKind::ConnectionReset.into()),
            Passage::Swallow => {
                pipe.swallow(bytes.len());
                Ok(bytes.len())
            }
            Passage::Send { allowed, extra } => {
                let data = bytes.get(..allowed).unwrap_or(bytes);
                if !data.is_empty() {
                    pipe.send_after(now, extra, Segment::Data(Bytes::copy_from_slice(data)));
                }
                if allowed < bytes.len() {
                    match self.dialler.verdict(self.to) {
                        Verdict::ResetAfter(_) => self.reset(now, Duration::ZERO),
                        _ => self.fall_silent(),
                    }
                }
                Ok(bytes.len())
            }
        }
    }
}

/// One end of a connection. Dropping it closes it (FIN); [`Stream::reset`] breaks it (RST).
#[derive(Debug)]
pub struct Stream {
    flow: Arc<Flow>,
    side: Side,
    local: SocketAddr,
    peer: SocketAddr,
    sleep: Option<Pin<Box<Sleep>>>,
    shut: bool,
}

impl Stream {
    /// The two ends: the dialler's and the acceptor's.
    pub(super) fn pair(flow: &Arc<Flow>, from: SocketAddr, to: SocketAddr) -> (Self, Self) {
        let end = |side, local, peer| Self {
            flow: Arc::clone(flow),
            side,
            local,
            peer,
            sleep: None,
            shut: false,
        };
        (end(Side::Dialler, from, to), end(Side::Acceptor, to, from))
    }

    /// The own address and port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The other end's address and port.
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// Breaks the connection: the other end reads what is under way, then "connection reset".
    pub fn reset(self) {
        if !self.flow.is_silent() {
            self.flow.reset(Instant::now(), Duration::ZERO);
        }
    }

    fn finish(&mut self) {
        if !std::mem::replace(&mut self.shut, true) {
            let now = Instant::now();
            self.flow.inspect(now);
            if !self.flow.is_silent() {
                self.flow.pipe_from(self.side).send(now, Segment::Fin);
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut now = Instant::now();
        loop {
            let limit = buffer.remaining();
            match this.flow.pipe_to(this.side).receive(now, limit, context) {
                Arrival::Data(data) => {
                    buffer.put_slice(&data);
                    return Poll::Ready(Ok(()));
                }
                Arrival::Fin => return Poll::Ready(Ok(())),
                Arrival::Reset => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                Arrival::Nothing => return Poll::Pending,
                Arrival::At(at) => {
                    let sleep = this
                        .sleep
                        .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
                    if sleep.deadline() != at {
                        sleep.as_mut().reset(at);
                    }
                    match sleep.as_mut().poll(context) {
                        Poll::Ready(()) => now = Instant::now().max(at),
                        Poll::Pending => return Poll::Pending,
                    }
                }
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.shut {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let now = Instant::now();
        match this.flow.pipe_from(this.side).room(now, context) {
            Room::Full => Poll::Pending,
            Room::Gone => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Room::For(size) => {
                let piece = buffer.get(..size).unwrap_or(buffer);
                Poll::Ready(this.flow.send(this.side, now, piece))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().finish();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.finish();
        if !self.flow.is_silent() {
            let pipe = self.flow.pipe_to(self.side);
            pipe.reader_leaves(Instant::now(), pipe.latency());
        }
    }
}
