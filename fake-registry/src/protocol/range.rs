//! `Range` of a request (RFC 9110, one range of bytes) and `Content-Range` of an upload chunk.

/// What a `Range` header asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// No range, or one that we may ignore.
    All,
    /// From the first to the last byte, both included.
    Part(u64, u64),
    /// 416.
    Unsatisfiable,
}

/// Reads `bytes=a-b`, `bytes=a-` and `bytes=-n`. Several ranges and other units are ignored,
/// as RFC 9110 allows; one that ends before it begins is refused, as it allows too.
pub(crate) fn wanted(header: &str, total: u64) -> Wanted {
    let Some(spec) = header.trim().strip_prefix("bytes=") else {
        return Wanted::All;
    };
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Wanted::All;
    };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => Wanted::Unsatisfiable,
        (Some(first), _) if first >= total && (last.is_empty() || number(last).is_some()) => {
            Wanted::Unsatisfiable
        }
        (Some(first), Some(last)) => Wanted::Part(first, last.min(total - 1)),
        (Some(first), None) if last.is_empty() => Wanted::Part(first, total - 1),
        (None, Some(suffix)) if first.is_empty() => match (suffix, total) {
            (0, _) | (_, 0) => Wanted::Unsatisfiable,
            _ => Wanted::Part(total.saturating_sub(suffix), total - 1),
        },
        _ => Wanted::All,
    }
}

/// Reads the `<start>-<end>` of a chunk (distribution-spec 1.1, "Pushing a blob in chunks");
/// a leading `bytes ` and a trailing `/total` are tolerated.
pub(crate) fn chunk(header: &str) -> Option<(u64, u64)> {
    let text = header.trim();
    let text = text.strip_prefix("bytes ").unwrap_or(text);
    let text = text.split_once('/').map_or(text, |(range, _)| range);
    let (start, end) = text.split_once('-')?;
    let (start, end) = (number(start)?, number(end)?);
    (start <= end).then_some((start, end))
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_ten_bytes() {
        let table = [
            ("bytes=0-3", Wanted::Part(0, 3)),
            ("bytes=4-", Wanted::Part(4, 9)),
            ("bytes=4-100", Wanted::Part(4, 9)),
            ("bytes=9-9", Wanted::Part(9, 9)),
            ("bytes=-3", Wanted::Part(7, 9)),
            ("bytes=-30", Wanted::Part(0, 9)),
            ("bytes=10-", Wanted::Unsatisfiable),
            ("bytes=10-12", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=5-4", Wanted::Unsatisfiable),
            ("bytes=0-1,3-4", Wanted::All),
            ("bytes=", Wanted::All),
            ("bytes=-", Wanted::All),
            ("bytes=a-b", Wanted::All),
            ("bytes=99999999999999999999-", Wanted::All),
            ("lines=0-1", Wanted::All),
            ("", Wanted::All),
        ];
        for (header, want) in table {
            assert_eq!(wanted(header, 10), want, "for {header:?}");
        }
        assert_eq!(wanted("bytes=0-0", 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn chunks() {
        let table = [
            ("0-3", Some((0, 3))),
            ("bytes 4-9/10", Some((4, 9))),
            ("3-2", None),
            ("-2", None),
            ("0-", None),
            ("+1-2", None),
            ("", None),
        ];
        for (header, want) in table {
            assert_eq!(chunk(header), want, "for {header:?}");
        }
    }
}
