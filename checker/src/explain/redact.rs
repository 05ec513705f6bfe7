//! Takes secrets out of whatever is printed of a message.
//!
//! Hidden are: user info and query values of URLs (but for the names of a scope, a service and a
//! mirrored registry), values after words such as `password`, authorization headers, and anything
//! that looks like a JSON web token. One pass, linear.

use super::text;
use super::url::Span;
use crate::wire::web_tokens;
use memchr::memchr2_iter;

/// What stands in place of a secret.
pub(super) const HIDDEN: &str = "[hidden]";

/// Query parameters whose values are no secrets.
const PLAIN: &[&str] = &[
    "scope",
    "service",
    "ns",
    "n",
    "last",
    "digest",
    "api-version",
    "resource",
    "grant_type",
    "project",
];

/// Words whose value is a secret, as keys of `key=value`, `key: value` or JSON.
const KEYS: &[&str] = &[
    "password",
    "passwd",
    "pwd",
    "secret",
    "client_secret",
    "clientsecret",
    "token",
    "access_token",
    "refresh_token",
    "identitytoken",
    "registrytoken",
    "id_token",
    "sig",
    "signature",
    "authorization",
    "auth",
    "apikey",
    "api_key",
    "access_key",
    "secret_key",
    "x-amz-signature",
    "x-amz-credential",
    "x-amz-security-token",
    "awsaccesskeyid",
    "key-pair-id",
    "policy",
    "verify",
];

/// Which two letters a key may end with: a bit for the last but one, in the row of the last.
#[expect(
    clippy::indexing_slicing,
    reason = "five bits of a byte, when it is compiled"
)]
static ENDS: [u32; 32] = {
    let mut ends = [0; 32];
    let mut keys = KEYS;
    while let [key, rest @ ..] = keys {
        if let [.., before, last] = key.as_bytes() {
            ends[(*last & 31) as usize] |= 1 << (*before & 31);
        }
        keys = rest;
    }
    ends
};

/// A stretch of the text that holds a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hidden {
    start: usize,
    end: usize,
}

/// Where the secrets of a text are, in order and apart from each other; `spans` are its URLs.
pub(super) fn secrets(whole: &str, spans: &[Span]) -> Vec<Hidden> {
    super::steps::spend(whole.len());
    let mut found = Vec::new();
    for span in spans {
        address(whole, *span, &mut found);
    }
    values(whole, spans, &mut found);
    found.extend(web_tokens(whole).map(|(start, end)| Hidden { start, end }));
    if found.len() > 1 {
        found.sort_unstable_by_key(|one| (one.start, one.end));
        found.dedup_by(|next, kept| {
            let joined = next.start <= kept.end;
            if joined {
                kept.end = kept.end.max(next.end);
            }
            joined
        });
    }
    found
}

/// `whole[start..end]` without the secrets in it.
pub(super) fn cut(whole: &str, hidden: &[Hidden], start: usize, end: usize) -> String {
    let from = hidden.partition_point(|one| one.end <= start);
    let inside = hidden.get(from..).unwrap_or(&[]);
    if inside.first().is_none_or(|one| one.start >= end) {
        return text::slice(whole, start, end).to_owned();
    }
    let mut out = String::with_capacity(end.saturating_sub(start));
    let mut at = start;
    for one in inside.iter().take_while(|one| one.start < end) {
        out.push_str(text::slice(whole, at, one.start.max(at)));
        out.push_str(HIDDEN);
        at = one.end.min(end).max(at);
    }
    out.push_str(text::slice(whole, at, end));
    out
}

/// Values after telling words, outside of URLs.
fn values(whole: &str, spans: &[Span], found: &mut Vec<Hidden>) {
    let bytes = whole.as_bytes();
    let mut spans = spans.iter().peekable();
    let mut at = 0;
    // A value stands right behind its key and one of these, with a quote between at most.
    for sign in memchr2_iter(b'=', b':', bytes) {
        let quoted = text::until(whole, sign).ends_with(['"', '\'']);
        let end = sign - usize::from(quoted);
        let Some(start) = key_before(text::until(whole, end)).filter(|start| *start >= at) else {
            continue;
        };
        while spans.next_if(|span| span.end <= start).is_some() {}
        let limit = match spans.peek() {
            Some(span) if span.start <= start => continue,
            Some(span) => span.start,
            None => whole.len(),
        };
        if let Some((start, end)) = value_after(text::until(whole, limit), start, end) {
            found.push(Hidden { start, end });
            at = end;
        }
    }
}

/// Where the key begins that stands by itself at the end of some words.
fn key_before(words: &str) -> Option<usize> {
    let [.., before, last] = words.as_bytes() else {
        return None;
    };
    // Nearly all words end here, in either case of their letters.
    if ENDS.get(usize::from(last & 31))? >> (before & 31) & 1 == 0 {
        return None;
    }
    KEYS.iter()
        .filter(|key| key.ends_with(char::from(last.to_ascii_lowercase())))
        .filter_map(|key| {
            let start = words.len().checked_sub(key.len())?;
            let is_key = words.get(start..)?.eq_ignore_ascii_case(key);
            let inside_word =
                text::until(words, start).ends_with(|c: char| c.is_alphanumeric() || c == '/');
            (is_key && !inside_word).then_some(start)
        })
        .min()
}

/// The value after a key: `=v`, `: v` (after a quoted key or for a header), `"v"`.
fn value_after(words: &str, key: usize, end: usize) -> Option<(usize, usize)> {
    let mut rest = text::from(words, end);
    let mut start = end;
    let mut skip = |rest: &mut &str, lead: &[char]| {
        let trimmed = rest.strip_prefix(lead);
        if let Some(after) = trimmed {
            start += rest.len() - after.len();
            *rest = after;
        }
        trimmed.is_some()
    };
    let quoted_key = skip(&mut rest, &['"', '\'']);
    let equals = skip(&mut rest, &['=']);
    let colon = !equals && skip(&mut rest, &[':']);
    if !equals && !colon {
        return None;
    }
    let key_is_header = text::slice(words, key, end).eq_ignore_ascii_case("authorization");
    if colon {
        // `token: what went wrong` is prose, not a value.
        let has_blank = skip(&mut rest, &[' ']);
        if !quoted_key && !key_is_header && (has_blank || rest.starts_with('/')) {
            let word = rest.split([' ', ',', ';']).next().unwrap_or("");
            let looks_secret = word.len() >= 16
                && word.bytes().any(|b| b.is_ascii_digit())
                && !word.contains(['/', ':', '.']);
            if !looks_secret {
                return None;
            }
        }
    }
    if key_is_header {
        for scheme in ["Bearer ", "Basic ", "bearer ", "basic "] {
            if let Some(after) = rest.strip_prefix(scheme) {
                start += scheme.len();
                rest = after;
            }
        }
    }
    let length = match rest.strip_prefix('"') {
        Some(quoted) => {
            start += 1;
            quoted.find('"').unwrap_or(quoted.len())
        }
        None => rest
            .find(|c: char| {
                c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | '&' | ')' | '}' | ']')
            })
            .unwrap_or(rest.len()),
    };
    (length > 0).then_some((start, start + length))
}

/// A URL: no user info, no query values but the plain ones.
fn address(whole: &str, span: Span, found: &mut Vec<Hidden>) {
    let url = text::slice(whole, span.start, span.end);
    let Some((scheme, body)) = url.split_once("://") else {
        return;
    };
    let authority_start = span.start + scheme.len() + 3;
    let length = body.find(['/', '?', '#']).unwrap_or(body.len());
    if let Some((user, _)) = text::until(body, length).rsplit_once('@') {
        found.push(Hidden {
            start: authority_start,
            end: authority_start + user.len(),
        });
    }
    let Some((path, query)) = text::from(body, length).split_once('?') else {
        return;
    };
    let mut at = authority_start + length + path.len() + 1;
    for pair in query.split('&') {
        if let Some((key, value)) = pair.split_once('=')
            && !PLAIN.contains(&key)
            && !value.is_empty()
        {
            found.push(Hidden {
                start: at + key.len() + 1,
                end: at + pair.len(),
            });
        }
        at += pair.len() + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::url;

    fn redact(words: &str) -> String {
        let hidden = secrets(words, &url::find(words).0);
        cut(words, &hidden, 0, words.len())
    }

    #[test]
    fn a_cut_through_a_secret_shows_none_of_it() {
        let words = "a password=hunter2 b eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.e30.x";
        let hidden = secrets(words, &[]);
        for start in 0..words.len() {
            for end in start..=words.len() {
                let shown = cut(words, &hidden, start, end);
                assert!(
                    !shown.contains("hunter2") && !shown.contains("eyJhb"),
                    "{shown}"
                );
                assert!(shown.len() <= end - start + 2 * HIDDEN.len());
            }
        }
        assert_eq!(cut(words, &hidden, 0, 13), "a password=[hidden]");
        assert_eq!(cut(words, &hidden, 18, 20), " b");
    }

    #[test]
    fn secrets_are_hidden_and_the_rest_stays() {
        let table = [
            (
                "no secret here: token expired",
                "no secret here: token expired",
            ),
            (
                "GET https://u:p@r.test/b?sig=AB%2Bcd&se=2026&scope=repository%3Aa%3Apull: 403",
                "GET https://[hidden]@r.test/b?sig=[hidden]&se=[hidden]&scope=repository%3Aa%3Apull: 403",
            ),
            ("password=hunter2 next", "password=[hidden] next"),
            (
                r#"{"password": "a b", "auth":"dXNlcg=="}"#,
                r#"{"password": "[hidden]", "auth":"[hidden]"}"#,
            ),
            (
                "Authorization: Bearer abc.def, x",
                "Authorization: Bearer [hidden], x",
            ),
            (
                "got eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.e30.x here",
                "got [hidden] here",
            ),
            (
                "failed to fetch oauth token: unexpected status",
                "failed to fetch oauth token: unexpected status",
            ),
            ("username=bob password=", "username=bob password="),
            ("client_secret=abc&x=1", "client_secret=[hidden]&x=1"),
        ];
        for (text, want) in table {
            assert_eq!(redact(text), want, "for {text:?}");
        }
    }
}
