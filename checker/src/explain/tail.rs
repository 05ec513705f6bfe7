//! A message that was cut inside of a phrase: what the phrase would have been.
//!
//! Users and consoles cut messages. When the last part is the beginning of phrases that mostly
//! signal the same, the attempt is judged as if that phrase stood there; never as certain.

use super::judge::{Finding, Weight, judge};
use super::lexicon;
use super::reading::Reading;
use super::signal::Signal;
use super::text;
use std::collections::BTreeMap;

/// The shortest beginning that is taken for a phrase.
const SHORTEST: usize = 8;

/// Judges the attempt with its last phrase completed; nothing where no phrase begins so.
pub(super) fn complete(reading: &Reading<'_>) -> Option<Finding> {
    let tail = text::from(
        reading.text,
        reading
            .text
            .len()
            .saturating_sub(64)
            .max(first_boundary(reading.text)),
    );
    let tail = tail.trim_end_matches(['.', '…', ' ', '"']);
    let beginnings = tail
        .match_indices(": ")
        .map(|(at, _)| text::from(tail, at + 2));
    for beginning in beginnings {
        if beginning.len() < SHORTEST {
            continue;
        }
        let mut signals: BTreeMap<Signal, usize> = BTreeMap::new();
        for phrase in lexicon::phrases() {
            let begins = phrase
                .text
                .get(..beginning.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(beginning));
            if begins && phrase.text.len() > beginning.len() && phrase.signal != Signal::Nothing {
                *signals.entry(phrase.signal).or_default() += 1;
            }
        }
        let all: usize = signals.values().sum();
        if let Some((signal, count)) = signals.into_iter().max_by_key(|(_, count)| *count)
            && count * 2 >= all
        {
            let mut completed = reading.clone();
            completed.signals.insert(signal);
            completed.completed = true;
            let mut finding = judge(&completed);
            finding.certain = false;
            finding.weight = finding.weight.min(Weight::Status);
            return Some(finding);
        }
    }
    None
}

/// The first boundary of a character within the last 64 bytes.
fn first_boundary(whole: &str) -> usize {
    let mut at = whole.len().saturating_sub(64);
    while !whole.is_char_boundary(at) {
        at += 1;
    }
    at
}
