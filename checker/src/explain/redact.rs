//! Takes secrets out of whatever is printed of a message.
//!
//! Hidden are: user info and query values of URLs (but for the names of a scope, a service and a
//! mirrored registry), values after words such as `password`, authorization headers, and anything
//! that looks like a JSON web token. One pass, linear.

use super::text;
use super::url::{self, Span};
use aho_corasick::{AhoCorasick, MatchKind};
use std::sync::LazyLock;

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

static KEY_WORDS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::LeftmostLongest)
        .build(KEYS)
        .ok()
});

/// The text without its secrets.
pub(super) fn redact(words: &str) -> String {
    super::steps::spend(words.len());
    let mut out = String::with_capacity(words.len());
    let (spans, _) = url::find(words);
    let mut at = 0;
    for Span { start, end } in spans {
        plain(text::slice(words, at, start), &mut out);
        address(text::slice(words, start, end), &mut out);
        at = end;
    }
    plain(text::from(words, at), &mut out);
    out
}

/// Text outside of URLs: values after telling words, and tokens.
fn plain(words: &str, out: &mut String) {
    let mut at = 0;
    // A value stands behind `=` or `:`; most layers have neither.
    let may_hold = words.bytes().any(|b| b == b'=' || b == b':');
    if let Some(keys) = KEY_WORDS.as_ref().filter(|_| may_hold) {
        for found in keys.find_iter(words) {
            if found.start() < at {
                continue;
            }
            let before = text::until(words, found.start()).chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '/') {
                continue;
            }
            if let Some((from, to)) = value_after(words, found.end()) {
                tokens(text::slice(words, at, from), out);
                out.push_str(HIDDEN);
                at = to;
            }
        }
    }
    tokens(text::from(words, at), out);
}

/// The value after a key: `=v`, `: v` (after a quoted key or for a header), `"v"`.
fn value_after(words: &str, end: usize) -> Option<(usize, usize)> {
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
    let key_is_header = text::until(words, end)
        .to_ascii_lowercase()
        .ends_with("authorization");
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

/// Words that begin like a JSON web token or hold a long signature.
fn tokens(words: &str, out: &mut String) {
    let mut rest = words;
    while let Some(at) = rest.find("eyJ") {
        let (head, tail) = (text::until(rest, at), text::from(rest, at));
        let length = tail
            .find(|c: char| {
                !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '=' | '+' | '/'))
            })
            .unwrap_or(tail.len());
        out.push_str(head);
        if length >= 20 {
            out.push_str(HIDDEN);
        } else {
            out.push_str(text::until(tail, length));
        }
        rest = text::from(tail, length);
    }
    out.push_str(rest);
}

/// A URL: no user info, no query values but the plain ones.
fn address(url: &str, out: &mut String) {
    let Some((scheme, body)) = url.split_once("://") else {
        out.push_str(url);
        return;
    };
    out.push_str(scheme);
    out.push_str("://");
    let (authority, path) = match body.find(['/', '?', '#']) {
        Some(at) => (text::until(body, at), text::from(body, at)),
        None => (body, ""),
    };
    match authority.rsplit_once('@') {
        Some((_, host)) => {
            out.push_str(HIDDEN);
            out.push('@');
            out.push_str(host);
        }
        None => out.push_str(authority),
    }
    let Some((path, query)) = path.split_once('?') else {
        tokens(path, out);
        return;
    };
    tokens(path, out);
    for (at, pair) in query.split('&').enumerate() {
        out.push(if at == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((key, value)) if !PLAIN.contains(&key) && !value.is_empty() => {
                out.push_str(key);
                out.push('=');
                out.push_str(HIDDEN);
            }
            _ => out.push_str(pair),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
