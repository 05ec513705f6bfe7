//! The wording of the programs that pull images: phrases, what each signals, and who says it.
//!
//! Plain data, one file a family. A phrase is written once, in the letters in which the program
//! prints it; matching ignores case unless the phrase is [`Match::Exact`]. No phrase names a host,
//! a project or a number: those are read by structure, not by word.

mod access;
mod content;
mod network;
mod wrappers;

use super::layer::Speaker;
use super::signal::Signal;
use crate::stage::Stage;

/// How much of its surroundings a phrase constrains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// Anything may follow.
    Loose,
    /// Must end where a word ends, and not inside of a name or path.
    Word,
    /// As `Word`, and the letters' case counts.
    Exact,
}

/// One phrase of the lexicon.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phrase {
    pub(super) text: &'static str,
    pub(super) signal: Signal,
    pub(super) how: Match,
    /// Who says it, where the phrase opens a layer.
    pub(super) speaker: Option<Speaker>,
    /// The step of the pull that the phrase tells.
    pub(super) stage: Option<Stage>,
    /// The phrase can open one of several attempts in a list.
    pub(super) opens_attempt: bool,
    /// An image reference follows it.
    pub(super) names_reference: bool,
}

/// A phrase. Several words mean the same wherever they stand; a single word must stand alone, for
/// any word may be part of a name.
const fn says(text: &'static str, signal: Signal) -> Phrase {
    let how = if has_blank(text) {
        Match::Loose
    } else {
        Match::Word
    };
    Phrase {
        text,
        signal,
        how,
        speaker: None,
        stage: None,
        opens_attempt: false,
        names_reference: false,
    }
}

/// A part of a word or path that no name has by chance.
const fn part(text: &'static str, signal: Signal) -> Phrase {
    Phrase {
        how: Match::Loose,
        ..says(text, signal)
    }
}

/// A phrase that must end where a word ends.
const fn word(text: &'static str, signal: Signal) -> Phrase {
    Phrase {
        how: Match::Word,
        ..says(text, signal)
    }
}

const fn has_blank(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        if *byte == b' ' {
            return true;
        }
        rest = tail;
    }
    false
}

/// A word whose case counts.
const fn exact(text: &'static str, signal: Signal) -> Phrase {
    Phrase {
        how: Match::Exact,
        ..says(text, signal)
    }
}

impl Phrase {
    /// The phrase opens a layer of this speaker.
    const fn by(self, speaker: Speaker) -> Self {
        Self {
            speaker: Some(speaker),
            ..self
        }
    }

    /// The phrase tells the step of the pull.
    const fn at(self, stage: Stage) -> Self {
        Self {
            stage: Some(stage),
            ..self
        }
    }

    /// An image reference follows the phrase.
    const fn names(self) -> Self {
        Self {
            names_reference: true,
            ..self
        }
    }

    /// The phrase can open an attempt in a list of attempts.
    const fn opens(self) -> Self {
        Self {
            opens_attempt: true,
            ..self
        }
    }
}

/// Every phrase, family after family.
pub(super) fn phrases() -> impl Iterator<Item = &'static Phrase> {
    [
        wrappers::PHRASES,
        network::PHRASES,
        access::PHRASES,
        content::PHRASES,
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_phrase_is_written_once() {
        let mut seen = BTreeSet::new();
        for phrase in phrases() {
            assert!(
                seen.insert(phrase.text.to_ascii_lowercase()),
                "{:?} twice",
                phrase.text
            );
            assert!(
                phrase.text.len() >= 3,
                "{:?} is too short to mean anything",
                phrase.text
            );
        }
    }
}
