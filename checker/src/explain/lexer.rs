//! One pass over the text: where which phrase stands, which URLs, references and statuses it holds.
//!
//! Phrases and statuses stand where a word begins: only there a trie of all phrases is asked, which looks
//! at no more bytes than the longest phrase has, so the time is linear in the text whatever it contains.
//! A phrase inside of a URL or a reference counts for nothing: an image may be called `denied`.

use super::lexicon::{self, Match, Phrase};
use super::signal::Signal;
use super::text;
use super::trie::Trie;
use super::url::{self, Span, Url};
use memchr::{memchr_iter, memchr3};
use std::sync::LazyLock;

/// A phrase and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    pub(super) phrase: &'static Phrase,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// An image reference (without quotes) and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'t> {
    pub(super) start: usize,
    pub(super) text: &'t str,
}

/// An HTTP status and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Status {
    pub(super) start: usize,
    pub(super) code: u16,
    /// A container daemon's API answered it, not a registry.
    pub(super) of_daemon: bool,
}

/// A text and all that was found in it, each list in order of position.
#[derive(Debug)]
pub(super) struct Lexed<'t> {
    pub(super) text: &'t str,
    pub(super) hits: Vec<Hit>,
    pub(super) urls: Vec<Url<'t>>,
    pub(super) names: Vec<Named<'t>>,
    pub(super) statuses: Vec<Status>,
    /// URLs and what is written like one.
    pub(super) spans: Vec<Span>,
}

struct Lexicon {
    trie: Trie,
    /// What each byte can be: [`WORD`], [`OPENS`], [`STATUS`].
    class: [u8; 256],
    phrases: Vec<&'static Phrase>,
}

static LEXICON: LazyLock<Option<Lexicon>> = LazyLock::new(|| {
    let phrases: Vec<&'static Phrase> = lexicon::phrases().collect();
    let trie = Trie::build(phrases.iter().map(|phrase| phrase.text))?;
    let mut class = [0; 256];
    for (byte, class) in (0..=u8::MAX).zip(&mut class) {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            *class |= WORD;
        }
        if trie.begins(byte) {
            *class |= OPENS;
        }
        if matches!(byte, b'4' | b'5') {
            *class |= STATUS;
        }
    }
    Some(Lexicon {
        trie,
        class,
        phrases,
    })
});

/// A byte that is no beginning behind another such byte.
const WORD: u8 = 1;
/// A phrase can begin with it.
const OPENS: u8 = 2;
/// A status that says what failed begins with it.
const STATUS: u8 = 4;

/// Reads a text.
pub(super) fn lex(message: &str) -> Lexed<'_> {
    let (spans, urls) = url::find(message);
    let mut lexed = Lexed {
        text: message,
        hits: Vec::with_capacity(16),
        urls,
        names: Vec::new(),
        statuses: Vec::new(),
        spans,
    };
    // The list of phrases is ours and builds (a test says so); without it nothing is recognised.
    if let Some(lexicon) = LEXICON.as_ref() {
        let mut from = 0;
        for at in 0..lexed.spans.len() {
            let Some(Span { start, end }) = lexed.spans.get(at).copied() else {
                break;
            };
            // A phrase may begin where a URL does, and lie over it.
            read(lexicon, &mut lexed, from, start + 1);
            from = end;
        }
        read(lexicon, &mut lexed, from, message.len());
    }
    lexed
}

/// Reads what begins in `from..to`.
fn read(lexicon: &Lexicon, lexed: &mut Lexed<'_>, from: usize, to: usize) {
    let message = lexed.text;
    let bytes = message.as_bytes();
    super::steps::spend(to.saturating_sub(from));
    // What a phrase or a name has taken is not looked for phrases again.
    let taken = |hits: &[Hit], names: &[Named<'_>]| {
        let phrase = hits.last().map_or(0, |hit| hit.end);
        phrase.max(names.last().map_or(0, |name| name.start + name.text.len()))
    };
    let mut free = taken(&lexed.hits, &lexed.names);
    let class = |byte: &u8| lexicon.class.get(usize::from(*byte)).copied().unwrap_or(0);
    let mut before = from
        .checked_sub(1)
        .and_then(|at| bytes.get(at))
        .map_or(0, class);
    for (at, byte) in (from..).zip(bytes.get(from..to).unwrap_or(&[])) {
        let class = class(byte);
        let within_word = std::mem::replace(&mut before, class) & class & WORD != 0;
        if within_word || class & (OPENS | STATUS) == 0 {
            continue;
        }
        if class & STATUS != 0
            && let Some(status) = status(lexed, at)
        {
            lexed.statuses.push(status);
        }
        if at < free || class & OPENS == 0 {
            continue;
        }
        let (found, looked_at) = lexicon.trie.longest(bytes.get(at..).unwrap_or(&[]));
        super::steps::spend(looked_at);
        let Some((phrase, end)) = found.and_then(|found| {
            let phrase = lexicon.phrases.get(found.phrase).copied()?;
            Some((phrase, at + found.length))
        }) else {
            continue;
        };
        free = end;
        if !stands_alone(message, at, end, phrase) {
            continue;
        }
        lexed.hits.push(Hit {
            phrase,
            start: at,
            end,
        });
        if phrase.names_reference
            && let Some(name) = name_after(message, end)
        {
            free = free.max(name.start + name.text.len());
            lexed.names.push(name);
        }
    }
}

/// Whether the phrase is bounded as it demands.
fn stands_alone(message: &str, start: usize, end: usize, phrase: &Phrase) -> bool {
    let before = text::until(message, start).chars().next_back();
    let opens_with_letter = phrase.text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if opens_with_letter && before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
        return false;
    }
    if phrase.how == Match::Loose {
        return true;
    }
    if before.is_some_and(|c| matches!(c, '/' | '-' | '.' | '@' | ':')) {
        return false;
    }
    let mut after = text::from(message, end).chars();
    let next_is_free = match after.next() {
        None => true,
        Some(':' | '.' | ',') => after
            .next()
            .is_none_or(|c| c.is_whitespace() || matches!(c, '"' | '\'' | ')' | ']' | '}')),
        Some(c) => !(c.is_alphanumeric() || matches!(c, '/' | '-' | '_' | '@')),
    };
    next_is_free && (phrase.how != Match::Exact || text::slice(message, start, end) == phrase.text)
}

/// The reference after a phrase that announces one, quoted or bare.
fn name_after(message: &str, end: usize) -> Option<Named<'_>> {
    const LONGEST: usize = 600;
    let mut rest = text::from(message, end);
    let mut start = end;
    for lead in [" ", "("] {
        if let Some(after) = rest.strip_prefix(lead) {
            rest = after;
            start += lead.len();
        }
    }
    let rest = text::bounded(rest, LONGEST);
    if let Some(quoted) = rest.strip_prefix(['"', '\'']) {
        let length = memchr3(b'"', b'\'', b'\n', quoted.as_bytes())?;
        super::steps::spend(length);
        let name = text::until(quoted, length);
        // Quotes may hold a whole error instead of a name.
        let mut blanks = memchr_iter(b' ', name.as_bytes());
        let is_name = match blanks.next() {
            Some(at) => !text::until(name, at).ends_with(':') && blanks.next().is_none(),
            None => true,
        };
        return (is_name && !name.is_empty()).then_some(Named {
            start: start + 1,
            text: name,
        });
    }
    let length = rest
        .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ')'))
        .unwrap_or(rest.len());
    super::steps::spend(length);
    let name = text::until(rest, length).trim_end_matches([':', '.', ';']);
    let name = name.strip_prefix("docker://").map_or(name, |rest| {
        start += "docker://".len();
        rest
    });
    // `reading manifest TAG in REPOSITORY`
    let is_tag = text::from(rest, length).starts_with(" in ");
    let is_name = is_tag || name.contains(['/', ':', '@']) && !name.starts_with("http");
    is_name.then_some(Named { start, text: name })
}

/// Three digits at `start` that are an HTTP status by what stands around them.
fn status(lexed: &Lexed<'_>, start: usize) -> Option<Status> {
    let bytes = lexed.text.as_bytes();
    let end = start + 3;
    if !bytes.get(start..end)?.iter().all(u8::is_ascii_digit) {
        return None;
    }
    match bytes.get(end) {
        Some(byte) if byte.is_ascii_alphanumeric() => return None,
        Some(b'.' | b'/' | b'-' | b'_') if is_name_byte(bytes.get(end + 1)) => return None,
        _ => {}
    }
    let code: u16 = text::slice(lexed.text, start, end).parse().ok()?;
    let before = text::until(lexed.text, start);
    if before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '/')) {
        return None;
    }
    let after = text::from(lexed.text, end);
    if !introduces_status(before) && !continues_status(after, code) {
        return None;
    }
    let of_daemon = lexed
        .hits
        .iter()
        .rev()
        .find(|hit| hit.phrase.signal == Signal::DaemonStatus)
        .is_some_and(|hit| (hit.end..=hit.end + 2).contains(&start));
    Some(Status {
        start,
        code,
        of_daemon,
    })
}

fn is_name_byte(byte: Option<&u8>) -> bool {
    byte.is_some_and(u8::is_ascii_alphanumeric)
}

/// The words in front make the digits a status: `status code 403`, `status=500`, `HTTP 403`.
fn introduces_status(before: &str) -> bool {
    let tail = before
        .get(before.len().saturating_sub(24)..)
        .unwrap_or_else(|| {
            let mut at = before.len().saturating_sub(24);
            while !before.is_char_boundary(at) {
                at += 1;
            }
            text::from(before, at)
        });
    let tail = tail.trim_end_matches([' ', '"', '\'', '=', ':', '(']);
    [
        "status",
        "status code",
        "http",
        "http code",
        "statuscode",
        "api error",
        "from registry",
        "response code",
    ]
    .iter()
    .any(|word| {
        tail.len() >= word.len()
            && tail
                .get(tail.len() - word.len()..)
                .is_some_and(|end| end.eq_ignore_ascii_case(word))
    })
}

/// The words behind are the reason phrase that belongs to the number.
fn continues_status(after: &str, code: u16) -> bool {
    let after = after.trim_start_matches([' ', '(', ':', '-']);
    reason(code).is_some_and(|reason| {
        after
            .get(..reason.len())
            .is_some_and(|s| s.eq_ignore_ascii_case(reason))
    })
}

/// The standard reason phrase of a status.
pub(super) fn reason(code: u16) -> Option<&'static str> {
    Some(match code {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        416 => "Requested Range Not Satisfiable",
        429 => "Too Many Requests",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signals(text: &str) -> Vec<Signal> {
        lex(text)
            .hits
            .iter()
            .map(|hit| hit.phrase.signal)
            .filter(|s| *s != Signal::Nothing)
            .collect()
    }

    #[test]
    fn the_lexicon_builds() {
        assert!(LEXICON.is_some());
    }

    #[test]
    fn names_and_urls_hold_no_phrases() {
        for text in [
            "Head \"http://stub.test/v2/eof/manifests/denied\": x",
            "image \"r.test/unauthorized:1\"",
            "reading manifest unauthorized in r.test/denied",
            "docker://r.test/manifest-unknown/EOF:1",
            "my-denied-app and /var/EOF/x and denied.example.com",
        ] {
            let got = signals(text);
            assert!(
                !got.iter()
                    .any(|s| matches!(s, Signal::Eof | Signal::Denied | Signal::Unauthorized)),
                "{text}: {got:?}"
            );
        }
        assert_eq!(signals("x: EOF"), [Signal::Eof]);
        assert_eq!(
            signals("x: denied: denied"),
            [Signal::Denied, Signal::Denied]
        );
    }

    #[test]
    fn statuses_by_their_surroundings() {
        let table: &[(&str, &[u16])] = &[
            ("unexpected status: 401", &[401]),
            (
                "failed with status code [manifests v1]: 403 Forbidden",
                &[403],
            ),
            ("HTTP 403 response body", &[403]),
            ("invalid status code from registry 403 (Forbidden)", &[403]),
            ("StatusCode: 400, \"x", &[400]),
            ("\"status\"=500 x", &[500]),
            ("Status 403 trying", &[403]),
            ("app:404 and 10.0.0.404 and 500ms, r.test:500/x", &[]),
            ("Not 401 times", &[]),
        ];
        for (text, want) in table {
            let got: Vec<u16> = lex(text)
                .statuses
                .iter()
                .map(|status| status.code)
                .collect();
            assert_eq!(got, *want, "for {text:?}");
        }
        let daemon = lex("API error (500): x");
        assert!(daemon.statuses.iter().all(|status| status.of_daemon));
    }
}
