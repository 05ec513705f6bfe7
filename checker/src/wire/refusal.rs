//! Error bodies and the headers that come with them.
//!
//! Registries answer refusals with `{"errors":[{"code","message"}]}`, OAuth services with
//! `{"error","error_description"}`, storage with XML, front ends with HTML or one line of text. All become a
//! [`Refusal`]; what cannot be read is kept as an excerpt.

use std::time::Duration;

use http::HeaderMap;
use http::header::{CONTENT_TYPE, DATE, HeaderName, RETRY_AFTER};
use jiff::Timestamp;
use serde_json::Value;

use crate::evidence::{RateLimit, Refusal};
use crate::wire::Excerpt;

const MAX_CODES: usize = 8;
/// No server asks for longer, and `Duration` arithmetic stays far from its end.
const MAX_RETRY_AFTER: u64 = 7 * 24 * 3600;

/// Reads an answer that refuses. `now` is needed where `Retry-After` is a date.
pub(crate) fn read(status: u16, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Refusal {
    let (codes, message) = envelope(body);
    Refusal {
        status,
        codes,
        message,
        content_type: text(headers, &CONTENT_TYPE).map(Excerpt::new),
        retry_after: retry_after(headers, now),
        rate_limit: rate_limit(headers),
        correlation: ["x-ms-correlation-request-id", "x-request-id"]
            .iter()
            .find_map(|name| headers.get(*name)?.to_str().ok())
            .map(Excerpt::new),
        date: date(headers),
    }
}

/// A header as text, if it is printable ASCII.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The `Date` header.
pub(crate) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(text(headers, &DATE)?)
}

fn http_date(text: &str) -> Option<Timestamp> {
    let time = httpdate::parse_http_date(text.trim()).ok()?;
    Timestamp::try_from(time).ok()
}

fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = text(headers, &RETRY_AFTER)?.trim();
    let seconds = match value.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => u64::try_from(http_date(value)?.as_second() - now.as_second()).unwrap_or(0),
    };
    Some(Duration::from_secs(seconds.min(MAX_RETRY_AFTER)))
}

/// `ratelimit-limit: 100;w=21600` and its relatives.
pub(crate) fn rate_limit(headers: &HeaderMap) -> Option<RateLimit> {
    let find = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| headers.get(*name)?.to_str().ok())
    };
    let number = |text: &str| {
        text.split([';', ','])
            .next()
            .and_then(|number| number.trim().parse().ok())
    };
    let limit = find(&["ratelimit-limit", "x-ratelimit-limit"]);
    let remaining = find(&["ratelimit-remaining", "x-ratelimit-remaining"]);
    let window = |text: &str| {
        text.split(';')
            .find_map(|part| part.trim().strip_prefix("w=")?.parse().ok())
    };
    let found = RateLimit {
        limit: limit.and_then(number),
        remaining: remaining.and_then(number),
        window: limit
            .and_then(window)
            .or_else(|| remaining.and_then(window)),
        source: find(&["docker-ratelimit-source"]).map(Excerpt::new),
    };
    (found.limit.is_some() || found.remaining.is_some()).then_some(found)
}

fn envelope(body: &[u8]) -> (Vec<Excerpt>, Excerpt) {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => from_json(&value).unwrap_or_else(|| (Vec::new(), Excerpt::from_bytes(body))),
        Err(_) => (
            from_xml(body).into_iter().collect(),
            Excerpt::from_bytes(body),
        ),
    }
}

fn from_json(value: &Value) -> Option<(Vec<Excerpt>, Excerpt)> {
    if let Some(errors) = value.get("errors").and_then(Value::as_array) {
        let codes = errors
            .iter()
            .take(MAX_CODES)
            .filter_map(|error| plain(error.get("code")?))
            .collect();
        let message = errors
            .iter()
            .take(MAX_CODES)
            .find_map(|error| plain(error.get("message")?))
            .unwrap_or_default();
        return Some((codes, message));
    }
    // OAuth: `error` is an identifier; Azure nests `{"error":{"code","message"}}`.
    let error = value.get("error")?;
    if error.is_object() {
        let part = |name| error.get(name).and_then(plain);
        return Some((
            part("code").into_iter().collect(),
            part("message").unwrap_or_default(),
        ));
    }
    let message = ["error_description", "message", "details"]
        .iter()
        .find_map(|name| plain(value.get(*name)?));
    Some((
        plain(error).into_iter().collect(),
        message.unwrap_or_default(),
    ))
}

fn plain(value: &Value) -> Option<Excerpt> {
    match value {
        Value::String(text) => Some(Excerpt::new(text)),
        Value::Number(number) => Some(Excerpt::new(&number.to_string())),
        _ => None,
    }
}

/// `<Error><Code>AuthorizationFailure</Code>…` of storage services.
fn from_xml(body: &[u8]) -> Option<Excerpt> {
    let text = std::str::from_utf8(body.get(..4096).unwrap_or(body)).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    Some(Excerpt::new(code))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn now() -> Timestamp {
        "2026-01-15T09:00:00Z".parse().unwrap()
    }

    #[test]
    fn bodies_of_real_registries() {
        let table: [(&str, &[&str], &str); 8] = [
            (
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#,
                &["MANIFEST_UNKNOWN"],
                "manifest unknown",
            ),
            (
                r#"{"errors": [{"code": 404, "message": "Not Found"}]}"#,
                &["404"],
                "Not Found",
            ),
            (
                r#"{"error":"invalid_request","error_description":"Identity not found"}"#,
                &["invalid_request"],
                "Identity not found",
            ),
            (
                r#"{"error":{"code":"AuthorizationFailed","message":"no"}}"#,
                &["AuthorizationFailed"],
                "no",
            ),
            ("Not Authorized\n", &[], "Not Authorized"),
            (
                "<?xml?><Error><Code>AuthorizationFailure</Code></Error>",
                &["AuthorizationFailure"],
                "<?xml?><Error><Code>AuthorizationFailure</Code></Error>",
            ),
            ("", &[], ""),
            ("[1]", &[], "[1]"),
        ];
        for (body, codes, message) in table {
            let refusal = read(404, &HeaderMap::new(), body.as_bytes(), now());
            assert_eq!(
                refusal
                    .codes
                    .iter()
                    .map(Excerpt::as_str)
                    .collect::<Vec<_>>(),
                codes,
                "for {body:?}"
            );
            assert_eq!(refusal.message.as_str(), message, "for {body:?}");
        }
    }

    #[test]
    fn waiting_times_and_limits() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static("17"));
        headers.insert("ratelimit-limit", HeaderValue::from_static("100;w=21600"));
        headers.insert("ratelimit-remaining", HeaderValue::from_static("3;w=21600"));
        headers.insert(
            "docker-ratelimit-source",
            HeaderValue::from_static("192.0.2.1"),
        );
        let refusal = read(429, &headers, b"", now());
        assert_eq!(refusal.retry_after, Some(Duration::from_secs(17)));
        let limit = refusal.rate_limit.unwrap();
        assert_eq!(
            (limit.limit, limit.remaining, limit.window),
            (Some(100), Some(3), Some(21600))
        );
        headers.insert(
            "retry-after",
            HeaderValue::from_static("Thu, 15 Jan 2026 09:01:00 GMT"),
        );
        assert_eq!(
            read(429, &headers, b"", now()).retry_after,
            Some(Duration::from_mins(1))
        );
        headers.insert(
            "retry-after",
            HeaderValue::from_static("Thu, 15 Jan 2026 08:01:00 GMT"),
        );
        assert_eq!(
            read(429, &headers, b"", now()).retry_after,
            Some(Duration::ZERO)
        );
        headers.insert("retry-after", HeaderValue::from_static("99999999999999999"));
        assert_eq!(
            read(429, &headers, b"", now()).retry_after,
            Some(Duration::from_secs(MAX_RETRY_AFTER))
        );
    }

    proptest! {
        #[test]
        fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(500, &HeaderMap::new(), &body, now());
        }
    }
}
