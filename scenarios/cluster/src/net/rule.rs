//! Firewall rules: what becomes of the packets a host sends, first match decides.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// One outbound rule of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Addresses it holds for; empty is any (but for the loopback, which only a rule that names it
    /// can touch).
    pub to: Vec<IpAddr>,
    /// Port it holds for; none is any.
    pub port: Option<u16>,
    /// What becomes of the connection.
    pub verdict: Verdict,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Let it through.
    Allow,
    /// Say nothing: the dial waits, a running connection falls silent.
    Drop,
    /// Answer with a reset: connection refused, or reset when it was running.
    Refuse,
    /// No route to host.
    NoRoute,
    /// Network is unreachable.
    NetUnreachable,
    /// Let it through until this many bytes were received, then reset both ends. With 0 the first
    /// bytes sent bring the reset, as a filter on the TLS server name does it.
    ResetAfter(u64),
    /// Let it through until this many bytes were received, then say nothing any more.
    StallAfter(u64),
    /// Let small packets through and lose an answer's larger ones, and the connection with them, as a tunnel
    /// does whose smaller packets nobody told the sender of.
    DropLarger(usize),
    /// Let it through, to another machine than the one dialled: something in between takes the connection over.
    Redirect(IpAddr),
    /// Let it through, every packet sent so much later.
    Delay(Duration),
}

/// Names a rule, to remove it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub(super) u64);

impl Rule {
    pub(super) fn matches(&self, to: SocketAddr) -> bool {
        let address = if self.to.is_empty() {
            !to.ip().is_loopback()
        } else {
            self.to.contains(&to.ip())
        };
        address && self.port.is_none_or(|port| port == to.port())
    }
}
