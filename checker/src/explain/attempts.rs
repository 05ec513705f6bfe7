//! Which attempts a text reports: lists of credentials, mirrors, searched registries, protocols.
//!
//! Only the shape is read here: brackets, bullets and the phrases that open an attempt. Which
//! attempt decides is for [`super::combine`].

use super::layer::Role;
use super::lexer::{Hit, Lexed};
use super::signal::Signal;
use super::text;

/// More attempts than this are read as one piece each: no real message has them.
const MOST: usize = 64;

/// A stretch of the text that is one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) role: Role,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// A stretch of text and how it falls into attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Split {
    /// The attempts; empty where the stretch is one attempt.
    pub(super) pieces: Vec<Piece>,
    /// Where the common wrappers in front of them end.
    pub(super) head_end: usize,
    /// Where the stretch ends once echoes behind it are left out.
    pub(super) end: usize,
}

/// Splits the stretch `start..end`.
pub(super) fn split(lexed: &Lexed<'_>, start: usize, end: usize) -> Split {
    super::steps::spend(end - start);
    let hits = |end: usize| {
        let from = lexed.hits.partition_point(|hit| hit.start < start);
        lexed
            .hits
            .iter()
            .skip(from)
            .take_while(move |hit| hit.start < end)
    };
    if let Some(pieces) = credentials(lexed.text, hits(end), end) {
        return Split {
            head_end: pieces.first().map_or(end, |piece| piece.start),
            pieces,
            end,
        };
    }
    // CRI-O tries the same pull once more as an artifact; that half repeats the first.
    let end = hits(end)
        .find(|hit| hit.phrase.signal == Signal::ArtifactError && hit.start > start)
        .map_or(end, |hit| hit.start);
    let pieces = mirrors(lexed.text, hits(end), end)
        .or_else(|| bullets(lexed.text, hits(end), end))
        .or_else(|| repeated(hits(end), end, Signal::TryingToPull, Role::Search))
        .or_else(|| repeated(hits(end), end, Signal::PingAttempt, Role::Protocol))
        .unwrap_or_default();
    Split {
        head_end: pieces.first().map_or(end, |piece| piece.start),
        pieces,
        end,
    }
}

/// `[e1, e2]`: each credential that the kubelet tried, the anonymous one last.
fn credentials<'h>(
    whole: &str,
    hits: impl Iterator<Item = &'h Hit>,
    end: usize,
) -> Option<Vec<Piece>> {
    let mut starts = Vec::new();
    for hit in hits.filter(|hit| hit.phrase.opens_attempt) {
        let before = text::until(whole, hit.start);
        if starts.is_empty() {
            if before.ends_with('[') {
                starts.push(hit.start);
            }
        } else if before.ends_with(", ") {
            starts.push(hit.start);
        }
        if starts.len() >= MOST {
            break;
        }
    }
    if starts.len() < 2 {
        return None;
    }
    let list = text::slice(whole, 0, end).trim_end_matches(['"', ' ', '\n']);
    let end = if list.ends_with(']') {
        list.len() - 1
    } else {
        end
    };
    Some(pieces(&starts, end, Role::Credential, 2))
}

/// `(Mirrors also failed: [m1: e1] [m2: e2]): primary: e`.
fn mirrors<'h>(
    whole: &str,
    mut hits: impl Iterator<Item = &'h Hit>,
    end: usize,
) -> Option<Vec<Piece>> {
    let opening = hits.find(|hit| hit.phrase.signal == Signal::MirrorsFailed)?;
    let list = text::slice(whole, opening.end, end);
    let length = list.find("]): ").unwrap_or(list.len());
    let list = text::until(list, length);
    let mut starts = vec![opening.end];
    let mut from = 0;
    while let Some(at) = text::from(list, from).find(']') {
        from += at + 1;
        let rest = text::from(list, from);
        let next = rest.trim_start_matches([' ', '\n', ',', ';']);
        if next.starts_with('[') && next.len() < rest.len() && starts.len() < MOST {
            starts.push(opening.end + list.len() - next.len());
        }
    }
    let list_end = opening.end + length;
    let mut found = pieces(&starts, list_end, Role::Mirror, 0);
    let primary = list_end + "]): ".len();
    if primary < end {
        found.push(Piece {
            role: Role::Primary,
            start: primary,
            end,
        });
    }
    Some(found)
}

/// `2 errors occurred: * e1 * e2`: one for each registry that was searched.
fn bullets<'h>(
    whole: &str,
    mut hits: impl Iterator<Item = &'h Hit>,
    end: usize,
) -> Option<Vec<Piece>> {
    let opening = hits.find(|hit| hit.phrase.signal == Signal::ErrorsOccurred)?;
    let list = text::slice(whole, opening.end, end);
    let starts: Vec<usize> = list
        .match_indices("* ")
        .filter(|(at, _)| text::until(list, *at).ends_with(|c: char| c.is_whitespace()))
        .map(|(at, _)| opening.end + at)
        .take(MOST)
        .collect();
    (starts.len() >= 2).then(|| pieces(&starts, end, Role::Search, 0))
}

/// The same phrase again and again, an attempt after each.
fn repeated<'h>(
    hits: impl Iterator<Item = &'h Hit>,
    end: usize,
    signal: Signal,
    role: Role,
) -> Option<Vec<Piece>> {
    let starts: Vec<usize> = hits
        .filter(|hit| hit.phrase.signal == signal)
        .map(|hit| hit.start)
        .take(MOST)
        .collect();
    (starts.len() >= 2).then(|| pieces(&starts, end, role, 0))
}

/// Pieces from their starts; `gap` bytes of separator lie between two.
fn pieces(starts: &[usize], end: usize, role: Role, gap: usize) -> Vec<Piece> {
    starts
        .iter()
        .enumerate()
        .map(|(at, start)| {
            let stop = starts
                .get(at + 1)
                .map_or(end, |next| next.saturating_sub(gap));
            Piece {
                role,
                start: *start,
                end: stop.max(*start),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::lexer::lex;

    fn texts(message: &str) -> Vec<(Role, String)> {
        let lexed = lex(message);
        split(&lexed, 0, message.len())
            .pieces
            .iter()
            .map(|piece| {
                (
                    piece.role,
                    text::slice(message, piece.start, piece.end).to_owned(),
                )
            })
            .collect()
    }

    #[test]
    fn credentials_are_split_at_their_openings_only() {
        assert_eq!(
            texts(
                "Failed to pull image \"a:1\": [rpc error: code = NotFound desc = x, y: not found, failed to pull and unpack image \"a:1\": z]"
            ),
            [
                (
                    Role::Credential,
                    "rpc error: code = NotFound desc = x, y: not found".into()
                ),
                (
                    Role::Credential,
                    "failed to pull and unpack image \"a:1\": z".into()
                ),
            ]
        );
        assert!(texts("failed to pull and unpack image \"a:1\": dial tcp [::1]:80, x").is_empty());
    }

    #[test]
    fn mirrors_and_their_primary() {
        let got = texts("(Mirrors also failed: [m1/a: e [x]: y]\n[m2/a: z]): r.test/a: w");
        assert_eq!(
            got,
            [
                (Role::Mirror, "[m1/a: e [x]: y]\n".into()),
                (Role::Mirror, "[m2/a: z".into()),
                (Role::Primary, "r.test/a: w".into()),
            ]
        );
        let cut = texts("(Mirrors also failed: [m1/a: dial tcp: look");
        assert_eq!(cut, [(Role::Mirror, "[m1/a: dial tcp: look".into())]);
    }

    #[test]
    fn searched_registries_and_protocols() {
        assert_eq!(texts("2 errors occurred: * a: b * c: d").len(), 2);
        assert_eq!(
            texts("Trying to pull a/b:1... x Trying to pull c/b:1... y").len(),
            2
        );
        assert_eq!(
            texts("HTTPS attempt: a v2 ping attempt failed with error: b HTTP attempt: c").len(),
            3
        );
    }
}
