//! How Go prints things: the small vocabulary that kubelet and containerd texts are made of.
//!
//! Durations, quoted strings, escaped queries, syntax errors of `encoding/json`, status lines of
//! `net/http`. Only what image pulls show; each function is named after its Go counterpart's job.

use std::fmt::Write as _;
use std::time::Duration;

/// `time.Duration.String()`: `0s`, `568ms`, `1.234s`, `5m13.191s`, `1h0m0.5s`.
pub(crate) fn duration(d: Duration) -> String {
    let nanos = d.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    if nanos < 1_000 {
        return format!("{nanos}ns");
    }
    if nanos < 1_000_000 {
        return format!("{}µs", fraction(nanos, 1_000));
    }
    if nanos < 1_000_000_000 {
        return format!("{}ms", fraction(nanos, 1_000_000));
    }
    let (minutes, rest) = (nanos / 60_000_000_000, nanos % 60_000_000_000);
    let seconds = fraction(rest, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// `Duration.Truncate(time.Millisecond)`, printed.
pub(crate) fn duration_in_millis(d: Duration) -> String {
    duration(Duration::from_millis(
        u64::try_from(d.as_millis()).unwrap_or(u64::MAX),
    ))
}

fn fraction(value: u128, unit: u128) -> String {
    let (whole, part) = (value / unit, value % unit);
    if part == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    let digits = format!("{part:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

/// `%q`: a double-quoted string with Go's escapes.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// `%q` of raw bytes, as in a malformed status line.
pub(crate) fn quote_bytes(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        let quoted = quote(chunk.valid());
        out.push_str(
            quoted
                .strip_prefix('"')
                .and_then(|q| q.strip_suffix('"'))
                .unwrap_or(&quoted),
        );
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

/// `url.QueryEscape`.
pub(crate) fn query_escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// `url.Values.Encode()`: sorted by key, values of a key in order.
pub(crate) fn encode_query(pairs: &[(String, String)]) -> String {
    let mut sorted: Vec<_> = pairs.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let parts: Vec<_> = sorted
        .iter()
        .map(|(k, v)| format!("{}={}", query_escape(k), query_escape(v)))
        .collect();
    parts.join("&")
}

/// `url.ParseQuery`, lenient: undecodable escapes stay as they are.
pub(crate) fn parse_query(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(&text.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned()
    };
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(key), decode(value))
        })
        .collect()
}

/// A URL whose query values are hidden, as containerd's `SanitizeError` prints them.
pub(crate) fn redact_query(url: &str) -> String {
    let Some((base, query)) = url.split_once('?') else {
        return url.to_owned();
    };
    let hidden: Vec<_> = parse_query(query)
        .into_iter()
        .map(|(key, _)| (key, "[REDACTED]".to_owned()))
        .collect();
    format!("{base}?{}", encode_query(&hidden))
}

/// `401 Unauthorized`: the status line as `http.Response.Status` keeps it.
pub(crate) fn status_line(code: u16, reason: Option<&str>) -> String {
    let phrase = reason.map(str::to_owned).or_else(|| {
        http::StatusCode::from_u16(code)
            .ok()
            .and_then(|s| s.canonical_reason())
            .map(str::to_owned)
    });
    match phrase {
        Some(phrase) if !phrase.is_empty() => format!("{code} {phrase}"),
        _ => code.to_string(),
    }
}

/// The syntax error that `json.Unmarshal` reports for this text, if any.
pub(crate) fn json_error(text: &[u8]) -> Option<String> {
    Scanner {
        text,
        at: 0,
        depth: 0,
    }
    .document()
    .err()
    .map(|problem| match problem {
        Problem::End => "unexpected end of JSON input".to_owned(),
        Problem::Character(c, context) => format!("invalid character {} {context}", quote_char(c)),
        Problem::TooDeep => "exceeded max depth".to_owned(),
    })
}

/// The error of a `json.Decoder`, which sees a stream: it says EOF where `Unmarshal` says end of input.
pub(crate) fn json_stream_error(text: &[u8]) -> Option<String> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Some("EOF".to_owned());
    }
    json_error(text).map(|e| {
        if e == "unexpected end of JSON input" {
            "unexpected EOF".to_owned()
        } else {
            e
        }
    })
}

fn quote_char(c: u8) -> String {
    match c {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        // Go treats a byte above ASCII as a rune of Latin-1.
        0x20..=0x7e | 0xa1..=0xff => format!("'{}'", char::from(c)),
        _ => format!("'\\x{c:02x}'"),
    }
}

enum Problem {
    End,
    Character(u8, &'static str),
    TooDeep,
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    depth: u16,
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<(), Problem> {
        self.value()?;
        match self.peek_token() {
            None => Ok(()),
            Some(c) => Err(Problem::Character(c, "after top-level value")),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, Problem> {
        let c = self.peek().ok_or(Problem::End)?;
        self.at += 1;
        Ok(c)
    }

    fn peek_token(&mut self) -> Option<u8> {
        while self
            .peek()
            .is_some_and(|c| matches!(c, b' ' | b'\t' | b'\r' | b'\n'))
        {
            self.at += 1;
        }
        self.peek()
    }

    fn token(&mut self) -> Result<u8, Problem> {
        self.peek_token().ok_or(Problem::End)?;
        self.next()
    }

    fn value(&mut self) -> Result<(), Problem> {
        match self.token()? {
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::array),
            b'"' => self.string(),
            b't' => self.literal(&[
                (b'r', "in literal true (expecting 'r')"),
                (b'u', "in literal true (expecting 'u')"),
                (b'e', "in literal true (expecting 'e')"),
            ]),
            b'f' => self.literal(&[
                (b'a', "in literal false (expecting 'a')"),
                (b'l', "in literal false (expecting 'l')"),
                (b's', "in literal false (expecting 's')"),
                (b'e', "in literal false (expecting 'e')"),
            ]),
            b'n' => self.literal(&[
                (b'u', "in literal null (expecting 'u')"),
                (b'l', "in literal null (expecting 'l')"),
                (b'l', "in literal null (expecting 'l')"),
            ]),
            b'-' => match self.next()? {
                b'0' => self.after_zero(),
                b'1'..=b'9' => self.digits_then_rest(),
                c => Err(Problem::Character(c, "in numeric literal")),
            },
            b'0' => self.after_zero(),
            b'1'..=b'9' => self.digits_then_rest(),
            c => Err(Problem::Character(c, "looking for beginning of value")),
        }
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Result<(), Problem>) -> Result<(), Problem> {
        self.depth += 1;
        // Go stops at 10,000; hostile input must not cost us the stack.
        if self.depth > 200 {
            return Err(Problem::TooDeep);
        }
        inner(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn object(&mut self) -> Result<(), Problem> {
        if self.peek_token() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            match self.token()? {
                b'"' => self.string()?,
                c => {
                    return Err(Problem::Character(
                        c,
                        "looking for beginning of object key string",
                    ));
                }
            }
            match self.token()? {
                b':' => self.value()?,
                c => return Err(Problem::Character(c, "after object key")),
            }
            match self.token()? {
                b',' => {}
                b'}' => return Ok(()),
                c => return Err(Problem::Character(c, "after object key:value pair")),
            }
        }
    }

    fn array(&mut self) -> Result<(), Problem> {
        if self.peek_token() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value()?;
            match self.token()? {
                b',' => {}
                b']' => return Ok(()),
                c => return Err(Problem::Character(c, "after array element")),
            }
        }
    }

    fn string(&mut self) -> Result<(), Problem> {
        loop {
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => match self.next()? {
                    b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => {}
                    b'u' => {
                        for _ in 0..4 {
                            let c = self.next()?;
                            if !c.is_ascii_hexdigit() {
                                return Err(Problem::Character(
                                    c,
                                    "in \\u hexadecimal character escape",
                                ));
                            }
                        }
                    }
                    c => return Err(Problem::Character(c, "in string escape code")),
                },
                c if c < 0x20 => return Err(Problem::Character(c, "in string literal")),
                _ => {}
            }
        }
    }

    fn literal(&mut self, rest: &[(u8, &'static str)]) -> Result<(), Problem> {
        for (want, context) in rest {
            let c = self.next()?;
            if c != *want {
                return Err(Problem::Character(c, context));
            }
        }
        Ok(())
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn digits_then_rest(&mut self) -> Result<(), Problem> {
        self.digits();
        self.after_zero()
    }

    fn after_zero(&mut self) -> Result<(), Problem> {
        if self.peek() == Some(b'.') {
            self.at += 1;
            let c = self.next()?;
            if !c.is_ascii_digit() {
                return Err(Problem::Character(
                    c,
                    "after decimal point in numeric literal",
                ));
            }
            self.digits();
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            let c = self.next()?;
            if !c.is_ascii_digit() {
                return Err(Problem::Character(c, "in exponent of numeric literal"));
            }
            self.digits();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations() {
        let table = [
            (0, "0s"),
            (1_500, "1.5µs"),
            (29_592_320, "29.59232ms"),
            (568_000_000, "568ms"),
            (1_234_000_000, "1.234s"),
            (123_500_000_000, "2m3.5s"),
            (313_191_000_000, "5m13.191s"),
            (3_600_000_000_000, "1h0m0s"),
        ];
        for (nanos, want) in table {
            assert_eq!(duration(Duration::from_nanos(nanos)), want);
        }
        assert_eq!(duration_in_millis(Duration::from_nanos(29_592_320)), "29ms");
    }

    #[test]
    fn json_errors_in_go_words() {
        let table: [(&str, Option<&str>); 9] = [
            ("{\"a\": [1, -2.5e3, true, null], \"b\": {}}", None),
            (
                "{not json",
                Some("invalid character 'n' looking for beginning of object key string"),
            ),
            (
                "<html>",
                Some("invalid character '<' looking for beginning of value"),
            ),
            ("", Some("unexpected end of JSON input")),
            ("{\"a\" 1}", Some("invalid character '1' after object key")),
            ("[1 2]", Some("invalid character '2' after array element")),
            ("{} x", Some("invalid character 'x' after top-level value")),
            (
                "nul!",
                Some("invalid character '!' in literal null (expecting 'l')"),
            ),
            (
                "\"a\nb\"",
                Some("invalid character '\\n' in string literal"),
            ),
        ];
        for (text, want) in table {
            assert_eq!(json_error(text.as_bytes()).as_deref(), want, "for {text:?}");
        }
        assert_eq!(json_stream_error(b" ").as_deref(), Some("EOF"));
    }

    #[test]
    fn queries() {
        let pairs =
            [("service", "a:1"), ("scope", "repository:x:pull")].map(|(k, v)| (k.into(), v.into()));
        assert_eq!(
            encode_query(&pairs),
            "scope=repository%3Ax%3Apull&service=a%3A1"
        );
        assert_eq!(
            redact_query("https://h/t?service=s&scope=r%3Ax"),
            "https://h/t?scope=%5BREDACTED%5D&service=%5BREDACTED%5D"
        );
        assert_eq!(redact_query("https://h/t"), "https://h/t");
    }

    #[test]
    fn quotes() {
        assert_eq!(quote("a\"b\\\n\u{1}"), r#""a\"b\\\n\x01""#);
        assert_eq!(
            quote_bytes(b"\x15\x03\x01\x00\x02\x02("),
            r#""\x15\x03\x01\x00\x02\x02(""#
        );
    }

    proptest! {
        #[test]
        fn agrees_with_a_real_parser(text in "[\\[\\]{},:\"a-z0-9. \\\\-]{0,24}") {
            let ours = json_error(text.as_bytes()).is_none();
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(ours, theirs, "{}", text);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = (json_error(&bytes), quote_bytes(&bytes));
        }
    }
}
