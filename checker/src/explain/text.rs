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
    // 0xEF begins a byte order mark (and other characters, for which the slow way is right too).
    if !text
        .bytes()
        .any(|b| matches!(b, b'\\' | b'\r' | b'\t' | 0x1b | 0xef))
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                while chars.next_if_eq(&'\\').is_some() {}
                unescape(&mut chars, &mut out);
            }
            '\r' | '\u{feff}' => {}
            '\t' => out.push_str("    "),
            '\u{1b}' => skip_colour(&mut chars),
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// What stands after a run of backslashes.
fn unescape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    match chars.peek() {
        Some('n') => {
            chars.next();
            out.push('\n');
        }
        Some('t' | 'r') => {
            chars.next();
            out.push(' ');
        }
        Some('"' | '\'' | '/') => {}
        Some('u') => {
            let mut ahead = chars.clone();
            ahead.next();
            let hex: String = ahead.by_ref().take(4).collect();
            match u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32) {
                Some(c) if hex.len() == 4 => {
                    *chars = ahead;
                    if c != '\u{feff}' {
                        out.push(c);
                    }
                }
                _ => out.push('\\'),
            }
        }
        _ => out.push('\\'),
    }
}

/// A terminal's colour code, `ESC [ … letter`.
fn skip_colour(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    if chars.next_if_eq(&'[').is_some() {
        while chars.next_if(|c| c.is_ascii_digit() || *c == ';').is_some() {}
        chars.next_if(char::is_ascii_alphabetic);
    }
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
