//! The URLs in a message: where each stands, its host, and what was asked for.

use super::text;
use memchr::memchr_iter;

/// What a request's path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// `/v2/`: is this a registry, who are you.
    Ping,
    /// A token, or an exchange of one.
    Token,
    /// A manifest by tag.
    ManifestByTag,
    /// A manifest by digest.
    ManifestByDigest,
    /// A layer or a configuration.
    Blob,
    /// Anything else: a redirect target, a link in a text.
    Other,
}

/// One URL and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Url<'t> {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) plain: bool,
    pub(super) host: &'t str,
    pub(super) port: u16,
    pub(super) asked: Asked,
    /// Has containerd's `ns=` parameter: the host is a mirror.
    pub(super) for_other_host: bool,
    /// A client's request (a method or `request to` stands before it), not a link.
    pub(super) method: Option<&'t str>,
}

/// A span that no phrase is looked for in: a URL, or a reference written as one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Every `scheme://…` in the text, in order: spans of all, and the http ones read.
pub(super) fn find(message: &str) -> (Vec<Span>, Vec<Url<'_>>) {
    let mut spans = Vec::new();
    let mut urls = Vec::new();
    let mut from = 0;
    super::steps::spend(message.len());
    for colon in memchr_iter(b':', message.as_bytes()) {
        if colon < from || !text::from(message, colon).starts_with("://") {
            continue;
        }
        let scheme = scheme_before(message, colon);
        let end = end_of(message, colon + 3);
        from = end.max(colon + 3);
        if scheme.is_empty() {
            continue;
        }
        let start = colon - scheme.len();
        spans.push(Span { start, end });
        if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") {
            urls.push(read(message, start, colon, end, scheme.len() == 4));
        }
    }
    (spans, urls)
}

/// The letters in front of `://`; at most 12, so that hostile text costs nothing.
fn scheme_before(message: &str, colon: usize) -> &str {
    let head = text::until(message, colon);
    let length = head
        .bytes()
        .rev()
        .take(12)
        .take_while(|b| b.is_ascii_alphabetic() || *b == b'+')
        .count();
    text::from(head, head.len() - length)
}

/// Where a URL ends: at a blank or quote, or at punctuation that is followed by one.
fn end_of(message: &str, start: usize) -> usize {
    let rest = text::from(message, start);
    let mut bracket = false;
    let mut length = 0;
    loop {
        let tail = text::from(rest, length);
        length += tail.bytes().take_while(|b| is_plain(*b)).count();
        let Some(c) = text::from(rest, length).chars().next() else {
            break;
        };
        match c {
            '[' => bracket = true,
            ']' if bracket => bracket = false,
            '"' | '\'' | '`' | '(' | ')' | ']' | '{' | '}' | '|' | '│' => break,
            c if c.is_whitespace() || c.is_control() => break,
            _ => {}
        }
        length += c.len_utf8();
    }
    super::steps::spend(length);
    start
        + text::until(rest, length)
            .trim_end_matches([':', ',', '.', ';', '!', '?'])
            .len()
}

/// A byte that ends no URL: for most of them nothing else has to be asked.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'/' | b'.' | b'-' | b':' | b'%' | b'=' | b'&' | b'_' | b'?' | b'@' | b'+' | b'~'
        )
}

fn read(message: &str, start: usize, colon: usize, end: usize, plain: bool) -> Url<'_> {
    let body = text::slice(message, colon + 3, end);
    let (authority, path) = match body.find(['/', '?']) {
        Some(at) => (text::until(body, at), text::from(body, at)),
        None => (body, ""),
    };
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let (host, port) = split_port(authority);
    let default = if plain { 80 } else { 443 };
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    Url {
        start,
        end,
        plain,
        host,
        port: port.unwrap_or(default),
        asked: asked(path, query),
        for_other_host: query.split('&').any(|pair| pair.starts_with("ns=")),
        method: method_before(message, start),
    }
}

/// Splits `host:port`; an IPv6 address keeps its brackets.
pub(super) fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, port))
            if !host.is_empty() && !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) =>
        {
            (host, port.parse().ok())
        }
        _ => (authority, None),
    }
}

fn asked(path: &str, query: &str) -> Asked {
    if path == "/v2/" || path == "/v2" || path == "/v1/_ping" || path == "/v0/" || path == "/v1/" {
        return Asked::Ping;
    }
    if query.contains("scope=")
        || query.contains("service=")
        || path.ends_with("/token")
        || path.ends_with("/oauth2/exchange")
    {
        return Asked::Token;
    }
    if let Some((_, reference)) = path.split_once("/manifests/") {
        return if reference.starts_with("sha256:") {
            Asked::ManifestByDigest
        } else {
            Asked::ManifestByTag
        };
    }
    if path.contains("/blobs/") {
        return Asked::Blob;
    }
    Asked::Other
}

/// The method of the request, where the words before the URL make it one.
fn method_before(message: &str, start: usize) -> Option<&str> {
    let head = text::until(message, start).trim_end_matches(['"', ' ', '\'']);
    let word = last_word(head);
    let is_method = |word: &str| {
        ["get", "head", "post", "put"]
            .iter()
            .any(|method| word.eq_ignore_ascii_case(method))
    };
    if is_method(word) {
        return Some(word);
    }
    match word {
        // `unexpected status from HEAD request to URL`
        "to" => {
            let head = text::until(head, head.len() - word.len()).trim_end();
            let request = last_word(head);
            if request != "request" {
                return None;
            }
            let head = text::until(head, head.len() - request.len()).trim_end();
            let method = last_word(head);
            Some(if is_method(method) { method } else { "GET" })
        }
        // `unexpected status code URL`, `content at URL not found`, `ping registry endpoint URL`
        "code" | "at" | "endpoint" => Some("GET"),
        _ => None,
    }
}

/// The word at the end of `text`, at most 16 bytes.
fn last_word(head: &str) -> &str {
    let length = head
        .bytes()
        .rev()
        .take(16)
        .take_while(u8::is_ascii_alphabetic)
        .count();
    text::from(head, head.len() - length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_from_links() {
        let message = "Head \"https://r.test:5000/v2/a/manifests/1?ns=b\": see https://help.test/x. \
                       unexpected status from HEAD request to http://[::1]:80/v2/: 403, \
                       docker://r.test/a:1: content at https://u:p@r.test/v2/a/manifests/sha256:00 not found";
        let (spans, urls) = find(message);
        assert_eq!(spans.len(), 5);
        let seen: Vec<_> = urls
            .iter()
            .map(|u| (u.host, u.port, u.plain, u.asked, u.method, u.for_other_host))
            .collect();
        assert_eq!(
            seen,
            [
                (
                    "r.test",
                    5000,
                    false,
                    Asked::ManifestByTag,
                    Some("Head"),
                    true
                ),
                ("help.test", 443, false, Asked::Other, None, false),
                ("[::1]", 80, true, Asked::Ping, Some("HEAD"), false),
                (
                    "r.test",
                    443,
                    false,
                    Asked::ManifestByDigest,
                    Some("GET"),
                    false
                ),
            ]
        );
    }

    #[test]
    fn odd_urls_do_no_harm() {
        for text in [
            "://",
            "http://",
            "a://b://c",
            "http://:",
            "http://[",
            "https://[]:]:x",
            "http://@:80",
        ] {
            let _ = find(text);
        }
    }
}
