//! Text from outside, made safe to keep and to print.

use std::fmt;

use memchr::memchr_iter;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest excerpt, in characters.
pub const MAX_EXCERPT: usize = 512;
/// No header of a token that is worth anything is shorter.
const MIN_TOKEN: usize = 20;

/// A short piece of text from outside: bounded, on one line, without control characters, and with what may
/// be a secret taken out (values in the query of a URL, user info, tokens).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Excerpt(Box<str>);

impl Excerpt {
    /// Makes `text` safe.
    pub fn new(text: &str) -> Self {
        // Bound first: what follows looks at each character once or twice.
        let bounded: String = text.chars().take(MAX_EXCERPT * 4).collect();
        let mut line = String::with_capacity(bounded.len().min(MAX_EXCERPT));
        for word in bounded
            .split(|found: char| found.is_control() || found.is_whitespace())
            .filter(|w| !w.is_empty())
        {
            if !line.is_empty() {
                line.push(' ');
            }
            redact_word(word, &mut line);
        }
        if line.chars().count() > MAX_EXCERPT {
            line = line.chars().take(MAX_EXCERPT - 1).chain(['…']).collect();
        }
        Self(line.into())
    }

    /// Makes bytes safe; what is not UTF-8 becomes the replacement character.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let bytes = bytes.get(..MAX_EXCERPT * 4).unwrap_or(bytes);
        Self::new(&String::from_utf8_lossy(bytes))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if there is no text.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn redact_word(word: &str, out: &mut String) {
    let word = redact_urls(word);
    let mut at = 0;
    for (start, end) in web_tokens(&word) {
        out.push_str(word.get(at..start).unwrap_or_default());
        out.push_str("[redacted]");
        at = end;
    }
    out.push_str(word.get(at..).unwrap_or_default());
}

/// Where JSON web tokens stand in a text: base64url parts, the first of which encodes `{"`.
pub(crate) fn web_tokens(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            // `J` is the rarest of the three letters by far.
            let rest = text.get(from..)?;
            let start = memchr_iter(b'J', rest.as_bytes())
                .find_map(|at| rest.get(..at)?.ends_with("ey").then(|| at - 2))?;
            let start = from + start;
            let tail = text.get(start..)?;
            let length = tail
                .find(|found: char| {
                    !(found.is_ascii_alphanumeric()
                        || matches!(found, '-' | '_' | '.' | '=' | '+' | '/'))
                })
                .unwrap_or(tail.len());
            from = start + length;
            if length >= MIN_TOKEN {
                return Some((start, from));
            }
        }
    })
}

/// A word may hold several URLs between quotes.
fn redact_urls(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while let Some((head, after)) = rest.split_once("://") {
        let end = after
            .find(['"', '\'', '>', '<', '`'])
            .unwrap_or(after.len());
        let (url, tail) = after.split_at(end);
        out.push_str(head);
        out.push_str("://");
        out.push_str(&redact_url(url));
        rest = tail;
    }
    out.push_str(rest);
    out
}

fn redact_url(url: &str) -> String {
    let authority_end = url.find(['/', '?', '#']).unwrap_or(url.len());
    let (authority, path) = url.split_at(authority_end);
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let path = match path.split_once('?') {
        None => path.to_owned(),
        Some((path, query)) => {
            let names: Vec<String> = query
                .split('&')
                .map(|pair| match pair.split_once('=') {
                    // These three say what was asked for, and are needed to understand a refusal.
                    Some(("scope" | "service" | "ns", _)) => pair.to_owned(),
                    Some((name, _)) => format!("{name}=[redacted]"),
                    None => "[redacted]".to_owned(),
                })
                .collect();
            format!("{path}?{}", names.join("&"))
        }
    };
    format!("{authority}{path}")
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Excerpt {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl Serialize for Excerpt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Excerpt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Self::new(&text))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_are_taken_out() {
        let token = format!("Bearer eyJ{}.{}.x", "a".repeat(40), "b".repeat(40));
        let two = format!("id=eyJ{0},access=eyJ{0};", "a".repeat(40));
        let table = [
            ("a\nb\tc\u{1b}[31m", "a b c [31m"),
            (
                "Get \"https://u:p@h.io/x?sig=abc&scope=s\": EOF",
                "Get \"https://h.io/x?sig=[redacted]&scope=s\": EOF",
            ),
            (
                "see https://aka.ms/acr/firewall to",
                "see https://aka.ms/acr/firewall to",
            ),
            (token.as_str(), "Bearer [redacted]"),
            (two.as_str(), "id=[redacted],access=[redacted];"),
        ];
        for (text, want) in table {
            assert_eq!(Excerpt::new(text).as_str(), want, "for {text:?}");
        }
        assert_eq!(
            Excerpt::new(&"x".repeat(9999)).as_str().chars().count(),
            MAX_EXCERPT
        );
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_short_line(text in any::<String>()) {
            let excerpt = Excerpt::new(&text);
            prop_assert!(excerpt.as_str().chars().count() <= MAX_EXCERPT);
            prop_assert!(!excerpt.as_str().chars().any(char::is_control));
        }

        #[test]
        fn a_query_value_never_survives(text in "[a-z:/?&=@\"]{0,20}https://[a-z]{1,5}/[a-z]?\\?sig=SECRETX[a-z\"& ]{0,9}") {
            let excerpt = Excerpt::new(&text);
            prop_assert!(!excerpt.as_str().contains("SECRETX"), "{}", excerpt);
        }
    }
}
