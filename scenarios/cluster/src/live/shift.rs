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
/// Maps that people fill with names of their own.
const OF_PEOPLE: &[&str] = &["annotations", "binaryData", "data", "labels", "stringData"];
/// `2026-01-02T03:04:05`; a fraction and `Z` follow.
const SECONDS: usize = 19;

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
    let mut reader = Reader::default();
    let pieces = body
        .into_data_stream()
        .map(Some)
        .chain(futures::stream::iter([None]));
    let moved = pieces.filter_map(move |piece| {
        let out = match piece {
            Some(piece) => piece.map(|piece| reader.pass(&piece, by().as_secs())),
            // What never ended goes as it came.
            None => Ok(std::mem::take(&mut reader.open)),
        };
        let is_something = !out.as_ref().is_ok_and(Vec::is_empty);
        std::future::ready(is_something.then(|| out.map(Bytes::from)))
    });
    Response::from_parts(parts, Body::from_stream(moved))
}

/// Reads JSON piece by piece, one value or one a line. Kept back is only a string whose end is still to come: an
/// event of a watch has none at the end of its line.
#[derive(Default)]
struct Reader {
    /// That string, with the quote before it.
    open: Vec<u8>,
    /// Whether a backslash was the last of it.
    escaped: bool,
    /// The last string that may be a key.
    word: Vec<u8>,
    /// Whether what comes is the value of that key.
    keyed: bool,
    /// For every object and list that one is in: whether people fill it.
    levels: Vec<bool>,
}

impl Reader {
    /// The text as far as it can be given out, with its dates moved in place: a date keeps its length.
    fn pass(&mut self, piece: &[u8], by: i64) -> Vec<u8> {
        let mut text = std::mem::take(&mut self.open);
        let from = text.len();
        text.extend_from_slice(piece);
        let mut quote = (from > 0).then_some(0);
        for at in from..text.len() {
            let byte = text.get(at).copied().unwrap_or_default();
            match quote {
                Some(_) if self.escaped => self.escaped = false,
                Some(_) if byte == b'\\' => self.escaped = true,
                Some(start) if byte == b'"' => {
                    quote = None;
                    self.string(text.get_mut(start + 1..at).unwrap_or_default(), by);
                }
                Some(_) => {}
                None if byte == b'"' => quote = Some(at),
                None => self.between(byte),
            }
        }
        if let Some(start) = quote {
            self.open = text.split_off(start);
        }
        text
    }

    /// A whole string: a key, or a value that may be a date.
    fn string(&mut self, text: &mut [u8], by: i64) {
        if !self.keyed {
            self.word.clear();
            self.word.extend_from_slice(text);
        } else if self.is_one_of(FIELDS)
            && !self.is_of_people()
            && let Some(date) = text.get_mut(..SECONDS)
            && let Some(moved) = moved(date, by)
        {
            date.copy_from_slice(moved.as_bytes());
        }
    }

    /// A byte between strings.
    fn between(&mut self, byte: u8) {
        match byte {
            b':' => self.keyed = true,
            b'{' | b'[' => {
                let of_people = self.keyed && self.is_one_of(OF_PEOPLE);
                self.levels.push(of_people || self.is_of_people());
                self.keyed = false;
            }
            b'}' | b']' => {
                self.levels.pop();
                self.keyed = false;
            }
            b',' => self.keyed = false,
            _ => {}
        }
    }

    fn is_one_of(&self, names: &[&str]) -> bool {
        names.iter().any(|name| name.as_bytes() == self.word)
    }

    fn is_of_people(&self) -> bool {
        self.levels.last() == Some(&true)
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
        let text = r#"{"metadata":{"creationTimestamp":"2026-01-01T00:00:30Z","annotations":{"kubectl.kubernetes.io/restartedAt":"2026-01-01T00:00:30Z","time":"2026-01-01T00:00:30Z","note":"\"time\":\"2026"}},"eventTime":"2026-01-01T00:00:30.123456Z","deletionTimestamp":null,"data":{"startTime":"2026-01-01T00:00:30Z"},"message":"time: 2026-01-01T00:00:30Z"}"#;
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
            r#"{"message":"never ends"#,
            r#"{"time":"2026"}"#,
            r#"{"time":"9999-99-99T99:99:99Z"}"#,
        ] {
            assert_eq!(through(&[odd], -60).await, odd);
        }
    }

    #[tokio::test]
    async fn an_event_of_a_watch_is_not_kept_back() {
        let line = "{\"object\":{\"startTime\":\"2026-01-01T00:00:30Z\"}}\n";
        let passed = Reader::default().pass(line.as_bytes(), 30);
        assert_eq!(passed.len(), line.len());
        assert_eq!(
            through(&[line, line], 30).await,
            line.replace(":30Z", ":00Z")
                .replace("T00:00", "T00:01")
                .repeat(2)
        );
    }
}
