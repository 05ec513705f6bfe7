//! Dates for programs that reckon with the machine's clock.
//!
//! A cluster whose time is faster, or was let pass at once, has dates of its own future: kubectl, which
//! reckons ages itself where no table does, would print `<invalid>`. So the dates that a server sets are
//! moved on the way out, by what the two clocks differ: what is three minutes old in the cluster is
//! three minutes old for whoever reads it. What people wrote is left as they wrote it.

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures::StreamExt as _;
use http::header::CONTENT_TYPE;
use jiff::{SignedDuration, Timestamp};

/// Fields that a server sets.
const FIELDS: &[&str] = &[
    "creationTimestamp",
    "deletionTimestamp",
    "firstTimestamp",
    "lastTimestamp",
    "eventTime",
    "lastObservedTime",
    "startTime",
    "completionTime",
    "startedAt",
    "finishedAt",
    "lastTransitionTime",
    "lastUpdateTime",
    "lastHeartbeatTime",
    "lastProbeTime",
    "lastScheduleTime",
    "lastSuccessfulTime",
    "renewTime",
    "acquireTime",
    "time",
];
/// `2026-01-02T03:04:05`; a fraction and `Z` follow.
const SECONDS: usize = 19;
/// A key, its quotes, the colon and a whole date: what may be cut in two by the end of a piece.
const LONGEST: usize = 64;

/// Moves the dates of an answer.
pub(super) fn shifted(
    answer: Response,
    by: impl Fn() -> SignedDuration + Send + 'static,
) -> Response {
    let kind = answer
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with("application/json")) {
        return answer;
    }
    let (parts, body) = answer.into_parts();
    // Kept back is only what may be the beginning of a date; an event of a watch ends its line.
    let mut held = Vec::new();
    let pieces = body
        .into_data_stream()
        .map(Some)
        .chain(futures::stream::iter([None]));
    let moved = pieces.filter_map(move |piece| {
        let out = match piece {
            Some(Ok(piece)) => {
                let by = by().as_secs();
                if by == 0 && held.is_empty() {
                    Some(Ok(piece))
                } else {
                    held.extend_from_slice(&piece);
                    let rest = held.split_off(whole(&held));
                    let mut out = std::mem::replace(&mut held, rest);
                    shift(&mut out, by);
                    (!out.is_empty()).then(|| Ok(Bytes::from(out)))
                }
            }
            Some(Err(error)) => Some(Err(error)),
            None => (!held.is_empty()).then(|| Ok(Bytes::from(std::mem::take(&mut held)))),
        };
        std::future::ready(out)
    });
    Response::from_parts(parts, Body::from_stream(moved))
}

/// How much of a text holds no date that is cut in two.
fn whole(text: &[u8]) -> usize {
    let from = text.len().saturating_sub(LONGEST);
    let tail = text.get(from..).unwrap_or_default();
    // A line or an object that is closed has no date under way.
    let closed = tail
        .iter()
        .rposition(|byte| matches!(byte, b'\n' | b'}' | b']' | b',' | b'{'));
    closed.map_or(from, |at| from + at + 1)
}

/// Moves every date of a field that a server sets, in place: a date keeps its length.
fn shift(text: &mut [u8], by: i64) {
    let mut at = 0;
    while let Some(found) = next_date(text, at) {
        if let Some(date) = text.get_mut(found..found + SECONDS)
            && let Some(moved) = moved(date, by)
        {
            date.copy_from_slice(moved.as_bytes());
        }
        at = found + SECONDS;
    }
}

/// Where the next date of such a field begins.
fn next_date(text: &[u8], from: usize) -> Option<usize> {
    const BETWEEN: &[u8] = b"\":\"";
    let mut at = from;
    loop {
        let rest = text.get(at..)?;
        let quote = rest
            .windows(BETWEEN.len())
            .position(|part| part == BETWEEN)?
            + at;
        let value = quote + BETWEEN.len();
        let key = text.get(..quote)?;
        let named = FIELDS.iter().any(|field| {
            key.strip_suffix(field.as_bytes())
                .is_some_and(|before| before.ends_with(b"\""))
        });
        if named && text.get(value).is_some_and(u8::is_ascii_digit) {
            return Some(value);
        }
        at = value;
    }
}

fn moved(date: &[u8], by: i64) -> Option<String> {
    let text = std::str::from_utf8(date).ok()?;
    let at: Timestamp = format!("{text}Z").parse().ok()?;
    let at = at.checked_add(SignedDuration::from_secs(by)).ok()?;
    let moved = at.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    (moved.len() == SECONDS).then_some(moved)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn through(pieces: &[&str], by: i64) -> String {
        let pieces: Vec<Result<Bytes, std::io::Error>> = pieces
            .iter()
            .map(|piece| Ok(Bytes::copy_from_slice(piece.as_bytes())))
            .collect();
        let answer = Response::builder()
            .header(CONTENT_TYPE, "application/json;stream=watch")
            .body(Body::from_stream(futures::stream::iter(pieces)))
            .unwrap();
        let answer = shifted(answer, move || SignedDuration::from_secs(by));
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn dates_of_the_server_are_moved_and_those_of_people_are_not() {
        let text = r#"{"metadata":{"creationTimestamp":"2026-01-01T00:00:30Z","annotations":{"kubectl.kubernetes.io/restartedAt":"2026-01-01T00:00:30Z","note":"\"time\":\"2026"}},"eventTime":"2026-01-01T00:00:30.123456Z","deletionTimestamp":null,"message":"time: 2026-01-01T00:00:30Z"}"#;
        let want = text
            .replacen("2026-01-01T00:00:30Z", "2025-12-31T23:59:30Z", 1)
            .replace("2026-01-01T00:00:30.123456Z", "2025-12-31T23:59:30.123456Z");
        assert_eq!(through(&[text], -60).await, want);
        assert_eq!(through(&[text], 0).await, text);
        // Wherever the text is cut, the same comes out.
        for at in 1..text.len() {
            let (one, two) = text.split_at(at);
            assert_eq!(through(&[one, two], -60).await, want, "cut at {at}");
        }
        for odd in [
            "",
            "{}",
            r#"{"time":"2026"}"#,
            r#"{"time":"9999-99-99T99:99:99Z"}"#,
        ] {
            assert_eq!(through(&[odd], -60).await, odd);
        }
    }

    #[tokio::test]
    async fn an_event_of_a_watch_is_not_kept_back() {
        let line = "{\"object\":{\"startTime\":\"2026-01-01T00:00:30Z\"}}\n";
        assert_eq!(whole(line.as_bytes()), line.len());
        assert_eq!(
            through(&[line, line], 30).await,
            line.replace(":30Z", ":00Z")
                .replace("T00:00", "T00:01")
                .repeat(2)
        );
    }
}
