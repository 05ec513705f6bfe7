//! The text as it is read: bounded, with its quoting undone.
//!
//! Messages come through any number of programs that each quote them once more. A run of
//! backslashes in front of a quote is one escaped quote, however deep it was nested, so one pass
//! undoes all of them. Nothing is interpreted here.

use std::borrow::Cow;

/// The longest text that is read; what follows is left out.
pub(super) const LIMIT: usize = 1 << 20;

/// The first [`LIMIT`] bytes with escapes undone; borrowed where there is nothing to undo.
pub(super) fn clean(message: &str) -> Cow<'_, str> {
    let text = bounded(message, LIMIT);
    super::steps::spend(text.len());
    // Whole blocks at a time, without leaving at the first: that is what the compiler makes fast.
    let any = |block: &[u8]| block.iter().fold(false, |any, b| any | is_special(*b));
    if !text.as_bytes().chunks(64).any(any) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.bytes().position(is_special) {
        out.push_str(until(rest, at));
        let mut chars = from(rest, at).chars();
        match chars.next() {
            Some('\\') => {
                chars = chars.as_str().trim_start_matches('\\').chars();
                unescape(&mut chars, &mut out);
            }
            Some('\r' | '\u{feff}') | None => {}
            Some('\t') => out.push_str("    "),
            Some('\u{1b}') => chars = after_colour(chars.as_str()).chars(),
            Some(c) => out.push(c),
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// A byte that may have to be undone. 0xEF begins a byte order mark, and other characters.
const fn is_special(byte: u8) -> bool {
    matches!(byte, b'\\' | b'\r' | b'\t' | 0x1b | 0xef)
}

/// What stands after a run of backslashes.
fn unescape(chars: &mut std::str::Chars<'_>, out: &mut String) {
    let mut ahead = chars.clone();
    match ahead.next() {
        Some('n') => {
            *chars = ahead;
            out.push('\n');
        }
        Some('t' | 'r') => {
            *chars = ahead;
            out.push(' ');
        }
        Some('"' | '\'' | '/') => {}
        Some('u') => {
            let hex = ahead.as_str().get(..4);
            let found = hex
                .and_then(|hex| u32::from_str_radix(hex, 16).ok())
                .and_then(char::from_u32);
            match found {
                Some(c) => {
                    *chars = from(ahead.as_str(), 4).chars();
                    if c != '\u{feff}' {
                        out.push(c);
                    }
                }
                None => out.push('\\'),
            }
        }
        _ => out.push('\\'),
    }
}

/// What stands behind a terminal's colour code, `ESC [ … letter`.
fn after_colour(rest: &str) -> &str {
    let Some(code) = rest.strip_prefix('[') else {
        return rest;
    };
    let code = code.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
    code.strip_prefix(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(code)
}

/// At most `limit` bytes of `text`, cut between two characters.
pub(super) fn bounded(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let mut end = limit;
    while end > 0 && !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or("")
}

/// `text[start..end]`, empty where the range is not one.
pub(super) fn slice(text: &str, start: usize, end: usize) -> &str {
    text.get(start..end).unwrap_or("")
}

/// `text[start..]`, empty where `start` is not a boundary.
pub(super) fn from(text: &str, start: usize) -> &str {
    text.get(start..).unwrap_or("")
}

/// `text[..end]`, empty where `end` is not a boundary.
pub(super) fn until(text: &str, end: usize) -> &str {
    text.get(..end).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_however_deep() {
        let table = [
            ("plain", "plain"),
            (r#"err=\"x \\\"y\\\" z\""#, r#"err="x "y" z""#),
            (r"a\nb", "a\nb"),
            (r"IP \u0027172.0.0.1\u0027", "IP '172.0.0.1'"),
            (r"\ufeff<?xml", "<?xml"),
            (r"\x15\x03", r"\x15\x03"),
            (r"\u12", r"\u12"),
            ("a\tb\r", "a    b"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("end\\", "end\\"),
        ];
        for (text, want) in table {
            assert_eq!(clean(text), want, "for {text:?}");
        }
    }

    #[test]
    fn the_bound_respects_characters() {
        assert_eq!(bounded("äöü", 3), "ä");
        assert_eq!(bounded("abc", 3), "abc");
    }
}
