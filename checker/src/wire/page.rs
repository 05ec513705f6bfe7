//! `Link` and `Content-Range`: where a list goes on, and which bytes came.

use http::HeaderMap;

/// The target of `Link: <…>; rel="next"`, as written.
pub(crate) fn next_page(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(http::header::LINK)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .take(8)
        .find_map(next_of)
}

fn next_of(line: &str) -> Option<&str> {
    let mut rest = line;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (target, after) = after.split_once('>')?;
        let (parameters, more) = after
            .split_once('<')
            .map_or((after, None), |(parameters, _)| {
                (parameters, after.get(parameters.len()..))
            });
        let is_next = parameters.split([';', ',']).any(|parameter| {
            let parameter = parameter.trim();
            parameter.split_once('=').is_some_and(|(name, value)| {
                name.trim().eq_ignore_ascii_case("rel") && value.trim().trim_matches('"') == "next"
            })
        });
        if is_next {
            return Some(target);
        }
        rest = more?;
    }
}

/// The total size in `Content-Range: bytes 0-0/1234`; `None` if it is missing, `*` or malformed.
pub(crate) fn range_total(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(http::header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let total: u64 = total.trim().parse().ok()?;
    (first <= last && last < total).then_some(total)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
        headers
    }

    #[test]
    fn links_that_go_on() {
        let table = [
            (
                r#"</v2/a/tags/list?n=2&last=b>; rel="next""#,
                Some("/v2/a/tags/list?n=2&last=b"),
            ),
            (r"</x>;rel=next", Some("/x")),
            (r#"</p>; rel="prev", </n>; rel="next""#, Some("/n")),
            (r#"</p>; rel="prev""#, None),
            ("<", None),
            ("", None),
        ];
        for (line, want) in table {
            assert_eq!(next_page(&with("link", line)), want, "for {line:?}");
        }
    }

    #[test]
    fn ranges() {
        let table = [
            ("bytes 0-0/12", Some(12)),
            ("bytes 0-0/*", None),
            ("bytes 5-4/12", None),
            ("bytes 0-12/12", None),
            ("0-0/1", None),
        ];
        for (line, want) in table {
            assert_eq!(
                range_total(&with("content-range", line)),
                want,
                "for {line:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_target_comes_back(target in "/v2/[a-z/]{1,20}(\\?n=[0-9]{1,3}&last=[a-z0-9._-]{1,10})?", first in any::<bool>(), quoted in any::<bool>()) {
            let rel = if quoted { "\"next\"" } else { "next" };
            let other = "</other>; rel=\"prev\"";
            let line = if first { format!("<{target}>; rel={rel}, {other}") } else { format!("{other}, <{target}>;rel={rel}") };
            let headers = with("link", &line);
            prop_assert_eq!(next_page(&headers), Some(target.as_str()));
        }

        #[test]
        fn a_range_says_its_total(first in 0..1000_u64, length in 1..1000_u64, more in 0..1000_u64) {
            let (last, total) = (first + length - 1, first + length + more);
            let line = format!("bytes {first}-{last}/{total}");
            prop_assert_eq!(range_total(&with("content-range", &line)), Some(total));
            let beyond = format!("bytes {first}-{last}/{last}");
            prop_assert_eq!(range_total(&with("content-range", &beyond)), None);
        }

        #[test]
        fn no_header_panics(text in "[ -~]{0,60}") {
            let _ = (next_page(&with("link", &text)), range_total(&with("content-range", &text)));
        }
    }
}
