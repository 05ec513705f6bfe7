//! The wraps of an attempt as layers: who says what, to which host, with which answer.
//!
//! A layer begins where a phrase of a known speaker opens a part of the text (after a colon, a
//! quote, a bracket or a comma) and ends where the next one begins.

use super::layer::{Layer, Speaker};
use super::lexer::{Hit, Lexed};
use super::reason;
use super::redact::{Hidden, cut};
use super::signal::Signal;
use super::text;
use super::url::split_port;
use memchr::memchr_iter;

/// More layers than this are not kept: no real message has them.
const MOST: usize = 48;
/// The longest text of a layer.
const LONGEST: usize = 1024;
/// The longest text of a registry behind its code.
const DETAIL: usize = 300;

/// Appends the layers of the stretch `start..end`.
pub(super) fn collect(
    lexed: &Lexed<'_>,
    hidden: &[Hidden],
    start: usize,
    end: usize,
    attempt: Option<usize>,
    layers: &mut Vec<Layer>,
) {
    let from = lexed.hits.partition_point(|hit| hit.start < start);
    let mut opening: Option<(usize, Speaker, Option<&Hit>)> = None;
    let mut first = true;
    for hit in lexed
        .hits
        .iter()
        .skip(from)
        .take_while(|hit| hit.start < end)
    {
        if layers.len() >= MOST {
            return;
        }
        let Some(speaker) = hit.phrase.speaker else {
            continue;
        };
        if !opens(lexed, hit, start) {
            continue;
        }
        let stretch = |at: usize, who, by| Stretch {
            start: at,
            end: hit.start,
            who,
            by,
            attempt,
        };
        match opening.take() {
            Some((at, who, by)) => layers.extend(layer(lexed, hidden, &stretch(at, who, by))),
            None if first => layers.extend(layer(
                lexed,
                hidden,
                &stretch(start, Speaker::Unknown, None),
            )),
            None => {}
        }
        first = false;
        opening = Some((hit.start, speaker, Some(hit)));
    }
    if layers.len() < MOST {
        let (at, who, by) = opening.unwrap_or((start, Speaker::Unknown, None));
        let last = Stretch {
            start: at,
            end,
            who,
            by,
            attempt,
        };
        layers.extend(layer(lexed, hidden, &last));
    }
}

/// Whether a phrase opens a layer where it stands.
fn opens(lexed: &Lexed<'_>, hit: &Hit, start: usize) -> bool {
    let at_opening = hit.start == start
        || text::until(lexed.text, hit.start)
            .trim_end_matches(' ')
            .ends_with([':', '"', '\'', '[', '(', ',', ';', '=', '\n', '*', '>']);
    // `Get`, `Head` and `Post` are words of English as well.
    let is_request = hit.phrase.speaker != Some(Speaker::HttpClient)
        || hit.phrase.signal != Signal::Nothing
        || lexed
            .urls
            .get(lexed.urls.partition_point(|url| url.start < hit.end))
            .is_some_and(|url| url.start - hit.end <= 2)
        || hit.phrase.text.len() > 4;
    at_opening && is_request
}

/// A part of the text that is one layer.
struct Stretch<'h> {
    start: usize,
    end: usize,
    who: Speaker,
    by: Option<&'h Hit>,
    attempt: Option<usize>,
}

fn layer(lexed: &Lexed<'_>, hidden: &[Hidden], stretch: &Stretch<'_>) -> Option<Layer> {
    let Stretch {
        start,
        end,
        who,
        by,
        attempt,
    } = *stretch;
    let words = text::bounded(text::slice(lexed.text, start, end), LONGEST);
    let words =
        words.trim_matches(|c: char| c.is_whitespace() || matches!(c, ':' | ',' | ';' | '[' | '*'));
    let words = words.trim_end_matches(['(', '=', ' ']);
    let words = if memchr_iter(b'"', words.as_bytes()).count() % 2 == 1 {
        words
            .strip_suffix('"')
            .or_else(|| words.strip_prefix('"'))
            .unwrap_or(words)
    } else {
        words
    };
    let words = words.trim_end_matches(['(', '=', ' ', ':', ',']);
    if words.is_empty() || (who == Speaker::Unknown && !words.contains(char::is_alphanumeric)) {
        return None;
    }
    let at = |position: usize| (start..end).contains(&position);
    let url = lexed
        .urls
        .get(lexed.urls.partition_point(|url| url.start < start)..)
        .unwrap_or(&[])
        .iter()
        .take_while(|url| at(url.start))
        .find(|url| url.method.is_some());
    let reference = lexed
        .names
        .get(lexed.names.partition_point(|name| name.start < start))
        .filter(|name| at(name.start));
    let status = lexed
        .statuses
        .get(
            lexed
                .statuses
                .partition_point(|status| status.start < start),
        )
        .filter(|status| at(status.start));
    let place = |words: &str| words.as_ptr().addr() - lexed.text.as_ptr().addr();
    let shown = |words: &str| {
        let at = place(words);
        cut(lexed.text, hidden, at, at + words.len())
    };
    let dialled = match who {
        Speaker::Resolver | Speaker::Network => by.and_then(|hit| {
            let rest = text::bounded(text::slice(lexed.text, hit.end, end), 300).trim_start();
            let word = rest.split([' ', '"', ',']).next()?.trim_end_matches(':');
            let word = word.rsplit("->").next()?;
            let (host, port) = split_port(word);
            (!host.is_empty() && hit.phrase.signal != Signal::DialUnix)
                .then_some((host, port.map(|_| word)))
        }),
        _ => None,
    };
    let reason = reason::read(lexed, start, end);
    Some(Layer {
        who,
        stage: by.and_then(|hit| hit.phrase.stage),
        text: shown(words),
        reference: reference.map(|name| name.text.to_owned()),
        method: url.and_then(|url| url.method).map(str::to_ascii_uppercase),
        url: url.map(|url| {
            shown(text::bounded(
                text::slice(lexed.text, url.start, url.end),
                LONGEST,
            ))
        }),
        host: dialled
            .map(|(host, _)| host.to_owned())
            .or_else(|| url.map(|url| text::bounded(url.host, 255).to_owned())),
        address: dialled.and_then(|(_, address)| address).map(str::to_owned),
        status: status.map(|status| status.code),
        syscall: reason.syscall.map(str::to_owned),
        errno: reason.errno.map(str::to_owned),
        tls: reason.tls,
        code: by.and_then(|hit| code(lexed, hit, end)),
        detail: by.and_then(|hit| {
            is_registry_code(hit.phrase.signal).then_some(())?;
            let rest = text::slice(lexed.text, hit.end, end).strip_prefix(": ")?;
            let rest = rest.trim_matches(|c: char| {
                c.is_whitespace() || matches!(c, '"' | ',' | ';' | ']' | ')' | ':')
            });
            (!rest.is_empty()).then(|| shown(text::bounded(rest, DETAIL)))
        }),
        attempt,
    })
}

/// The gRPC code after its wrapper, or the registry's error code as written.
fn code(lexed: &Lexed<'_>, hit: &Hit, end: usize) -> Option<String> {
    match hit.phrase.signal {
        Signal::GrpcCode => {
            let rest = text::bounded(text::slice(lexed.text, hit.end, end), 40);
            let word: String = rest
                .chars()
                .take_while(char::is_ascii_alphanumeric)
                .collect();
            (!word.is_empty()).then_some(word)
        }
        signal if is_registry_code(signal) => {
            Some(text::slice(lexed.text, hit.start, hit.end).to_owned())
        }
        _ => None,
    }
}

/// The phrase is a registry's error code in one of its spellings.
const fn is_registry_code(signal: Signal) -> bool {
    matches!(
        signal,
        Signal::Denied
            | Signal::Unauthorized
            | Signal::ManifestUnknown
            | Signal::NameUnknown
            | Signal::BlobUnknown
            | Signal::RateLimit
    )
}
