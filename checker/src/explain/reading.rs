//! One attempt, read: the facts that its layers give, ready to be judged.
//!
//! An attempt is a stretch of the text. Facts are looked up by structure: the last request made, the
//! address dialled, the status answered, the reference asked for, the step that was under way.

use super::lexer::{Hit, Lexed, Named, Status, reason};
use super::signal::{Signal, Signals};
use super::text;
use super::url::{Asked, Url, split_port};
use crate::stage::Stage;

/// The facts of one attempt.
#[derive(Clone, Debug)]
pub(super) struct Reading<'t> {
    /// The attempt's own words.
    pub(super) text: &'t str,
    pub(super) hits: &'t [Hit],
    pub(super) urls: &'t [Url<'t>],
    pub(super) names: &'t [Named<'t>],
    pub(super) signals: Signals,
    /// The registry's last status.
    pub(super) status: Option<u16>,
    /// The last request that was made.
    pub(super) request: Option<&'t Url<'t>>,
    /// The address that was dialled last.
    pub(super) dialled: Option<(&'t str, u16)>,
    /// The host that was looked up last.
    pub(super) looked_up: Option<&'t str>,
    /// Its last phrase was completed by [`super::tail`].
    pub(super) completed: bool,
    start: usize,
}

impl<'t> Reading<'t> {
    /// Reads the stretch `start..end` of a text.
    pub(super) fn new(lexed: &'t Lexed<'t>, start: usize, end: usize) -> Self {
        let hits = within(&lexed.hits, start, end, |hit| hit.start);
        let urls = within(&lexed.urls, start, end, |url| url.start);
        let names = within(&lexed.names, start, end, |name| name.start);
        let statuses: &[Status] = within(&lexed.statuses, start, end, |status| status.start);
        super::steps::spend(end - start + hits.len());
        let mut signals = Signals::default();
        for hit in hits {
            signals.insert(hit.phrase.signal);
        }
        let text = text::slice(lexed.text, start, end);
        let status = statuses
            .iter()
            .rev()
            .find(|status| !status.of_daemon)
            .map(|status| status.code);
        let request = urls.iter().rev().find(|url| url.method.is_some());
        let mut reading = Self {
            text,
            hits,
            urls,
            names,
            signals,
            status,
            request,
            dialled: None,
            looked_up: None,
            completed: false,
            start,
        };
        reading.dialled = reading.find_dialled(lexed.text);
        reading.looked_up = reading.find_looked_up(lexed.text);
        reading
    }

    pub(super) fn has(&self, signal: Signal) -> bool {
        self.signals.has(signal)
    }

    pub(super) fn any(&self, signals: &[Signal]) -> bool {
        self.signals.any(signals)
    }

    /// The position of the last hit of a signal, in the whole text.
    pub(super) fn last(&self, signal: Signal) -> Option<&'t Hit> {
        self.hits
            .iter()
            .rev()
            .find(|hit| hit.phrase.signal == signal)
    }

    /// Where the attempt ends, in the whole text.
    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// What the last request asked for.
    pub(super) fn asked(&self) -> Option<Asked> {
        self.request.map(|url| url.asked)
    }

    /// The words after a position of the whole text, within the attempt.
    pub(super) fn after(&self, position: usize) -> &'t str {
        text::from(self.text, position.saturating_sub(self.start))
    }

    /// The words before a position of the whole text, within the attempt.
    pub(super) fn before(&self, position: usize) -> &'t str {
        text::until(self.text, position.saturating_sub(self.start))
    }

    /// The reference that was pulled: the first that has a slash, a tag or a digest, else the first.
    pub(super) fn reference(&self) -> Option<&'t str> {
        let names = || self.names.iter().map(|name| name.text);
        names()
            .find(|name| name.contains(['/', ':', '@']))
            .or_else(|| names().next())
    }

    /// The manifest was asked for by digest, as far as the text says.
    pub(super) fn by_digest(&self) -> bool {
        match self.asked() {
            Some(Asked::ManifestByDigest) => return true,
            Some(Asked::ManifestByTag) => return false,
            _ => {}
        }
        self.names
            .iter()
            .any(|name| name.text.contains("@sha256:") || name.text.starts_with("sha256:"))
            || self.text.contains("@sha256:")
    }

    /// The step that was under way, by the last request or the innermost layer that tells it.
    pub(super) fn step(&self) -> Option<Stage> {
        if self.any(&[Signal::TokenAnonymous, Signal::TokenOauth, Signal::Token]) {
            return Some(Stage::Token);
        }
        if self.any(&[
            Signal::ConfigFetch,
            Signal::BlobFetch,
            Signal::DescriptorFetch,
        ]) && !self.has(Signal::ManifestDescriptor)
        {
            return Some(Stage::Blob);
        }
        match self.asked() {
            Some(Asked::Ping) => Some(Stage::Ping),
            Some(Asked::Token) => Some(Stage::Token),
            Some(Asked::ManifestByTag | Asked::ManifestByDigest) => Some(Stage::Manifest),
            Some(Asked::Blob) => Some(Stage::Blob),
            _ => self
                .hits
                .iter()
                .rev()
                .filter_map(|hit| hit.phrase.stage)
                .find(|stage| {
                    matches!(
                        stage,
                        Stage::Ping | Stage::Token | Stage::Manifest | Stage::Blob
                    )
                }),
        }
    }

    /// A blob is being downloaded (asked for by its own request, not by a resolver's HEAD).
    pub(super) fn fetches_blob(&self) -> bool {
        self.step() == Some(Stage::Blob)
            && !self
                .request
                .and_then(|url| url.method)
                .is_some_and(|method| method.eq_ignore_ascii_case("head"))
    }

    /// The registry that the reference names, as a host; Docker Hub's short names give `docker.io`.
    pub(super) fn registry(&self) -> Option<&'t str> {
        let reference = self.reference()?;
        let first = reference.split('/').next().unwrap_or("");
        let is_host = reference.contains('/')
            && (first.contains(['.', ':']) || first == "localhost" || first.starts_with('<'));
        Some(if is_host { first } else { "docker.io" })
    }

    /// The host that failed or answered.
    pub(super) fn host(&self) -> Option<&'t str> {
        self.request
            .map(|url| url.host)
            .or(self.looked_up)
            .or(self.dialled.map(|(host, _)| host))
    }

    /// What the client printed instead of an error: the request's URL, then nothing but a status
    /// phrase without its number. That is a proxy's refusal of CONNECT.
    pub(super) fn bare_phrase(&self) -> Option<u16> {
        let url = self.request?;
        if url.plain {
            return None;
        }
        let rest = self.after(url.end).trim_start_matches(['"', '\'']);
        let rest = rest.strip_prefix(": ")?;
        let rest = rest.trim_end_matches(['"', '.', ')', ']', '}', '\n', ' ']);
        [403, 407, 502, 503, 504, 400, 405, 500, 501]
            .into_iter()
            .find(|code| reason(*code).is_some_and(|phrase| rest.eq_ignore_ascii_case(phrase)))
    }

    fn find_dialled(&self, whole: &'t str) -> Option<(&'t str, u16)> {
        self.hits
            .iter()
            .rev()
            .filter(|hit| {
                matches!(
                    hit.phrase.signal,
                    Signal::DialTcp | Signal::ConnectingTo | Signal::OpenTcp
                )
            })
            .find_map(|hit| {
                let rest = text::bounded(text::from(whole, hit.end), 300).trim_start();
                let address = rest.split([' ', '"', ',']).next()?.trim_end_matches(':');
                let address = address.rsplit("->").next()?;
                match split_port(address) {
                    (host, Some(port)) => Some((host, port)),
                    _ => None,
                }
            })
    }

    fn find_looked_up(&self, whole: &'t str) -> Option<&'t str> {
        let hit = self.last(Signal::Lookup)?;
        let rest = text::bounded(text::from(whole, hit.end), 300).trim_start();
        let host = rest.split([' ', ':', '"', ',']).next()?;
        (!host.is_empty()).then_some(host)
    }

    /// The text was cut, or its end is missing: an open quote, dots, a colon with nothing behind.
    pub(super) fn is_cut(&self) -> bool {
        let tail = self.text.trim_end();
        if tail.ends_with("...") || tail.ends_with('…') {
            return true;
        }
        let quotes = self.text.bytes().filter(|b| *b == b'"').count();
        quotes % 2 == 1 || tail.ends_with(':')
    }
}

/// The items whose position lies in `start..end`; the list is sorted by position.
fn within<T>(items: &[T], start: usize, end: usize, position: impl Fn(&T) -> usize) -> &[T] {
    let from = items.partition_point(|item| position(item) < start);
    let to = items.partition_point(|item| position(item) < end);
    items.get(from..to).unwrap_or(&[])
}
