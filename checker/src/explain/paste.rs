//! Pasted text: `kubectl describe`, lists of events, journals, logs. Which lines are messages.
//!
//! A line that opens like an event row or a log line is a message of its own, without its columns
//! and time stamps; any other line continues the one before it.

use super::text;
use memchr::memchr_iter;

/// More messages than this in one paste are not told apart.
const MOST: usize = 512;

/// The stretches of the text that are messages, in order; at least one.
pub(super) fn stretches(whole: &str) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    let ends = memchr_iter(b'\n', whole.as_bytes()).map(|end| end + 1);
    for end in ends.chain([whole.len()]) {
        let (start, line) = (at, text::slice(whole, at, end));
        if line.is_empty() {
            break;
        }
        at = end;
        super::steps::spend(line.len());
        let message = opening(line);
        match found.last_mut() {
            Some(last) if message.is_none() => last.1 = at,
            _ => found.push((start + message.unwrap_or(0), at)),
        }
        if found.len() >= MOST {
            if let Some(last) = found.last_mut() {
                last.1 = whole.len();
            }
            break;
        }
    }
    if found.is_empty() {
        found.push((0, whole.len()));
    }
    for stretch in &mut found {
        let words = text::slice(whole, stretch.0, stretch.1);
        stretch.0 += lead(words);
        stretch.1 = stretch
            .0
            .max(stretch.0 + text::slice(whole, stretch.0, stretch.1).trim_end().len());
    }
    found
}

/// Where the message begins in a line that opens one; nothing where the line only continues.
fn opening(line: &str) -> Option<usize> {
    event_row(line)
        .or_else(|| listed_event(line))
        .or_else(|| journal(line))
        .or_else(|| klog(line))
        .or_else(|| stamped(line))
}

/// `  Warning  Failed  2m (x4 over 3m)  kubelet  MESSAGE`
fn event_row(line: &str) -> Option<usize> {
    let trimmed = line.trim_start();
    let indent = line.len() - trimmed.len();
    let kind = ["Warning", "Normal"]
        .into_iter()
        .find(|kind| trimmed.starts_with(kind))?;
    let mut rest = text::from(trimmed, kind.len());
    if !rest.starts_with("  ") {
        return None;
    }
    // Reason, age and source: three columns, each followed by two blanks or more.
    for _ in 0..3 {
        rest = rest.trim_start();
        let end = rest.find("  ")?;
        rest = text::from(rest, end);
    }
    let rest = rest.trim_start();
    (!rest.is_empty()).then_some(indent + trimmed.len() - rest.len())
}

/// `2m  Warning  Failed  pod/web-1  MESSAGE`, as `kubectl get events` prints it.
fn listed_event(line: &str) -> Option<usize> {
    let trimmed = line.trim_start();
    let indent = line.len() - trimmed.len();
    if !trimmed.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let age = text::bounded(trimmed, 26).find("  ")?;
    let mut rest = text::from(trimmed, age).trim_start();
    if !rest.starts_with("Warning  ") && !rest.starts_with("Normal  ") {
        return None;
    }
    for _ in 0..3 {
        let end = rest.find("  ")?;
        rest = text::from(rest, end).trim_start();
    }
    Some(indent + trimmed.len() - rest.len())
}

/// `Nov 23 05:38:00 node kubelet[123]: MESSAGE`
fn journal(line: &str) -> Option<usize> {
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    let month = words.next()?;
    if ![
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
    .contains(&month)
    {
        return None;
    }
    words.next()?.parse::<u8>().ok()?;
    let time = words.next()?;
    if time.len() < 8 || !time.contains(':') {
        return None;
    }
    let head = text::bounded(line, 200);
    let at = head.find("]: ")? + "]: ".len();
    let rest = text::from(line, at);
    Some(at + klog(rest).unwrap_or(0))
}

/// `E1123 05:38:00.123456    1234 file.go:12] MESSAGE`
fn klog(line: &str) -> Option<usize> {
    let mut bytes = line.bytes();
    if !matches!(bytes.next(), Some(b'I' | b'W' | b'E' | b'F'))
        || bytes.by_ref().take(4).filter(u8::is_ascii_digit).count() != 4
    {
        return None;
    }
    let head = text::bounded(line, 200);
    Some(head.find("] ")? + 2)
}

/// `2026-01-15T09:00:00Z MESSAGE`, `time="…" level=error msg="…"`, `level=error msg=…`.
fn stamped(line: &str) -> Option<usize> {
    if line.starts_with("time=\"") || line.starts_with("level=") {
        return Some(0);
    }
    let stamp = line.get(..19)?;
    let is_date = stamp.bytes().enumerate().all(|(at, b)| match at {
        4 | 7 => b == b'-' || b == b'/',
        10 => b == b'T' || b == b' ',
        13 | 16 => b == b':',
        _ => b.is_ascii_digit(),
    });
    if !is_date {
        return None;
    }
    Some(19 + text::from(line, 19).find(' ').map_or(0, |at| at + 1))
}

/// What stands in front of a message inside of its row: `spec.containers{web}: `, `(combined …): `.
fn lead(words: &str) -> usize {
    let mut rest = words.trim_start();
    if rest.starts_with("spec.")
        && let Some(at) = text::bounded(rest, 300).find("}: ")
    {
        rest = text::from(rest, at + "}: ".len());
    }
    if let Some(after) = rest.strip_prefix("(combined from similar events): ") {
        rest = after;
    }
    words.len() - rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(whole: &str) -> Vec<&str> {
        stretches(whole)
            .into_iter()
            .map(|(start, end)| text::slice(whole, start, end))
            .collect()
    }

    #[test]
    fn describe_rows_lose_their_columns() {
        let whole = "Events:\n  Type     Reason     Age                From               Message\n  ----     ------     ----               ----               -------\n  Normal   Pulling    2m (x4 over 3m)    kubelet            Pulling image \"a:1\"\n  Warning  Failed     2m (x4 over 3m)    kubelet            spec.containers{web}: Failed to pull image \"a:1\": x\ndenied: y\n";
        let got = messages(whole);
        assert_eq!(
            got.get(1..),
            Some(
                &[
                    "Pulling image \"a:1\"",
                    "Failed to pull image \"a:1\": x\ndenied: y"
                ][..]
            )
        );
    }

    #[test]
    fn journals_logs_and_lists() {
        let table = [
            (
                "Nov 23 05:38:00 n1 kubelet[12]: E1123 05:38:00.1    12 x.go:1] \"PullImage\" err=\"x\"",
                "\"PullImage\" err=\"x\"",
            ),
            (
                "Nov 23 05:38:00 n1 containerd[12]: time=\"t\" level=error msg=\"x\"",
                "time=\"t\" level=error msg=\"x\"",
            ),
            ("E1123 05:38:00.1    12 x.go:1] hello", "hello"),
            ("2026-01-15T09:00:00Z hello", "hello"),
            ("2026-01-15T09:00:00.000Z hello there", "hello there"),
            (
                "2m5s        Warning   Failed    pod/web-1   Failed to pull image",
                "Failed to pull image",
            ),
            ("(combined from similar events): x", "x"),
            ("just words", "just words"),
            ("", ""),
        ];
        for (line, want) in table {
            assert_eq!(messages(line), [want], "for {line:?}");
        }
    }
}
