//! From what a learner types to a cause of the closed list: by its id, or by words.
//!
//! Words that are no id are never taken for an answer: the causes that they may mean are offered,
//! the nearest first, whatever the right one is.

use pullcheck::cause::Cause;

/// Causes that are offered at most.
const OFFERED: usize = 5;
/// Words that say nothing about a cause.
const EMPTY: &[&str] = &[
    "a", "an", "and", "at", "be", "because", "but", "by", "can", "cannot", "could", "do", "does",
    "for", "from", "has", "have", "image", "in", "is", "it", "its", "maybe", "no", "not", "of",
    "on", "or", "pull", "pulled", "so", "that", "the", "there", "this", "to", "was", "with", "you",
];
/// How alike two words must be to count as one.
const ALIKE: f64 = 0.9;

/// What was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meant {
    /// This cause, named by its id.
    Cause(Cause),
    /// One of these, the nearest first.
    OneOf(Vec<Cause>),
    /// No cause that is known.
    Nothing,
}

/// Reads an answer.
pub fn meant(text: &str) -> Meant {
    let words = words(text);
    let id = words.join("-");
    if let Some(cause) = Cause::from_id(&id) {
        return Meant::Cause(cause);
    }
    let mut ranked: Vec<(f64, Cause)> = Cause::ALL
        .iter()
        .map(|cause| (nearness(&words, &id, *cause), *cause))
        .filter(|(score, _)| *score > 0.0)
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let best = ranked.first().map_or(0.0, |(score, _)| *score);
    let near = ranked.into_iter().filter(|(score, _)| *score >= best / 2.0);
    match near
        .map(|(_, cause)| cause)
        .take(OFFERED)
        .collect::<Vec<_>>()
    {
        none if none.is_empty() => Meant::Nothing,
        some => Meant::OneOf(some),
    }
}

/// How much of an answer a cause has: words of its id count most, then those of its meaning.
fn nearness(answer: &[String], id: &str, cause: Cause) -> f64 {
    let own = words(cause.id());
    let meaning = words(cause.meaning());
    let has = |list: &[String], word: &str| {
        list.iter()
            .any(|one| one == word || (word.len() > 3 && strsim::jaro_winkler(one, word) >= ALIKE))
    };
    let telling = answer.iter().filter(|word| !EMPTY.contains(&word.as_str()));
    let by_words: f64 = telling
        .map(|word| match (has(&own, word), has(&meaning, word)) {
            (true, _) => 3.0,
            (false, true) => 1.0,
            (false, false) => 0.0,
        })
        .sum();
    // The same words without those that the answer lacks: `role missing` is nearer to
    // `acr-role-missing` than to a longer id.
    let missed = own.iter().filter(|word| !has(answer, word)).count();
    let by_id = if strsim::jaro_winkler(id, cause.id()) >= ALIKE {
        2.0
    } else {
        0.0
    };
    if by_words + by_id == 0.0 {
        0.0
    } else {
        by_words + by_id - 0.25 * missed as f64
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(60)
        .map(str::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_an_answer_however_it_is_written() {
        for text in [
            "tag-not-found",
            "Tag not found",
            " tag_not_found ",
            "tag not found!",
        ] {
            assert_eq!(meant(text), Meant::Cause(Cause::TagNotFound), "{text}");
        }
        for cause in Cause::ALL {
            assert_eq!(meant(cause.id()), Meant::Cause(*cause));
        }
    }

    #[test]
    fn words_offer_what_they_may_mean() {
        let table = [
            ("the tag does not exist", Cause::TagNotFound),
            ("tag-not-fuond", Cause::TagNotFound),
            (
                "the kubelet identity has no role, a role is missing",
                Cause::AcrRoleMissing,
            ),
            ("a firewall drops the packets", Cause::FirewallDrop),
            ("certificate expired", Cause::TlsExpired),
            (
                "the proxy cannot be reached, proxy unreachable",
                Cause::ProxyUnreachable,
            ),
            ("wrong password", Cause::CredentialsWrong),
            ("disk is full", Cause::DiskFull),
        ];
        for (text, want) in table {
            match meant(text) {
                Meant::OneOf(near) => assert!(
                    near.contains(&want) && near.len() <= OFFERED,
                    "{text}: {near:?}"
                ),
                other => panic!("{text}: {other:?}"),
            }
        }
        assert_eq!(meant(""), Meant::Nothing);
        assert_eq!(meant("xyzzy"), Meant::Nothing);
    }
}
