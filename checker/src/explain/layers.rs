//! The wraps of an attempt as layers: who says what, to which host, with which answer.
//!
//! A layer begins where a phrase of a known speaker opens a part of the text (after a colon, a
//! quote, a bracket or a comma) and ends where the next one begins.

use super::layer::{Layer, Speaker};
use super::lexer::{Hit, Lexed};
use super::redact::redact;
use super::signal::Signal;
use super::text;
use super::url::split_port;

/// More layers than this are not kept: no real message has them.
const MOST: usize = 48;
/// The longest text of a layer.
const LONGEST: usize = 1024;

/// Appends the layers of the stretch `start..end`.
pub(super) fn collect(
    lexed: &Lexed<'_>,
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
        match opening.take() {
            Some((at, who, by)) => layers.extend(layer(lexed, at, hit.start, who, by, attempt)),
            None if first => layers.extend(layer(
                lexed,
                start,
                hit.start,
                Speaker::Unknown,
                None,
                attempt,
            )),
            None => {}
        }
        first = false;
        opening = Some((hit.start, speaker, Some(hit)));
    }
    if layers.len() < MOST {
        let (at, who, by) = opening.unwrap_or((start, Speaker::Unknown, None));
        layers.extend(layer(lexed, at, end, who, by, attempt));
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

fn layer(
    lexed: &Lexed<'_>,
    start: usize,
    end: usize,
    who: Speaker,
    by: Option<&Hit>,
    attempt: Option<usize>,
) -> Option<Layer> {
    let words = text::bounded(text::slice(lexed.text, start, end), LONGEST);
    let words =
        words.trim_matches(|c: char| c.is_whitespace() || matches!(c, ':' | ',' | ';' | '[' | '*'));
    let words = words.trim_end_matches(['(', '=', ' ']);
    let words = if words.matches('"').count() % 2 == 1 {
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
    let host = match who {
        Speaker::Resolver | Speaker::Network => by.and_then(|hit| {
            let rest = text::bounded(text::slice(lexed.text, hit.end, end), 300).trim_start();
            let word = rest.split([' ', '"', ',']).next()?.trim_end_matches(':');
            let word = word.rsplit("->").next()?;
            let (host, _) = split_port(word);
            (!host.is_empty() && hit.phrase.signal != Signal::DialUnix).then(|| host.to_owned())
        }),
        _ => None,
    };
    Some(Layer {
        who,
        stage: by.and_then(|hit| hit.phrase.stage),
        text: redact(words),
        reference: reference.map(|name| name.text.to_owned()),
        method: url.and_then(|url| url.method).map(str::to_ascii_uppercase),
        url: url.map(|url| {
            redact(text::bounded(
                text::slice(lexed.text, url.start, url.end),
                LONGEST,
            ))
        }),
        host: host.or_else(|| url.map(|url| text::bounded(url.host, 255).to_owned())),
        status: status.map(|status| status.code),
        code: by.and_then(|hit| code(lexed, hit, end)),
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
        Signal::Denied
        | Signal::Unauthorized
        | Signal::ManifestUnknown
        | Signal::NameUnknown
        | Signal::BlobUnknown
        | Signal::RateLimit => Some(text::slice(lexed.text, hit.start, hit.end).to_owned()),
        _ => None,
    }
}
