//! What clients did: one entry a request, in the order of arrival.
//!
//! An entry is written when the request arrives and completed when the answer's head is known, so a
//! request that hangs stands there without a status; where nothing is waited for, both are one.
//! Credentials are never kept: of an `Authorization` header only the kind, of a query only values that
//! are known to be harmless.

mod kept;

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderValue, Method};

use crate::control::Counters;
use crate::pattern::glob;
use crate::protocol::Route;
use kept::Kept;
pub(crate) use kept::{Heard, Noted};

/// Entries kept unless the builder says otherwise.
pub(crate) const DEFAULT_LIMIT: usize = 200_000;
/// The bytes that all entries together may hold, whatever clients send.
const MAX_WEIGHT: u64 = 128 << 20;

/// The journal of a registry; clones show the same entries.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    /// Their numbers end before `next`, without a gap.
    kept: VecDeque<Kept>,
    next: u64,
    limit: usize,
    weight: u64,
    counters: Counters,
}

/// A request under way; counts as ended without an answer unless it is told otherwise.
pub(crate) struct UnderWay<'a> {
    journal: &'a Journal,
    number: u64,
    route: Route,
    answered: bool,
}

impl Inner {
    fn first(&self) -> u64 {
        self.next.saturating_sub(self.kept.len() as u64)
    }

    fn entries(&self) -> impl DoubleEndedIterator<Item = Entry> {
        self.entries_after(0)
    }

    fn entries_after(&self, skip: usize) -> impl DoubleEndedIterator<Item = Entry> {
        let skip = skip.min(self.kept.len());
        let first = self.first() + skip as u64;
        let numbered = self.kept.range(skip..).enumerate();
        numbered.map(move |(position, kept)| kept.entry(first + position as u64))
    }

    /// Adds an entry; gives its number.
    fn push(&mut self, kept: Kept) -> u64 {
        let number = self.next;
        self.next += 1;
        if self.limit == 0 {
            return number;
        }
        if self.kept.len() >= self.limit {
            self.forget_first();
        }
        self.weight += u64::from(kept.weight);
        self.kept.push_back(kept);
        while self.weight > MAX_WEIGHT {
            self.forget_first();
        }
        number
    }

    fn forget_first(&mut self) {
        if let Some(gone) = self.kept.pop_front() {
            self.weight -= u64::from(gone.weight);
        }
    }

    fn find(&mut self, number: u64) -> Option<&mut Kept> {
        let position = number.checked_sub(self.first())?;
        self.kept.get_mut(usize::try_from(position).ok()?)
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries()).finish()
    }
}

/// One request and what became of it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Counts from 0 over the whole run.
    pub number: u64,
    /// Since the clock's start.
    pub at: Duration,
    /// Who dialled, as the acceptor of the connection named it.
    pub client: Arc<str>,
    /// The address that the request came from.
    pub peer: SocketAddr,
    /// The `Host` header.
    pub host: String,
    /// The method.
    pub method: Method,
    /// The path as sent, without the query.
    pub path: String,
    /// The query, values of unknown keys replaced.
    pub query: Option<String>,
    /// Which kind of credential came along.
    pub authorization: Authorization,
    /// `User-Agent`.
    pub user_agent: Option<String>,
    /// `Range`.
    pub range: Option<String>,
    /// `Accept`, several headers joined.
    pub accept: Option<String>,
    /// The answer's status; `None` while there is no answer, or for good if there never was one.
    pub status: Option<u16>,
    /// Bytes of the answer's body that were handed to the connection.
    pub bytes: u64,
    /// The fault rule that fired.
    pub fault: Option<String>,
}

/// The kind of an `Authorization` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// No header.
    None,
    /// `Basic`.
    Basic,
    /// `Bearer`.
    Bearer,
    /// Anything else.
    Other,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} -> ", self.method, self.path)?;
        match self.status {
            Some(status) => write!(f, "{status}"),
            None => f.write_str("no answer"),
        }
    }
}

impl Journal {
    pub(crate) fn new(limit: usize) -> Self {
        let inner = Inner {
            kept: VecDeque::new(),
            next: 0,
            limit,
            weight: 0,
            counters: Counters::default(),
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Every entry that is still kept.
    pub fn entries(&self) -> Vec<Entry> {
        self.with(|inner| inner.entries().collect())
    }

    /// The entries that a condition holds for.
    pub fn filter(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        self.with(|inner| inner.entries().filter(|entry| wanted(entry)).collect())
    }

    /// The first of the entries that are wanted.
    pub(crate) fn page(&self, wanted: &Wanted) -> Vec<Entry> {
        self.with(|inner| {
            let skip = wanted.since.saturating_sub(inner.first());
            let skip = usize::try_from(skip).unwrap_or(usize::MAX);
            let entries = inner.entries_after(skip);
            let fitting = entries.filter(|entry| wanted.fits(entry));
            fitting.take(wanted.limit).collect()
        })
    }

    /// How many entries a condition holds for.
    pub fn count(&self, wanted: impl Fn(&Entry) -> bool) -> usize {
        self.with(|inner| inner.entries().filter(|entry| wanted(entry)).count())
    }

    /// The latest entry as one line: `GET /v2/shop/api/manifests/1.91 -> 404`.
    pub fn last(&self) -> Option<String> {
        self.with(|inner| inner.entries().next_back().map(|entry| entry.to_string()))
    }

    /// Every entry as one line.
    pub fn lines(&self) -> Vec<String> {
        self.with(|inner| inner.entries().map(|entry| entry.to_string()).collect())
    }

    /// Forgets all entries; numbers go on.
    pub fn clear(&self) {
        self.with(|inner| {
            inner.kept.clear();
            inner.weight = 0;
        });
    }

    /// Requests seen in the whole run, forgotten ones included.
    pub fn seen(&self) -> u64 {
        self.with(|inner| inner.next)
    }

    /// Requests by operation and outcome, and how many entries are kept.
    pub(crate) fn counters(&self) -> (Counters, usize) {
        self.with(|inner| (inner.counters.clone(), inner.kept.len()))
    }

    /// Writes down a request that is still to be answered, with the fault rule that fired on it; it makes
    /// `weight` bytes more.
    pub(crate) fn begin(
        &self,
        noted: Arc<Noted>,
        weight: u32,
        at: Duration,
        route: Route,
        fault: Option<Arc<str>>,
    ) -> UnderWay<'_> {
        let mut kept = Kept::new(noted, weight, at);
        kept.fault = fault;
        let number = self.with(|inner| {
            inner.counters.arrive();
            inner.push(kept)
        });
        UnderWay {
            journal: self,
            number,
            route,
            answered: false,
        }
    }

    /// Writes down a request together with its answer.
    pub(crate) fn whole(
        &self,
        noted: Arc<Noted>,
        weight: u32,
        at: Duration,
        route: Route,
        answer: (u16, u64),
    ) {
        let mut kept = Kept::new(noted, weight, at);
        (kept.status, kept.bytes) = answer;
        self.with(|inner| {
            inner.counters.arrive();
            inner.counters.end(route, Some(answer));
            inner.push(kept);
        });
    }
}

impl UnderWay<'_> {
    /// What became of it.
    pub(crate) fn answered(mut self, status: u16, bytes: u64) {
        self.answered = true;
        self.journal.with(|inner| {
            inner.counters.end(self.route, Some((status, bytes)));
            if let Some(kept) = inner.find(self.number) {
                (kept.status, kept.bytes) = (status, bytes);
            }
        });
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.answered {
            let end = |inner: &mut Inner| inner.counters.end(self.route, None);
            self.journal.with(end);
        }
    }
}

/// Which entries are wanted, and how many from where; what is not said does not matter.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// `*` stands for anything, here and in the next ones.
    pub(crate) host: Option<String>,
    pub(crate) client: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) fault: Option<String>,
    pub(crate) method: Option<String>,
    pub(crate) authorization: Option<String>,
    pub(crate) status: Option<WantedStatus>,
    /// The first number.
    pub(crate) since: u64,
    pub(crate) limit: usize,
}

/// `404`, `4xx` or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WantedStatus {
    None,
    Exactly(u16),
    Class(u16),
}

impl FromStr for WantedStatus {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "none" {
            return Ok(Self::None);
        }
        if let Some(class) = text.strip_suffix("xx") {
            let class = class.parse().map_err(|_| ())?;
            return Ok(Self::Class(class));
        }
        text.parse().map(Self::Exactly).map_err(|_| ())
    }
}

impl Wanted {
    fn fits(&self, entry: &Entry) -> bool {
        let fits = |wanted: &Option<String>, text: &str| {
            wanted.as_ref().is_none_or(|wanted| glob(wanted, text))
        };
        let status = match self.status {
            None => true,
            Some(WantedStatus::None) => entry.status.is_none(),
            Some(WantedStatus::Exactly(status)) => entry.status == Some(status),
            Some(WantedStatus::Class(class)) => {
                entry.status.is_some_and(|status| status / 100 == class)
            }
        };
        let fault = self.fault.is_none() || entry.fault.is_some();
        status
            && fault
            && fits(&self.host, &entry.host)
            && fits(&self.client, &entry.client)
            && fits(&self.path, &entry.path)
            && fits(&self.fault, entry.fault.as_deref().unwrap_or_default())
            && fits(&self.method, entry.method.as_str())
            && fits(&self.authorization, entry.authorization.name())
    }
}

impl Authorization {
    /// `none`, `basic`, `bearer` or `other`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "basic",
            Self::Bearer => "bearer",
            Self::Other => "other",
        }
    }

    fn of(value: &HeaderValue) -> Self {
        let scheme = value
            .as_bytes()
            .split(|b| *b == b' ')
            .next()
            .unwrap_or_default();
        if scheme.eq_ignore_ascii_case(b"basic") {
            Self::Basic
        } else if scheme.eq_ignore_ascii_case(b"bearer") {
            Self::Bearer
        } else {
            Self::Other
        }
    }
}

/// The query with every value hidden that could be a secret.
pub(crate) fn redact(query: &str) -> String {
    const HARMLESS: [&str; 21] = [
        "n",
        "last",
        "digest",
        "mount",
        "from",
        "scope",
        "service",
        "ns",
        "artifactType",
        "api-version",
        "$filter",
        "%24filter",
        "resource",
        "client_id",
        "object_id",
        "mi_res_id",
        "msi_res_id",
        "tag",
        "digest-algorithm",
        "account",
        "offline_token",
    ];
    let pairs: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((key, _)) if !HARMLESS.contains(&key) => format!("{key}=***"),
            _ => pair.to_owned(),
        })
        .collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_stay_in_a_query() {
        let table = [
            ("n=2&last=a", "n=2&last=a"),
            (
                "scope=repository%3Aa%3Apull&password=x&sig=y",
                "scope=repository%3Aa%3Apull&password=***&sig=***",
            ),
            ("", ""),
        ];
        for (query, want) in table {
            assert_eq!(redact(query), want);
        }
    }
}
