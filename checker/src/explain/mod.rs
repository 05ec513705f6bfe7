//! From a message to what it tells.
//!
//! [`explain`] takes the text that a cluster or a runtime prints about a failed pull and says which
//! [`Clue`] it holds, how sure that is, what else it could be, and which causes fit. It reads in
//! steps: undo quoting (`text`), find messages in a paste (`paste`), find phrases, URLs and
//! statuses in one pass (`lexer`), split attempts (`attempts`), judge each (`judge`), decide
//! which counts (`combine`). It asks nobody: no network, no cluster, no clock.

mod attempts;
mod causes;
mod combine;
pub mod jsonl;
mod judge;
mod layer;
mod layers;
mod lexer;
mod lexicon;
mod paste;
mod reading;
mod reason;
mod redact;
mod render;
mod signal;
mod steps;
mod tail;
mod text;
mod trie;
mod url;

pub use layer::{Attempt, Explanation, Layer, Role, Speaker, TlsReason};
pub use render::render_text;

use crate::clue::Clue;
use reading::Reading;

/// Says what a message tells. Never fails; at most the first MiB of the text is read, in time
/// linear in its length.
///
/// ```
/// use pullcheck::clue::Clue;
///
/// let told = pullcheck::explain::explain(
///     r#"Failed to pull image "r.example/a:1": failed to pull and unpack image "r.example/a:1": failed to resolve image: failed to do request: Head "https://r.example/v2/a/manifests/1": dial tcp: lookup r.example on 10.0.0.10:53: no such host"#,
/// );
/// assert_eq!(told.clue, Clue::DnsNotFound);
/// assert!(told.certain);
/// assert_eq!(told.host.as_deref(), Some("r.example"));
/// ```
pub fn explain(message: &str) -> Explanation {
    let cleaned = text::clean(message);
    let stretches = paste::stretches(&cleaned);
    let lexed = lexer::lex(&cleaned);
    let analysis = combine::lines(&lexed, &stretches);
    let (start, end) = analysis.decisive;
    let decisive = Reading::new(&lexed, start, end);
    let around;
    let whole = if (start, end) == (analysis.start, analysis.end) {
        &decisive
    } else {
        around = Reading::new(&lexed, analysis.start, analysis.end);
        &around
    };
    let causes = causes::candidates(&analysis, &decisive, whole);

    let hidden = redact::secrets(&cleaned, &lexed.spans);
    let mut layers = Vec::new();
    if analysis.parts.is_empty() {
        layers::collect(
            &lexed,
            &hidden,
            analysis.start,
            analysis.end,
            None,
            &mut layers,
        );
    } else {
        let head_end = analysis
            .parts
            .first()
            .map_or(analysis.start, |part| part.start);
        layers::collect(
            &lexed,
            &hidden,
            analysis.start.min(head_end),
            head_end,
            None,
            &mut layers,
        );
        for (at, part) in analysis.parts.iter().enumerate() {
            layers::collect(&lexed, &hidden, part.start, part.end, Some(at), &mut layers);
        }
    }
    let attempts = analysis
        .parts
        .iter()
        .map(|part| Attempt {
            role: part.role,
            clue: part.clue,
            decides: part.decides,
            host: host_of(&Reading::new(&lexed, part.start, part.end)),
        })
        .collect();
    Explanation {
        clue: analysis.finding.clue,
        also: analysis.finding.also,
        certain: analysis.finding.certain,
        stage: analysis.finding.stage,
        reference: decisive
            .reference()
            .or_else(|| whole.reference())
            .map(str::to_owned),
        host: host_of(&decisive).or_else(|| {
            whole
                .registry()
                .filter(|_| whole.reference().is_some())
                .map(str::to_owned)
        }),
        status: decisive.status,
        layers,
        attempts,
        causes,
    }
}

fn host_of(reading: &Reading<'_>) -> Option<String> {
    reading
        .host()
        .or_else(|| reading.registry())
        .map(|host| text::bounded(host, 255).to_owned())
}

/// The clue of a message, without the layers: for callers that only sort messages.
pub fn clue(message: &str) -> Clue {
    let cleaned = text::clean(message);
    let stretches = paste::stretches(&cleaned);
    let lexed = lexer::lex(&cleaned);
    combine::lines(&lexed, &stretches).finding.clue
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts made to be slow: each is repeated to the wanted length.
    const HOSTILE: &[&str] = &[
        "\"",
        "\\\"",
        "\\\\\\\"",
        "[",
        "]",
        "]): ",
        "[[\"",
        ": ",
        "://",
        "http://",
        "https://a/?",
        "image \"",
        "image x",
        "500 ",
        "HTTP 500 ",
        "API error (500) ",
        "status 4",
        "denied ",
        "lookup ",
        "dial tcp ",
        "rpc error: code = ",
        ", rpc error: code = ",
        "[rpc error: code = ",
        "(Mirrors also failed: [",
        "errors occurred: * ",
        "Trying to pull ",
        "ping attempt failed with error",
        "; artifact err: ",
        "eyJ",
        "token=",
        "secret \"",
        "\n",
        "\nWarning  a  b  c  d",
        "Warning  ",
        "Jan 1 00:00:00 ",
        "spec.",
        "  ",
        "é",
        "failed to extract layer: ",
        "Get \"https://a/v2/\": ",
        "x509: certificate ",
        "\u{1b}[",
        "\\u00",
    ];

    #[test]
    fn the_work_is_linear_whatever_the_text() {
        for unit in HOSTILE {
            let text = |length: usize| unit.repeat(length / unit.len());
            let (short, long) = (text(1 << 13), text(1 << 17));
            let steps = |text: &str| {
                steps::count(|| {
                    let _ = explain(text);
                })
            };
            let (few, many) = (steps(&short), steps(&long));
            assert!(
                many <= 40 * long.len(),
                "{unit:?}: {many} steps for {} bytes",
                long.len()
            );
            assert!(
                many <= 24 * few.max(1),
                "{unit:?}: {few} steps became {many}"
            );
        }
    }

    #[test]
    fn a_text_beyond_the_bound_is_read_up_to_it() {
        let mut text = "x".repeat(text::LIMIT);
        text.push_str(": no such host");
        assert_eq!(explain(&text).clue, Clue::Unknown);
    }
}
